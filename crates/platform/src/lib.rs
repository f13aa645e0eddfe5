//! The operating system, in one place: paths, private files, locks, sockets, processes.
//!
//! It knows no word of the domain; it deals in bytes, paths and process ids. `unsafe` and
//! `cfg(unix)`/`cfg(windows)` live here, so that the rest of the house can be read without either.
//!
//! ```text
//! dirs     ~/.hallpass{,-dev}/{run,state,cache,journal,logs,bin}   publish  bin/hallpass
//! lock     who holds run/agent.lock is the agent                   spawn    starts it out of the host's reach
//! socket   run/socket names where it listens; both ends prove      process  who started whom
//!          that they are this user                                 loopback 127.0.0.1, for one redirect
//! file     replace whole or not at all                             stdio    pipes without a thread between
//! notice   a notification of the system                             tray     is anybody there to show it
//! trust    whom TLS believes                                    proxy    what the system's settings name
//! ```

pub mod dirs;
pub mod file;
pub mod lock;
pub mod loopback;
pub mod notice;
pub mod os;
mod owner;
pub mod process;
pub mod proxy;
pub mod publish;
pub mod socket;
pub mod spawn;
pub mod stdio;
pub mod tray;
#[cfg(feature = "trust")]
pub mod trust;
#[cfg(windows)]
mod wide;

pub use dirs::{CHANNEL_IS_RELEASE, DirsError, KEYCHAIN_SERVICE, Root};
pub use file::FileError;
pub use lock::Lock;
pub use os::Os;
