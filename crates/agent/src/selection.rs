//! "Switch account": a pure change of the rules, then every bridge concerned takes it over.

use std::sync::Arc;

use ipc::{Error, ErrorCode, SwitchView};
use model::{AccountId, Bindings, ClientAppId, GrantState, ServerId, State};
use token_lease::OlderLeases;

use crate::agent::Agent;
use crate::sessions::Session;
use crate::{error, people, views};

impl Agent {
    /// Makes `account` the one that acts at a Server, or for one ClientApp at a Server. Returns when every
    /// bridge concerned has acknowledged or was cut off.
    pub(crate) async fn use_account(
        self: &Arc<Self>,
        server: &ServerId,
        account: Option<&str>,
        app: Option<&ClientAppId>,
        follow_selection: bool,
    ) -> Result<SwitchView, Error> {
        let chosen = self.read(|state| {
            if !state.servers.contains_key(server) {
                return Err(error::no_server(server));
            }
            if follow_selection {
                return Ok(None);
            }
            choose(state, server, account, app).map(Some)
        })?;
        self.change(|state| state.bindings = with(&state.bindings, server, chosen.as_ref(), app))
            .map_err(error::of_state)?;
        let concerned = |session: &Session| {
            session.server == *server && app.is_none_or(|app| session.app == *app) && session.entry.is_none()
        };
        let brought = self.bring(concerned, OlderLeases::Drain).await;
        self.read(|state| {
            // Another order may have come meanwhile: what is said is what holds.
            let bound = app.and_then(|app| state.bindings.apps.get(app)?.get(server));
            let in_force = bound.or_else(|| state.bindings.selection.get(server));
            let found = in_force.and_then(|id| state.accounts.get(id));
            let grant = in_force.and_then(|id| state.grant(id, server));
            Ok(SwitchView {
                server: server.clone(),
                app: app.cloned(),
                account: found.map(views::account_view),
                needs_sign_in: grant.is_none_or(|grant| grant.state != GrantState::Active),
                acknowledged: brought.acknowledged,
                cut_off: brought.cut_off,
            })
        })
    }
}

/// Who is meant: the named Account, or of exactly two the one that does not act now.
fn choose(
    state: &State,
    server: &ServerId,
    account: Option<&str>,
    app: Option<&ClientAppId>,
) -> Result<AccountId, Error> {
    if let Some(name) = account {
        return people::resolve(state, Some(server), name).map(|account| account.id.clone());
    }
    let here: Vec<&AccountId> =
        state.grants.iter().filter(|g| g.server == *server).map(|g| &g.account).collect();
    let bound = app.and_then(|app| state.bindings.apps.get(app)?.get(server));
    let current = bound.or_else(|| state.bindings.selection.get(server));
    match (&here[..], current) {
        ([one, other], Some(current)) if current == *one => Ok((*other).clone()),
        ([one, other], Some(current)) if current == *other => Ok((*one).clone()),
        ([], _) => Err(Error::new(ErrorCode::SignInNeeded, format!("nobody is signed in to {server}"))
            .hint(format!("run: hallpass login {server}"))),
        ([only], None) => Ok((*only).clone()),
        ([_], Some(_)) => {
            Err(Error::new(ErrorCode::Usage, format!("only one account is signed in to {server}"))
                .hint(format!("run: hallpass login {server}, and sign in as somebody else")))
        }
        ([_, _, ..], _) => {
            Err(Error::new(ErrorCode::Usage, format!("several accounts are signed in to {server}")).hint(
                format!("name one: hallpass switch {server} <account>; hallpass accounts list shows them"),
            ))
        }
    }
}

/// The rules with one changed.
fn with(
    bindings: &Bindings,
    server: &ServerId,
    account: Option<&AccountId>,
    app: Option<&ClientAppId>,
) -> Bindings {
    let mut next = bindings.clone();
    match (app, account) {
        (None, Some(account)) => {
            next.selection.insert(server.clone(), account.clone());
        }
        (Some(app), Some(account)) => {
            next.apps.entry(app.clone()).or_default().insert(server.clone(), account.clone());
        }
        (Some(app), None) => {
            if let Some(servers) = next.apps.get_mut(app) {
                servers.remove(server);
            }
            next.apps.retain(|_, servers| !servers.is_empty());
        }
        (None, None) => {}
    }
    next
}
