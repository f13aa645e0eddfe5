//! Processes as the kernel shows them, and signals to them by their id.

use std::process::{Command, Stdio};

/// Sends a signal (`STOP`, `CONT`, `KILL`) to one process. Who is gone already is fine.
pub(crate) fn signal(pid: u32, name: &str) {
    let script = ["-c", "kill -\"$1\" \"$2\" 2>/dev/null", "sh", name, &pid.to_string()];
    let _gone = Command::new("sh").args(script).stdin(Stdio::null()).status();
}

/// Whether there is such a process, zombies left out.
pub(crate) fn is_alive(pid: u32) -> bool {
    stat(pid).is_some_and(|fields| fields[0] != "Z")
}

/// The session that a process belongs to (`setsid`).
pub(crate) fn session(pid: u32) -> Option<u32> {
    stat(pid)?.get(3)?.parse().ok()
}

/// What its open descriptors are, by number.
pub(crate) fn descriptors(pid: u32) -> Vec<(u32, String)> {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    let describe = |entry: std::fs::DirEntry| {
        let number = entry.file_name().to_str()?.parse().ok()?;
        Some((number, std::fs::read_link(entry.path()).ok()?.display().to_string()))
    };
    entries.flatten().filter_map(describe).collect()
}

/// The fields of `/proc/<pid>/stat` after the name: state, parent, process group, session.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}
