//! Who the bridge acts as: attached, switched, cut off. A session never changes person; people change sessions.

use std::sync::Arc;

use token_lease::{
    AgentMessage, BridgeMessage, Closed, ClosedCode, OlderLeases, Person, ServerFacts, Standing,
};
use tokio::time::Instant;

use crate::agent_link::LinkError;
use crate::authorization::{Bearer, Loan};
use crate::error::{Failure, Voice};
use crate::exchange::{CallKey, SessionKey};
use crate::lifecycle::{Bridge, Position};
use crate::message::Message;
use crate::opening;
use crate::session::{CallKind, Session};
use crate::upstream::Upstream;

impl Bridge {
    /// Applies what the agent said. What it says holds for every request that is accepted afterwards.
    pub(crate) fn agent_message(&mut self, message: AgentMessage) {
        match message {
            AgentMessage::Attached { server, standing } => self.attach(server, standing),
            AgentMessage::Refused { closed } => {
                tracing::warn!(code = ?closed.code, "the agent refuses this bridge");
                self.refuse(closed);
            }
            AgentMessage::Token { lease, outcome } => {
                self.leases.answered(lease, outcome, (self.clock)(), &mut self.to_agent);
            }
            AgentMessage::TooNarrow { lease, closed } => self.leases.widened(lease, &closed),
            AgentMessage::Switched { seq, standing, older } => {
                self.apply(standing, older);
                self.to_agent.push(BridgeMessage::Acknowledge { seq });
                tracing::info!(seq, "switched");
            }
            AgentMessage::Known { account, known } => self.recall(account, known),
            AgentMessage::Voided { seq, leases } => {
                let drains = |session: &Session| {
                    session.retired
                        && session
                            .lease
                            .is_some_and(|loan| self.leases.is_of_now(loan) && leases.contains(&loan.lease))
                };
                let void: Vec<SessionKey> = self
                    .sessions
                    .iter()
                    .filter(|(_, session)| drains(session))
                    .map(|(key, _)| *key)
                    .collect();
                for key in void {
                    self.void(key);
                }
                self.to_agent.push(BridgeMessage::Acknowledge { seq });
                tracing::info!(seq, "older calls given up");
            }
            AgentMessage::Unknown => tracing::debug!("a message of a newer agent"),
        }
        self.release_held();
    }

    /// The agent is gone. Calls in flight go on; new requests wait for it.
    pub(crate) fn agent_lost(&mut self) {
        if self.attached {
            self.lost_at = Instant::now();
        }
        self.attached = false;
        self.leases.disconnected();
        if !matches!(self.position, Position::Refused(_)) {
            self.position = Position::Unknown;
        }
    }

    /// Connecting failed.
    pub(crate) fn agent_absent(&mut self, error: LinkError) {
        tracing::warn!(error = %error.message, "no agent");
        self.link_error = Some(error);
    }

    /// The error of requests that waited for the agent in vain.
    pub(crate) fn without_agent(&self) -> Failure {
        let known = self.link_error.as_ref().map(|e| (e.message.clone(), e.hint.clone()));
        let (message, hint) = known.unwrap_or_else(|| {
            let message = "the Hallpass agent does not answer".to_owned();
            (message, "run `hallpass agent status`, then try again".to_owned())
        });
        Failure::AgentLost { message, hint }
    }

    fn attach(&mut self, facts: ServerFacts, standing: Standing) {
        self.attached = true;
        self.link_error = None;
        self.leases.connected();
        self.voice = Voice::of(&facts);
        let learned = self.era.filter(|era| facts.era != Some(*era));
        self.era = learned.or(facts.era);
        self.to_agent.extend(learned.map(|era| BridgeMessage::Learned { era }));
        let same_server = self.facts.as_deref().is_some_and(|old| same_target(old, &facts));
        self.facts = Some(Arc::new(facts));
        // A new agent has not heard of it; another target has not been tried.
        self.trouble = self.trouble.take().filter(|_| same_server);
        let what = self.trouble.clone();
        self.to_agent.extend(what.map(|what| BridgeMessage::Trouble { what: Some(what) }));
        let standing = if same_server { self.resume(standing) } else { Some(standing) };
        if let Some(standing) = standing {
            self.apply(standing, OlderLeases::Drain);
        }
    }

