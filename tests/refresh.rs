//! Renewing tokens: once for everybody, ahead of time, and without losing a login when anything goes wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use testbed::authorization_server::{SecretKind, Stats, TokenFault, TokenRequests};
use testbed::host::Host;
use tokio::task::JoinSet;

use crate::support::people::{handshake, refusal, whoami};
use crate::support::{SERVER, World, eventually};

#[tokio::test]
async fn twenty_bridges_go_through_an_expiry_with_one_refresh() {
    let world = World::new().await;
    world.issuer.handle().set(|knobs| {
        // Renewed at 80 %: it has six seconds left then, and the next one is far.
        knobs.access_token_lifetime = 30;
        // Long enough for all twenty to ask meanwhile.
        knobs.refresh_delay_ms = 300;
    });
    world.add_server().await;
    world.login("ana", &[]).await.ok();
    let hosts = twenty(&world).await;
    let (before, ends) = settled(&world).await;
    let refused = world.server.handle().stats().unauthorized;
    let over = Arc::new(AtomicBool::new(false));
    let callers: JoinSet<()> =
        hosts.iter().map(|host| call_until(Arc::clone(host), Arc::clone(&over))).collect();
    eventually("a renewal ahead of time", async || {
        (stats(&world).refreshes > before.refreshes).then_some(())
    })
    .await;
    eventually("the end of the old token", async || (now() > ends + 1).then_some(())).await;
    over.store(true, Ordering::SeqCst);
    callers.join_all().await;
    let after = stats(&world);
    assert_eq!(after.refresh_requests, before.refresh_requests + 1);
    assert_eq!(world.server.handle().stats().unauthorized, refused, "renewed before it ended");
    assert_eq!((after.reuse_detections, after.families_revoked), (0, 0));
}

#[tokio::test]
async fn twenty_refused_bridges_cost_one_refresh_and_one_more_try_each() {
    let world = World::new().await;
    world.issuer.handle().set(|knobs| {
        knobs.access_token_lifetime = 3600;
        knobs.refresh_delay_ms = 300;
    });
    world.add_server().await;
    world.login("ana", &[]).await.ok();
    let hosts = twenty(&world).await;
    let refused = world.server.handle().stats().unauthorized;
    world.issuer.handle().expire_access_tokens();
    let calls: JoinSet<_> = hosts
        .iter()
        .map(|host| {
            let host = Arc::clone(host);
            async move { whoami(&host).await }
        })
        .collect();
    for answer in calls.join_all().await {
        assert_eq!(answer.unwrap(), "ana");
    }
    assert_eq!(stats(&world).refresh_requests, 1);
    // A stream that is opened anew may be refused as well.
    let refused = world.server.handle().stats().unauthorized - refused;
    assert!((1..=40).contains(&refused), "{refused} requests were refused");
    let requests = world.server.handle().requests();
    let calls = requests.iter().filter(|one| one.tool.as_deref() == Some("whoami")).count();
    assert!((20..=40).contains(&calls), "{calls} requests for twenty calls");
}

#[tokio::test]
async fn a_token_is_renewed_for_an_idle_bridge_and_for_nobody_else() {
    let world = World::new().await;
    world.issuer.handle().set(|knobs| knobs.access_token_lifetime = 3);
    world.add_server().await;
    world.login("ana", &[]).await.ok();
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(stats(&world).refresh_requests, 0, "nobody uses it");
    // The one that the bridge's start costs, and one ahead of time: two seconds before it would end.
    world.issuer.handle().set(|knobs| knobs.access_token_lifetime = 10);
    let refused = world.server.handle().stats().unauthorized;
    let mut host = world.host("cursor").await;
    eventually("renewals", async || (stats(&world).refreshes >= 2).then_some(())).await;
    assert_eq!(whoami(&host).await.unwrap(), "ana");
    assert_eq!(world.server.handle().stats().unauthorized, refused);
    // From here on each would be due after two seconds.
    world.issuer.handle().set(|knobs| knobs.access_token_lifetime = 3);
    eventually("a token that is short again", async || (stats(&world).refreshes >= 3).then_some(())).await;
    host.close().await.unwrap();
    eventually("the end of the session", async || {
        (world.status().await["sessions"] == json!([])).then_some(())
    })
    .await;
    let at_the_end = stats(&world).refreshes;
    tokio::time::sleep(Duration::from_secs(8)).await;
    // One may have been under way.
    assert!(stats(&world).refreshes <= at_the_end + 1, "{:?}", stats(&world));
    assert_eq!(stats(&world).families_revoked, 0);
}

