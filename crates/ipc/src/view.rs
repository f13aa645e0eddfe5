//! What callers see of the agent's state. Plain data, no secrets.

mod preset;
mod profile;
mod window;

pub use preset::{PresetItemKind, PresetItemView, PresetPlanView, PresetView};
pub use profile::{ProfileUsedView, ProfileView};
pub use window::{FoundServerView, PastedListView, PastedServerView, PastedView, SettingsView, SignInView};

use std::collections::BTreeMap;
use std::path::PathBuf;

use model::{
    AccountId, AuthKind, ClientAppId, Endpoint, Era, GrantState, Origin, ProofKind, RegistrationChoice,
    RegistrationKind, ServerId, UnixTime,
};
use serde::{Deserialize, Serialize};

/// Everything at a glance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
pub struct StatusView {
    /// The agent.
    pub agent: AgentView,
    /// All Servers.
    pub servers: Vec<ServerView>,
    /// All live bridges.
    pub sessions: Vec<SessionView>,
    /// All Profiles, by name.
    #[serde(default)]
    pub profiles: Vec<ProfileView>,
    /// All lists that are followed, by title.
    #[serde(default)]
    pub presets: Vec<PresetView>,
    /// Sign-ins under way, oldest first.
    #[serde(default)]
    pub sign_ins: Vec<SignInView>,
    /// The settings.
    #[serde(default)]
    pub settings: SettingsView,
}

/// The agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
pub struct AgentView {
    /// Its release.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// The folder that holds everything of ours.
    pub root: PathBuf,
    /// When it started.
    pub started_at: UnixTime,
    /// The keychain.
    pub keychain: KeychainState,
    /// Proxy variables in force, by name.
    pub proxies: BTreeMap<String, String>,
    /// Refreshed tokens that could not be saved yet.
    pub unsaved: usize,
    /// Sign-outs that the issuer has not heard of yet.
    pub pending_revocations: usize,
}

/// Whether tokens can be read and saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum KeychainState {
    /// They can.
    Ready {
        /// Which keychain.
        store: String,
    },
    /// It must be unlocked.
    Locked {
        /// Which keychain.
        store: String,
    },
    /// It is not there.
    Absent {
        /// Why.
        reason: String,
    },
}

/// A word for how a Server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
#[serde(rename_all = "snake_case")]
pub enum ServerState {
    /// The selected Account is signed in.
    Connected,
    /// The selected Account's token is being renewed.
    Renewing,
    /// Another Account was chosen, and not every live bridge has taken it over yet: nobody is shown as the one who
    /// acts until each has, or was cut off.
    Switching,
    /// The selected Account must sign in again.
    NeedsSignIn,
    /// The Server refuses the token that was pasted for the selected Account.
    RevokedByServer,
    /// Nobody is signed in.
    SignedOut,
    /// Somebody is signed in, but nobody is selected.
    NobodyChosen,
    /// No sign-in is needed.
    Open,
    /// The issuer or the Server could not be reached lately; nothing is lost.
    Unreachable,
    /// The person closed it for now.
    Paused,
    /// A list closed it; see [`ServerView::closed`].
    Blocked,
}

