//! What the tests share: secrets to plant, a scratch folder with a journal, a keychain in memory.
#![allow(dead_code, reason = "each test binary uses its part of it")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hallpass_client_config::{
    ApplyError, CLIENT_APPS, Change, ClientApp, Document, Done, EntryKind, Journal, Plan, PlanError,
    RestorePlan, StoredItems, Target, Which, apply, apply_restore, entries, plan, read, restore,
};
use model::{ItemId, Secret, ServerId, UnixTime};

pub(crate) const EXECUTABLE: &str = "/home/ana/.hallpass/bin/hallpass";

/// Marks in the samples and the secrets that take their place. They are put together here so that no file
/// of the repository looks like a leak.
pub(crate) fn secrets() -> Vec<(&'static str, String)> {
    let tail = "Zk3vQ8rT1yB6nW0pL5sD9fG2hJ7kM4xCqE8u";
    vec![
        ("@GITHUB@", format!("{}_{tail}", "ghp")),
        ("@BEARER@", format!("bearer-{tail}")),
        ("@APIKEY@", format!("key-{}", &tail[..24])),
        ("@TOKEN@", format!("tok-{}", &tail[4..28])),
        ("@BASIC@", "YW5hOmh1bnRlcjItaHVudGVyMg==".to_owned()),
        ("@PASSWORD@", "hunter2-hunter2".to_owned()),
        ("@PATH@", format!("MzA5{}", &tail[..20])),
        ("@KEPT@", format!("kept-{}", &tail[..24])),
    ]
}

pub(crate) fn plant(text: &str) -> String {
    secrets().iter().fold(text.to_owned(), |text, (mark, secret)| text.replace(mark, secret))
}

/// The secrets that occur in some bytes, but for those that stay where they are.
pub(crate) fn moved_secrets_in(bytes: &[u8]) -> Vec<String> {
    secrets_in(bytes).into_iter().filter(|secret| !secret.starts_with("kept-")).collect()
}

pub(crate) fn secrets_in(bytes: &[u8]) -> Vec<String> {
    let holds = |secret: &str| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
    secrets().into_iter().map(|(_, secret)| secret).filter(|secret| holds(secret)).collect()
}

pub(crate) fn claude() -> &'static ClientApp {
    &CLIENT_APPS[0]
}

pub(crate) fn cursor() -> &'static ClientApp {
    &CLIENT_APPS[1]
}

/// A folder with a configuration file and a journal, and the keychain in memory.
pub(crate) struct Sandbox {
    pub(crate) folder: PathBuf,
    owned: Option<tempfile::TempDir>,
    pub(crate) path: PathBuf,
    pub(crate) app: &'static ClientApp,
    pub(crate) journal: Journal,
    pub(crate) keychain: BTreeMap<ItemId, Secret<String>>,
    now: u64,
}

impl Sandbox {
    pub(crate) fn new(app: &'static ClientApp, bytes: Option<&[u8]>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        if let Some(bytes) = bytes {
            std::fs::write(folder.path().join("config.json"), bytes).unwrap();
        }
        std::fs::create_dir(folder.path().join("journal")).unwrap();
        let mut sandbox = Self::at(app, folder.path());
        sandbox.owned = Some(folder);
        sandbox
    }

    /// The folder of another process' sandbox.
    pub(crate) fn at(app: &'static ClientApp, folder: &Path) -> Self {
        let journal = Journal::new(&folder.join("journal"));
        Self {
            path: folder.join("config.json"),
            folder: folder.to_owned(),
            owned: None,
            app,
            journal,
            keychain: BTreeMap::new(),
            now: 1_800_000_000,
        }
    }

    pub(crate) fn bytes(&self) -> Option<Vec<u8>> {
        read(&self.path).unwrap()
    }

    pub(crate) fn document(&self) -> Document {
        Document::parse(&self.bytes().unwrap_or_default(), self.app).unwrap()
    }

    pub(crate) fn kinds(&self) -> BTreeMap<String, EntryKind> {
        entries(&self.document()).into_iter().map(|entry| (entry.name, entry.kind)).collect()
    }

    pub(crate) fn plan(&self, changes: &[Change]) -> Result<Plan, PlanError> {
        self.plan_with(changes, EXECUTABLE)
    }

    pub(crate) fn plan_with(&self, changes: &[Change], executable: &str) -> Result<Plan, PlanError> {
        let bytes = self.bytes();
        plan(Target { path: &self.path, bytes: bytes.as_deref(), app: self.app }, changes, executable)
    }

    /// What the agent does before it applies: every original into the keychain.
    pub(crate) fn store(&mut self, plan: &Plan) -> StoredItems {
        let mut items = StoredItems::new();
        for original in plan.originals() {
            let item = ItemId::parse(&format!("item-{}", self.keychain.len())).unwrap();
            self.keychain.insert(item.clone(), original.cut.secret_text());
            items.insert(original.name.clone(), item);
        }
        items
    }

    pub(crate) fn apply(&mut self, plan: &Plan) -> Result<Done, ApplyError> {
        let items = self.store(plan);
        let now = self.tick();
        let done = apply(plan, &items, &self.journal, now)?;
        self.keychain.retain(|item, _| !done.unneeded.contains(item));
        Ok(done)
    }

    pub(crate) fn connect(&mut self, changes: &[Change]) -> Plan {
        let plan = self.plan(changes).unwrap();
        self.apply(&plan).unwrap();
        plan
    }

    pub(crate) fn restore_plan(&self, which: Which) -> RestorePlan {
        let bytes = self.bytes();
        restore(Target { path: &self.path, bytes: bytes.as_deref(), app: self.app }, which, &self.journal)
            .unwrap()
    }

    pub(crate) fn restore(&mut self, which: Which) -> Done {
        let ready = self.restore_plan(which).ready(&self.keychain).unwrap();
        let done = apply_restore(&ready, &self.journal).unwrap();
        self.keychain.retain(|item, _| !done.unneeded.contains(item));
        done
    }

    /// Everything that the journal's folder holds.
    pub(crate) fn journal_bytes(&self) -> Vec<u8> {
        let files = std::fs::read_dir(self.folder.join("journal")).unwrap();
        files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
    }

    pub(crate) fn tick(&mut self) -> UnixTime {
        self.now += 1;
        UnixTime(self.now)
    }
}

pub(crate) fn server(text: &str) -> ServerId {
    ServerId::suggest(text, |_| false)
}

pub(crate) fn connect(entry: &str) -> Change {
    Change::Connect { entry: entry.to_owned(), server: server(entry), account: None }
}

/// Connects every remote entry, and adds one.
pub(crate) fn connect_everything(document: &Document) -> Vec<Change> {
    let remote = |kind: &EntryKind| match kind {
        EntryKind::Remote(_) | EntryKind::McpRemote(_) => true,
        EntryKind::Ours(_) | EntryKind::Local { .. } | EntryKind::Other { .. } => false,
    };
    let found = entries(document).into_iter().filter(|entry| remote(&entry.kind));
    found.map(|entry| connect(&entry.name)).chain([connect("added by hallpass")]).collect()
}

pub(crate) fn sample(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples").join(name);
    plant(&std::fs::read_to_string(path).unwrap()).into_bytes()
}
