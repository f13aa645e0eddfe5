//! Keys in every form that people hold them in. The RSA key was made for these tests and protects nothing.

use proptest::prelude::*;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, KeyPair as _, RSA_PKCS1_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};
use rsa::pkcs1::{EncodeRsaPrivateKey as _, LineEnding};
use rsa::pkcs8::EncodePrivateKey as _;
use serde_json::json;

use super::*;

pub(crate) const RSA_JWK: &str = include_str!("rsa_for_tests.jwk.json");

fn parse(text: &str) -> Result<PrivateKey, PrivateKeyError> {
    PrivateKey::parse(&Secret::from(text))
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|l| std::str::from_utf8(l).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn rsa_key() -> rsa::RsaPrivateKey {
    let jwk: Value = serde_json::from_str(RSA_JWK).unwrap();
    let number = |name: &str| {
        rsa::BigUint::from_bytes_be(&URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap())
    };
    rsa::RsaPrivateKey::from_components(number("n"), number("e"), number("d"), vec![number("p"), number("q")])
        .unwrap()
}

/// A fresh key of a curve: PKCS #8, the scalar, the public point.
pub(crate) fn curve_key(algorithm: &'static EcdsaSigningAlgorithm) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let random = SystemRandom::new();
    let der = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, der.as_ref(), &random).unwrap();
    let point = pair.public_key().as_ref().to_vec();
    let half = (point.len() - 1) / 2;
    // In ring's document the scalar is an OCTET STRING of the curve's length in front of the public point.
    let head = [0x04, u8::try_from(half).unwrap()];
    let at = der.as_ref().windows(2).rposition(|w| w == head).unwrap();
    let scalar = der.as_ref()[at + 2..at + 2 + half].to_vec();
    (der.as_ref().to_vec(), scalar, point)
}

fn curve_jwk(curve: &str, scalar: &[u8], point: &[u8]) -> String {
    let half = (point.len() - 1) / 2;
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    json!({ "kty": "EC", "crv": curve, "kid": "k", "d": text(scalar), "x": text(&point[1..=half]), "y": text(&point[half + 1..]) })
        .to_string()
}

/// What stands inside a PKCS #8 document of a curve.
fn sec1_of(pkcs8: &[u8]) -> Vec<u8> {
    let starts: Vec<usize> =
        (1..pkcs8.len() - 4).filter(|at| pkcs8[*at] == 0x04 && pkcs8[at + 2] == 0x30).collect();
    let long: Vec<usize> = (1..pkcs8.len() - 4)
        .filter(|at| pkcs8[*at] == 0x04 && pkcs8[at + 1] == 0x81 && pkcs8[at + 3] == 0x30)
        .collect();
    match (starts.first(), long.first()) {
        (_, Some(at)) => pkcs8[at + 3..].to_vec(),
        (Some(at), None) => pkcs8[at + 2..].to_vec(),
        (None, None) => panic!("no inner document"),
    }
}

fn verifies(
    key: &PrivateKey,
    algorithm: SigningAlgorithm,
    by: &'static dyn VerificationAlgorithm,
    public: &[u8],
) {
    let signature = key.sign(algorithm, b"message").unwrap();
    UnparsedPublicKey::new(by, public).verify(b"message", &signature).unwrap();
    assert!(UnparsedPublicKey::new(by, public).verify(b"another", &signature).is_err());
}

#[test]
fn rsa_keys_are_read_in_every_form_and_sign_in_both_paddings() {
    let key = rsa_key();
    let pkcs1 = key.to_pkcs1_pem(LineEnding::LF).unwrap();
    let pkcs8 = key.to_pkcs8_pem(LineEnding::CRLF).unwrap();
    for text in [RSA_JWK, pkcs1.as_str(), pkcs8.as_str(), &format!("\n# mine\n{}", pkcs8.as_str())] {
        let read = parse(text).unwrap();
        let Pair::Rsa(pair) = &*read.pair else { panic!("another kind") };
        let public = pair.public_key().as_ref().to_vec();
        verifies(&read, SigningAlgorithm::Rs256, &RSA_PKCS1_2048_8192_SHA256, &public);
        verifies(&read, SigningAlgorithm::Ps256, &RSA_PSS_2048_8192_SHA256, &public);
    }
    assert_eq!(parse(RSA_JWK).unwrap().key_id(), Some("rsa-1"));
}

