//! The first line of every connection, the same for control and bridge and for all versions.

use serde::{Deserialize, Serialize};

use crate::Error;

/// The protocol versions that this build speaks, newest first.
pub const VERSIONS: &[u32] = &[1];

/// What a caller wants of the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Requests of a person: CLI, window. Has no verb that returns a secret.
    Control,
    /// A bridge: speaks `token-lease` afterwards and gets tokens for its Server only.
    Bridge,
    /// Asks an older agent to finish what it is doing and exit. Understood whatever the versions are.
    Retire,
}

/// The caller's first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The caller's release.
    pub hallpass: String,
    /// What it wants.
    pub role: Role,
    /// The protocol versions that it speaks.
    pub versions: Vec<u32>,
}

impl Hello {
    /// The hello of this build.
    pub fn new(role: Role) -> Self {
        Self { hallpass: env!("CARGO_PKG_VERSION").to_owned(), role, versions: VERSIONS.to_vec() }
    }

    /// The newest version that both sides speak.
    pub fn common_version(&self) -> Option<u32> {
        VERSIONS.iter().copied().find(|v| self.versions.contains(v))
    }
}

/// The agent's first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "greeting", rename_all = "snake_case")]
pub enum Greeting {
    /// Go on.
    Welcome {
        /// The protocol version that is spoken from here on.
        version: u32,
        /// The agent's release.
        agent: String,
        /// The agent's process id.
        pid: u32,
    },
    /// The connection ends here.
    Refused {
        /// Why.
        error: Error,
        /// The versions that the agent speaks.
        versions: Vec<u32>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hello_on_the_wire() {
        let hello = Hello { hallpass: "0.1.0".into(), role: Role::Bridge, versions: vec![1] };
        let json = r#"{"hallpass":"0.1.0","role":"bridge","versions":[1]}"#;
        assert_eq!(serde_json::to_string(&hello).unwrap(), json);
        assert_eq!(serde_json::from_str::<Hello>(json).unwrap(), hello);
        let welcome = Greeting::Welcome { version: 1, agent: "0.1.0".into(), pid: 7 };
        let json = r#"{"greeting":"welcome","version":1,"agent":"0.1.0","pid":7}"#;
        assert_eq!(serde_json::to_string(&welcome).unwrap(), json);
        assert_eq!(serde_json::from_str::<Greeting>(json).unwrap(), welcome);
    }

    #[test]
    fn the_newest_common_version_is_taken() {
        let mut hello = Hello::new(Role::Control);
        assert_eq!(hello.common_version(), Some(1));
        hello.versions = vec![9, 1];
        assert_eq!(hello.common_version(), Some(1));
        hello.versions = vec![9];
        assert_eq!(hello.common_version(), None);
    }
}
