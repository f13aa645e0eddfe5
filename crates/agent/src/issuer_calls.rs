//! Calls to an issuer on behalf of a sealed record: refresh, whose it is, revoke. Where they go was
//! decided at the sign-in; nothing is discovered here.

use std::sync::Arc;
use std::time::Duration;

use ipc::Error;
use model::{AccountKey, AuthKind, Endpoint, ItemId, Secret, Server, TokenEndpointAuth};
use oauth::{
    AssertionAudience, AssertionTarget, Before, ClientAuthentication, ClientCredentialsError,
    IdentitySources, Introspection, ReqwestHttp, RevocationError, SamePerson, Scopes, TokenAnswer,
    TokenEndpoint, TokenError, TokenKind,
};
use token_store::{Renewal, Seal, TokenSet};

use crate::agent::Agent;
use crate::network::Access;
use crate::refresh::{Refusal, Renewed, Subject};
use crate::servers::chain;
use crate::views::NOTHING_RENEWS_IT;
use crate::vouching::At;

/// What became of a revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Revoked {
    /// The issuer knows.
    Yes,
    /// The issuer could not be told now.
    NotYet,
    /// The issuer has no way to be told.
    NotOffered,
    /// It was told, and refused.
    Refused,
    /// What is to be revoked cannot be read any more, so it could be told to nobody.
    Unreadable,
}

/// Who we are to an issuer, before the keychain is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client<'a> {
    /// `client_id`.
    pub(crate) id: &'a str,
    /// How we authenticate.
    pub(crate) method: TokenEndpointAuth,
    /// Whom signed assertions are for.
    pub(crate) audience: AssertionAudience<'a>,
}

impl Agent {
    /// Asks the sealed token endpoint for the next tokens, with what renews these.
    pub(crate) async fn post_refresh(self: &Arc<Self>, set: &TokenSet) -> Result<Renewed, Refusal> {
        let not_sent = |error: Error| Refusal::NotSent(error.message);
        let server = self.server_of(&set.seal);
        let (http, authentication) =
            self.issuer(&set.seal, access(server.as_ref())).await.map_err(not_sent)?;
        let url = endpoint(&set.seal.token_endpoint).map_err(not_sent)?;
        // An identity provider was not asked for a resource, and would refuse to hear of one now.
        let is_provider = server.as_ref().is_some_and(|server| server.auth == AuthKind::IdentityProvider);
        let let_off = server.as_ref().is_some_and(|server| server.registration.except.resource);
        let resource = Some(set.seal.resource.as_str()).filter(|_| !is_provider && !let_off);
        let at = TokenEndpoint { url: &url, authentication: &authentication, resource };
        let answer = match &set.seal.renewal {
            Renewal::RefreshToken => {
                let Some(refresh_token) = &set.refresh_token else {
                    return Err(Refusal::Over(NOTHING_RENEWS_IT.to_owned()));
                };
                oauth::refresh(&*http, at, refresh_token).await.map_err(|error| refusal(&error))?
            }
            // A person made it, and makes the next one.
            Renewal::Pasted => return Err(Refusal::InvalidGrant),
            Renewal::ClientCredentials => {
                let scopes = Scopes::of(&set.scopes);
                oauth::client_credentials(&*http, at, &scopes).await.map_err(|error| match error {
                    ClientCredentialsError::Token(error) => refusal(&error),
                    error => Refusal::Over(error.to_string()),
                })?
            }
            Renewal::IdentityAssertion { provider } => {
                let scopes = Scopes::of(&set.scopes);
                let target = AssertionTarget {
                    issuer: &set.seal.issuer,
                    resource: &set.seal.resource,
                    client_id: &set.seal.client_id,
                    scopes: &scopes,
                };
                let at = At { http: &*http, endpoint: at, target };
                let vouched = self.vouched(&set.seal.account, provider, at).await;
                vouched.map_err(|error| error.refusal(provider))?
            }
        };
        let next = self.token_set(&answer, set);
        Ok(Renewed { set: next, id_token: answer.id_token })
    }

