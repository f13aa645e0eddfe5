//! A home of its own in a scratch folder, with its own D-Bus session and its own keychain, so that nothing
//! of the person who runs the tests is touched and nothing is left behind.
//!
//! ```text
//! root/ (0700, scratch)   home/   run/ (XDG_RUNTIME_DIR: bus, keyring/)   bus.conf
//! ```

mod dbus;
mod processes;

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use thiserror::Error;

pub use processes::{Process, processes_below};

/// The scratch home. Dropping it ends every process below it and removes the folder.
///
/// All calls block the thread (milliseconds each); they may be made inside and outside of a runtime.
#[derive(Debug)]
pub struct Sandbox {
    root: TempDir,
    bus: Option<Child>,
    keychain: Mutex<Option<Child>>,
}

/// Why a sandbox, or its keychain, does not work.
#[derive(Debug, Error)]
pub enum SandboxError {
    /// No scratch folder.
    #[error("the scratch folder cannot be made")]
    Folder(#[source] io::Error),
    /// A daemon is missing or does not start.
    #[error("{program} does not start; on Debian: apt-get install dbus gnome-keyring")]
    Start {
        /// The program.
        program: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The daemon started but does not answer.
    #[error("{0} started, but does not answer")]
    Silent(&'static str),
    /// This sandbox was made without it.
    #[error("this sandbox has no D-Bus session")]
    NoBus,
    /// A call over D-Bus failed.
    #[error("the keychain refused a call")]
    Call(#[from] zbus::Error),
}

impl Sandbox {
    /// A home with a D-Bus session and an unlocked, empty keychain.
    pub fn new() -> Result<Self, SandboxError> {
        let sandbox = Self::without_keychain()?;
        sandbox.start_keychain()?;
        Ok(sandbox)
    }

    /// A home with a D-Bus session where nobody offers a keychain.
    pub fn without_keychain() -> Result<Self, SandboxError> {
        let mut sandbox = Self::without_dbus()?;
        sandbox.bus = Some(dbus::start_bus(&sandbox)?);
        Ok(sandbox)
    }

    /// A home alone. Its environment names no D-Bus address.
    pub fn without_dbus() -> Result<Self, SandboxError> {
        let root = tempfile::Builder::new().prefix("tb").tempdir().map_err(SandboxError::Folder)?;
        for folder in ["home", "run"] {
            // A scratch folder of this crate is 0700 from its first moment; `keep` leaves only its name.
            let made = tempfile::Builder::new().prefix(folder).rand_bytes(0).tempdir_in(root.path());
            let _ = made.map_err(SandboxError::Folder)?.keep();
        }
        Ok(Self { root, bus: None, keychain: Mutex::new(None) })
    }

    /// The folder that holds everything of this sandbox.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// `HOME`.
    pub fn home(&self) -> PathBuf {
        self.root().join("home")
    }

    /// `XDG_RUNTIME_DIR`.
    pub fn runtime_dir(&self) -> PathBuf {
        self.root().join("run")
    }

    /// The D-Bus address, if there is a session.
    pub fn dbus_address(&self) -> Option<String> {
        self.bus.as_ref().map(|_| dbus::address(self))
    }

    /// What a desktop session would give its programs.
    pub fn environment(&self) -> Vec<(String, String)> {
        let home = self.home();
        let mut environment = self.bare_environment();
        for (name, path) in [
            ("XDG_RUNTIME_DIR", self.runtime_dir()),
            ("XDG_DATA_HOME", home.join(".local/share")),
            ("XDG_CONFIG_HOME", home.join(".config")),
            ("XDG_CACHE_HOME", home.join(".cache")),
        ] {
            environment.push((name.to_owned(), path.display().to_string()));
        }
        environment.push(("LANG".to_owned(), "C.UTF-8".to_owned()));
        if let Some(address) = self.dbus_address() {
            environment.push(("DBUS_SESSION_BUS_ADDRESS".to_owned(), address));
        }
        environment
    }

    /// What is left where a host strips everything: `HOME` and `PATH`.
    pub fn bare_environment(&self) -> Vec<(String, String)> {
        let path = std::env::var("PATH").unwrap_or_else(|_unset| "/usr/bin:/bin".to_owned());
        vec![("HOME".to_owned(), self.home().display().to_string()), ("PATH".to_owned(), path)]
    }

    /// A command in this home, with [`Sandbox::environment`] and nothing else.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(self.environment()).current_dir(self.home());
        command
    }

    /// A command in this home, with [`Sandbox::bare_environment`] and nothing else.
    pub fn bare_command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(self.bare_environment()).current_dir(self.home());
        command
    }

    /// Starts the keychain service with its collection unlocked: a new one, or what was there before.
    pub fn start_keychain(&self) -> Result<(), SandboxError> {
        let address = self.dbus_address().ok_or(SandboxError::NoBus)?;
        let mut keychain = self.keychain.lock().expect("no holder of this lock panics");
        if keychain.is_none() {
            *keychain = Some(dbus::start_keychain(self, &address)?);
        }
        Ok(())
    }

    /// Ends the keychain service, as a crash would. Its files stay.
    pub fn stop_keychain(&self) {
        if let Some(mut daemon) = self.keychain.lock().expect("no holder of this lock panics").take() {
            end(&mut daemon);
        }
    }

    /// Locks the collection.
    pub fn lock_keychain(&self) -> Result<(), SandboxError> {
        dbus::lock(&self.dbus_address().ok_or(SandboxError::NoBus)?)
    }

    /// Unlocks the collection, without a prompt.
    pub fn unlock_keychain(&self) -> Result<(), SandboxError> {
        dbus::unlock(&self.dbus_address().ok_or(SandboxError::NoBus)?)
    }

    /// Whether the collection is locked now.
    pub fn is_keychain_locked(&self) -> Result<bool, SandboxError> {
        dbus::is_locked(&self.dbus_address().ok_or(SandboxError::NoBus)?)
    }

    /// How many items the collection holds, ours or not.
    pub fn keychain_items(&self) -> Result<usize, SandboxError> {
        dbus::items(&self.dbus_address().ok_or(SandboxError::NoBus)?)
    }

    /// The processes that live in this home now, daemons of the sandbox left out.
    pub fn processes(&self) -> Vec<Process> {
        let own: Vec<u32> = self.daemons();
        let mut found = processes_below(self.root());
        found.retain(|process| !own.contains(&process.pid));
        found
    }

    /// Kills (SIGKILL) every process that lives in this home, daemons of the sandbox left out, and waits for their
    /// end.
    pub fn kill_processes(&self) {
        let deadline = Instant::now() + END;
        // A process may start another while it is being looked for, so nothing has to be found twice.
        let mut nothing = 0;
        while nothing < 2 && Instant::now() < deadline {
            let pids: Vec<u32> = self.processes().iter().map(|process| process.pid).collect();
            if pids.is_empty() {
                nothing += 1;
                continue;
            }
            nothing = 0;
            processes::kill(&pids);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn daemons(&self) -> Vec<u32> {
        let keychain = self.keychain.lock().expect("no holder of this lock panics");
        self.bus.iter().chain(keychain.iter()).map(Child::id).collect()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.kill_processes();
        self.stop_keychain();
        if let Some(bus) = &mut self.bus {
            end(bus);
        }
    }
}

fn end(daemon: &mut Child) {
    // Either it is gone already, or the kernel takes it now.
    let _ = daemon.kill();
    let _ = daemon.wait();
}

/// How long killed processes may take to end: milliseconds, unless something else has the processor.
const END: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    #[test]
    fn the_keychain_locks_unlocks_dies_and_comes_back() {
        let sandbox = Sandbox::new().unwrap();
        assert!(!sandbox.is_keychain_locked().unwrap());
        sandbox.lock_keychain().unwrap();
        assert!(sandbox.is_keychain_locked().unwrap());
        sandbox.unlock_keychain().unwrap();
        assert!(!sandbox.is_keychain_locked().unwrap());
        sandbox.stop_keychain();
        assert!(sandbox.is_keychain_locked().is_err(), "nothing may start another keychain");
        sandbox.start_keychain().unwrap();
        assert!(!sandbox.is_keychain_locked().unwrap());
    }

    #[test]
    fn two_sandboxes_never_meet() {
        let (one, two) = (Sandbox::new().unwrap(), Sandbox::new().unwrap());
        one.lock_keychain().unwrap();
        assert!(!two.is_keychain_locked().unwrap());
        assert_ne!(one.environment(), two.environment());
        drop(one);
        assert!(!two.is_keychain_locked().unwrap());
    }

    #[test]
    fn nothing_is_left_behind_not_even_what_detached_itself() {
        let sandbox = Sandbox::new().unwrap();
        let root = sandbox.root().to_owned();
        let script = "setsid sleep 1000 & setsid env -i HOME=\"$HOME\" sleep 1000 & :";
        let made = sandbox.command("sh").args(["-c", script]).stdin(Stdio::null()).status().unwrap();
        assert!(made.success());
        // Until both have become what they are to be.
        let deadline = Instant::now() + END;
        loop {
            let seen = sandbox.processes();
            if seen.len() == 2 && seen.iter().all(|process| process.argv == b"sleep\x001000\0") {
                break;
            }
            assert!(Instant::now() < deadline, "not two sleepers, but {seen:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
        drop(sandbox);
        assert!(!root.exists());
        assert_eq!(processes_below(&root), []);
    }

    #[test]
    fn a_sandbox_without_dbus_or_keychain_says_so() {
        let bare = Sandbox::without_dbus().unwrap();
        assert!(!bare.environment().iter().any(|(name, _)| name == "DBUS_SESSION_BUS_ADDRESS"));
        assert!(matches!(bare.lock_keychain(), Err(SandboxError::NoBus)));
        let silent = Sandbox::without_keychain().unwrap();
        assert!(matches!(silent.is_keychain_locked(), Err(SandboxError::Call(_))));
    }

    #[tokio::test]
    async fn it_works_inside_a_runtime_and_hides_the_caller_s_environment() {
        let sandbox = Sandbox::new().unwrap();
        sandbox.lock_keychain().unwrap();
        let shown = sandbox.command("env").output().unwrap();
        let shown = String::from_utf8(shown.stdout).unwrap();
        assert!(shown.contains(&format!("HOME={}", sandbox.home().display())));
        assert!(!shown.contains("CARGO"), "{shown}");
    }
}
