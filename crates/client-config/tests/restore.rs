//! Restoring in the ways that life offers: files that others changed, links, read-only files, long histories.
#![allow(clippy::unwrap_used, reason = "what helps a test may panic as the test may")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use hallpass_client_config::{
    ApplyError, Change, EntryKind, KEPT_RECORDS, PlannedKind, RestoreError, Which, apply_restore,
};
use model::AccountId;
use platform::Os;
use support::{EXECUTABLE, Sandbox, claude, connect, connect_everything, cursor, sample, secrets_in, server};

fn kinds(plan: &[hallpass_client_config::PlannedEntry]) -> Vec<(&str, PlannedKind)> {
    plan.iter().map(|entry| (entry.name.as_str(), entry.kind)).collect()
}

#[test]
fn an_entry_that_was_edited_by_hand_is_left_and_reported() {
    let mut sandbox = Sandbox::new(cursor(), Some(&sample("cursor-remote.json")));
    sandbox.connect(&[connect("github"), connect("linear"), connect("new")]);
    let text = String::from_utf8(sandbox.bytes().unwrap()).unwrap();
    let edited = text.replace("\"linear\"]\n", "\"linear\", \"--verbose\"]\n");
    assert_ne!(text, edited);
    std::fs::write(&sandbox.path, &edited).unwrap();
    let plan = sandbox.restore_plan(Which::All);
    assert_eq!(
        kinds(&plan.view().entries),
        [("github", PlannedKind::Restore), ("linear", PlannedKind::Conflict), ("new", PlannedKind::Remove)]
    );
    assert!(plan.view().entries[1].reason.contains("edited"));
    sandbox.restore(Which::All);
    let kinds = sandbox.kinds();
    assert!(
        matches!(&kinds["github"], EntryKind::Remote(_)) && matches!(&kinds["linear"], EntryKind::Ours(_))
    );
    assert_eq!(kinds.len(), 2);
    // What stood in the place of the edited one is still known: putting our entry right again frees it.
    let text = String::from_utf8(sandbox.bytes().unwrap()).unwrap().replace(", \"--verbose\"", "");
    std::fs::write(&sandbox.path, text).unwrap();
    sandbox.restore(Which::All);
    assert!(matches!(&sandbox.kinds()["linear"], EntryKind::Remote(_)));
    assert!(sandbox.keychain.is_empty());
}

#[test]
fn an_app_that_wrote_the_file_anew_from_memory_still_gets_its_entries_back() {
    let original = sample("claude-two-servers.json");
    let mut sandbox = Sandbox::new(claude(), Some(&original));
    sandbox.connect(&[connect("github"), connect("new")]);
    // As Claude Desktop does: the whole object, in its own layout, with a preference more.
    let mut value: serde_json::Value = serde_json::from_slice(&sandbox.bytes().unwrap()).unwrap();
    value["preferences"] = serde_json::json!({"sidebarMode": "chat"});
    std::fs::write(&sandbox.path, serde_json::to_vec(&value).unwrap()).unwrap();
    sandbox.restore(Which::All);
    let restored: serde_json::Value = serde_json::from_slice(&sandbox.bytes().unwrap()).unwrap();
    let before: serde_json::Value = serde_json::from_slice(&original).unwrap();
    assert_eq!(restored["mcpServers"], before["mcpServers"]);
    assert_eq!(restored["preferences"]["sidebarMode"], "chat");
}

#[test]
fn the_original_survives_more_changes_than_records_are_kept() {
    let original = sample("cursor-comments.json");
    let mut sandbox = Sandbox::new(cursor(), Some(&original));
    sandbox.connect(&[connect("sentry")]);
    let mut accounts = 0;
    for round in 0..KEPT_RECORDS + 5 {
        accounts += 1;
        let account = Some(AccountId::parse(&format!("a{round}")).unwrap());
        sandbox.connect(&[Change::Connect { entry: "sentry".into(), server: server("sentry"), account }]);
    }
    assert_eq!(accounts, 15);
    assert_eq!(sandbox.keychain.len(), 1);
    let plan = sandbox.restore_plan(Which::All);
    assert_eq!(kinds(&plan.view().entries), [("sentry", PlannedKind::Restore)]);
    assert_eq!(plan.findings().len(), 2);
    sandbox.restore(Which::All);
    assert_eq!(sandbox.bytes().unwrap(), original);
    assert!(sandbox.keychain.is_empty());
}

