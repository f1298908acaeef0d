//! A guest: its configuration, and its last row from pvestatd.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::acl::Acl;
use super::ha::Ha;
use super::identity::Stage;
use super::setup::{GuestSetup, GuestType, KnownRow, RowSetup, StaleRow};
use super::shutdown::Reaction;
use super::sizes::{Sizes, sizes_of};

#[derive(Clone)]
pub(crate) struct Guest {
    pub(crate) vmid: u32,
    pub(crate) node: String,
    pub(crate) kind: GuestType,
    /// How many guests had its VMID before.
    pub(super) births: u32,
    pub(crate) status: String,
    /// The options of its configuration file, including `name`, `template` and `lock`.
    pub(crate) config: Map<String, Value>,
    pub(crate) row: Option<CachedRow>,
    /// The token whose finished clone it is, or that created it.
    pub(super) cloned_by: Option<String>,
    /// The token that requested it, set when the worker begins.
    pub(crate) maker: Option<String>,
    pub(crate) pool: Option<String>,
    pub(crate) ha: Option<Ha>,
    /// The request count when it was last started.
    pub(super) started: Option<usize>,
    /// The seconds that it was running before the first request.
    pub(super) uptime: u64,
    /// Its status is still `running`.
    pub(crate) is_paused: bool,
    /// The options with which its process was started.
    pub(super) live: Map<String, Value>,
    pub(crate) reaction: Reaction,
    /// The volumes in its configuration that no longer exist.
    pub(super) missing: BTreeSet<String>,
    /// The values of options that read back as asterisks.
    pub(crate) secrets: BTreeMap<String, String>,
    /// The disks of a clone that is being copied.
    pub(super) disks_to_come: Map<String, Value>,
    /// The number of requests to its node that do not find it there yet.
    pub(super) arrival_polls: u32,
    /// How often the agent was asked since the VM was started.
    pub(super) agent_polls: u32,
}

/// The last row from pvestatd.
#[derive(Clone)]
pub(crate) struct CachedRow {
    pub(crate) name: String,
    pub(crate) template: bool,
    pub(crate) status: String,
    pub(super) sizes: Sizes,
}

impl From<&StaleRow> for CachedRow {
    fn from(row: &StaleRow) -> Self {
        Self {
            name: row.name.clone(),
            template: row.template,
            status: "stopped".to_owned(),
            sizes: Sizes::USUAL,
        }
    }
}

impl Guest {
    /// A guest without a system disk, like a clone that is being copied.
    pub(super) fn new(vmid: u32, births: u32, node: &str, name: Option<&str>) -> Self {
        let config = json!({
            "agent": "1",
            "boot": "order=scsi0",
            "cores": 1,
            "ide2": format!("data:{vmid}/vm-{vmid}-cloudinit.qcow2,media=cdrom,size=4M"),
            "memory": "512",
            "meta": "creation-qemu=10.0.2,ctime=1795419705",
            "net0": "virtio,bridge=vmbr0",
            "ostype": "l26",
            "scsihw": "virtio-scsi-single",
            "serial0": "socket",
            "vga": "serial0",
            "vmgenid": "",
        });
        let Value::Object(mut config) = config else {
            unreachable!("an object was just written");
        };
        if let Some(name) = name {
            config.insert("name".to_owned(), json!(name));
        }
        let mut guest = Self {
            vmid,
            births,
            node: node.to_owned(),
            kind: GuestType::Qemu,
            status: "stopped".to_owned(),
            config,
            row: None,
            cloned_by: None,
            maker: None,
            pool: None,
            ha: None,
            started: None,
            uptime: 0,
            is_paused: false,
            live: Map::new(),
            reaction: Reaction::Prompt,
            missing: BTreeSet::new(),
            secrets: BTreeMap::new(),
            disks_to_come: Map::new(),
            arrival_polls: 0,
            agent_polls: 0,
        };
        guest.set_identity();
        guest.set_digest(Stage::Whole);
        guest
    }

    /// A template with default options.
    pub(super) fn usual_template(vmid: u32, node: &str) -> Self {
        let mut template = Self::new(vmid, 0, node, None);
        template.config.insert("template".to_owned(), json!(1));
        template.add_system_disk();
        template
    }

    pub(super) fn from_setup(setup: &GuestSetup, first_node: &str) -> Self {
        let node = setup.node.as_deref().unwrap_or(first_node);
        let mut guest = Self::new(setup.vmid, 0, node, setup.name.as_deref());
        guest.kind = setup.kind;
        guest.is_paused = setup.status == "paused";
        guest.status = match &*setup.status {
            "paused" => "running".to_owned(),
            status => status.to_owned(),
        };
        guest.reaction = setup.on_shutdown;
        guest.uptime = setup.uptime;
        if let Some(lock) = &setup.lock {
            guest.config.insert("lock".to_owned(), json!(lock));
        }
        if setup.template {
            guest.config.insert("template".to_owned(), json!(1));
        }
        guest.add_system_disk();
        guest.pool.clone_from(&setup.pool);
        guest.ha = setup.ha.map(Ha::from);
        for (option, value) in &setup.config {
            guest.config.remove(option);
            if !value.is_null() {
                guest.config.insert(option.clone(), value.clone());
            }
        }
        if guest.status == "running" {
            guest.started = Some(0);
            guest.live.clone_from(&guest.config);
            guest.live.extend(setup.live.clone());
        }
        match &setup.row {
            RowSetup::Known(KnownRow::Fresh) => guest.refresh_row(),
            RowSetup::Known(KnownRow::Nameless) => {}
            RowSetup::Stale(row) => guest.row = Some(row.into()),
        }
        guest
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.config.get("name")?.as_str()
    }

    pub(crate) fn lock(&self) -> Option<&str> {
        self.config.get("lock")?.as_str()
    }

