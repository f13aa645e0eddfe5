//! The keychain is locked, gone, or another one: a clear sentence, the right exit code, and nothing lost.

use crate::support::people::{asked, refusal, whoami};
use crate::support::{SERVER, World, eventually};

#[tokio::test]
async fn a_keychain_that_is_locked_at_the_start_is_said_and_all_goes_on_after_it_is_unlocked() {
    let world = World::with_ana().await;
    world.run(&["agent", "stop"]).await.ok();
    world.sandbox.lock_keychain().unwrap();
    let before = world.state();
    let host = world.host("cursor").await;
    let said = refusal(&host).await;
    assert!(said.contains("locked") && said.contains("unlock your keychain"), "{said}");
    assert!(!said.contains("hallpass login"), "nobody has to sign in again: {said}");
    let status = world.run(&["status"]).await.fails(7);
    assert!(status.err.contains("is locked"), "{status:?}");
    let login = world.login("ben", &[]).await.fails(7);
    assert!(login.err.contains("unlock your keychain"), "{login:?}");
    let seen = asked(&world);
    assert!(refusal(&host).await.contains("locked"));
    assert_eq!(asked(&world), seen, "nothing is sent as nobody");
    assert_eq!(world.state()["grants"], before["grants"]);
    let pid = world.agent_pid().await;
    world.sandbox.unlock_keychain().unwrap();
    assert_eq!(eventually("ana", async || whoami(&host).await.ok()).await, "ana");
    assert_eq!(world.agent_pid().await, pid, "without another agent");
    world.run(&["status"]).await.ok();
    let issuer = world.issuer.handle().stats();
    assert_eq!((issuer.families_revoked, issuer.code_exchanges), (0, 1));
}

#[tokio::test]
async fn without_a_keychain_nobody_signs_in_and_nothing_is_forgotten() {
    let world = World::with_ana().await;
    world.run(&["agent", "stop"]).await.ok();
    world.sandbox.stop_keychain();
    let before = world.state();
    let host = world.host("cursor").await;
    let said = refusal(&host).await;
    assert!(said.contains("keychain") && !said.contains("hallpass login"), "{said}");
    let status = world.run(&["status"]).await.fails(7);
    assert!(status.err.contains("no keychain"), "{status:?}");
    let login = world.login("ben", &[]).await.fails(7);
    assert!(login.err.contains("start a keychain service"), "{login:?}");
    assert_eq!(world.state()["grants"], before["grants"]);
    assert_eq!(world.state()["keychain"], before["keychain"]);
    world.sandbox.start_keychain().unwrap();
    assert_eq!(eventually("ana", async || whoami(&host).await.ok()).await, "ana");
    assert_eq!(world.issuer.handle().stats().families_revoked, 0);
}

#[tokio::test]
async fn another_keychain_is_an_absent_one_and_never_a_new_start() {
    let world = World::with_ana().await;
    world.run(&["agent", "stop"]).await.ok();
    world.sandbox.stop_keychain();
    let keyrings = world.sandbox.home().join(".local/share/keyrings");
    let aside = keyrings.with_file_name("keyrings.aside");
    std::fs::rename(&keyrings, &aside).unwrap();
    world.sandbox.start_keychain().unwrap();
    let before = world.state();
    let status = world.run(&["status"]).await.fails(7);
    assert!(status.err.contains("no keychain"), "{status:?}");
    let login = world.login("ben", &[]).await.fails(7);
    assert!(login.err.contains("keychain"), "{login:?}");
    let host = world.host("cursor").await;
    let said = refusal(&host).await;
    assert!(said.contains("keychain") && !said.contains("hallpass login"), "{said}");
    assert_eq!(world.state()["keychain"], before["keychain"]);
    assert_eq!(world.state()["grants"], before["grants"]);
    world.sandbox.stop_keychain();
    std::fs::rename(&keyrings, keyrings.with_file_name("keyrings.other")).unwrap();
    std::fs::rename(&aside, &keyrings).unwrap();
    world.sandbox.start_keychain().unwrap();
    assert_eq!(eventually("ana", async || whoami(&host).await.ok()).await, "ana");
    world.run(&["status", SERVER]).await.ok();
    assert_eq!(world.issuer.handle().stats().families_revoked, 0);
}
