//! Other programs' MCP configuration files: found, read, planned for, changed and put back.
//!
//! No secret stays here: what is cut out of a file is handed to the caller, who keeps it in the keychain,
//! and the journal holds the rest. Every change is a splice of bytes; what is not ours keeps each byte.
//!
//! ```text
//! locate -> read -> Document -> entries (kinds, findings without values)
//!                      |
//!                    plan -> Plan (view, digest, originals) -> apply   -> Done
//!                      '-> restore -> RestorePlan -> ready(secrets) -> apply_restore -> Done
//!                                        '--- Journal: skeletons + keychain item ids ---'
//! ```

mod apply;
mod argv;
mod client_app;
mod cut;
mod document;
mod edit;
mod entry;
mod finding;
mod hex;
mod journal;
mod layout;
mod location;
mod node;
mod pasted;
mod plan;
mod restore;
mod splice;
mod view;

pub use apply::{ApplyError, Done, Step, Watch, apply, apply_watched, read};
pub use client_app::{CLIENT_APPS, ClientApp, Mark, ProcessMark, Syntax};
pub use cut::{Cut, CutError};
pub use document::{Document, DocumentError, DuplicateKey, MAX_BYTES, MAX_DEPTH, Position};
pub use entry::{Entry, EntryKind, Header, HeaderValue, Ours, Remote, entries};
pub use finding::Finding;
pub use journal::{Journal, JournalError, KEPT_RECORDS};
pub use location::{Located, LocationEnv, Scope, locate};
pub use model::secret_rules::{
    entropy, header, is_placeholder, is_plain_header, is_telling, named, shape, without_references,
};
pub use model::{PickUp, PlanView, PlannedEntry, PlannedKind};
pub use pasted::{
    MAX_PASTED, Pasted, PastedList, PastedServer, read_pasted, starts_a_command, unknown_header,
};
pub use plan::{Change, Original, Plan, PlanError, StoredItems, Target, plan};
pub use restore::{
    ReadyRestore, RestoreError, RestorePlan, Which, apply_restore, apply_restore_watched, restore,
};
