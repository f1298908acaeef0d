//! The size of a guest: processors, memory, and its first disk.

use serde_json::{Map, Value};

use super::copies::drives_of;

/// Bytes, except for the number of processors.
#[derive(Clone)]
pub(super) struct Sizes {
    pub(super) cpus: u64,
    pub(super) memory: u64,
    pub(super) disk: u64,
}

const MIB: u64 = 1 << 20;
/// MiB.
const USUAL_MEMORY: u64 = 512;

impl Sizes {
    /// Those of a guest with the default options.
    pub(super) const USUAL: Self = Self {
        cpus: 1,
        memory: USUAL_MEMORY * MIB,
        disk: 2048 * MIB,
    };
}

/// Without a disk, its size is 0.
pub(super) fn sizes_of(config: &Map<String, Value>) -> Sizes {
    let number = |option: &str, usual: u64| match config.get(option) {
        Some(Value::Number(number)) => number.as_u64().unwrap_or(usual),
        Some(Value::String(text)) => {
            let digits = text.strip_prefix("current=").unwrap_or(text);
            digits.parse().unwrap_or(usual)
        }
        _ => usual,
    };
    let drives = drives_of(config).into_iter();
    let mut disks = drives.filter(|(_, drive)| !drive.is_cdrom());
    Sizes {
        cpus: number("sockets", 1) * number("cores", 1),
        memory: number("memory", USUAL_MEMORY) * MIB,
        disk: disks.find_map(|(_, disk)| disk.size()).unwrap_or(0),
    }
}
