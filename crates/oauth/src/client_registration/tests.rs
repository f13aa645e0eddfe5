//! A8 to A12 and A20 as tables, and every refusal as a sentence.

use super::*;
use crate::testing::{Answers, answer, json as json_answer};

const REDIRECT: &str = "http://127.0.0.1:4711/callback";
const REGISTER: &str = "https://as.example/register";

fn metadata(methods: Option<&[&str]>) -> AuthorizationServerMetadata {
    let server = Endpoint::parse("https://as.example/").unwrap();
    AuthorizationServerMetadata {
        token_endpoint_auth_methods_supported: methods.map(|m| m.iter().map(|&s| s.to_owned()).collect()),
        ..AuthorizationServerMetadata::default_endpoints(&server)
    }
}

fn stored(issuer: &str, redirect_uri: &str) -> ClientRegistration {
    ClientRegistration {
        issuer: issuer.into(),
        client_id: "dyn".into(),
        kind: RegistrationKind::Dynamic,
        token_endpoint_auth: TokenEndpointAuth::None,
        redirect_uri: Some(redirect_uri.into()),
        secret: None,
    }
}

fn used(registration: Result<Registration, RegistrationError>) -> ClientRegistration {
    match registration.unwrap() {
        Registration::Use(registration) => registration,
        Registration::Register { .. } => panic!("registers"),
    }
}

#[test]
fn pre_registered_wins_over_document_over_stored_over_new() {
    let mut metadata = metadata(Some(&["none"]));
    let url = "https://hallpass.example/client.json";
    let document = RegistrationChoice { metadata_url: Some(url.into()), ..RegistrationChoice::default() };
    let both = RegistrationChoice { client_id: Some("pre".into()), ..document.clone() };
    let nothing = RegistrationChoice::default();
    let known = [stored("https://as.example", REDIRECT)];

    assert_eq!(
        used(choose(&metadata, &both, &known, RegisterFor::Redirect(REDIRECT))).kind,
        RegistrationKind::PreRegistered
    );
    assert_eq!(
        used(choose(&metadata, &document, &known, RegisterFor::Redirect(REDIRECT))).client_id,
        "dyn",
        "the issuer takes no document"
    );
    metadata.client_id_metadata_document_supported = true;
    assert_eq!(used(choose(&metadata, &document, &known, RegisterFor::Redirect(REDIRECT))).client_id, url);
    assert_eq!(
        used(choose(&metadata, &nothing, &known, RegisterFor::Redirect(REDIRECT))).client_id,
        "dyn",
        "no document of ours"
    );
    assert!(matches!(
        choose(&metadata, &nothing, &[], RegisterFor::Redirect(REDIRECT)),
        Ok(Registration::Register { .. })
    ));
    metadata.registration_endpoint = None;
    let error = choose(&metadata, &nothing, &[], RegisterFor::Redirect(REDIRECT)).unwrap_err();
    assert!(error.to_string().contains("--client-id"), "{error}");
}

#[test]
fn a_registration_of_another_issuer_or_redirect_uri_is_not_used() {
    let metadata = metadata(Some(&["none"]));
    for known in [
        stored("https://as.example/", REDIRECT),
        stored("https://other.example", REDIRECT),
        stored("https://as.example", "http://127.0.0.1:4712/callback"),
    ] {
        let got =
            choose(&metadata, &RegistrationChoice::default(), &[known], RegisterFor::Redirect(REDIRECT));
        assert!(matches!(got, Ok(Registration::Register { .. })));
    }
}

#[test]
fn a_secret_of_another_issuer_is_not_taken_along() {
    let choice = RegistrationChoice {
        client_id: Some("pre".into()),
        has_secret: true,
        ..RegistrationChoice::default()
    };
    let item = model::ItemId::parse("item-1").unwrap();
    let old = |issuer| ClientRegistration {
        client_id: "pre".into(),
        kind: RegistrationKind::PreRegistered,
        secret: Some(item.clone()),
        ..stored(issuer, REDIRECT)
    };
    let metadata = metadata(None);
    assert_eq!(
        used(choose(&metadata, &choice, &[old("https://as.example")], RegisterFor::Redirect(REDIRECT)))
            .secret,
        Some(item.clone())
    );
    assert_eq!(
        used(choose(&metadata, &choice, &[old("https://evil.example")], RegisterFor::Redirect(REDIRECT)))
            .secret,
        None
    );
}

