//! Signed assertions that others make: of an app that authenticates with its key (RFC 7523 section 2.2), and of an
//! identity provider that vouches for a person (section 2.1). Both are checked like a strict issuer would.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use serde_json::Value;

use super::signing::JwtTime;

/// No assertion may be good for longer, in seconds.
const LONGEST: u64 = 600;

/// A JWT whose signature and time are right.
pub(super) struct Assertion {
    pub(super) kind: Option<String>,
    pub(super) claims: Value,
}

impl Assertion {
    pub(super) fn text(&self, claim: &str) -> Option<&str> {
        self.claims[claim].as_str()
    }
}

/// Checks signature, `exp`, `iat` and `jti`. `keys` is a JWK or a set of them.
pub(super) fn verify(token: &str, keys: &Value) -> Option<Assertion> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
    let object = |text: &str| -> Option<Value> { serde_json::from_slice(&decode(text)?).ok() };
    let (header, claims) = (object(header)?, object(claims)?);
    let signature = decode(signature)?;
    let all = keys["keys"].as_array().cloned().unwrap_or_else(|| vec![keys.clone()]);
    let alg = header["alg"].as_str()?;
    let right = |key: &Value| {
        let named = header.get("kid").is_none_or(|kid| key.get("kid").is_none_or(|known| known == kid));
        named && signature_is_right(alg, key, signed.as_bytes(), &signature).is_some()
    };
    let now = SystemTime::now().seconds();
    let (ends, issued) = (claims["exp"].as_u64()?, claims["iat"].as_u64()?);
    let in_time = ends > now && ends <= now + LONGEST && issued <= now + 30;
    let named = claims["jti"].as_str().is_some_and(|jti| !jti.is_empty());
    (all.iter().any(right) && in_time && named)
        .then(|| Assertion { kind: header["typ"].as_str().map(str::to_owned), claims })
}

fn signature_is_right(alg: &str, key: &Value, message: &[u8], signature: &[u8]) -> Option<()> {
    let number = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str()?).ok();
    let by_point = |algorithm: &'static dyn VerificationAlgorithm, point: Vec<u8>| {
        UnparsedPublicKey::new(algorithm, point).verify(message, signature).ok()
    };
    let curve = || Some([&[4], number("x")?.as_slice(), number("y")?.as_slice()].concat());
    let parts = || Some(RsaPublicKeyComponents { n: number("n")?, e: number("e")? });
    match alg {
        "ES256" => by_point(&ECDSA_P256_SHA256_FIXED, curve()?),
        "ES384" => by_point(&ECDSA_P384_SHA384_FIXED, curve()?),
        "EdDSA" => by_point(&ED25519, number("x")?),
        "RS256" => parts()?.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).ok(),
        "PS256" => parts()?.verify(&RSA_PSS_2048_8192_SHA256, message, signature).ok(),
        _ => None,
    }
}
