//! Both steps, and every assertion that must not be passed on.

use model::TokenEndpointAuth;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::testing::{Answers, answer, field, json as json_answer};

const IDP: &str = "https://idp.example";
const IDP_TOKEN: &str = "https://idp.example/token";
const ISSUER: &str = "https://as.example";
const TOKEN: &str = "https://as.example/token";
const RESOURCE: &str = "https://mcp.example/mcp";
const NOW: UnixTime = UnixTime(1_800_000_000);

fn assertion(header: &Value, claims: &Value) -> String {
    let text = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.c2ln", text(header), text(claims))
}

fn good_claims() -> Value {
    json!({ "iss": IDP, "aud": ISSUER, "sub": "u-1", "client_id": "at-as", "resource": RESOURCE,
        "exp": NOW.0 + 300, "iat": NOW.0, "jti": "j" })
}

fn header() -> Value {
    json!({ "alg": "ES256", "typ": "oauth-id-jag+jwt" })
}

fn exchanged(token: &str) -> crate::HttpResponse {
    json_answer(
        &json!({ "access_token": token, "token_type": "N_A", "expires_in": 300, "scope": "a",
            "issued_token_type": "urn:ietf:params:oauth:token-type:id-jag" })
        .to_string(),
    )
}

async fn requested(http: &Answers, subject: Subject<'_>) -> Result<IdJag, IdentityAssertionError> {
    let token_endpoint = Endpoint::parse(IDP_TOKEN).unwrap();
    let authentication = ClientAuthentication::new("at-idp", TokenEndpointAuth::None, None);
    let provider =
        IdentityProvider { issuer: IDP, token_endpoint: &token_endpoint, authentication: &authentication };
    let scopes = Scopes::parse("a b");
    let target = AssertionTarget { issuer: ISSUER, resource: RESOURCE, client_id: "at-as", scopes: &scopes };
    request_id_jag(http, provider, subject, target, NOW).await
}

async fn redeemed(
    http: &Answers,
    id_jag: &IdJag,
    issuer: &str,
) -> Result<TokenAnswer, IdentityAssertionError> {
    let url = Endpoint::parse(TOKEN).unwrap();
    let authentication =
        ClientAuthentication::new("at-as", TokenEndpointAuth::ClientSecretBasic, Some("s".into()));
    let endpoint = TokenEndpoint { url: &url, authentication: &authentication, resource: Some(RESOURCE) };
    redeem_id_jag(http, issuer, endpoint, id_jag).await
}

