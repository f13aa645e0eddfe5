//! What can be made to go wrong at the authorization server, as one value that tests set at run time.

use serde::{Deserialize, Serialize};

/// The behaviour of the authorization server. The default is a strict, correct one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Knobs {
    /// Life of an access token in seconds.
    pub access_token_lifetime: u64,
    /// What an access token looks like.
    pub access_token_form: TokenForm,
    /// Least length of an access token in characters; 0 = what comes naturally.
    pub access_token_bytes: usize,
    /// Least length of a refresh token in characters; 0 = what comes naturally.
    pub refresh_token_bytes: usize,
    /// Ways for a registration to prove itself at the token endpoint (advertised and accepted).
    pub token_endpoint_auth: Vec<AuthMethod>,
    /// Who decides at the consent page.
    pub consent: Consent,
    /// Whatever name is typed, this person signs in.
    pub sign_in_as: Option<String>,
    /// The `iss` of the callback (RFC 9207).
    pub callback_issuer: CallbackIssuer,
    /// `authorization_response_iss_parameter_supported` in the metadata.
    pub advertise_callback_issuer: bool,
    /// The `state` of the callback is replaced by this.
    pub callback_state: Option<String>,
    /// The `issuer` of the metadata is replaced by this.
    pub metadata_issuer: Option<String>,
    /// The metadata documents that exist.
    pub metadata: Metadata,
    /// The registration endpoint (RFC 7591).
    pub registration: Availability,
    /// Client ids that are URLs are accepted without fetching them, and this is advertised.
    pub client_id_metadata_documents: bool,
    /// They are advertised, and then not known there.
    pub unknown_documents: Option<UnknownAt>,
    /// `code_challenge_methods_supported` stands in the metadata (S256 is demanded either way).
    pub pkce_metadata: bool,
    /// `scopes_supported` of the metadata.
    pub scopes_supported: Vec<String>,
    /// A registered loopback redirect URI holds for every port (RFC 8252 section 7.3).
    pub any_loopback_port: bool,
    /// `resource` is demanded at the authorization, token and refresh requests (RFC 8707).
    pub resource_required: bool,
    /// A refresh token is issued.
    pub refresh_tokens: bool,
    /// A refresh token is issued only where `offline_access` was asked for.
    pub refresh_needs_offline_access: bool,
    /// Each refresh gives a new refresh token and makes the old one a sign of theft.
    pub rotation: bool,
    /// For this long after its rotation an old refresh token is forgiven, in seconds.
    pub reuse_grace: u64,
    /// What proves the person.
    pub identity: Identity,
    /// An id_token comes with a refresh too, not only with the code.
    pub id_token_at_refresh: bool,
    /// What is wrong with id_tokens.
    pub id_token_fault: Option<IdTokenFault>,
    /// The userinfo endpoint.
    pub userinfo: Availability,
    /// The userinfo endpoint tells of this person, whoever asks.
    pub userinfo_as: Option<String>,
    /// The revocation endpoint (RFC 7009).
    pub revocation: Availability,
    /// Revoking one token ends all that its person was given through that registration.
    pub revocation_ends_all: bool,
    /// The device authorization endpoint and its grant (RFC 8628).
    pub device_authorization: Availability,
    /// How long a device code is good for, in seconds.
    pub device_code_lifetime: u64,
    /// The least pause between two requests with a device code, in seconds.
    pub device_interval: u64,
    /// The client credentials grant (RFC 6749 section 4.4).
    pub client_credentials: Availability,
    /// The introspection endpoint (RFC 7662).
    pub introspection: Availability,
    /// Introspection tells of this person, whosever the token is.
    pub introspection_as: Option<String>,
    /// As an identity provider: an id_token or refresh token is exchanged for an ID-JAG (RFC 8693).
    pub token_exchange: Availability,
    /// The client id that an ID-JAG is made out to; absent: that of the asker.
    pub id_jag_app: Option<String>,
    /// What is wrong with an ID-JAG.
    pub id_jag_fault: Option<IdJagFault>,
    /// Persons to whom the company's policy says no.
    pub id_jag_denied: Vec<String>,
    /// As an issuer: the ID-JAG of a trusted identity provider is redeemed (RFC 7523 section 2.1; `Handle::trust`).
    pub jwt_bearer: Availability,
    /// What the token endpoint does instead of its work, or around it.
    pub token_fault: Option<TokenFault>,
    /// The token requests that `token_fault` meets.
    pub token_fault_on: TokenRequests,
    /// `token_fault` meets so many requests and is then gone; absent: it stays.
    pub token_fault_times: Option<u32>,
    /// A refresh gives tokens of this person.
    pub refresh_as: Option<String>,
    /// The `expires_in` of token answers.
    pub expires_in: ExpiresIn,
    /// A refresh is answered so late, in milliseconds. The rotation comes before the wait.
    pub refresh_delay_ms: u64,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            access_token_lifetime: 30,
            access_token_form: TokenForm::Opaque,
            access_token_bytes: 0,
            refresh_token_bytes: 0,
            token_endpoint_auth: vec![AuthMethod::None, AuthMethod::Basic, AuthMethod::Post],
            consent: Consent::Ask,
            sign_in_as: None,
            callback_issuer: CallbackIssuer::Right,
            advertise_callback_issuer: true,
            callback_state: None,
            metadata_issuer: None,
            metadata: Metadata::Both,
            registration: Availability::Open,
            client_id_metadata_documents: false,
            unknown_documents: None,
            pkce_metadata: true,
            scopes_supported: ["openid", "profile", "email", "offline_access", "mcp"]
                .map(str::to_owned)
                .into(),
            any_loopback_port: false,
            resource_required: true,
            refresh_tokens: true,
            refresh_needs_offline_access: false,
            rotation: true,
            reuse_grace: 0,
            identity: Identity::IdToken,
            id_token_at_refresh: true,
            id_token_fault: None,
            userinfo: Availability::Open,
            userinfo_as: None,
            revocation: Availability::Open,
            revocation_ends_all: false,
            device_authorization: Availability::Absent,
            device_code_lifetime: 600,
            device_interval: 5,
            client_credentials: Availability::Absent,
            introspection: Availability::Absent,
            introspection_as: None,
            token_exchange: Availability::Absent,
            id_jag_app: None,
            id_jag_fault: None,
            id_jag_denied: Vec::new(),
            jwt_bearer: Availability::Absent,
            token_fault: None,
            token_fault_on: TokenRequests::All,
            token_fault_times: None,
            refresh_as: None,
            expires_in: ExpiresIn::Right,
            refresh_delay_ms: 0,
        }
    }
}

