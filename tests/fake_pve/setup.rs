//! The cluster that a test starts with, as written in story files.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::acl::Acl;
use super::faults::Fault;
use super::ha::HaState;
use super::images::ImageSetup;
use super::interfaces::AgentSetup;
use super::internet::Internet;
use super::planned_acts::PlannedAct;
use super::shutdown::Reaction;
use super::storages::StorageSetup;

/// The token that may do everything, and the secret of all tokens.
pub(crate) const TOKEN: &str = "root@pam!cli";
pub(crate) const SECRET: &str = "00000000-0000-0000-0000-000000000001";

/// Everything has a default: `{}` is one node without guests that answers at once.
#[expect(
    clippy::struct_excessive_bools,
    reason = "a story sets each by its name, and they are independent"
)]
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Setup {
    /// The version of the server.
    pub(crate) version: String,
    pub(crate) nodes: Vec<String>,
    /// Nodes that the contacted node cannot reach.
    pub(crate) offline: Vec<String>,
    pub(crate) guests: Vec<GuestSetup>,
    /// Lower end of the administrator's `next-id` range.
    pub(crate) nextid_from: u32,
    /// How many polls of the status of a clone return `running` before `stopped`.
    pub(crate) clone_polls: u32,
    /// With these a clone advances by itself, whether or not it is polled.
    pub(crate) clone_steps: Option<CloneSteps>,
    /// Exit status of the clones that get as far as copying; `{newid}` in it stands for the VMID.
    pub(crate) clone_exit: Exits,
    pub(crate) clone_log: CloneLog,
    /// How many polls of the status of the task that creates a VM return `running` before `stopped`.
    pub(crate) create_polls: u32,
    /// With this number a creation ends by itself so many requests after its POST, whether or not it is
    /// polled.
    pub(crate) create_requests: Option<u32>,
    /// Exit status of the creations that can make all their disks; `{vmid}` in it stands for the VMID.
    pub(crate) create_exit: Exits,
    /// The number of requests to the target node of a clone that do not find it there yet.
    pub(crate) arrival_polls: u32,
    /// Whether `data` and `small` are shared by all nodes.
    pub(crate) shared_storage: bool,
    /// Further storages, or other settings for these.
    pub(crate) storages: BTreeMap<String, StorageSetup>,
    /// Images that VMs can be imported from.
    pub(crate) images: Vec<ImageSetup>,
    /// Volumes that exist although no guest has them: `data:100/vm-100-cloudinit.qcow2`.
    pub(crate) leftovers: Vec<String>,
    /// The bridges of every node.
    pub(crate) bridges: Vec<String>,
    /// How many polls of the status of any other task return `running` before `stopped`.
    pub(crate) task_polls: u32,
    /// How many polls of a task that waits for the lock of its VM find it waiting before it gives up, as
    /// the real server does after 10 seconds.
    pub(crate) lock_polls: u32,
    /// How many polls find the shutdown of a guest that does not react running, before its timeout.
    pub(crate) shutdown_polls: u32,
    /// A VM that was rebooted is started again this many requests after it went down.
    pub(crate) reboot_requests: usize,
    /// Exit status of the starts that get as far as QEMU.
    pub(crate) start_exit: Exits,
    /// Exit status of the destroys that get as far as the disks; `unexpected status` leaves the lock
    /// `destroyed` and nothing else.
    pub(crate) destroy_exit: Exits,
    /// Exit status of the conversions that get as far as writing the option `template`. All but `OK` leave
    /// the disks as they were.
    pub(crate) template_exit: Exits,
    /// Exit status of the resizes that get as far as the storage.
    pub(crate) resize_exit: Exits,
    /// What nodes can download.
    pub(crate) internet: Internet,
    /// How many polls of the status of a download return `running` before `stopped`.
    pub(crate) download_polls: u32,
    /// With this a download ends by itself this many requests after its POST, whether or not it is polled.
    pub(crate) download_requests: Option<usize>,
    /// Exit status of the downloads that get as far as receiving the file.
    pub(crate) download_exit: Exits,
    /// The HA manager starts a VM this many requests after it was asked to; with null, never.
    pub(crate) ha_requests: Option<usize>,
    /// The clean-up of a task that is aborted takes too long: its worker is killed.
    pub(crate) abort_kills: bool,
    /// VMs stop again as soon as the task that started them ends.
    pub(crate) dies_after_start: bool,
    /// The agent of running VMs, and those of certain VMIDs.
    pub(crate) agent: AgentSetup,
    pub(crate) agents: BTreeMap<u32, AgentSetup>,
    /// The cluster is read-only.
    pub(crate) no_quorum: bool,
    /// VMIDs without a guest whose lock somebody holds: this many clones and creations wait for it in vain.
    pub(crate) busy_vmids: BTreeMap<u32, u32>,
    /// A worker that begins while this many others are copying waits too long for its storage, and fails.
    pub(crate) copying_at_once: Option<usize>,
    /// Every this many clone POSTs, a stranger takes the VMID just before, in turn in each of the four
    /// ways.
    pub(crate) strangers_every: Option<u32>,
    /// The maximum number of strangers.
    pub(crate) strangers_at_most: u32,
    /// What other users do, and right before which request.
    pub(crate) others: Vec<PlannedAct>,
    pub(crate) rows: Refresh,
    /// Rows of deleted guests, by VMID; a new guest with the VMID gets that row.
    pub(crate) dead_rows: BTreeMap<u32, StaleRow>,
    /// A server before 8.4, which reports errors only in the reason phrase.
    pub(crate) reason_only: bool,
    pub(crate) gzip: bool,
    /// Announces and closes the connection with every answer.
    pub(crate) close_every: bool,
    /// The number of additional guests, with VMIDs from 100000 up.
    pub(crate) pad_guests: u32,
    /// Tokens, all with the same secret; `root@pam!cli` may do everything unless listed here.
    pub(crate) tokens: BTreeMap<String, Rights>,
    /// The privileges of roles that an administrator has added.
    pub(crate) roles: BTreeMap<String, BTreeSet<String>>,
    pub(crate) unauthorized_delay_ms: u64,
    pub(crate) faults: Vec<Fault>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            version: "9.2.11".to_owned(),
            nodes: vec!["pve1".to_owned()],
            offline: Vec::new(),
            guests: Vec::new(),
            nextid_from: 100,
            clone_polls: 0,
            clone_steps: None,
            clone_exit: Exits::Always("OK".to_owned()),
            clone_log: CloneLog::Whole,
            create_polls: 0,
            create_requests: None,
            create_exit: Exits::Always("OK".to_owned()),
            arrival_polls: 0,
            shared_storage: false,
            storages: BTreeMap::new(),
            images: Vec::new(),
            leftovers: Vec::new(),
            bridges: vec!["vmbr0".to_owned(), "vmbr1".to_owned()],
            task_polls: 0,
            lock_polls: 5,
            shutdown_polls: 0,
            reboot_requests: 2,
            start_exit: Exits::Always("OK".to_owned()),
            destroy_exit: Exits::Always("OK".to_owned()),
            template_exit: Exits::Always("OK".to_owned()),
            resize_exit: Exits::Always("OK".to_owned()),
            internet: Internet::default(),
            download_polls: 0,
            download_requests: None,
            download_exit: Exits::Always("OK".to_owned()),
            ha_requests: Some(0),
            abort_kills: false,
            dies_after_start: false,
            agent: AgentSetup::default(),
            agents: BTreeMap::new(),
            no_quorum: false,
            busy_vmids: BTreeMap::new(),
            copying_at_once: None,
            strangers_every: None,
            strangers_at_most: u32::MAX,
            others: Vec::new(),
            rows: Refresh::Never,
            dead_rows: BTreeMap::new(),
            reason_only: false,
            gzip: false,
            close_every: false,
            pad_guests: 0,
            tokens: BTreeMap::new(),
            roles: BTreeMap::new(),
            unauthorized_delay_ms: 0,
            faults: Vec::new(),
        }
    }
}

