//! `homelab proxmox check`: what is said of everything that a run depends on.

use rstest::rstest;
use serde_json::{Value, json};

use crate::fake_pve::{FakePve, Shown};
use crate::homelab::{Homelab, Seen, StateDir};

const CHECK: &str = "proxmox check debian-12";
const TOKEN: &str = "homelab@pve!cli";

/// What a token needs for all that is checked.
const PRIVILEGES: [(&str, &[&str]); 4] = [
    ("/vms/9000", &["VM.Clone", "VM.Audit"]),
    (
        "/vms",
        &[
            "VM.Allocate",
            "VM.Audit",
            "VM.Config.Disk",
            "VM.Config.CPU",
            "VM.Config.Memory",
            "VM.Config.Network",
            "VM.Config.Cloudinit",
            "VM.Config.Options",
            "VM.PowerMgmt",
            "VM.GuestAgent.Audit",
        ],
    ),
    ("/storage/data", &["Datastore.AllocateSpace"]),
    ("/sdn/zones/localnetwork", &["SDN.Use"]),
];

const FOR_ITS_USER: &str = "warn  privilege separation: where the token has none, or its user lacks the \
                            privilege too: the same with --users homelab@pve instead of --tokens …";

const OR_FOR_ITS_USER: &str = "; where the token has no privilege separation, or its user lacks it \
                               too: the same with --users homelab@pve instead of --tokens …";

const IT_REPLACES: &str = "; it replaces what the token has there from above";

/// What to type, as it is said.
fn line_in(text: &str) -> &str {
    let (_, line) = text.split_once("as root: ").unwrap();
    line.split(';').next().unwrap().trim()
}

/// The privileges of a token that has all but this one on this path.
fn all_but(lacking: Option<(&str, &str)>) -> Value {
    let paths = PRIVILEGES.iter().map(|(path, privileges)| {
        let is_left = |privilege: &&&str| lacking != Some((path, privilege));
        let left: Vec<&&str> = privileges.iter().filter(is_left).collect();
        ((*path).to_owned(), json!(left))
    });
    Value::Object(paths.collect())
}

fn cluster(privileges: &Value) -> Value {
    json!({
        "guests": [
            {"vmid": 100, "name": "router", "status": "running"},
            {"vmid": 9000, "name": "debian-12", "template": true},
        ],
        "tokens": {TOKEN: privileges},
    })
}

fn fake(setup: Value) -> FakePve {
    FakePve::start(serde_json::from_value(setup).unwrap())
}

fn at(fake: &FakePve, state: &StateDir) -> Homelab {
    Homelab::at(fake).with_rights_of(TOKEN).in_state(state)
}

/// What was found, with what differs from run to run replaced.
fn lines(seen: &Seen, fake: &FakePve, state: &StateDir) -> Vec<String> {
    let text = seen
        .stdout
        .replace(&format!("127.0.0.1:{}", fake.port()), "127.0.0.1:PORT")
        .replace(state.path(), "STATE");
    text.lines().map(str::to_owned).collect()
}

fn that_are(verdict: &str, lines: &[String]) -> Vec<String> {
    let lines = lines.iter().filter(|line| line.starts_with(verdict));
    lines.cloned().collect()
}

