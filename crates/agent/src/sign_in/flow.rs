//! One sign-in from beginning to end.

use std::sync::Arc;

use ipc::{Error, ErrorCode, KeychainState, SignInStep};
use model::{AuthKind, ClientRegistration, Secret, Server};
use oauth::{
    ClientAuthentication, Discovered, FoundBy, Identity, Prompt, Protected, Reply, Scopes, SignedIn,
    TokenAnswer, TokenEndpoint, TokenError,
};
use token_lease::OlderLeases;
use token_store::{Renewal, StoreError};

use super::attempt::{self, Attempt};
use super::replaced::After;
use super::save::Saved;
use super::{Line, Wanted, Way, application, bind, device, pasted, provider, vouched};
use crate::agent::Agent;
use crate::network::Access;
use crate::servers::{chain, words};
use crate::{error, list_rules, redirects};

/// Runs it. The `Err` says why nothing was changed.
pub(super) async fn run(agent: &Arc<Agent>, wanted: &Wanted, line: &mut Line) -> Result<SignInStep, Error> {
    let deadline = attempt::deadline(wanted);
    // All slow or human things of the keychain come before the browser.
    agent.keychain().await.map_err(|e| error::of_store(&e))?;
    // It was found once, and may have been locked since: nobody signs in for nothing.
    if let KeychainState::Locked { .. } = agent.keychain_state().await {
        return Err(error::of_store(&StoreError::Locked));
    }
    let server = agent
        .read(|state| state.servers.get(&wanted.server).cloned())
        .ok_or_else(|| error::no_server(&wanted.server))?;
    agent.read(|state| list_rules::refuse_closed(state, &server))?;
    let mut saved = at(agent, wanted, &server, deadline, line).await?;
    let mut ended_too = false;
    for aside in std::mem::take(&mut saved.replaced) {
        ended_too |= agent.end_replaced(&aside).await == After::EndedToo;
    }
    if ended_too {
        line.step(SignInStep::Found {
            what: "the issuer ended the new sign-in together with the one that it replaces, so please sign in once \
                   more; from now on replaced ones are left to end by themselves there"
                .to_owned(),
        });
        saved = at(agent, wanted, &server, deadline, line).await?;
    }
    let done = saved.done;
    if let SignInStep::Done { account, .. } = &done
        && server.auth == AuthKind::IdentityProvider
    {
        vouched::connect_all(agent, &server.id, &account.id, line).await;
    }
    Ok(done)
}

/// The same at a Server whose own state has been looked at.
pub(super) async fn at(
    agent: &Arc<Agent>,
    wanted: &Wanted,
    server: &Server,
    deadline: tokio::time::Instant,
    line: &mut Line,
) -> Result<Saved, Error> {
    if let Way::Pasted(given) = &wanted.way {
        return pasted::run(agent, wanted, server, given, line).await;
    }
    let protected = match server.auth {
        AuthKind::Bearer => return Err(pasted::wanted_here(server)),
        AuthKind::IdentityProvider => provider::find(agent, server).await?,
        AuthKind::Oauth | AuthKind::None => find(agent, server, line).await?,
    };
    let scopes = list_rules::scopes(server, &protected).union(&wider(agent, wanted));
    let http = agent.network.http(&server.endpoint, Access::of(server))?;
    let attempt = Attempt { agent, http, server, protected: &protected, scopes: &scopes };
    let granted = match (&wanted.way, &server.registration.vouched_by) {
        // It was taken above.
        (Way::Pasted(_), _) => return Err(pasted::wanted_here(server)),
        (Way::Application, _) => application::run(&attempt).await?,
        (Way::IdToken(id_token), Some(provider)) => {
            vouched::by_id_token(&attempt, provider, id_token, line).await?
        }
        (Way::IdToken(_), None) => return Err(vouched::nobody_vouches(server)),
        (Way::Browser | Way::Device, Some(provider)) => vouched::run(&attempt, wanted, provider).await?,
        (Way::Device, None) => device::run(&attempt, deadline, line).await?,
        (Way::Browser, None) => {
            let prompt = attempt::prompt(agent, wanted, &protected.issuer);
            exchange(&attempt, wanted, &prompt, deadline, line).await?
        }
    };
    let bound = bind::bind(&attempt, wanted, &granted, line).await;
    if let Some(reply) = granted.reply {
        reply.finish(if bound.is_ok() { SignedIn::Yes } else { SignedIn::No }).await;
    }
    bound
}

/// What the issuer gave, before it is known to whom.
pub(super) struct Granted {
    pub(super) registration: ClientRegistration,
    pub(super) authentication: ClientAuthentication,
    /// The one that was sent with `openid`; a sign-in on another device has none.
    pub(super) nonce: Option<Secret<String>>,
    /// The waiting browser, where one came back.
    pub(super) reply: Option<Reply>,
    pub(super) answer: TokenAnswer,
    /// How the next tokens will be asked for.
    pub(super) renewal: Renewal,
    /// Whom they are known to belong to by the way in which they came.
    pub(super) whose: Whose,
}

/// Whose tokens are, before the issuer is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// It must be asked.
    AskIssuer,
    /// Nobody's: an application's.
    Application,
    /// The identity provider has said it.
    Vouched(Identity),
}

/// What the Server asked of this Account since it signed in: a wider sign-in asks for it too.
fn wider(agent: &Agent, wanted: &Wanted) -> Scopes {
    agent.read(|state| {
        let grant = wanted.account.as_ref().and_then(|account| state.grant(account, &wanted.server));
        let asked = grant.and_then(|grant| grant.step_up.as_ref());
        asked.map(|asked| Scopes::of(&asked.scopes)).unwrap_or_default()
    })
}

