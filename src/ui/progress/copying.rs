//! How far a clone has come, from what its task writes down.

/// The disks of a VM while they are copied, one after the other.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Copying {
    /// Which of them is in hand; 0 before the first one.
    pub(super) disk: usize,
    /// How many there are, if that is known.
    pub(super) disks: Option<usize>,
    /// How much of it is there: `1.2 GiB of 32.0 GiB`.
    pub(super) amount: Option<String>,
    /// The same in percent.
    pub(super) percent: f64,
}

impl Copying {
    /// Takes in one more line of the log.
    pub(super) fn read(&mut self, line: &str) {
        // `create full clone of drive scsi0 (data:9000/base-9000-disk-0.raw)`
        if let Some(drive) = line.strip_prefix("create full clone of drive ") {
            // Which is made anew, in no time, and is no disk to whoever looks on.
            if !drive.contains("cloudinit") {
                self.disk += 1;
                self.amount = None;
                self.percent = 0.0;
            }
            return;
        }
        // `transferred 1.2 GiB of 32.0 GiB (3.75%)`
        let Some((amount, percent)) = line
            .strip_prefix("transferred ")
            .and_then(|rest| rest.strip_suffix("%)"))
            .and_then(|rest| rest.split_once(" ("))
        else {
            return;
        };
        if let Ok(percent) = percent.parse::<f64>() {
            self.amount = Some(amount.to_owned());
            self.percent = percent.clamp(0.0, 100.0);
        }
    }

    /// `disk 1 of 2`
    pub(super) fn which_disk(&self) -> Option<String> {
        let disk = (self.disk > 0).then_some(self.disk)?;
        Some(match self.disks {
            Some(disks) if disks >= disk => format!("disk {disk} of {disks}"),
            _ => format!("disk {disk}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::nothing_yet(&["creating a clone of VM 9000 with ID 101"], (None, None, 0.0))]
    #[case::begun(
        &["create full clone of drive scsi0 (data:9000/base-9000-disk-0.raw)"],
        (Some("disk 1 of 2"), None, 0.0)
    )]
    #[case::under_way(
        &[
            "create full clone of drive scsi0 (data:9000/base-9000-disk-0.raw)",
            "transferred 1.2 GiB of 32.0 GiB (3.75%)",
        ],
        (Some("disk 1 of 2"), Some("1.2 GiB of 32.0 GiB"), 3.75)
    )]
    #[case::the_next_disk(
        &[
            "create full clone of drive scsi0 (data:9000/base-9000-disk-0.raw)",
            "transferred 2.0 GiB of 2.0 GiB (100.00%)",
            "create full clone of drive scsi1 (data:9000/base-9000-disk-1.raw)",
        ],
        (Some("disk 2 of 2"), None, 0.0)
    )]
    #[case::cloud_init_is_no_disk(
        &["create full clone of drive ide2 (data:9000/vm-9000-cloudinit.qcow2)"],
        (None, None, 0.0)
    )]
    #[case::more_than_there_were(
        &[
            "create full clone of drive scsi0 (a)",
            "create full clone of drive scsi1 (b)",
            "create full clone of drive scsi2 (c)",
        ],
        (Some("disk 3"), None, 0.0)
    )]
    #[case::nonsense(&["transferred lots (x%)", "transferred"], (None, None, 0.0))]
    #[case::beyond_all(&["transferred 3 of 2 (150%)"], (None, Some("3 of 2"), 100.0))]
    fn the_log_tells_how_far_it_is(
        #[case] lines: &[&str],
        #[case] (disk, amount, percent): (Option<&str>, Option<&str>, f64),
    ) {
        let mut copying = Copying {
            disks: Some(2),
            ..Copying::default()
        };
        for line in lines {
            copying.read(line);
        }
        let seen = (copying.which_disk(), copying.amount, copying.percent);
        assert_eq!(
            seen,
            (disk.map(str::to_owned), amount.map(str::to_owned), percent)
        );
    }
}
