//! Which store holds the tokens: the keychain, or sealed files on a machine without one. It is opened as recorded; another
//! one takes its place only because a person said so, and then everything moves.
//!
//! ```text
//! choose (no agent runs): old store open? -> copies into the new one, each read back -> state.json names the new one
//!                         -> copies in the old one go; a crash before state.json leaves the old one in force, whole
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use client_config::Journal;
use ipc::{Error, ErrorCode};
use model::{GrantState, ItemId, KeychainRecord, RegistrationKind, Secret, State};
use platform::{KEYCHAIN_SERVICE, Lock, Root};
use token_store::{Keychain, Opener, Readiness, SealedFiles, StoreError, SystemKeychain};

use crate::agent::Agent;
use crate::servers::chain;
use crate::state_file::StateFile;
use crate::world::World;
use crate::{error, faults};

/// Where tokens can lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// The operating system's keychain.
    Keychain,
    /// Files, sealed by a passphrase or a key file.
    SealedFile,
}

/// What a person wants.
#[derive(Debug)]
pub struct Choice {
    /// Where tokens shall lie.
    pub store: Store,
    /// Sealed files are opened by this file, which is made if it is missing; by a passphrase otherwise.
    pub key_file: Option<PathBuf>,
    /// The passphrase of sealed files: those that are to be made, or those that are in use.
    pub passphrase: Option<Secret<String>>,
    /// The store in use cannot be opened any more: leave it as it is, and let everybody sign in again.
    pub start_over: bool,
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The store's kind, as `state.json` records it.
    pub store: &'static str,
    /// Records that moved.
    pub moved: usize,
    /// What could not be moved or tidied, a sentence each.
    pub left: Vec<String>,
    /// Where sealed files that nobody can open were put.
    pub aside: Option<PathBuf>,
}

/// The store that is recorded for this root; the keychain where nothing is recorded yet.
pub(crate) fn open(root: &Root, recorded: Option<&KeychainRecord>) -> Keychain {
    match recorded {
        Some(record) if record.store == SealedFiles::NAME => {
            Keychain::sealed(&SealedFiles::at(&root.sealed()))
        }
        Some(_) | None => Keychain::system(KEYCHAIN_SERVICE),
    }
}

/// What opens the sealed files of this root, in words.
pub(crate) fn opener(root: &Root) -> String {
    match SealedFiles::at(&root.sealed()).opener() {
        Ok(Opener::Passphrase) => "opened by a passphrase".to_owned(),
        Ok(Opener::KeyFile(path)) => format!("opened by the key file {}", path.display()),
        Err(error) => error.to_string(),
    }
}

impl Agent {
    /// Seals the sealed files by another passphrase. It is opened with the old one first, so that nobody else has it.
    pub(crate) async fn change_passphrase(
        self: &Arc<Self>,
        old: Secret<String>,
        new: Secret<String>,
    ) -> Result<(), Error> {
        let in_use = self.read(|state| state.keychain.as_ref().is_some_and(|k| k.store == SealedFiles::NAME));
        if !in_use {
            return Err(Error::new(
                ErrorCode::Usage,
                "tokens lie in your keychain, which has a passphrase of its own",
            )
            .hint("change it where your system keeps its passwords"));
        }
        let files = SealedFiles::at(&self.root.sealed());
        if let Ok(Opener::Passphrase) = files.opener() {
            self.unlock_store(Some(old.clone())).await.map_err(|e| error::of_store(&e))?;
        }
        let root = self.root.clone();
        let changed = tokio::task::spawn_blocking(move || {
            files.change_passphrase(&old, &new, || faults::point(&root, "passphrase.ready"))
        });
        changed
            .await
            .map_err(|e| Error::new(ErrorCode::Failed, e.to_string()))?
            .map_err(|e| error::of_store(&e))?;
        faults::point(&self.root, "passphrase.changed");
        Ok(())
    }
}