async fn find(agent: &Arc<Agent>, server: &Server, line: &Line) -> Result<Protected, Error> {
    let mut tell = |step| line.step(SignInStep::Found { what: words(&step) });
    let mut pin = redirects::pin(&server.registration);
    if server.registration.client_id.is_some() {
        // That client, and its secret, are known to one issuer and shown to no other.
        pin.issuer.clone_from(&server.issuer);
    }
    if let Some(issuer) = server.pinned_issuer() {
        // The list says who signs people in there, whatever the server says today.
        pin.issuer = Some(issuer.to_owned());
    }
    let search = agent.discover(server, pin, &mut tell);
    let found = tokio::select! {
        found = search => found?,
        () = line.cancelled() => return Err(cancelled()),
    };
    match found {
        Discovered::Protected(protected) if is_step_back(agent, server, &protected) => Err(Error::new(
            ErrorCode::Failed,
            format!("{} has named its issuer before and now publishes nothing about it", server.id),
        )
        .hint("nothing was sent; ask the server's operator, or remove the server and add it again")),
        Discovered::Protected(protected) => Ok(*protected),
        Discovered::Open if agent.was_never_asked(server) => {
            agent.use_as_open(server).await?;
            Err(Error::new(
                ErrorCode::Usage,
                format!("{} answers without a sign-in: from now on it is used as it is", server.id),
            )
            .hint("hallpass apps connect cursor puts it into an app"))
        }
        Discovered::Open => Err(Error::new(
            ErrorCode::Usage,
            format!("{} answers without a sign-in, so there is nobody to sign in as", server.id),
        )
        .hint("hallpass apps connect cursor uses it as it is")),
    }
}

impl Agent {
    /// A list brought it, and nobody has asked it yet how people sign in there.
    fn was_never_asked(&self, server: &Server) -> bool {
        server.issuer.is_none()
            && server.pinned_issuer().is_none()
            && server.auth == AuthKind::Oauth
            && self.read(|state| !state.grants.iter().any(|grant| grant.server == server.id))
    }

    /// Nobody is ever named to it.
    async fn use_as_open(self: &Arc<Self>, server: &Server) -> Result<(), Error> {
        self.change(|state| {
            if let Some(server) = state.servers.get_mut(&server.id) {
                server.auth = AuthKind::None;
            }
        })
        .map_err(error::of_state)?;
        self.bring(|session| session.server == server.id, OlderLeases::Drain).await;
        Ok(())
    }
}

/// Default paths of an old revision are no place for people who signed in by better ones: metadata that
/// vanish are how a server would send them elsewhere.
fn is_step_back(agent: &Agent, server: &Server, protected: &Protected) -> bool {
    protected.found == FoundBy::DefaultEndpoints
        && server.issuer.as_ref().is_some_and(|known| *known != protected.issuer)
        && agent.read(|state| state.grants.iter().any(|g| g.server == server.id))
}

/// Browser and token endpoint; once more with a new registration where the issuer has forgotten ours.
async fn exchange(
    attempt: &Attempt<'_>,
    wanted: &Wanted,
    prompt: &Prompt,
    deadline: tokio::time::Instant,
    line: &mut Line,
) -> Result<Granted, Error> {
    let mut again = true;
    loop {
        let trip = attempt.run(wanted, prompt, deadline, line).await?;
        let endpoint = TokenEndpoint {
            url: &attempt.protected.metadata.token_endpoint,
            authentication: &trip.authentication,
            resource: attempt.protected.resource_parameter.as_deref(),
        };
        let request = &trip.request;
        let redirect_uri = &request.expected.redirect_uri;
        let exchanged =
            oauth::exchange(&*attempt.http, endpoint, &trip.callback.code, &request.verifier, redirect_uri);
        match exchanged.await {
            Ok(answer) => {
                return Ok(Granted {
                    registration: trip.registration,
                    authentication: trip.authentication,
                    nonce: trip.request.nonce,
                    reply: trip.reply,
                    answer,
                    renewal: Renewal::RefreshToken,
                    whose: Whose::AskIssuer,
                });
            }
            Err(TokenError::RegistrationGone { .. })
                if again && attempt.forget(&trip.registration).await? =>
            {
                again = false;
                line.step(SignInStep::Found { what: attempt::registered_anew(&trip.registration) });
            }
            Err(error) => return Err(of_exchange(&error)),
        }
    }
}

pub(super) fn of_exchange(error: &TokenError) -> Error {
    let (code, hint) = match error {
        TokenError::NotSent { .. } | TokenError::Unknown { .. } | TokenError::NotAVerdict { .. } => {
            (ErrorCode::Unreachable, "nothing was changed; try again in a moment")
        }
        TokenError::InvalidGrant { .. } => {
            (ErrorCode::Failed, "nothing was changed; start the sign-in again")
        }
        TokenError::RegistrationGone { .. } => {
            (ErrorCode::Failed, "check the client id and secret with your administrator")
        }
        TokenError::Redirected { .. } | TokenError::Refused { .. } | TokenError::Malformed { .. } => {
            (ErrorCode::Failed, "nothing was changed; ask the server's operator to mend this")
        }
    };
    Error::new(code, chain(error)).hint(hint)
}

/// The person gave up.
pub(super) fn cancelled() -> Error {
    Error::new(ErrorCode::Cancelled, "the sign-in was cancelled; nothing was changed")
}
