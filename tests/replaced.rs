//! Signing in again: what the newer sign-in has replaced does not live on at the issuer, and the newer one does.

use testbed::authorization_server::{Availability, SecretKind};

use crate::support::people::{text_of, whoami};
use crate::support::process::signal;
use crate::support::{SERVER, World, eventually};

/// The refresh tokens that the issuer has given so far, oldest first.
fn refresh_tokens(world: &World) -> Vec<String> {
    let issued = world.issuer.handle().secrets();
    let refresh = issued.iter().filter(|one| one.kind == SecretKind::RefreshToken);
    refresh.map(|one| one.value.expose().to_owned()).collect()
}

#[tokio::test]
async fn a_replaced_refresh_token_is_revoked_after_the_new_one_is_safe() {
    let world = World::with_ana().await;
    let issuer = world.issuer.handle();
    let host = world.host("cursor").await;
    assert_eq!(whoami(&host).await.unwrap(), "ana");
    let old = refresh_tokens(&world);
    // The agent dies when the new tokens lie in the keychain and nothing else is done: neither is revoked.
    world.plant_fault("sign-in.saved");
    world.login("ana", &["--account", "ana"]).await.fails(9);
    assert_eq!(issuer.stats().revocations, 0, "never before the new one is safe");
    let ran = world.login("ana", &["--account", "ana"]).await.ok();
    assert!(!ran.err.contains("once more"), "{ran:?}");
    assert!(issuer.stats().revocations > 0, "the replaced one is revoked");
    let alive = |token: &String| issuer.is_alive(token);
    assert!(!old.iter().any(alive), "none of the first sign-in");
    assert_eq!(whoami(&host).await.unwrap(), "ana");
    issuer.expire_access_tokens();
    // The bridge's token and the newer one that the agent has meanwhile are both refused: it renews at the next call.
    let renewed = eventually("the new one to renew itself", async || whoami(&host).await.ok()).await;
    assert_eq!(renewed, "ana");
    assert_eq!(issuer.stats().reuse_detections, 0);
    let state = world.state();
    assert!(state["revocations"].as_array().is_none_or(Vec::is_empty), "{}", state["revocations"]);
}

/// It might end the new sign-in along, and nobody is there later who could sign in once more.
#[tokio::test]
async fn an_issuer_that_cannot_be_told_now_is_not_told_behind_somebodys_back() {
    let world = World::with_ana().await;
    let issuer = world.issuer.handle();
    issuer.set(|knobs| knobs.revocation = Availability::Unavailable);
    world.login("ana", &["--account", "ana"]).await.ok();
    let noted = world.state()["revocations"].clone();
    assert_eq!((noted.as_array().map(Vec::len), &noted[0]["replaced"]), (Some(1), &true.into()), "{noted}");
    issuer.set(|knobs| (knobs.revocation, knobs.revocation_ends_all) = (Availability::Open, true));
    let told = issuer.stats().revocations;
    // Another agent finds what is noted.
    signal(world.agent_pid().await, "KILL");
    eventually("an end", async || {
        world.run(&["status"]).await;
        world.state()["revocations"].as_array().is_none_or(Vec::is_empty).then_some(())
    })
    .await;
    assert_eq!(issuer.stats().revocations, told);
    let host = world.host("cursor").await;
    issuer.expire_access_tokens();
    assert_eq!(eventually("ana", async || whoami(&host).await.ok()).await, "ana");
}

#[tokio::test]
async fn an_issuer_that_ends_everything_along_costs_one_more_sign_in_and_never_a_second_one() {
    let world = World::with_ana().await;
    let issuer = world.issuer.handle();
    issuer.set(|knobs| knobs.revocation_ends_all = true);
    let before = issuer.stats().authorization_requests;
    let ran = world.login("ana", &["--account", "ana"]).await.ok();
    assert!(ran.err.contains("please sign in once more"), "{ran:?}");
    assert_eq!(issuer.stats().authorization_requests, before + 2);
    let host = world.host("cursor").await;
    assert_eq!(whoami(&host).await.unwrap(), "ana", "nobody lost a login");
    let (revoked, asked) = (issuer.stats().revocations, issuer.stats().authorization_requests);
    let ran = world.login("ana", &["--account", "ana"]).await.ok();
    assert!(!ran.err.contains("once more"), "{ran:?}");
    let now = issuer.stats();
    assert_eq!((now.revocations, now.authorization_requests), (revoked, asked + 1), "it is known by now");
    issuer.expire_access_tokens();
    assert_eq!(eventually("ana", async || whoami(&host).await.ok()).await, "ana");
}

#[tokio::test]
async fn what_became_of_a_revocation_is_said_as_it_is() {
    for (manner, words) in [
        (Availability::Absent, "offers no revocation"),
        (Availability::Refused, "refused to revoke"),
        (Availability::Unavailable, "could not be told yet"),
    ] {
        let world = World::new().await;
        world.issuer.handle().set(|knobs| knobs.revocation = manner);
        world.add_server().await;
        world.login("ana", &[]).await.ok();
        let ran = world.run(&["logout", SERVER]).await.ok();
        let all = ["offers no revocation", "refused to revoke", "could not be told yet"];
        for other in all {
            assert_eq!(ran.err.contains(other), other == words, "{manner:?}: {ran:?}");
        }
    }
}

#[tokio::test]
async fn calls_that_drain_end_when_their_person_is_signed_out_and_nobody_elses_do() {
    let world = World::with_ana_and_ben().await;
    let host = world.host("cursor").await;
    let of_ana = world.slow_call(&host, 60_000).await;
    world.switch(&world.account("ben").await).await;
    assert_eq!(whoami(&host).await.unwrap(), "ben");
    let of_ben = world.slow_call(&host, 3_000).await;
    world.run(&["logout", SERVER, "--account", "ana"]).await.ok();
    let error = of_ana.result().await.expect_err("it is given up").to_string();
    assert!(error.contains("signed out"), "one clear error: {error}");
    assert_eq!(text_of(of_ben).await, "ben", "his call ends as it began");
    assert_eq!(whoami(&host).await.unwrap(), "ben");
    assert!(host.garbage().is_empty(), "{:?}", host.garbage());
}

#[tokio::test]
async fn a_userinfo_endpoint_that_refuses_is_named_before_anybody_wonders() {
    let world = World::new().await;
    world.issuer.handle().set(|knobs| {
        knobs.identity = testbed::authorization_server::Identity::UserinfoOnly;
        knobs.userinfo = Availability::Refused;
    });
    world.add_server().await;
    let ran = world.run(&["servers", "test", SERVER]).await.ok();
    assert!(ran.out.contains("identity   will be proven by"), "{ran:?}");
    world.login("ana", &["--as", "work"]).await.ok();
    for command in [&["servers", "test", SERVER][..], &["doctor"]] {
        let ran = world.run(command).await;
        let said = format!("{}{}", ran.out, ran.err);
        assert!(
            said.contains("asked who work is, the issuer's userinfo endpoint refuses its token (status 40"),
            "{ran:?}"
        );
    }
    world.issuer.handle().set(|knobs| knobs.userinfo = Availability::Open);
    let ran = world.run(&["servers", "test", SERVER]).await.ok();
    assert!(!ran.err.contains("refuses its token"), "{ran:?}");
}