#[test]
fn a_history_of_several_plans_unwinds_to_the_first_byte() {
    let original = sample("cursor-comments.json");
    let mut sandbox = Sandbox::new(cursor(), Some(&original));
    for name in ["one", "sentry", "two", "three"] {
        sandbox.connect(&[connect(name)]);
    }
    sandbox
        .plan_with(&[connect("one"), connect("sentry")], "/moved/bin/hallpass")
        .map(|plan| {
            assert_eq!(plan.view().entries.iter().filter(|e| e.kind == PlannedKind::Replace).count(), 2);
            sandbox.apply(&plan).unwrap();
        })
        .unwrap();
    sandbox.restore(Which::All);
    assert_eq!(sandbox.bytes().unwrap(), original);
}

#[test]
fn one_entry_goes_back_and_the_others_stay() {
    let original = sample("cursor-remote.json");
    let mut sandbox = Sandbox::new(cursor(), Some(&original));
    sandbox.connect(&[connect("github"), connect("linear")]);
    let only = Which::Named(BTreeSet::from(["github".to_owned()]));
    sandbox.restore(only);
    let found = sandbox.kinds();
    assert!(matches!(found["github"], EntryKind::Remote(_)) && matches!(found["linear"], EntryKind::Ours(_)));
    sandbox.restore(Which::All);
    assert_eq!(sandbox.bytes().unwrap(), original);
}

