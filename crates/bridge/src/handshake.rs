//! The handshake era: `initialize`, `notifications/initialized`, and both again for every new session.

use bytes::Bytes;
use model::Era;

use crate::era::Translation;
use crate::error::{Failure, tamed};
use crate::exchange::{Opened, SessionKey};
use crate::field::Field;
use crate::lifecycle::{Bridge, Position};
use crate::message::Message;
use crate::newer_host::NewerHost;
use crate::older_host;
use crate::opening::{self, Greeting};
use crate::session::Phase;
use crate::upstream::Established;

const INITIALIZED: &[u8] = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

impl Bridge {
    /// `initialize` from the host. It is answered within seconds, whatever happens.
    pub(crate) fn initialize(&mut self, message: Message) {
        if let Position::Refused(closed) = &self.position {
            let failure = Failure::Closed(closed.clone());
            self.answer_failure(&message, &failure);
            return;
        }
        self.await_initialize(message);
        match &self.position {
            // Answered when the agent has said as whom, or by the deadline.
            Position::Unknown | Position::Refused(_) => {}
            Position::Closed(_) => self.answer_initialize_ourselves(),
            Position::Person(_) | Position::Open => {
                let fresh = self.current_session().is_some_and(|s| s.phase == Phase::Fresh);
                if !fresh {
                    // A host that starts over gets a session of its own.
                    self.renew_session();
                }
                if let Some(key) = self.current {
                    self.open(key);
                }
                // Who starts over wants to hear the truth.
                if fresh {
                    self.begin_from_memory();
                }
            }
        }
    }

    /// `notifications/initialized` from the host.
    pub(crate) fn initialized(&mut self, message: Message) {
        self.host.initialized = Some(message);
        if let Some(key) = self.current
            && let Some(session) = self.sessions.get(&key).filter(|session| session.phase == Phase::Opened)
        {
            match session.translation {
                // There is no session that could be told.
                Translation::OlderHost(_) => self.ready(key),
                Translation::NewerHost(_) | Translation::None => self.confirm(key),
            }
        }
    }

    /// How the conversation with the server begins, in the name of the app.
    pub(crate) fn greeting(&self, key: SessionKey) -> Option<Greeting> {
        let id = format!("hallpass-{}", key.0);
        if let Some(initialize) = self.host.initialize.clone() {
            // The first one passes as it is; a repetition must not use up an id of the host.
            let initialize = if self.host.answered { initialize.renamed(&id) } else { initialize };
            let discover = older_host::discover(&initialize, &id);
            return Some(Greeting { initialize, discover, discovers_first: self.has_no_handshake(key) });
        }
        let initialize = self.host.stand_in.as_ref()?.initialize(&id)?;
        Some(Greeting { initialize, discover: None, discovers_first: false })
    }

