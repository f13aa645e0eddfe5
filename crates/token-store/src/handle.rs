//! What the agent holds: typed records of one keychain, asked for from async tasks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use model::{ItemId, Secret};
use tokio::sync::oneshot;

use crate::record;
use crate::worker::{Open, Worker};
use crate::{
    AbsentReason, ItemKey, SealedFault, SealedFiles, StaticSecret, StoreError, SystemKeychain, TokenSet,
    TokenStore, generation,
};

/// How long a caller waits for the keychain unless it says otherwise.
pub const DEFAULT_LIMIT: Duration = Duration::from_secs(5);

/// A keychain and its thread. Clones share both; the thread ends with the last of them.
///
/// Calls are done in the order in which they came. Each waits at most the handle's limit and then answers
/// [`StoreError::TimedOut`]; a write that had begun by then comes to its end, and saving the same value again
/// is harmless. Needs a tokio runtime with its timer.
#[derive(Clone)]
pub struct Keychain {
    name: &'static str,
    limit: Duration,
    open: Arc<Open>,
    worker: Worker,
    unlocking: Arc<AtomicBool>,
    by_hand: Arc<AtomicBool>,
}

/// Which store it is and whether it can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// As [`TokenStore::name`].
    pub store: &'static str,
    /// Whether it can be used.
    pub readiness: Readiness,
}

/// Whether a keychain can be used now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It can.
    Ready,
    /// A person must unlock it.
    Locked,
    /// There is none, or another one.
    Absent {
        /// What is missing.
        reason: AbsentReason,
    },
    /// It did not answer, or failed.
    Failing {
        /// One sentence that says how.
        reason: String,
    },
}

/// Whether this is the keychain that holds our items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    /// It is.
    Found,
    /// It is another one, or a new one.
    Missing,
}

impl Keychain {
    /// The operating system's keychain; `service` keeps the items of builds and tests apart
    /// (`hallpass`, `hallpass-dev`). Nothing is opened before the first call.
    pub fn system(service: &str) -> Self {
        let service = service.to_owned();
        Self::start(SystemKeychain::NAME, move || Ok(Arc::new(SystemKeychain::open(&service)?)))
    }

    /// The sealed files of a folder, for machines without a keychain. Nothing is opened before the first call.
    pub fn sealed(files: &SealedFiles) -> Self {
        let files = files.clone();
        Self::start(SealedFiles::NAME, move || Ok(Arc::new(files.clone())))
    }

    /// Any store. `open` is called on the keychain thread, and again after an error that ends the connection.
    pub fn start(
        name: &'static str,
        open: impl Fn() -> Result<Arc<dyn TokenStore>, StoreError> + Send + Sync + 'static,
    ) -> Self {
        let open: Arc<Open> = Arc::new(open);
        let worker = Worker::start(Arc::clone(&open));
        Self { name, limit: DEFAULT_LIMIT, open, worker, unlocking: Arc::default(), by_hand: Arc::default() }
    }

    /// The memory store, whose faults and items the caller keeps a clone for.
    #[cfg(any(test, feature = "memory-store"))]
    pub fn memory(store: &crate::MemoryStore) -> Self {
        let store = store.clone();
        Self::start("memory", move || Ok(Arc::new(store.clone())))
    }

    /// The same keychain and thread with another time limit for each call.
    #[must_use]
    pub fn with_limit(&self, limit: Duration) -> Self {
        Self { limit, ..self.clone() }
    }

