use model::ItemId;
use tempfile::TempDir;

use super::*;
use crate::generation;
use crate::record::{load_tokens, save_tokens};
use crate::token_set::tests::sample;
use crate::{MemoryStore, TokenSet};

const PASSPHRASE: &str = "correct horse battery";

fn record() -> ItemId {
    ItemId::parse("0a1b").unwrap()
}

fn phrase(text: &str) -> Secret<String> {
    Secret::from(text)
}

/// A private folder `own/sealed`, and room for a key file beside `own`.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(place.folder()).unwrap();
        place
    }

    fn own(&self) -> PathBuf {
        self.0.path().join("own")
    }

    fn folder(&self) -> PathBuf {
        self.own().join("sealed")
    }

    fn file(&self) -> PathBuf {
        self.folder().join("0a1b.sealed")
    }

    fn with_passphrase(&self) -> SealedFiles {
        self.create(Opener::Passphrase, Some(PASSPHRASE)).unwrap()
    }

    fn with_key_file(&self) -> SealedFiles {
        self.create(Opener::KeyFile(self.0.path().join("key")), None).unwrap()
    }

    fn create(&self, opener: Opener, passphrase: Option<&str>) -> Result<SealedFiles, StoreError> {
        SealedFiles::create(&self.folder(), opener, passphrase.map(phrase).as_ref(), &self.own())
    }
}