#[tokio::test]
async fn an_answer_that_decides_nothing_loses_nothing() {
    let faults = [
        TokenFault::Status(500),
        TokenFault::TooManyRequests(1),
        TokenFault::Html,
        TokenFault::Truncated,
        TokenFault::DropBefore,
    ];
    let side_by_side = async {
        let mut worlds = JoinSet::new();
        for fault in faults {
            worlds.spawn_local(keeps_the_old_token(fault));
        }
        worlds.join_all().await
    };
    tokio::task::LocalSet::new().run_until(side_by_side).await;
}

/// The fault meets every refresh until the token has ended; then it goes away.
async fn keeps_the_old_token(fault: TokenFault) {
    let world = World::new().await;
    world.issuer.handle().set(|knobs| knobs.access_token_lifetime = 12);
    world.add_server().await;
    world.login("ana", &[]).await.ok();
    let host = world.host("cursor").await;
    let before = stats(&world);
    world.issuer.handle().set(|knobs| {
        knobs.token_fault = Some(fault.clone());
        knobs.token_fault_on = TokenRequests::Refreshes;
    });
    eventually("a renewal that fails", async || {
        (stats(&world).refresh_requests > before.refresh_requests).then_some(())
    })
    .await;
    let ends = world.state()["grants"][0]["expires_at"].as_u64().expect("a lifetime");
    match whoami(&host).await {
        Ok(person) => assert_eq!(person, "ana"),
        Err(error) => assert!(now() + 1 >= ends, "the old token still lives under {fault:?}: {error}"),
    }
    let said = eventually("the end of the old token", async || match whoami(&host).await {
        Ok(person) => {
            assert_eq!(person, "ana");
            None
        }
        Err(error) => Some(error.to_string()),
    })
    .await;
    assert!(!said.contains("hallpass login"), "{fault:?}: {said}");
    assert_eq!(world.run(&["status"]).await.code, 0, "{fault:?} is no reason to sign in again");
    world.issuer.handle().set(|knobs| knobs.token_fault = None);
    let person = eventually("a renewal after the fault", async || whoami(&host).await.ok()).await;
    assert_eq!(person, "ana");
    assert_eq!((stats(&world).families_revoked, stats(&world).reuse_detections), (0, 0), "{fault:?}");
    assert_eq!(stats(&world).code_exchanges, 1, "nobody signed in again");
}

#[tokio::test]
async fn an_outage_of_the_issuer_loses_nothing() {
    let World { sandbox, issuer, server } = World::new().await;
    let mut world = World { sandbox, issuer, server };
    world.issuer.handle().set(|knobs| knobs.access_token_lifetime = 4);
    world.add_server().await;
    world.login("ana", &[]).await.ok();
    let host = world.host("cursor").await;
    let handle = world.issuer.handle().clone();
    let elsewhere = testbed::authorization_server::AuthorizationServer::start().await.unwrap();
    drop(std::mem::replace(&mut world.issuer, elsewhere));
    eventually("the end of the old token", async || whoami(&host).await.err()).await;
    assert_eq!(world.run(&["status"]).await.code, 0);
    world.issuer = testbed::authorization_server::AuthorizationServer::restart(&handle).await.unwrap();
    let person = eventually("a renewal after the outage", async || whoami(&host).await.ok()).await;
    assert_eq!(person, "ana");
    assert_eq!(handle.stats().families_revoked, 0);
}

