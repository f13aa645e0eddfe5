//! A person, as one issuer knows them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{AccountId, ServerId, Tenant, UnixTime, WhoamiTool};

/// A person. The key decides; label, name and e-mail are for eyes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Random and stable.
    pub id: AccountId,
    /// What makes it this person and no other.
    pub key: AccountKey,
    /// What people call it; may change at any time.
    pub label: String,
    /// The issuer's `name` or `preferred_username` claim, when last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The issuer's `email` claim, when last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The issuer said that it verified the e-mail.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub email_verified: bool,
    /// The organisation, where the issuer names one. It decides nothing but a refusal: the same subject in
    /// another organisation is not taken for the same person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Tenant>,
    /// The last evidence of who this is.
    pub proof: Proof,
    /// Fields of a newer version, kept as they are.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Account {
    /// Whether an issuer has proven who this is.
    pub fn is_verified(&self) -> bool {
        matches!(self.key, AccountKey::Subject { .. })
    }

    /// Whether somebody acts as themselves by it. The other kind is never chosen but by name.
    pub fn is_person(&self) -> bool {
        !matches!(self.key, AccountKey::Application { .. })
    }
}

/// What identifies a person.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum AccountKey {
    /// (issuer, subject), both exactly as the issuer gave them (OpenID Connect Core section 5.7).
    Subject {
        /// Issuer identifier, exact.
        issuer: String,
        /// `sub`, exact.
        subject: String,
    },
    /// The server's own whoami tool says so: better than nothing, and never the same person as one whom an issuer has
    /// proven.
    Told {
        /// The issuer that gave the tokens; for a pasted one at a server without any, `at`.
        issuer: String,
        /// Scheme, host and port of the server that said it.
        at: String,
        /// What it was asked.
        asked: WhoamiTool,
        /// What it answered, exact.
        id: String,
    },
    /// Nothing proves a subject: this Account exists for one Server only and equals no other.
    Unverified {
        /// The Server it was made for.
        server: ServerId,
        /// The issuer that gave the tokens.
        issuer: String,
    },
    /// No person: an application that acts in its own name (RFC 6749 section 4.4).
    Application {
        /// Issuer identifier, exact.
        issuer: String,
        /// `client_id`, exact.
        client_id: String,
    },
}

impl AccountKey {
    /// The issuer that this person signed in at.
    pub fn issuer(&self) -> &str {
        match self {
            Self::Subject { issuer, .. }
            | Self::Told { issuer, .. }
            | Self::Unverified { issuer, .. }
            | Self::Application { issuer, .. } => issuer,
        }
    }
}

/// Dated evidence of who an Account is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// What kind.
    pub kind: ProofKind,
    /// When it was last obtained.
    pub at: UnixTime,
}

/// Kinds of evidence, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
#[serde(rename_all = "snake_case")]
pub enum ProofKind {
    /// A verified id_token (OpenID Connect Core section 3.1.3.7).
    IdToken,
    /// The userinfo endpoint (OpenID Connect Core section 5.3).
    Userinfo,
    /// The introspection endpoint (RFC 7662), asked with credentials of our own.
    Introspection,
    /// The identity provider vouched for them to the issuer (draft-ietf-oauth-identity-assertion-authz-grant).
    Vouched,
    /// Nobody was to be proven: an application acts in its own name.
    Application,
    /// The server's own whoami tool said so: weak.
    Whoami,
    /// Nothing.
    Unknown,
}
