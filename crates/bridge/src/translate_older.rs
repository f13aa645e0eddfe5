//! The bridge between an app of the handshake era and a server of 2026-07-28: which requests go out in other words, and
//! what their answers become. The words themselves are in [`crate::older_host`].

use std::time::Duration;

use bytes::Bytes;
use model::Era;
use serde_json::json;

use crate::era::Translation;
use crate::error::{Failure, result_response, tamed};
use crate::exchange::{CallKey, Event, SessionKey};
use crate::field::Field;
use crate::lifecycle::Bridge;
use crate::message::{Id, Message};
use crate::older_host::{self, OlderHost, Plan, Rounds};
use crate::own_requests;
use crate::session::{Call, Phase, Translated};

/// The pause before a call is sent again whose server asks for nothing but patience.
const NEXT_ROUND: Duration = Duration::from_secs(1);

impl Bridge {
    /// The server knows no handshake: the app's is answered by what the server offers.
    pub(crate) fn opened_without_session(&mut self, key: SessionKey, discovered: &Message) {
        let Some(initialize) = self.host.initialize.clone() else { return };
        let older = OlderHost::new(&initialize, discovered);
        let answer = older_host::initialized(&initialize, discovered, &self.server_info());
        let waits = self.current == Some(key) && !self.host.answered;
        let as_begun = answer.as_ref().is_some_and(|answer| self.is_as_begun(key, answer));
        let Some(session) = self.sessions.get_mut(&key) else { return };
        session.translation = Translation::OlderHost(Box::new(older));
        self.host.found_no_handshake = true;
        if let (true, Some(answer)) = (waits, answer) {
            session.phase = Phase::Opened;
            self.host.capabilities = answer.raw(Field::ResultCapabilities);
            self.host.batches = answer.text(Field::ResultVersion).is_some_and(|v| v == "2025-03-26");
            self.answer_initialize(&answer);
            self.flush(key);
        } else {
            session.replaces = !as_begun;
            self.ready(key);
        }
        self.found(None);
        self.learned(Era::Stateless);
    }

    /// Sends a request of the app, or answers it where there is nothing to ask.
    pub(crate) fn send_without_session(&mut self, key: CallKey, message: &Message) {
        let level = self.host.level();
        let Some(session_key) = self.calls.get(&key).map(|call| call.session) else { return };
        let Some(Translation::OlderHost(older)) = self.sessions.get(&session_key).map(|s| &s.translation)
        else {
            return;
        };
        match older.plan(message, level.as_ref()) {
            Plan::Answer => self.answer_empty(key),
            Plan::Watch => {
                self.answer_empty(key);
                if self.sessions.get(&session_key).is_some_and(|session| session.phase == Phase::Ready) {
                    self.listen_without_session(session_key);
                }
            }
            Plan::Refuse(failure) => self.fail(key, &failure),
            Plan::Send(params) => {
                let rounds = Rounds::new(message.method().into_owned(), params);
                if let Some(call) = self.calls.get_mut(&key) {
                    call.translated = Some(Box::new(Translated::Rounds(rounds)));
                }
                self.next_round(key);
            }
        }
    }

    /// Sends a call, or sends it once more with what the server wanted to know.
    pub(crate) fn next_round(&mut self, key: CallKey) {
        let next = self.calls.get_mut(&key).and_then(rounds).map(|rounds| rounds.next(key.0));
        match next {
            None => {}
            Some(None) => self.fail(key, &Failure::Unsendable("the request is nested too deeply".to_owned())),
            Some(Some(message)) => {
                self.goes_out_as(key, &message);
                self.send_as_it_is(key, message);
            }
        }
    }

