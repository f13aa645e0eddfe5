//! Files that are replaced whole or not at all: ours (private) and other programs' (kept as they were).

mod error;
mod replace;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

pub use error::FileError;
pub use replace::{Expected, remove_if_same, replace};

#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

use crate::owner;

/// Reads a regular file of at most `max_bytes` bytes, following links.
pub fn read_limited(path: &Path, max_bytes: u64) -> Result<Vec<u8>, FileError> {
    let file = system::open_without_waiting(path).map_err(|error| FileError::from_io("open", path, error))?;
    read_open(path, file, max_bytes)
}

/// As [`read_limited`] for a file that only this user may have written: no link, owned by this user, closed
/// to other writers. Anything else is [`FileError::NotOurs`].
pub fn read_private(path: &Path, max_bytes: u64) -> Result<Vec<u8>, FileError> {
    read_open(path, open_private(path)?, max_bytes)
}

/// As [`read_private`] for a file that nobody else may even read: [`FileError::Readable`] otherwise. On Windows, where
/// files below a profile inherit its access list, it is [`read_private`].
pub fn read_secret(path: &Path, max_bytes: u64) -> Result<Vec<u8>, FileError> {
    let file = open_private(path)?;
    if !owner::file_is_secret(&file).map_err(|error| FileError::from_io("check", path, error))? {
        return Err(FileError::Readable { path: path.to_owned() });
    }
    read_open(path, file, max_bytes)
}

/// Writes a file of ours: 0600, and at each moment either the old content or the new, also after a crash.
/// Its folder must exist.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let folder = folder_of(path)?;
    let scratch = scratch_with(folder, bytes)?;
    system::persist(scratch, path).map_err(|error| FileError::from_io("replace", path, error))?;
    system::sync_folder(folder).map_err(|error| FileError::from_io("sync", folder, error))
}

/// SHA-256 of a file's content, read in pieces.
pub fn digest(path: &Path) -> Result<[u8; 32], FileError> {
    let mut file =
        system::open_without_waiting(path).map_err(|error| FileError::from_io("open", path, error))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hash.finalize().into()),
            Ok(count) => hash.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(FileError::from_io("read", path, error)),
        }
    }
}

pub(crate) fn folder_of(path: &Path) -> Result<&Path, FileError> {
    match path.parent() {
        Some(folder) if path.file_name().is_some() => {
            Ok(if folder == Path::new("") { Path::new(".") } else { folder })
        }
        Some(_) | None => Err(FileError::NotAFile { path: path.to_owned() }),
    }
}

/// An empty 0600 file in `folder`, which is removed unless it is persisted.
pub(crate) fn scratch(folder: &Path) -> Result<NamedTempFile, FileError> {
    tempfile::Builder::new()
        .prefix(".hallpass-")
        // By hand: tempfile's own way marks the file as temporary on Windows, and the mark would stay.
        .make_in(folder, |path| owner::no_follow().read(true).write(true).create_new(true).open(path))
        .map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                FileError::FolderReadOnly { folder: folder.to_owned() }
            }
            _ => FileError::from_io("create a file in", folder, error),
        })
}

#[cfg(unix)]
pub(crate) use system::persist;
pub(crate) use system::sync_folder;

/// A synced scratch file with the given content.
fn scratch_with(folder: &Path, bytes: &[u8]) -> Result<NamedTempFile, FileError> {
    let mut scratch = scratch(folder)?;
    let written = scratch.write_all(bytes).and_then(|()| scratch.as_file().sync_all());
    written.map_err(|error| FileError::from_io("write", scratch.path(), error))?;
    Ok(scratch)
}

fn open_private(path: &Path) -> Result<File, FileError> {
    let opened = owner::no_follow().read(true).open(path);
    let file = opened.map_err(|error| {
        let is_link = path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink());
        if is_link { FileError::not_ours(path) } else { FileError::from_io("open", path, error) }
    })?;
    if !owner::file_is_private(&file).map_err(|error| FileError::from_io("check", path, error))? {
        return Err(FileError::not_ours(path));
    }
    Ok(file)
}

fn read_open(path: &Path, file: File, max_bytes: u64) -> Result<Vec<u8>, FileError> {
    let metadata = file.metadata().map_err(|error| FileError::from_io("check", path, error))?;
    if !metadata.is_file() {
        return Err(FileError::NotAFile { path: path.to_owned() });
    }
    let mut bytes = Vec::new();
    file.take(max_bytes.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| FileError::from_io("read", path, error))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > max_bytes) {
        return Err(FileError::TooLarge { path: path.to_owned(), limit: max_bytes });
    }
    Ok(bytes)
}
