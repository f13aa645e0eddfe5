//! file: whole or not at all.

use std::fs;
use std::path::PathBuf;

use hallpass_platform::FileError;
use hallpass_platform::file::{Expected, digest, read_limited, remove_if_same, replace, write_private};

use super::Probe;

struct Scene {
    folder: tempfile::TempDir,
    target: PathBuf,
}

/// A folder with another program's file in it.
fn scene(content: &str) -> Scene {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("config.json");
    fs::write(&target, content).expect("a file");
    Scene { folder, target }
}

impl Scene {
    fn content(&self) -> String {
        fs::read_to_string(&self.target).expect("content")
    }

    fn entries(&self) -> usize {
        fs::read_dir(self.folder.path()).expect("a folder").count()
    }
}

#[test]
fn a_limited_read_takes_the_limit_and_not_a_byte_more() {
    let scene = scene("12345");
    assert_eq!(read_limited(&scene.target, 5).expect("five bytes"), b"12345");
    assert!(matches!(read_limited(&scene.target, 4), Err(FileError::TooLarge { limit: 4, .. })));
    assert!(read_limited(&scene.folder.path().join("none"), 4).is_err_and(|error| error.is_missing()));
    assert!(read_limited(scene.folder.path(), 4).is_err());
}

#[test]
fn a_private_file_is_replaced_whole_and_leaves_nothing_beside_it() {
    let scene = scene("old");
    write_private(&scene.target, b"new").expect("a write");
    write_private(&scene.target, b"newer").expect("a write");
    assert_eq!((scene.content().as_str(), scene.entries()), ("newer", 1));
}

#[test]
fn a_writer_that_is_killed_leaves_a_whole_file() {
    let scene = scene("start");
    for _ in 0..10 {
        let probe = Probe::start(&[&"write-for-ever", &scene.target]);
        std::thread::sleep(std::time::Duration::from_millis(15));
        probe.kill();
        let content = scene.content();
        let piece = content.len() / 20_000;
        let whole = content == "start" || content == content[..piece].repeat(20_000);
        assert!(whole && !content.is_empty(), "torn at {} bytes", content.len());
    }
}

#[test]
fn a_change_is_made_only_to_what_was_read() {
    let scene = scene("old");
    let sum = digest(&scene.target).expect("a digest");
    replace(&scene.target, b"new", Expected::Bytes(b"old")).expect("a change");
    let stale = replace(&scene.target, b"newest", Expected::Bytes(b"old"));
    assert!(matches!(stale, Err(FileError::ChangedMeanwhile { .. })));
    let stale = replace(&scene.target, b"newest", Expected::Digest(sum));
    assert!(matches!(stale, Err(FileError::ChangedMeanwhile { .. })));
    let longer = replace(&scene.target, b"newest", Expected::Bytes(b"ne"));
    assert!(matches!(longer, Err(FileError::ChangedMeanwhile { .. })));
    assert_eq!((scene.content().as_str(), scene.entries()), ("new", 1));
    let sum = digest(&scene.target).expect("a digest");
    replace(&scene.target, b"newest", Expected::Digest(sum)).expect("a change");
    assert_eq!(scene.content(), "newest");
}

#[test]
fn a_new_file_never_covers_one_that_has_appeared() {
    let scene = scene("theirs");
    let refused = replace(&scene.target, b"ours", Expected::Missing);
    assert!(matches!(refused, Err(FileError::ChangedMeanwhile { .. })));
    assert_eq!(scene.content(), "theirs");
    let fresh = scene.folder.path().join("new.json");
    replace(&fresh, b"ours", Expected::Missing).expect("a new file");
    assert_eq!(fs::read(&fresh).expect("content"), b"ours");
    let gone = replace(&scene.folder.path().join("none"), b"x", Expected::Bytes(b""));
    assert!(matches!(gone, Err(FileError::ChangedMeanwhile { .. })));
}

#[test]
fn undoing_a_new_file_spares_one_that_was_edited() {
    let scene = scene("ours");
    assert!(matches!(
        remove_if_same(&scene.target, Expected::Bytes(b"other")),
        Err(FileError::ChangedMeanwhile { .. })
    ));
    remove_if_same(&scene.target, Expected::Bytes(b"ours")).expect("a removal");
    remove_if_same(&scene.target, Expected::Bytes(b"ours")).expect("nothing to remove");
    assert_eq!(scene.entries(), 0);
}

#[test]
fn a_missing_folder_is_no_reason_to_make_one() {
    let scene = scene("");
    let refused = replace(&scene.folder.path().join("none/config.json"), b"x", Expected::Missing);
    assert!(refused.is_err_and(|error| error.is_missing()));
}

#[test]
fn a_read_only_file_is_refused_and_stays_so() {
    let scene = scene("old");
    let mut permissions = fs::metadata(&scene.target).expect("metadata").permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&scene.target, permissions).expect("a mode");
    let refused = replace(&scene.target, b"new", Expected::Bytes(b"old"));
    assert!(matches!(refused, Err(FileError::ReadOnly { .. })), "{refused:?}");
    let refused = remove_if_same(&scene.target, Expected::Bytes(b"old"));
    assert!(matches!(refused, Err(FileError::ReadOnly { .. })), "{refused:?}");
    assert!(fs::metadata(&scene.target).expect("metadata").permissions().readonly());
    assert_eq!((scene.content().as_str(), scene.entries()), ("old", 1));
    #[cfg(windows)]
    {
        let mut permissions = fs::metadata(&scene.target).expect("metadata").permissions();
        #[expect(clippy::permissions_set_readonly_false, reason = "so that the folder can be removed")]
        permissions.set_readonly(false);
        fs::set_permissions(&scene.target, permissions).expect("a mode");
    }
}

