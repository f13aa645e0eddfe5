//! `state/state.json`: read once, changed in one place, written before anybody hears of the change.

use std::path::{Path, PathBuf};

use model::{State, StateError};
use platform::{FileError, Root, file};

/// More than this is no state of ours, in bytes.
const MAX_SIZE: u64 = 64 * 1024 * 1024;

/// The state in memory and its file.
#[derive(Debug)]
pub(crate) struct StateFile {
    path: PathBuf,
    state: State,
}

impl StateFile {
    /// Reads the file; a missing one is an empty state, a damaged or newer one is an error.
    pub(crate) fn open(root: &Root) -> Result<Self, StateFileError> {
        let path = root.state().join("state.json");
        let state = match file::read_private(&path, MAX_SIZE) {
            Ok(bytes) => State::parse(&bytes)
                .map_err(|source| StateFileError::Unusable { path: path.clone(), source })?,
            Err(source) if source.is_missing() => State::default(),
            Err(source) => return Err(StateFileError::Read { path, source }),
        };
        Ok(Self { path, state })
    }

    /// The state as it is.
    pub(crate) fn get(&self) -> &State {
        &self.state
    }

    /// Changes a copy, writes it, and only then makes it the state. A write that fails changes nothing.
    pub(crate) fn change<T>(&mut self, change: impl FnOnce(&mut State) -> T) -> Result<T, StateFileError> {
        let mut next = self.state.clone();
        let result = change(&mut next);
        if next == self.state {
            return Ok(result);
        }
        next.serial += 1;
        file::write_private(&self.path, &next.to_bytes())
            .map_err(|source| StateFileError::Write { path: self.path.clone(), source })?;
        self.state = next;
        Ok(result)
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Why the state cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateFileError {
    /// It cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: FileError,
    },
    /// It cannot be understood.
    #[error("{}: {source}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: StateError,
    },
    /// It cannot be written.
    #[error("{} cannot be written, nothing was changed: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: FileError,
    },
}
