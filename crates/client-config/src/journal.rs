//! What stood in a file before us: kept without its values, so that no file of ours can leak one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::{ItemId, UnixTime};
use platform::lock::LockError;
use platform::{FileError, Lock, file};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::client_app::ClientApp;
use crate::edit::Edits;
use crate::entry::{Ours, ours_in};
use crate::finding::Finding;
use crate::hex::hex;

/// The records are kept for this many changes of a file; originals that are still needed are kept longer.
pub const KEPT_RECORDS: usize = 10;

/// The journal: a folder with one file for each configuration file that we changed.
#[derive(Clone, Debug)]
pub struct Journal {
    folder: PathBuf,
}

/// All that is known of one configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct History {
    pub(crate) v: u32,
    pub(crate) app: String,
    pub(crate) path: String,
    /// Originals that outlived their record.
    #[serde(default)]
    pub(crate) base: Vec<RecordEntry>,
    /// Oldest first.
    #[serde(default)]
    pub(crate) records: Vec<Record>,
}

/// One change of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) at: UnixTime,
    /// The file did not exist before.
    pub(crate) created: bool,
    /// It found the file as the record before had left it.
    pub(crate) continues: bool,
    /// SHA-256 of the file as this change left it. None is kept of what was there before: a short password
    /// could be guessed from it.
    pub(crate) after_sha256: String,
    pub(crate) edits: Edits,
    pub(crate) entries: Vec<RecordEntry>,
}

/// One entry of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RecordEntry {
    pub(crate) name: String,
    /// Our value; `None` where the entry was taken out.
    pub(crate) ours: Option<String>,
    /// What stood there before; `None` where nothing did.
    pub(crate) before: Option<StoredCut>,
    /// The file, too, was made for it.
    #[serde(default)]
    pub(crate) created: bool,
}

/// A [`crate::Cut`] whose values are in the keychain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredCut {
    pub(crate) skeleton: Vec<String>,
    pub(crate) item: Option<ItemId>,
    pub(crate) findings: Vec<Finding>,
}

/// What stood in an entry's place before we came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// This.
    Was(StoredCut),
    /// Nothing.
    Added {
        /// Not even a file.
        created: bool,
    },
    /// The journal does not say.
    Unknown,
}

impl Journal {
    /// The journal in this folder, which must exist and be private.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The keychain items that the journal still needs for a file.
    pub fn items(&self, app: &'static ClientApp, path: &Path) -> Result<BTreeSet<ItemId>, JournalError> {
        Ok(self.read(app, path)?.items())
    }

    /// The keychain items that the journal still needs for all files.
    pub fn all_items(&self) -> Result<BTreeSet<ItemId>, JournalError> {
        let mut items = BTreeSet::new();
        let failed = |source| FileError::Io { action: "look into", path: self.folder.clone(), source };
        for entry in std::fs::read_dir(&self.folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|ending| ending == "json") {
                items.extend(parse(&path, &file::read_private(&path, MAX_HISTORY)?)?.items());
            }
        }
        Ok(items)
    }

    /// Locks a file's history, waiting up to two seconds.
    pub(crate) fn lock(&self, app: &ClientApp, path: &Path) -> Result<Lock, JournalError> {
        let lock = Lock::acquire_within(&self.file(app, path, "lock"), PATIENCE)?;
        lock.ok_or(JournalError::Busy { path: path.to_owned() })
    }

    pub(crate) fn read(&self, app: &ClientApp, path: &Path) -> Result<History, JournalError> {
        let name = self.file(app, path, "json");
        let bytes = match file::read_private(&name, MAX_HISTORY) {
            Ok(bytes) => bytes,
            Err(error) if error.is_missing() => return Ok(History::new(app, path)),
            Err(error) => return Err(error.into()),
        };
        let history = parse(&name, &bytes)?;
        if history.path != path.to_string_lossy() || history.app != app.id {
            let reason = "it speaks of another file".to_owned();
            return Err(JournalError::Damaged { path: name, reason });
        }
        Ok(history)
    }

    pub(crate) fn write(&self, app: &ClientApp, path: &Path, history: &History) -> Result<(), JournalError> {
        let mut bytes =
            serde_json::to_vec_pretty(history).expect("string keys and plain values always serialise");
        bytes.push(b'\n');
        Ok(file::write_private(&self.file(app, path, "json"), &bytes)?)
    }

    fn file(&self, app: &ClientApp, path: &Path, ending: &str) -> PathBuf {
        let digest = hex(&Sha256::digest(path.to_string_lossy().as_bytes()));
        self.folder.join(format!("{}-{}.{ending}", app.id, &digest[..16]))
    }
}

