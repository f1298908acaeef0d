//! Drives as written in a configuration: `data:101/vm-101-disk-0.raw,size=2G`.

use std::fmt;

use super::storages::folder;
use super::stored_values::tidy;

/// In the order of Proxmox VE, with the number of drives of each.
const BUSES: [(&str, u32); 6] = [
    ("ide", 4),
    ("scsi", 31),
    ("virtio", 16),
    ("sata", 6),
    ("efidisk", 1),
    ("tpmstate", 1),
];
/// The rank of a drive in the order of Proxmox VE; `None` if the option is no drive.
pub(super) fn rank_of_drive(option: &str) -> Option<(usize, u32)> {
    let mut buses = BUSES.iter().enumerate();
    buses.find_map(|(rank, (bus, count))| {
        let number = option.strip_prefix(bus)?.parse().ok()?;
        (number < *count).then_some((rank, number))
    })
}

/// The names of all possible drives, as listed in an error.
pub(super) fn drive_names() -> String {
    let names = BUSES
        .iter()
        .flat_map(|(bus, count)| (0..*count).map(move |number| format!("{bus}{number}")));
    names.collect::<Vec<_>>().join(", ")
}

#[derive(Clone)]
pub(super) struct Drive {
    /// `STORAGE:VOLUME`, or `none`.
    pub(super) file: String,
    settings: Vec<(String, String)>,
}

impl Drive {
    pub(super) fn parse(text: &str) -> Self {
        let mut parts = text.split(',');
        let first = parts.next().unwrap_or_default();
        let mut settings: Vec<_> = parts
            .map(|part| part.split_once('=').unwrap_or((part, "")))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        settings.sort();
        Self {
            file: first.strip_prefix("file=").unwrap_or(first).to_owned(),
            settings,
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.settings.iter().find(|(known, _)| known == name)?;
        Some(value)
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.settings.push((name.to_owned(), value.to_owned()));
        self.settings.sort();
    }

    /// As the server writes it.
    pub(super) fn tidy(&mut self, option: &str) {
        tidy(option, &mut self.settings);
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.settings.retain(|(known, _)| known != name);
    }

    pub(super) fn storage(&self) -> Option<&str> {
        Some(self.file.split_once(':')?.0)
    }

    pub(super) fn volume(&self) -> &str {
        self.file.split_once(':').map_or("", |(_, volume)| volume)
    }

    /// The path in a directory storage.
    pub(super) fn path(&self) -> String {
        let (storage, volume) = self.file.split_once(':').unwrap_or(("", &self.file));
        let own = volume.rsplitn(3, '/').take(2).collect::<Vec<_>>();
        let own: Vec<&str> = own.into_iter().rev().collect();
        format!("{}/images/{}", folder(storage), own.join("/"))
    }

    pub(super) fn is_cdrom(&self) -> bool {
        self.get("media") == Some("cdrom") || self.is_cloudinit()
    }

    pub(super) fn is_cloudinit(&self) -> bool {
        self.volume().contains("cloudinit")
    }

    /// A disk of a template: `base-9000-disk-0.raw`, possibly in a folder.
    pub(super) fn is_base(&self) -> bool {
        let name = self.volume().rsplit('/').next();
        name.is_some_and(|name| name.starts_with("base-"))
    }

    /// Bytes.
    pub(super) fn size(&self) -> Option<u64> {
        parse_size(self.get("size")?)
    }

    /// The size to allocate for `STORAGE:GIBIBYTES`.
    pub(super) fn size_to_allocate(&self) -> Option<u64> {
        let gibibytes = self.volume();
        let is_number = gibibytes.starts_with(|c: char| c.is_ascii_digit());
        let size = parse_size(&format!("{gibibytes}G"));
        size.filter(|_| is_number && !self.is_cdrom())
    }
}

impl fmt::Display for Drive {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.file)?;
        let mut settings = self.settings.iter();
        settings.try_for_each(|(name, value)| write!(out, ",{name}={value}"))
    }
}

/// Bytes of `2G`, `10444M`, `1.5T` or a bare number.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    let number = text.trim_end_matches(['K', 'M', 'G', 'T']);
    let shift = match &text[number.len()..] {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return None,
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(part) {
        return None;
    }
    let tenths = 10_u64.checked_pow(u32::try_from(part.len()).ok()?)?;
    let part = (u128::from(part.parse::<u64>().ok()?) << shift) / u128::from(tenths);
    let whole = u128::from(whole.parse::<u64>().ok()?) << shift;
    u64::try_from(whole + part).ok()
}

/// In the largest unit that gives a whole number.
pub(super) fn format_size(bytes: u64) -> String {
    let units = [("T", 40), ("G", 30), ("M", 20), ("K", 10)];
    let fits = |&(_, shift): &(&str, u32)| bytes.is_multiple_of(1 << shift);
    let unit = units.into_iter().find(fits);
    unit.filter(|_| bytes > 0).map_or_else(
        || bytes.to_string(),
        |(unit, shift)| format!("{}{unit}", bytes >> shift),
    )
}

/// `vm-101-disk-1`, with the lowest number that none of these volumes on the storage has.
pub(super) fn free_disk_name(storage: &str, vmid: u32, volumes: &[String]) -> String {
    let on_storage = |volume: &&String| volume.split(':').next() == Some(storage);
    let last_parts = volumes.iter().filter(on_storage).filter_map(|volume| {
        let name = volume.rsplit(['/', ':']).next()?;
        Some(name.split('.').next().unwrap_or(name))
    });
    let taken: Vec<&str> = last_parts.collect();
    let mut names = (0..).map(|number| format!("vm-{vmid}-disk-{number}"));
    let free = names.find(|name| !taken.contains(&name.as_str()));
    free.expect("enough numbers")
}
