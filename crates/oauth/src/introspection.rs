//! Asks an issuer whose an access token is, with credentials of our own (RFC 7662). The third kind of
//! evidence of who signed in: only where the issuer offers it to us, and never for a public client, whom
//! the issuer must not answer (RFC 7662 section 2.1).

use model::{AccountKey, Endpoint, ProofKind, Secret, UnixTime};
use serde_json::{Map, Value};

use crate::http::{Http, HttpError, HttpResponse};
use crate::identity::{Identified, Identity, IdentityError, IdentitySources, Person, SamePerson};
use crate::json_field;
use crate::tenant::tenant_of;
use crate::token_endpoint_auth::ClientAuthentication;

/// Where to ask, and who asks.
#[derive(Clone, Copy, Debug)]
pub struct Introspection<'a> {
    /// `introspection_endpoint`, sealed with the Grant.
    pub endpoint: &'a Endpoint,
    /// Ours.
    pub authentication: &'a ClientAuthentication,
}

/// Establishes who signed in where neither id_token nor userinfo could ([`crate::identify`] said
/// [`Identified::Unverified`]).
pub async fn identify_by_introspection(
    http: &dyn Http,
    sources: &IdentitySources,
    introspection: Introspection<'_>,
    access_token: &Secret<String>,
    now: UnixTime,
) -> Result<Identified, IdentityError> {
    match ask(http, sources, introspection, access_token, now).await? {
        Told::Person(person) => Ok(Identified::Proven(Identity {
            issuer: sources.issuer.clone(),
            subject: person.subject,
            name: person.name,
            email: person.email,
            email_verified: person.email_verified,
            proof: ProofKind::Introspection,
            tenant: person.tenant,
        })),
        Told::Nothing => Ok(Identified::Unverified),
    }
}

/// Compares the person behind refreshed tokens with the one before, where [`crate::same_person_at_refresh`]
/// found nothing to ask with.
pub async fn same_person_by_introspection(
    http: &dyn Http,
    sources: &IdentitySources,
    introspection: Introspection<'_>,
    key: &AccountKey,
    access_token: &Secret<String>,
    now: UnixTime,
) -> SamePerson {
    let subject = match key {
        AccountKey::Subject { issuer, subject } if *issuer == sources.issuer => subject,
        AccountKey::Subject { .. } => return SamePerson::Other,
        AccountKey::Told { .. } | AccountKey::Unverified { .. } | AccountKey::Application { .. } => {
            return SamePerson::NothingToAsk;
        }
    };
    match ask(http, sources, introspection, access_token, now).await {
        Ok(Told::Person(person)) if person.subject == *subject => SamePerson::Same(ProofKind::Introspection),
        Ok(Told::Nothing) => SamePerson::NothingToAsk,
        Ok(Told::Person(_)) | Err(IntrospectionError::OtherIssuer | IntrospectionError::OtherApp) => {
            SamePerson::Other
        }
        Err(
            IntrospectionError::Http(_)
            | IntrospectionError::Trouble { .. }
            | IntrospectionError::Inactive
            | IntrospectionError::Expired,
        ) => SamePerson::CannotAskNow,
    }
}

/// What the endpoint said.
enum Told {
    Person(Person),
    /// It does not tell us.
    Nothing,
}

async fn ask(
    http: &dyn Http,
    sources: &IdentitySources,
    introspection: Introspection<'_>,
    access_token: &Secret<String>,
    now: UnixTime,
) -> Result<Told, IntrospectionError> {
    if !introspection.authentication.proves_us() {
        return Ok(Told::Nothing);
    }
    // Into the request body, which is a secret itself.
    let fields = [("token", access_token.expose().as_str()), ("token_type_hint", "access_token")];
    let request = introspection.authentication.post(introspection.endpoint.as_str(), &fields);
    let response = http.send(request).await?;
    match response.status {
        200..=299 => judge(sources, &response, now),
        status @ (408 | 425 | 429 | 500..=599) => Err(IntrospectionError::Trouble { status }),
        _ => Ok(Told::Nothing),
    }
}

/// RFC 7662 section 2.2. Whatever is said of issuer, app and time must fit; `active` must be a literal `true`.
fn judge(
    sources: &IdentitySources,
    response: &HttpResponse,
    now: UnixTime,
) -> Result<Told, IntrospectionError> {
    // A signed answer (RFC 9701) is not read.
    let Some(body) = response.json_object().filter(|_| response.says_json()) else {
        return Ok(Told::Nothing);
    };
    if !json_field::flag(&body, "active") {
        return Err(IntrospectionError::Inactive);
    }
    let says = |name, ours: &str| match body.get(name) {
        None | Some(Value::Null) => true,
        Some(value) => value.as_str() == Some(ours),
    };
    if !says("iss", &sources.issuer) {
        return Err(IntrospectionError::OtherIssuer);
    }
    if !says("client_id", &sources.client_id) {
        return Err(IntrospectionError::OtherApp);
    }
    if body.get("exp").and_then(Value::as_u64).is_some_and(|end| end <= now.0) {
        return Err(IntrospectionError::Expired);
    }
    Ok(person(&body, &sources.client_id).map_or(Told::Nothing, Told::Person))
}

/// The person. A token of the app itself has the app as its subject, and is nobody's.
fn person(body: &Map<String, Value>, client_id: &str) -> Option<Person> {
    let text = |name| json_field::text(body, name).map(str::to_owned);
    let subject = text("sub").filter(|subject| subject != client_id)?;
    Some(Person {
        subject,
        name: text("name").or_else(|| text("username")),
        email: text("email"),
        email_verified: json_field::flag(body, "email_verified"),
        tenant: tenant_of(body),
    })
}

/// Why introspection cannot say whose a token is.
#[derive(Debug, thiserror::Error)]
pub enum IntrospectionError {
    /// No answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// Try again later.
    #[error("the authorization server cannot say whose the token is now (status {status})")]
    Trouble {
        /// Status code.
        status: u16,
    },
    /// `active` is not true.
    #[error("the authorization server does not accept the token that it has just given")]
    Inactive,
    /// `exp` has passed.
    #[error("the token has expired already")]
    Expired,
    /// `iss` is another one.
    #[error("the token was issued by another authorization server")]
    OtherIssuer,
    /// `client_id` is another one.
    #[error("the token was issued to another app")]
    OtherApp,
}

#[cfg(test)]
mod tests;
