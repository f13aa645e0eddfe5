//! Puts back what stood in a file before us: byte for byte where nobody else has changed it since, entry
//! by entry where somebody has.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use model::{ItemId, Secret};
use platform::FileError;
use platform::file::{self, Expected};

use crate::apply::{ApplyError, Done, Step, Watch, compare};
use crate::client_app::ClientApp;
use crate::cut::{self, CutError};
use crate::document::{Document, DocumentError};
use crate::entry::{EntryKind, kind};
use crate::finding::Finding;
use crate::journal::{History, Journal, JournalError, Origin, StoredCut, sha256};
use crate::node::Node;
use crate::plan::{Target, digest};
use crate::splice;
use crate::view::diff;
use model::{PlanView, PlannedEntry, PlannedKind};

/// Which entries go back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// All of ours.
    All,
    /// Those with these names.
    Named(BTreeSet<String>),
}

/// How a file would go back. Made without any secret.
pub struct RestorePlan {
    app: &'static ClientApp,
    path: PathBuf,
    before: Option<String>,
    history: History,
    which: Which,
    entries: Vec<PlannedEntry>,
    findings: Vec<Finding>,
    items: BTreeSet<ItemId>,
    diff: String,
}

/// A [`RestorePlan`] whose originals are known: the bytes to write.
pub struct ReadyRestore {
    plan: RestorePlan,
    after: Option<String>,
}

/// Works out how our entries would go back to what they were.
pub fn restore(target: Target<'_>, which: Which, journal: &Journal) -> Result<RestorePlan, RestoreError> {
    let document = match target.bytes {
        Some(bytes) => Document::parse(bytes, target.app)?,
        None => Document::missing(target.app),
    };
    if let Some(duplicate) = document.duplicates().first() {
        return Err(RestoreError::DuplicateKey { place: duplicate.place.clone() });
    }
    let history = journal.read(target.app, target.path)?;
    let mut plan = RestorePlan {
        app: target.app,
        path: target.path.into(),
        before: target.bytes.is_some().then(|| document.text().to_owned()),
        history,
        which,
        entries: Vec::new(),
        findings: Vec::new(),
        items: BTreeSet::new(),
        diff: String::new(),
    };
    for outcome in outcomes(&document, &plan.history, &plan.which) {
        if let Ok(Origin::Was(cut)) = &outcome.origin {
            plan.findings.extend(cut.findings.iter().cloned());
            plan.items.extend(cut.item.clone());
        }
        plan.entries.push(outcome.planned());
    }
    let after = plan.after(&|cut| Ok(cut::preview(&cut.skeleton)))?.unwrap_or_default();
    plan.diff = match Document::parse(after.as_bytes(), target.app) {
        Ok(after) => diff(&document, &after),
        // `[…]` may stand where a bare number was: then the words must do.
        Err(_) => String::new(),
    };
    Ok(plan)
}

impl RestorePlan {
    /// Whose file it is.
    pub fn app(&self) -> &'static ClientApp {
        self.app
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The secrets that will stand in the file in plain text again: say so before asking for a yes.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The keychain items to read for [`RestorePlan::ready`].
    pub fn items(&self) -> &BTreeSet<ItemId> {
        &self.items
    }

    /// Nothing would change.
    pub fn is_empty(&self) -> bool {
        !self.entries.iter().any(PlannedEntry::changes)
    }

