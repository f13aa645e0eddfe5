//! The loop: agent before host, writing before reading, and nothing that blocks one for another.

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::UnixTime;
use token_lease::{AgentMessage, BridgeMessage, MAX_LINE};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::agent_link::{AgentLink, LinkError};
use crate::lifecycle::{Bridge, Position};
use crate::spare::SPARE;
use crate::stdio::{Line, Lines, MAX_MESSAGE, Outbox};
use crate::{Options, exchange, opening};

/// While more than this waits for the host, nothing more is taken from the server.
const HOST_BACKLOG: usize = 4 * 1024 * 1024;
/// So much is gathered for the host before it is written.
const AT_ONCE: usize = 64 * 1024;
/// So many lines of the host are taken before anything else has its turn again, if they have come together.
const LINES_AT_ONCE: usize = 64;
/// Pauses between attempts to reach the agent.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// What the farewells to the servers may take: written, not answered.
const FAREWELL: Duration = Duration::from_millis(10);
const FAREWELL_CONNECT: Duration = Duration::from_millis(500);
/// What the host may take to read what was written to it already.
const LAST_WORDS: Duration = Duration::from_millis(100);

type Connected<L> = (<L as AgentLink>::Reader, <L as AgentLink>::Writer);
type Connecting<L> = Pin<Box<dyn Future<Output = Result<Connected<L>, LinkError>> + Send>>;

/// The connection to the agent.
enum Agent<L: AgentLink> {
    Connecting(Connecting<L>),
    Connected(Lines<L::Reader>, Outbox<L::Writer>),
    /// The agent refused this bridge: nothing more to say.
    Done,
}

/// What the loop was woken by.
enum Woken<L: AgentLink> {
    End,
    Agent(AgentSays<L>),
    Wrote(std::io::Result<()>),
    Event(Option<exchange::Event>),
    Host(std::io::Result<Option<Line>>),
    Deadline,
}

enum AgentSays<L: AgentLink> {
    Connected(Result<Connected<L>, LinkError>),
    Line(std::io::Result<Option<Line>>),
    Wrote(std::io::Result<()>),
}

/// Runs until the host closes its end, or `ended` says so.
pub(crate) async fn relay<L, R, W>(
    options: Options,
    stdin: R,
    stdout: W,
    clock: fn() -> UnixTime,
    mut ended: oneshot::Receiver<()>,
    connector: L,
) -> i32
where
    L: AgentLink,
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let connector = Connector { link: Arc::new(connector), first: line(&options.attach()).into() };
    let (sender, mut events) = mpsc::channel(256);
    let mut bridge = Bridge::new(&options, clock, sender);
    let mut host_in = Lines::new(stdin, MAX_MESSAGE);
    let mut host_out = Outbox::new(stdout);
    let mut backoff = FIRST_PAUSE;
    let mut agent = Agent::Connecting(connector.connect(Duration::ZERO));
    let mut accepted_at = Instant::now();
    let code = loop {
        hand_over(&mut bridge, &mut host_out, &mut agent);
        // What the host takes at once is with it before anything else is looked at.
        let wrote = tokio::select! {
            biased;
            wrote = host_out.write_some(), if host_out.is_waiting() => wrote,
            () = ready(()) => Ok(()),
        };
        let deadline = bridge.deadline().into_iter().chain(SPARE.deadline()).min();
        let woken: Woken<L> = tokio::select! {
            biased;
            _ = &mut ended => Woken::End,
            () = ready(()), if wrote.is_err() => Woken::Wrote(wrote),
            said = agent.next() => Woken::Agent(said),
            wrote = host_out.write_some(), if host_out.is_waiting() => Woken::Wrote(wrote),
            event = events.recv(), if host_out.queued() < HOST_BACKLOG => Woken::Event(event),
            line = host_in.next() => Woken::Host(line),
            () = sleep_until(deadline), if deadline.is_some() => Woken::Deadline,
        };
        match woken {
            Woken::End | Woken::Host(Ok(None)) => break 0,
            Woken::Agent(said) => heard(&mut bridge, &mut agent, &connector, &mut backoff, said),
            Woken::Wrote(Ok(())) => {}
            // The host does not read any more.
            Woken::Wrote(Err(error)) => {
                tracing::info!(%error, "stdout is closed");
                break 0;
            }
            Woken::Host(Err(error)) => {
                tracing::warn!(%error, "stdin failed");
                break 1;
            }
            Woken::Event(event) => {
                let mut next = event;
                while let Some(event) = next {
                    bridge.event(event);
                    hand_over(&mut bridge, &mut host_out, &mut agent);
                    next = if host_out.queued() < AT_ONCE { events.try_recv().ok() } else { None };
                }
            }
            Woken::Host(Ok(Some(line))) => {
                let mut next = Some(line);
                let mut taken = 0;
                while let Some(line) = next {
                    // Whatever the agent has said so far holds for this message. One turn of the I/O driver
                    // makes visible what has arrived; lines that came in one read were sent before it.
                    if host_in.take_fresh() || accepted_at.elapsed() > Duration::from_millis(5) {
                        if !agent.is_silent() {
                            tokio::task::yield_now().await;
                        }
                        accepted_at = Instant::now();
                    }
                    while let Some(said) = agent.said_already().await {
                        heard(&mut bridge, &mut agent, &connector, &mut backoff, said);
                        hand_over(&mut bridge, &mut host_out, &mut agent);
                    }
                    bridge.line_from_host(line);
                    taken += 1;
                    next = if taken < LINES_AT_ONCE { host_in.ready() } else { None };
                }
            }
            Woken::Deadline => {
                let now = Instant::now();
                bridge.tick(now);
                SPARE.tick(now);
            }
        }
    };
    farewell(bridge, host_out, agent).await;
    code
}

