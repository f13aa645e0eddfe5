//! The one place that decides. It owns all state, does no I/O, and hands lines to the relay.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::{Era, UnixTime};
use token_lease::{BridgeMessage, Closed, Person, ServerFacts};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::Options;
use crate::agent_link::LinkError;
use crate::authorization::{Credential, Leases};
use crate::era::Translation;
use crate::error::{AGENT_PATIENCE, Failure, Voice};
use crate::exchange::{CallKey, Event, Exchange, SessionKey};
use crate::header;
use crate::host::{Host, RequestStates, ServerRequests};
use crate::memory::Memory;
use crate::message::Message;
use crate::opening;
use crate::session::{Call, CallKind, Ended, Phase, Session};

/// How long `initialize` waits for the server before it is answered in its name.
const INITIALIZE_PATIENCE: Duration = Duration::from_secs(3);

/// As whom requests of the host go out now.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Position {
    /// The agent has not said yet, or is gone: requests are held.
    Unknown,
    /// The agent refuses this bridge for good.
    Refused(Closed),
    /// As this person.
    Person(Person),
    /// As nobody.
    Open,
    /// Not at all.
    Closed(Closed),
}

/// A request that was not accepted yet.
struct Held {
    until: Instant,
    message: Message,
}

/// All state of one bridge.
pub(crate) struct Bridge {
    pub(crate) clock: fn() -> UnixTime,
    pub(crate) voice: Voice,
    pub(crate) facts: Option<Arc<ServerFacts>>,
    pub(crate) position: Position,
    pub(crate) attached: bool,
    pub(crate) lost_at: Instant,
    pub(crate) link_error: Option<LinkError>,
    pub(crate) leases: Leases,
    pub(crate) sessions: BTreeMap<SessionKey, Session>,
    pub(crate) current: Option<SessionKey>,
    pub(crate) calls: BTreeMap<CallKey, Call>,
    pub(crate) by_id: HashMap<crate::message::Id, CallKey>,
    /// Calls that went out under an id of ours, by it.
    pub(crate) by_sent: HashMap<crate::message::Id, CallKey>,
    pub(crate) asked: ServerRequests,
    pub(crate) states: RequestStates,
    pub(crate) host: Host,
    pub(crate) memory: Memory,
    pub(crate) era: Option<Era>,
    /// What the agent was told last of how the server is.
    pub(crate) trouble: Option<String>,
    held: VecDeque<Held>,
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) to_host: Vec<Bytes>,
    pub(crate) to_agent: Vec<BridgeMessage>,
    next_key: u64,
}

impl Bridge {
    /// Knows nothing yet but what stands in the argv.
    pub(crate) fn new(options: &Options, clock: fn() -> UnixTime, events: mpsc::Sender<Event>) -> Self {
        Self {
            clock,
            voice: Voice { server: options.server.to_string(), label: options.server.to_string() },
            facts: None,
            position: Position::Unknown,
            attached: false,
            lost_at: Instant::now(),
            link_error: None,
            leases: Leases::default(),
            sessions: BTreeMap::new(),
            current: None,
            calls: BTreeMap::new(),
            by_id: HashMap::new(),
            by_sent: HashMap::new(),
            asked: ServerRequests::default(),
            states: RequestStates::default(),
            host: Host::default(),
            memory: Memory::default(),
            era: None,
            trouble: None,
            held: VecDeque::new(),
            events,
            to_host: Vec::new(),
            to_agent: Vec::new(),
            next_key: 0,
        }
    }

    /// A number that was not given yet.
    pub(crate) fn key(&mut self) -> u64 {
        self.next_key += 1;
        self.next_key
    }

    /// The session that new requests use.
    pub(crate) fn current_session(&mut self) -> Option<&mut Session> {
        self.sessions.get_mut(&self.current?)
    }

    /// Accepts a request, or holds or answers it.
    pub(crate) fn request(&mut self, message: Message) {
        match &self.position {
            Position::Unknown if message.method() == "ping" => self.answer_ping(&message),
            Position::Unknown => {
                self.held.push_back(Held { until: Instant::now() + AGENT_PATIENCE, message });
            }
            Position::Refused(closed) => {
                let failure = Failure::Closed(closed.clone());
                self.answer_failure(&message, &failure);
            }
            Position::Closed(closed) => {
                let closed = closed.clone();
                self.answer_closed(&message, &closed);
            }
            Position::Person(_) | Position::Open => self.accept(message),
        }
    }

    /// Takes up what was held, now that it is known as whom.
    pub(crate) fn release_held(&mut self) {
        if self.position != Position::Unknown {
            for held in std::mem::take(&mut self.held) {
                self.request(held.message);
            }
        }
    }

    /// Drops a held request that the host cancelled; whether there was one.
    pub(crate) fn unhold(&mut self, id: &crate::message::Id) -> bool {
        let before = self.held.len();
        self.held.retain(|held| held.message.id() != Some(id));
        self.held.len() < before
    }

