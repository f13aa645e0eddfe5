//! What the window needs besides: pasted text, servers found in files, sign-ins under way, settings.

use std::collections::BTreeMap;

use model::{AccountId, ClientAppId, ServerId, Theme, UnixTime};
use serde::{Deserialize, Serialize};

use crate::{SignInId, SignInStep};

/// What a pasted text means. Never holds a secret of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
pub struct PastedView {
    /// What it was read as, in words: "a URL", "a Cursor link", "a JSON snippet with 2 servers".
    pub read_as: String,
    /// Servers that it names.
    pub servers: Vec<PastedServerView>,
    /// Lists that it names.
    pub lists: Vec<PastedListView>,
    /// Why nothing can be made of it, and what could be pasted instead.
    pub problem: Option<String>,
}

/// A server in a pasted text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
pub struct PastedServerView {
    /// Its name there, or its host.
    pub label: String,
    /// Its URL, without anything that looks like a secret.
    pub url: Option<String>,
    /// Its headers that are no secret.
    pub headers: BTreeMap<String, String>,
    /// Secrets that stood in the text, by kind; they are not kept: the person signs in instead.
    pub secrets: Vec<String>,
    /// The Server here, if it is there already.
    pub server: Option<ServerId>,
    /// Why it cannot be added.
    pub problem: Option<String>,
}

/// A list in a pasted link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
pub struct PastedListView {
    /// Where it is.
    pub source: String,
    /// The publisher's key.
    pub key: Option<String>,
    /// That key as eight words.
    pub key_words: Option<String>,
}

/// A server that stands in apps' files; entries with one URL and the same headers are one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
pub struct FoundServerView {
    /// Its name in the first file.
    pub name: String,
    /// Its URL, without anything that looks like a secret; none for a local command.
    pub url: Option<String>,
    /// Its headers that are no secret.
    pub headers: BTreeMap<String, String>,
    /// The apps whose files hold it.
    pub apps: Vec<ClientAppId>,
    /// Secrets in plain text beside it, by kind.
    pub secrets: Vec<String>,
    /// The Server here, if it is there already.
    pub server: Option<ServerId>,
    /// Why it cannot be added.
    pub problem: Option<String>,
}

/// A sign-in under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
pub struct SignInView {
    /// Which.
    pub sign_in: SignInId,
    /// Where.
    pub server: ServerId,
    /// Whom it signs in again.
    pub account: Option<AccountId>,
    /// When it began.
    pub began_at: UnixTime,
    /// When it gives up waiting for the browser.
    pub ends_at: UnixTime,
    /// Nobody attends it: it waits for `ResumeSignIn`, and keeps nothing before.
    #[serde(default)]
    pub parked: bool,
    /// The steps so far, in order.
    pub steps: Vec<SignInStep>,
}

/// The settings. A file of an older version lacks some: they are as here by default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
#[serde(default)]
pub struct SettingsView {
    /// Closing the window leaves Hallpass in the tray.
    pub keep_in_tray: bool,
    /// Hallpass opens hidden when the person logs in to the computer.
    pub start_at_login: bool,
    /// The system's notifications tell when somebody must sign in.
    pub notify: bool,
    /// Light or dark.
    pub theme: Theme,
}

impl Default for SettingsView {
    fn default() -> Self {
        Self { keep_in_tray: true, start_at_login: false, notify: true, theme: Theme::System }
    }
}