    /// The store's kind, as `state.json` records it.
    pub fn store(&self) -> &'static str {
        self.name
    }

    /// The TokenSet of a record, or `None` where there is none. Ask [`TokenSet::sealed_for`] before using it.
    pub async fn load_tokens(&self, record: &ItemId) -> Result<Option<TokenSet>, StoreError> {
        let record = record.clone();
        self.run(move |store| record::load_tokens(store, &record)).await
    }

    /// Writes a TokenSet, reads it back and compares. Refused where a newer (epoch, generation) is stored, or
    /// where what is stored cannot be read: then the caller keeps the set in memory and tries again.
    pub async fn save_tokens(&self, record: &ItemId, set: &TokenSet) -> Result<(), StoreError> {
        let (record, set) = (record.clone(), set.clone());
        self.run(move |store| record::save_tokens(store, &record, &set)).await
    }

    /// A static secret, or `None` where there is none.
    pub async fn load_secret(&self, record: &ItemId) -> Result<Option<StaticSecret>, StoreError> {
        let record = record.clone();
        self.run(move |store| record::load_secret(store, &record)).await
    }

    /// Writes a static secret, reads it back and compares.
    pub async fn save_secret(&self, record: &ItemId, secret: &StaticSecret) -> Result<(), StoreError> {
        let (record, secret) = (record.clone(), secret.clone());
        self.run(move |store| record::save_secret(store, &record, &secret)).await
    }

    /// Removes a static secret; one that is missing is removed already.
    pub async fn delete_secret(&self, record: &ItemId) -> Result<(), StoreError> {
        self.delete_record(record).await
    }

    /// Removes a record of either kind, a damaged one too; one that is missing is removed already.
    pub async fn delete_record(&self, record: &ItemId) -> Result<(), StoreError> {
        let record = record.clone();
        self.run(move |store| generation::delete(store, &record)).await
    }

    /// Copies a record of any kind as it is into another store, reads it back and compares. `false`: there is none.
    pub async fn copy_record(&self, record: &ItemId, to: &Self) -> Result<bool, StoreError> {
        let (source, target) = (record.clone(), record.clone());
        let Some(text) = self.run(move |store| generation::load(store, &source)).await? else {
            return Ok(false);
        };
        to.run(move |store| generation::save(store, &target, &text)).await?;
        Ok(true)
    }

    /// Looks for the item by which a keychain is recognised.
    pub async fn check_marker(&self, record: &ItemId) -> Result<Marker, StoreError> {
        let record = record.clone();
        let found = self.run(move |store| record::has_marker(store, &record)).await?;
        Ok(if found { Marker::Found } else { Marker::Missing })
    }

    /// Fails with [`AbsentReason::OtherCollection`] unless the marker is there: another keychain is never a new
    /// start.
    pub async fn expect_marker(&self, record: &ItemId) -> Result<(), StoreError> {
        match self.check_marker(record).await? {
            Marker::Found => Ok(()),
            Marker::Missing => {
                Err(StoreError::Absent { reason: AbsentReason::OtherCollection, source: None })
            }
        }
    }

    /// Removes the marker of a store that is used no more.
    pub async fn delete_marker(&self, record: &ItemId) -> Result<(), StoreError> {
        let key = ItemKey::marker(record);
        self.run(move |store| store.delete(&key)).await
    }

    /// Writes the marker, at first use alone.
    pub async fn write_marker(&self, record: &ItemId) -> Result<(), StoreError> {
        let record = record.clone();
        self.run(move |store| record::write_marker(store, &record)).await
    }

    /// Whether the keychain can be used now. Asks nobody and never shows a dialog.
    pub async fn status(&self) -> Status {
        let readiness = match self.run(|store| store.ready()).await {
            Ok(()) => Readiness::Ready,
            Err(StoreError::Locked | StoreError::Sealed(SealedFault::PassphraseNeeded)) => Readiness::Locked,
            Err(StoreError::Absent { reason, .. }) => Readiness::Absent { reason },
            Err(error) => Readiness::Failing { reason: with_causes(&error) },
        };
        Status { store: self.name, readiness }
    }

    /// Unlocks with a passphrase, where the store is opened by one; else asks the system to unlock the keychain, which
    /// may show a dialog. Waits at most `limit`.
    ///
    /// It has its own thread and connection, so that other calls say `Locked` meanwhile instead of waiting
    /// behind a dialog. While one is open, a second call answers `Locked` at once.
    pub async fn unlock(
        &self,
        passphrase: Option<Secret<String>>,
        limit: Duration,
    ) -> Result<(), StoreError> {
        if self.unlocking.swap(true, Ordering::SeqCst) {
            return Err(StoreError::Locked);
        }
        let (open, unlocking) = (Arc::clone(&self.open), Arc::clone(&self.unlocking));
        let by_hand = Arc::clone(&self.by_hand);
        let (answer, wait) = oneshot::channel();
        let spawned = thread::Builder::new().name("keychain-unlock".into()).spawn(move || {
            let idle = Idle(unlocking);
            let result = open().and_then(|store| store.unlock(passphrase.as_ref()));
            if result.is_ok() && passphrase.is_some() {
                by_hand.store(true, Ordering::SeqCst);
            }
            // Before the answer: whoever has it may ask again at once.
            drop(idle);
            // The caller may have stopped waiting; the dialog was answered all the same.
            let _ = answer.send(result);
        });
        if let Err(source) = spawned {
            self.unlocking.store(false, Ordering::SeqCst);
            return Err(StoreError::failed(source));
        }
        match tokio::time::timeout(limit, wait).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(StoreError::failed("the keychain library panicked")),
            Err(_) => Err(StoreError::TimedOut { limit }),
        }
    }

    /// Somebody typed a passphrase: what it opened is open as long as this process lives.
    pub fn is_opened_by_hand(&self) -> bool {
        self.by_hand.load(Ordering::SeqCst)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn TokenStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.worker.run(self.limit, work).await
    }
}

