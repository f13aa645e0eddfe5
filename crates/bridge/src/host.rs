//! What is remembered of the host: its handshake, its subscriptions, and the server's questions to it.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use bytes::Bytes;
use token_lease::Person;
use tokio::time::Instant;

use crate::error::Failure;
use crate::exchange::{CallKey, SessionKey};
use crate::field::Field;
use crate::message::{Id, Message, json_string};
use crate::newer_host::StandIn;

/// The host, as far as it matters to a new session.
#[derive(Default)]
pub(crate) struct Host {
    /// The captured `initialize`.
    pub(crate) initialize: Option<Message>,
    /// What a handshake says in the name of an app that makes none.
    pub(crate) stand_in: Option<StandIn>,
    /// The captured `notifications/initialized`.
    pub(crate) initialized: Option<Message>,
    /// It has its answer.
    pub(crate) answered: bool,
    /// When it is answered in the server's name.
    pub(crate) answer_by: Option<Instant>,
    /// Its server has answered a handshake with none, and a discovery.
    pub(crate) found_no_handshake: bool,
    /// Batches are part of 2025-03-26 alone.
    pub(crate) batches: bool,
    /// The `capabilities` that it was told; `None`: tools, resources and prompts.
    pub(crate) capabilities: Option<Bytes>,
    subscriptions: Vec<(Bytes, Message)>,
    logging: Option<Message>,
}

impl Host {
    /// Keeps what has to be repeated in a new session.
    pub(crate) fn remember(&mut self, message: &Message) {
        match &*message.method() {
            "logging/setLevel" => self.logging = Some(message.clone()),
            "resources/subscribe" | "resources/unsubscribe" => {
                let Some(uri) = message.raw(Field::Uri) else { return };
                self.subscriptions.retain(|(known, _)| *known != uri);
                if message.method() == "resources/subscribe" {
                    self.subscriptions.push((uri, message.clone()));
                }
            }
            _ => {}
        }
    }

    /// The log level that it asked for, as JSON text.
    pub(crate) fn level(&self) -> Option<Bytes> {
        self.logging.as_ref()?.raw(Field::Level)
    }

    /// The resources that it has subscribed to, as JSON text.
    pub(crate) fn subscribed(&self) -> impl Iterator<Item = &Bytes> {
        self.subscriptions.iter().map(|(uri, _)| uri)
    }

    /// What has to be repeated in a new session.
    pub(crate) fn remembered(&self) -> impl Iterator<Item = &Message> {
        self.logging.iter().chain(self.subscriptions.iter().map(|(_, message)| message))
    }

