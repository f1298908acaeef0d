//! How the sources are merged, without a server.

mod wrong;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use rstest::{fixture, rstest};

use super::*;
use crate::pve::secret::Secret;
use crate::pve::types::{Token, TokenId};
use crate::pve::{Access, Trust};

const SECRET: &str = "00000000-0000-0000-0000-000000000001";

const PIN: &str = "00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF";
const TWO_PINS: &str = "00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF,\
                        FF112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF";
const PIN_AND_EMPTY: &str = "00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF,";

/// All required settings, under this program's own names.
#[fixture]
fn required() -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("PROXMOX_HOST", "pve.lan".to_owned()),
        ("PROXMOX_USER", "root@pam".to_owned()),
        ("PROXMOX_TOKEN_KEY", "cli".to_owned()),
        ("PROXMOX_TOKEN_SECRET", SECRET.to_owned()),
    ])
}

fn load_with(flags: &Flags, environment: &BTreeMap<&str, String>) -> Result<Access, Error> {
    configuration(flags, environment).map(|configuration| configuration.access)
}

fn configuration(
    flags: &Flags,
    environment: &BTreeMap<&str, String>,
) -> Result<Configuration, Error> {
    load(flags, &|name| environment.get(name).map(OsString::from))
}

fn hosts(access: &Access) -> Vec<String> {
    let hosts = access.endpoints.iter().map(|endpoint| &endpoint.host);
    hosts.map(ToString::to_string).collect()
}

fn refusal(environment: &BTreeMap<&str, String>) -> String {
    load_with(&Flags::default(), environment)
        .unwrap_err()
        .to_string()
}

fn change(environment: &mut BTreeMap<&'static str, String>, changes: &[(&'static str, &str)]) {
    let changes = changes.iter();
    environment.extend(changes.map(|(name, value)| (*name, (*value).to_owned())));
}

/// A configuration file that is deleted at the end of the test.
struct JsonFile(PathBuf);