#[test]
fn a_file_that_we_made_goes_again_unless_it_holds_something_else() {
    let mut sandbox = Sandbox::new(claude(), None);
    sandbox.connect(&[connect("jira")]);
    sandbox.restore(Which::All);
    assert!(!sandbox.path.exists());

    sandbox.connect(&[connect("jira")]);
    let other = r#"{"theme": "dark", "mcpServers": {"jira": {"command": "COMMAND", "args": ["bridge", "--app", "claude-desktop", "--server", "jira"]}}}"#;
    std::fs::write(&sandbox.path, other.replace("COMMAND", EXECUTABLE)).unwrap();
    sandbox.restore(Which::All);
    assert_eq!(sandbox.bytes().unwrap(), br#"{"theme": "dark", "mcpServers": {}}"#);

    // Written anew by the app, but with nothing of its own in it.
    std::fs::remove_file(&sandbox.path).unwrap();
    sandbox.connect(&[connect("jira")]);
    let value: serde_json::Value = serde_json::from_slice(&sandbox.bytes().unwrap()).unwrap();
    std::fs::write(&sandbox.path, value.to_string()).unwrap();
    sandbox.restore(Which::All);
    assert!(!sandbox.path.exists());
}

#[test]
fn a_file_that_is_gone_is_not_made_anew() {
    let mut sandbox = Sandbox::new(cursor(), Some(&sample("cursor-remote.json")));
    sandbox.connect(&[connect("github")]);
    std::fs::remove_file(&sandbox.path).unwrap();
    assert!(sandbox.restore_plan(Which::All).is_empty());
    sandbox.restore(Which::All);
    assert!(!sandbox.path.exists());
}

#[test]
fn secrets_are_announced_before_they_are_written_back_and_none_is_lost_without_the_keychain() {
    let mut sandbox = Sandbox::new(cursor(), Some(&sample("cursor-remote.json")));
    sandbox.connect(&[connect("github")]);
    let plan = sandbox.restore_plan(Which::All);
    assert_eq!(plan.view().secrets_restored, 1);
    assert_eq!(plan.findings()[0].kind, "GitHub token");
    assert_eq!(plan.findings()[0].place, "mcpServers.github.headers.Authorization");
    assert_eq!(plan.items().len(), 1);
    assert!(plan.view().notes.iter().any(|note| note.contains("writes 1 secret back in plain text")));
    assert_eq!(plan.digest(), sandbox.restore_plan(Which::All).digest());
    let applied = sandbox.bytes();
    let error = plan.ready(&BTreeMap::new()).err().unwrap();
    assert!(matches!(error, RestoreError::SecretMissing { .. }), "{error}");
    assert_eq!(sandbox.bytes(), applied);
    // A keychain item of another entry does not fit, and is noticed.
    let item = sandbox.keychain.keys().next().unwrap().clone();
    let wrong = model::Secret::from(r#"{"v":1,"sha256":"00","values":["a","b"]}"#);
    let error = sandbox.restore_plan(Which::All).ready(&[(item, wrong)].into()).err().unwrap();
    assert!(matches!(error, RestoreError::Cut(_)), "{error}");
}

#[test]
fn a_restore_does_not_overwrite_what_changed_since_it_was_planned() {
    let mut sandbox = Sandbox::new(cursor(), Some(&sample("cursor-remote.json")));
    sandbox.connect(&[connect("github")]);
    let ready = sandbox.restore_plan(Which::All).ready(&sandbox.keychain).unwrap();
    std::fs::write(&sandbox.path, "{}").unwrap();
    assert!(apply_restore(&ready, &sandbox.journal).unwrap_err().is_changed_meanwhile());
    assert_eq!(sandbox.bytes().unwrap(), b"{}");
}

#[test]
fn an_entry_of_ours_without_a_journal_can_be_taken_out_and_put_back() {
    let original = sample("cursor-ours-beside.json");
    let mut sandbox = Sandbox::new(cursor(), Some(&original));
    let out = |name: &str| Change::Disconnect { entry: name.into() };
    let plan = sandbox.connect(&[out("wiki"), out("moved"), out("edited"), out("remote"), out("absent")]);
    assert_eq!(
        kinds(&plan.view().entries),
        [
            ("wiki", PlannedKind::Remove),
            ("moved", PlannedKind::Remove),
            ("edited", PlannedKind::Conflict),
            ("remote", PlannedKind::Keep),
            ("absent", PlannedKind::Keep),
        ]
    );
    assert_eq!(sandbox.kinds().into_keys().collect::<Vec<_>>(), ["edited", "remote"]);
    // Restoring does not bring back what the person took out.
    sandbox.restore(Which::All);
    assert_eq!(sandbox.kinds().len(), 2);
}

#[test]
fn an_entry_that_was_taken_out_and_connected_again_goes_back_to_nothing() {
    let mut sandbox = Sandbox::new(cursor(), Some(b"{\n  \"mcpServers\": {}\n}\n"));
    sandbox.connect(&[connect("a")]);
    sandbox.connect(&[Change::Disconnect { entry: "a".into() }]);
    sandbox.connect(&[connect("a"), connect("b")]);
    sandbox.restore(Which::All);
    assert!(sandbox.kinds().is_empty());
}

#[test]
fn a_damaged_or_newer_journal_is_named_and_nothing_is_written() {
    let mut sandbox = Sandbox::new(cursor(), Some(&sample("cursor-remote.json")));
    sandbox.connect(&[connect("github")]);
    let applied = sandbox.bytes().unwrap();
    let folder = sandbox.folder.join("journal");
    let file = std::fs::read_dir(&folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .find(|path| path.extension().is_some_and(|end| end == "json"))
        .unwrap();
    for (bytes, why) in [("{", "damaged"), (r#"{"v":9,"app":"cursor","path":""}"#, "newer")] {
        std::fs::write(&file, bytes).unwrap();
        let error = sandbox.journal.items(cursor(), &sandbox.path).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        let plan = sandbox.plan(&[connect("linear")]).unwrap();
        let error = sandbox.apply(&plan).unwrap_err();
        assert!(matches!(error, ApplyError::Journal(_)) && error.is_untouched(), "{error}");
        assert_eq!(sandbox.bytes().unwrap(), applied);
    }
}

/// What only systems with links and modes show, done with their own tools.
mod posix {
    use std::path::Path;
    use std::process::Command;

    use super::*;

    fn run(program: &str, arguments: &[&Path]) -> String {
        let output = Command::new(program).args(arguments).output().unwrap();
        assert!(output.status.success(), "{program}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn link(target: &Path, link: &Path) {
        run("ln", &[Path::new("-s"), target, link]);
    }

    /// As `ls` writes it: `-rw-r--r--`.
    fn mode(path: &Path) -> String {
        run("ls", &[Path::new("-ldL"), path])[..10].to_owned()
    }

    fn chmod(path: &Path, bits: &str) {
        run("chmod", &[Path::new(bits), path]);
    }

    #[test]
    fn a_link_stays_a_link_and_its_target_is_written() {
        if Os::current() == Os::Windows {
            return;
        }
        let original = sample("cursor-remote.json");
        let mut sandbox = Sandbox::new(cursor(), None);
        let target = sandbox.folder.join("dotfiles").join("mcp.json");
        std::fs::create_dir(target.parent().unwrap()).unwrap();
        std::fs::write(&target, &original).unwrap();
        let middle = sandbox.folder.join("middle.json");
        link(&target, &middle);
        link(Path::new("middle.json"), &sandbox.path);
        let plan = sandbox.plan(&connect_everything(&sandbox.document())).unwrap();
        let done = sandbox.apply(&plan).unwrap();
        assert_eq!(done.written, Some(target.canonicalize().unwrap()));
        assert!(sandbox.path.is_symlink() && middle.is_symlink() && !target.is_symlink());
        assert_eq!(std::fs::read(&target).unwrap(), plan.after());
        sandbox.restore(Which::All);
        assert_eq!(std::fs::read(&target).unwrap(), original);
        assert!(sandbox.path.is_symlink() && middle.is_symlink());
    }

    #[test]
    fn a_link_to_nothing_is_refused() {
        if Os::current() == Os::Windows {
            return;
        }
        let sandbox = Sandbox::new(cursor(), None);
        link(Path::new("nowhere.json"), &sandbox.path);
        let error = hallpass_client_config::read(&sandbox.path).unwrap_err().to_string();
        assert!(error.contains("symbolic link to something that does not exist"), "{error}");
    }

    #[test]
    fn modes_are_kept_and_the_journal_is_private() {
        if Os::current() == Os::Windows {
            return;
        }
        for (bits, shown) in [("600", "-rw-------"), ("640", "-rw-r-----"), ("644", "-rw-r--r--")] {
            let mut sandbox = Sandbox::new(cursor(), Some(&sample("cursor-remote.json")));
            chmod(&sandbox.path, bits);
            sandbox.connect(&[connect("github")]);
            assert_eq!(mode(&sandbox.path), shown);
            for file in std::fs::read_dir(sandbox.folder.join("journal")).unwrap() {
                assert_eq!(mode(&file.unwrap().path()), "-rw-------");
            }
            assert!(secrets_in(&sandbox.journal_bytes()).is_empty());
            sandbox.restore(Which::All);
            assert_eq!(mode(&sandbox.path), shown);
        }
    }
}

#[test]
fn a_read_only_file_is_refused_and_untouched() {
    let original = sample("cursor-remote.json");
    let mut sandbox = Sandbox::new(cursor(), Some(&original));
    let mut permissions = std::fs::metadata(&sandbox.path).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&sandbox.path, permissions).unwrap();
    let plan = sandbox.plan(&[connect("github")]).unwrap();
    let error = sandbox.apply(&plan).unwrap_err();
    assert!(error.is_untouched() && error.to_string().contains("read-only"), "{error}");
    assert_eq!(sandbox.bytes().unwrap(), original);
    assert!(std::fs::metadata(&sandbox.path).unwrap().permissions().readonly());
    assert!(sandbox.journal.items(cursor(), &sandbox.path).unwrap().is_empty());
}

#[test]
fn a_folder_in_the_files_place_is_refused() {
    let sandbox = Sandbox::new(cursor(), None);
    std::fs::create_dir(&sandbox.path).unwrap();
    assert!(hallpass_client_config::read(&sandbox.path).is_err());
}
