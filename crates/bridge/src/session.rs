//! One person's side at the server: for the handshake era a session of the protocol, else just a lease.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use model::Era;
use token_lease::{Person, ServerFacts};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::authorization::Loan;
use crate::era::Translation;
use crate::error::Failure;
use crate::exchange::{CallKey, Event, SessionKey};
use crate::field::Field;
use crate::http::Http;
use crate::message::{Id, Message};
use crate::mirrored::Mirrors;
use crate::older_host::Rounds;
use crate::parked::InSession;
use crate::upstream::Upstream;

/// How far the handshake is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// No handshake yet. Stateless requests need none.
    Fresh,
    /// `initialize` is under way; requests wait.
    Opening,
    /// It is answered; the host has not said `initialized` yet.
    Opened,
    /// `initialized` is under way; requests wait.
    Confirming,
    /// All done.
    Ready,
    /// `initialize` failed; the next request tries again.
    Failed,
}

/// A session. It never changes person.
pub(crate) struct Session {
    pub(crate) upstream: Arc<Upstream>,
    /// `None`: the Server is open to everybody, nothing is sent.
    pub(crate) lease: Option<Loan>,
    pub(crate) person: Option<Person>,
    pub(crate) phase: Phase,
    /// No request starts here any more; what is under way ends.
    pub(crate) retired: bool,
    /// The server does not know it any more.
    pub(crate) lost: bool,
    /// Replaces another one: subscriptions are repeated and the host is told that lists changed.
    pub(crate) replaces: bool,
    /// Calls that have no answer yet.
    pub(crate) in_flight: usize,
    /// What app and server have to be told in other words.
    pub(crate) translation: Translation,
    /// Arguments that are mirrored in headers.
    pub(crate) mirrors: Mirrors,
    /// Requests that wait for the handshake.
    pub(crate) queue: Vec<(CallKey, Message)>,
    /// The GET stream.
    pub(crate) stream: Option<AbortHandle>,
    /// The handshake under way.
    pub(crate) opening: Option<AbortHandle>,
}

impl Session {
    /// Opens nothing yet.
    pub(crate) fn new(
        key: SessionKey,
        facts: &ServerFacts,
        lease: Option<(Loan, Person)>,
        events: mpsc::Sender<Event>,
    ) -> Result<Self, Failure> {
        let http = Arc::new(Http::new(facts)?);
        let (established, target) = (OnceLock::new(), OnceLock::new());
        let upstream = Arc::new(Upstream { key, http, established, target, events });
        let (lease, person) = lease.unzip();
        Ok(Self {
            upstream,
            lease,
            person,
            phase: Phase::Fresh,
            retired: false,
            lost: false,
            replaces: false,
            in_flight: 0,
            translation: Translation::None,
            mirrors: Mirrors::default(),
            queue: Vec::new(),
            stream: None,
            opening: None,
        })
    }

    /// The same side again, after the server lost the session.
    pub(crate) fn renewed(&self, key: SessionKey) -> Self {
        let upstream = Upstream {
            key,
            http: self.upstream.http.clone(),
            established: OnceLock::new(),
            target: OnceLock::new(),
            events: self.upstream.events.clone(),
        };
        Self {
            upstream: Arc::new(upstream),
            lease: self.lease,
            person: self.person.clone(),
            phase: Phase::Fresh,
            retired: false,
            lost: false,
            replaces: true,
            in_flight: 0,
            translation: Translation::None,
            mirrors: Mirrors::default(),
            queue: Vec::new(),
            stream: None,
            opening: None,
        }
    }

    /// Whose it is, for an error's data.
    pub(crate) fn account(&self) -> Option<&str> {
        self.person.as_ref().map(|p| p.account.as_str())
    }

    /// Stops what runs for nobody in particular.
    pub(crate) fn stop_stream(&mut self) {
        let replaced = match &mut self.translation {
            Translation::OlderHost(older) => older.replaced.take(),
            Translation::NewerHost(_) | Translation::None => None,
        };
        for stream in self.stream.take().into_iter().chain(replaced) {
            stream.abort();
        }
    }
}

