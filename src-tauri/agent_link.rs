//! The one connection of tray and window to the agent: every request goes through it, every event comes out of it.
//!
//! It stays open while this process lives, so sign-ins that the window began outlive the window. An agent that
//! crashed is started again; one that a person stopped is not (`recovery`).

mod recovery;
mod talk;

use ipc::{Connection, Error, ErrorCode, Event, Request, Response, Role, StartError, Starter};
use platform::Root;
use platform::socket::Door;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use recovery::{Ended, Next, Recovery};

/// The agent, as far as this process knows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum AgentState {
    /// It is being looked for, or started.
    Starting,
    /// It answers.
    Running,
    /// It does not run, or cannot be talked to; why, and what to do.
    Stopped(Error),
}

/// What comes out of the link by itself.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one at a time, and none for long")]
pub(crate) enum Heard {
    /// The agent came or went: [`AgentLink::state`] says how it is.
    State,
    /// The agent said something.
    Event(Event),
}

/// Asks the agent. Cheap to clone; the connection ends with the process.
#[derive(Clone, Debug)]
pub(crate) struct AgentLink {
    orders: mpsc::UnboundedSender<Order>,
    state: watch::Receiver<AgentState>,
}

/// What the task behind a link is told to do.
#[derive(Debug)]
enum Order {
    Ask { request: Box<Request>, reply: Reply },
    Start,
}

type Reply = oneshot::Sender<Result<Response, Error>>;

impl AgentLink {
    /// Looks for the agent, starts it where none runs, and keeps the connection. Needs a tokio runtime.
    pub(crate) fn open(root: Root) -> (Self, mpsc::UnboundedReceiver<Heard>) {
        let (orders, taken) = mpsc::unbounded_channel();
        let (told, state) = watch::channel(AgentState::Starting);
        let (heard, events) = mpsc::unbounded_channel();
        tokio::spawn(Keeper { root, orders: taken, told, heard }.keep());
        (Self { orders, state }, events)
    }

    /// Asks and waits for the answer. While the agent is being started, that is waited for first.
    pub(crate) async fn ask(&self, request: Request) -> Result<Response, Error> {
        let (reply, answer) = oneshot::channel();
        let _sent = self.orders.send(Order::Ask { request: Box::new(request), reply });
        answer.await.unwrap_or_else(|_| Err(lost()))
    }

    /// Looks for the agent now, and starts it where none runs: a person asked for it.
    pub(crate) fn start(&self) {
        let _sent = self.orders.send(Order::Start);
    }

    /// How the agent is.
    pub(crate) fn state(&self) -> AgentState {
        self.state.borrow().clone()
    }
}

/// The task behind a link.
struct Keeper {
    root: Root,
    orders: mpsc::UnboundedReceiver<Order>,
    told: watch::Sender<AgentState>,
    heard: mpsc::UnboundedSender<Heard>,
}

impl Keeper {
    async fn keep(mut self) {
        let mut recovery = Recovery::default();
        let mut start = true;
        loop {
            let next = match self.connect(start).await {
                Ok(connection) => {
                    let began = Instant::now();
                    self.tell(AgentState::Running);
                    talk::until_it_ends(connection, &mut self.orders, &self.heard).await;
                    let ended = if platform::socket::is_announced(&self.root, Door::Agent) {
                        Ended::Crashed
                    } else {
                        Ended::Left
                    };
                    tracing::info!(?ended, "the agent is gone");
                    let next = recovery.lost(ended, began.elapsed());
                    if matches!((ended, next), (Ended::Crashed, Next::LookIn(_))) {
                        self.tell(AgentState::Stopped(crashes()));
                    }
                    next
                }
                Err(error) => {
                    let known = matches!(*self.told.borrow(), AgentState::Stopped(_));
                    if !(known && matches!(error, StartError::NotRunning)) {
                        self.tell(AgentState::Stopped(error.to_error().hint(hint(&error))));
                    }
                    recovery.not_there()
                }
            };
            if self.orders.is_closed() {
                return;
            }
            start = self.pause(next).await;
        }
    }

    async fn connect(&self, start: bool) -> Result<Connection, StartError> {
        match ipc::connect(&self.root, Role::Control).await {
            Err(StartError::NotRunning | StartError::Refused { .. }) if start => {}
            other => return other,
        }
        self.tell(AgentState::Starting);
        let executable = crate::executable::of_agent(&self.root).await;
        ipc::open_control(&self.root, &Starter::of_session(executable)).await
    }

    /// Waits before the next look; true if the agent is to be started then. Requests that come meanwhile are
    /// answered at once, unless a start is due that soon.
    async fn pause(&mut self, next: Next) -> bool {
        let (until, start) = match next {
            Next::StartIn(pause) => (Instant::now() + pause, true),
            Next::LookIn(pause) => (Instant::now() + pause, false),
        };
        match next {
            Next::StartIn(pause) if pause <= recovery::SHORT => {
                self.tell(AgentState::Starting);
                tokio::time::sleep_until(until).await;
                return true;
            }
            Next::StartIn(_) => self.tell(AgentState::Stopped(crashes())),
            Next::LookIn(_) => {
                if *self.told.borrow() == AgentState::Running {
                    self.tell(AgentState::Stopped(stopped()));
                }
            }
        }
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(until) => return start,
                order = self.orders.recv() => match order {
                    Some(Order::Ask { reply, .. }) => {
                        let _gone = reply.send(Err(self.why()));
                    }
                    Some(Order::Start) => return true,
                    None => return false,
                },
            }
        }
    }

    fn why(&self) -> Error {
        match &*self.told.borrow() {
            AgentState::Stopped(error) => error.clone(),
            AgentState::Starting | AgentState::Running => lost(),
        }
    }

    fn tell(&self, state: AgentState) {
        let changed = self.told.send_if_modified(|now| {
            let differs = *now != state;
            *now = state;
            differs
        });
        if changed {
            let _gone = self.heard.send(Heard::State);
        }
    }
}

/// The window is open already, so it must not be told to open it.
fn hint(error: &StartError) -> String {
    match error {
        StartError::NotRunning => "start it here, or run: hallpass agent run".to_owned(),
        StartError::Sandboxed { .. } => "run in a terminal outside of it: hallpass agent run".to_owned(),
        StartError::Connect { .. }
        | StartError::Root { .. }
        | StartError::Lock { .. }
        | StartError::StartLockBusy
        | StartError::Spawn { .. }
        | StartError::Silent { .. }
        | StartError::Mute
        | StartError::Refused { .. }
        | StartError::Codec { .. } => error.to_error().hint,
    }
}

fn stopped() -> Error {
    StartError::NotRunning.to_error().hint(hint(&StartError::NotRunning))
}

fn crashes() -> Error {
    Error::new(ErrorCode::AgentUnavailable, "the Hallpass agent ended unexpectedly several times")
        .hint("it is tried again in a while; the reason is in the folder logs of ~/.hallpass")
}

/// The connection ended while the agent was at work on a request.
fn lost() -> Error {
    Error::new(ErrorCode::AgentUnavailable, "the agent ended while it was at work on this")
        .hint("it is started again by itself: look at how things stand, then try again")
}
