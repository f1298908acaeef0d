use std::{fs, slice};

use rstest::rstest;

use super::*;

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0cKtRhVVGcTVeTtDpnyvQbYYw+xzZeZeZqbJ3uHu0H";

/// A file that is deleted at the end of the test.
struct Temporary(PathBuf);

impl Temporary {
    fn with(text: &str) -> Temporary {
        let name = format!("homelab-settings-{:016x}", fastrand::u64(..));
        let path = std::env::temp_dir().join(name);
        fs::write(&path, text).unwrap();
        Temporary(path)
    }

    /// The argument of `--set` that reads a value from this file.
    fn value_of(&self, key: &str) -> String {
        format!("{key}=@{}", self.0.display())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn gathered(argument: &str) -> Result<Settings, Error> {
    Settings::gather(&[argument.to_owned()], &[])
}

fn config(options: &[(&str, &str)]) -> VmConfig {
    let options = options.iter();
    VmConfig::of(options.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())))
}

#[rstest]
#[case::no_value("hunter2secret", "--set: expected KEY=VALUE")]
#[case::a_value_alone("hunter2!", "--set: expected KEY=VALUE")]
#[case::no_key("=4", "--set: expected KEY=VALUE")]
#[case::key_in_upper_case("Cores=4", "--set Cores: Proxmox VE has no such option")]
#[case::other_text_in_upper_case("Hunter2=x", "--set: expected KEY=VALUE")]
#[case::no_file_name("cipassword=@", "--set cipassword: there is no file name after '@'")]
#[case::empty("tags=", "--set tags: the value is empty")]
#[case::blank("description= \n", "--set description: the value is empty")]
#[case::name("name=x", "--set name: the VM's name is the first argument")]
#[case::lock("lock=backup", "--set lock: this is not a VM option")]
#[case::delete(
    "delete=net0",
    "--set delete: to remove an option, on the VM's node: qm set VMID --delete OPTION"
)]
#[case::unused_disk("unused0=data:x", "--set unused0: this is a detached disk")]
#[case::cd_drive("cdrom=none", "--set cdrom: use ide2, with media=cdrom")]
#[case::misspelled("coers=4", "--set coers: Proxmox VE has no such option")]
#[case::not_a_number("cores=hunter2", "--set cores: expected a whole number, at least 1")]
#[case::no_file(
    "description=@/nonexistent",
    "--set description: cannot read '/nonexistent'"
)]
#[case::invalid_keys("sshkeys=x", "--set sshkeys: line 1 is not a public key")]
fn an_invalid_argument_is_refused_without_repeating_its_value(
    #[case] argument: &str,
    #[case] message: &str,
) {
    assert_eq!(gathered(argument).unwrap_err().to_string(), message);
}

#[test]
fn an_argument_that_is_not_an_assignment_is_named_by_its_number() {
    let arguments = ["cores=2", "hunter2"].map(str::to_owned);
    let error = Settings::gather(&arguments, &[]).unwrap_err();
    assert_eq!(error.to_string(), "--set number 2: expected KEY=VALUE");
}

#[test]
fn an_option_name_in_upper_case_is_proposed_in_lower_case() {
    let hint = gathered("Cores=4").unwrap_err().hint();
    let expected = "option names are in lower case: cores";
    assert_eq!(hint.as_deref(), Some(expected));
}

#[test]
fn an_option_that_is_set_twice_is_refused() {
    let twice = ["cores=2".to_owned(), "cores=4".to_owned()];
    let error = Settings::gather(&twice, &[]).unwrap_err();
    assert_eq!(error.to_string(), "cores is set twice");
}

#[test]
fn keys_both_from_a_file_and_from_set_are_refused() {
    let file = Temporary::with(KEY);
    let error =
        Settings::gather(&[format!("sshkeys={KEY}")], slice::from_ref(&file.0)).unwrap_err();
    assert_eq!(error.to_string(), "sshkeys is set twice");
}

#[rstest]
#[case::several_lines("a\nb", "a\nb")]
#[case::without_the_final_line_break("secret\n", "secret")]
#[case::with_carriage_return("secret\r\n", "secret")]
#[case::only_one_line_break_is_removed("a\n\n", "a\n")]
fn a_value_can_come_from_a_file(#[case] text: &str, #[case] value: &str) {
    let file = Temporary::with(text);
    let settings = gathered(&file.value_of("description")).unwrap();
    assert_eq!(settings.value_of("description"), Some(value));
}

#[test]
fn a_private_key_is_refused_as_a_value() {
    let file = Temporary::with("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n");
    let error = gathered(&file.value_of("description")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "--set description: this is a private key"
    );
}

