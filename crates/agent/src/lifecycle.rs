//! When the agent ends: idle for a minute, asked to, or told by the system; never while something that
//! only it holds is unsaved.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ipc::{Error, ErrorCode};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::agent::Agent;
use crate::faults;

/// Without connections and work for so long, the agent exits.
const IDLE: Duration = Duration::from_mins(1);

/// Counts what keeps the agent alive.
#[derive(Debug, Default)]
pub(crate) struct Lifecycle {
    connections: Arc<AtomicUsize>,
    moved: Arc<Notify>,
}

/// One connection; dropping it counts it out.
#[derive(Debug)]
pub(crate) struct Counted {
    connections: Arc<AtomicUsize>,
    moved: Arc<Notify>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.connections.fetch_sub(1, Ordering::SeqCst);
        self.moved.notify_one();
    }
}

/// Asks the agent to end. Refused while a renewed token is not in the keychain.
pub(crate) fn retire(agent: &Agent) -> Result<(), Error> {
    let unsaved = agent.tokens.unsaved();
    if unsaved > 0 {
        return Err(Error::new(
            ErrorCode::KeychainLocked,
            format!("{unsaved} renewed sign-in(s) are not in the keychain yet and would be lost"),
        )
        .hint("unlock your keychain, wait a moment, then try again"));
    }
    agent.stop.notify_one();
    Ok(())
}

impl Lifecycle {
    /// Counts a connection in.
    pub(crate) fn connection(&self) -> Counted {
        self.connections.fetch_add(1, Ordering::SeqCst);
        self.moved.notify_one();
        Counted { connections: Arc::clone(&self.connections), moved: Arc::clone(&self.moved) }
    }

    /// Resolves when the agent has been idle for a minute.
    pub(crate) async fn idle(&self, agent: &Agent) {
        let limit = faults::idle(&agent.root).unwrap_or(IDLE);
        let mut since = Instant::now();
        loop {
            if self.is_busy(agent) {
                since = Instant::now();
            }
            tokio::select! {
                () = self.moved.notified() => {}
                () = sleep_until(since + limit) => {
                    if !self.is_busy(agent) {
                        return;
                    }
                    // Busy without a connection: look again in a while.
                    since = Instant::now();
                }
            }
        }
    }

    /// Lets flights under way come to their end, for as long as a renewal may take; and what they could not
    /// save is saved first, however long the keychain stays locked.
    pub(crate) async fn drain(&self, agent: &Agent) {
        let deadline = Instant::now() + Duration::from_secs(35);
        while agent.tokens.unsaved() > 0 || (agent.tokens.in_flight() > 0 && Instant::now() < deadline) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn is_busy(&self, agent: &Agent) -> bool {
        self.connections.load(Ordering::SeqCst) > 0
            || agent.tokens.unsaved() > 0
            || agent.tokens.in_flight() > 0
            || agent.sign_ins.running() > 0
            // A passphrase was typed for this agent; the next one would have to ask for it again.
            || agent.bare_keychain().is_opened_by_hand()
            || agent.read(|state| !state.revocations.is_empty())
    }
}
