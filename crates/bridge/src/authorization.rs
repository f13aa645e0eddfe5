//! Tokens on loan: which one a request carries, when a newer one is asked for, who waits for it.

use std::collections::HashMap;

use model::{Endpoint, UnixTime};
use token_lease::{AccessToken, BridgeMessage, Closed, LeaseId, TokenRefusal};
use tokio::sync::oneshot;

use crate::error::Failure;
use crate::lease::{Age, Lease, Waiter, age, bearer, unusable};

pub(crate) use crate::lease::{Bearer, Loan, Reply};

/// What one request carries.
pub(crate) enum Credential {
    /// Nothing: the Server was added as one without sign-in.
    Nobody,
    Have(Bearer),
    /// A newer token is on its way.
    Wait(oneshot::Receiver<Result<Option<Bearer>, Failure>>),
}

/// All leases of this bridge. At most one question about each is under way.
#[derive(Default)]
pub(crate) struct Leases {
    loans: HashMap<Loan, Lease>,
    connected: bool,
    agent: u64,
}

impl Leases {
    /// Takes a lease on, with its first token, for exactly one endpoint.
    pub(crate) fn add(
        &mut self,
        lease: LeaseId,
        endpoint: &Endpoint,
        token: AccessToken,
    ) -> Result<Loan, Failure> {
        let bearer = bearer(&token)?;
        let loan = self.of_now(lease);
        let endpoint = endpoint.clone();
        self.loans.insert(
            loan,
            Lease {
                endpoint,
                token,
                bearer,
                asked: None,
                asked_at: None,
                waiting: Vec::new(),
                narrow: Vec::new(),
                void: None,
                known: true,
            },
        );
        Ok(loan)
    }

    fn of_now(&self, lease: LeaseId) -> Loan {
        Loan { agent: self.agent, lease }
    }

    /// Whether it is of the agent that is connected now.
    pub(crate) fn is_of_now(&self, loan: Loan) -> bool {
        loan == self.of_now(loan.lease)
    }

    /// What a request to `endpoint` under this lease carries.
    pub(crate) fn credential(
        &mut self,
        id: Loan,
        endpoint: &Endpoint,
        now: UnixTime,
        out: &mut Vec<BridgeMessage>,
    ) -> Result<Credential, Failure> {
        let connected = self.connected;
        let lease = self.loans.get_mut(&id).ok_or(Failure::Void)?;
        if let Some(closed) = &lease.void {
            return Err(Failure::Closed(closed.clone()));
        }
        if lease.endpoint != *endpoint {
            // Cannot happen while a session keeps its endpoint; a token must not depend on that.
            return Err(Failure::Void);
        }
        match age(&lease.token, now) {
            Age::Fresh => Ok(Credential::Have(lease.bearer.clone())),
            Age::Due => {
                if lease.asked_at.is_none_or(|at| now.since(at).as_secs() >= 2) {
                    lease.ask(id, None, connected, now, out);
                }
                Ok(Credential::Have(lease.bearer.clone()))
            }
            Age::Over => {
                let (reply, wait) = oneshot::channel();
                lease.waiting.push(Waiter { rejected: None, reply });
                lease.ask(id, None, connected, now, out);
                Ok(Credential::Wait(wait))
            }
        }
    }

    /// The bearer as it is, for a last request that must not wait.
    pub(crate) fn last_bearer(&self, id: Loan) -> Option<&Bearer> {
        self.loans.get(&id).filter(|lease| lease.void.is_none()).map(|lease| &lease.bearer)
    }

    /// The Server refused a generation: `reply` gets a newer one, or why there is none.
    pub(crate) fn rejected(
        &mut self,
        id: Loan,
        generation: u64,
        now: UnixTime,
        reply: Reply,
        out: &mut Vec<BridgeMessage>,
    ) {
        let connected = self.connected;
        let Some(lease) = self.loans.get_mut(&id) else {
            let _ = reply.send(Err(Failure::Void));
            return;
        };
        if let Some(closed) = &lease.void {
            let _ = reply.send(Err(Failure::Closed(closed.clone())));
        } else if lease.token.generation > generation {
            let _ = reply.send(Ok(Some(lease.bearer.clone())));
        } else {
            lease.waiting.push(Waiter { rejected: Some(generation), reply });
            lease.ask(id, Some(generation), connected, now, out);
        }
    }

    /// The Server wants more rights: `reply` hears what the person can do.
    pub(crate) fn too_narrow(
        &mut self,
        id: Loan,
        challenges: Vec<String>,
        reply: oneshot::Sender<Failure>,
        out: &mut Vec<BridgeMessage>,
    ) {
        match self.loans.get_mut(&id) {
            Some(lease) if self.connected && lease.known && lease.void.is_none() => {
                lease.narrow.push(reply);
                out.push(BridgeMessage::TooNarrow { lease: id.lease, challenges });
            }
            Some(_) => drop(reply.send(Failure::TooNarrow)),
            None => drop(reply.send(Failure::Void)),
        }
    }

