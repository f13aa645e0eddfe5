//! Requests and answers of both endpoints, good and bad.

use model::TokenEndpointAuth;
use proptest::prelude::*;

use super::*;
use crate::testing::{Answers, answer, field, json, with_header};

const DEVICE: &str = "https://as.example/device";
const TOKEN: &str = "https://as.example/token";
const GOOD: &str = r#"{"device_code":"d-1","user_code":"WDJB-MJHT","verification_uri":"https://as.example/go",
    "verification_uri_complete":"https://as.example/go?user_code=WDJB-MJHT","expires_in":900,"interval":5}"#;

async fn begun(http: &Answers) -> Result<DeviceAuthorization, DeviceAuthorizationError> {
    let endpoint = Endpoint::parse(DEVICE).unwrap();
    let authentication = ClientAuthentication::new("app", TokenEndpointAuth::None, None);
    let scopes = Scopes::parse("openid a");
    let request = DeviceAuthorizationRequest {
        endpoint: &endpoint,
        authentication: &authentication,
        scopes: &scopes,
        resource: Some("https://mcp.example"),
    };
    request_device_authorization(http, &request).await
}

async fn polled(http: &dyn Http) -> Polled {
    let url = Endpoint::parse(TOKEN).unwrap();
    let authentication = ClientAuthentication::new("app", TokenEndpointAuth::None, None);
    let endpoint =
        TokenEndpoint { url: &url, authentication: &authentication, resource: Some("https://mcp.example") };
    poll(http, endpoint, &"d-1".into()).await
}

fn read_text(text: &str) -> Result<DeviceAuthorization, &'static str> {
    read(&serde_json::from_str(text).unwrap())
}

/// The good answer with some members changed; null takes one away.
fn changed(changes: Value) -> Result<DeviceAuthorization, &'static str> {
    let mut body: Map<String, Value> = serde_json::from_str(GOOD).unwrap();
    let Value::Object(changes) = changes else { panic!("changes are an object") };
    for (name, value) in changes {
        body.insert(name, value);
    }
    body.retain(|_, value| !value.is_null());
    read(&body)
}

#[tokio::test]
async fn a_code_is_asked_for_with_scope_and_resource_and_read_whole() {
    let http = Answers::new([(DEVICE, json(GOOD))]);
    let got = begun(&http).await.unwrap();
    let form = http.last_form();
    for (name, value) in [("client_id", "app"), ("scope", "openid a"), ("resource", "https://mcp.example")] {
        assert_eq!(field(&form, name), Some(value), "{name}");
    }
    assert_eq!(got.user_code, "WDJB-MJHT");
    assert_eq!(got.verification_uri.as_str(), "https://as.example/go");
    assert_eq!(got.verification_uri_complete.unwrap().as_str(), "https://as.example/go?user_code=WDJB-MJHT");
    assert_eq!((got.expires_in.as_secs(), got.interval.as_secs()), (900, 5));
    assert!(!format!("{:?}", got.device_code).contains("d-1"));
}

#[test]
fn what_is_missing_or_odd_gets_a_careful_meaning() {
    use serde_json::json;
    for (changes, expires_in, interval) in [
        (json!({}), 900, 5),
        (json!({ "interval": null }), 900, 5),
        (json!({ "interval": 0 }), 900, 5),
        (json!({ "interval": -3 }), 900, 5),
        (json!({ "interval": "7" }), 900, 7),
        (json!({ "interval": 0.2 }), 900, 1),
        (json!({ "interval": 86_400 }), 900, 60),
        (json!({ "expires_in": null }), 300, 5),
        (json!({ "expires_in": "soon" }), 300, 5),
        (json!({ "expires_in": 1e300 }), 1800, 5),
        (json!({ "expires_in": 9_999_999 }), 1800, 5),
    ] {
        let got = changed(changes.clone()).unwrap();
        assert_eq!((got.expires_in.as_secs(), got.interval.as_secs()), (expires_in, interval), "{changes}");
    }
    let google =
        changed(json!({ "verification_uri": null, "verification_url": "https://www.google.com/device" }));
    assert_eq!(google.unwrap().verification_uri.as_str(), "https://www.google.com/device");
}

