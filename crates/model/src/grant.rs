//! What one Account may do at one Server.

use std::time::Duration;

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

impl Grant {
    /// When the person must sign in again because nothing renews it. `None`: it renews itself, it cannot be used anyway,
    /// its issuer did not
    /// say when it ends, or it is a pasted token, whose end is its person's own word.
    pub fn ends_at(&self) -> Option<UnixTime> {
        self.expires_at.filter(|_| !self.renewable && !self.pasted && self.state == GrantState::Active)
    }

    /// From when on the person is told that it ends: a day before, or a fifth of its life if that is less.
    pub fn told_from(&self) -> Option<UnixTime> {
        let end = self.ends_at()?;
        let notice = (end.since(self.signed_in_at) / 5).min(TOLD_BEFORE);
        Some(UnixTime(end.0.saturating_sub(notice.as_secs())))
    }
}

const TOLD_BEFORE: Duration = Duration::from_hours(24);

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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn grant(renewable: bool, signed_in_at: u64, expires_at: Option<u64>, state: &str) -> Grant {
        serde_json::from_value(json!({"account": "ana", "server": "jira", "record": "a1", "client_id": "c", "epoch": 1,
            "state": {"state": state, "reason": "it ended"}, "signed_in_at": signed_in_at, "renewable": renewable,
            "expires_at": expires_at}))
        .unwrap()
    }

    #[test]
    fn only_what_nothing_renews_ends_and_its_person_is_told_in_time() {
        const DAY: u64 = 86_400;
        for (grant, end, told) in [
            (grant(false, 0, Some(30 * DAY), "active"), Some(30 * DAY), Some(29 * DAY)),
            (grant(false, 1000, Some(4600), "active"), Some(4600), Some(3880)),
            // A clock that was set back since.
            (grant(false, 5000, Some(4600), "active"), Some(4600), Some(4600)),
            (grant(false, 0, None, "active"), None, None),
            (grant(true, 0, Some(DAY), "active"), None, None),
            (grant(false, 0, Some(DAY), "needs_sign_in"), None, None),
        ] {
            assert_eq!(
                (grant.ends_at(), grant.told_from()),
                (end.map(UnixTime), told.map(UnixTime)),
                "{grant:?}"
            );
        }
    }
}
