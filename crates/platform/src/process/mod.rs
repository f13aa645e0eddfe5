//! Who started whom, and what a process gives away about itself.

mod chain;
mod end;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::path::PathBuf;

pub use chain::{Ancestor, Chain, ancestors, parent_executable};
pub use end::asked_to_end;

#[cfg(target_os = "linux")]
use linux as system;
#[cfg(target_os = "macos")]
use macos as system;
#[cfg(windows)]
use windows as system;

/// When a process began, in a unit of the system's own (ticks since boot, microseconds, 100 ns). With the
/// process id, and on Linux the boot id, it names a process for good; the id alone is used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StartTime(pub u64);

/// A process that is running now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// Its id.
    pub pid: u32,
    /// Its short name; Linux keeps only 15 bytes of it.
    pub name: String,
    /// Its executable, where we may know.
    pub executable: Option<PathBuf>,
}

/// How much a process keeps to itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hardening {
    /// No core dumps, and on Linux no reading of its memory by other processes of this user (which also
    /// stops debuggers and hides its environment). For release builds.
    Closed,
    /// No core dumps; debuggers may attach. For development builds.
    Debuggable,
}

/// The executable that a process runs, where the system tells us.
pub fn executable(pid: u32) -> Option<PathBuf> {
    system::executable(pid)
}

/// When a process began; `None` where it is gone.
pub fn start_time(pid: u32) -> Option<StartTime> {
    system::facts(pid).map(|facts| facts.start_time)
}

/// Names this boot of the machine, so that a start time of an earlier one is not mistaken for one of now.
pub fn boot_id() -> Option<String> {
    system::boot_id()
}

/// The processes that `wanted` picks, of all users as far as the system lists them.
pub fn running(wanted: impl Fn(&Running) -> bool) -> Vec<Running> {
    let mut found = system::all();
    found.retain(|process| wanted(process));
    found
}

/// The name of this machine, for messages.
pub fn host_name() -> String {
    system::host_name()
}

/// True inside a Windows package identity (MSIX), where writes below AppData are redirected.
pub fn inside_package() -> bool {
    system::inside_package()
}

/// Keeps secrets in memory from ending up on disk. Call it first thing.
pub fn harden(hardening: Hardening) -> std::io::Result<()> {
    system::harden(hardening)
}

/// Gives back the pages of this executable's code that only starting has needed; what runs again is mapped again
/// from the same file. For a process that starts much and then does little. Does nothing where it cannot.
pub fn let_go_of_start_up_code() {
    system::let_go_of_start_up_code();
}

/// From now on large buffers (two megabytes and more) get memory of their own from the system, grow without being copied
/// and are given back whole when they are dropped. For a process whose messages are small but for a few. Call it
/// before the first of them. Does nothing where that is the system's way anyhow.
pub fn keep_large_buffers_apart() {
    system::keep_large_buffers_apart();
}

/// Asks for large pages below a large buffer that is used again and again, up to 2 MiB instead of 4 KiB each: fewer faults
/// when it is first written, fewer misses when it is copied. Does nothing where the system has its own way.
pub fn prefer_large_pages(buffer: &mut [std::mem::MaybeUninit<u8>]) {
    system::prefer_large_pages(buffer);
}

/// Resolves when the process that started this one is gone. Never resolves where it was gone before the
/// call or cannot be watched; end of input is the other sign.
pub async fn watch_parent() {
    system::watch_parent().await;
}

/// What the system tells about any process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Facts {
    /// The one that started it or took it over; 0 at the top.
    parent: u32,
    start_time: StartTime,
}
