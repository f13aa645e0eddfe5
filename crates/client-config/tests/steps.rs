//! A stop at any point leaves the old file, or the new one and a journal that can undo it.
#![allow(clippy::unwrap_used, reason = "what helps a test may panic as the test may")]

mod support;

use std::io;
use std::process::Command;

use hallpass_client_config::{
    ApplyError, Step, StoredItems, Which, apply, apply_restore_watched, apply_watched,
};
use support::{Sandbox, claude, connect, connect_everything, cursor, moved_secrets_in, sample, secrets_in};

const APPLY: [Step; 5] = [Step::Locked, Step::Compared, Step::Journalled, Step::Replaced, Step::Verified];
const RESTORE: [Step; 5] = [Step::Locked, Step::Compared, Step::Replaced, Step::Verified, Step::Forgotten];

#[test]
fn a_stop_at_any_step_of_applying_can_be_undone_or_repeated() {
    for name in ["claude-windows-cmd.json", "cursor-comments.json"] {
        for stop in APPLY {
            let app = if name.starts_with("claude") { claude() } else { cursor() };
            let original = sample(name);
            let mut sandbox = Sandbox::new(app, Some(&original));
            let changes = connect_everything(&sandbox.document());
            let plan = sandbox.plan(&changes).unwrap();
            let items = sandbox.store(&plan);
            let now = sandbox.tick();
            let mut passed = Vec::new();
            let error = apply_watched(&plan, &items, &sandbox.journal, now, &mut |step| {
                passed.push(step);
                if step == stop { Err(io::Error::other("killed")) } else { Ok(()) }
            })
            .unwrap_err();
            assert!(matches!(error, ApplyError::Stopped(_)) && !error.is_untouched());
            assert_eq!(passed, APPLY[..=APPLY.iter().position(|step| *step == stop).unwrap()]);
            let bytes = sandbox.bytes().unwrap();
            let replaced = matches!(stop, Step::Replaced | Step::Verified);
            assert_eq!(bytes == plan.after(), replaced, "{name} at {stop:?}");
            assert_eq!(bytes == original, !replaced, "{name} at {stop:?}");
            assert!(secrets_in(&sandbox.journal_bytes()).is_empty());
            // Repeated: what is missing is done. Undone: the original is back.
            let again = sandbox.plan(&changes).unwrap();
            assert_eq!(again.is_empty(), replaced);
            sandbox.apply(&again).unwrap();
            assert_eq!(moved_secrets_in(&sandbox.bytes().unwrap()), Vec::<String>::new());
            sandbox.restore(Which::All);
            assert_eq!(sandbox.bytes().unwrap(), original, "{name} at {stop:?}");
        }
    }
}

#[test]
fn a_stop_at_any_step_of_restoring_can_be_repeated() {
    for stop in RESTORE {
        let original = sample("cursor-userinfo.json");
        let mut sandbox = Sandbox::new(cursor(), Some(&original));
        let plan = sandbox.connect(&connect_everything(&sandbox.document()));
        let ready = sandbox.restore_plan(Which::All).ready(&sandbox.keychain).unwrap();
        let error = apply_restore_watched(&ready, &sandbox.journal, &mut |step| {
            if step == stop { Err(io::Error::other("killed")) } else { Ok(()) }
        })
        .unwrap_err();
        assert!(matches!(error, ApplyError::Stopped(_)));
        let bytes = sandbox.bytes().unwrap();
        assert!(bytes == original || bytes == plan.after(), "{stop:?}");
        let done = sandbox.restore(Which::All);
        assert_eq!(sandbox.bytes().unwrap(), original, "{stop:?}");
        // Whatever the stop left behind in the journal is named as no longer needed by the next restore.
        assert_eq!(sandbox.keychain.is_empty(), stop != Step::Forgotten, "{stop:?} {done:?}");
    }
}

