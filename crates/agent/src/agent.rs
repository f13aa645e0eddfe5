//! The agent itself: sole owner of the state, the tokens and other programs' configurations.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipc::Event;
use model::{ItemId, Secret, State, UnixTime};
use platform::Root;
use token_store::{Keychain, StoreError};
use tokio::sync::{Notify, broadcast};

use crate::agenda::Agenda;
use crate::apps::Plans;
use crate::health::Troubles;
use crate::lifecycle::Lifecycle;
use crate::network::Network;
use crate::presets::Presets;
use crate::sessions::Sessions;
use crate::sign_in::SignIns;
use crate::state_file::{StateFile, StateFileError};
use crate::tokens::Tokens;
use crate::world::World;

/// Everything that the agent owns. Shared by its tasks.
pub(crate) struct Agent {
    pub(crate) root: Root,
    pub(crate) world: World,
    pub(crate) network: Network,
    pub(crate) sessions: Mutex<Sessions>,
    pub(crate) tokens: Tokens,
    /// When which Grant is renewed.
    pub(crate) agenda: Mutex<Agenda>,
    pub(crate) sign_ins: SignIns,
    pub(crate) plans: Plans,
    pub(crate) troubles: Troubles,
    pub(crate) presets: Presets,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) started_at: UnixTime,
    /// Something that views show has changed.
    pub(crate) events: broadcast::Sender<Event>,
    /// Something that the schedule depends on has changed.
    pub(crate) reschedule: Notify,
    /// Somebody has signed in where nothing may renew it.
    pub(crate) endings: Notify,
    /// The agent should end.
    pub(crate) stop: Notify,
    /// How the keychain was when somebody last looked.
    pub(crate) keychain_seen: Mutex<Option<ipc::KeychainState>>,
    state: Mutex<StateFile>,
    keychain: Keychain,
    marker_seen: tokio::sync::Mutex<bool>,
}

impl Agent {
    /// Puts the parts together. Nothing is opened yet.
    pub(crate) fn new(root: Root, state: StateFile, keychain: Keychain, world: World) -> Arc<Self> {
        Arc::new(Self {
            network: Network::new(state.get().environment.proxies.clone()),
            sessions: Mutex::default(),
            tokens: Tokens::default(),
            agenda: Mutex::default(),
            sign_ins: SignIns::default(),
            plans: Plans::default(),
            troubles: Troubles::default(),
            keychain_seen: Mutex::default(),
            presets: Presets::default(),
            lifecycle: Lifecycle::default(),
            started_at: world.now(),
            events: broadcast::channel(256).0,
            reschedule: Notify::new(),
            endings: Notify::new(),
            stop: Notify::new(),
            state: Mutex::new(state),
            marker_seen: tokio::sync::Mutex::new(false),
            root,
            world,
            keychain,
        })
    }

    /// Looks at the state. Never held across an await.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(self.state_file().get())
    }

    /// Changes the state on disk, then in memory, then tells whoever watches.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> Result<T, StateFileError> {
        let result = self.state_file().change(change)?;
        self.changed();
        Ok(result)
    }

    /// The state for a look that must not be overtaken by a change before the caller has acted on it.
    pub(crate) fn state_file(&self) -> MutexGuard<'_, StateFile> {
        lock(&self.state)
    }

    /// Tells whoever watches that views have changed.
    pub(crate) fn changed(&self) {
        self.tell();
        self.reschedule.notify_one();
    }

    /// The same for what the schedule does not depend on.
    pub(crate) fn tell(&self) {
        // Nobody may be watching.
        let _watchers = self.events.send(Event::Changed);
    }

    /// The keychain, once it is known to be the one that holds our items: another one is absent, never a
    /// new start.
    pub(crate) async fn keychain(&self) -> Result<&Keychain, StoreError> {
        let mut seen = self.marker_seen.lock().await;
        if !*seen {
            match self.read(|state| state.keychain.clone()) {
                Some(record) => self.keychain.expect_marker(&record.marker).await?,
                None => self.first_use().await?,
            }
            *seen = true;
        }
        Ok(&self.keychain)
    }

    /// The keychain as it stands, for looking at its status.
    pub(crate) fn bare_keychain(&self) -> &Keychain {
        &self.keychain
    }

    /// Unlocks it with what a person typed, or asks the system to.
    pub(crate) async fn unlock_store(&self, passphrase: Option<Secret<String>>) -> Result<(), StoreError> {
        self.keychain.unlock(passphrase, UNLOCK_WITHIN).await?;
        self.keychain().await?;
        self.keychain_state().await;
        Ok(())
    }

    async fn first_use(&self) -> Result<(), StoreError> {
        let marker: ItemId = self.world.item_id();
        self.keychain.write_marker(&marker).await?;
        let record = model::KeychainRecord { store: self.keychain.store().to_owned(), marker };
        // Without the record the next start writes another marker: nothing is lost by it.
        if let Err(error) = self.change(|state| state.keychain = Some(record)) {
            tracing::warn!(%error, "the keychain in use could not be recorded");
        }
        Ok(())
    }
}

/// How long the system's dialog may stand open.
const UNLOCK_WITHIN: Duration = Duration::from_mins(2);

/// Locks a mutex; a thread that panicked while it held one has left plain data behind.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
