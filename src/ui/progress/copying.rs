//! The progress of a clone, an import or a download, according to its task's log.

/// The disks of a VM, which Proxmox VE copies one after the other.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Copying {
    /// The number of the current disk; 0 before the first one.
    disk: usize,
    /// The number of disks, if known.
    disks: Option<usize>,
}

impl Copying {
    pub(super) fn of(disks: Option<usize>) -> Copying {
        Copying { disk: 0, disks }
    }

    /// Reads one more line of the log. If it reports how much of a disk is copied, returns the percentage
    /// and a text.
    pub(super) fn read(&mut self, line: &str) -> Option<(usize, String)> {
        // `create full clone of drive scsi0 (data:9000/base-9000-disk-0.raw)`
        if let Some(drive) = line.strip_prefix("create full clone of drive ") {
            // The cloud-init drive is generated, not copied.
            self.disk += usize::from(!drive.contains("cloudinit"));
            return None;
        }
        // ` 32768K ........ ........ ........ ........ 66% 4.11M 4s`
        if let Some((start, rest)) = line.trim_start().split_once("K ")
            && start.bytes().all(|c| c.is_ascii_digit())
        {
            let mut words = rest.split_whitespace().skip_while(|it| !it.ends_with('%'));
            let percent = rounded(words.next()?.strip_suffix('%')?)?;
            let speed = words.next()?.split('=').next()?;
            return Some((percent, format!("{percent:3}%  downloading, {speed}B/s")));
        }
        // `transferred 1.2 GiB of 32.0 GiB (3.75%)`
        let rest = line.strip_prefix("transferred ")?.strip_suffix("%)")?;
        let (amount, percent) = rest.split_once(" (")?;
        let percent = rounded(percent)?;
        let disk = match (self.disk, self.disks) {
            (0, _) => String::new(),
            (disk, Some(disks)) if disks >= disk => format!("  disk {disk} of {disks}"),
            (disk, _) => format!("  disk {disk}"),
        };
        Some((percent, format!("{percent:3}%  {amount}{disk}")))
    }
}

fn rounded(percent: &str) -> Option<usize> {
    let percent = percent.parse::<f64>().ok()?.clamp(0.0, 100.0).round();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is between 0 and 100"
    )]
    Some(percent as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const SCSI0: &str = "create full clone of drive scsi0 (data:9000/base-9000-disk-0.raw)";
    const SCSI1: &str = "create full clone of drive scsi1 (data:9000/base-9000-disk-1.raw)";
    const SCSI2: &str = "create full clone of drive scsi2 (data:9000/base-9000-disk-2.raw)";
    const CLOUD_INIT: &str = "create full clone of drive ide2 (data:9000/vm-9000-cloudinit.qcow2)";
    const TRANSFERRED: &str = "transferred 1.2 GiB of 32.0 GiB (3.75%)";

    #[rstest]
    #[case::before_the_first_disk(&["creating a clone of VM 9000 with ID 101"], None)]
    #[case::disk_begun(&[SCSI0], None)]
    #[case::first_disk(&[SCSI0, TRANSFERRED], Some((4, "  4%  1.2 GiB of 32.0 GiB  disk 1 of 2")))]
    #[case::second_disk_begun(&[SCSI0, TRANSFERRED, SCSI1], None)]
    #[case::second_disk(
        &[SCSI0, TRANSFERRED, SCSI1, "transferred 2.0 GiB of 2.0 GiB (100.00%)"],
        Some((100, "100%  2.0 GiB of 2.0 GiB  disk 2 of 2"))
    )]
    #[case::cloud_init_is_not_counted(
        &[CLOUD_INIT, SCSI0, TRANSFERRED],
        Some((4, "  4%  1.2 GiB of 32.0 GiB  disk 1 of 2"))
    )]
    #[case::more_disks_than_expected(
        &[SCSI0, SCSI1, SCSI2, TRANSFERRED],
        Some((4, "  4%  1.2 GiB of 32.0 GiB  disk 3"))
    )]
    #[case::no_disk_announced(&[TRANSFERRED], Some((4, "  4%  1.2 GiB of 32.0 GiB")))]
    #[case::not_a_number(&["transferred lots (x%)"], None)]
    #[case::no_amount(&["transferred"], None)]
    #[case::download(
        &["     0K ........ ........ ........ ........ 66% 4.11M 4s"],
        Some((66, " 66%  downloading, 4.11MB/s"))
    )]
    #[case::download_done(
        &[" 32768K ........ ........                  100% 3.82M=12s"],
        Some((100, "100%  downloading, 3.82MB/s"))
    )]
    #[case::download_cut_off(&["     0K ........ ...                        22%"], None)]
    #[case::download_of_unknown_size(&["     0K ........ ........ ........ ........ 4.11M"], None)]
    #[case::image(
        &["create full clone of drive (local:import/small.qcow2)", TRANSFERRED],
        Some((4, "  4%  1.2 GiB of 32.0 GiB  disk 1 of 2"))
    )]
    #[case::more_than_all(&["transferred 3 of 2 (150%)"], Some((100, "100%  3 of 2")))]
    fn the_last_line_of_a_log_is_shown_as(
        #[case] lines: &[&str],
        #[case] expected: Option<(usize, &str)>,
    ) {
        let mut copying = Copying::of(Some(2));
        let read = lines.iter().map(|line| copying.read(line)).last().flatten();
        let expected = expected.map(|(percent, text)| (percent, text.to_owned()));
        assert_eq!(read, expected);
    }
}
