//! Administrators' lists, as callers see them.

use model::{ServerId, UnixTime};
use serde::{Deserialize, Serialize};

/// A list that is followed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
pub struct PresetView {
    /// Its id, such as `com.acme/dev-tools`.
    pub id: String,
    /// For eyes.
    pub title: String,
    /// Where it comes from: an https URL or the path of a file.
    pub source: String,
    /// The pinned key (`RW…`); none: the list is not signed.
    pub key: Option<String>,
    /// The pinned key as eight words.
    pub key_words: Option<String>,
    /// The serial in force.
    pub serial: u64,
    /// When the publisher issued it.
    pub issued: Option<UnixTime>,
    /// When it ends.
    pub expires: Option<UnixTime>,
    /// It has ended; what it says stays in force.
    pub stale: bool,
    /// Whom to ask.
    pub contact: Option<String>,
    /// When it was last asked for with success.
    pub checked_at: Option<UnixTime>,
    /// Why the last try failed or was refused; the list in force stays in force.
    pub problem: Option<String>,
    /// The Servers that it names.
    pub servers: Vec<ServerId>,
    /// Names of servers on it that the person removed: they stay away until they are brought back.
    #[serde(default)]
    pub removed: Vec<String>,
    /// A newer one that waits for the person's yes.
    pub waiting: Option<Box<PresetPlanView>>,
}

/// What following a list, or its newer version, would change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
pub struct PresetPlanView {
    /// Say yes to this.
    pub digest: String,
    /// The list's id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Where it comes from.
    pub source: String,
    /// The key that its signature was checked with, as eight words; none: not signed, unverified.
    pub key_words: Option<String>,
    /// Its serial.
    pub serial: u64,
    /// The serial in force until now.
    pub previous_serial: Option<u64>,
    /// When it ends.
    pub expires: Option<UnixTime>,
    /// Whom to ask.
    pub contact: Option<String>,
    /// Server by Server.
    pub items: Vec<PresetItemView>,
    /// What the person should know.
    pub warnings: Vec<String>,
    /// Nothing would change.
    pub empty: bool,
}

/// What happens to one Server of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
pub struct PresetItemView {
    /// What happens.
    pub kind: PresetItemKind,
    /// Its name in the list.
    pub name: String,
    /// What it is called.
    pub label: String,
    /// The URL that would be called.
    pub endpoint: Option<String>,
    /// Where people sign in, if the list says so.
    pub issuer: Option<String>,
    /// The scopes that the list asks for.
    pub scopes: Vec<String>,
    /// Why, in words.
    pub reason: String,
    /// The Server here.
    pub server: Option<ServerId>,
    /// What the person should know.
    pub warnings: Vec<String>,
}

/// What happens to a Server of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
#[serde(rename_all = "snake_case")]
pub enum PresetItemKind {
    /// It is new.
    New,
    /// It is here already and the list joins its origins.
    Joined,
    /// Its words, scopes or rules change.
    Changed,
    /// Its URL, issuer or client id (or its document) changed: a new Server, and nobody's token follows.
    Moved,
    /// The list names it no longer; it stays.
    Gone,
    /// The list closes it at once.
    Revoked,
    /// It cannot be taken as it stands.
    Clash,
    /// Nothing happens.
    Same,
    /// The person removed it, and it stays away.
    Removed,
}
