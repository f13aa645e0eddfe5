//! A successful answer of the token endpoint (RFC 6749 section 5.1), checked before anything believes it.

use std::time::Duration;

use model::Secret;
use serde_json::{Map, Value};

use crate::json_field;

/// Longest lifetime that is believed where a refresh token came along: to renew too early costs nothing.
const LONGEST_RENEWED: Duration = Duration::from_hours(30 * 24);
/// The same where none came: nobody is to sign in again before it is needed.
pub(crate) const LONGEST_LIFE: Duration = Duration::from_hours(10 * 365 * 24);
/// Longest token, in bytes.
const TOKEN_CAP: usize = 64 * 1024;

/// Fresh tokens.
#[derive(Clone, Debug)]
pub struct TokenAnswer {
    /// `access_token`, a Bearer token (RFC 6750).
    pub access_token: Secret<String>,
    /// `refresh_token`; absent after a refresh means that the old one stays good.
    pub refresh_token: Option<Secret<String>>,
    /// `expires_in`, 0 to 30 days, or to ten years where no refresh token came; `None` if the server does not say or
    /// says nonsense.
    pub expires_in: Option<Duration>,
    /// `scope` as granted; `None` means as asked for.
    pub scope: Option<String>,
    /// `id_token`, not yet verified.
    pub id_token: Option<Secret<String>>,
}

/// Why an answer is not one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// No token in it.
    NoToken,
    /// A token that must not be used.
    Bad(&'static str),
}

/// Reads and checks.
pub(crate) fn read(body: &Map<String, Value>) -> Result<TokenAnswer, Unusable> {
    let access_token = json_field::text(body, "access_token").ok_or(Unusable::NoToken)?;
    if !is_token(access_token) {
        return Err(Unusable::Bad(
            "the access token holds characters that no token may hold, or is too long",
        ));
    }
    match json_field::text(body, "token_type") {
        Some(kind) if kind.eq_ignore_ascii_case("bearer") => {}
        Some(_) => return Err(Unusable::Bad("the token is not of the type Bearer")),
        None => return Err(Unusable::Bad("the token has no type")),
    }
    let optional = |name, what| match json_field::text(body, name) {
        Some(token) if is_printable(token) => Ok(Some(Secret::from(token))),
        Some(_) => Err(Unusable::Bad(what)),
        None => Ok(None),
    };
    let refresh_token =
        optional("refresh_token", "the refresh token holds control characters, or is too long")?;
    let longest = if refresh_token.is_some() { LONGEST_RENEWED } else { LONGEST_LIFE };
    Ok(TokenAnswer {
        access_token: Secret::from(access_token),
        refresh_token,
        expires_in: body.get("expires_in").and_then(|value| lifetime(value, longest)),
        scope: scope(body.get("scope")),
        id_token: optional("id_token", "the id_token holds control characters, or is too long")?,
    })
}

/// RFC 6750 section 2.1: `1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`.
fn is_token(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    !body.is_empty()
        && text.len() <= TOKEN_CAP
        && body.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b))
}

/// RFC 6749 appendix A.17: printable ASCII.
pub(crate) fn is_printable(text: &str) -> bool {
    text.len() <= TOKEN_CAP && text.bytes().all(|b| matches!(b, 0x20..=0x7e))
}

/// A number, or a number in quotes; never more than `longest`, never less than nothing.
pub(crate) fn lifetime(value: &Value, longest: Duration) -> Option<Duration> {
    let seconds = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    if seconds.is_nan() {
        return None;
    }
    Some(Duration::from_secs_f64(seconds.clamp(0.0, longest.as_secs_f64()).floor()))
}

/// A text, or a list of texts as some write it.
pub(crate) fn scope(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()),
        Value::Array(list) => Some(list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
    .filter(|scope| !scope.trim().is_empty())
}