    /// Compares the person behind `set` with the sealed one.
    pub(crate) async fn compare_subject(
        &self,
        set: &TokenSet,
        id_token: Option<&Secret<String>>,
        old: Option<&TokenSet>,
    ) -> Subject {
        let Some(subject) = set.seal.subject.clone() else {
            let changed = old.is_some_and(|old| oauth::hints_differ(&old.access_token, &set.access_token));
            return if set.seal.told.is_none() {
                Subject::NothingToAsk
            } else if changed {
                Subject::Other
            } else {
                self.compare_told(set).await
            };
        };
        let server = self.server_of(&set.seal);
        let (http, authentication) = match self.issuer(&set.seal, access(server.as_ref())).await {
            Ok(issuer) => issuer,
            Err(error) => return Subject::CannotAsk(error.message),
        };
        let key = AccountKey::Subject { issuer: set.seal.issuer.clone(), subject };
        let sources = IdentitySources {
            issuer: set.seal.issuer.clone(),
            client_id: set.seal.client_id.clone(),
            jwks_uri: set.seal.jwks_uri.as_deref().and_then(|url| Endpoint::parse(url).ok()),
            userinfo_endpoint: set
                .seal
                .userinfo_endpoint
                .as_deref()
                .and_then(|url| Endpoint::parse(url).ok()),
        };
        let answer = TokenAnswer {
            access_token: set.access_token.clone(),
            refresh_token: None,
            expires_in: None,
            scope: None,
            id_token: id_token.cloned(),
        };
        let before = Before { key: &key, access_token: old.map(|old| &old.access_token) };
        let now = self.world.now();
        let mut verdict = oauth::same_person_at_refresh(&*http, &sources, before, &answer, now).await;
        let introspection =
            set.seal.introspection_endpoint.as_deref().and_then(|url| Endpoint::parse(url).ok());
        if let (SamePerson::NothingToAsk, Some(endpoint)) = (verdict, &introspection) {
            let introspection = Introspection { endpoint, authentication: &authentication };
            let token = &set.access_token;
            verdict =
                oauth::same_person_by_introspection(&*http, &sources, introspection, &key, token, now).await;
        }
        match verdict {
            SamePerson::Same(_) => Subject::Equal,
            SamePerson::Other => Subject::Other,
            SamePerson::CannotAskNow => {
                Subject::CannotAsk("the issuer cannot say now whose it is".to_owned())
            }
            SamePerson::NothingToAsk => Subject::NothingToAsk,
        }
    }

    /// Tells the issuer that nobody wants these tokens any more: the refresh token first, which ends the
    /// whole grant at most issuers, then the access token.
    pub(crate) async fn revoke_set(&self, set: &TokenSet, access: Access<'_>) -> Revoked {
        let Some(url) = set.seal.revocation_endpoint.as_deref().and_then(|url| Endpoint::parse(url).ok())
        else {
            return Revoked::NotOffered;
        };
        let Ok((http, authentication)) = self.issuer(&set.seal, access).await else { return Revoked::NotYet };
        let tokens = [
            set.refresh_token.as_ref().map(|token| (token, TokenKind::Refresh)),
            Some((&set.access_token, TokenKind::Access)),
        ];
        let mut outcome = Revoked::Yes;
        for (token, kind) in tokens.into_iter().flatten() {
            match oauth::revoke(&*http, &url, &authentication, token, kind).await {
                Ok(()) => {}
                Err(error) if error.is_worth_a_retry() => return Revoked::NotYet,
                // Issuers that cannot revoke this kind of token say so (RFC 7009 section 2.2.1).
                Err(RevocationError::Refused { .. }) if kind == TokenKind::Access => {}
                Err(error) => {
                    tracing::warn!(%error, "a token was not revoked");
                    outcome = Revoked::Refused;
                }
            }
        }
        outcome
    }

