//! Small files that somebody has named.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Nothing that is set is that long; a device may be without end.
const AT_MOST: u64 = 1 << 20;

/// What a file holds, and what any user of this machine can do with it. Asked of the opened file, so
/// nobody can swap it in between.
pub fn read(path: &Path) -> io::Result<(String, Option<&'static str>)> {
    let mut file = File::open(path)?;
    let mut text = String::new();
    (&mut file).take(AT_MOST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > AT_MOST {
        return Err(io::Error::other("it is longer than 1 MiB"));
    }
    let metadata = file.metadata()?;
    let mode = metadata.permissions().mode();
    Ok((
        text,
        match mode & 0o006 {
            _ if !metadata.is_file() => None,
            0 => None,
            0o004 => Some("read"),
            0o002 => Some("change"),
            _ => Some("read and change"),
        },
    ))
}
