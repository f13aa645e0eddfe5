//! What comes from the host: lines become messages, and each goes to the session that it belongs to.

use bytes::Bytes;

use crate::era::Translation;
use crate::error::error_response;
use crate::field::Field;
use crate::host::Answered;
use crate::lifecycle::{Bridge, Position};
use crate::message::{Invalid, Kind, Message, Parsed, id_of_start, parse, parse_seen};
use crate::stdio::Line;
use crate::translate_newer::cancellation;

impl Bridge {
    /// Takes one line. Whatever it is, the next one is taken as well.
    pub(crate) fn line_from_host(&mut self, line: Line) {
        let parsed = match line {
            Line::Whole(line) => parse(&line),
            Line::Large(line, plain) => parse_seen(&line, &plain),
            Line::TooLong(start) => {
                let id = id_of_start(&start);
                self.complain(id, -32600, "the message is larger than 16 MiB. Send less at once");
                return;
            }
        };
        match parsed {
            Ok(Parsed::One(message)) => self.host_message(message),
            Ok(Parsed::Batch(messages)) if self.host.batches => {
                for message in messages {
                    match message {
                        Ok(message) => self.host_message(message),
                        Err(invalid) => self.refuse_line(invalid),
                    }
                }
            }
            Ok(Parsed::Batch(_)) => {
                self.complain(
                    None,
                    -32600,
                    "batches are part of MCP 2025-03-26 only. Send one message a line",
                );
            }
            Err(invalid) => self.refuse_line(invalid),
        }
    }

    fn refuse_line(&mut self, invalid: Invalid) {
        let text = format!("the message was not sent on: {}", invalid.reason);
        self.complain(invalid.id, invalid.reason.code(), &text);
    }

    /// An id that is under way stays the one of its own request.
    fn complain(&mut self, id: Option<Bytes>, code: i32, text: &str) {
        let id = id.filter(|raw| !self.by_id.contains_key(&crate::message::Id::of(raw)));
        self.to_host.push(error_response(id.as_deref().unwrap_or(b"null"), code, text, None));
    }

    fn host_message(&mut self, message: Message) {
        let method = message.method();
        match (message.kind(), &*method) {
            (Kind::Request, _) if message.id().is_some_and(|id| self.by_id.contains_key(id)) => {
                self.complain(None, -32600, "a request with this id is still under way. Use each id once");
            }
            (Kind::Request, "initialize") => self.initialize(message),
            (Kind::Request, _) => self.request(message),
            (Kind::Notification, "notifications/initialized") => self.initialized(message),
            (Kind::Notification, "notifications/cancelled") => self.cancelled(&message),
            (Kind::Notification, "notifications/progress") => {
                let token = message.id_in(Field::ProgressToken);
                let owner = token.and_then(|token| self.asked.owner_of_token(&token));
                self.pass_on(owner, &message);
            }
            (Kind::Notification, _) => self.pass_on(None, &message),
            (Kind::Response, _) => match self.asked.answer(&message) {
                Some(Answered::Session(session, line)) => self.post_answer(session, line),
                Some(Answered::Round(call, key)) => self.round_answered(call, &key, &message),
                None => {}
            },
        }
    }

    /// To the session that owns it, else to the one of now.
    fn pass_on(&mut self, owner: Option<crate::exchange::SessionKey>, message: &Message) {
        let current = match self.position {
            Position::Person(_) | Position::Open => self.current,
            Position::Unknown | Position::Refused(_) | Position::Closed(_) => None,
        };
        let Some(key) = owner.or(current) else { return };
        match self.sessions.get(&key).map(|session| &session.translation) {
            // No notification of an app has a place in 2026-07-28.
            Some(Translation::OlderHost(_)) | None => {}
            Some(Translation::NewerHost(_) | Translation::None) => self.post(key, message.bytes().clone()),
        }
    }

    /// Stateless: the answer's stream is closed, nothing is sent. Handshake: the session that owns the call is told.
    fn cancelled(&mut self, message: &Message) {
        let Some(id) = message.id_in(Field::RequestId) else { return };
        if self.unhold(&id) {
            return;
        }
        let Some(key) = self.by_id.get(&id).copied() else { return };
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.cancelled = true;
        let (session, in_session, is_sent) = (call.session, call.is_in_session(), call.task.is_some());
        if in_session && is_sent {
            let body = call.sent.as_ref().map_or_else(|| message.bytes().clone(), cancellation);
            self.post(session, body);
            return;
        }
        if let Some(task) = call.task.take() {
            task.abort();
        }
        self.forget(key);
        self.watch_resources(session);
    }
}
