//! An MCP server that Hallpass manages.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    Endpoint, KnownWhoami, Listing, ListingStanding, LoopbackSetting, PresetId, PrivateAuthority, ServerId,
    TokenEndpointAuth, WhoamiTool,
};

/// A managed server. Two entries with one URL are one Server only if headers agree too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// Stable id; stands in the argv of bridges.
    pub id: ServerId,
    /// What people read. Decides nothing.
    pub label: String,
    /// The exact URL that is called.
    pub endpoint: Endpoint,
    /// Headers that are no secret (a toolset, a tenant), sent with every request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// How the person is known to it.
    pub auth: AuthKind,
    /// Where the entry came from.
    pub origin: Origin,
    /// The issuer that it named when it was last asked. A sign-in asks again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// How we get a client registration at its issuer.
    #[serde(default, skip_serializing_if = "RegistrationChoice::is_default")]
    pub registration: RegistrationChoice,
    /// The tool that says who is signed in, where the person named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whoami: Option<WhoamiTool>,
    /// Addresses of private networks are allowed for it and its issuer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub private_network: bool,
    /// A private authority that is trusted for it and its issuer, besides those of the operating system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<PrivateAuthority>,
    /// The protocol era it was last seen to speak.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub era: Option<Era>,
    /// What administrators' lists say of it, one for each list that names or named it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listings: Vec<Listing>,
    /// Fields of a newer version, kept as they are.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// How a person is known to a Server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
#[serde(rename_all = "kebab-case")]
pub enum AuthKind {
    /// The MCP authorization flow (OAuth 2.1).
    Oauth,
    /// A personal token that each person makes at the server and pastes (RFC 6750). No sign-in is looked for.
    Bearer,
    /// Nobody: the server was seen to answer without a sign-in. Nothing is ever sent to it.
    None,
    /// No MCP server at all: the identity provider of a company. People sign in there once, and it vouches for
    /// them at the Servers that name it (MCP extension `enterprise-managed-authorization`).
    IdentityProvider,
}

/// Where a Server entry came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Origin {
    /// A person added it.
    HandMade,
    /// It was found in the configuration of a ClientApp.
    Imported {
        /// The app whose file held it.
        app: crate::ClientAppId,
    },
    /// An administrator's list brought it. What the list says now is in [`Server::listings`].
    Preset {
        /// The subscription.
        preset: PresetId,
        /// The server's name there: `com.acme/tickets`.
        name: String,
    },
}

impl Server {
    /// What this list says of it.
    pub fn listing(&self, preset: &PresetId, name: &str) -> Option<&Listing> {
        self.listings.iter().find(|listing| listing.preset == *preset && listing.name == name)
    }

    /// The list that took it back, if one did: the Server is then closed, whatever else names it.
    pub fn revoked_by(&self) -> Option<&Listing> {
        self.listings.iter().find(|listing| match listing.standing {
            ListingStanding::Revoked { .. } => true,
            ListingStanding::Listed | ListingStanding::Gone => false,
        })
    }

    /// The issuer that a list in force pins. No other may sign people in there.
    pub fn pinned_issuer(&self) -> Option<&str> {
        self.in_force().find_map(|listing| listing.issuer.as_deref())
    }

    /// The tool that says who is signed in there, and the field with a name for eyes, where it is known: what the
    /// person named goes before the table.
    pub fn whoami(&self) -> Option<(WhoamiTool, Option<&'static str>)> {
        match &self.whoami {
            Some(named) => Some((named.clone(), None)),
            None => KnownWhoami::of(&self.endpoint).map(|known| (known.whoami(), Some(known.label))),
        }
    }

    /// Listings that name it now.
    pub fn in_force(&self) -> impl Iterator<Item = &Listing> {
        self.listings.iter().filter(|listing| listing.standing == ListingStanding::Listed)
    }
}

/// How a client registration is obtained and used. Everything empty: from the issuer's own metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
pub struct RegistrationChoice {
    /// A client id that an administrator registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// How that client authenticates; `None` lets the issuer's metadata decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth: Option<TokenEndpointAuth>,
    /// That client has a secret, which the person enters at sign-in; it lies in the keychain.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_secret: bool,
    /// The identity provider that vouches for people there; without one they sign in at the issuer itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vouched_by: Option<ServerId>,
    /// The URL of a client id metadata document to present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata_url: Option<String>,
    /// Where the browser comes back to, where the issuer knows one address alone.
    #[serde(default, skip_serializing_if = "LoopbackSetting::is_default")]
    pub redirect: LoopbackSetting,
    /// Further parameters of the authorization request that this issuer wants, by name. No secrets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// What a person lets its issuer off, against the rules.
    #[serde(default, skip_serializing_if = "Exceptions::is_default")]
    pub except: Exceptions,
}

/// Rules that an issuer is known not to keep. Off by default, and never set but by a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
#[serde(default)]
pub struct Exceptions {
    /// Metadata that do not mention PKCE are accepted (RFC 7636). PKCE is sent all the same.
    pub missing_pkce: bool,
    /// The `resource` parameter (RFC 8707) is left out of every request.
    pub resource: bool,
}

impl Exceptions {
    /// Whether there is none.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl RegistrationChoice {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The two families of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
#[serde(rename_all = "snake_case")]
pub enum Era {
    /// Revisions up to 2025-11-25: `initialize`, sessions.
    Handshake,
    /// Revision 2026-07-28 and later: no handshake, no session.
    Stateless,
}
