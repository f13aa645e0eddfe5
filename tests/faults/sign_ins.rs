//! Faults that meet a sign-in: before the browser, in it, and after it. Each ends with its cause in words, with nobody
//! bound to anything.

use serde_json::json;
use testbed::authorization_server::{Availability, CallbackIssuer, Consent, IdTokenFault, Identity};
use testbed::interposer::{Lie, Where};

use super::bench::{Bench, deep, endless, huge, json_lie, packed, page};

/// A fault at a sign-in.
pub(super) struct Case {
    pub(super) surface: &'static str,
    pub(super) fault: &'static str,
    pub(super) plant: fn(&Bench),
    /// This stands in the refusal.
    pub(super) says: &'static str,
}

const fn case(surface: &'static str, fault: &'static str, plant: fn(&Bench), says: &'static str) -> Case {
    Case { surface, fault, plant, says }
}

const REGISTER: Where = Where::path("/register");
const METADATA: Where = Where::path("/.well-known/o");
const KEYS: Where = Where::path("/jwks");
const USERINFO: Where = Where::path("/userinfo");
const RESOURCE: Where = Where::path("/.well-known/oauth-protected-resource");
const ENDPOINT: Where = Where::path("/mcp");
pub(super) const CODES: Where = Where { path: "/token", body: "authorization_code" };

/// Nothing is known of the issuer yet: no registration, no sign-in.
pub(super) fn before_the_browser() -> Vec<Case> {
    let mut cases = registration();
    cases.extend(metadata());
    cases.extend(protected_server());
    cases
}

/// Where the issuer is known, and the browser comes back.
pub(super) fn after_the_browser() -> Vec<Case> {
    let mut cases = browser();
    cases.extend(codes());
    cases.extend(identity());
    cases
}

fn registration() -> Vec<Case> {
    const S: &str = "registration";
    vec![
        case(S, "redirect to a stranger", |b| b.lie(REGISTER, b.away(307)), "a redirect"),
        case(S, "a page", |b| b.lie(REGISTER, page(200)), "not JSON"),
        case(S, "a page with 500", |b| b.lie(REGISTER, page(500)), "status 500"),
        case(S, "503", |b| b.lie(REGISTER, page(503)), "cannot register apps now"),
        case(S, "429", |b| b.lie(REGISTER, page(429)), "status 429"),
        case(S, "endless", |b| b.lie(REGISTER, endless()), "longer than"),
        case(S, "huge", |b| b.lie(REGISTER, huge()), "longer than"),
        case(S, "packed", |b| b.lie(REGISTER, packed()), "not JSON"),
        case(S, "deep", |b| b.lie(REGISTER, deep()), "not JSON"),
        case(S, "connection dropped", |b| b.lie(REGISTER, Lie::Drop), "did not answer to the end"),
        case(
            S,
            "odd characters in client_id",
            |b| b.lie(REGISTER, json_lie(201, &json!({"client_id": "app\r\nx: y"}))),
            "an unusable client_id",
        ),
        case(
            S,
            "odd characters in client_secret",
            |b| b.lie(REGISTER, json_lie(201, &json!({"client_id": "app", "client_secret": "\u{202e}x"}))),
            "an unusable client_secret",
        ),
        case(
            S,
            "another redirect URI",
            |b| {
                let uris = json!({"client_id": "app", "redirect_uris": ["https://evil.example/"]});
                b.lie(REGISTER, json_lie(201, &uris));
            },
            "as a place to return to",
        ),
        case(
            S,
            "HTML in the error",
            |b| {
                let error =
                    json!({"error": "invalid_client_metadata", "error_description": "<b>\u{1b}[31mno"});
                b.lie(REGISTER, json_lie(400, &error));
            },
            "<b>\\u{1b}[31mno",
        ),
    ]
}