/// A Server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
pub struct ServerView {
    /// Id.
    pub id: ServerId,
    /// For eyes.
    pub label: String,
    /// Its URL.
    pub endpoint: Endpoint,
    /// How people are known to it.
    pub auth: AuthKind,
    /// How it is.
    pub state: ServerState,
    /// Where the entry came from.
    pub origin: Origin,
    /// Its headers without secrets.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// How a client registration is obtained.
    #[serde(default)]
    pub registration: RegistrationChoice,
    /// Plain http on this machine: for development.
    pub development: bool,
    /// Addresses of private networks are allowed.
    pub private_network: bool,
    /// The protocol era that it was last seen to speak.
    pub era: Option<Era>,
    /// Who is chosen to use it.
    pub selected: Option<AccountId>,
    /// Who is signed in, or was.
    pub grants: Vec<GrantView>,
    /// Which apps are bound to an Account of their own.
    pub bound_apps: BTreeMap<ClientAppId, AccountId>,
    /// The issuer that it named when it was last asked.
    #[serde(default)]
    pub issuer: Option<String>,
    /// Its tool that says who is signed in, where one is known: `get_me:id`.
    #[serde(default)]
    pub whoami: Option<String>,
    /// The person closed it for now.
    #[serde(default)]
    pub paused: bool,
    /// Why a list closed it.
    #[serde(default)]
    pub closed: Option<ClosedView>,
    /// What went wrong when the Server or its issuer was last asked, until it goes well again.
    #[serde(default)]
    pub trouble: Option<String>,
    /// The lists that name it, or named it.
    #[serde(default)]
    pub lists: Vec<ListedView>,
    /// A private authority is trusted for it.
    #[serde(default)]
    pub private_ca: bool,
}

/// Why a list closed a Server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
pub struct ClosedView {
    /// The list's title.
    pub by: String,
    /// The publisher's reason.
    pub reason: String,
}

/// A list that names a Server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
pub struct ListedView {
    /// The list's id.
    pub preset: String,
    /// The list's title.
    pub title: String,
    /// It names it no longer.
    pub gone: bool,
}

/// One Account at one Server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
pub struct GrantView {
    /// Who.
    pub account: AccountView,
    /// Whether it can be used.
    #[serde(flatten)]
    pub state: GrantState,
    /// It renews itself.
    pub renewable: bool,
    /// The person pasted a token that they made at the server; only they can renew or revoke it.
    #[serde(default)]
    pub pasted: bool,
    /// When the person must sign in again, since nothing renews it.
    #[serde(default)]
    pub ends_at: Option<UnixTime>,
    /// That is soon: within a day, or within the last fifth of its life.
    #[serde(default)]
    pub ends_soon: bool,
    /// Scopes as granted.
    pub scopes: Vec<String>,
    /// Scopes that the Server asked for since, and this sign-in does not have.
    #[serde(default)]
    pub missing_scopes: Vec<String>,
    /// When the access token ends.
    pub expires_at: Option<UnixTime>,
    /// When the person signed in.
    pub signed_in_at: UnixTime,
    /// When it was last renewed.
    pub renewed_at: Option<UnixTime>,
    /// The Server uses it now: it is chosen, and every live bridge has taken that over.
    pub selected: bool,
}

/// An Account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
pub struct AccountView {
    /// Id.
    pub id: AccountId,
    /// What people call it.
    pub label: String,
    /// The issuer's name for it.
    pub name: Option<String>,
    /// The issuer's e-mail for it.
    pub email: Option<String>,
    /// The issuer verified that e-mail.
    pub email_verified: bool,
    /// The organisation that the issuer names beside it.
    #[serde(default)]
    pub organization: Option<String>,
    /// Who says so.
    pub issuer: String,
    /// `sub`, where an issuer has proven one.
    pub subject: Option<String>,
    /// What proves it.
    pub proof: ProofKind,
    /// When it was proven last.
    pub proven_at: UnixTime,
    /// Where it is signed in. `ListAccounts` alone fills it.
    #[serde(default)]
    pub servers: Vec<ServerId>,
    /// Those of them where it acts by a pasted token.
    #[serde(default)]
    pub pasted: Vec<ServerId>,
}

/// A live bridge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
pub struct SessionView {
    /// The app that its entry names.
    pub app: ClientAppId,
    /// Its Server.
    pub server: ServerId,
    /// As whom it acts.
    pub account: Option<AccountId>,
    /// Its process id, from the kernel.
    pub pid: Option<u32>,
    /// The program that started it, from the kernel.
    pub parent: Option<PathBuf>,
    /// Since when.
    pub since: UnixTime,
}

