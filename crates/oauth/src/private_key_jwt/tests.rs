//! What stands in an assertion, and that it is signed by the key.

use std::sync::atomic::{AtomicU64, Ordering};

use ring::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, UnparsedPublicKey};
use serde_json::Value;

use super::*;
use crate::private_key::tests::{RSA_JWK, curve_key};
use crate::testing::{field, form};
use crate::token_endpoint_auth::{AssertionAudience, ClientAuthentication};

const ISSUER: &str = "https://as.example";

fn clock(at: u64) -> Clock {
    Arc::new(move || UnixTime(at))
}

fn parts(token: &str) -> (Value, Value, Vec<u8>, String) {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let read = |text: &str| serde_json::from_slice(&decode(text)).unwrap();
    (read(header), read(claims), decode(signature), signed.to_owned())
}

fn signer(now: Clock) -> ClientAssertionSigner {
    let key = PrivateKey::parse(&RSA_JWK.into()).unwrap();
    ClientAssertionSigner::new(key, ISSUER, None, now).unwrap()
}

#[test]
fn an_assertion_says_who_for_whom_and_for_how_long() {
    let assertion = signer(clock(1_800_000_000)).assertion("app").unwrap();
    let (header, claims, _, _) = parts(assertion.expose());
    assert_eq!(header, json!({ "alg": "RS256", "typ": "JWT", "kid": "rsa-1" }));
    assert_eq!(
        (&claims["iss"], &claims["sub"], &claims["aud"]),
        (&json!("app"), &json!("app"), &json!(ISSUER))
    );
    assert_eq!(claims["iat"], 1_800_000_000_u64);
    assert_eq!(claims["exp"], 1_800_000_300_u64);
    assert!(claims["jti"].as_str().unwrap().len() >= 22, "128 bits");
}

#[test]
fn each_assertion_is_made_when_it_is_sent_and_is_new() {
    let now = Arc::new(AtomicU64::new(100));
    let ticking = Arc::clone(&now);
    let signer = signer(Arc::new(move || UnixTime(ticking.fetch_add(1, Ordering::Relaxed))));
    let claims = |n| {
        let (_, claims, _, _) = parts(signer.assertion("app").unwrap().expose());
        assert_eq!(claims["iat"], n);
        claims["jti"].as_str().unwrap().to_owned()
    };
    assert_ne!(claims(100), claims(101));
}

#[test]
fn the_signature_is_of_the_key() {
    let (der, _, point) = curve_key(&ECDSA_P256_SHA256_FIXED_SIGNING);
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
    let key = PrivateKey::parse(&pem.into()).unwrap().with_key_id("k-7");
    let listed = ["RS256".to_owned(), "ES256".to_owned()];
    let signer = ClientAssertionSigner::new(key, ISSUER, Some(&listed), clock(1)).unwrap();
    let (header, _, signature, content) = parts(signer.assertion("app").unwrap().expose());
    assert_eq!(header, json!({ "alg": "ES256", "typ": "JWT", "kid": "k-7" }));
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(content.as_bytes(), &signature).unwrap();
}

#[test]
fn a_request_carries_the_assertion_and_never_the_key() {
    let kept = Some(Secret::from(RSA_JWK));
    let audience = AssertionAudience { audience: ISSUER, algorithms: None };
    let method = model::TokenEndpointAuth::PrivateKeyJwt;
    let authentication = ClientAuthentication::of("app", method, kept, audience, clock(5)).unwrap();
    assert!(authentication.proves_us());
    let request = authentication.post("https://as.example/t", &[("grant_type", "x")]);
    let fields = form(&request);
    assert_eq!(field(&fields, "client_id"), Some("app"));
    assert_eq!(field(&fields, "client_assertion_type"), Some(CLIENT_ASSERTION_TYPE));
    assert_eq!(field(&fields, "client_secret"), None);
    let assertion = field(&fields, "client_assertion").unwrap();
    assert_eq!(parts(assertion).1["sub"], "app");
    let key: Value = serde_json::from_str(RSA_JWK).unwrap();
    let body = std::str::from_utf8(request.body.expose()).unwrap();
    assert!(!body.contains(key["d"].as_str().unwrap()));
    let shown = format!("{authentication:?} {request:?}");
    assert!(!shown.contains(assertion) && !shown.contains(key["d"].as_str().unwrap()), "{shown}");
}

#[test]
fn what_cannot_sign_for_an_issuer_says_why() {
    let audience = |algorithms| AssertionAudience { audience: ISSUER, algorithms };
    let made = |kept: Option<&str>, audience: AssertionAudience<'_>| {
        let method = model::TokenEndpointAuth::PrivateKeyJwt;
        ClientAuthentication::of("app", method, kept.map(Secret::from), audience, clock(5)).map(|_| ())
    };
    assert_eq!(made(None, audience(None)), Err(AssertionError::NoKey));
    assert!(matches!(made(Some("hunter2"), audience(None)), Err(AssertionError::Key(_))));
    let list = ["EdDSA".to_owned()];
    let error = made(Some(RSA_JWK), audience(Some(&list))).unwrap_err();
    assert!(matches!(error, AssertionError::NoCommonAlgorithm { .. }), "{error}");
    assert!(error.to_string().contains("EdDSA"), "{error}");
}
