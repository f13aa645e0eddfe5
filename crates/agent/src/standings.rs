//! As whom each bridge acts: worked out at attach, and brought to it when a rule or a Grant changes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use model::{AccountId, Asked, AuthKind, Effective, GrantState, ServerId, State, effective_account};
use token_lease::{AccessToken, Closed, ClosedCode, LeaseId, OlderLeases, Person, ServerFacts, Standing};

use crate::agent::{Agent, lock};
use crate::proxies::Proxies;
use crate::sessions::{ACKNOWLEDGE_WITHIN, Current, Session, SessionId};
use crate::tokens::Trouble;
use crate::{error, faults, list_rules, pauses};

/// How long a live bridge goes on as it was while the next person's token is fetched. An issuer that takes longer leaves
/// the bridge closed until it has answered.
const TOKEN_WITHIN: Duration = Duration::from_secs(5);

/// How many bridges took a change over, and how many were cut off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Brought {
    pub(crate) acknowledged: usize,
    pub(crate) cut_off: usize,
}

/// What became of one bridge's share of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// There was nothing to tell, or it is gone.
    Nothing,
    Acknowledged,
    CutOff,
}

/// What a connection asks for, kept to ask again.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) app: model::ClientAppId,
    pub(crate) server: ServerId,
    pub(crate) entry: Option<AccountId>,
}

/// The part of the state that a standing depends on; two equal ones lead to the same person.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Basis {
    auth: AuthKind,
    effective: Effective,
    grant: Option<(u64, GrantState)>,
    known: bool,
    /// Nothing may go out: nobody may use the Server now, or this Account may not.
    shut: Option<Closed>,
}

/// A standing without its lease: that is entered when it is certain that it still holds.
#[derive(Clone, Debug)]
enum Prepared {
    Ready { person: Person, token: AccessToken },
    Open,
    Closed(Closed),
}

impl Agent {
    /// Works out as whom a new connection acts, and enters it with `enter` in the moment in which that is
    /// certain. `Err`: there is no such Server.
    pub(crate) async fn attach(
        self: &Arc<Self>,
        wish: &Wish,
        enter: impl Fn(&mut crate::sessions::Sessions) -> SessionId,
    ) -> Result<(SessionId, ServerFacts, Standing), Closed> {
        loop {
            let basis = self.read(|state| basis(state, wish));
            let Some(basis) = basis else {
                let error = error::no_server(&wish.server);
                return Err(Closed {
                    code: ClosedCode::UnknownServer,
                    message: error.message,
                    hint: error.hint,
                    person: None,
                });
            };
            let prepared = self.prepare(&wish.server, &basis).await;
            // Whoever changes a rule writes the state first and looks for Sessions then: so either that
            // change is seen here, or this Session is seen there.
            let state = self.state_file();
            let Some(now) = self::basis(state.get(), wish) else { continue };
            if !same_person(&now, &basis) {
                continue;
            }
            let facts = facts(state.get(), &wish.server, self.network.proxies());
            let Some(facts) = facts else { continue };
            let mut sessions = lock(&self.sessions);
            let id = enter(&mut sessions);
            let lease = sessions.new_lease_id();
            let (current, standing) = settle(prepared, &basis, lease);
            sessions.set(id, current);
            drop(sessions);
            drop(state);
            self.changed();
            return Ok((id, facts, standing));
        }
    }

    /// Brings what the state says now to every Session that `concerned` picks, and waits until each has
    /// acknowledged it or was cut off.
    ///
    /// Orders need not wait for each other: each Session is told what the state says in the moment in which it is
    /// told, so whichever of two orders comes last tells the same person as the other would.
    pub(crate) async fn bring(
        self: &Arc<Self>,
        concerned: impl Fn(&Session) -> bool,
        older: OlderLeases,
    ) -> Brought {
        let picked = self.pick(concerned, older);
        // Each is a task of its own, which ends even where the caller is gone.
        let told = |id| {
            let agent = Arc::clone(self);
            tokio::spawn(async move { agent.bring_to(id, older).await })
        };
        let told: Vec<_> = picked.into_iter().map(told).collect();
        let mut brought = Brought::default();
        for told in told {
            match told.await {
                Ok(Told::Nothing) => {}
                Ok(Told::Acknowledged) => brought.acknowledged += 1,
                Ok(Told::CutOff) => brought.cut_off += 1,
                Err(error) => tracing::error!(%error, "bringing a switch to a bridge broke off"),
            }
        }
        self.changed();
        brought
    }