    /// From here on the request runs as the person of now, to its end.
    fn accept(&mut self, message: Message) {
        let Some(key) = self.current else {
            let failure = self.without_agent();
            self.answer_failure(&message, &failure);
            return;
        };
        if let Err(failure) = self.continues_as_the_same_person(&message) {
            self.answer_failure(&message, &failure);
            return;
        }
        let (Some(id), Some(raw_id)) = (message.id().cloned(), message.raw(crate::field::Field::Id)) else {
            return;
        };
        let Some(message) = self.taken_up(message) else { return };
        let kind = CallKind::of(&message);
        self.host.remember(&message);
        let call = CallKey(self.key());
        self.by_id.insert(id.clone(), call);
        self.calls.insert(
            call,
            Call {
                id,
                raw_id,
                session: key,
                kind,
                progress_token: message.id_in(crate::field::Field::MetaProgressToken),
                cancelled: false,
                repeated: false,
                task: None,
                sent: None,
                translated: None,
                ended: None,
            },
        );
        if let Some(session) = self.sessions.get_mut(&key) {
            session.in_flight += 1;
        }
        self.send_or_queue(call, message);
    }

    /// Sends a registered call, or lets it wait for its session's handshake.
    pub(crate) fn send_or_queue(&mut self, call: CallKey, message: Message) {
        let Some((session_key, handshake)) = self.calls.get(&call).map(|c| (c.session, c.is_handshake()))
        else {
            return;
        };
        let in_words_of_a_session = !handshake && self.is_for_a_session(session_key, &message);
        let Some(session) = self.sessions.get_mut(&session_key) else { return };
        match session.phase {
            Phase::Opening | Phase::Confirming if handshake || in_words_of_a_session => {
                session.queue.push((call, message));
            }
            Phase::Fresh | Phase::Failed
                if in_words_of_a_session || (handshake && self.host.initialize.is_some()) =>
            {
                session.queue.push((call, message));
                self.open(session_key);
            }
            Phase::Fresh
            | Phase::Failed
            | Phase::Opening
            | Phase::Confirming
            | Phase::Opened
            | Phase::Ready => {
                self.send(call, message);
            }
        }
    }

    fn send(&mut self, key: CallKey, message: Message) {
        let Some(call) = self.calls.get(&key) else { return };
        let Some(session) = self.sessions.get(&call.session) else { return };
        match (&session.translation, call.is_handshake()) {
            // What has been put into other words already goes as it is.
            _ if call.sent.is_some() => self.send_as_it_is(key, message),
            (Translation::OlderHost(_), true) => self.send_without_session(key, &message),
            (Translation::NewerHost(_), false) => self.send_in_session(key, &message),
            (Translation::None | Translation::OlderHost(_) | Translation::NewerHost(_), _) => {
                self.send_as_it_is(key, message);
            }
        }
    }

    /// Sends a registered call without another look at it.
    pub(crate) fn send_as_it_is(&mut self, key: CallKey, message: Message) {
        let Some(call) = self.calls.get(&key) else { return };
        let (session_key, handshake) = (call.session, call.is_in_session());
        let Some(session) = self.sessions.get(&session_key) else { return };
        let upstream = session.upstream.clone();
        let headers = (!handshake).then(|| {
            let mut headers =
                header::of_stateless(&message).map_err(|e| Failure::Unsendable(e.to_string()))?;
            session.mirrors.add_to(&mut headers, &message)?;
            Ok(headers)
        });
        match headers.transpose().and_then(|headers| Ok((headers, self.credential(session_key)?))) {
            Err(failure) => self.fail(key, &failure),
            Ok((stateless, credential)) => {
                let exchange = Exchange { upstream, call: key, message, credential, stateless };
                let task = tokio::spawn(exchange.run()).abort_handle();
                if let Some(call) = self.calls.get_mut(&key) {
                    call.task = Some(task);
                }
            }
        }
    }

    /// What a request of this session carries now.
    pub(crate) fn credential(&mut self, key: SessionKey) -> Result<Credential, Failure> {
        // What a test of identity has to find: one person's call with another's token.
        let key = if cfg!(feature = "mutant") { self.current.unwrap_or(key) } else { key };
        let session = self.sessions.get(&key).ok_or(Failure::Void)?;
        match session.lease {
            None => Ok(Credential::Nobody),
            Some(lease) => {
                let http = session.upstream.http.clone();
                self.leases.credential(lease, http.endpoint(), (self.clock)(), &mut self.to_agent)
            }
        }
    }

    /// Starts the handshake of a session with the captured `initialize`.
    pub(crate) fn open(&mut self, key: SessionKey) {
        let Some(greeting) = self.greeting(key) else { return };
        match self.credential(key) {
            Err(failure) => self.opened(key, Err(failure)),
            Ok(credential) => {
                if let Some(session) = self.sessions.get_mut(&key) {
                    session.phase = Phase::Opening;
                    let task = tokio::spawn(opening::open(session.upstream.clone(), greeting, credential));
                    session.opening = Some(task.abort_handle());
                }
            }
        }
    }

    /// The same, if it has not begun yet.
    pub(crate) fn open_if_fresh(&mut self, key: SessionKey) {
        if self.sessions.get(&key).is_some_and(|session| session.phase == Phase::Fresh) {
            self.open(key);
        }
    }

