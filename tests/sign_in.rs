//! Signing in.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::json;
use testbed::authorization_server::{
    AuthMethod, Availability, CallbackIssuer, Consent, ExpiresIn, IdTokenFault, Identity, Knobs, TokenFault,
    TokenRequests,
};

use crate::support::{SERVER, World, eventually};

#[tokio::test]
async fn two_people_sign_in_and_the_first_one_stays_selected() {
    let world = World::with_ana().await;
    let ben = world.login("ben", &["--json"]).await.ok().json();
    assert_eq!(ben["account"]["subject"], "ben");
    assert_eq!(ben["selected"], false);
    let status = world.run(&["status", "--json"]).await.ok().json();
    assert_eq!(status["servers"][0]["state"], "connected");
    assert_eq!(status["servers"][0]["selected"], world.account("ana").await.as_str());
    let host = world.host("cursor").await;
    assert_eq!(host.call_tool("whoami", json!({})).await.unwrap(), "ana");
    assert_eq!(world.issuer.handle().stats().families_revoked, 0);
    assert_eq!(world.state()["servers"][SERVER]["auth"], "oauth");
}

#[tokio::test]
async fn another_person_than_expected_overwrites_nothing_and_is_revoked() {
    let world = World::with_ana().await;
    let before = world.state();
    let ran = world.login("ben", &["--account", "ana"]).await.fails(1);
    assert!(ran.err.contains("signed in as ben@corp.example, expected ana@corp.example"), "{}", ran.err);
    let after = world.state();
    assert_eq!((&before["grants"], &before["accounts"]), (&after["grants"], &after["accounts"]));
    assert!(world.issuer.handle().stats().revocations >= 1, "what nobody wants is revoked");
    let host = world.host("cursor").await;
    assert_eq!(host.call_tool("whoami", json!({})).await.unwrap(), "ana");
    // The same with --expect, which counts for accounts that are new as well.
    let ran = world.login("ben", &["--expect", "ana@corp.example"]).await.fails(1);
    assert!(ran.err.contains("next: "), "{}", ran.err);
}

#[tokio::test]
async fn a_person_who_is_signed_in_already_is_never_revoked_by_a_refused_sign_in() {
    let world = World::with_ana_and_ben().await;
    world.login("ben", &["--account", "ana"]).await.fails(1);
    assert_eq!(world.issuer.handle().stats().revocations, 0);
    world.run(&["switch", SERVER, "ben"]).await.ok();
    let host = world.host("cursor").await;
    assert_eq!(host.call_tool("whoami", json!({})).await.unwrap(), "ben");
}

