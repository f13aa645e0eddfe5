//! How a record of any length is replaced so that a crash anywhere leaves the old or the new one whole.
//!
//! Parts of a new generation go beside the live one and are read back; then the manifest, the only
//! pointer to the newest, is overwritten in one step; then the old parts go. Parts are written upwards
//! and removed downwards, so whatever an interruption leaves behind starts at part 0 and has no gap:
//! that is how the next write finds it.

use std::str;

use model::ItemId;
use zeroize::Zeroizing;

use crate::manifest::Manifest;
use crate::{ItemKey, StoreError, TokenStore};

/// Reads the newest generation whole, or `None` where there is no such record.
pub(crate) fn load(store: &dyn TokenStore, record: &ItemId) -> Result<Option<Zeroizing<String>>, StoreError> {
    let damaged = |what| StoreError::Damaged { record: record.to_string(), what };
    let Some(manifest) = live_manifest(store, record)? else { return Ok(None) };
    if manifest.is_deleted() {
        return Ok(None);
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(manifest.count as usize * 2560));
    for part in 0..manifest.count {
        let key = ItemKey::part(record, manifest.generation, part);
        bytes.extend_from_slice(&store.get(&key)?.ok_or_else(|| damaged("a part is missing"))?);
    }
    if !manifest.describes(&bytes) {
        return Err(damaged("its parts are not the ones that were written"));
    }
    let text = str::from_utf8(&bytes).map_err(|_| damaged("it is not text"))?;
    Ok(Some(Zeroizing::new(text.to_owned())))
}

/// Makes `text` the newest generation. On an error the record is what it was, or, where only the answer
/// to the last write was lost, already `text`.
pub(crate) fn save(store: &dyn TokenStore, record: &ItemId, text: &str) -> Result<(), StoreError> {
    let live = live_manifest(store, record)?;
    let old = live.as_ref().map_or(0, |manifest| manifest.generation);
    let new = old.checked_add(1).ok_or_else(|| StoreError::Damaged {
        record: record.to_string(),
        what: "its generation is at the end of its range",
    })?;
    if old > 1 {
        tidy(store, record, old - 1);
    }

    let parts = split(text, store.max_item_bytes());
    let count = u32::try_from(parts.len()).expect("a record in memory has fewer parts than u32 counts");
    for (part, bytes) in (0..).zip(&parts) {
        write(store, &ItemKey::part(record, new, part), bytes.as_bytes())?;
    }
    // A longer write of this generation may have been interrupted: what it left beyond ours goes now,
    // while it is still certain that nothing points to it.
    remove_from(store, record, new, count)?;
    let manifest = Manifest::new(new, count, text.as_bytes());
    write(store, &ItemKey::manifest(record), &manifest.to_bytes())?;

    if old > 0 {
        tidy(store, record, old);
    }
    Ok(())
}

/// Removes the record. A crash anywhere leaves it whole or gone, and calling again finishes the work.
pub(crate) fn delete(store: &dyn TokenStore, record: &ItemId) -> Result<(), StoreError> {
    let key = ItemKey::manifest(record);
    let generation = match live_manifest(store, record) {
        Ok(Some(live)) => {
            if !live.is_deleted() {
                write(store, &key, &Manifest::deleted(live.generation).to_bytes())?;
            }
            live.generation
        }
        Ok(None) => 0,
        // The way out for a person who signs in again. Which parts it had, nobody knows any more.
        Err(StoreError::Damaged { what, .. }) => {
            tracing::warn!(%record, what, "a damaged record is removed; parts of it may stay behind");
            store.delete(&key)?;
            0
        }
        Err(error) => return Err(error),
    };
    for generation in generation.saturating_sub(1).max(1)..=generation.saturating_add(1) {
        remove_from(store, record, generation, 0)?;
    }
    store.delete(&key)
}

fn live_manifest(store: &dyn TokenStore, record: &ItemId) -> Result<Option<Manifest>, StoreError> {
    store.get(&ItemKey::manifest(record))?.map(|bytes| Manifest::parse(record, &bytes)).transpose()
}

/// Writes one item and reads it back.
pub(crate) fn write(store: &dyn TokenStore, key: &ItemKey, bytes: &[u8]) -> Result<(), StoreError> {
    store.set(key, bytes)?;
    match store.get(key)? {
        Some(kept) if kept.as_slice() == bytes => Ok(()),
        Some(_) | None => Err(StoreError::ReadBackDiffers { key: key.to_string() }),
    }
}

/// Removes what an earlier write left behind. The record is safe already, so a failure here is not one of
/// the save: the next save comes by again.
fn tidy(store: &dyn TokenStore, record: &ItemId, generation: u64) {
    if let Err(error) = remove_from(store, record, generation, 0) {
        tracing::warn!(%record, generation, %error, "an old generation stays in the keychain for now");
    }
}

