//! The authorization server over real sockets, with the scripted browser in front of it.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::Method;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use url::Url;

use super::*;
use crate::browser::{Browser, Decision};
use crate::web::{Exchange, bytes_reply, exchange, fields};

mod grants;

const RESOURCE: &str = "http://127.0.0.1:9/mcp";
const VERIFIER: &str = "a-verifier-that-is-long-enough-for-the-rule-of-43-characters";

/// A registered application with a callback listener of its own.
struct App {
    server: AuthorizationServer,
    registration: Registration,
    redirect_uri: String,
    callbacks: mpsc::UnboundedReceiver<HashMap<String, String>>,
    _listener: WebServer,
}

impl App {
    async fn new(auth: AuthMethod) -> Self {
        let server = AuthorizationServer::start().await.unwrap();
        let (tell, callbacks) = mpsc::unbounded_channel();
        let listener = WebServer::bind(0).await.unwrap();
        let redirect_uri = format!("http://{}/callback", listener.local_addr().unwrap());
        let listener = WebServer::start(listener, None, move |request| {
            tell.send(fields(request.query.as_bytes())).unwrap();
            async { bytes_reply(StatusCode::OK, "text/html", "<p>You may close this.").into() }
        });
        let asked = json!({"redirect_uris": [redirect_uri], "application_type": "native",
                           "token_endpoint_auth_method": auth});
        let url = Url::parse(&format!("{}/register", server.issuer())).unwrap();
        let made = exchange(Method::POST, &url, &None, &[], asked.to_string()).await.unwrap();
        assert_eq!(made.status, StatusCode::CREATED);
        let registration = server.handle().registrations().remove(0);
        assert_eq!(parse(&made)["client_id"], registration.id);
        Self { server, registration, redirect_uri, callbacks, _listener: listener }
    }

    fn authorization_url(&self) -> Url {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
        let mut url = Url::parse(&format!("{}/authorize", self.server.issuer())).unwrap();
        url.query_pairs_mut()
            .extend_pairs([("response_type", "code"), ("client_id", &self.registration.id)])
            .extend_pairs([("redirect_uri", self.redirect_uri.as_str()), ("state", "the-state")])
            .extend_pairs([("code_challenge", challenge.as_str()), ("code_challenge_method", "S256")])
            .extend_pairs([("resource", RESOURCE), ("scope", "openid mcp"), ("nonce", "the-nonce")]);
        url
    }

    /// What came to the callback after `person` signed in.
    async fn callback(&mut self, person: &str, decision: Decision) -> HashMap<String, String> {
        let end = Browser::new().sign_in(&self.authorization_url(), person, decision).await.unwrap();
        assert_eq!((end.status, end.body.as_str()), (200, "<p>You may close this."));
        self.callbacks.recv().await.unwrap()
    }

    async fn post(&self, place: &str, form: &[(&str, &str)]) -> Result<Exchange, crate::web::ExchangeError> {
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(form);
        let mut headers = vec![("content-type", "application/x-www-form-urlencoded")];
        let secret = self.registration.secret.clone().unwrap_or_default();
        let basic = format!("Basic {}", STANDARD.encode(format!("{}:{secret}", self.registration.id)));
        match self.registration.auth {
            AuthMethod::None => drop(body.append_pair("client_id", &self.registration.id)),
            AuthMethod::Post => {
                body.append_pair("client_id", &self.registration.id).append_pair("client_secret", &secret);
            }
            AuthMethod::Basic => headers.push(("authorization", &basic)),
            AuthMethod::PrivateKeyJwt => unreachable!("see grants.rs"),
        }
        let url = Url::parse(&format!("{}/{place}", self.server.issuer())).unwrap();
        exchange(Method::POST, &url, &None, &headers, body.finish()).await
    }

    async fn exchange_code(&self, code: &str) -> Exchange {
        let redirect = self.redirect_uri.clone();
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &redirect),
            ("code_verifier", VERIFIER),
            ("resource", RESOURCE),
        ];
        self.post("token", &form).await.unwrap()
    }

    async fn sign_in(&mut self, person: &str) -> Value {
        let code = self.callback(person, Decision::Allow).await.remove("code").unwrap();
        let answer = self.exchange_code(&code).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        parse(&answer)
    }

    async fn refresh(&self, token: &str) -> Result<Exchange, crate::web::ExchangeError> {
        let form = [("grant_type", "refresh_token"), ("refresh_token", token), ("resource", RESOURCE)];
        self.post("token", &form).await
    }

    fn handle(&self) -> &Handle {
        self.server.handle()
    }
}

fn parse(answer: &Exchange) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap()
}

async fn get(url: &str, headers: &[(&str, &str)]) -> Exchange {
    exchange(Method::GET, &Url::parse(url).unwrap(), &None, headers, "").await.unwrap()
}

