//! Processes that live in a folder: their environment, as they were started, names a path below it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{fmt, fs, thread};

/// A process as `/proc` shows it. Its `Debug` form is its id and its command line: an environment may hold secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its command line, arguments ended by NUL.
    pub argv: Vec<u8>,
    /// Its environment at its start, entries ended by NUL; `None` where the kernel keeps it from us
    /// (another user's process, or one that made itself undumpable).
    pub environ: Option<Vec<u8>>,
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.argv.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        write!(f, "{}: {}", self.pid, words.collect::<Vec<_>>().join(" ").trim_end())
    }
}

/// The processes whose environment holds a value below `root`, or, where the environment is hidden, whose
/// command line does. This process is left out. Empty on systems without `/proc`.
///
/// A process that is just becoming another program is waited for, since the kernel shows nothing of it meanwhile.
pub fn processes_below(root: &Path) -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let needle = root.as_os_str().as_encoded_bytes();
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| *pid != std::process::id())
        .filter_map(|pid| {
            let process = settled(pid)?;
            let lives_there = match &process.environ {
                Some(environ) => environ.split(|byte| *byte == 0).any(|entry| names(entry, needle)),
                None => process.argv.windows(needle.len()).any(|window| window == needle),
            };
            lives_there.then_some(process)
        })
        .collect()
}

/// The process with this id; `None` if it is gone.
///
/// Between its `exec` and its first instruction a process has an empty environment and command line, and one of the
/// two may be read before and the other after. So an empty environment counts only if it is seen twice, beside the
/// same command line, or where there is no program: the process has ended or is the kernel's own.
fn settled(pid: u32) -> Option<Process> {
    let deadline = Instant::now() + EXEC;
    let mut before = None;
    loop {
        let argv = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let seen = Process { pid, argv, environ: fs::read(format!("/proc/{pid}/environ")).ok() };
        let is_blank = seen.environ.as_ref().is_some_and(Vec::is_empty);
        let is_known = !seen.argv.is_empty() && before.as_ref() == Some(&seen);
        if !is_blank || is_known || !has_program(pid) || Instant::now() > deadline {
            return Some(seen);
        }
        before = Some(seen);
        thread::sleep(Duration::from_millis(1));
    }
}

/// Whether there is a program in it: it has not ended and is no thread of the kernel.
fn has_program(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name before may hold anything; after it: state, parent, group, session, terminal, its group, flags.
    let mut fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let state = fields.next().unwrap_or("X");
    let flags: u32 = fields.nth(5).and_then(|flags| flags.parse().ok()).unwrap_or(0);
    !matches!(state, "Z" | "X") && flags & KERNEL_THREAD == 0
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

/// How long an `exec` is waited for: microseconds, unless something else has the processor.
const EXEC: Duration = Duration::from_secs(30);
/// `PF_KTHREAD` of the kernel's `sched.h`.
const KERNEL_THREAD: u32 = 0x0020_0000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_without_an_environment_and_one_that_has_ended_are_not_waited_for() {
        let mut bare = Command::new("sleep").arg("1000").env_clear().spawn().unwrap();
        let mut ended = Command::new("true").spawn().unwrap();
        let seen = settled(bare.id()).unwrap();
        assert_eq!(
            (seen.argv.as_slice(), seen.environ.as_deref()),
            (&b"sleep\x001000\0"[..], Some(&b""[..]))
        );
        assert_eq!(format!("{seen:?}"), format!("{}: sleep 1000", bare.id()));
        bare.kill().unwrap();
        bare.wait().unwrap();
        assert_eq!(settled(bare.id()), None);
        while has_program(ended.id()) {
            thread::yield_now();
        }
        assert_eq!(settled(ended.id()).map(|process| process.argv), Some(Vec::new()));
        ended.wait().unwrap();
    }

    #[test]
    fn a_value_names_the_folder_only_if_it_begins_there() {
        assert!(names(b"HOME=/tmp/x", b"/tmp/x"));
        assert!(names(b"HOME=/tmp/x/home", b"/tmp/x"));
        assert!(names(b"DBUS_SESSION_BUS_ADDRESS=unix:path=/tmp/x/run/bus", b"/tmp/x"));
        assert!(!names(b"HOME=/tmp/xy", b"/tmp/x"));
        assert!(!names(b"HOME=/other/tmp/x", b"/tmp/x"));
    }
}
