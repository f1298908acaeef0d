//! A fake server, a state directory, and what runs of `template create` have done and said.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value};

use super::orders::{NAME, Order, SHA256, is_change};
use crate::chaos::report::{Failure, Ready, Report, read};
use crate::fake_pve::{
    Cluster, Deed, Did, FakePve, Fault, Guest, ImageDid, Seen as Request, Setup, Stamp, TOKEN,
    Watcher,
};
use crate::homelab::{Homelab, Running, Seen, StateDir};

/// The token of somebody else who uses the program on another host.
pub(super) const COLLEAGUE: &str = "colleague@pve!cli";
/// Another user, who may do everything.
const STRANGER: &str = "stranger@pve!cli";

pub(super) struct Testbed<'o> {
    pub(super) fake: FakePve,
    pub(super) state: StateDir,
    pub(super) order: &'o Order,
    /// Whether somebody replaces the image after it was verified, which no request of a run can prevent.
    pub(super) is_image_replaced: bool,
    /// What was done to guests of others.
    trespasses: Arc<Mutex<Vec<String>>>,
    outputs: Mutex<Vec<String>>,
}

impl<'o> Testbed<'o> {
    pub(super) fn new(
        order: &'o Order,
        more: &Value,
        faults: impl IntoIterator<Item = Fault>,
    ) -> Testbed<'o> {
        let setup: Result<Setup, _> = serde_json::from_value(order.setup(more));
        let mut setup = setup.expect("a setup");
        setup.faults.extend(faults);
        let fake = FakePve::start(setup);
        let trespasses = Arc::default();
        fake.watch(Guard::of(&fake.cluster(), &trespasses));
        Testbed {
            fake,
            state: StateDir::new(),
            order,
            is_image_replaced: false,
            trespasses,
            outputs: Mutex::new(Vec::new()),
        }
    }

    pub(super) fn start(&self, line: &str) -> Running {
        let homelab = Homelab::at(&self.fake).in_state(&self.state);
        homelab.start(&with_options(line))
    }

    /// On another host, with another token.
    pub(super) fn start_elsewhere(&self, state: &StateDir, line: &str) -> Running {
        let homelab = Homelab::at(&self.fake).in_state(state);
        homelab.with_token_id(COLLEAGUE).start(&with_options(line))
    }

    pub(super) fn run(&self, line: &str) -> Seen {
        let seen = self.start(line).wait();
        self.remember(line, &seen);
        seen
    }

    /// A run for a person, without `--json`.
    pub(super) fn show(&self, line: &str) -> Seen {
        let homelab = Homelab::at(&self.fake).in_state(&self.state);
        let seen = homelab.run(&with_options(line).replace(" --json", ""));
        self.remember(line, &seen);
        seen
    }

    /// What it prints, without what differs from run to run.
    #[track_caller]
    pub(super) fn expect_stderr(&self, seen: &Seen, expected: &str) {
        let port = self.fake.port().to_string();
        let text = seen.stderr.replace(&port, "PORT");
        let text = text.replace(self.state.path(), "STATE");
        assert_eq!(text, expected, "{}", self.details());
    }

    pub(super) fn remember(&self, line: &str, seen: &Seen) {
        let entry = seen.as_entry(line);
        self.outputs.lock().expect("no panic").push(entry);
    }

    /// Everything ends, even what a daemon has kept.
    pub(super) fn finish_all(&self) {
        self.fake.finish_all();
    }

    /// What happened to VMs because of our requests.
    pub(super) fn deeds(&self) -> Vec<Deed> {
        self.fake.cluster().deeds_of(TOKEN)
    }

    /// The VMs that were requested by us and exist, complete or not.
    pub(super) fn ours(&self) -> Vec<Guest> {
        let cluster = self.fake.cluster();
        let ours = cluster.guests.values().filter(|guest| is_ours(guest));
        ours.cloned().collect()
    }

    /// Whether the run has succeeded. An error if what it reports is not so.
    pub(super) fn judge(&self, seen: &Seen) -> Result<bool, String> {
        match read(seen)? {
            Report::Ready(ready) => self.judge_success(&ready).map(|()| true),
            Report::Failed { error } => self.judge_failure(&error).map(|()| false),
        }
    }

    fn judge_success(&self, ready: &Ready) -> Result<(), String> {
        let cluster = self.fake.cluster();
        let guest = cluster.guests.get(&ready.vmid);
        let guest = guest.ok_or_else(|| format!("VM {} does not exist", ready.vmid))?;
        if guest.name() != Some(NAME) || ready.name != NAME || ready.node != guest.node {
            return Err(format!("it is {:?} on {}", guest.name(), guest.node));
        }
        if !guest.is_template() || matches!(guest.lock(), Some("create" | "clone")) {
            return Err(format!("it is no complete template: {:?}", guest.config));
        }
        if ready.created != is_ours(guest) && ready.created {
            return Err("somebody else has created it".to_owned());
        }
        if is_ours(guest) {
            self.check_template(&cluster, guest)?;
        }
        Ok(())
    }

    /// A template that we have made is as requested.
    fn check_template(&self, cluster: &Cluster, guest: &Guest) -> Result<(), String> {
        let order = self.order;
        let text = |key: &str| match guest.config.get(key) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        };
        let (vmid, disk) = (guest.vmid, text("scsi0"));
        let parts = [
            format!("data:{vmid}/base-{vmid}-disk-"),
            format!(",size={}", order.disk),
        ];
        if !parts.iter().all(|part| disk.contains(part.as_str())) {
            return Err(format!("its disk is {disk}"));
        }
        let wrong = order
            .options
            .iter()
            .find(|(key, value)| text(key) != *value);
        if let Some((key, _)) = wrong {
            return Err(format!("its {key} is '{}'", text(key)));
        }
        let is_creation =
            |deed: &&Deed| deed.vm == guest.stamp() && deed.uuid.as_deref() == guest.uuid();
        let mut creations = cluster.deeds.iter().filter(is_creation);
        let content = creations.find_map(|deed| match &deed.did {
            Did::Create(images) => Some(images.clone()),
            _ => None,
        });
        // Without a checksum, whatever has the name of the image is used.
        let is_right = content == Some(vec![SHA256.to_owned()]);
        if !is_right && order.is_verified && !self.is_image_replaced {
            return Err(format!("it was imported from {content:?}"));
        }
        Ok(())
    }

    /// What a failure says is so, now and later.
    fn judge_failure(&self, failure: &Failure) -> Result<(), String> {
        let says = |words: &str| failure.message.contains(words);
        let (ours, downloads) = (self.ours(), self.running_downloads());
        let is_hint = failure.hint.as_ref().is_some_and(|hint| !hint.is_empty());
        let false_statement = [
            (
                failure.kind.is_empty() || failure.started != "no" && !is_hint,
                "what is to be typed is not said",
            ),
            (
                failure.started == "no" && !(ours.is_empty() && downloads.is_empty()),
                "something was started",
            ),
            (
                says("nothing was created") && !ours.is_empty(),
                "a VM was created",
            ),
            (
                says("nothing was started") && !(ours.is_empty() && downloads.is_empty()),
                "something was started",
            ),
            (
                says("nothing is left of it") && self.has_image(),
                "the image is there",
            ),
            (
                says("was not converted") && ours.iter().any(is_converted),
                "it was converted",
            ),
        ];
        if let Some((_, why)) = false_statement.into_iter().find(|(is_false, _)| *is_false) {
            let ours: Vec<_> = ours
                .iter()
                .map(|guest| (guest.vmid, &guest.config))
                .collect();
            return Err(format!(
                "{why}: {ours:?}, {downloads:?}; reported: {failure:?}"
            ));
        }
        Ok(())
    }

    /// Whether the file of the image is on its storage.
    pub(super) fn has_image(&self) -> bool {
        let cluster = self.fake.cluster();
        cluster.image("pve1", self.order.volume).is_some()
    }

    /// The downloads that were requested by us and are running.
    pub(super) fn running_downloads(&self) -> Vec<String> {
        let cluster = self.fake.cluster();
        let running = cluster.file_tasks.iter().filter(|task| task.exit.is_none());
        running.map(|task| task.upid.clone()).collect()
    }

    /// A success with a template that we have made, which can be cloned, and which is the only VM that we have
    /// made, now and once everything has ended.
    pub(super) fn expect_created(&self, seen: &Seen) -> Result<Ready, String> {
        let ready = match read(seen)? {
            Report::Ready(ready) => ready,
            Report::Failed { error } => return Err(format!("it failed: {error:?}")),
        };
        self.judge_success(&ready)?;
        self.finish_all();
        self.judge_success(&ready)?;
        let ours: Vec<u32> = self.ours().iter().map(|guest| guest.vmid).collect();
        if ours != [ready.vmid] {
            return Err(format!(
                "VM {} was reported, but we have {ours:?}",
                ready.vmid
            ));
        }
        self.expect_linked_clone(ready.vmid, &ready.node)?;
        self.expect_no_trespass()?;
        self.expect_images_kept()?;
        Ok(ready)
    }

    /// A run with `--ensure` ends like that.
    pub(super) fn expect_ensured(&self) -> Result<Ready, String> {
        let seen = self.run(&format!("{} --ensure", self.order.line));
        self.expect_created(&seen)
    }

    fn expect_linked_clone(&self, vmid: u32, node: &str) -> Result<(), String> {
        let request = format!("POST /nodes/{node}/qemu/{vmid}/clone newid=900&name=linked");
        let asked = self.fake.cluster().ask_as(STRANGER, &request);
        self.finish_all();
        self.fake.cluster().remove(900);
        let (status, upid) = asked;
        if status == 200 {
            return Ok(());
        }
        Err(format!("it cannot be cloned: {status} {upid}"))
    }

    /// Nothing of others was changed, and our requests did only what is needed: VMs were created, and converted
    /// if they were created by us.
    pub(super) fn expect_no_trespass(&self) -> Result<(), String> {
        let trespasses = self.trespasses.lock().expect("no panic").clone();
        if !trespasses.is_empty() {
            return Err(format!("trespasses: {trespasses:?}"));
        }
        self.expect_no_deeds_but_ours()
    }

    /// Our requests did only what is needed, whatever requests of others did.
    pub(super) fn expect_no_deeds_but_ours(&self) -> Result<(), String> {
        let deeds = self.deeds();
        let created: Vec<Stamp> = deeds
            .iter()
            .filter(|deed| matches!(deed.did, Did::Create(_)))
            .map(|deed| deed.vm)
            .collect();
        let is_permitted = |deed: &&Deed| match deed.did {
            Did::Create(_) => true,
            Did::Convert => created.contains(&deed.vm),
            _ => false,
        };
        let forbidden: Vec<_> = deeds.iter().filter(|deed| !is_permitted(deed)).collect();
        if forbidden.is_empty() {
            return Ok(());
        }
        Err(format!("deeds: {forbidden:?}"))
    }

    /// No image was removed, and none replaced by another one: a second download of ours may end after the first
    /// one.
    pub(super) fn expect_images_kept(&self) -> Result<(), String> {
        let cluster = self.fake.cluster();
        let is_kept = cluster.image_deeds.iter().all(|deed| match &deed.did {
            ImageDid::Download { replaced, .. } => replaced
                .as_ref()
                .is_none_or(|before| before.sha256 == deed.image.sha256),
            ImageDid::Remove => false,
        });
        if is_kept {
            return Ok(());
        }
        Err(format!("images: {:?}", cluster.image_deeds))
    }

    /// Root does on the node what a hint says, literally.
    pub(super) fn obey(&self, hint: &str) {
        if let Some((_, rest)) = hint.split_once("qm unlock ") {
            let vmid = rest.split(' ').next().unwrap_or_default().to_owned();
            let whole = format!("{vmid} && qm destroy {vmid} --destroy-unreferenced-disks 1");
            assert!(rest.starts_with(&whole), "{hint}");
            let mut cluster = self.fake.cluster();
            cluster
                .guests
                .get_mut(&vmid.parse().expect("a VMID"))
                .expect("the VM")
                .config
                .remove("lock");
            let destroy = format!("DELETE /nodes/pve1/qemu/{vmid}?destroy-unreferenced-disks=1");
            let (status, _) = cluster.ask_as(STRANGER, &destroy);
            assert_eq!(status, 200, "{destroy}");
            drop(cluster);
            self.finish_all();
        }
        if let Some((_, rest)) = hint.split_once("qm set ") {
            let mut words = rest.split([' ', ';']);
            let mut next = || words.next().unwrap_or_default();
            let (vmid, option, name) = (next(), next(), next().to_owned());
            assert_eq!(option, "--name", "{hint}");
            let vmid = vmid.parse().expect("a VMID");
            let mut cluster = self.fake.cluster();
            assert!(cluster.edit(vmid, |config| drop(
                config.insert("name".to_owned(), name.into())
            )));
        }
        if let Some((_, volume)) = hint.split_once("pvesm free ") {
            let removed = self.fake.cluster().remove_image("pve1", volume);
            assert!(removed.is_some(), "{hint}");
        }
    }

    /// Each VM that we have made, apart from the one with this VMID, was named by some run.
    pub(super) fn expect_all_named(&self, except: Option<u32>) -> Result<(), String> {
        let outputs = self.outputs.lock().expect("no panic").join("");
        let is_named = |vmid: u32| {
            let words = [
                format!("VM {vmid} "),
                format!("template {vmid} "),
                format!("{{\"vmid\":{vmid},"),
            ];
            words.iter().any(|word| outputs.contains(word.as_str()))
        };
        let ours = self.ours();
        let hidden = ours
            .iter()
            .map(|guest| guest.vmid)
            .find(|vmid| Some(*vmid) != except && !is_named(*vmid));
        match hidden {
            None => Ok(()),
            Some(vmid) => Err(format!(
                "VM {vmid} was left behind, and no run has named it"
            )),
        }
    }

    /// Everything needed to understand a failure.
    pub(super) fn details(&self) -> String {
        let outputs = self.outputs.lock().expect("no panic").join("");
        let journal = self.fake.journal().join("\n  ");
        let record = self.state.record(NAME);
        let cluster = self.fake.cluster();
        let guests: Vec<_> = cluster
            .guests
            .values()
            .map(|guest| format!("{:?}: {:?}", guest.stamp(), guest.config))
            .collect();
        format!(
            "{outputs}journal:\n  {journal}\nrecord:\n{record}deeds: {:?}\nguests:\n  {}",
            cluster.deeds,
            guests.join("\n  ")
        )
    }
}

