//! Token introspection (RFC 7662).

use http::{Response, StatusCode};
use serde_json::json;

use super::Inner;
use super::knobs::Availability;
use super::token::Refusal;
use crate::web::{Body, Incoming, fields, json as json_reply};

/// Only for those who can prove who they are (section 2.1), and only about their own tokens.
pub(super) fn introspect(inner: &Inner, request: &Incoming) -> Response<Body> {
    let knobs = inner.knobs();
    match knobs.introspection {
        Availability::Open => {}
        Availability::Absent => return super::not_found(),
        Availability::Refused => return Refusal::invalid_client().reply(),
        Availability::Unavailable => return super::unavailable(),
    }
    let form = fields(&request.body);
    let registration = match super::token::authenticate(inner, request, &form, &knobs) {
        Ok(registration) => registration,
        Err(refusal) => return refusal.reply(),
    };
    let mut ledger = inner.ledger();
    if !ledger.is_confidential(&registration) {
        return Refusal::invalid_client().reply();
    }
    ledger.stats.introspections += 1;
    let token = form.get("token").and_then(|token| ledger.introspect(token));
    let Some(token) = token.filter(|token| token.is_active() && token.registration == registration) else {
        return json_reply(StatusCode::OK, &json!({"active": false}));
    };
    let person = knobs.introspection_as.unwrap_or(token.person);
    json_reply(
        StatusCode::OK,
        &json!({
            "active": true, "sub": person, "username": person, "client_id": token.registration,
            "iss": inner.issuer, "scope": token.scope, "token_type": "Bearer", "aud": token.resource,
        }),
    )
}
