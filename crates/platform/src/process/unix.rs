//! What Linux and macOS share.

use std::io;

use rustix::process::{Resource, Rlimit};

/// Forbids core dumps to this process and what it starts.
pub(super) fn no_core_dumps() -> io::Result<()> {
    rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(())
}

pub(super) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
