//! id_tokens signed with keys made here, and every way to make a wrong one.

use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use openidconnect::PrivateSigningKey;
use openidconnect::core::{CoreEdDsaPrivateSigningKey, CoreJwsSigningAlgorithm, CoreRsaPrivateSigningKey};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use rsa::pkcs1::{EncodeRsaPrivateKey, LineEnding};
use rsa::traits::PublicKeyParts;
use serde_json::json;

use super::*;
use crate::testing::{Answers, answer, json as json_answer};

const ISSUER: &str = "https://as.example";
const KEYS: &str = "https://as.example/jwks";
const USERINFO: &str = "https://as.example/me";
const NOW: UnixTime = UnixTime(1_800_000_000);

/// One key pair of each kind, made once.
struct Keys {
    rsa: CoreRsaPrivateSigningKey,
    rsa_modulus: Vec<u8>,
    ed: CoreEdDsaPrivateSigningKey,
    ec: EcdsaKeyPair,
    jwks: Value,
}

fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| {
        let random = ring::rand::SystemRandom::new();
        // Small, so that it is made quickly without optimisation.
        let rsa = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 1024).unwrap();
        let (n, e) = (rsa.n().to_bytes_be(), rsa.e().to_bytes_be());
        let pem = rsa.to_pkcs1_pem(LineEnding::LF).unwrap();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let ec = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap();
        let point = ec.public_key().as_ref().to_vec();
        let (ed, ed_public) = ed25519(&[7; 32]);
        let jwks = json!({ "keys": [
            { "kty": "RSA", "kid": "rsa", "use": "sig", "n": B64.encode(&n), "e": B64.encode(e) },
            { "kty": "EC", "kid": "ec", "crv": "P-256", "x": B64.encode(&point[1..33]), "y": B64.encode(&point[33..]) },
            { "kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": B64.encode(ed_public) },
            { "kty": "strange", "kid": "other" },
        ]});
        Keys { rsa: CoreRsaPrivateSigningKey::from_pem(&pem, None).unwrap(), rsa_modulus: n, ed, ec, jwks }
    })
}

/// An Ed25519 key of a seed, by its fixed PKCS#8 prefix.
fn ed25519(seed: &[u8; 32]) -> (CoreEdDsaPrivateSigningKey, Vec<u8>) {
    let mut der = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    der.extend_from_slice(seed);
    let text = base64::engine::general_purpose::STANDARD.encode(&der);
    let label = "PRIVATE KEY";
    let pem = format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n");
    let public =
        ring::signature::Ed25519KeyPair::from_seed_unchecked(seed).unwrap().public_key().as_ref().to_vec();
    (CoreEdDsaPrivateSigningKey::from_ed25519_pem(&pem, None).unwrap(), public)
}

fn good_claims() -> Value {
    json!({ "iss": ISSUER, "sub": "ana-1", "aud": "app", "exp": NOW.0 + 300, "iat": NOW.0 - 5, "nonce": "n0nce",
        "name": "Ana", "email": "ana@example.com", "email_verified": true })
}

/// Good claims with some changed; null takes one away.
fn claims(changes: Value) -> Value {
    let mut claims = good_claims();
    let Value::Object(changes) = changes else { panic!("changes are an object") };
    for (name, value) in changes {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(&name);
        } else {
            claims[name] = value;
        }
    }
    claims
}

fn unsigned(alg: &str, kid: &str, claims: &Value) -> String {
    let header = json!({ "alg": alg, "kid": kid, "typ": "JWT" });
    format!("{}.{}", B64.encode(header.to_string()), B64.encode(claims.to_string()))
}

