//! Reads small files that the user names.

use std::fs::File;
use std::io::{self, Read};

/// The maximum length. No valid file is longer, but a device may be endless.
const MAX_LENGTH: u64 = 1 << 20;

/// The contents of an open file, without the byte order mark that some editors write.
pub fn read(file: &mut File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MAX_LENGTH + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_LENGTH {
        return Err(io::Error::other("longer than 1 MiB"));
    }
    match bytes[..] {
        [0xEF, 0xBB, 0xBF, ..] => Ok(bytes.split_off(3)),
        [0xFE, 0xFF, ..] | [0xFF, 0xFE, ..] => Err(io::Error::other("UTF-16; save it as UTF-8")),
        _ => Ok(bytes),
    }
}