    pub(crate) fn is_template(&self) -> bool {
        self.config
            .get("template")
            .is_some_and(|template| *template == 1)
    }

    /// The current state is based on a snapshot if there is one.
    pub(super) fn has_snapshots(&self) -> bool {
        self.config.contains_key("parent")
    }

    /// Whether its configuration is on this node, as the node itself sees it.
    pub(super) fn is_on(&self, node: &str) -> bool {
        self.node == node && self.arrival_polls == 0
    }

    pub(super) fn add_system_disk(&mut self) {
        let vmid = self.vmid;
        let kind = if self.is_template() { "base" } else { "vm" };
        let disk = format!("data:{vmid}/{kind}-{vmid}-disk-0.raw,size=2G");
        self.config.insert("scsi0".to_owned(), json!(disk));
    }

    /// The bridges of its network devices.
    pub(super) fn bridges(&self) -> impl Iterator<Item = &str> {
        let settings = self.numbered("net").flat_map(|net| net.split(','));
        settings.filter_map(|setting| setting.strip_prefix("bridge="))
    }

    /// The options `net0`, `net1` and so on.
    fn numbered(&self, name: &'static str) -> impl Iterator<Item = &str> {
        let is_number = |rest: &str| rest.parse::<u32>().is_ok();
        self.config.iter().filter_map(move |(option, value)| {
            option.strip_prefix(name).filter(|rest| is_number(rest))?;
            value.as_str()
        })
    }

    /// pvestatd and the list of the node invent a name if the configuration has none.
    fn shown_name(&self) -> String {
        let name = self.name().map(str::to_owned);
        name.unwrap_or_else(|| format!("VM {}", self.vmid))
    }

    /// The request count when it was started, if it is running.
    pub(crate) fn runs_since(&self) -> Option<usize> {
        self.started.filter(|_| self.status == "running")
    }

    /// A new process, with all options of its configuration.
    pub(super) fn runs_from(&mut self, requests: usize) {
        "running".clone_into(&mut self.status);
        self.started = Some(requests);
        self.uptime = 0;
        self.is_paused = false;
        self.live.clone_from(&self.config);
        self.agent_polls = 0;
    }

    pub(super) fn turn_off(&mut self) {
        "stopped".clone_into(&mut self.status);
        self.is_paused = false;
    }

    /// Seconds; the fake counts each request as one.
    fn uptime(&self, requests: usize) -> u64 {
        let since = self.runs_since();
        since.map_or(0, |since| self.uptime + (requests - since) as u64)
    }

    pub(super) fn refresh_row(&mut self) {
        self.row = Some(CachedRow {
            name: self.shown_name(),
            template: self.is_template(),
            status: self.status.clone(),
            sizes: sizes_of(&self.live_config()),
        });
    }

    /// Lock and tags come from the configuration, the rest from the cache, which is empty for a node that
    /// is down. The pool is shown to those who may see it.
    pub(super) fn resources_row(&self, offline: bool, requests: usize, acl: &Acl) -> Value {
        let kind = match self.kind {
            GuestType::Qemu => "qemu",
            GuestType::Lxc => "lxc",
        };
        let mut row = json!({
            "id": format!("{kind}/{}", self.vmid),
            "node": self.node,
            "status": "unknown",
            "type": kind,
            "vmid": self.vmid,
        });
        if let Some(cached) = self.row.as_ref().filter(|_| !offline) {
            row["name"] = json!(cached.name);
            row["status"] = json!(cached.status);
            row["template"] = json!(i32::from(cached.template));
            row["maxcpu"] = json!(cached.sizes.cpus);
            row["maxdisk"] = json!(cached.sizes.disk);
            row["maxmem"] = json!(cached.sizes.memory);
            let is_running = cached.status == "running";
            row["uptime"] = json!(if is_running { self.uptime(requests) } else { 0 });
            for idle in ["cpu", "disk", "diskread", "diskwrite", "mem", "memhost"] {
                row[idle] = json!(0);
            }
            for idle in ["netin", "netout"] {
                row[idle] = json!(0);
            }
        }
        let may_see = |pool: &&String| acl.grants(&format!("/pool/{pool}"), "Pool.Audit");
        if let Some(pool) = self.pool.as_ref().filter(may_see) {
            row["pool"] = json!(pool);
        }
        if let Some(ha) = &self.ha {
            row["hastate"] = ha.row();
        }
        self.copy_options(&["lock", "tags"], &mut row);
        row
    }

    pub(super) fn node_entry(&self, requests: usize) -> Value {
        let sizes = sizes_of(&self.live_config());
        let mut entry = json!({
            "cpu": 0, "cpus": sizes.cpus, "disk": 0, "maxdisk": sizes.disk,
            "maxmem": sizes.memory, "mem": 0, "memhost": 0, "name": self.shown_name(), "netin": 0,
            "netout": 0, "status": self.status, "uptime": self.uptime(requests),
            "vmid": self.vmid,
        });
        self.copy_options(&["lock", "tags"], &mut entry);
        if self.numbered("serial").next().is_some() {
            entry["serial"] = json!(1);
        }
        if self.is_template() {
            entry["template"] = json!(1);
        }
        if let Some(started) = self.runs_since() {
            // Each start creates another process.
            entry["pid"] = json!(15_041 + started);
            for what in [
                "cpusome",
                "cpufull",
                "iosome",
                "iofull",
                "memorysome",
                "memoryfull",
            ] {
                entry[format!("pressure{what}")] = json!(0);
            }
        }
        entry
    }

    fn copy_options(&self, options: &[&str], target: &mut Value) {
        for option in options {
            if let Some(value) = self.config.get(*option) {
                target[*option] = value.clone();
            }
        }
    }
}
