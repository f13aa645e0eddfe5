//! A Server as a person adds it.

use std::collections::BTreeMap;

use model::{ClientAppId, RegistrationChoice, ServerId};
use serde::{Deserialize, Serialize};

/// What a person says of a Server that they add; whatever is left out is found out or as usual.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
pub struct NewServer {
    /// Its URL.
    pub url: String,
    /// The id to use; chosen from the host name otherwise.
    #[serde(default)]
    pub id: Option<ServerId>,
    /// What to call it; the host name otherwise.
    #[serde(default)]
    pub label: Option<String>,
    /// Headers without secrets.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// How to get a client registration.
    #[serde(default)]
    pub registration: RegistrationChoice,
    /// It is no MCP server but the identity provider of a company; the URL is its issuer identifier.
    #[serde(default)]
    pub identity_provider: bool,
    /// People are known there by a token that each makes and pastes: no sign-in is looked for.
    #[serde(default)]
    pub personal_token: bool,
    /// The tool of the server that says who is signed in, as `TOOL` or `TOOL:FIELD`.
    #[serde(default)]
    pub whoami: Option<String>,
    /// Addresses of private networks are allowed.
    #[serde(default)]
    pub private_network: bool,
    /// Certificates (PEM) of a private authority to trust for this Server and its issuer, besides those
    /// of the operating system.
    #[serde(default)]
    pub ca: Option<String>,
    /// The app whose file held it.
    #[serde(default)]
    pub imported_from: Option<ClientAppId>,
}