#[test]
fn what_must_not_be_shown_or_opened_is_refused() {
    use serde_json::json;
    for changes in [
        json!({ "device_code": null }),
        json!({ "device_code": "a\nb" }),
        json!({ "device_code": "x".repeat(5000) }),
        json!({ "user_code": null }),
        json!({ "user_code": "  " }),
        json!({ "user_code": "A\u{1b}[2J" }),
        json!({ "user_code": "A\u{202e}B" }),
        json!({ "user_code": "X".repeat(65) }),
        json!({ "verification_uri": null }),
        json!({ "verification_uri": "javascript:alert(1)" }),
        json!({ "verification_uri": "http://as.example/go" }),
        json!({ "verification_uri": "https://u:p@as.example/go" }),
    ] {
        assert!(changed(changes.clone()).is_err(), "{changes}");
    }
    for foreign in ["https://evil.example/go?c=1", "javascript:1", "http://as.example/go"] {
        let got = changed(json!({ "verification_uri_complete": foreign })).unwrap();
        assert_eq!(got.verification_uri_complete, None, "{foreign}");
    }
}

#[tokio::test]
async fn a_refusal_is_told_from_trouble() {
    let refused =
        answer(400, "application/json", r#"{"error":"unauthorized_client","error_description":"no"}"#);
    let error = begun(&Answers::new([(DEVICE, refused)])).await.unwrap_err();
    assert!(error.to_string().contains("unauthorized_client"), "{error}");
    let busy = with_header(answer(429, "text/plain", ""), "retry-after", "9");
    let error = begun(&Answers::new([(DEVICE, busy)])).await.unwrap_err();
    assert!(
        matches!(error, DeviceAuthorizationError::Trouble { retry_after: Some(pause), .. } if pause.as_secs() == 9)
    );
    let page = answer(200, "text/html", "<html>");
    assert!(matches!(
        begun(&Answers::new([(DEVICE, page)])).await,
        Err(DeviceAuthorizationError::Refused { .. })
    ));
    assert!(matches!(begun(&Answers::unreachable()).await, Err(DeviceAuthorizationError::Http(_))));
}

#[tokio::test]
async fn every_answer_to_a_poll_has_its_meaning() {
    let error = |status, code: &str| answer(status, "application/json", &format!(r#"{{"error":"{code}"}}"#));
    for (response, want) in [
        (error(400, "authorization_pending"), "Pending"),
        (error(428, "authorization_pending"), "Pending"),
        (error(400, "slow_down"), "SlowDown"),
        (error(200, "authorization_pending"), "Pending"),
        (error(200, "expired_token"), "Expired"),
        (error(400, "access_denied"), "Denied"),
        (error(400, "expired_token"), "Expired"),
        (error(400, "invalid_grant"), "Failed(InvalidGrant"),
        (error(401, "invalid_client"), "Failed(RegistrationGone"),
        (error(400, "unsupported_grant_type"), "Failed(Refused"),
        (error(429, "slow_down"), "Trouble"),
        (error(503, "server_error"), "Trouble"),
        (answer(200, "text/html", "<html>"), "Trouble"),
        (json(r#"{"access_token":"at","token_type":"bearer"}"#), "Tokens"),
        (json(r#"{"access_token":"a b","token_type":"bearer"}"#), "Failed(Malformed"),
    ] {
        let http = Answers::new([(TOKEN, response)]);
        let got = format!("{:?}", polled(&http).await);
        assert!(got.starts_with(want), "{want}: {got}");
        let form = http.last_form();
        assert_eq!(field(&form, "grant_type"), Some(DEVICE_CODE));
        assert_eq!(field(&form, "device_code"), Some("d-1"));
        assert_eq!(field(&form, "resource"), Some("https://mcp.example"));
    }
    assert!(matches!(polled(&Answers::unreachable()).await, Polled::Trouble(_)));
}

proptest! {
    #[test]
    fn no_answer_makes_the_reader_panic(code in ".{0,80}", uri in ".{0,80}", n in any::<f64>()) {
        let body = serde_json::json!({ "device_code": "d", "user_code": code, "verification_uri": uri,
            "expires_in": n, "interval": n });
        if let Ok(read) = read_text(&body.to_string()) {
            prop_assert!(!read.user_code.chars().any(char::is_control));
            prop_assert!(!read.interval.is_zero());
        }
    }
}
