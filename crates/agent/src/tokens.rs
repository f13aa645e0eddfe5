//! Tokens for leases: from memory while they are good, through one flight per record when they are not.

mod flight;
#[cfg(test)]
mod model_check;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use model::{AccountId, Grant, GrantState, ItemId, ServerId, UnixTime};
use token_store::{StoreError, TokenSet};
use tokio::sync::watch;

use crate::agent::{Agent, lock};
use crate::refresh::{Ask, Over};
use crate::schedule;
use flight::{Live, Whose, fly};

/// How long a waiter waits for a flight.
const WAIT: Duration = Duration::from_secs(45);
/// A generation that was itself fetched because its predecessor was refused is given this long, in
/// seconds, before a refusal of it costs another renewal: a server that refuses everything must not
/// make us renew with every call.
const REFUSED_AGAIN: u64 = 10;

/// All records that were used since the agent started.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    slots: Mutex<HashMap<ItemId, Arc<Slot>>>,
}

/// One record.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    /// Held by whoever reads, renews and writes the record: refresh, sign-in, sign-out.
    pub(crate) flight: tokio::sync::Mutex<()>,
    memory: Mutex<Memory>,
    running: Mutex<Option<watch::Receiver<Option<Answer>>>>,
}

type Answer = Result<TokenSet, Trouble>;

#[derive(Debug, Default)]
struct Memory {
    /// A hint: what the keychain held when it was last looked at, checked.
    cached: Option<TokenSet>,
    /// Renewed and not saved yet. Never handed out.
    unsaved: Option<TokenSet>,
    failures: u32,
    not_before: Option<UnixTime>,
    /// Why it is not tried again before that.
    trouble: Option<Trouble>,
    /// When a renewal was last forced by a refusal.
    forced_at: Option<UnixTime>,
    /// The issuer is being asked.
    renewing: bool,
    jitter: Option<f64>,
}

/// How a record is, for eyes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Nothing is known to be wrong.
    Good,
    /// The issuer is being asked for a new token.
    Renewing,
    /// It could not be renewed and is tried again later.
    Postponed {
        /// In words.
        what: String,
        /// No token is left to use meanwhile.
        over: bool,
    },
}

/// Why there is no token.
#[derive(Clone, Debug)]
pub(crate) enum Trouble {
    /// The person must sign in again.
    NeedsSignIn(String),
    /// The token that the person pasted is over: they must paste another.
    Over(String),
    /// It can work later; in words.
    ForNow(String),
    /// The keychain cannot be used.
    Store(Arc<StoreError>),
    /// There is no such Grant any more.
    Gone,
}

impl Tokens {
    /// The slot of a record.
    pub(crate) fn slot(&self, record: &ItemId) -> Arc<Slot> {
        Arc::clone(lock(&self.slots).entry(record.clone()).or_default())
    }

    /// Forgets a record whose Grant is gone.
    pub(crate) fn forget(&self, record: &ItemId) {
        lock(&self.slots).remove(record);
    }

    /// Token sets that the keychain has not taken yet.
    pub(crate) fn unsaved(&self) -> usize {
        lock(&self.slots).values().filter(|slot| slot.is_unsaved()).count()
    }

    /// Flights under way.
    pub(crate) fn in_flight(&self) -> usize {
        lock(&self.slots).values().filter(|slot| slot.is_flying()).count()
    }
}

impl Slot {
    /// Replaces what memory holds, after a sign-in saved it.
    pub(crate) fn adopt(&self, set: Option<TokenSet>) {
        *lock(&self.memory) = Memory { cached: set, ..Memory::default() };
    }

    /// When the set in memory is to be renewed ahead of time.
    pub(crate) fn renewal_at(&self, jitter: impl FnOnce() -> f64) -> Option<UnixTime> {
        let mut memory = lock(&self.memory);
        let jitter = *memory.jitter.get_or_insert_with(jitter);
        if memory.unsaved.is_some() {
            return memory.not_before;
        }
        let set = memory.cached.as_ref()?;
        set.refresh_token.as_ref()?;
        let at = schedule::renewal_at(set.received_at, set.lifetime, jitter)?;
        Some(memory.not_before.map_or(at, |not_before| not_before.max(at)))
    }

    /// When a bridge that is closed for want of a token is tried again.
    pub(crate) fn retry_at(&self, now: UnixTime) -> UnixTime {
        lock(&self.memory).not_before.unwrap_or(now)
    }