fn metadata() -> Vec<Case> {
    const S: &str = "authorization server metadata";
    fn edit(bench: &Bench, change: fn(&mut serde_json::Value, &str)) {
        bench.lie(METADATA, Lie::Edit(change, bench.stranger.origin().to_owned()));
    }
    vec![
        case(S, "redirect to a stranger", |b| b.lie(METADATA, b.away(302)), "publishes no metadata"),
        case(
            S,
            "redirects without an end",
            |b| b.lie(METADATA, Lie::reply(302, &[("location", "/.well-known/openid-configuration")], "")),
            "redirects again and again",
        ),
        case(S, "a page", |b| b.lie(METADATA, page(200)), "publishes no metadata"),
        case(S, "503", |b| b.lie(METADATA, page(503)), "status 503"),
        case(S, "429", |b| b.lie(METADATA, page(429)), "status 429"),
        case(S, "endless", |b| b.lie(METADATA, endless()), "longer than"),
        case(S, "huge", |b| b.lie(METADATA, huge()), "longer than"),
        case(S, "packed", |b| b.lie(METADATA, packed()), "publishes no metadata"),
        case(S, "deep", |b| b.lie(METADATA, deep()), "publishes no metadata"),
        case(S, "connection dropped", |b| b.lie(METADATA, Lie::Drop), "did not answer to the end"),
        case(
            S,
            "cut short",
            |b| b.lie(METADATA, Lie::cut_short("application/json", "{")),
            "did not answer to the end",
        ),
        case(S, "silence", |b| b.lie(METADATA, Lie::Silence), "did not answer to the end"),
        case(S, "no HTTP", |b| b.lie(METADATA, Lie::Bytes(b"\0\0\0 SSH-2.0\r\n".into())), "did not answer"),
        case(S, "another issuer", |b| edit(b, |d, x| d["issuer"] = x.into()), "says that it is another one"),
        case(
            S,
            "the issuer with a slash more",
            |b| edit(b, |d, _| d["issuer"] = format!("{}/", d["issuer"].as_str().unwrap_or_default()).into()),
            "says that it is another one",
        ),
        case(S, "no issuer", |b| edit(b, |d, _| d["issuer"] = json!(null)), "names no issuer"),
        case(
            S,
            "no PKCE",
            |b| edit(b, |d, _| d["code_challenge_methods_supported"] = json!(null)),
            "does not say that it protects sign-ins with PKCE",
        ),
        case(
            S,
            "PKCE without S256",
            |b| edit(b, |d, _| d["code_challenge_methods_supported"] = json!(["plain"])),
            "does not support PKCE with S256",
        ),
        case(
            S,
            "no token endpoint",
            |b| edit(b, |d, _| d["token_endpoint"] = json!(null)),
            "no token_endpoint",
        ),
        case(
            S,
            "a script as authorization endpoint",
            |b| edit(b, |d, _| d["authorization_endpoint"] = "javascript:alert(1)".into()),
            "authorization_endpoint",
        ),
        case(
            S,
            "a file as authorization endpoint",
            |b| edit(b, |d, _| d["authorization_endpoint"] = "file:///etc/passwd".into()),
            "authorization_endpoint",
        ),
        case(
            S,
            "plain http to elsewhere as token endpoint",
            |b| edit(b, |d, _| d["token_endpoint"] = "http://as.example/token".into()),
            "token_endpoint may not be called",
        ),
        case(
            S,
            "a private address as registration endpoint",
            |b| edit(b, |d, _| d["registration_endpoint"] = "https://10.0.0.7/register".into()),
            "private network",
        ),
    ]
}

fn protected_server() -> Vec<Case> {
    const P: &str = "protected resource metadata";
    const C: &str = "challenge";
    fn tell(bench: &Bench, place: Where, lie: Lie) {
        bench.server.handle().tell(place, lie);
    }
    fn resource(bench: &Bench, change: fn(&mut serde_json::Value, &str)) {
        tell(bench, RESOURCE, Lie::Edit(change, bench.stranger.origin().to_owned()));
    }
    fn challenge(bench: &Bench, value: &str) {
        tell(bench, ENDPOINT, Lie::reply(401, &[("www-authenticate", value)], ""));
        tell(bench, RESOURCE, Lie::reply(404, &[], ""));
    }
    vec![
        case(
            P,
            "another resource",
            |b| resource(b, |d, x| d["resource"] = x.into()),
            "speaks of another resource",
        ),
        case(
            P,
            "no authorization server",
            |b| resource(b, |d, _| d["authorization_servers"] = json!([])),
            "names no authorization server",
        ),
        case(
            P,
            "a stranger as authorization server",
            |b| resource(b, |d, x| d["authorization_servers"] = json!([x])),
            "publishes no metadata",
        ),
        case(
            P,
            "a private address as authorization server",
            |b| resource(b, |d, _| d["authorization_servers"] = json!(["https://169.254.169.254"])),
            "private network",
        ),
        case(
            P,
            "a name that does not exist as authorization server",
            |b| resource(b, |d, _| d["authorization_servers"] = json!(["https://as.gone.invalid"])),
            "cannot reach https://as.gone.invalid",
        ),
        case(P, "503", |b| tell(b, RESOURCE, page(503)), "status 503"),
        case(P, "endless", |b| tell(b, RESOURCE, endless()), "longer than"),
        case(P, "connection dropped", |b| tell(b, RESOURCE, Lie::Drop), "did not answer to the end"),
        case(
            C,
            "foreign resource_metadata",
            |b| challenge(b, &format!("Bearer resource_metadata=\"{}/prm\"", b.stranger.origin())),
            "metadata lie at",
        ),
        case(
            C,
            "a script as resource_metadata",
            |b| challenge(b, "Bearer resource_metadata=\"javascript:alert(1)\""),
            "metadata lie at",
        ),
        case(C, "another kind of sign-in", |b| challenge(b, "Basic realm=\"x\""), "of the kind \"basic\""),
        case("endpoint", "redirect to a stranger", |b| tell(b, ENDPOINT, b.away(307)), "redirects to"),
        case("endpoint", "503", |b| tell(b, ENDPOINT, page(503)), "status 503"),
        case("endpoint", "endless", |b| tell(b, ENDPOINT, endless()), "longer than"),
    ]
}

