//! The keychain is locked, gone, or another one: a clear sentence, the right exit code, and nothing lost.

use testbed::authorization_server::AuthMethod;

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
async fn the_secret_of_a_registered_client_leaves_the_keychain_with_its_server() {
    let world = World::new().await;
    let issuer = world.issuer.handle();
    issuer.set(|knobs| knobs.any_loopback_port = true);
    let registered = issuer.preregister(&["http://127.0.0.1/callback"], AuthMethod::Basic);
    let secret = registered.secret.clone().unwrap();
    let add = async || {
        world.add_server_with_secret(&secret, &["--client-id", &registered.id]).await.ok();
        world.login("ana", &[]).await.ok();
    };
    let gone = async |what: &str| {
        eventually(what, async || {
            // Asking starts an agent, if there is none.
            world.status().await;
            let left = world.state();
            let noted = left.get("discarded").is_some() || left["revocations"] != serde_json::json!([]);
            (!noted && world.sandbox.keychain_items().unwrap() == 1).then_some(())
        })
        .await;
        assert_eq!(world.state()["registrations"], serde_json::json!([]));
    };
    add().await;
    assert!(world.sandbox.keychain_items().unwrap() > 2, "marker, secret, token set");
    world.run(&["servers", "remove", SERVER]).await.ok();
    gone("the keychain with the marker alone").await;
    assert_eq!(issuer.stats().revocations, 2, "the issuer was told first, with the secret");
    // An agent that dies between the write and the deletion leaves it to the next one.
    add().await;
    world.plant_fault("server.removed");
    let ran = world.run(&["servers", "remove", SERVER]).await;
    assert_ne!(ran.code, 0, "{ran:?}");
    assert!(world.sandbox.keychain_items().unwrap() > 1, "the agent died before");
    gone("the same after a crash").await;
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
