//! Clone tasks: they go on only while somebody looks at them.

use serde_json::{Value, json};

pub(crate) struct Task {
    pub(crate) upid: String,
    pub(crate) node: String,
    /// The token that started it.
    pub(crate) owner: String,
    pub(crate) log: Vec<String>,
    pub(crate) newid: u32,
    source: u32,
    worker: Worker,
    /// Looks that still find it running.
    looks_left: u32,
    /// A worker that lost its VMID to another guest has made nothing it could remove.
    owns_newid: bool,
    exit: String,
    stopped: bool,
}

/// What a POST asks for once its parameters and the source are found good.
pub(super) struct CloneRequest<'a> {
    pub(super) node: &'a str,
    pub(super) source: u32,
    pub(super) newid: u32,
    pub(super) name: &'a str,
    pub(super) full: bool,
    pub(super) owner: &'a str,
}

/// What the end of a task means for the VM that it was making.
pub(super) enum Ending {
    Complete,
    CleanUp,
    LeaveAlone,
}

/// What a UPID says of a process. No clock: the first one of every fake is the same.
struct Worker {
    pid: usize,
    pstart: usize,
    starttime: usize,
}

impl Worker {
    fn after(earlier: usize) -> Self {
        let number = earlier + 1;
        Self {
            pid: number,
            pstart: number * 10,
            starttime: 0x6B00_0000 + number,
        }
    }
}

impl Task {
    fn new(earlier: usize, request: &CloneRequest) -> Self {
        let &CloneRequest {
            node,
            source,
            newid,
            owner,
            ..
        } = request;
        let worker = Worker::after(earlier);
        Self {
            upid: format!(
                "UPID:{node}:{:08X}:{:08X}:{:08X}:qmclone:{source}:{owner}:",
                worker.pid, worker.pstart, worker.starttime
            ),
            node: node.to_owned(),
            owner: owner.to_owned(),
            log: vec![format!("creating a clone of VM {source} with ID {newid}")],
            newid,
            source,
            worker,
            looks_left: 0,
            owns_newid: false,
            exit: String::new(),
            stopped: false,
        }
    }

    pub(super) fn copying(
        earlier: usize,
        request: &CloneRequest,
        looks: u32,
        exit: String,
    ) -> Self {
        let mut task = Self::new(earlier, request);
        task.owns_newid = true;
        task.looks_left = looks;
        task.exit = exit;
        task.log_copying(request.full);
        task
    }

    /// The request was fine, and then the VMID turned out to be on another node or a container.
    pub(super) fn lost_newid(earlier: usize, request: &CloneRequest) -> Self {
        let mut task = Self::new(earlier, request);
        task.exit = format!(
            "close (rename) atomic file '/etc/pve/nodes/{}/qemu-server/{}.conf' failed: \
             File exists",
            request.node, request.newid
        );
        task
    }

    pub(super) fn is(&self, node: &str, upid: &str) -> bool {
        self.node == node && self.upid == upid
    }

    /// Goes a step on; `Some` at the step that ends it.
    pub(super) fn look(&mut self) -> Option<Ending> {
        if self.stopped {
            return None;
        }
        if self.looks_left > 0 {
            self.looks_left -= 1;
            return None;
        }
        self.stopped = true;
        self.log_end();
        Some(if !self.owns_newid || self.was_killed() {
            Ending::LeaveAlone
        } else if self.ends_well() {
            Ending::Complete
        } else {
            Ending::CleanUp
        })
    }

    fn log_copying(&mut self, full: bool) {
        let (source, newid) = (self.source, self.newid);
        let images = format!("/var/lib/vz/images/{newid}");
        self.log.extend([
            format!("create full clone of drive ide2 (data:{source}/vm-{source}-cloudinit.qcow2)"),
            format!(
                "Formatting '{images}/vm-{newid}-cloudinit.qcow2', fmt=qcow2 cluster_size=65536 \
                 extended_l2=off preallocation=metadata compression_type=zlib size=4194304 \
                 lazy_refcounts=off refcount_bits=16"
            ),
            format!("allocated target volume 'data:{newid}/vm-{newid}-cloudinit.qcow2'"),
        ]);
        let disk = format!("drive scsi0 (data:{source}/base-{source}-disk-0.raw)");
        if !full {
            self.log.push(format!("create linked clone of {disk}"));
            return;
        }
        self.log.extend([
            format!("create full clone of {disk}"),
            format!(
                "Formatting '{images}/vm-{newid}-disk-0.raw', fmt=raw size=2147483648 \
                 preallocation=off"
            ),
            format!("allocated target volume 'data:{newid}/vm-{newid}-disk-0.raw'"),
            "transferred 0.0 B of 2.0 GiB (0.00%)".to_owned(),
            "transferred 1.0 GiB of 2.0 GiB (50.13%)".to_owned(),
        ]);
    }

    fn ends_well(&self) -> bool {
        self.exit == "OK" || self.exit.starts_with("WARNINGS: ")
    }

    /// Nobody writes a last line for a worker that was killed.
    fn was_killed(&self) -> bool {
        self.exit == "unexpected status"
    }

    fn log_end(&mut self) {
        if self.was_killed() {
            return;
        }
        let copied = self
            .log
            .last()
            .is_some_and(|line| line.starts_with("transferred"));
        if copied && self.ends_well() {
            for _ in 0..2 {
                let whole = "transferred 2.0 GiB of 2.0 GiB (100.00%)";
                self.log.push(whole.to_owned());
            }
        }
        if copied && self.exit.ends_with("exit code 1") {
            let full_disk =
                "qemu-img: error while writing at byte 522190848: No space left on device";
            self.log.push(full_disk.to_owned());
        }
        let warnings = self.exit.strip_prefix("WARNINGS: ");
        let warnings = warnings.map_or(0, |count| count.parse().unwrap_or(1));
        for _ in 0..warnings {
            let warning = "WARN: failed to get path and owner of volume \
                           'small:230/vm-230-disk-0.qcow2': storage 'small' does not exist";
            self.log.push(warning.to_owned());
        }
        self.log.push(if self.ends_well() {
            format!("TASK {}", self.exit)
        } else {
            format!("TASK ERROR: {}", self.exit)
        });
    }

    pub(super) fn status(&self) -> Value {
        let (user, token) = self
            .owner
            .split_once('!')
            .expect("an owner is USER@REALM!TOKEN");
        let mut status = json!({
            "id": self.source.to_string(),
            "node": self.node,
            "pid": self.worker.pid,
            "pstart": self.worker.pstart,
            "starttime": self.worker.starttime,
            "status": if self.stopped { "stopped" } else { "running" },
            "tokenid": token,
            "type": "qmclone",
            "upid": self.upid,
            "user": user,
        });
        if self.stopped {
            status["exitstatus"] = json!(self.exit);
        }
        status
    }

    /// The lines from `start` on, at most `limit` of them; 0 is no limit.
    pub(super) fn log_lines(&self, start: usize, limit: usize) -> Vec<Value> {
        let limit = if limit == 0 { usize::MAX } else { limit };
        let numbered = self.log.iter().enumerate().skip(start).take(limit);
        numbered
            .map(|(index, text)| json!({"n": index + 1, "t": text}))
            .collect()
    }
}
