//! The cluster a test starts with, as story files write it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::acl::Acl;
use super::faults::Fault;
use super::ha::HaState;
use super::interfaces::AgentSetup;
use super::storages::StorageSetup;

/// The token that may do everything, and the secret of all tokens.
pub(crate) const TOKEN: &str = "root@pam!cli";
pub(crate) const SECRET: &str = "00000000-0000-0000-0000-000000000001";

/// Everything has a default: `{}` is one node without guests that answers at once.
#[expect(
    clippy::struct_excessive_bools,
    reason = "a story says each by its name, and none goes with another"
)]
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Setup {
    /// What `/version` tells.
    pub(crate) version: String,
    pub(crate) nodes: Vec<String>,
    /// Nodes that the one we talk to cannot reach.
    pub(crate) offline: Vec<String>,
    pub(crate) guests: Vec<GuestSetup>,
    /// Lower end of the administrator's `next-id` range.
    pub(crate) nextid_from: u32,
    /// How many looks at a clone's status answer `running` before it is `stopped`.
    pub(crate) clone_looks: u32,
    /// With these a clone goes on by itself, whether somebody looks at it or not.
    pub(crate) clone_steps: Option<CloneSteps>,
    /// Exit status of the clones that get as far as copying; `{newid}` in it is their VMID.
    pub(crate) clone_exit: Exits,
    pub(crate) clone_log: CloneLog,
    /// So many requests to the node where a clone has moved do not find it there yet.
    pub(crate) arrival_looks: u32,
    /// `data` and `small` are the same on every node.
    pub(crate) shared_storage: bool,
    /// Storages more than those, or other than they are.
    pub(crate) storages: BTreeMap<String, StorageSetup>,
    /// Volumes that are there although no guest has them: `data:100/vm-100-cloudinit.qcow2`.
    pub(crate) leftovers: Vec<String>,
    /// The bridges of every node.
    pub(crate) bridges: Vec<String>,
    /// How many looks at the status of any other task answer `running` before it is `stopped`.
    pub(crate) task_looks: u32,
    /// Exit status of the starts that get as far as QEMU.
    pub(crate) start_exit: Exits,
    /// Exit status of the resizes that get as far as the storage.
    pub(crate) resize_exit: Exits,
    /// The HA manager starts a VM when so many requests have come since it was asked to; with null
    /// it never does.
    pub(crate) ha_requests: Option<usize>,
    /// VMs stop again as soon as the task that has started them is over.
    pub(crate) dies_after_start: bool,
    /// The agent in a running VM, and the ones of certain VMIDs.
    pub(crate) agent: AgentSetup,
    pub(crate) agents: BTreeMap<u32, AgentSetup>,
    /// Nothing can be written, and everything read.
    pub(crate) no_quorum: bool,
    /// VMIDs whose lock somebody holds for some other work, though no guest has them: so many clones
    /// wait for it in vain.
    pub(crate) busy_vmids: BTreeMap<u32, u32>,
    /// A worker that begins while so many others copy waits too long for its storage, and fails.
    pub(crate) copying_at_once: Option<usize>,
    /// Each time so many clone POSTs have come, a stranger takes the last one's VMID a moment
    /// before, in turn so that each of the four shapes of a lost race shows.
    pub(crate) strangers_every: Option<u32>,
    /// After so many they leave us alone.
    pub(crate) strangers_at_most: u32,
    pub(crate) rows: Refresh,
    /// Rows of guests that are gone, by their VMID; a new guest gets what is there for its own.
    pub(crate) dead_rows: BTreeMap<u32, StaleRow>,
    /// A server before 8.4, which says what was wrong in the reason phrase only.
    pub(crate) reason_only: bool,
    pub(crate) gzip: bool,
    /// Announce and make the end of the connection with every answer.
    pub(crate) close_every: bool,
    /// So many made-up guests more, with VMIDs from 100000 up.
    pub(crate) pad_guests: u32,
    /// Tokens, all with the same secret; `root@pam!cli` may do everything unless it is here.
    pub(crate) tokens: BTreeMap<String, Rights>,
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
            clone_looks: 0,
            clone_steps: None,
            clone_exit: Exits::Always("OK".to_owned()),
            clone_log: CloneLog::Whole,
            arrival_looks: 0,
            shared_storage: false,
            storages: BTreeMap::new(),
            leftovers: Vec::new(),
            bridges: vec!["vmbr0".to_owned(), "vmbr1".to_owned()],
            task_looks: 0,
            start_exit: Exits::Always("OK".to_owned()),
            resize_exit: Exits::Always("OK".to_owned()),
            ha_requests: Some(0),
            dies_after_start: false,
            agent: AgentSetup::default(),
            agents: BTreeMap::new(),
            no_quorum: false,
            busy_vmids: BTreeMap::new(),
            copying_at_once: None,
            strangers_every: None,
            strangers_at_most: u32::MAX,
            rows: Refresh::Never,
            dead_rows: BTreeMap::new(),
            reason_only: false,
            gzip: false,
            close_every: false,
            pad_guests: 0,
            tokens: BTreeMap::new(),
            unauthorized_delay_ms: 0,
            faults: Vec::new(),
        }
    }
}

/// How many requests, of any kind and from anybody, come after a clone's POST before …
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CloneSteps {
    /// … its worker begins: until then the VMID looks free, and somebody else may take it.
    pub(crate) appears: u32,
    /// … the configuration, locked till the end, gets its name.
    pub(crate) named: u32,
    /// … the system disk is there and the task ends.
    pub(crate) done: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Exits {
    Always(String),
    /// One after the other; the last one for all that follow.
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

/// What a worker that copies disks writes down of it.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CloneLog {
    /// How far it is with the first half of each disk, at once.
    Whole,
    /// How far it is with every hundredth; with each look there is more of it.
    Growing,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GuestSetup {
    pub(crate) vmid: u32,
    /// Without one the guest's configuration has no name yet.
    #[serde(default)]
    pub(crate) name: Option<String>,
    /// The first node of the cluster when absent.
    #[serde(default)]
    pub(crate) node: Option<String>,
    #[serde(default, rename = "type")]
    pub(crate) kind: GuestType,
    #[serde(default)]
    pub(crate) template: bool,
    #[serde(default = "stopped")]
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) lock: Option<String>,
    /// Options that its configuration has beside or instead of the usual ones; with null it
    /// lacks one.
    #[serde(default)]
    pub(crate) config: Map<String, Value>,
    #[serde(default)]
    pub(crate) pool: Option<String>,
    /// It is under HA, which is to see that it is started or stopped.
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

/// What pvestatd's cache says about a guest at the start.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum RowSetup {
    Known(KnownRow),
    /// The row of a dead guest that had this VMID.
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
    /// As the configuration has it.
    Fresh,
    /// Nothing known: status `unknown`, no name, no template flag.
    Nameless,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StaleRow {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) template: bool,
}

/// When pvestatd looks at the guests again.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Refresh {
    /// Not while the test lasts: a clone's row stays nameless.
    Never,
    /// A clone's row follows its configuration.
    AtOnce,
    /// All rows together, by the clock.
    EveryMs(u64),
}

/// Told in a word, or path by path.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Rights {
    Word(RightsWord),
    Listed(Acl),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RightsWord {
    None,
    /// Clones templates, sees nothing but them, and looks at its own tasks.
    Blind,
    /// The same, and sees the VMs that it has cloned itself once they are done.
    Late,
    All,
}