#[test]
fn all_is_well() {
    let setup = serde_json::from_value(cluster(&all_but(None))).unwrap();
    let fake = FakePve::start_tls(setup);
    let state = StateDir::new();
    let seen = at(&fake, &state)
        .env("PROXMOX_FINGERPRINT", &fake.fingerprint())
        .run(CHECK);
    let certificate = format!(
        "ok    certificate of 127.0.0.1:PORT: the pinned one, valid until {}, SHA-256 {}",
        fake.leaf_not_after(),
        fake.fingerprint()
    );
    let expected = [
        "ok    configuration: host 127.0.0.1:PORT (PROXMOX_HOST), user homelab@pve (PROXMOX_USER), \
         token key cli (PROXMOX_TOKEN_KEY), secret (PROXMOX_TOKEN_SECRET), trust the pinned \
         certificate (PROXMOX_FINGERPRINT)",
        "ok    connection to 127.0.0.1:PORT: established",
        &certificate,
        "ok    token homelab@pve!cli: it is accepted",
        "ok    server: Proxmox VE 9.2.11",
        "ok    guests: templates seen: 1, VMs seen: 1",
        "ok    hidden guests: none among 16 VMIDs that look free",
        "ok    template 'debian-12': 9000 on node 'pve1'",
        "ok    VM.Clone on /vms/9000: the token has it",
        "ok    VM.Audit on /vms/9000: the token has it",
        "ok    VM.Allocate on /vms/101: the token has it",
        "ok    VM.Audit on /vms/101: the token has it",
        "ok    Datastore.AllocateSpace on /storage/data: the token has it",
        "ok    SDN.Use on /sdn/zones/localnetwork/vmbr0: the token has it",
        "ok    VM.Config.Disk on /vms/101: the token has it",
        "ok    VM.Config.CPU on /vms/101: the token has it",
        "ok    VM.Config.Memory on /vms/101: the token has it",
        "ok    VM.Config.Network on /vms/101: the token has it",
        "ok    VM.Config.Cloudinit on /vms/101: the token has it",
        "ok    VM.Config.Options on /vms/101: the token has it",
        "ok    VM.PowerMgmt on /vms/101: the token has it",
        "ok    VM.GuestAgent.Audit on /vms/101: the token has it",
        "ok    state directory STATE: it can be written, and files in it locked",
    ];
    assert_eq!(lines(&seen, &fake, &state), expected);
    assert_eq!((seen.exit, seen.stderr.as_str()), (Some(0), ""));
}

#[test]
fn nothing_is_changed_on_the_server_and_nothing_is_left_on_this_machine() {
    let fake = fake(cluster(&all_but(None)));
    let state = StateDir::new();
    at(&fake, &state).run(CHECK);
    let journal = fake.journal();
    assert!(
        journal.iter().all(|line| line.starts_with("GET ")),
        "{journal:?}"
    );
    assert_eq!(std::fs::read_dir(state.path()).unwrap().count(), 0);
}

/// What a line says to type mends what it says.
#[rstest]
#[case::clone("/vms/9000", "VM.Clone", "FAIL  VM.Clone on /vms/9000")]
#[case::see_the_template("/vms/9000", "VM.Audit", "warn  VM.Audit on /vms/9000")]
#[case::place("/vms", "VM.Allocate", "FAIL  VM.Allocate on /vms/100")]
#[case::see_the_vm("/vms", "VM.Audit", "FAIL  VM.Audit on /vms/100")]
#[case::storage(
    "/storage/data",
    "Datastore.AllocateSpace",
    "FAIL  Datastore.AllocateSpace on /storage/data"
)]
#[case::network(
    "/sdn/zones/localnetwork",
    "SDN.Use",
    "FAIL  SDN.Use on /sdn/zones/localnetwork/vmbr0"
)]
fn a_privilege_that_the_clone_lacks_is_the_only_failure_and_a_line_mends_it(
    #[case] path: &str,
    #[case] privilege: &str,
    #[case] telling: &str,
) {
    let mut setup = cluster(&all_but(Some((path, privilege))));
    // What it does not see would be another line.
    setup["guests"].as_array_mut().unwrap().remove(0);
    let fake = fake(setup);
    let state = StateDir::new();
    let seen = at(&fake, &state).run(CHECK);
    let lines = lines(&seen, &fake, &state);
    // Where the template is not seen, that it is not found is the failure.
    assert_eq!((that_are("FAIL", &lines).len(), seen.exit), (1, Some(1)));
    let telling = that_are(telling, &lines);
    let [telling] = &telling[..] else {
        panic!("one line that tells, not {telling:?}");
    };
    fake.pveum(line_in(telling));
    let seen = at(&fake, &state).run(CHECK);
    assert_eq!(
        that_are("FAIL", &self::lines(&seen, &fake, &state)),
        [""; 0]
    );
    assert_eq!(seen.exit, Some(0));
}

