//! What Hallpass remembers of an administrator's list: the subscription, the ratchet, and what a list says of a Server.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{ClientAppId, LoopbackSetting, PrivateAuthority, UnixTime};

/// A list that is followed: its own id (`com.acme/dev-tools`), or a host's name for a registry that has none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(type = "string", export_to = "wire.ts"))]
#[serde(try_from = "String", into = "String")]
pub struct PresetId(String);

impl PresetId {
    /// Parses the text form: 1 to 200 of `[A-Za-z0-9._/-]`.
    pub fn parse(text: &str) -> Result<Self, PresetIdError> {
        let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/');
        if (1..=200).contains(&text.len()) && text.bytes().all(good) {
            Ok(Self(text.to_owned()))
        } else {
            Err(PresetIdError)
        }
    }

    /// The text form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that is no list's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a list's id: 1 to 200 letters, digits, dots, dashes and slashes are wanted, as in com.acme/dev-tools"
)]
pub struct PresetIdError;

impl fmt::Display for PresetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for PresetId {
    type Err = PresetIdError;
    fn from_str(text: &str) -> Result<Self, PresetIdError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for PresetId {
    type Error = PresetIdError;
    fn try_from(text: String) -> Result<Self, PresetIdError> {
        Self::parse(&text)
    }
}

impl From<PresetId> for String {
    fn from(id: PresetId) -> String {
        id.0
    }
}

/// One subscription: a list at one source, and how far it has been followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresetRecord {
    /// Stable id of the subscription on this machine.
    pub id: PresetId,
    /// The URL or the path of the file that it comes from.
    pub source: String,
    /// What people read: the list's title, or the host where it has none.
    pub title: String,
    /// The publisher's key (`RW…`) that the person or a policy pinned; `None`: shown as unverified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// How far the list was followed; `None` before it was first accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seen>,
    /// The file that the person said yes to. `seen` is ahead of it while a newer one waits for a yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_force: Option<Seen>,
    /// A private authority that is trusted for fetching the list, and given to the Servers that it brings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<PrivateAuthority>,
    /// When it was last asked for, whatever came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked_at: Option<UnixTime>,
    /// Why the last attempt failed, one sentence; the list accepted before stays in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Names of servers on the list that the person removed: they stay away until the person brings them back.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub removed: BTreeSet<String>,
    /// Fields of a newer version, kept as they are.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The ratchet of one list: what the next file is measured against. It survives restarts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The list's own id; `None` for a plain registry answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// Its serial; 0 for a plain registry answer, which has none.
    pub serial: u64,
    /// SHA-256 of the accepted bytes, lower-case hexadecimal.
    pub sha256: String,
    /// Keys (`RW…`) that may sign the next file, at most two: the one that signed this one, and the one that it announces.
    #[serde(default)]
    pub keys: Vec<String>,
    /// The `ETag` of the accepted answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// When the list was last obtained and found good, changed or not.
    pub last_success: UnixTime,
    /// When it was issued, by its own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued: Option<UnixTime>,
    /// When it goes stale, by its own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<UnixTime>,
    /// Whom to ask about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// Fields of a newer version, kept as they are.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// What one list says of one Server. A Server on two lists has two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The subscription.
    pub preset: PresetId,
    /// The server's name there: `com.acme/tickets`.
    pub name: String,
    /// What the list calls it. The Server's label follows it until a person changes the label.
    #[serde(default)]
    pub title: String,
    /// Whether it is still there.
    pub standing: ListingStanding,
    /// The issuer that the list pins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The public client id that the list names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The client id metadata document that the list names; empty: none is presented.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata_url: Option<String>,
    /// Where the browser comes back to, as the list has it.
    #[serde(default, skip_serializing_if = "LoopbackSetting::is_default")]
    pub redirect: LoopbackSetting,
    /// Further parameters of the authorization request that the list names. No secrets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// The scopes to ask for; empty: the server's own.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub scopes: BTreeSet<String>,
    /// Accounts must have a verified e-mail address of one of these domains; empty: no such rule.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub email_domains: BTreeSet<String>,
    /// The person cannot remove it while the list names it. Never from an unverified list.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mandatory: bool,
    /// The apps that it is meant for; empty: all.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub apps: BTreeSet<ClientAppId>,
    /// The Profile that it is meant for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// What it is, in the list's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Fields of a newer version, kept as they are.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Whether a Server is on a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "standing")]
pub enum ListingStanding {
    /// It is.
    Listed,
    /// It was; its Grants stay until the person says so.
    Gone,
    /// The list took it back: it is closed.
    Revoked {
        /// Why, in the list's words.
        reason: String,
        /// Since when, by the list's words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<UnixTime>,
    },
}
