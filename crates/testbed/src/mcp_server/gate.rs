//! Who may come in: bearer tokens, the challenge, and protected resource metadata (RFC 9728).

use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use super::Inner;
use super::knobs::{Knobs, MetadataPlace};
use crate::web::{self, Body, Incoming};

/// A request that may come in: whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Visitor {
    /// `None` at a server without authorization.
    pub(super) person: Option<String>,
}

pub(super) fn admit(inner: &Inner, request: &Incoming) -> Result<Visitor, Box<Response<Body>>> {
    match request.bearer().and_then(|token| inner.personal().look_up(token)) {
        Some((person, true)) => return Ok(Visitor { person: Some(person) }),
        Some((_, false)) => return Err(Box::new(challenge(inner, Some("invalid_token")))),
        None if inner.tokens_only => {
            let error = request.bearer().map(|_| "invalid_token");
            return Err(Box::new(challenge(inner, error)));
        }
        None => {}
    }
    let Some(authorization) = &inner.authorization else {
        inner.stats().unexpected_credentials += u64::from(request.header("authorization").is_some());
        return Ok(Visitor { person: None });
    };
    let Some(token) = request.bearer() else { return Err(Box::new(challenge(inner, None))) };
    let Some(known) = authorization.introspect(token) else {
        return Err(Box::new(challenge(inner, Some("invalid_token"))));
    };
    let elsewhere = known.resource.as_deref() != Some(&inner.resource());
    if inner.knobs().check_resource && elsewhere {
        inner.stats().wrong_audience += 1;
        return Err(Box::new(challenge(inner, Some("invalid_token"))));
    }
    let refused = {
        let mut knobs = inner.knobs.lock().expect("no holder of this lock panics");
        let refused = knobs.refuse_tokens > 0;
        knobs.refuse_tokens = knobs.refuse_tokens.saturating_sub(1);
        refused
    };
    if refused || !known.is_active() {
        return Err(Box::new(challenge(inner, Some("invalid_token"))));
    }
    Ok(Visitor { person: Some(known.person) })
}

/// Whose token a request bears, good or not.
pub(super) fn bearer_of(inner: &Inner, request: &Incoming) -> Option<String> {
    let token = request.bearer()?;
    match inner.personal().look_up(token) {
        Some((person, _)) => Some(person),
        None => Some(inner.authorization.as_ref()?.introspect(token)?.person),
    }
}

/// 401 with `WWW-Authenticate` (RFC 6750 section 3, RFC 9728 section 5.1).
fn challenge(inner: &Inner, error: Option<&str>) -> Response<Body> {
    inner.stats().unauthorized += 1;
    let knobs = inner.knobs();
    let mut parameters = Vec::new();
    if let Some(error) = error {
        parameters.push(format!("error=\"{error}\""));
    }
    if knobs.metadata_in_challenge
        && !inner.tokens_only
        && let Some(place) = knobs.metadata_places.first()
    {
        parameters.push(format!("resource_metadata=\"{}{}\"", inner.origin, metadata_path(*place)));
    }
    if let Some(scope) = &knobs.challenge_scope {
        parameters.push(format!("scope=\"{scope}\""));
    }
    refusal(StatusCode::UNAUTHORIZED, "invalid_token", &parameters)
}

/// 403 `insufficient_scope`, if `tools/call` is to be refused so.
pub(super) fn insufficient_scope(knobs: &Knobs, method: &str) -> Option<Response<Body>> {
    let scope = knobs.insufficient_scope.as_ref().filter(|_| method == "tools/call")?;
    let parameters = ["error=\"insufficient_scope\"".to_owned(), format!("scope=\"{scope}\"")];
    Some(refusal(StatusCode::FORBIDDEN, "insufficient_scope", &parameters))
}

fn refusal(status: StatusCode, error: &str, parameters: &[String]) -> Response<Body> {
    let mut reply = web::json(status, &json!({"error": error}));
    let value = format!("Bearer {}", parameters.join(", "));
    if let Ok(value) = HeaderValue::from_str(value.trim_end()) {
        reply.headers_mut().insert(header::WWW_AUTHENTICATE, value);
    }
    reply
}

/// The document at `path`, if one stands there.
pub(super) fn metadata(inner: &Inner, path: &str) -> Option<Value> {
    let (knobs, authorization) = (inner.knobs(), inner.authorization.as_ref()?);
    knobs.metadata_places.iter().find(|place| metadata_path(**place) == path)?;
    let issuers = knobs.authorization_servers.unwrap_or_else(|| vec![authorization.issuer().to_owned()]);
    let mut document = json!({
        "resource": knobs.metadata_resource.unwrap_or_else(|| inner.resource()),
        "authorization_servers": issuers,
        "bearer_methods_supported": ["header"],
    });
    if !knobs.scopes_supported.is_empty() {
        document["scopes_supported"] = json!(knobs.scopes_supported);
    }
    Some(document)
}

fn metadata_path(place: MetadataPlace) -> String {
    match place {
        MetadataPlace::Path => format!("{WELL_KNOWN}{}", super::PATH),
        MetadataPlace::Root => WELL_KNOWN.to_owned(),
    }
}

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";