impl JsonFile {
    fn new(name: &str, text: &str) -> JsonFile {
        // Tests run concurrently, and cases of one test share its name.
        static COUNT: AtomicU32 = AtomicU32::new(0);

        let number = COUNT.fetch_add(1, Ordering::SeqCst);
        let name = format!("homelab-{}-{number}-{name}.json", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        JsonFile(path)
    }

    fn proxmox(name: &str, settings: &str) -> JsonFile {
        JsonFile::new(name, &format!(r#"{{"proxmox":{{{settings}}}}}"#))
    }

    fn flags(&self) -> Flags {
        Flags {
            config: Some(self.0.clone()),
            ..Flags::default()
        }
    }
}

impl Drop for JsonFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[rstest]
fn four_settings_are_enough(required: BTreeMap<&str, String>) {
    let access = load_with(&Flags::default(), &required).unwrap();
    let token = Token {
        id: TokenId {
            user: "root".into(),
            realm: "pam".into(),
            key: "cli".into(),
        },
        secret: Secret::new(SECRET.into()),
    };
    let [endpoint] = &access.endpoints[..] else {
        panic!("one host was named");
    };
    assert_eq!(endpoint.host.base_url(), "https://pve.lan:8006/api2/json");
    assert_eq!(endpoint.trust, Trust::SystemRoots);
    let timeout = Duration::from_secs(40);
    assert_eq!((access.token, access.request_timeout), (token, timeout));
}

#[rstest]
#[case::user_without_realm(&[("PROXMOX_USER", "root")], "root@pam")]
#[case::realm_beside_the_user(&[("PROXMOX_USER", "bob"), ("PROXMOX_REALM", "pve")], "bob@pve")]
#[case::the_same_realm_twice(&[("PROXMOX_USER", "bob@pve"), ("PROXMOX_REALM", "pve")], "bob@pve")]
#[case::mail_address(&[("PROXMOX_USER", "bob@example.org@pve")], "bob@example.org@pve")]
fn a_user_has_a_realm(
    mut required: BTreeMap<&'static str, String>,
    #[case] changes: &[(&'static str, &str)],
    #[case] expected: &str,
) {
    change(&mut required, changes);
    let token = load_with(&Flags::default(), &required).unwrap().token;
    assert_eq!(token.id.userid(), expected);
}

#[test]
fn names_of_other_tools_are_accepted() {
    let environment = BTreeMap::from([
        ("PROXMOX_VE_ENDPOINT", "https://pve.lan:8007/".to_owned()),
        ("PROXMOX_VE_API_TOKEN", format!("bob@pve!ci={SECRET}")),
        ("PROXMOX_VE_INSECURE", "true".to_owned()),
    ]);
    let access = load_with(&Flags::default(), &environment).unwrap();
    assert_eq!(
        access.token.header().expose(),
        format!("PVEAPIToken=bob@pve!ci={SECRET}")
    );
    assert_eq!(hosts(&access), ["pve.lan:8007"]);
    assert_eq!(access.endpoints[0].trust, Trust::Anyone);
}

/// Other tools use exactly the URL that they are given.
#[rstest]
#[case::endpoint("PROXMOX_VE_ENDPOINT", "https://pve.lan/", "pve.lan:443")]
#[case::url("PROXMOX_URL", "https://pve.lan/api2/json", "pve.lan:443")]
#[case::port("PROXMOX_URL", "https://pve.lan:8006/api2/json", "pve.lan:8006")]
#[case::path("PROXMOX_VE_ENDPOINT", "https://proxy.lan/pve/", "proxy.lan:443/pve")]
#[case::this_programs_own_name("PROXMOX_HOST", "https://pve.lan/", "pve.lan:8007")]
fn a_url_of_another_tool_without_a_port_means_port_443(
    mut required: BTreeMap<&'static str, String>,
    #[case] name: &'static str,
    #[case] url: &str,
    #[case] expected: &str,
) {
    required.remove("PROXMOX_HOST");
    required.insert(name, url.to_owned());
    let file = JsonFile::proxmox("port", r#""port":8007"#);
    let access = load_with(&file.flags(), &required).unwrap();
    assert_eq!(hosts(&access), [expected]);
}

#[test]
fn a_token_id_can_include_user_and_realm() {
    let environment = BTreeMap::from([
        ("PROXMOX_URL", "https://pve.lan:8006/api2/json".to_owned()),
        ("PROXMOX_TOKEN_ID", "bob@pve!ci".to_owned()),
        ("PROXMOX_TOKEN_SECRET", SECRET.to_owned()),
    ]);
    let token = load_with(&Flags::default(), &environment).unwrap().token;
    assert_eq!(token.id.to_string(), "bob@pve!ci");
}

/// The certificate settings in the file are for the hosts in the file.
#[rstest]
fn a_ca_file_is_ignored_for_a_loopback_host(mut required: BTreeMap<&'static str, String>) {
    required.insert("PROXMOX_HOST", "http://127.0.0.1:8080".to_owned());
    let file = JsonFile::proxmox("no-trust", r#""ca_file":"ca.pem""#);
    let access = load_with(&file.flags(), &required).unwrap();
    assert_eq!(hosts(&access), ["127.0.0.1:8080"]);
}

/// The user may not be permitted to read it.
#[rstest]
fn a_secret_file_that_is_overridden_is_not_read(required: BTreeMap<&'static str, String>) {
    let file = JsonFile::proxmox("unread", r#""token_secret_file":"/nonexistent""#);
    let access = load_with(&file.flags(), &required).unwrap();
    assert_eq!(access.token.secret.expose(), SECRET);
}

#[rstest]
fn blanks_around_a_path_are_ignored(required: BTreeMap<&'static str, String>) {
    let file = JsonFile::proxmox("blanks", r#""ca_file":" /ca.pem ""#);
    let access = load_with(&file.flags(), &required).unwrap();
    assert_eq!(access.endpoints[0].trust, Trust::CaFile("/ca.pem".into()));
}

#[rstest]
fn settings_are_merged_one_by_one(mut required: BTreeMap<&'static str, String>) {
    required.remove("PROXMOX_TOKEN_KEY");
    let file = JsonFile::proxmox(
        "merged",
        r#""host":"file.lan","port":"8007","user":"bob@pve","token_key":"from-file""#,
    );
    let access = load_with(&file.flags(), &required).unwrap();
    // The port is a setting of its own; the realm is part of the file's user, who is overridden.
    assert_eq!(hosts(&access), ["pve.lan:8007"]);
    assert_eq!(access.token.id.to_string(), "root@pam!from-file");
}

#[rstest]
fn an_option_overrides_the_environment(required: BTreeMap<&'static str, String>) {
    let flags = Flags {
        host: Some("flag.lan".to_owned()),
        ..Flags::default()
    };
    let access = load_with(&flags, &required).unwrap();
    assert_eq!(hosts(&access), ["flag.lan:8006"]);
}

#[rstest]
fn a_port_in_an_address_belongs_to_it(mut required: BTreeMap<&'static str, String>) {
    let file = JsonFile::proxmox("address", r#""host":"file.lan:8007""#);
    let host = |environment: &BTreeMap<&str, String>| {
        hosts(&load_with(&file.flags(), environment).unwrap())
    };
    assert_eq!(host(&required), ["pve.lan:8006"]);
    required.remove("PROXMOX_HOST");
    assert_eq!(host(&required), ["file.lan:8007"]);
    required.insert("PROXMOX_PORT", "9999".to_owned());
    assert_eq!(host(&required), ["file.lan:9999"]);
}

#[rstest]
#[case::one_port_for_all("pve1,pve2", Some("8007"), &["pve1:8007", "pve2:8007"])]
#[case::one_host_with_a_port("pve1:443,pve2", Some("8007"), &["pve1:443", "pve2:8007"])]
#[case::the_default_port("pve1:443,pve2", None, &["pve1:443", "pve2:8006"])]
fn hosts_without_a_port_share_the_port_setting(
    mut required: BTreeMap<&'static str, String>,
    #[case] list: &str,
    #[case] port: Option<&str>,
    #[case] expected: &[&str],
) {
    required.insert("PROXMOX_HOST", list.to_owned());
    required.extend(port.map(|port| ("PROXMOX_PORT", port.to_owned())));
    let access = load_with(&Flags::default(), &required).unwrap();
    assert_eq!(hosts(&access), expected);
}

#[rstest]
fn each_host_has_its_own_fingerprint(mut required: BTreeMap<&'static str, String>) {
    required.insert("PROXMOX_HOST", "pve1,pve2".to_owned());
    required.insert("PROXMOX_FINGERPRINT", TWO_PINS.to_owned());
    let access = load_with(&Flags::default(), &required).unwrap();
    let trusts: Vec<Trust> = access.endpoints.into_iter().map(|it| it.trust).collect();
    let pins = TWO_PINS
        .split(',')
        .map(|pin| Trust::Pin(pin.parse().unwrap()));
    assert_eq!(trusts, pins.collect::<Vec<Trust>>());
}

#[rstest]
#[case::insecure(&[("PROXMOX_VE_INSECURE", "1")], &[
    "the server's certificate is not verified (PROXMOX_VE_INSECURE): an attacker on the network can steal \
     the token",
])]
#[case::insecure_on_loopback(
    &[("PROXMOX_VE_INSECURE", "1"), ("PROXMOX_HOST", "http://127.0.0.1")], &[]
)]
#[case::user_without_a_realm(&[("PROXMOX_USER", "bob")], &[
    "PROXMOX_USER: 'bob' has no realm; using bob@pam (for another realm write, for example, bob@pve)",
])]
#[case::separate_realm(&[("PROXMOX_USER", "bob"), ("PROXMOX_REALM", "pve")], &[])]
#[case::there_is_only_one_root(&[("PROXMOX_USER", "root")], &[])]
fn settings_that_may_be_unintended_cause_warnings(
    mut required: BTreeMap<&'static str, String>,
    #[case] changes: &[(&'static str, &str)],
    #[case] expected: &[&str],
) {
    change(&mut required, changes);
    let configuration = configuration(&Flags::default(), &required).unwrap();
    assert_eq!(configuration.warnings, expected);
}

