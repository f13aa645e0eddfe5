//! The token endpoint: codes and refresh tokens against tokens, with rotation, reuse detection and every
//! fault that a token endpoint is known to have.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;

use super::client_assertion::verify;
use super::knobs::{
    AuthMethod, Availability, ExpiresIn, Identity, Knobs, TokenFault, TokenForm, TokenRequests, UnknownAt,
};
use super::ledger::{Pending, RefreshVerdict, SecretKind, sized};
use super::metadata::{DEVICE_CODE, JWT_BEARER, TOKEN_EXCHANGE};
use super::signing::decoded;
use super::{Inner, identity_assertion};
use crate::web::{Answer, Body, Incoming, bytes_reply, fields, html, json as json_reply};

pub(super) type Form = HashMap<String, String>;

pub(super) async fn token(inner: Arc<Inner>, request: Incoming) -> Answer {
    let form = fields(&request.body);
    let refresh = form.get("grant_type").is_some_and(|grant| grant == "refresh_token");
    let knobs = inner.knobs();
    {
        let mut ledger = inner.ledger();
        ledger.stats.token_requests += 1;
        ledger.stats.refresh_requests += u64::from(refresh);
        if let Some(verifier) = form.get("code_verifier") {
            ledger.note(SecretKind::Verifier, None, verifier);
        }
    }
    let fault = inner.take_token_fault(refresh);
    if let Some(answer) = before(&inner, fault.as_ref()).await {
        return answer;
    }
    let outcome = authenticate(&inner, &request, &form, &knobs).and_then(|registration| {
        match form.get("grant_type").map(String::as_str) {
            Some("authorization_code") => exchange_code(&inner, &form, &registration, &knobs),
            Some("refresh_token") => exchange_refresh(&inner, &form, &registration, &knobs),
            Some("client_credentials") => own_token(&inner, &form, &registration, &knobs),
            Some(DEVICE_CODE) => exchange_device(&inner, &form, &registration, &knobs),
            Some(TOKEN_EXCHANGE) => identity_assertion::exchange(&inner, &form, &registration, &knobs),
            Some(JWT_BEARER) => {
                let (pending, person) = identity_assertion::redeem(&inner, &form, &registration, &knobs)?;
                Ok(fresh(&inner, &pending, &person, With::AccessAlone, &knobs))
            }
            Some(_) | None => Err(Refusal::new("unsupported_grant_type")),
        }
    });
    // Counts the answer as lost if this task is dropped, with its connection, before the end.
    let mut unanswered = Unanswered { inner: Arc::clone(&inner), armed: outcome.is_ok() };
    if refresh && knobs.refresh_delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(knobs.refresh_delay_ms)).await;
    }
    match fault {
        Some(TokenFault::DropAfter) => return Answer::Drop,
        Some(TokenFault::PauseAfter) => inner.barrier.pause().await,
        Some(TokenFault::Redirect) => {
            let mut reply = bytes_reply(StatusCode::TEMPORARY_REDIRECT, "text/plain", "");
            let elsewhere = HeaderValue::from_static("http://localhost:9/token");
            reply.headers_mut().insert(header::LOCATION, elsewhere);
            return reply.into();
        }
        Some(_) | None => {}
    }
    unanswered.armed = false;
    match outcome {
        Ok(tokens) => json_reply(StatusCode::OK, &tokens).into(),
        Err(refusal) => refusal.reply().into(),
    }
}