    /// The next token set of a sign-in.
    fn token_set(&self, answer: &TokenAnswer, old: &TokenSet) -> TokenSet {
        let received_at = self.world.now();
        TokenSet {
            access_token: answer.access_token.clone(),
            refresh_token: answer.refresh_token.clone().or_else(|| old.refresh_token.clone()),
            id_token: old.id_token.as_ref().map(|old| answer.id_token.as_ref().unwrap_or(old).clone()),
            expires_at: answer.expires_in.map(|life| received_at.after(life)),
            lifetime: answer.expires_in.map(|life| life.as_secs()),
            received_at,
            scopes: answer.scope.as_deref().map_or_else(|| old.scopes.clone(), split),
            generation: old.generation + 1,
            epoch: old.epoch,
            subject_checked: false,
            seal: old.seal.clone(),
        }
    }

    /// The Server that a token set was issued for, as it is now.
    pub(crate) fn server_of(&self, seal: &Seal) -> Option<Server> {
        self.read(|state| state.servers.get(&seal.server).cloned())
    }

    /// HTTP and authentication for a sealed issuer.
    pub(crate) async fn issuer(
        &self,
        seal: &Seal,
        access: Access<'_>,
    ) -> Result<(Arc<ReqwestHttp>, ClientAuthentication), Error> {
        let http = self.network.http(&endpoint(&seal.endpoint)?, access)?;
        // Which signatures the issuer takes was looked at when it signed the person in.
        let audience = AssertionAudience::of(&seal.issuer, &seal.token_endpoint, None);
        let client = Client { id: &seal.client_id, method: seal.token_endpoint_auth, audience };
        let authentication = self.authentication(client, seal.client_secret.as_ref()).await?;
        Ok((http, authentication))
    }

    /// How we authenticate, with what the keychain keeps for it.
    pub(crate) async fn authentication(
        &self,
        client: Client<'_>,
        kept: Option<&ItemId>,
    ) -> Result<ClientAuthentication, Error> {
        let kept = self.client_secret(kept).await?;
        let clock = self.world.clock();
        ClientAuthentication::of(client.id, client.method, kept, client.audience, clock).map_err(|error| {
            Error::new(ipc::ErrorCode::Failed, format!("the private key cannot be used: {error}"))
                .hint("remove the server and add it again with --token-endpoint-auth private-key-jwt and a key that the issuer knows")
        })
    }

    /// A client secret out of the keychain.
    pub(crate) async fn client_secret(&self, item: Option<&ItemId>) -> Result<Option<Secret<String>>, Error> {
        let Some(item) = item else { return Ok(None) };
        let of_store = |error| crate::error::of_store(&error);
        let found = self.keychain().await.map_err(of_store)?.load_secret(item).await.map_err(of_store)?;
        match found {
            Some(secret) => Ok(Some(secret.0)),
            None => {
                Err(Error::new(ipc::ErrorCode::Failed, "the client secret is not in the keychain any more")
                    .hint("remove the server and add it again with --client-id and --client-secret"))
            }
        }
    }
}

/// What is allowed for a Server; for one that is gone, what is allowed for all.
pub(crate) fn access(server: Option<&Server>) -> Access<'_> {
    server.map(Access::of).unwrap_or_default()
}

/// Scopes as a list.
pub(crate) fn split(scope: &str) -> Vec<String> {
    scope.split_ascii_whitespace().map(str::to_owned).collect()
}

/// The classes of security.md section 5.
fn refusal(error: &TokenError) -> Refusal {
    let text = chain(error);
    match error {
        TokenError::NotSent { .. } => Refusal::NotSent(text),
        TokenError::Unknown { .. } => Refusal::Unknown(text),
        TokenError::NotAVerdict { retry_after, .. } => {
            Refusal::NotAVerdict { what: text, retry_after: *retry_after }
        }
        TokenError::Redirected { .. } | TokenError::Refused { .. } | TokenError::Malformed { .. } => {
            Refusal::NotAVerdict { what: text, retry_after: Some(Duration::from_mins(1)) }
        }
        TokenError::InvalidGrant { .. } => Refusal::InvalidGrant,
        TokenError::RegistrationGone { .. } => Refusal::RegistrationGone,
    }
}

fn endpoint(url: &str) -> Result<Endpoint, Error> {
    Endpoint::parse(url).map_err(|error| {
        Error::new(ipc::ErrorCode::Failed, format!("a sealed address cannot be used any more: {error}"))
            .hint("sign in again")
    })
}
