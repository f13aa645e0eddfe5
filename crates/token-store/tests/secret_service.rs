//! The Secret Service store against a real gnome-keyring. The store library finds its bus in the environment,
//! so each scenario runs in a process of its own: this executable again, with an environment made for it.
#![expect(clippy::unwrap_used, reason = "a test; most of it is outside of functions marked as one")]

mod session;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hallpass_token_store::{
    AbsentReason, BusAddressError, ItemKey, Keychain, Marker, Readiness, Renewal, Seal, StaticSecret,
    StoreError, SystemKeychain, TokenSet, TokenStore as _, adopt_bus_address, probe,
};
use model::{AccountId, ItemId, ServerId, TokenEndpointAuth, UnixTime};
use session::{Login, Session, address};

const SERVICE: &str = "hallpass-test";
const LONG: Duration = Duration::from_mins(1);

macro_rules! scenarios {
    ($($name:ident)*) => {
        $(#[test] fn $name() { run_in_own_process(stringify!($name)); })*

        /// In the process of its own.
        fn scenario(name: &str) -> fn(&Path) {
            match name {
                $(stringify!($name) => scenario::$name,)*
                other => panic!("there is no scenario {other}"),
            }
        }
    };
}

scenarios! {
    items_are_set_read_overwritten_and_deleted
    token_sets_of_5_and_20_kilobytes_come_back
    labels_and_attributes_hold_nothing_but_opaque_ids
    two_threads_do_not_disturb_each_other
    a_locked_keyring_is_told_apart_and_nobody_is_asked
    what_was_not_saved_while_locked_is_saved_after_unlocking
    a_missing_bus_is_absent
    a_bus_without_a_service_is_absent_until_one_comes
    a_keyring_without_a_default_collection_is_absent
    a_keyring_that_was_restarted_is_used_again
    two_items_of_one_name_are_an_error
    another_keyring_is_recognised_by_its_missing_marker
    a_socket_that_says_nothing_does_not_hold_a_probe
    a_bus_address_comes_too_late_beside_other_threads
}

const SCENARIO: &str = "HALLPASS_TEST_SCENARIO";

fn run_in_own_process(name: &str) {
    if std::env::consts::OS != "linux" {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "in_own_process", "--ignored", "--nocapture"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", folder.path())
        .env("XDG_RUNTIME_DIR", folder.path())
        .env("DBUS_SESSION_BUS_ADDRESS", address(folder.path()))
        .env(SCENARIO, name)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{name}: {}\n{said}", output.status);
}

#[test]
#[ignore = "started by the other tests, in an environment made for it"]
fn in_own_process() {
    if let Ok(name) = std::env::var(SCENARIO) {
        scenario(&name)(&PathBuf::from(std::env::var_os("HOME").unwrap()));
    }
}

fn record(name: &str) -> ItemId {
    ItemId::parse(name).unwrap()
}

fn tokens(generation: u64, kilobytes: usize) -> TokenSet {
    TokenSet {
        access_token: format!("access-{generation}").into(),
        refresh_token: Some(format!("refresh-{generation}-{}", "r".repeat(kilobytes * 1000)).into()),
        id_token: None,
        expires_at: Some(UnixTime(1_800_000_030)),
        lifetime: Some(30),
        received_at: UnixTime(1_800_000_000),
        scopes: vec!["openid".into()],
        generation,
        epoch: 1,
        subject_checked: false,
        seal: Seal {
            issuer: "https://as.secret-host.example".into(),
            token_endpoint: "https://as.secret-host.example/token".into(),
            token_endpoint_auth: TokenEndpointAuth::None,
            revocation_endpoint: None,
            userinfo_endpoint: None,
            introspection_endpoint: None,
            jwks_uri: None,
            renewal: Renewal::default(),
            resource: "https://mcp.secret-host.example/".into(),
            endpoint: "https://mcp.secret-host.example/mcp".into(),
            client_id: "c1".into(),
            client_secret: None,
            subject: Some("ana@secret-host.example".into()),
            told: None,
            server: ServerId::parse("secret-server").unwrap(),
            account: AccountId::parse("secret-account").unwrap(),
        },
    }
}

/// The keychain of this process's session, with patience for a loaded machine.
fn patient_keychain() -> Keychain {
    Keychain::system(SERVICE).with_limit(LONG)
}

/// Runs a future as the agent would.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn absent(error: &StoreError) -> Option<AbsentReason> {
    if let StoreError::Absent { reason, .. } = error { Some(*reason) } else { None }
}

mod scenario {
    use super::*;

    pub(super) fn items_are_set_read_overwritten_and_deleted(folder: &Path) {
        let session = Session::start(folder);
        let store = SystemKeychain::open(SERVICE).unwrap();
        let (key, other) = (ItemKey::part(&record("0a1b"), 3, 0), ItemKey::manifest(&record("0a1b")));
        store.ready().unwrap();
        assert!(store.get(&key).unwrap().is_none());
        store.delete(&key).unwrap();
        for length in [0, 1, 2560, store.max_item_bytes()] {
            let bytes = vec![b'x'; length];
            store.set(&key, &bytes).unwrap();
            assert_eq!(*store.get(&key).unwrap().unwrap(), bytes);
            assert_eq!(session.items().len(), 1, "overwritten, not added");
        }
        assert!(store.get(&other).unwrap().is_none());
        let over = vec![b'x'; store.max_item_bytes() + 1];
        assert!(matches!(store.set(&key, &over), Err(StoreError::TooLarge { .. })));
        let elsewhere = SystemKeychain::open("hallpass-other").unwrap();
        assert!(elsewhere.get(&key).unwrap().is_none(), "another service name is another keychain");
        store.delete(&key).unwrap();
        assert!(store.get(&key).unwrap().is_none());
        assert_eq!(session.items().len(), 0);
    }

    pub(super) fn token_sets_of_5_and_20_kilobytes_come_back(folder: &Path) {
        let session = Session::start(folder);
        let keychain = patient_keychain();
        block_on(async {
            for (id, kilobytes) in [("5", 5), ("20", 20)] {
                assert_eq!(keychain.load_tokens(&record(id)).await.unwrap(), None);
                for generation in 1..4 {
                    keychain.save_tokens(&record(id), &tokens(generation, kilobytes)).await.unwrap();
                }
                let stale = keychain.save_tokens(&record(id), &tokens(2, kilobytes)).await;
                assert!(matches!(stale, Err(StoreError::StaleGeneration { .. })));
                // Another process's eyes: a fresh connection.
                let loaded = patient_keychain().load_tokens(&record(id)).await.unwrap();
                assert_eq!(loaded, Some(tokens(3, kilobytes)));
            }
            assert_eq!(
                session.items().len(),
                4,
                "one part and one manifest each; older generations are gone"
            );
            keychain.save_secret(&record("5ec"), &StaticSecret("s3cret".into())).await.unwrap();
            assert_eq!(
                keychain.load_secret(&record("5ec")).await.unwrap(),
                Some(StaticSecret("s3cret".into()))
            );
            for id in ["5", "20", "5ec"] {
                keychain.delete_record(&record(id)).await.unwrap();
            }
        });
        assert_eq!(session.items().len(), 0);
    }

    pub(super) fn labels_and_attributes_hold_nothing_but_opaque_ids(folder: &Path) {
        let session = Session::start(folder);
        let keychain = patient_keychain();
        block_on(async {
            keychain.save_tokens(&record("0a1b"), &tokens(1, 60)).await.unwrap();
            keychain.save_secret(&record("2c3d"), &StaticSecret("s3cret".into())).await.unwrap();
            keychain.write_marker(&record("4e5f")).await.unwrap();
        });
        let items = session.items();
        let mut names: Vec<_> = items.iter().map(|(_, attributes)| attributes["username"].as_str()).collect();
        names.sort_unstable();
        let expected = ["0a1b/1/0", "0a1b/1/1", "0a1b/manifest", "2c3d/1/0", "2c3d/manifest", "4e5f/marker"];
        assert_eq!(names, expected);
        for (label, attributes) in &items {
            assert_eq!(label, "Hallpass");
            assert_eq!(attributes["service"], SERVICE);
            // What gnome-keyring adds by itself.
            let schema = attributes.get("xdg:schema").map(String::as_str);
            assert!(matches!(schema, None | Some("org.freedesktop.Secret.Generic")), "{attributes:?}");
            assert_eq!(attributes.len(), 2 + usize::from(schema.is_some()), "{attributes:?}");
        }
    }

    pub(super) fn two_threads_do_not_disturb_each_other(folder: &Path) {
        let session = Session::start(folder);
        std::thread::scope(|scope| {
            for id in ["a", "b"] {
                scope.spawn(move || {
                    let keychain = patient_keychain();
                    block_on(async {
                        for generation in 1..=20 {
                            keychain.save_tokens(&record(id), &tokens(generation, 5)).await.unwrap();
                            let loaded = keychain.load_tokens(&record(id)).await.unwrap();
                            assert_eq!(loaded, Some(tokens(generation, 5)));
                        }
                    });
                });
            }
        });
        assert_eq!(session.items().len(), 4);
    }

    pub(super) fn a_locked_keyring_is_told_apart_and_nobody_is_asked(folder: &Path) {
        let session = Session::start(folder);
        let keychain = patient_keychain();
        block_on(async {
            keychain.save_tokens(&record("0a1b"), &tokens(1, 5)).await.unwrap();
            assert_eq!(keychain.status().await.readiness, Readiness::Ready);
            session.lock();
            let prompts = session.watch_prompts();
            assert_eq!(keychain.status().await.readiness, Readiness::Locked);
            for fresh in [keychain.clone(), patient_keychain()] {
                let load = fresh.load_tokens(&record("0a1b")).await;
                assert!(matches!(load, Err(StoreError::Locked)), "{load:?}");
                let save = fresh.save_tokens(&record("0a1b"), &tokens(2, 5)).await;
                assert!(matches!(save, Err(StoreError::Locked)), "{save:?}");
                let new = fresh.save_secret(&record("2c3d"), &StaticSecret("s".into())).await;
                assert!(matches!(new, Err(StoreError::Locked)), "{new:?}");
                let delete = fresh.delete_record(&record("0a1b")).await;
                assert!(matches!(delete, Err(StoreError::Locked)), "{delete:?}");
            }
            probe(&address(folder), LONG).unwrap();
            // Without a display the service closes its dialog at once, as a person might.
            let unlock = keychain.unlock(None, LONG).await;
            assert!(matches!(unlock, Err(StoreError::Locked)), "{unlock:?}");
            prompts.wait();
            assert_eq!(prompts.count(), 0, "another dialog than the one of unlocking");
        });
        assert_eq!(session.items().len(), 2, "nothing was written and nothing deleted");
    }

    pub(super) fn what_was_not_saved_while_locked_is_saved_after_unlocking(folder: &Path) {
        let session = Session::start(folder);
        let keychain = patient_keychain();
        block_on(async {
            keychain.save_tokens(&record("0a1b"), &tokens(1, 5)).await.unwrap();
            session.lock();
            keychain.save_tokens(&record("0a1b"), &tokens(2, 5)).await.unwrap_err();
            session.unlock();
            keychain.unlock(None, LONG).await.unwrap();
            assert_eq!(keychain.status().await.readiness, Readiness::Ready);
            assert_eq!(keychain.load_tokens(&record("0a1b")).await.unwrap(), Some(tokens(1, 5)));
            keychain.save_tokens(&record("0a1b"), &tokens(2, 5)).await.unwrap();
            assert_eq!(keychain.load_tokens(&record("0a1b")).await.unwrap(), Some(tokens(2, 5)));
        });
        assert_eq!(session.items().len(), 2);
    }

    pub(super) fn a_missing_bus_is_absent(folder: &Path) {
        let keychain = patient_keychain();
        block_on(async {
            let readiness = keychain.status().await.readiness;
            assert_eq!(readiness, Readiness::Absent { reason: AbsentReason::NoBus });
            let error = keychain.load_tokens(&record("0a1b")).await.unwrap_err();
            assert_eq!(absent(&error), Some(AbsentReason::NoBus));
        });
        for address in [address(folder).as_str(), "unix:path=/nowhere/bus", "no address", ""] {
            let error = probe(address, LONG).unwrap_err();
            assert_eq!(absent(&error), Some(AbsentReason::NoBus), "{address}: {error:?}");
        }
    }

    pub(super) fn a_bus_without_a_service_is_absent_until_one_comes(folder: &Path) {
        let mut session = Session::start_bus(folder);
        let keychain = patient_keychain();
        block_on(async {
            let reason = AbsentReason::NoService;
            assert_eq!(keychain.status().await.readiness, Readiness::Absent { reason });
            let error = keychain.save_tokens(&record("0a1b"), &tokens(1, 5)).await.unwrap_err();
            assert_eq!(absent(&error), Some(reason));
            assert_eq!(absent(&probe(&address(folder), LONG).unwrap_err()), Some(reason));

            session.start_keyring("data", Login::WithPassword);
            probe(&address(folder), LONG).unwrap();
            keychain.save_tokens(&record("0a1b"), &tokens(1, 5)).await.unwrap();

            session.stop_keyring();
            let error = keychain.load_tokens(&record("0a1b")).await.unwrap_err();
            assert_eq!(absent(&error), Some(reason), "{error:?}");
        });
    }

    pub(super) fn a_keyring_without_a_default_collection_is_absent(folder: &Path) {
        let mut session = Session::start_bus(folder);
        session.start_keyring("data", Login::Without);
        let keychain = patient_keychain();
        block_on(async {
            let error = keychain.save_tokens(&record("0a1b"), &tokens(1, 5)).await.unwrap_err();
            assert_eq!(absent(&error), Some(AbsentReason::NoCollection), "{error:?}");
        });
    }

    pub(super) fn a_keyring_that_was_restarted_is_used_again(folder: &Path) {
        let mut session = Session::start(folder);
        let keychain = patient_keychain();
        block_on(async {
            keychain.save_tokens(&record("0a1b"), &tokens(1, 5)).await.unwrap();
            session.stop_keyring();
            session.start_keyring("data", Login::WithPassword);
            assert_eq!(keychain.load_tokens(&record("0a1b")).await.unwrap(), Some(tokens(1, 5)));
            keychain.save_tokens(&record("0a1b"), &tokens(2, 5)).await.unwrap();
        });
    }

    pub(super) fn two_items_of_one_name_are_an_error(folder: &Path) {
        let session = Session::start(folder);
        let keychain = patient_keychain();
        block_on(async {
            keychain.save_tokens(&record("0a1b"), &tokens(1, 5)).await.unwrap();
            let manifest = ItemKey::manifest(&record("0a1b"));
            let attributes = HashMap::from([("service", SERVICE), ("username", manifest.as_str())]);
            session.create_item("Hallpass", &attributes, b"{}");
            assert_eq!(session.items().len(), 3);
            let load = keychain.load_tokens(&record("0a1b")).await;
            assert!(matches!(load, Err(StoreError::Ambiguous { .. })), "{load:?}");
            let save = keychain.save_tokens(&record("0a1b"), &tokens(2, 5)).await;
            assert!(matches!(save, Err(StoreError::Ambiguous { .. })), "{save:?}");
            let delete = keychain.delete_record(&record("0a1b")).await;
            assert!(matches!(delete, Err(StoreError::Ambiguous { .. })), "{delete:?}");
        });
        assert_eq!(session.items().len(), 3, "none of them was taken for ours");
    }

    pub(super) fn another_keyring_is_recognised_by_its_missing_marker(folder: &Path) {
        let mut session = Session::start(folder);
        let keychain = patient_keychain();
        block_on(async {
            assert_eq!(keychain.check_marker(&record("4e5f")).await.unwrap(), Marker::Missing);
            keychain.write_marker(&record("4e5f")).await.unwrap();
            keychain.expect_marker(&record("4e5f")).await.unwrap();

            session.stop_keyring();
            session.start_keyring("other-data", Login::WithPassword);
            let error = keychain.expect_marker(&record("4e5f")).await.unwrap_err();
            assert_eq!(absent(&error), Some(AbsentReason::OtherCollection));

            session.stop_keyring();
            session.start_keyring("data", Login::WithPassword);
            keychain.expect_marker(&record("4e5f")).await.unwrap();
        });
    }

    pub(super) fn a_socket_that_says_nothing_does_not_hold_a_probe(_folder: &Path) {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = format!("tcp:host=127.0.0.1,port={}", listener.local_addr().unwrap().port());
        let probed = probe(&address, Duration::from_millis(200));
        assert!(matches!(probed, Err(StoreError::TimedOut { .. })), "{probed:?}");
    }

    pub(super) fn a_bus_address_comes_too_late_beside_other_threads(_folder: &Path) {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
            let adopted = adopt_bus_address("unix:path=/nowhere");
            stop.store(true, Ordering::SeqCst);
            assert!(matches!(adopted, Err(BusAddressError::Threads)), "{adopted:?}");
        });
        assert_ne!(std::env::var("DBUS_SESSION_BUS_ADDRESS").unwrap(), "unix:path=/nowhere");
    }
}
