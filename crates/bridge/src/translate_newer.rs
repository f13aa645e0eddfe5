//! The bridge between an app of 2026-07-28 and a server with a handshake: the session that is kept for an app that knows
//! none. The words themselves are in [`crate::newer_host`] and [`crate::parked`].

use bytes::Bytes;
use model::Era;
use serde_json::json;

use crate::era::{self, HEADER_MISMATCH, Translation};
use crate::error::{Failure, error_response, result_response};
use crate::exchange::{CallKey, Listing, Refused, SessionKey};
use crate::field::Field;
use crate::lifecycle::Bridge;
use crate::message::{Id, Message, json_string};
use crate::newer_host::{self, Filter, NewerHost, StandIn};
use crate::own_requests;
use crate::parked::{Continues, InSession, VISIT, continues, visit_first};
use crate::session::{Call, CallKind, Ended, Phase, Translated};

/// More calls than this do not wait for their app to come back.
const MAX_PARKED: usize = 64;

impl Bridge {
    /// What of a request is to be sent; `None` if it goes on with something that waits, or cannot.
    pub(crate) fn taken_up(&mut self, message: Message) -> Option<Message> {
        if self.host.initialize.is_some() || !message.has(Field::MetaVersion) {
            return Some(message);
        }
        match &mut self.host.stand_in {
            None => self.host.stand_in = StandIn::of(&message),
            Some(stand_in) => {
                let session = self.current.and_then(|key| self.sessions.get(&key));
                let is_kept = session.is_some_and(|s| matches!(s.translation, Translation::NewerHost(_)));
                if is_kept && stand_in.grow(&message) {
                    // What a session knows of its app is said once, when it opens.
                    self.renew_kept_session();
                }
            }
        }
        match continues(&message) {
            None | Some(Continues::Visited) => Some(message),
            Some(Continues::Declined) => {
                let said = "the page that has to be visited first was declined";
                self.answer_failure(&message, &Failure::Untranslatable(said.to_owned()));
                None
            }
            Some(Continues::Parked(state)) => {
                self.come_back(&message, &state);
                None
            }
        }
    }

    /// Whether a request of an app that knows no sessions belongs into one.
    pub(crate) fn is_for_a_session(&self, key: SessionKey, message: &Message) -> bool {
        if self.host.stand_in.is_none() || self.host.initialize.is_some() {
            return false;
        }
        self.sessions.get(&key).is_some_and(|session| match (&session.translation, session.phase) {
            (Translation::NewerHost(_), _) | (_, Phase::Opening | Phase::Confirming) => true,
            (Translation::None | Translation::OlderHost(_), _) => {
                // `server/discover` finds out whether it still is so.
                self.era == Some(Era::Handshake) && message.method() != "server/discover"
            }
        })
    }

    /// A server turned a stateless request away without looking at it.
    pub(crate) fn refused(&mut self, refused: Refused) {
        let Refused { call: key, request, said } = refused;
        let Some(call) = self.calls.get_mut(&key) else { return };
        let code = said.as_ref().ok().and_then(Message::error_code);
        match said {
            Ok(said)
                if code == Some(HEADER_MISMATCH) && request.method() == "tools/call" && !call.repeated =>
            {
                call.repeated = true;
                let meta = request.raw(Field::Meta).unwrap_or_else(|| Bytes::from_static(b"{}"));
                let Some(upstream) = self.sessions.get(&call.session).map(|s| s.upstream.clone()) else {
                    return;
                };
                let listing = Box::new(Listing { request, said, pages: Vec::new() });
                let task = tokio::spawn(own_requests::list_tools(upstream, key, listing, meta));
                call.task = Some(task.abort_handle());
            }
            _ if !matches!(code, Some(-32022..=-32020)) && self.may_have_sessions(key) => {
                self.keep_a_session(key, request);
            }
            Ok(said) => self.said_no(key, &said),
            Err(failure) => self.failed(key, failure, None),
        }
    }

    /// The final answer of a call that no other answer follows.
    pub(crate) fn said_no(&mut self, key: CallKey, said: &Message) {
        let Some(session) = self.calls.get(&key).map(|call| call.session) else { return };
        self.response(session, said);
        // It was not taken for the answer, and no other will come.
        self.fail(key, &Failure::StreamEnded);
    }

