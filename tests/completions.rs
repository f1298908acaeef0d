//! What the shells themselves offer, once they have the script.

mod shell;
mod terminal;

use rstest::rstest;

use crate::homelab::{Homelab, Seen};
use shell::{Shell, User};

/// What stands behind `homelab`, and all that can stand in place of its last word.
#[rstest]
#[case::topics("", "completions proxmox")]
#[case::half_a_topic("pro", "proxmox")]
#[case::nouns("proxmox ", "check task template vm")]
#[case::verbs("proxmox vm ", "create list")]
#[case::no_arguments("proxmox template list ", "")]
#[case::no_files_for_arguments("proxmox check ", "")]
#[case::unknown_beginning("proxmox x", "")]
#[case::behind_a_call_for_help("proxmox help vm ", "create list")]
#[case::options_of_the_root("--", "--help --version")]
#[case::one_dash("-", "--help --version")]
#[case::options_of_a_topic(
    "proxmox --",
    "--ca-file --config --fingerprint --help --host --insecure --request-timeout --verbose --version"
)]
#[case::options_of_a_verb_and_above(
    "proxmox template list --",
    "--ca-file --config --fingerprint --help --host --insecure --json --request-timeout --verbose \
     --version"
)]
#[case::options_once(
    "proxmox --insecure template --host=x list --config c --json --fingerprint AA --",
    "--ca-file --help --request-timeout --verbose --version"
)]
#[case::half_an_option("proxmox vm create web-1 debian-12 --ens", "--ensure")]
#[case::half_an_option_of_a_level_above("proxmox task wait UPID --ho", "--host")]
#[case::an_option_twice("proxmox task wait --host a --ho", "")]
#[case::options_below("proxmox --js", "")]
#[case::names_of_commands_for_arguments("proxmox vm create vm list --ens", "--ensure")]
#[case::no_options_behind_two_dashes("proxmox template list -- --", "")]
#[case::no_commands_behind_two_dashes("proxmox vm -- ", "")]
#[case::value_that_looks_like_a_command("proxmox --host vm ", "check task template vm")]
#[case::value_that_looks_like_an_option("proxmox --host --json te", "template")]
#[case::value_with_a_colon("proxmox --host pve.lan:8006 vm ", "create list")]
#[case::value_with_everything("proxmox --host=a:b=c --insecure vm --verbose ", "create list")]
#[case::value_in_quotes("proxmox --config 'a b' vm ", "create list")]
#[case::no_value_known("proxmox --host ", "")]
#[case::no_value_known_behind_equals("proxmox vm list --host=", "")]
#[case::no_files_for_half_a_value("proxmox --host c", "")]
#[case::files("proxmox --config ", "ca.pem config.json keys")]
#[case::half_a_file("proxmox template list --ca-file ca", "ca.pem")]
#[case::files_behind_equals("proxmox --config=", "ca.pem config.json keys")]
#[case::half_a_file_behind_equals("proxmox vm create a b --config=co", "config.json")]
#[case::files_in_a_folder("proxmox --ca-file keys/", "keys/a|keys/b c")]
#[case::files_in_a_folder_behind_equals("proxmox --ca-file=keys/", "keys/a|keys/b c")]
#[case::files_for_output("completions bash > c", "ca.pem config.json")]
#[case::no_files_behind_two_dashes("proxmox check -- --config=", "")]
#[case::choices("completions ", "bash fish zsh")]
#[case::half_a_choice("completions z", "zsh")]
#[case::choices_behind_two_dashes("completions -- ", "bash fish zsh")]
#[case::only_one_choice("completions bash ", "")]
fn the_shells_offer(
    #[case] line: &str,
    #[case] expected: &str,
    #[values(Shell::Bash, Shell::Zsh, Shell::Fish)] shell: Shell,
) {
    let between = if expected.contains('|') { '|' } else { ' ' };
    let words = expected.split(between).filter(|word| !word.is_empty());
    if let Some(user) = User::of(shell) {
        let offered = user.candidates(&format!("homelab {line}"));
        assert_eq!(offered, words.collect::<Vec<_>>());
    }
}

#[rstest]
#[case::bash(Shell::Bash)]
#[case::zsh(Shell::Zsh)]
#[case::zsh_that_sources(Shell::ZshThatSources)]
#[case::fish(Shell::Fish)]
fn half_the_keys_are_enough_at_a_terminal(#[case] shell: Shell) {
    let Some(user) = User::of(shell) else {
        return;
    };
    let mut terminal = user.sit_down();
    terminal.type_keys("homelab pro");
    for (keys, completed) in [
        ("\t", "xmox"),
        ("te\t", "mplate"),
        ("li\t", "st"),
        ("--config con\t", "fig.json"),
        ("--js\t", "on"),
    ] {
        terminal.type_keys(keys);
        terminal.read_until(completed);
    }
    terminal.type_keys("\r");
    terminal.read_until("ran[");
    let ran = terminal.read_until("]");
    assert_eq!(ran, "proxmox template list --config config.json --json");
}

#[rstest]
fn commands_are_described(#[values(Shell::Zsh, Shell::Fish)] shell: Shell) {
    let expected = [
        ("check", "Look at everything that a run depends on"),
        ("task", "Tasks of a server"),
        ("template", "Templates of virtual machines"),
        ("vm", "Virtual machines"),
    ];
    let expected = expected.map(|(name, description)| (name.to_owned(), description.to_owned()));
    if let Some(user) = User::of(shell) {
        assert_eq!(user.described("homelab proxmox "), expected);
    }
}

#[rstest]
fn an_option_is_described_to_the_letter(#[values(Shell::Zsh, Shell::Fish)] shell: Shell) {
    let description = "do not verify the server's certificate";
    let expected = [("--insecure".to_owned(), description.to_owned())];
    if let Some(user) = User::of(shell) {
        assert_eq!(user.described("homelab proxmox --ins"), expected);
    }
}

#[test]
fn somebody_who_reads_no_further_is_no_failure() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let expected = Seen {
        exit: Some(0),
        stdout: String::new(),
        stderr: String::new(),
    };
    assert_eq!(
        Homelab::alone().run_into("completions bash", writer),
        expected
    );
}
