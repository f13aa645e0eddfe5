//! What the agent remembers of the server, as the person of now: an app starts before its server has answered, and keeps
//! its tools while that is away. Nothing that was said to one person is ever shown to another.

use bytes::Bytes;
use model::AccountId;
use token_lease::{BridgeMessage, Known, Person};

use crate::era;
use crate::error::Failure;
use crate::exchange::{CallKey, SessionKey};
use crate::field::Field;
use crate::lifecycle::{Bridge, Position};
use crate::message::{Message, json_string};
use crate::newer_host;
use crate::object::Object;
use crate::session::CallKind;

/// More of one kind is not remembered, in bytes.
const MAX_PART: usize = 256 * 1024;

/// What was said before, and to whom.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// `None`: to nobody, at a Server that is open to everybody.
    account: Option<AccountId>,
    known: Known,
    /// The app was told something from it, which may not hold any more.
    told: bool,
    /// What `initialize` was answered with, until the server has answered.
    begun: Option<Bytes>,
}

impl Bridge {
    /// The agent says what it remembers.
    pub(crate) fn recall(&mut self, account: Option<AccountId>, known: Known) {
        let begun = self.memory.begun.take();
        self.memory = Memory { account, known, told: self.memory.told, begun };
        self.begin_from_memory();
    }

    /// Answers `initialize` by what the server said the last time, if it still waits. The truth is on its way.
    pub(crate) fn begin_from_memory(&mut self) {
        let of_now = match &self.position {
            Position::Person(person) => self.memory.is_of(Some(person)),
            Position::Open => self.memory.is_of(None),
            Position::Unknown | Position::Refused(_) | Position::Closed(_) => false,
        };
        let Some(initialize) = self.host.initialize.as_ref().filter(|_| of_now && !self.host.answered) else {
            return;
        };
        let Some(text) = self.memory.known.initialize.clone().map(Bytes::from) else { return };
        let result = Object::parse(&text).unwrap_or_default();
        let (version, asked) = (result.text("protocolVersion"), initialize.text(Field::ProtocolVersion));
        // Another app may have spoken another revision.
        if version.is_none() || version.as_deref() != asked.as_deref() {
            return;
        }
        let Some(id) = initialize.raw(Field::Id) else { return };
        self.host.batches = version.as_deref() == Some("2025-03-26");
        self.host.capabilities = result.get("capabilities").cloned();
        self.host.answered = true;
        self.host.answer_by = None;
        self.to_host.push(era::response(&id, "result", &text));
        self.memory.begun = Some(text);
    }

    /// The server has answered `initialize` now; whether it says what the app was told already.
    pub(crate) fn is_as_begun(&mut self, session: SessionKey, answer: &Message) -> bool {
        let Some(truth) = answer.raw(Field::Result) else { return false };
        let begun = self.memory.begun.take();
        self.learn(session, Known { initialize: text_of(&truth), ..Known::default() });
        let value = |text: &Bytes| serde_json::from_slice::<serde_json::Value>(text).ok();
        begun.is_some_and(|begun| value(&begun) == value(&truth))
    }

    /// The server has answered `server/discover`.
    pub(crate) fn discovered(&mut self, session: SessionKey, answer: &Message) {
        let truth = answer.raw(Field::Result).filter(|_| answer.has(Field::ResultSupported));
        if let Some(truth) = truth {
            self.learn(session, Known { discover: text_of(&truth), ..Known::default() });
        }
    }

    /// The server has answered `tools/list`; `shown` is what the app sees of it.
    pub(crate) fn listed_tools(&mut self, key: CallKey, shown: &Message) {
        let Some(call) = self.calls.get(&key) else { return };
        let CallKind::Tools { whole: true, .. } = call.kind else { return };
        let session = call.session;
        let result = shown.raw(Field::Result).as_ref().and_then(Object::parse).unwrap_or_default();
        if let Some(tools) = result.get("tools").filter(|_| result.get("nextCursor").is_none()) {
            self.learn(session, Known { tools: text_of(tools), ..Known::default() });
        }
    }

