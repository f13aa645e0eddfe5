//! The platform against the real system: real processes, sockets, locks and files.

mod detached; // spawn: what a detached process has and survives
mod files; // file: whole or not at all
mod locks; // lock: held for life, freed by death
mod loopback; // loopback: exclusive, and whose connection it is
mod processes; // process: ancestors, parents, hardening
mod published; // publish: upgrade, downgrade, equal
mod roots; // dirs: one private folder
mod sockets; // socket: peers, addresses, what a killed agent leaves
mod streams; // stdio: pipes, sockets, files

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

/// The probe in one of its parts; killed when dropped.
struct Probe {
    child: Child,
    /// The first line that it wrote.
    said: String,
    /// Kept open: its end is what lets the probe go.
    _stdin: ChildStdin,
}

impl Probe {
    /// Starts a part and waits for its first line.
    fn start(args: &[&dyn AsRef<std::ffi::OsStr>]) -> Self {
        let mut command = Command::new(PROBE);
        for arg in args {
            command.arg(arg.as_ref());
        }
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the probe starts");
        let stdin = child.stdin.take().expect("stdin");
        let mut said = String::new();
        BufReader::new(child.stdout.take().expect("stdout")).read_line(&mut said).expect("a line");
        assert_ne!(said, "", "the probe ended instead of saying that it is ready");
        Self { child, said: said.trim().to_owned(), _stdin: stdin }
    }

    /// SIGKILL, or what comes closest.
    fn kill(mut self) {
        self.child.kill().expect("a kill");
        self.child.wait().expect("an end");
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a program that this process has just written. Another test may be starting a process at this moment, which has
/// all our files until it is its own program; and what somebody writes to cannot be started.
fn start_fresh(command: &mut Command) -> Child {
    wait_for("a program that nobody writes to", || match command.spawn() {
        Ok(child) => Some(child),
        Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => None,
        Err(error) => panic!("{command:?} does not start: {error}"),
    })
}

const PROBE: &str = env!("CARGO_BIN_EXE_platform-probe");

/// Waits until `done` gives something. The bound is only there to end a test that has failed.
fn wait_for<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(start.elapsed() < Duration::from_mins(1), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn wait_for_file(path: &Path) -> String {
    wait_for(&path.display().to_string(), || {
        std::fs::read_to_string(path).ok().filter(|text| !text.is_empty())
    })
}