#[tokio::test]
async fn an_answer_for_another_person_is_revoked_and_never_handed_out() {
    let world = World::new().await;
    world.issuer.handle().set(|knobs| {
        knobs.access_token_lifetime = 3600;
        knobs.refresh_as = Some("ben".to_owned());
    });
    world.add_server().await;
    world.login("ana", &[]).await.ok();
    let host = world.host("cursor").await;
    assert_eq!(whoami(&host).await.unwrap(), "ana");
    world.issuer.handle().expire_access_tokens();
    let said = refusal(&host).await;
    assert!(said.contains("another person") && said.contains("hallpass login"), "{said}");
    refusal(&host).await;
    assert!(world.server.handle().requests().iter().all(|one| one.person.as_deref() != Some("ben")));
    assert!(stats(&world).revocations >= 1);
    assert_eq!(stats(&world).refresh_requests, 1);
    assert_eq!(world.run(&["status"]).await.code, 4);
    world.issuer.handle().set(|knobs| knobs.refresh_as = None);
    world.login("ana", &[]).await.ok();
    assert_eq!(whoami(&host).await.unwrap(), "ana");
}

#[tokio::test]
async fn a_sign_in_that_the_issuer_ended_is_said_once_and_clearly() {
    let world = signed_in().await;
    let host = world.host("cursor").await;
    assert_eq!(whoami(&host).await.unwrap(), "ana");
    world.issuer.handle().revoke_person("ana");
    let said = refusal(&host).await;
    assert!(said.contains("ended this sign-in") && said.contains("hallpass login"), "{said}");
    for _ in 0..3 {
        refusal(&host).await;
    }
    assert_eq!(stats(&world).refresh_requests, 1, "a verdict is not asked for twice");
    let status = world.run(&["status"]).await.fails(4);
    assert!(status.err.contains("next: hallpass login"), "{status:?}");
    assert_eq!(world.status().await["servers"][0]["state"], "needs_sign_in");
    world.login("ana", &[]).await.ok();
    assert_eq!(whoami(&host).await.unwrap(), "ana");
}

#[tokio::test]
async fn an_answer_that_is_lost_after_the_rotation_is_tried_once_more_and_then_said() {
    let world = signed_in().await;
    let host = world.host("cursor").await;
    world.issuer.handle().set(|knobs| {
        knobs.token_fault = Some(TokenFault::DropAfter);
        knobs.token_fault_on = TokenRequests::Refreshes;
        knobs.token_fault_times = Some(1);
    });
    world.issuer.handle().expire_access_tokens();
    let said = refusal(&host).await;
    assert!(said.contains("hallpass login"), "{said}");
    refusal(&host).await;
    let seen = stats(&world);
    assert_eq!((seen.refresh_requests, seen.rotations, seen.answers_lost), (2, 1, 1));
    assert_eq!(seen.families_revoked, 1);
    world.run(&["status"]).await.fails(4);
    world.login("ana", &[]).await.ok();
    assert_eq!(whoami(&host).await.unwrap(), "ana");
}

#[tokio::test]
async fn a_lost_answer_heals_where_the_issuer_forgives() {
    let world = signed_in().await;
    let host = world.host("cursor").await;
    world.issuer.handle().set(|knobs| {
        knobs.token_fault = Some(TokenFault::DropAfter);
        knobs.token_fault_on = TokenRequests::Refreshes;
        knobs.token_fault_times = Some(1);
        knobs.reuse_grace = 60;
    });
    world.issuer.handle().expire_access_tokens();
    assert_eq!(whoami(&host).await.unwrap(), "ana");
    let seen = stats(&world);
    assert_eq!((seen.refresh_requests, seen.answers_lost, seen.families_revoked), (2, 1, 0));
}

#[tokio::test]
async fn a_refresh_token_that_somebody_else_has_used_is_said_once() {
    let world = signed_in().await;
    let host = world.host("cursor").await;
    let secrets = world.issuer.handle().secrets();
    let stolen = secrets.iter().rfind(|secret| secret.kind == SecretKind::RefreshToken).unwrap();
    let registration = world.issuer.handle().registrations().pop().unwrap();
    let form = format!(
        "grant_type=refresh_token&refresh_token={}&client_id={}&resource={}",
        stolen.value.expose(),
        registration.id,
        world.server.endpoint()
    );
    assert!(post_form(world.issuer.issuer(), &form).await.starts_with("HTTP/1.1 200"));
    world.issuer.handle().expire_access_tokens();
    let said = refusal(&host).await;
    assert!(said.contains("ended this sign-in") && said.contains("hallpass login"), "{said}");
    assert_eq!((stats(&world).refresh_requests, stats(&world).families_revoked), (2, 1));
    world.run(&["status"]).await.fails(4);
}

