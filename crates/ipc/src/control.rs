//! Requests of a person, and what the agent answers.

mod event;
mod new_server;

use std::collections::BTreeMap;

use model::{ClientAppId, Exceptions, LoopbackSetting, PlanView, ServerId, UnixTime};
use serde::{Deserialize, Serialize};

pub use event::{Event, SignInStep};
pub use new_server::NewServer;

use crate::Error;
use crate::view::{
    AccountView, AppView, CheckView, DiscoveryView, FoundServerView, PastedView, PresetPlanView, PresetView,
    ProfileUsedView, ProfileView, ServerView, SettingsView, SignedOutView, StatusView, SwitchView,
};

/// One request of a caller.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
pub struct Call {
    /// Chosen by the caller; names the reply.
    pub id: u64,
    /// What is asked.
    pub request: Request,
}

/// A sign-in under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
#[serde(transparent)]
pub struct SignInId(pub u64);

/// How somebody signs in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum SignInWay {
    /// With a browser of this machine; where an identity provider vouches for them, by its word.
    #[default]
    Browser,
    /// On another device: a code is shown instead of opening a browser (RFC 8628).
    Device,
    /// Nobody does: an application with its own credentials (RFC 6749 section 4.4).
    Application,
    /// With an id_token of the identity provider, which another program got. Put-only.
    IdToken {
        /// The token.
        id_token: String,
    },
    /// With a personal token that somebody made at the server and pasted (RFC 6750). Put-only.
    Pasted {
        /// As it was pasted.
        token: String,
        /// When it ends, by their word.
        #[serde(default)]
        ends_at: Option<UnixTime>,
    },
}

