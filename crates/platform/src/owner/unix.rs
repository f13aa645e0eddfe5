//! Ownership by user id and mode bits.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use super::FolderFault;

const WRITABLE_BY_OTHERS: u32 = 0o022;
const READABLE_BY_OTHERS: u32 = 0o044;

/// The user id that this process acts with.
pub(crate) fn our_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Creates one folder, 0700; fails where it exists.
pub(crate) fn create_private_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(folder)
}

/// Takes reading rights of others away; never touches a folder that is already closed.
pub(crate) fn close_to_readers(folder: &Path) -> io::Result<()> {
    let mode = fs::symlink_metadata(folder)?.mode();
    if mode & 0o777 == 0o700 {
        return Ok(());
    }
    fs::set_permissions(folder, Permissions::from_mode(0o700))
}

/// What is wrong with the folder, if anything.
pub(crate) fn folder_fault(folder: &Path) -> io::Result<Option<FolderFault>> {
    let metadata = fs::symlink_metadata(folder)?;
    Ok(if metadata.is_symlink() {
        Some(FolderFault::Link)
    } else if !metadata.is_dir() {
        Some(FolderFault::NotAFolder)
    } else if metadata.uid() != our_uid() {
        Some(FolderFault::NotOurs)
    } else if metadata.mode() & WRITABLE_BY_OTHERS != 0 {
        Some(FolderFault::OpenToOthers)
    } else {
        None
    })
}

/// True for a regular file of this user that nobody else may write.
pub(crate) fn file_is_private(file: &File) -> io::Result<bool> {
    Ok(is_private(&file.metadata()?))
}

/// True for a regular file of this user that nobody else may even read.
pub(crate) fn file_is_secret(file: &File) -> io::Result<bool> {
    let metadata = file.metadata()?;
    Ok(is_private(&metadata) && metadata.mode() & READABLE_BY_OTHERS == 0)
}

/// Options that open without following a link in the last part of the path; new files are 0600.
pub(crate) fn no_follow() -> OpenOptions {
    let mut options = OpenOptions::new();
    // Non-blocking: a pipe planted under the name must not hang us. No effect on regular files.
    let flags = (OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK).bits().cast_signed();
    options.mode(0o600).custom_flags(flags);
    options
}

fn is_private(metadata: &Metadata) -> bool {
    metadata.is_file() && metadata.uid() == our_uid() && metadata.mode() & WRITABLE_BY_OTHERS == 0
}