    /// The server's answer to `initialize`.
    pub(crate) fn opened(&mut self, key: SessionKey, outcome: Result<Opened, Failure>) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        session.opening = None;
        let waits = self.current == Some(key) && !self.host.answered;
        let (message, session_id, stream) = match outcome {
            Ok(Opened::Stateless { discovered }) => return self.opened_without_session(key, &discovered),
            Ok(Opened::Session { message, session_id, stream }) if message.has(Field::Result) => {
                (message, session_id, stream)
            }
            Ok(Opened::Session { message: refused, .. }) => {
                if waits && self.host.initialize.is_some() {
                    self.answer_initialize(&refused);
                    self.host.initialize = None;
                }
                let said = refused.text(Field::ErrorMessage).unwrap_or_default();
                let failure = Failure::Garbage(format!("it refused the handshake: {}", tamed(&said)));
                self.not_opened(key, &failure);
                return;
            }
            Err(failure) => {
                if failure == Failure::ModernOnly {
                    self.learned(Era::Stateless);
                }
                if let Some(trouble) = failure.of_server() {
                    self.found(Some(trouble));
                }
                self.not_opened(key, &failure);
                return;
            }
        };
        let Some(version) = message.text(Field::ResultVersion) else {
            let failure = match self.era {
                Some(Era::Stateless) => Failure::ModernOnly,
                Some(Era::Handshake) | None => {
                    Failure::Garbage("the answer to `initialize` names no protocol version".to_owned())
                }
            };
            self.not_opened(key, &failure);
            return;
        };
        let header = version.parse().ok();
        let batches = version == "2025-03-26";
        let is_older = self.host.initialize.is_some();
        let as_begun = is_older && self.is_as_begun(key, &message);
        let Some(session) = self.sessions.get_mut(&key) else { return };
        session.stream = stream;
        // Set once: a session is opened once.
        let _ = session.upstream.established.set(Established::new(session_id, header));
        if !is_older {
            session.translation = Translation::NewerHost(Box::new(NewerHost::new(&message)));
        }
        if waits && is_older {
            session.phase = Phase::Opened;
            self.host.capabilities = message.raw(Field::ResultCapabilities);
            self.host.batches = batches;
            self.answer_initialize(&message);
            self.flush(key);
        } else {
            // What the app was told from memory may turn out to be the truth.
            session.replaces = !as_begun;
            self.confirm(key);
        }
        self.found(None);
        self.learned(Era::Handshake);
    }

    /// Whether the server is known to have no handshake. That another app was served without one says nothing: most such
    /// servers have both, and then nothing has to be translated. An open server was asked when it was added.
    fn has_no_handshake(&self, key: SessionKey) -> bool {
        let is_open = self.sessions.get(&key).is_some_and(|session| session.lease.is_none());
        self.host.found_no_handshake || (is_open && self.era == Some(Era::Stateless))
    }

    /// `notifications/initialized` has reached the server. Requests wait a moment longer, until its own stream is
    /// open: what it asks in answer to the first of them may come there.
    pub(crate) fn confirmed(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        // What the server says of its own accord comes on the one stream, where there is such.
        if session.retired || session.upstream.has_one_stream() {
            return self.ready(key);
        }
        let (upstream, (heard, first_answer)) = (session.upstream.clone(), tokio::sync::oneshot::channel());
        session.stream = Some(tokio::spawn(opening::listen(upstream.clone(), heard)).abort_handle());
        drop(tokio::spawn(opening::await_stream(upstream, first_answer)));
    }

    /// The server's own stream is open, or there is none, or it takes too long.
    pub(crate) fn ready(&mut self, key: SessionKey) {
        let is_current = self.current == Some(key);
        let Some(session) = self.sessions.get_mut(&key) else { return };
        session.phase = Phase::Ready;
        let replaces = std::mem::take(&mut session.replaces);
        let has_session = match session.translation {
            Translation::OlderHost(_) => {
                self.listen_without_session(key);
                false
            }
            Translation::NewerHost(_) | Translation::None => true,
        };
        if replaces && is_current && has_session {
            let repeated: Vec<Message> = self.host.remembered().cloned().collect();
            for message in repeated {
                let id = format!("hallpass-{}", self.key());
                self.post(key, message.renamed(&id).bytes().clone());
            }
        }
        self.flush(key);
        if replaces && is_current && self.host.initialize.is_some() {
            let lines = self.host.lists_changed();
            self.to_host.extend(lines);
        }
    }

    /// The server does not know the session any more: the same person opens another one.
    pub(crate) fn renew_session(&mut self) {
        let Some(old) = self.current else { return };
        let key = SessionKey(self.key());
        let Some(session) = self.sessions.get(&old) else { return };
        let renewed = session.renewed(key);
        self.sessions.insert(key, renewed);
        self.retire_current();
        self.current = Some(key);
    }

    fn confirm(&mut self, key: SessionKey) {
        let body =
            self.host.initialized.as_ref().map_or(Bytes::from_static(INITIALIZED), |m| m.bytes().clone());
        match self.credential(key) {
            Err(failure) => self.not_opened(key, &failure),
            Ok(credential) => {
                if let Some(session) = self.sessions.get_mut(&key) {
                    session.phase = Phase::Confirming;
                    tokio::spawn(opening::confirm(session.upstream.clone(), body, credential));
                }
            }
        }
    }

    fn not_opened(&mut self, key: SessionKey, failure: &Failure) {
        let waits = self.current == Some(key) && !self.host.answered;
        if let Some(session) = self.sessions.get_mut(&key) {
            session.phase = Phase::Failed;
            session.translation = Translation::None;
        }
        if *failure == Failure::ModernOnly && self.host.initialize.is_none() {
            // It has no sessions, and the app wants none: what waited goes out as it is.
            return self.flush(key);
        }
        if waits {
            match failure {
                // Nobody to be is no reason to leave the host without a server.
                Failure::Closed(_) | Failure::Rejected(_) | Failure::AgentLost { .. } | Failure::Void => {
                    self.answer_initialize_ourselves();
                }
                Failure::Unreachable(_)
                | Failure::Certificate { .. }
                | Failure::PrivateAddress
                | Failure::Proxy(_)
                | Failure::Status { .. }
                | Failure::Garbage(_)
                | Failure::TooLarge
                | Failure::StreamEnded
                | Failure::SessionLost
                | Failure::TooNarrow
                | Failure::ModernOnly
                | Failure::OtherPerson { .. }
                | Failure::Unsendable(_)
                | Failure::Untranslatable(_)
                | Failure::Forgotten => {
                    if let Some(initialize) = self.host.initialize.take() {
                        self.answer_failure(&initialize, failure);
                    }
                    self.host.answer_by = None;
                }
            }
        }
        let queue = self.sessions.get_mut(&key).map(|s| std::mem::take(&mut s.queue)).unwrap_or_default();
        for (call, _) in queue {
            self.fail(call, failure);
        }
    }

    /// Sends what waited for the session.
    pub(crate) fn flush(&mut self, key: SessionKey) {
        let queue = self.sessions.get_mut(&key).map(|s| std::mem::take(&mut s.queue)).unwrap_or_default();
        for (call, message) in queue {
            self.send_or_queue(call, message);
        }
    }

    /// Hands the app its answer to `initialize`.
    pub(crate) fn answer_initialize(&mut self, answer: &Message) {
        let Some(id) = self.host.initialize.as_ref().and_then(|m| m.raw(Field::Id)) else { return };
        self.to_host.push(answer.with(Field::Id, &id));
        self.host.answered = true;
        self.host.answer_by = None;
    }
}