    /// Over path, bytes before, and what happens to each entry.
    pub fn digest(&self) -> String {
        let before = self.before.as_deref().unwrap_or("\0missing");
        let mut parts = vec![self.path.to_string_lossy().into_owned(), before.to_owned()];
        for entry in &self.entries {
            parts.extend([entry.name.clone(), format!("{:?}", entry.kind), entry.reason.clone()]);
        }
        parts.extend(self.items.iter().map(ToString::to_string));
        digest("restore", &parts.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// What people see. Holds no secret.
    pub fn view(&self) -> PlanView {
        let secrets = self.findings.len();
        let mut notes = Vec::new();
        if secrets > 0 {
            let plural = if secrets == 1 { "" } else { "s" };
            notes.push(format!("this writes {secrets} secret{plural} back in plain text"));
        }
        PlanView {
            app: self.app.app_id(),
            app_name: self.app.name.to_owned(),
            pick_up: self.app.pick_up,
            path: self.path.clone(),
            digest: self.digest(),
            entries: self.entries.clone(),
            diff: self.diff.clone(),
            secrets_moved: 0,
            secrets_restored: secrets,
            notes,
            empty: self.is_empty(),
        }
    }

    /// Takes the texts of [`RestorePlan::items`] and works out the bytes.
    pub fn ready(self, secrets: &BTreeMap<ItemId, Secret<String>>) -> Result<ReadyRestore, RestoreError> {
        let rebuild = |cut: &StoredCut| match &cut.item {
            None => Ok(cut.skeleton.concat()),
            Some(item) => {
                let secret =
                    secrets.get(item).ok_or_else(|| RestoreError::SecretMissing { item: item.clone() })?;
                Ok(cut::rebuild(&cut.skeleton, secret)?)
            }
        };
        let after = self.after(&rebuild)?;
        if let Some(after) = &after {
            Document::parse(after.as_bytes(), self.app)?;
        }
        Ok(ReadyRestore { plan: self, after })
    }

    /// The text afterwards; `None` where the file goes.
    fn after(&self, original: &Rebuild<'_>) -> Result<Option<String>, RestoreError> {
        let Some(before) = &self.before else { return Ok(None) };
        let mut text = before.clone();
        let whole = match &self.which {
            Which::All => true,
            Which::Named(_) => false,
        };
        let records = &self.history.records;
        let newest = records.iter().rposition(|record| record.after_sha256 == sha256(before.as_bytes()));
        if let Some(mut at) = newest.filter(|_| whole) {
            loop {
                let record = &records[at];
                // Taking an entry of ours out is not undone by putting it back in.
                if record.entries.iter().any(|entry| entry.ours.is_none()) {
                    break;
                }
                let cuts: BTreeMap<&str, String> = record
                    .entries
                    .iter()
                    .filter_map(|entry| Some((entry.name.as_str(), entry.before.as_ref()?)))
                    .map(|(name, cut)| Ok((name, original(cut)?)))
                    .collect::<Result<_, RestoreError>>()?;
                let Some(undone) = record.edits.undo(&text, |name| cuts.get(name).cloned()) else { break };
                if record.created {
                    return Ok(None);
                }
                text = undone;
                let continues = record.continues && at > 0;
                if !continues || records[at - 1].after_sha256 != sha256(text.as_bytes()) {
                    break;
                }
                at -= 1;
            }
        }
        self.entry_by_entry(text, original)
    }

    fn entry_by_entry(
        &self,
        mut text: String,
        original: &Rebuild<'_>,
    ) -> Result<Option<String>, RestoreError> {
        let mut created = false;
        let document = Document::parse(text.as_bytes(), self.app)?;
        // From the last to the first, so that positions stay.
        for outcome in outcomes(&document, &self.history, &self.which).iter().rev() {
            match &outcome.origin {
                Ok(Origin::Was(cut)) => {
                    let current = Document::parse(text.as_bytes(), self.app)?;
                    if let Some(member) = current.entry(&outcome.name) {
                        text.replace_range(member.value.span.clone(), &original(cut)?);
                    }
                }
                Ok(Origin::Added { created: with_file }) => {
                    created |= with_file;
                    let current = Document::parse(text.as_bytes(), self.app)?;
                    for splice in splice::remove(&current, &outcome.name) {
                        text.replace_range(splice.span, &splice.text);
                    }
                }
                Ok(Origin::Unknown) | Err(_) => {}
            }
        }
        Ok(if created && holds_nothing(&text, self.app) { None } else { Some(text) })
    }
}

impl fmt::Debug for RestorePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RestorePlan")
            .field("path", &self.path)
            .field("entries", &self.entries)
            .finish_non_exhaustive()
    }
}

impl ReadyRestore {
    /// What the file would hold; `None` where it goes. Holds secrets.
    pub fn after(&self) -> Option<&[u8]> {
        self.after.as_deref().map(str::as_bytes)
    }
}

/// Carries a restore out: lock, same bytes still?, replace or remove, read back, tidy the journal.
pub fn apply_restore(ready: &ReadyRestore, journal: &Journal) -> Result<Done, ApplyError> {
    apply_restore_watched(ready, journal, &mut |_| Ok(()))
}

