//! Double fork, own session, clean descriptors; on Linux a scope of its own.
#![expect(unsafe_code, reason = "what happens between fork and exec has no safe interface")]

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::{Log, SpawnError, Start};
use crate::owner;

pub(super) fn detached(start: &Start<'_>) -> Result<(), SpawnError> {
    let failed = |source| SpawnError::Io { executable: start.executable.to_owned(), source };
    let mut command = if let Some(scope) = scope::find() {
        let mut command = Command::new(scope.program);
        command.args(scope::ARGS).arg("--").arg(start.executable);
        command.env_clear().envs(start.environment.iter().cloned());
        // systemd-run finds its manager by this one, which the new process then has as well.
        command.env("XDG_RUNTIME_DIR", scope.runtime_folder);
        command
    } else {
        let mut command = Command::new(start.executable);
        command.env_clear().envs(start.environment.iter().cloned());
        command
    };
    command
        .args(start.args)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log(start.log)?);
    let most = descriptors();
    // SAFETY: the closure allocates nothing, takes no lock and calls only functions that may be called
    // between fork and exec; it touches no memory shared with other threads.
    unsafe {
        command.pre_exec(move || leave(most));
    }
    // The child is the one in the middle, which ends at once: waiting for it leaves no zombie.
    command.spawn().and_then(|mut middle| middle.wait()).map(drop).map_err(failed)
}

pub(super) fn sandboxed() -> Option<&'static str> {
    sandbox::detect()
}

fn log(log: Log<'_>) -> Result<Stdio, SpawnError> {
    Ok(match log {
        Log::Discard => Stdio::null(),
        Log::Append(path) => owner::no_follow()
            .append(true)
            .create(true)
            .open(path)
            .map_err(|source| SpawnError::Log { path: path.to_owned(), source })?
            .into(),
    })
}

/// Runs in the child: forks again, lets the one in the middle go, and cuts every tie.
fn leave(descriptors: i32) -> io::Result<()> {
    // SAFETY: fork, _exit and setsid may be called here; the child of this process has one thread.
    unsafe {
        match libc::fork() {
            -1 => return Err(io::Error::last_os_error()),
            0 => {}
            _ => libc::_exit(0),
        }
        if libc::setsid() == -1 {
            return Err(io::Error::last_os_error());
        }
    }
    close_at_exec(descriptors);
    Ok(())
}

/// Marks every descriptor from 3 on to be closed at exec, and no earlier: the standard library reports a
/// failed exec through one of them.
fn close_at_exec(descriptors: i32) {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: the call takes three integers and changes flags of descriptors only.
        let done =
            unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
        if done == 0 {
            return;
        }
    }
    for descriptor in 3..descriptors {
        // SAFETY: setting a flag on a number that is no open descriptor fails without effect.
        unsafe {
            libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC);
        }
    }
}

/// One more than the highest descriptor that could be open, for systems that cannot mark a range.
fn descriptors() -> i32 {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.and_then(|limit| i32::try_from(limit).ok()).unwrap_or(i32::MAX).min(MOST_DESCRIPTORS)
}

const MOST_DESCRIPTORS: i32 = 65_536;

/// How to start something in a scope of its own.
struct Scope {
    program: PathBuf,
    runtime_folder: OsString,
}

#[cfg(target_os = "linux")]
mod scope {
    //! A systemd user manager, if there is one that answers.

    use std::ffi::OsString;
    use std::os::unix::net::UnixStream;
    use std::path::{Path, PathBuf};
    use std::process::{Command, Stdio};
    use std::thread;
    use std::time::{Duration, Instant};

    use super::Scope;
    use crate::owner;

    pub(super) const ARGS: [&str; 4] = ["--user", "--scope", "--quiet", "--collect"];

    pub(super) fn find() -> Option<Scope> {
        let program = PROGRAMS.iter().map(PathBuf::from).find(|program| program.is_file())?;
        // Hosts strip the variable; its value is the same for every session of this user.
        let runtime_folder = std::env::var_os("XDG_RUNTIME_DIR")
            .filter(|folder| Path::new(folder).is_absolute())
            .unwrap_or_else(|| OsString::from(format!("/run/user/{}", owner::our_uid())));
        UnixStream::connect(Path::new(&runtime_folder).join("systemd/private")).ok()?;
        let scope = Scope { program, runtime_folder };
        works(&scope).then_some(scope)
    }

    /// A manager can be there and refuse scopes all the same (containers), so one is tried on `true`.
    fn works(scope: &Scope) -> bool {
        let mut command = Command::new(&scope.program);
        command.args(ARGS).args(["--", "true"]).env("XDG_RUNTIME_DIR", &scope.runtime_folder);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(mut child) = command.spawn() else { return false };
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            match child.try_wait() {
                Ok(Some(status)) => return status.success(),
                Ok(None) => thread::sleep(Duration::from_millis(5)),
                Err(_) => break,
            }
        }
        let _ = child.kill();
        let _ = child.wait();
        false
    }

    const PROGRAMS: [&str; 2] = ["/usr/bin/systemd-run", "/bin/systemd-run"];
    const PATIENCE: Duration = Duration::from_secs(2);
}

#[cfg(not(target_os = "linux"))]
mod scope {
    //! Only Linux kills by control group.

    use super::Scope;

    pub(super) const ARGS: [&str; 0] = [];

    pub(super) fn find() -> Option<Scope> {
        None
    }
}

#[cfg(target_os = "linux")]
mod sandbox {
    //! Linux sandboxes leave marks: a file, variables, or themselves above us.

    use std::path::Path;

    use crate::process;

    pub(super) fn detect() -> Option<&'static str> {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        if Path::new("/.flatpak-info").exists() || set("FLATPAK_ID") {
            return Some("Flatpak");
        }
        if set("SNAP") && set("SNAP_NAME") {
            return Some("snap");
        }
        let chain = process::ancestors(std::process::id());
        let named = |name: &str| {
            process::running(|found| {
                found.name == name && chain.links.iter().any(|link| link.pid == found.pid)
            })
        };
        if !named("bwrap").is_empty() {
            return Some("bubblewrap");
        }
        if !named("firejail").is_empty() {
            return Some("firejail");
        }
        None
    }
}

#[cfg(target_os = "macos")]
mod sandbox {
    //! macOS asks its own sandbox (seatbelt).

    use std::ffi::{c_char, c_int};

    unsafe extern "C" {
        /// In libSystem, undocumented and used by browsers for this very question. With no operation it
        /// answers whether the process is sandboxed at all.
        fn sandbox_check(pid: libc::pid_t, operation: *const c_char, kind: c_int, ...) -> c_int;
    }

    pub(super) fn detect() -> Option<&'static str> {
        let own = libc::pid_t::try_from(std::process::id()).ok()?;
        // SAFETY: without an operation the call reads no further arguments.
        let answer = unsafe { sandbox_check(own, std::ptr::null(), 0) };
        (answer == 1 || std::env::var_os("APP_SANDBOX_CONTAINER_ID").is_some()).then_some("the macOS sandbox")
    }
}
