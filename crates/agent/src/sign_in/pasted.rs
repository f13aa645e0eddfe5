//! A personal token that somebody made at the server and pasted: it is shown to that server before it is kept, and
//! nobody is taken for somebody else because of it.

use std::sync::Arc;
use std::time::Duration;

use ipc::{Error, ErrorCode, SignInStep};
use model::{AuthKind, Secret, Server, TokenEndpointAuth, pasted_token};
use oauth::{
    Discovered, FoundBy, Identified, Identity, IdentityError, IdentitySources, Introspection,
    IntrospectionError, Protected, ServerPin, TokenAnswer,
};
use token_store::{Renewal, Seal, TokenSet};

use super::bind::{Fresh, told, unsaid};
use super::decide::Came;
use super::flow::cancelled;
use super::save::Saved;
use super::{Given, Line, Wanted};
use crate::agent::Agent;
use crate::mcp::VisitError;
use crate::network::Access;
use crate::servers::chain;

/// No token lives longer than this by anybody's word.
const LONGEST_LIFE: Duration = Duration::from_hours(24 * 366 * 100);

/// Keeps a token that its server takes, for whoever it is of.
pub(super) async fn run(
    agent: &Arc<Agent>,
    wanted: &Wanted,
    server: &Server,
    given: &Given,
    line: &mut Line,
) -> Result<Saved, Error> {
    refuse_where_none_is_taken(server)?;
    // Read here, and compared with nothing; what is wrong is said without repeating it.
    let token = pasted_token(given.text.expose()).map_err(|error| {
        Error::new(ErrorCode::Usage, error.to_string())
            .hint(format!("copy the token itself, whole, then: hallpass login {} --token-stdin", server.id))
    })?;
    let now = agent.world.now();
    if let Some(end) = given.ends_at
        && (end <= now || end.since(now) > LONGEST_LIFE)
    {
        return Err(Error::new(ErrorCode::Usage, "a token ends on a day that is still to come")
            .hint("say the day that stands beside the token where you made it, as --expires 2027-01-31"));
    }
    line.step(SignInStep::Found { what: format!("{} is shown the token", server.id) });
    let asking = identify(agent, server, &token, line);
    let (came, issuer) = tokio::select! {
        asked = asking => asked?,
        () = line.cancelled() => return Err(cancelled()),
    };
    let subject = match &came {
        Came::Proven(identity) => Some(identity.subject.clone()),
        Came::Told(..) | Came::Unverified | Came::Application(_) => None,
    };
    let set = TokenSet {
        access_token: token,
        refresh_token: None,
        id_token: None,
        expires_at: given.ends_at,
        lifetime: None,
        received_at: now,
        scopes: Vec::new(),
        generation: 1,
        epoch: 1,
        subject_checked: true,
        seal: Seal {
            issuer: issuer.clone(),
            // Nothing of it is ever sent to an issuer again.
            token_endpoint: String::new(),
            token_endpoint_auth: TokenEndpointAuth::None,
            revocation_endpoint: None,
            userinfo_endpoint: None,
            introspection_endpoint: None,
            jwks_uri: None,
            renewal: Renewal::Pasted,
            resource: server.endpoint.to_string(),
            endpoint: server.endpoint.to_string(),
            client_id: String::new(),
            client_secret: None,
            subject,
            told: None,
            server: wanted.server.clone(),
            // Replaced by the Account's own when it is saved.
            account: agent.world.account_id(),
        },
    };
    Fresh { agent, server, wanted, issuer: &issuer, came: Some(came), set }.bind(line).await
}

/// The server is asked first: an issuer never hears of a token that its own server refuses.
async fn identify(
    agent: &Arc<Agent>,
    server: &Server,
    token: &Secret<String>,
    line: &Line,
) -> Result<(Came, String), Error> {
    let of_visit = |error: VisitError| refused(server, &error);
    let mut inside = agent.enter(server, token).await.map_err(of_visit)?;
    let protected = issuer_of(agent, server).await?;
    let issuer = protected.as_ref().map_or_else(|| server.endpoint.origin(), |found| found.issuer.clone());
    if let Some(protected) = &protected
        && let Some(identity) = by_issuer(agent, server, protected, token).await?
    {
        inside.end().await;
        return Ok((Came::Proven(identity), issuer));
    }
    let whoami = inside.whoami().await;
    inside.end().await;
    let came = told(whoami.map_err(of_visit)?, &issuer, server, line);
    Ok((came, issuer))
}

/// Who signs people in there, where that is published.
async fn issuer_of(agent: &Arc<Agent>, server: &Server) -> Result<Option<Protected>, Error> {
    if server.auth != AuthKind::Oauth {
        return Ok(None);
    }
    match agent.discover(server, ServerPin::default(), &mut |_| {}).await {
        Ok(Discovered::Protected(found)) if found.found != FoundBy::DefaultEndpoints => Ok(Some(*found)),
        Err(error) if error.code == ErrorCode::Unreachable => Err(unsaid(&error.message)),
        // It names nobody who could be asked.
        Ok(Discovered::Protected(_) | Discovered::Open) | Err(_) => Ok(None),
    }
}

