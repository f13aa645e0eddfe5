//! One flight for one record: the recipe of [`crate::refresh`], and what becomes of its outcome.

use std::sync::Arc;
use std::time::Duration;

use model::{AccountId, Grant, GrantState, ItemId, ProofKind, Secret, ServerId, State, UnixTime};
use token_store::{StoreError, TokenSet};

use super::{Answer, Slot, Trouble};
use crate::agent::{Agent, lock};
use crate::issuer_calls::access;
use crate::refresh::{self, Ask, Intent, Outcome, Refusal, Renewed, Steps, Subject};
use crate::{faults, intents, schedule};

/// Between two attempts to use a keychain that is locked or absent.
const KEYCHAIN_AGAIN: Duration = Duration::from_secs(2);

/// What is done around the recipe: what came of it is noted and told.
pub(super) trait Around: Steps {
    /// The record, and whose it was when the flight was set off.
    fn whose(&self) -> &Whose;
    /// Changes the state; `lost` is logged where that cannot be written.
    fn change(&self, lost: &'static str, change: impl FnOnce(&mut State));
    /// A number between 0 and 1, so that many do not try again at once.
    fn jitter(&self) -> f64;
    /// Something that is shown has changed.
    fn tell(&self);
    /// When it is tried again has changed.
    fn reschedule(&self);
    /// A renewed set waits in memory for the keychain.
    fn waits_for_keychain(&self);
    /// The person must sign in again: whoever uses the Grant is told.
    fn close(&self);
}

/// A record, and whose it was when a flight was set off.
#[derive(Clone, Debug)]
pub(super) struct Whose {
    pub(super) record: ItemId,
    pub(super) account: AccountId,
    pub(super) server: ServerId,
}

impl Whose {
    /// The Grant, as long as it is the one of this record: after a sign-out, a new sign-in has another.
    pub(super) fn grant_mut<'a>(&self, state: &'a mut State) -> Option<&'a mut Grant> {
        state.grant_mut(&self.account, &self.server).filter(|grant| grant.record == self.record)
    }

    fn note_token(&self, state: &mut State, token: &Token<'_>, now: UnixTime) {
        let Token { set, renewed, proven } = *token;
        let Some(grant) = self.grant_mut(state) else { return };
        grant.expires_at = set.expires_at;
        grant.renewable = set.renews();
        grant.epoch = grant.epoch.max(set.epoch);
        if renewed {
            grant.renewed_at = Some(now);
            grant.scopes.clone_from(&set.scopes);
        }
        if let Some(account) = state.accounts.get_mut(&self.account).filter(|_| proven) {
            account.proof.at = now;
            if account.proof.kind == ProofKind::Unknown {
                account.proof.kind = ProofKind::Userinfo;
            }
        }
    }
}

/// A token that is handed out.
#[derive(Clone, Copy, Debug)]
struct Token<'a> {
    set: &'a TokenSet,
    renewed: bool,
    proven: bool,
}

/// One flight: what could not be saved before is saved first, then the recipe runs.
pub(super) async fn fly<W: Around>(world: &W, slot: &Slot, ask: Ask) -> Answer {
    let _flight = slot.flight.lock().await;
    let whose @ Whose { record, account, server } = world.whose();
    if let Some(set) = slot.unsaved() {
        match world.save(record, &set).await {
            Ok(()) => lock(&slot.memory).unsaved = None,
            Err(error) => return Err(postpone(world, slot, Trouble::Store(Arc::new(error)), None)),
        }
    }
    let outcome = refresh::refresh(world, record, ask).await;
    let now = world.now();
    match outcome {
        Outcome::Token { set, renewed, proven } => {
            let had_trouble;
            {
                let mut memory = lock(&slot.memory);
                memory.failures = 0;
                memory.not_before = None;
                had_trouble = memory.trouble.take().is_some();
                memory.cached = Some(set.clone());
                if renewed {
                    memory.jitter = None;
                    memory.forced_at = ask.rejected.map(|_| now);
                }
            }
            let token = Token { set: &set, renewed, proven };
            let lost = "a renewal was not noted; the keychain has it";
            world.change(lost, |state| whose.note_token(state, &token, now));
            if had_trouble {
                world.tell();
            }
            Ok(set)
        }
        Outcome::Kept { set, trouble, retry_after } => {
            tracing::info!(%server, %account, trouble, "not renewed for now");
            let trouble = postpone(world, slot, Trouble::ForNow(trouble), retry_after);
            let good = !schedule::is_over(now, set.expires_at)
                && ask.rejected.is_none_or(|rejected| set.generation > rejected);
            if good {
                lock(&slot.memory).cached = Some(set.clone());
                Ok(set)
            } else {
                Err(trouble)
            }
        }
        Outcome::Unsaved { set, error } => {
            tracing::error!(%server, %account, %error, "a renewed token set is not saved yet");
            lock(&slot.memory).unsaved = Some(set);
            world.waits_for_keychain();
            Err(postpone(world, slot, Trouble::Store(Arc::new(error)), None))
        }
        Outcome::NeedsSignIn { reason } => {
            lock(&slot.memory).cached = None;
            tracing::warn!(%server, %account, reason, "sign-in needed");
            world.change("a needed sign-in was not noted", |state| {
                if let Some(grant) = whose.grant_mut(state) {
                    grant.state = GrantState::NeedsSignIn { reason: reason.clone() };
                }
            });
            world.close();
            Err(Trouble::NeedsSignIn(reason))
        }
        Outcome::Over(over) => {
            lock(&slot.memory).cached = None;
            tracing::warn!(%server, %account, ?over, "a pasted token is over");
            world.change("that a pasted token is over was not noted", |state| {
                if let Some(grant) = whose.grant_mut(state) {
                    grant.state = over.state();
                }
            });
            world.close();
            Err(Trouble::Over(over.reason().to_owned()))
        }
        Outcome::Store(error) => Err(postpone(world, slot, Trouble::Store(Arc::new(error)), None)),
        Outcome::Ended => {
            lock(&slot.memory).cached = None;
            // A keychain that lags behind for good must not be asked again and again.
            Err(postpone(world, slot, Trouble::Gone, None))
        }
    }
}

