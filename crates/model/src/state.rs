//! Everything that Hallpass remembers and that is no secret: `state/state.json`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    Account, AccountId, AccountKey, Bindings, ClientRegistration, Discarded, Grant, ItemId, PresetId,
    PresetRecord, Profile, Revocation, Server, ServerId, Settings,
};

/// The version that this build writes.
pub const STATE_VERSION: u32 = 1;

/// The whole state. Unknown fields survive a round trip.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// [`STATE_VERSION`].
    pub v: u32,
    /// Counts writes.
    #[serde(default)]
    pub serial: u64,
    /// By id.
    #[serde(default)]
    pub servers: BTreeMap<ServerId, Server>,
    /// By id.
    #[serde(default)]
    pub accounts: BTreeMap<AccountId, Account>,
    /// In no order; at most one for each (Account, Server).
    #[serde(default)]
    pub grants: Vec<Grant>,
    /// Keyed by (issuer, client id).
    #[serde(default)]
    pub registrations: Vec<ClientRegistration>,
    /// Selection and Bindings.
    #[serde(default)]
    pub bindings: Bindings,
    /// Saved Selections, by name.
    #[serde(default)]
    pub profiles: BTreeMap<String, Profile>,
    /// Servers that the person has closed for now.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub paused: BTreeSet<ServerId>,
    /// What the person has set.
    #[serde(default)]
    pub settings: Settings,
    /// The loopback port that was used last for each issuer, tried first the next time.
    #[serde(default)]
    pub loopback_ports: BTreeMap<String, u16>,
    /// Which keychain holds the items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keychain: Option<KeychainRecord>,
    /// The store that a move to it has begun for, until it is in use: an interrupted move goes on where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moving_to: Option<KeychainRecord>,
    /// The store that was in use before, while copies of what moved may still be in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_from: Option<KeychainRecord>,
    /// What a person's session told us for processes that start without one.
    #[serde(default)]
    pub environment: Environment,
    /// Grants that have ended and whose revocation upstream, or deletion, is still to be retried.
    #[serde(default)]
    pub revocations: Vec<Revocation>,
    /// Issuers that did not know us by our client id metadata document: where they offer it, we register instead.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub documents_refused: BTreeSet<String>,
    /// Issuers that were seen to end a person's other sign-ins along with one that was revoked: there a replaced one is
    /// left to end by itself.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub ends_all: BTreeSet<String>,
    /// Keychain items that nothing names any more and that are still to be deleted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub discarded: Vec<Discarded>,
    /// Subscriptions to administrators' lists, by id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub presets: BTreeMap<PresetId, PresetRecord>,
    /// Fields of a newer version, kept as they are.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Which keychain holds the items of this root. Another one is "absent", never a new start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeychainRecord {
    /// The store: `secret-service`, `apple-keychain`, `windows-credential-manager`, `sealed-file`, `memory`.
    pub store: String,
    /// An item of ours that must be found there.
    pub marker: ItemId,
}

/// Recorded by CLI or window for agents that start from an empty environment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// `DBUS_SESSION_BUS_ADDRESS` of the person's session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dbus_address: Option<String>,
    /// Proxy variables of the person's session, by name in lower case, without any user or password.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub proxies: BTreeMap<String, String>,
    /// The keychain item that holds those proxies that want a user and a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_secret: Option<ItemId>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            v: STATE_VERSION,
            serial: 0,
            servers: BTreeMap::new(),
            accounts: BTreeMap::new(),
            grants: Vec::new(),
            registrations: Vec::new(),
            bindings: Bindings::default(),
            profiles: BTreeMap::new(),
            paused: BTreeSet::new(),
            settings: Settings::default(),
            loopback_ports: BTreeMap::new(),
            keychain: None,
            moving_to: None,
            moved_from: None,
            environment: Environment::default(),
            revocations: Vec::new(),
            documents_refused: BTreeSet::new(),
            ends_all: BTreeSet::new(),
            discarded: Vec::new(),
            presets: BTreeMap::new(),
            extra: Map::new(),
        }
    }
}