/// Where a client id is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownAt {
    /// The browser is sent back with `unauthorized_client`.
    Browser,
    /// 401 `invalid_client`.
    TokenEndpoint,
}

/// What an access token looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenForm {
    /// Random text.
    Opaque,
    /// A signed JWT (RFC 9068) that a server can check by `jwks_uri`.
    Jwt,
}

/// How a registration proves itself at the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthMethod {
    /// By nothing: a public one.
    #[serde(rename = "none")]
    None,
    /// HTTP Basic.
    #[serde(rename = "client_secret_basic")]
    Basic,
    /// In the form.
    #[serde(rename = "client_secret_post")]
    Post,
    /// By an assertion that its key signed (RFC 7523 section 2.2).
    #[serde(rename = "private_key_jwt")]
    PrivateKeyJwt,
}

/// Who decides at the consent page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consent {
    /// The person.
    Ask,
    /// It is denied, whatever the person says.
    Deny,
}

/// The `iss` of the callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallbackIssuer {
    /// The issuer.
    Right,
    /// Left out.
    Absent,
    /// Another issuer.
    Wrong,
    /// The issuer with a slash more: equal to a careless eye.
    ExtraSlash,
}

/// The metadata documents that exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metadata {
    /// Both.
    Both,
    /// RFC 8414 alone.
    OAuthOnly,
    /// OpenID Connect Discovery alone.
    OpenIdOnly,
    /// Neither.
    Absent,
}

/// Whether an endpoint does its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Availability {
    /// It does.
    Open,
    /// It exists nowhere: not in the metadata and not at its place.
    Absent,
    /// It refuses (400 or 401 with an OAuth error).
    Refused,
    /// It answers 503.
    Unavailable,
}

/// What proves the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Identity {
    /// An id_token where `openid` was asked for, and userinfo.
    IdToken,
    /// Userinfo alone.
    UserinfoOnly,
    /// Nothing: no `openid` scope, no id_token, no userinfo.
    Nothing,
}

/// What is wrong with an id_token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdTokenFault {
    /// Another nonce.
    Nonce,
    /// Another audience.
    Audience,
    /// Another issuer.
    Issuer,
    /// Its signature is of something else.
    Signature,
    /// It has expired.
    Expired,
    /// It has no `sub`.
    NoSubject,
}

/// What is wrong with an ID-JAG.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdJagFault {
    /// Another issuer.
    Issuer,
    /// For another authorization server.
    Audience,
    /// For another MCP server.
    Resource,
    /// Made out to another app.
    App,
    /// It has expired.
    Expired,
    /// Its `typ` is that of any JWT.
    Kind,
}

/// What the token endpoint does instead of its work, or around it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenFault {
    /// Nothing is done; this status with an OAuth `server_error`.
    Status(u16),
    /// Nothing is done; 429 with `Retry-After` in seconds.
    TooManyRequests(u32),
    /// Nothing is done; 200 with a page.
    Html,
    /// Nothing is done; 401 `invalid_client`.
    InvalidClient,
    /// Nothing is done; 400 `invalid_grant`, though the grant is good.
    InvalidGrant,
    /// Nothing is done; 200 with half a JSON document.
    Truncated,
    /// Nothing is done and nothing is answered for so many seconds; then 503.
    Hang(u32),
    /// Nothing is done; the connection is dropped.
    DropBefore,
    /// All is done, and the connection is dropped: the answer is lost.
    DropAfter,
    /// Nothing is done until `Handle::release`.
    PauseBefore,
    /// All is done, and the answer waits until `Handle::release`.
    PauseAfter,
    /// All is done; 307 to another origin (which the token request must not follow).
    Redirect,
}

/// A set of token requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenRequests {
    /// All.
    All,
    /// Those with a code.
    Codes,
    /// Those with a refresh token.
    Refreshes,
}

/// The `expires_in` of token answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExpiresIn {
    /// The truth.
    Right,
    /// Left out.
    Absent,
    /// -1.
    Negative,
    /// The truth, as text.
    Text,
    /// `null`.
    Null,
    /// More than any clock holds.
    Huge,
    /// `"soon"`.
    Nonsense,
}
