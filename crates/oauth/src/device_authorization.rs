//! Signing in on another device (RFC 8628): a short code is shown here, the person enters it there, and the
//! token endpoint is asked again and again until they have.
//!
//! ```text
//! request_device_authorization -> show code, address, QR -> PollSchedule::next -> wait -> poll -> after -> ...
//! ```
//! The schedule is pure: it is told how long the sign-in has been under way and answers how long to wait.

use std::time::Duration;

use model::{Endpoint, Secret};
use serde_json::{Map, Value};

use crate::ServerText;
use crate::http::{Http, HttpError, origin_of};
use crate::json_field;
use crate::retry_after::retry_after;
use crate::scopes::Scopes;
use crate::token::{TokenAnswer, TokenEndpoint, TokenError, post, token_of};
use crate::token_endpoint_auth::ClientAuthentication;

mod schedule;

pub use schedule::{Next, PollSchedule};

/// `grant_type` of this grant (RFC 8628 section 3.4).
pub const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// How long a code is good for where the issuer does not say (it must), and at the most.
const LIFETIME: (Duration, Duration) = (Duration::from_mins(5), Duration::from_mins(30));
/// The pause between two requests where the issuer does not say (RFC 8628 section 3.2), and at the most.
const INTERVAL: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(1));
/// Longest code, in characters.
const USER_CODE_CAP: usize = 64;
/// Longest device code, in bytes.
const DEVICE_CODE_CAP: usize = 4096;

/// What the person is shown, and what only we know.
#[derive(Clone, Debug)]
pub struct DeviceAuthorization {
    /// `device_code`.
    pub device_code: Secret<String>,
    /// `user_code`: to be shown as it is, beside the address, even where a QR code is shown (RFC 8628
    /// section 3.3.1: the person compares it).
    pub user_code: String,
    /// `verification_uri`: the address to type, safe to open.
    pub verification_uri: Endpoint,
    /// `verification_uri_complete`: the address with the code in it, for a QR code. On the origin of
    /// `verification_uri` or absent: what is scanned cannot be read by eye.
    pub verification_uri_complete: Option<Endpoint>,
    /// How long the code is good for.
    pub expires_in: Duration,
    /// The least pause between two requests.
    pub interval: Duration,
}

/// What to ask for (RFC 8628 section 3.1).
#[derive(Clone, Copy, Debug)]
pub struct DeviceAuthorizationRequest<'a> {
    /// `device_authorization_endpoint`.
    pub endpoint: &'a Endpoint,
    /// Who we are there.
    pub authentication: &'a ClientAuthentication,
    /// `scope`.
    pub scopes: &'a Scopes,
    /// `resource` (RFC 8707), exact; `None` only by a pin.
    pub resource: Option<&'a str>,
}

/// Begins a sign-in on another device.
pub async fn request_device_authorization(
    http: &dyn Http,
    request: &DeviceAuthorizationRequest<'_>,
) -> Result<DeviceAuthorization, DeviceAuthorizationError> {
    let scope = request.scopes.parameter();
    let mut fields = Vec::new();
    fields.extend(scope.as_deref().map(|scope| ("scope", scope)));
    fields.extend(request.resource.map(|resource| ("resource", resource)));
    let url = request.endpoint.as_str();
    let response = http.send(request.authentication.post(url, &fields)).await?;
    let origin = || origin_of(url);
    let body = response.json_object();
    match (response.status, body) {
        (200..=299, Some(body)) => {
            read(&body).map_err(|what| DeviceAuthorizationError::Malformed { origin: origin(), what })
        }
        (status @ (408 | 425 | 429 | 500..=599), _) => Err(DeviceAuthorizationError::Trouble {
            origin: origin(),
            status,
            retry_after: retry_after(&response.headers),
        }),
        (status, body) => {
            let body = body.unwrap_or_default();
            let code = json_field::text(&body, "error");
            Err(DeviceAuthorizationError::Refused {
                origin: origin(),
                code: ServerText::new(code.unwrap_or(&format!("status {status}"))),
                text: json_field::text(&body, "error_description").map(ServerText::new),
            })
        }
    }
}

/// How one request at the token endpoint ended.
#[derive(Debug)]
pub enum Polled {
    /// The person said yes.
    Tokens(TokenAnswer),
    /// `authorization_pending`: they have not decided.
    Pending,
    /// `slow_down`: they have not decided, and we ask too often.
    SlowDown,
    /// `access_denied`: they, or the issuer, said no.
    Denied {
        /// The issuer's words.
        text: Option<ServerText>,
    },
    /// `expired_token`: too late. A new sign-in has to be started by the person.
    Expired,
    /// No verdict: no network, a server in trouble. The sign-in goes on.
    Trouble(TokenError),
    /// Asking again cannot help.
    Failed(TokenError),
}

