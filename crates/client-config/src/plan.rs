//! Decides how a file would change. Pure: bytes in, bytes out, nothing touched.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use model::{AccountId, ItemId, ServerId};
use sha2::{Digest as _, Sha256};

use crate::client_app::ClientApp;
use crate::cut::Cut;
use crate::document::{BOM, Document};
use crate::edit::{Edits, Overlap, Removed};
use crate::entry::{self, EntryKind, Ours, arguments};
use crate::finding::Finding;
use crate::hex::hex;
use crate::layout::Shape;
use crate::node::Member;
use crate::splice::{self, Splice};
use crate::view::diff;
use model::{PlanView, PlannedEntry, PlannedKind};

/// What the person asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An entry becomes a bridge of ours; where none has the name, it is added.
    Connect {
        /// Name of the entry. Never changed.
        entry: String,
        /// The Server that it will name.
        server: ServerId,
        /// The Account that it will pin.
        account: Option<AccountId>,
    },
    /// An entry of ours goes. For one that took another's place see [`crate::restore`].
    Disconnect {
        /// Name of the entry.
        entry: String,
    },
}

/// An entry that gives way: its bytes, cut in two halves.
#[derive(Clone, Debug)]
pub struct Original {
    /// Name of the entry.
    pub name: String,
    /// Its value.
    pub cut: Cut,
    /// The secrets that were recognised in it.
    pub findings: Vec<Finding>,
}

/// How a file would change. Its `Debug` shows no bytes of it.
pub struct Plan {
    pub(crate) app: &'static ClientApp,
    pub(crate) path: PathBuf,
    pub(crate) before: Option<String>,
    pub(crate) after: String,
    pub(crate) edits: Edits,
    /// By entry: the value of ours that stands there afterwards, `None` for one that goes.
    pub(crate) ours: BTreeMap<String, Option<String>>,
    pub(crate) originals: BTreeMap<String, Original>,
    entries: Vec<PlannedEntry>,
    notes: Vec<String>,
    diff: String,
}

/// What to plan for.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The file, as [`crate::locate`] gave it.
    pub path: &'a Path,
    /// Its bytes; `None` where it is not there.
    pub bytes: Option<&'a [u8]>,
    /// Whose it is.
    pub app: &'static ClientApp,
}

/// Works out how the file would change. An entry that cannot be changed becomes a conflict in the plan, the
/// others go ahead; a file that cannot be changed is an error.
///
/// `executable` is what entries will name: absolute, `…/hallpass` or `…\hallpass.exe`.
pub fn plan(target: Target<'_>, changes: &[Change], executable: &str) -> Result<Plan, PlanError> {
    check_executable(executable)?;
    let Some(path) = target.path.to_str() else {
        return Err(PlanError::PathNotUnicode { path: target.path.to_owned() });
    };
    let document = match target.bytes {
        Some(bytes) => Document::parse(bytes, target.app)?,
        None => Document::missing(target.app),
    };
    if let Some(duplicate) = document.duplicates().first() {
        let (first, second) = duplicate.lines;
        return Err(PlanError::DuplicateKey { place: duplicate.place.clone(), first, second });
    }
    let mut draft = Draft {
        text: document.text().to_owned(),
        document: document.clone(),
        executable,
        edits: Edits::default(),
        ours: BTreeMap::new(),
        originals: BTreeMap::new(),
        entries: Vec::new(),
    };
    for change in changes {
        let planned = draft.change(change)?;
        draft.entries.push(planned);
    }
    let mut notes = draft.notes();
    if !draft.edits.is_empty() && document.has_bom() && !target.app.syntax.bom {
        draft.make(&Splice { span: 0..BOM.len(), text: String::new() }, Removed::Text(BOM.to_owned()))?;
        notes.push(format!(
            "the byte order mark at the start of the file is dropped: {} cannot read a file that has one",
            target.app.name
        ));
    }
    draft.check(&document)?;
    Ok(Plan {
        app: target.app,
        path: path.into(),
        before: target.bytes.is_some().then(|| document.text().to_owned()),
        diff: diff(&document, &draft.document),
        after: draft.text,
        edits: draft.edits,
        ours: draft.ours,
        originals: draft.originals,
        entries: draft.entries,
        notes,
    })
}

