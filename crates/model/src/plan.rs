//! How a ClientApp's configuration file would change, as people see it: planned by `client-config`, shown and
//! agreed to over the control wire.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{ClientAppId, ServerId};

/// A plan without secrets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
pub struct PlanView {
    /// Whose file.
    pub app: ClientAppId,
    /// What people call that app.
    pub app_name: String,
    /// When it sees the change.
    pub pick_up: PickUp,
    /// The file.
    pub path: PathBuf,
    /// Say yes to this.
    pub digest: String,
    /// Entry by entry.
    pub entries: Vec<PlannedEntry>,
    /// Unified diff; every value that is not ours reads `[…]`.
    pub diff: String,
    /// Secrets that leave the file for the keychain.
    pub secrets_moved: usize,
    /// Secrets that are written back in plain text.
    pub secrets_restored: usize,
    /// What the person should know.
    pub notes: Vec<String>,
    /// Nothing would change.
    pub empty: bool,
}

/// When an app sees a change of its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
#[serde(rename_all = "snake_case")]
pub enum PickUp {
    /// It reads the file once, at its start, and writes it back from memory later: every process of it
    /// must be gone before the file is changed, or the change is lost.
    AtStart,
    /// It watches the file and takes a change over by itself.
    Watches,
}

/// What happens to one entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
pub struct PlannedEntry {
    /// Its name.
    pub name: String,
    /// What happens.
    pub kind: PlannedKind,
    /// Why, in words.
    pub reason: String,
    /// The Server that it names afterwards, or named before.
    pub server: Option<ServerId>,
}

impl PlannedEntry {
    /// Whether the entry would be another one afterwards.
    pub fn changes(&self) -> bool {
        match self.kind {
            PlannedKind::Add | PlannedKind::Replace | PlannedKind::Restore | PlannedKind::Remove => true,
            PlannedKind::Keep | PlannedKind::Conflict => false,
        }
    }
}

/// What happens to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
#[serde(rename_all = "snake_case")]
pub enum PlannedKind {
    /// It is new.
    Add,
    /// It takes the place of another one.
    Replace,
    /// It goes back to what it was.
    Restore,
    /// It goes.
    Remove,
    /// It stays as it is.
    Keep,
    /// It cannot be changed.
    Conflict,
}
