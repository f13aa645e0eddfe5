//! Errors at the edge: a closed code for programs, a sentence and a next step for people.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What happened, and what to do now. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
pub struct Error {
    /// For programs.
    pub code: ErrorCode,
    /// One sentence: what happened.
    pub message: String,
    /// One sentence: what to do now. May be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hint: String,
}

/// Grown only when somebody branches on it. The exit code of the CLI follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// Anything that fits nothing below.
    Failed,
    /// The request makes no sense as it stands.
    Usage,
    /// No such server, account, app, entry.
    NotFound,
    /// A name that fits several.
    Ambiguous,
    /// A person has to sign in first.
    SignInNeeded,
    /// A question that only a person can answer stands open (`--yes`, `--expect`, `--same-person`).
    ConfirmationNeeded,
    /// Another person came back than was expected.
    WrongPerson,
    /// The server, its issuer or the network could not be reached.
    Unreachable,
    /// The keychain is locked.
    KeychainLocked,
    /// The keychain is not there.
    KeychainAbsent,
    /// A file was changed by another program meanwhile.
    ChangedOutside,
    /// The app whose file is to be changed is running.
    AppRunning,
    /// The agent cannot be reached, or speaks another protocol.
    AgentUnavailable,
    /// The person cancelled.
    Cancelled,
    /// A code of a newer version.
    #[serde(other)]
    #[cfg_attr(feature = "ts", ts(skip))]
    Unknown,
}

impl Error {
    /// An error without a hint.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: String::new() }
    }

    /// Adds the next step.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}

impl ErrorCode {
    /// The exit code of a command that ends with it (`docs/`, "exit codes").
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Failed | Self::NotFound | Self::WrongPerson | Self::AppRunning | Self::Unknown => 1,
            Self::Usage | Self::Ambiguous | Self::ConfirmationNeeded => 2,
            Self::SignInNeeded => 4,
            Self::Unreachable => 6,
            Self::KeychainLocked | Self::KeychainAbsent => 7,
            Self::ChangedOutside => 8,
            Self::AgentUnavailable => 9,
            Self::Cancelled => 130,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
