//! Errors in settings, and that they do not repeat secrets.

use std::collections::BTreeMap;

use rstest::rstest;

use super::*;

#[rstest]
#[case::port(
    "PROXMOX_PORT",
    "abc",
    "PROXMOX_PORT: 'abc' is not a port (1 to 65535)"
)]
#[case::port_zero("PROXMOX_PORT", "0", "PROXMOX_PORT: '0' is not a port (1 to 65535)")]
#[case::host(
    "PROXMOX_HOST",
    "pve lan",
    "PROXMOX_HOST: 'pve lan' is not a host name; commas separate several hosts"
)]
#[case::host_without_tls(
    "PROXMOX_HOST",
    "http://pve.lan",
    "PROXMOX_HOST: http:// would send the token unencrypted, so it is allowed only for loopback addresses"
)]
#[case::an_empty_entry_in_a_list_of_hosts(
    "PROXMOX_HOST",
    "pve1,,pve2",
    "PROXMOX_HOST: a host is missing before or after a comma"
)]
#[case::user(
    "PROXMOX_USER",
    "@pam",
    "PROXMOX_USER: '' is not a user such as root@pam"
)]
#[case::user_with_a_token(
    "PROXMOX_USER",
    "root!cli",
    "PROXMOX_USER: 'root!cli' is not a user such as root@pam: the part after '!' is a token ID and belongs \
     in PROXMOX_TOKEN_KEY"
)]
#[case::realm(
    "PROXMOX_REALM",
    "p m",
    "PROXMOX_REALM: 'p m' is not a realm such as pam"
)]
#[case::token_key_with_its_user(
    "PROXMOX_TOKEN_KEY",
    "root@pam!cli",
    "PROXMOX_TOKEN_KEY: 'root@pam!cli' is not a token ID: only the part after '!' is"
)]
#[case::token_key_with_a_line_break(
    "PROXMOX_TOKEN_KEY",
    "a\r\nX: y",
    "PROXMOX_TOKEN_KEY: 'a\r\nX: y' is not a token ID"
)]
#[case::secret(
    "PROXMOX_TOKEN_SECRET",
    "hunter2",
    "PROXMOX_TOKEN_SECRET: not a token's secret, which is a UUID: pveum printed it when the token was \
     created"
)]
#[case::whole_token(
    "PROXMOX_VE_API_TOKEN",
    "hunter2",
    "PROXMOX_VE_API_TOKEN: expected USER@REALM!TOKENID=SECRET"
)]
#[case::boolean(
    "PROXMOX_REJECT_UNAUTHORIZED",
    "maybe",
    "PROXMOX_REJECT_UNAUTHORIZED: 'maybe' is neither true nor false"
)]
#[case::other_boolean(
    "PROXMOX_VE_INSECURE",
    "2",
    "PROXMOX_VE_INSECURE: '2' is neither true nor false"
)]
#[case::fingerprint(
    "PROXMOX_FINGERPRINT",
    "AA:BB",
    "PROXMOX_FINGERPRINT: a SHA-256 fingerprint has 64 hexadecimal digits, this one has 4"
)]
#[case::an_empty_entry_in_a_list_of_fingerprints(
    "PROXMOX_FINGERPRINT",
    PIN_AND_EMPTY,
    "PROXMOX_FINGERPRINT, number 2: a SHA-256 fingerprint has 64 hexadecimal digits, this one has 0"
)]
#[case::more_fingerprints_than_hosts(
    "PROXMOX_FINGERPRINT",
    TWO_PINS,
    "PROXMOX_FINGERPRINT: 2 fingerprints for 1 host; give one for each host, in the same order"
)]
#[case::whole_id_without_a_realm(
    "PROXMOX_TOKEN_ID",
    "bob!ci",
    "PROXMOX_TOKEN_ID: 'bob!ci' has no realm; expected USER@REALM!TOKENID"
)]
#[case::whole_token_without_a_realm(
    "PROXMOX_VE_API_TOKEN",
    "bob!ci=00000000-0000-0000-0000-000000000001",
    "PROXMOX_VE_API_TOKEN: 'bob!ci' has no realm; expected USER@REALM!TOKENID"
)]
fn an_invalid_value_is_reported_with_its_origin(
    mut required: BTreeMap<&'static str, String>,
    #[case] name: &'static str,
    #[case] value: &str,
    #[case] expected: &str,
) {
    required.insert(name, value.to_owned());
    assert_eq!(refusal(&required), expected);
}

