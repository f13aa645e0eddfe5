//! The agent: sole writer of the state, the tokens and other programs' configurations.
//!
//! ```text
//! listener --control--> control_connection --> servers, sign_in, sign_out, selection, apps, doctor
//!          --bridge---> bridge_connection ---> standings (as whom?) --> tokens --> refresh (the recipe)
//!                             sessions: leases, switches, acknowledgements
//! agent: state file, keychain (stores: or sealed files, if a person chose them), clock; lifecycle: when it ends; renewals: what it does by itself
//! ```

mod agenda;
mod agent;
mod apps;
mod bridge_connection;
mod control_connection;
mod discarded;
mod doctor;
mod documents;
mod error;
mod faults;
mod found;
mod health;
mod inquiry;
mod intents;
mod issuer_calls;
mod known;
mod lifecycle;
mod list_rules;
mod listener;
mod logging;
mod mcp;
mod network;
mod online;
mod pauses;
mod people;
mod presets;
mod profiles;
mod proxies;
mod redirects;
mod refresh;
mod renewals;
mod run;
mod schedule;
mod selection;
mod servers;
mod sessions;
mod settings;
mod sign_in;
mod sign_out;
mod standings;
mod state_file;
mod step_up;
mod stores;
mod tokens;
mod views;
mod vouching;
mod whoami;
mod world;

pub use online::{Declared, ask_online};
pub use run::run;
pub use stores::{Choice, Chosen, Store, choose};
