//! The authorization endpoint: login form, consent form, and the way back to the redirect URI.

use http::{HeaderValue, Response, StatusCode, header};
use url::Url;

use super::Inner;
use super::knobs::{CallbackIssuer, Consent, UnknownAt};
use super::ledger::{Code, Pending, SecretKind, sized};
use super::registration::redirect_matches;
use crate::web::{Body, Incoming, fields, html, redirect};

/// RFC 6749 section 4.1.1. Errors before the redirect URI is known to be right are shown, not sent.
pub(super) fn authorize(inner: &Inner, request: &Incoming) -> Response<Body> {
    let query = fields(request.query.as_bytes());
    let get = |name: &str| query.get(name).cloned();
    let knobs = inner.knobs();
    inner.ledger().stats.authorization_requests += 1;
    let id = get("client_id").unwrap_or_default();
    let redirect_uri = get("redirect_uri").unwrap_or_default();
    let by_document = knobs.client_id_metadata_documents && id.starts_with("http");
    let allowed = match inner.ledger().registrations.get(&id) {
        Some(known) => redirect_matches(&known.redirect_uris, &redirect_uri, knobs.any_loopback_port),
        None if by_document => redirect_uri.starts_with("http://127.0.0.1:"),
        None => return refuse("unknown client_id"),
    };
    if !allowed {
        return refuse("redirect_uri is not registered");
    }
    let pending = Pending {
        registration: id,
        redirect_uri,
        state: get("state"),
        challenge: get("code_challenge").unwrap_or_default(),
        resource: get("resource"),
        scope: get("scope").unwrap_or_default(),
        nonce: get("nonce"),
        person: None,
    };
    if by_document
        && knobs.unknown_documents == Some(UnknownAt::Browser)
        && pending.registration.starts_with("http")
    {
        return back(inner, &pending, Err("unauthorized_client"));
    }
    if get("response_type").as_deref() != Some("code") {
        return back(inner, &pending, Err("unsupported_response_type"));
    }
    if pending.challenge.is_empty() || get("code_challenge_method").as_deref() != Some("S256") {
        return back(inner, &pending, Err("invalid_request"));
    }
    if knobs.resource_required && pending.resource.as_deref().is_none_or(|text| Url::parse(text).is_err()) {
        return back(inner, &pending, Err("invalid_target"));
    }
    let known = super::metadata::scopes(&knobs);
    if pending.scope.split_whitespace().any(|scope| !known.contains(&scope)) {
        return back(inner, &pending, Err("invalid_scope"));
    }
    // The short way for tests without a browser: ?person=ana&decision=allow
    if let (Some(person), Some(decision)) = (get("person"), get("decision")) {
        return decide(inner, &pending, &person, decision == "allow");
    }
    let prompt = get("prompt").unwrap_or_default();
    let anew = prompt.split(' ').any(|word| word == "login" || word == "select_account");
    let signed_in = cookie(request).and_then(|session| inner.ledger().browsers.get(&session).cloned());
    let ticket = sized("ticket", 0);
    match signed_in {
        Some(person) if !anew => {
            inner.ledger().pending.insert(ticket.clone(), Pending { person: Some(person), ..pending });
            redirect(&format!("{}/consent?ticket={ticket}", inner.issuer))
        }
        Some(_) | None if prompt == "none" => back(inner, &pending, Err("login_required")),
        Some(_) | None => {
            inner.ledger().pending.insert(ticket.clone(), pending);
            let hint = get("login_hint").unwrap_or_default();
            redirect(&format!("{}/login?ticket={ticket}&hint={}", inner.issuer, encoded(&hint)))
        }
    }
}

pub(super) fn login_form(inner: &Inner, request: &Incoming) -> Response<Body> {
    let query = fields(request.query.as_bytes());
    let (ticket, hint) = (query.get("ticket"), query.get("hint"));
    let (ticket, hint) =
        (escaped(ticket.map_or("", String::as_str)), escaped(hint.map_or("", String::as_str)));
    html(
        StatusCode::OK,
        "Sign in",
        &format!(
            r#"<h1>Sign in</h1><form method="post" action="{}/login"><input type="hidden" name="ticket" value="{ticket}"><input name="username" value="{hint}" autofocus><input type="password" name="password"><button type="submit">Sign in</button></form>"#,
            inner.issuer
        ),
    )
}