    /// Whether a server that turned a call of the app away may do better in a session.
    pub(crate) fn may_have_sessions(&self, key: CallKey) -> bool {
        let Some(call) = self.calls.get(&key) else { return false };
        let is_fresh = self
            .sessions
            .get(&call.session)
            .is_some_and(|session| matches!(session.translation, Translation::None) && !session.retired);
        let is_newer = self.host.initialize.is_none() && self.host.stand_in.is_some() && !call.is_handshake();
        is_fresh && is_newer && call.translated.is_none() && self.era != Some(Era::Stateless)
    }

    /// Opens a session for an app that knows none; the call waits for it.
    pub(crate) fn keep_a_session(&mut self, key: CallKey, request: Message) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.task = None;
        let session_key = call.session;
        let Some(session) = self.sessions.get_mut(&session_key) else { return };
        match session.phase {
            Phase::Opening | Phase::Confirming => session.queue.push((key, request)),
            Phase::Opened | Phase::Ready => self.send_or_queue(key, request),
            Phase::Fresh | Phase::Failed => {
                session.queue.push((key, request));
                self.open(session_key);
            }
        }
    }

    /// Sends a request of the app into the session that is kept for it.
    pub(crate) fn send_in_session(&mut self, key: CallKey, message: &Message) {
        let Some(call) = self.calls.get(&key) else { return };
        let (session_key, raw_id) = (call.session, call.raw_id.clone());
        if let Some(line) = newer_host::other_revision(message) {
            self.to_host.push(line);
            return self.forget(key);
        }
        match &*message.method() {
            "server/discover" => {
                let line = self.kept(session_key).map(|newer| newer.discovered(&raw_id));
                if let Some(found) = line.as_ref().and_then(era::message) {
                    self.discovered(session_key, &found);
                }
                self.to_host.extend(line);
                self.forget(key);
            }
            "subscriptions/listen" => self.listen_in_session(key, message),
            method @ ("tasks/get"
            | "tasks/update"
            | "tasks/cancel"
            | "ping"
            | "logging/setLevel"
            | "resources/subscribe"
            | "resources/unsubscribe") => {
                let failure = Failure::Untranslatable(format!(
                    "{method} cannot be passed on: it speaks MCP up to {}, which has nothing like it",
                    era::HANDSHAKE
                ));
                self.fail(key, &failure);
            }
            _ => {
                let call = InSession::new(message);
                self.set_level(session_key, call.level());
                let id = json_string(&format!("hallpass-{}", key.0));
                let Some(sent) = newer_host::in_session(message, &id) else {
                    let failure =
                        Failure::Unsendable("the request has no parameters to translate".to_owned());
                    return self.fail(key, &failure);
                };
                if let Some(held) = self.calls.get_mut(&key) {
                    held.translated = Some(Box::new(Translated::InSession(call)));
                }
                self.goes_out_as(key, &sent);
                self.send_as_it_is(key, sent);
            }
        }
    }

    /// What the server answers to a call in a session of ours.
    pub(crate) fn answered_in_session(&mut self, key: CallKey, said: &Message) {
        if self.ends_unheard(key, || Ended::Answered(said.clone())) {
            return;
        }
        let Some(call) = self.calls.get_mut(&key) else { return };
        let (raw_id, session, cancelled) = (call.raw_id.clone(), call.session, call.cancelled);
        let Some(method) = call.in_session().map(|call| call.method.clone()) else { return };
        let state = format!("{VISIT}{}", key.0);
        let visit = era::may_ask(&method).then(|| visit_first(said, &raw_id, &state)).flatten();
        if visit.is_some() {
            let person = self.sessions.get(&session).and_then(|s| s.person.as_ref());
            self.states.note(&json_string(&state), person);
        }
        let line = visit.or_else(|| self.kept(session).map(|newer| newer.answer(said, &method, &raw_id)));
        if let Some(shown) = line.as_ref().filter(|_| method == "tools/list").and_then(era::message) {
            self.listed_tools(key, &shown);
        }
        self.to_host.extend(line.filter(|_| !cancelled));
        self.forget(key);
        self.found(None);
    }

    /// A call that ends while its app is being asked something waits for the app; whether this is one.
    pub(crate) fn ends_unheard(&mut self, key: CallKey, ended: impl FnOnce() -> Ended) -> bool {
        match self.calls.get_mut(&key).filter(|call| call.is_parked()) {
            Some(call) => {
                call.ended.get_or_insert_with(|| Box::new(ended()));
                true
            }
            None => false,
        }
    }

    /// The server asks something. An app of 2026-07-28 is asked by the answer to a call of its own.
    pub(crate) fn asked_in_session(&mut self, session: SessionKey, call: Option<CallKey>, said: &Message) {
        let Some(raw_id) = said.raw(Field::Id) else { return };
        if said.method() == "ping" {
            return self.post_answer(session, result_response(&raw_id, &json!({})));
        }
        let can_ask = |call: &Call| match call.translated.as_deref() {
            Some(Translated::InSession(held)) => {
                call.session == session && !call.cancelled && era::may_ask(&held.method)
            }
            Some(Translated::Rounds(_)) | None => false,
        };
        let its_own = call.filter(|key| self.calls.get(key).is_some_and(can_ask));
        let newest = || self.calls.iter().rev().find(|(_, call)| can_ask(call)).map(|(key, _)| *key);
        let taken = its_own.or_else(newest).and_then(|key| {
            let held = self.calls.get_mut(&key)?.in_session()?;
            held.take(said).then_some(key)
        });
        if let Some(key) = taken {
            self.ask_by_answer(key);
        } else {
            let line = error_response(&raw_id, -32601, "this app cannot be asked that now", None);
            self.post_answer(session, line);
        }
    }

    /// Answers the app's call with the questions of the server, if it waits.
    fn ask_by_answer(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let (raw_id, id, session) = (call.raw_id.clone(), call.id.clone(), call.session);
        let Some(held) = call.in_session().filter(|held| held.parked.is_none()) else { return };
        let line = held.park(key.0, &raw_id);
        let state = held.parked.as_deref().map(json_string).unwrap_or_default();
        if self.by_id.get(&id) == Some(&key) {
            self.by_id.remove(&id);
        }
        let person = self.sessions.get(&session).and_then(|session| session.person.as_ref());
        self.states.note(&state, person);
        self.to_host.push(line);
        let parked: Vec<CallKey> =
            self.calls.iter().filter(|(_, call)| call.is_parked()).map(|(key, _)| *key).collect();
        if parked.len() > MAX_PARKED {
            self.give_up_parked(parked[0]);
        }
    }

    /// The app has not come back for the longest time: the server need not wait any more.
    fn give_up_parked(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let (session, sent) = (call.session, call.sent.clone());
        if let Some(task) = call.task.take() {
            task.abort();
        }
        if let Some(sent) = sent {
            self.post(session, cancellation(&sent));
        }
        self.forget(key);
    }

    /// The app comes back with what a call waits for.
    fn come_back(&mut self, again: &Message, state: &str) {
        let waits = |call: &Call| match call.translated.as_deref() {
            Some(Translated::InSession(held)) => held.parked.as_deref() == Some(state),
            Some(Translated::Rounds(_)) | None => false,
        };
        let found = self.calls.iter_mut().find(|(_, call)| waits(call)).map(|(key, call)| (*key, call));
        let (Some((key, call)), Some(id), Some(raw_id)) = (found, again.id().cloned(), again.raw(Field::Id))
        else {
            return self.answer_failure(again, &Failure::Forgotten);
        };
        call.id.clone_from(&id);
        call.raw_id = raw_id;
        let (session, ended) = (call.session, call.ended.take());
        let Some(held) = call.in_session() else { return };
        let answers = held.returned(again);
        let unanswered = !held.questions.is_empty();
        self.by_id.insert(id, key);
        for (question, answer) in answers {
            self.post_answer(session, era::response(&question, "result", &answer));
        }
        match ended.map(|ended| *ended) {
            Some(Ended::Answered(said)) => self.answered_in_session(key, &said),
            Some(Ended::Failed(failure)) => self.fail(key, &failure),
            None if unanswered => self.ask_by_answer(key),
            None => {}
        }
    }

    /// What the server tells an app that has opened streams for it. The lines for the app.
    pub(crate) fn told_in_session(
        &mut self,
        session: SessionKey,
        call: Option<CallKey>,
        said: &Message,
    ) -> Vec<Bytes> {
        match &*said.method() {
            "notifications/cancelled" => {
                let asked = said.raw(Field::RequestId);
                for call in self.calls.values_mut().filter(|call| call.session == session) {
                    if let Some(held) = call.in_session() {
                        held.questions.retain(|question| Some(&question.id) != asked.as_ref());
                    }
                }
                Vec::new()
            }
            // Nothing of 2026-07-28 is like these.
            "notifications/elicitation/complete" | "notifications/tasks/status" => Vec::new(),
            "notifications/message" => {
                let is_heard = |call: &Call| match call.translated.as_deref() {
                    Some(Translated::InSession(held)) => {
                        call.session == session && held.parked.is_none() && held.hears(said)
                    }
                    Some(Translated::Rounds(_)) | None => false,
                };
                let own = call.and_then(|key| self.calls.get(&key));
                let heard = own.map_or_else(|| self.calls.values().any(is_heard), is_heard);
                if heard { vec![said.bytes().clone()] } else { Vec::new() }
            }
            "notifications/progress" => {
                let token = said.id_in(Field::ProgressToken);
                let is_its = |call: &Call| {
                    call.session == session && call.progress_token == token && !call.is_parked()
                };
                let known = token.is_some() && self.calls.values().any(is_its);
                if known { vec![said.bytes().clone()] } else { Vec::new() }
            }
            _ if self.current != Some(session) => Vec::new(),
            method if method.ends_with("/list_changed") || method == "notifications/resources/updated" => {
                let streams = self.calls.values().filter(|call| call.session == session);
                let listens = streams.filter_map(|call| match &call.kind {
                    CallKind::Listen { message, .. } => Some(message),
                    CallKind::Handshake
                    | CallKind::Stateless
                    | CallKind::Discover
                    | CallKind::Tools { .. } => None,
                });
                let interested = listens.filter(|listen| Filter::of(listen).wants(said));
                interested.map(|listen| newer_host::told(said, listen)).collect()
            }
            _ => vec![said.bytes().clone()],
        }
    }

    /// Opens a stream of changes: the session's own stream feeds it.
    fn listen_in_session(&mut self, key: CallKey, listen: &Message) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let session_key = call.session;
        let CallKind::Listen { reopened, .. } = &mut call.kind else { return };
        let again = std::mem::take(reopened);
        let Some(newer) = self.kept(session_key) else { return };
        let lines = if again { newer_host::all_changed(listen) } else { vec![newer.acknowledgement(listen)] };
        self.to_host.extend(lines);
        self.watch_resources(session_key);
    }

    /// Subscribes to what the app's streams want to hear of, and to nothing else.
    pub(crate) fn watch_resources(&mut self, session_key: SessionKey) {
        let streams = self.calls.values().filter(|call| call.session == session_key);
        let wanted: std::collections::BTreeSet<Bytes> = streams
            .filter_map(|call| match &call.kind {
                CallKind::Listen { message, .. } => Some(Filter::of(message).resources),
                CallKind::Handshake | CallKind::Stateless | CallKind::Discover | CallKind::Tools { .. } => {
                    None
                }
            })
            .flatten()
            .collect();
        let Some(newer) = self.kept(session_key).filter(|newer| newer.offers_subscriptions()) else { return };
        let before = std::mem::replace(&mut newer.subscribed, wanted.clone());
        let begins = wanted.difference(&before).map(|uri| ("resources/subscribe", uri));
        let ends = before.difference(&wanted).map(|uri| ("resources/unsubscribe", uri));
        for (method, uri) in begins.chain(ends) {
            let mut params = crate::object::Object::default();
            params.set("uri", uri.clone());
            let id = json_string(&format!("hallpass-{}", self.key()));
            self.post(session_key, era::request(&id, method, Some(&params)));
        }
    }

    /// Tells the session which logs a call wants, if that is news.
    fn set_level(&mut self, session_key: SessionKey, level: Option<Bytes>) {
        let Some(level) = level else { return };
        let id = json_string(&format!("hallpass-{}", self.key()));
        let Some(newer) = self.kept(session_key).filter(|newer| newer.offers_logging()) else { return };
        if newer.level.as_ref() == Some(&level) {
            return;
        }
        newer.level = Some(level.clone());
        let mut params = crate::object::Object::default();
        params.set("level", level);
        self.post(session_key, era::request(&id, "logging/setLevel", Some(&params)));
    }

    /// Another session for the same person; the streams of changes move on to it.
    pub(crate) fn renew_kept_session(&mut self) {
        let streams = self.take_streams();
        self.renew_session();
        self.reopen_streams(streams);
    }

    /// What is kept for the app in a session of ours.
    fn kept(&mut self, key: SessionKey) -> Option<&mut NewerHost> {
        match &mut self.sessions.get_mut(&key)?.translation {
            Translation::NewerHost(newer) => Some(newer),
            Translation::OlderHost(_) | Translation::None => None,
        }
    }
}

/// Takes a request of ours back (2025-11-25, Cancellation).
pub(crate) fn cancellation(sent: &Id) -> Bytes {
    let mut params = crate::object::Object::default();
    params.set("requestId", sent.json().clone());
    era::notification("notifications/cancelled", Some(&params))
}
