//! Starting a process that outlives us and shares nothing with us.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

/// Where the new process's standard error goes.
#[derive(Clone, Copy, Debug)]
pub enum Log<'a> {
    /// Nowhere.
    Discard,
    /// To the end of this file, which is created 0600.
    Append(&'a Path),
}

/// Starts `executable` out of our reach and our host's: own session, no descriptors but 0, 1 and 2, `/` as
/// working folder, the given environment and nothing else; it never becomes a zombie of ours.
///
/// Linux: in its own scope of the systemd user manager, where one answers, since a host is killed with its
/// whole group. Windows: outside the host's job. Success says that it was started, not that it is well.
pub fn detached<K: AsRef<OsStr>, V: AsRef<OsStr>>(
    executable: &Path,
    args: &[&OsStr],
    environment: &[(K, V)],
    log: Log<'_>,
) -> Result<(), SpawnError> {
    if !executable.is_absolute() {
        return Err(SpawnError::NotAbsolute { executable: executable.to_owned() });
    }
    let environment: Vec<(OsString, OsString)> = environment
        .iter()
        .map(|(name, value)| (name.as_ref().to_owned(), value.as_ref().to_owned()))
        .collect();
    system::detached(&Start { executable, args, environment: &environment, log })
}

/// The sandbox that this process is in, if any. What is started in it would end with it, so no agent is.
pub fn sandboxed() -> Option<&'static str> {
    system::sandboxed()
}

/// Why a process could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// A relative path would be looked up in a folder that somebody else chose.
    #[error("{executable} is not an absolute path", executable = executable.display())]
    NotAbsolute {
        /// As it was given.
        executable: PathBuf,
    },
    /// The log file cannot be opened.
    #[error("cannot open the log file {path}", path = path.display())]
    Log {
        /// The log file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Windows: the job that holds us lets nothing out, so what we start would be ended with it.
    #[error("the program that started us keeps everything we start in its job, which ends with it")]
    JobForbidsBreakaway,
    /// The system refused.
    #[error("cannot start {executable}", executable = executable.display())]
    Io {
        /// The executable.
        executable: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

struct Start<'a> {
    executable: &'a Path,
    args: &'a [&'a OsStr],
    environment: &'a [(OsString, OsString)],
    log: Log<'a>,
}
