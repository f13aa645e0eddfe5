//! What callers see: built from the state when they ask, held nowhere.

use std::collections::BTreeMap;

use ipc::{
    AccountView, AgentView, ClosedView, GrantView, KeychainState, ListedView, ServerState, ServerView,
    SessionView, StatusView,
};
use model::{
    Account, AccountId, AccountKey, AuthKind, ClientAppId, Grant, GrantState, Listing, ListingStanding,
    Reach, Server, State, Tenant, UnixTime,
};
use token_store::Readiness;

use crate::agent::{Agent, lock};
use crate::list_rules;
use crate::servers::chain;

impl Agent {
    /// Everything at a glance.
    pub(crate) async fn status_view(&self) -> StatusView {
        let keychain = self.keychain_state().await;
        let (proxies, pending) =
            self.read(|state| (state.environment.proxies.clone(), state.revocations.len()));
        StatusView {
            agent: AgentView {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                pid: std::process::id(),
                root: self.root.path().to_owned(),
                started_at: self.started_at,
                keychain,
                proxies,
                unsaved: self.tokens.unsaved(),
                pending_revocations: pending,
            },
            servers: self.server_views(),
            sessions: self.session_views(),
            profiles: self.profiles(),
            presets: self.presets(),
            sign_ins: self.sign_ins.views(),
            settings: self.settings(),
        }
    }

    /// Whether tokens can be read and saved.
    pub(crate) async fn keychain_state(&self) -> KeychainState {
        let now = self.look_at_keychain().await;
        let before = lock(&self.keychain_seen).replace(now.clone());
        // Who looked first sees it anyway; the others hear of it.
        if before.is_some_and(|before| before != now) {
            self.tell();
        }
        now
    }

    async fn look_at_keychain(&self) -> KeychainState {
        let status = self.bare_keychain().status().await;
        let store = status.store.to_owned();
        match status.readiness {
            // It answers; but is it the one that holds our items?
            Readiness::Ready => match self.keychain().await {
                Ok(_) => KeychainState::Ready { store },
                Err(
                    token_store::StoreError::Locked
                    | token_store::StoreError::Sealed(token_store::SealedFault::PassphraseNeeded),
                ) => KeychainState::Locked { store },
                Err(error) => KeychainState::Absent { reason: chain(&error) },
            },
            Readiness::Locked => KeychainState::Locked { store },
            Readiness::Absent { reason } => KeychainState::Absent { reason: reason.to_string() },
            Readiness::Failing { reason } => KeychainState::Absent { reason },
        }
    }

    fn session_views(&self) -> Vec<SessionView> {
        lock(&self.sessions)
            .iter()
            .map(|(_, session)| SessionView {
                app: session.app.clone(),
                server: session.server.clone(),
                account: match &session.current {
                    crate::sessions::Current::Ready { account, .. } => Some(account.clone()),
                    crate::sessions::Current::Open | crate::sessions::Current::Closed { .. } => None,
                },
                pid: session.pid,
                parent: session.parent.clone(),
                since: session.since,
            })
            .collect()
    }
}

/// An Account, with the Servers where it is signed in.
pub(crate) fn account_with_servers(state: &State, account: &Account) -> AccountView {
    let at = |keep: fn(&Grant) -> bool| {
        let grants = state.grants.iter().filter(|grant| grant.account == account.id && keep(grant));
        grants.map(|grant| grant.server.clone()).collect()
    };
    AccountView { servers: at(|_| true), pasted: at(|grant| grant.pasted), ..account_view(account) }
}

/// An Account. In a list of all Servers it stands once for each, so it does not name them all again.
pub(crate) fn account_view(account: &Account) -> AccountView {
    AccountView {
        id: account.id.clone(),
        label: account.label.clone(),
        name: account.name.clone(),
        email: account.email.clone(),
        email_verified: account.email_verified,
        organization: account.tenant.as_ref().and_then(Tenant::label).map(str::to_owned),
        issuer: account.key.issuer().to_owned(),
        subject: match &account.key {
            AccountKey::Subject { subject, .. } => Some(subject.clone()),
            AccountKey::Told { .. } | AccountKey::Unverified { .. } | AccountKey::Application { .. } => None,
        },
        proof: account.proof.kind,
        proven_at: account.proof.at,
        servers: Vec::new(),
        pasted: Vec::new(),
    }
}

