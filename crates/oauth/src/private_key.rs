//! A private key that signs as us: read from PEM or JWK, never shown, never written.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::Secret;
use ring::rand::SystemRandom;
use ring::rsa::{KeyPairComponents, PublicKeyComponents};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::json_field;

/// How a private key signs (RFC 7518 section 3.1, RFC 8037 section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningAlgorithm {
    /// RSA of 2048 to 4096 bits, PKCS #1 v1.5, SHA-256.
    Rs256,
    /// The same key with PSS padding.
    Ps256,
    /// P-256, SHA-256.
    Es256,
    /// P-384, SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl SigningAlgorithm {
    /// Its registered name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// A private key in use.
#[derive(Clone)]
pub struct PrivateKey {
    pair: Arc<Pair>,
    /// `kid` of the JWK, or what [`PrivateKey::with_key_id`] was given.
    key_id: Option<String>,
    /// The one algorithm that the JWK allows (`alg`).
    only: Option<String>,
}

enum Pair {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl PrivateKey {
    /// Reads PEM (PKCS #8, PKCS #1, SEC 1; RFC 7468) or a JWK (RFC 7517), whichever it is.
    pub fn parse(text: &Secret<String>) -> Result<Self, PrivateKeyError> {
        // To be parsed; the text itself is not kept.
        let text = text.expose().trim();
        let key = if text.starts_with('{') { of_jwk(text) } else { of_pem(text) }?;
        // A key of parts that do not belong together is found out here, not at the first sign-in.
        key.sign(key.algorithms()[0], b"").map_err(|CannotSign| PrivateKeyError::Rejected)?;
        Ok(key)
    }

    /// Names the key as the issuer knows it (`kid`), where the issuer holds several of ours.
    #[must_use]
    pub fn with_key_id(mut self, key_id: &str) -> Self {
        self.key_id = Some(key_id.to_owned());
        self
    }

    /// The name of the key, if it has one.
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// The algorithm to use at an issuer that lists `supported`
    /// (`token_endpoint_auth_signing_alg_values_supported`, RFC 8414 section 2): the first of the key's own
    /// that is listed; where nothing is listed, the key's first. `None`: the issuer takes none of them.
    pub fn algorithm_for(&self, supported: Option<&[String]>) -> Option<SigningAlgorithm> {
        let good = |algorithm: &&SigningAlgorithm| {
            self.only.as_deref().is_none_or(|only| only == algorithm.name())
                && supported.is_none_or(|list| list.iter().any(|name| name == algorithm.name()))
        };
        self.algorithms().iter().find(good).copied()
    }

    /// What a key of this kind can do, best known first.
    fn algorithms(&self) -> &'static [SigningAlgorithm] {
        match &*self.pair {
            Pair::Rsa(_) => &[SigningAlgorithm::Rs256, SigningAlgorithm::Ps256],
            Pair::P256(_) => &[SigningAlgorithm::Es256],
            Pair::P384(_) => &[SigningAlgorithm::Es384],
            Pair::Ed25519(_) => &[SigningAlgorithm::EdDsa],
        }
    }

