//! The control wire: what CLI, window and tests say to the agent, and how they find it.
//!
//! ```text
//! caller --Hello{role, versions}-->  agent      one JSON object a line, both ways
//! caller <--Welcome | Refused-----   agent
//! caller --Call{id, request}----->   agent      role control
//! caller <--Reply{id, result}-----   agent
//! caller <--Event-----------------   agent      after `Watch`, and while a sign-in of this caller runs
//! ```
//!
//! No type here can hold a token that comes out of the agent. The few requests that carry a secret *in*
//! are put-only and named `Give…` and `Paste…`. A bridge says the same hello and then speaks
//! `token-lease`.

mod codec;
mod connection;
mod control;
mod error;
mod front;
mod hello;
mod view;

pub use codec::{
    CodecError, LineReader, LineWriter, MAX_ANSWER, MAX_LINE, answer_too_long, request_too_long,
};
pub use connection::{Connection, StartError, Starter, connect, connect_or_start, hold_starts};
pub use control::{
    Approval, Call, Event, FromAgent, NewServer, Request, Response, SignInId, SignInStep, SignInWay,
};
pub use error::{Error, ErrorCode};
pub use front::{locations, open_control, proxies, session_record};
pub use hello::{Greeting, Hello, Role, VERSIONS};
pub use model::{PickUp, PlanView, PlannedEntry, PlannedKind, Theme};
pub use view::{
    AccountView, AgentView, AppView, CheckState, CheckView, ClosedView, DiscoveryView, EntryKind, EntryView,
    FoundServerView, GrantView, KeychainState, ListedView, LocationView, PastedListView, PastedServerView,
    PastedView, PresetItemKind, PresetItemView, PresetPlanView, PresetView, ProfileUsedView, ProfileView,
    QuirkView, ServerState, ServerView, SessionView, SettingsView, SignInView, SignedOutView, StatusView,
    SwitchView,
};
