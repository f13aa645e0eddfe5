//! Who signed in, and whether it is still the same person after a refresh (OpenID Connect Core sections
//! 3.1.3.7, 5.3 and 12.2). Every doubt is an error, never another person.

use base64::Engine;
use model::{AccountKey, Endpoint, ProofKind, Secret, Tenant, TokenEndpointAuth, UnixTime};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::authorization_server_metadata::AuthorizationServerMetadata;
use crate::http::Http;
use crate::id_token::{IdTokenError, IdTokenRules, fetch_keys, verify};
use crate::introspection::IntrospectionError;
use crate::scopes::Scopes;
use crate::token::TokenAnswer;
use crate::userinfo::{Userinfo, UserinfoError, userinfo};

/// Where an issuer proves who somebody is: sealed with the Grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentitySources {
    /// The issuer, exact.
    pub issuer: String,
    /// `client_id`: what an id_token must be made for.
    pub client_id: String,
    /// `jwks_uri`.
    pub jwks_uri: Option<Endpoint>,
    /// `userinfo_endpoint`.
    pub userinfo_endpoint: Option<Endpoint>,
}

impl IdentitySources {
    /// Those of an issuer, for one registration.
    pub fn new(metadata: &AuthorizationServerMetadata, client_id: &str) -> Self {
        Self {
            issuer: metadata.issuer.clone(),
            client_id: client_id.to_owned(),
            jwks_uri: metadata.jwks_uri.clone(),
            userinfo_endpoint: metadata.userinfo_endpoint.clone(),
        }
    }
}

/// By what an issuer will prove a person, as far as its metadata tell before anybody signs in: for eyes, and
/// for the choice among ways to sign in. What then proves them is [`identify`]'s to say.
pub fn expected_proof(
    metadata: &AuthorizationServerMetadata,
    scopes: &Scopes,
    method: TokenEndpointAuth,
) -> ProofKind {
    if scopes.ask_for_identity() && metadata.jwks_uri.is_some() {
        ProofKind::IdToken
    } else if metadata.userinfo_endpoint.is_some() {
        ProofKind::Userinfo
    } else if metadata.introspection_endpoint.is_some() && method != TokenEndpointAuth::None {
        ProofKind::Introspection
    } else {
        ProofKind::Unknown
    }
}

/// A person, as an issuer proved them. Name and e-mail are for eyes and decide nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Exact.
    pub issuer: String,
    /// `sub`, exact.
    pub subject: String,
    /// `name` or `preferred_username`.
    pub name: Option<String>,
    /// `email`.
    pub email: Option<String>,
    /// `email_verified`.
    pub email_verified: bool,
    /// By what.
    pub proof: ProofKind,
    /// The organisation, where the issuer names one. Decides nothing.
    pub tenant: Option<Tenant>,
}

impl Identity {
    /// What makes them this person and no other.
    pub fn key(&self) -> AccountKey {
        AccountKey::Subject { issuer: self.issuer.clone(), subject: self.subject.clone() }
    }
}

/// What is known after a sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identified {
    /// The issuer proved it.
    Proven(Identity),
    /// Nothing proves anything: the Account is shown as unverified.
    Unverified,
}

/// Claims about a person, before it is said who claims them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) subject: String,
    pub(crate) name: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) email_verified: bool,
    pub(crate) tenant: Option<Tenant>,
}

/// Establishes who signed in: the id_token if there is one, with userinfo filling in name and e-mail;
/// else userinfo; else nobody knows. `nonce` is the one that was sent with `openid`.
pub async fn identify(
    http: &dyn Http,
    sources: &IdentitySources,
    answer: &TokenAnswer,
    nonce: Option<&Secret<String>>,
    now: UnixTime,
) -> Result<Identified, IdentityError> {
    let rules = IdTokenRules { issuer: &sources.issuer, client_id: &sources.client_id, nonce, now };
    let proven = match (&answer.id_token, &sources.jwks_uri) {
        (Some(token), Some(jwks_uri)) => Some(verify(token, fetch_keys(http, jwks_uri).await?, rules)?),
        (Some(_), None) | (None, _) => None,
    };
    let complete = proven.as_ref().is_some_and(|person| person.name.is_some() && person.email.is_some());
    let told = match &sources.userinfo_endpoint {
        Some(endpoint) if !complete => userinfo(http, endpoint, &answer.access_token).await,
        Some(_) | None => Ok(Userinfo::Silent),
    };
    match (proven, told) {
        (Some(person), Ok(Userinfo::Person(more))) => {
            if person.subject != more.subject {
                return Err(IdentityError::TwoPeople);
            }
            let merged = merge(person, more);
            Ok(proven_by(ProofKind::IdToken, sources, merged))
        }
        // The proof stands without a name.
        (Some(person), Ok(Userinfo::Silent) | Err(_)) => Ok(proven_by(ProofKind::IdToken, sources, person)),
        (None, Ok(Userinfo::Person(person))) => Ok(proven_by(ProofKind::Userinfo, sources, person)),
        (None, Ok(Userinfo::Silent)) => Ok(Identified::Unverified),
        (None, Err(error)) => Err(error.into()),
    }
}

