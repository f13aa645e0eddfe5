//! Where the browser returns to after a sign-in, where an issuer is particular about it.

use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};

/// A setting of one Server. The default is what RFC 8252 section 7.3 wants: the literal address and any free port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
pub struct LoopbackSetting {
    /// The one port that is registered. Busy means that no sign-in can begin: nobody else's listener is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<NonZeroU16>,
    /// How this machine is written.
    #[serde(default)]
    pub host: LoopbackHost,
}

impl LoopbackSetting {
    /// Whether nothing is set.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The redirect URI, for people: `http://127.0.0.1:<any port>/callback`.
    pub fn shown(&self) -> String {
        let host = match self.host {
            LoopbackHost::Literal => "127.0.0.1",
            LoopbackHost::Localhost => "localhost",
        };
        let port = self.port.map_or_else(|| "<any port>".to_owned(), |port| port.to_string());
        format!("http://{host}:{port}/callback")
    }
}

/// How this machine is written in a redirect URI.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
#[serde(rename_all = "snake_case")]
pub enum LoopbackHost {
    /// `127.0.0.1`.
    #[default]
    Literal,
    /// `localhost`, for issuers that accept nothing else. Both families are bound then.
    Localhost,
}