/// Removes the parts of a generation from `first` on, the last one first.
fn remove_from(
    store: &dyn TokenStore,
    record: &ItemId,
    generation: u64,
    first: u32,
) -> Result<(), StoreError> {
    let mut end = first;
    while store.get(&ItemKey::part(record, generation, end))?.is_some() {
        end += 1;
    }
    (first..end).rev().try_for_each(|part| store.delete(&ItemKey::part(record, generation, part)))
}

/// Cuts text into pieces of at most `limit` bytes, between characters: some keychains take text alone.
fn split(text: &str, limit: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while rest.len() > limit {
        let (part, tail) = rest.split_at(rest.floor_char_boundary(limit));
        parts.push(part);
        rest = tail;
    }
    parts.push(rest);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Fault, MemoryStore};

    const WINDOWS: usize = 2560;

    fn record() -> ItemId {
        ItemId::parse("0a1b").unwrap()
    }

    fn read(store: &MemoryStore) -> Option<String> {
        load(store, &record()).unwrap().map(|text| text.to_string())
    }

    /// Exactly these items and no others: what a save that nobody interrupted leaves.
    fn expected_keys(generation: u64, text: &str) -> Vec<ItemKey> {
        let count = u32::try_from(text.len().div_ceil(WINDOWS)).unwrap();
        let mut keys: Vec<_> = (0..count).map(|part| ItemKey::part(&record(), generation, part)).collect();
        keys.push(ItemKey::manifest(&record()));
        keys.sort();
        keys
    }

    fn text(letter: char, bytes: usize) -> String {
        letter.to_string().repeat(bytes)
    }

    #[test]
    fn a_record_of_any_length_comes_back() {
        for length in [0, 1, 2559, 2560, 2561, 5000, 20_000] {
            let store = MemoryStore::with_item_limit(WINDOWS);
            assert_eq!(read(&store), None);
            save(&store, &record(), &text('a', length)).unwrap();
            assert_eq!(read(&store), Some(text('a', length)));
            save(&store, &record(), &text('b', 7)).unwrap();
            assert_eq!(read(&store), Some(text('b', 7)));
            assert_eq!(store.keys(), expected_keys(2, &text('b', 7)));
        }
    }

    #[test]
    fn parts_are_cut_between_characters() {
        let text = "é".repeat(3000);
        let parts = split(&text, 2559);
        assert!(parts.iter().all(|part| part.len() <= 2559) && parts.len() == 3);
        assert_eq!(parts.concat(), text);
        assert_eq!(split("", 10), [""]);
    }

    /// Every step at which a save can stop, before or just after it took effect, from every length to every other.
    #[test]
    fn a_save_that_stops_anywhere_leaves_the_old_or_the_new_record_whole() {
        let mut stops = 0;
        for old in [None, Some(5000), Some(20_000)] {
            for new in [5000, 20_000] {
                for fault in [Fault::StopBefore as fn(u64) -> Fault, Fault::StopAfter] {
                    stops += stop_everywhere(old, new, fault);
                }
            }
        }
        assert!(stops > 200, "only {stops} stops were tried");
    }

    /// Returns how many stops there are.
    fn stop_everywhere(old: Option<usize>, new: usize, fault: fn(u64) -> Fault) -> u64 {
        let (old, new) = (old.map(|length| text('a', length)), text('b', new));
        let mut seen_old = 0;
        for step in 1.. {
            let store = MemoryStore::with_item_limit(WINDOWS);
            if let Some(old) = &old {
                save(&store, &record(), old).unwrap();
            }
            store.set_fault(fault(step));
            let result = save(&store, &record(), &new);
            let calls = store.calls();
            store.set_fault(Fault::None);

            let after = read(&store);
            assert!(after == old || after.as_ref() == Some(&new), "a mix after step {step}");
            assert!(result.is_err() || after.as_ref() == Some(&new), "step {step}: done was said too early");
            seen_old += u64::from(after == old);

            // A second interruption on top, then one save that is left in peace: nothing is left over.
            for again in [step, 3, 9] {
                store.set_fault(fault(again));
                let _ = save(&store, &record(), &text('c', 9000));
                store.set_fault(Fault::None);
                let now = read(&store);
                assert!(now == after || now == Some(text('c', 9000)), "a mix after steps {step}, {again}");
                if now != after {
                    break;
                }
            }
            save(&store, &record(), &text('d', 3000)).unwrap();
            assert_eq!(read(&store), Some(text('d', 3000)));
            let generation = live_manifest(&store, &record()).unwrap().unwrap().generation;
            assert_eq!(store.keys(), expected_keys(generation, &text('d', 3000)), "leftovers of step {step}");

            if calls < step {
                assert!(seen_old > 0, "no stop came before the new record was live");
                return calls;
            }
        }
        unreachable!("a save has an end");
    }

    #[test]
    fn a_delete_that_stops_anywhere_leaves_the_record_whole_or_gone_and_can_be_finished() {
        for fault in [Fault::StopBefore as fn(u64) -> Fault, Fault::StopAfter] {
            for step in 1.. {
                let store = MemoryStore::with_item_limit(WINDOWS);
                save(&store, &record(), &text('a', 9000)).unwrap();
                // A save that was interrupted before: its parts must go as well.
                store.set_fault(Fault::StopBefore(6));
                save(&store, &record(), &text('b', 9000)).unwrap_err();
                store.set_fault(fault(step));
                let _ = delete(&store, &record());
                let calls = store.calls();
                store.set_fault(Fault::None);
                let after = read(&store);
                assert!(after.is_none() || after == Some(text('a', 9000)), "a mix after step {step}");
                if step % 2 == 0 {
                    // Somebody signs in again instead.
                    save(&store, &record(), &text('c', 20_000)).unwrap();
                    assert_eq!(read(&store), Some(text('c', 20_000)));
                }
                delete(&store, &record()).unwrap();
                assert_eq!(store.keys(), [], "leftovers of step {step}");
                if calls < step {
                    break;
                }
            }
        }
    }

    #[test]
    fn a_failed_or_damaged_read_never_leads_to_a_write() {
        let store = MemoryStore::with_item_limit(WINDOWS);
        save(&store, &record(), &text('a', 5000)).unwrap();
        store.set_fault(Fault::StopBefore(1));
        save(&store, &record(), &text('b', 5000)).unwrap_err();
        assert_eq!(store.calls(), 1, "the read failed and nothing else was tried");
        store.set_fault(Fault::None);
        for bad in ["", "{}", r#"{"v":2}"#] {
            store.tamper(&ItemKey::manifest(&record()), Some(bad.as_bytes()));
            store.set_fault(Fault::None);
            save(&store, &record(), &text('b', 5000)).unwrap_err();
            assert_eq!(store.calls(), 1, "one read");
        }
        delete(&store, &record()).unwrap_err();
        assert_eq!(store.calls(), 2, "what a newer Hallpass wrote is not deleted either");
    }

    #[test]
    fn a_damaged_record_can_be_deleted_so_that_a_person_can_sign_in_again() {
        let store = MemoryStore::with_item_limit(WINDOWS);
        save(&store, &record(), &text('a', 5000)).unwrap();
        store.tamper(&ItemKey::manifest(&record()), Some(b"{"));
        delete(&store, &record()).unwrap();
        assert_eq!(store.keys(), []);
        save(&store, &record(), &text('b', 5000)).unwrap();
        assert_eq!(read(&store), Some(text('b', 5000)));
    }

    #[test]
    fn missing_exchanged_or_altered_parts_are_damage() {
        let part = |generation, part| ItemKey::part(&record(), generation, part);
        let tampered: [(ItemKey, Option<&[u8]>); 3] =
            [(part(1, 1), None), (part(1, 0), Some(b"x")), (part(1, 1), Some(b""))];
        for (key, bytes) in tampered {
            let store = MemoryStore::with_item_limit(WINDOWS);
            save(&store, &record(), &text('a', 5000)).unwrap();
            store.tamper(&key, bytes);
            assert!(matches!(load(&store, &record()), Err(StoreError::Damaged { .. })), "{key}");
        }
    }

    #[test]
    fn a_store_that_forgets_is_noticed_before_anything_points_to_it() {
        struct Forgetful(MemoryStore);
        impl TokenStore for Forgetful {
            fn name(&self) -> &'static str {
                "forgetful"
            }
            fn ready(&self) -> Result<(), StoreError> {
                Ok(())
            }
            fn unlock(&self, _passphrase: Option<&model::Secret<String>>) -> Result<(), StoreError> {
                Ok(())
            }
            fn get(&self, key: &ItemKey) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
                self.0.get(key)
            }
            fn set(&self, key: &ItemKey, bytes: &[u8]) -> Result<(), StoreError> {
                self.0.set(key, &bytes[..bytes.len().min(10)])
            }
            fn delete(&self, key: &ItemKey) -> Result<(), StoreError> {
                self.0.delete(key)
            }
            fn max_item_bytes(&self) -> usize {
                2560
            }
        }
        let memory = MemoryStore::new();
        save(&memory, &record(), "old").unwrap();
        let error = save(&Forgetful(memory.clone()), &record(), &text('b', 100)).unwrap_err();
        assert!(matches!(error, StoreError::ReadBackDiffers { .. }));
        assert_eq!(read(&memory), Some("old".to_owned()));
    }
}