/// What a refresh brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SamePerson {
    /// Proven anew.
    Same(ProofKind),
    /// Somebody else: revoke what came, sign in again.
    Other,
    /// The issuer cannot be asked now, or its proof cannot be checked: hand nothing out, ask again later.
    CannotAskNow,
    /// Nothing to ask with: the proof keeps its old date.
    NothingToAsk,
}

/// What was known before a refresh.
#[derive(Clone, Copy, Debug)]
pub struct Before<'a> {
    /// Whose the tokens are.
    pub key: &'a AccountKey,
    /// The access token before, for a look at whether its claims changed. No proof, only a reason to stop.
    pub access_token: Option<&'a Secret<String>>,
}

/// Compares the person behind refreshed tokens with the one before (OpenID Connect Core section 12.2).
pub async fn same_person_at_refresh(
    http: &dyn Http,
    sources: &IdentitySources,
    before: Before<'_>,
    answer: &TokenAnswer,
    now: UnixTime,
) -> SamePerson {
    if before.access_token.is_some_and(|old| hints_differ(old, &answer.access_token)) {
        return SamePerson::Other;
    }
    let subject = match before.key {
        AccountKey::Subject { issuer, subject } if *issuer == sources.issuer => subject,
        AccountKey::Subject { .. } => return SamePerson::Other,
        AccountKey::Told { .. } | AccountKey::Unverified { .. } | AccountKey::Application { .. } => {
            return SamePerson::NothingToAsk;
        }
    };
    let compare = |person: &Person, kind| {
        if person.subject == *subject { SamePerson::Same(kind) } else { SamePerson::Other }
    };
    if let (Some(token), Some(jwks_uri)) = (&answer.id_token, &sources.jwks_uri) {
        let rules = IdTokenRules { issuer: &sources.issuer, client_id: &sources.client_id, nonce: None, now };
        let Ok(keys) = fetch_keys(http, jwks_uri).await else { return SamePerson::CannotAskNow };
        match verify(token, keys, rules) {
            Ok(person) => return compare(&person, ProofKind::IdToken),
            // Some issuers hand the old one out again: no proof, and nothing against it either.
            Err(error) if error.is_stale() => {}
            Err(error) if error.names_another() => return SamePerson::Other,
            // A key that is not yet published, say: nothing is handed out, and nothing is destroyed.
            Err(_) => return SamePerson::CannotAskNow,
        }
    }
    let Some(endpoint) = &sources.userinfo_endpoint else { return SamePerson::NothingToAsk };
    match userinfo(http, endpoint, &answer.access_token).await {
        Ok(Userinfo::Person(person)) => compare(&person, ProofKind::Userinfo),
        Ok(Userinfo::Silent) => SamePerson::NothingToAsk,
        Err(_) => SamePerson::CannotAskNow,
    }
}

fn proven_by(proof: ProofKind, sources: &IdentitySources, person: Person) -> Identified {
    Identified::Proven(Identity {
        issuer: sources.issuer.clone(),
        subject: person.subject,
        name: person.name,
        email: person.email,
        email_verified: person.email_verified,
        proof,
        tenant: person.tenant,
    })
}

/// An e-mail and whether it is verified belong together: both come from the same source.
fn merge(first: Person, more: Person) -> Person {
    let (email, email_verified) = match first.email {
        Some(email) => (Some(email), first.email_verified),
        None => (more.email, more.email_verified),
    };
    let (name, tenant) = (first.name.or(more.name), first.tenant.or(more.tenant));
    Person { subject: first.subject, name, email, email_verified, tenant }
}

/// Whether two access tokens that happen to be JWTs speak of different people, issuers or tenants.
pub fn hints_differ(old: &Secret<String>, new: &Secret<String>) -> bool {
    let (Some(old), Some(new)) = (claims_of(old), claims_of(new)) else { return false };
    HINTS.iter().any(|name| {
        let (old, new) = (old.get(*name), new.get(*name));
        old.is_some() && new.is_some() && old != new
    })
}

/// Claims that stay with a person. `oid` and `tid` are Entra's.
const HINTS: [&str; 4] = ["sub", "iss", "tid", "oid"];

/// The unverified claims of a JWT; `None` for an opaque token.
pub(crate) fn claims_of(token: &Secret<String>) -> Option<Map<String, Value>> {
    // To be compared, never trusted and never kept.
    let mut parts = token.expose().split('.');
    let (Some(_), Some(claims), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// Why it cannot be said who signed in.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The id_token is there and wrong, or cannot be checked now.
    #[error(transparent)]
    IdToken(#[from] IdTokenError),
    /// Userinfo cannot be asked now.
    #[error(transparent)]
    Userinfo(#[from] UserinfoError),
    /// Introspection cannot be asked now, or speaks against the token.
    #[error(transparent)]
    Introspection(#[from] IntrospectionError),
    /// id_token and userinfo speak of two people.
    #[error("the authorization server names two different people for one sign-in")]
    TwoPeople,
}

#[cfg(test)]
mod tests;
