//! Records as JSON text: the version rule, and typed saves and loads on top of the generations.

use model::ItemId;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{ItemKey, StaticSecret, StoreError, TokenSet, TokenStore, generation};

/// The form that this build writes.
pub(crate) const VERSION: u64 = 1;

/// The JSON text of a stored form.
pub(crate) fn to_text(wire: &impl Serialize) -> Zeroizing<String> {
    // Room for the largest known token sets, so that no half-written copy is left behind by growing.
    let mut bytes = Vec::with_capacity(64 * 1024);
    serde_json::to_writer(&mut bytes, wire).expect("texts and numbers always serialise");
    Zeroizing::new(String::from_utf8(bytes).expect("JSON is UTF-8"))
}

/// Reads a stored form. The parser's own message is dropped, since it may quote what it read.
pub(crate) fn parse<'a, T: Deserialize<'a>>(record: &ItemId, text: &'a str) -> Result<T, StoreError> {
    let damaged = || StoreError::Damaged { record: record.to_string(), what: "it is not JSON of our form" };
    let version: Version = serde_json::from_str(text).map_err(|_| damaged())?;
    match version.v {
        VERSION => serde_json::from_str(text).map_err(|_| damaged()),
        found if found > VERSION => Err(StoreError::Newer { record: record.to_string(), found }),
        _ => Err(damaged()),
    }
}

#[derive(Deserialize)]
struct Version {
    v: u64,
}

pub(crate) fn load_tokens(store: &dyn TokenStore, record: &ItemId) -> Result<Option<TokenSet>, StoreError> {
    generation::load(store, record)?.map(|text| TokenSet::parse(record, &text)).transpose()
}

/// Saves unless what is stored is newer, or cannot be read.
pub(crate) fn save_tokens(store: &dyn TokenStore, record: &ItemId, set: &TokenSet) -> Result<(), StoreError> {
    if let Some(stored) = load_tokens(store, record)?
        && stored.age() > set.age()
    {
        return Err(StoreError::StaleGeneration { stored: stored.age(), offered: set.age() });
    }
    generation::save(store, record, &set.to_text())
}

pub(crate) fn load_secret(
    store: &dyn TokenStore,
    record: &ItemId,
) -> Result<Option<StaticSecret>, StoreError> {
    generation::load(store, record)?.map(|text| StaticSecret::parse(record, &text)).transpose()
}

/// Saves unless what is stored cannot be read as a static secret.
pub(crate) fn save_secret(
    store: &dyn TokenStore,
    record: &ItemId,
    secret: &StaticSecret,
) -> Result<(), StoreError> {
    load_secret(store, record)?;
    generation::save(store, record, &secret.to_text())
}

/// Whether the keychain holds the item that it was recognised by.
pub(crate) fn has_marker(store: &dyn TokenStore, record: &ItemId) -> Result<bool, StoreError> {
    Ok(store.get(&ItemKey::marker(record))?.is_some())
}

pub(crate) fn write_marker(store: &dyn TokenStore, record: &ItemId) -> Result<(), StoreError> {
    generation::write(store, &ItemKey::marker(record), br#"{"v":1,"marker":"hallpass"}"#)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token_set::tests::sample;
    use crate::{Fault, MemoryStore};

    fn record() -> ItemId {
        ItemId::parse("0a1b").unwrap()
    }

    #[test]
    fn an_older_token_set_never_overwrites_a_newer_one() {
        for ((epoch, generation), allowed) in [
            ((2, 7), true), // the mark "subject unchecked" is taken away
            ((2, 8), true), // a refresh
            ((3, 1), true), // a new sign-in
            ((2, 6), false),
            ((1, 99), false), // a refresh of a sign-in that is over
        ] {
            let store = MemoryStore::with_item_limit(2560);
            save_tokens(&store, &record(), &sample()).unwrap();
            let before = store.keys();
            let offered = TokenSet { epoch, generation, access_token: "other".into(), ..sample() };
            let result = save_tokens(&store, &record(), &offered);
            let stored = load_tokens(&store, &record()).unwrap().unwrap();
            if allowed {
                result.unwrap();
                assert_eq!(stored, offered);
            } else {
                let error = result.unwrap_err();
                assert!(
                    matches!(error, StoreError::StaleGeneration { stored: (2, 7), offered } if offered == (epoch, generation))
                );
                assert_eq!((stored, store.keys()), (sample(), before));
            }
        }
    }

    #[test]
    fn a_record_that_cannot_be_read_is_not_overwritten() {
        let store = MemoryStore::with_item_limit(2560);
        save_tokens(&store, &record(), &sample()).unwrap();
        store.tamper(&ItemKey::part(&record(), 1, 0), Some(b"{}"));
        let before = store.keys();
        assert!(matches!(save_tokens(&store, &record(), &sample()), Err(StoreError::Damaged { .. })));
        assert!(matches!(
            save_secret(&store, &record(), &StaticSecret("s".into())),
            Err(StoreError::Damaged { .. })
        ));
        assert_eq!(store.keys(), before);
        // A person who signs in again deletes first.
        generation::delete(&store, &record()).unwrap();
        save_tokens(&store, &record(), &sample()).unwrap();
    }

    #[test]
    fn a_token_set_and_a_secret_never_overwrite_each_other() {
        let store = MemoryStore::new();
        save_tokens(&store, &record(), &sample()).unwrap();
        save_secret(&store, &record(), &StaticSecret("s".into())).unwrap_err();
        assert_eq!(load_tokens(&store, &record()).unwrap(), Some(sample()));
    }

    #[test]
    fn real_token_sets_of_any_known_size_survive_every_stop() {
        for kilobytes in [5, 20] {
            for step in 1.. {
                let store = MemoryStore::with_item_limit(2560);
                let old = TokenSet { refresh_token: Some("o".repeat(kilobytes * 1000).into()), ..sample() };
                let new = TokenSet {
                    refresh_token: Some("n".repeat(kilobytes * 1000).into()),
                    generation: 8,
                    ..sample()
                };
                save_tokens(&store, &record(), &old).unwrap();
                store.set_fault(Fault::StopBefore(step));
                let result = save_tokens(&store, &record(), &new);
                let calls = store.calls();
                store.set_fault(Fault::None);
                let stored = load_tokens(&store, &record()).unwrap().unwrap();
                assert!(stored == old || stored == new);
                assert!(result.is_err() || stored == new);
                if calls < step {
                    break;
                }
                save_tokens(&store, &record(), &new).unwrap();
                assert_eq!(load_tokens(&store, &record()).unwrap().unwrap(), new);
            }
        }
    }

    #[test]
    fn a_marker_is_found_where_it_was_written() {
        let store = MemoryStore::new();
        assert!(!has_marker(&store, &record()).unwrap());
        write_marker(&store, &record()).unwrap();
        assert!(has_marker(&store, &record()).unwrap());
        assert_eq!(store.keys(), [ItemKey::marker(&record())]);
    }
}
