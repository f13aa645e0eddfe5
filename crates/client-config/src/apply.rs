//! Carries a plan out. In this order, so that a stop at any point loses nothing: secrets are in the
//! keychain (the caller's work, before), lock, same bytes still?, journal, replace, read back.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use model::{ItemId, UnixTime};
use platform::FileError;
use platform::file::{self, Expected};

use crate::document::{Document, MAX_BYTES};
use crate::journal::{History, Journal, JournalError, Record, RecordEntry, StoredCut, sha256};
use crate::plan::{Plan, StoredItems};

/// A point that carrying out a plan or a restore has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The lock is held.
    Locked,
    /// The file holds what the plan was made for.
    Compared,
    /// The journal can undo the change.
    Journalled,
    /// The file holds the new bytes.
    Replaced,
    /// They were read back and the app can read them.
    Verified,
    /// The journal is tidied (only a restore does that).
    Forgotten,
}

/// Told of each step that was passed; an error stops the work right there, as a crash would.
pub type Watch<'a> = &'a mut dyn FnMut(Step) -> io::Result<()>;

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The file that was written, behind any links; `None` where nothing was to be done.
    pub written: Option<PathBuf>,
    /// Keychain items that nothing needs any more. Delete them.
    pub unneeded: BTreeSet<ItemId>,
}

/// Reads a configuration file, following links; `None` where it is not there.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    match file::read_limited(path, MAX_BYTES as u64) {
        Ok(bytes) => Ok(Some(bytes)),
        // A link that leads nowhere is no missing file.
        Err(error) if error.is_missing() && path.symlink_metadata().is_ok() => {
            Err(FileError::DanglingLink { path: path.to_owned() })
        }
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Carries `plan` out. `items` names the keychain item of each of [`Plan::originals`], stored and read back.
///
/// # Errors
/// [`ApplyError::is_untouched`] tells whether the file is as it was; if so, the items may be deleted.
pub fn apply(plan: &Plan, items: &StoredItems, journal: &Journal, now: UnixTime) -> Result<Done, ApplyError> {
    apply_watched(plan, items, journal, now, &mut |_| Ok(()))
}

/// As [`apply`], telling `watch` of each step: for tests that stop it there.
pub fn apply_watched(
    plan: &Plan,
    items: &StoredItems,
    journal: &Journal,
    now: UnixTime,
    watch: Watch<'_>,
) -> Result<Done, ApplyError> {
    if plan.is_empty() {
        return Ok(Done { written: None, unneeded: BTreeSet::new() });
    }
    for original in plan.originals() {
        if !items.contains_key(&original.name) {
            return Err(ApplyError::SecretNotStored { entry: original.name.clone() });
        }
    }
    let _lock = journal.lock(plan.app, &plan.path)?;
    watch(Step::Locked)?;
    let expected = compare(&plan.path, plan.before())?;
    watch(Step::Compared)?;
    let history = journal.read(plan.app, &plan.path)?;
    let mut next = history.clone();
    next.push(record(plan, items, &history, now), plan.app);
    journal.write(plan.app, &plan.path, &next)?;
    watch(Step::Journalled)?;
    let written = file::replace(&plan.path, plan.after(), expected).inspect_err(|_| {
        // The record of a change that never was does no harm, it is only untidy; that of one that was, in spite
        // of the error, is all there is to undo it.
        if read(&plan.path).is_ok_and(|bytes| bytes.as_deref() == plan.before()) {
            let _ = journal.write(plan.app, &plan.path, &history);
        }
    })?;
    watch(Step::Replaced)?;
    verify(&plan.path, plan)?;
    watch(Step::Verified)?;
    let unneeded = history.items().difference(&next.items()).cloned().collect();
    Ok(Done { written: Some(written), unneeded })
}

/// The file must hold what the plan was made for.
pub(crate) fn compare<'a>(path: &Path, before: Option<&'a [u8]>) -> Result<Expected<'a>, ApplyError> {
    if read(path)?.as_deref() != before {
        return Err(FileError::ChangedMeanwhile { path: path.to_owned() }.into());
    }
    Ok(before.map_or(Expected::Missing, Expected::Bytes))
}

fn verify(path: &Path, plan: &Plan) -> Result<(), ApplyError> {
    let kept =
        read(path)?.is_some_and(|bytes| bytes == plan.after() && Document::parse(&bytes, plan.app).is_ok());
    if kept { Ok(()) } else { Err(FileError::NotKept { path: path.to_owned() }.into()) }
}

fn record(plan: &Plan, items: &StoredItems, history: &History, now: UnixTime) -> Record {
    let created = plan.before.is_none();
    let entry = |(name, ours): (&String, &Option<String>)| RecordEntry {
        name: name.clone(),
        ours: ours.clone(),
        before: plan.originals.get(name).map(|original| StoredCut {
            skeleton: original.cut.skeleton().to_vec(),
            item: items.get(name).filter(|_| !original.cut.values().is_empty()).cloned(),
            findings: original.findings.clone(),
        }),
        created,
    };
    let last = history.records.last();
    Record {
        at: now,
        created,
        continues: plan.before().is_some_and(|before| last.is_some_and(|r| r.after_sha256 == sha256(before))),
        after_sha256: sha256(plan.after()),
        edits: plan.edits.clone(),
        entries: plan.ours.iter().map(entry).collect(),
    }
}

/// Why a plan was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The caller has not stored what would be lost.
    #[error("the values of the entry `{entry}` are not in the keychain; nothing was changed")]
    SecretNotStored {
        /// The entry.
        entry: String,
    },
    /// The journal failed, before the file was touched.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The file failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// The watch stopped the work.
    #[error("stopped")]
    Stopped(#[from] io::Error),
}

impl ApplyError {
    /// Whether the file is certainly as it was.
    pub fn is_untouched(&self) -> bool {
        match self {
            Self::SecretNotStored { .. } | Self::Journal(_) => true,
            Self::File(error) => !matches!(error, FileError::NotKept { .. } | FileError::Io { .. }),
            Self::Stopped(_) => false,
        }
    }

    /// Whether another program changed the file since the plan was made: plan again.
    pub fn is_changed_meanwhile(&self) -> bool {
        matches!(self, Self::File(FileError::ChangedMeanwhile { .. }))
    }
}