    /// How it is, for eyes. Trouble with the keychain is shown as such, not here.
    pub(crate) fn condition(&self, now: UnixTime) -> Condition {
        let memory = lock(&self.memory);
        match &memory.trouble {
            _ if memory.renewing => Condition::Renewing,
            Some(Trouble::ForNow(what)) => Condition::Postponed {
                what: what.clone(),
                over: memory.cached.as_ref().is_none_or(|set| schedule::is_over(now, set.expires_at)),
            },
            Some(Trouble::NeedsSignIn(_) | Trouble::Over(_) | Trouble::Store(_) | Trouble::Gone) | None => {
                Condition::Good
            }
        }
    }

    /// A renewal that was asked for as if the token had been refused was none of the server's.
    pub(crate) fn was_not_refused(&self) {
        lock(&self.memory).forced_at = None;
    }

    fn set_renewing(&self, renewing: bool) {
        lock(&self.memory).renewing = renewing;
    }

    /// A renewed set that the keychain has not taken yet.
    pub(crate) fn unsaved(&self) -> Option<TokenSet> {
        lock(&self.memory).unsaved.clone()
    }

    /// Whether it holds one.
    pub(crate) fn is_unsaved(&self) -> bool {
        lock(&self.memory).unsaved.is_some()
    }

    fn is_flying(&self) -> bool {
        lock(&self.running).as_ref().is_some_and(is_under_way)
    }
}

impl Agent {
    /// A checked token of this Account at this Server, newer than `rejected`; renewed if it is due.
    pub(crate) async fn token(
        self: &Arc<Self>,
        account: &AccountId,
        server: &ServerId,
        rejected: Option<u64>,
    ) -> Answer {
        self.token_when(account, server, Ask { rejected, ahead: false }).await
    }

    /// The same, but renewed as soon as the schedule says so.
    pub(crate) async fn renew_ahead(self: &Arc<Self>, account: &AccountId, server: &ServerId) -> Answer {
        self.token_when(account, server, Ask { rejected: None, ahead: true }).await
    }

    async fn token_when(self: &Arc<Self>, account: &AccountId, server: &ServerId, ask: Ask) -> Answer {
        let found = self.read(|state| {
            let endpoint = state.servers.get(server)?.endpoint.clone();
            state.grant(account, server).cloned().map(|grant| (grant, endpoint))
        });
        let Some((Grant { record, epoch, state, pasted, .. }, endpoint)) = found else {
            return Err(Trouble::Gone);
        };
        match state {
            GrantState::Active => {}
            GrantState::NeedsSignIn { reason } if pasted => return Err(Trouble::Over(reason)),
            GrantState::NeedsSignIn { reason } => return Err(Trouble::NeedsSignIn(reason)),
            GrantState::RevokedByServer => return Err(Trouble::Over(Over::Revoked.reason().to_owned())),
            GrantState::Revoked => return Err(Trouble::Gone),
        }
        let slot = self.tokens.slot(&record);
        let need = Need { epoch, endpoint: endpoint.as_str(), ask };
        slot.token(
            need,
            || self.world.now(),
            |landing| self.set_off(&slot, &record, account, server, landing),
        )
        .await
    }

    /// Sets a flight off: a task of its own, which no caller can cancel.
    fn set_off(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        record: &ItemId,
        account: &AccountId,
        server: &ServerId,
        landing: Landing,
    ) {
        let (agent, slot) = (Arc::clone(self), Arc::clone(slot));
        let whose = Whose { record: record.clone(), account: account.clone(), server: server.clone() };
        tokio::spawn(async move {
            let live = Live { agent, whose };
            let answer = fly(&live, &slot, landing.ask).await;
            landing.land(answer);
            live.agent.time_again(&live.whose.account, &live.whose.server);
        });
    }
}

/// What a caller needs.
#[derive(Clone, Copy, Debug)]
struct Need<'a> {
    /// The Grant's: what memory holds of an older sign-in is of no use.
    epoch: u64,
    /// The Server's, as it is now.
    endpoint: &'a str,
    ask: Ask,
}

/// Where a flight has to say what came of it.
#[derive(Debug)]
struct Landing {
    ask: Ask,
    to: watch::Sender<Option<Answer>>,
}

impl Landing {
    /// Answers everybody who waits.
    fn land(&self, answer: Answer) {
        self.to.send_replace(Some(answer));
    }
}

