//! The one path that other programs' files name, and how an executable gets there.

mod entry;
mod manifest;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::fs;
use std::io::{self, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use semver::Version;

use entry::entry;
pub use entry::entry_executable;
use manifest::Stamps;
pub use manifest::{Manifest, SourceKind, manifest};
#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

use crate::file::{self, FileError};
use crate::lock::{Lock, LockError};
use crate::{DirsError, Root, dirs};

/// What publishing came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The absolute path that configs name.
    pub entry: PathBuf,
    /// What was done about it.
    pub outcome: Outcome,
}

/// What publishing did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The source is the entry itself: nothing to do.
    IsTheEntry,
    /// Neither the executable nor the entry has changed since they were found equal, so neither was read.
    Unchanged,
    /// The entry was this very executable already.
    Current,
    /// The entry is a link to the system's executable now.
    Linked,
    /// The entry is a copy of the source now.
    Copied,
    /// A newer version, which is still installed elsewhere, stays.
    NewerKept {
        /// The version that stays.
        version: Version,
    },
}

/// Makes `bin/hallpass` this executable: a link to one that the system owns, else a copy whose SHA-256 has
/// been checked. A newer one is kept as long as its source exists. A running entry is never written to. Where nothing
/// has changed since the last time, that is seen without reading them.
pub fn publish(root: &Root, source: &Path, version: &str) -> Result<Published, PublishError> {
    let entry = entry(root);
    let done = |outcome| Ok(Published { entry: entry_executable(root), outcome });
    let version = Version::parse(version)
        .map_err(|source| PublishError::Version { version: version.to_owned(), source })?;
    let real = fs::canonicalize(source).map_err(|error| FileError::from_io("find", source, error))?;
    dirs::ensure_private(&root.bin())?;
    dirs::ensure_private(&root.run())?;
    if manifest(root).is_some_and(|before| before.is_unchanged(&real, &version, &entry)) {
        return done(Outcome::Unchanged);
    }
    let lock_path = root.run().join("publish.lock");
    let Some(_lock) = Lock::acquire_within(&lock_path, PATIENCE)? else {
        return Err(PublishError::Busy);
    };
    system::delete_leftovers(&root.bin());
    let entry_is_link = fs::symlink_metadata(&entry).is_ok_and(|metadata| metadata.is_symlink());
    if !entry_is_link && fs::canonicalize(&entry).is_ok_and(|entry| entry == real) {
        return done(Outcome::IsTheEntry);
    }
    // Taken before it is read: what changes while it is read makes another one.
    let seen = system::stamp(&real);
    let sha256 = file::digest(&real)?;
    let kind = system::source_kind(&real);
    let before = manifest(root);
    let seen_entry = system::stamp(&entry);
    let same = is_current(&entry, &real, sha256, kind);
    if !same
        && let Some(before) = &before
        && before.version > version
        && before.still_stands(&entry)
    {
        return done(Outcome::NewerKept { version: before.version.clone() });
    }
    let outcome = match (same, kind) {
        (true, _) => Outcome::Current,
        (false, SourceKind::System) => {
            system::link(&real, &entry).map_err(|error| FileError::from_io("link", &entry, error))?;
            Outcome::Linked
        }
        (false, SourceKind::Copied) => {
            copy(&real, &entry, sha256)?;
            Outcome::Copied
        }
    };
    let window = before.as_ref().and_then(|before| before.window.clone());
    // A fresh entry is compared once more before it counts as seen.
    let stamps = seen.zip(seen_entry).filter(|_| same).map(|(source, entry)| Stamps { source, entry });
    let after = Manifest { version, sha256: manifest::hex(&sha256), kind, source: real, window, stamps };
    if before.as_ref() != Some(&after) {
        manifest::write(root, &after)?;
    }
    done(outcome)
}

/// Notes how the window is started again (`["/path/to/app", "--hidden"]`), for bridges and the CLI to say.
pub fn record_window(root: &Root, command: &[String]) -> Result<(), PublishError> {
    dirs::ensure_private(&root.run())?;
    let Some(_lock) = Lock::acquire_within(&root.run().join("publish.lock"), PATIENCE)? else {
        return Err(PublishError::Busy);
    };
    let Some(mut manifest) = manifest(root) else { return Err(PublishError::NothingPublished) };
    if manifest.window.as_deref() != Some(command) {
        manifest.window = Some(command.to_vec());
        manifest::write(root, &manifest)?;
    }
    Ok(())
}

/// Why the executable was not published. The entry is as it was.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Not a version as in `1.2.3`.
    #[error("{version} is not a version number")]
    Version {
        /// As it was given.
        version: String,
        /// What is wrong with it.
        source: semver::Error,
    },
    /// Another process has been publishing for 10 seconds.
    #[error("another process is publishing its executable at the moment: try again")]
    Busy,
    /// There is no manifest to note the window in.
    #[error("no executable has been published yet")]
    NothingPublished,
    /// The copy is not what was read: the disk, or somebody at work on the source.
    #[error("the copy of {path} differs from it", path = path.display())]
    CopyDiffers {
        /// The source.
        path: PathBuf,
    },
    /// A folder cannot be used.
    #[error(transparent)]
    Folder(#[from] DirsError),
    /// The lock cannot be used.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

fn is_current(entry: &Path, source: &Path, sha256: [u8; 32], kind: SourceKind) -> bool {
    match kind {
        SourceKind::System => fs::read_link(entry).is_ok_and(|target| target == source),
        SourceKind::Copied => {
            fs::symlink_metadata(entry).is_ok_and(|metadata| metadata.is_file())
                && system::is_executable(entry)
                && file::digest(entry).is_ok_and(|current| current == sha256)
        }
    }
}

fn copy(source: &Path, entry: &Path, sha256: [u8; 32]) -> Result<(), PublishError> {
    let folder = file::folder_of(entry)?;
    let mut scratch = file::scratch(folder)?;
    let failed = |error: io::Error| FileError::from_io("copy", source, error);
    let mut from = fs::File::open(source).map_err(failed)?;
    io::copy(&mut from, scratch.as_file_mut()).map_err(failed)?;
    system::make_executable(scratch.as_file()).map_err(failed)?;
    scratch.as_file().sync_all().map_err(failed)?;
    scratch.as_file_mut().seek(SeekFrom::Start(0)).map_err(failed)?;
    if file::digest(scratch.path())? != sha256 {
        return Err(PublishError::CopyDiffers { path: source.to_owned() });
    }
    system::install(scratch, entry).map_err(|error| FileError::from_io("replace", entry, error))?;
    file::sync_folder(folder).map_err(|error| FileError::from_io("sync", folder, error))?;
    Ok(())
}

const PATIENCE: Duration = Duration::from_secs(10);
