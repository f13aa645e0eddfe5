//! Who owns a file or a process end, in the system's own terms: user id on unix, SID on Windows.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use unix::*;
#[cfg(windows)]
pub(crate) use windows::*;

/// Why a folder cannot be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FolderFault {
    /// A symbolic link or another reparse point.
    Link,
    /// A file or something stranger.
    NotAFolder,
    /// Another user's.
    NotOurs,
    /// Others may write to it.
    #[cfg_attr(
        windows,
        expect(dead_code, reason = "Windows folders below a profile inherit its access list")
    )]
    OpenToOthers,
}
