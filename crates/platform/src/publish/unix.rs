//! Links, mode bits, and which executables belong to the system.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use tempfile::NamedTempFile;

use super::SourceKind;
use super::manifest::Stamp;
use crate::file;

pub(super) const ENTRY_NAME: &str = "hallpass";

/// Where package managers put executables. Homebrew's folders are missing on purpose: the version is part of
/// the real path there, so a link would dangle after each upgrade.
const SYSTEM_FOLDERS: [&str; 4] = ["/usr/bin", "/usr/sbin", "/usr/lib", "/usr/libexec"];

/// In seconds.
const COARSEST_CLOCK: i64 = 2;

pub(super) fn source_kind(source: &Path) -> SourceKind {
    source_kind_below(source, &SYSTEM_FOLDERS.map(Path::new), 0)
}

fn source_kind_below(source: &Path, folders: &[&Path], system_uid: u32) -> SourceKind {
    let is_systems = |path: &Path| {
        fs::metadata(path).is_ok_and(|metadata| metadata.uid() == system_uid && metadata.mode() & 0o022 == 0)
    };
    let below = folders.iter().any(|folder| source.starts_with(folder));
    let folder_is = source.parent().is_some_and(is_systems);
    if below && folder_is && is_systems(source) { SourceKind::System } else { SourceKind::Copied }
}

pub(super) fn link(source: &Path, entry: &Path) -> io::Result<()> {
    let folder = entry.parent().ok_or(io::ErrorKind::InvalidInput)?;
    // A folder of its own, so that the link can be made under a fresh name and renamed over the entry.
    let scratch = tempfile::Builder::new().prefix(".hallpass-").tempdir_in(folder)?;
    let fresh = scratch.path().join(ENTRY_NAME);
    symlink(source, &fresh)?;
    fs::rename(&fresh, entry)?;
    file::sync_folder(folder)
}

/// What tells the file at this path (a link itself) from every other and from itself after a change. `None` for one that
/// changed a moment ago: clocks of file systems are coarse, and the next change could look the same.
pub(super) fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::symlink_metadata(path).ok()?;
    let last = metadata.mtime().max(metadata.ctime());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    let age = i64::try_from(now).ok()?.checked_sub(last)?;
    (age > COARSEST_CLOCK).then(|| Stamp {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.size(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}

/// Gives the new file the entry's name; a process that runs the old one keeps it.
pub(super) fn install(scratch: NamedTempFile, entry: &Path) -> io::Result<()> {
    file::persist(scratch, entry)
}

pub(super) fn make_executable(file: &File) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(0o755))
}

pub(super) fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.mode() & 0o111 == 0o111)
}

/// Nothing is left over where a running file can be replaced.
pub(super) fn delete_leftovers(_folder: &Path) {}

/// Only Windows has second names.
pub(super) fn without_spaces(_entry: &Path) -> Option<PathBuf> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::owner;

    #[test]
    fn only_a_closed_executable_of_the_system_is_linked() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("hallpass");
        fs::write(&path, "x").expect("a file");
        fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("a mode");
        let uid = owner::our_uid();
        let kind = |uid| source_kind_below(&path, &[folder.path()], uid);
        assert_eq!(kind(uid), SourceKind::System);
        assert_eq!(kind(uid + 1), SourceKind::Copied, "another owner");
        assert_eq!(source_kind_below(&path, &[Path::new("/usr/bin")], uid), SourceKind::Copied, "elsewhere");
        fs::set_permissions(&path, Permissions::from_mode(0o775)).expect("a mode");
        assert_eq!(kind(uid), SourceKind::Copied, "writable by others");
    }

    #[test]
    fn a_link_takes_the_place_of_a_copy_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let (source, entry) = (folder.path().join("installed"), folder.path().join("hallpass"));
        fs::write(&source, "new").expect("a file");
        fs::write(&entry, "old").expect("a file");
        link(&source, &entry).expect("a link");
        assert_eq!(fs::read_link(&entry).expect("a link"), source);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 2, "nothing is left over");
    }
}
