//! Enterprise-managed authorization (MCP extension `io.modelcontextprotocol/enterprise-managed-authorization`;
//! draft-ietf-oauth-identity-assertion-authz-grant): a person signs in once at the company's identity provider,
//! which then vouches for them at the authorization server of each MCP server. No browser opens for those.
//!
//! ```text
//! id_token --request_id_jag at the identity provider--> ID-JAG --redeem_id_jag at the issuer--> access token
//! ```

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::{Endpoint, Secret, Tenant, UnixTime};
use serde_json::{Map, Value};

use crate::ServerText;
use crate::authorization_server_metadata::{AuthorizationServerMetadata, Offer};
use crate::http::Http;
use crate::identity::claims_of;
use crate::json_field;
use crate::scopes::Scopes;
use crate::tenant::tenant_of;
use crate::token::{TokenAnswer, TokenEndpoint, TokenError, ask};
use crate::token_endpoint_auth::ClientAuthentication;
use crate::token_exchange::{TokenExchange, TokenType, exchange_token};

/// `grant_type` with which an assertion is redeemed (RFC 7523 section 2.1).
pub const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// How an issuer says that it takes identity assertions (draft section 7.2).
pub const ID_JAG_PROFILE: &str = "urn:ietf:params:oauth:grant-profile:id-jag";
/// `typ` of an ID-JAG (draft section 3.1).
const ID_JAG_HEADER: &str = "oauth-id-jag+jwt";

/// What shows at the identity provider who the person is.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// The id_token of their sign-in there.
    IdToken(&'a Secret<String>),
    /// The refresh token of their sign-in there (draft section 4.5), where the id_token has expired.
    RefreshToken(&'a Secret<String>),
}

/// The identity provider: where the person signed in.
#[derive(Clone, Copy, Debug)]
pub struct IdentityProvider<'a> {
    /// Its identifier, exact.
    pub issuer: &'a str,
    /// Its token endpoint, sealed at the sign-in.
    pub token_endpoint: &'a Endpoint,
    /// Who we are there.
    pub authentication: &'a ClientAuthentication,
}

/// The other side: where the assertion is to be redeemed.
#[derive(Clone, Copy, Debug)]
pub struct AssertionTarget<'a> {
    /// The issuer of the MCP server's tokens, exact: the `audience`.
    pub issuer: &'a str,
    /// The MCP server's resource identifier, exact.
    pub resource: &'a str,
    /// Who we are at that issuer: the assertion is made out to this client id.
    pub client_id: &'a str,
    /// What to ask for.
    pub scopes: &'a Scopes,
}

/// An identity assertion, good for one issuer and a few minutes.
#[derive(Clone)]
pub struct IdJag {
    assertion: Secret<String>,
    issuer: String,
    subject: String,
    scopes: Scopes,
}

impl IdJag {
    /// The one issuer that it may be shown to.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Whom the identity provider vouches for: `sub`. It was read out of its own answer.
    pub fn subject(&self) -> &str {
        &self.subject
    }
}

impl fmt::Debug for IdJag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdJag").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// Whether an issuer takes identity assertions: it says so, or lists the grant.
pub fn takes_identity_assertions(metadata: &AuthorizationServerMetadata) -> bool {
    let profiles = metadata.authorization_grant_profiles_supported.as_deref().unwrap_or_default();
    profiles.iter().any(|profile| profile == ID_JAG_PROFILE) || metadata.offers(JWT_BEARER) == Offer::Listed
}