#[rstest]
fn each_setting_names_its_origin(mut required: BTreeMap<&'static str, String>) {
    required.remove("PROXMOX_TOKEN_KEY");
    required.insert("PROXMOX_USER", "bob".to_owned());
    let file = JsonFile::proxmox("sources", r#""realm":"pve","token_key":"ci""#);
    let flags = Flags {
        host: Some("pve1,pve2".to_owned()),
        ..file.flags()
    };
    let sources = configuration(&flags, &required).unwrap().sources;
    let shown: Vec<String> = sources
        .iter()
        .map(|source| format!("{} {} ({})", source.name, source.value, source.origin))
        .collect();
    let path = file.0.display();
    assert_eq!(
        shown,
        [
            "host pve1:8006,pve2:8006 (--host)".to_owned(),
            "user bob (PROXMOX_USER)".to_owned(),
            format!("realm pve ('{path}': realm)"),
            format!("token key ci ('{path}': token_key)"),
            "secret  (PROXMOX_TOKEN_SECRET)".to_owned(),
            "trust the system's CAs (by default)".to_owned(),
        ]
    );
}

#[rstest]
#[case::ca_of_a_higher_source("ca.pem", None, r#""reject_unauthorized":false"#, "ca.pem")]
#[case::verification_over_no_verification(
    "",
    Some("true"),
    r#""reject_unauthorized":false"#,
    "system"
)]
#[case::verification_keeps_the_ca("", Some("true"), r#""ca_file":"/file.pem""#, "/file.pem")]
#[case::no_verification_over_a_ca("", Some("false"), r#""ca_file":"/file.pem""#, "anyone")]
#[case::file_alone("", None, r#""reject_unauthorized":"no""#, "anyone")]
fn the_source_of_highest_precedence_decides_which_certificates_to_trust(
    mut required: BTreeMap<&'static str, String>,
    #[case] ca_file: &str,
    #[case] reject: Option<&str>,
    #[case] in_file: &str,
    #[case] expected: &str,
) {
    required.insert("PROXMOX_CA_FILE", ca_file.to_owned());
    required.extend(reject.map(|reject| ("PROXMOX_REJECT_UNAUTHORIZED", reject.to_owned())));
    let name = format!("trust-{expected}-{}", in_file.len()).replace('/', "");
    let file = JsonFile::proxmox(&name, in_file);
    let access = load_with(&file.flags(), &required).unwrap();
    let expected = match expected {
        "system" => Trust::SystemRoots,
        "anyone" => Trust::Anyone,
        path => Trust::CaFile(path.into()),
    };
    assert_eq!(access.endpoints[0].trust, expected);
}

