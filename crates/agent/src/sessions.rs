//! Live bridges, and the leases that let them have tokens of one person each.
//!
//! A Session is one connection of a bridge. It holds one current lease (or none) and older ones whose
//! calls have not ended. A lease never changes person; a void one never yields a token again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use model::{AccountId, ClientAppId, ServerId, UnixTime};
use token_lease::{AgentMessage, LeaseId, OlderLeases, Standing};
use tokio::sync::{mpsc, watch};

use crate::agenda::Key;

/// How long a bridge may be silent after a switch before it is cut off.
pub(crate) const ACKNOWLEDGE_WITHIN: Duration = Duration::from_secs(1);

/// One connection of a bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SessionId(pub(crate) u64);

/// What is known of a bridge.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) app: ClientAppId,
    pub(crate) server: ServerId,
    /// The Account that its config entry pins.
    pub(crate) entry: Option<AccountId>,
    pub(crate) pid: Option<u32>,
    pub(crate) parent: Option<PathBuf>,
    pub(crate) since: UnixTime,
    /// What holds now.
    pub(crate) current: Current,
    outbox: mpsc::UnboundedSender<AgentMessage>,
    next_seq: u64,
    acknowledged: watch::Sender<u64>,
}

/// What holds for a Session now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Current {
    /// It acts as this person.
    Ready {
        account: AccountId,
        lease: LeaseId,
        /// The Grant's, when its token was lent.
        epoch: u64,
    },
    /// It acts as nobody, and the Server wants nobody.
    Open,
    /// Nothing goes out. The Account is the one that the rules name, if they name one.
    Closed { account: Option<AccountId> },
}

impl Session {
    /// The bridge has put into force what it was told last.
    pub(crate) fn is_up_to_date(&self) -> bool {
        *self.acknowledged.borrow() >= self.next_seq
    }
}

impl Current {
    /// The person that the rules name.
    pub(crate) fn account(&self) -> Option<&AccountId> {
        match self {
            Self::Ready { account, .. } => Some(account),
            Self::Open => None,
            Self::Closed { account } => account.as_ref(),
        }
    }

    /// Which sign-in its token is of.
    pub(crate) fn epoch(&self) -> Option<u64> {
        match self {
            Self::Ready { epoch, .. } => Some(*epoch),
            Self::Open | Self::Closed { .. } => None,
        }
    }
}

/// What a lease gives a right to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) session: SessionId,
    pub(crate) account: AccountId,
    pub(crate) server: ServerId,
    pub(crate) void: bool,
}

/// A switch that a bridge has not acknowledged yet.
#[derive(Debug)]
pub(crate) struct Pending {
    seq: u64,
    acknowledged: watch::Receiver<u64>,
}

impl Pending {
    /// Waits for the bridge; `false` if it was silent for longer than `limit` or is gone.
    pub(crate) async fn wait(mut self, limit: Duration) -> bool {
        let seq = self.seq;
        let wait = self.acknowledged.wait_for(|acknowledged| *acknowledged >= seq);
        matches!(tokio::time::timeout(limit, wait).await, Ok(Ok(_)))
    }
}

/// All Sessions and leases.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    live: BTreeMap<SessionId, Session>,
    leases: BTreeMap<LeaseId, Lease>,
    /// Grants that somebody began or ceased to use.
    doubts: BTreeSet<Key>,
    next_session: u64,
    next_lease: u64,
}

impl Sessions {
    /// A number for a lease that does not exist yet.
    pub(crate) fn new_lease_id(&mut self) -> LeaseId {
        self.next_lease += 1;
        LeaseId(self.next_lease)
    }

    /// Enters a Session. What it may do is set by [`Self::set`].
    pub(crate) fn open(
        &mut self,
        app: ClientAppId,
        server: ServerId,
        entry: Option<AccountId>,
        pid: Option<u32>,
        since: UnixTime,
        outbox: mpsc::UnboundedSender<AgentMessage>,
    ) -> SessionId {
        self.next_session += 1;
        let id = SessionId(self.next_session);
        let session = Session {
            app,
            server,
            entry,
            pid,
            parent: None,
            since,
            current: Current::Closed { account: None },
            outbox,
            next_seq: 0,
            acknowledged: watch::channel(0).0,
        };
        self.live.insert(id, session);
        id
    }

    /// Notes the program that started the bridge.
    pub(crate) fn set_parent(&mut self, id: SessionId, parent: PathBuf) {
        if let Some(session) = self.live.get_mut(&id) {
            session.parent = Some(parent);
        }
    }

