//! Where settings come from, and the errors for wrong ones.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rstest::rstest;

use crate::fake_pve::{FakePve, SECRET, Setup};
use crate::homelab::{Homelab, Seen};

const LIST: &str = "proxmox template list";

/// The output for an empty cluster.
fn listed() -> Seen {
    Seen {
        exit: Some(0),
        stdout: "No templates found\n".to_owned(),
        stderr: "Hint: 'homelab help templates' says how to create one; if there are any, this token lacks VM.Audit on them; on a node, as root: pveum acl \
                 modify /vms --tokens 'root@pam!cli' --roles PVEAuditor; this replaces the token's inherited \
                 roles there\n"
            .to_owned(),
    }
}

fn refused(stderr: &str) -> Seen {
    Seen {
        exit: Some(2),
        stdout: String::new(),
        stderr: stderr.to_owned(),
    }
}

fn write(path: &Path, text: &str, mode: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A configuration file with everything needed to reach the fake.
fn json_for(fake: &FakePve) -> String {
    format!(
        r#"{{"proxmox":{{"host":"{}","user":"root@pam","token_key":"cli","token_secret":"{SECRET}"}}}}"#,
        fake.url()
    )
}

#[test]
fn all_missing_settings_are_named_at_once() {
    let expected = "\
Failed to create VM: missing settings: PROXMOX_HOST, PROXMOX_USER, PROXMOX_TOKEN_KEY, PROXMOX_TOKEN_SECRET
Hint: set them in the environment, or in the configuration file (~/.config/homelab/config.json by default), which looks like {\"proxmox\": {\"host\": \"pve.lan\", \"user\": \"homelab@pve\", \"token_key\": \"cli\", \"token_secret\": \"…\"}}; see 'homelab help config'
";
    let seen = Homelab::alone().run("proxmox vm create web-1 debian-12");
    assert_eq!(seen, refused(expected));
}

#[test]
fn a_missing_setting_is_a_json_error_too() {
    let seen = Homelab::alone().with_token().run("proxmox vm list --json");
    let expected = concat!(
        r#"{"error":{"kind":"config","message":"missing settings: PROXMOX_HOST","#,
        r#""hint":"set them in the environment, or in the configuration file "#,
        r#"(~/.config/homelab/config.json by default), which looks like {\"proxmox\": "#,
        r#"{\"host\": \"pve.lan\", \"user\": \"homelab@pve\", \"token_key\": \"cli\", "#,
        r#"\"token_secret\": \"…\"}}; see 'homelab help config'","#,
        r#""vmid":null,"upid":null,"node":null,"started":"no"}}"#,
        "\n"
    );
    assert_eq!(seen.stdout, expected);
}

#[test]
fn a_bad_value_is_named_by_its_origin() {
    let seen = Homelab::alone().env("PROXMOX_PORT", "abc").run(LIST);
    let expected = "Failed to list templates: PROXMOX_PORT: 'abc' is not a port (1 to 65535)\n";
    assert_eq!(seen, refused(expected));
}

#[test]
fn a_bad_value_of_an_option_is_named_by_the_option() {
    let fake = FakePve::start(Setup::default());
    let seen = Homelab::at(&fake).run("proxmox template list --host http://192.0.2.1");
    let expected = "Failed to list templates: --host: http:// would send the token \
                    unencrypted, so it is allowed only for loopback addresses\n";
    assert_eq!(seen, refused(expected));
    assert_eq!(fake.journal(), [""; 0]);
}

#[rstest]
#[case::of_the_user(".config/homelab/config.json", None)]
#[case::in_the_xdg_directory("xdg/homelab/config.json", Some(("XDG_CONFIG_HOME", "xdg")))]
#[case::named_in_the_environment("here.json", Some(("HOMELAB_CONFIG", "here.json")))]
fn a_file_is_found(#[case] place: &str, #[case] pointer: Option<(&str, &str)>) {
    let fake = FakePve::start(Setup::default());
    let homelab = Homelab::alone();
    write(&homelab.home().join(place), &json_for(&fake), 0o600);
    let homelab = match pointer {
        Some((name, path)) => {
            let path = homelab.home().join(path);
            homelab.env(name, path.to_str().unwrap())
        }
        None => homelab,
    };
    assert_eq!(homelab.run(LIST), listed());
}

#[test]
fn a_file_given_by_option_is_the_only_one_read() {
    let fake = FakePve::start(Setup::default());
    let homelab = Homelab::alone();
    write(
        &homelab.home().join(".config/homelab/config.json"),
        "broken",
        0o600,
    );
    write(&homelab.home().join("my.json"), &json_for(&fake), 0o600);
    let seen = homelab.run("proxmox template list --config my.json");
    assert_eq!(seen, listed());
}

#[test]
fn a_file_given_by_option_must_exist() {
    let seen = Homelab::alone().run("proxmox template list --config nowhere.json");
    let expected = "Failed to list templates: cannot read the configuration file \
                    'nowhere.json': No such file or directory (os error 2)\nHint: --config or \
                    HOMELAB_CONFIG names the file to read; under sudo, HOME may be another user's\n";
    assert_eq!(seen, refused(expected));
}

#[test]
fn an_unusable_file_is_an_error_with_its_position() {
    let homelab = Homelab::alone();
    write(&homelab.home().join("my.json"), "{\"proxmox\":\n[]}", 0o600);
    let seen = homelab.run("proxmox template list --config my.json");
    let expected = "Failed to list templates: 'my.json': no object \"proxmox\"\n\
         Hint: a configuration file looks like {\"proxmox\": {\"host\": \"pve.lan\", \"user\": \
         \"homelab@pve\", \"token_key\": \"cli\", \"token_secret\": \"…\"}}\n";
    assert_eq!(seen, refused(expected));
}

fn how_to_hide(path: &str) -> String {
    format!(
        "chmod o= {path}; if it is mounted read-only, set its mode in the mount (0440; Kubernetes: \
         defaultMode), or use a private copy: install -m 600 {path} COPY"
    )
}

#[rstest]
#[case::everybody_reads(0o644, Some("read"))]
#[case::everybody_writes(0o602, Some("change"))]
#[case::everybody_does_both(0o666, Some("read and change"))]
#[case::its_group(0o660, None)]
#[case::its_owner(0o600, None)]
fn a_file_with_a_secret_must_not_be_accessible_to_others(
    #[case] mode: u32,
    #[case] others_can: Option<&str>,
) {
    let fake = FakePve::start(Setup::default());
    let homelab = Homelab::alone();
    write(&homelab.home().join("my.json"), &json_for(&fake), mode);
    let seen = homelab.run("proxmox template list --config my.json");
    let refusal = |can: &str| {
        refused(&format!(
            "Failed to list templates: 'my.json' contains a secret (token_secret), and all users of this \
             machine can {can} it\nHint: {}\n",
            how_to_hide("my.json")
        ))
    };
    assert_eq!(seen, others_can.map_or_else(listed, refusal));
}

#[test]
fn a_file_without_a_secret_may_be_readable_by_everybody() {
    let fake = FakePve::start(Setup::default());
    let homelab = Homelab::alone().with_token();
    let text = format!(r#"{{"proxmox":{{"host":"{}"}}}}"#, fake.url());
    write(&homelab.home().join("my.json"), &text, 0o644);
    let seen = homelab.run("proxmox template list --config my.json");
    assert_eq!(seen, listed());
}

#[rstest]
#[case::everybody(0o644, false)]
#[case::everybody_as_containers_mount_it(0o444, false)]
#[case::its_group(0o640, true)]
#[case::its_group_in_a_mount(0o440, true)]
fn a_secret_file_must_not_be_readable_by_others(#[case] mode: u32, #[case] accepted: bool) {
    let fake = FakePve::start(Setup::default());
    let homelab = Homelab::at(&fake)
        .without("PROXMOX_TOKEN_SECRET")
        .env("PROXMOX_TOKEN_SECRET_FILE", "token");
    write(&homelab.home().join("token"), &format!("{SECRET}\n"), mode);
    let refusal = format!(
        "Failed to list templates: 'token' contains a secret (PROXMOX_TOKEN_SECRET_FILE), and all users \
         of this machine can read it\nHint: {}\n",
        how_to_hide("token")
    );
    assert_eq!(
        homelab.run(LIST),
        if accepted {
            listed()
        } else {
            refused(&refusal)
        }
    );
}

const MARK: &str = "\u{feff}";

#[test]
fn a_byte_order_mark_before_the_configuration_is_ignored() {
    let fake = FakePve::start(Setup::default());
    let homelab = Homelab::alone();
    let text = format!("{MARK}{}", json_for(&fake));
    write(&homelab.home().join("my.json"), &text, 0o600);
    let seen = homelab.run("proxmox template list --config my.json");
    assert_eq!(seen, listed());
}

#[test]
fn a_byte_order_mark_before_the_secret_is_ignored() {
    let fake = FakePve::start(Setup::default());
    let homelab = Homelab::at(&fake)
        .without("PROXMOX_TOKEN_SECRET")
        .env("PROXMOX_TOKEN_SECRET_FILE", "token");
    let text = format!("{MARK}{SECRET}\r\n");
    write(&homelab.home().join("token"), &text, 0o600);
    assert_eq!(homelab.run(LIST), listed());
}

/// PowerShell writes UTF-16 with `>`.
#[test]
fn a_utf16_file_is_reported_as_such() {
    let homelab = Homelab::alone().with_token();
    let text = "\u{feff}{}".encode_utf16().flat_map(u16::to_le_bytes);
    fs::write(homelab.home().join("my.json"), text.collect::<Vec<u8>>()).unwrap();
    let seen = homelab.run("proxmox template list --config my.json");
    let expected = "Failed to list templates: cannot read the configuration file 'my.json': UTF-16; save it \
                    as UTF-8\n";
    assert_eq!(seen, refused(expected));
}

/// `Homelab::run` searches each run's output for the secret.
#[rstest]
#[case::run("proxmox template list")]
#[case::check("proxmox check")]
fn a_secret_in_place_of_a_path_is_not_printed(
    #[case] arguments: &str,
    #[values("PROXMOX_CA_FILE", "HOMELAB_CONFIG", "PROXMOX_TOKEN_SECRET_FILE")] name: &str,
) {
    let homelab = Homelab::alone().with_token().env("PROXMOX_HOST", "pve.lan");
    let homelab = if name == "PROXMOX_TOKEN_SECRET_FILE" {
        homelab.without("PROXMOX_TOKEN_SECRET")
    } else {
        homelab
    };
    assert_eq!(homelab.env(name, SECRET).run(arguments).exit, Some(2));
}

#[test]
fn a_missing_home_directory_is_not_a_failure() {
    let fake = FakePve::start(Setup::default());
    let seen = Homelab::at(&fake).env("HOME", "/dev/null").run(LIST);
    assert_eq!(seen, listed());
    let seen = Homelab::at(&fake).without("HOME").run(LIST);
    assert_eq!(seen, listed());
}
