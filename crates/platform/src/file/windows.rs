//! How Windows replaces a file: with patience, since virus scanners and indexers hold files for moments.
#![expect(unsafe_code, reason = "ReplaceFileW has no safe interface")]

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::ptr::null;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;
use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_LOCK_VIOLATION, ERROR_SHARING_VIOLATION, ERROR_UNABLE_TO_MOVE_REPLACEMENT,
    ERROR_UNABLE_TO_MOVE_REPLACEMENT_2, ERROR_UNABLE_TO_REMOVE_REPLACED,
};
use windows_sys::Win32::Storage::FileSystem::{
    REPLACEFILE_IGNORE_ACL_ERRORS, REPLACEFILE_IGNORE_MERGE_ERRORS, ReplaceFileW,
};

use super::FileError;
use crate::wide::wide;

pub(super) fn open_without_waiting(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// Gives the scratch file its name, over whatever had it.
pub(crate) fn persist(scratch: NamedTempFile, target: &Path) -> io::Result<()> {
    let mut scratch = Some(scratch.into_temp_path());
    patiently(|| {
        let Some(path) = scratch.take() else { return Ok(()) };
        path.persist(target).map_err(|refused| {
            scratch = Some(refused.path);
            refused.error
        })
    })
}

/// As [`persist`], over a file of another program: access list, attributes and streams stay.
pub(super) fn swap(scratch: NamedTempFile, target: &Path) -> io::Result<()> {
    // Closed, but still removed if we fail; after a success there is nothing left to remove.
    let scratch = scratch.into_temp_path();
    let (new, old) = (wide(&*scratch)?, wide(target)?);
    patiently(|| {
        let flags = REPLACEFILE_IGNORE_MERGE_ERRORS | REPLACEFILE_IGNORE_ACL_ERRORS;
        // SAFETY: both paths end with a zero and outlive the call; the other pointers may be null.
        let done = unsafe { ReplaceFileW(old.as_ptr(), new.as_ptr(), null(), flags, null(), null()) };
        if done != 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error().map(i32::cast_unsigned) {
            // The old file is out of the way already: all that is left to do is the last step.
            Some(ERROR_UNABLE_TO_MOVE_REPLACEMENT | ERROR_UNABLE_TO_MOVE_REPLACEMENT_2) => {
                fs::rename(&scratch, target)
            }
            _ => Err(error),
        }
    })
}

pub(super) fn remove(path: &Path) -> io::Result<()> {
    patiently(|| fs::remove_file(path))
}

/// NTFS keeps a journal of names; a folder cannot be synced.
#[expect(clippy::unnecessary_wraps, reason = "its unix counterpart can fail")]
pub(crate) fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

/// Refuses a file with the read-only mark.
pub(super) fn check_file_writable(path: &Path) -> Result<(), FileError> {
    let metadata = fs::metadata(path).map_err(|error| FileError::from_io("check", path, error))?;
    if metadata.permissions().readonly() {
        return Err(FileError::ReadOnly { path: path.to_owned() });
    }
    Ok(())
}

/// The read-only mark of a folder means nothing here; one that takes no files shows it by refusing ours.
#[expect(clippy::unnecessary_wraps, reason = "its unix counterpart can fail")]
pub(super) fn check_folder_writable(_folder: &Path) -> Result<(), FileError> {
    Ok(())
}

/// Replacing keeps what there is to keep.
#[expect(clippy::unnecessary_wraps, reason = "its unix counterpart can fail")]
pub(super) fn carry_over(_old: &Path, _new: &File) -> Result<(), FileError> {
    Ok(())
}

/// Tries again for 2.5 seconds while the file is in use.
fn patiently(mut attempt: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    let start = Instant::now();
    loop {
        match attempt() {
            Err(error) if is_in_use(&error) && start.elapsed() < PATIENCE => thread::sleep(INTERVAL),
            outcome => return outcome,
        }
    }
}

fn is_in_use(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(i32::cast_unsigned),
        Some(
            ERROR_ACCESS_DENIED
                | ERROR_SHARING_VIOLATION
                | ERROR_LOCK_VIOLATION
                | ERROR_UNABLE_TO_REMOVE_REPLACED
        )
    )
}

const PATIENCE: Duration = Duration::from_millis(2500);
const INTERVAL: Duration = Duration::from_millis(50);
