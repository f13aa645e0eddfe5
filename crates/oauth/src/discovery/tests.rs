//! The rules A1 to A7 and A16 as tables: each server is a table of addresses and answers.

use super::*;
use crate::authorization_server_metadata::ServerMetadataError;
use crate::protected_resource_metadata::ResourceMetadataError;
use crate::testing::{Answers, answer, json, redirect, with_header};

const ENDPOINT: &str = "https://mcp.example/mcp";
const PATH_PLACE: &str = "https://mcp.example/.well-known/oauth-protected-resource/mcp";
const ROOT_PLACE: &str = "https://mcp.example/.well-known/oauth-protected-resource";
const AS_PLACE: &str = "https://as.example/.well-known/oauth-authorization-server";

fn asks(challenge: &str) -> crate::HttpResponse {
    with_header(answer(401, "application/json", "{}"), "www-authenticate", challenge)
}

fn resource(issuer: &str) -> crate::HttpResponse {
    json(&format!(
        r#"{{"resource":"{ENDPOINT}","authorization_servers":["{issuer}"],"scopes_supported":["a","b"]}}"#
    ))
}

fn server(issuer: &str) -> crate::HttpResponse {
    json(&format!(
        r#"{{"issuer":"{issuer}","authorization_endpoint":"https://as.example/authorize",
            "token_endpoint":"https://as.example/token","code_challenge_methods_supported":["S256"]}}"#
    ))
}

/// A server as the specification wants it, found by its path.
fn good() -> Answers {
    Answers::new([
        (ENDPOINT, asks("Bearer")),
        (PATH_PLACE, resource("https://as.example")),
        (AS_PLACE, server("https://as.example")),
    ])
}

async fn run(http: &Answers) -> Result<Discovered, DiscoveryError> {
    run_with(http, ServerPin::default()).await
}

async fn run_with(http: &Answers, pin: ServerPin) -> Result<Discovered, DiscoveryError> {
    let options = DiscoveryOptions { pin, ..DiscoveryOptions::default() };
    discover(http, &Endpoint::parse(ENDPOINT).unwrap(), &options, &mut |_| {}).await
}

async fn found(http: &Answers) -> Protected {
    match run(http).await.unwrap() {
        Discovered::Protected(found) => *found,
        Discovered::Open => panic!("open"),
    }
}

#[tokio::test]
async fn a_good_server_is_found_step_by_step_and_sent_nothing_secret() {
    let http = good();
    let mut steps = Vec::new();
    let options = DiscoveryOptions {
        headers: [("x-tenant", "t1"), ("Authorization", "Bearer leak"), ("cookie", "leak")]
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
            .into(),
        ..DiscoveryOptions::default()
    };
    discover(&http, &Endpoint::parse(ENDPOINT).unwrap(), &options, &mut |step| steps.push(step))
        .await
        .unwrap();
    assert_eq!(
        steps,
        [
            Step::Reached { status: 401 },
            Step::NeedsSignIn,
            Step::ResourceMetadata { url: PATH_PLACE.into() },
            Step::Issuer { issuer: "https://as.example".into() },
            Step::ServerMetadata { url: AS_PLACE.into() },
        ]
    );
    for request in http.requests() {
        assert!(request.headers.get("authorization").is_none() && request.headers.get("cookie").is_none());
    }
    let probe = &http.requests()[0];
    assert_eq!(probe.headers["x-tenant"], "t1");
    assert_eq!(
        (&probe.headers["mcp-method"], &probe.headers["mcp-protocol-version"]),
        (&"server/discover".parse().unwrap(), &"2026-07-28".parse().unwrap())
    );
    let body: serde_json::Value = serde_json::from_slice(probe.body.expose()).unwrap();
    assert_eq!(body["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"], "2026-07-28");
}