    /// Has the agent remember what is news, for the person of this session alone.
    fn learn(&mut self, key: SessionKey, part: Known) {
        if self.current != Some(key) || !self.attached {
            return;
        }
        let Some(session) = self.sessions.get(&key) else { return };
        let (account, lease) = (session.person.as_ref().map(|p| p.account.clone()), session.lease);
        let bearer = lease.and_then(|lease| self.leases.last_bearer(lease));
        let token = bearer.and_then(|b| b.value.to_str().ok()).and_then(|v| v.strip_prefix("Bearer "));
        let parts = [&part.initialize, &part.discover, &part.tools];
        if parts.into_iter().flatten().any(|text| token.is_some_and(|token| text.contains(token))) {
            return;
        }
        if self.memory.account != account {
            let (told, begun) = (self.memory.told, self.memory.begun.take());
            self.memory = Memory { account, known: Known::default(), told, begun };
        }
        if self.memory.known.merge(part.clone()) {
            let lease = lease.map(|loan| loan.lease);
            self.to_agent.push(BridgeMessage::Seen { lease, known: part });
        }
    }

    /// What a call is answered with while its server is away, if the server said it to the same person before.
    pub(crate) fn remembered_answer(&mut self, key: CallKey, failure: &Failure) -> Option<Bytes> {
        let is_broken = matches!(failure, Failure::Status { status, .. } if status.is_server_error());
        let is_away = is_broken || matches!(failure, Failure::Unreachable(_));
        let call = self.calls.get(&key).filter(|call| is_away && !call.cancelled)?;
        let person = self.sessions.get(&call.session)?.person.as_ref();
        if !self.memory.is_of(person) {
            return None;
        }
        let (raw_id, stateless) = (call.raw_id.clone(), !call.is_handshake());
        let line = match call.kind {
            CallKind::Tools { whole: true, .. } => self.memory.tools(&raw_id, stateless),
            CallKind::Discover => {
                let text = self.memory.known.discover.clone()?;
                Some(era::response(&raw_id, "result", &Bytes::from(text)))
            }
            CallKind::Tools { whole: false, .. }
            | CallKind::Handshake
            | CallKind::Stateless
            | CallKind::Listen { .. } => None,
        };
        self.memory.told |= line.is_some();
        line
    }

    /// The tools of a person who may not call just now.
    pub(crate) fn remembered_tools(&mut self, person: &Person, id: &Bytes, stateless: bool) -> Option<Bytes> {
        let line = self.memory.is_of(Some(person)).then(|| self.memory.tools(id, stateless)).flatten();
        self.memory.told |= line.is_some();
        line
    }

    /// The server is back: what the app was told from memory may not hold any more.
    pub(crate) fn correct_memory(&mut self) {
        if !std::mem::take(&mut self.memory.told) {
            return;
        }
        if self.host.initialize.is_some() {
            let lines = self.host.lists_changed();
            self.to_host.extend(lines);
        }
        let listens = self.calls.values().filter_map(|call| match &call.kind {
            CallKind::Listen { message, .. } => Some(newer_host::all_changed(message)),
            CallKind::Handshake | CallKind::Stateless | CallKind::Discover | CallKind::Tools { .. } => None,
        });
        self.to_host.extend(listens.flatten());
    }
}

impl Memory {
    fn is_of(&self, person: Option<&Person>) -> bool {
        self.account.as_ref() == person.map(|person| &person.account)
    }

    fn tools(&self, id: &Bytes, stateless: bool) -> Option<Bytes> {
        let mut result = Object::default();
        result.set("tools", self.known.tools.clone()?);
        if stateless {
            result.set("resultType", json_string("complete"));
            result.set("ttlMs", "0");
            result.set("cacheScope", json_string("private"));
        }
        Some(era::response(id, "result", &result.to_bytes()))
    }
}

fn text_of(text: &Bytes) -> Option<String> {
    if text.len() > MAX_PART {
        return None;
    }
    String::from_utf8(text.to_vec()).ok()
}