#[test]
fn a_token_without_vm_clone_is_told_what_mends_it() {
    let fake = fake(cluster(&all_but(Some(("/vms/9000", "VM.Clone")))));
    let state = StateDir::new();
    let seen = at(&fake, &state).run(CHECK);
    let lines = lines(&seen, &fake, &state);
    let line = "FAIL  VM.Clone on /vms/9000: the token lacks it; on a node, as root: pveum acl \
                modify /vms/9000 --tokens 'homelab@pve!cli' --roles \
                PVETemplateUser";
    assert_eq!(that_are("FAIL", &lines), [line]);
    assert_eq!(that_are("warn", &lines), [FOR_ITS_USER]);
    assert_eq!(seen.exit, Some(1));
    // The run itself says the same.
    let seen = at(&fake, &state).run("proxmox vm create web-1 debian-12");
    let expected = "\
Creating VM 'web-1' from template 'debian-12'...
Failed to create VM: cannot clone template 9000 to VM 101: Permission check failed (/vms/9000, VM.Clone)
Hint: on a node, as root: pveum acl modify /vms/9000 --tokens 'homelab@pve!cli' --roles PVETemplateUser; where the token has no privilege separation, or its user lacks it too: the same with --users homelab@pve instead of --tokens …
";
    assert_eq!(seen.stderr, expected);
    fake.pveum(line_in(&seen.stderr));
    let seen = at(&fake, &state).run("proxmox vm create web-1 debian-12");
    assert_eq!(seen.exit, Some(0));
}

#[rstest]
#[case::place(("/vms", "VM.Allocate"), "the token lacks VM.Allocate on /vms/101; on a node, as root: \
    pveum acl modify /vms --tokens 'homelab@pve!cli' --roles PVEVMAdmin")]
#[case::storage(("/storage/data", "Datastore.AllocateSpace"), "on a node, as root: pveum acl modify \
    /storage/data --tokens 'homelab@pve!cli' --roles PVEDatastoreUser")]
#[case::network(("/sdn/zones/localnetwork", "SDN.Use"), "on a node, as root: pveum acl modify \
    /sdn/zones/localnetwork/vmbr0 --tokens 'homelab@pve!cli' --roles PVESDNUser")]
fn a_clone_that_is_forbidden_says_what_mends_it(#[case] lacking: (&str, &str), #[case] hint: &str) {
    let fake = fake(cluster(&all_but(Some(lacking))));
    let state = StateDir::new();
    let create = || at(&fake, &state).run("proxmox vm create web-1 debian-12");
    let seen = create();
    let last = seen.stderr.lines().last().unwrap();
    let expected = format!("Hint: {hint}{OR_FOR_ITS_USER}");
    assert_eq!((seen.exit, last), (Some(1), expected.as_str()));
    fake.pveum(line_in(last));
    assert_eq!(create().exit, Some(0));
}

#[rstest]
#[case("VM.Config.Disk", "to enlarge its disks")]
#[case("VM.Config.Cloudinit", "to set its user, keys and addresses")]
#[case("VM.PowerMgmt", "to start it")]
#[case("VM.GuestAgent.Audit", "to ask for its address")]
fn what_only_later_steps_take_is_a_warning(#[case] privilege: &str, #[case] what_for: &str) {
    let fake = fake(cluster(&all_but(Some(("/vms", privilege)))));
    let state = StateDir::new();
    let seen = at(&fake, &state).run(CHECK);
    let line = format!(
        "warn  {privilege} on /vms/101: the token lacks it; not for the clone, but {what_for}; on a \
         node, as root: pveum acl modify /vms --tokens 'homelab@pve!cli' \
         --roles PVEVMAdmin"
    );
    let lines = lines(&seen, &fake, &state);
    assert_eq!(that_are("warn", &lines), [line.as_str(), FOR_ITS_USER]);
    assert_eq!((that_are("FAIL", &lines).len(), seen.exit), (0, Some(0)));
}

/// The privileges that the README's lines give, by their paths.
fn readmes_privileges() -> Value {
    let readme = include_str!("../README.md");
    let roles: Vec<(&str, Vec<&str>)> = readme
        .lines()
        .filter_map(|line| {
            line.strip_prefix("pveum role add ")?
                .split_once(" --privs \"")
        })
        .map(|(role, privileges)| {
            let privileges = privileges.trim_end_matches('"').split(' ');
            (role.trim(), privileges.collect())
        })
        .collect();
    let lines = readme
        .lines()
        .filter_map(|line| line.strip_prefix("pveum acl modify "));
    let granted = lines.map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (_, privileges) = roles.iter().find(|(role, _)| *role == words[4]).unwrap();
        (words[0].replace("local-lvm", "data"), json!(privileges))
    });
    Value::Object(granted.collect())
}