impl State {
    /// Reads the file's bytes. A newer version is refused, not guessed at.
    pub fn parse(bytes: &[u8]) -> Result<Self, StateError> {
        let value: Value =
            serde_json::from_slice(bytes).map_err(|source| StateError::Malformed { source })?;
        match value.get("v").and_then(Value::as_u64) {
            Some(v) if v == u64::from(STATE_VERSION) => {}
            Some(v) if v > u64::from(STATE_VERSION) => return Err(StateError::Newer { found: v }),
            _ => return Err(StateError::NoVersion),
        }
        serde_json::from_value(value).map_err(|source| StateError::Malformed { source })
    }

    /// The bytes to write: JSON, two spaces, a final line feed.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes =
            serde_json::to_vec_pretty(self).expect("string keys and plain values always serialise");
        bytes.push(b'\n');
        bytes
    }

    /// The Grant of an Account at a Server.
    pub fn grant(&self, account: &AccountId, server: &ServerId) -> Option<&Grant> {
        self.grants.iter().find(|g| g.account == *account && g.server == *server)
    }

    /// The same, to change it.
    pub fn grant_mut(&mut self, account: &AccountId, server: &ServerId) -> Option<&mut Grant> {
        self.grants.iter_mut().find(|g| g.account == *account && g.server == *server)
    }

    /// Ends the Grants that `ended` picks. Each becomes a [`Revocation`], which knows how its issuer is reached.
    pub fn end_grants(&mut self, ended: impl Fn(&Grant) -> bool) {
        let gone: Vec<Grant>;
        (gone, self.grants) = std::mem::take(&mut self.grants).into_iter().partition(|grant| ended(grant));
        for grant in gone {
            let server = self.servers.get(&grant.server).cloned();
            self.end_replaced(&grant.record, server.as_ref());
            self.revocations.push(Revocation::new(grant.record, self.servers.get(&grant.server)));
        }
    }

    /// What is left to do about an ended Grant's item.
    pub fn revocation(&self, record: &ItemId) -> Option<&Revocation> {
        self.revocations.iter().find(|revocation| revocation.record == *record)
    }

    /// The Account with this key, if that is one that can be recognised.
    pub fn account_by_key(&self, key: &AccountKey) -> Option<&Account> {
        match key {
            AccountKey::Subject { .. } | AccountKey::Told { .. } | AccountKey::Application { .. } => {
                self.accounts.values().find(|a| a.key == *key)
            }
            AccountKey::Unverified { .. } => None,
        }
    }
}

/// Why `state.json` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Not JSON of our form.
    #[error("state.json is damaged: {source}")]
    Malformed {
        /// Where.
        source: serde_json::Error,
    },
    /// No version number.
    #[error("state.json has no version number")]
    NoVersion,
    /// Written by a newer Hallpass.
    #[error("state.json was written by a newer Hallpass (format {found}, this one knows {STATE_VERSION})")]
    Newer {
        /// The version found.
        found: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_survive() {
        let text = br#"{"v":1,"from_the_future":{"a":[1]}}"#;
        let state = State::parse(text).unwrap();
        let again: Value = serde_json::from_slice(&state.to_bytes()).unwrap();
        assert_eq!(again["from_the_future"]["a"][0], 1);
    }

    #[test]
    fn a_newer_or_damaged_state_is_refused() {
        assert!(matches!(State::parse(br#"{"v":2}"#), Err(StateError::Newer { found: 2 })));
        assert!(matches!(State::parse(b"{}"), Err(StateError::NoVersion)));
        assert!(matches!(State::parse(b"{"), Err(StateError::Malformed { .. })));
        assert!(matches!(State::parse(br#"{"v":1,"servers":[]}"#), Err(StateError::Malformed { .. })));
    }

    #[test]
    fn an_unverified_account_equals_no_other() {
        let mut state = State::default();
        let key = AccountKey::Unverified { server: ServerId::parse("s").unwrap(), issuer: "i".into() };
        let id = AccountId::parse("a1").unwrap();
        state.accounts.insert(
            id.clone(),
            Account {
                id,
                key: key.clone(),
                label: "ana".into(),
                name: None,
                email: None,
                email_verified: false,
                tenant: None,
                proof: crate::Proof { kind: crate::ProofKind::Unknown, at: crate::UnixTime(0) },
                extra: Map::new(),
            },
        );
        assert!(state.account_by_key(&key).is_none());
    }
}