fn browser() -> Vec<Case> {
    const S: &str = "answer in the browser";
    vec![
        case(
            S,
            "wrong state",
            |b| b.knobs(|k| k.callback_state = Some("another".into())),
            "did not come back in time",
        ),
        case(
            S,
            "wrong iss",
            |b| b.knobs(|k| k.callback_issuer = CallbackIssuer::Wrong),
            "another authorization server",
        ),
        case(
            S,
            "iss promised and absent",
            |b| b.knobs(|k| k.callback_issuer = CallbackIssuer::Absent),
            "does not say",
        ),
        case(
            S,
            "iss with a slash more",
            |b| b.knobs(|k| k.callback_issuer = CallbackIssuer::ExtraSlash),
            "another authorization server",
        ),
        case(
            S,
            "iss not promised and wrong",
            |b| {
                b.knobs(|k| {
                    k.advertise_callback_issuer = false;
                    k.callback_issuer = CallbackIssuer::Wrong;
                });
            },
            "another authorization server",
        ),
        case(S, "declined", |b| b.knobs(|k| k.consent = Consent::Deny), "declined"),
        case(
            S,
            "a page instead of the way back",
            |b| b.lie(Where::path("/consent"), page(200)),
            "did not come back in time",
        ),
        case(
            S,
            "the way back without a code",
            |b| {
                b.lie(
                    Where::path("/consent"),
                    Lie::reply(303, &[("location", "http://127.0.0.1:9/callback")], ""),
                );
            },
            "did not come back in time",
        ),
    ]
}

fn codes() -> Vec<Case> {
    const S: &str = "token endpoint";
    fn answer(bench: &Bench, body: &serde_json::Value) {
        bench.lie(CODES, json_lie(200, body));
    }
    vec![
        case(S, "redirect to a stranger (307)", |b| b.lie(CODES, b.away(307)), "redirects"),
        case(S, "redirect to a stranger (302)", |b| b.lie(CODES, b.away(302)), "redirects"),
        case(S, "a page", |b| b.lie(CODES, page(200)), "no usable answer"),
        case(S, "a page with 400", |b| b.lie(CODES, page(400)), "no usable answer (status 400)"),
        case(S, "503", |b| b.lie(CODES, page(503)), "status 503"),
        case(
            S,
            "429 with Retry-After",
            |b| b.lie(CODES, Lie::reply(429, &[("retry-after", "3600")], "")),
            "status 429",
        ),
        case(S, "endless", |b| b.lie(CODES, endless()), "longer than"),
        case(S, "huge", |b| b.lie(CODES, huge()), "longer than"),
        case(S, "packed", |b| b.lie(CODES, packed()), "no usable answer"),
        case(S, "deep", |b| b.lie(CODES, deep()), "no usable answer"),
        case(S, "connection dropped", |b| b.lie(CODES, Lie::Drop), "did not answer to the end"),
        case(S, "answer lost", |b| b.lie(CODES, Lie::Lose), "did not answer to the end"),
        case(
            S,
            "cut short",
            |b| b.lie(CODES, Lie::cut_short("application/json", "{\"access_token\":")),
            "did not answer to the end",
        ),
        case(
            S,
            "a line break in the access token",
            |b| answer(b, &json!({"access_token": "a\r\nx-evil: 1", "token_type": "Bearer"})),
            "characters that no token may hold",
        ),
        case(
            S,
            "letters of another script in the access token",
            |b| answer(b, &json!({"access_token": "\u{430}bc", "token_type": "Bearer"})),
            "characters that no token may hold",
        ),
        case(
            S,
            "a control character in the refresh token",
            |b| answer(b, &json!({"access_token": "a", "token_type": "Bearer", "refresh_token": "r\u{0}"})),
            "refresh token holds control characters",
        ),
        case(
            S,
            "another kind of token",
            |b| answer(b, &json!({"access_token": "a", "token_type": "mac"})),
            "not of the type Bearer",
        ),
        case(S, "no token", |b| answer(b, &json!({"scope": "mcp"})), "no usable answer"),
        case(
            S,
            "HTML in the error",
            |b| {
                let error =
                    json!({"error": "invalid_request", "error_description": "<script>\u{1b}[2J\u{202e}no"});
                b.lie(CODES, json_lie(400, &error));
            },
            "<script>\\u{1b}[2J\\u{202e}no",
        ),
        case(
            S,
            "invalid_grant",
            |b| b.lie(CODES, json_lie(400, &json!({"error": "invalid_grant"}))),
            "no longer accepts this sign-in",
        ),
    ]
}