impl History {
    fn new(app: &ClientApp, path: &Path) -> Self {
        let path = path.to_string_lossy().into_owned();
        Self { v: VERSION, app: app.id.to_owned(), path, base: Vec::new(), records: Vec::new() }
    }

    /// Adds a record; the oldest ones go, but not what they know of entries that are still ours.
    pub(crate) fn push(&mut self, record: Record, app: &'static ClientApp) {
        self.records.push(record);
        while self.records.len() > KEPT_RECORDS {
            for entry in self.records.remove(0).entries {
                let old =
                    self.base.iter().position(|base| base.name == entry.name).map(|at| self.base.remove(at));
                if entry.ours.is_none() {
                    continue;
                }
                let follows = |base: &RecordEntry| same(app, base.ours.as_deref(), entry.before_text());
                match old.filter(follows) {
                    Some(old) => self.base.push(RecordEntry { ours: entry.ours, ..old }),
                    None => self.base.push(entry),
                }
            }
        }
    }

    /// What stood in the place of an entry that is `ours` now.
    pub(crate) fn origin(&self, app: &'static ClientApp, name: &str, ours: &Ours) -> Origin {
        let newest_first = self.records.iter().rev().flat_map(|record| &record.entries).chain(&self.base);
        let mut wanted = Some(ours.clone());
        let mut origin = Origin::Unknown;
        for entry in newest_first.filter(|entry| entry.name == name) {
            let (Some(wanted_now), Some(text)) = (&wanted, entry.ours.as_deref()) else { continue };
            if ours_in(app, text).as_ref() != Some(wanted_now) {
                continue;
            }
            origin = match &entry.before {
                None => Origin::Added { created: entry.created },
                Some(cut) => Origin::Was(cut.clone()),
            };
            // One that was ours already: look for what it had replaced.
            wanted = entry.before_text().and_then(|text| ours_in(app, text)).filter(|ours| ours.untouched);
            if wanted.is_none() {
                break;
            }
        }
        origin
    }

    /// Forgets entries: their whole records can no longer be undone in one.
    pub(crate) fn forget(&mut self, names: &BTreeSet<String>) {
        self.base.retain(|entry| !names.contains(&entry.name));
        for record in &mut self.records {
            record.entries.retain(|entry| !names.contains(&entry.name));
            record.edits = Edits::default();
            record.after_sha256 = String::new();
            record.continues = false;
        }
        self.records.retain(|record| !record.entries.is_empty());
    }

    /// Every keychain item that is still needed.
    pub(crate) fn items(&self) -> BTreeSet<ItemId> {
        let entries = self.records.iter().flat_map(|record| &record.entries).chain(&self.base);
        entries.filter_map(|entry| entry.before.as_ref()?.item.clone()).collect()
    }
}

impl RecordEntry {
    /// The value before, where it had no secret to cut out.
    fn before_text(&self) -> Option<&str> {
        match self.before.as_ref()?.skeleton.as_slice() {
            [text] => Some(text),
            _ => None,
        }
    }
}

fn parse(name: &Path, bytes: &[u8]) -> Result<History, JournalError> {
    let history: History = serde_json::from_slice(bytes)
        .map_err(|error| JournalError::Damaged { path: name.to_owned(), reason: error.to_string() })?;
    if history.v != VERSION {
        return Err(JournalError::Newer { path: name.to_owned(), found: history.v });
    }
    Ok(history)
}

fn same(app: &'static ClientApp, a: Option<&str>, b: Option<&str>) -> bool {
    match (a.and_then(|text| ours_in(app, text)), b.and_then(|text| ours_in(app, text))) {
        (Some(a), Some(b)) => a == b,
        (Some(_) | None, Some(_) | None) => false,
    }
}

/// The SHA-256 of a file's bytes as the journal writes it.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

const VERSION: u32 = 1;
const MAX_HISTORY: u64 = 64 * 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(2);

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Somebody else of us changes the same file now.
    #[error("another change of {path} is under way; try again", path = path.display())]
    Busy {
        /// The configuration file.
        path: PathBuf,
    },
    /// The lock failed.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The file failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// Not what we wrote.
    #[error("the journal {path} is damaged: {reason}", path = path.display())]
    Damaged {
        /// The journal's file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Written by a newer Hallpass.
    #[error("the journal {path} was written by a newer Hallpass (format {found})", path = path.display())]
    Newer {
        /// The journal's file.
        path: PathBuf,
        /// The format found.
        found: u32,
    },
}