#[tokio::test]
async fn a_person_signs_in_through_the_forms_and_the_token_is_theirs() {
    for auth in [AuthMethod::None, AuthMethod::Basic, AuthMethod::Post] {
        let mut app = App::new(auth).await;
        let callback = app.callback("ana", Decision::Allow).await;
        assert_eq!(
            (callback["state"].as_str(), callback["iss"].as_str()),
            ("the-state", app.server.issuer())
        );
        let tokens = parse(&app.exchange_code(&callback["code"]).await);
        assert_eq!(tokens["expires_in"], 30);
        let known = app.handle().introspect(text(&tokens, "access_token")).unwrap();
        assert_eq!((known.person.as_str(), known.resource.as_deref()), ("ana", Some(RESOURCE)));
        assert!(known.is_active());
        let bearer = format!("Bearer {}", text(&tokens, "access_token"));
        let userinfo = get(&format!("{}/userinfo", app.server.issuer()), &[("authorization", &bearer)]).await;
        assert_eq!(parse(&userinfo)["sub"], "ana");
    }
}

#[tokio::test]
async fn the_id_token_is_signed_by_the_published_key_and_names_the_person() {
    let mut app = App::new(AuthMethod::None).await;
    let tokens = app.sign_in("ben").await;
    let keys = parse(&get(&format!("{}/jwks", app.server.issuer()), &[]).await);
    let mut point = vec![4];
    for part in ["x", "y"] {
        point.extend(URL_SAFE_NO_PAD.decode(text(&keys["keys"][0], part)).unwrap());
    }
    let (signed, signature) = text(&tokens, "id_token").rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed.as_bytes(), &signature).unwrap();
    let claims = URL_SAFE_NO_PAD.decode(signed.split_once('.').unwrap().1).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["sub"], "ben");
    assert_eq!(claims["nonce"], "the-nonce");
    assert_eq!(claims["iss"], app.server.issuer());
    assert_eq!(claims["aud"], app.registration.id);
}

#[tokio::test]
async fn an_old_refresh_token_revokes_its_whole_family_and_no_other() {
    let mut app = App::new(AuthMethod::None).await;
    let (ana, ben) = (app.sign_in("ana").await, app.sign_in("ben").await);
    let newer = parse(&app.refresh(text(&ana, "refresh_token")).await.unwrap());
    assert_ne!(newer["refresh_token"], ana["refresh_token"]);
    let again = app.refresh(text(&ana, "refresh_token")).await.unwrap();
    assert_eq!((again.status, text(&parse(&again), "error")), (StatusCode::BAD_REQUEST, "invalid_grant"));
    assert!(app.handle().introspect(text(&newer, "access_token")).unwrap().revoked);
    let newest = app.refresh(text(&newer, "refresh_token")).await.unwrap();
    assert_eq!(
        newest.status,
        StatusCode::BAD_REQUEST,
        "the newest token of a revoked family is dead as well"
    );
    assert_eq!(app.refresh(text(&ben, "refresh_token")).await.unwrap().status, StatusCode::OK);
    let stats = app.handle().stats();
    assert_eq!((stats.reuse_detections, stats.families_revoked, stats.rotations), (1, 1, 2));
    assert_eq!((stats.refresh_requests, stats.refreshes, stats.code_exchanges), (4, 2, 2));
}

#[tokio::test]
async fn an_answer_lost_after_rotation_is_counted_and_the_next_try_is_reuse() {
    let mut app = App::new(AuthMethod::None).await;
    let tokens = app.sign_in("ana").await;
    app.handle().set(|knobs| {
        knobs.token_fault = Some(TokenFault::DropAfter);
        knobs.token_fault_times = Some(1);
    });
    app.refresh(text(&tokens, "refresh_token")).await.unwrap_err();
    assert_eq!((app.handle().stats().rotations, app.handle().stats().answers_lost), (1, 1));
    let retry = app.refresh(text(&tokens, "refresh_token")).await.unwrap();
    assert_eq!(text(&parse(&retry), "error"), "invalid_grant");
    assert_eq!(app.handle().stats().families_revoked, 1);
}

#[tokio::test]
async fn who_is_killed_at_the_barrier_loses_the_answer_and_who_waits_gets_it() {
    let mut app = App::new(AuthMethod::None).await;
    let (ana, ben) = (app.sign_in("ana").await, app.sign_in("ben").await);
    app.handle().set(|knobs| knobs.token_fault = Some(TokenFault::PauseAfter));
    let handle = app.handle().clone();
    {
        let refresh = app.refresh(text(&ana, "refresh_token"));
        tokio::select! {
            _ = refresh => panic!("answered at the barrier"),
            () = handle.wait_until_paused(1) => {}
        }
    }
    app.server.cut_connections();
    while handle.stats().paused > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!((handle.stats().rotations, handle.stats().answers_lost), (1, 1));
    let release = async {
        handle.wait_until_paused(1).await;
        handle.release();
    };
    let (answer, ()) = tokio::join!(app.refresh(text(&ben, "refresh_token")), release);
    assert_eq!(answer.unwrap().status, StatusCode::OK);
    assert_eq!(handle.stats().answers_lost, 1);
}