    /// The agent's word on missing rights.
    pub(crate) fn widened(&mut self, lease: LeaseId, closed: &Closed) {
        let id = self.of_now(lease);
        let waiting = self.loans.get_mut(&id).map(|lease| std::mem::take(&mut lease.narrow));
        for reply in waiting.unwrap_or_default() {
            let _ = reply.send(Failure::Closed(closed.clone()));
        }
    }

    /// The agent's answer to a question.
    pub(crate) fn answered(
        &mut self,
        lease: LeaseId,
        outcome: Result<AccessToken, TokenRefusal>,
        now: UnixTime,
        out: &mut Vec<BridgeMessage>,
    ) {
        let (connected, id) = (self.connected, self.of_now(lease));
        let Some(lease) = self.loans.get_mut(&id) else { return };
        let asked = lease.asked.take();
        match outcome.map_err(Some).and_then(|token| lease.renew(token).map_err(|_| None)) {
            Ok(()) => lease.serve(id, asked.and_then(|a| a.rejected), connected, now, out),
            Err(refusal) => {
                let closed = refusal.as_ref().map_or_else(unusable, |r| r.closed.clone());
                if refusal.is_some_and(|r| r.void) {
                    lease.void = Some(closed.clone());
                }
                for waiter in lease.waiting.drain(..) {
                    let _ = waiter.reply.send(Err(Failure::Closed(closed.clone())));
                }
            }
        }
    }

    /// No request is made under this lease any more. What the agent of now is to forget.
    pub(crate) fn remove(&mut self, id: Loan, why: &Failure) -> Option<LeaseId> {
        let lease = self.loans.remove(&id)?;
        for waiter in lease.waiting {
            let _ = waiter.reply.send(Err(why.clone()));
        }
        lease.known.then_some(id.lease)
    }

    /// The agent is gone: questions will not be answered, but tokens live on until they expire.
    pub(crate) fn disconnected(&mut self) {
        self.connected = false;
        for lease in self.loans.values_mut() {
            lease.asked = None;
            lease.known = false;
            for reply in lease.narrow.drain(..) {
                let _ = reply.send(Failure::TooNarrow);
            }
        }
    }

    /// The agent is there.
    pub(crate) fn connected(&mut self) {
        self.agent += 1;
        self.connected = true;
    }

    /// A new agent lends the *same person* under another id: whoever waited goes on with that.
    pub(crate) fn adopt(
        &mut self,
        old: Loan,
        new: LeaseId,
        token: AccessToken,
        now: UnixTime,
        out: &mut Vec<BridgeMessage>,
    ) -> Result<Loan, Failure> {
        let new = self.of_now(new);
        let Some(mut lease) = self.loans.remove(&old) else { return Err(Failure::Void) };
        lease.void = None;
        lease.asked = None;
        lease.known = true;
        lease.token = token;
        lease.bearer = bearer(&lease.token)?;
        lease.serve(new, None, self.connected, now, out);
        self.loans.insert(new, lease);
        Ok(new)
    }

    /// Gives up on everybody who waits.
    pub(crate) fn give_up(&mut self, why: &Failure) {
        for lease in self.loans.values_mut().filter(|lease| lease.asked.is_none()) {
            for waiter in lease.waiting.drain(..) {
                let _ = waiter.reply.send(Err(why.clone()));
            }
        }
    }

