//! The life of a VM that is being created, from the accepted POST to the end of its task.
//!
//! - From the answer on, the VMID is taken by a configuration that contains only the lock `create`.
//! - The worker makes the disks one after the other, and then writes the whole configuration.
//! - A worker that fails or is interrupted removes disks and configuration. One that is killed leaves both,
//!   and one without quorum the configuration.

use serde_json::{Map, Value, json};

use super::actions::lock_timeout;
use super::cluster::Cluster;
use super::copies::drives_of;
use super::deeds::Did;
use super::drives::{Drive, rank_of_drive};
use super::guests::Guest;
use super::identity::Stage;
use super::images::Image;
use super::nets::{Net, first_mac};
use super::new_disks::Made;
use super::processes::{Process, Shown, ends_well, log_end, was_killed};
use super::quorum::Here;
use super::setup::{CloneLog, CloneSteps, Refresh};
use super::stored_values::{EMPTY, read_back};
use super::tasks::Pace;
use super::vm_paths::cannot_write;

pub(crate) struct Creation {
    pub(crate) upid: String,
    pub(super) process: Process,
    pub(crate) order: CreateOrder,
    pub(crate) log: Vec<String>,
    /// Log lines for later.
    log_to_come: Vec<String>,
    pace: Pace,
    is_over: bool,
    /// While it is running, its future exit status.
    pub(crate) exit: String,
    exit_if_interrupted: String,
    /// The content of its disks.
    images: Vec<Image>,
    /// The node that received the request.
    here: Here,
}

/// A request to create a VM whose parameters are valid.
#[derive(Clone)]
pub(crate) struct CreateOrder {
    pub(crate) node: String,
    pub(crate) vmid: u32,
    /// Sorted, as the worker makes the drives in this order.
    pub(crate) options: Vec<(String, String)>,
    /// The pool of the finished VM.
    pub(crate) pool: Option<String>,
    /// The token that requested it.
    pub(crate) owner: String,
}

const WARNING: &str =
    "iothread is only valid with virtio disk or virtio-scsi-single controller, ignoring";

impl CreateOrder {
    pub(super) fn drives(&self) -> impl Iterator<Item = (&str, Drive)> {
        let drives = self.options.iter();
        let drives = drives.filter(|(option, _)| rank_of_drive(option).is_some());
        drives.map(|(option, value)| (&**option, Drive::parse(value)))
    }
}

impl Creation {
    pub(super) fn is(&self, node: &str, upid: &str) -> bool {
        self.process.node == node && self.upid == upid
    }

    /// Whether it still owns its VMID.
    pub(crate) fn is_running(&self) -> bool {
        !self.is_over
    }

    pub(super) fn is_running_for(&self, vmid: u32) -> bool {
        self.is_running() && self.order.vmid == vmid
    }

    /// Whether the next few requests end it.
    pub(super) fn ends_within(&self, few: u32, requests: usize) -> bool {
        self.pace.ends_within(few, requests)
    }

    pub(super) fn shown(&self) -> Shown<'_> {
        Shown {
            process: &self.process,
            log: &self.log,
            exit: self.is_over.then_some(&self.exit),
        }
    }

    fn log_more(&mut self) {
        let more = self.log_to_come.len() / self.pace.polls_of_log();
        self.log.extend(self.log_to_come.drain(..more));
    }

    fn end(&mut self, exit: String) {
        self.is_over = true;
        if ends_well(&exit) {
            self.log.append(&mut self.log_to_come);
        }
        let last = self.log.last();
        let is_copying = last.is_some_and(|line| line.starts_with("transferred"));
        if is_copying && exit.ends_with("exit code 1") {
            let no_space =
                "qemu-img: error while writing at byte 23068672: No space left on device";
            self.log.push(no_space.to_owned());
        }
        log_end(&mut self.log, &exit, WARNING);
        self.exit = exit;
    }
}

impl Cluster {
    /// Forks the worker, which makes the disks.
    pub(super) fn begin_creation(&mut self, order: CreateOrder) -> String {
        let process = Process {
            node: order.node.clone(),
            kind: "qmcreate",
            id: order.vmid.to_string(),
            owner: order.owner.clone(),
            number: self.next_process(),
        };
        let pace = match self.setup.create_requests {
            None => Pace::Polls(self.setup.create_polls),
            Some(done) => Pace::Requests {
                before: self.requests,
                steps: CloneSteps {
                    done,
                    ..CloneSteps::default()
                },
            },
        };
        self.take_vmid(&order);
        let upid = process.upid();
        let number = self.creations.len();
        self.creations.push(Creation {
            upid: upid.clone(),
            process,
            order,
            log: Vec::new(),
            log_to_come: Vec::new(),
            pace,
            is_over: false,
            exit: "OK".to_owned(),
            exit_if_interrupted: String::new(),
            images: Vec::new(),
            here: self.here.clone(),
        });
        self.begin_to_create(number);
        self.advance_creations();
        upid
    }

