//! `--resize`: new disk sizes.

use std::str::FromStr;

use crate::pve::{Size, property};

/// A disk and its new size.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resize {
    /// Its key in a VM's configuration: `scsi0`.
    pub disk: String,
    pub to: NewSize,
}

/// The new size of a disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NewSize {
    /// `32G`
    Absolute(Size),
    /// `+8G`: the size of the template's disk plus this.
    MoreThanTemplate(Size),
}

impl FromStr for Resize {
    type Err = String;

    fn from_str(text: &str) -> Result<Resize, String> {
        let expected = "expected DISK=SIZE, like scsi0=32G or scsi0=+8G";
        let (disk, size) = text.split_once('=').ok_or(expected)?;
        if !property::is_drive(disk) {
            return Err("expected a disk like scsi0, virtio0, sata0 or ide0".to_owned());
        }
        // The server would take a number without a unit as bytes, which nobody intends.
        if size.ends_with(|c: char| c.is_ascii_digit()) {
            return Err("the size needs a unit (K, M, G or T), like scsi0=32G".to_owned());
        }
        let parse = |size: &str| size.parse::<Size>().map_err(|error| error.to_string());
        let to = match size.strip_prefix('+') {
            Some(more) => NewSize::MoreThanTemplate(parse(more)?),
            None => NewSize::Absolute(parse(size)?),
        };
        let disk = disk.to_owned();
        Ok(Resize { disk, to })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const NOT_A_DISK: &str = "expected a disk like scsi0, virtio0, sata0 or ide0";
    const NO_UNIT: &str = "the size needs a unit (K, M, G or T), like scsi0=32G";
    const NOT_A_SIZE: &str = "expected a number followed by K, M, G or T, like 32G";

    #[rstest]
    #[case::absolute("scsi0=32G", Ok(("scsi0", NewSize::Absolute(Size(32 << 30)))))]
    #[case::relative("virtio1=+512M", Ok(("virtio1", NewSize::MoreThanTemplate(Size(512 << 20)))))]
    #[case::no_size("scsi0", Err("expected DISK=SIZE, like scsi0=32G or scsi0=+8G"))]
    #[case::not_a_disk("32G=scsi0", Err(NOT_A_DISK))]
    #[case::controller("scsihw=32G", Err(NOT_A_DISK))]
    #[case::no_unit("scsi0=32", Err(NO_UNIT))]
    #[case::relative_without_unit("scsi0=+8", Err(NO_UNIT))]
    #[case::not_a_size("scsi0=big", Err(NOT_A_SIZE))]
    #[case::shrinking("scsi0=-8G", Err(NOT_A_SIZE))]
    fn a_disk_and_its_size_are_parsed(
        #[case] text: &str,
        #[case] expected: Result<(&str, NewSize), &str>,
    ) {
        let resize: Result<Resize, String> = text.parse();
        let parsed = resize
            .as_ref()
            .map(|resize| (resize.disk.as_str(), resize.to));
        assert_eq!(parsed.map_err(String::as_str), expected);
    }
}