pub(super) fn login(inner: &Inner, request: &Incoming) -> Response<Body> {
    let form = fields(&request.body);
    let typed = form.get("username").map(|name| name.trim()).unwrap_or_default();
    let ticket = form.get("ticket").cloned().unwrap_or_default();
    let person = inner.knobs().sign_in_as.unwrap_or_else(|| typed.to_owned());
    if person.is_empty() {
        return redirect(&format!("{}/login?ticket={}", inner.issuer, encoded(&ticket)));
    }
    let session = sized("session", 0);
    let mut ledger = inner.ledger();
    let Some(pending) = ledger.pending.get_mut(&ticket) else { return refuse("this sign-in is over") };
    pending.person = Some(person.clone());
    ledger.browsers.insert(session.clone(), person);
    let mut reply = redirect(&format!("{}/consent?ticket={}", inner.issuer, encoded(&ticket)));
    let cookie = format!("{SESSION_COOKIE}={session}; Path=/; HttpOnly; SameSite=Lax");
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        reply.headers_mut().insert(header::SET_COOKIE, value);
    }
    reply
}

pub(super) fn consent_form(inner: &Inner, request: &Incoming) -> Response<Body> {
    let ticket = fields(request.query.as_bytes()).remove("ticket").unwrap_or_default();
    let Some(pending) = inner.ledger().pending.get(&ticket).cloned() else {
        return refuse("this sign-in is over");
    };
    let Some(person) = pending.person else { return refuse("nobody has signed in") };
    html(
        StatusCode::OK,
        "Consent",
        &format!(
            r#"<h1>{}</h1><p>{} asks for {}</p><form method="post" action="{}/consent"><input type="hidden" name="ticket" value="{}"><button type="submit" name="decision" value="allow">Allow</button><button type="submit" name="decision" value="deny">Deny</button></form>"#,
            escaped(&person),
            escaped(&pending.registration),
            escaped(&pending.scope),
            inner.issuer,
            escaped(&ticket)
        ),
    )
}

pub(super) fn consent(inner: &Inner, request: &Incoming) -> Response<Body> {
    let form = fields(&request.body);
    let ticket = form.get("ticket").cloned().unwrap_or_default();
    let Some(pending) = inner.ledger().pending.remove(&ticket) else { return refuse("this sign-in is over") };
    let Some(person) = pending.person.clone() else { return refuse("nobody has signed in") };
    decide(inner, &pending, &person, form.get("decision").is_some_and(|decision| decision == "allow"))
}

fn decide(inner: &Inner, pending: &Pending, person: &str, allow: bool) -> Response<Body> {
    if !allow || inner.knobs().consent == Consent::Deny {
        return back(inner, pending, Err("access_denied"));
    }
    let code = sized("code", 0);
    {
        let mut ledger = inner.ledger();
        ledger.stats.authorizations += 1;
        ledger.note(SecretKind::Code, Some(person), &code);
        let kept = Code { pending: pending.clone(), person: person.to_owned(), spent: None };
        ledger.codes.insert(code.clone(), kept);
    }
    back(inner, pending, Ok(&code))
}

/// RFC 6749 sections 4.1.2 and 4.1.2.1, with the `iss` of RFC 9207.
fn back(inner: &Inner, pending: &Pending, outcome: Result<&str, &str>) -> Response<Body> {
    let knobs = inner.knobs();
    let Ok(mut url) = Url::parse(&pending.redirect_uri) else { return refuse("redirect_uri is no address") };
    {
        let mut query = url.query_pairs_mut();
        match outcome {
            Ok(code) => query.append_pair("code", code),
            Err(error) => {
                query.append_pair("error", error).append_pair("error_description", "the testbed says no")
            }
        };
        if let Some(state) = knobs.callback_state.as_ref().or(pending.state.as_ref()) {
            query.append_pair("state", state);
        }
        match knobs.callback_issuer {
            CallbackIssuer::Right => query.append_pair("iss", &inner.issuer),
            CallbackIssuer::Wrong => query.append_pair("iss", "https://other.example"),
            CallbackIssuer::ExtraSlash => query.append_pair("iss", &format!("{}/", inner.issuer)),
            CallbackIssuer::Absent => &mut query,
        };
    }
    redirect(url.as_str())
}

fn refuse(why: &str) -> Response<Body> {
    html(StatusCode::BAD_REQUEST, "Error", &format!("<h1>Error</h1><p>{}</p>", escaped(why)))
}

fn cookie(request: &Incoming) -> Option<String> {
    let all = request.header("cookie")?;
    let mut pairs = all.split(';').filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == SESSION_COOKIE).map(|(_, value)| value.to_owned())
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const SESSION_COOKIE: &str = "testbed_session";