/// A Server.
pub(crate) fn server_view(state: &State, server: &Server, now: UnixTime) -> ServerView {
    let selected = state.bindings.selection.get(&server.id).cloned();
    let paused = state.paused.contains(&server.id);
    let grants: Vec<GrantView> = state
        .grants
        .iter()
        .filter(|grant| grant.server == server.id)
        .filter_map(|grant| {
            let account = state.accounts.get(&grant.account)?;
            Some(GrantView {
                account: account_view(account),
                state: state_at(grant, now),
                renewable: grant.renewable,
                pasted: grant.pasted,
                ends_at: grant.ends_at(),
                ends_soon: grant.told_from().is_some_and(|from| from <= now),
                scopes: grant.scopes.clone(),
                missing_scopes: grant.step_up.as_ref().map(|asked| asked.missing.clone()).unwrap_or_default(),
                expires_at: grant.expires_at,
                signed_in_at: grant.signed_in_at,
                renewed_at: grant.renewed_at,
                selected: selected.as_ref() == Some(&grant.account),
            })
        })
        .collect();
    let bound_apps: BTreeMap<ClientAppId, AccountId> = state
        .bindings
        .apps
        .iter()
        .filter_map(|(app, servers)| Some((app.clone(), servers.get(&server.id)?.clone())))
        .collect();
    ServerView {
        id: server.id.clone(),
        label: server.label.clone(),
        endpoint: server.endpoint.clone(),
        auth: server.auth,
        state: if paused && server.revoked_by().is_none() {
            ServerState::Paused
        } else {
            server_state(server, &grants, selected.as_ref(), !bound_apps.is_empty())
        },
        origin: server.origin.clone(),
        headers: server.headers.clone(),
        registration: server.registration.clone(),
        development: server.endpoint.url().scheme() == "http" && server.endpoint.reach() == Reach::Loopback,
        private_network: server.private_network,
        era: server.era,
        selected,
        grants,
        bound_apps,
        issuer: server.issuer.clone(),
        whoami: server.whoami().map(|(asked, _)| asked.to_string()),
        paused,
        closed: closed_view(state, server),
        trouble: None,
        lists: listed_views(state, server),
        private_ca: server.authority.is_some(),
    }
}

/// What nothing renews is over when its time has come, whether somebody has asked for it since or not.
pub(crate) fn state_at(grant: &Grant, now: UnixTime) -> GrantState {
    match grant.ends_at() {
        Some(end) if end <= now => GrantState::NeedsSignIn { reason: NOTHING_RENEWS_IT.to_owned() },
        Some(_) | None => grant.state.clone(),
    }
}

/// Why somebody must sign in again where no refresh token was ever given.
pub(crate) const NOTHING_RENEWS_IT: &str =
    "it has ended, and this server gives no refresh token that could renew it";

/// The list that closed a Server, and why.
fn closed_view(state: &State, server: &Server) -> Option<ClosedView> {
    list_rules::taken_back(state, server).map(|(by, reason)| ClosedView { by, reason })
}

fn listed_views(state: &State, server: &Server) -> Vec<ListedView> {
    let view = |listing: &Listing| ListedView {
        preset: listing.preset.to_string(),
        title: list_rules::title(state, &listing.preset),
        gone: listing.standing == ListingStanding::Gone,
    };
    server.listings.iter().map(view).collect()
}

fn server_state(
    server: &Server,
    grants: &[GrantView],
    selected: Option<&AccountId>,
    any_bound: bool,
) -> ServerState {
    if server.revoked_by().is_some() {
        return ServerState::Blocked;
    }
    if server.auth == AuthKind::None {
        return ServerState::Open;
    }
    let current = selected.and_then(|id| grants.iter().find(|g| g.account.id == *id));
    match (current.map(|g| &g.state), grants.is_empty()) {
        (Some(GrantState::Active), _) => ServerState::Connected,
        (Some(GrantState::RevokedByServer), _) => ServerState::RevokedByServer,
        (Some(GrantState::NeedsSignIn { .. } | GrantState::Revoked), _) => ServerState::NeedsSignIn,
        (None, true) => ServerState::SignedOut,
        (None, false) if any_bound => ServerState::Connected,
        (None, false) => ServerState::NobodyChosen,
    }
}