    /// Makes `current` what holds for a Session, without telling the bridge.
    pub(crate) fn set(&mut self, id: SessionId, current: Current) {
        let Some(session) = self.live.get_mut(&id) else { return };
        for account in [session.current.account(), current.account()].into_iter().flatten() {
            self.doubts.insert((account.clone(), session.server.clone()));
        }
        if let Current::Ready { account, lease, .. } = &current {
            let server = session.server.clone();
            self.leases.insert(*lease, Lease { session: id, account: account.clone(), server, void: false });
        }
        session.current = current;
    }

    /// Makes `current` what holds, and tells the bridge. With [`OlderLeases::Void`] every older lease of
    /// the Session is void from this moment, whatever the bridge does.
    pub(crate) fn push(
        &mut self,
        id: SessionId,
        current: Current,
        standing: Standing,
        older: OlderLeases,
    ) -> Option<Pending> {
        if older == OlderLeases::Void {
            self.void(id);
        }
        self.set(id, current);
        let session = self.live.get_mut(&id)?;
        session.next_seq += 1;
        // A send that fails means that the connection is just ending; waiting for it shows that.
        let _ending = session.outbox.send(AgentMessage::Switched { seq: session.next_seq, standing, older });
        self.unacknowledged(id)
    }

    /// What a Session was told last, if it has not acknowledged that yet.
    pub(crate) fn unacknowledged(&self, id: SessionId) -> Option<Pending> {
        let session = self.live.get(&id).filter(|session| !session.is_up_to_date())?;
        Some(Pending { seq: session.next_seq, acknowledged: session.acknowledged.subscribe() })
    }

    /// Makes every lease of a Session void.
    pub(crate) fn void(&mut self, id: SessionId) {
        for lease in self.leases.values_mut().filter(|lease| lease.session == id) {
            lease.void = true;
        }
    }

    /// Makes void what still drains of an Account's leases in Sessions that act as somebody else by now, and tells their
    /// bridges. Those that act as this Account are told their new standing instead.
    pub(crate) fn void_drained(
        &mut self,
        account: &AccountId,
        server: &ServerId,
    ) -> Vec<(SessionId, Pending)> {
        let mut told: BTreeMap<SessionId, Vec<LeaseId>> = BTreeMap::new();
        for (id, lease) in &mut self.leases {
            let acts =
                self.live.get(&lease.session).is_some_and(|one| one.current.account() == Some(account));
            if !acts && !lease.void && lease.account == *account && lease.server == *server {
                lease.void = true;
                told.entry(lease.session).or_default().push(*id);
            }
        }
        let tell = |(id, leases)| {
            let session = self.live.get_mut(&id)?;
            session.next_seq += 1;
            // A send that fails means that the connection is just ending; waiting for it shows that.
            let _ending = session.outbox.send(AgentMessage::Voided { seq: session.next_seq, leases });
            Some((id, self.unacknowledged(id)?))
        };
        told.into_iter().filter_map(tell).collect()
    }

    /// Grants whose renewal depends on what has changed here since the last time.
    pub(crate) fn take_doubts(&mut self) -> BTreeSet<Key> {
        std::mem::take(&mut self.doubts)
    }

    /// The bridge has put a switch into force.
    pub(crate) fn acknowledge(&mut self, id: SessionId, seq: u64) {
        if let Some(session) = self.live.get(&id).filter(|session| seq <= session.next_seq) {
            session.acknowledged.send_replace(seq);
        }
    }

    /// Forgets a Session and its leases. Dropping its outbox ends the connection.
    pub(crate) fn close(&mut self, id: SessionId) {
        self.live.remove(&id);
        self.leases.retain(|_, lease| lease.session != id);
    }

    /// The bridge needs a lease no longer.
    pub(crate) fn release(&mut self, id: SessionId, lease: LeaseId) {
        let current = matches!(
            self.live.get(&id).map(|s| &s.current),
            Some(Current::Ready { lease: now, .. }) if *now == lease
        );
        if !current {
            self.leases.retain(|each, l| !(*each == lease && l.session == id));
        }
    }

    /// The lease, if it belongs to this Session.
    pub(crate) fn lease(&self, id: SessionId, lease: LeaseId) -> Option<&Lease> {
        self.leases.get(&lease).filter(|l| l.session == id)
    }

    /// One Session.
    pub(crate) fn get(&self, id: SessionId) -> Option<&Session> {
        self.live.get(&id)
    }

