//! An access token on loan.

use std::fmt;

use model::{Secret, UnixTime};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a bridge needs to make one request as one person. Kept in memory only.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken {
    /// The value of `Authorization: Bearer`.
    pub secret: Secret<String>,
    /// When it ends, where the issuer said so.
    pub expires_at: Option<UnixTime>,
    /// How long it was valid when it was issued, in seconds, where the issuer said so.
    pub lifetime: Option<u64>,
    /// The generation of the TokenSet that it belongs to; named again when it was rejected.
    pub generation: u64,
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken")
            .field("generation", &self.generation)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct WireOut<'a> {
    secret: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<UnixTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lifetime: Option<u64>,
    generation: u64,
}

#[derive(Deserialize)]
struct WireIn {
    secret: String,
    expires_at: Option<UnixTime>,
    lifetime: Option<u64>,
    generation: u64,
}

impl Serialize for AccessToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The one place where a token leaves the agent: the socket to a bridge of the same user.
        let secret = self.secret.expose();
        WireOut { secret, expires_at: self.expires_at, lifetime: self.lifetime, generation: self.generation }
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for AccessToken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = WireIn::deserialize(deserializer)?;
        Ok(Self {
            secret: Secret::new(wire.secret),
            expires_at: wire.expires_at,
            lifetime: wire.lifetime,
            generation: wire.generation,
        })
    }
}