fn signed(alg: &str, claims: &Value) -> String {
    let keys = keys();
    let kid = match alg {
        "ES256" => "ec",
        "EdDSA" => "ed",
        _ => "rsa",
    };
    let message = unsigned(alg, kid, claims);
    let signature = match alg {
        "ES256" => {
            keys.ec.sign(&ring::rand::SystemRandom::new(), message.as_bytes()).unwrap().as_ref().to_vec()
        }
        "EdDSA" => keys.ed.sign(&CoreJwsSigningAlgorithm::EdDsa, message.as_bytes()).unwrap(),
        "PS256" => keys.rsa.sign(&CoreJwsSigningAlgorithm::RsaSsaPssSha256, message.as_bytes()).unwrap(),
        "RS384" => keys.rsa.sign(&CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384, message.as_bytes()).unwrap(),
        _ => keys.rsa.sign(&CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256, message.as_bytes()).unwrap(),
    };
    format!("{message}.{}", B64.encode(signature))
}

fn sources() -> IdentitySources {
    IdentitySources {
        issuer: ISSUER.into(),
        client_id: "app".into(),
        jwks_uri: Some(Endpoint::parse(KEYS).unwrap()),
        userinfo_endpoint: Some(Endpoint::parse(USERINFO).unwrap()),
    }
}

fn issuer() -> Answers {
    Answers::new([(KEYS, json_answer(&keys().jwks.to_string()))])
}

fn answered(id_token: Option<String>) -> TokenAnswer {
    TokenAnswer {
        access_token: "at".into(),
        refresh_token: None,
        expires_in: None,
        scope: None,
        id_token: id_token.map(Secret::new),
    }
}

async fn sign_in(http: &Answers, id_token: Option<String>) -> Result<Identified, IdentityError> {
    identify(http, &sources(), &answered(id_token), Some(&"n0nce".into()), NOW).await
}

fn ana(proof: ProofKind) -> Identity {
    Identity {
        issuer: ISSUER.into(),
        subject: "ana-1".into(),
        name: Some("Ana".into()),
        email: Some("ana@example.com".into()),
        email_verified: true,
        proof,
        tenant: None,
    }
}

#[tokio::test]
async fn a_right_id_token_proves_the_person_with_every_algorithm() {
    for alg in ["RS256", "RS384", "PS256", "ES256", "EdDSA"] {
        let http = issuer();
        let got = sign_in(&http, Some(signed(alg, &good_claims()))).await.unwrap();
        assert_eq!(got, Identified::Proven(ana(ProofKind::IdToken)), "{alg}");
        assert_eq!(http.asked(), [KEYS], "{alg}: userinfo is asked only for what is missing");
    }
}

#[tokio::test]
async fn one_wrong_claim_is_enough_to_refuse() {
    for change in [
        json!({ "aud": "other-app" }),
        json!({ "aud": ["app", "other-app"] }),
        json!({ "aud": null }),
        json!({ "iss": "https://as.example/" }),
        json!({ "iss": "https://evil.example" }),
        json!({ "iss": null }),
        json!({ "nonce": "other" }),
        json!({ "nonce": null }),
        json!({ "exp": NOW.0 - 121 }),
        json!({ "exp": null }),
        json!({ "exp": "soon" }),
        json!({ "iat": NOW.0 + 121 }),
        json!({ "iat": null }),
        json!({ "sub": null }),
        json!({ "sub": "" }),
        json!({ "azp": "other-app" }),
    ] {
        let token = signed("EdDSA", &claims(change.clone()));
        assert!(sign_in(&issuer(), Some(token)).await.is_err(), "{change} was taken");
    }
    for change in [
        json!({ "aud": ["app"] }),
        json!({ "azp": "app" }),
        json!({ "exp": NOW.0 - 60 }),
        json!({ "iat": NOW.0 + 60 }),
    ] {
        sign_in(&issuer(), Some(signed("EdDSA", &claims(change)))).await.unwrap();
    }
}

