//! What the shells themselves offer, once they have the script.

mod shell;
mod terminal;

use rstest::rstest;
use serde_json::json;

use crate::fake_pve::{FakePve, Setup};
use crate::homelab::{Homelab, Seen};
use shell::{Shell, User};

fn fake(setup: serde_json::Value) -> FakePve {
    FakePve::start(serde_json::from_value::<Setup>(setup).unwrap())
}

/// The words after `homelab`, and all completions of the last one.
#[rstest]
#[case::first_words("", "completions help proxmox version")]
#[case::half_a_topic("pro", "proxmox")]
#[case::nouns("proxmox ", "check container task template vm")]
#[case::verbs(
    "proxmox vm ",
    "create delete list reboot show shutdown ssh start stop"
)]
#[case::verbs_of_templates("proxmox template ", "create list")]
#[case::no_arguments("proxmox template list ", "")]
#[case::no_server("proxmox check ", "")]
#[case::unknown_beginning("proxmox x", "")]
#[case::behind_a_call_for_help(
    "proxmox help vm ",
    "create delete list reboot show shutdown ssh start stop"
)]
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
#[case::value_that_looks_like_a_command("proxmox --host vm ", "check container task template vm")]
#[case::value_that_looks_like_an_option("proxmox --host --json te", "template")]
#[case::value_with_a_colon(
    "proxmox --host pve.lan:8006 vm ",
    "create delete list reboot show shutdown ssh start stop"
)]
#[case::value_with_everything(
    "proxmox --host=a:b=c --insecure vm --verbose ",
    "create delete list reboot show shutdown ssh start stop"
)]
#[case::value_in_quotes(
    "proxmox --config 'a b' vm ",
    "create delete list reboot show shutdown ssh start stop"
)]
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
#[case::help_topics("help t", "task template templates troubleshooting trust")]
#[case::help_of_a_command("help vm cr", "create")]
#[case::help_after_a_topic("help trust ", "")]
#[case::after_an_unknown_command("proxmox vn ", "")]
#[case::json_and_quiet("proxmox task wait UPID --quiet --js", "")]
#[case::settings("proxmox vm create a b --set cpul", "cpulimit=")]
#[case::settings_behind_equals("proxmox vm create a b --set=cpul", "cpulimit=")]
#[case::addresses(
    "proxmox vm list --ip-from ",
    "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 ipv4 ipv6 net0 net1"
)]
#[case::statuses("proxmox container list --status ", "running stopped unknown")]
#[case::options_of_delete(
    "proxmox vm delete web-1 --yes --quiet --",
    "--ca-file --config --fingerprint --help --host --if-exists --ignore-offline --insecure --keep-jobs \
     --poll-interval --request-timeout --stop --timeout --verbose --version --vmid"
)]
#[case::key_file("proxmox vm ssh web-1 --identity c", "ca.pem config.json")]
#[case::no_value_known_for_an_amount("proxmox vm create a b --cores ", "")]
#[case::options_of_template_create(
    "proxmox template create debian-12 --image x --im",
    "--image-storage"
)]
#[case::no_value_known_for_an_image("proxmox template create debian-12 --image ", "")]
#[case::no_value_known_for_a_checksum("proxmox template create debian-12 --checksum ", "")]
#[case::the_disk_of_a_new_template("proxmox template create debian-12 --resize ", "scsi0=")]
#[case::the_disk_of_a_new_template_behind_equals(
    "proxmox template create debian-12 --resize=s",
    "scsi0="
)]
#[case::no_disk_known("proxmox vm create a b --resize ", "")]
#[case::key_file_of_a_template(
    "proxmox template create debian-12 --ssh-key c",
    "ca.pem config.json"
)]
#[case::help_of_templates("help templ", "template templates")]
#[case::help_of_images("help im", "images")]
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