    /// Writes a configuration that is nothing but locked.
    fn take_vmid(&mut self, order: &CreateOrder) {
        let births = self.count_birth(order.vmid);
        let mut vm = Guest::new(order.vmid, births, &order.node, None);
        vm.config = Map::from_iter([("lock".to_owned(), json!("create"))]);
        vm.set_digest(Stage::Locked);
        vm.row = self.dead_rows.remove(&order.vmid);
        vm.maker = Some(order.owner.clone());
        if matches!(self.setup.rows, Refresh::AtOnce) {
            vm.refresh_row();
        }
        self.guests.insert(order.vmid, vm);
    }

    /// A worker that fails before it copies an image ends at once.
    fn begin_to_create(&mut self, number: usize) {
        let order = self.creations[number].order.clone();
        let vmid = order.vmid;
        if self.is_vmid_busy(vmid) {
            let waiting = "trying to acquire lock...".to_owned();
            self.creations[number].log.push(waiting);
            return self.fail_creation(number, lock_timeout(vmid));
        }
        let Made {
            mut lines,
            copy,
            images,
            failure,
        } = self.make_disks(&order);
        let prefix = format!("unable to create VM {vmid} - ");
        let creation = &mut self.creations[number];
        creation.images = images;
        let (lines_at_once, interrupted) = copy.map_or((lines.len(), None), |copy| {
            (copy.lines_at_once, Some(copy.exit_if_interrupted))
        });
        let interrupted = interrupted.unwrap_or_else(|| "received interrupt".to_owned());
        creation.exit_if_interrupted = format!("{prefix}{interrupted}");
        creation.log_to_come = lines.split_off(lines_at_once);
        creation.log = lines;
        let is_copying = !creation.images.is_empty();
        match failure {
            Some(why) if is_copying => creation.exit = format!("{prefix}{why}"),
            Some(why) => self.fail_creation(number, format!("{prefix}{why}")),
            None => {
                let exit = self.setup.create_exit.next();
                creation.exit = exit.replace("{vmid}", &vmid.to_string());
            }
        }
    }

    /// Ends every creation that is due.
    pub(super) fn advance_creations(&mut self) {
        for number in 0..self.creations.len() {
            let pace = self.creations[number].pace;
            let is_by_requests = matches!(pace, Pace::Requests { .. });
            if is_by_requests && pace.is_due(|steps| steps.done, self.requests) {
                self.end_creation(number);
            }
        }
    }

    /// A poll of the status of its task, which advances it unless requests do.
    pub(super) fn poll_creation(&mut self, number: usize) {
        let grows = matches!(self.setup.clone_log, CloneLog::Growing);
        let creation = &mut self.creations[number];
        if creation.is_over {
            return;
        }
        if creation.pace.is_over_after_poll() {
            self.end_creation(number);
        } else if grows {
            creation.log_more();
        }
    }

    /// Finishes every creation, whatever it waits for.
    pub(super) fn finish_creations(&mut self) {
        for number in 0..self.creations.len() {
            self.end_creation(number);
        }
    }

    pub(super) fn interrupt_creation(&mut self, number: usize, is_killed: bool) {
        let exit = if is_killed {
            "unexpected status".to_owned()
        } else {
            self.creations[number].exit_if_interrupted.clone()
        };
        self.fail_creation(number, exit);
    }

    fn fail_creation(&mut self, number: usize, exit: String) {
        if self.creations[number].is_running() {
            self.creations[number].exit = exit;
            self.end_creation(number);
        }
    }