#[tokio::test]
async fn a_renewal_that_is_refused_after_a_sign_out_leaves_the_next_sign_in_alone() {
    let world = signed_in().await;
    let host = world.host("cursor").await;
    world.issuer.handle().set(|knobs| {
        knobs.token_fault = Some(TokenFault::PauseBefore);
        knobs.token_fault_on = TokenRequests::Refreshes;
        knobs.token_fault_times = Some(1);
    });
    world.issuer.handle().expire_access_tokens();
    let _call = host.send("tools/call", json!({"name": "whoami", "arguments": {}})).await.unwrap();
    world.issuer.handle().wait_until_paused(1).await;
    world.issuer.handle().revoke_person("ana");
    let logout = ["logout", SERVER];
    let meanwhile = async {
        eventually("the sign-out", async || nobody(&world).then_some(())).await;
        world.login("ana", &[]).await.ok();
        world.issuer.handle().release();
    };
    let (logout, ()) = tokio::join!(world.run(&logout), meanwhile);
    logout.ok();
    assert_eq!(eventually("ana", async || whoami(&host).await.ok()).await, "ana");
    world.run(&["status"]).await.ok();
}

#[tokio::test]
async fn a_sign_out_while_a_renewal_waits_for_the_keychain_ends_the_newest_tokens_too() {
    let world = signed_in().await;
    let host = world.host("cursor").await;
    world.issuer.handle().set(|knobs| {
        knobs.token_fault = Some(TokenFault::PauseAfter);
        knobs.token_fault_on = TokenRequests::Refreshes;
        knobs.token_fault_times = Some(1);
    });
    world.issuer.handle().expire_access_tokens();
    let _call = host.send("tools/call", json!({"name": "whoami", "arguments": {}})).await.unwrap();
    world.issuer.handle().wait_until_paused(1).await;
    world.sandbox.lock_keychain().unwrap();
    world.issuer.handle().release();
    eventually("a set that waits", async || (world.status().await["agent"]["unsaved"] == 1).then_some(()))
        .await;
    let told = world.run(&["logout", SERVER]).await.ok();
    assert!(told.err.contains("could not be told yet"), "{told:?}");
    assert_eq!(world.status().await["agent"]["unsaved"], 1, "the issuer has not heard of it");
    world.sandbox.unlock_keychain().unwrap();
    eventually("the revocation", async || {
        world.state()["revocations"].as_array().is_none_or(Vec::is_empty).then_some(())
    })
    .await;
    let newest = world.issuer.handle().secrets();
    let newest = newest.iter().rfind(|secret| secret.kind == SecretKind::AccessToken).unwrap();
    assert!(world.issuer.handle().introspect(newest.value.expose()).unwrap().revoked);
    assert_eq!(world.status().await["agent"]["unsaved"], 0);
}

#[tokio::test]
async fn a_keychain_that_locks_between_answer_and_save_loses_no_login() {
    let world = signed_in().await;
    let host = Arc::new(world.host("cursor").await);
    world.issuer.handle().set(|knobs| {
        knobs.token_fault = Some(TokenFault::PauseAfter);
        knobs.token_fault_on = TokenRequests::Refreshes;
        knobs.token_fault_times = Some(1);
    });
    world.issuer.handle().expire_access_tokens();
    let caller = Arc::clone(&host);
    let call = tokio::spawn(async move { whoami(&caller).await });
    world.issuer.handle().wait_until_paused(1).await;
    world.sandbox.lock_keychain().unwrap();
    world.issuer.handle().release();
    let said = call.await.unwrap().unwrap_err().to_string();
    assert!(said.to_lowercase().contains("keychain") && said.contains("unlock"), "{said}");
    let status = world.run(&["status", "--json"]).await.fails(7).json();
    assert_eq!(status["agent"]["unsaved"], 1, "{status}");
    let pid = world.agent_pid().await;
    let refused = world.run(&["agent", "stop"]).await.fails(7);
    assert!(refused.err.contains("not in the keychain yet"), "{refused:?}");
    world.sandbox.unlock_keychain().unwrap();
    eventually("the save", async || (world.status().await["agent"]["unsaved"] == 0).then_some(())).await;
    assert_eq!(world.agent_pid().await, pid);
    assert_eq!(eventually("ana", async || whoami(&host).await.ok()).await, "ana");
    let seen = stats(&world);
    assert_eq!((seen.refreshes, seen.families_revoked, seen.code_exchanges), (1, 0, 1));
    world.run(&["agent", "stop"]).await.ok();
    assert_eq!(whoami(&host).await.unwrap(), "ana", "the next agent reads what this one saved");
    assert_eq!(stats(&world).refreshes, 1);
}

