//! macOS: the login keychain, which a bare executable can use without a provisioning profile.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use apple_native_keyring_store::keychain::Store;
use keyring::api::CredentialStoreApi;
use security_framework::base::Error as SecurityError;
use security_framework::os::macos::keychain::{SecKeychain, SecPreferencesDomain};

use crate::{AbsentReason, ItemKey, StoreError};

pub(super) const NAME: &str = "apple-keychain";

/// No limit of the keychain: large enough that a token set is one part.
pub(super) const ITEM_LIMIT: usize = 48 * 1024;

// SecBase.h. The store library passes these through as "platform failure".
const ERR_SEC_USER_CANCELED: i32 = -128;
const ERR_SEC_AUTH_FAILED: i32 = -25293;
const ERR_SEC_INTERACTION_NOT_ALLOWED: i32 = -25308;
const ERR_SEC_NOT_AVAILABLE: i32 = -25291;
const ERR_SEC_NO_SUCH_KEYCHAIN: i32 = -25294;
const ERR_SEC_INVALID_KEYCHAIN: i32 = -25295;
const ERR_SEC_NO_DEFAULT_KEYCHAIN: i32 = -25307;

pub(super) struct System {
    service_name: String,
    store: Arc<Store>,
}

impl System {
    pub(super) fn open(service_name: &str) -> Result<Self, StoreError> {
        let store = Store::new().map_err(StoreError::failed)?;
        Ok(Self { service_name: service_name.to_owned(), store })
    }

    /// The system has no question "is it locked" that is free of side effects; a locked login keychain shows
    /// itself by a dialog, and then by the caller's time limit.
    #[expect(clippy::unused_self, reason = "the other systems ask what they have opened")]
    pub(super) fn ready(&self) -> Result<(), StoreError> {
        login_keychain().map(drop)
    }

    #[expect(clippy::unused_self, reason = "the other systems ask what they have opened")]
    pub(super) fn unlock(&self) -> Result<(), StoreError> {
        login_keychain()?.unlock(None).map_err(|error| failure(Box::new(error)))
    }

    pub(super) fn entry(&self, key: &ItemKey) -> Result<keyring::Entry, StoreError> {
        self.store.build(&self.service_name, key.as_str(), None).map_err(|error| super::explain(key, error))
    }
}

/// There is no bus here.
#[expect(clippy::unnecessary_wraps, reason = "the other systems can fail here")]
pub(super) fn probe(_address: &str, _limit: Duration) -> Result<(), StoreError> {
    Ok(())
}

pub(super) fn no_access(source: Box<dyn Error + Send + Sync>) -> StoreError {
    failure(source)
}

pub(super) fn failure(source: Box<dyn Error + Send + Sync>) -> StoreError {
    match source.downcast_ref::<SecurityError>().map(|error| error.code()) {
        Some(ERR_SEC_USER_CANCELED | ERR_SEC_AUTH_FAILED | ERR_SEC_INTERACTION_NOT_ALLOWED) => {
            StoreError::Locked
        }
        Some(
            ERR_SEC_NOT_AVAILABLE
            | ERR_SEC_NO_SUCH_KEYCHAIN
            | ERR_SEC_INVALID_KEYCHAIN
            | ERR_SEC_NO_DEFAULT_KEYCHAIN,
        ) => StoreError::Absent { reason: AbsentReason::NoCollection, source: Some(source) },
        Some(_) | None => StoreError::Failed { source },
    }
}

fn login_keychain() -> Result<SecKeychain, StoreError> {
    SecKeychain::default_for_domain(SecPreferencesDomain::User).map_err(|error| failure(Box::new(error)))
}