#[test]
fn the_readmes_role_is_enough_for_a_vm() {
    let privileges = readmes_privileges();
    assert_eq!(privileges.as_object().unwrap().len(), 4);
    let fake = fake(cluster(&privileges));
    let state = StateDir::new();
    let seen = at(&fake, &state).run(CHECK);
    let lines = lines(&seen, &fake, &state);
    assert_eq!(that_are("FAIL", &lines), [""; 0]);
    let later = that_are("warn", &lines);
    let is_later = |line: &&String| line.contains("not for the clone, but");
    assert_eq!((later.len(), later.iter().filter(is_later).count()), (9, 8));
    assert_eq!(later[8], FOR_ITS_USER);
    let seen = at(&fake, &state).run("proxmox vm create web-1 debian-12");
    assert_eq!(seen.exit, Some(0));
}

#[rstest]
#[case::nine("9.0.3", &["SDN.Use", "VM.GuestAgent.Audit"])]
#[case::eight("8.4.1", &["SDN.Use", "VM.Monitor"])]
#[case::seven("7.4-17", &["VM.Monitor"])]
fn what_is_needed_depends_on_the_version(#[case] version: &str, #[case] expected: &[&str]) {
    let mut setup = cluster(&json!("all"));
    setup["version"] = json!(version);
    let fake = fake(setup);
    let state = StateDir::new();
    let seen = at(&fake, &state).run(CHECK);
    let lines = lines(&seen, &fake, &state);
    let checked: Vec<&str> = ["SDN.Use", "VM.GuestAgent.Audit", "VM.Monitor"]
        .into_iter()
        .filter(|name| {
            lines
                .iter()
                .any(|line| line.starts_with(&format!("ok    {name} on ")))
        })
        .collect();
    assert_eq!((checked, seen.exit), (expected.to_vec(), Some(0)));
    assert!(lines.contains(&format!("ok    server: Proxmox VE {version}")));
}

/// Which zone a vnet is in this token may not even ask.
#[rstest]
#[case::in_another_zone(
    "/sdn/zones/office",
    "warn  SDN.Use on /sdn/zones/localnetwork/office0/20: the token lacks it; if office0/20 is a vnet, \
     it takes SDN.Use on its own zone instead"
)]
#[case::in_the_nodes_zone(
    "/sdn/zones/localnetwork",
    "warn  SDN.Use on /sdn/zones/localnetwork/office0/20: the token has it; if office0/20 is a vnet, it \
     takes SDN.Use on its own zone instead"
)]
#[case::in_all_zones("/sdn", "ok    SDN.Use on /sdn/zones: the token has it")]
fn a_network_that_may_be_a_vnet_is_not_taken_for_granted(#[case] path: &str, #[case] line: &str) {
    let mut privileges = all_but(Some(("/sdn/zones/localnetwork", "SDN.Use")));
    let paths = privileges.as_object_mut().unwrap();
    paths.remove("/sdn/zones/localnetwork");
    paths.insert(path.to_owned(), json!(["SDN.Use"]));
    let fake = fake(cluster(&privileges));
    let net = json!("virtio=BC:24:11:00:00:01,bridge=office0,tag=20");
    let mut cluster = fake.cluster();
    let template = cluster.guests.get_mut(&9000).unwrap();
    template.config.insert("net0".to_owned(), net);
    drop(cluster);
    let state = StateDir::new();
    let seen = at(&fake, &state).run(CHECK);
    let told = lines(&seen, &fake, &state);
    let told: Vec<&String> = told
        .iter()
        .filter(|line| line.contains("SDN.Use"))
        .collect();
    assert_eq!((told, seen.exit), (vec![&line.to_owned()], Some(0)));
}

/// A role on all VMs takes the place of one that the token has from above: what worked goes on.
#[test]
fn a_line_for_later_steps_takes_nothing_away() {
    let mut on_top = vec!["Datastore.AllocateSpace", "SDN.Use"];
    let of_vms = PRIVILEGES[0].1.iter().chain(PRIVILEGES[1].1);
    on_top.extend(of_vms.filter(|privilege| **privilege != "VM.GuestAgent.Audit"));
    let fake = fake(cluster(&json!({"/": on_top})));
    let state = StateDir::new();
    let seen = at(&fake, &state).run(CHECK);
    let warned = that_are("warn  VM.GuestAgent.Audit", &lines(&seen, &fake, &state));
    assert_eq!((warned.len(), seen.exit), (1, Some(0)));
    fake.pveum(line_in(&warned[0]));
    let seen = at(&fake, &state).run(CHECK);
    let all = lines(&seen, &fake, &state);
    assert_eq!(that_are("ok", &all).len(), all.len());
}

