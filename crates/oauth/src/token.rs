//! The token endpoint: a code or a refresh token goes there, tokens come back (RFC 6749 sections 4.1.3
//! and 6), and every way in which they do not is told apart.

use std::time::Duration;

use model::{Endpoint, Secret};
use serde_json::{Map, Value};

use crate::ServerText;
use crate::http::{Http, HttpError};
use crate::json_field;
use crate::retry_after::retry_after;
use crate::token_answer::{Unusable, read};
use crate::token_endpoint_auth::ClientAuthentication;

pub use crate::token_answer::TokenAnswer;

/// Where tokens come from: sealed with the Grant, never looked up again.
#[derive(Clone, Copy, Debug)]
pub struct TokenEndpoint<'a> {
    /// `token_endpoint`.
    pub url: &'a Endpoint,
    /// Who we are there.
    pub authentication: &'a ClientAuthentication,
    /// `resource` (RFC 8707), exact; `None` only by a pin.
    pub resource: Option<&'a str>,
}

/// Exchanges a code (RFC 6749 section 4.1.3, RFC 7636 section 4.5).
pub async fn exchange(
    http: &dyn Http,
    endpoint: TokenEndpoint<'_>,
    code: &Secret<String>,
    verifier: &Secret<String>,
    redirect_uri: &str,
) -> Result<TokenAnswer, TokenError> {
    // Both go into the request body, which is a secret itself.
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code.expose()),
        ("redirect_uri", redirect_uri),
        ("code_verifier", verifier.expose()),
    ];
    ask(http, endpoint, &fields).await
}

/// Refreshes (RFC 6749 section 6). No scope is named: what was granted stays granted.
pub async fn refresh(
    http: &dyn Http,
    endpoint: TokenEndpoint<'_>,
    refresh_token: &Secret<String>,
) -> Result<TokenAnswer, TokenError> {
    // Into the request body, which is a secret itself.
    ask(http, endpoint, &[("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose())]).await
}

/// Asks for an access token with the fields of any grant, and adds `resource`.
pub(crate) async fn ask(
    http: &dyn Http,
    endpoint: TokenEndpoint<'_>,
    fields: &[(&str, &str)],
) -> Result<TokenAnswer, TokenError> {
    let mut fields = fields.to_vec();
    if let Some(resource) = endpoint.resource {
        fields.push(("resource", resource));
    }
    let body = post(http, endpoint.url, endpoint.authentication, &fields).await?;
    token_of(&body)
}

/// The tokens of a successful answer, checked.
pub(crate) fn token_of(body: &Map<String, Value>) -> Result<TokenAnswer, TokenError> {
    read(body).map_err(|unusable| unusable_answer(&unusable, body))
}

/// A request at a token endpoint. The `Ok` is the body of a successful answer, of whatever content.
pub(crate) async fn post(
    http: &dyn Http,
    url: &Endpoint,
    authentication: &ClientAuthentication,
    fields: &[(&str, &str)],
) -> Result<Map<String, Value>, TokenError> {
    let request = authentication.post(url.as_str(), fields);
    let response = http.send(request).await.map_err(|source| {
        if source.is_not_sent() { TokenError::NotSent { source } } else { TokenError::Unknown { source } }
    })?;
    let status = response.status;
    let retry_after = retry_after(&response.headers);
    let no_verdict = || TokenError::NotAVerdict { status, retry_after, text: None };
    let body =
        if response.says_json() || response.media_type().is_empty() { response.json_object() } else { None };
    match (status, body) {
        (408 | 425 | 429 | 500..=599, _) => Err(no_verdict()),
        (300..=399, _) => Err(TokenError::Redirected { status }),
        (200..=299, Some(body)) => Ok(body),
        (400..=499, Some(body)) => match json_field::text(&body, "error") {
            Some("invalid_grant") => Err(TokenError::InvalidGrant { text: words(&body) }),
            Some("invalid_client" | "unauthorized_client") => {
                Err(TokenError::RegistrationGone { text: words(&body) })
            }
            Some(code) => Err(TokenError::Refused { code: ServerText::new(code), text: words(&body) }),
            None => Err(no_verdict()),
        },
        (_, _) => Err(no_verdict()),
    }
}

/// A successful answer whose content is none.
pub(crate) fn unusable_answer(unusable: &Unusable, body: &Map<String, Value>) -> TokenError {
    match unusable {
        Unusable::NoToken => TokenError::NotAVerdict { status: 200, retry_after: None, text: words(body) },
        Unusable::Bad(what) => TokenError::Malformed { what },
    }
}

/// `error_description`, else `error`.
fn words(body: &Map<String, Value>) -> Option<ServerText> {
    json_field::text(body, "error_description").or(json_field::text(body, "error")).map(ServerText::new)
}

/// Why there are no tokens. The class decides what happens to a Grant; see each variant.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The server saw nothing: keep everything, try later.
    #[error("the authorization server cannot be reached")]
    NotSent {
        /// Why.
        source: HttpError,
    },
    /// The server may have acted: the old refresh token may be spent. One retry after a re-read.
    #[error("the authorization server did not answer to the end")]
    Unknown {
        /// Why.
        source: HttpError,
    },
    /// An answer that says nothing about the grant: keep everything, try later.
    #[error("the authorization server gave no usable answer (status {status}){}", crate::server_text::said(.text.as_ref()))]
    NotAVerdict {
        /// Status code.
        status: u16,
        /// When to try again, at the earliest.
        retry_after: Option<Duration>,
        /// Its words.
        text: Option<ServerText>,
    },
    /// A redirect, which a request with a secret never follows.
    #[error("the authorization server's token endpoint redirects (status {status}); nothing was sent on")]
    Redirected {
        /// Status code.
        status: u16,
    },
    /// `invalid_grant`: final, if the record still holds the token that was sent.
    #[error("the authorization server no longer accepts this sign-in{}", crate::server_text::said(.text.as_ref()))]
    InvalidGrant {
        /// Its words.
        text: Option<ServerText>,
    },
    /// `invalid_client`, `unauthorized_client`: the registration is gone. Keep everything; a person must act.
    #[error("the authorization server no longer knows Hallpass{}", crate::server_text::said(.text.as_ref()))]
    RegistrationGone {
        /// Its words.
        text: Option<ServerText>,
    },
    /// Another `error` (RFC 6749 section 5.2): the request is at fault, not the grant.
    #[error("the authorization server refused: {code}{}", crate::server_text::said(.text.as_ref()))]
    Refused {
        /// `error`.
        code: ServerText,
        /// Its words.
        text: Option<ServerText>,
    },
    /// Tokens came and cannot be used. The server has acted: the old refresh token may be spent.
    #[error("the authorization server's answer cannot be used: {what}")]
    Malformed {
        /// What is wrong.
        what: &'static str,
    },
}

#[cfg(test)]
mod tests;