/// Users often put a whole token or a secret into the wrong setting.
#[rstest]
#[case::host("PROXMOX_HOST")]
#[case::user("PROXMOX_USER")]
#[case::realm("PROXMOX_REALM")]
#[case::token_key("PROXMOX_TOKEN_KEY")]
#[case::token_id("PROXMOX_TOKEN_ID")]
#[case::secret("PROXMOX_TOKEN_SECRET")]
#[case::secret_file("PROXMOX_TOKEN_SECRET_FILE")]
#[case::whole_token("PROXMOX_VE_API_TOKEN")]
#[case::port("PROXMOX_PORT")]
#[case::fingerprint("PROXMOX_FINGERPRINT")]
fn a_secret_in_the_wrong_setting_is_not_repeated(
    required: BTreeMap<&'static str, String>,
    #[case] name: &'static str,
    #[values(
        "",
        "@",
        "=",
        "root@pam!cli=",
        "root@pam!cli:",
        "https://root@pam!cli="
    )]
    before: &str,
    #[values("", "=x", "@pve.lan")] after: &str,
) {
    let mut environment = required;
    environment.insert(name, format!("{before}{SECRET}{after}"));
    if let Err(error) = load_with(&Flags::default(), &environment) {
        let (message, debug) = (error.to_string(), format!("{error:?}"));
        assert!(
            !message.contains(SECRET) && !debug.contains(SECRET),
            "{message}"
        );
    }
}

#[rstest]
#[case::two_hosts(
    &[("PROXMOX_VE_ENDPOINT", "https://other.lan")],
    "PROXMOX_HOST and PROXMOX_VE_ENDPOINT contradict each other: one says 'pve.lan', the other \
     'https://other.lan'"
)]
#[case::two_hosts_with_ports(
    &[("PROXMOX_HOST", "http://127.0.0.1:8080"), ("PROXMOX_VE_ENDPOINT", "https://pve.lan:8006/")],
    "PROXMOX_HOST and PROXMOX_VE_ENDPOINT contradict each other: one says 'http://127.0.0.1:8080', the \
     other 'https://pve.lan:8006/'"
)]
#[case::two_ports_in_lists(
    &[("PROXMOX_HOST", "a:1,b"), ("PROXMOX_URL", "a:2,http://127.0.0.1")],
    "PROXMOX_HOST and PROXMOX_URL contradict each other: one says 'a:1,b', the other \
     'a:2,http://127.0.0.1'"
)]
#[case::two_ways_to_a_secret(
    &[("PROXMOX_TOKEN_SECRET_FILE", "/secret")],
    "PROXMOX_TOKEN_SECRET and PROXMOX_TOKEN_SECRET_FILE contradict each other: both set the secret"
)]
#[case::two_users(
    &[("PROXMOX_TOKEN_ID", "bob@pve!cli")],
    "PROXMOX_USER and PROXMOX_TOKEN_ID contradict each other: one says 'root', the other 'bob'"
)]
#[case::two_ids(
    &[("PROXMOX_TOKEN_ID", "ci")],
    "PROXMOX_TOKEN_KEY and PROXMOX_TOKEN_ID contradict each other: one says 'cli', the other 'ci'"
)]
#[case::two_realms(
    &[("PROXMOX_REALM", "pve")],
    "PROXMOX_USER and PROXMOX_REALM contradict each other: one says 'pam', the other 'pve'"
)]
#[case::two_secrets(
    &[("PROXMOX_VE_API_TOKEN", "root@pam!cli=00000000-0000-0000-0000-000000000002")],
    "PROXMOX_TOKEN_SECRET and PROXMOX_VE_API_TOKEN contradict each other: their values differ"
)]
#[case::two_ports(
    &[("PROXMOX_HOST", "pve.lan:8007"), ("PROXMOX_PORT", "8006")],
    "PROXMOX_HOST and PROXMOX_PORT contradict each other: one says 8007, the other 8006"
)]
#[case::a_url_of_another_tool_and_a_port(
    &[("PROXMOX_VE_ENDPOINT", "https://pve.lan/"), ("PROXMOX_PORT", "8006")],
    "PROXMOX_VE_ENDPOINT and PROXMOX_PORT contradict each other: one says 443, the other 8006"
)]
#[case::a_ca_and_no_verification(
    &[("PROXMOX_CA_FILE", "/ca.pem"), ("PROXMOX_REJECT_UNAUTHORIZED", "false")],
    "PROXMOX_CA_FILE and PROXMOX_REJECT_UNAUTHORIZED contradict each other: both set the certificates to \
     trust"
)]
#[case::a_pin_and_no_verification(
    &[("PROXMOX_FINGERPRINT", PIN), ("PROXMOX_VE_INSECURE", "1")],
    "PROXMOX_FINGERPRINT and PROXMOX_VE_INSECURE contradict each other: both set the certificates to trust"
)]
#[case::a_pin_and_a_ca(
    &[("PROXMOX_FINGERPRINT", PIN), ("PROXMOX_CA_FILE", "/ca.pem")],
    "PROXMOX_FINGERPRINT and PROXMOX_CA_FILE contradict each other: both set the certificates to trust"
)]
#[case::a_pin_without_tls(
    &[("PROXMOX_HOST", "http://127.0.0.1"), ("PROXMOX_FINGERPRINT", PIN)],
    "PROXMOX_HOST and PROXMOX_FINGERPRINT contradict each other: http:// uses no certificate"
)]
#[case::a_ca_without_tls(
    &[("PROXMOX_HOST", "http://127.0.0.1"), ("PROXMOX_CA_FILE", "/ca.pem")],
    "PROXMOX_HOST and PROXMOX_CA_FILE contradict each other: http:// uses no certificate"
)]
fn two_settings_that_contradict_each_other_are_both_named(
    mut required: BTreeMap<&'static str, String>,
    #[case] changes: &[(&'static str, &str)],
    #[case] expected: &str,
) {
    change(&mut required, changes);
    assert_eq!(refusal(&required), expected);
}

