//! Processes that live in a folder: their environment, as they were started, names a path below it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// A process as `/proc` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its command line, arguments ended by NUL.
    pub argv: Vec<u8>,
    /// Its environment at its start, entries ended by NUL; `None` where the kernel keeps it from us
    /// (another user's process, or one that made itself undumpable).
    pub environ: Option<Vec<u8>>,
}

/// The processes whose environment holds a value below `root`, or, where the environment is hidden, whose
/// command line does. This process is left out. Empty on systems without `/proc`.
pub fn processes_below(root: &Path) -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let needle = root.as_os_str().as_encoded_bytes();
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| *pid != std::process::id())
        .filter_map(|pid| {
            let argv = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let environ = fs::read(format!("/proc/{pid}/environ")).ok();
            let lives_there = match &environ {
                Some(environ) => environ.split(|byte| *byte == 0).any(|entry| names(entry, needle)),
                None => argv.windows(needle.len()).any(|window| window == needle),
            };
            lives_there.then_some(Process { pid, argv, environ })
        })
        .collect()
}

/// Sends SIGKILL. Whoever is gone already is fine.
pub(super) fn kill(pids: &[u32]) {
    let pids = pids.iter().map(u32::to_string);
    let script = ["-c", "kill -KILL \"$@\" 2>/dev/null", "sh"];
    let _ = Command::new("sh").args(script).args(pids).stdin(Stdio::null()).status();
}

/// Whether `entry` is `NAME=` and then the folder, or something in it, perhaps after a scheme.
fn names(entry: &[u8], root: &[u8]) -> bool {
    let Some(at) = entry.windows(root.len()).position(|window| window == root) else { return false };
    let before = entry[..at].last();
    let after = entry.get(at + root.len());
    before == Some(&b'=') && matches!(after, None | Some(b'/' | b':' | b','))
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn a_value_names_the_folder_only_if_it_begins_there() {
        assert!(names(b"HOME=/tmp/x", b"/tmp/x"));
        assert!(names(b"HOME=/tmp/x/home", b"/tmp/x"));
        assert!(names(b"DBUS_SESSION_BUS_ADDRESS=unix:path=/tmp/x/run/bus", b"/tmp/x"));
        assert!(!names(b"HOME=/tmp/xy", b"/tmp/x"));
        assert!(!names(b"HOME=/other/tmp/x", b"/tmp/x"));
    }
}