/// Names that the configured server knows, and the requests that fetch them.
#[rstest]
#[case::template("proxmox vm create web-1 deb", "debian-12", &["GET /cluster/resources?type=vm"])]
#[case::template_to_check("proxmox check ", "debian-12 ubuntu", &["GET /cluster/resources?type=vm"])]
#[case::storage(
    "proxmox vm create a b --storage local",
    "local",
    &["GET /nodes", "GET /nodes/pve1/storage"]
)]
#[case::new_template("proxmox template create ", "", &[])]
#[case::template_with_ensure(
    "proxmox template create --ensure deb",
    "debian-12",
    &["GET /cluster/resources?type=vm"]
)]
#[case::storage_of_a_template(
    "proxmox template create a --storage local",
    "local",
    &["GET /nodes", "GET /nodes/pve1/storage"]
)]
#[case::storage_of_images(
    "proxmox template create a --image-storage local",
    "local",
    &["GET /nodes", "GET /nodes/pve1/storage"]
)]
#[case::storage_of_images_to_check(
    "proxmox check --image-storage=local",
    "local",
    &["GET /nodes", "GET /nodes/pve1/storage"]
)]
#[case::node_of_a_template("proxmox template create a --node ", "pve1 pve2", &["GET /nodes"])]
#[case::vm_with_ensure("proxmox vm create --ensure ", "db-1", &["GET /cluster/resources?type=vm"])]
#[case::vm_to_show("proxmox vm show d", "db-1", &["GET /cluster/resources?type=vm"])]
#[case::vm_to_start("proxmox vm start ", "db-1", &["GET /cluster/resources?type=vm"])]
#[case::second_vm("proxmox vm stop 101 d", "db-1", &["GET /cluster/resources?type=vm"])]
#[case::vm_to_delete("proxmox vm delete --yes --stop ", "db-1", &["GET /cluster/resources?type=vm"])]
#[case::vm_to_shut_down("proxmox vm shutdown --force d", "db-1", &["GET /cluster/resources?type=vm"])]
#[case::vm_to_reboot("proxmox vm reboot d", "db-1", &["GET /cluster/resources?type=vm"])]
#[case::vm_to_connect_to("proxmox vm ssh d", "db-1", &["GET /cluster/resources?type=vm"])]
#[case::node_of_vms("proxmox vm list --node ", "pve1 pve2", &["GET /nodes"])]
#[case::pool_of_containers("proxmox container list --pool c", "clients", &["GET /pools"])]
#[case::no_task("proxmox task cancel ", "", &[])]
#[case::no_vm_for_a_command("proxmox vm ssh db-1 -- d", "", &[])]
#[case::new_vm("proxmox vm create ", "", &[])]
#[case::pool("proxmox vm create a b --pool=", "clients", &["GET /pools"])]
#[case::node("proxmox vm create a b --node ", "pve1 pve2", &["GET /nodes"])]
#[case::another_host("proxmox --host 127.0.0.1:1 check ", "", &[])]
fn the_shells_offer_names_of_the_server(
    #[case] line: &str,
    #[case] expected: &str,
    #[case] requests: &[&str],
    #[values(Shell::Bash, Shell::Zsh, Shell::Fish)] shell: Shell,
) {
    let fake = fake(json!({
        "nodes": ["pve1", "pve2"],
        "guests": [
            {"vmid": 9000, "name": "debian-12", "template": true},
            {"vmid": 9001, "name": "ubuntu", "template": true, "node": "pve2"},
            {"vmid": 100, "name": "db-1"},
            {"vmid": 101, "name": "$(touch here)"},
            {"vmid": 9002, "name": "a b;c", "template": true}
        ]
    }));
    if let Some(user) = User::of(shell) {
        let offered = user.at(&fake.url()).candidates(&format!("homelab {line}"));
        assert_eq!(offered.join(" "), expected);
        assert_eq!(fake.journal(), requests);
    }
}

/// Neither a missing answer nor a refusal shows up at the prompt.
#[rstest]
#[case::silence(json!({"on": "GET", "hang": true}))]
#[case::refusal(json!({"on": "GET", "answer": {"status": 401, "reason": "No ticket"}}))]
fn a_server_without_names_shows_no_error_at_the_prompt(#[case] fault: serde_json::Value) {
    let fake = fake(json!({"faults": [fault]}));
    let seen = Homelab::at(&fake).run_arguments(&["__complete", "fish", "proxmox", "check", ""]);
    let expected = Seen {
        exit: Some(0),
        stdout: String::new(),
        stderr: String::new(),
    };
    assert_eq!(seen, expected);
}

#[rstest]
#[case::bash(Shell::Bash)]
#[case::zsh(Shell::Zsh)]
#[case::fish(Shell::Fish)]
fn a_script_is_a_stub_of_at_most_15_lines(#[case] shell: Shell) {
    assert!(shell.script().lines().count() <= 15);
}

#[rstest]
#[case::bash(Shell::Bash)]
#[case::zsh(Shell::Zsh)]
#[case::zsh_that_sources(Shell::ZshThatSources)]
#[case::fish(Shell::Fish)]
fn tab_completes_words_at_a_terminal(#[case] shell: Shell) {
    let Some(user) = User::of(shell) else {
        return;
    };
    let mut terminal = user.open_terminal();
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
        (
            "check",
            "Check the connection, the token's privileges and a template",
        ),
        ("container", "List containers"),
        ("task", "Wait for a server task, or cancel it"),
        (
            "template",
            "List templates, or create one from a cloud image",
        ),
        (
            "vm",
            "List, create, start, stop and delete virtual machines",
        ),
    ];
    let expected = expected.map(|(name, description)| (name.to_owned(), description.to_owned()));
    if let Some(user) = User::of(shell) {
        assert_eq!(user.described("homelab proxmox "), expected);
    }
}

#[rstest]
fn an_option_has_its_exact_description(#[values(Shell::Zsh, Shell::Fish)] shell: Shell) {
    let description = "do not verify the server's certificate";
    let expected = [("--insecure".to_owned(), description.to_owned())];
    if let Some(user) = User::of(shell) {
        assert_eq!(user.described("homelab proxmox --ins"), expected);
    }
}

#[test]
fn a_closed_pipe_is_not_a_failure() {
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
