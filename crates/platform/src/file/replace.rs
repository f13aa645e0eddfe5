//! Changing a file that belongs to another program: only if it is still what we read, and never in place.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{FileError, digest, folder_of, read_limited, scratch_with, system};

/// What a file must hold at the moment before it is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected<'a> {
    /// Nothing: the file does not exist yet.
    Missing,
    /// Exactly these bytes.
    Bytes(&'a [u8]),
    /// Bytes with this SHA-256.
    Digest([u8; 32]),
}

/// Replaces the content of another program's file and returns the path that was written.
///
/// A symbolic link is kept and its target written. Mode, owner and extended attributes are carried over. The
/// content is compared with `expected` just before the rename ([`FileError::ChangedMeanwhile`]) and with
/// `bytes` after it ([`FileError::NotKept`]). What is read-only stays as it is ([`FileError::ReadOnly`],
/// [`FileError::FolderReadOnly`]). On Windows a file that is in use is tried for 2.5 seconds. The folder must
/// exist; a new file is 0600.
pub fn replace(target: &Path, bytes: &[u8], expected: Expected<'_>) -> Result<PathBuf, FileError> {
    let real = resolve(target)?;
    let folder = folder_of(&real)?;
    compare(&real, expected)?;
    system::check_folder_writable(folder)?;
    let scratch = match expected {
        Expected::Missing => scratch_with(folder, bytes)?,
        Expected::Bytes(_) | Expected::Digest(_) => {
            system::check_file_writable(&real)?;
            let scratch = scratch_with(folder, bytes)?;
            system::carry_over(&real, scratch.as_file())?;
            scratch
        }
    };
    if resolve(target)? != real {
        return Err(FileError::ChangedMeanwhile { path: target.to_owned() });
    }
    compare(&real, expected)?;
    match expected {
        Expected::Missing => {
            scratch.persist_noclobber(&real).map_err(|refused| match refused.error.kind() {
                io::ErrorKind::AlreadyExists => FileError::ChangedMeanwhile { path: real.clone() },
                _ => FileError::from_io("create", &real, refused.error),
            })?;
        }
        Expected::Bytes(_) | Expected::Digest(_) => {
            system::swap(scratch, &real).map_err(|error| FileError::from_io("replace", &real, error))?;
        }
    }
    system::sync_folder(folder).map_err(|error| FileError::from_io("sync", folder, error))?;
    match compare(&real, Expected::Bytes(bytes)) {
        Ok(()) => Ok(real),
        Err(FileError::ChangedMeanwhile { path }) => Err(FileError::NotKept { path }),
        Err(other) => Err(other),
    }
}

/// Removes a file that we had created, if it still holds what `expected` says; one that is already gone is
/// no error. A symbolic link is refused: it is not what we had created.
pub fn remove_if_same(target: &Path, expected: Expected<'_>) -> Result<(), FileError> {
    match fs::symlink_metadata(target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(FileError::from_io("check", target, error)),
        Ok(metadata) if metadata.is_symlink() => return Err(FileError::not_ours(target)),
        Ok(_) => {}
    }
    let folder = folder_of(target)?;
    compare(target, expected)?;
    system::check_folder_writable(folder)?;
    system::check_file_writable(target)?;
    compare(target, expected)?;
    system::remove(target).map_err(|error| FileError::from_io("remove", target, error))?;
    system::sync_folder(folder).map_err(|error| FileError::from_io("sync", folder, error))
}

/// The file behind a chain of links, or the path itself where nothing is there yet.
fn resolve(target: &Path) -> Result<PathBuf, FileError> {
    match fs::canonicalize(target) {
        Ok(real) => Ok(real),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if fs::symlink_metadata(target).is_ok() {
                return Err(FileError::DanglingLink { path: target.to_owned() });
            }
            let folder = folder_of(target)?;
            let folder =
                fs::canonicalize(folder).map_err(|error| FileError::from_io("find", folder, error))?;
            Ok(folder.join(target.file_name().unwrap_or_default()))
        }
        Err(error) => Err(FileError::from_io("find", target, error)),
    }
}

fn compare(path: &Path, expected: Expected<'_>) -> Result<(), FileError> {
    let same = match expected {
        Expected::Missing => match fs::symlink_metadata(path) {
            Ok(_) => false,
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => return Err(FileError::from_io("check", path, error)),
        },
        Expected::Bytes(bytes) => match read_limited(path, u64::try_from(bytes.len()).unwrap_or(u64::MAX)) {
            Ok(current) => current == bytes,
            Err(FileError::TooLarge { .. } | FileError::Missing { .. }) => false,
            Err(other) => return Err(other),
        },
        Expected::Digest(expected) => match digest(path) {
            Ok(current) => current == expected,
            Err(FileError::Missing { .. }) => false,
            Err(other) => return Err(other),
        },
    };
    if same { Ok(()) } else { Err(FileError::ChangedMeanwhile { path: path.to_owned() }) }
}