#[tokio::test]
async fn forged_signatures_are_refused() {
    let good = signed("RS256", &good_claims());
    let (head, signature) = good.rsplit_once('.').unwrap();
    let forged_claims = B64.encode(claims(json!({ "sub": "ben-2" })).to_string());
    let header = good.split('.').next().unwrap();
    // A public key used as the secret of a MAC: the bytes of its modulus.
    let mac_message = unsigned("HS256", "rsa", &good_claims());
    let mac = ring::hmac::sign(
        &ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &keys().rsa_modulus),
        mac_message.as_bytes(),
    );
    let (stranger, _) = ed25519(&[9; 32]);
    let strange = unsigned("EdDSA", "ed", &good_claims());
    let strange_signature = stranger.sign(&CoreJwsSigningAlgorithm::EdDsa, strange.as_bytes()).unwrap();
    for (what, token) in [
        ("other claims", format!("{header}.{forged_claims}.{signature}")),
        ("no signature", format!("{head}.")),
        ("alg none", format!("{}.", unsigned("none", "rsa", &good_claims()))),
        ("alg None", format!("{}.", unsigned("None", "rsa", &good_claims()))),
        ("HS256 with the public key", format!("{mac_message}.{}", B64.encode(mac.as_ref()))),
        ("another key", format!("{strange}.{}", B64.encode(strange_signature))),
        ("a key of another kind", format!("{}.{signature}", unsigned("RS256", "ec", &good_claims()))),
        ("an unknown key", format!("{}.{signature}", unsigned("RS256", "nobody", &good_claims()))),
        ("garbage", "a.b.c".to_owned()),
        ("nothing", "x".to_owned()),
    ] {
        assert!(sign_in(&issuer(), Some(token)).await.is_err(), "{what} was taken");
    }
}