#[rstest]
#[case::unchanged(&["ssh-rsa AAAA  it is+me@h\u{f6}st \n"], "ssh-rsa AAAA  it is+me@h\u{f6}st \n")]
#[case::without_comments(&["# mine\nssh-rsa AAAA\n\n  # old\n"], "ssh-rsa AAAA\n\n")]
#[case::with_key_options(&["from=\"10.0.0.0/8\" ssh-rsa AAAA"], "from=\"10.0.0.0/8\" ssh-rsa AAAA")]
#[case::several_files(&["ssh-rsa AAAA", "ssh-rsa AAAAB\n"], "ssh-rsa AAAA\nssh-rsa AAAAB\n")]
#[case::hardware_key(&["sk-ssh-ed25519@openssh.com AAAA"], "sk-ssh-ed25519@openssh.com AAAA")]
fn public_keys_are_read_from_files(#[case] texts: &[&str], #[case] keys: &str) {
    let files: Vec<Temporary> = texts.iter().map(|text| Temporary::with(text)).collect();
    let paths: Vec<PathBuf> = files.iter().map(|file| file.0.clone()).collect();
    let settings = Settings::gather(&[], &paths).unwrap();
    assert_eq!(settings.value_of("sshkeys"), Some(keys));
}

#[rstest]
#[case::private("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n", "this is a private key")]
#[case::empty("\n", "contains no public key")]
#[case::only_comments("# mine\n", "contains no public key")]
#[case::another_line("ssh-rsa AAAA\nhello\n", "line 2 is not a public key")]
fn a_file_without_public_keys_is_refused(#[case] text: &str, #[case] why: &str) {
    let file = Temporary::with(text);
    let error = Settings::gather(&[], slice::from_ref(&file.0)).unwrap_err();
    let expected = format!("--ssh-key '{}': {why}", file.0.display());
    assert_eq!(error.to_string(), expected);
}

#[rstest]
#[case::equal("cores=4", &[("cores", "4")], None)]
#[case::different("cores=4", &[("cores", "1")], Some("cores=4 (was 1)"))]
#[case::not_set("cores=4", &[], Some("cores=4"))]
#[case::secret("cipassword=hunter2", &[], Some("cipassword"))]
#[case::long("description=x\ny", &[("description", "z")], Some("description"))]
fn only_options_that_differ_are_changed(
    #[case] argument: &str,
    #[case] current: &[(&str, &str)],
    #[case] shown: Option<&str>,
) {
    let changes = gathered(argument)
        .unwrap()
        .changes(&config(current), &BTreeSet::new(), true);
    let seen: Vec<&str> = changes.iter().map(|change| change.shown.as_str()).collect();
    assert_eq!(seen, shown.into_iter().collect::<Vec<_>>());
}

#[rstest]
#[case::new_vm(true, "web", &["web"])]
#[case::existing_vm(false, "web", &["prod;web"])]
#[case::existing_vm_with_the_tag(false, "PROD", &[])]
fn existing_tags_are_kept_unless_the_vm_is_new(
    #[case] new: bool,
    #[case] requested: &str,
    #[case] sent: &[&str],
) {
    let settings = gathered(&format!("tags={requested}")).unwrap();
    let changes = settings.changes(&config(&[("tags", "prod")]), &BTreeSet::new(), new);
    let values: Vec<&str> = changes.iter().map(|it| it.value.expose()).collect();
    assert_eq!(values, sent);
}

#[rstest]
#[case::hidden(&[("cipassword", "**********")], 1, 0)]
#[case::absent(&[], 1, 1)]
fn a_hidden_value_is_set_again_unless_it_is_known_to_be_set(
    #[case] current: &[(&str, &str)],
    #[case] otherwise: usize,
    #[case] when_known: usize,
) {
    let settings = gathered("cipassword=hunter2").unwrap();
    let current = config(current);
    let changes = |known: &[&str]| {
        let known = known.iter().map(|&key| key.to_owned()).collect();
        settings.changes(&current, &known, true).len()
    };
    assert_eq!(
        (changes(&["sshkeys"]), changes(&["cipassword"])),
        (otherwise, when_known)
    );
}

#[test]
fn secrets_are_masked_in_texts_from_the_server() {
    let file = Temporary::with("from a file");
    let arguments = [
        "cipassword=hunter2".to_owned(),
        file.value_of("description"),
        "ciuser=admin".to_owned(),
    ];
    let settings = Settings::gather(&arguments, &[]).unwrap();
    let masked = settings.masked_in("hunter2, from a file, admin".to_owned());
    assert_eq!(masked, "(secret), (secret), admin");
}