/// Whom the issuer names by this token: by its userinfo, or where Hallpass has a secret there, by introspection. Most
/// issuers do not know personal tokens, which proves nobody.
async fn by_issuer(
    agent: &Arc<Agent>,
    server: &Server,
    protected: &Protected,
    token: &Secret<String>,
) -> Result<Option<Identity>, Error> {
    let http = agent.network.http(&server.endpoint, Access::of(server))?;
    let now = agent.world.now();
    let client_id = server.registration.client_id.clone().unwrap_or_default();
    let sources = IdentitySources::new(&protected.metadata, &client_id);
    let answer = TokenAnswer {
        access_token: token.clone(),
        refresh_token: None,
        expires_in: None,
        scope: None,
        id_token: None,
    };
    let asked = oauth::identify(&*http, &sources, &answer, None, now).await;
    match asked.map_err(|error| unsaid(&chain(&error)))? {
        Identified::Proven(identity) => return Ok(Some(identity)),
        Identified::Unverified => {}
    }
    let ours = agent.read(|state| {
        let is_ours = |one: &&model::ClientRegistration| {
            one.issuer == protected.issuer && one.client_id == client_id && one.secret.is_some()
        };
        state.registrations.iter().find(is_ours).cloned()
    });
    let (Some(ours), Some(endpoint)) = (ours, &protected.metadata.introspection_endpoint) else {
        return Ok(None);
    };
    let audience = oauth::AssertionAudience::of(
        &protected.issuer,
        protected.metadata.token_endpoint.as_str(),
        protected.metadata.token_endpoint_auth_signing_alg_values_supported.as_deref(),
    );
    let us = crate::issuer_calls::Client { id: &ours.client_id, method: ours.token_endpoint_auth, audience };
    let authentication = agent.authentication(us, ours.secret.as_ref()).await?;
    let introspection = Introspection { endpoint, authentication: &authentication };
    match oauth::identify_by_introspection(&*http, &sources, introspection, token, now).await {
        Ok(Identified::Proven(identity)) => Ok(Some(identity)),
        Ok(Identified::Unverified)
        | Err(IdentityError::Introspection(
            IntrospectionError::OtherIssuer
            | IntrospectionError::OtherApp
            | IntrospectionError::Inactive
            | IntrospectionError::Expired,
        )) => Ok(None),
        Err(error) => Err(unsaid(&chain(&error))),
    }
}

/// Servers at which a personal token would go round what is in force there.
fn refuse_where_none_is_taken(server: &Server) -> Result<(), Error> {
    match server.auth {
        AuthKind::Oauth | AuthKind::Bearer => {}
        AuthKind::None => {
            return Err(Error::new(
                ErrorCode::Usage,
                format!("{} answers without a sign-in, so nothing is ever sent to it", server.id),
            )
            .hint("hallpass apps connect cursor uses it as it is"));
        }
        AuthKind::IdentityProvider => {
            return Err(Error::new(
                ErrorCode::Usage,
                format!("{} is an identity provider, which takes no personal token", server.id),
            )
            .hint(format!("run: hallpass login {}", server.id)));
        }
    }
    match server.pinned_issuer() {
        None => Ok(()),
        Some(issuer) => Err(Error::new(
            ErrorCode::Usage,
            format!("a list lets people sign in to {} at {issuer} alone, so no token is taken", server.id),
        )
        .hint(format!("run: hallpass login {}", server.id))),
    }
}

/// A server that offers no other way.
pub(super) fn wanted_here(server: &Server) -> Error {
    Error::new(ErrorCode::Usage, format!("{} takes a personal token, and offers no sign-in", server.id))
        .hint(format!("make a token there, then: hallpass login {} --token-stdin", server.id))
}

fn refused(server: &Server, error: &VisitError) -> Error {
    let what = format!("{}: {error}; nothing was kept", server.id);
    match error {
        VisitError::Refused => Error::new(ErrorCode::Failed, what).hint(format!(
            "see whether it is whole and still valid where you made it, then: hallpass login {} --token-stdin",
            server.id
        )),
        VisitError::NotLetIn => Error::new(ErrorCode::Failed, what).hint(format!(
            "give it the rights that the server asks for where you made it, then: hallpass login {} --token-stdin",
            server.id
        )),
        VisitError::NotNow(_) => Error::new(ErrorCode::Unreachable, what).hint("try again in a moment"),
        VisitError::Odd(_) => Error::new(ErrorCode::Failed, what)
            .hint(format!("hallpass servers test {} shows more", server.id)),
    }
}