/// A template that is not one by its option alone.
pub(super) fn is_converted(guest: &Guest) -> bool {
    let disk = guest.config.get("scsi0").and_then(Value::as_str);
    guest.is_template() && disk.is_some_and(|disk| disk.contains("/base-"))
}

fn is_ours(guest: &Guest) -> bool {
    guest.maker.as_deref() == Some(TOKEN)
}

/// Watches all guests: a request may change only those that its token has created.
struct Guard {
    configs: BTreeMap<Stamp, Map<String, Value>>,
    trespasses: Arc<Mutex<Vec<String>>>,
    request: Option<Request>,
}

impl Guard {
    fn of(cluster: &Cluster, trespasses: &Arc<Mutex<Vec<String>>>) -> Guard {
        let guests = cluster.guests.values();
        Guard {
            configs: guests
                .map(|guest| (guest.stamp(), guest.config.clone()))
                .collect(),
            trespasses: trespasses.clone(),
            request: None,
        }
    }
}

impl Watcher for Guard {
    fn before(&mut self, _: &mut Cluster, request: &Request) -> Option<Fault> {
        self.request = Some(request.clone());
        None
    }

    fn after(&mut self, cluster: &mut Cluster) {
        // A request with a fault of its own is not announced; all others have this token then.
        let request = self.request.as_ref();
        let token = request.and_then(|request| request.header("Authorization"));
        let token = token.unwrap_or_default().to_owned();
        for guest in cluster.guests.values() {
            let before = self.configs.entry(guest.stamp());
            let before = before.or_insert_with(|| guest.config.clone());
            let maker = guest.maker.as_deref().unwrap_or("nobody");
            let line = request.map_or("", |request| request.line.as_str());
            // Polls advance the tasks of all users.
            if *before != guest.config && is_change(line) && !token.contains(maker) {
                let what = format!("VM {:?} was changed by '{line}'", guest.stamp());
                self.trespasses.lock().expect("no panic").push(what);
            }
            before.clone_from(&guest.config);
        }
    }
}

/// With short pauses, and limits longer than anything takes, even on a busy machine.
fn with_options(line: &str) -> String {
    let mut line = format!("proxmox {line}");
    for (option, value) in [
        ("--json", ""),
        ("--poll-interval", " 0.01"),
        ("--timeout", " 20"),
        ("--request-timeout", " 10"),
    ] {
        if !line.split(' ').any(|argument| argument == option) {
            line = format!("{line} {option}{value}");
        }
    }
    line
}