/// The same with a real process that ends without any clean-up.
#[test]
fn an_aborted_process_leaves_the_old_file_or_an_undoable_new_one() {
    let executable = std::env::current_exe().unwrap();
    for (at, stop) in APPLY.iter().enumerate() {
        let original = sample("claude-mcp-remote-spellings.json");
        let mut sandbox = Sandbox::new(claude(), Some(&original));
        let plan = sandbox.plan(&connect_everything(&sandbox.document())).unwrap();
        // What the child stores is a function of the plan, so that this process can stand in for the keychain.
        sandbox.store(&plan);
        let status = Command::new(&executable)
            .args(["--exact", "child_that_aborts", "--include-ignored", "--test-threads=1"])
            .env("HALLPASS_TEST_FOLDER", &sandbox.folder)
            .env("HALLPASS_TEST_STOP", at.to_string())
            .output()
            .unwrap();
        assert!(!status.status.success(), "{stop:?}: {status:?}");
        let bytes = sandbox.bytes().unwrap();
        let replaced = matches!(stop, Step::Replaced | Step::Verified);
        assert_eq!(bytes == plan.after(), replaced, "{stop:?}");
        assert_eq!(bytes == original, !replaced, "{stop:?}");
        if replaced {
            sandbox.restore(Which::All);
            assert_eq!(sandbox.bytes().unwrap(), original, "{stop:?}");
        }
    }
}

#[test]
#[ignore = "a child of the test above"]
fn child_that_aborts() {
    let (Some(folder), Ok(stop)) =
        (std::env::var_os("HALLPASS_TEST_FOLDER"), std::env::var("HALLPASS_TEST_STOP"))
    else {
        return;
    };
    let stop: usize = stop.parse().unwrap();
    let mut sandbox = Sandbox::at(claude(), std::path::Path::new(&folder));
    let plan = sandbox.plan(&connect_everything(&sandbox.document())).unwrap();
    let items = sandbox.store(&plan);
    let now = sandbox.tick();
    let _ = apply_watched(&plan, &items, &sandbox.journal, now, &mut |step| {
        if step == APPLY[stop] { std::process::abort() } else { Ok(()) }
    });
}

#[test]
fn nothing_is_written_before_the_secrets_are_stored() {
    let original = sample("cursor-remote.json");
    let mut sandbox = Sandbox::new(cursor(), Some(&original));
    let plan = sandbox.plan(&connect_everything(&sandbox.document())).unwrap();
    let now = sandbox.tick();
    let error = apply(&plan, &StoredItems::new(), &sandbox.journal, now).unwrap_err();
    assert!(matches!(&error, ApplyError::SecretNotStored { entry } if entry == "github"), "{error}");
    assert!(error.is_untouched());
    assert_eq!(sandbox.bytes().unwrap(), original);
    assert!(sandbox.journal_bytes().is_empty());
}

#[test]
fn a_file_that_changed_since_the_plan_is_not_written() {
    let mut sandbox = Sandbox::new(cursor(), Some(&sample("cursor-remote.json")));
    let plan = sandbox.plan(&[connect("github")]).unwrap();
    std::fs::write(&sandbox.path, "{}").unwrap();
    let error = sandbox.apply(&plan).unwrap_err();
    assert!(error.is_changed_meanwhile() && error.is_untouched(), "{error}");
    assert_eq!(sandbox.bytes().unwrap(), b"{}");
    std::fs::remove_file(&sandbox.path).unwrap();
    assert!(sandbox.apply(&plan).unwrap_err().is_changed_meanwhile());
    // A plan for a missing file does not overwrite one that came meanwhile.
    let plan = sandbox.plan(&[connect("new")]).unwrap();
    std::fs::write(&sandbox.path, "{ }").unwrap();
    assert!(sandbox.apply(&plan).unwrap_err().is_changed_meanwhile());
    assert_eq!(sandbox.bytes().unwrap(), b"{ }");
}

#[test]
fn two_changes_of_one_file_at_once_do_not_mix() {
    let mut sandbox = Sandbox::new(cursor(), Some(b"{}"));
    let plan = sandbox.plan(&[connect("new")]).unwrap();
    let (journal, now) = (sandbox.journal.clone(), sandbox.tick());
    let inner = apply_watched(&plan, &StoredItems::new(), &sandbox.journal, now, &mut |step| {
        if step == Step::Locked {
            let busy = apply(&plan, &StoredItems::new(), &journal, now).unwrap_err();
            assert!(busy.to_string().contains("under way") && busy.is_untouched(), "{busy}");
        }
        Ok(())
    });
    inner.unwrap();
}
