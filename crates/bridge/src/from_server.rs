//! What comes from the server, by way of the tasks: what of it may reach the host.

use bytes::Bytes;
use model::Era;
use token_lease::{Closed, ClosedCode};

use crate::authorization::{Credential, Reply};
use crate::closed::no_such_method;
use crate::era::{self, Translation};
use crate::error::Failure;
use crate::exchange::{CallKey, Event, Listing, SessionKey};
use crate::field::Field;
use crate::lifecycle::Bridge;
use crate::message::{Kind, Message};
use crate::session::{CallKind, Translated};

impl Bridge {
    /// Takes what a task reports.
    pub(crate) fn event(&mut self, event: Event) {
        match event {
            Event::Message { session, call, message, last } => {
                self.server_message(session, call, &message);
                if let Some(call) = call.filter(|call| last && self.still_waits(*call, &message)) {
                    // It was not taken for the answer, and no other will come.
                    self.failed(call, Failure::StreamEnded, None);
                }
            }
            Event::Failed { call, failure, unsent } => self.failed(call, failure, unsent),
            Event::Refused(refused) => self.refused(*refused),
            Event::Listed { call, listing } => {
                let Listing { request, said, pages } = *listing;
                self.listed(call, request, &said, &pages);
            }
            Event::Again { call } => self.next_round(call),
            Event::StreamLost { session } => self.stream_lost(session),
            Event::Unauthorized { session, generation, reply } => {
                self.unauthorized(session, generation, reply);
            }
            Event::TooNarrow { session, challenges, reply } => {
                match self.sessions.get(&session).and_then(|session| session.lease) {
                    Some(lease) => self.leases.too_narrow(lease, challenges, reply, &mut self.to_agent),
                    // Nobody's rights: it is a matter between the app and an open server.
                    None => drop(reply.send(Failure::TooNarrow)),
                }
            }
            Event::Credential { session, reply } => self.ask_credential(session, reply),
            Event::Opened { session, outcome } => self.opened(session, outcome),
            Event::Confirmed { session } => self.confirmed(session),
            Event::Listening { session } => self.ready(session),
        }
    }

    fn server_message(&mut self, session: SessionKey, call: Option<CallKey>, message: &Message) {
        // A session that is over has nothing to say any more.
        if !self.sessions.contains_key(&session) {
            return;
        }
        match message.kind() {
            Kind::Response => self.response(session, message),
            Kind::Request => self.server_request(session, call, message),
            Kind::Notification => self.notification(session, call, message),
        }
    }

    /// Each answer passes once, and only from the session that its call went to.
    pub(crate) fn response(&mut self, session: SessionKey, message: &Message) {
        let key = message.id().and_then(|id| self.call_of(id));
        let Some((key, call)) = key.and_then(|key| Some((key, self.calls.get(&key)?))) else {
            tracing::debug!("an answer to nothing that is under way");
            return;
        };
        if call.session != session {
            return;
        }
        match call.translated.as_deref() {
            None => {}
            Some(Translated::Rounds(_)) => return self.answered_without_session(key, message),
            Some(Translated::InSession(_)) => return self.answered_in_session(key, message),
        }
        let is_list_of_tools = matches!(call.kind, CallKind::Tools { .. });
        let mirrors_arguments = is_list_of_tools && !call.is_handshake();
        let (cancelled, raw_id) = (call.cancelled, call.raw_id.clone());
        let discover = matches!(call.kind, CallKind::Discover);
        if !call.is_handshake() {
            let modern = message.has(Field::ResultType)
                || message.has(Field::ResultSupported)
                || matches!(message.error_code(), Some(-32022..=-32020));
            if modern {
                self.learned(Era::Stateless);
            }
            if let Some(state) = message.raw(Field::ResultRequestState) {
                let person = self.sessions.get(&session).and_then(|s| s.person.as_ref());
                self.states.note(&state, person);
            }
        }
        // Some servers of the handshake era answer anything with an empty result.
        let nonsense = discover && message.has(Field::Result) && !message.has(Field::ResultSupported);
        let is_modern_error = matches!(message.error_code(), Some(-32022..=-32020));
        if discover && !message.has(Field::ResultSupported) && !is_modern_error && self.may_have_sessions(key)
        {
            let again = era::request(&raw_id, "server/discover", None);
            if let Some(again) = era::message(&again) {
                return self.keep_a_session(key, again);
            }
        }
        let shown = self.sessions.get_mut(&session).filter(|_| mirrors_arguments);
        let shown = shown.and_then(|session| session.mirrors.learn(message));
        if is_list_of_tools {
            let shown = shown.as_ref().and_then(era::message);
            self.listed_tools(key, shown.as_ref().unwrap_or(message));
        } else if discover {
            self.discovered(session, message);
        }
        if !cancelled {
            let line = shown.unwrap_or_else(|| message.bytes().clone());
            self.to_host.push(if nonsense { no_such_method(&raw_id) } else { line });
        }
        self.forget(key);
        self.found(None);
    }