#[tokio::test]
async fn one_sign_in_becomes_a_token_at_another_issuer_without_a_browser() {
    let token = assertion(&header(), &good_claims());
    let answer =
        json_answer(r#"{"access_token":"at","token_type":"Bearer","expires_in":60,"refresh_token":"rt"}"#);
    let http = Answers::new([(IDP_TOKEN, exchanged(&token)), (TOKEN, answer)]);
    let id_jag = requested(&http, Subject::IdToken(&"x.y.z".into())).await.unwrap();
    let form = http.last_form();
    for (name, value) in [
        ("audience", ISSUER),
        ("resource", RESOURCE),
        ("scope", "a b"),
        ("subject_token", "x.y.z"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"),
        ("client_id", "at-idp"),
    ] {
        assert_eq!(field(&form, name), Some(value), "{name}");
    }
    let got = redeemed(&http, &id_jag, ISSUER).await.unwrap();
    assert_eq!((got.access_token, got.refresh_token), ("at".into(), None));
    let form = http.last_form();
    assert_eq!(field(&form, "grant_type"), Some(JWT_BEARER));
    assert_eq!(field(&form, "assertion"), Some(token.as_str()));
    assert_eq!(field(&form, "resource"), Some(RESOURCE));
    assert_eq!(field(&form, "scope"), Some("a"), "what the identity provider granted, not more");
    assert_eq!(http.asked(), [IDP_TOKEN, TOKEN]);
    assert!(!format!("{id_jag:?}").contains(&token));
}

#[tokio::test]
async fn a_refresh_token_of_the_identity_provider_does_as_well() {
    let http = Answers::new([(IDP_TOKEN, exchanged(&assertion(&header(), &good_claims())))]);
    requested(&http, Subject::RefreshToken(&"idp-rt".into())).await.unwrap();
    let form = http.last_form();
    assert_eq!(field(&form, "subject_token"), Some("idp-rt"));
    assert_eq!(field(&form, "subject_token_type"), Some("urn:ietf:params:oauth:token-type:refresh_token"));
}

#[tokio::test]
async fn an_assertion_about_anything_else_is_passed_on_to_nobody() {
    let with = |name: &str, value: Value| {
        let mut claims = good_claims();
        claims[name] = value;
        assertion(&header(), &claims)
    };
    let good = assertion(&header(), &good_claims());
    for (what, token, is_good) in [
        ("good", good.clone(), true),
        ("audience as a list of one", with("aud", json!([ISSUER])), true),
        ("resource as a list of one", with("resource", json!([RESOURCE])), true),
        ("no resource", with("resource", Value::Null), true),
        ("typ in other letters", assertion(&json!({ "typ": "OAuth-ID-JAG+jwt" }), &good_claims()), true),
        ("opaque", "opaque".to_owned(), false),
        ("two parts", "a.b".to_owned(), false),
        ("encrypted", format!("{good}.x.y"), false),
        ("an id_token", assertion(&json!({ "typ": "JWT" }), &good_claims()), false),
        ("no typ", assertion(&json!({ "alg": "ES256" }), &good_claims()), false),
        ("another provider", with("iss", "https://evil.example".into()), false),
        ("another spelling of the provider", with("iss", "https://idp.example/".into()), false),
        ("another issuer", with("aud", "https://other.example".into()), false),
        ("two audiences", with("aud", json!([ISSUER, "https://other.example"])), false),
        ("no audience", with("aud", Value::Null), false),
        ("another app", with("client_id", "at-idp".into()), false),
        ("another server", with("resource", "https://mcp.example".into()), false),
        ("two servers", with("resource", json!([RESOURCE, "https://other.example"])), false),
        ("nobody", with("sub", "".into()), false),
        ("expired", with("exp", NOW.0.into()), false),
        ("without end", with("exp", Value::Null), false),
        ("an end that is a text", with("exp", "soon".into()), false),
    ] {
        let http = Answers::new([(IDP_TOKEN, exchanged(&token))]);
        let got = requested(&http, Subject::IdToken(&"x.y.z".into())).await;
        match got {
            Ok(_) => assert!(is_good, "{what} was taken"),
            Err(error) => {
                assert!(!is_good, "{what}: {error}");
                assert!(matches!(error, IdentityAssertionError::Unusable { .. }), "{what}: {error:?}");
            }
        }
    }
}

#[tokio::test]
async fn an_assertion_is_shown_to_its_own_issuer_alone() {
    let http = Answers::new([(IDP_TOKEN, exchanged(&assertion(&header(), &good_claims())))]);
    let id_jag = requested(&http, Subject::IdToken(&"x.y.z".into())).await.unwrap();
    for other in ["https://other.example", "https://as.example/"] {
        let got = redeemed(&http, &id_jag, other).await;
        assert!(matches!(got, Err(IdentityAssertionError::OtherIssuer { .. })), "{other}");
    }
    assert_eq!(http.asked(), [IDP_TOKEN]);
}

#[tokio::test]
async fn every_refusal_says_whose_it_is_and_what_to_do() {
    let error = |status, code: &str| answer(status, "application/json", &format!(r#"{{"error":"{code}"}}"#));
    for (response, want) in [
        (error(400, "invalid_grant"), "SignInAgain"),
        (error(400, "invalid_target"), "NotAllowed"),
        (error(400, "invalid_scope"), "NotAllowed"),
        (error(403, "access_denied"), "NotAllowed"),
        (error(401, "invalid_client"), "Token"),
        (error(503, "server_error"), "Token"),
    ] {
        let http = Answers::new([(IDP_TOKEN, response)]);
        let got = requested(&http, Subject::IdToken(&"x.y.z".into())).await.unwrap_err();
        assert!(format!("{got:?}").starts_with(want), "{want}: {got:?}");
        assert!(got.to_string().contains("https://idp.example"), "{got}");
    }
    let http = Answers::new([
        (IDP_TOKEN, exchanged(&assertion(&header(), &good_claims()))),
        (TOKEN, error(400, "invalid_grant")),
    ]);
    let id_jag = requested(&http, Subject::IdToken(&"x.y.z".into())).await.unwrap();
    let got = redeemed(&http, &id_jag, ISSUER).await.unwrap_err();
    assert!(matches!(got, IdentityAssertionError::NotAccepted { .. }), "{got:?}");
}

#[test]
fn metadata_say_who_takes_assertions() {
    let server = Endpoint::parse("https://as.example/").unwrap();
    let mut metadata = AuthorizationServerMetadata::default_endpoints(&server);
    assert!(!takes_identity_assertions(&metadata));
    metadata.grant_types_supported = Some(vec![JWT_BEARER.into()]);
    assert!(takes_identity_assertions(&metadata));
    metadata.grant_types_supported = Some(vec!["authorization_code".into()]);
    assert!(!takes_identity_assertions(&metadata));
    metadata.authorization_grant_profiles_supported = Some(vec![ID_JAG_PROFILE.into()]);
    assert!(takes_identity_assertions(&metadata));
}

proptest! {
    #[test]
    fn no_text_makes_the_comparison_panic_or_passes(text in ".{0,200}") {
        let scopes = Scopes::default();
        let target = AssertionTarget { issuer: ISSUER, resource: RESOURCE, client_id: "a", scopes: &scopes };
        prop_assert!(check(&text.into(), IDP, &target, NOW).is_err());
    }
}