/// Messages contain the key, but mask the path.
#[rstest]
#[case::unknown_key(r#""root@pam!cli=00000000-0000-0000-0000-000000000001":"x""#)]
fn a_secret_in_place_of_a_key_is_not_repeated(#[case] settings: &str) {
    let file = JsonFile::proxmox("secret-key", settings);
    let message = load_with(&file.flags(), &BTreeMap::new())
        .unwrap_err()
        .to_string();
    assert!(!message.contains(SECRET), "{message}");
}

/// Messages show the values of these settings.
#[rstest]
fn a_secret_in_place_of_another_setting_is_refused(
    mut required: BTreeMap<&'static str, String>,
    #[values("PROXMOX_HOST", "PROXMOX_USER", "PROXMOX_REALM", "PROXMOX_TOKEN_KEY")]
    name: &'static str,
) {
    required.insert(name, SECRET.to_owned());
    let expected = format!("{name}: that looks like a token's secret, which does not belong here");
    assert_eq!(refusal(&required), expected);
}

#[test]
fn all_missing_settings_are_listed_together() {
    let expected = "missing settings: PROXMOX_HOST, PROXMOX_USER, PROXMOX_TOKEN_KEY, \
                    PROXMOX_TOKEN_SECRET";
    assert_eq!(refusal(&BTreeMap::new()), expected);
}

#[test]
fn ignored_variables_of_other_tools_are_named_where_settings_are_missing() {
    let environment = BTreeMap::from([
        ("PM_API_URL", "https://pve.lan:8006/api2/json".to_owned()),
        ("PROXMOX_USERNAME", "bob@pve".to_owned()),
    ]);
    let error = load_with(&Flags::default(), &environment).unwrap_err();
    let expected = "PM_API_URL is ignored: use PROXMOX_URL; PROXMOX_USERNAME is ignored: use \
                    PROXMOX_USER; set them in";
    let hint = error.hint().unwrap();
    assert_eq!(hint.get(..expected.len()), Some(expected));
}

#[rstest]
fn an_empty_value_means_not_set(mut required: BTreeMap<&'static str, String>) {
    required.insert("PROXMOX_TOKEN_SECRET", String::new());
    assert_eq!(refusal(&required), "missing settings: PROXMOX_TOKEN_SECRET");
}

#[rstest]
#[case::unknown_key(r#""hots":"pve.lan""#, "hots: unknown setting; did you mean 'host'?")]
#[case::unknown_key_without_a_similar_one(r#""color":"red""#, "color: unknown setting")]
#[case::list_of_hosts(
    r#""host":["a","b"]"#,
    "host: write several hosts as one string, separated by commas"
)]
#[case::port(r#""port":70000"#, "port: '70000' is not a port (1 to 65535)")]
#[case::empty_host(r#""host":"""#, "host: must not be empty")]
#[case::empty_ca_file(r#""ca_file":"""#, "ca_file: must not be empty")]
#[case::fingerprint(
    r#""fingerprint":"AA""#,
    "fingerprint: a SHA-256 fingerprint has 64 hexadecimal digits, this one has 2"
)]
fn an_invalid_key_is_reported_with_its_file(#[case] settings: &str, #[case] expected: &str) {
    let file = JsonFile::proxmox(&format!("bad-{}", settings.len()), settings);
    let error = load_with(&file.flags(), &BTreeMap::new()).err().unwrap();
    assert_eq!(
        error.to_string(),
        format!("'{}': {expected}", file.0.display())
    );
}

#[rstest]
#[case::not_json("\nhost = pve.lan", ", line 2, column 1: invalid JSON")]
#[case::line_break_in_a_text("{\"proxmox\": \"a\nb\"}", ", line 2, column 1: invalid JSON")]
#[case::truncated("{\"proxmox\":", ": the JSON is incomplete")]
#[case::no_section("{}", ": no object \"proxmox\"")]
#[case::no_object("{\"proxmox\":\"s3cret\"}", ": no object \"proxmox\"")]
#[case::empty("", ": the file is empty")]
#[case::blank(" \n\n", ": the file is empty")]
fn a_file_that_is_not_a_configuration_is_refused(#[case] text: &str, #[case] reason: &str) {
    let file = JsonFile::new(&format!("kind-{}", text.len()), text);
    let error = load_with(&file.flags(), &BTreeMap::new()).err().unwrap();
    let expected = format!("'{}'{reason}", file.0.display());
    assert_eq!(error.to_string(), expected);
}
