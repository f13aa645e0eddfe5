//! The one folder of ours below the home, so that no variable that a host strips can move it.

use std::io;
use std::path::{Path, PathBuf};

use crate::owner::{self, FolderFault};

/// True in builds made with `HALLPASS_CHANNEL=release`.
pub const CHANNEL_IS_RELEASE: bool = match option_env!("HALLPASS_CHANNEL") {
    Some(channel) => matches!(channel.as_bytes(), b"release"),
    None => false,
};

/// The keychain's service name. Builds outside the release channel have their own, so that an unsigned
/// executable never touches the items of a signed one.
pub const KEYCHAIN_SERVICE: &str = if CHANNEL_IS_RELEASE { "hallpass" } else { "hallpass-dev" };

const FOLDER: &str = if CHANNEL_IS_RELEASE { ".hallpass" } else { ".hallpass-dev" };

/// The folder that holds everything of ours. Two homes have two roots, which never meet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Root {
    path: PathBuf,
}

impl Root {
    /// Finds the root from the home folder alone: `HOME` on unix (else the password database), the
    /// profile folder on Windows. `XDG_*` and `APPDATA` play no part.
    pub fn locate() -> Result<Self, DirsError> {
        let home = directories::BaseDirs::new().ok_or(DirsError::NoHome)?.home_dir().to_owned();
        if !home.is_absolute() {
            return Err(DirsError::HomeIsRelative { home });
        }
        Ok(Self::below(&home))
    }

    /// The root of a given home folder.
    pub fn below(home: &Path) -> Self {
        Self { path: home.join(FOLDER) }
    }

    /// The root itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Locks and the socket's address.
    pub fn run(&self) -> PathBuf {
        self.path.join("run")
    }

    /// What must not be lost.
    pub fn state(&self) -> PathBuf {
        self.path.join("state")
    }

    /// What may be lost.
    pub fn cache(&self) -> PathBuf {
        self.path.join("cache")
    }

    /// What undoes our changes to other programs' files.
    pub fn journal(&self) -> PathBuf {
        self.path.join("journal")
    }

    /// Logs of every process.
    pub fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// Sealed tokens, on a machine without a keychain whose person chose that. Nowhere else does it exist.
    pub fn sealed(&self) -> PathBuf {
        self.path.join("sealed")
    }

    /// Creates the folder of sealed tokens as [`Root::ensure`] does the others.
    pub fn ensure_sealed(&self) -> Result<(), DirsError> {
        ensure_private(&self.sealed())
    }

    /// The executable that other programs' files name.
    pub fn bin(&self) -> PathBuf {
        self.path.join("bin")
    }

    /// Creates the root and its folders where they are missing, open to this user alone.
    ///
    /// A folder of ours that others may only read is closed; one that is a link, belongs to somebody else
    /// or was open to others for writing is refused, since what lies in it may not be ours.
    pub fn ensure(&self) -> Result<(), DirsError> {
        ensure_private(&self.path)?;
        for folder in [self.run(), self.state(), self.cache(), self.journal(), self.logs(), self.bin()] {
            ensure_private(&folder)?;
        }
        Ok(())
    }
}

/// Why the root cannot be found or used.
#[derive(Debug, thiserror::Error)]
pub enum DirsError {
    /// Neither the environment nor the system names a home folder.
    #[error("no home folder is known for this user: set HOME")]
    NoHome,
    /// A relative home would mean another root in each working folder.
    #[error("the home folder {home} is not an absolute path: correct HOME", home = home.display())]
    HomeIsRelative {
        /// As the system gave it.
        home: PathBuf,
    },
    /// The folder is a symbolic link.
    #[error("{folder} is a symbolic link, which could lead anywhere: replace it by a folder", folder = folder.display())]
    Link {
        /// The folder in question.
        folder: PathBuf,
    },
    /// Something that is no folder has its name.
    #[error("{folder} is not a folder: move it away", folder = folder.display())]
    NotAFolder {
        /// The folder in question.
        folder: PathBuf,
    },
    /// The folder belongs to another user.
    #[error("{folder} belongs to another user (perhaps sudo kept HOME): run as its owner or change the owner", folder = folder.display())]
    NotOurs {
        /// The folder in question.
        folder: PathBuf,
    },
    /// Others could have put something into the folder.
    #[error("other users may write to {folder}: check what lies in it, then chmod 700", folder = folder.display())]
    OpenToOthers {
        /// The folder in question.
        folder: PathBuf,
    },
    /// The system refused.
    #[error("cannot prepare the folder {folder}", folder = folder.display())]
    Io {
        /// The folder in question.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Creates the folder 0700 where it is missing, then checks it and closes it to readers.
pub(crate) fn ensure_private(folder: &Path) -> Result<(), DirsError> {
    let io = |source| DirsError::Io { folder: folder.to_owned(), source };
    match owner::create_private_folder(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(io(error)),
    }
    check_private(folder)?;
    owner::close_to_readers(folder).map_err(io)
}

/// Refuses a folder whose content somebody else could have written.
pub(crate) fn check_private(folder: &Path) -> Result<(), DirsError> {
    let named = || folder.to_owned();
    match owner::folder_fault(folder) {
        Ok(None) => Ok(()),
        Ok(Some(FolderFault::Link)) => Err(DirsError::Link { folder: named() }),
        Ok(Some(FolderFault::NotAFolder)) => Err(DirsError::NotAFolder { folder: named() }),
        Ok(Some(FolderFault::NotOurs)) => Err(DirsError::NotOurs { folder: named() }),
        Ok(Some(FolderFault::OpenToOthers)) => Err(DirsError::OpenToOthers { folder: named() }),
        Err(source) => Err(DirsError::Io { folder: named(), source }),
    }
}