    /// All Sessions.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (SessionId, &Session)> {
        self.live.iter().map(|(id, session)| (*id, session))
    }

    /// Whether a live bridge is closed although the rules name this Account.
    pub(crate) fn waits_for(&self, account: &AccountId, server: &ServerId) -> bool {
        self.live.values().any(|s| {
            s.server == *server
                && matches!(&s.current, Current::Closed { account: Some(named) } if named == account)
        })
    }

    /// Whether a live bridge acts as this Account here, waits to, or has calls of it under way: its token is
    /// worth renewing ahead of time.
    pub(crate) fn concerns(&self, account: &AccountId, server: &ServerId) -> bool {
        self.leases.values().any(|l| !l.void && l.account == *account && l.server == *server)
            || self.live.values().any(|s| s.server == *server && s.current.account() == Some(account))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use token_lease::{Closed, ClosedCode};

    fn closed() -> Standing {
        Standing::Closed(Closed {
            code: ClosedCode::SignInNeeded,
            message: "m".into(),
            hint: "h".into(),
            person: None,
        })
    }

    fn open(sessions: &mut Sessions) -> (SessionId, mpsc::UnboundedReceiver<AgentMessage>) {
        let (tx, rx) = mpsc::unbounded_channel();
        let app = ClientAppId::parse("cursor").unwrap();
        let id = sessions.open(app, ServerId::parse("s").unwrap(), None, None, UnixTime(0), tx);
        (id, rx)
    }

    fn ready(sessions: &mut Sessions, id: SessionId, name: &str) -> LeaseId {
        let lease = sessions.new_lease_id();
        sessions.set(id, Current::Ready { account: AccountId::parse(name).unwrap(), lease, epoch: 1 });
        lease
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_bridge_is_told_from_one_that_acknowledges() {
        let mut sessions = Sessions::default();
        let (id, _rx) = open(&mut sessions);
        let pending = sessions.push(id, Current::Open, Standing::Open, OlderLeases::Drain).unwrap();
        assert!(!pending.wait(ACKNOWLEDGE_WITHIN).await);
        let pending = sessions.push(id, Current::Open, Standing::Open, OlderLeases::Drain).unwrap();
        sessions.acknowledge(id, 2);
        assert!(pending.wait(ACKNOWLEDGE_WITHIN).await);
        // An acknowledgement of a switch that was never sent counts for nothing.
        sessions.acknowledge(id, 99);
        let pending = sessions.push(id, Current::Open, Standing::Open, OlderLeases::Drain).unwrap();
        assert!(!pending.wait(ACKNOWLEDGE_WITHIN).await);
    }

    #[test]
    fn a_drained_lease_lives_until_it_is_released_and_a_void_one_never_again() {
        let mut sessions = Sessions::default();
        let (id, _rx) = open(&mut sessions);
        let ana = ready(&mut sessions, id, "ana");
        let account = AccountId::parse("ben").unwrap();
        let ben = sessions.new_lease_id();
        sessions.push(
            id,
            Current::Ready { account, lease: ben, epoch: 1 },
            Standing::Open,
            OlderLeases::Drain,
        );
        assert!(!sessions.lease(id, ana).unwrap().void);
        sessions.release(id, ben);
        assert!(sessions.lease(id, ben).is_some(), "the current lease is not released by mistake");
        sessions.release(id, ana);
        assert!(sessions.lease(id, ana).is_none());
        sessions.push(id, Current::Closed { account: None }, closed(), OlderLeases::Void);
        assert!(sessions.lease(id, ben).unwrap().void);
    }

    #[test]
    fn what_drains_of_somebody_who_is_signed_out_is_void_and_nothing_else_is() {
        let mut sessions = Sessions::default();
        let (one, mut rx) = open(&mut sessions);
        let (two, mut rx_of_ana) = open(&mut sessions);
        let ana = ready(&mut sessions, one, "ana");
        let ben = ready(&mut sessions, one, "ben");
        let acting = ready(&mut sessions, two, "ana");
        let (account, server) = (AccountId::parse("ana").unwrap(), ServerId::parse("s").unwrap());
        let told = sessions.void_drained(&account, &server);
        assert_eq!(told.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [one]);
        assert_eq!(rx.try_recv().unwrap(), AgentMessage::Voided { seq: 1, leases: vec![ana] });
        assert!(rx_of_ana.try_recv().is_err(), "it is told its new standing");
        assert!(sessions.lease(one, ana).unwrap().void && !sessions.lease(one, ben).unwrap().void);
        assert!(!sessions.lease(two, acting).unwrap().void);
        assert!(sessions.void_drained(&account, &server).is_empty(), "once is enough");
        let elsewhere = ServerId::parse("other").unwrap();
        assert!(sessions.void_drained(&AccountId::parse("ben").unwrap(), &elsewhere).is_empty());
    }

    #[test]
    fn a_lease_is_worth_nothing_on_another_connection() {
        let mut sessions = Sessions::default();
        let (one, _rx) = open(&mut sessions);
        let (two, _rx2) = open(&mut sessions);
        let lease = ready(&mut sessions, one, "ana");
        assert!(sessions.lease(one, lease).is_some());
        assert!(sessions.lease(two, lease).is_none());
        sessions.release(two, lease);
        assert!(sessions.lease(one, lease).is_some());
        sessions.close(one);
        assert!(sessions.lease(one, lease).is_none());
    }
}