#[rstest]
fn null_means_not_set(required: BTreeMap<&'static str, String>) {
    let file = JsonFile::proxmox("null", r#""host":null,"port":null"#);
    let access = load_with(&file.flags(), &required).unwrap();
    assert_eq!(hosts(&access), ["pve.lan:8006"]);
}

#[test]
fn a_relative_path_in_the_file_is_relative_to_its_directory() {
    let secret = JsonFile::new("secret", &format!("{SECRET}\n"));
    let name = secret.0.file_name().unwrap().to_str().unwrap();
    let file = JsonFile::proxmox(
        "beside",
        &format!(
            r#""host":"h","user":"u","token_key":"k","ca_file":"ca.pem","token_secret_file":"{name}""#
        ),
    );
    let access = load_with(&file.flags(), &BTreeMap::new()).unwrap();
    let ca_file = file.0.parent().unwrap_or(Path::new("")).join("ca.pem");
    assert_eq!(access.endpoints[0].trust, Trust::CaFile(ca_file));
    assert_eq!(access.token.secret.expose(), SECRET);
}

#[rstest]
#[case::set_explicitly(
    &[("HOMELAB_STATE_DIR", "/srv/claims"), ("XDG_STATE_HOME", "/x"), ("HOME", "/home/ops")],
    "/srv/claims"
)]
#[case::xdg(&[("XDG_STATE_HOME", "/x"), ("HOME", "/home/ops")], "/x/homelab")]
#[case::relative(
    &[("XDG_STATE_HOME", "x"), ("HOME", "/home/ops")],
    "/home/ops/.local/state/homelab"
)]
#[case::empty(
    &[("HOMELAB_STATE_DIR", ""), ("XDG_STATE_HOME", ""), ("HOME", "/home/ops")],
    "/home/ops/.local/state/homelab"
)]
#[case::no_home(&[], "/var/lib/homelab")]
fn the_state_directory_is_found(#[case] set: &[(&str, &str)], #[case] expected: &str) {
    let environment = |name: &str| {
        let (_, value) = set.iter().find(|(known, _)| *known == name)?;
        Some(OsString::from(value))
    };
    assert_eq!(
        state_directory(&environment).unwrap(),
        PathBuf::from(expected)
    );
}