impl Slot {
    /// A checked token: from memory, from the flight under way, or from one that `start` sets off.
    async fn token(&self, need: Need<'_>, now: impl Fn() -> UnixTime, start: impl Fn(Landing)) -> Answer {
        for _attempt in 0..2 {
            if let Some(answer) = self.at_hand(now(), need) {
                return answer;
            }
            let answer = wait_for(self.board(need.ask, &start)).await?;
            // The flight may have been started by somebody who was content with an older token.
            if need.ask.rejected.is_none_or(|rejected| answer.generation > rejected) {
                return Ok(answer);
            }
        }
        Err(Trouble::ForNow("the server refuses a token that was issued just now".to_owned()))
    }

    /// Answers that need no keychain and no network.
    fn at_hand(&self, now: UnixTime, need: Need<'_>) -> Option<Answer> {
        let Need { epoch, endpoint, ask } = need;
        let memory = lock(&self.memory);
        let usable = memory.cached.as_ref().filter(|set| {
            set.epoch >= epoch
                && set.seal.endpoint == endpoint
                && set.subject_checked
                && ask.rejected.is_none_or(|rejected| set.generation > rejected)
                && !schedule::is_over(now, set.expires_at)
        });
        if let Some(set) = usable
            && !ask.ahead
            && !schedule::is_due(now, set.expires_at, set.lifetime)
        {
            return Some(Ok(set.clone()));
        }
        // A life of seconds is over before that.
        let trusted = |lifetime: Option<u64>| lifetime.map_or(REFUSED_AGAIN, |s| REFUSED_AGAIN.min(s / 2));
        if let (Some(rejected), Some(forced), Some(cached)) = (ask.rejected, memory.forced_at, &memory.cached)
            && rejected == cached.generation
            && now.0 < forced.0 + trusted(cached.lifetime)
        {
            let what = "the server refuses a token that was issued just now".to_owned();
            return Some(Err(Trouble::ForNow(what)));
        }
        match (memory.not_before.filter(|at| *at > now), usable) {
            (Some(_), Some(set)) => Some(Ok(set.clone())),
            (Some(at), None) => Some(Err(postponed(memory.trouble.as_ref(), at.since(now)))),
            (None, _) => None,
        }
    }

    /// The flight that is under way for this record, or a new one.
    fn board(&self, ask: Ask, start: impl FnOnce(Landing)) -> watch::Receiver<Option<Answer>> {
        let (landing, receiver) = {
            let mut running = lock(&self.running);
            if let Some(flight) = running.as_ref().filter(|flight| is_under_way(flight)) {
                return flight.clone();
            }
            let (to, receiver) = watch::channel(None);
            *running = Some(receiver.clone());
            (Landing { ask, to }, receiver)
        };
        start(landing);
        receiver
    }
}

/// One that broke off answers nobody: it has dropped its end.
fn is_under_way(flight: &watch::Receiver<Option<Answer>>) -> bool {
    flight.borrow().is_none() && flight.has_changed().is_ok()
}

async fn wait_for(mut flight: watch::Receiver<Option<Answer>>) -> Answer {
    let waited = tokio::time::timeout(WAIT, flight.wait_for(Option::is_some)).await;
    match waited {
        Ok(Ok(answer)) => match &*answer {
            Some(answer) => answer.clone(),
            None => Err(Trouble::ForNow("the renewal gave no answer".to_owned())),
        },
        Ok(Err(_)) => Err(Trouble::ForNow("the renewal broke off".to_owned())),
        Err(_) => Err(Trouble::ForNow("the renewal takes too long".to_owned())),
    }
}

/// What a caller hears while nothing is tried: the reason of the last attempt, which may have a cure.
fn postponed(trouble: Option<&Trouble>, wait: Duration) -> Trouble {
    let again = format!("it is tried again in {} s", wait.as_secs());
    match trouble {
        Some(Trouble::Store(error)) => Trouble::Store(Arc::clone(error)),
        Some(Trouble::ForNow(what)) => Trouble::ForNow(format!("{what}; {again}")),
        Some(Trouble::NeedsSignIn(_) | Trouble::Over(_) | Trouble::Gone) | None => {
            Trouble::ForNow(format!("the sign-in could not be renewed; {again}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refresh::tests::set;

    #[tokio::test]
    async fn a_flight_that_breaks_off_is_followed_by_another() {
        let slot = Slot::default();
        let endpoint = set(1).seal.endpoint;
        let need = Need { epoch: 1, endpoint: &endpoint, ask: Ask { rejected: None, ahead: false } };
        let now = || set(1).received_at;
        assert!(matches!(slot.token(need, now, drop).await, Err(Trouble::ForNow(_))));
        assert!(!slot.is_flying());
        let answer = slot.token(need, now, |landing| landing.land(Ok(set(1)))).await;
        assert!(matches!(answer, Ok(set) if set.generation == 1));
    }
}