/// The faults that come instead of the work.
async fn before(inner: &Inner, fault: Option<&TokenFault>) -> Option<Answer> {
    Some(match fault? {
        TokenFault::Status(code) => {
            let status = StatusCode::from_u16(*code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            json_reply(status, &json!({"error": "server_error"})).into()
        }
        TokenFault::TooManyRequests(seconds) => {
            let mut reply =
                json_reply(StatusCode::TOO_MANY_REQUESTS, &json!({"error": "temporarily_unavailable"}));
            reply.headers_mut().insert(header::RETRY_AFTER, (*seconds).into());
            reply.into()
        }
        TokenFault::Html => html(StatusCode::OK, "Maintenance", "<h1>Back soon</h1>").into(),
        TokenFault::InvalidClient => Refusal::invalid_client().reply().into(),
        TokenFault::InvalidGrant => Refusal::new("invalid_grant").reply().into(),
        TokenFault::Truncated => {
            bytes_reply(StatusCode::OK, "application/json", r#"{"access_token":"at-half","token_ty"#).into()
        }
        TokenFault::Hang(seconds) => {
            tokio::time::sleep(Duration::from_secs(u64::from(*seconds))).await;
            super::unavailable().into()
        }
        TokenFault::DropBefore => Answer::Drop,
        TokenFault::PauseBefore => {
            inner.barrier.pause().await;
            return None;
        }
        TokenFault::DropAfter | TokenFault::PauseAfter | TokenFault::Redirect => return None,
    })
}

/// RFC 6749 section 2.3: the registration must prove itself in the way that it registered.
pub(super) fn authenticate(
    inner: &Inner,
    request: &Incoming,
    form: &Form,
    knobs: &Knobs,
) -> Result<String, Refusal> {
    if form.contains_key("client_assertion") {
        return authenticate_by_key(inner, form, knobs);
    }
    let (id, secret, method) = if let Some(value) = request.header("authorization") {
        let (id, secret) = basic(value).ok_or_else(Refusal::invalid_client)?;
        (id, Some(secret), AuthMethod::Basic)
    } else {
        let id = form.get("client_id").cloned().ok_or_else(Refusal::invalid_client)?;
        let secret = form.get("client_secret").cloned();
        let method = if secret.is_some() { AuthMethod::Post } else { AuthMethod::None };
        (id, secret, method)
    };
    let ledger = inner.ledger();
    let Some(known) = ledger.registrations.get(&id) else {
        let by_document = knobs.client_id_metadata_documents && id.starts_with("http");
        let unknown = knobs.unknown_documents == Some(UnknownAt::TokenEndpoint);
        return if by_document && !unknown && method == AuthMethod::None {
            Ok(id)
        } else {
            Err(Refusal::invalid_client())
        };
    };
    let proven =
        known.auth == method && known.secret == secret && knobs.token_endpoint_auth.contains(&method);
    if proven { Ok(id) } else { Err(Refusal::invalid_client()) }
}

/// RFC 7523 section 3: the app's own key, for this issuer alone, each assertion once.
fn authenticate_by_key(inner: &Inner, form: &Form, knobs: &Knobs) -> Result<String, Refusal> {
    const KIND: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let get = |name: &str| form.get(name).map_or("", String::as_str);
    let mut ledger = inner.ledger();
    ledger.note(SecretKind::ClientAssertion, None, get("client_assertion"));
    let claimed = get("client_assertion").split('.').nth(1).and_then(decoded);
    let id = claimed.and_then(|claims| claims["sub"].as_str().map(str::to_owned));
    let id = id.ok_or_else(Refusal::invalid_client)?;
    let known = ledger.registrations.get(&id).ok_or_else(Refusal::invalid_client)?;
    let keys = known.keys.as_ref().filter(|_| known.auth == AuthMethod::PrivateKeyJwt);
    let assertion = keys.and_then(|keys| verify(get("client_assertion"), keys));
    let assertion = assertion.ok_or_else(Refusal::invalid_client)?;
    let right = get("client_assertion_type") == KIND
        && knobs.token_endpoint_auth.contains(&AuthMethod::PrivateKeyJwt)
        && assertion.text("iss") == Some(id.as_str())
        && assertion.text("aud") == Some(inner.issuer.as_str())
        && form.get("client_id").is_none_or(|named| *named == id)
        && ledger.use_once(assertion.text("jti").unwrap_or_default());
    if right { Ok(id) } else { Err(Refusal::invalid_client()) }
}

/// RFC 6749 section 2.3.1: both parts are form-encoded below the base64.
fn basic(value: &str) -> Option<(String, String)> {
    let encoded = value.strip_prefix("Basic ")?;
    let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    let plain = |part: &str| {
        let form = format!("v={part}");
        fields(form.as_bytes()).remove("v")
    };
    Some((plain(id)?, plain(secret)?))
}

fn exchange_code(inner: &Inner, form: &Form, registration: &str, knobs: &Knobs) -> Result<Value, Refusal> {
    let get = |name: &str| form.get(name).map_or("", String::as_str);
    let mut ledger = inner.ledger();
    let ledger = &mut *ledger;
    let code = ledger.codes.get_mut(get("code")).ok_or(Refusal::new("invalid_grant"))?;
    if let Some(family) = code.spent {
        ledger.punish(family);
        return Err(Refusal::new("invalid_grant"));
    }
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(get("code_verifier")));
    let right = code.pending.registration == registration
        && code.pending.redirect_uri == get("redirect_uri")
        && code.pending.challenge == challenge;
    if !right {
        return Err(Refusal::new("invalid_grant"));
    }
    check_resource(form, code.pending.resource.as_deref(), knobs)?;
    let (pending, person) = (code.pending.clone(), code.person.clone());
    let family = ledger.open_family(&pending, &person);
    if let Some(code) = ledger.codes.get_mut(get("code")) {
        code.spent = Some(family);
    }
    ledger.stats.code_exchanges += 1;
    let offline = pending.scope.split(' ').any(|scope| scope == "offline_access");
    let with_refresh = knobs.refresh_tokens && (offline || !knobs.refresh_needs_offline_access);
    let refresh = with_refresh.then(|| ledger.issue_refresh(family, &person, knobs.refresh_token_bytes));
    Ok(answer(inner, ledger, &Issue { family, person, refresh, id_token: true }, knobs))
}

fn exchange_refresh(inner: &Inner, form: &Form, registration: &str, knobs: &Knobs) -> Result<Value, Refusal> {
    let old = form.get("refresh_token").map_or("", String::as_str);
    let mut ledger = inner.ledger();
    let family = match ledger.judge_refresh(old, registration, knobs) {
        RefreshVerdict::Good(family) => family,
        RefreshVerdict::Unknown | RefreshVerdict::Reused => return Err(Refusal::new("invalid_grant")),
    };
    check_resource(form, ledger.families[family].resource.as_deref(), knobs)?;
    let person = knobs.refresh_as.clone().unwrap_or_else(|| ledger.families[family].person.clone());
    let refresh = knobs.rotation.then(|| {
        ledger.spend(old);
        ledger.stats.rotations += 1;
        ledger.issue_refresh(family, &person, knobs.refresh_token_bytes)
    });
    ledger.stats.refreshes += 1;
    let id_token = knobs.id_token_at_refresh;
    Ok(answer(inner, &mut ledger, &Issue { family, person, refresh, id_token }, knobs))
}

/// RFC 6749 section 4.4: the app itself, which must prove who it is.
fn own_token(inner: &Inner, form: &Form, registration: &str, knobs: &Knobs) -> Result<Value, Refusal> {
    if knobs.client_credentials != Availability::Open {
        return Err(Refusal::new("unsupported_grant_type"));
    }
    let mut ledger = inner.ledger();
    if !ledger.is_confidential(registration) {
        return Err(Refusal::new("unauthorized_client"));
    }
    let resource = form.get("resource").cloned();
    if knobs.resource_required && resource.is_none() {
        return Err(Refusal::new("invalid_target"));
    }
    ledger.stats.client_credentials += 1;
    drop(ledger);
    let pending = Pending {
        registration: registration.to_owned(),
        resource,
        scope: form.get("scope").cloned().unwrap_or_default(),
        ..Pending::default()
    };
    Ok(fresh(inner, &pending, registration, With::AccessAlone, knobs))
}

/// RFC 8628 section 3.4.
fn exchange_device(inner: &Inner, form: &Form, registration: &str, knobs: &Knobs) -> Result<Value, Refusal> {
    if knobs.device_authorization != Availability::Open {
        return Err(Refusal::new("unsupported_grant_type"));
    }
    let code = form.get("device_code").map_or("", String::as_str);
    let (pending, person) = inner.ledger().poll_device(code, registration)?;
    check_resource(form, pending.resource.as_deref(), knobs)?;
    Ok(fresh(inner, &pending, &person, With::RefreshAndIdentity, knobs))
}

/// What comes beside the access token of a new family.
#[derive(Clone, Copy, PartialEq, Eq)]
enum With {
    AccessAlone,
    RefreshAndIdentity,
}

fn fresh(inner: &Inner, pending: &Pending, person: &str, with: With, knobs: &Knobs) -> Value {
    let mut ledger = inner.ledger();
    let family = ledger.open_family(pending, person);
    let all = with == With::RefreshAndIdentity;
    let refresh = (all && knobs.refresh_tokens)
        .then(|| ledger.issue_refresh(family, person, knobs.refresh_token_bytes));
    answer(inner, &mut ledger, &Issue { family, person: person.to_owned(), refresh, id_token: all }, knobs)
}

/// RFC 8707 section 2.2.
fn check_resource(form: &Form, granted: Option<&str>, knobs: &Knobs) -> Result<(), Refusal> {
    match form.get("resource").map(String::as_str) {
        Some(asked) if Some(asked) == granted => Ok(()),
        None if !knobs.resource_required => Ok(()),
        Some(_) | None => Err(Refusal::new("invalid_target")),
    }
}

pub(super) fn issue_access_token(inner: &Inner, person: &str, resource: &str) -> String {
    let pending =
        Pending { resource: Some(resource.to_owned()), scope: "mcp".to_owned(), ..Pending::default() };
    let mut ledger = inner.ledger();
    let family = ledger.open_family(&pending, person);
    let issue = Issue { family, person: person.to_owned(), refresh: None, id_token: false };
    let tokens = answer(inner, &mut ledger, &issue, &inner.knobs());
    tokens["access_token"].as_str().unwrap_or_default().to_owned()
}

struct Issue {
    family: usize,
    person: String,
    refresh: Option<String>,
    id_token: bool,
}

fn answer(inner: &Inner, ledger: &mut super::ledger::Ledger, issue: &Issue, knobs: &Knobs) -> Value {
    let family = ledger.families[issue.family].clone();
    let access = match knobs.access_token_form {
        TokenForm::Opaque => sized("at", knobs.access_token_bytes),
        TokenForm::Jwt => inner.key.access_token(&inner.issuer, &family, &issue.person, knobs),
    };
    ledger.keep_access(&access, issue.family, &issue.person, knobs.access_token_lifetime);
    let mut tokens = json!({"access_token": access, "token_type": "Bearer", "scope": family.scope});
    match knobs.expires_in {
        ExpiresIn::Right => tokens["expires_in"] = knobs.access_token_lifetime.into(),
        ExpiresIn::Absent => {}
        ExpiresIn::Negative => tokens["expires_in"] = json!(-1),
        ExpiresIn::Text => tokens["expires_in"] = knobs.access_token_lifetime.to_string().into(),
        ExpiresIn::Null => tokens["expires_in"] = Value::Null,
        ExpiresIn::Huge => tokens["expires_in"] = json!(u64::MAX),
        ExpiresIn::Nonsense => tokens["expires_in"] = "soon".into(),
    }
    if let Some(refresh) = &issue.refresh {
        tokens["refresh_token"] = refresh.as_str().into();
    }
    let asked = family.scope.split(' ').any(|scope| scope == "openid");
    if issue.id_token && asked && knobs.identity == Identity::IdToken {
        let id_token = inner.key.id_token(&inner.issuer, &family, &issue.person, knobs);
        ledger.note(SecretKind::IdToken, Some(&issue.person), &id_token);
        tokens["id_token"] = id_token.into();
    }
    tokens
}

/// RFC 6749 section 5.2.
pub(super) struct Refusal {
    status: StatusCode,
    error: &'static str,
}

impl Refusal {
    pub(super) fn new(error: &'static str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, error }
    }

    pub(super) fn invalid_client() -> Self {
        Self { status: StatusCode::UNAUTHORIZED, error: "invalid_client" }
    }

    pub(super) fn reply(&self) -> Response<Body> {
        let mut reply = json_reply(
            self.status,
            &json!({"error": self.error, "error_description": "the testbed says no"}),
        );
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Basic realm=\"testbed\"");
            reply.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        reply
    }
}

impl Inner {
    /// The fault that meets this request, counted down where it is limited.
    fn take_token_fault(&self, refresh: bool) -> Option<TokenFault> {
        let mut knobs = self.knobs.lock().expect("no holder of this lock panics");
        let concerned = match knobs.token_fault_on {
            TokenRequests::All => true,
            TokenRequests::Codes => !refresh,
            TokenRequests::Refreshes => refresh,
        };
        let fault = knobs.token_fault.clone().filter(|_| concerned)?;
        if let Some(times) = &mut knobs.token_fault_times {
            *times = times.saturating_sub(1);
            if *times == 0 {
                knobs.token_fault = None;
                knobs.token_fault_times = None;
            }
        }
        Some(fault)
    }
}

struct Unanswered {
    inner: Arc<Inner>,
    armed: bool,
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if self.armed {
            self.inner.ledger().stats.answers_lost += 1;
        }
    }
}