/// Asks the identity provider to vouch for the person (draft section 4.3). What comes is compared with what was
/// asked for: an assertion about another issuer, app or resource is never passed on.
pub async fn request_id_jag(
    http: &dyn Http,
    provider: IdentityProvider<'_>,
    subject: Subject<'_>,
    target: AssertionTarget<'_>,
    now: UnixTime,
) -> Result<IdJag, IdentityAssertionError> {
    let (subject_token, subject_token_type) = match subject {
        Subject::IdToken(token) => (token, TokenType::IdToken),
        Subject::RefreshToken(token) => (token, TokenType::RefreshToken),
    };
    let exchange = TokenExchange {
        subject_token,
        subject_token_type,
        requested_token_type: TokenType::IdJag,
        audience: Some(target.issuer),
        resource: Some(target.resource),
        scopes: target.scopes,
    };
    let exchanged = exchange_token(http, provider.token_endpoint, provider.authentication, &exchange)
        .await
        .map_err(|source| of_provider(provider.issuer, source))?;
    let subject = check(&exchanged.token, provider.issuer, &target, now)
        .map_err(|what| IdentityAssertionError::Unusable { provider: provider.issuer.to_owned(), what })?;
    let scopes = exchanged.scope.as_deref().map_or_else(|| target.scopes.clone(), Scopes::parse);
    Ok(IdJag { assertion: exchanged.token, issuer: target.issuer.to_owned(), subject, scopes })
}

/// Redeems an assertion at the issuer that it is for (RFC 7523 section 2.1, draft section 4.4). `issuer` is who
/// the token endpoint belongs to: another one than the assertion's is not asked. A refresh token that comes
/// nevertheless is dropped, since the identity provider is to be asked each time (draft section 4.4.3).
pub async fn redeem_id_jag(
    http: &dyn Http,
    issuer: &str,
    endpoint: TokenEndpoint<'_>,
    id_jag: &IdJag,
) -> Result<TokenAnswer, IdentityAssertionError> {
    if id_jag.issuer != issuer {
        return Err(IdentityAssertionError::OtherIssuer {
            wanted: id_jag.issuer.clone(),
            found: issuer.to_owned(),
        });
    }
    let scope = id_jag.scopes.parameter();
    // Into the request body, which is a secret itself.
    let mut fields = vec![("grant_type", JWT_BEARER), ("assertion", id_jag.assertion.expose().as_str())];
    fields.extend(scope.as_deref().map(|scope| ("scope", scope)));
    let mut answer = ask(http, endpoint, &fields).await.map_err(|source| match source {
        TokenError::InvalidGrant { text } => {
            IdentityAssertionError::NotAccepted { issuer: issuer.to_owned(), text }
        }
        source => IdentityAssertionError::Token { at: issuer.to_owned(), source },
    })?;
    answer.refresh_token = None;
    Ok(answer)
}

/// What an id_token says, before anybody has verified it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdTokenClaims {
    /// `iss`.
    pub issuer: String,
    /// `sub`.
    pub subject: String,
    /// `aud`.
    pub audience: Vec<String>,
    /// `exp`.
    pub expires_at: Option<UnixTime>,
    /// `name`.
    pub name: Option<String>,
    /// `email`.
    pub email: Option<String>,
    /// `email_verified`.
    pub email_verified: bool,
    /// The organisation.
    pub tenant: Option<Tenant>,
}

/// Reads the claims of an id_token that its maker is yet to check. They count for something only once it has: when it
/// has vouched for this subject in exchange for it.
pub fn id_token_claims(token: &Secret<String>) -> Option<IdTokenClaims> {
    let claims = claims_of(token)?;
    let text = |name| json_field::text(&claims, name).map(str::to_owned);
    let audience = match claims.get("aud") {
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(Value::String(one)) => vec![one.clone()],
        _ => Vec::new(),
    };
    Some(IdTokenClaims {
        issuer: text("iss")?,
        subject: text("sub")?,
        audience,
        expires_at: claims.get("exp").and_then(Value::as_u64).map(UnixTime),
        name: text("name").or_else(|| text("preferred_username")),
        email: text("email"),
        email_verified: claims.get("email_verified").and_then(Value::as_bool).unwrap_or_default(),
        tenant: tenant_of(&claims),
    })
}