impl Plan {
    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whose file it is.
    pub fn app(&self) -> &'static ClientApp {
        self.app
    }

    /// Nothing would change.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// The entries that give way and whose values the keychain must hold before [`crate::apply`].
    pub fn originals(&self) -> impl Iterator<Item = &Original> {
        self.originals.values().filter(|original| !original.cut.values().is_empty())
    }

    /// What the file holds now; `None` where it is not there. May hold secrets.
    pub fn before(&self) -> Option<&[u8]> {
        self.before.as_deref().map(str::as_bytes)
    }

    /// What the file would hold. May hold secrets of entries that are not ours.
    pub fn after(&self) -> &[u8] {
        self.after.as_bytes()
    }

    /// SHA-256 over path, bytes before and bytes after, in hexadecimal. Saying yes means saying yes to this.
    pub fn digest(&self) -> String {
        let before = self.before.as_deref();
        digest("plan", &[&self.path.to_string_lossy(), before.unwrap_or("\0missing"), &self.after])
    }

    /// What people see. Holds no secret.
    pub fn view(&self) -> PlanView {
        PlanView {
            app: self.app.app_id(),
            app_name: self.app.name.to_owned(),
            pick_up: self.app.pick_up,
            path: self.path.clone(),
            digest: self.digest(),
            entries: self.entries.clone(),
            diff: self.diff.clone(),
            secrets_moved: self.originals.values().map(|original| original.findings.len()).sum(),
            secrets_restored: 0,
            notes: self.notes.clone(),
            empty: self.is_empty(),
        }
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan")
            .field("path", &self.path)
            .field("entries", &self.entries)
            .finish_non_exhaustive()
    }
}

/// SHA-256 over texts, each with its length before it.
pub(crate) fn digest(kind: &str, parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in [kind].iter().chain(parts) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex(&hash.finalize())
}

/// A plan in the making: each change sees what the ones before it did.
struct Draft<'a> {
    text: String,
    document: Document,
    executable: &'a str,
    edits: Edits,
    ours: BTreeMap<String, Option<String>>,
    originals: BTreeMap<String, Original>,
    entries: Vec<PlannedEntry>,
}

impl Draft<'_> {
    fn change(&mut self, change: &Change) -> Result<PlannedEntry, PlanError> {
        let (name, server) = match change {
            Change::Connect { entry, server, .. } => (entry, Some(server)),
            Change::Disconnect { entry } => (entry, None),
        };
        let answer =
            |kind, reason: String| PlannedEntry { name: name.clone(), kind, reason, server: server.cloned() };
        if self.ours.contains_key(name) {
            return Ok(answer(PlannedKind::Conflict, "the plan changes it twice".to_owned()));
        }
        let document = self.document.clone();
        let member = document.entry(name);
        let kind = member.map(|member| entry::kind(&document, member));
        match (change, member.zip(kind)) {
            (Change::Connect { server, account, .. }, None) => {
                let shape = self.shape(server, account.as_ref());
                for splice in splice::add(&document, name, shape) {
                    self.make(&splice, Removed::Text(String::new()))?;
                }
                self.remember(name);
                Ok(answer(PlannedKind::Add, "it is new".to_owned()))
            }
            (Change::Connect { server, account, .. }, Some((member, kind))) => {
                let reason = match self.why_replace(&kind, server, account.as_ref()) {
                    Ok(reason) => reason,
                    Err((kind, reason)) => return Ok(answer(kind, reason)),
                };
                let splice = splice::replace(&document, member, &self.shape(server, account.as_ref()));
                self.keep_original(&document, member, &kind);
                self.make(&splice, Removed::Entry(name.clone()))?;
                self.remember(name);
                Ok(answer(PlannedKind::Replace, reason))
            }
            (Change::Disconnect { .. }, Some((member, EntryKind::Ours(ours)))) => {
                if !ours.untouched {
                    let reason = "it was edited by hand; remove it by hand".to_owned();
                    return Ok(answer(PlannedKind::Conflict, reason));
                }
                let value = member.value.span.clone();
                for splice in splice::remove(&document, name) {
                    debug_assert!(splice.span.end <= value.start || splice.span.end >= value.end);
                    let removed = document.slice(&splice.span).to_owned();
                    self.make(&splice, Removed::Text(removed))?;
                }
                self.ours.insert(name.clone(), None);
                Ok(PlannedEntry {
                    server: Some(ours.server),
                    ..answer(PlannedKind::Remove, "it is ours".to_owned())
                })
            }
            (Change::Disconnect { .. }, Some(_)) => {
                Ok(answer(PlannedKind::Keep, "it is not an entry of Hallpass".to_owned()))
            }
            (Change::Disconnect { .. }, None) => Ok(answer(PlannedKind::Keep, "it is not there".to_owned())),
        }
    }

    /// Why an entry gives way, or why it does not.
    fn why_replace(
        &self,
        kind: &EntryKind,
        server: &ServerId,
        account: Option<&AccountId>,
    ) -> Result<String, (PlannedKind, String)> {
        match kind {
            EntryKind::Ours(ours) if self.is_same(ours, server, account) => {
                Err((PlannedKind::Keep, "it is already as it should be".to_owned()))
            }
            EntryKind::Ours(ours) if ours.untouched => {
                Ok("it names another server, account or path".to_owned())
            }
            EntryKind::Ours(_) => {
                Err((PlannedKind::Conflict, "it is ours, but was edited by hand".to_owned()))
            }
            EntryKind::Remote(_) => Ok("it calls a remote server itself".to_owned()),
            EntryKind::McpRemote(_) => Ok("it calls a remote server through mcp-remote".to_owned()),
            EntryKind::Local { program } => Err((
                PlannedKind::Conflict,
                format!("it starts a local command (`{program}`), which is left as it is"),
            )),
            EntryKind::Other { reason } => Err((PlannedKind::Conflict, reason.clone())),
        }
    }

    fn is_same(&self, ours: &Ours, server: &ServerId, account: Option<&AccountId>) -> bool {
        ours.untouched
            && ours.server == *server
            && ours.account.as_ref() == account
            && ours.executable == self.executable
            && ours.app == self.document.app().id
    }

    fn keep_original(&mut self, document: &Document, member: &Member, kind: &EntryKind) {
        let plain = matches!(kind, EntryKind::Ours(ours) if ours.untouched);
        let original = Original {
            name: member.key.clone(),
            cut: if plain {
                Cut::plain(document.slice(&member.value.span))
            } else {
                Cut::of(document, &member.value)
            },
            findings: entry::entry(document, member).findings,
        };
        self.originals.insert(member.key.clone(), original);
    }

    fn remember(&mut self, name: &str) {
        let value =
            self.document.entry(name).map(|member| self.document.slice(&member.value.span).to_owned());
        self.ours.insert(name.to_owned(), value);
    }

    fn shape(&self, server: &ServerId, account: Option<&AccountId>) -> Shape {
        Shape::Object(vec![
            ("command".to_owned(), Shape::Text(self.executable.to_owned())),
            ("args".to_owned(), Shape::List(arguments(self.document.app().id, server, account))),
        ])
    }

    /// Makes a splice; afterwards the text must still be what the app reads.
    fn make(&mut self, splice: &Splice, removed: Removed) -> Result<(), PlanError> {
        self.edits
            .make(&mut self.text, splice, removed)
            .map_err(|Overlap| PlanError::Unsafe { reason: "two changes touch the same bytes".to_owned() })?;
        // In the middle of an insertion in two places the text is no JSON: the next splice repairs it.
        if let Ok(document) = Document::parse(self.text.as_bytes(), self.document.app()) {
            self.document = document;
        }
        Ok(())
    }

    /// The result must be what the app reads, with our entries in it and all others as they were.
    fn check(&self, before: &Document) -> Result<(), PlanError> {
        let unsafe_ = |reason: &str| PlanError::Unsafe { reason: reason.to_owned() };
        let after = Document::parse(self.text.as_bytes(), before.app())?;
        let foreign = |document: &Document| -> Vec<String> {
            let others = document.entry_members().filter(|m| !self.ours.contains_key(&m.key));
            others.map(|m| document.slice(&m.span()).to_owned()).collect()
        };
        if foreign(before) != foreign(&after) || !after.duplicates().is_empty() {
            return Err(unsafe_("an entry that is not ours would change"));
        }
        for (name, ours) in &self.ours {
            let found = after.entry(name).map(|member| after.slice(&member.value.span));
            if found != ours.as_deref() {
                return Err(unsafe_("an entry of ours would not be what it should be"));
            }
        }
        Ok(())
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.executable.contains(' ') && !self.edits.is_empty() {
            notes.push(format!("the path {} holds a blank, which some apps split at", self.executable));
        }
        notes
    }
}