#[tokio::test]
async fn the_place_that_a_challenge_names_comes_first() {
    let mut http = good();
    let place = "https://mcp.example/custom/place.json";
    http.set(ENDPOINT, asks(&format!(r#"Bearer resource_metadata="{place}", scope="c d""#)));
    http.set(place, resource("https://as.example"));
    let got = found(&http).await;
    assert_eq!(got.challenged_scope.as_deref(), Some("c d"));
    assert_eq!(got.resource_scopes, Some(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(got.found, FoundBy::ResourceMetadata);
    assert!(!http.asked().contains(&PATH_PLACE.to_owned()));
}

#[tokio::test]
async fn the_root_is_not_asked_when_the_path_answers_and_is_asked_when_it_does_not() {
    let http = good();
    found(&http).await;
    assert!(!http.asked().contains(&ROOT_PLACE.to_owned()));
    let mut http = good();
    http.set(PATH_PLACE, answer(404, "text/html", "<h1>no</h1>"));
    http.set(
        ROOT_PLACE,
        json(r#"{"resource":"https://mcp.example","authorization_servers":["https://as.example"]}"#),
    );
    assert_eq!(found(&http).await.resource, "https://mcp.example", "no slash is added");
}

#[tokio::test]
async fn a_place_on_another_origin_is_not_asked_unless_it_is_pinned() {
    let place = "https://elsewhere.example/prm";
    let mut http = good();
    http.set(ENDPOINT, asks(&format!(r#"Bearer resource_metadata="{place}""#)));
    http.set(place, resource("https://evil.example"));
    assert_eq!(found(&http).await.issuer, "https://as.example");
    assert!(!http.asked().contains(&place.to_owned()));
    http.set(place, resource("https://as.example"));
    http.set(PATH_PLACE, answer(404, "text/plain", ""));
    let pin = ServerPin { resource_metadata: Some(place.into()), ..ServerPin::default() };
    assert!(matches!(run_with(&http, pin).await, Ok(Discovered::Protected(_))));
    let near_miss = ServerPin { resource_metadata: Some(format!("{place}/")), ..ServerPin::default() };
    let error = run_with(&http, near_miss).await.unwrap_err();
    assert!(matches!(error, DiscoveryError::NoResourceMetadata { .. }), "nothing is guessed instead");
}

#[tokio::test]
async fn another_resource_stops_everything() {
    let mut http = good();
    http.set(
        PATH_PLACE,
        json(r#"{"resource":"https://evil.example/mcp","authorization_servers":["https://as.example"]}"#),
    );
    let error = run(&http).await.unwrap_err();
    assert!(matches!(error, DiscoveryError::ResourceMetadata(ResourceMetadataError::OtherResource { .. })));
    assert!(!http.asked().iter().any(|url| url.starts_with("https://as.")), "the issuer was asked");
    let pin = ServerPin { resource: Some("https://evil.example/mcp".into()), ..ServerPin::default() };
    assert!(run_with(&http, pin).await.is_ok());
}

#[tokio::test]
async fn issuer_metadata_is_looked_for_in_order() {
    let places = [
        "https://as.example/.well-known/oauth-authorization-server/t1",
        "https://as.example/.well-known/openid-configuration/t1",
        "https://as.example/t1/.well-known/openid-configuration",
    ];
    for place in places {
        let mut http = good();
        http.set(PATH_PLACE, resource("https://as.example/t1"));
        http.set(place, server("https://as.example/t1"));
        assert_eq!(found(&http).await.issuer, "https://as.example/t1");
        let asked: Vec<String> = http.asked().into_iter().filter(|url| url.contains("as.example")).collect();
        let before = places.iter().position(|p| *p == place).unwrap();
        assert_eq!(asked, places[..=before]);
    }
}

#[tokio::test]
async fn a_document_of_another_issuer_is_never_used() {
    for other in ["https://as.example/", "https://AS.example", "https://evil.example"] {
        let mut http = good();
        http.set(AS_PLACE, server(other));
        let error = run(&http).await.unwrap_err();
        assert!(
            matches!(error, DiscoveryError::ServerMetadata(ServerMetadataError::OtherIssuer { .. })),
            "{other}"
        );
    }
    let mut http = good();
    http.set(AS_PLACE, server("https://as.example/"));
    let pin = ServerPin { metadata_issuer: Some("https://as.example/".into()), ..ServerPin::default() };
    let Ok(Discovered::Protected(got)) = run_with(&http, pin).await else { panic!() };
    assert_eq!(got.issuer, "https://as.example/", "tokens and iss are bound to what the document says");
}

#[tokio::test]
async fn a_named_issuer_without_metadata_gets_no_guessed_endpoints() {
    let mut http = good();
    http.set(AS_PLACE, answer(404, "text/plain", ""));
    assert!(matches!(run(&http).await, Err(DiscoveryError::NoServerMetadata { .. })));
}

#[tokio::test]
async fn a_server_that_now_names_another_issuer_than_the_pinned_one_is_refused() {
    let pin = |issuer: &str| ServerPin { issuer: Some(issuer.into()), ..ServerPin::default() };
    assert!(run_with(&good(), pin("https://as.example")).await.is_ok());
    let error = run_with(&good(), pin("https://old.example")).await.unwrap_err();
    assert!(matches!(error, DiscoveryError::OtherIssuer { .. }));
    // No metadata at all is another issuer too: the server's own origin.
    let http = Answers::new([(ENDPOINT, asks("Bearer"))]);
    assert!(matches!(
        run_with(&http, pin("https://as.example")).await,
        Err(DiscoveryError::OtherIssuer { .. })
    ));
}

/// Resource metadata that list several issuers.
fn resource_of(issuers: &[&str]) -> crate::HttpResponse {
    json(&serde_json::json!({ "resource": ENDPOINT, "authorization_servers": issuers }).to_string())
}

#[tokio::test]
async fn the_first_listed_issuer_that_can_be_used_is_taken_and_trouble_ends_the_search() {
    const FIRST: &str = "https://first.example/.well-known/oauth-authorization-server";
    let silent = r#"{"issuer":"https://first.example","authorization_endpoint":"https://first.example/a","token_endpoint":"https://first.example/t"}"#;
    for (what, first, want) in [
        ("no document", answer(404, "text/plain", ""), Some("https://as.example")),
        ("another issuer's document", server("https://evil.example"), Some("https://as.example")),
        ("silent on PKCE", json(silent), Some("https://as.example")),
        ("in trouble", answer(503, "text/plain", ""), None),
        ("busy", answer(429, "text/plain", ""), None),
    ] {
        let mut http = good();
        http.set(PATH_PLACE, resource_of(&["https://first.example", "https://as.example"]));
        http.set(FIRST, first);
        let got = run(&http).await;
        match (got, want) {
            (Ok(Discovered::Protected(found)), Some(want)) => assert_eq!(found.issuer, want, "{what}"),
            (Err(_), None) => {
                assert!(!http.asked().iter().any(|url| url.starts_with("https://as.")), "{what}");
            }
            (got, _) => panic!("{what}: {got:?}"),
        }
    }
}

#[tokio::test]
async fn where_no_issuer_can_be_used_the_first_one_says_why_and_a_pin_tries_no_other() {
    let mut http = good();
    http.set(PATH_PLACE, resource_of(&["javascript:1", "https://none.example", "https://as.example"]));
    let pin = ServerPin { issuer: Some("https://none.example".into()), ..ServerPin::default() };
    assert!(matches!(run_with(&http, pin).await, Err(DiscoveryError::NoServerMetadata { .. })));
    assert!(!http.asked().contains(&AS_PLACE.to_owned()));
    assert_eq!(found(&http).await.issuer, "https://as.example");
    http.set(PATH_PLACE, resource_of(&["javascript:1", "https://none.example"]));
    let error = run(&http).await.unwrap_err();
    assert!(
        matches!(error, DiscoveryError::ServerMetadata(ServerMetadataError::BadIssuer { .. })),
        "{error}"
    );
    let many: Vec<String> = (0..20).map(|n| format!("https://as{n}.example")).collect();
    http.set(PATH_PLACE, resource_of(&many.iter().map(String::as_str).collect::<Vec<_>>()));
    run(&http).await.unwrap_err();
    assert!(!http.asked().iter().any(|url| url.contains("as5.example")), "a list has an end");
}

#[tokio::test]
async fn the_openid_document_says_where_the_person_is_proven_if_it_is_of_the_same_issuer() {
    let oauth = |scopes: &str| {
        format!(
            r#"{{"issuer":"https://as.example","authorization_endpoint":"https://as.example/authorize",
            "token_endpoint":"https://as.example/token","code_challenge_methods_supported":["S256"],"scopes_supported":[{scopes}]}}"#
        )
    };
    let openid = |issuer: &str, token: &str| {
        format!(
            r#"{{"issuer":"{issuer}","authorization_endpoint":"https://as.example/other","token_endpoint":"{token}",
            "jwks_uri":"https://as.example/keys","userinfo_endpoint":"https://as.example/me"}}"#
        )
    };
    let good_openid = openid("https://as.example", "https://as.example/token");
    for (what, scopes, document, proven) in [
        ("the same issuer", r#""openid""#, good_openid.clone(), true),
        ("no openid", r#""a""#, good_openid, false),
        ("another issuer", r#""openid""#, openid("https://evil.example", "https://as.example/token"), false),
        (
            "another token endpoint",
            r#""openid""#,
            openid("https://as.example", "https://evil.example/t"),
            false,
        ),
    ] {
        let mut http = good();
        http.set(AS_PLACE, json(&oauth(scopes)));
        http.set("https://as.example/.well-known/openid-configuration", json(&document));
        let metadata = found(&http).await.metadata;
        assert_eq!(
            (metadata.jwks_uri.is_some(), metadata.userinfo_endpoint.is_some()),
            (proven, proven),
            "{what}"
        );
        assert_eq!(metadata.authorization_endpoint.as_str(), "https://as.example/authorize", "{what}");
    }
}

#[tokio::test]
async fn silence_about_pkce_is_refused_unless_pinned() {
    let mut http = good();
    http.set(
        AS_PLACE,
        json(r#"{"issuer":"https://as.example","authorization_endpoint":"https://as.example/a","token_endpoint":"https://as.example/t"}"#),
    );
    let error = run(&http).await.unwrap_err();
    assert!(matches!(error, DiscoveryError::ServerMetadata(ServerMetadataError::SilentOnPkce { .. })));
    let pin = ServerPin { tolerate_missing_pkce: true, ..ServerPin::default() };
    assert!(run_with(&http, pin).await.is_ok());
}

#[tokio::test]
async fn the_resource_parameter_is_the_published_text_or_left_out_by_a_pin() {
    assert_eq!(found(&good()).await.resource_parameter.as_deref(), Some(ENDPOINT));
    let pin = ServerPin { omit_resource: true, ..ServerPin::default() };
    let Ok(Discovered::Protected(got)) = run_with(&good(), pin).await else { panic!() };
    assert_eq!((got.resource_parameter, got.resource.as_str()), (None, ENDPOINT));
}

#[tokio::test]
async fn a_2025_03_26_server_is_its_own_issuer() {
    let place = "https://mcp.example/.well-known/oauth-authorization-server";
    for issuer in ["https://mcp.example", "https://mcp.example/"] {
        let http = Answers::new([(ENDPOINT, asks("Bearer")), (place, server(issuer))]);
        let got = found(&http).await;
        assert_eq!((got.found, got.issuer.as_str()), (FoundBy::OriginMetadata, issuer));
        assert_eq!(got.resource, ENDPOINT);
    }
    let http = Answers::new([(ENDPOINT, asks("Bearer")), (place, server("https://evil.example"))]);
    run(&http).await.unwrap_err();
}

#[tokio::test]
async fn default_endpoints_are_assumed_only_where_nothing_is_published() {
    let http = Answers::new([(ENDPOINT, answer(401, "text/plain", ""))]);
    let got = found(&http).await;
    assert_eq!(got.found, FoundBy::DefaultEndpoints);
    assert_eq!(got.metadata.token_endpoint.as_str(), "https://mcp.example/token");
    for place in [PATH_PLACE, ROOT_PLACE, "https://mcp.example/.well-known/oauth-authorization-server"] {
        let mut http = Answers::new([(ENDPOINT, asks("Bearer"))]);
        http.set(place, answer(503, "text/plain", "later"));
        assert!(run(&http).await.is_err(), "trouble at {place} was taken for absence");
    }
    let http = Answers::new([(ENDPOINT, asks(r#"Basic realm="x""#))]);
    assert!(matches!(run(&http).await, Err(DiscoveryError::NotOauth { .. })));
}

#[tokio::test]
async fn an_endpoint_that_answers_anybody_is_open_unless_metadata_speak_of_a_sign_in() {
    for (status, kind, body) in [
        (200, "application/json", r#"{"jsonrpc":"2.0","id":1,"result":{}}"#),
        (200, "text/event-stream", ""),
        (400, "application/json", r#"{"jsonrpc":"2.0","error":{}}"#),
        (404, "application/json", r#"{"jsonrpc":"2.0","error":{"code":-32601}}"#),
        (406, "text/plain", "Not Acceptable"),
    ] {
        let http = Answers::new([(ENDPOINT, answer(status, kind, body))]);
        assert_eq!(run(&http).await.unwrap(), Discovered::Open, "{status} {kind}");
        let mut http = good();
        http.set(ENDPOINT, answer(status, kind, body));
        assert_eq!(found(&http).await.issuer, "https://as.example", "{status} {kind}");
    }
}

#[tokio::test]
async fn what_is_no_mcp_server_is_named_so() {
    for (status, kind) in [(404, "text/html"), (405, "text/html"), (200, "text/html"), (403, "text/html")] {
        let http = Answers::new([(ENDPOINT, answer(status, kind, "<html>"))]);
        assert!(matches!(run(&http).await, Err(DiscoveryError::NotMcp { .. })), "{status} {kind}");
    }
    let http = Answers::new([(ENDPOINT, answer(502, "text/html", ""))]);
    assert!(matches!(run(&http).await, Err(DiscoveryError::ServerTrouble { status: 502, .. })));
    let http = Answers::new([(ENDPOINT, redirect(307, "/mcp/"))]);
    let error = run(&http).await.unwrap_err().to_string();
    assert!(error.contains("https://mcp.example/mcp/"), "{error}");
    assert!(matches!(run(&Answers::unreachable()).await, Err(DiscoveryError::Http(_))));
}

#[tokio::test]
async fn a_2024_11_05_server_that_takes_only_get_is_found_too() {
    let http = |get: crate::HttpResponse| {
        move |request: crate::HttpRequest| {
            let answer = match (request.method.as_str(), request.url.as_str()) {
                ("GET", ENDPOINT) => get.clone(),
                _ => answer(404, "text/html", ""),
            };
            async move { Ok(answer) }
        }
    };
    let endpoint = Endpoint::parse(ENDPOINT).unwrap();
    let options = DiscoveryOptions::default();
    let open = http(answer(200, "text/event-stream", ""));
    assert_eq!(discover(&open, &endpoint, &options, &mut |_| {}).await.unwrap(), Discovered::Open);
    let closed = http(answer(401, "text/plain", ""));
    let got = discover(&closed, &endpoint, &options, &mut |_| {}).await.unwrap();
    assert!(matches!(got, Discovered::Protected(found) if found.found == FoundBy::DefaultEndpoints));
}

#[tokio::test]
async fn a_server_cannot_speak_to_the_terminal_through_an_error() {
    let mut http = good();
    http.set(
        PATH_PLACE,
        json(r#"{"resource":"https://evil.example/\u001b[31m","authorization_servers":["https://as.example"]}"#),
    );
    let text = run(&http).await.unwrap_err().to_string();
    assert!(!text.contains('\u{1b}'), "{text}");
}
