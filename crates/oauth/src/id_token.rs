//! Verifies an id_token (OpenID Connect Core section 3.1.3.7): the strongest evidence of who signed in.

use std::time::Duration;

use chrono::{DateTime, Utc};
use model::{Endpoint, Secret, Tenant, UnixTime};
use openidconnect::core::{
    CoreGenderClaim, CoreIdTokenVerifier, CoreJsonWebKeySet, CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
};
use openidconnect::{
    AdditionalClaims, ClaimsVerificationError, ClientId, IdToken, IssuerUrl, Nonce, NonceVerifier,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::document::{Document, DocumentError, fetch};
use crate::http::Http;
use crate::identity::Person;
use crate::tenant::tenant_of;

/// How far clocks may be apart.
const SKEW: Duration = Duration::from_mins(2);

/// What an id_token is measured by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdTokenRules<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) client_id: &'a str,
    /// The nonce that was sent; `None` at a refresh, or where none was sent.
    pub(crate) nonce: Option<&'a Secret<String>>,
    pub(crate) now: UnixTime,
}

/// Fetches the issuer's keys, without a secret.
pub(crate) async fn fetch_keys(
    http: &dyn Http,
    jwks_uri: &Endpoint,
) -> Result<CoreJsonWebKeySet, IdTokenError> {
    let Document::Found(document) = fetch(http, jwks_uri.as_str()).await? else {
        return Err(IdTokenError::NoKeys);
    };
    serde_json::from_value(document.into()).map_err(|_| IdTokenError::NoKeys)
}

/// Verifies signature, algorithm, `iss`, `aud`, `azp`, `nonce`, `exp`, `iat` and `sub`.
pub(crate) fn verify(
    token: &Secret<String>,
    keys: CoreJsonWebKeySet,
    rules: IdTokenRules<'_>,
) -> Result<Person, IdTokenError> {
    // To be parsed; nothing of it is kept but claims about the person.
    let token: TenantIdToken = token.expose().parse().map_err(|_| IdTokenError::Malformed)?;
    let issuer = IssuerUrl::new(rules.issuer.to_owned()).map_err(|_| IdTokenError::Malformed)?;
    let earliest = at(rules.now.0.saturating_sub(SKEW.as_secs()));
    let latest = at(rules.now.after(SKEW).0);
    // A public verifier even where there is a secret: an id_token signed with it proves nothing.
    let verifier =
        CoreIdTokenVerifier::new_public_client(ClientId::new(rules.client_id.to_owned()), issuer, keys)
            .set_allowed_algs(ALGORITHMS)
            .set_time_fn(move || earliest)
            .set_issue_time_verifier_fn(move |issued| {
                if issued <= latest { Ok(()) } else { Err("issued in the future".to_owned()) }
            });
    let claims = token
        .into_claims(&verifier, SentNonce(rules.nonce))
        .map_err(|source| IdTokenError::Refused { source: Box::new(source) })?;
    if claims.authorized_party().is_some_and(|party| party.as_str() != rules.client_id) {
        return Err(IdTokenError::OtherParty);
    }
    let subject = claims.subject().as_str();
    if subject.is_empty() {
        return Err(IdTokenError::NoSubject);
    }
    let name = claims.name().and_then(|name| name.get(None)).map(|name| name.as_str());
    let user_name = claims.preferred_username().map(|name| name.as_str());
    Ok(Person {
        subject: subject.to_owned(),
        name: name.or(user_name).map(str::to_owned),
        email: claims.email().map(|email| email.as_str().to_owned()),
        email_verified: claims.email_verified() == Some(true),
        tenant: claims.additional_claims().tenant(),
    })
}

/// An id_token with what issuers say about the organisation. `acr` and `amr` are read by nobody: no rule of
/// ours depends on how somebody signed in.
type TenantIdToken =
    IdToken<TenantClaims, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>;

/// Of whatever type, so that an odd one does not lose the proof.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct TenantClaims {
    tid: Value,
    oid: Value,
    hd: Value,
    org_id: Value,
}

impl AdditionalClaims for TenantClaims {}

impl TenantClaims {
    fn tenant(&self) -> Option<Tenant> {
        let claims = [("tid", &self.tid), ("oid", &self.oid), ("hd", &self.hd), ("org_id", &self.org_id)];
        let claims: Map<String, Value> =
            claims.into_iter().map(|(name, value)| (name.to_owned(), value.clone())).collect();
        tenant_of(&claims)
    }
}

/// Asymmetric algorithms alone: a public key must never pass for a shared secret, nor `none` for a
/// signature. ES512 and ES256K are missing since openidconnect cannot check them.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// A nonce that was sent must come back; one that was not sent is not asked about.
struct SentNonce<'a>(Option<&'a Secret<String>>);

impl NonceVerifier for SentNonce<'_> {
    fn verify(self, found: Option<&Nonce>) -> Result<(), String> {
        match self.0 {
            // Only to be compared.
            Some(sent) => (&Nonce::new(sent.expose().clone())).verify(found),
            None => Ok(()),
        }
    }
}

fn at(seconds: u64) -> DateTime<Utc> {
    i64::try_from(seconds)
        .ok()
        .and_then(|s| DateTime::from_timestamp(s, 0))
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// Why an id_token proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum IdTokenError {
    /// The issuer's keys cannot be had now.
    #[error("the authorization server's keys cannot be had: {0}")]
    Fetch(#[from] DocumentError),
    /// There are no keys at `jwks_uri`.
    #[error("the authorization server publishes no keys that its id_token could be checked with")]
    NoKeys,
    /// Not an id_token.
    #[error("the id_token cannot be read")]
    Malformed,
    /// Signature, algorithm or a claim is wrong.
    #[error("the id_token does not prove who signed in")]
    Refused {
        /// What.
        source: Box<ClaimsVerificationError>,
    },
    /// `azp` is another app.
    #[error("the id_token was made for another app")]
    OtherParty,
    /// `sub` is empty.
    #[error("the id_token names nobody")]
    NoSubject,
}

impl IdTokenError {
    /// Right in everything but its time.
    pub(crate) fn is_stale(&self) -> bool {
        matches!(self, Self::Refused { source } if matches!(**source, ClaimsVerificationError::Expired(_)))
    }

    /// Made by another issuer, or for another app.
    pub(crate) fn names_another(&self) -> bool {
        match self {
            Self::OtherParty => true,
            Self::Refused { source } => matches!(
                **source,
                ClaimsVerificationError::InvalidIssuer(_) | ClaimsVerificationError::InvalidAudience(_)
            ),
            Self::Fetch(_) | Self::NoKeys | Self::Malformed | Self::NoSubject => false,
        }
    }
}
