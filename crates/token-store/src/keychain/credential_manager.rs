//! Windows: Credential Manager, items of this machine that do not roam.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use keyring::api::CredentialStoreApi;
use windows_native_keyring_store::Store;

use crate::{AbsentReason, ItemKey, StoreError};

pub(super) const NAME: &str = "windows-credential-manager";

/// `CRED_MAX_CREDENTIAL_BLOB_SIZE`.
pub(super) const ITEM_LIMIT: usize = 2560;

pub(super) struct System {
    service_name: String,
    store: Arc<Store>,
}

impl System {
    pub(super) fn open(service_name: &str) -> Result<Self, StoreError> {
        let store = Store::new().map_err(StoreError::failed)?;
        Ok(Self { service_name: service_name.to_owned(), store })
    }

    /// It is open as long as the person is logged on.
    #[expect(clippy::unnecessary_wraps, clippy::unused_self, reason = "the other systems can fail here")]
    pub(super) fn ready(&self) -> Result<(), StoreError> {
        Ok(())
    }

    pub(super) fn unlock(&self) -> Result<(), StoreError> {
        self.ready()
    }

    pub(super) fn entry(&self, key: &ItemKey) -> Result<keyring::Entry, StoreError> {
        // An own target: the library's joins user and service by a dot, so two pairs can be one target.
        // Local: the default roams to the person's other machines, where a rotated token ends the family.
        let target = format!("{}/{key}", self.service_name);
        let modifiers = HashMap::from([("target", target.as_str()), ("persistence", "Local")]);
        self.store
            .build(&self.service_name, key.as_str(), Some(&modifiers))
            .map_err(|error| super::explain(key, error))
    }
}

/// There is no bus here.
#[expect(clippy::unnecessary_wraps, reason = "the other systems can fail here")]
pub(super) fn probe(_address: &str, _limit: Duration) -> Result<(), StoreError> {
    Ok(())
}

/// This logon session has no credential set (a service, a network logon).
pub(super) fn no_access(source: Box<dyn Error + Send + Sync>) -> StoreError {
    StoreError::Absent { reason: AbsentReason::NoCollection, source: Some(source) }
}

pub(super) fn failure(source: Box<dyn Error + Send + Sync>) -> StoreError {
    StoreError::Failed { source }
}