#[tokio::test]
async fn what_could_not_be_saved_is_saved_though_nobody_uses_it_and_the_agent_is_told_to_stop() {
    let world = signed_in().await;
    let mut host = world.host("cursor").await;
    world.issuer.handle().set(|knobs| {
        knobs.token_fault = Some(TokenFault::PauseAfter);
        knobs.token_fault_on = TokenRequests::Refreshes;
        knobs.token_fault_times = Some(1);
    });
    world.issuer.handle().expire_access_tokens();
    let _call = host.send("tools/call", json!({"name": "whoami", "arguments": {}})).await.unwrap();
    world.issuer.handle().wait_until_paused(1).await;
    host.kill().await.unwrap();
    // Nothing is unsaved yet, so it is not refused; but the answer is still to come.
    let stop = world.run(&["agent", "stop"]);
    let meanwhile = async {
        let address = world.root().join("run/socket");
        eventually("an agent that listens no more", async || (!address.exists()).then_some(())).await;
        world.sandbox.lock_keychain().unwrap();
        world.issuer.handle().release();
        tokio::time::sleep(Duration::from_millis(1500)).await;
        world.sandbox.unlock_keychain().unwrap();
    };
    let (stopped, ()) = tokio::join!(stop, meanwhile);
    stopped.ok();
    let host = world.host("cursor").await;
    assert_eq!(whoami(&host).await.unwrap(), "ana");
    let seen = stats(&world);
    assert_eq!((seen.refreshes, seen.families_revoked, seen.code_exchanges), (1, 0, 1));
}

/// ana, with tokens that end only when a test says so.
async fn signed_in() -> World {
    let world = World::new().await;
    world.issuer.handle().set(|knobs| knobs.access_token_lifetime = 3600);
    world.add_server().await;
    world.login("ana", &[]).await.ok();
    world
}

/// Whether nobody is signed in, by the state on disk.
fn nobody(world: &World) -> bool {
    world.state()["grants"].as_array().is_none_or(Vec::is_empty)
}

fn stats(world: &World) -> Stats {
    world.issuer.handle().stats()
}

async fn twenty(world: &World) -> Vec<Arc<Host>> {
    let mut hosts = Vec::new();
    for index in 0..20 {
        let app = if index % 2 == 0 { "cursor" } else { "claude-desktop" };
        hosts.push(Arc::new(world.host_of(world.bridge(app, &[]), handshake())));
    }
    for host in &hosts {
        host.greet().await.expect("the bridge answers");
    }
    hosts
}

/// The counts while no renewal is near, and when the token ends (in seconds since 1970).
async fn settled(world: &World) -> (Stats, u64) {
    eventually("a token with a third of its life left", async || {
        let before = stats(world);
        let status = world.status().await;
        let ends = status["servers"][0]["grants"][0]["expires_at"].as_u64().expect("a lifetime");
        let far = ends > now() + 10 && stats(world).refresh_requests == before.refresh_requests;
        far.then_some((before, ends))
    })
    .await
}

/// Seconds since 1970.
fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs()
}

async fn call_until(host: Arc<Host>, over: Arc<AtomicBool>) {
    while !over.load(Ordering::SeqCst) {
        assert_eq!(whoami(&host).await.expect("no call fails"), "ana");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Posts a form to the token endpoint; answers all that comes back.
async fn post_form(issuer: &str, form: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let host = issuer.strip_prefix("http://").expect("the testbed has no TLS");
    let mut stream = tokio::net::TcpStream::connect(host).await.expect("it listens");
    let length = form.len();
    let request = format!(
        "POST /token HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {length}\r\n\r\n{form}"
    );
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it answers in text");
    answer
}
