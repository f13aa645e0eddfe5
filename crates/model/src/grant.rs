//! What one Account may do at one Server.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{AccountId, ItemId, ServerId, UnixTime};

/// Account x Server. The tokens lie in the keychain under `record`; here is only what may be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Whose.
    pub account: AccountId,
    /// Where.
    pub server: ServerId,
    /// The keychain record that holds the TokenSet.
    pub record: ItemId,
    /// Whether it can be used.
    pub state: GrantState,
    /// The client that it was issued to.
    pub client_id: String,
    /// Scopes as granted.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Bumped by every sign-in and sign-out; a refresh that finds another epoch must not save.
    pub epoch: u64,
    /// When the person signed in.
    pub signed_in_at: UnixTime,
    /// Whether it renews itself.
    pub renewable: bool,
    /// The person pasted a token that they made at the server; nobody signed in.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pasted: bool,
    /// When the access token ends, where the issuer said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<UnixTime>,
    /// When it was last renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewed_at: Option<UnixTime>,
    /// Rights that the Server asked for since, and this Grant does not have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_up: Option<StepUpAsked>,
    /// How many wider sign-ins in a row were made because of that.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub step_ups: u8,
    /// Fields of a newer version, kept as they are.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// What a wider sign-in is to ask for (MCP authorization, Step-Up Authorization Flow).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepUpAsked {
    /// Everything: what was asked for before, and what is missing.
    pub scopes: Vec<String>,
    /// What is new in it, to be shown.
    pub missing: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(count: &u8) -> bool {
    *count == 0
}

/// Whether a Grant can be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum GrantState {
    /// It can.
    Active,
    /// The person must sign in again.
    NeedsSignIn {
        /// One sentence that says why.
        reason: String,
    },
    /// The Server refuses the token that was pasted: it was revoked there, or has ended.
    RevokedByServer,
    /// Signed out; the revocation upstream is still to be retried.
    Revoked,
}