/// A request of the host that has no answer yet.
pub(crate) struct Call {
    pub(crate) id: Id,
    /// The id as the host wrote it.
    pub(crate) raw_id: Bytes,
    pub(crate) session: SessionKey,
    pub(crate) kind: CallKind,
    pub(crate) progress_token: Option<Id>,
    /// The host does not want the answer any more.
    pub(crate) cancelled: bool,
    /// It was sent anew after its session was lost.
    pub(crate) repeated: bool,
    pub(crate) task: Option<AbortHandle>,
    /// The id that it went out under, where that is not the app's.
    pub(crate) sent: Option<Id>,
    /// What its translation keeps.
    pub(crate) translated: Option<Box<Translated>>,
    /// How it ended while its app was being asked something.
    pub(crate) ended: Option<Box<Ended>>,
}

/// What a translated call keeps.
pub(crate) enum Translated {
    /// It went out without a session.
    Rounds(Rounds),
    /// It went out in a session of ours.
    InSession(InSession),
}

/// How a call ended.
pub(crate) enum Ended {
    Answered(Message),
    Failed(Failure),
}

/// What a call means for the bridge.
pub(crate) enum CallKind {
    /// Belongs to a handshake session.
    Handshake,
    Stateless,
    /// `server/discover`.
    Discover,
    /// `tools/list`: what it brings is learned from.
    Tools {
        era: Era,
        /// It asks for the first page, which may be all of it.
        whole: bool,
    },
    /// `subscriptions/listen`: no call but a stream; reopened as the new person after a switch.
    Listen {
        message: Message,
        reopened: bool,
    },
}

impl CallKind {
    /// The era of one request, and what it is there.
    pub(crate) fn of(message: &Message) -> Self {
        match (&*message.method(), message.has(Field::MetaVersion)) {
            ("server/discover", _) => Self::Discover,
            ("subscriptions/listen", true) => Self::Listen { message: message.clone(), reopened: false },
            ("tools/list", stateless) => {
                let era = if stateless { Era::Stateless } else { Era::Handshake };
                let params = message.raw(Field::Params).unwrap_or_default();
                Self::Tools { era, whole: memchr::memmem::find(&params, b"\"cursor\"").is_none() }
            }
            (_, true) => Self::Stateless,
            (_, false) => Self::Handshake,
        }
    }
}

impl Call {
    /// Whether its app speaks as the handshake era does.
    pub(crate) fn is_handshake(&self) -> bool {
        match self.kind {
            CallKind::Handshake | CallKind::Tools { era: Era::Handshake, .. } => true,
            CallKind::Stateless
            | CallKind::Discover
            | CallKind::Tools { era: Era::Stateless, .. }
            | CallKind::Listen { .. } => false,
        }
    }

    /// Whether it belongs to a session at the server.
    pub(crate) fn is_in_session(&self) -> bool {
        match self.translated.as_deref() {
            None => self.is_handshake(),
            Some(Translated::Rounds(_)) => false,
            Some(Translated::InSession(_)) => true,
        }
    }

    /// Whether its last request has an answer and the next one waits for the app.
    pub(crate) fn is_between_rounds(&self) -> bool {
        match self.translated.as_deref() {
            Some(Translated::Rounds(rounds)) => rounds.is_between(),
            Some(Translated::InSession(_)) | None => false,
        }
    }

    /// What is kept of it in a session of ours.
    pub(crate) fn in_session(&mut self) -> Option<&mut InSession> {
        match self.translated.as_deref_mut() {
            Some(Translated::InSession(call)) => Some(call),
            Some(Translated::Rounds(_)) | None => None,
        }
    }

    /// Whether the app was answered with questions and has not come back.
    pub(crate) fn is_parked(&self) -> bool {
        match self.translated.as_deref() {
            Some(Translated::InSession(call)) => call.parked.is_some(),
            Some(Translated::Rounds(_)) | None => false,
        }
    }
}
