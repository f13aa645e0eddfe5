//! Signing in: one task for each, from the Server's own words to a token set in the keychain.
//!
//! ```text
//! keychain open? -> discovery -> listener -> registration -> browser -> code -> tokens
//!   -> who came back? (decide) -> a yes where one is needed -> KEYCHAIN, read back -> state.json -> bridges
//! ```

mod application;
mod attempt;
mod bind;
mod decide;
mod device;
mod flow;
mod pasted;
pub(crate) mod provider;
mod save;
mod vouched;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ipc::{
    Approval, Error, ErrorCode, Event, FromAgent, Request, SignInId, SignInStep, SignInView, SignInWay,
};
use model::{AccountId, Secret, ServerId, UnixTime};
use tokio::sync::{broadcast, mpsc, watch};

use crate::agent::{Agent, lock};
use crate::{error, people};

/// All sign-ins under way.
#[derive(Debug, Default)]
pub(crate) struct SignIns {
    next: AtomicU64,
    live: Mutex<HashMap<SignInId, Live>>,
}

/// The person's side of a sign-in.
#[derive(Debug)]
struct Live {
    server: ServerId,
    account: Option<AccountId>,
    began_at: UnixTime,
    ends_at: UnixTime,
    /// What has been told so far, for a window that opens later.
    steps: Arc<Mutex<Vec<SignInStep>>>,
    answers: mpsc::UnboundedSender<bool>,
    pasted: mpsc::UnboundedSender<Secret<String>>,
    cancelled: watch::Sender<bool>,
}

/// A sign-in that a connection began. Dropping it cancels the sign-in if it still runs.
pub(crate) struct Begun {
    agent: Arc<Agent>,
    id: SignInId,
}

impl Begun {
    /// Names it.
    pub(crate) fn id(&self) -> SignInId {
        self.id
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.agent.sign_ins.cancel(self.id);
    }
}

/// What a person asked for.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) server: ServerId,
    /// Sign this Account in again.
    pub(crate) account: Option<AccountId>,
    pub(crate) expect: Option<String>,
    pub(crate) label: Option<String>,
    pub(crate) select: bool,
    pub(crate) approval: Approval,
    pub(crate) same_person: bool,
    pub(crate) login_hint: Option<String>,
    /// How they want to.
    pub(crate) way: Way,
    /// Seconds.
    pub(crate) timeout: u64,
}

/// How somebody signs in.
#[derive(Clone, Debug)]
pub(crate) enum Way {
    /// With a browser of this machine; where an identity provider vouches for them, without one.
    Browser,
    /// On another device.
    Device,
    /// Nobody does: the application itself.
    Application,
    /// With an id_token that another program got of the identity provider.
    IdToken(Secret<String>),
    /// With a personal token that they made at the server.
    Pasted(Given),
}

/// A personal token as it was pasted.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) text: Secret<String>,
    /// When it ends, by the word of whoever made it.
    pub(crate) ends_at: Option<UnixTime>,
}

impl Way {
    fn of(asked: SignInWay) -> Self {
        match asked {
            SignInWay::Browser => Self::Browser,
            SignInWay::Device => Self::Device,
            SignInWay::Application => Self::Application,
            SignInWay::IdToken { id_token } => Self::IdToken(Secret::new(id_token)),
            SignInWay::Pasted { token, ends_at } => Self::Pasted(Given { text: Secret::new(token), ends_at }),
        }
    }
}

/// The running task's ends of what [`Live`] holds, and its way to tell the caller.
#[derive(Debug)]
pub(crate) struct Line {
    id: SignInId,
    events: mpsc::UnboundedSender<FromAgent>,
    steps: Arc<Mutex<Vec<SignInStep>>>,
    watchers: broadcast::Sender<Event>,
    pub(crate) answers: mpsc::UnboundedReceiver<bool>,
    pub(crate) pasted: mpsc::UnboundedReceiver<Secret<String>>,
    cancelled: watch::Receiver<bool>,
}

impl Line {
    /// Tells the caller, and whoever watches that there is something to see.
    pub(crate) fn step(&self, step: SignInStep) {
        lock(&self.steps).push(step.clone());
        let event = Event::SignIn { sign_in: self.id, step };
        let _gone = self.events.send(FromAgent::Event { event });
        let _watchers = self.watchers.send(Event::Changed);
    }

    /// Resolves when the sign-in is cancelled.
    pub(crate) fn cancelled(&self) -> impl Future<Output = ()> + use<> {
        let mut cancelled = self.cancelled.clone();
        async move {
            // An error means that nobody is left who could want the result.
            let _gone = cancelled.wait_for(|cancelled| *cancelled).await;
        }
    }
}

impl SignIns {
    /// Sign-ins under way.
    pub(crate) fn running(&self) -> usize {
        lock(&self.live).len()
    }

