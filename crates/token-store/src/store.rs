//! The seam between our records and whatever keeps bytes.

use model::Secret;
use zeroize::Zeroizing;

use crate::{ItemKey, StoreError};

/// Keeps raw items. Calls block and may wait for a person: never call one from an async task.
pub trait TokenStore: Send + Sync {
    /// The store's kind, as `state.json` records it: `secret-service`, `apple-keychain`,
    /// `windows-credential-manager`, `sealed-file`, `memory`.
    fn name(&self) -> &'static str;

    /// Whether a call would go through now, found out without asking anybody.
    fn ready(&self) -> Result<(), StoreError>;

    /// Unlocks with what a person typed, where the store is opened by that; else asks the system, which may show a
    /// dialog and wait for a person.
    fn unlock(&self, passphrase: Option<&Secret<String>>) -> Result<(), StoreError>;

    /// The item's bytes, or `None` where there is no such item.
    fn get(&self, key: &ItemKey) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError>;

    /// Creates or overwrites the item, as one step that cannot be seen half done.
    fn set(&self, key: &ItemKey, bytes: &[u8]) -> Result<(), StoreError>;

    /// Removes the item. A missing item is removed already.
    fn delete(&self, key: &ItemKey) -> Result<(), StoreError>;

    /// The most bytes that one item takes.
    fn max_item_bytes(&self) -> usize;
}

/// What every store must do; run on the memory store and sealed files everywhere and on a real keychain where one is at hand.
#[cfg(test)]
pub(crate) mod contract {
    use model::ItemId;

    use super::*;

    pub(crate) fn check(store: &dyn TokenStore, record: &ItemId) {
        let key = ItemKey::part(record, u64::MAX, u32::MAX);
        let other = ItemKey::manifest(record);
        store.ready().unwrap();
        store.delete(&key).unwrap();
        store.delete(&other).unwrap();
        assert!(store.get(&key).unwrap().is_none(), "a deleted item is gone");

        store.set(&key, br#"{"v":1}"#).unwrap();
        assert_eq!(store.get(&key).unwrap().unwrap().as_slice(), br#"{"v":1}"#);
        assert!(store.get(&other).unwrap().is_none(), "another key is another item");

        let full = vec![b'x'; store.max_item_bytes()];
        store.set(&key, &full).unwrap();
        assert_eq!(store.get(&key).unwrap().unwrap().as_slice(), full, "overwritten, at the limit");
        let over = vec![b'x'; store.max_item_bytes() + 1];
        assert!(matches!(store.set(&key, &over), Err(StoreError::TooLarge { .. })));
        assert_eq!(store.get(&key).unwrap().unwrap().len(), full.len(), "a refused write changes nothing");

        store.delete(&key).unwrap();
        store.delete(&key).unwrap();
        assert!(store.get(&key).unwrap().is_none());
    }
}
