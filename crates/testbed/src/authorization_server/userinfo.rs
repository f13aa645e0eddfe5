//! The endpoints that take a token: userinfo (OpenID Connect Core 5.3) and revocation (RFC 7009).

use http::{HeaderValue, Response, StatusCode, header};
use serde_json::json;

use super::Inner;
use super::knobs::{Availability, Identity};
use crate::web::{Body, Incoming, bytes_reply, fields, json as json_reply};

pub(super) fn userinfo(inner: &Inner, request: &Incoming) -> Response<Body> {
    let knobs = inner.knobs();
    match knobs.userinfo {
        Availability::Open if knobs.identity == Identity::Nothing => return super::not_found(),
        Availability::Absent => return super::not_found(),
        Availability::Unavailable => return super::unavailable(),
        Availability::Refused => return unauthorized(),
        Availability::Open => {}
    }
    let mut ledger = inner.ledger();
    let Some(token) = request.bearer().and_then(|token| ledger.introspect(token)) else {
        return unauthorized();
    };
    if !token.is_active() {
        return unauthorized();
    }
    ledger.stats.userinfo_requests += 1;
    json_reply(StatusCode::OK, &super::person_claims(knobs.userinfo_as.as_ref().unwrap_or(&token.person)))
}

/// Answers 200 whether or not there was something to revoke (RFC 7009 section 2.2).
pub(super) fn revoke(inner: &Inner, request: &Incoming) -> Response<Body> {
    match inner.knobs().revocation {
        Availability::Open => {}
        Availability::Absent => return super::not_found(),
        Availability::Unavailable => return super::unavailable(),
        Availability::Refused => {
            return json_reply(StatusCode::BAD_REQUEST, &json!({"error": "unsupported_token_type"}));
        }
    }
    let form = fields(&request.body);
    let registration = match super::token::authenticate(inner, request, &form, &inner.knobs()) {
        Ok(registration) => registration,
        Err(refusal) => return refusal.reply(),
    };
    let mut ledger = inner.ledger();
    let token = form.get("token").map_or("", String::as_str);
    let holder = inner.knobs().revocation_ends_all.then(|| ledger.holder(token, &registration)).flatten();
    let revoked = ledger.revoke(token, &registration);
    if let Some(person) = holder {
        ledger.revoke_all(&person, &registration);
    }
    ledger.stats.revocations += u64::from(revoked);
    bytes_reply(StatusCode::OK, "text/plain", "")
}

fn unauthorized() -> Response<Body> {
    let mut reply = json_reply(StatusCode::UNAUTHORIZED, &json!({"error": "invalid_token"}));
    let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
    reply.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    reply
}