    /// Whether a call is still waiting for the answer that has come: nothing was made of it.
    fn still_waits(&self, key: CallKey, answer: &Message) -> bool {
        let is_its = answer.id().and_then(|id| self.call_of(id)) == Some(key);
        is_its && self.calls.get(&key).is_some_and(|call| call.task.is_some() && !call.is_between_rounds())
    }

    fn server_request(&mut self, session: SessionKey, call: Option<CallKey>, message: &Message) {
        if self.is_retired(session) && !self.is_in_flight(session, call) {
            return;
        }
        match self.sessions.get(&session).map(|session| &session.translation) {
            Some(Translation::NewerHost(_)) => return self.asked_in_session(session, call, message),
            // A server without sessions has no questions of its own.
            Some(Translation::OlderHost(_)) | None => return,
            Some(Translation::None) => {}
        }
        let several = self.sessions.len() > 1;
        self.to_host.extend(self.asked.ask(session, several, message));
    }

    fn notification(&mut self, session: SessionKey, call: Option<CallKey>, message: &Message) {
        let translated = match self.sessions.get(&session).map(|session| &session.translation) {
            Some(Translation::NewerHost(_)) => {
                let lines = self.told_in_session(session, call, message);
                self.to_host.extend(lines);
                return;
            }
            Some(Translation::OlderHost(_)) => {
                let Some(line) = self.told_without_session(session, message) else { return };
                Some(line)
            }
            Some(Translation::None) | None => None,
        };
        let line = || translated.unwrap_or_else(|| message.bytes().clone());
        let method = message.method();
        let line = match &*method {
            "notifications/cancelled" => {
                self.to_host.extend(self.asked.cancel(session, message));
                return;
            }
            "notifications/subscriptions/acknowledged" if self.is_reopened(call) => {
                let lines =
                    call.and_then(|call| self.calls.get(&call)).map(|c| changes_of(message, &c.raw_id));
                self.to_host.extend(lines.unwrap_or_default());
                return;
            }
            "notifications/progress" if self.is_retired(session) => {
                let token = message.id_in(Field::ProgressToken);
                let mut calls = self.calls.values().filter(|c| c.session == session);
                calls.any(|c| token.is_some() && c.progress_token == token).then(line)
            }
            _ => (!self.is_retired(session)).then(line),
        };
        self.to_host.extend(line);
    }

    fn is_retired(&self, session: SessionKey) -> bool {
        self.current != Some(session)
    }

    fn is_in_flight(&self, session: SessionKey, call: Option<CallKey>) -> bool {
        match call {
            Some(call) => self.calls.get(&call).is_some_and(|call| call.session == session),
            // On the one stream of 2024-11-05 nothing says which call a question belongs to.
            None => self
                .sessions
                .get(&session)
                .is_some_and(|session| session.upstream.has_one_stream() && session.in_flight > 0),
        }
    }

    fn is_reopened(&self, call: Option<CallKey>) -> bool {
        call.and_then(|call| self.calls.get(&call))
            .is_some_and(|call| matches!(call.kind, CallKind::Listen { reopened: true, .. }))
    }

    /// Nothing happens where the call has its answer already.
    pub(crate) fn failed(&mut self, key: CallKey, failure: Failure, unsent: Option<Message>) {
        let Some(call) = self.calls.get(&key) else { return };
        match (failure, unsent) {
            (Failure::SessionLost, Some(message)) => self.session_lost(key, message),
            (Failure::Status { status, .. }, _)
                if status.is_client_error() && matches!(call.kind, CallKind::Discover) =>
            {
                let line = no_such_method(&call.raw_id);
                if !call.cancelled {
                    self.to_host.push(line);
                }
                self.forget(key);
            }
            (failure, _) => self.fail(key, &failure),
        }
    }