    /// After the agent came back: the same person goes on with the same session under the new lease.
    fn resume(&mut self, standing: Standing) -> Option<Standing> {
        let now = (self.clock)();
        let Some(session) = self.current.and_then(|key| self.sessions.get_mut(&key)) else {
            return Some(standing);
        };
        match (standing, &session.person, session.lease) {
            (Standing::Ready { lease, person, token }, Some(old), Some(old_lease))
                if old.account == person.account =>
            {
                let adopted = self.leases.adopt(old_lease, lease, token.clone(), now, &mut self.to_agent);
                let Ok(loan) = adopted else {
                    return Some(Standing::Ready { lease, person, token });
                };
                session.lease = Some(loan);
                session.person = Some(person.clone());
                // Sessions of this person that still drain go on under the same lease.
                for other in self.sessions.values_mut().filter(|s| s.lease == Some(old_lease)) {
                    other.lease = Some(loan);
                }
                self.position = Position::Person(person);
                None
            }
            (Standing::Open, None, None) => {
                self.position = Position::Open;
                None
            }
            (standing, _, _) => Some(standing),
        }
    }

    fn refuse(&mut self, closed: Closed) {
        self.attached = true;
        self.retire_current();
        if let Some(initialize) = self.host.initialize.take_if(|_| !self.host.answered) {
            self.answer_failure(&initialize, &Failure::Closed(closed.clone()));
        }
        self.host.answer_by = None;
        self.position = Position::Refused(closed);
    }

    fn apply(&mut self, standing: Standing, older: OlderLeases) {
        let streams = self.take_streams();
        self.retire_current();
        if older == OlderLeases::Void {
            for key in self.sessions.keys().copied().collect::<Vec<_>>() {
                self.void(key);
            }
        }
        match standing {
            Standing::Ready { lease, person, token } => {
                let endpoint = self.facts.as_ref().map(|facts| facts.endpoint.clone());
                let added = endpoint.ok_or(Failure::Void).and_then(|e| self.leases.add(lease, &e, token));
                match added {
                    Ok(loan) => self.begin(Some((loan, person))),
                    Err(failure) => self.close(closed_by(&failure, Some(person))),
                }
            }
            Standing::Open => self.begin(None),
            Standing::Closed(closed) => self.close(closed),
        }
        if let Position::Closed(_) = self.position {
            self.answer_initialize_ourselves();
        }
        self.reopen_streams(streams);
    }

    /// A new session, beside those that drain.
    fn begin(&mut self, lease: Option<(Loan, Person)>) {
        let Some(facts) = self.facts.clone() else { return };
        let position = lease.as_ref().map_or(Position::Open, |(_, person)| Position::Person(person.clone()));
        let key = SessionKey(self.key());
        match Session::new(key, &facts, lease, self.events.clone()) {
            Ok(mut session) => {
                session.replaces = self.host.answered;
                self.sessions.insert(key, session);
                self.current = Some(key);
                self.position = position;
                if self.host.initialize.is_some() {
                    self.open(key);
                }
            }
            Err(failure) => self.close(closed_by(&failure, None)),
        }
    }

    /// No request starts in the current session any more.
    pub(crate) fn retire_current(&mut self) {
        let Some(key) = self.current.take() else { return };
        if let Some(session) = self.sessions.get_mut(&key) {
            session.retired = true;
            // Calls that are under way get their answers there.
            if !session.upstream.has_one_stream() {
                session.stop_stream();
            }
        }
        self.close_if_done(key);
    }

    /// Ends a retired session whose last call has its answer.
    pub(crate) fn close_if_done(&mut self, key: SessionKey) {
        if self.sessions.get(&key).is_some_and(|s| s.retired && s.in_flight == 0) {
            let Some((session, bearer)) = self.take_session(key) else { return };
            if !session.lost {
                tokio::spawn(opening::delete(session.upstream, bearer));
            }
        }
    }

