//! How large a disk shall be: `--resize`.

use std::str::FromStr;

use snafu::{OptionExt, ResultExt, Snafu, ensure};

use crate::pve::{NotASize, Size, property};

/// A disk, and how large it shall be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resize {
    /// Its key in a VM's configuration: `scsi0`.
    pub disk: String,
    /// Its new size.
    pub to: NewSize,
}

/// How large a disk shall be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NewSize {
    /// That large: `32G`.
    Absolute(Size),
    /// That much larger than the template's: `+8G`.
    MoreThanTemplate(Size),
}

impl FromStr for Resize {
    type Err = Error;

    fn from_str(text: &str) -> Result<Resize, Error> {
        let (disk, size) = text.split_once('=').context(NoSizeSnafu)?;
        ensure!(property::is_drive(disk), NotADiskSnafu);
        // For the server a number alone is one of bytes, which nobody means.
        let has_unit = !size.ends_with(|c: char| c.is_ascii_digit());
        ensure!(has_unit, NoUnitSnafu);
        let to = match size.strip_prefix('+') {
            Some(more) => NewSize::MoreThanTemplate(more.parse().context(BadSizeSnafu)?),
            None => NewSize::Absolute(size.parse().context(BadSizeSnafu)?),
        };
        Ok(Resize {
            disk: disk.to_owned(),
            to,
        })
    }
}

/// Not a disk and its size.
#[derive(Debug, PartialEq, Eq, Snafu)]
#[allow(missing_docs)]
pub enum Error {
    #[snafu(display("this is not DISK=SIZE, like scsi0=32G or scsi0=+8G"))]
    NoSize,

    #[snafu(display("this is no disk, like scsi0, virtio0, sata0 or ide0"))]
    NotADisk,

    #[snafu(display("the size has no unit, K, M, G or T, like scsi0=32G"))]
    NoUnit,

    #[snafu(display("{source}"))]
    BadSize { source: NotASize },
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::absolute("scsi0=32G", Ok(("scsi0", NewSize::Absolute(Size(32 << 30)))))]
    #[case::relative("virtio1=+512M", Ok(("virtio1", NewSize::MoreThanTemplate(Size(512 << 20)))))]
    #[case::no_size("scsi0", Err(Error::NoSize))]
    #[case::no_disk("32G=scsi0", Err(Error::NotADisk))]
    #[case::controller("scsihw=32G", Err(Error::NotADisk))]
    #[case::no_unit("scsi0=32", Err(Error::NoUnit))]
    #[case::relative_without_unit("scsi0=+8", Err(Error::NoUnit))]
    #[case::bad_size("scsi0=big", Err(Error::BadSize { source: NotASize }))]
    #[case::shrinking("scsi0=-8G", Err(Error::BadSize { source: NotASize }))]
    fn a_disk_and_its_size_are_read(
        #[case] text: &str,
        #[case] expected: Result<(&str, NewSize), Error>,
    ) {
        let resize: Result<Resize, Error> = text.parse();
        let read = resize.map(|Resize { disk, to }| (disk, to));
        assert_eq!(read, expected.map(|(disk, to)| (disk.to_owned(), to)));
    }
}
