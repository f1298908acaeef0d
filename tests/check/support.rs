//! The cluster to check, and functions to read the findings.

use serde_json::{Value, json};

use crate::fake_pve::FakePve;
use crate::homelab::{Homelab, Seen, StateDir};

pub(super) const CHECK: &str = "proxmox check debian-12";
pub(super) const TOKEN: &str = "homelab@pve!cli";

/// The privileges that a token needs to pass every check.
pub(super) const PRIVILEGES: [(&str, &[&str]); 6] = [
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
            "VM.Config.HWType",
            "VM.PowerMgmt",
            "VM.GuestAgent.Audit",
        ],
    ),
    ("/storage/data", &["Datastore.AllocateSpace"]),
    (
        "/storage/local",
        &["Datastore.Audit", "Datastore.AllocateTemplate"],
    ),
    ("/nodes", &["Sys.AccessNetwork"]),
    ("/sdn/zones/localnetwork", &["SDN.Use"]),
];

pub(super) const FOR_ITS_USER: &str = "warn  privilege separation: if the token has none, or its user also \
                                       lacks a privilege, also run each command with --users homelab@pve \
                                       instead of --tokens …";

pub(super) const OR_FOR_ITS_USER: &str = "; without privilege separation, or if the token's user lacks it \
                                          too, also run this with --users homelab@pve instead of --tokens …";

pub(super) const IT_REPLACES: &str = "; this replaces the token's inherited roles there";

/// The command that a finding or a hint proposes.
pub(super) fn command_in(text: &str) -> &str {
    let (_, line) = text.split_once("as root: ").unwrap();
    line.split(';').next().unwrap().trim()
}

/// Runs the commands that a finding or a hint proposes, as an administrator.
pub(super) fn run_commands_in(text: &str, fake: &FakePve) {
    for command in command_in(text).split(" && ") {
        fake.pveum(command);
    }
}

/// Runs the commands in a text that add a role and grant it, with the storage for disks of the fake, and
/// for the token, as with privilege separation. Returns how many there are.
pub(super) fn run_recipe(text: &str, role: &str, fake: &FakePve) -> usize {
    let text = text.replace("\\\n", "");
    let add = format!("pveum role add {role} ");
    let to_grant = format!(" --roles {role}");
    let lines = text.lines().map(str::trim);
    let of_role = lines.filter(|line| {
        line.starts_with(&add) || line.starts_with("pveum acl ") && line.ends_with(&to_grant)
    });
    let for_token = format!("--tokens '{TOKEN}'");
    let commands = of_role.map(|line| {
        line.replace("--users homelab@pve", &for_token)
            .replace("local-lvm", "data")
    });
    commands.map(|command| fake.pveum(&command)).count()
}

/// All privileges of a token but this one on this path.
pub(super) fn all_but(lacking: Option<(&str, &str)>) -> Value {
    let paths = PRIVILEGES.iter().map(|(path, privileges)| {
        let is_left = |privilege: &&&str| lacking != Some((path, privilege));
        let left: Vec<&&str> = privileges.iter().filter(is_left).collect();
        ((*path).to_owned(), json!(left))
    });
    Value::Object(paths.collect())
}

pub(super) fn cluster(privileges: &Value) -> Value {
    json!({
        "guests": [
            {"vmid": 100, "name": "router", "status": "running"},
            {"vmid": 9000, "name": "debian-12", "template": true},
        ],
        "tokens": {TOKEN: privileges},
    })
}

pub(super) fn fake(setup: Value) -> FakePve {
    FakePve::start(serde_json::from_value(setup).unwrap())
}

pub(super) fn at(fake: &FakePve, state: &StateDir) -> Homelab {
    Homelab::at(fake).with_token_id(TOKEN).in_state(state)
}

/// The findings, with what differs from run to run replaced.
pub(super) fn lines(seen: &Seen, fake: &FakePve, state: &StateDir) -> Vec<String> {
    let text = seen
        .stdout
        .replace(&format!("127.0.0.1:{}", fake.port()), "127.0.0.1:PORT")
        .replace(state.path(), "STATE");
    text.lines().map(str::to_owned).collect()
}

pub(super) fn with_verdict(verdict: &str, lines: &[String]) -> Vec<String> {
    let lines = lines.iter().filter(|line| line.starts_with(verdict));
    lines.cloned().collect()
}