    /// Whether anybody waits while no question is under way.
    pub(crate) fn somebody_is_stuck(&self) -> bool {
        self.loans.values().any(|lease| lease.asked.is_none() && !lease.waiting.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Secret;

    const LEASE: LeaseId = LeaseId(1);
    const LOAN: Loan = Loan { agent: 1, lease: LEASE };

    fn token(generation: u64, expires_at: u64) -> AccessToken {
        AccessToken {
            secret: Secret::new(format!("t{generation}")),
            expires_at: Some(UnixTime(expires_at)),
            lifetime: Some(100),
            generation,
        }
    }

    fn leases() -> (Leases, Endpoint) {
        let endpoint = Endpoint::parse("https://a.example/mcp").unwrap();
        let mut leases = Leases::default();
        leases.connected();
        leases.add(LEASE, &endpoint, token(1, 1000)).unwrap();
        (leases, endpoint)
    }

    #[test]
    fn a_token_is_asked_for_again_when_a_fifth_of_its_life_is_left() {
        let (mut leases, endpoint) = leases();
        let mut out = Vec::new();
        let mut get = |now, out: &mut _| leases.credential(LOAN, &endpoint, UnixTime(now), out).unwrap();
        assert!(matches!(get(979, &mut out), Credential::Have(_)));
        assert!(out.is_empty());
        assert!(matches!(get(980, &mut out), Credential::Have(_)));
        assert!(matches!(get(981, &mut out), Credential::Have(_)));
        assert_eq!(out, [BridgeMessage::Token { lease: LEASE, rejected: None }]);
        assert!(matches!(get(999, &mut out), Credential::Wait(_)));
        assert_eq!(out.len(), 1, "one question at a time");
    }

    #[test]
    fn everybody_who_waits_shares_one_question_and_its_answer() {
        let (mut leases, _) = leases();
        let mut out = Vec::new();
        let mut waits = Vec::new();
        for _ in 0..20 {
            let (reply, wait) = oneshot::channel();
            leases.rejected(LOAN, 1, UnixTime(0), reply, &mut out);
            waits.push(wait);
        }
        assert_eq!(out, [BridgeMessage::Token { lease: LEASE, rejected: Some(1) }]);
        leases.answered(LEASE, Ok(token(2, 2000)), UnixTime(0), &mut out);
        for mut wait in waits {
            assert_eq!(wait.try_recv().unwrap().unwrap().unwrap().generation, 2);
        }
        let (reply, mut wait) = oneshot::channel();
        leases.rejected(LOAN, 1, UnixTime(0), reply, &mut out);
        assert_eq!(wait.try_recv().unwrap().unwrap().unwrap().generation, 2, "a late 401 of the old one");
        assert_eq!(out.len(), 1);
    }

    #[test]
    fn a_rejection_during_a_plain_question_is_asked_after_it() {
        let (mut leases, endpoint) = leases();
        let mut out = Vec::new();
        let _due = leases.credential(LOAN, &endpoint, UnixTime(985), &mut out);
        let (reply, mut wait) = oneshot::channel();
        leases.rejected(LOAN, 1, UnixTime(985), reply, &mut out);
        assert_eq!(out.len(), 1);
        leases.answered(LEASE, Ok(token(1, 1000)), UnixTime(985), &mut out);
        assert_eq!(out[1..], [BridgeMessage::Token { lease: LEASE, rejected: Some(1) }]);
        leases.answered(LEASE, Ok(token(1, 1000)), UnixTime(985), &mut out);
        assert_eq!(wait.try_recv().unwrap().err(), Some(Failure::Rejected(None)));
    }

    #[test]
    fn a_token_goes_to_its_own_endpoint_only() {
        let (mut leases, _) = leases();
        let other = Endpoint::parse("https://a.example/mcp/").unwrap();
        assert!(leases.credential(LOAN, &other, UnixTime(0), &mut Vec::new()).is_err());
        assert!(
            leases
                .credential(Loan { agent: 1, lease: LeaseId(2) }, &other, UnixTime(0), &mut Vec::new())
                .is_err()
        );
    }

    #[test]
    fn a_token_with_a_line_break_never_becomes_a_header() {
        let endpoint = Endpoint::parse("https://a.example/mcp").unwrap();
        for bad in ["", "a b", "a\r\nX: y", "ä"] {
            let mut token = token(1, 1000);
            token.secret = Secret::from(bad);
            assert!(Leases::default().add(LEASE, &endpoint, token).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn without_an_agent_a_token_lives_until_it_expires_and_waiters_are_adopted() {
        let (mut leases, endpoint) = leases();
        let mut out = Vec::new();
        leases.disconnected();
        assert!(matches!(
            leases.credential(LOAN, &endpoint, UnixTime(990), &mut out),
            Ok(Credential::Have(_))
        ));
        let Ok(Credential::Wait(mut wait)) = leases.credential(LOAN, &endpoint, UnixTime(1000), &mut out)
        else {
            panic!()
        };
        assert!(out.is_empty() && leases.somebody_is_stuck());
        leases.connected();
        leases.adopt(LOAN, LeaseId(9), token(2, 2000), UnixTime(1000), &mut out).unwrap();
        assert_eq!(wait.try_recv().unwrap().unwrap().unwrap().generation, 2);
    }

    #[test]
    fn the_same_number_of_another_agent_is_another_lease() {
        let (mut leases, endpoint) = leases();
        leases.disconnected();
        leases.connected();
        let of_ben = leases.add(LEASE, &endpoint, token(7, 1000)).unwrap();
        let mut generation = |loan| match leases.credential(loan, &endpoint, UnixTime(0), &mut Vec::new()) {
            Ok(Credential::Have(bearer)) => bearer.generation,
            _ => panic!(),
        };
        assert_eq!((generation(LOAN), generation(of_ben)), (1, 7));
    }
}
