//! ES256 signatures over id_tokens and JWT access tokens. The key lives as long as the server.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

use super::knobs::{IdTokenFault, Knobs};
use super::ledger::{Family, sized};

/// A new P-256 key of an app: the private key as PEM (PKCS 8), the public one as JWK.
pub fn client_key() -> (String, Value) {
    let random = SystemRandom::new();
    let pkcs8 =
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("random bytes");
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random)
        .expect("what was just made");
    let text = base64::engine::general_purpose::STANDARD.encode(pkcs8.as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
    // An uncompressed point: 4, x, y.
    let point = pair.public_key().as_ref();
    let part = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&point[range]);
    (pem, json!({"kty": "EC", "crv": "P-256", "x": part(1..33), "y": part(33..65)}))
}

pub(super) struct SigningKey {
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

impl SigningKey {
    pub(super) fn new() -> Result<Self, ring::error::Unspecified> {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random)
            .map_err(|_rejected| ring::error::Unspecified)?;
        Ok(Self { pair, random })
    }

    /// RFC 7517.
    pub(super) fn key_set(&self) -> Value {
        // An uncompressed point: 4, x, y.
        let point = self.pair.public_key().as_ref();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..65]));
        json!({"keys": [{"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": KEY_ID, "x": x, "y": y}]})
    }

    pub(super) fn sign(&self, kind: &str, claims: &Value) -> String {
        let head = json!({"alg": "ES256", "typ": kind, "kid": KEY_ID});
        let signed = format!("{}.{}", encode(&head), encode(claims));
        let signature = self
            .pair
            .sign(&self.random, signed.as_bytes())
            .expect("a P-256 key signs any message while there is randomness");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    pub(super) fn id_token(&self, issuer: &str, family: &Family, person: &str, knobs: &Knobs) -> String {
        let fault = knobs.id_token_fault;
        let now = SystemTime::now().seconds();
        let lifetime = knobs.access_token_lifetime.max(60);
        let mut claims = super::person_claims(person);
        claims["iss"] =
            if fault == Some(IdTokenFault::Issuer) { "https://other.example" } else { issuer }.into();
        claims["aud"] =
            if fault == Some(IdTokenFault::Audience) { "somebody-else" } else { &family.registration }.into();
        claims["iat"] = now.into();
        claims["auth_time"] = family.auth_time.into();
        claims["exp"] = if fault == Some(IdTokenFault::Expired) { now - 3600 } else { now + lifetime }.into();
        claims["jti"] = sized("id", 0).into();
        if let Some(nonce) = &family.nonce {
            claims["nonce"] = if fault == Some(IdTokenFault::Nonce) { "another-nonce" } else { nonce }.into();
        }
        if fault == Some(IdTokenFault::NoSubject) {
            claims.as_object_mut().and_then(|members| members.remove("sub"));
        }
        let token = self.sign("JWT", &claims);
        if fault != Some(IdTokenFault::Signature) {
            return token;
        }
        let foreign = self.sign("JWT", &json!({"sub": "nobody"}));
        let (signed, _) = token.rsplit_once('.').expect("a JWT has three parts");
        let (_, signature) = foreign.rsplit_once('.').expect("a JWT has three parts");
        format!("{signed}.{signature}")
    }

    /// RFC 9068, filled up to at least `knobs.access_token_bytes` characters.
    pub(super) fn access_token(&self, issuer: &str, family: &Family, person: &str, knobs: &Knobs) -> String {
        let now = SystemTime::now().seconds();
        // Three quarters of a JWT's characters are content.
        let filler = sized("jti", knobs.access_token_bytes * 3 / 4);
        self.sign(
            "at+jwt",
            &json!({
                "iss": issuer, "sub": person, "aud": family.resource, "client_id": family.registration,
                "scope": family.scope, "iat": now, "exp": now + knobs.access_token_lifetime, "jti": filler,
            }),
        )
    }
}

/// Seconds since 1970, as JWTs count.
pub(super) trait JwtTime {
    fn seconds(self) -> u64;
}

impl JwtTime for SystemTime {
    fn seconds(self) -> u64 {
        self.duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
    }
}

/// A part of a JWT, unverified.
pub(super) fn decoded(part: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

const KEY_ID: &str = "testbed-1";