#[test]
fn the_authentication_method_is_one_that_the_issuer_offers() {
    use TokenEndpointAuth::{ClientSecretBasic as Basic, ClientSecretPost as Post, None as Public};
    for (methods, new, with_secret) in [
        (None, Some(Basic), Some(Basic)),
        (Some(&["none"][..]), Some(Public), Some(Public)),
        (Some(&["client_secret_basic"]), Some(Basic), Some(Basic)),
        (Some(&["client_secret_post"]), Some(Post), Some(Post)),
        (Some(&["client_secret_post", "none", "client_secret_basic"]), Some(Public), Some(Basic)),
        (Some(&["private_key_jwt"]), None, None),
        (Some(&[]), None, None),
    ] {
        let metadata = metadata(methods);
        let asked =
            match choose(&metadata, &RegistrationChoice::default(), &[], RegisterFor::Redirect(REDIRECT)) {
                Ok(Registration::Register { token_endpoint_auth, .. }) => Some(token_endpoint_auth),
                Ok(Registration::Use(_)) => panic!(),
                Err(_) => None,
            };
        assert_eq!(asked, new, "{methods:?}");
        let choice = RegistrationChoice {
            client_id: Some("pre".into()),
            has_secret: true,
            ..RegistrationChoice::default()
        };
        let got = choose(&metadata, &choice, &[], RegisterFor::Redirect(REDIRECT))
            .ok()
            .map(|r| used(Ok(r)).token_endpoint_auth);
        assert_eq!(got, with_secret, "{methods:?}");
        let public = RegistrationChoice { has_secret: false, ..choice.clone() };
        assert_eq!(
            used(choose(&metadata, &public, &[], RegisterFor::Redirect(REDIRECT))).token_endpoint_auth,
            Public
        );
        let told = RegistrationChoice { token_endpoint_auth: Some(Post), ..choice };
        assert_eq!(
            used(choose(&metadata, &told, &[], RegisterFor::Redirect(REDIRECT))).token_endpoint_auth,
            Post
        );
    }
}

#[test]
fn a_metadata_document_lies_at_an_https_address_with_a_path() {
    let mut metadata = metadata(Some(&["none"]));
    metadata.client_id_metadata_document_supported = true;
    for bad in ["http://127.0.0.1/x", "https://a.example", "https://a.example/", "x", "javascript:1"] {
        let choice = RegistrationChoice { metadata_url: Some(bad.into()), ..RegistrationChoice::default() };
        let got = choose(&metadata, &choice, &[], RegisterFor::Redirect(REDIRECT));
        assert!(matches!(got, Err(RegistrationError::BadMetadataUrl { .. })), "{bad}");
    }
}

async fn ask(http: &Answers, auth: TokenEndpointAuth) -> Result<Registered, RegistrationError> {
    ask_for(http, RegisterFor::Redirect(REDIRECT), auth).await
}

async fn ask_for(
    http: &Answers,
    wanted: RegisterFor<'_>,
    auth: TokenEndpointAuth,
) -> Result<Registered, RegistrationError> {
    let endpoint = Endpoint::parse(REGISTER).unwrap();
    let request = RegistrationRequest {
        issuer: "https://as.example",
        endpoint: &endpoint,
        wanted,
        token_endpoint_auth: auth,
        scopes: &Scopes::parse("a b"),
        grant_types_supported: None,
    };
    register(http, &request).await
}

