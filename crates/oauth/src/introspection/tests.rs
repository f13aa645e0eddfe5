//! What introspection proves, and every answer that proves nothing or the opposite.

use model::TokenEndpointAuth;
use serde_json::json;

use super::*;
use crate::testing::{Answers, answer, field, json as json_answer};

const INTROSPECT: &str = "https://as.example/introspect";
const NOW: UnixTime = UnixTime(1_800_000_000);

fn sources() -> IdentitySources {
    IdentitySources {
        issuer: "https://as.example".into(),
        client_id: "app".into(),
        jwks_uri: None,
        userinfo_endpoint: None,
    }
}

fn ours() -> ClientAuthentication {
    ClientAuthentication::new("app", TokenEndpointAuth::ClientSecretBasic, Some("s".into()))
}

async fn identified(
    http: &Answers,
    authentication: &ClientAuthentication,
) -> Result<Identified, IdentityError> {
    let endpoint = Endpoint::parse(INTROSPECT).unwrap();
    let at = Introspection { endpoint: &endpoint, authentication };
    identify_by_introspection(http, &sources(), at, &"at-1".into(), NOW).await
}

async fn compared(http: &Answers, key: &AccountKey) -> SamePerson {
    let endpoint = Endpoint::parse(INTROSPECT).unwrap();
    let authentication = ours();
    let at = Introspection { endpoint: &endpoint, authentication: &authentication };
    same_person_by_introspection(http, &sources(), at, key, &"at-1".into(), NOW).await
}

fn subject(issuer: &str, subject: &str) -> AccountKey {
    AccountKey::Subject { issuer: issuer.into(), subject: subject.into() }
}

#[tokio::test]
async fn an_active_token_of_ours_proves_its_person() {
    let body = json!({ "active": true, "sub": "ana-1", "username": "ana", "iss": "https://as.example",
        "client_id": "app", "exp": NOW.0 + 60, "email": "ana@example.com", "email_verified": true, "tid": "t-1" });
    let http = Answers::new([(INTROSPECT, json_answer(&body.to_string()))]);
    let Identified::Proven(who) = identified(&http, &ours()).await.unwrap() else { panic!("unverified") };
    assert_eq!((who.subject.as_str(), who.name.as_deref()), ("ana-1", Some("ana")));
    assert_eq!((who.email.as_deref(), who.email_verified), (Some("ana@example.com"), true));
    assert_eq!(who.proof, ProofKind::Introspection);
    assert_eq!(who.tenant.unwrap().tid.as_deref(), Some("t-1"));
    let form = http.last_form();
    assert_eq!(
        (field(&form, "token"), field(&form, "token_type_hint")),
        (Some("at-1"), Some("access_token"))
    );
    assert!(http.requests()[0].headers.contains_key("authorization"));
}

#[tokio::test]
async fn a_public_client_never_asks() {
    let http = Answers::new([(INTROSPECT, json_answer(r#"{"active":true,"sub":"ana-1"}"#))]);
    let public = ClientAuthentication::new("app", TokenEndpointAuth::None, None);
    assert_eq!(identified(&http, &public).await.unwrap(), Identified::Unverified);
    assert!(http.asked().is_empty());
}

#[tokio::test]
async fn every_other_answer_proves_nothing_or_is_an_error() {
    let json_of = |body: Value| json_answer(&body.to_string());
    for (what, response, want) in [
        ("inactive", json_of(json!({ "active": false })), "Inactive"),
        ("active as text", json_of(json!({ "active": "true", "sub": "ana-1" })), "Inactive"),
        ("nothing said", json_of(json!({})), "Inactive"),
        (
            "another issuer",
            json_of(json!({ "active": true, "sub": "a", "iss": "https://as.example/" })),
            "OtherIssuer",
        ),
        ("a strange issuer", json_of(json!({ "active": true, "sub": "a", "iss": 7 })), "OtherIssuer"),
        ("another app", json_of(json!({ "active": true, "sub": "a", "client_id": "b" })), "OtherApp"),
        ("expired", json_of(json!({ "active": true, "sub": "a", "exp": NOW.0 })), "Expired"),
        ("no subject", json_of(json!({ "active": true })), "Unverified"),
        ("the app itself", json_of(json!({ "active": true, "sub": "app" })), "Unverified"),
        ("not for us", answer(401, "application/json", "{}"), "Unverified"),
        ("a page", answer(200, "text/html", r#"{"active":true,"sub":"a"}"#), "Unverified"),
        ("a signed answer", answer(200, "application/token-introspection+jwt", "a.b.c"), "Unverified"),
        ("trouble", answer(503, "text/html", ""), "Trouble"),
    ] {
        let http = Answers::new([(INTROSPECT, response)]);
        let got = match identified(&http, &ours()).await {
            Ok(identified) => format!("{identified:?}"),
            Err(IdentityError::Introspection(error)) => format!("{error:?}"),
            Err(error) => panic!("{error}"),
        };
        assert!(got.starts_with(want), "{what}: {got}");
    }
}

#[tokio::test]
async fn a_refresh_is_compared_and_doubt_hands_nothing_out() {
    let ana = subject("https://as.example", "ana-1");
    let says = |body: Value| Answers::new([(INTROSPECT, json_answer(&body.to_string()))]);
    let active = |who: &str| says(json!({ "active": true, "sub": who }));
    let unverified = AccountKey::Unverified {
        server: model::ServerId::parse("s").unwrap(),
        issuer: "https://as.example".into(),
    };
    for (what, http, key, want) in [
        ("the same", active("ana-1"), &ana, SamePerson::Same(ProofKind::Introspection)),
        ("another", active("ben-1"), &ana, SamePerson::Other),
        ("another spelling", active("Ana-1"), &ana, SamePerson::Other),
        (
            "another issuer's account",
            active("ana-1"),
            &subject("https://x.example", "ana-1"),
            SamePerson::Other,
        ),
        ("unverified", active("ana-1"), &unverified, SamePerson::NothingToAsk),
        ("inactive", says(json!({ "active": false })), &ana, SamePerson::CannotAskNow),
        (
            "for another app",
            says(json!({ "active": true, "sub": "ana-1", "client_id": "x" })),
            &ana,
            SamePerson::Other,
        ),
        ("offline", Answers::unreachable(), &ana, SamePerson::CannotAskNow),
        ("nobody named", says(json!({ "active": true })), &ana, SamePerson::NothingToAsk),
    ] {
        assert_eq!(compared(&http, key).await, want, "{what}");
    }
}
