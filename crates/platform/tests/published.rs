//! publish: upgrade, downgrade, equal.

use std::fs;
use std::path::PathBuf;

use hallpass_platform::Root;
use hallpass_platform::publish::{
    Outcome, PublishError, SourceKind, entry_executable, manifest, publish, record_window,
};

struct Scene {
    home: tempfile::TempDir,
    root: Root,
}

fn scene() -> Scene {
    let home = tempfile::tempdir().expect("a folder");
    let root = Root::below(home.path());
    root.ensure().expect("a root");
    Scene { home, root }
}

impl Scene {
    /// An installation with an executable of the given content.
    fn installed(&self, name: &str, content: &str) -> PathBuf {
        let folder = self.home.path().join(name);
        fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("hallpass-built");
        fs::write(&path, content).expect("an executable");
        path
    }

    fn publish(&self, source: &std::path::Path, version: &str) -> Outcome {
        let published = publish(&self.root, source, version).expect("published");
        assert_eq!(published.entry, entry_executable(&self.root));
        published.outcome
    }

    fn entry(&self) -> String {
        fs::read_to_string(entry_executable(&self.root)).expect("an entry")
    }
}

#[test]
fn the_first_is_copied_and_the_same_again_is_left_alone() {
    let scene = scene();
    let source = scene.installed("one", "one");
    assert_eq!(scene.publish(&source, "1.0.0"), Outcome::Copied);
    let manifest_before = manifest(&scene.root).expect("a manifest");
    assert_eq!(manifest_before.kind, SourceKind::Copied);
    assert_eq!(manifest_before.source, source.canonicalize().expect("a path"));
    let touched = fs::metadata(entry_executable(&scene.root)).and_then(|it| it.modified()).expect("a time");
    assert_eq!(scene.publish(&source, "1.0.0"), Outcome::Current);
    let again = fs::metadata(entry_executable(&scene.root)).and_then(|it| it.modified()).expect("a time");
    assert_eq!((touched, Some(manifest_before)), (again, manifest(&scene.root)));
}

#[test]
fn newer_replaces_older_but_not_the_other_way_round() {
    let scene = scene();
    let (old, new) = (scene.installed("old", "old"), scene.installed("new", "new"));
    assert_eq!(scene.publish(&old, "1.9.0"), Outcome::Copied);
    assert_eq!(scene.publish(&new, "1.10.0"), Outcome::Copied);
    let version = "1.10.0".parse().expect("a version");
    assert_eq!(scene.publish(&old, "1.9.0"), Outcome::NewerKept { version });
    assert_eq!(scene.entry(), "new");
}

#[test]
fn an_older_one_takes_over_when_it_is_the_only_one_installed() {
    let scene = scene();
    let (old, new) = (scene.installed("old", "old"), scene.installed("new", "new"));
    scene.publish(&new, "2.0.0");
    fs::remove_file(&new).expect("an uninstallation");
    assert_eq!(scene.publish(&old, "1.0.0"), Outcome::Copied);
    assert_eq!(scene.entry(), "old");
}

#[test]
fn a_damaged_entry_is_healed_by_any_version() {
    let scene = scene();
    let (old, new) = (scene.installed("old", "old"), scene.installed("new", "new"));
    scene.publish(&new, "2.0.0");
    fs::write(entry_executable(&scene.root), "half").expect("damage");
    assert_eq!(scene.publish(&new, "2.0.0"), Outcome::Copied);
    fs::remove_file(entry_executable(&scene.root)).expect("damage");
    assert_eq!(scene.publish(&old, "1.0.0"), Outcome::Copied);
    assert_eq!(scene.entry(), "old");
}

#[test]
fn the_entry_never_publishes_itself() {
    let scene = scene();
    scene.publish(&scene.installed("one", "one"), "1.0.0");
    let entry = entry_executable(&scene.root);
    assert_eq!(scene.publish(&entry, "3.0.0"), Outcome::IsTheEntry);
    assert_eq!(manifest(&scene.root).expect("a manifest").version.to_string(), "1.0.0");
}

#[test]
fn the_window_is_remembered_over_the_next_publication() {
    let scene = scene();
    let source = scene.installed("one", "one");
    let window = ["app".to_owned(), "--hidden".to_owned()];
    assert!(matches!(record_window(&scene.root, &window), Err(PublishError::NothingPublished)));
    scene.publish(&source, "1.0.0");
    record_window(&scene.root, &window).expect("a note");
    scene.publish(&scene.installed("one", "two"), "1.1.0");
    assert_eq!(manifest(&scene.root).expect("a manifest").window.as_deref(), Some(&window[..]));
}

