//! A store in memory, with faults to order. For tests alone: see the guard in `lib.rs`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::Secret;
use zeroize::Zeroizing;

use crate::{AbsentReason, ItemKey, StoreError, TokenStore};

/// Items in memory. Clones share them, as processes share a keychain.
#[derive(Clone)]
pub struct MemoryStore {
    item_limit: usize,
    inside: Arc<Mutex<Inside>>,
}

/// What goes wrong, and when. Calls are counted from 1, from when the fault was set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// The n-th read, write or delete and all later ones fail, as if the process had been killed before it.
    StopBefore(u64),
    /// The n-th call takes effect but is never answered, and all later ones fail.
    StopAfter(u64),
    /// The n-th `set` fails, and that one alone.
    FailWrite(u64),
    /// Every `set` from the n-th on fails.
    FailWritesFrom(u64),
    /// Every call answers late, as a keychain does that shows a dialog.
    Delay(Duration),
    /// Every call says that the keychain is locked, until `unlock` is called.
    Locked,
    /// As `Locked`, and `unlock` is refused: the person closed the dialog.
    LockedForGood,
    /// There is no keychain.
    Absent(AbsentReason),
}

#[derive(Default)]
struct Inside {
    items: BTreeMap<ItemKey, Zeroizing<Vec<u8>>>,
    fault: Fault,
    calls: u64,
    writes: u64,
}

impl MemoryStore {
    /// An empty store whose items may be large.
    pub fn new() -> Self {
        Self::with_item_limit(48 * 1024)
    }

    /// An empty store that takes `bytes` an item; 2,560 is Windows's Credential Manager.
    pub fn with_item_limit(bytes: usize) -> Self {
        Self { item_limit: bytes, inside: Arc::default() }
    }

    /// Orders a fault and starts counting anew.
    pub fn set_fault(&self, fault: Fault) {
        let mut inside = self.inside();
        inside.fault = fault;
        inside.calls = 0;
        inside.writes = 0;
    }

    /// Reads, writes and deletes since the last [`MemoryStore::set_fault`].
    pub fn calls(&self) -> u64 {
        self.inside().calls
    }

    /// The names of all items, sorted.
    pub fn keys(&self) -> Vec<ItemKey> {
        self.inside().items.keys().cloned().collect()
    }

    /// Overwrites or removes an item behind the crate's back, as a person with a keychain browser may.
    pub fn tamper(&self, key: &ItemKey, bytes: Option<&[u8]>) {
        let mut inside = self.inside();
        match bytes {
            Some(bytes) => inside.items.insert(key.clone(), Zeroizing::new(bytes.to_vec())),
            None => inside.items.remove(key),
        };
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the call, lets the fault act, and runs `act` if the call takes effect.
    fn call<T>(&self, kind: Call, act: impl FnOnce(&mut Inside) -> T) -> Result<T, StoreError> {
        let mut inside = self.inside();
        if let Fault::Delay(time) = inside.fault {
            drop(inside);
            std::thread::sleep(time);
            inside = self.inside();
        }
        inside.calls += 1;
        inside.writes += u64::from(kind == Call::Write);
        let (calls, writes) = (inside.calls, inside.writes);
        let broken = || StoreError::failed("a fault was ordered");
        match inside.fault {
            Fault::StopBefore(n) if calls >= n => Err(broken()),
            Fault::StopAfter(n) if calls > n => Err(broken()),
            Fault::StopAfter(n) if calls == n => {
                act(&mut inside);
                Err(broken())
            }
            Fault::FailWrite(n) if kind == Call::Write && writes == n => Err(broken()),
            Fault::FailWritesFrom(n) if kind == Call::Write && writes >= n => Err(broken()),
            Fault::Locked | Fault::LockedForGood => Err(StoreError::Locked),
            Fault::Absent(reason) => Err(StoreError::Absent { reason, source: None }),
            Fault::None
            | Fault::StopBefore(_)
            | Fault::StopAfter(_)
            | Fault::FailWrite(_)
            | Fault::FailWritesFrom(_)
            | Fault::Delay(_) => Ok(act(&mut inside)),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    Read,
    Write,
    Delete,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl TokenStore for MemoryStore {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn ready(&self) -> Result<(), StoreError> {
        match self.inside().fault {
            Fault::Locked | Fault::LockedForGood => Err(StoreError::Locked),
            Fault::Absent(reason) => Err(StoreError::Absent { reason, source: None }),
            Fault::None
            | Fault::StopBefore(_)
            | Fault::StopAfter(_)
            | Fault::FailWrite(_)
            | Fault::FailWritesFrom(_)
            | Fault::Delay(_) => Ok(()),
        }
    }

    fn unlock(&self, _passphrase: Option<&Secret<String>>) -> Result<(), StoreError> {
        let mut inside = self.inside();
        if inside.fault == Fault::Locked {
            inside.fault = Fault::None;
        }
        drop(inside);
        self.ready()
    }

    fn get(&self, key: &ItemKey) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.call(Call::Read, |inside| inside.items.get(key).cloned())
    }

    fn set(&self, key: &ItemKey, bytes: &[u8]) -> Result<(), StoreError> {
        if bytes.len() > self.item_limit {
            return Err(StoreError::TooLarge { size: bytes.len(), limit: self.item_limit });
        }
        self.call(Call::Write, |inside| {
            inside.items.insert(key.clone(), Zeroizing::new(bytes.to_vec()));
        })
    }

    fn delete(&self, key: &ItemKey) -> Result<(), StoreError> {
        self.call(Call::Delete, |inside| {
            inside.items.remove(key);
        })
    }

    fn max_item_bytes(&self) -> usize {
        self.item_limit
    }
}

#[cfg(test)]
mod tests {
    use model::ItemId;

    use super::*;

    #[test]
    fn the_memory_store_keeps_the_contract() {
        let record = ItemId::parse("0a1b").unwrap();
        crate::store::contract::check(&MemoryStore::new(), &record);
        crate::store::contract::check(&MemoryStore::with_item_limit(2560), &record);
    }

    #[test]
    fn clones_share_their_items() {
        let (a, key) = (MemoryStore::new(), ItemKey::manifest(&ItemId::parse("r").unwrap()));
        a.clone().set(&key, b"x").unwrap();
        assert_eq!(a.keys(), [key]);
    }

    #[test]
    fn faults_strike_the_call_they_were_ordered_for() {
        let (store, key) = (MemoryStore::new(), ItemKey::manifest(&ItemId::parse("r").unwrap()));
        store.set_fault(Fault::FailWrite(2));
        store.set(&key, b"1").unwrap();
        store.set(&key, b"2").unwrap_err();
        store.set(&key, b"3").unwrap();
        store.set_fault(Fault::StopAfter(1));
        store.set(&key, b"4").unwrap_err();
        store.get(&key).unwrap_err();
        store.set_fault(Fault::None);
        assert_eq!(store.get(&key).unwrap().unwrap().as_slice(), b"4");
        store.set_fault(Fault::Locked);
        assert!(matches!(store.get(&key), Err(StoreError::Locked)));
        store.unlock(None).unwrap();
        store.get(&key).unwrap();
        store.set_fault(Fault::LockedForGood);
        assert!(matches!(store.unlock(None), Err(StoreError::Locked)));
    }
}
