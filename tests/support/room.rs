//! A disk of 64 KiB that can be filled, in a mount namespace of one test's own.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Whether this process may mount.
pub(crate) fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs a test anew where it may mount a disk; the end of that process is the end of the mounts.
pub(crate) fn run_inside(test: &str) {
    let this = std::env::current_exe().expect("this test has a path");
    let root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.trim_ascii() == b"0");
    let mut unshare = Command::new("unshare");
    // Root needs no namespace of users, and is refused one where it lives in a changed root.
    unshare.args(if root { &["--mount"][..] } else { &["--user", "--map-root-user", "--mount"] }).arg(this);
    let status =
        unshare.args(["--exact", test, "--nocapture"]).env(INSIDE, "1").stdin(Stdio::null()).status();
    assert!(status.expect("unshare is a part of util-linux").success(), "see above");
}

/// Puts a small disk on a folder of ours, which may be there already.
pub(crate) fn small_disk(folder: &Path) -> Disk {
    for each in [folder.parent().expect("our folder"), folder] {
        let made = Command::new("mkdir").args(["-p", "-m", "700"]).arg(each).status();
        assert!(made.expect("mkdir is a part of every system").success(), "{}", each.display());
    }
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs"]).arg(folder);
    assert!(mount.status().expect("mount is a part of Debian").success(), "{}", folder.display());
    Disk(folder.to_owned())
}

/// Taken away when dropped: a folder on which something is mounted cannot be removed.
pub(crate) struct Disk(PathBuf);

impl Disk {
    /// Takes all the room there is. Dropping it gives the room back.
    pub(crate) fn fill(&self) -> Filler {
        let path = self.0.join("filler");
        let mut file = std::fs::File::create(&path).expect("there is room for a name");
        for size in [4096, 1] {
            while file.write_all(&vec![b'x'; size]).is_ok() {}
        }
        Filler(path)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Out of the way at once, though somebody may have files of it open.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

pub(crate) struct Filler(PathBuf);

impl Drop for Filler {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).expect("it is ours");
    }
}

const INSIDE: &str = "HALLPASS_TEST_NAMESPACE";
