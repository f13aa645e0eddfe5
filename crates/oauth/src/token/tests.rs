//! The table of outcomes (docs/threat-model.md, refresh) and the checks on what came.

use model::TokenEndpointAuth;

use super::*;
use crate::HttpResponse;
use crate::testing::{Answers, answer, field, json, with_header};

const TOKEN: &str = "https://as.example/token";
const GOOD: &str = r#"{"access_token":"at-1","token_type":"bearer","expires_in":60,"refresh_token":"rt-2","scope":"a b","id_token":"x.y.z"}"#;

async fn refreshed(http: &dyn Http) -> Result<TokenAnswer, TokenError> {
    let url = Endpoint::parse(TOKEN).unwrap();
    let authentication = ClientAuthentication::new("app", TokenEndpointAuth::None, None);
    let endpoint =
        TokenEndpoint { url: &url, authentication: &authentication, resource: Some("https://mcp.example") };
    refresh(http, endpoint, &"rt-1".into()).await
}

async fn outcome(response: HttpResponse) -> Result<TokenAnswer, TokenError> {
    refreshed(&Answers::new([(TOKEN, response)])).await
}

#[tokio::test]
async fn an_exchange_carries_code_verifier_redirect_uri_and_resource() {
    let http = Answers::new([(TOKEN, json(GOOD))]);
    let url = Endpoint::parse(TOKEN).unwrap();
    let authentication = ClientAuthentication::new("app", TokenEndpointAuth::None, None);
    let endpoint =
        TokenEndpoint { url: &url, authentication: &authentication, resource: Some("https://mcp.example") };
    let got =
        exchange(&http, endpoint, &"c/1".into(), &"v3r".into(), "http://127.0.0.1:1/callback").await.unwrap();
    let form = http.last_form();
    for (name, value) in [
        ("grant_type", "authorization_code"),
        ("code", "c/1"),
        ("code_verifier", "v3r"),
        ("redirect_uri", "http://127.0.0.1:1/callback"),
        ("client_id", "app"),
        ("resource", "https://mcp.example"),
    ] {
        assert_eq!(field(&form, name), Some(value), "{name}");
    }
    assert_eq!(got.access_token, "at-1".into());
    assert_eq!(got.refresh_token, Some("rt-2".into()));
    assert_eq!(got.expires_in, Some(Duration::from_mins(1)));
    assert_eq!(got.scope.as_deref(), Some("a b"));
    assert_eq!(got.id_token, Some("x.y.z".into()));
    let shown = format!("{got:?}");
    assert!(!["at-1", "rt-2", "x.y.z"].iter().any(|secret| shown.contains(secret)), "{shown}");
}

#[tokio::test]
async fn a_refresh_carries_the_resource_and_no_scope() {
    let http = Answers::new([(TOKEN, json(GOOD))]);
    refreshed(&http).await.unwrap();
    let form = http.last_form();
    assert_eq!(field(&form, "grant_type"), Some("refresh_token"));
    assert_eq!(field(&form, "refresh_token"), Some("rt-1"));
    assert_eq!(field(&form, "resource"), Some("https://mcp.example"));
    assert_eq!(field(&form, "scope"), None);
}