/// Compares the claims of an ID-JAG with what was asked for, and says whom it names. The signature is for the other
/// issuer to check.
fn check(
    token: &Secret<String>,
    provider: &str,
    target: &AssertionTarget<'_>,
    now: UnixTime,
) -> Result<String, &'static str> {
    // To be compared, not believed.
    let mut parts = token.expose().split('.');
    let (Some(header), Some(claims), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err("it is not a signed assertion");
    };
    let object = |text| -> Option<Map<String, Value>> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
    };
    let (Some(header), Some(claims)) = (object(header), object(claims)) else {
        return Err("it is not a signed assertion");
    };
    let kind = json_field::text(&header, "typ").unwrap_or_default();
    if !kind.eq_ignore_ascii_case(ID_JAG_HEADER) {
        return Err("it is not an identity assertion");
    }
    if json_field::text(&claims, "iss") != Some(provider) {
        return Err("it was made by another identity provider");
    }
    let audience = match claims.get("aud") {
        Some(Value::Array(list)) if list.len() == 1 => list.first().and_then(Value::as_str),
        Some(one) => one.as_str(),
        None => None,
    };
    if audience != Some(target.issuer) {
        return Err("it is for another authorization server");
    }
    if json_field::text(&claims, "client_id") != Some(target.client_id) {
        return Err("it is made out to another app");
    }
    match claims.get("resource") {
        None | Some(Value::Null) => {}
        Some(Value::String(resource)) if resource == target.resource => {}
        Some(Value::Array(list)) if *list == [Value::from(target.resource)] => {}
        Some(_) => return Err("it is for another server"),
    }
    let Some(subject) = json_field::text(&claims, "sub") else { return Err("it names nobody") };
    match claims.get("exp").and_then(Value::as_u64) {
        Some(end) if end > now.0 => Ok(subject.to_owned()),
        Some(_) => Err("it has expired"),
        None => Err("it does not say when it ends"),
    }
}

fn of_provider(issuer: &str, source: TokenError) -> IdentityAssertionError {
    match source {
        // The id_token or refresh token of the sign-in at the identity provider is no longer good.
        TokenError::InvalidGrant { text } => {
            IdentityAssertionError::SignInAgain { provider: issuer.to_owned(), text }
        }
        TokenError::Refused { code, text }
            if matches!(code.as_str(), "access_denied" | "invalid_target" | "invalid_scope") =>
        {
            IdentityAssertionError::NotAllowed { provider: issuer.to_owned(), code, text }
        }
        source => IdentityAssertionError::Token { at: issuer.to_owned(), source },
    }
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum IdentityAssertionError {
    /// The sign-in at the identity provider is over.
    #[error("sign in at {provider} again{}", crate::server_text::said(.text.as_ref()))]
    SignInAgain {
        /// Who.
        provider: String,
        /// Its words.
        text: Option<ServerText>,
    },
    /// The company's policy says no: to this person, this server, or these scopes.
    #[error("{provider} does not let you use this server: {code}{}", crate::server_text::said(.text.as_ref()))]
    NotAllowed {
        /// Who.
        provider: String,
        /// `error`.
        code: ServerText,
        /// Its words.
        text: Option<ServerText>,
    },
    /// What came is not what was asked for. It was shown to nobody.
    #[error("{provider} answered with an identity assertion that cannot be used: {what}")]
    Unusable {
        /// Who.
        provider: String,
        /// What is wrong.
        what: &'static str,
    },
    /// An assertion for one issuer must not be shown to another.
    #[error("the identity assertion is for {wanted} and was not shown to {found}")]
    OtherIssuer {
        /// Whom it is for.
        wanted: String,
        /// Whom it would have been shown to.
        found: String,
    },
    /// The issuer does not trust the identity provider, or not for this person.
    #[error("{issuer} does not accept the word of the identity provider{}", crate::server_text::said(.text.as_ref()))]
    NotAccepted {
        /// Who.
        issuer: String,
        /// Its words.
        text: Option<ServerText>,
    },
    /// The token endpoint of either side.
    #[error("{at}: {source}")]
    Token {
        /// Whose.
        at: String,
        /// Why.
        source: TokenError,
    },
}

#[cfg(test)]
mod tests;
