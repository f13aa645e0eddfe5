//! The keychain: where TokenSets and static secrets lie, and nothing else. On a machine without one a person can choose
//! sealed files instead; which of the two it is, is recorded, and the other never takes its place by itself.
//!
//! ```text
//! Keychain (async handle, typed records)  --jobs, in order-->  one thread
//!   token_set, static_secret: JSON, v: 1                         |
//!   generation: parts first, manifest last, old parts removed    |
//!   TokenStore: get, set, delete of opaque items            <----+
//!     SystemKeychain (Secret Service, login keychain, Credential Manager) | SealedFiles | MemoryStore (tests)
//! ```
//!
//! Only the agent links this crate. A failed or empty read never leads to a write over something else.

mod error;
mod generation;
mod handle;
mod item;
mod keychain;
mod manifest;
#[cfg(any(test, feature = "memory-store"))]
mod memory;
mod record;
mod sealed;
mod static_secret;
mod store;
mod token_set;
mod worker;

pub use error::{AbsentReason, StoreError};
pub use handle::{DEFAULT_LIMIT, Keychain, Marker, Readiness, Status};
pub use item::ItemKey;
pub use keychain::{BusAddressError, SystemKeychain, adopt_bus_address, probe};
#[cfg(any(test, feature = "memory-store"))]
pub use memory::{Fault, MemoryStore};
pub use sealed::{Opener, SealedFault, SealedFiles};
pub use static_secret::StaticSecret;
pub use store::TokenStore;
pub use token_set::{Renewal, Seal, TokenSet, Told};

#[cfg(feature = "memory-store")]
const _: () = assert!(
    !is_release(option_env!("HALLPASS_CHANNEL")),
    "the memory store is for tests: build the release channel without the feature `memory-store`"
);

#[cfg(feature = "memory-store")]
const fn is_release(channel: Option<&str>) -> bool {
    match channel {
        Some(channel) => matches!(channel.as_bytes(), b"release"),
        None => false,
    }
}
