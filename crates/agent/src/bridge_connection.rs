//! One bridge: attach, lend tokens under leases, bring switches, notice its end.

use std::sync::Arc;
use std::time::Duration;

use ipc::{CodecError, Error, ErrorCode};
use model::{Era, visible};
use platform::process::parent_executable;
use platform::socket::Peer;
use token_lease::{AgentMessage, BridgeMessage, LeaseId, TokenRefusal};
use tokio::sync::mpsc;

use crate::agent::{Agent, lock};
use crate::listener::{Reader, Writer};
use crate::sessions::SessionId;
use crate::standings::{self, Wish};
use crate::step_up;

/// How long a bridge may take to say what it wants.
const ATTACH_WITHIN: Duration = Duration::from_secs(5);

/// Serves a bridge until it goes away or is cut off.
pub(crate) async fn run(agent: &Arc<Agent>, mut reader: Reader, mut writer: Writer, peer: Peer) {
    let attach = tokio::time::timeout(ATTACH_WITHIN, reader.next::<BridgeMessage>()).await;
    let Ok(Ok(Some(BridgeMessage::Attach { app, server, account, workspace: _ }))) = attach else { return };
    let wish = Wish { app, server, entry: account };
    let (outbox, mut outgoing) = mpsc::unbounded_channel();
    let since = agent.world.now();
    let attached = agent
        .attach(&wish, |sessions| {
            let (app, server, entry) = (wish.app.clone(), wish.server.clone(), wish.entry.clone());
            sessions.open(app, server, entry, peer.pid, since, outbox.clone())
        })
        .await;
    let (session, first) = match attached {
        Ok((session, server, standing)) => (session, AgentMessage::Attached { server, standing }),
        Err(closed) => {
            let _gone = writer.send(&AgentMessage::Refused { closed }).await;
            return;
        }
    };
    // From here on only the Session holds the outbox: closing the Session ends this connection.
    let answers = outbox.downgrade();
    drop(outbox);
    let _closes = Closes { agent: Arc::clone(agent), session };
    if writer.send(&first).await.is_err() {
        return;
    }
    if let Some(known) = agent.known_to(session)
        && writer.send(&known).await.is_err()
    {
        return;
    }
    // The program that started the bridge, as the kernel tells: the app, or a shell in between. Read when the bridge
    // has its answer: it takes longer than all the rest.
    if let Some(parent) = peer.pid.and_then(parent_executable) {
        lock(&agent.sessions).set_parent(session, parent);
        agent.tell();
    }
    loop {
        tokio::select! {
            biased;
            message = outgoing.recv() => match message {
                Some(message) => if writer.send(&message).await.is_err() { return },
                None => return,
            },
            message = reader.next::<BridgeMessage>() => match message {
                Ok(Some(message)) => take(agent, session, &message, &answers),
                Ok(None) => return,
                Err(CodecError::Malformed { source }) => tracing::warn!(%source, "a bridge said something odd"),
                Err(error) => {
                    tracing::info!(%error, "a bridge is gone");
                    return;
                }
            },
        }
    }
}

fn take(
    agent: &Arc<Agent>,
    session: SessionId,
    message: &BridgeMessage,
    answers: &mpsc::WeakUnboundedSender<AgentMessage>,
) {
    match message {
        &BridgeMessage::Token { lease, rejected } => {
            let (agent, answers) = (Arc::clone(agent), answers.clone());
            tokio::spawn(async move {
                let outcome = lend(&agent, session, lease, rejected).await;
                if let Some(answers) = answers.upgrade() {
                    let _gone = answers.send(AgentMessage::Token { lease, outcome });
                }
            });
        }
        BridgeMessage::TooNarrow { lease, challenges } => {
            let lent = lock(&agent.sessions).lease(session, *lease).cloned();
            // A lease that is over by now has nobody to ask; the bridge does not wait for ever.
            if let (Some(lent), Some(answers)) = (lent, answers.upgrade()) {
                let closed = step_up::noted(agent, &lent.account, &lent.server, challenges);
                let _gone = answers.send(AgentMessage::TooNarrow { lease: *lease, closed });
            }
        }
        &BridgeMessage::Acknowledge { seq } => {
            lock(&agent.sessions).acknowledge(session, seq);
            if let (Some(known), Some(answers)) = (agent.known_to(session), answers.upgrade()) {
                let _gone = answers.send(known);
            }
        }
        BridgeMessage::Seen { lease, known } => agent.seen(session, *lease, known),
        &BridgeMessage::Release { lease } => lock(&agent.sessions).release(session, lease),
        &BridgeMessage::Learned { era } => learn(agent, session, era),
        BridgeMessage::Trouble { what } => hear_of(agent, session, what.as_deref()),
        BridgeMessage::Attach { .. } | BridgeMessage::Unknown => {}
    }
}

/// A token of exactly that lease's Account. The lease is looked at again after waiting: what was void by
/// then gets nothing.
async fn lend(
    agent: &Arc<Agent>,
    session: SessionId,
    lease: LeaseId,
    rejected: Option<u64>,
) -> Result<token_lease::AccessToken, TokenRefusal> {
    let valid = || lock(&agent.sessions).lease(session, lease).filter(|l| !l.void).cloned();
    let void = || TokenRefusal {
        void: true,
        closed: token_lease::Closed {
            code: token_lease::ClosedCode::SignInNeeded,
            message: "this call began as somebody who has been signed out since, so nothing was sent"
                .to_owned(),
            hint: "call again".to_owned(),
            person: None,
        },
    };
    let Some(holder) = valid() else { return Err(void()) };
    let lent = agent.lent(&holder.account, &holder.server);
    match agent.token(&lent, &holder.server, rejected).await {
        Ok(set) if valid().is_some() => Ok(standings::on_loan(&set)),
        Ok(_) => Err(void()),
        Err(trouble) => {
            let person = agent.person(&holder.account);
            Err(TokenRefusal { void: false, closed: standings::closed(&trouble, &holder.server, person) })
        }
    }
}

fn learn(agent: &Agent, session: SessionId, era: Era) {
    let Some(server) = lock(&agent.sessions).get(session).map(|s| s.server.clone()) else { return };
    agent.asked(&server, &Ok(()));
    let noted = agent.change(|state| {
        if let Some(server) = state.servers.get_mut(&server) {
            server.era = Some(era);
        }
    });
    if let Err(error) = noted {
        tracing::warn!(%error, "an era was not noted");
    }
}

/// What a bridge says of its Server is shown, and decides nothing.
fn hear_of(agent: &Agent, session: SessionId, trouble: Option<&str>) {
    let Some(server) = lock(&agent.sessions).get(session).map(|s| s.server.clone()) else { return };
    let outcome = trouble.map_or(Ok(()), |what| {
        Err(Error::new(ErrorCode::Unreachable, visible(what, 200))
            .hint(format!("hallpass servers test {server} shows more")))
    });
    agent.asked(&server, &outcome);
}

/// Takes the Session out however the connection ends.
struct Closes {
    agent: Arc<Agent>,
    session: SessionId,
}

impl Drop for Closes {
    fn drop(&mut self) {
        lock(&self.agent.sessions).close(self.session);
        self.agent.changed();
    }
}