#[cfg(unix)]
mod unix {
    use std::fs::Permissions;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
    use std::path::Path;

    use hallpass_platform::file::{read_private, read_secret};

    use super::*;

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("a mode");
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("metadata").mode() & 0o7777
    }

    #[test]
    fn a_link_is_kept_and_its_target_written() {
        let scene = scene("old");
        let (first, second) = (scene.folder.path().join("first"), tempfile::tempdir().expect("a folder"));
        let link = second.path().join("config.json");
        symlink(&scene.target, &first).expect("a link");
        symlink(&first, &link).expect("a link");
        let written = replace(&link, b"new", Expected::Bytes(b"old")).expect("a change");
        assert_eq!(written, scene.target.canonicalize().expect("a path"));
        assert_eq!(fs::read_link(&link).expect("still a link"), first);
        assert_eq!(fs::read_link(&first).expect("still a link"), scene.target);
        assert_eq!(scene.content(), "new");
    }

    #[test]
    fn a_link_to_nothing_is_not_filled() {
        let scene = scene("");
        let link = scene.folder.path().join("link");
        symlink(scene.folder.path().join("none"), &link).expect("a link");
        let refused = replace(&link, b"x", Expected::Missing);
        assert!(matches!(refused, Err(FileError::DanglingLink { .. })));
    }

    #[test]
    fn mode_and_owner_are_kept_and_new_files_are_private() {
        let scene = scene("old");
        for kept in [0o644, 0o600, 0o664, 0o755] {
            chmod(&scene.target, kept);
            replace(&scene.target, b"old", Expected::Bytes(b"old")).expect("a change");
            assert_eq!(mode(&scene.target), kept);
        }
        // Only root can give files away and must give them back.
        if std::os::unix::fs::chown(&scene.target, Some(4711), Some(4712)).is_ok() {
            replace(&scene.target, b"new", Expected::Bytes(b"old")).expect("a change");
            let metadata = fs::metadata(&scene.target).expect("metadata");
            assert_eq!((metadata.uid(), metadata.gid()), (4711, 4712));
        }
        let fresh = scene.folder.path().join("new.json");
        replace(&fresh, b"x", Expected::Missing).expect("a new file");
        write_private(&scene.folder.path().join("own"), b"x").expect("a write");
        assert_eq!((mode(&fresh), mode(&scene.folder.path().join("own"))), (0o600, 0o600));
    }

    #[test]
    fn extended_attributes_are_kept_where_the_file_system_has_them() {
        let scene = scene("old");
        let none = rustix::fs::XattrFlags::empty();
        if rustix::fs::setxattr(&scene.target, "user.note", b"kept", none).is_err() {
            return;
        }
        replace(&scene.target, b"new", Expected::Bytes(b"old")).expect("a change");
        let mut value = [0; 16];
        let length = rustix::fs::getxattr(&scene.target, "user.note", &mut value[..]).expect("the note");
        assert_eq!(&value[..length], b"kept");
    }

    #[test]
    fn a_read_only_folder_is_refused_and_stays_so() {
        let scene = scene("old");
        chmod(scene.folder.path(), 0o555);
        let refused = replace(&scene.target, b"new", Expected::Bytes(b"old"));
        let refused_new = replace(&scene.folder.path().join("new"), b"new", Expected::Missing);
        assert_eq!(mode(scene.folder.path()), 0o555);
        chmod(scene.folder.path(), 0o755);
        assert!(matches!(refused, Err(FileError::FolderReadOnly { .. })), "{refused:?}");
        assert!(matches!(refused_new, Err(FileError::FolderReadOnly { .. })), "{refused_new:?}");
        assert_eq!(scene.entries(), 1);
    }

    #[test]
    fn a_pipe_in_place_of_a_file_does_not_hang_the_reader() {
        let scene = scene("");
        let pipe = scene.folder.path().join("pipe");
        let status = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
        assert!(status.success());
        assert!(matches!(read_limited(&pipe, 10), Err(FileError::NotAFile { .. })));
        assert!(read_private(&pipe, 10).is_err());
    }

    #[test]
    fn a_private_read_refuses_links_and_files_that_others_may_write() {
        let scene = scene("x");
        let link = scene.folder.path().join("link");
        symlink(&scene.target, &link).expect("a link");
        assert!(matches!(read_private(&link, 10), Err(FileError::NotOurs { .. })));
        assert_eq!(read_private(&scene.target, 10).expect("ours"), b"x");
        chmod(&scene.target, 0o666);
        assert!(matches!(read_private(&scene.target, 10), Err(FileError::NotOurs { .. })));
    }

    #[test]
    fn a_secret_read_refuses_what_others_may_read() {
        let scene = scene("x");
        for (bits, refused) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true)] {
            chmod(&scene.target, bits);
            match read_secret(&scene.target, 10) {
                Ok(bytes) => assert!(!refused && bytes == b"x", "{bits:o}"),
                Err(error) => {
                    assert!(refused && matches!(error, FileError::Readable { .. }), "{bits:o}: {error}");
                }
            }
        }
        chmod(&scene.target, 0o620);
        assert!(matches!(read_secret(&scene.target, 10), Err(FileError::NotOurs { .. })));
    }
}

#[cfg(windows)]
#[test]
fn a_file_in_use_is_tried_again_until_it_is_free() {
    let scene = scene("old");
    let held = fs::File::open(&scene.target).expect("a file");
    let path = scene.target.clone();
    let change = std::thread::spawn(move || replace(&path, b"new", Expected::Bytes(b"old")).map(drop));
    std::thread::sleep(std::time::Duration::from_millis(300));
    drop(held);
    change.join().expect("a thread").expect("a change after the wait");
    assert_eq!(scene.content(), "new");
}