    pub(super) fn end_creation(&mut self, number: usize) {
        let creation = &self.creations[number];
        if creation.is_over {
            return;
        }
        let (order, exit) = (creation.order.clone(), creation.exit.clone());
        // The worker has the quorum of its own node, no matter which node the client is asking.
        let here = std::mem::replace(&mut self.here, creation.here.clone());
        let written = if ends_well(&exit) {
            self.write_new_config(number, &order)
        } else {
            Ok(())
        };
        let failed = |why| format!("unable to create VM {} - {why}", order.vmid);
        let exit = written.map_or_else(failed, |()| exit);
        let warning = self.clean_up(&order, &exit);
        self.here = here;
        self.creations[number].log.extend(warning);
        self.creations[number].end(exit);
    }

    /// Removes what a worker that failed has made. Returns a warning if it cannot.
    fn clean_up(&mut self, order: &CreateOrder, exit: &str) -> Option<String> {
        let is_read_only = !self.has_quorum() || exit.contains("Permission denied");
        let vm = self.guests.get_mut(&order.vmid)?;
        let disks = std::mem::take(&mut vm.disks_to_come);
        if was_killed(exit) {
            let disks = disks.values().filter_map(|disk| disk.as_str());
            let volumes = disks.map(|disk| Drive::parse(disk).file);
            self.setup.leftovers.extend(volumes);
            return None;
        }
        if ends_well(exit) {
            return None;
        }
        if is_read_only {
            return Some("failed to remove config file: Permission denied".to_owned());
        }
        self.remove(order.vmid);
        None
    }

    fn write_new_config(&mut self, number: usize, order: &CreateOrder) -> Result<(), String> {
        let (vmid, owner) = (order.vmid, &order.owner);
        // The VM is not in its pool yet.
        let is_tagged = order.options.iter().any(|(option, _)| option == "tags");
        let path = format!("/vms/{vmid}");
        if is_tagged && !self.acl_of(owner).grants(&path, "VM.Config.Options") {
            return Err(format!(
                "Permission check failed ({path}, VM.Config.Options)"
            ));
        }
        if !self.has_quorum() {
            return Err(cannot_write(&order.node, vmid));
        }
        let at_once = matches!(self.setup.rows, Refresh::AtOnce);
        let creation = &self.creations[number];
        let ctime = creation.process.starttime();
        let images = creation.images.iter().map(|image| image.sha256.clone());
        let did = Did::Create(images.collect());
        let Some(vm) = self.guests.get_mut(&vmid) else {
            return Ok(());
        };
        vm.write_first_config(order, ctime)?;
        if at_once {
            vm.refresh_row();
        }
        self.record(owner, vmid, did);
        Ok(())
    }
}

impl Guest {
    fn write_first_config(&mut self, order: &CreateOrder, ctime: u64) -> Result<(), String> {
        let mut config = self.disks_to_come.clone();
        for (option, value) in &order.options {
            if rank_of_drive(option).is_some() {
                continue;
            }
            let written = if let Some(number) = number_of_net(option) {
                let mut net = Net::parse(value);
                net.tidy(option);
                let mac = || first_mac(self.vmid, number, self.births);
                net.mac.get_or_insert_with(mac);
                Some(json!(net.to_string()))
            } else {
                read_back(option, value)?
            };
            config.extend(written.map(|written| (option.clone(), written)));
            if option == "cipassword" {
                self.secrets.insert(option.clone(), value.clone());
            }
        }
        let meta = format!("creation-qemu=10.0.2,ctime={ctime}");
        config.insert("meta".to_owned(), json!(meta));
        if !config.contains_key("boot") {
            let boot = default_boot_order(&config);
            config.insert("boot".to_owned(), json!(boot));
        }
        self.config = config;
        self.add_identity();
        self.set_digest(Stage::Whole);
        self.cloned_by = Some(order.owner.clone());
        self.pool.clone_from(&order.pool);
        Ok(())
    }
}

/// The first disk, the first CD drive, and the first network device.
fn default_boot_order(config: &Map<String, Value>) -> String {
    let drives = drives_of(config);
    let first = |is_cdrom| {
        let mut drives = drives.iter();
        let found = drives.find(|(_, drive)| drive.is_cdrom() == is_cdrom);
        found.map(|(option, _)| (*option).to_owned())
    };
    let mut nets = (0..32).map(|number| format!("net{number}"));
    let net = nets.find(|net| config.contains_key(net));
    let devices: Vec<_> = [first(false), first(true), net]
        .into_iter()
        .flatten()
        .collect();
    if devices.is_empty() {
        return EMPTY.to_owned();
    }
    format!("order={}", devices.join(";"))
}

fn number_of_net(option: &str) -> Option<u32> {
    option.strip_prefix("net")?.parse().ok()
}