#[test]
fn guests_that_this_token_does_not_see_are_counted() {
    let mut setup = cluster(&json!({"/vms/9000": ["VM.Audit", "VM.Clone"]}));
    let more = json!({"vmid": 103, "name": "db-1", "type": "lxc"});
    setup["guests"].as_array_mut().unwrap().push(more);
    let fake = fake(setup);
    let state = StateDir::new();
    let seen = at(&fake, &state).run("proxmox check");
    let line = "warn  hidden guests: this token does not see who has VMID 100, 103: a VM of the name \
                that is asked for would not be found there; on a node, as root: pveum acl modify \
                /vms --tokens 'homelab@pve!cli' --roles PVEAuditor";
    let expected = format!("{line}{IT_REPLACES}{OR_FOR_ITS_USER}");
    assert_eq!(that_are("warn", &lines(&seen, &fake, &state)), [expected]);
    assert_eq!(seen.exit, Some(0));
}

#[test]
fn a_token_that_sees_nothing_is_told_why() {
    let fake = fake(cluster(&json!("none")));
    let state = StateDir::new();
    let seen = at(&fake, &state).run("proxmox check");
    let line = "warn  guests: templates seen: 0, VMs seen: 0; if there are some, this token lacks \
                VM.Audit on them; on a node, as root: pveum acl modify /vms --tokens 'homelab@pve!cli' --roles PVEAuditor";
    assert_eq!(
        that_are("warn  guests", &lines(&seen, &fake, &state)),
        [format!("{line}{IT_REPLACES}{OR_FOR_ITS_USER}")]
    );
}

#[test]
fn a_token_that_is_refused_ends_the_questions() {
    let fake = fake(cluster(&all_but(None)));
    let state = StateDir::new();
    let seen = at(&fake, &state)
        .env("PROXMOX_TOKEN_KEY", "other")
        .run(CHECK);
    let expected = [
        "ok    configuration: host 127.0.0.1:PORT (PROXMOX_HOST), user homelab@pve (PROXMOX_USER), \
         token key other (PROXMOX_TOKEN_KEY), secret (PROXMOX_TOKEN_SECRET)",
        "ok    connection to 127.0.0.1:PORT: established",
        "ok    certificate of 127.0.0.1:PORT: none, for http:// stays on this machine",
        "FAIL  token homelab@pve!other: 401 Authentication failed! (as homelab@pve!other); user, \
         realm, token id and secret must be those of one token that has not expired; the server \
         does not say which is wrong, and takes 3 s to say no; on a node: pveum user token list \
         homelab@pve",
        "ok    state directory STATE: it can be written, and files in it locked",
    ];
    assert_eq!(lines(&seen, &fake, &state), expected);
    assert_eq!(seen.exit, Some(1));
}

#[rstest]
#[case::beside_one_that_answers(true, "warn", Some(0))]
#[case::alone(false, "FAIL", Some(1))]
fn a_dead_host_is_a_failure_if_no_other_answers(
    #[case] beside_another: bool,
    #[case] verdict: &str,
    #[case] exit: Option<i32>,
) {
    let fake = fake(cluster(&all_but(None)));
    let state = StateDir::new();
    let hosts = if beside_another {
        format!("127.0.0.1:1,{}", fake.url())
    } else {
        "127.0.0.1:1".to_owned()
    };
    let homelab = at(&fake, &state).env("PROXMOX_HOST", &hosts);
    let seen = homelab
        .env("SSL_CERT_FILE", "/nonexistent")
        .run("proxmox check");
    let line = format!(
        "{verdict}  connection to 127.0.0.1:1: Connection refused (os error 111); check the host and port (PROXMOX_HOST, PROXMOX_PORT, --host), and that \
         pveproxy is running there"
    );
    assert_eq!(that_are(verdict, &lines(&seen, &fake, &state)), [line]);
    assert_eq!(seen.exit, exit);
}

#[test]
fn a_name_that_cannot_be_looked_up_is_said_to_be_the_reason() {
    let fake = fake(cluster(&all_but(None)));
    let state = StateDir::new();
    let seen = at(&fake, &state)
        .env("PROXMOX_HOST", "nosuch.invalid")
        .env("PROXMOX_VE_INSECURE", "1")
        .run("proxmox check");
    let failed = that_are("FAIL", &lines(&seen, &fake, &state));
    // What the resolver says depends on the machine.
    let beginning = "FAIL  name nosuch.invalid: its name cannot be looked up: ";
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].get(..beginning.len()), Some(beginning));
}

