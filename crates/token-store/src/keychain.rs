//! The operating system's keychain. The one file of this crate that asks which system it is built for.

use std::time::Duration;

use model::Secret;
use zeroize::Zeroizing;

use crate::{ItemKey, StoreError, TokenStore};

#[cfg(target_os = "macos")]
#[path = "keychain/apple.rs"]
mod system;
#[cfg(target_os = "windows")]
#[path = "keychain/credential_manager.rs"]
mod system;
#[cfg(target_os = "linux")]
#[path = "keychain/secret_service.rs"]
mod system;
#[cfg(not(any(target_os = "linux", target_os = "macos", target_os = "windows")))]
compile_error!("Hallpass knows the keychains of Linux, macOS and Windows");

/// The longest service name in bytes, so that every item's name fits every system.
pub(crate) const MAX_SERVICE_NAME: usize = 64;

/// The label that people see in a keychain browser. It says whose the item is and nothing else.
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only the Secret Service has labels"))]
const LABEL: &str = "Hallpass";

/// Secret Service, login keychain or Credential Manager, through keyring's store for it.
///
/// On Linux the bus is found by `DBUS_SESSION_BUS_ADDRESS`, else `$XDG_RUNTIME_DIR/bus`, else
/// `/run/user/<uid>/bus`: the store library reads the environment and takes no address. A process that
/// starts with an empty one calls [`adopt_bus_address`] first.
pub struct SystemKeychain {
    system: system::System,
}

impl SystemKeychain {
    /// The store's kind, as `state.json` records it.
    pub const NAME: &'static str = system::NAME;

    /// Connects. A locked keychain can be opened; its items cannot be read.
    pub fn open(service: &str) -> Result<Self, StoreError> {
        if service.is_empty() || service.len() > MAX_SERVICE_NAME {
            return Err(StoreError::failed("a keychain service name has 1 to 64 bytes"));
        }
        Ok(Self { system: system::System::open(service)? })
    }
}

impl TokenStore for SystemKeychain {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn ready(&self) -> Result<(), StoreError> {
        self.system.ready()
    }

    fn unlock(&self, _passphrase: Option<&Secret<String>>) -> Result<(), StoreError> {
        self.system.unlock()
    }

    fn get(&self, key: &ItemKey) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        match self.system.entry(key)?.get_secret() {
            Ok(bytes) => Ok(Some(Zeroizing::new(bytes))),
            Err(keyring::Error::NoEntry) => Ok(None),
            Err(error) => Err(explain(key, error)),
        }
    }

    fn set(&self, key: &ItemKey, bytes: &[u8]) -> Result<(), StoreError> {
        if bytes.len() > self.max_item_bytes() {
            return Err(StoreError::TooLarge { size: bytes.len(), limit: self.max_item_bytes() });
        }
        self.system.entry(key)?.set_secret(bytes).map_err(|error| explain(key, error))
    }

    fn delete(&self, key: &ItemKey) -> Result<(), StoreError> {
        match self.system.entry(key)?.delete_credential() {
            Ok(()) | Err(keyring::Error::NoEntry) => Ok(()),
            Err(error) => Err(explain(key, error)),
        }
    }

    fn max_item_bytes(&self) -> usize {
        system::ITEM_LIMIT
    }
}

/// Drops every variant that carries an item's bytes: an error may be logged.
fn explain(key: &ItemKey, error: keyring::Error) -> StoreError {
    match error {
        keyring::Error::NoStorageAccess(source) => system::no_access(source),
        keyring::Error::PlatformFailure(source) => system::failure(source),
        keyring::Error::Ambiguous(_) => StoreError::Ambiguous { key: key.to_string() },
        keyring::Error::BadEncoding(_) | keyring::Error::BadDataFormat(..) => {
            StoreError::Damaged { record: key.to_string(), what: "the keychain cannot decode it" }
        }
        // The library's enum may grow.
        other => StoreError::failed(other),
    }
}

/// Whether a Secret Service answers at a D-Bus address, within `limit`. Blocks. On Windows and macOS there is
/// no bus, and the answer is yes.
pub fn probe(address: &str, limit: Duration) -> Result<(), StoreError> {
    system::probe(address, limit)
}

/// Makes `address` the session bus of this process, for one that was started without one.
///
/// Call it in `main` before anything starts a thread: it changes the environment, and refuses where another
/// thread might be reading it. On Windows and macOS there is no bus and nothing happens.
#[cfg(target_os = "linux")]
pub fn adopt_bus_address(address: &str) -> Result<(), BusAddressError> {
    let threads =
        std::fs::read_dir("/proc/self/task").map_err(|source| BusAddressError::Unknown { source })?;
    if threads.count() != 1 {
        return Err(BusAddressError::Threads);
    }
    if address.is_empty() || address.contains(['\0', '\n']) {
        return Err(BusAddressError::Malformed);
    }
    #[expect(unsafe_code, reason = "the store library takes its bus from the environment alone")]
    // SAFETY: this is the only thread of the process, so nobody reads or writes the environment meanwhile.
    unsafe {
        std::env::set_var("DBUS_SESSION_BUS_ADDRESS", address);
    }
    Ok(())
}

/// There is no bus on this system: nothing happens.
#[cfg(not(target_os = "linux"))]
pub fn adopt_bus_address(_address: &str) -> Result<(), BusAddressError> {
    Ok(())
}

/// Why a bus address was not taken over.
#[derive(Debug, thiserror::Error)]
pub enum BusAddressError {
    /// Too late.
    #[error("the bus address must be set before the process starts a second thread")]
    Threads,
    /// It cannot be told whether it is too late.
    #[error("cannot count this process's threads: {source}")]
    Unknown {
        /// What the system said.
        source: std::io::Error,
    },
    /// Not an address.
    #[error("a D-Bus address is one line of text that is not empty")]
    Malformed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_name_that_makes_long_items_is_refused() {
        assert!(SystemKeychain::open("").is_err());
        assert!(SystemKeychain::open(&"s".repeat(MAX_SERVICE_NAME + 1)).is_err());
    }

    #[test]
    fn an_error_never_carries_an_items_bytes() {
        let key = ItemKey::manifest(&model::ItemId::parse("r").unwrap());
        let bytes = b"s3cret".to_vec();
        let shown_as_bytes = format!("{bytes:?}");
        for error in [
            keyring::Error::BadEncoding(bytes.clone()),
            keyring::Error::BadDataFormat(bytes, "because".into()),
        ] {
            let error = explain(&key, error);
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("s3cret") && !shown.contains(&shown_as_bytes), "{shown}");
        }
    }

    /// The real Credential Manager: it is there in every logon session, so it needs no setting up.
    #[cfg(target_os = "windows")]
    #[test]
    fn the_credential_manager_keeps_the_contract() {
        let record = model::ItemId::parse(&format!("{:064x}", std::process::id())).unwrap();
        let store = SystemKeychain::open("hallpass-test").unwrap();
        crate::store::contract::check(&store, &record);
        for kilobytes in [5, 20] {
            let text = "t".repeat(kilobytes * 1000);
            crate::generation::save(&store, &record, &text).unwrap();
            let stored = crate::generation::load(&store, &record).unwrap().unwrap();
            assert_eq!(stored.as_str(), text);
        }
        crate::generation::delete(&store, &record).unwrap();
        assert!(crate::generation::load(&store, &record).unwrap().is_none());
    }
}