    /// The one stream that answers come on has ended: what waits for one gets none, and nothing is sent twice.
    fn stream_lost(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        session.lost = true;
        if self.current == Some(key) {
            self.renew_kept_session();
            if let Some(new) = self.current {
                self.open_if_fresh(new);
            }
        }
        let calls = self.calls.iter().filter(|(_, call)| call.session == key && call.task.is_some());
        for call in calls.map(|(key, _)| *key).collect::<Vec<_>>() {
            self.fail(call, &Failure::StreamEnded);
        }
    }

    /// The server forgot the session and did not look at the request: it is sent once more, in a new one.
    fn session_lost(&mut self, key: CallKey, message: Message) {
        let Some(lost) = self.calls.get(&key).map(|call| call.session) else { return };
        if self.current == Some(lost) && (self.host.initialize.is_some() || self.host.stand_in.is_some()) {
            if let Some(session) = self.sessions.get_mut(&lost) {
                session.lost = true;
            }
            self.renew_kept_session();
            if let Some(new) = self.current {
                self.open_if_fresh(new);
            }
        }
        let lease = |key| self.sessions.get(&key).map(|s| s.lease);
        let same_person = self.current.filter(|new| *new != lost && lease(*new) == lease(lost));
        let Some((call, new)) = self.calls.get_mut(&key).zip(same_person).filter(|(call, _)| !call.repeated)
        else {
            self.fail(key, &Failure::SessionLost);
            return;
        };
        call.repeated = true;
        call.session = new;
        for (session, change) in [(lost, -1isize), (new, 1)] {
            if let Some(session) = self.sessions.get_mut(&session) {
                session.in_flight = session.in_flight.saturating_add_signed(change);
            }
        }
        self.send_or_queue(key, message);
        self.close_if_done(lost);
    }

    fn unauthorized(&mut self, key: SessionKey, generation: Option<u64>, reply: Reply) {
        let lease = self.sessions.get(&key).map(|session| session.lease);
        match (lease, generation) {
            (Some(Some(lease)), Some(generation)) => {
                self.leases.rejected(lease, generation, (self.clock)(), reply, &mut self.to_agent);
            }
            (Some(None), _) => {
                let closed = Closed {
                    code: ClosedCode::SignInNeeded,
                    message: format!("the server {} now asks for a sign-in", self.voice.label),
                    hint: format!("run `hallpass login {}`", self.voice.server),
                    person: None,
                };
                if self.current == Some(key) {
                    self.retire_current();
                    self.close(closed.clone());
                }
                let _ = reply.send(Err(Failure::Closed(closed)));
            }
            (Some(Some(_)), None) | (None, _) => {
                let _ = reply.send(Err(Failure::Void));
            }
        }
    }

    fn ask_credential(&mut self, key: SessionKey, reply: Reply) {
        match self.credential(key) {
            Ok(Credential::Nobody) => drop(reply.send(Ok(None))),
            Ok(Credential::Have(bearer)) => drop(reply.send(Ok(Some(bearer)))),
            Ok(Credential::Wait(wait)) => {
                tokio::spawn(async move {
                    let _ = reply.send(wait.await.unwrap_or(Err(Failure::Void)));
                });
            }
            Err(failure) => drop(reply.send(Err(failure))),
        }
    }
}

/// A stream that was reopened as another person: everything that it watches has changed.
fn changes_of(acknowledged: &Message, id: &Bytes) -> Vec<Bytes> {
    let honored: serde_json::Map<String, serde_json::Value> = acknowledged
        .raw(Field::Notifications)
        .and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default();
    let id = String::from_utf8_lossy(id);
    [("toolsListChanged", "tools"), ("resourcesListChanged", "resources"), ("promptsListChanged", "prompts")]
        .into_iter()
        .filter(|(flag, _)| honored.get(*flag) == Some(&serde_json::Value::Bool(true)))
        .map(|(_, name)| {
            format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/{name}/list_changed","params":{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}}}}}}"#
            )
            .into()
        })
        .collect()
}