fn over_tls(shown: Shown) -> (FakePve, StateDir) {
    let setup = serde_json::from_value(cluster(&all_but(None))).unwrap();
    (FakePve::start_tls_as(setup, shown), StateDir::new())
}

#[test]
fn a_certificate_that_ends_soon_is_a_warning() {
    let (fake, state) = over_tls(Shown::SoonExpired);
    let seen = at(&fake, &state)
        .env("PROXMOX_FINGERPRINT", &fake.fingerprint())
        .run("proxmox check");
    let line = format!(
        "warn  certificate of 127.0.0.1:PORT: expires soon: the pinned one, valid until {}, SHA-256 \
         {}; on the node: pvecm updatecerts --force && systemctl restart pveproxy (or however that \
         certificate was made); where it is pinned, set the new fingerprint then",
        fake.leaf_not_after(),
        fake.fingerprint()
    );
    assert_eq!(that_are("warn", &lines(&seen, &fake, &state)), [line]);
    assert_eq!(seen.exit, Some(0));
}

#[test]
fn a_certificate_that_is_not_trusted_is_the_only_failure() {
    let (fake, state) = over_tls(Shown::Good);
    let homelab = at(&fake, &state).env("SSL_CERT_FILE", "/nonexistent");
    let seen = homelab
        .env("SSL_CERT_DIR", "/nonexistent")
        .run("proxmox check");
    let lines = lines(&seen, &fake, &state);
    let failed = that_are("FAIL", &lines);
    assert_eq!(failed.len(), 1);
    let beginning = format!(
        "FAIL  certificate of 127.0.0.1:PORT: its certificate cannot be verified, for this system has no certificate authorities to trust; the fingerprint it \
         presents is {}; compare that fingerprint with",
        fake.fingerprint()
    );
    assert_eq!(failed[0].get(..beginning.len()), Some(beginning.as_str()));
    assert_eq!(lines[1], "ok    connection to 127.0.0.1:PORT: established");
    assert_eq!(fake.journal(), [""; 0]);
}

#[test]
fn a_certificate_that_nobody_verifies_is_a_warning_with_its_fingerprint() {
    let (fake, state) = over_tls(Shown::Good);
    let seen = at(&fake, &state).run("proxmox check --insecure");
    let (until, fingerprint) = (fake.leaf_not_after(), fake.fingerprint());
    let warning = "the server's certificate is not verified (--insecure): whoever gets in between \
                   can read the token and use it";
    let expected = [
        format!(
            "warn  configuration: host 127.0.0.1:PORT (PROXMOX_HOST), user homelab@pve \
             (PROXMOX_USER), token key cli (PROXMOX_TOKEN_KEY), secret (PROXMOX_TOKEN_SECRET), trust \
             anyone (--insecure); {warning}"
        ),
        format!(
            "warn  certificate of 127.0.0.1:PORT: not verified, valid until {until}, SHA-256 \
             {fingerprint}; compare that fingerprint with what 'pvenode cert info' or 'openssl x509 \
             -in /etc/pve/local/pve-ssl.pem -noout -fingerprint -sha256' says on the node; if it is \
             the same: PROXMOX_FINGERPRINT={fingerprint} instead of turning the verification off"
        ),
    ];
    assert_eq!(seen.stderr, format!("Warning: {warning}\n"));
    assert_eq!(that_are("warn", &lines(&seen, &fake, &state)), expected);
    assert_eq!(seen.exit, Some(0));
}

#[test]
fn a_ca_file_that_is_none_is_said_and_the_rest_left_out() {
    let (fake, state) = over_tls(Shown::Good);
    let seen = at(&fake, &state).run("proxmox check --ca-file no.pem");
    let expected = "FAIL  whom to trust: CA file 'no.pem': No such file or \
                    directory (os error 2); PROXMOX_CA_FILE and --ca-file take the certificate of \
                    the cluster's authority, which is /etc/pve/pve-root-ca.pem on each node";
    let lines = lines(&seen, &fake, &state);
    assert_eq!((lines.len(), lines[1].as_str()), (3, expected));
    assert_eq!(seen.exit, Some(2));
}

#[test]
fn a_template_that_is_not_there_is_a_failure_with_its_hint() {
    let fake = fake(cluster(&all_but(None)));
    let state = StateDir::new();
    let seen = at(&fake, &state).run("proxmox check debain-12");
    let line = "FAIL  template: Template 'debain-12' not found; did you mean \
                'debian-12'? 'homelab proxmox template list' shows the templates";
    assert_eq!(that_are("FAIL", &lines(&seen, &fake, &state)), [line]);
    assert_eq!(seen.exit, Some(1));
}

