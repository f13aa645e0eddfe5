//! Locks that the kernel frees when their holder dies: no pids, no ages, no heartbeats.

use std::collections::HashSet;
use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::{owner, process};

/// An operating system lock on a file, held until this value is dropped or the process ends, however it
/// ends. The file itself stays: deleting it would let two holders lock two files of one name.
#[derive(Debug)]
pub struct Lock {
    file: File,
    key: PathBuf,
}

impl Lock {
    /// Takes the lock, or returns `None` where another process, or another part of this one, holds it.
    ///
    /// The file is created 0600 and opened without following links; its folder must exist.
    pub fn try_acquire(path: &Path) -> Result<Option<Self>, LockError> {
        let io = |source| LockError::Io { path: path.to_owned(), source };
        let key = key(path).map_err(io)?;
        let mut held = held();
        if held.contains(&key) {
            return Ok(None);
        }
        let file =
            owner::no_follow().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        if !owner::file_is_private(&file).map_err(io)? {
            return Err(LockError::NotOurs { path: path.to_owned() });
        }
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        held.insert(key.clone());
        let mut lock = Self { file, key };
        // For messages alone, so a failure to write it is none of taking the lock.
        let _ = lock.write_holder();
        Ok(Some(lock))
    }

    /// As [`Lock::try_acquire`], asking again until `patience` is over. Blocks the thread.
    pub fn acquire_within(path: &Path, patience: Duration) -> Result<Option<Self>, LockError> {
        let start = Instant::now();
        loop {
            if let Some(lock) = Self::try_acquire(path)? {
                return Ok(Some(lock));
            }
            if start.elapsed() >= patience {
                return Ok(None);
            }
            thread::sleep(INTERVAL);
        }
    }

    /// True if the lock's file lies in `folder`.
    pub fn is_in(&self, folder: &Path) -> bool {
        folder.canonicalize().is_ok_and(|folder| self.key.parent() == Some(&folder))
    }

    fn write_holder(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        writeln!(self.file, "{} {}", std::process::id(), process::host_name())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // By hand, since closing the file is not enough where a process is being started at this moment: between
        // fork and exec it has the file too. What cannot be unlocked is closed next (Wine unlocks and reports an
        // error all the same).
        let _ = self.file.unlock();
        held().remove(&self.key);
    }
}

/// Who wrote itself into a lock file last. Good for a message, never for a decision: only the lock itself
/// says whether that process still holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Process id on that host.
    pub pid: u32,
    /// Name of the host, which differs from ours on a home that two machines share.
    pub host: String,
}

/// Reads who holds (or last held) the lock. `None` where nobody wrote it down or the system does not let
/// a locked file be read.
pub fn holder(path: &Path) -> Option<Holder> {
    let mut text = String::new();
    owner::no_follow().read(true).open(path).ok()?.take(HOLDER_BYTES).read_to_string(&mut text).ok()?;
    let (pid, host) = text.trim_end().split_once(' ')?;
    Some(Holder { pid: pid.parse().ok()?, host: host.to_owned() })
}

/// Why a lock could not even be tried.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The lock file is a strange thing or open to others, who could hold it for ever.
    #[error("the lock file {path} is not a file that belongs to this user alone: remove it", path = path.display())]
    NotOurs {
        /// The lock file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot use the lock file {path}", path = path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// One spelling for one lock: the real folder, then the name.
fn key(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        Some(_) | None => Path::new("."),
    };
    Ok(folder.canonicalize()?.join(name))
}

/// The locks of this process, since some systems grant the same process a lock twice.
fn held() -> MutexGuard<'static, HashSet<PathBuf>> {
    static HELD: LazyLock<Mutex<HashSet<PathBuf>>> = LazyLock::new(Mutex::default);
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

const INTERVAL: Duration = Duration::from_millis(20);
const HOLDER_BYTES: u64 = 512;
