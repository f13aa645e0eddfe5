//! `bin/manifest.json`: which version the entry is, and where it came from.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use semver::Version;
use serde::{Deserialize, Serialize};

use super::system;
use crate::Root;
use crate::file::{self, FileError};

/// What was published last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version, by which newer and older are told apart.
    pub version: Version,
    /// SHA-256 of the executable, hexadecimal.
    pub sha256: String,
    /// Link or copy.
    pub kind: SourceKind,
    /// The executable that was linked or copied.
    pub source: PathBuf,
    /// How the window is started again, where it was the window that published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Vec<String>>,
    /// What told the executable and the entry from other files when they were last found equal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stamps: Option<Stamps>,
}

/// Two files that were found equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamps {
    pub(super) source: Stamp,
    pub(super) entry: Stamp,
}

/// What changes with whatever is done to a file: place, length and times, the last one set by the kernel alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) size: u64,
    /// Seconds and nanoseconds.
    pub(super) modified: (i64, i64),
    /// The same.
    pub(super) changed: (i64, i64),
}

/// What kind of installation the entry comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// Owned by the system's package manager: the entry is a link to it, so updates reach it by themselves.
    System,
    /// Anything else, which may move or vanish: the entry is a copy.
    Copied,
}

/// Reads the manifest; `None` where there is none that this user alone can have written.
pub fn manifest(root: &Root) -> Option<Manifest> {
    serde_json::from_slice(&file::read_private(&path(root), LARGEST).ok()?).ok()
}

pub(super) fn write(root: &Root, manifest: &Manifest) -> Result<(), FileError> {
    let path = path(root);
    let mut text = serde_json::to_vec_pretty(manifest)
        .map_err(|error| FileError::from_io("write", &path, error.into()))?;
    text.push(b'\n');
    file::write_private(&path, &text)
}

impl Manifest {
    /// True if this executable and the entry are those that were found equal, untouched since.
    pub(super) fn is_unchanged(&self, source: &Path, version: &Version, entry: &Path) -> bool {
        let same = self.version == *version && self.source == source;
        let linked = || fs::read_link(entry).is_ok_and(|target| target == self.source);
        let right_kind = match self.kind {
            SourceKind::System => linked(),
            SourceKind::Copied => !linked(),
        };
        let now = || Some(Stamps { source: system::stamp(source)?, entry: system::stamp(entry)? });
        same && self.stamps.is_some() && right_kind && self.stamps == now()
    }

    /// True if what was published then is still whole and still installed somewhere else, so that it is
    /// the one to keep. An entry whose source is gone gives way to an older one that is there.
    pub(super) fn still_stands(&self, entry: &Path) -> bool {
        let whole = match self.kind {
            SourceKind::System => fs::read_link(entry).is_ok_and(|target| target == self.source),
            SourceKind::Copied => file::digest(entry).is_ok_and(|current| hex(&current) == self.sha256),
        };
        whole && self.source.is_file()
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn path(root: &Root) -> PathBuf {
    root.bin().join("manifest.json")
}

const LARGEST: u64 = 64 * 1024;
