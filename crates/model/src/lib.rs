//! The words of Hallpass as types, and the pure decisions on them.
//!
//! Nothing here opens a file, reads a clock or waits: values come in, values go out. The picture is
//! `State { servers, accounts, grants, selection, bindings }`, and the one question that everything
//! else serves: [`effective_account`], *who does this connection act as?*

mod account;
mod authority;
pub mod authorization_parameter;
mod binding;
mod browser_address;
mod discarded;
mod endpoint;
mod grant;
pub mod header;
mod id;
mod loopback;
mod pasted_token;
mod plan;
mod preset;
mod profile;
mod registration;
mod revocation;
mod secret;
pub mod secret_rules;
mod server;
mod settings;
mod state;
mod tenant;
mod text;
mod time;
mod web_address;
mod whoami;

pub use account::{Account, AccountKey, Proof, ProofKind};
pub use authority::{AuthorityError, PrivateAuthority};
pub use binding::{Asked, Bindings, Effective, effective_account};
pub use browser_address::{BrowserAddress, BrowserAddressError};
pub use discarded::Discarded;
pub use endpoint::{Endpoint, EndpointError, Reach, covers};
pub use grant::{Grant, GrantState, StepUpAsked};
pub use id::{AccountId, ClientAppId, IdError, ItemId, ServerId, free_name};
pub use loopback::{LoopbackHost, LoopbackSetting};
pub use pasted_token::{PastedTokenError, pasted_token};
pub use plan::{PickUp, PlanView, PlannedEntry, PlannedKind};
pub use preset::{Listing, ListingStanding, PresetId, PresetIdError, PresetRecord, Seen};
pub use profile::{Profile, ProfileNameError, differing_servers, profile_name};
pub use registration::{ClientRegistration, RegistrationKind, TokenEndpointAuth};
pub use revocation::Revocation;
pub use secret::Secret;
pub use server::{AuthKind, Era, Exceptions, Origin, RegistrationChoice, Server};
pub use settings::{Settings, Theme};
pub use state::{Environment, KeychainRecord, STATE_VERSION, State, StateError};
pub use tenant::Tenant;
pub use text::{is_hidden, percent_decoded, visible};
pub use time::UnixTime;
pub use web_address::{WebAddress, is_web_address};
pub use whoami::{KnownWhoami, Named, NamesNobody, WhoamiTool, WhoamiToolError};