#[tokio::test]
async fn userinfo_fills_in_a_name_but_never_another_person() {
    let bare = signed("EdDSA", &claims(json!({ "name": null, "email": null, "email_verified": null })));
    let mut http = issuer();
    http.set(
        USERINFO,
        json_answer(r#"{"sub":"ana-1","name":"Ana","email":"ana@example.com","email_verified":"true"}"#),
    );
    assert_eq!(
        sign_in(&http, Some(bare.clone())).await.unwrap(),
        Identified::Proven(ana(ProofKind::IdToken))
    );
    let asked = http.requests();
    let authorization = &asked.last().unwrap().headers["authorization"];
    assert!(authorization.is_sensitive() && authorization == "Bearer at");

    http.set(USERINFO, json_answer(r#"{"sub":"ben-2","name":"Ben"}"#));
    assert!(matches!(sign_in(&http, Some(bare.clone())).await, Err(IdentityError::TwoPeople)));

    http.set(USERINFO, answer(500, "text/plain", ""));
    let Ok(Identified::Proven(nameless)) = sign_in(&http, Some(bare)).await else { panic!() };
    assert_eq!(
        (nameless.subject.as_str(), nameless.name),
        ("ana-1", None),
        "the proof stands without a name"
    );
}

#[tokio::test]
async fn without_an_id_token_userinfo_proves_and_silence_proves_nothing() {
    let mut http = issuer();
    http.set(
        USERINFO,
        json_answer(r#"{"sub":"ana-1","name":"Ana","email":"ana@example.com","email_verified":true}"#),
    );
    assert_eq!(sign_in(&http, None).await.unwrap(), Identified::Proven(ana(ProofKind::Userinfo)));
    for silence in [
        answer(401, "application/json", "{}"),
        answer(403, "text/plain", ""),
        answer(404, "text/html", ""),
        json_answer(r#"{"name":"Ana"}"#),
        answer(200, "application/jwt", "a.b.c"),
    ] {
        http.set(USERINFO, silence);
        assert_eq!(sign_in(&http, None).await.unwrap(), Identified::Unverified);
    }
    for trouble in [
        answer(503, "text/plain", ""),
        answer(307, "text/html", ""),
        answer(200, "text/html", "<h1>Welcome to the hotel</h1>"),
        answer(200, "application/json", r#"{"sub":"#),
    ] {
        http.set(USERINFO, trouble);
        let told = sign_in(&http, None).await;
        assert!(matches!(told, Err(IdentityError::Userinfo(_))), "unavailable is not unverified: {told:?}");
    }
}

#[tokio::test]
async fn an_id_token_that_cannot_be_checked_is_an_error_and_not_unverified() {
    let token = signed("EdDSA", &good_claims());
    for keys in [answer(503, "text/plain", ""), answer(404, "text/plain", ""), json_answer(r#"{"keys":[]}"#)]
    {
        let mut http = issuer();
        http.set(KEYS, keys);
        assert!(matches!(sign_in(&http, Some(token.clone())).await, Err(IdentityError::IdToken(_))));
    }
}

#[tokio::test]
async fn a_refresh_stays_with_its_person() {
    let key = ana(ProofKind::IdToken).key();
    let check = async |http: &Answers, answer: TokenAnswer| {
        same_person_at_refresh(http, &sources(), Before { key: &key, access_token: None }, &answer, NOW).await
    };
    let token = |change: Value| answered(Some(signed("EdDSA", &claims(change))));
    let no_nonce = json!({ "nonce": null });
    assert_eq!(check(&issuer(), token(no_nonce.clone())).await, SamePerson::Same(ProofKind::IdToken));
    assert_eq!(check(&issuer(), token(json!({ "sub": "ben-2" }))).await, SamePerson::Other);
    assert_eq!(check(&issuer(), token(json!({ "iss": "https://evil.example" }))).await, SamePerson::Other);
    assert_eq!(check(&issuer(), token(json!({ "aud": "other-app" }))).await, SamePerson::Other);

    // An old token handed out again is no proof; userinfo is asked instead.
    let mut http = issuer();
    let stale = json!({ "exp": NOW.0 - 9000, "iat": NOW.0 - 9999 });
    assert_eq!(check(&http, token(stale.clone())).await, SamePerson::NothingToAsk);
    http.set(USERINFO, json_answer(r#"{"sub":"ben-2"}"#));
    assert_eq!(check(&http, token(stale)).await, SamePerson::Other);
    assert_eq!(check(&http, answered(None)).await, SamePerson::Other);
    http.set(USERINFO, json_answer(r#"{"sub":"ana-1"}"#));
    assert_eq!(check(&http, answered(None)).await, SamePerson::Same(ProofKind::Userinfo));
    http.set(USERINFO, answer(503, "text/plain", ""));
    assert_eq!(check(&http, answered(None)).await, SamePerson::CannotAskNow);
    assert_eq!(check(&Answers::unreachable(), token(no_nonce)).await, SamePerson::CannotAskNow);
    let forged = answered(Some(format!("{}.AAAA", unsigned("EdDSA", "ed", &good_claims()))));
    assert_eq!(
        check(&issuer(), forged).await,
        SamePerson::CannotAskNow,
        "nothing is handed out, nothing destroyed"
    );
}

#[tokio::test]
async fn a_changed_claim_in_a_readable_access_token_stops_a_refresh() {
    let server = model::ServerId::parse("s").unwrap();
    let unverified = AccountKey::Unverified { server, issuer: ISSUER.into() };
    let jwt = |claims: Value| Secret::new(format!("{}.x", unsigned("RS256", "k", &claims)));
    let old = jwt(json!({ "sub": "a", "tid": "t1", "jti": "1" }));
    let before = Before { key: &unverified, access_token: Some(&old) };
    let quiet = IdentitySources { jwks_uri: None, userinfo_endpoint: None, ..sources() };
    for (new, want) in [
        (jwt(json!({ "sub": "a", "tid": "t1", "jti": "2" })), SamePerson::NothingToAsk),
        (jwt(json!({ "sub": "b", "tid": "t1" })), SamePerson::Other),
        (jwt(json!({ "sub": "a", "tid": "t2" })), SamePerson::Other),
        (jwt(json!({ "jti": "2" })), SamePerson::NothingToAsk),
        ("opaque".into(), SamePerson::NothingToAsk),
    ] {
        let answer = TokenAnswer { access_token: new, ..answered(None) };
        assert_eq!(same_person_at_refresh(&issuer(), &quiet, before, &answer, NOW).await, want);
    }
    let elsewhere = AccountKey::Subject { issuer: "https://other.example".into(), subject: "ana-1".into() };
    let before = Before { key: &elsewhere, access_token: None };
    assert_eq!(
        same_person_at_refresh(&issuer(), &sources(), before, &answered(None), NOW).await,
        SamePerson::Other
    );
}
