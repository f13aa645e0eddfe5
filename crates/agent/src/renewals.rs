//! Renews ahead of time what live bridges use, and retries what could not be saved or revoked.

use std::sync::Arc;
use std::time::Duration;

use model::{AccountId, ServerId, UnixTime};

use crate::agent::{Agent, lock};

/// The wall clock is looked at again after so long, in case it jumped or the machine slept.
const LOOK_AGAIN: Duration = Duration::from_mins(5);
/// Between two attempts to tell an issuer about a sign-out.
const REVOKE_AGAIN: Duration = Duration::from_mins(1);

/// Runs for as long as the agent.
pub(crate) async fn run(agent: Arc<Agent>) {
    loop {
        let now = agent.world.now();
        let mut next: Option<UnixTime> = None;
        for (account, server, at) in due_times(&agent, now) {
            if at <= now {
                let agent = Arc::clone(&agent);
                tokio::spawn(async move {
                    // A trouble is noted where it happens; a live bridge is told when it asks.
                    if agent.renew_ahead(&account, &server).await.is_ok() {
                        agent.reopen(&account, &server).await;
                    }
                    agent.reschedule.notify_one();
                });
            } else {
                next = Some(next.map_or(at, |n| n.min(at)));
            }
        }
        let wait = next.map_or(LOOK_AGAIN, |at| at.since(now).clamp(Duration::from_millis(200), LOOK_AGAIN));
        tokio::select! {
            () = agent.reschedule.notified() => tokio::time::sleep(Duration::from_millis(50)).await,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Tells issuers about sign-outs that they have not heard of, until none is left.
pub(crate) async fn retry_revocations(agent: Arc<Agent>) {
    loop {
        if agent.read(|state| !state.revocations.is_empty()) {
            agent.retry_revocations_once().await;
        }
        tokio::time::sleep(REVOKE_AGAIN).await;
    }
}

/// Every record that a live bridge uses, and when it is to be renewed; and every one that could not be saved,
/// whoever uses it.
fn due_times(agent: &Agent, now: UnixTime) -> Vec<(AccountId, ServerId, UnixTime)> {
    let grants: Vec<_> = agent.read(|state| {
        let active = state.grants.iter().filter(|g| g.state == model::GrantState::Active);
        active.map(|g| (g.account.clone(), g.server.clone(), g.record.clone())).collect()
    });
    let sessions = lock(&agent.sessions);
    grants
        .into_iter()
        .filter_map(|(account, server, record)| {
            let slot = agent.tokens.slot(&record);
            let wanted = slot.is_unsaved() || sessions.concerns(&account, &server);
            let renewal = wanted.then(|| slot.renewal_at(|| agent.world.jitter())).flatten();
            // A keychain was unlocked, an issuer is back: the bridge itself does not ask while it is closed.
            let retry = sessions.waits_for(&account, &server).then(|| slot.retry_at(now));
            let at = [renewal, retry].into_iter().flatten().min()?;
            Some((account, server, at))
        })
        .collect()
}