/// Makes another store the one in use and moves everything there. The caller has stopped the agent and holds the start
/// lock; the life lock is taken here, so nobody else reads or writes a token meanwhile.
pub async fn choose(root: &Root, choice: Choice) -> Result<Chosen, Error> {
    root.ensure()
        .map_err(|e| Error::new(ErrorCode::Failed, e.to_string()).hint("make that folder yours alone"))?;
    let life = Lock::acquire_within(&root.run().join("agent.lock"), PATIENCE);
    let Ok(Some(_life)) = life else {
        return Err(Error::new(ErrorCode::AgentUnavailable, "the agent does not let go of its tokens")
            .hint("run: hallpass agent stop, then try again"));
    };
    let mut state = StateFile::open(root).map_err(error::of_state)?;
    let recorded = state.get().keychain.clone();
    let wanted = choice.store.name();
    let items = items(root, state.get())?;
    if recorded.as_ref().is_some_and(|record| record.store == wanted) && !choice.start_over {
        let left = tidy(root, &mut state, &items, choice.passphrase.as_ref()).await;
        return Ok(Chosen { store: wanted, moved: 0, left, aside: None });
    }

    let source = match &recorded {
        Some(record) => {
            let source = open(root, Some(record));
            let opened = open_up(&source, record, choice.passphrase.as_ref()).await;
            match (opened, choice.start_over) {
                (Ok(()), false) => Some(source),
                (Ok(()), true) => {
                    return Err(Error::new(
                        ErrorCode::Usage,
                        format!(
                            "the store in use ({}) can be opened, so nothing has to start over",
                            record.store
                        ),
                    )
                    .hint("leave --start-over out"));
                }
                (Err(_), true) => None,
                (Err(error), false) => {
                    let mut error = error::of_store(&error);
                    error.hint = format!(
                        "{}; if it is lost for good, add --start-over: everybody signs in again",
                        error.hint
                    );
                    return Err(error);
                }
            }
        }
        None => None,
    };
    let aside = if choice.start_over { set_aside(root)? } else { None };
    let target = make(root, choice).await?;

    // Known before anything is written there, so that an interrupted move leaves no mark that nobody knows.
    let begun = state.get().moving_to.clone().filter(|begun| begun.store == wanted);
    let marker = begun.map_or_else(|| World::system().item_id(), |begun| begun.marker);
    let moving = KeychainRecord { store: wanted.to_owned(), marker: marker.clone() };
    state.change(|state| state.moving_to = Some(moving.clone())).map_err(error::of_state)?;

    let mut chosen = Chosen { store: wanted, moved: 0, left: Vec::new(), aside };
    if let Some(source) = &source {
        let copied = copy(source, &target, &items, &mut chosen.left).await;
        match copied {
            Ok(moved) => chosen.moved = moved,
            Err(error) => {
                for item in &items {
                    // What was begun is taken back as far as it goes; the old store is in force and whole.
                    let _ = target.delete_record(item).await;
                }
                return Err(error::of_store(&error));
            }
        }
    }
    target.write_marker(&marker).await.map_err(|e| error::of_store(&e))?;
    faults::point(root, "store.copied");
    state
        .change(|state| {
            state.keychain = state.moving_to.take();
            state.moved_from = source.is_some().then_some(recorded).flatten();
            if source.is_none() {
                forget_secrets(state);
            }
        })
        .map_err(error::of_state)?;
    faults::point(root, "store.recorded");
    if let Some(source) = source {
        chosen.left.extend(tidy_store(root, &mut state, &source, &items).await);
    }
    Ok(chosen)
}

impl Store {
    fn name(self) -> &'static str {
        match self {
            Self::Keychain => SystemKeychain::NAME,
            Self::SealedFile => SealedFiles::NAME,
        }
    }
}

/// Every item that the state or the journal names.
fn items(root: &Root, state: &State) -> Result<BTreeSet<ItemId>, Error> {
    let unusable = |error: client_config::JournalError| {
        Error::new(ErrorCode::Failed, chain(&error)).hint("mend what is named, then try again")
    };
    let mut items = Journal::new(&root.journal()).all_items().map_err(unusable)?;
    items.extend(named(state));
    Ok(items)
}

/// Those that the state names. A discarded one is still of use to whoever signed in with it.
fn named(state: &State) -> impl Iterator<Item = ItemId> {
    let grants = state.grants.iter().map(|grant| &grant.record);
    let ended = state.revocations.iter().map(|revocation| &revocation.record);
    let clients = state.registrations.iter().filter_map(|registration| registration.secret.as_ref());
    let discarded = state.discarded.iter().map(|discarded| &discarded.item);
    grants.chain(ended).chain(clients).chain(discarded).chain(&state.environment.proxy_secret).cloned()
}

async fn open_up(
    store: &Keychain,
    record: &KeychainRecord,
    passphrase: Option<&Secret<String>>,
) -> Result<(), StoreError> {
    if store.status().await.readiness == Readiness::Locked {
        store.unlock(passphrase.cloned(), PATIENCE).await?;
    }
    store.expect_marker(&record.marker).await
}

/// The store that is wanted, empty or with what an interrupted move left in it.
async fn make(root: &Root, choice: Choice) -> Result<Keychain, Error> {
    let Choice { store, key_file, passphrase, start_over: _ } = choice;
    match store {
        Store::Keychain => {
            let keychain = Keychain::system(KEYCHAIN_SERVICE);
            keychain.unlock(None, PATIENCE).await.map_err(|e| error::of_store(&e))?;
            Ok(keychain)
        }
        Store::SealedFile => {
            root.ensure_sealed()
                .map_err(|e| Error::new(ErrorCode::Failed, chain(&e)).hint("mend that folder"))?;
            let folder = root.sealed();
            let opener = key_file.map_or(Opener::Passphrase, Opener::KeyFile);
            let own = root.path().to_owned();
            // Stretching a passphrase takes its time.
            let made = tokio::task::spawn_blocking(move || {
                match SealedFiles::create(&folder, opener, passphrase.as_ref(), &own) {
                    Err(StoreError::Sealed(token_store::SealedFault::Exists { .. })) => {
                        let files = SealedFiles::at(&folder);
                        token_store::TokenStore::unlock(&files, passphrase.as_ref()).map(|()| files)
                    }
                    other => other,
                }
            });
            let files = made.await.map_err(|e| Error::new(ErrorCode::Failed, e.to_string()))?;
            Ok(Keychain::sealed(&files.map_err(|e| error::of_store(&e))?))
        }
    }
}

