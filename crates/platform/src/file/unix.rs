//! How unix replaces a file: rename, and a folder that is synced like a file.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::{Access, OFlags, XattrFlags};
use rustix::io::Errno;
use tempfile::NamedTempFile;

use super::{FileError, folder_of};
use crate::owner;

/// Opens for reading; a pipe under the name cannot make us wait.
pub(super) fn open_without_waiting(path: &Path) -> io::Result<File> {
    let flags = (OFlags::CLOEXEC | OFlags::NONBLOCK).bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// Gives the scratch file its name, over whatever had it.
pub(crate) fn persist(scratch: NamedTempFile, target: &Path) -> io::Result<()> {
    scratch.persist(target).map(drop).map_err(|refused| refused.error)
}

/// As [`persist`], over a file of another program.
pub(super) fn swap(scratch: NamedTempFile, target: &Path) -> io::Result<()> {
    persist(scratch, target)
}

pub(super) fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)
}

/// Makes a rename survive a power cut.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder)?.sync_all() {
        // Some network file systems cannot sync a folder; the rename stands all the same.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        other => other,
    }
}

/// Refuses a file that its owner has made read-only or that we could not give its owner back.
pub(super) fn check_file_writable(path: &Path) -> Result<(), FileError> {
    let metadata = fs::metadata(path).map_err(|error| FileError::from_io("check", path, error))?;
    // The mode counts for root too, whom the system would let through.
    if metadata.mode() & 0o222 == 0 || !may(path, Access::WRITE_OK)? {
        return Err(FileError::ReadOnly { path: path.to_owned() });
    }
    let uid = owner::our_uid();
    if metadata.uid() != uid && uid != 0 {
        return Err(FileError::not_ours(path));
    }
    Ok(())
}

/// Refuses a folder that takes no new files.
pub(super) fn check_folder_writable(folder: &Path) -> Result<(), FileError> {
    let metadata = fs::metadata(folder).map_err(|error| FileError::from_io("check", folder, error))?;
    if metadata.mode() & 0o222 == 0 || !may(folder, Access::WRITE_OK | Access::EXEC_OK)? {
        return Err(FileError::FolderReadOnly { folder: folder.to_owned() });
    }
    Ok(())
}

/// Gives the new file the old one's owner, group, extended attributes (access lists among them) and mode.
pub(super) fn carry_over(old: &Path, new: &File) -> Result<(), FileError> {
    let failed = |error| FileError::from_io("keep the mode and owner of", old, error);
    let metadata = fs::metadata(old).map_err(failed)?;
    let fresh = new.metadata().map_err(failed)?;
    let mut mode = metadata.mode() & 0o7777;
    if metadata.uid() != fresh.uid() || metadata.gid() != fresh.gid() {
        let chowned = std::os::unix::fs::fchown(new, Some(metadata.uid()), Some(metadata.gid()));
        if let Err(error) = chowned {
            if metadata.uid() != fresh.uid() {
                return Err(failed(error));
            }
            // A group that we are not in: what it was granted must not go to our own group instead.
            mode &= !0o2070;
        }
    }
    copy_attributes(old, new);
    new.set_permissions(Permissions::from_mode(mode)).map_err(failed)
}

/// As far as the file system and our rights allow: no attribute is worth losing the change for.
fn copy_attributes(old: &Path, new: &File) {
    let mut names = vec![0; 64 * 1024];
    let Ok(length) = rustix::fs::listxattr(old, &mut names[..]) else { return };
    let mut value = vec![0; 64 * 1024];
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        if let Ok(length) = rustix::fs::getxattr(old, name, &mut value[..]) {
            let _ = rustix::fs::fsetxattr(new, name, &value[..length], XattrFlags::empty());
        }
    }
}

fn may(path: &Path, access: Access) -> Result<bool, FileError> {
    match rustix::fs::access(path, access) {
        Ok(()) => Ok(true),
        Err(Errno::ACCESS | Errno::ROFS | Errno::PERM) => Ok(false),
        Err(error) => {
            let folder = folder_of(path).unwrap_or(path);
            Err(FileError::from_io("check the rights on", folder, error.into()))
        }
    }
}