    /// Gives up, now, what still drains of an Account at a Server in bridges that act as somebody else by now. Returns when
    /// each has acknowledged it or was cut off.
    pub(crate) async fn cut_drained(self: &Arc<Self>, account: &AccountId, server: &ServerId) {
        let told = lock(&self.sessions).void_drained(account, server);
        let limit = faults::acknowledge_within(&self.root).unwrap_or(ACKNOWLEDGE_WITHIN);
        let waits = told.into_iter().map(|(id, pending)| {
            let agent = Arc::clone(self);
            tokio::spawn(async move {
                if !pending.wait(limit).await {
                    lock(&agent.sessions).close(id);
                }
            })
        });
        for wait in waits.collect::<Vec<_>>() {
            if let Err(error) = wait.await {
                tracing::error!(%error, "telling a bridge what is void broke off");
            }
        }
    }

    /// The Sessions that an order concerns. What is to be void is so at once, not only when the new standing is known.
    fn pick(&self, concerned: impl Fn(&Session) -> bool, older: OlderLeases) -> Vec<SessionId> {
        let mut sessions = lock(&self.sessions);
        let picked: Vec<SessionId> =
            sessions.iter().filter(|(_, session)| concerned(session)).map(|(id, _)| id).collect();
        for id in picked.iter().filter(|_| older == OlderLeases::Void) {
            sessions.void(*id);
        }
        picked
    }

    /// Brings what the state says to one Session.
    async fn bring_to(self: &Arc<Self>, id: SessionId, older: OlderLeases) -> Told {
        let pending = loop {
            let Some(wish) = lock(&self.sessions).get(id).map(Wish::of) else { return Told::Nothing };
            let Some(basis) = self.read(|state| basis(state, &wish)) else {
                // The Server is gone: the connection ends.
                lock(&self.sessions).close(id);
                return Told::Nothing;
            };
            let prepared = self.prepare_soon(&wish.server, &basis, older).await;
            // No change of a rule comes between this look and what the bridge is told.
            let state = self.state_file();
            if !self::basis(state.get(), &wish).is_some_and(|now| same_person(&now, &basis)) {
                continue;
            }
            let mut sessions = lock(&self.sessions);
            let Some(session) = sessions.get(id) else { return Told::Nothing };
            // It acts as this person already, or was told so by another order a moment ago.
            let unchanged = older == OlderLeases::Drain
                && matches!(&session.current, Current::Ready { account, .. } if Some(account) == basis.effective.account())
                // A later sign-in may have brought more rights: its token takes the place of the older one.
                && matches!(&basis.grant, Some((epoch, GrantState::Active)) if session.current.epoch() == Some(*epoch))
                && basis.shut.is_none();
            break if unchanged {
                sessions.unacknowledged(id)
            } else {
                let lease = sessions.new_lease_id();
                let (current, standing) = settle(prepared, &basis, lease);
                sessions.push(id, current, standing, older)
            };
        };
        let Some(pending) = pending else { return Told::Nothing };
        let limit = faults::acknowledge_within(&self.root).unwrap_or(ACKNOWLEDGE_WITHIN);
        if pending.wait(limit).await {
            return Told::Acknowledged;
        }
        lock(&self.sessions).close(id);
        Told::CutOff
    }

    /// The Servers where a live bridge does not act yet as the rules say: it was not told, or has not acknowledged.
    /// `state` is held meanwhile, so that both are of one moment.
    pub(crate) fn switching(&self, state: &State) -> BTreeSet<ServerId> {
        lock(&self.sessions)
            .iter()
            .filter(|(_, session)| !session.is_up_to_date() || !fits(state, session))
            .map(|(_, session)| session.server.clone())
            .collect()
    }

    /// What a bridge is told when it attaches has changed: the bridges of these Servers do so again at once.
    pub(crate) fn reattach(&self, servers: &[ServerId]) {
        let mut sessions = lock(&self.sessions);
        let concerned: Vec<SessionId> = sessions
            .iter()
            .filter(|(_, session)| servers.contains(&session.server))
            .map(|(session, _)| session)
            .collect();
        for session in concerned {
            sessions.close(session);
        }
    }