/// How many were copied. A damaged one stays where it is and is named.
async fn copy(
    from: &Keychain,
    to: &Keychain,
    items: &BTreeSet<ItemId>,
    left: &mut Vec<String>,
) -> Result<usize, StoreError> {
    let mut moved = 0;
    for item in items {
        match from.copy_record(item, to).await {
            Ok(true) => moved += 1,
            Ok(false) => {}
            Err(error @ StoreError::Damaged { .. }) => left.push(error.to_string()),
            Err(error) => return Err(error),
        }
    }
    Ok(moved)
}

/// Ends what an interrupted move left to do.
async fn tidy(
    root: &Root,
    state: &mut StateFile,
    items: &BTreeSet<ItemId>,
    passphrase: Option<&Secret<String>>,
) -> Vec<String> {
    let Some(old) = state.get().moved_from.clone() else { return Vec::new() };
    let store = open(root, Some(&old));
    match open_up(&store, &old, passphrase).await {
        Ok(()) => tidy_store(root, state, &store, items).await,
        Err(error) => vec![format!("copies are still in {}, which cannot be opened: {error}", old.store)],
    }
}

/// Removes what was copied away, the marker last: it says that there may be more.
async fn tidy_store(
    root: &Root,
    state: &mut StateFile,
    old: &Keychain,
    items: &BTreeSet<ItemId>,
) -> Vec<String> {
    let Some(record) = state.get().moved_from.clone() else { return Vec::new() };
    let mut left = Vec::new();
    for item in items {
        // A damaged one was not copied: it stays.
        match old.load_tokens(item).await {
            Err(StoreError::Damaged { .. }) if old.load_secret(item).await.is_err() => {}
            Ok(_) | Err(_) => {
                if let Err(error) = old.delete_record(item).await {
                    left.push(format!("a copy is still in {}: {error}", record.store));
                }
            }
        }
    }
    if left.is_empty()
        && let Err(error) = old.delete_marker(&record.marker).await
    {
        left.push(format!("a mark is still in {}: {error}", record.store));
    }
    if left.is_empty() {
        if record.store == SealedFiles::NAME {
            remove_empty(&root.sealed());
        }
        if let Err(error) = state.change(|state| state.moved_from = None) {
            left.push(error.to_string());
        }
    }
    left
}

/// Removes a folder in which nothing is sealed any more; what else lies in it keeps it.
fn remove_empty(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let names: BTreeSet<_> = entries.flatten().map(|entry| entry.file_name()).collect();
    if names.iter().all(|name| name == "key.json" || name == "lock") {
        for name in names {
            let _ = fs::remove_file(folder.join(name));
        }
        let _ = fs::remove_dir(folder);
    }
}

/// Gives sealed files that nobody can open another name.
fn set_aside(root: &Root) -> Result<Option<PathBuf>, Error> {
    let folder = root.sealed();
    if fs::symlink_metadata(&folder).is_err() {
        return Ok(None);
    }
    let mut aside = folder.with_file_name("sealed-old");
    for count in 2.. {
        if fs::symlink_metadata(&aside).is_err() {
            break;
        }
        aside = folder.with_file_name(format!("sealed-old-{count}"));
    }
    fs::rename(&folder, &aside).map_err(|e| {
        Error::new(ErrorCode::Failed, format!("{} cannot be put aside: {e}", folder.display()))
            .hint("move it away yourself, then try again")
    })?;
    Ok(Some(aside))
}

/// Nothing of the old store is within reach: who was signed in signs in again, and registers anew.
fn forget_secrets(state: &mut State) {
    for grant in &mut state.grants {
        if grant.state == GrantState::Active {
            grant.state =
                GrantState::NeedsSignIn { reason: "its tokens are in a store that was given up".to_owned() };
        }
    }
    state.registrations.retain(|registration| {
        registration.kind != RegistrationKind::Dynamic || registration.secret.is_none()
    });
    state.revocations.clear();
}

/// How long somebody else may take to let go.
const PATIENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whatever_the_state_names_moves() {
        let state = json!({"v": 1,
            "grants": [{"account": "ana", "server": "one", "record": "a1", "state": {"state": "active"},
                "client_id": "c", "epoch": 1, "signed_in_at": 1, "renewable": true}],
            "revocations": [{"record": "a2"}],
            "registrations": [{"issuer": "https://i.example", "client_id": "c", "kind": "pre_registered",
                "token_endpoint_auth": "client_secret_basic", "secret": "a3"}],
            "discarded": [{"item": "a4", "needed_for": ["a1"]}],
            "environment": {"proxy_secret": "a5"}});
        let state = State::parse(state.to_string().as_bytes()).unwrap();
        let named: Vec<String> = named(&state).map(|item| item.to_string()).collect();
        assert_eq!(named, ["a1", "a2", "a3", "a4", "a5"]);
    }
}