    /// Takes a session out, with the token for its last request, and releases its lease.
    fn take_session(&mut self, key: SessionKey) -> Option<(Session, Option<Bearer>)> {
        let mut session = self.sessions.remove(&key)?;
        session.stop_stream();
        if let Some(opening) = session.opening.take() {
            opening.abort();
        }
        self.to_host.extend(self.asked.withdraw(key));
        let mut bearer = None;
        if let Some(lease) = session.lease
            && !self.sessions.values().any(|s| s.lease == Some(lease))
        {
            bearer = self.leases.last_bearer(lease).cloned();
            if let Some(lease) = self.leases.remove(lease, &Failure::Void) {
                self.to_agent.push(BridgeMessage::Release { lease });
            }
        } else if let Some(lease) = session.lease {
            bearer = self.leases.last_bearer(lease).cloned();
        }
        Some((session, bearer))
    }

    /// Gives up everything of a session, now: not even its end is told to the server, for that would be
    /// one more request under a void lease.
    fn void(&mut self, key: SessionKey) {
        let calls: Vec<CallKey> =
            self.calls.iter().filter(|(_, c)| c.session == key).map(|(k, _)| *k).collect();
        if let Some(session) = self.sessions.get_mut(&key) {
            session.lost = true;
        }
        for call in calls {
            if let Some(task) = self.calls.get_mut(&call).and_then(|c| c.task.take()) {
                task.abort();
            }
            self.fail(call, &Failure::Void);
        }
        drop(self.take_session(key));
    }

    /// What must be told to the servers when the bridge ends.
    pub(crate) fn take_farewells(&mut self) -> Vec<(Arc<Upstream>, Option<Bearer>)> {
        for call in self.calls.values_mut() {
            if let Some(task) = call.task.take() {
                task.abort();
            }
        }
        let keys: Vec<SessionKey> = self.sessions.keys().copied().collect();
        keys.into_iter()
            .filter_map(|key| self.take_session(key))
            .filter(|(session, _)| !session.lost)
            .map(|(session, bearer)| (session.upstream, bearer))
            .collect()
    }

    /// Streams are not calls: they are closed at the switch.
    pub(crate) fn take_streams(&mut self) -> Vec<(CallKey, Message)> {
        let mut streams = Vec::new();
        for (key, call) in &mut self.calls {
            let CallKind::Listen { message, reopened } = &mut call.kind else { continue };
            *reopened = true;
            streams.push((*key, message.clone()));
            if let Some(task) = call.task.take() {
                task.abort();
            }
            if let Some(session) = self.sessions.get_mut(&call.session) {
                session.in_flight = session.in_flight.saturating_sub(1);
            }
            // No session has this number; one is given when the stream is reopened.
            call.session = SessionKey(0);
        }
        streams.sort_unstable_by_key(|(key, _)| *key);
        streams
    }

    /// They go on as the new person; while the Server is closed they lie dormant.
    pub(crate) fn reopen_streams(&mut self, streams: Vec<(CallKey, Message)>) {
        let Some(current) = self.current else { return };
        for (key, message) in streams {
            if let (Some(call), Some(session)) = (self.calls.get_mut(&key), self.sessions.get_mut(&current)) {
                call.session = current;
                session.in_flight += 1;
            }
            self.send_or_queue(key, message);
        }
    }
}

fn same_target(old: &ServerFacts, new: &ServerFacts) -> bool {
    (&old.id, &old.endpoint, &old.headers, old.private_network, &old.authority, &old.proxies)
        == (&new.id, &new.endpoint, &new.headers, new.private_network, &new.authority, &new.proxies)
}

fn closed_by(failure: &Failure, person: Option<Person>) -> Closed {
    match failure {
        Failure::Closed(closed) => Closed { person, ..closed.clone() },
        other => Closed {
            code: ClosedCode::Failed,
            message: other.to_string(),
            hint: "run `hallpass doctor`".to_owned(),
            person,
        },
    }
}