    /// Those under way, oldest first.
    pub(crate) fn views(&self) -> Vec<SignInView> {
        let view = |(id, live): (&SignInId, &Live)| SignInView {
            sign_in: *id,
            server: live.server.clone(),
            account: live.account.clone(),
            began_at: live.began_at,
            ends_at: live.ends_at,
            steps: lock(&live.steps).clone(),
        };
        let mut views: Vec<SignInView> = lock(&self.live).iter().map(view).collect();
        views.sort_by_key(|view| view.sign_in);
        views
    }

    /// The person's yes or no.
    pub(crate) fn confirm(&self, id: SignInId, yes: bool) -> Result<(), Error> {
        self.with(id, |live| live.answers.send(yes).is_ok())
    }

    /// The browser's final address.
    pub(crate) fn paste(&self, id: SignInId, url: Secret<String>) -> Result<(), Error> {
        self.with(id, |live| live.pasted.send(url).is_ok())
    }

    /// Gives it up.
    pub(crate) fn cancel(&self, id: SignInId) {
        if let Some(live) = lock(&self.live).get(&id) {
            live.cancelled.send_replace(true);
        }
    }

    /// Gives up whatever is under way at a Server.
    pub(crate) fn cancel_at(&self, server: &ServerId) {
        for live in lock(&self.live).values().filter(|live| live.server == *server) {
            live.cancelled.send_replace(true);
        }
    }

    fn with(&self, id: SignInId, act: impl FnOnce(&Live) -> bool) -> Result<(), Error> {
        match lock(&self.live).get(&id) {
            Some(live) if act(live) => Ok(()),
            Some(_) | None => Err(Error::new(ErrorCode::NotFound, "that sign-in is over")
                .hint("start another one: hallpass login <server>")),
        }
    }

    fn enter(
        &self,
        wanted: &Wanted,
        now: UnixTime,
        events: mpsc::UnboundedSender<FromAgent>,
        watchers: broadcast::Sender<Event>,
    ) -> Result<Line, Error> {
        let server = &wanted.server;
        let mut live = lock(&self.live);
        if live.values().any(|l| l.server == *server) {
            return Err(Error::new(ErrorCode::Usage, format!("a sign-in to {server} is under way already"))
                .hint("finish or cancel that one first"));
        }
        // Above those of every agent before this one: a window outlives its agent, and must never take the sign-in of
        // one for that of another.
        let least = now.0.saturating_mul(1000);
        let id = self.next.load(Ordering::Relaxed).max(least) + 1;
        self.next.store(id, Ordering::Relaxed);
        let id = SignInId(id);
        let (answers, answers_in) = mpsc::unbounded_channel();
        let (pasted, pasted_in) = mpsc::unbounded_channel();
        let (cancelled, cancelled_in) = watch::channel(false);
        let steps = Arc::default();
        let entry = Live {
            server: server.clone(),
            account: wanted.account.clone(),
            began_at: now,
            ends_at: now.after(Duration::from_secs(wanted.timeout)),
            steps: Arc::clone(&steps),
            answers,
            pasted,
            cancelled,
        };
        live.insert(id, entry);
        Ok(Line {
            id,
            events,
            steps,
            watchers,
            answers: answers_in,
            pasted: pasted_in,
            cancelled: cancelled_in,
        })
    }

    fn leave(&self, id: SignInId) {
        lock(&self.live).remove(&id);
    }
}

impl Agent {
    /// Starts a sign-in as a task of its own. What happens is told on `events`.
    pub(crate) fn begin_sign_in(
        self: &Arc<Self>,
        request: Request,
        events: mpsc::UnboundedSender<FromAgent>,
    ) -> Result<Begun, Error> {
        let Request::BeginSignIn {
            server,
            account,
            expect,
            label,
            select,
            approval,
            same_person,
            login_hint,
            way,
            timeout,
        } = request
        else {
            return Err(Error::new(ErrorCode::Usage, "not a sign-in"));
        };
        let account = self.read(|state| {
            if !state.servers.contains_key(&server) {
                return Err(error::no_server(&server));
            }
            account.map(|name| people::resolve(state, Some(&server), &name).map(|a| a.id.clone())).transpose()
        })?;
        let timeout = timeout.clamp(1, 3600);
        let wanted = Wanted {
            server,
            account,
            expect,
            label,
            select,
            approval,
            same_person,
            login_hint,
            way: Way::of(way),
            timeout,
        };
        let watchers = self.events.clone();
        let mut line = self.sign_ins.enter(&wanted, self.world.now(), events, watchers)?;
        self.changed();
        let id = line.id;
        let agent = Arc::clone(self);
        tokio::spawn(async move {
            let step = match flow::run(&agent, &wanted, &mut line).await {
                Ok(done) => done,
                Err(error) => {
                    tracing::info!(server = %wanted.server, code = ?error.code, "a sign-in did not succeed");
                    SignInStep::Failed { error }
                }
            };
            // Out of the register first: who hears of the end may begin the next one at once.
            agent.sign_ins.leave(id);
            line.step(step);
            agent.changed();
        });
        Ok(Begun { agent: Arc::clone(self), id })
    }
}
