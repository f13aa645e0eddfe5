//! Replacing an executable that is running: it is renamed out of the way.
#![expect(unsafe_code, reason = "short names have no safe interface")]

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use windows_sys::Win32::Storage::FileSystem::GetShortPathNameW;

use super::SourceKind;
use super::manifest::Stamp;
use crate::wide::{filled, wide};

pub(super) const ENTRY_NAME: &str = "hallpass.exe";

/// Always a copy: links want a privilege here, and no package manager owns executables for good.
pub(super) fn source_kind(_source: &Path) -> SourceKind {
    SourceKind::Copied
}

pub(super) fn link(_source: &Path, _entry: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Whoever writes a file here can give it back all the times that can be asked for in a safe way: it is read.
pub(super) fn stamp(_path: &Path) -> Option<Stamp> {
    None
}

/// Gives the new file the entry's name. One that is running keeps its file under another name.
pub(super) fn install(scratch: NamedTempFile, entry: &Path) -> io::Result<()> {
    let scratch = scratch.into_temp_path();
    let refused = match scratch.persist(entry) {
        Ok(()) => return Ok(()),
        Err(refused) => refused,
    };
    if !entry.exists() {
        return Err(refused.error);
    }
    let aside = (1..).map(|number| entry.with_file_name(format!("{STEM}.{number}.old")));
    let aside = aside.take(MOST_LEFTOVERS).find(|path| !path.exists()).ok_or(refused.error)?;
    fs::rename(entry, &aside)?;
    refused.path.persist(entry).map_err(|failed| {
        // Better the old one than none.
        let _ = fs::rename(&aside, entry);
        failed.error
    })
}

#[expect(clippy::unnecessary_wraps, reason = "its unix counterpart can fail")]
pub(super) fn make_executable(_file: &File) -> io::Result<()> {
    Ok(())
}

pub(super) fn is_executable(_path: &Path) -> bool {
    true
}

/// Removes earlier executables that nothing runs any more; the others go next time.
pub(super) fn delete_leftovers(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(STEM) && name.ends_with(".old") {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// The path spelled without spaces, where the volume keeps short names.
pub(super) fn without_spaces(entry: &Path) -> Option<PathBuf> {
    // Only what exists has a short name: the folder, and the name below it has no space.
    let long = wide(entry.parent()?).ok()?;
    // SAFETY: the path ends with a zero, and the buffer is as long as we say.
    let short = filled(|buffer| unsafe {
        GetShortPathNameW(long.as_ptr(), buffer.as_mut_ptr(), u32::try_from(buffer.len()).unwrap_or(0))
    });
    let short = PathBuf::from(short.ok()?).join(entry.file_name()?);
    (!short.to_string_lossy().contains(' ')).then_some(short)
}

const STEM: &str = "hallpass.";
const MOST_LEFTOVERS: usize = 10_000;
