//! dirs: one private folder below the home.

use std::path::Path;

use hallpass_platform::{CHANNEL_IS_RELEASE, KEYCHAIN_SERVICE, Root};

#[test]
fn a_build_outside_the_release_channel_keeps_to_its_own_root_and_keychain() {
    let root = Root::below(Path::new("/home/ana"));
    let name = root.path().file_name().expect("a name").to_owned();
    assert_eq!(CHANNEL_IS_RELEASE, name == ".hallpass");
    assert_eq!(CHANNEL_IS_RELEASE, KEYCHAIN_SERVICE == "hallpass");
}

#[test]
fn two_homes_have_roots_that_never_meet() {
    let (one, other) = (Root::below(Path::new("/a")), Root::below(Path::new("/a/b")));
    for folder in [other.run(), other.state(), other.cache(), other.journal(), other.logs(), other.bin()] {
        assert!(folder.starts_with(other.path()));
        assert!(!folder.starts_with(one.path()));
    }
}

#[test]
fn ensuring_makes_every_folder_and_is_repeatable() {
    let home = tempfile::tempdir().expect("a folder");
    let root = Root::below(home.path());
    root.ensure().expect("a root");
    root.ensure().expect("the same root");
    for folder in [root.run(), root.state(), root.cache(), root.journal(), root.logs(), root.bin()] {
        assert!(folder.is_dir(), "{}", folder.display());
    }
}

#[cfg(unix)]
mod unix {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
    use std::process::Command;

    use hallpass_platform::DirsError;

    use super::*;
    use crate::PROBE;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("metadata").mode() & 0o7777
    }

    #[test]
    fn all_folders_are_closed_to_others_and_readers_are_shut_out() {
        let home = tempfile::tempdir().expect("a folder");
        let root = Root::below(home.path());
        root.ensure().expect("a root");
        fs::set_permissions(root.logs(), Permissions::from_mode(0o755)).expect("a mode");
        root.ensure().expect("the root again");
        for folder in [root.path().to_owned(), root.run(), root.state(), root.logs(), root.bin()] {
            assert_eq!(mode(&folder), 0o700, "{}", folder.display());
        }
    }

    #[test]
    fn a_root_that_is_a_link_is_refused() {
        let home = tempfile::tempdir().expect("a folder");
        let root = Root::below(home.path());
        symlink(tempfile::tempdir().expect("a folder").path(), root.path()).expect("a link");
        assert!(matches!(root.ensure(), Err(DirsError::Link { .. })));
    }

    #[test]
    fn a_root_that_others_may_write_to_is_refused() {
        let home = tempfile::tempdir().expect("a folder");
        let root = Root::below(home.path());
        root.ensure().expect("a root");
        fs::set_permissions(root.path(), Permissions::from_mode(0o770)).expect("a mode");
        assert!(matches!(root.ensure(), Err(DirsError::OpenToOthers { .. })));
        assert_eq!(mode(root.path()), 0o770, "it is left for the person to look at");
    }

    #[test]
    fn a_root_of_another_user_is_refused() {
        let home = tempfile::tempdir().expect("a folder");
        let root = Root::below(home.path());
        root.ensure().expect("a root");
        // Only root can give files away; others get this check from the type's unit.
        if chown(root.path(), Some(4711), None).is_ok() {
            assert!(matches!(root.ensure(), Err(DirsError::NotOurs { .. })));
        }
    }

    #[test]
    fn a_file_in_place_of_a_folder_is_named() {
        let home = tempfile::tempdir().expect("a folder");
        let root = Root::below(home.path());
        fs::write(root.path(), "").expect("a file");
        let error = root.ensure().expect_err("a refusal");
        assert!(error.to_string().contains(&root.path().display().to_string()), "{error}");
    }

    #[test]
    fn the_home_variable_alone_decides_where_the_root_is() {
        // In a process of its own: variables belong to the whole process.
        let home = tempfile::tempdir().expect("a folder");
        let status = Command::new(PROBE)
            .arg("ensure-root")
            .env_clear()
            .env("HOME", home.path())
            .env("XDG_CONFIG_HOME", "/nowhere")
            .env("XDG_DATA_HOME", "/nowhere")
            .env("XDG_RUNTIME_DIR", "/nowhere")
            .status()
            .expect("the probe starts");
        assert!(status.success());
        assert!(Root::below(home.path()).run().is_dir());
        let relative = Command::new(PROBE).arg("ensure-root").env("HOME", "some/where").status();
        assert!(!relative.expect("the probe starts").success(), "a relative home is refused");
    }
}