    /// A Grant has become usable, or has ceased to be: bridges that the rules point to it hear of it.
    pub(crate) async fn grant_changed(self: &Arc<Self>, account: &AccountId, server: &ServerId) {
        let state = self.read(Clone::clone);
        let concerned = |session: &Session| {
            let wish = Wish::of(session);
            session.server == *server
                && (session.current.account() == Some(account)
                    || basis(&state, &wish).is_some_and(|b| b.effective.account() == Some(account)))
        };
        self.bring(concerned, OlderLeases::Drain).await;
    }

    /// Bridges that are closed although the rules name this Account are tried again.
    pub(crate) async fn reopen(self: &Arc<Self>, account: &AccountId, server: &ServerId) {
        let waits = |session: &Session| {
            session.server == *server
                && matches!(&session.current, Current::Closed { account: Some(named) } if named == account)
        };
        if lock(&self.sessions).waits_for(account, server) {
            self.bring(waits, OlderLeases::Drain).await;
        }
    }

    /// [`Self::prepare`] for a bridge that is live: it goes on as it was meanwhile, so this takes no longer than
    /// [`TOKEN_WITHIN`], and nothing at all where what it had is void. A token that comes later opens the bridge then.
    async fn prepare_soon(
        self: &Arc<Self>,
        server: &ServerId,
        basis: &Basis,
        older: OlderLeases,
    ) -> Prepared {
        let limit = match older {
            OlderLeases::Drain => TOKEN_WITHIN,
            OlderLeases::Void => Duration::ZERO,
        };
        match (tokio::time::timeout(limit, self.prepare(server, basis)).await, basis.effective.account()) {
            (Ok(prepared), _) => prepared,
            (Err(_), Some(account)) => {
                let trouble =
                    Trouble::ForNow("the sign-in is still being renewed, so nothing was sent".to_owned());
                Prepared::Closed(closed(&trouble, server, self.person(account)))
            }
            (Err(_), None) => Prepared::Closed(error::nobody_chosen(server, true)),
        }
    }

    /// The person of a basis with a token in hand, or why there is none.
    async fn prepare(self: &Arc<Self>, server: &ServerId, basis: &Basis) -> Prepared {
        if let Some(closed) = &basis.shut {
            return Prepared::Closed(closed.clone());
        }
        match basis.auth {
            AuthKind::None => return Prepared::Open,
            AuthKind::IdentityProvider => return Prepared::Closed(error::no_mcp_server(server)),
            AuthKind::Oauth | AuthKind::Bearer => {}
        }
        let Some(account) = basis.effective.account() else {
            let anybody = self.read(|state| state.grants.iter().any(|g| g.server == *server));
            return Prepared::Closed(error::nobody_chosen(server, anybody));
        };
        if !basis.known {
            return Prepared::Closed(Closed {
                code: ClosedCode::UnknownAccount,
                message: format!(
                    "the account that is bound here ({account}) does not exist any more, so nothing was sent"
                ),
                hint: format!("run: hallpass switch {server} <account>, or connect the app again"),
                person: None,
            });
        }
        let person = self.person(account);
        let lent = self.lent(account, server);
        match self.token(&lent, server, None).await {
            Ok(set) => Prepared::Ready { person, token: on_loan(&set) },
            Err(trouble) => Prepared::Closed(closed(&trouble, server, person)),
        }
    }

    /// Whose token a lease of this Account gets: its own, except with [`faults::mixes_people`].
    pub(crate) fn lent(&self, account: &AccountId, server: &ServerId) -> AccountId {
        if !faults::mixes_people(&self.root) {
            return account.clone();
        }
        self.read(|state| {
            let other = state.grants.iter().find(|g| g.server == *server && g.account != *account);
            other.map_or_else(|| account.clone(), |grant| grant.account.clone())
        })
    }

    /// An Account in words.
    pub(crate) fn person(&self, account: &AccountId) -> Person {
        let label =
            self.read(|s| s.accounts.get(account).map_or_else(|| account.to_string(), |a| a.label.clone()));
        Person { account: account.clone(), label }
    }
}

impl Wish {
    fn of(session: &Session) -> Self {
        Self { app: session.app.clone(), server: session.server.clone(), entry: session.entry.clone() }
    }
}