/// What a caller may ask for. Account names in requests (`account: String`) are an id, a label or an
/// e-mail; one that fits several Accounts is refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
#[serde(tag = "verb", rename_all = "snake_case")]
pub enum Request {
    /// Tells what a process without a session needs to know of the person's session.
    RecordEnvironment {
        /// `DBUS_SESSION_BUS_ADDRESS`.
        #[serde(default)]
        dbus_address: Option<String>,
        /// Proxy variables, by name in lower case; absent from a session that has none: what is known stays.
        #[serde(default)]
        proxies: Option<BTreeMap<String, String>>,
    },
    /// Everything at a glance. Answer: `Status`.
    Status,
    /// Events of every kind follow on this connection from now on. Answer: `Done`.
    Watch,
    /// Adds a Server after asking it how it wants people to sign in. Answer: `Server`.
    AddServer(NewServer),
    /// Puts the secret of a pre-registered client into the keychain. Put-only. Answer: `Done`.
    GiveClientSecret {
        /// The Server whose registration it belongs to.
        server: ServerId,
        /// The secret.
        secret: String,
    },
    /// Opens the store of the tokens with what a person typed, or asks the system to. Put-only. Answer: `Done`.
    UnlockStore {
        /// For sealed files.
        #[serde(default)]
        passphrase: Option<String>,
    },
    /// Seals the sealed files by another passphrase. Put-only. Answer: `Done`.
    ChangePassphrase {
        /// The one that opens them now.
        old: String,
        /// The one that opens them from now on.
        new: String,
    },
    /// Answer: `Servers`.
    ListServers,
    /// Answer: `Server`.
    ShowServer {
        /// Which.
        server: ServerId,
    },
    /// Asks the Server and its issuer anew, without changing anything. Answer: `Discovery`.
    TestServer {
        /// Which.
        server: ServerId,
    },
    /// Answer: `Server`.
    RenameServer {
        /// Which.
        server: ServerId,
        /// What to call it.
        label: String,
    },
    /// Closes a Server for everybody, or opens it again. Tokens stay. Answer: `Server`.
    PauseServer {
        /// Which.
        server: ServerId,
        /// Closed or open.
        paused: bool,
    },
    /// Changes which private authority is trusted for a Server and its issuer. Its bridges connect anew.
    /// Answer: `Server`.
    TrustServer {
        /// Which.
        server: ServerId,
        /// Certificates (PEM) to trust for it and its issuer besides those of the operating system; none: those alone.
        #[serde(default)]
        ca: Option<String>,
    },
    /// Changes where the browser comes back to, by which document we are known, and what else the issuer is sent at a
    /// sign-in there. Who is signed in stays so. Answer: `Server`.
    SetSignIn {
        /// Which.
        server: ServerId,
        /// Where the browser comes back to.
        #[serde(default)]
        redirect: LoopbackSetting,
        /// Further parameters of the authorization request, by name; all that there shall be.
        #[serde(default)]
        parameters: BTreeMap<String, String>,
        /// What its issuer is let off.
        #[serde(default)]
        except: Exceptions,
        /// The client id metadata document to present; empty: none; `None`: the one of this build.
        #[serde(default)]
        metadata_url: Option<String>,
    },
    /// Works out what a pasted URL, link, command or snippet means. Put-only, since the text may hold a
    /// secret: the answer never does, and nothing is kept. Answer: `Pasted`.
    ReadPaste {
        /// As it was pasted.
        text: String,
    },
    /// Looks through the apps' files for servers that could be added. Changes nothing. Answer: `Found`.
    FindServers {
        /// Location variables of the caller; the window leaves them empty and its shell fills them in.
        location: BTreeMap<String, String>,
    },
    /// Signs everybody out of it and forgets it. Answer: `SignedOut`.
    RemoveServer {
        /// Which.
        server: ServerId,
    },
    /// Starts a sign-in, or goes on with the same one that nobody attends any more. Answer: `SignIn`; `SignIn` events
    /// follow on this connection. When the connection ends while the person is at the browser or at another device, it is
    /// parked: nothing is kept until somebody attends it again. Otherwise the end of the connection cancels it.
    BeginSignIn {
        /// Where.
        server: ServerId,
        /// Sign this known Account in again; anybody otherwise.
        #[serde(default)]
        account: Option<String>,
        /// Only this subject or verified e-mail is accepted.
        #[serde(default)]
        expect: Option<String>,
        /// What to call a new Account.
        #[serde(default)]
        label: Option<String>,
        /// Select the Account for this Server afterwards, even if another one is selected.
        #[serde(default)]
        select: bool,
        /// How a new Account is confirmed.
        approval: Approval,
        /// An unverified Account signed in again is the same person: the person says so beforehand.
        #[serde(default)]
        same_person: bool,
        /// `login_hint` for the issuer (OpenID Connect Core section 3.1.2.1).
        #[serde(default)]
        login_hint: Option<String>,
        /// How.
        #[serde(default)]
        way: SignInWay,
        /// Give up what is parked there, whatever it is.
        #[serde(default)]
        anew: bool,
        /// How long to wait for the person, in seconds.
        timeout: u64,
    },
    /// Goes on with a parked sign-in: its events follow on this connection. Answer: `SignIn`.
    ResumeSignIn {
        /// Which.
        sign_in: SignInId,
    },
    /// Goes away from a sign-in as the end of the connection does. Answer: `Done`.
    ParkSignIn {
        /// Which.
        sign_in: SignInId,
    },
    /// Answers `SignInStep::Confirm` or `SignInStep::SamePerson`. Answer: `Done`.
    ConfirmSignIn {
        /// Which sign-in.
        sign_in: SignInId,
        /// Whether this is the person.
        yes: bool,
    },
    /// Gives the final address of the browser, where the callback could not arrive. Put-only.
    /// Answer: `Done`.
    PasteCallback {
        /// Which sign-in.
        sign_in: SignInId,
        /// The whole URL.
        url: String,
    },
    /// Gives a sign-in up. Answer: `Done`.
    CancelSignIn {
        /// Which sign-in.
        sign_in: SignInId,
    },
    /// Revokes and forgets tokens. Answer: `SignedOut`.
    SignOut {
        /// Where.
        server: ServerId,
        /// Whom; the only one, if there is only one.
        #[serde(default)]
        account: Option<String>,
        /// Everybody.
        #[serde(default)]
        all: bool,
        /// Do not tell the issuer.
        #[serde(default)]
        keep_upstream: bool,
    },
    /// Answer: `Accounts`.
    ListAccounts,
    /// Answer: `Done`.
    RenameAccount {
        /// Whom.
        account: String,
        /// What to call it.
        label: String,
    },
    /// Signs the Account out everywhere and forgets it. Answer: `SignedOut`.
    RemoveAccount {
        /// Whom.
        account: String,
    },
    /// Who acts at a Server. Answered when every bridge concerned has acknowledged or was cut off.
    /// Answer: `Switched`.
    UseAccount {
        /// Where.
        server: ServerId,
        /// Whom; of two Accounts the other one, if left out.
        #[serde(default)]
        account: Option<String>,
        /// For this ClientApp only.
        #[serde(default)]
        app: Option<ClientAppId>,
        /// Let this ClientApp follow the Selection again.
        #[serde(default)]
        follow_selection: bool,
    },
    /// Answer: `Profiles`.
    ListProfiles,
    /// Saves the Selection as it is now under a name. Answer: `Profiles`.
    CreateProfile {
        /// What to call it: 1 to 60 characters, no control characters.
        name: String,
        /// Replace one of that name.
        #[serde(default)]
        replace: bool,
    },
    /// Replaces the Selection by a Profile's, whole and in one write. Answered when every bridge concerned
    /// has acknowledged or was cut off. Answer: `ProfileUsed`.
    UseProfile {
        /// Which.
        name: String,
    },
    /// Changes which Account a saved Profile chooses for a Server. Who acts now stays. Answer: `Profiles`.
    ChangeProfile {
        /// Which Profile.
        name: String,
        /// Where.
        server: ServerId,
        /// Whom; nobody, if left out.
        #[serde(default)]
        account: Option<String>,
    },
    /// Forgets a Profile; the Selection stays as it is. Answer: `Profiles`.
    DeleteProfile {
        /// Which.
        name: String,
    },
    /// Fetches a list and works out what following it would change. Nothing is followed yet.
    /// Answer: `PresetPlan`.
    PlanPreset {
        /// An https URL, or the absolute path of a file.
        source: String,
        /// The publisher's minisign public key (`RW…`); without it the list is shown as unverified.
        #[serde(default)]
        key: Option<String>,
        /// Certificates (PEM) of a private authority to trust for fetching the list.
        #[serde(default)]
        ca: Option<String>,
    },
    /// Fetches a followed list anew and works out what would change. Answer: `PresetPlan`.
    PlanPresetUpdate {
        /// The list's id.
        preset: String,
        /// Names of servers on it that the person removed, and wants back.
        #[serde(default)]
        bring_back: Vec<String>,
    },
    /// Carries out a plan that was shown. Answer: `Presets`.
    ApplyPreset {
        /// [`PresetPlanView::digest`].
        digest: String,
    },
    /// Answer: `Presets`.
    ListPresets,
    /// Stops following a list. Its Servers stay, as hand-made ones. Answer: `Presets`.
    RemovePreset {
        /// The list's id.
        preset: String,
    },
    /// Changes settings. Answer: `Settings`.
    ChangeSettings {
        /// As they shall be.
        settings: SettingsView,
    },
    /// Answer: `Apps`.
    ListApps {
        /// Location variables of the caller (`APPDATA`, `XDG_CONFIG_HOME`, …).
        location: BTreeMap<String, String>,
    },
    /// Works out how an app's file would change. Answer: `Plan`.
    PlanConnect {
        /// Which app.
        app: ClientAppId,
        /// Location variables of the caller.
        location: BTreeMap<String, String>,
        /// Only these Servers; all that fit otherwise.
        #[serde(default)]
        servers: Option<Vec<ServerId>>,
        /// Pin this Account in the entries.
        #[serde(default)]
        account: Option<String>,
    },
    /// Works out how our entries would leave an app's file. Answer: `Plan`.
    PlanRestore {
        /// Which app.
        app: ClientAppId,
        /// Location variables of the caller.
        location: BTreeMap<String, String>,
    },
    /// Carries out a plan that was shown. Answer: `Done`.
    ApplyPlan {
        /// [`PlanView::digest`].
        digest: String,
    },
    /// Answer: `Checks`.
    Doctor,
    /// Asks the agent to exit. Answer: `Done`, or an error that says what is unsaved.
    Stop,
    /// A request of a newer version.
    #[serde(other)]
    #[cfg_attr(feature = "ts", ts(skip))]
    Unknown,
}