/// Asks once whether the person has decided (RFC 8628 sections 3.4 and 3.5).
pub async fn poll(http: &dyn Http, endpoint: TokenEndpoint<'_>, device_code: &Secret<String>) -> Polled {
    // Into the request body, which is a secret itself.
    let fields = [("grant_type", DEVICE_CODE), ("device_code", device_code.expose().as_str())];
    let mut fields = fields.to_vec();
    fields.extend(endpoint.resource.map(|resource| ("resource", resource)));
    let outcome = post(http, endpoint.url, endpoint.authentication, &fields).await;
    match outcome.and_then(|body| answer_of(&body)) {
        Ok(answer) => Polled::Tokens(answer),
        Err(TokenError::Refused { code, text }) => match code.as_str() {
            "authorization_pending" => Polled::Pending,
            "slow_down" => Polled::SlowDown,
            "access_denied" => Polled::Denied { text },
            "expired_token" => Polled::Expired,
            _ => Polled::Failed(TokenError::Refused { code, text }),
        },
        // A lost answer may have held the tokens: the next request will tell.
        Err(
            error
            @ (TokenError::NotSent { .. } | TokenError::Unknown { .. } | TokenError::NotAVerdict { .. }),
        ) => Polled::Trouble(error),
        Err(
            error @ (TokenError::Redirected { .. }
            | TokenError::InvalidGrant { .. }
            | TokenError::RegistrationGone { .. }
            | TokenError::Malformed { .. }),
        ) => Polled::Failed(error),
    }
}

/// Tokens, or the error that some issuers send with status 200
/// (https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps).
fn answer_of(body: &Map<String, Value>) -> Result<TokenAnswer, TokenError> {
    match (json_field::text(body, "access_token"), json_field::text(body, "error")) {
        (None, Some(code)) => Err(TokenError::Refused {
            code: ServerText::new(code),
            text: json_field::text(body, "error_description").map(ServerText::new),
        }),
        (Some(_), _) | (None, None) => token_of(body),
    }
}

/// Reads and checks (RFC 8628 section 3.2).
fn read(body: &Map<String, Value>) -> Result<DeviceAuthorization, &'static str> {
    let device_code = json_field::text(body, "device_code").ok_or("no device_code")?;
    if device_code.len() > DEVICE_CODE_CAP || !device_code.bytes().all(|b| matches!(b, 0x20..=0x7e)) {
        return Err("an unusable device_code");
    }
    let user_code = json_field::text(body, "user_code").ok_or("no user_code")?.trim();
    let shown = user_code.chars().count();
    if shown == 0 || shown > USER_CODE_CAP || ServerText::new(user_code).as_str() != user_code {
        return Err("a user_code that cannot be shown");
    }
    // Google writes `verification_url` (https://developers.google.com/identity/protocols/oauth2/limited-input-device).
    let uri = json_field::text(body, "verification_uri")
        .or_else(|| json_field::text(body, "verification_url"))
        .ok_or("no verification_uri")?;
    let verification_uri = Endpoint::parse(uri).map_err(|_| "a verification_uri that may not be opened")?;
    let complete = json_field::text(body, "verification_uri_complete")
        .or_else(|| json_field::text(body, "verification_url_complete"))
        .and_then(|uri| Endpoint::parse(uri).ok())
        .filter(|complete| complete.url().origin() == verification_uri.url().origin());
    Ok(DeviceAuthorization {
        device_code: Secret::from(device_code),
        user_code: user_code.to_owned(),
        verification_uri,
        verification_uri_complete: complete,
        expires_in: seconds(body, "expires_in").unwrap_or(LIFETIME.0).min(LIFETIME.1),
        interval: seconds(body, "interval").unwrap_or(INTERVAL.0).clamp(Duration::from_secs(1), INTERVAL.1),
    })
}

/// A number of seconds, in quotes or not; nonsense is as good as absent.
fn seconds(body: &Map<String, Value>, name: &str) -> Option<Duration> {
    let seconds = match body.get(name)? {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    Duration::try_from_secs_f64(seconds.min(1e9)).ok().filter(|d| !d.is_zero())
}

/// Why no sign-in on another device has begun.
#[derive(Debug, thiserror::Error)]
pub enum DeviceAuthorizationError {
    /// No answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// Try again later.
    #[error("{origin} cannot start a sign-in on another device now (status {status})")]
    Trouble {
        /// Scheme, host, port.
        origin: String,
        /// Status code.
        status: u16,
        /// When to try again, at the earliest.
        retry_after: Option<Duration>,
    },
    /// It does not do this for us.
    #[error("{origin} refused a sign-in on another device: {code}{}", crate::server_text::said(.text.as_ref()))]
    Refused {
        /// Scheme, host, port.
        origin: String,
        /// `error`.
        code: ServerText,
        /// Its words.
        text: Option<ServerText>,
    },
    /// The answer makes no sense.
    #[error("{origin} answered with {what}")]
    Malformed {
        /// Scheme, host, port.
        origin: String,
        /// What is wrong.
        what: &'static str,
    },
}

#[cfg(test)]
mod tests;