    /// Signs. ECDSA signatures are r and s side by side (RFC 7518 section 3.4).
    pub(crate) fn sign(&self, algorithm: SigningAlgorithm, message: &[u8]) -> Result<Vec<u8>, CannotSign> {
        use SigningAlgorithm::{EdDsa, Es256, Es384, Ps256, Rs256};
        match (&*self.pair, algorithm) {
            (Pair::Rsa(pair), Rs256) => rsa_signature(pair, &RSA_PKCS1_SHA256, message),
            (Pair::Rsa(pair), Ps256) => rsa_signature(pair, &RSA_PSS_SHA256, message),
            (Pair::P256(pair), Es256) | (Pair::P384(pair), Es384) => {
                let signature = pair.sign(&SystemRandom::new(), message).map_err(|_| CannotSign)?;
                Ok(signature.as_ref().to_vec())
            }
            (Pair::Ed25519(pair), EdDsa) => Ok(pair.sign(message).as_ref().to_vec()),
            (Pair::Rsa(_) | Pair::P256(_) | Pair::P384(_) | Pair::Ed25519(_), _) => Err(CannotSign),
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey([secret])")
    }
}

/// The key and the algorithm do not belong together, or there is no randomness.
#[derive(Debug)]
pub(crate) struct CannotSign;

fn rsa_signature(
    pair: &RsaKeyPair,
    padding: &'static dyn RsaEncoding,
    message: &[u8],
) -> Result<Vec<u8>, CannotSign> {
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(padding, &SystemRandom::new(), message, &mut signature).map_err(|_| CannotSign)?;
    Ok(signature)
}

fn made(pair: Pair) -> PrivateKey {
    PrivateKey { pair: Arc::new(pair), key_id: None, only: None }
}

fn of_pem(text: &str) -> Result<PrivateKey, PrivateKeyError> {
    if text.contains("ENCRYPTED") {
        return Err(PrivateKeyError::Encrypted);
    }
    let key = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| PrivateKeyError::NotAKey)?;
    let rejected = PrivateKeyError::Rejected;
    match &key {
        PrivateKeyDer::Pkcs8(der) => of_pkcs8(der.secret_pkcs8_der()).ok_or(rejected),
        PrivateKeyDer::Pkcs1(der) => {
            RsaKeyPair::from_der(der.secret_pkcs1_der()).map(Pair::Rsa).map(made).map_err(|_| rejected)
        }
        PrivateKeyDer::Sec1(der) => of_sec1(der.secret_sec1_der()).ok_or(rejected),
        _ => Err(PrivateKeyError::NotAKey),
    }
}

/// The kind of key is told by trying: ring compares the algorithm that the document names.
fn of_pkcs8(der: &[u8]) -> Option<PrivateKey> {
    let random = SystemRandom::new();
    let curve =
        |algorithm: &'static EcdsaSigningAlgorithm| EcdsaKeyPair::from_pkcs8(algorithm, der, &random).ok();
    let pair = RsaKeyPair::from_pkcs8(der)
        .ok()
        .map(Pair::Rsa)
        .or_else(|| curve(&ECDSA_P256_SHA256_FIXED_SIGNING).map(Pair::P256))
        .or_else(|| curve(&ECDSA_P384_SHA384_FIXED_SIGNING).map(Pair::P384))
        .or_else(|| Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok().map(Pair::Ed25519))?;
    Some(made(pair))
}

/// A SEC 1 document (RFC 5915) is what stands inside a PKCS #8 document of a curve: it is put into one.
fn of_sec1(der: &[u8]) -> Option<PrivateKey> {
    [PKCS8_P256, PKCS8_P384].into_iter().find_map(|head| {
        let mut inner = Zeroizing::new(head.to_vec());
        inner.extend(der_element(0x04, der).iter());
        of_pkcs8(&der_element(0x30, &inner))
    })
}

/// Version 0 and the name of the curve (RFC 5208 section 5, RFC 5480 section 2.1.1).
const PKCS8_P256: &[u8] = &[
    0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
];
const PKCS8_P384: &[u8] = &[
    0x02, 0x01, 0x00, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b,
    0x81, 0x04, 0x00, 0x22,
];

/// Tag, length, content (ITU-T X.690 section 8.1); content of up to 65,535 bytes.
fn der_element(tag: u8, content: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut element = Zeroizing::new(vec![tag]);
    match u16::try_from(content.len()).unwrap_or(u16::MAX).to_be_bytes() {
        [0, short] if short < 0x80 => element.push(short),
        [0, long] => element.extend([0x81, long]),
        [high, low] => element.extend([0x82, high, low]),
    }
    element.extend_from_slice(content);
    element
}