/// What a bridge gets of a token set.
pub(crate) fn on_loan(set: &token_store::TokenSet) -> AccessToken {
    AccessToken {
        secret: set.access_token.clone(),
        expires_at: set.expires_at,
        lifetime: set.lifetime,
        generation: set.generation,
    }
}

/// Why a person's token is not to be had, for a bridge.
pub(crate) fn closed(trouble: &Trouble, server: &ServerId, person: Person) -> Closed {
    match trouble {
        Trouble::NeedsSignIn(reason) => error::sign_in_needed(server, person, reason),
        Trouble::Over(reason) => error::token_needed(server, person, reason),
        Trouble::Gone => error::sign_in_needed(server, person, ""),
        Trouble::Store(error) => error::closed_by_store(error, Some(person)),
        Trouble::ForNow(what) => Closed {
            code: ClosedCode::Failed,
            message: format!("{} at {server}: {what}", person.label),
            hint: "try again in a moment; hallpass doctor says more".to_owned(),
            person: Some(person),
        },
    }
}

/// What the state says about a wish now; `None` if there is no such Server.
fn basis(state: &State, wish: &Wish) -> Option<Basis> {
    let server = state.servers.get(&wish.server)?;
    let asked = Asked { server: &wish.server, app: &wish.app, entry: wish.entry.as_ref() };
    let effective = effective_account(asked, &state.bindings);
    let grant = effective.account().and_then(|account| state.grant(account, &wish.server));
    let account = effective.account().and_then(|account| state.accounts.get(account));
    let unwanted = || {
        let account = account?;
        let error = list_rules::unwanted(state, server, account)?;
        Some(Closed {
            code: ClosedCode::ServerClosed,
            message: format!("{}; nothing was sent", error.message),
            hint: error.hint,
            person: Some(Person { account: account.id.clone(), label: account.label.clone() }),
        })
    };
    Some(Basis {
        auth: server.auth,
        shut: list_rules::closed(state, server)
            .or_else(|| pauses::shut(state, &wish.server))
            .or_else(unwanted),
        known: effective.account().is_some_and(|account| state.accounts.contains_key(account)),
        grant: grant.map(|grant| (grant.epoch, grant.state.clone())),
        effective,
    })
}

/// Whether what holds for a Session is what the rules say. That of a Server which is gone is about to be closed.
fn fits(state: &State, session: &Session) -> bool {
    let Some(basis) = basis(state, &Wish::of(session)) else { return true };
    match &session.current {
        Current::Closed { .. } if basis.shut.is_some() => true,
        Current::Open => basis.shut.is_none() && basis.auth == AuthKind::None,
        current @ (Current::Ready { .. } | Current::Closed { .. }) => {
            let wants_somebody = basis.shut.is_none() && basis.auth != AuthKind::None;
            wants_somebody && current.account() == basis.effective.account()
        }
    }
}

/// A renewal within `prepare` may have moved the Grant on; the person, and whether it can act, must not
/// have changed.
fn same_person(now: &Basis, then: &Basis) -> bool {
    now.auth == then.auth
        && now.shut == then.shut
        && now.effective.account() == then.effective.account()
        && now.known == then.known
        && now.grant.as_ref().map(|(epoch, _)| epoch) == then.grant.as_ref().map(|(epoch, _)| epoch)
}

fn settle(prepared: Prepared, basis: &Basis, lease: LeaseId) -> (Current, Standing) {
    match prepared {
        Prepared::Ready { person, token } => (
            Current::Ready {
                account: person.account.clone(),
                lease,
                epoch: basis.grant.as_ref().map_or(0, |(epoch, _)| *epoch),
            },
            Standing::Ready { lease, person, token },
        ),
        Prepared::Open => (Current::Open, Standing::Open),
        Prepared::Closed(closed) => {
            // What is shut waits for nobody's token.
            let account = basis.effective.account().filter(|_| basis.shut.is_none()).cloned();
            (Current::Closed { account }, Standing::Closed(closed))
        }
    }
}

fn facts(state: &State, server: &ServerId, proxies: Proxies) -> Option<ServerFacts> {
    let server = state.servers.get(server)?;
    Some(ServerFacts {
        id: server.id.clone(),
        label: server.label.clone(),
        endpoint: server.endpoint.clone(),
        headers: server.headers.clone(),
        era: server.era,
        private_network: server.private_network,
        authority: server.authority.clone(),
        proxies,
    })
}
