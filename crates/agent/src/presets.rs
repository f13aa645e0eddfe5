//! Administrators' lists that a person follows: fetched, checked against the pinned key and the ratchet, shown, and
//! only then taken over. By itself a list does one thing: it closes a Server that it takes back.
//!
//! ```text
//! source --fetch--> bytes --preset::accept--> checked file --preset::merge--> plan --the person's yes--> state.json
//!                     (ratchet: state.json, kept at once)        revoked: closed at once
//! ```

mod fetch;
mod follow;
mod look;
mod schedule;
mod views;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use ipc::{Error, ErrorCode};
use model::{PresetId, PresetRecord};
use platform::file;
use preset::{List, PublicKey, Trust};
use sha2::{Digest as _, Sha256};

use crate::agent::{Agent, lock};

pub(crate) use follow::remember_removed;
pub(crate) use look::run;

/// Lists as they were last accepted, and plans that were shown.
#[derive(Default)]
pub(crate) struct Presets {
    /// What the ratchet of each list stands at, read again from `cache/` at the start.
    lists: Mutex<BTreeMap<PresetId, Checked>>,
    /// By digest.
    shown: Mutex<HashMap<String, follow::Shown>>,
    /// Failures in a row, for the next look.
    failures: Mutex<BTreeMap<PresetId, u32>>,
    /// One look at a list at a time; looks at other lists do not wait for it.
    looks: Mutex<BTreeMap<PresetId, Arc<tokio::sync::Mutex<()>>>>,
}

/// A list that was checked.
#[derive(Clone, Debug)]
struct Checked {
    list: List,
    trust: Trust,
    /// Of its bytes.
    sha256: String,
}

/// So many shown plans are remembered; older ones are planned again.
const REMEMBERED: usize = 16;

impl Presets {
    fn keep(&self, digest: &str, shown: follow::Shown) {
        let mut plans = lock(&self.shown);
        if plans.len() >= REMEMBERED {
            plans.clear();
        }
        plans.insert(digest.to_owned(), shown);
    }

    /// Held while this list is fetched.
    fn look(&self, preset: &PresetId) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(lock(&self.looks).entry(preset.clone()).or_default())
    }

    /// Keeps nothing of a list that is not followed any more.
    fn forget(&self, preset: &PresetId) {
        lock(&self.lists).remove(preset);
        lock(&self.failures).remove(preset);
        lock(&self.looks).remove(preset);
    }

    /// The list that the ratchet stands at, if we still have it.
    fn checked(&self, record: &PresetRecord) -> Option<Checked> {
        let seen = record.seen.as_ref()?;
        lock(&self.lists).get(&record.id).filter(|checked| checked.sha256 == seen.sha256).cloned()
    }
}

impl Agent {
    /// Reads the copies of lists again. One that is missing, or not what the ratchet remembers, is fetched anew.
    pub(crate) fn load_lists(&self) {
        let records: Vec<PresetRecord> = self.read(|state| state.presets.values().cloned().collect());
        for record in records {
            let Some(seen) = &record.seen else { continue };
            let Ok(bytes) = file::read_private(&self.copy_of(&record.id), preset::MAX_BYTES as u64) else {
                continue;
            };
            let sha256 = sha256(&bytes);
            let Ok(list) = List::parse(&bytes) else { continue };
            if sha256 != seen.sha256 {
                continue;
            }
            let trust = match live_key(&record) {
                Some(key) => Trust::Verified { key, comment: String::new() },
                None => Trust::Unverified,
            };
            let list = if trust == Trust::Unverified { list.unverified() } else { list };
            lock(&self.presets.lists).insert(record.id, Checked { list, trust, sha256 });
        }
    }

    /// Keeps the bytes of a list for the next start; without them it is fetched anew then.
    fn keep_copy(&self, preset: &PresetId, bytes: &[u8]) {
        if let Err(error) = file::write_private(&self.copy_of(preset), bytes) {
            tracing::warn!(%error, "the copy of a list was not kept");
        }
    }

    fn forget_copy(&self, preset: &PresetId) {
        if let Err(error) = std::fs::remove_file(self.copy_of(preset))
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "the copy of a list could not be removed");
        }
    }

    /// Named by a digest: a list's own id is no file name.
    fn copy_of(&self, preset: &PresetId) -> PathBuf {
        self.root.cache().join(format!("list-{}.json", &sha256(preset.as_str().as_bytes())[..32]))
    }
}

/// The key that signed the list that was seen last, or the one that was pinned for the first.
fn live_key(record: &PresetRecord) -> Option<PublicKey> {
    let seen = record.seen.as_ref().and_then(|seen| seen.keys.first());
    PublicKey::parse(seen.or(record.key.as_ref())?).ok()
}

/// Lower-case hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A file that was refused, at the edge.
fn of_refused(error: &preset::Refused) -> Error {
    Error::new(ErrorCode::Failed, format!("the list is refused: {error}")).hint(error.next_step())
}

/// No such list.
fn no_preset(preset: &str) -> Error {
    let shown: String = preset.chars().filter(|c| !c.is_control()).take(200).collect();
    Error::new(ErrorCode::NotFound, format!("no list {shown} is followed"))
        .hint("hallpass presets list shows those that are")
}
