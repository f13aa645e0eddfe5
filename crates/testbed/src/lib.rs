//! The counterpart that tests and the demo run against; never shipped.
//!
//! ```text
//! browser --signs in at--> authorization_server <--asks who a token is-- mcp_server <--HTTP-- (bridge) <--stdio-- host
//! interposer: in front of either, lies on the wire and remembers what reached it; alone, a stranger
//! authority: a private one, whose certificates the two servers show when they are started behind it
//! sandbox: a home with its own D-Bus session and keychain, around all of them     scanner: looks for secrets in it
//! ```

pub mod authority;
pub mod authorization_server;
pub mod browser;
pub mod file_server;
pub mod host;
pub mod interposer;
pub mod mcp_server;
pub mod proxy;
pub mod sandbox;
pub mod scanner;
mod web;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// `value` with the members that `changes` names replaced.
fn merge<T: Serialize + DeserializeOwned>(value: &T, changes: &Value) -> Result<T, serde_json::Error> {
    let mut merged = serde_json::to_value(value)?;
    if let (Some(members), Some(changes)) = (merged.as_object_mut(), changes.as_object()) {
        for (name, change) in changes {
            members.insert(name.clone(), change.clone());
        }
    }
    serde_json::from_value(merged)
}