fn fault(error: StoreError) -> SealedFault {
    match error {
        StoreError::Sealed(fault) => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn sealed_files_keep_the_contract() {
    let place = Place::new();
    crate::store::contract::check(&place.with_key_file(), &record());
}

#[test]
fn what_was_saved_comes_back_only_after_the_right_passphrase() {
    let place = Place::new();
    let store = place.with_passphrase();
    save_tokens(&store, &record(), &sample()).unwrap();
    drop(store);
    let store = SealedFiles::at(&place.folder());
    assert_eq!(store.opener().unwrap(), Opener::Passphrase);
    assert!(matches!(fault(store.ready().unwrap_err()), SealedFault::PassphraseNeeded));
    assert!(matches!(fault(load_tokens(&store, &record()).unwrap_err()), SealedFault::PassphraseNeeded));
    let before = fs::read(place.file()).unwrap();
    for wrong in ["", "correct horse batterz", "Correct horse battery"] {
        let error = store.unlock(Some(&phrase(wrong))).unwrap_err();
        assert!(matches!(fault(error), SealedFault::WrongPassphrase), "{wrong}");
    }
    assert!(matches!(fault(store.ready().unwrap_err()), SealedFault::PassphraseNeeded));
    assert_eq!(fs::read(place.file()).unwrap(), before);
    store.unlock(Some(&phrase(PASSPHRASE))).unwrap();
    assert_eq!(load_tokens(&store, &record()).unwrap(), Some(sample()));
    // A slip of the finger later on does not lock what is open.
    store.unlock(Some(&phrase("something else"))).unwrap_err();
    assert_eq!(load_tokens(&store, &record()).unwrap(), Some(sample()));
}

#[test]
fn a_key_file_opens_by_itself_and_another_key_opens_nothing() {
    let place = Place::new();
    let store = place.with_key_file();
    save_tokens(&store, &record(), &sample()).unwrap();
    drop(store);
    let key = place.0.path().join("key");
    let store = SealedFiles::at(&place.folder());
    assert_eq!(load_tokens(&store, &record()).unwrap(), Some(sample()));
    drop(store);
    let good = fs::read(&key).unwrap();
    assert!(good.len() >= 32);
    fs::write(&key, "x".repeat(44)).unwrap();
    let store = SealedFiles::at(&place.folder());
    assert!(matches!(fault(store.ready().unwrap_err()), SealedFault::WrongKeyFile { path } if path == key));
    fs::write(&key, "short").unwrap();
    assert!(matches!(fault(store.ready().unwrap_err()), SealedFault::ShortKeyFile { .. }));
    fs::remove_file(&key).unwrap();
    assert!(matches!(fault(store.ready().unwrap_err()), SealedFault::KeyFile { .. }));
    fs::write(&key, good).unwrap();
    // On Windows a file inherits who may read it.
    match store.ready() {
        Ok(()) => assert_eq!(std::env::consts::OS, "windows"),
        Err(error) => {
            assert!(matches!(fault(error), SealedFault::KeyFile { source: FileError::Readable { .. }, .. }));
        }
    }
}

#[test]
fn a_key_file_beside_the_lock_or_a_weak_passphrase_is_refused_before_anything_is_made() {
    let place = Place::new();
    for inside in [place.own().join("key"), place.folder().join("key"), PathBuf::from("key")] {
        let error = place.create(Opener::KeyFile(inside.clone()), None).err().unwrap();
        assert!(matches!(fault(error), SealedFault::KeyFileInside { .. }), "{inside:?}");
        assert!(!inside.exists());
    }
    let error = place.create(Opener::Passphrase, Some("elevenchars")).err().unwrap();
    assert!(matches!(fault(error), SealedFault::ShortPassphrase { least: 12 }));
    let error = place.create(Opener::Passphrase, None).err().unwrap();
    assert!(matches!(fault(error), SealedFault::PassphraseNeeded));
    assert!(!place.folder().join("key.json").exists());
}

#[test]
fn nothing_of_a_token_or_of_the_passphrase_is_readable_in_any_file() {
    let place = Place::new();
    let store = place.with_passphrase();
    let set = TokenSet { refresh_token: Some("SECRET-refresh-0123456789".into()), ..sample() };
    save_tokens(&store, &record(), &set).unwrap();
    let mut files = 0;
    for entry in fs::read_dir(place.folder()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        files += 1;
        for needle in ["SECRET", "refresh", "token", "https", PASSPHRASE, "correct"] {
            let found = bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
            assert!(!found, "{needle} in {}", path.display());
        }
    }
    assert_eq!(files, 3, "lock, key.json and one record");
    // The scan finds what is there.
    assert!(set.to_text().contains("SECRET"));
}

#[test]
fn a_changed_swapped_or_foreign_file_is_damage_that_is_named_and_kept() {
    let place = Place::new();
    let store = place.with_key_file();
    let other = ItemId::parse("2c3d").unwrap();
    save_tokens(&store, &record(), &sample()).unwrap();
    save_tokens(&store, &other, &TokenSet { access_token: "other".into(), ..sample() }).unwrap();
    let good = fs::read(place.file()).unwrap();
    let swapped = fs::read(place.folder().join("2c3d.sealed")).unwrap();
    let foreign = {
        let elsewhere = Place::new();
        let store = elsewhere.with_key_file();
        save_tokens(&store, &record(), &sample()).unwrap();
        fs::read(elsewhere.file()).unwrap()
    };
    let mut changed = vec![swapped, foreign, Vec::new(), good[..40].to_vec(), b"{}".to_vec()];
    for at in [0, 20, good.len() / 2, good.len() - 1] {
        let mut flipped = good.clone();
        flipped[at] ^= 1;
        changed.push(flipped);
    }
    for bytes in changed {
        fs::write(place.file(), &bytes).unwrap();
        let error = load_tokens(&store, &record()).unwrap_err();
        assert!(matches!(&error, StoreError::Damaged { .. }), "{error:?}");
        assert!(error.to_string().contains("0a1b.sealed"), "{error}");
        save_tokens(&store, &record(), &sample()).unwrap_err();
        assert_eq!(fs::read(place.file()).unwrap(), bytes, "never overwritten");
    }
    assert_eq!(load_tokens(&store, &other).unwrap().unwrap().access_token, "other".into());
    // Whoever signs in anew deletes the record: what cannot be read stays under another name, and so does the next.
    let broken = fs::read(place.file()).unwrap();
    generation::delete(&store, &record()).unwrap();
    assert_eq!(fs::read(place.folder().join("0a1b.damaged")).unwrap(), broken);
    save_tokens(&store, &record(), &sample()).unwrap();
    fs::write(place.file(), "again").unwrap();
    generation::delete(&store, &record()).unwrap();
    assert_eq!(fs::read(place.folder().join("0a1b.damaged")).unwrap(), broken);
    assert_eq!(fs::read(place.folder().join("0a1b.damaged-2")).unwrap(), b"again");
    assert_eq!(load_tokens(&store, &record()).unwrap(), None);
}

#[test]
fn a_header_that_was_changed_opens_nothing_and_stays() {
    let place = Place::new();
    drop(place.with_key_file());
    let path = place.folder().join("key.json");
    let good = fs::read_to_string(&path).unwrap();
    for (from, to) in [
        ("\"memory_kib\": 64", "\"memory_kib\": 65"),
        ("\"passes\": 1", "\"passes\": 2"),
        ("\"id\": \"", "\"id\": \"0"),
    ] {
        assert!(good.contains(from), "{good}");
        fs::write(&path, good.replace(from, to)).unwrap();
        let error = SealedFiles::at(&place.folder()).ready().unwrap_err();
        assert!(matches!(fault(error), SealedFault::WrongKeyFile { .. }), "{from}");
    }
    for (bad, newer) in [("", false), ("{}", false), (r#"{"v":1}"#, false), (r#"{"v":2}"#, true)] {
        fs::write(&path, bad).unwrap();
        let error = SealedFiles::at(&place.folder()).ready().unwrap_err();
        match error {
            StoreError::Newer { found: 2, .. } => assert!(newer),
            other => assert!(matches!(fault(other), SealedFault::Header { .. }) && !newer, "{bad}"),
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), bad);
    }
    fs::write(&path, good.replace("\"memory_kib\": 64", "\"memory_kib\": 4000000000")).unwrap();
    let error = SealedFiles::at(&place.folder()).ready().unwrap_err();
    assert!(matches!(fault(error), SealedFault::Header { .. }), "not all of the memory");
    fs::write(&path, good).unwrap();
    SealedFiles::at(&place.folder()).ready().unwrap();
}

#[test]
fn a_folder_that_went_away_is_missing_and_never_empty() {
    let place = Place::new();
    let store = place.with_key_file();
    save_tokens(&store, &record(), &sample()).unwrap();
    let aside = place.own().join("aside");
    fs::rename(place.folder(), &aside).unwrap();
    for error in [load_tokens(&store, &record()).unwrap_err(), store.ready().unwrap_err()] {
        assert!(matches!(fault(error), SealedFault::Missing { .. }));
    }
    save_tokens(&store, &record(), &sample()).unwrap_err();
    assert!(!place.folder().exists(), "nothing is begun anew");
    assert!(matches!(
        fault(SealedFiles::at(&place.folder()).ready().unwrap_err()),
        SealedFault::Missing { .. }
    ));
    fs::rename(&aside, place.folder()).unwrap();
    assert_eq!(load_tokens(&store, &record()).unwrap(), Some(sample()));
}

#[test]
fn nothing_is_made_over_what_is_there() {
    let place = Place::new();
    let store = place.with_key_file();
    drop(store);
    let before = fs::read(place.folder().join("key.json")).unwrap();
    let error = place.create(Opener::Passphrase, Some(PASSPHRASE)).err().unwrap();
    assert!(matches!(fault(error), SealedFault::Exists { .. }));
    assert_eq!(fs::read(place.folder().join("key.json")).unwrap(), before);
}

#[test]
fn a_second_holder_is_refused_until_the_first_is_gone() {
    let place = Place::new();
    let first = place.with_key_file();
    let second = SealedFiles::at(&place.folder());
    assert!(matches!(fault(second.ready().unwrap_err()), SealedFault::InUse { .. }));
    drop(first);
    second.ready().unwrap();
}

#[test]
fn what_a_crash_left_behind_goes_and_the_rest_stays() {
    let place = Place::new();
    drop(place.with_key_file());
    let scratch = place.folder().join(".hallpass-abc");
    fs::write(&scratch, "half").unwrap();
    fs::write(place.folder().join("notes"), "mine").unwrap();
    SealedFiles::at(&place.folder()).ready().unwrap();
    assert!(!scratch.exists() && place.folder().join("notes").exists());
}

#[test]
fn an_older_copy_of_a_file_is_the_older_generation_and_never_passes_for_the_newest() {
    let place = Place::new();
    let store = place.with_key_file();
    save_tokens(&store, &record(), &sample()).unwrap();
    let older = fs::read(place.file()).unwrap();
    let newer = TokenSet { generation: sample().generation + 1, ..sample() };
    save_tokens(&store, &record(), &newer).unwrap();
    fs::write(place.file(), &older).unwrap();
    let stored = load_tokens(&store, &record()).unwrap().unwrap();
    assert_eq!(stored.age(), sample().age(), "whoever holds the newer one sees that this is older");
    save_tokens(&store, &record(), &newer).unwrap();
    assert_eq!(load_tokens(&store, &record()).unwrap(), Some(newer));
}

#[tokio::test]
async fn records_move_between_stores_whole() {
    let place = Place::new();
    let (memory, files) = (MemoryStore::with_item_limit(2560), place.with_key_file());
    let (from, to) = (crate::Keychain::memory(&memory), crate::Keychain::sealed(&files));
    let long = TokenSet { refresh_token: Some("r".repeat(20_000).into()), ..sample() };
    from.save_tokens(&record(), &long).await.unwrap();
    assert!(from.copy_record(&record(), &to).await.unwrap());
    assert!(from.copy_record(&record(), &to).await.unwrap(), "again is harmless");
    assert_eq!(to.load_tokens(&record()).await.unwrap(), Some(long.clone()));
    assert!(!from.copy_record(&ItemId::parse("none").unwrap(), &to).await.unwrap());
    let back = MemoryStore::with_item_limit(2560);
    to.copy_record(&record(), &crate::Keychain::memory(&back)).await.unwrap();
    assert_eq!(crate::Keychain::memory(&back).load_tokens(&record()).await.unwrap(), Some(long));
}

#[test]
fn a_changed_passphrase_opens_what_was_sealed_before_and_the_old_one_nothing() {
    let place = Place::new();
    let store = place.with_passphrase();
    save_tokens(&store, &record(), &sample()).unwrap();
    let sealed = fs::read(place.file()).unwrap();
    let header = || fs::read(place.folder().join("key.json")).unwrap();
    let before = header();
    for (old, new, expected) in [
        ("wrong horse battery", "another long passphrase", "WrongPassphrase"),
        (PASSPHRASE, "short", "ShortPassphrase"),
    ] {
        let error = fault(store.change_passphrase(&phrase(old), &phrase(new), || ()).unwrap_err());
        assert!(format!("{error:?}").starts_with(expected), "{error:?}");
        assert_eq!(header(), before, "nothing was written");
    }
    let next = "another long passphrase";
    // A crash before the one write leaves the old header, whole.
    let crash = || assert_eq!(header(), before);
    store.change_passphrase(&phrase(PASSPHRASE), &phrase(next), crash).unwrap();
    assert_eq!(fs::read(place.file()).unwrap(), sealed, "records stay as they are");
    assert_eq!(load_tokens(&store, &record()).unwrap(), Some(sample()), "the open store goes on");
    drop(store);
    let again = SealedFiles::at(&place.folder());
    let refused = again.unlock(Some(&phrase(PASSPHRASE))).unwrap_err();
    assert!(matches!(fault(refused), SealedFault::WrongPassphrase));
    again.unlock(Some(&phrase(next))).unwrap();
    assert_eq!(load_tokens(&again, &record()).unwrap(), Some(sample()));

    let place = Place::new();
    let error =
        place.with_key_file().change_passphrase(&phrase(PASSPHRASE), &phrase(next), || ()).unwrap_err();
    assert!(matches!(fault(error), SealedFault::NoPassphrase { .. }));
}