    /// Notes the id of ours under which a call is known to the server.
    pub(crate) fn goes_out_as(&mut self, key: CallKey, message: &Message) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        if let Some(before) = std::mem::replace(&mut call.sent, message.id().cloned()) {
            self.by_sent.remove(&before);
        }
        if let Some(sent) = &call.sent {
            self.by_sent.insert(sent.clone(), key);
        }
    }

    /// What the server answers to a call that went out in other words.
    pub(crate) fn answered_without_session(&mut self, key: CallKey, said: &Message) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let (raw_id, session) = (call.raw_id.clone(), call.session);
        let Some(rounds) = rounds(call) else { return };
        let kind = said.text(Field::ResultType).unwrap_or_default();
        match &*kind {
            // Left out by servers that have learned it halfway.
            "" | "complete" => {
                let shown = self.sessions.get_mut(&session).filter(|_| rounds.method == "tools/list");
                let shown = shown.and_then(|session| session.mirrors.learn(said));
                let shown = shown.as_ref().and_then(crate::era::message);
                let said = shown.as_ref().unwrap_or(said);
                let line = older_host::answer(said, &rounds.method, &raw_id);
                self.listed_tools(key, said);
                self.to_host.push(line);
                self.forget(key);
                self.found(None);
            }
            "input_required" => self.ask_host(key, said),
            other => {
                let failure = Failure::Untranslatable(format!(
                    "it answered with a result of the kind {}, which this app does not know",
                    tamed(other)
                ));
                self.fail(key, &failure);
            }
        }
    }

    /// The server wants to know something before it answers: its questions become requests to the app.
    fn ask_host(&mut self, key: CallKey, said: &Message) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let session = call.session;
        let Some(rounds) = rounds(call) else { return };
        let questions = rounds.asked(said);
        if rounds.is_endless() || (questions.is_empty() && !rounds.has_state()) {
            return self.fail(key, &Failure::Garbage("it asks for input without end".to_owned()));
        }
        if questions.is_empty() {
            let events = self.events.clone();
            let task = tokio::spawn(async move {
                tokio::time::sleep(NEXT_ROUND).await;
                let _ended = events.send(Event::Again { call: key }).await;
            });
            call.task = Some(task.abort_handle());
            return;
        }
        let mut lines = Vec::with_capacity(questions.len());
        for (name, asked) in &questions {
            let id = self.asked.ask_round(session, key, name);
            let line = match self.sessions.get(&session).map(|s| &s.translation) {
                Some(Translation::OlderHost(older)) => older.question(&id, asked),
                Some(Translation::NewerHost(_) | Translation::None) | None => None,
            };
            let Some(line) = line else {
                self.asked.forget_round(key);
                let method = asked.text("method").unwrap_or_default();
                let failure = Failure::Untranslatable(format!(
                    "it asks for {}, which this app does not offer",
                    tamed(&method)
                ));
                return self.fail(key, &failure);
            };
            lines.push(line);
        }
        self.to_host.extend(lines);
    }

    /// The app answers one of the questions.
    pub(crate) fn round_answered(&mut self, key: CallKey, name: &str, said: &Message) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Some(rounds) = rounds(call) else { return };
        if let Some(result) = said.raw(Field::Result) {
            if rounds.answered(name, result) {
                self.next_round(key);
            }
            return;
        }
        let why = tamed(&said.text(Field::ErrorMessage).unwrap_or_default());
        let why = format!("it wanted to know something first, and the app said: {why}");
        self.fail(key, &Failure::Untranslatable(why));
    }

    /// Opens the stream of changes, or opens it anew where the app watches other resources now.
    pub(crate) fn listen_without_session(&mut self, key: SessionKey) {
        let id = format!("hallpass-listen-{}", self.key());
        let Some(session) = self.sessions.get_mut(&key).filter(|session| !session.retired) else { return };
        let Translation::OlderHost(older) = &mut session.translation else { return };
        let request = older.listen(&id, self.host.subscribed());
        older.has_listened = false;
        older.stream = request.as_ref().and_then(|request| request.raw(Field::Id));
        // The one of before goes on until the new one is open, so that nothing is missed.
        if let Some(before) = std::mem::replace(&mut older.replaced, session.stream.take()) {
            before.abort();
        }
        match request {
            Some(request) => {
                let task = tokio::spawn(own_requests::listen(session.upstream.clone(), request));
                session.stream = Some(task.abort_handle());
            }
            None => session.stop_stream(),
        }
    }

    /// What the server tells an app that knows no streams of changes. `None`: nothing.
    pub(crate) fn told_without_session(&mut self, session: SessionKey, said: &Message) -> Option<Bytes> {
        if said.method() != "notifications/subscriptions/acknowledged" {
            let of_stream = memchr::memmem::find(said.bytes(), crate::era::SUBSCRIPTION.as_bytes()).is_some();
            return Some(if of_stream { older_host::untagged(said) } else { said.bytes().clone() });
        }
        let is_current = self.current == Some(session);
        let Some(Translation::OlderHost(older)) = self.sessions.get_mut(&session).map(|s| &mut s.translation)
        else {
            return None;
        };
        if older_host::stream_of(said) != older.stream {
            return None;
        }
        if let Some(before) = older.replaced.take() {
            before.abort();
        }
        if std::mem::replace(&mut older.has_listened, true) && is_current {
            // It was away for a while, and whatever happened then was not told.
            let lines = self.host.lists_changed();
            self.to_host.extend(lines);
        }
        None
    }

    fn answer_empty(&mut self, key: CallKey) {
        if let Some(call) = self.calls.get(&key) {
            self.to_host.push(result_response(&call.raw_id, &json!({})));
        }
        self.forget(key);
    }

    /// The tools were listed anew: the call goes out once more, with the headers that they want now.
    pub(crate) fn listed(&mut self, key: CallKey, request: Message, said: &Message, pages: &[Message]) {
        let Some(call) = self.calls.get(&key) else { return };
        let (session, translated) = (call.session, call.translated.is_some());
        if let Some(session) = self.sessions.get_mut(&session) {
            for page in pages {
                let _shown = session.mirrors.learn(page);
            }
        }
        if pages.is_empty() {
            return self.said_no(key, said);
        }
        let again = if translated { request.renamed(&format!("hallpass-{}-again", key.0)) } else { request };
        if translated {
            self.goes_out_as(key, &again);
        }
        self.send_as_it_is(key, again);
    }

    /// The id of a call by that of its answer.
    pub(crate) fn call_of(&self, id: &Id) -> Option<CallKey> {
        if let Some(key) = (!self.by_sent.is_empty()).then(|| self.by_sent.get(id)).flatten() {
            return Some(*key);
        }
        let key = *self.by_id.get(id)?;
        self.calls.get(&key).is_some_and(|call| call.sent.is_none()).then_some(key)
    }
}

fn rounds(call: &mut Call) -> Option<&mut Rounds> {
    match call.translated.as_deref_mut() {
        Some(Translated::Rounds(rounds)) => Some(rounds),
        Some(Translated::InSession(_)) | None => None,
    }
}