fn of_jwk(text: &str) -> Result<PrivateKey, PrivateKeyError> {
    let jwk: Map<String, Value> = serde_json::from_str(text).map_err(|_| PrivateKeyError::NotAKey)?;
    if jwk.contains_key("keys") {
        return Err(PrivateKeyError::KeySet);
    }
    if jwk.get("use").is_some_and(|purpose| purpose != "sig") {
        return Err(PrivateKeyError::NotForSigning);
    }
    let number = |name: &str| {
        let text = json_field::text(&jwk, name).ok_or(PrivateKeyError::Incomplete)?;
        URL_SAFE_NO_PAD.decode(text).map(Zeroizing::new).map_err(|_| PrivateKeyError::NotAKey)
    };
    let kind = (json_field::text(&jwk, "kty"), json_field::text(&jwk, "crv"));
    let pair = match kind {
        (Some("RSA"), _) => {
            let parts = KeyPairComponents {
                public_key: PublicKeyComponents { n: number("n")?, e: number("e")? },
                d: number("d")?,
                p: number("p")?,
                q: number("q")?,
                dP: number("dp")?,
                dQ: number("dq")?,
                qInv: number("qi")?,
            };
            rsa_of_parts(&parts)?
        }
        (Some("EC"), Some(curve @ ("P-256" | "P-384"))) => {
            let (x, y, d) = (number("x")?, number("y")?, number("d")?);
            let point: Vec<u8> = [4].iter().chain(x.iter()).chain(y.iter()).copied().collect();
            let pair = |algorithm| {
                EcdsaKeyPair::from_private_key_and_public_key(algorithm, &d, &point, &SystemRandom::new())
                    .map_err(|_| PrivateKeyError::Rejected)
            };
            if curve == "P-256" {
                Pair::P256(pair(&ECDSA_P256_SHA256_FIXED_SIGNING)?)
            } else {
                Pair::P384(pair(&ECDSA_P384_SHA384_FIXED_SIGNING)?)
            }
        }
        (Some("OKP"), Some("Ed25519")) => {
            let pair = Ed25519KeyPair::from_seed_and_public_key(&number("d")?, &number("x")?);
            Pair::Ed25519(pair.map_err(|_| PrivateKeyError::Rejected)?)
        }
        (Some(_) | None, _) => return Err(PrivateKeyError::Kind),
    };
    let text = |name| json_field::text(&jwk, name).map(str::to_owned);
    Ok(PrivateKey { pair: Arc::new(pair), key_id: text("kid"), only: text("alg") })
}

fn rsa_of_parts(parts: &KeyPairComponents<Zeroizing<Vec<u8>>>) -> Result<Pair, PrivateKeyError> {
    let KeyPairComponents { public_key: PublicKeyComponents { n, e }, d, p, q, dP, dQ, qInv } = parts;
    let slices = KeyPairComponents {
        public_key: PublicKeyComponents { n: n.as_slice(), e: e.as_slice() },
        d: d.as_slice(),
        p: p.as_slice(),
        q: q.as_slice(),
        dP: dP.as_slice(),
        dQ: dQ.as_slice(),
        qInv: qInv.as_slice(),
    };
    RsaKeyPair::from_components(&slices).map(Pair::Rsa).map_err(|_| PrivateKeyError::Rejected)
}

/// Why a text is no key that could sign as us. None of the sentences holds a part of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrivateKeyError {
    /// Neither PEM nor JWK.
    #[error("this is no private key; give it as PEM (\"BEGIN PRIVATE KEY\") or as a JWK")]
    NotAKey,
    /// Protected by a passphrase.
    #[error("this private key is protected by a passphrase; give it without one, it is kept in the keychain")]
    Encrypted,
    /// Several keys.
    #[error("this is a set of keys; give the one private key that is registered")]
    KeySet,
    /// A public key, or one whose parts are missing.
    #[error("this is a public key, or parts of the private key are missing")]
    Incomplete,
    /// A JWK for encryption.
    #[error("this key is not for signing")]
    NotForSigning,
    /// A kind that we do not sign with.
    #[error("this kind of key cannot be used; RSA, P-256, P-384 and Ed25519 can")]
    Kind,
    /// Its parts contradict each other, or it is too weak.
    #[error(
        "this private key cannot be used: its parts do not belong together, its public part is missing, or it is an RSA key of less than 2048 bits"
    )]
    Rejected,
}

#[cfg(test)]
pub(crate) mod tests;
