//! Who Hallpass itself is to an issuer.

use serde::{Deserialize, Serialize};

use crate::ItemId;

/// Our identity as an OAuth client of one issuer; keyed by (issuer, client id).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientRegistration {
    /// The issuer identifier, exactly as its validated metadata gives it (RFC 8414 section 2).
    pub issuer: String,
    /// `client_id` (RFC 6749 section 2.2).
    pub client_id: String,
    /// How it came about.
    pub kind: RegistrationKind,
    /// How we authenticate at the token endpoint.
    pub token_endpoint_auth: TokenEndpointAuth,
    /// The exact redirect URI that was registered, where one was (RFC 7591 section 2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_uri: Option<String>,
    /// The keychain item that holds the client secret, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<ItemId>,
}

/// How a registration came about, in the order in which they are preferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
#[serde(rename_all = "snake_case")]
pub enum RegistrationKind {
    /// An administrator registered it and told us the client id.
    PreRegistered,
    /// The client id is the URL of a client id metadata document.
    MetadataDocument,
    /// Dynamic client registration (RFC 7591).
    Dynamic,
}

/// `token_endpoint_auth_method` (RFC 7591 section 2), as far as we use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
#[serde(rename_all = "snake_case")]
pub enum TokenEndpointAuth {
    /// `none`: a public client.
    None,
    /// `client_secret_basic`.
    ClientSecretBasic,
    /// `client_secret_post`.
    ClientSecretPost,
    /// `private_key_jwt` (RFC 7523 section 2.2): the keychain item of the secret holds the private key.
    PrivateKeyJwt,
}