/// What a Server and its issuer say of themselves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
pub struct DiscoveryView {
    /// The Server.
    pub server: ServerId,
    /// It asks for a sign-in.
    pub auth: AuthKind,
    /// The steps that were taken, in words.
    pub steps: Vec<String>,
    /// Issuer identifier.
    pub issuer: Option<String>,
    /// The resource identifier (RFC 8707).
    pub resource: Option<String>,
    /// The scopes that will be asked for.
    pub scopes: Vec<String>,
    /// How we would become a client.
    pub registration: Option<RegistrationKind>,
    /// By what its issuer will prove who signs in, as far as can be told before anybody does; `unknown`: by nothing.
    pub proof: ProofKind,
    /// A sign-in on another device is offered (RFC 8628).
    #[serde(default)]
    pub device: bool,
    /// What its issuer is known to want beside the standards, or to keep of them less than they ask.
    #[serde(default)]
    pub quirks: Vec<QuirkView>,
    /// What the person should know.
    pub warnings: Vec<String>,
}

/// A peculiarity of an issuer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
pub struct QuirkView {
    /// What, and what is done about it.
    pub what: String,
    /// Where it is written.
    pub evidence: String,
}

/// Who was signed out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
pub struct SignedOutView {
    /// (Server, Account label) of each Grant that is gone.
    pub signed_out: Vec<(ServerId, String)>,
    /// The issuer could not be told yet for these; it is tried again.
    pub pending: usize,
    /// The issuer has no way to be told for these: the token ends by itself.
    pub not_revocable: usize,
    /// The issuer refused to revoke these: they end by themselves.
    #[serde(default)]
    pub refused: usize,
    /// These could not be read any more, so that the issuer could not be told of them.
    #[serde(default)]
    pub unreadable: usize,
    /// So many were signed out because their identity provider, which vouched for them, was.
    #[serde(default)]
    pub vouched: usize,
    /// So many of them were pasted tokens, which go on until they are deleted where they were made.
    #[serde(default)]
    pub pasted: usize,
}

/// Who acts now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
pub struct SwitchView {
    /// Where.
    pub server: ServerId,
    /// For this app only.
    pub app: Option<ClientAppId>,
    /// Who.
    pub account: Option<AccountView>,
    /// The Account must sign in before it can be used.
    pub needs_sign_in: bool,
    /// Bridges that took it over.
    pub acknowledged: usize,
    /// Bridges that were silent and were cut off.
    pub cut_off: usize,
}

/// A ClientApp.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
pub struct AppView {
    /// Id.
    pub app: ClientAppId,
    /// Its name.
    pub name: String,
    /// It is running now.
    pub running: bool,
    /// Where its configuration can lie.
    pub locations: Vec<LocationView>,
    /// Accounts that it is bound to.
    pub bound: BTreeMap<ServerId, AccountId>,
}

/// One configuration file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
pub struct LocationView {
    /// Where.
    pub path: PathBuf,
    /// Why there.
    pub reason: String,
    /// It is there.
    pub exists: bool,
    /// Why it cannot be changed.
    pub problem: Option<String>,
    /// What it holds.
    pub entries: Vec<EntryView>,
}

/// One entry of a configuration file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
pub struct EntryView {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
    /// The Server, where it is one of ours.
    pub server: Option<ServerId>,
    /// The host it calls, where it is a remote one.
    pub host: Option<String>,
    /// Secrets in plain text, by kind; never a value.
    pub secrets: Vec<String>,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// Our bridge.
    Ours,
    /// A URL.
    Remote,
    /// A URL behind mcp-remote.
    McpRemote,
    /// A local command.
    Local,
    /// Something else.
    Other,
}

/// One finding of the doctor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
pub struct CheckView {
    /// What was looked at.
    pub name: String,
    /// How it is.
    pub state: CheckState,
    /// What was found.
    pub found: String,
    /// What to do.
    #[serde(default)]
    pub fix: String,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// Fine.
    Ok,
    /// Worth knowing.
    Warning,
    /// Does not work.
    Problem,
}