/// As [`apply_restore`], telling `watch` of each step.
pub fn apply_restore_watched(
    ready: &ReadyRestore,
    journal: &Journal,
    watch: Watch<'_>,
) -> Result<Done, ApplyError> {
    let plan = &ready.plan;
    let _lock = journal.lock(plan.app, &plan.path)?;
    watch(Step::Locked)?;
    let before = plan.before.as_deref().map(str::as_bytes);
    let expected = compare(&plan.path, before)?;
    watch(Step::Compared)?;
    let written = match (ready.after(), expected) {
        (after, _) if after == before => None,
        (None, expected) => {
            file::remove_if_same(&plan.path, expected)?;
            Some(plan.path.clone())
        }
        (Some(after), Expected::Missing | Expected::Bytes(_) | Expected::Digest(_)) => {
            Some(file::replace(&plan.path, after, expected)?)
        }
    };
    watch(Step::Replaced)?;
    if crate::apply::read(&plan.path)?.as_deref() != ready.after() {
        return Err(FileError::NotKept { path: plan.path.clone() }.into());
    }
    watch(Step::Verified)?;
    let history = journal.read(plan.app, &plan.path)?;
    let mut next = history.clone();
    next.forget(&plan.forgettable(&history));
    journal.write(plan.app, &plan.path, &next)?;
    watch(Step::Forgotten)?;
    Ok(Done { written, unneeded: history.items().difference(&next.items()).cloned().collect() })
}

impl RestorePlan {
    /// The names that the journal need not know any more: all but those that are left as they are.
    fn forgettable(&self, history: &History) -> BTreeSet<String> {
        let entries = history.records.iter().flat_map(|record| &record.entries).chain(&history.base);
        let left = |name: &str| self.entries.iter().any(|entry| entry.name == name && !entry.changes());
        let wanted = |name: &str| match &self.which {
            Which::All => true,
            Which::Named(names) => names.contains(name),
        };
        entries.map(|e| e.name.clone()).filter(|name| wanted(name) && !left(name)).collect()
    }
}

type Rebuild<'a> = dyn Fn(&StoredCut) -> Result<String, RestoreError> + 'a;

/// What becomes of one entry of ours.
struct Outcome {
    name: String,
    server: model::ServerId,
    /// What it goes back to, or why it does not.
    origin: Result<Origin, String>,
}

impl Outcome {
    fn planned(&self) -> PlannedEntry {
        let (kind, reason) = match &self.origin {
            Ok(Origin::Was(_)) => {
                (PlannedKind::Restore, "it goes back to what stood there before".to_owned())
            }
            Ok(Origin::Added { .. }) => (PlannedKind::Remove, "it was added by Hallpass".to_owned()),
            Ok(Origin::Unknown) => {
                (PlannedKind::Conflict, "the journal does not know what stood there before".to_owned())
            }
            Err(reason) => (PlannedKind::Conflict, reason.clone()),
        };
        PlannedEntry { name: self.name.clone(), kind, reason, server: Some(self.server.clone()) }
    }
}

/// What becomes of each entry of ours, in the order of the file.
fn outcomes(document: &Document, history: &History, which: &Which) -> Vec<Outcome> {
    let wanted = |name: &str| match which {
        Which::All => true,
        Which::Named(names) => names.contains(name),
    };
    let mut found = Vec::new();
    for member in document.entry_members().filter(|member| wanted(&member.key)) {
        let EntryKind::Ours(ours) = kind(document, member) else { continue };
        let origin = if ours.untouched {
            Ok(history.origin(document.app(), &member.key, &ours))
        } else {
            Err("it was edited since and is left as it is".to_owned())
        };
        found.push(Outcome { name: member.key.clone(), server: ours.server, origin });
    }
    found
}

/// Nothing but an empty root object, or one with an empty root key.
fn holds_nothing(text: &str, app: &'static ClientApp) -> bool {
    let Ok(document) = Document::parse(text.as_bytes(), app) else { return false };
    if !cut::comments_in(&document, &(0..text.len())).is_empty() {
        return false;
    }
    match document.root().and_then(Node::members) {
        None | Some([]) => true,
        Some([only]) => only.key == app.root_key && only.value.members().is_some_and(<[_]>::is_empty),
        Some(_) => false,
    }
}

/// Why nothing can be restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The file cannot be read as the app reads it.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// A key stands twice.
    #[error("`{place}` stands twice in the file; remove one of them and try again")]
    DuplicateKey {
        /// The path of the key.
        place: String,
    },
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The keychain has lost what was cut out.
    #[error("the keychain no longer holds the values that were cut out of the file (item {item})")]
    SecretMissing {
        /// The item.
        item: ItemId,
    },
    /// The halves do not fit.
    #[error(transparent)]
    Cut(#[from] CutError),
}
