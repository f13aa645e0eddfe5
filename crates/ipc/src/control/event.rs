//! What the agent says by itself: a sign-in goes on, something has changed.

use model::UnixTime;
use serde::{Deserialize, Serialize};

use super::SignInId;
use crate::Error;
use crate::view::AccountView;

/// What the agent says by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
#[serde(tag = "event", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "a few of them are there at any time, and none for long")]
pub enum Event {
    /// A sign-in goes on.
    SignIn {
        /// Which.
        sign_in: SignInId,
        /// How.
        step: SignInStep,
    },
    /// Something that views show has changed; ask again.
    Changed,
    /// An event of a newer version.
    #[serde(other)]
    #[cfg_attr(feature = "ts", ts(skip))]
    Unknown,
}

/// The steps of a sign-in, as they pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum SignInStep {
    /// A step of discovery has been taken.
    Found {
        /// In words.
        what: String,
    },
    /// The person must open this URL. Opened by the caller, never by the agent.
    OpenBrowser {
        /// The authorization request.
        url: String,
        /// The loopback port that waits for the callback.
        port: u16,
    },
    /// The person must open this address on any device and enter the code there (RFC 8628 section 3.3).
    EnterCode {
        /// The code, to be shown as it is.
        user_code: String,
        /// The address to type.
        url: String,
        /// The address with the code in it, where the issuer gives one.
        #[serde(default)]
        complete_url: Option<String>,
        /// That address, or the one to type, as a QR code: rows of `#` (dark) and `.` (light), without a margin.
        /// The code is to be shown beside it.
        qr: Vec<String>,
        /// When the code ends.
        ends_at: UnixTime,
    },
    /// The person came back; the code is being exchanged.
    Exchanging,
    /// Is this the Account to use? Answered by `ConfirmSignIn` within ten minutes.
    Confirm {
        /// Who it is.
        account: AccountView,
    },
    /// Nothing proves who came back: is it still this Account?
    SamePerson {
        /// Whom it would renew.
        account: AccountView,
    },
    /// Signed in; the tokens are in the keychain.
    Done {
        /// Who.
        account: AccountView,
        /// The Account is the one that the Server uses now.
        selected: bool,
        /// It renews itself; otherwise the person must sign in again when it ends.
        renewable: bool,
        /// When that is, where nothing renews it and the issuer has said so.
        #[serde(default)]
        ends_at: Option<UnixTime>,
        /// A proven Account that is the same person as another one here.
        #[serde(default)]
        new_account: bool,
    },
    /// Not signed in; nothing was changed.
    Failed {
        /// Why, and what to do.
        error: Error,
    },
}