#[tokio::test]
async fn what_is_not_exact_at_the_token_endpoint_gets_nothing() {
    let mut app = App::new(AuthMethod::None).await;
    let code = app.callback("ana", Decision::Allow).await.remove("code").unwrap();
    let redirect = app.redirect_uri.clone();
    let good = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", &redirect),
        ("code_verifier", VERIFIER),
        ("resource", RESOURCE),
    ];
    for (spoiled, error) in
        [(1, "invalid_grant"), (2, "invalid_grant"), (3, "invalid_grant"), (4, "invalid_target")]
    {
        let mut form = good;
        form[spoiled].1 = "http://127.0.0.1/else";
        let answer = app.post("token", &form).await.unwrap();
        assert_eq!(text(&parse(&answer), "error"), error, "{}", form[spoiled].0);
    }
    let answer = app.post("token", &good[..4]).await.unwrap();
    assert_eq!(text(&parse(&answer), "error"), "invalid_target", "a missing resource is refused");
    assert_eq!(app.post("token", &good).await.unwrap().status, StatusCode::OK);
    assert_eq!(app.post("token", &good).await.unwrap().status, StatusCode::BAD_REQUEST, "a code works once");
    assert_eq!(app.handle().stats().families_revoked, 1);
}

#[tokio::test]
async fn the_authorization_endpoint_demands_pkce_and_an_exact_redirect_uri() {
    let mut app = App::new(AuthMethod::None).await;
    let mut url = app.authorization_url();
    url.set_query(Some(&url.query().unwrap().replace("S256", "plain")));
    Browser::new().sign_in(&url, "ana", Decision::Allow).await.unwrap();
    assert_eq!(app.callbacks.recv().await.unwrap()["error"], "invalid_request");
    let mut url = app.authorization_url();
    url.set_query(Some(&url.query().unwrap().replace("callback", "elsewhere")));
    let end = Browser::new().sign_in(&url, "ana", Decision::Allow).await.unwrap();
    assert_eq!((end.status, end.url.path()), (400, "/authorize"));
    assert!(app.callbacks.try_recv().is_err());
}

#[tokio::test]
async fn consent_is_denied_by_the_person_or_by_the_knob() {
    let mut app = App::new(AuthMethod::None).await;
    assert_eq!(app.callback("ana", Decision::Deny).await["error"], "access_denied");
    app.handle().set(|knobs| knobs.consent = Consent::Deny);
    let callback = app.callback("ana", Decision::Allow).await;
    assert_eq!(
        (callback["error"].as_str(), callback["iss"].as_str()),
        ("access_denied", app.server.issuer())
    );
    assert_eq!(app.handle().stats().authorizations, 0);
}

#[tokio::test]
async fn a_browser_stays_signed_in_unless_it_is_asked_to_choose() {
    let mut app = App::new(AuthMethod::None).await;
    let mut browser = Browser::new();
    for (prompt, typed, person) in
        [("", "ana", "ana"), ("", "ben", "ana"), ("&prompt=select_account", "ben", "ben")]
    {
        let url = Url::parse(&format!("{}{prompt}", app.authorization_url())).unwrap();
        browser.sign_in(&url, typed, Decision::Allow).await.unwrap();
        let code = app.callbacks.recv().await.unwrap().remove("code").unwrap();
        let tokens = parse(&app.exchange_code(&code).await);
        assert_eq!(app.handle().introspect(text(&tokens, "access_token")).unwrap().person, person);
    }
}

#[tokio::test]
async fn every_fault_of_the_token_endpoint_is_seen_and_does_no_work() {
    let mut app = App::new(AuthMethod::None).await;
    let tokens = app.sign_in("ana").await;
    for (fault, status) in [
        (TokenFault::Status(500), 500),
        (TokenFault::TooManyRequests(7), 429),
        (TokenFault::Html, 200),
        (TokenFault::InvalidClient, 401),
        (TokenFault::InvalidGrant, 400),
        (TokenFault::Truncated, 200),
        (TokenFault::Hang(0), 503),
    ] {
        app.handle().set(|knobs| knobs.token_fault = Some(fault.clone()));
        let answer = app.refresh(text(&tokens, "refresh_token")).await.unwrap();
        assert_eq!(answer.status.as_u16(), status, "{fault:?}");
        assert_eq!(answer.header("retry-after").is_some(), status == 429);
    }
    app.handle().set(|knobs| knobs.token_fault = Some(TokenFault::DropBefore));
    app.refresh(text(&tokens, "refresh_token")).await.unwrap_err();
    assert_eq!(app.handle().stats().rotations, 0);
    app.handle().set_json(&json!({"token_fault": null, "expires_in": "text"})).unwrap();
    let answer = parse(&app.refresh(text(&tokens, "refresh_token")).await.unwrap());
    assert_eq!(answer["expires_in"], "30");
    assert!(app.handle().set_json(&json!({"no_such_knob": 1})).is_err());
}

