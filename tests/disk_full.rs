//! The disk is full: each change is refused in words, nothing that was there is lost, and everything goes on once
//! there is room. The full disk is a real one, of 64 KiB, in a mount namespace of the test's own.

use crate::support::people::whoami;
use crate::support::room::{Disk, is_inside, run_inside, small_disk};
use crate::support::{SERVER, World, eventually};

#[tokio::test]
async fn a_full_disk_refuses_changes_in_words_and_loses_nothing() {
    if !is_inside() {
        return run_inside("disk_full::a_full_disk_refuses_changes_in_words_and_loses_nothing");
    }
    let world = World::new().await;
    world.issuer.handle().set(|knobs| knobs.access_token_lifetime = 10);
    let disks = ["state", "run"].map(|name| small_disk(&world.root().join(name)));
    world.add_server().await;
    world.login("ana", &[]).await.ok();
    let host = world.host("cursor").await;
    let fillers = disks.each_ref().map(Disk::fill);
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
