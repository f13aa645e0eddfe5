//! The disk is full: each change is refused in words, nothing that was there is lost, and everything goes on once
//! there is room. The full disk is a real one, of 64 KiB, in a mount namespace of the test's own.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::people::whoami;
use crate::support::{SERVER, World, eventually};

#[tokio::test]
async fn a_full_disk_refuses_changes_in_words_and_loses_nothing() {
    if !inside_namespace() {
        return in_a_namespace("disk_full::a_full_disk_refuses_changes_in_words_and_loses_nothing");
    }
    let world = World::new().await;
    world.issuer.handle().set(|knobs| knobs.access_token_lifetime = 10);
    let disks = ["state", "run"].map(|name| small_disk(&world.root().join(name)));
    world.add_server().await;
    world.login("ana", &[]).await.ok();
    let host = world.host("cursor").await;
    let fillers = disks.each_ref().map(|disk| fill(&disk.0));
    let before = std::fs::read(world.root().join("state/state.json")).expect("the agent has written it");

    let renamed = world.run(&["accounts", "rename", "ana@corp.example", "Ana"]).await.fails(1);
    assert!(renamed.err.contains("No space left"), "{renamed:?}");
    assert!(renamed.err.contains("make room"), "what to do is missing: {renamed:?}");
    let added = world.run(&["servers", "add", &format!("{}?other", world.server.endpoint())]).await.fails(1);
    assert!(added.err.contains("No space left"), "{added:?}");
    let refused = world.login("ben", &[]).await.fails(1);
    assert!(refused.err.contains("No space left"), "{refused:?}");
    assert_eq!(std::fs::read(world.root().join("state/state.json")).unwrap(), before, "the state is damaged");
    let listed = world.run(&["accounts", "list", "--json"]).await.ok().json();
    assert_eq!(listed["accounts"].as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(listed["accounts"][0]["subject"], "ana");

    // The token ends, and its renewal cannot be noted: nobody is signed out by that.
    let refreshes = world.issuer.handle().stats().refreshes;
    eventually("the end of the token", async || whoami(&host).await.is_err().then_some(())).await;
    let seen = world.status().await;
    assert_ne!(seen["servers"][0]["grants"][0]["state"], "needs_sign_in", "{seen}");
    drop(fillers);
    eventually("a call with a renewed token", async || whoami(&host).await.ok().filter(|who| who == "ana"))
        .await;
    let stats = world.issuer.handle().stats();
    assert!(stats.refreshes > refreshes);
    assert_eq!((stats.families_revoked, stats.reuse_detections), (0, 0), "{stats:?}");
    world.run(&["accounts", "rename", "ana@corp.example", "Ana"]).await.ok();
    world.login("ben", &[]).await.ok();
    assert_eq!(world.run(&["switch", SERVER, "ben"]).await.ok().code, 0);
    eventually("the other person", async || whoami(&host).await.ok().filter(|who| who == "ben")).await;
}

/// Whether this process may mount a disk of its own.
pub(crate) fn inside_namespace() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs the test anew where it may mount a disk; the end of that process is the end of the mounts.
pub(crate) fn in_a_namespace(test: &str) {
    let this = std::env::current_exe().expect("this test has a path");
    let mut unshare = Command::new("unshare");
    let root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.trim_ascii() == b"0");
    // Root needs no namespace of users, and is refused one where it lives in a changed root.
    unshare.args(if root { &["--mount"][..] } else { &["--user", "--map-root-user", "--mount"] }).arg(this);
    unshare.args(["--exact", test, "--nocapture"]);
    let status = unshare.env(INSIDE, "1").stdin(Stdio::null()).status();
    assert!(status.expect("unshare is a part of util-linux").success(), "see above");
}

/// Taken away when dropped: a folder on which something is mounted cannot be removed.
pub(crate) struct Disk(pub(crate) PathBuf);

impl Drop for Disk {
    fn drop(&mut self) {
        // Out of the way at once, though somebody may have files of it open.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

pub(crate) fn small_disk(folder: &Path) -> Disk {
    for each in [folder.parent().expect("our folder"), folder] {
        private_folder(each);
    }
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs"]).arg(folder);
    assert!(mount.status().expect("mount is a part of Debian").success(), "{}", folder.display());
    Disk(folder.to_owned())
}

fn private_folder(folder: &Path) {
    let mut make = Command::new("mkdir");
    assert!(make.args(["-p", "-m", "700"]).arg(folder).status().expect("mkdir").success());
}

/// Takes all the room there is. Dropping it gives the room back.
pub(crate) fn fill(disk: &Path) -> Filler {
    let path = disk.join("filler");
    let mut file = std::fs::File::create(&path).expect("there is room for a name");
    for size in [4096, 1] {
        while file.write_all(&vec![b'x'; size]).is_ok() {}
    }
    Filler(path)
}

pub(crate) struct Filler(PathBuf);

impl Drop for Filler {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).expect("it is ours");
    }
}

const INSIDE: &str = "HALLPASS_TEST_NAMESPACE";
