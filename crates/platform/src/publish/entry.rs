//! Where the entry lies and how its path is spelled in other programs' files.

use std::path::PathBuf;

use super::system;
use crate::Root;

/// The absolute path that configs name. On Windows, a home with a space in it is spelled by its short name
/// where the volume has one, since some hosts split commands at spaces.
pub fn entry_executable(root: &Root) -> PathBuf {
    let entry = entry(root);
    if entry.to_string_lossy().contains(' ') {
        system::without_spaces(&entry).unwrap_or(entry)
    } else {
        entry
    }
}

pub(super) fn entry(root: &Root) -> PathBuf {
    root.bin().join(system::ENTRY_NAME)
}