/// The number of requests, of any kind and from any client, after the POST of a clone before …
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CloneSteps {
    /// … its worker begins: until then the VMID appears free, and somebody else may take it.
    pub(crate) appears: u32,
    /// … the configuration, locked until the end, gets its name.
    pub(crate) named: u32,
    /// … the system disk exists and the task ends.
    pub(crate) done: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Exits {
    Always(String),
    /// In turn; the last one for all that follow.
    InTurn(Vec<String>),
}

impl Exits {
    pub(super) fn next(&mut self) -> String {
        match self {
            Self::Always(exit) => exit.clone(),
            Self::InTurn(exits) if exits.len() > 1 => exits.remove(0),
            Self::InTurn(exits) => exits.first().expect("at least one exit status").clone(),
        }
    }
}

/// How a worker logs the copying of disks and images.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CloneLog {
    /// The progress of the first half of each disk, at once.
    Whole,
    /// The progress of every hundredth; more of it with each poll.
    Growing,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GuestSetup {
    pub(crate) vmid: u32,
    /// If absent, the configuration of the guest has no name yet.
    #[serde(default)]
    pub(crate) name: Option<String>,
    /// The first node of the cluster if absent.
    #[serde(default)]
    pub(crate) node: Option<String>,
    #[serde(default, rename = "type")]
    pub(crate) kind: GuestType,
    #[serde(default)]
    pub(crate) template: bool,
    /// `running`, `stopped` or `paused`.
    #[serde(default = "stopped")]
    pub(crate) status: String,
    /// Seconds.
    #[serde(default)]
    pub(crate) uptime: u64,
    /// How the guest reacts to a shutdown.
    #[serde(default)]
    pub(crate) on_shutdown: Reaction,
    /// Options that its process has instead of those in its configuration, which are pending.
    #[serde(default)]
    pub(crate) live: Map<String, Value>,
    #[serde(default)]
    pub(crate) lock: Option<String>,
    /// Options that its configuration has in addition to or instead of the usual ones; null removes one.
    #[serde(default)]
    pub(crate) config: Map<String, Value>,
    #[serde(default)]
    pub(crate) pool: Option<String>,
    /// The requested HA state, if it is under HA.
    #[serde(default)]
    pub(crate) ha: Option<HaState>,
    #[serde(default)]
    pub(crate) row: RowSetup,
}

fn stopped() -> String {
    "stopped".to_owned()
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum GuestType {
    #[default]
    Qemu,
    Lxc,
}

/// The row of a guest in the cache of pvestatd at the start.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum RowSetup {
    Known(KnownRow),
    /// The row of a deleted guest that had this VMID.
    Stale(StaleRow),
}

impl Default for RowSetup {
    fn default() -> Self {
        Self::Known(KnownRow::Fresh)
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum KnownRow {
    /// As in the configuration.
    Fresh,
    /// Unknown: status `unknown`, no name, no template flag.
    Nameless,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StaleRow {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) template: bool,
}

/// When pvestatd updates the rows.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Refresh {
    /// Never during the test: the row of a clone stays nameless.
    Never,
    /// Immediately: the row of a clone follows its configuration.
    AtOnce,
    /// All rows together, at this interval.
    EveryMs(u64),
}

/// A preset, or lists by path.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Rights {
    Preset(RightsPreset),
    Listed(Acl),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RightsPreset {
    None,
    /// May clone templates, and sees only them and its own tasks.
    Blind,
    /// Like `Blind`, but also sees its own VMs once they are finished.
    Late,
    All,
}
