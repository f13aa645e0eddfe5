//! Administrators' lists: bytes in, verdict out. No network, no files, no clock.
//!
//! ```text
//! bytes -> List::parse (limits, lint P01..P08, form) --+
//! bytes + .minisig + key -> signature::verify ---------+-> ratchet::accept -> Accepted { list, seen, news, trust }
//!                                                                                |
//!                                   State + List -> merge -> MergePlan -> apply -+-> State
//! ```
//! A list is what a registry answers (MCP Registry v0.1, `server.json` 2025-12-11), with ours under
//! `_meta["dev.hallpass/server"]` and `_meta["dev.hallpass/list"]`. No type here can hold a credential.

mod json;
mod lint;
mod list;
mod look_alike;
mod merge;
mod offer;
mod ratchet;
mod reader;
mod schema;
mod signature;
mod signing;
mod timestamp;
mod words;

pub use json::{JsonError, MAX_BYTES, MAX_DEPTH};
pub use lint::{Checked, Finding, Findings, Rule, Severity, lint, lint_comment};
pub use list::{About, List, ListError, ListedServer, MAX_SERVERS, Revocation, Status};
pub use merge::{Applied, Change, Item, MergePlan, Shown, Source, Warning, What, apply, merge};
pub use model::Seen;
pub use offer::{Offer, Remote};
pub use ratchet::{Accepted, News, Offered, Refused, Standing, Trust, accept, not_modified, standing};
pub use reader::Misfit;
pub use schema::{SCHEMA, starter};
pub use signature::{KeyError, MAX_SIGNATURE_BYTES, PublicKey, SignatureError, Verified, verify};
pub use signing::{NewKeys, Protection, SecretKey, SigningError, generate, needs_password};
pub use timestamp::{format_time, parse_time};