#[test]
fn a_state_directory_that_cannot_be_written_is_a_failure() {
    let fake = fake(cluster(&all_but(None)));
    let state = StateDir::new();
    let homelab = at(&fake, &state).env("HOMELAB_STATE_DIR", "/dev/null/x");
    let seen = homelab.run("proxmox check");
    let line = "FAIL  state directory /dev/null/x: cannot use /dev/null/x: Not a directory (os error \
                20); this user must be able to write there, or HOMELAB_STATE_DIR names another \
                directory";
    assert_eq!(that_are("FAIL", &lines(&seen, &fake, &state)), [line]);
    assert_eq!(seen.exit, Some(1));
}

#[test]
fn without_a_configuration_the_state_directory_is_all_there_is_to_check() {
    let state = StateDir::new();
    let seen = Homelab::alone().in_state(&state).run("proxmox check");
    let expected = format!(
        "FAIL  configuration: missing settings: PROXMOX_HOST, PROXMOX_USER, PROXMOX_TOKEN_KEY, \
         PROXMOX_TOKEN_SECRET; set them in the environment, or without PROXMOX_ and in small \
         letters under \"proxmox\" in the configuration file (~/.config/homelab/config.json by \
         default)\n\
         ok    state directory {}: it can be written, and files in it locked\n",
        state.path()
    );
    assert_eq!((seen.exit, seen.stdout), (Some(2), expected));
}

#[test]
fn scripts_get_one_document() {
    let fake = fake(cluster(&all_but(Some(("/vms/9000", "VM.Clone")))));
    let state = StateDir::new();
    let seen = at(&fake, &state).run(&format!("{CHECK} --json"));
    assert_eq!((seen.exit, seen.stdout.lines().count()), (Some(1), 1));
    let document: Value = serde_json::from_str(&seen.stdout).unwrap();
    assert_eq!(document["ok"], json!(false));
    let checks = document["checks"].as_array().unwrap();
    assert_eq!(checks.len(), 24);
    let failed: Vec<&Value> = checks.iter().filter(|it| it["result"] == "fail").collect();
    let expected = json!({
        "result": "fail",
        "check": "VM.Clone on /vms/9000",
        "detail": "the token lacks it",
        "hint": "on a node, as root: pveum acl modify /vms/9000 --tokens \
                 'homelab@pve!cli' --roles PVETemplateUser",
    });
    assert_eq!(failed, [&expected]);
}

#[test]
fn a_reader_that_has_seen_enough_changes_nothing() {
    let fake = fake(cluster(&all_but(None)));
    let state = StateDir::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let seen = at(&fake, &state).run_into(CHECK, writer);
    assert_eq!((seen.exit, seen.stderr.as_str()), (Some(0), ""));
}

/// A server is asked for its version by each host, and by verbose all of that is told.
#[test]
fn every_request_can_be_told() {
    let fake = fake(cluster(&all_but(None)));
    let state = StateDir::new();
    let seen = at(&fake, &state).run(&format!("{CHECK} --verbose"));
    assert_eq!(seen.stderr.lines().count(), fake.journal().len());
}

/// Whoever pastes a full range of an administrator into a cluster hides guests above it, too.
#[test]
fn guests_below_the_next_vmid_are_looked_for() {
    let mut setup = cluster(&json!({"/vms/9000": ["VM.Audit", "VM.Clone"]}));
    setup["nextid_from"] = json!(5000);
    let guests = setup["guests"].as_array_mut().unwrap();
    guests.remove(0);
    guests.push(json!({"vmid": 5000, "name": "db-1"}));
    let fake = fake(setup);
    let state = StateDir::new();
    let seen = at(&fake, &state).run("proxmox check");
    let warned = that_are("warn  hidden guests", &lines(&seen, &fake, &state));
    let beginning = "warn  hidden guests: this token does not see who has VMID 5000: ";
    assert_eq!(warned.len(), 1);
    assert_eq!(warned[0].get(..beginning.len()), Some(beginning));
}

