//! The ways in without a browser of ours: device codes, the app's own credentials, an identity provider's word.

use std::time::SystemTime;

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};

use super::*;
use crate::authorization_server::signing::JwtTime as _;

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

impl App {
    async fn token(&self, form: &[(&str, &str)]) -> (StatusCode, Value) {
        let answer = self.post("token", form).await.unwrap();
        (answer.status, parse(&answer))
    }

    async fn error(&self, form: &[(&str, &str)]) -> String {
        let (status, answer) = self.token(form).await;
        assert!(status.is_client_error(), "{answer}");
        text(&answer, "error").to_owned()
    }
}

#[tokio::test]
async fn a_device_code_waits_for_its_person_and_is_good_once() {
    let app = App::new(AuthMethod::None).await;
    app.handle().set(|knobs| {
        knobs.device_authorization = Availability::Open;
        knobs.device_interval = 0;
    });
    let wanted = [("scope", "openid mcp"), ("resource", RESOURCE)];
    let begun = parse(&app.post("device_authorization", &wanted).await.unwrap());
    let code = text(&begun, "device_code").to_owned();
    let poll = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("device_code", &code),
        ("resource", RESOURCE),
    ];
    assert_eq!(app.error(&poll).await, "authorization_pending");
    let page = format!("{}&person=ana&decision=allow", text(&begun, "verification_uri_complete"));
    assert_eq!(get(&page, &[]).await.status, StatusCode::OK);
    let (_, tokens) = app.token(&poll).await;
    assert_eq!(app.handle().introspect(text(&tokens, "access_token")).unwrap().person, "ana");
    assert!(tokens["refresh_token"].is_string() && tokens["id_token"].is_string());
    assert_eq!(app.error(&poll).await, "invalid_grant");
    let metadata =
        parse(&get(&format!("{}/.well-known/oauth-authorization-server", app.server.issuer()), &[]).await);
    assert!(metadata["device_authorization_endpoint"].is_string());
    assert!(metadata["grant_types_supported"].as_array().unwrap().contains(&poll[0].1.into()));
}

#[tokio::test]
async fn a_device_code_is_denied_slowed_down_and_ends() {
    let app = App::new(AuthMethod::None).await;
    app.handle().set(|knobs| {
        knobs.device_authorization = Availability::Open;
        // However slowly it is asked: too soon.
        knobs.device_interval = 3600;
    });
    let start = || async {
        let answer = app.post("device_authorization", &[("resource", RESOURCE)]).await.unwrap();
        parse(&answer)
    };
    let grant = ("grant_type", "urn:ietf:params:oauth:grant-type:device_code");
    let slow = start().await;
    let poll = [grant, ("device_code", text(&slow, "device_code")), ("resource", RESOURCE)];
    assert_eq!(app.error(&poll).await, "authorization_pending");
    assert_eq!(app.error(&poll).await, "slow_down");
    assert_eq!(app.handle().stats().device_slow_downs, 1);
    let denied = start().await;
    assert!(app.handle().decide_device(text(&denied, "user_code"), "ana", Decision::Deny));
    assert!(!app.handle().decide_device(text(&denied, "user_code"), "ana", Decision::Allow));
    let poll = [grant, ("device_code", text(&denied, "device_code")), ("resource", RESOURCE)];
    assert_eq!(app.error(&poll).await, "access_denied");
    app.handle().set(|knobs| knobs.device_code_lifetime = 0);
    let late = start().await;
    let poll = [grant, ("device_code", text(&late, "device_code")), ("resource", RESOURCE)];
    assert_eq!(app.error(&poll).await, "expired_token");
}