    /// Sends what needs no answer.
    pub(crate) fn post(&mut self, key: SessionKey, body: Bytes) {
        let Some(upstream) = self.sessions.get(&key).map(|s| s.upstream.clone()) else { return };
        match self.credential(key) {
            Ok(credential) => drop(tokio::spawn(opening::deliver(upstream, body, credential))),
            Err(failure) => tracing::debug!(%failure, "not sent"),
        }
    }

    /// Sends the host's answer to a question of the server.
    pub(crate) fn post_answer(&mut self, key: SessionKey, body: Bytes) {
        let Some(upstream) = self.sessions.get(&key).map(|s| s.upstream.clone()) else { return };
        match self.credential(key) {
            Ok(credential) => drop(tokio::spawn(opening::answer(upstream, body, credential))),
            Err(failure) => tracing::debug!(%failure, "not sent"),
        }
    }

    /// Answers a call with an error and forgets it.
    pub(crate) fn fail(&mut self, key: CallKey, failure: &Failure) {
        if let Some(trouble) = failure.of_server() {
            self.found(Some(trouble));
        }
        if self.ends_unheard(key, || Ended::Failed(failure.clone())) {
            return;
        }
        if let Some(line) = self.remembered_answer(key, failure) {
            self.to_host.push(line);
            return self.forget(key);
        }
        let Some(call) = self.calls.get(&key) else { return };
        if !call.cancelled {
            let session = self.sessions.get(&call.session);
            let person = session.and_then(|s| s.person.as_ref());
            let failure = match (failure, person) {
                (Failure::Rejected(None), Some(person)) => &Failure::Rejected(Some(person.label.clone())),
                _ => failure,
            };
            let account = session.and_then(Session::account);
            self.to_host.push(self.voice.error(&call.raw_id, failure, account));
        }
        self.forget(key);
    }

    /// The call has its answer. The last one of a retired session ends that session.
    pub(crate) fn forget(&mut self, key: CallKey) {
        let Some(call) = self.calls.remove(&key) else { return };
        if self.by_id.get(&call.id) == Some(&key) {
            self.by_id.remove(&call.id);
        }
        if let Some(sent) = &call.sent {
            self.by_sent.remove(sent);
            self.to_host.extend(self.asked.withdraw_round(key));
        }
        if let Some(session) = self.sessions.get_mut(&call.session) {
            session.in_flight = session.in_flight.saturating_sub(1);
            session.queue.retain(|(queued, _)| *queued != key);
        }
        self.close_if_done(call.session);
    }

    /// Says what era the server speaks, once.
    pub(crate) fn learned(&mut self, era: Era) {
        if self.era != Some(era) {
            self.era = Some(era);
            if self.attached {
                self.to_agent.push(BridgeMessage::Learned { era });
            }
        }
    }

    /// Says how the server is, if that is news.
    pub(crate) fn found(&mut self, trouble: Option<String>) {
        if trouble.is_none() && self.trouble.is_some() {
            self.correct_memory();
        }
        if self.trouble != trouble {
            self.trouble.clone_from(&trouble);
            if self.attached {
                self.to_agent.push(BridgeMessage::Trouble { what: trouble });
            }
        }
    }

    /// A new `initialize` of the host, waiting for its answer.
    pub(crate) fn await_initialize(&mut self, message: Message) {
        self.host.initialize = Some(message);
        self.host.initialized = None;
        self.host.answered = false;
        self.host.answer_by = Some(Instant::now() + INITIALIZE_PATIENCE);
    }

    /// The next moment at which waiting ends.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let waiting =
            (!self.attached && self.leases.somebody_is_stuck()).then(|| self.lost_at + AGENT_PATIENCE);
        [self.host.answer_by, self.held.front().map(|held| held.until), waiting].into_iter().flatten().min()
    }

    /// Ends waiting that has lasted long enough.
    pub(crate) fn tick(&mut self, now: Instant) {
        if self.host.answer_by.is_some_and(|by| by <= now) {
            self.answer_initialize_ourselves();
        }
        while let Some(held) = self.held.pop_front_if(|held| held.until <= now) {
            let failure = self.without_agent();
            self.answer_failure(&held.message, &failure);
        }
        if !self.attached && self.lost_at + AGENT_PATIENCE <= now {
            let failure = self.without_agent();
            self.leases.give_up(&failure);
        }
    }

    /// What a call is to us, for the host's data.
    pub(crate) fn answer_failure(&mut self, message: &Message, failure: &Failure) {
        let account = self.current.and_then(|key| self.sessions.get(&key)).and_then(Session::account);
        if let Some(id) = message.raw(crate::field::Field::Id) {
            let line = self.voice.error(&id, failure, account);
            self.to_host.push(line);
        }
    }

    fn continues_as_the_same_person(&mut self, message: &Message) -> Result<(), Failure> {
        let Some(state) = message.raw(crate::field::Field::RequestState) else { return Ok(()) };
        let now = self.current.and_then(|key| self.sessions.get(&key)).and_then(|s| s.person.as_ref());
        self.states.check(&state, now)
    }
}