/// The list of what a token may do leaves such paths out, and so hides that they are forbidden.
#[test]
fn what_was_taken_away_on_a_path_is_not_taken_from_above() {
    let mut privileges = all_but(None);
    privileges["/"] = json!(["Datastore.AllocateSpace"]);
    privileges["/storage/data"] = json!([]);
    let fake = fake(cluster(&privileges));
    let state = StateDir::new();
    let seen = at(&fake, &state).run(CHECK);
    let failed = that_are("FAIL", &lines(&seen, &fake, &state));
    let beginning = "FAIL  Datastore.AllocateSpace on /storage/data: the token lacks it";
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].get(..beginning.len()), Some(beginning));
}

/// It would be the one that is asked as soon as the other is down.
#[test]
fn a_host_that_refuses_the_token_is_told_beside_one_that_accepts_it() {
    let (good, other) = (fake(cluster(&all_but(None))), fake(json!({})));
    let state = StateDir::new();
    let hosts = format!("{},{}", good.url(), other.url());
    let seen = at(&good, &state)
        .env("PROXMOX_HOST", &hosts)
        .run("proxmox check");
    let failed = that_are("FAIL", &lines(&seen, &other, &state));
    let beginning =
        "FAIL  token at 127.0.0.1:PORT: 401 Authentication failed! (as homelab@pve!cli); ";
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].get(..beginning.len()), Some(beginning));
    assert_eq!(seen.exit, Some(1));
}

#[test]
fn what_answers_instead_of_proxmox_is_told_apart_from_the_way_to_it() {
    let web = json!({"status": 200, "reason": "OK", "type": "text/html", "body": "<html>"});
    let setup = json!({"faults": [{"on": "GET", "answer": web}]});
    let fake = FakePve::start_tls(serde_json::from_value(setup).unwrap());
    let state = StateDir::new();
    let seen = at(&fake, &state)
        .env("PROXMOX_FINGERPRINT", &fake.fingerprint())
        .run("proxmox check");
    let lines = lines(&seen, &fake, &state);
    let beginnings: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.split(':').next())
        .collect();
    assert_eq!(
        beginnings,
        [
            "ok    configuration",
            "ok    connection to 127.0.0.1",
            "ok    certificate of 127.0.0.1",
            "FAIL  answer of 127.0.0.1",
            "ok    state directory STATE",
        ]
    );
    let line = "FAIL  answer of 127.0.0.1:PORT: it is not Proxmox VE's: 200 OK, text/html; check that \
                PROXMOX_HOST and PROXMOX_PORT are those of Proxmox VE itself, not of a proxy or another \
                service";
    assert_eq!(lines[3], line);
}

#[test]
fn several_templates_of_one_name_are_a_warning() {
    let mut setup = cluster(&all_but(None));
    let guests = setup["guests"].as_array_mut().unwrap();
    guests.push(json!({"vmid": 9001, "name": "debian-12", "template": true}));
    let fake = fake(setup);
    let state = StateDir::new();
    let seen = at(&fake, &state).run(CHECK);
    let line = "warn  template 'debian-12': several templates are named 'debian-12': taking 9000 on node \
                'pve1'; also there: 9001 on node 'pve1'";
    assert_eq!(that_are("warn", &lines(&seen, &fake, &state)), [line]);
    assert_eq!(seen.stderr, "");
}

#[rstest]
#[case::lines("proxmox check")]
#[case::document("proxmox check --json")]
fn a_result_that_cannot_be_written_is_a_failure(#[case] words: &str) {
    let fake = fake(cluster(&all_but(None)));
    let state = StateDir::new();
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let seen = at(&fake, &state).run_into(words, full);
    let expected = "the result cannot be written: No space left on device (os error 28)\n";
    assert_eq!((seen.exit, seen.stderr.as_str()), (Some(1), expected));
}

#[test]
fn the_file_is_named_once() {
    let fake = fake(cluster(&all_but(None)));
    let state = StateDir::new();
    let homelab = at(&fake, &state)
        .without("PROXMOX_USER")
        .without("PROXMOX_TOKEN_KEY");
    let json = r#"{"proxmox":{"user":"homelab@pve","token_key":"cli"}}"#;
    std::fs::write(homelab.home().join("my.json"), json).unwrap();
    let seen = homelab.run("proxmox check --config my.json");
    let line = "ok    configuration: host 127.0.0.1:PORT (PROXMOX_HOST), user homelab@pve (file: user), \
                token key cli (file: token_key), secret (PROXMOX_TOKEN_SECRET), file my.json";
    assert_eq!(lines(&seen, &fake, &state)[0], line);
}
