//! Renews ahead of time what live bridges use, and retries what could not be saved or revoked.

use std::sync::Arc;
use std::time::Duration;

use model::{AccountId, ServerId, UnixTime};

use crate::agenda::Key;
use crate::agent::{Agent, lock};

/// The wall clock is looked at again after so long, in case it jumped or the machine slept.
const LOOK_AGAIN: Duration = Duration::from_mins(5);
/// Between two attempts to tell an issuer about a sign-out.
const REVOKE_AGAIN: Duration = Duration::from_mins(1);

/// Runs for as long as the agent.
pub(crate) async fn run(agent: Arc<Agent>) {
    loop {
        let now = agent.world.now();
        let in_doubt = lock(&agent.sessions).take_doubts();
        let mut looked_at = lock(&agent.agenda).take(now);
        looked_at.extend(in_doubt);
        for key in looked_at {
            let at = due_time(&agent, &key, now);
            if at.is_some_and(|at| at <= now) {
                tokio::spawn(renew(Arc::clone(&agent), key));
            } else {
                lock(&agent.agenda).set(key, at);
            }
        }
        let next = lock(&agent.agenda).next();
        let wait = next.map_or(LOOK_AGAIN, |at| at.since(now).clamp(Duration::from_millis(200), LOOK_AGAIN));
        tokio::select! {
            () = agent.reschedule.notified() => tokio::time::sleep(Duration::from_millis(50)).await,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn renew(agent: Arc<Agent>, (account, server): Key) {
    // A trouble is noted where it happens; a live bridge is told when it asks.
    if agent.renew_ahead(&account, &server).await.is_ok() {
        agent.reopen(&account, &server).await;
    }
    agent.time_again(&account, &server);
}

impl Agent {
    /// When this Grant is renewed must be worked out anew.
    pub(crate) fn time_again(&self, account: &AccountId, server: &ServerId) {
        lock(&self.agenda).doubt((account.clone(), server.clone()));
        self.reschedule.notify_one();
    }
}

/// Tells issuers about sign-outs that they have not heard of, and deletes keychain items that are left over, until
/// nothing of either is left.
pub(crate) async fn retry_revocations(agent: Arc<Agent>) {
    loop {
        if agent.read(|state| !state.revocations.is_empty()) {
            agent.retry_revocations_once().await;
        }
        agent.delete_discarded().await;
        tokio::time::sleep(REVOKE_AGAIN).await;
    }
}

/// Tells whoever watches when a sign-in that nothing renews is about to end, and when it has ended.
pub(crate) async fn watch_endings(agent: Arc<Agent>) {
    let mut seen = agent.world.now();
    loop {
        let now = agent.world.now();
        let mut next = None;
        let passed = agent.read(|state| {
            let times = state.grants.iter().flat_map(|grant| [grant.told_from(), grant.ends_at()]).flatten();
            let (passed, ahead): (Vec<UnixTime>, Vec<UnixTime>) = times.partition(|at| *at <= now);
            next = ahead.into_iter().min();
            passed.into_iter().any(|at| at > seen)
        });
        if passed {
            agent.tell();
        }
        seen = now;
        let wait = next.map_or(LOOK_AGAIN, |at| at.since(now).clamp(Duration::from_millis(200), LOOK_AGAIN));
        tokio::select! {
            () = agent.endings.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// When a Grant is to be renewed: one that a live bridge uses, or one that could not be saved, whoever uses it.
fn due_time(agent: &Agent, (account, server): &Key, now: UnixTime) -> Option<UnixTime> {
    let record = agent.read(|state| {
        let grant = state.grant(account, server)?;
        (grant.state == model::GrantState::Active).then(|| grant.record.clone())
    })?;
    let slot = agent.tokens.slot(&record);
    let sessions = lock(&agent.sessions);
    let wanted = slot.is_unsaved() || sessions.concerns(account, server);
    let renewal = wanted.then(|| slot.renewal_at(|| agent.world.jitter())).flatten();
    // A keychain was unlocked, an issuer is back: the bridge itself does not ask while it is closed.
    let retry = sessions.waits_for(account, server).then(|| slot.retry_at(now));
    [renewal, retry].into_iter().flatten().min()
}