#[test]
fn bad_input_is_named() {
    let scene = scene();
    let source = scene.installed("one", "one");
    let refused = publish(&scene.root, &source, "one").expect_err("a refusal");
    assert_eq!(refused.to_string(), "one is not a version number");
    let refused = publish(&scene.root, &scene.home.path().join("none"), "1.0.0").expect_err("a refusal");
    assert!(refused.to_string().ends_with("none does not exist"), "{refused}");
    assert!(!entry_executable(&scene.root).exists());
}

#[test]
fn many_publishers_at_once_leave_one_whole_entry() {
    let scene = scene();
    let sources: Vec<_> = (1..=6)
        .map(|number| (scene.installed(&number.to_string(), &number.to_string().repeat(99_000)), number))
        .collect();
    std::thread::scope(|scope| {
        for (source, number) in &sources {
            let root = &scene.root;
            scope.spawn(move || publish(root, source, &format!("1.{number}.0")).expect("published"));
        }
    });
    assert_eq!(scene.entry(), "6".repeat(99_000));
    assert_eq!(manifest(&scene.root).expect("a manifest").version.to_string(), "1.6.0");
}

#[test]
fn a_running_entry_is_replaced_and_runs_on() {
    let scene = scene();
    let probe = PathBuf::from(super::PROBE);
    scene.publish(&probe, "1.0.0");
    let mut entry = std::process::Command::new(entry_executable(&scene.root));
    entry.arg("wait").stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null());
    let mut child = super::start_fresh(&mut entry);
    assert_eq!(scene.publish(&scene.installed("new", "new"), "1.1.0"), Outcome::Copied);
    assert_eq!(scene.entry(), "new");
    assert!(child.try_wait().expect("a state").is_none(), "it runs on");
    child.kill().expect("a kill");
    child.wait().expect("an end");
    scene.publish(&scene.installed("new", "newer"), "1.2.0");
    let left = fs::read_dir(scene.root.bin()).expect("a folder").flatten();
    let left = left.filter(|entry| entry.file_name().to_string_lossy().ends_with(".old")).count();
    assert_eq!(left, 0, "nothing is left over");
}

/// Publishes again and again until nothing had to be read for it.
#[cfg(unix)]
fn settled(scene: &Scene, source: &std::path::Path) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
    loop {
        match scene.publish(source, "1.0.0") {
            Outcome::Unchanged => return,
            outcome => assert_eq!(outcome, Outcome::Current),
        }
        assert!(std::time::Instant::now() < deadline, "it is read each time");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

/// Other content of the same length in the same file, with the time of the old one.
#[cfg(unix)]
fn forge(path: &std::path::Path, content: &str) {
    let before = fs::metadata(path).and_then(|metadata| metadata.modified()).expect("a time");
    assert_eq!(fs::metadata(path).expect("a file").len(), content.len() as u64);
    fs::write(path, content).expect("written");
    fs::File::options().write(true).open(path).and_then(|file| file.set_modified(before)).expect("a time");
}

#[cfg(unix)]
#[test]
fn what_has_not_changed_is_not_read_and_no_change_is_missed() {
    let scene = scene();
    let source = scene.installed("one", "one");
    assert_eq!(scene.publish(&source, "1.0.0"), Outcome::Copied);
    settled(&scene, &source);
    forge(&source, "two");
    assert_eq!(scene.publish(&source, "1.0.0"), Outcome::Copied, "the source was replaced in place");
    assert_eq!(scene.entry(), "two");
    settled(&scene, &source);
    forge(&entry_executable(&scene.root), "bad");
    assert_eq!(scene.publish(&source, "1.0.0"), Outcome::Copied, "the entry was written to");
    assert_eq!(scene.entry(), "two");
    settled(&scene, &source);
    fs::remove_file(entry_executable(&scene.root)).expect("removed");
    assert_eq!(scene.publish(&source, "1.0.0"), Outcome::Copied, "the entry was gone");
    settled(&scene, &source);
    let other = scene.installed("other", "two");
    assert_eq!(scene.publish(&other, "1.0.0"), Outcome::Current, "another installation");
    settled(&scene, &other);
    assert_eq!(scene.publish(&other, "1.0.1"), Outcome::Current, "another version");
    assert_eq!(manifest(&scene.root).expect("a manifest").version.to_string(), "1.0.1");
}
