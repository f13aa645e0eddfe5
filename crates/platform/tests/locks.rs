//! lock: held for life, freed by death.

use std::time::Duration;

use hallpass_platform::Lock;
use hallpass_platform::lock::LockError;

use super::{Probe, wait_for};

#[test]
fn a_killed_holder_frees_its_lock() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("agent.lock");
    let probe = Probe::start(&[&"hold-lock", &path]);
    assert!(Lock::try_acquire(&path).expect("a lock file").is_none(), "held by the probe");
    probe.kill();
    wait_for("the lock", || Lock::try_acquire(&path).expect("a lock file"));
}

#[test]
fn one_process_does_not_get_a_lock_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("agent.lock");
    let first = Lock::try_acquire(&path).expect("a lock file").expect("a free lock");
    assert!(Lock::try_acquire(&path).expect("a lock file").is_none());
    assert!(Lock::try_acquire(&folder.path().join("./agent.lock")).expect("a lock file").is_none());
    assert!(Lock::try_acquire(&folder.path().join("start.lock")).expect("a lock file").is_some());
    drop(first);
    assert!(Lock::try_acquire(&path).expect("a lock file").is_some());
    assert!(path.exists(), "the file stays");
}

#[test]
fn ten_threads_share_one_lock_in_turn() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("start.lock");
    let inside = std::sync::atomic::AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| {
                let lock = Lock::acquire_within(&path, Duration::from_secs(30)).expect("a lock file");
                assert!(lock.is_some(), "patience was long enough for ten");
                assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                std::thread::sleep(Duration::from_millis(2));
                inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
            });
        }
    });
}

#[test]
fn impatience_ends_in_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("start.lock");
    let _held = Lock::try_acquire(&path).expect("a lock file").expect("a free lock");
    assert!(Lock::acquire_within(&path, Duration::from_millis(50)).expect("a lock file").is_none());
}

#[test]
fn a_missing_folder_is_an_error_that_names_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let error = Lock::try_acquire(&folder.path().join("none/agent.lock")).expect_err("a refusal");
    assert!(matches!(&error, LockError::Io { path, .. } if path.ends_with("agent.lock")), "{error}");
}

#[cfg(unix)]
#[test]
fn the_holder_is_named_for_messages() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("agent.lock");
    let probe = Probe::start(&[&"hold-lock", &path]);
    let holder = hallpass_platform::lock::holder(&path).expect("a holder");
    assert_eq!(holder.pid, probe.child.id());
    assert_eq!(holder.host, hallpass_platform::process::host_name());
}

#[cfg(unix)]
#[test]
fn a_link_and_a_file_open_to_others_are_refused() {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let folder = tempfile::tempdir().expect("a folder");
    let (link, target) = (folder.path().join("link"), folder.path().join("target"));
    symlink(&target, &link).expect("a link");
    assert!(Lock::try_acquire(&link).is_err());
    assert!(!target.exists(), "the link was not followed");
    fs::write(&target, "").expect("a file");
    fs::set_permissions(&target, Permissions::from_mode(0o666)).expect("a mode");
    assert!(matches!(Lock::try_acquire(&target), Err(LockError::NotOurs { .. })));
}