#[tokio::test]
async fn a_registration_for_another_device_names_its_grant_and_is_kept_apart() {
    let browser = stored("https://as.example", REDIRECT);
    let device = ClientRegistration { client_id: "tv".into(), redirect_uri: None, ..browser.clone() };
    let (metadata, nothing) = (metadata(None), RegistrationChoice::default());
    let both = [browser, device];
    let chosen = |wanted| used(choose(&metadata, &nothing, &both, wanted)).client_id;
    assert_eq!(
        (chosen(RegisterFor::Device), chosen(RegisterFor::Redirect(REDIRECT))),
        ("tv".into(), "dyn".into())
    );
    let alone = choose(&metadata, &nothing, &both[..1], RegisterFor::Device);
    assert!(matches!(alone, Ok(Registration::Register { .. })), "a browser's registration is not for it");

    let http = Answers::new([(REGISTER, json_answer(r#"{"client_id":"tv"}"#))]);
    let registered = ask_for(&http, RegisterFor::Device, TokenEndpointAuth::None).await.unwrap().registration;
    assert_eq!((registered.client_id.as_str(), registered.redirect_uri), ("tv", None));
    let body: Value = serde_json::from_slice(http.requests()[0].body.expose()).unwrap();
    assert_eq!(body["grant_types"], json!([DEVICE_CODE, "refresh_token"]));
    assert_eq!((&body["redirect_uris"], &body["response_types"]), (&json!([]), &json!([])));
}

#[tokio::test]
async fn a_registration_says_that_we_are_a_native_app_with_this_redirect_uri() {
    let http = Answers::new([(REGISTER, json_answer(r#"{"client_id":"new"}"#))]);
    let got = ask(&http, TokenEndpointAuth::None).await.unwrap();
    assert_eq!(
        got.registration,
        ClientRegistration { client_id: "new".into(), ..stored("https://as.example", REDIRECT) }
    );
    let body: Value = serde_json::from_slice(http.requests()[0].body.expose()).unwrap();
    assert_eq!(body["application_type"], "native");
    assert_eq!(body["redirect_uris"], json!([REDIRECT]));
    assert_eq!(body["grant_types"], json!(["authorization_code", "refresh_token"]));
    assert_eq!(body["response_types"], json!(["code"]));
    assert_eq!(body["token_endpoint_auth_method"], "none");
    assert_eq!(body["scope"], "a b");
}

#[tokio::test]
async fn metadata_that_is_refused_is_sent_once_more_without_scopes() {
    for (error, times) in [("invalid_client_metadata", 2), ("invalid_software_statement", 1)] {
        let body = format!(r#"{{"error":"{error}"}}"#);
        let http = Answers::new([(REGISTER, answer(400, "application/json", &body))]);
        ask(&http, TokenEndpointAuth::None).await.unwrap_err();
        let sent: Vec<Value> =
            http.requests().iter().map(|r| serde_json::from_slice(r.body.expose()).unwrap()).collect();
        assert_eq!(sent.len(), times, "{error}");
        assert!(
            sent[1..].iter().all(|body| body.get("scope").is_none() && body["client_name"] == "Hallpass")
        );
    }
}

#[tokio::test]
async fn the_answer_decides_how_we_authenticate() {
    use TokenEndpointAuth::{ClientSecretBasic as Basic, ClientSecretPost as Post, None as Public};
    for (asked, more, method, secret) in [
        (Public, "", Public, false),
        (Public, r#","client_secret":"s""#, Public, false),
        (Public, r#","client_secret":"s","token_endpoint_auth_method":"client_secret_post""#, Post, true),
        (Basic, r#","client_secret":"s""#, Basic, true),
        (Basic, "", Public, false),
        (Basic, r#","client_secret":"s","token_endpoint_auth_method":"none""#, Public, false),
    ] {
        let http = Answers::new([(
            REGISTER,
            answer(201, "application/json", &format!(r#"{{"client_id":"x"{more}}}"#)),
        )]);
        let got = ask(&http, asked).await.unwrap();
        assert_eq!(
            (got.registration.token_endpoint_auth, got.secret.is_some()),
            (method, secret),
            "{asked:?} {more}"
        );
    }
}

#[tokio::test]
async fn an_unusable_answer_is_refused() {
    for body in [
        "{}",
        "[]",
        "<html>",
        r#"{"client_id":""}"#,
        r#"{"client_id":"a\nb"}"#,
        r#"{"client_id":"a","client_secret":"x\r\ny"}"#,
        r#"{"client_id":"a","token_endpoint_auth_method":"private_key_jwt"}"#,
        r#"{"client_id":"a","token_endpoint_auth_method":"client_secret_basic"}"#,
    ] {
        let http = Answers::new([(REGISTER, json_answer(body))]);
        let got = ask(&http, TokenEndpointAuth::None).await;
        assert!(matches!(got, Err(RegistrationError::Malformed { .. })), "{body}");
    }
    let http = Answers::new([(
        REGISTER,
        json_answer(r#"{"client_id":"a","redirect_uris":["http://127.0.0.1/callback"]}"#),
    )]);
    assert!(matches!(
        ask(&http, TokenEndpointAuth::None).await,
        Err(RegistrationError::RedirectRefused { .. })
    ));
}

#[tokio::test]
async fn each_refusal_says_what_to_do() {
    for (status, body, part) in [
        (
            400,
            r#"{"error":"invalid_redirect_uri","error_description":"no\u001bports"}"#,
            "does not accept the address http://127.0.0.1:4711/callback",
        ),
        (400, r#"{"error":"invalid_client_metadata"}"#, "invalid_client_metadata"),
        (400, "nonsense", "no reason"),
        (401, "{}", "--client-id"),
        (403, "{}", "--client-id"),
        (404, "", "--client-id"),
        (429, "", "try again later"),
        (500, "", "try again later"),
        (302, "", "a redirect, which is not followed"),
    ] {
        let http = Answers::new([(REGISTER, answer(status, "application/json", body))]);
        let text = ask(&http, TokenEndpointAuth::None).await.unwrap_err().to_string();
        assert!(text.contains(part) && !text.contains('\u{1b}'), "{status}: {text}");
    }
}