impl<L: AgentLink> Agent<L> {
    /// What happens next on this side. Dropping the future loses nothing.
    async fn next(&mut self) -> AgentSays<L> {
        match self {
            Self::Connecting(connecting) => AgentSays::Connected(connecting.await),
            Self::Connected(lines, outbox) => tokio::select! {
                biased;
                line = lines.next() => AgentSays::Line(line),
                wrote = outbox.write_some(), if outbox.is_waiting() => AgentSays::Wrote(wrote),
            },
            Self::Done => std::future::pending().await,
        }
    }

    /// The same, without waiting.
    async fn said_already(&mut self) -> Option<AgentSays<L>> {
        tokio::select! {
            biased;
            said = self.next() => Some(said),
            () = ready(()) => None,
        }
    }

    /// True where it is certain that [`Agent::said_already`] would find nothing new after a turn of the runtime.
    fn is_silent(&self) -> bool {
        matches!(self, Self::Connected(lines, _) if L::is_silent(lines.input()))
    }

    fn say(&mut self, message: &BridgeMessage) {
        if let Self::Connected(_, outbox) = self {
            let mut line = line(message);
            line.pop();
            outbox.push(line.into());
        }
    }
}

/// Moves what the bridge wants to say into the outboxes.
fn hand_over<L: AgentLink, W: AsyncWrite + Unpin>(
    bridge: &mut Bridge,
    host_out: &mut Outbox<W>,
    agent: &mut Agent<L>,
) {
    for line in bridge.to_host.drain(..) {
        host_out.push(line);
    }
    for message in bridge.to_agent.drain(..) {
        agent.say(&message);
    }
}

fn heard<L: AgentLink>(
    bridge: &mut Bridge,
    agent: &mut Agent<L>,
    connector: &Connector<L>,
    backoff: &mut Duration,
    said: AgentSays<L>,
) {
    let failed = match said {
        AgentSays::Connected(Ok((reader, writer))) => {
            *agent = Agent::Connected(Lines::new(reader, MAX_LINE), Outbox::new(writer));
            return;
        }
        AgentSays::Connected(Err(error)) => {
            bridge.agent_absent(error);
            *backoff = (*backoff * 2).min(LONGEST_PAUSE);
            *agent = Agent::Connecting(connector.connect(*backoff));
            return;
        }
        AgentSays::Wrote(Ok(())) => return,
        AgentSays::Line(Ok(Some(Line::Whole(line) | Line::Large(line, _)))) => {
            match serde_json::from_slice::<AgentMessage>(&line) {
                Ok(message) => {
                    *backoff = FIRST_PAUSE;
                    bridge.agent_message(message);
                    if matches!(bridge.position, Position::Refused(_)) {
                        *agent = Agent::Done;
                    }
                    return;
                }
                // The text may hold a token: only the place of the fault is told.
                Err(error) => format!("a line that is not of the wire, column {}", error.column()),
            }
        }
        AgentSays::Line(Ok(Some(Line::TooLong(_)))) => "a line that is too long".to_owned(),
        AgentSays::Line(Ok(None)) => "the end of the connection".to_owned(),
        AgentSays::Line(Err(error)) | AgentSays::Wrote(Err(error)) => error.kind().to_string(),
    };
    tracing::warn!(reason = failed, "the agent is lost");
    bridge.agent_lost();
    bridge.to_agent.clear();
    *agent = Agent::Connecting(connector.connect(*backoff));
    // Doubled until an agent says something sensible again.
    *backoff = (*backoff * 2).min(LONGEST_PAUSE);
}

/// The way to the agent, and what is said there first: which Session this is.
struct Connector<L> {
    link: Arc<L>,
    first: Bytes,
}

impl<L: AgentLink> Connector<L> {
    fn connect(&self, backoff: Duration) -> Connecting<L> {
        let (link, first) = (self.link.clone(), self.first.clone());
        Box::pin(async move {
            if !backoff.is_zero() {
                tokio::time::sleep(backoff).await;
            }
            link.connect(&first).await
        })
    }
}

/// A message to the agent with its line feed.
fn line(message: &BridgeMessage) -> Vec<u8> {
    let mut line = serde_json::to_vec(message).expect("a wire message always serialises");
    line.push(b'\n');
    line
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Ends the sessions: DELETE is written, its answer is not waited for.
async fn farewell<L: AgentLink, W: AsyncWrite + Unpin>(
    mut bridge: Bridge,
    mut host_out: Outbox<W>,
    mut agent: Agent<L>,
) {
    let mut deletes = JoinSet::new();
    for (upstream, bearer) in bridge.take_farewells() {
        deletes.spawn(async move {
            if upstream.http.is_connected_or_connects(FAREWELL_CONNECT).await {
                let _ = tokio::time::timeout(FAREWELL, opening::delete(upstream, bearer)).await;
            }
        });
    }
    hand_over(&mut bridge, &mut host_out, &mut agent);
    let rest = async { while host_out.is_waiting() && host_out.write_some().await.is_ok() {} };
    let _ = tokio::time::timeout(LAST_WORDS, rest).await;
    while deletes.join_next().await.is_some() {}
}