#[tokio::test]
async fn an_app_that_proves_itself_gets_a_token_of_its_own_and_no_refresh_token() {
    let form = [("grant_type", "client_credentials"), ("resource", RESOURCE), ("scope", "mcp")];
    for (auth, good) in [(AuthMethod::Basic, true), (AuthMethod::Post, true), (AuthMethod::None, false)] {
        let app = App::new(auth).await;
        assert_eq!(app.error(&form).await, "unsupported_grant_type");
        app.handle().set(|knobs| knobs.client_credentials = Availability::Open);
        if !good {
            assert_eq!(app.error(&form).await, "unauthorized_client");
            continue;
        }
        let (_, tokens) = app.token(&form).await;
        let known = app.handle().introspect(text(&tokens, "access_token")).unwrap();
        assert_eq!((known.person, known.resource.as_deref()), (app.registration.id.clone(), Some(RESOURCE)));
        assert!(tokens.get("refresh_token").is_none() && tokens.get("id_token").is_none());
    }
}

/// A key of an app, and assertions by it.
struct Key(EcdsaKeyPair);

impl Key {
    fn new() -> Self {
        let random = SystemRandom::new();
        let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        Self(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.as_ref(), &random).unwrap())
    }

    fn public(&self) -> Value {
        let point = self.0.public_key().as_ref();
        json!({"kty": "EC", "crv": "P-256", "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..])})
    }

    fn sign(&self, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&json!({"alg": "ES256", "typ": "JWT"})), part(claims));
        let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

#[tokio::test]
async fn a_key_authenticates_its_own_app_at_its_own_issuer_once() {
    let app = App::new(AuthMethod::None).await;
    let (key, other) = (Key::new(), Key::new());
    let registration = app.handle().preregister_with_key(&[&app.redirect_uri], &key.public());
    app.handle().set(|knobs| {
        knobs.client_credentials = Availability::Open;
        knobs.token_endpoint_auth.push(AuthMethod::PrivateKeyJwt);
    });
    let (id, issuer, now) = (registration.id.as_str(), app.server.issuer(), SystemTime::now().seconds());
    let claims =
        |jti: &str| json!({"iss": id, "sub": id, "aud": issuer, "jti": jti, "iat": now, "exp": now + 300});
    let with = |jti: &str, name: &str, value: Value| {
        let mut claims = claims(jti);
        claims[name] = value;
        claims
    };
    let url = Url::parse(&format!("{issuer}/token")).unwrap();
    let ask = |assertion: String| {
        let url = &url;
        async move {
            let form = url::form_urlencoded::Serializer::new(String::new())
                .extend_pairs([("grant_type", "client_credentials"), ("resource", RESOURCE)])
                .extend_pairs([
                    ("client_assertion_type", JWT_BEARER),
                    ("client_assertion", assertion.as_str()),
                ])
                .finish();
            let headers = [("content-type", "application/x-www-form-urlencoded")];
            exchange(Method::POST, url, &None, &headers, form).await.unwrap().status
        }
    };
    for (what, assertion, good) in [
        ("good", key.sign(&claims("1")), true),
        ("used before", key.sign(&claims("1")), false),
        ("another key", other.sign(&claims("2")), false),
        ("for the token endpoint", key.sign(&with("3", "aud", format!("{issuer}/token").into())), false),
        ("for another issuer", key.sign(&with("4", "aud", "https://other.example".into())), false),
        ("expired", key.sign(&with("5", "exp", (now - 1).into())), false),
        ("too long", key.sign(&with("6", "exp", (now + 3600).into())), false),
        ("of another issuer", key.sign(&with("7", "iss", "x".into())), false),
        ("without jti", key.sign(&with("8", "jti", Value::Null)), false),
        ("nonsense", "a.b.c".to_owned(), false),
        ("good again", key.sign(&claims("9")), true),
    ] {
        let status = ask(assertion).await;
        assert_eq!(status == StatusCode::OK, good, "{what}: {status}");
    }
}

#[tokio::test]
async fn introspection_tells_an_app_of_its_own_tokens_alone() {
    let mut app = App::new(AuthMethod::Basic).await;
    app.handle().set(|knobs| knobs.introspection = Availability::Open);
    let tokens = app.sign_in("ana").await;
    let token = text(&tokens, "access_token").to_owned();
    let told = parse(&app.post("introspect", &[("token", &token)]).await.unwrap());
    assert_eq!((text(&told, "sub"), &told["active"]), ("ana", &json!(true)));
    assert_eq!(
        (text(&told, "iss"), text(&told, "client_id")),
        (app.server.issuer(), app.registration.id.as_str())
    );
    app.handle().set(|knobs| knobs.introspection_as = Some("ben".into()));
    assert_eq!(parse(&app.post("introspect", &[("token", &token)]).await.unwrap())["sub"], "ben");
    app.handle().expire_access_tokens();
    let told = parse(&app.post("introspect", &[("token", &token)]).await.unwrap());
    assert_eq!(told, json!({"active": false}));
    let public = App::new(AuthMethod::None).await;
    public.handle().set(|knobs| knobs.introspection = Availability::Open);
    assert_eq!(public.post("introspect", &[("token", "x")]).await.unwrap().status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_sign_in_at_the_company_becomes_a_token_at_another_issuer() {
    let mut company = App::new(AuthMethod::None).await;
    let other = App::new(AuthMethod::Basic).await;
    company.handle().set(|knobs| {
        knobs.token_exchange = Availability::Open;
        knobs.id_jag_app = Some(other.registration.id.clone());
    });
    other.handle().set(|knobs| knobs.jwt_bearer = Availability::Open);
    let signed_in = company.sign_in("ana").await;
    let exchange_of = |kind: &'static str, subject: String| {
        let (company, issuer) = (&company, other.server.issuer().to_owned());
        async move {
            let kind = format!("urn:ietf:params:oauth:token-type:{kind}");
            let form = [
                ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
                ("requested_token_type", "urn:ietf:params:oauth:token-type:id-jag"),
                ("audience", issuer.as_str()),
                ("resource", RESOURCE),
                ("scope", "mcp"),
                ("subject_token", subject.as_str()),
                ("subject_token_type", kind.as_str()),
            ];
            company.token(&form).await
        }
    };
    let redeem = |assertion: String| {
        let other = &other;
        async move {
            let form = [
                ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
                ("assertion", assertion.as_str()),
                ("resource", RESOURCE),
            ];
            other.token(&form).await
        }
    };
    let id_token = text(&signed_in, "id_token").to_owned();
    let (_, vouched) = exchange_of("id_token", id_token.clone()).await;
    let assertion = text(&vouched, "access_token").to_owned();
    let (status, _) = redeem(assertion.clone()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "a stranger's word counts for nothing");
    other.handle().trust(company.handle());
    let (_, tokens) = redeem(assertion.clone()).await;
    let known = other.handle().introspect(text(&tokens, "access_token")).unwrap();
    assert_eq!((known.person.as_str(), known.resource.as_deref()), ("ana", Some(RESOURCE)));
    assert_eq!(redeem(assertion).await.0, StatusCode::BAD_REQUEST, "an assertion is good once");
    let refresh_token = text(&signed_in, "refresh_token").to_owned();
    assert_eq!(exchange_of("refresh_token", refresh_token).await.0, StatusCode::OK);
    for bad in ["x.y.z".to_owned(), text(&signed_in, "access_token").to_owned()] {
        assert_eq!(exchange_of("id_token", bad).await.0, StatusCode::BAD_REQUEST);
    }
    for fault in [
        IdJagFault::Issuer,
        IdJagFault::Audience,
        IdJagFault::Resource,
        IdJagFault::App,
        IdJagFault::Expired,
        IdJagFault::Kind,
    ] {
        company.handle().set(|knobs| knobs.id_jag_fault = Some(fault));
        let (_, vouched) = exchange_of("id_token", id_token.clone()).await;
        let (status, _) = redeem(text(&vouched, "access_token").to_owned()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{fault:?}");
    }
    company.handle().set(|knobs| knobs.id_jag_denied = vec!["ana".into()]);
    let (_, denied) = exchange_of("id_token", id_token).await;
    assert_eq!(text(&denied, "error"), "access_denied");
}