fn identity() -> Vec<Case> {
    const I: &str = "id_token";
    const K: &str = "keys of the issuer";
    const U: &str = "userinfo";
    fn token(bench: &Bench, fault: IdTokenFault) {
        bench.knobs(|knobs| knobs.id_token_fault = Some(fault));
    }
    fn swap(bench: &Bench, change: fn(&mut serde_json::Value, &str)) {
        bench.lie(CODES, Lie::Edit(change, String::new()));
    }
    fn userinfo(bench: &Bench, lie: Lie) {
        bench.knobs(|knobs| knobs.identity = Identity::UserinfoOnly);
        bench.lie(USERINFO, lie);
    }
    vec![
        case(I, "another nonce", |b| token(b, IdTokenFault::Nonce), "does not prove who signed in"),
        case(I, "another audience", |b| token(b, IdTokenFault::Audience), "does not prove who signed in"),
        case(I, "another issuer", |b| token(b, IdTokenFault::Issuer), "does not prove who signed in"),
        case(I, "a forged signature", |b| token(b, IdTokenFault::Signature), "does not prove who signed in"),
        case(I, "expired", |b| token(b, IdTokenFault::Expired), "does not prove who signed in"),
        case(I, "no subject", |b| token(b, IdTokenFault::NoSubject), "it cannot be said who signed in"),
        case(
            I,
            "algorithm none",
            |b| swap(b, |d, _| d["id_token"] = unsigned(&d["id_token"], "none").into()),
            "it cannot be said who signed in",
        ),
        case(
            I,
            "a shared-secret algorithm",
            |b| swap(b, |d, _| d["id_token"] = unsigned(&d["id_token"], "HS256").into()),
            "does not prove who signed in",
        ),
        case(I, "no JWT at all", |b| swap(b, |d, _| d["id_token"] = "ana".into()), "cannot be read"),
        case(K, "redirect to a stranger", |b| b.lie(KEYS, b.away(302)), "publishes no keys"),
        case(K, "a page", |b| b.lie(KEYS, page(200)), "publishes no keys"),
        case(K, "503", |b| b.lie(KEYS, page(503)), "status 503"),
        case(K, "endless", |b| b.lie(KEYS, endless()), "longer than"),
        case(K, "connection dropped", |b| b.lie(KEYS, Lie::Drop), "did not answer to the end"),
        case(
            K,
            "no keys",
            |b| b.lie(KEYS, json_lie(200, &json!({"keys": []}))),
            "does not prove who signed in",
        ),
        case(U, "redirect to a stranger", |b| userinfo(b, b.away(307)), "who signed in"),
        case(U, "a page", |b| userinfo(b, page(200)), "who signed in"),
        case(U, "503", |b| userinfo(b, page(503)), "status 503"),
        case(U, "endless", |b| userinfo(b, endless()), "longer than"),
        case(U, "packed", |b| userinfo(b, packed()), "who signed in"),
        case(U, "connection dropped", |b| userinfo(b, Lie::Drop), "did not answer to the end"),
        case(
            U,
            "refused, and nothing else proves anybody",
            |b| {
                b.knobs(|k| {
                    k.identity = Identity::UserinfoOnly;
                    k.userinfo = Availability::Unavailable;
                });
            },
            "status 503",
        ),
    ]
}

/// The same claims under another algorithm, with a signature of nothing.
fn unsigned(token: &serde_json::Value, algorithm: &str) -> String {
    let claims = token.as_str().and_then(|token| token.split('.').nth(1)).unwrap_or_default();
    let head = match algorithm {
        // {"alg":"none","typ":"JWT"}
        "none" => "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0",
        // {"alg":"HS256","typ":"JWT","kid":"testbed-1"}
        _ => "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InRlc3RiZWQtMSJ9",
    };
    let signature = if algorithm == "none" { "" } else { "AAAA" };
    format!("{head}.{claims}.{signature}")
}