#[tokio::test]
async fn every_outcome_has_its_class() {
    let json_of = |status, body| answer(status, "application/json", body);
    for (what, response, class) in [
        ("a dead grant", json_of(400, r#"{"error":"invalid_grant"}"#), "InvalidGrant"),
        ("a dead grant with 401", json_of(401, r#"{"error":"invalid_grant"}"#), "InvalidGrant"),
        ("a lost registration", json_of(401, r#"{"error":"invalid_client"}"#), "RegistrationGone"),
        (
            "an unauthorized registration",
            json_of(400, r#"{"error":"unauthorized_client"}"#),
            "RegistrationGone",
        ),
        ("a bad request", json_of(400, r#"{"error":"invalid_request"}"#), "Refused"),
        ("a refused resource", json_of(400, r#"{"error":"invalid_target"}"#), "Refused"),
        ("408", json_of(408, r#"{"error":"invalid_grant"}"#), "NotAVerdict"),
        ("425", json_of(425, "{}"), "NotAVerdict"),
        ("429", json_of(429, r#"{"error":"invalid_grant"}"#), "NotAVerdict"),
        ("500 that claims a dead grant", json_of(500, r#"{"error":"invalid_grant"}"#), "NotAVerdict"),
        ("503", answer(503, "text/html", "<html>"), "NotAVerdict"),
        ("a page", answer(200, "text/html", "<html>"), "NotAVerdict"),
        ("a page with 400", answer(400, "text/html", r#"{"error":"invalid_grant"}"#), "NotAVerdict"),
        ("200 without a token", json_of(200, "{}"), "NotAVerdict"),
        ("200 with an error", json_of(200, r#"{"error":"invalid_grant"}"#), "NotAVerdict"),
        ("400 without an error", json_of(400, "{}"), "NotAVerdict"),
        ("a list", json_of(200, "[]"), "NotAVerdict"),
        (
            "a redirect",
            with_header(answer(307, "text/html", ""), "location", "https://evil.example/"),
            "Redirected",
        ),
        ("a DPoP token", json_of(200, r#"{"access_token":"a","token_type":"DPoP"}"#), "Malformed"),
        ("a token without type", json_of(200, r#"{"access_token":"a"}"#), "Malformed"),
        (
            "a token with a line break",
            json_of(200, r#"{"access_token":"a\r\nX: y","token_type":"Bearer"}"#),
            "Malformed",
        ),
        (
            "a token with a blank",
            json_of(200, r#"{"access_token":"a b","token_type":"Bearer"}"#),
            "Malformed",
        ),
        (
            "a bad refresh token",
            json_of(200, r#"{"access_token":"a","token_type":"Bearer","refresh_token":"a\nb"}"#),
            "Malformed",
        ),
    ] {
        let error = outcome(response).await.unwrap_err();
        let shown = format!("{error:?}");
        assert!(shown.starts_with(class), "{what}: {shown}");
    }
}

#[tokio::test]
async fn what_did_not_arrive_is_told_from_what_may_have() {
    let not_sent = refreshed(&Answers::unreachable()).await;
    assert!(matches!(not_sent, Err(TokenError::NotSent { .. })));
    for error in [
        || HttpError::Unknown { origin: "x".into(), source: "reset".into() },
        || HttpError::TooLarge { origin: "x".into(), limit: 1 },
    ] {
        let http = move |_| async move { Err(error()) };
        assert!(matches!(refreshed(&http).await, Err(TokenError::Unknown { .. })));
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let http = Answers::new([(
        TOKEN,
        with_header(answer(308, "text/plain", ""), "location", "https://as.example/t2"),
    )]);
    assert!(matches!(refreshed(&http).await, Err(TokenError::Redirected { status: 308 })));
    assert_eq!(http.asked(), [TOKEN]);
}

#[tokio::test]
async fn a_pause_is_believed_up_to_five_minutes() {
    for (value, want) in [
        ("7", Some(7)),
        ("100000", Some(300)),
        ("-1", None),
        ("soon", None),
        ("Fri, 31 Dec 1999 23:59:59 GMT", None),
    ] {
        let response = with_header(answer(429, "text/plain", ""), "retry-after", value);
        let Err(TokenError::NotAVerdict { retry_after, .. }) = outcome(response).await else { panic!() };
        assert_eq!(retry_after, want.map(Duration::from_secs), "{value}");
    }
}

#[tokio::test]
async fn odd_lifetimes_lose_no_login() {
    let month = 30 * 24 * 3600;
    for (text, want) in [
        ("3600", Some(3600)),
        ("\"3600\"", Some(3600)),
        ("59.9", Some(59)),
        ("0", Some(0)),
        ("-5", Some(0)),
        ("1e300", Some(month)),
        ("99999999999", Some(month)),
        ("\"NaN\"", None),
        ("\"soon\"", None),
        ("null", None),
        ("{}", None),
        ("true", None),
    ] {
        let body = format!(
            r#"{{"access_token":"a","refresh_token":"r","token_type":"Bearer","expires_in":{text}}}"#
        );
        let got = outcome(json(&body)).await.unwrap();
        assert_eq!(got.expires_in, want.map(Duration::from_secs), "{text}");
    }
    // What nothing renews is good for as long as its issuer says.
    for (text, want) in [("31536000", 31_536_000), ("1e300", 10 * 365 * 24 * 3600)] {
        let body = format!(r#"{{"access_token":"a","token_type":"Bearer","expires_in":{text}}}"#);
        assert_eq!(outcome(json(&body)).await.unwrap().expires_in, Some(Duration::from_secs(want)), "{text}");
    }
}

#[tokio::test]
async fn token_characters_are_those_of_rfc_6750() {
    let accepts = async |token: &str| {
        outcome(json(&serde_json::json!({ "access_token": token, "token_type": "BEARER" }).to_string()))
            .await
            .is_ok()
    };
    for good in ["abc", "A-1._~+/x==", "ey.J.x"] {
        assert!(accepts(good).await, "{good}");
    }
    assert!(accepts(&"a".repeat(64 * 1024)).await);
    for bad in ["=", "a=b", "a\u{0}", "é", "a,b", "a\"b", "a\tb"] {
        assert!(!accepts(bad).await, "{bad:?}");
    }
    assert!(!accepts(&"a".repeat(64 * 1024 + 1)).await);
}

#[tokio::test]
async fn a_servers_words_are_shown_short_and_tame() {
    let body = serde_json::json!({ "error": "invalid_grant", "error_description": format!("\u{1b}[2J{}", "x".repeat(900)) });
    let text = outcome(answer(400, "application/json", &body.to_string())).await.unwrap_err().to_string();
    assert!(text.chars().count() < 320 && !text.contains('\u{1b}'), "{text}");
}
