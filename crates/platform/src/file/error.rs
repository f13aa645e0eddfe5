//! What can go wrong with a file, told apart where a caller acts differently.

use std::io;
use std::path::{Path, PathBuf};

/// Why a file was not read, written or replaced. Nothing has changed on disk unless a variant says so.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It does not exist (or, for a new file, its folder does not).
    #[error("{path} does not exist", path = path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A folder, a device or another thing that is no file.
    #[error("{path} is not a regular file", path = path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// More than the caller is ready to read.
    #[error("{path} is larger than {limit} bytes", path = path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most that would have been read, in bytes.
        limit: u64,
    },
    /// Its content is not what the change was made for. Read it again and start over.
    #[error("{path} has been changed by another program meanwhile", path = path.display())]
    ChangedMeanwhile {
        /// The file.
        path: PathBuf,
    },
    /// The person or the system has made it read-only, which we respect.
    #[error("{path} is read-only: make it writable and try again", path = path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// Its folder takes no new files, so it cannot be replaced whole.
    #[error("the folder {folder} is read-only: make it writable and try again", folder = folder.display())]
    FolderReadOnly {
        /// The folder.
        folder: PathBuf,
    },
    /// It is a link or belongs to another user.
    #[error("{path} does not belong to this user alone", path = path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// A secret that others may read.
    #[error("other users may read {path}: chmod 600 it", path = path.display())]
    Readable {
        /// The file.
        path: PathBuf,
    },
    /// A symbolic link that leads nowhere; writing would create a file that nobody asked for.
    #[error("{path} is a symbolic link to something that does not exist", path = path.display())]
    DanglingLink {
        /// The link.
        path: PathBuf,
    },
    /// It was replaced, and yet holds something else now: another program writes it at the same time.
    #[error("{path} was written, but another program has already replaced it", path = path.display())]
    NotKept {
        /// The file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot {action} {path}", path = path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl FileError {
    /// True where the file is simply not there.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing { .. })
    }

    pub(crate) fn from_io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        if source.kind() == io::ErrorKind::NotFound {
            Self::Missing { path }
        } else {
            Self::Io { action, path, source }
        }
    }

    pub(crate) fn not_ours(path: &Path) -> Self {
        Self::NotOurs { path: path.to_owned() }
    }
}