#[tokio::test]
async fn tokens_have_the_size_and_form_that_was_set_and_end_when_told() {
    let mut app = App::new(AuthMethod::None).await;
    for (form, parts) in [(TokenForm::Opaque, 1), (TokenForm::Jwt, 3)] {
        app.handle().set(|knobs| {
            knobs.access_token_form = form;
            knobs.access_token_bytes = 20_000;
            knobs.refresh_token_bytes = 5_000;
        });
        let tokens = app.sign_in("ana").await;
        let access = text(&tokens, "access_token");
        assert!(access.len() >= 20_000 && access.split('.').count() == parts);
        assert_eq!(text(&tokens, "refresh_token").len(), 5_000);
        assert!(app.handle().introspect(access).unwrap().is_active());
        app.handle().expire_access_tokens();
        assert!(app.handle().introspect(access).unwrap().expired);
    }
}

#[tokio::test]
async fn a_revoked_refresh_token_takes_its_access_token_with_it() {
    let mut app = App::new(AuthMethod::Basic).await;
    let tokens = app.sign_in("ana").await;
    assert_eq!(app.post("revoke", &[("token", "unknown")]).await.unwrap().status, StatusCode::OK);
    assert_eq!(app.handle().stats().revocations, 0);
    app.post("revoke", &[("token", text(&tokens, "refresh_token"))]).await.unwrap();
    assert_eq!(app.handle().stats().revocations, 1);
    assert!(app.handle().introspect(text(&tokens, "access_token")).unwrap().revoked);
}

#[tokio::test]
async fn metadata_stands_where_the_issuer_path_puts_it_and_hides_what_is_off() {
    let server = AuthorizationServer::start_below("/tenant1").await.unwrap();
    let origin = server.issuer().strip_suffix("/tenant1").unwrap().to_owned();
    for place in [
        "/.well-known/oauth-authorization-server/tenant1",
        "/.well-known/openid-configuration/tenant1",
        "/tenant1/.well-known/openid-configuration",
    ] {
        let document = parse(&get(&format!("{origin}{place}"), &[]).await);
        assert_eq!(document["issuer"], server.issuer());
    }
    assert_eq!(get(&format!("{origin}/.well-known/oauth-authorization-server"), &[]).await.status, 404);
    server.handle().set(|knobs| {
        knobs.metadata = Metadata::OpenIdOnly;
        knobs.registration = Availability::Absent;
        knobs.identity = Identity::Nothing;
        knobs.pkce_metadata = false;
        knobs.metadata_issuer = Some("https://other.example".into());
    });
    assert_eq!(
        get(&format!("{origin}/.well-known/oauth-authorization-server/tenant1"), &[]).await.status,
        404
    );
    let document = parse(&get(&format!("{origin}/tenant1/.well-known/openid-configuration"), &[]).await);
    for absent in ["registration_endpoint", "userinfo_endpoint", "code_challenge_methods_supported"] {
        assert!(document.get(absent).is_none(), "{absent}");
    }
    assert_eq!(document["issuer"], "https://other.example");
    assert!(!document["scopes_supported"].as_array().unwrap().contains(&json!("openid")));
}

#[tokio::test]
async fn every_secret_is_on_record_and_an_outage_forgets_nothing() {
    let mut app = App::new(AuthMethod::Post).await;
    let tokens = app.sign_in("ana").await;
    let secrets = app.handle().secrets();
    for (kind, value) in [
        (SecretKind::AccessToken, text(&tokens, "access_token")),
        (SecretKind::RefreshToken, text(&tokens, "refresh_token")),
        (SecretKind::IdToken, text(&tokens, "id_token")),
        (SecretKind::Verifier, VERIFIER),
        (SecretKind::ClientSecret, app.registration.secret.as_deref().unwrap()),
    ] {
        assert!(
            secrets.iter().any(|secret| secret.kind == kind && secret.value.expose() == value),
            "{kind:?}"
        );
    }
    assert!(secrets.iter().any(|secret| secret.kind == SecretKind::Code));
    let handle = app.handle().clone();
    let gone = AuthorizationServer::start().await.unwrap();
    drop(std::mem::replace(&mut app.server, gone));
    app.server = AuthorizationServer::restart(&handle).await.unwrap();
    assert_eq!(app.refresh(text(&tokens, "refresh_token")).await.unwrap().status, StatusCode::OK);
}