#[test]
fn curve_keys_are_read_in_every_form_and_sign_side_by_side() {
    type Row = (
        &'static EcdsaSigningAlgorithm,
        &'static str,
        SigningAlgorithm,
        &'static dyn VerificationAlgorithm,
        usize,
    );
    let rows: [Row; 2] = [
        (&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256", SigningAlgorithm::Es256, &ECDSA_P256_SHA256_FIXED, 64),
        (&ECDSA_P384_SHA384_FIXED_SIGNING, "P-384", SigningAlgorithm::Es384, &ECDSA_P384_SHA384_FIXED, 96),
    ];
    for (curve, name, algorithm, by, length) in rows {
        let (der, scalar, point) = curve_key(curve);
        for text in [
            pem("PRIVATE KEY", &der),
            pem("EC PRIVATE KEY", &sec1_of(&der)),
            curve_jwk(name, &scalar, &point),
        ] {
            let key = parse(&text).unwrap();
            verifies(&key, algorithm, by, &point);
            assert_eq!(key.sign(algorithm, b"x").unwrap().len(), length);
            assert!(key.sign(SigningAlgorithm::Rs256, b"x").is_err());
        }
    }
}

#[test]
fn ed25519_keys_are_read_with_and_without_their_public_part() {
    let with = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8(with.as_ref()).unwrap();
    let seed = [7; 32];
    let mut without = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    without.extend_from_slice(&seed);
    let seeded = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "d": URL_SAFE_NO_PAD.encode(seed),
        "x": URL_SAFE_NO_PAD.encode(seeded.public_key()) });
    for (text, public) in [
        (pem("PRIVATE KEY", with.as_ref()), pair.public_key()),
        (pem("PRIVATE KEY", &without), seeded.public_key()),
        (jwk.to_string(), seeded.public_key()),
    ] {
        verifies(&parse(&text).unwrap(), SigningAlgorithm::EdDsa, &ED25519, public.as_ref());
    }
}

#[test]
fn the_issuers_list_decides_the_algorithm() {
    let list = |names: &[&str]| Some(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
    let rsa = parse(RSA_JWK).unwrap();
    for (supported, want) in [
        (None, Some(SigningAlgorithm::Rs256)),
        (list(&["PS256", "RS256"]), Some(SigningAlgorithm::Rs256)),
        (list(&["PS256", "ES256"]), Some(SigningAlgorithm::Ps256)),
        (list(&["ES256"]), None),
        (list(&[]), None),
        (list(&["none", "HS256"]), None),
    ] {
        assert_eq!(rsa.algorithm_for(supported.as_deref()), want, "{supported:?}");
    }
    let mut only: Value = serde_json::from_str(RSA_JWK).unwrap();
    only["alg"] = "PS256".into();
    let only = parse(&only.to_string()).unwrap();
    assert_eq!(only.algorithm_for(None), Some(SigningAlgorithm::Ps256));
    assert_eq!(only.algorithm_for(list(&["RS256"]).as_deref()), None);
}

#[test]
fn what_is_no_usable_key_is_refused_with_its_reason() {
    let changed = |name: &str, value: Value| {
        let mut jwk: Value = serde_json::from_str(RSA_JWK).unwrap();
        jwk[name] = value;
        jwk.to_string()
    };
    let (_, scalar, point) = curve_key(&ECDSA_P256_SHA256_FIXED_SIGNING);
    let (_, _, other) = curve_key(&ECDSA_P256_SHA256_FIXED_SIGNING);
    for (text, why) in [
        (String::new(), PrivateKeyError::NotAKey),
        ("sk-live-hunter2".into(), PrivateKeyError::NotAKey),
        ("{".into(), PrivateKeyError::NotAKey),
        (pem("PUBLIC KEY", &[0x30, 0]), PrivateKeyError::NotAKey),
        (pem("ENCRYPTED PRIVATE KEY", &[0x30, 0]), PrivateKeyError::Encrypted),
        (pem("PRIVATE KEY", &[0x30, 0]), PrivateKeyError::Rejected),
        (pem("EC PRIVATE KEY", &[0x30, 0]), PrivateKeyError::Rejected),
        (format!(r#"{{"keys":[{RSA_JWK}]}}"#), PrivateKeyError::KeySet),
        (changed("d", Value::Null), PrivateKeyError::Incomplete),
        (changed("p", Value::Null), PrivateKeyError::Incomplete),
        (changed("use", "enc".into()), PrivateKeyError::NotForSigning),
        (changed("kty", "oct".into()), PrivateKeyError::Kind),
        (changed("dp", "AQAB".into()), PrivateKeyError::Rejected),
        (changed("n", "not base64!".into()), PrivateKeyError::NotAKey),
        (curve_jwk("P-521", &scalar, &point), PrivateKeyError::Kind),
        (curve_jwk("P-256", &scalar, &other), PrivateKeyError::Rejected),
    ] {
        let got = parse(&text).map(|_| ()).unwrap_err();
        assert_eq!(got, why, "{text}");
        assert!(!got.to_string().contains("hunter2"));
    }
}

#[test]
fn debug_shows_no_part_of_a_key() {
    assert_eq!(format!("{:?}", parse(RSA_JWK).unwrap()), "PrivateKey([secret])");
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in ".{0,300}") {
        prop_assert!(parse(&text).is_err());
    }

    #[test]
    fn no_damaged_document_does_either(at in 0usize..1200, byte in any::<u8>()) {
        let mut der = rsa_key().to_pkcs8_der().unwrap().as_bytes().to_vec();
        let at = at % der.len();
        der[at] ^= byte;
        let _ = parse(&pem("PRIVATE KEY", &der));
    }
}
