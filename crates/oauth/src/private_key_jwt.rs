//! Authentication by a signed assertion instead of a secret (RFC 7523 section 2.2, RFC 7521 section 4.2).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::{Secret, UnixTime};
use oauth2::CsrfToken;
use serde_json::json;

use crate::ServerText;
use crate::private_key::{PrivateKey, SigningAlgorithm};

/// `client_assertion_type` (RFC 7523 section 2.2).
pub(crate) const CLIENT_ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// How long an assertion is good for: long enough for a slow network and clocks that differ a little.
const LIFETIME: Duration = Duration::from_mins(5);
/// 128 bits of `jti`.
const RANDOM_BYTES: u32 = 16;

/// The time of now, handed in: each assertion is made when it is sent.
pub type Clock = Arc<dyn Fn() -> UnixTime + Send + Sync>;

/// Makes client assertions for one issuer. Each is new: some issuers take a `jti` only once.
#[derive(Clone)]
pub struct ClientAssertionSigner {
    key: PrivateKey,
    algorithm: SigningAlgorithm,
    audience: String,
    clock: Clock,
}

impl ClientAssertionSigner {
    /// For an issuer. `audience` is its identifier, exact: the current text of the profile and the MCP
    /// extension name it as the only audience (draft-ietf-oauth-rfc7523bis section 4), so that an assertion
    /// made for one issuer is of no use at another's token endpoint. `supported` is
    /// `token_endpoint_auth_signing_alg_values_supported`.
    pub fn new(
        key: PrivateKey,
        audience: &str,
        supported: Option<&[String]>,
        clock: Clock,
    ) -> Result<Self, AssertionError> {
        let algorithm = key.algorithm_for(supported).ok_or_else(|| AssertionError::NoCommonAlgorithm {
            issuer: audience.to_owned(),
            supported: ServerText::new(&supported.unwrap_or_default().join(", ")),
        })?;
        Ok(Self { key, algorithm, audience: audience.to_owned(), clock })
    }

    /// An assertion that `client_id` is us: `iss` and `sub` are the client id, `exp` is 5 minutes from now.
    /// `None` only where the system gives no randomness.
    pub fn assertion(&self, client_id: &str) -> Option<Secret<String>> {
        let now = (self.clock)();
        let mut header = json!({ "alg": self.algorithm.name(), "typ": "JWT" });
        if let Some(key_id) = self.key.key_id() {
            header["kid"] = key_id.into();
        }
        let claims = json!({
            "iss": client_id,
            "sub": client_id,
            "aud": self.audience,
            "jti": CsrfToken::new_random_len(RANDOM_BYTES).into_secret(),
            "iat": now.0,
            "exp": now.after(LIFETIME).0,
        });
        let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let signature = self.key.sign(self.algorithm, signed.as_bytes()).ok()?;
        Some(Secret::new(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }
}

impl fmt::Debug for ClientAssertionSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAssertionSigner")
            .field("algorithm", &self.algorithm)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

/// Why no assertion can be made for an issuer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssertionError {
    /// Its list has none that the key can do.
    #[error("{issuer} does not accept signatures of this kind of key; it accepts \"{supported}\"")]
    NoCommonAlgorithm {
        /// Who.
        issuer: String,
        /// Its list.
        supported: ServerText,
    },
    /// The key itself.
    #[error(transparent)]
    Key(#[from] crate::private_key::PrivateKeyError),
    /// No key was entered.
    #[error("the private key is missing")]
    NoKey,
}

#[cfg(test)]
mod tests;
