//! One flight for one record: the recipe of [`crate::refresh`] in this agent's world, and what becomes of its outcome.

use std::sync::Arc;
use std::time::Duration;

use model::{AccountId, GrantState, ItemId, ProofKind, Secret, ServerId, UnixTime};
use token_store::{StoreError, TokenSet};

use super::{Answer, Slot, Trouble};
use crate::agent::{Agent, lock};
use crate::issuer_calls::access;
use crate::refresh::{self, Ask, Intent, Outcome, Refusal, Renewed, Steps, Subject};
use crate::{faults, intents, schedule};

/// Between two attempts to use a keychain that is locked or absent.
const KEYCHAIN_AGAIN: Duration = Duration::from_secs(2);

/// The recipe's world: this agent, for one Grant.
pub(super) struct Live {
    pub(super) agent: Arc<Agent>,
    pub(super) record: ItemId,
    pub(super) account: AccountId,
    pub(super) server: ServerId,
}

/// One flight: what could not be saved before is saved first, then the recipe runs.
pub(super) async fn fly(live: &Live, slot: &Slot, ask: Ask) -> Answer {
    let _flight = slot.flight.lock().await;
    let agent = &live.agent;
    let unsaved = lock(&slot.memory).unsaved.clone();
    if let Some(set) = unsaved {
        match live.save(&live.record, &set).await {
            Ok(()) => lock(&slot.memory).unsaved = None,
            Err(error) => return Err(postpone(agent, slot, Trouble::Store(Arc::new(error)), None)),
        }
    }
    let outcome = refresh::refresh(live, &live.record, ask).await;
    let now = agent.world.now();
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
            live.note_token(&set, renewed, proven);
            if had_trouble {
                agent.tell();
            }
            Ok(set)
        }
        Outcome::Kept { set, trouble, retry_after } => {
            tracing::info!(server = %live.server, account = %live.account, trouble, "not renewed for now");
            let trouble = postpone(agent, slot, Trouble::ForNow(trouble), retry_after);
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
            tracing::error!(server = %live.server, account = %live.account, %error, "a renewed token set is not saved yet");
            lock(&slot.memory).unsaved = Some(set);
            agent.changed();
            Err(postpone(agent, slot, Trouble::Store(Arc::new(error)), None))
        }
        Outcome::NeedsSignIn { reason } => {
            lock(&slot.memory).cached = None;
            live.note_needs_sign_in(&reason);
            Err(Trouble::NeedsSignIn(reason))
        }
        Outcome::Store(error) => Err(postpone(agent, slot, Trouble::Store(Arc::new(error)), None)),
        Outcome::Ended => {
            lock(&slot.memory).cached = None;
            // A keychain that lags behind for good must not be asked again and again.
            Err(postpone(agent, slot, Trouble::Gone, None))
        }
    }
}

fn postpone(agent: &Agent, slot: &Slot, trouble: Trouble, retry_after: Option<Duration>) -> Trouble {
    let mut memory = lock(&slot.memory);
    let wait = match &trouble {
        // A look at a keychain costs nobody anything, and a person who has just unlocked it waits for it.
        Trouble::Store(_) => KEYCHAIN_AGAIN,
        Trouble::NeedsSignIn(_) | Trouble::ForNow(_) | Trouble::Gone => {
            memory.failures = memory.failures.saturating_add(1);
            schedule::backoff(memory.failures, retry_after, agent.world.jitter())
        }
    };
    memory.not_before = Some(agent.world.now().after(wait));
    // A keychain that stays locked is looked at every two seconds: that is no news.
    let news = !matches!((&memory.trouble, &trouble), (Some(Trouble::Store(_)), Trouble::Store(_)));
    memory.trouble = Some(trouble.clone());
    drop(memory);
    if news {
        agent.tell();
    }
    agent.reschedule.notify_one();
    trouble
}

impl Live {
    fn note_token(&self, set: &TokenSet, renewed: bool, proven: bool) {
        let now = self.agent.world.now();
        let noted = self.agent.change(|state| {
            if let Some(grant) = state.grant_mut(&self.account, &self.server) {
                grant.expires_at = set.expires_at;
                grant.renewable = set.refresh_token.is_some();
                grant.epoch = grant.epoch.max(set.epoch);
                if renewed {
                    grant.renewed_at = Some(now);
                    grant.scopes.clone_from(&set.scopes);
                }
            }
            if let Some(account) = state.accounts.get_mut(&self.account).filter(|_| proven) {
                account.proof.at = now;
                if account.proof.kind == ProofKind::Unknown {
                    account.proof.kind = ProofKind::Userinfo;
                }
            }
        });
        if let Err(error) = noted {
            tracing::warn!(%error, "a renewal was not noted; the keychain has it");
        }
    }

    fn note_needs_sign_in(&self, reason: &str) {
        tracing::warn!(server = %self.server, account = %self.account, reason, "sign-in needed");
        let noted = self.agent.change(|state| {
            if let Some(grant) = state.grant_mut(&self.account, &self.server) {
                grant.state = GrantState::NeedsSignIn { reason: reason.to_owned() };
            }
        });
        if let Err(error) = noted {
            tracing::warn!(%error, "a needed sign-in was not noted");
        }
        let (agent, account, server) = (Arc::clone(&self.agent), self.account.clone(), self.server.clone());
        tokio::spawn(async move { agent.grant_changed(&account, &server).await });
    }
}

impl Steps for Live {
    async fn load(&self, record: &ItemId) -> Result<Option<TokenSet>, StoreError> {
        let set = self.agent.keychain().await?.load_tokens(record).await?;
        let Some(set) = set else { return Ok(None) };
        let set = set.sealed_for(record, &self.server, &self.account)?;
        let endpoint = self.agent.read(|s| s.servers.get(&self.server).map(|s| s.endpoint.to_string()));
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
            let grant = state.grant(&self.account, &self.server)?;
            (grant.record == self.record).then_some(grant.epoch)
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
        let slot = self.agent.tokens.slot(&self.record);
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