/// An error and what caused it, each said once.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}

/// Says that no unlocking is under way any more, after a panic too.
struct Idle(Arc<AtomicBool>);

impl Drop for Idle {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token_set::tests::sample;
    use crate::{Fault, MemoryStore};

    fn record() -> ItemId {
        ItemId::parse("0a1b").unwrap()
    }

    #[tokio::test]
    async fn records_of_both_kinds_are_saved_loaded_and_deleted() {
        let store = MemoryStore::with_item_limit(2560);
        let (keychain, other) = (Keychain::memory(&store), ItemId::parse("2c3d").unwrap());
        assert_eq!(keychain.load_tokens(&record()).await.unwrap(), None);
        assert_eq!(keychain.load_secret(&other).await.unwrap(), None);
        keychain.save_tokens(&record(), &sample()).await.unwrap();
        keychain.save_secret(&other, &StaticSecret("s".into())).await.unwrap();
        assert_eq!(keychain.load_tokens(&record()).await.unwrap(), Some(sample()));
        assert_eq!(keychain.load_secret(&other).await.unwrap(), Some(StaticSecret("s".into())));
        keychain.delete_record(&record()).await.unwrap();
        keychain.delete_record(&record()).await.unwrap();
        keychain.delete_secret(&other).await.unwrap();
        assert_eq!(keychain.load_tokens(&record()).await.unwrap(), None);
        assert_eq!(store.keys(), []);
    }

    #[tokio::test]
    async fn status_and_unlock_tell_locked_absent_and_failing_apart() {
        let store = MemoryStore::new();
        let keychain = Keychain::memory(&store);
        let unlock = || keychain.unlock(None, Duration::from_secs(30));
        assert_eq!(keychain.status().await, Status { store: "memory", readiness: Readiness::Ready });
        store.set_fault(Fault::LockedForGood);
        assert_eq!(keychain.status().await.readiness, Readiness::Locked);
        assert!(matches!(keychain.load_tokens(&record()).await, Err(StoreError::Locked)));
        assert!(matches!(unlock().await, Err(StoreError::Locked)));
        store.set_fault(Fault::Locked);
        unlock().await.unwrap();
        assert_eq!(keychain.status().await.readiness, Readiness::Ready);
        let reason = AbsentReason::NoService;
        store.set_fault(Fault::Absent(reason));
        assert_eq!(keychain.status().await.readiness, Readiness::Absent { reason });
        store.set_fault(Fault::None);
        keychain.save_tokens(&record(), &sample()).await.unwrap();
    }

    #[tokio::test]
    async fn a_keychain_that_answers_late_times_out() {
        let store = MemoryStore::new();
        let keychain = Keychain::memory(&store).with_limit(Duration::from_millis(20));
        // Nobody waits for its end.
        store.set_fault(Fault::Delay(Duration::from_mins(1)));
        let error = keychain.load_tokens(&record()).await.unwrap_err();
        assert!(matches!(error, StoreError::TimedOut { .. }));
        assert!(error.to_string().contains("20 ms"), "{error}");
    }

    #[tokio::test]
    async fn a_save_that_failed_can_be_repeated() {
        let store = MemoryStore::with_item_limit(2560);
        let keychain = Keychain::memory(&store);
        keychain.save_tokens(&record(), &sample()).await.unwrap();
        let new = TokenSet { generation: 8, access_token: "n".repeat(5000).into(), ..sample() };
        store.set_fault(Fault::FailWritesFrom(2));
        assert!(matches!(keychain.save_tokens(&record(), &new).await, Err(StoreError::Failed { .. })));
        store.set_fault(Fault::None);
        assert_eq!(keychain.load_tokens(&record()).await.unwrap(), Some(sample()));
        keychain.save_tokens(&record(), &new).await.unwrap();
        assert_eq!(keychain.load_tokens(&record()).await.unwrap(), Some(new));
    }

    #[tokio::test]
    async fn another_keychain_is_absent_and_never_a_new_start() {
        let store = MemoryStore::new();
        Keychain::memory(&store).write_marker(&record()).await.unwrap();
        assert_eq!(Keychain::memory(&store).check_marker(&record()).await.unwrap(), Marker::Found);
        Keychain::memory(&store).expect_marker(&record()).await.unwrap();
        let other = Keychain::memory(&MemoryStore::new());
        assert_eq!(other.check_marker(&record()).await.unwrap(), Marker::Missing);
        let error = other.expect_marker(&record()).await.unwrap_err();
        assert!(matches!(error, StoreError::Absent { reason: AbsentReason::OtherCollection, .. }));
    }
}