fn postpone<W: Around>(world: &W, slot: &Slot, trouble: Trouble, retry_after: Option<Duration>) -> Trouble {
    let mut memory = lock(&slot.memory);
    let wait = match &trouble {
        // A look at a keychain costs nobody anything, and a person who has just unlocked it waits for it.
        Trouble::Store(_) => KEYCHAIN_AGAIN,
        Trouble::NeedsSignIn(_) | Trouble::Over(_) | Trouble::ForNow(_) | Trouble::Gone => {
            memory.failures = memory.failures.saturating_add(1);
            schedule::backoff(memory.failures, retry_after, world.jitter())
        }
    };
    memory.not_before = Some(world.now().after(wait));
    // A keychain that stays locked is looked at every two seconds: that is no news.
    let news = !matches!((&memory.trouble, &trouble), (Some(Trouble::Store(_)), Trouble::Store(_)));
    memory.trouble = Some(trouble.clone());
    drop(memory);
    if news {
        world.tell();
    }
    world.reschedule();
    trouble
}

/// The recipe's world: this agent, for one Grant.
pub(super) struct Live {
    pub(super) agent: Arc<Agent>,
    pub(super) whose: Whose,
}

impl Around for Live {
    fn whose(&self) -> &Whose {
        &self.whose
    }

    fn change(&self, lost: &'static str, change: impl FnOnce(&mut State)) {
        if let Err(error) = self.agent.change(change) {
            tracing::warn!(%error, "{lost}");
        }
    }

    fn jitter(&self) -> f64 {
        self.agent.world.jitter()
    }

    fn tell(&self) {
        self.agent.tell();
    }

    fn reschedule(&self) {
        self.agent.reschedule.notify_one();
    }

    fn waits_for_keychain(&self) {
        self.agent.changed();
    }

    fn close(&self) {
        let Whose { account, server, .. } = self.whose.clone();
        let agent = Arc::clone(&self.agent);
        tokio::spawn(async move { agent.grant_changed(&account, &server).await });
    }
}

impl Steps for Live {
    async fn load(&self, record: &ItemId) -> Result<Option<TokenSet>, StoreError> {
        let set = self.agent.keychain().await?.load_tokens(record).await?;
        let Some(set) = set else { return Ok(None) };
        let Whose { account, server, .. } = &self.whose;
        let set = set.sealed_for(record, server, account)?;
        let endpoint = self.agent.read(|s| s.servers.get(server).map(|s| s.endpoint.to_string()));
        if endpoint.as_deref() == Some(&set.seal.endpoint) {
            Ok(Some(set))
        } else {
            Err(StoreError::Swapped { record: record.to_string() })
        }
    }

    async fn save(&self, record: &ItemId, set: &TokenSet) -> Result<(), StoreError> {
        self.agent.keychain().await?.save_tokens(record, set).await
    }

    fn epoch(&self, _record: &ItemId) -> Option<u64> {
        self.agent.read(|state| {
            let grant = state.grant(&self.whose.account, &self.whose.server)?;
            (grant.record == self.whose.record).then_some(grant.epoch)
        })
    }

    fn intent(&self, record: &ItemId, generation: u64) -> Option<Intent> {
        intents::read(&self.agent.root, record, generation)
    }

    fn write_intent(&self, record: &ItemId, intent: Intent) -> Result<(), String> {
        intents::write(&self.agent.root, record, intent)
    }

    fn clear_intent(&self, record: &ItemId) {
        intents::clear(&self.agent.root, record);
    }

    async fn post(&self, set: &TokenSet) -> Result<Renewed, Refusal> {
        let slot = self.agent.tokens.slot(&self.whose.record);
        slot.set_renewing(true);
        self.agent.tell();
        let answer = self.agent.post_refresh(set).await;
        slot.set_renewing(false);
        // What comes of it is told where it is noted.
        answer
    }

    async fn subject(
        &self,
        set: &TokenSet,
        id_token: Option<&Secret<String>>,
        old: Option<&TokenSet>,
    ) -> Subject {
        self.agent.compare_subject(set, id_token, old).await
    }

    async fn revoke(&self, set: &TokenSet) {
        let server = self.agent.server_of(&set.seal);
        self.agent.revoke_set(set, access(server.as_ref())).await;
    }

    fn now(&self) -> UnixTime {
        self.agent.world.now()
    }

    fn point(&self, name: &'static str) {
        faults::point(&self.agent.root, name);
    }
}
