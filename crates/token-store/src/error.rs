//! What can go wrong with a keychain, told apart as far as a caller acts differently.

use std::time::Duration;

use crate::sealed::SealedFault;

/// Why a keychain call did not do its work. No variant holds a byte of a secret.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The keychain is there but closed; nothing was read or written and nobody was asked.
    #[error("the keychain is locked: unlock it and try again")]
    Locked,
    /// There is no keychain, or another one than the one that holds our items.
    #[error("the keychain is absent: {reason}")]
    Absent {
        /// What is missing.
        reason: AbsentReason,
        /// What the system said.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// More than one item answers to one of our keys. None of them is taken.
    #[error("two keychain items have the same name {key}: delete the one that is not Hallpass's")]
    Ambiguous {
        /// The key, which is opaque.
        key: String,
    },
    /// The item is longer than this keychain takes.
    #[error("an item of {size} bytes is too large for this keychain, which takes {limit}")]
    TooLarge {
        /// Its length in bytes.
        size: usize,
        /// The most that is taken, in bytes.
        limit: usize,
    },
    /// No answer within the caller's time limit. A write that had begun may still come to its end.
    #[error("the keychain did not answer within {} ms: it may be waiting for a person", limit.as_millis())]
    TimedOut {
        /// The caller's limit.
        limit: Duration,
    },
    /// A newer TokenSet is stored already; it stays.
    #[error("a newer token set is stored (epoch {}, generation {}): {}, {} was not written",
        stored.0, stored.1, offered.0, offered.1)]
    StaleGeneration {
        /// (epoch, generation) in the keychain.
        stored: (u64, u64),
        /// (epoch, generation) that was to be written.
        offered: (u64, u64),
    },
    /// The record was written for another Server or Account.
    #[error("the stored record {record} belongs to another server or account: sign in again")]
    Swapped {
        /// The record's id, which is opaque.
        record: String,
    },
    /// The record does not hold what we once wrote.
    #[error("the stored record {record} is damaged ({what}): sign in again")]
    Damaged {
        /// The record's id, which is opaque, or its sealed file.
        record: String,
        /// What is wrong, without any of the content.
        what: &'static str,
    },
    /// Written by a newer Hallpass.
    #[error("the stored record {record} was written by a newer Hallpass (format {found}): update this one")]
    Newer {
        /// The record's id, which is opaque, or its sealed file.
        record: String,
        /// Its format.
        found: u64,
    },
    /// What was read back is not what was written. The older generation is still there.
    #[error("the keychain did not keep what was written to {key}")]
    ReadBackDiffers {
        /// The item, which is opaque.
        key: String,
    },
    /// Sealed files, the store of machines without a keychain, cannot be used.
    #[error(transparent)]
    Sealed(SealedFault),
    /// The thread that owns the keychain has ended.
    #[error("the keychain thread has ended: restart the agent")]
    Stopped,
    /// Anything else that the system reports.
    #[error("the keychain failed: {source}")]
    Failed {
        /// What it said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Why there is no keychain to talk to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AbsentReason {
    /// No D-Bus session bus answers at the address that the environment names.
    #[error("no D-Bus session bus answers; start hallpass in a desktop session, or under dbus-run-session")]
    NoBus,
    /// The bus answers, but nobody on it offers the Secret Service.
    #[error("no Secret Service on the session bus; install and start gnome-keyring or KeePassXC")]
    NoService,
    /// The keychain service answers, but has no default keychain, or this logon session none at all.
    #[error("there is no default keychain; log in to the desktop once, or create one")]
    NoCollection,
    /// A keychain answers, but not the one that holds our items.
    #[error("this is another keychain than the one that holds Hallpass's items; open that one")]
    OtherCollection,
}

impl StoreError {
    /// Wraps what a library reported. Only for errors that cannot hold a secret.
    pub(crate) fn failed(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Failed { source: source.into() }
    }

    /// Whether the connection to the keychain should be made anew before the next call.
    pub(crate) fn ends_connection(&self) -> bool {
        match self {
            Self::Absent { .. } | Self::Failed { .. } => true,
            Self::Locked
            | Self::Ambiguous { .. }
            | Self::TooLarge { .. }
            | Self::TimedOut { .. }
            | Self::StaleGeneration { .. }
            | Self::Swapped { .. }
            | Self::Damaged { .. }
            | Self::Newer { .. }
            | Self::ReadBackDiffers { .. }
            | Self::Sealed(_)
            | Self::Stopped => false,
        }
    }
}
