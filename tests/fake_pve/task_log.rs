//! What a clone's worker writes down while it works.

use serde_json::{Value, json};

use super::tasks::Task;

impl Task {
    /// The line that the winners of a race write, and some of its losers.
    pub(super) fn creating_line(&self) -> String {
        let order = &self.order;
        format!(
            "creating a clone of VM {} with ID {}",
            order.source, order.newid
        )
    }

    pub(super) fn log_copying(&mut self) {
        let (source, newid) = (self.order.source, self.order.newid);
        let images = format!("/var/lib/vz/images/{newid}");
        self.log.extend([
            self.creating_line(),
            format!("create full clone of drive ide2 (data:{source}/vm-{source}-cloudinit.qcow2)"),
            format!(
                "Formatting '{images}/vm-{newid}-cloudinit.qcow2', fmt=qcow2 cluster_size=65536 \
                 extended_l2=off preallocation=metadata compression_type=zlib size=4194304 \
                 lazy_refcounts=off refcount_bits=16"
            ),
            format!("allocated target volume 'data:{newid}/vm-{newid}-cloudinit.qcow2'"),
        ]);
        let disk = format!("drive scsi0 (data:{source}/base-{source}-disk-0.raw)");
        if !self.order.full {
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

    pub(super) fn log_end(&mut self) {
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

    /// The lines from `start` on, at most `limit` of them; 0 is no limit.
    pub(super) fn log_lines(&self, start: usize, limit: usize) -> Vec<Value> {
        let limit = if limit == 0 { usize::MAX } else { limit };
        let numbered = self.log.iter().enumerate().skip(start).take(limit);
        numbered
            .map(|(index, text)| json!({"n": index + 1, "t": text}))
            .collect()
    }
}