fn check_executable(executable: &str) -> Result<(), PlanError> {
    let name = executable.rsplit(['/', '\\']).next().unwrap_or_default();
    let bytes = executable.as_bytes();
    let absolute = executable.starts_with('/')
        || executable.starts_with(r"\\")
        || (bytes.len() > 2 && bytes[1] == b':' && matches!(bytes[2], b'\\' | b'/'));
    if absolute && matches!(name, "hallpass" | "hallpass.exe") {
        Ok(())
    } else {
        Err(PlanError::Executable { executable: executable.to_owned() })
    }
}

/// Items by entry name: what the caller stored for each of [`Plan::originals`].
pub type StoredItems = BTreeMap<String, ItemId>;

/// Why nothing can be planned for a file.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The file cannot be read as the app reads it.
    #[error(transparent)]
    Document(#[from] crate::document::DocumentError),
    /// A key stands twice where we would have to choose.
    #[error(
        "`{place}` stands twice in the file (lines {first} and {second}); remove one of them and try again"
    )]
    DuplicateKey {
        /// The path of the key.
        place: String,
        /// Line of the first.
        first: usize,
        /// Line of the second.
        second: usize,
    },
    /// The path cannot be written down in the journal.
    #[error("the path {path} is not Unicode text", path = path.display())]
    PathNotUnicode {
        /// The path.
        path: PathBuf,
    },
    /// Entries must name an absolute path that ends in our executable's name.
    #[error("{executable} is not an absolute path of the hallpass executable")]
    Executable {
        /// What was given.
        executable: String,
    },
    /// A check of our own failed: the change would not be safe.
    #[error("the file cannot be changed safely: {reason}")]
    Unsafe {
        /// What failed.
        reason: String,
    },
}