#[tokio::test]
async fn without_a_terminal_a_new_account_needs_expect_or_yes() {
    let world = World::new().await;
    world.add_server().await;
    let ran = world.login_with("--as ana", &["login", SERVER]).await.fails(2);
    assert!(ran.err.contains("--expect ana") && ran.err.contains("--yes"), "{}", ran.err);
    assert!(world.state()["grants"].as_array().is_none_or(Vec::is_empty));
    assert!(world.issuer.handle().stats().revocations >= 1);
    world.login_with("--as ana", &["login", SERVER, "--expect", "ana@corp.example"]).await.ok();
    // A known account needs neither.
    world.login_with("--as ana", &["login", SERVER]).await.ok();
    assert_eq!(world.state()["grants"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn what_the_issuer_does_wrong_ends_before_anything_is_bound() {
    let world = World::new().await;
    world.add_server().await;
    type Change = fn(&mut Knobs);
    let cases: [(&str, Change, &str); 9] = [
        ("consent denied", |k| k.consent = Consent::Deny, "declined"),
        ("wrong iss", |k| k.callback_issuer = CallbackIssuer::Wrong, "another authorization server"),
        ("iss promised and absent", |k| k.callback_issuer = CallbackIssuer::Absent, "does not say"),
        (
            "iss with a slash more",
            |k| k.callback_issuer = CallbackIssuer::ExtraSlash,
            "another authorization server",
        ),
        ("nonce of another sign-in", |k| k.id_token_fault = Some(IdTokenFault::Nonce), "who signed in"),
        ("id_token for somebody else", |k| k.id_token_fault = Some(IdTokenFault::Audience), "who signed in"),
        (
            "id_token with a forged signature",
            |k| k.id_token_fault = Some(IdTokenFault::Signature),
            "who signed in",
        ),
        ("token endpoint in trouble", |k| k.token_fault = Some(TokenFault::Status(500)), "usable answer"),
        ("token endpoint redirects", |k| k.token_fault = Some(TokenFault::Redirect), "redirects"),
    ];
    for (what, change, words) in cases {
        world.issuer.handle().set(change);
        let ran = world.login("ana", &[]).await;
        assert!(ran.code == 1 || ran.code == 6, "{what}: {ran:?}");
        assert!(ran.err.contains(words) && ran.err.contains("next: "), "{what}: {ran:?}");
        assert!(world.state()["grants"].as_array().is_none_or(Vec::is_empty), "{what}");
        assert!(world.state()["accounts"].as_object().is_none_or(serde_json::Map::is_empty), "{what}");
        world.issuer.handle().set(|k| *k = Knobs::default());
    }
    world.login("ana", &[]).await.ok();
}

#[tokio::test]
async fn metadata_that_name_another_issuer_or_no_pkce_are_not_used() {
    let world = World::new().await;
    world.add_server().await;
    for change in [
        (|k: &mut Knobs| k.metadata_issuer = Some("https://elsewhere.example".into())) as fn(&mut Knobs),
        |k| k.pkce_metadata = false,
    ] {
        world.issuer.handle().set(change);
        world.login("ana", &[]).await.fails(1);
        assert_eq!(world.issuer.handle().stats().authorization_requests, 0, "nobody was sent to a browser");
        world.issuer.handle().set(|k| *k = Knobs::default());
    }
}

#[tokio::test]
async fn a_refused_registration_says_that_an_administrator_must_register() {
    let world = World::new().await;
    world.add_server().await;
    for availability in [Availability::Absent, Availability::Refused] {
        world.issuer.handle().set(|k| k.registration = availability);
        let ran = world.login("ana", &[]).await.fails(1);
        assert!(ran.err.contains("--client-id"), "{}", ran.err);
    }
}

#[tokio::test]
async fn a_client_that_an_administrator_registered_is_used_with_its_secret() {
    for (auth, method) in [(AuthMethod::Basic, "basic"), (AuthMethod::Post, "post")] {
        let world = World::new().await;
        let handle = world.issuer.handle();
        handle.set(|k| {
            k.registration = Availability::Absent;
            k.any_loopback_port = true;
        });
        let registered = handle.preregister(&["http://127.0.0.1/callback"], auth);
        let secret = registered.secret.clone().expect("a confidential client has one");
        let more = ["--client-id", &registered.id, "--token-endpoint-auth", method];
        world.add_server_with_secret(&secret, &more).await.ok();
        world.login("ana", &[]).await.ok();
        assert_eq!(handle.stats().registrations, 0);
        let state = std::fs::read_to_string(world.root().join("state/state.json")).expect("it is there");
        assert!(!state.contains(&secret), "the secret lies in the keychain");
        // And again for the refresh, which must authenticate as well.
        handle.expire_access_tokens();
        let host = world.host("cursor").await;
        assert_eq!(host.call_tool("whoami", json!({})).await.unwrap(), "ana");
    }
}

#[tokio::test]
async fn an_issuer_that_forgot_us_is_registered_with_once_more() {
    let world = World::with_ana().await;
    let handle = world.issuer.handle();
    assert_eq!(handle.stats().registrations, 1);
    // Its token endpoint says so: registered anew within the same sign-in, and the person signs in twice.
    handle.set(|k| {
        k.token_fault = Some(TokenFault::InvalidClient);
        k.token_fault_on = TokenRequests::Codes;
        k.token_fault_times = Some(1);
    });
    let ran = world.login("ana", &[]).await.ok();
    assert!(ran.err.contains("registered anew"), "{}", ran.err);
    assert_eq!(handle.stats().registrations, 2);
    // Its page says so, to the browser alone: the next try is with a new registration.
    handle.forget_registrations();
    world.login("ana", &["--timeout", "10s"]).await.fails(1);
    world.login("ana", &[]).await.ok();
    assert_eq!(handle.stats().registrations, 3);
}

#[tokio::test]
async fn userinfo_proves_a_person_where_there_is_no_id_token() {
    let world = World::new().await;
    world.issuer.handle().set(|k| k.identity = Identity::UserinfoOnly);
    world.add_server().await;
    let ana = world.login("ana", &["--json"]).await.ok().json();
    assert_eq!((&ana["account"]["subject"], &ana["account"]["proof"]), (&json!("ana"), &json!("userinfo")));
}

#[tokio::test]
async fn an_account_that_nothing_proves_is_shown_so_and_renewed_only_with_a_word() {
    let world = World::new().await;
    world.issuer.handle().set(|k| k.identity = Identity::Nothing);
    world.add_server().await;
    world.login("ana", &["--as", "work"]).await.ok();
    let listed = world.run(&["accounts", "list"]).await.ok();
    assert!(listed.out.contains("work (unverified)"), "{}", listed.out);
    let id = world.run(&["accounts", "list", "--json"]).await.ok().json()["accounts"][0]["id"].clone();
    // `--yes` never answers "is this still the same person?".
    world.login("ana", &["--account", "work"]).await.fails(2);
    world.login("ana", &["--account", "work", "--same-person"]).await.ok();
    let accounts = world.run(&["accounts", "list", "--json"]).await.ok().json()["accounts"].clone();
    assert_eq!((accounts.as_array().map(Vec::len), &accounts[0]["id"]), (Some(1), &id));
    // Another unverified sign-in is somebody else.
    world.login("ana", &[]).await.ok();
    let accounts = world.run(&["accounts", "list", "--json"]).await.ok().json()["accounts"].clone();
    assert_eq!(accounts.as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn a_server_without_refresh_tokens_and_with_odd_lifetimes_is_told_as_it_is() {
    let world = World::new().await;
    world.issuer.handle().set(|k| k.refresh_tokens = false);
    world.add_server().await;
    world.issuer.handle().set(|k| k.access_token_lifetime = 39 * 86_400 + 3600);
    let ran = world.login("ana", &[]).await.ok();
    assert!(ran.err.contains("no refresh token: sign in again by 2"), "{}", ran.err);
    assert!(ran.err.contains(" UTC (in 39 days)"), "the day it ends: {}", ran.err);
    let told = world.login("ana", &["--json"]).await.ok().json();
    let (end, status) = (&told["ends_at"], world.status().await);
    let grant = &status["servers"][0]["grants"][0];
    assert!(end.is_u64() && grant["ends_at"].is_u64() && grant["ends_soon"] == false, "{told} {grant}");
    let shown = world.run(&["status"]).await.ok();
    assert!(shown.out.contains("signed in until 2") && shown.out.contains("cannot renew"), "{}", shown.out);
    world.issuer.handle().set(|k| k.expires_in = ExpiresIn::Absent);
    let ran = world.login("ana", &[]).await.ok();
    assert!(ran.err.contains("does not say when this sign-in ends"), "{}", ran.err);
    // It ends, and whoever looks is told so, whether a call was made since or not.
    world.issuer.handle().set(|k| (k.expires_in, k.access_token_lifetime) = (ExpiresIn::Right, 2));
    world.login("ana", &[]).await.ok();
    let over = eventually("its end", async || {
        let ran = world.run(&["status"]).await;
        (ran.code == 4).then_some(ran)
    });
    let over = over.await;
    assert!(over.out.contains("no refresh token that could renew it"), "{}", over.out);
    world.issuer.handle().set(|k| k.access_token_lifetime = 3600);
    for odd in [ExpiresIn::Absent, ExpiresIn::Negative, ExpiresIn::Text, ExpiresIn::Huge, ExpiresIn::Nonsense]
    {
        world.issuer.handle().set(|k| k.expires_in = odd);
        world.login("ana", &[]).await.ok();
    }
}

/// A browser that leaves a file, whose path is the answer, and goes nowhere.
fn idle_browser(world: &World, command: &mut Command) -> PathBuf {
    let opened = world.sandbox.root().join("opened");
    command.env("BROWSER", format!("touch {}", opened.display()));
    opened
}

#[tokio::test]
async fn a_browser_that_never_comes_back_and_a_cancelled_sign_in_leave_nothing() {
    let world = World::new().await;
    world.add_server().await;
    let mut command = world.hallpass(&["login", SERVER, "--yes", "--timeout", "5s"]);
    command.env("BROWSER", "true");
    let ran = world.finish(command).await.fails(1);
    assert!(ran.err.contains("did not come back"), "{}", ran.err);

    let mut command = world.hallpass(&["login", SERVER, "--yes"]);
    let opened = idle_browser(&world, &mut command);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let child = tokio::process::Command::from(command).kill_on_drop(true).spawn().expect("it starts");
    eventually("the browser", async || opened.exists().then_some(())).await;
    let pid = child.id().expect("it runs").to_string();
    let interrupted =
        std::process::Command::new("kill").args(["-INT", &pid]).status().expect("kill is there");
    assert!(interrupted.success());
    let ended = child.wait_with_output().await.expect("it ends");
    assert_eq!(ended.status.code(), Some(130), "{ended:?}");
    // The next one is not in its way.
    world.login("ana", &[]).await.ok();
}

#[tokio::test]
async fn a_killed_login_frees_the_server_for_the_next_one() {
    let world = World::new().await;
    world.add_server().await;
    let mut command = world.hallpass(&["login", SERVER, "--yes"]);
    let opened = idle_browser(&world, &mut command);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = tokio::process::Command::from(command).kill_on_drop(true).spawn().expect("it starts");
    eventually("the browser", async || opened.exists().then_some(())).await;
    child.kill().await.expect("it can be killed");
    eventually("the next sign-in", async || {
        let ran = world.login("ana", &[]).await;
        (ran.code == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn signing_out_revokes_and_what_cannot_be_told_now_is_told_later() {
    let world = World::with_ana_and_ben().await;
    let handle = world.issuer.handle();
    world.run(&["logout", SERVER, "--account", "ben"]).await.ok();
    assert!(handle.stats().revocations >= 1);
    assert_eq!(world.run(&["logout", SERVER, "--account", "ben"]).await.code, 1);
    handle.set(|k| k.revocation = Availability::Unavailable);
    let ran = world.run(&["logout", SERVER]).await.ok();
    assert!(ran.err.contains("could not be told yet"), "{}", ran.err);
    assert_eq!(world.state()["revocations"].as_array().map(Vec::len), Some(1));
    let status = world.run(&["status"]).await.fails(4);
    assert!(status.out.contains("signed out"), "{}", status.out);
}

#[tokio::test]
async fn a_rotated_answer_that_is_lost_at_the_sign_in_binds_nobody() {
    let world = World::new().await;
    world.add_server().await;
    world.issuer.handle().set(|k| {
        k.token_fault = Some(TokenFault::DropAfter);
        k.token_fault_on = TokenRequests::Codes;
        k.token_fault_times = Some(1);
    });
    world.login("ana", &[]).await.fails(6);
    assert!(world.state()["grants"].as_array().is_none_or(Vec::is_empty));
    world.login("ana", &[]).await.ok();
}