    /// The notifications that tell it to ask for all lists again.
    pub(crate) fn lists_changed(&self) -> Vec<Bytes> {
        let told: Option<serde_json::Map<String, serde_json::Value>> =
            self.capabilities.as_ref().and_then(|text| serde_json::from_slice(text).ok());
        ["tools", "resources", "prompts"]
            .into_iter()
            .filter(|name| told.as_ref().is_none_or(|told| told.contains_key(*name)))
            .map(|name| format!(r#"{{"jsonrpc":"2.0","method":"notifications/{name}/list_changed"}}"#).into())
            .collect()
    }
}

/// Requests of the server that the host has not answered, by the id that the host was given.
#[derive(Default)]
pub(crate) struct ServerRequests {
    asked: HashMap<Id, Question>,
    count: u64,
}

struct Question {
    /// `None`: its session is gone, an answer goes nowhere.
    session: Option<SessionKey>,
    raw_id: Bytes,
    progress_token: Option<Id>,
    /// A call that goes on when all its questions have answers, and which of them this is.
    round: Option<(CallKey, String)>,
}

/// Who waited for an answer of the host.
pub(crate) enum Answered {
    /// A session; the line that it is sent.
    Session(SessionKey, Bytes),
    /// A call, under this name.
    Round(CallKey, String),
}

/// How many questions of sessions that are gone are remembered.
const MAX_ORPHANS: usize = 1000;

impl ServerRequests {
    /// Registers a request; gives the line for the host. The id is exchanged where another session could
    /// use the same one.
    pub(crate) fn ask(&mut self, session: SessionKey, several: bool, message: &Message) -> Option<Bytes> {
        let (id, raw_id) = (message.id()?.clone(), message.raw(Field::Id)?);
        let progress_token = message.id_in(Field::MetaProgressToken);
        let question = Question { session: Some(session), raw_id, progress_token, round: None };
        if !several && !self.asked.contains_key(&id) {
            self.asked.insert(id, question);
            return Some(message.bytes().clone());
        }
        self.count += 1;
        let ours = json_string(&format!("hallpass-{}-{}", session.0, self.count));
        let line = message.with(Field::Id, &ours);
        self.asked.insert(Id::of(&ours), question);
        Some(line)
    }

    /// Registers a question of a call's answer (2026-07-28, MRTR); gives its id.
    pub(crate) fn ask_round(&mut self, session: SessionKey, call: CallKey, key: &str) -> Bytes {
        self.count += 1;
        let raw_id = json_string(&format!("hallpass-{}-{}", session.0, self.count));
        let round = Some((call, key.to_owned()));
        let question =
            Question { session: Some(session), raw_id: raw_id.clone(), progress_token: None, round };
        self.asked.insert(Id::of(&raw_id), question);
        raw_id
    }

    /// The host answers: whose question it was, and the answer under that session's own id.
    pub(crate) fn answer(&mut self, message: &Message) -> Option<Answered> {
        let question = self.asked.remove(message.id()?)?;
        let session = question.session?;
        Some(match question.round {
            Some((call, key)) => Answered::Round(call, key),
            None => Answered::Session(session, message.with(Field::Id, &question.raw_id)),
        })
    }

    /// The server takes a question back: the line for the host.
    pub(crate) fn cancel(&mut self, session: SessionKey, message: &Message) -> Option<Bytes> {
        let wanted = message.id_in(Field::RequestId)?;
        let ours = self.asked.iter().find_map(|(ours, question)| {
            (question.session == Some(session) && Id::of(&question.raw_id) == wanted).then_some(ours)
        })?;
        Some(message.with(Field::RequestId, ours.json()))
    }

    /// The session that gave the host this progress token.
    pub(crate) fn owner_of_token(&self, token: &Id) -> Option<SessionKey> {
        self.asked.values().find(|q| q.progress_token.as_ref() == Some(token)).and_then(|q| q.session)
    }

    /// A session is gone: its questions are taken back. Their ids stay taken, so that a late answer
    /// cannot reach another session.
    pub(crate) fn withdraw(&mut self, session: SessionKey) -> Vec<Bytes> {
        self.take_back("the session has ended", |question| question.session == Some(session))
    }

    /// Forgets the questions of one call that the host has not heard of.
    pub(crate) fn forget_round(&mut self, call: CallKey) {
        self.asked.retain(|_, question| question.round.as_ref().is_none_or(|(owner, _)| *owner != call));
    }

    /// The same for the questions of one call.
    pub(crate) fn withdraw_round(&mut self, call: CallKey) -> Vec<Bytes> {
        let is_its = |question: &Question| question.round.as_ref().is_some_and(|(owner, _)| *owner == call);
        self.take_back("the call has ended", |question| question.session.is_some() && is_its(question))
    }

    fn take_back(&mut self, reason: &str, is_meant: impl Fn(&Question) -> bool) -> Vec<Bytes> {
        let mut lines = Vec::new();
        for (id, question) in self.asked.iter_mut().filter(|(_, question)| is_meant(question)) {
            question.session = None;
            let mut line =
                br#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"#.to_vec();
            line.extend_from_slice(id.json());
            line.extend_from_slice(format!(r#","reason":"{reason}"}}}}"#).as_bytes());
            lines.push(line.into());
        }
        if self.asked.values().filter(|q| q.session.is_none()).count() > MAX_ORPHANS {
            self.asked.retain(|_, question| question.session.is_some());
        }
        lines
    }
}

/// Whose `requestState` is whose (2026-07-28, multi round-trip requests). Only hashes are kept.
#[derive(Default)]
pub(crate) struct RequestStates {
    hasher: RandomState,
    owners: HashMap<u64, Option<Person>>,
}

impl RequestStates {
    /// A result carried this state.
    pub(crate) fn note(&mut self, state: &[u8], person: Option<&Person>) {
        if self.owners.len() > 10_000 {
            self.owners.clear();
        }
        self.owners.insert(self.hasher.hash_one(state), person.cloned());
    }

    /// Whether a request with this state may go out as `now`. A state that we never saw may.
    pub(crate) fn check(&self, state: &[u8], now: Option<&Person>) -> Result<(), Failure> {
        let Some(began) = self.owners.get(&self.hasher.hash_one(state)) else { return Ok(()) };
        if began.as_ref().map(|p| &p.account) == now.map(|p| &p.account) {
            return Ok(());
        }
        let name = |person: Option<&Person>| person.map_or("nobody", |p| p.label.as_str()).to_owned();
        Err(Failure::OtherPerson { began: name(began.as_ref()), now: name(now) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Parsed, parse};

    fn message(text: &str) -> Message {
        let Ok(Parsed::One(message)) = parse(&Bytes::copy_from_slice(text.as_bytes())) else {
            panic!("{text}")
        };
        message
    }

    #[test]
    fn answers_go_to_the_session_that_asked_under_its_own_id() {
        let mut asked = ServerRequests::default();
        let question = message(r#"{"jsonrpc":"2.0","id":1,"method":"elicitation/create"}"#);
        let first = asked.ask(SessionKey(1), false, &question).unwrap();
        assert_eq!(&first, question.bytes());
        let second = asked.ask(SessionKey(2), true, &question).unwrap();
        assert!(second.starts_with(br#"{"jsonrpc":"2.0","id":"hallpass-2-1","method""#));
        let answer = message(r#"{"jsonrpc":"2.0","id":"hallpass-2-1","result":{}}"#);
        let Some(Answered::Session(session, line)) = asked.answer(&answer) else { panic!() };
        assert_eq!((session, &line[..]), (SessionKey(2), &br#"{"jsonrpc":"2.0","id":1,"result":{}}"#[..]));
        assert!(asked.answer(&answer).is_none(), "once only");
    }

    #[test]
    fn a_late_answer_to_a_session_that_is_gone_reaches_no_other() {
        let mut asked = ServerRequests::default();
        let question = message(r#"{"id":1,"method":"ping"}"#);
        asked.ask(SessionKey(1), false, &question);
        let withdrawn = asked.withdraw(SessionKey(1));
        assert!(withdrawn[0].windows(14).any(|w| w == br#""requestId":1,"#));
        let line = asked.ask(SessionKey(2), false, &question).unwrap();
        assert_ne!(&line, question.bytes(), "the id is still taken");
        assert!(asked.answer(&message(r#"{"id":1,"result":{}}"#)).is_none());
    }

    #[test]
    fn a_state_of_one_person_is_refused_to_another_by_name() {
        let person = |id: &str| Person { account: model::AccountId::parse(id).unwrap(), label: id.into() };
        let mut states = RequestStates::default();
        states.note(b"\"s\"", Some(&person("ana")));
        assert!(states.check(b"\"s\"", Some(&person("ana"))).is_ok());
        assert!(states.check(b"\"t\"", Some(&person("ben"))).is_ok());
        let refused = states.check(b"\"s\"", Some(&person("ben"))).unwrap_err();
        assert_eq!(refused, Failure::OtherPerson { began: "ana".into(), now: "ben".into() });
        assert!(states.check(b"\"s\"", None).is_err());
    }

    #[test]
    fn only_lists_that_were_announced_change() {
        let mut host = Host::default();
        assert_eq!(host.lists_changed().len(), 3);
        host.capabilities = Some(Bytes::from_static(br#"{"tools":{},"logging":{}}"#));
        assert_eq!(
            host.lists_changed(),
            [r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#]
        );
    }
}