/// How a new Account is confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
#[serde(rename_all = "snake_case")]
pub enum Approval {
    /// Ask the person: `SignInStep::Confirm`.
    Ask,
    /// The person said yes beforehand (`--yes`).
    Yes,
    /// Nobody can be asked: only `expect` can confirm.
    ExpectOnly,
}

/// What the agent answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Response {
    /// It is done.
    Done,
    /// Everything at a glance.
    Status(Box<StatusView>),
    /// One Server.
    Server(Box<ServerView>),
    /// All Servers.
    Servers {
        /// By id.
        servers: Vec<ServerView>,
    },
    /// What a Server and its issuer say of themselves.
    Discovery(Box<DiscoveryView>),
    /// A sign-in has begun.
    SignIn {
        /// Names it in events and requests.
        sign_in: SignInId,
    },
    /// Who was signed out.
    SignedOut(SignedOutView),
    /// All Accounts.
    Accounts {
        /// By label.
        accounts: Vec<AccountView>,
    },
    /// Who acts now.
    Switched(Box<SwitchView>),
    /// The ClientApps.
    Apps {
        /// Those we know.
        apps: Vec<AppView>,
    },
    /// A plan.
    Plan(Box<PlanView>),
    /// What a pasted text means.
    Pasted(Box<PastedView>),
    /// Servers in the apps' files.
    Found {
        /// By name.
        servers: Vec<FoundServerView>,
    },
    /// All Profiles.
    Profiles {
        /// By name.
        profiles: Vec<ProfileView>,
    },
    /// A Profile is in use.
    ProfileUsed(Box<ProfileUsedView>),
    /// What following a list would change.
    PresetPlan(Box<PresetPlanView>),
    /// The lists that are followed.
    Presets {
        /// By title.
        presets: Vec<PresetView>,
    },
    /// The settings.
    Settings(SettingsView),
    /// The doctor's findings.
    Checks {
        /// In the order in which they build on each other.
        checks: Vec<CheckView>,
    },
}

/// A line of the agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromAgent {
    /// Answers the call with this id.
    Reply {
        /// The call.
        id: u64,
        /// The answer.
        result: Result<Response, Error>,
    },
    /// Says something by itself.
    Event {
        /// What.
        event: Event,
    },
}

#[cfg(test)]
mod tests;
