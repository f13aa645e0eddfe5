//! How a Server is: paused and opened again, renewing, out of reach; and who hears of it.

use std::process::Stdio;

use serde_json::json;
use testbed::authorization_server::{TokenFault, TokenRequests};
use testbed::host::HostError;

use crate::support::people::{asked, eras, handshake, refusal, whoami};
use crate::support::{SERVER, World, eventually};

#[tokio::test]
async fn a_paused_server_is_closed_for_everybody_until_it_is_opened_again_and_keeps_its_sign_ins() {
    let world = World::with_ana().await;
    for era in eras() {
        let host = world.host_in(era, "cursor", &[]).await;
        assert_eq!(whoami(&host).await.unwrap(), "ana");
        let slow = world.slow_call(&host, 20_000).await;
        let paused = world.run(&["servers", "pause", SERVER, "--json"]).await.ok().json();
        assert_eq!((&paused["state"], &paused["paused"]), (&json!("paused"), &json!(true)));
        assert!(slow.result().await.is_err(), "a call under way ends");
        let seen = asked(&world);
        let said = refusal(&host).await;
        assert!(said.contains("paused by you") && said.contains("hallpass servers resume tickets"), "{said}");
        let read = host.send("resources/read", json!({"uri": "x:y"})).await.expect("the bridge reads");
        match read.result().await {
            Err(HostError::Rpc(error)) => assert_eq!(error["data"]["code"], "server_closed", "{error}"),
            other => panic!("nothing may be read, yet the answer is {other:?}"),
        }
        let newcomer = world.host_in(handshake(), "claude-desktop", &[]).await;
        assert!(refusal(&newcomer).await.contains("paused by you"));
        assert_eq!(asked(&world), seen, "nothing was sent");
        assert_eq!(world.run(&["status"]).await.code, 0, "nobody has to sign in");
        // An agent that starts anew still knows.
        world.run(&["agent", "stop"]).await.ok();
        assert!(refusal(&host).await.contains("paused by you"));
        let open = world.run(&["servers", "resume", SERVER, "--json"]).await.ok().json();
        assert_eq!((&open["state"], &open["paused"]), (&json!("connected"), &json!(false)));
        assert_eq!(whoami(&host).await.unwrap(), "ana");
        assert_eq!(whoami(&newcomer).await.unwrap(), "ana");
    }
    assert_eq!(world.issuer.handle().stats().revocations, 0);
    world.run(&["servers", "pause", "no-such"]).await.fails(1);
}

#[tokio::test]
async fn a_server_gets_another_label_and_keeps_its_id() {
    let world = World::with_ana().await;
    let named = world.run(&["servers", "rename", SERVER, " My\u{202e} tickets ", "--json"]).await.ok().json();
    assert_eq!((&named["label"], &named["id"]), (&json!("My tickets"), &json!(SERVER)));
    world.run(&["servers", "rename", SERVER, "\u{200b}"]).await.fails(2);
    assert_eq!(whoami(&world.host("cursor").await).await.unwrap(), "ana");
}

#[tokio::test]
async fn a_server_that_did_not_answer_is_shown_so_until_it_does() {
    let world = World::with_ana().await;
    world.server.handle().set(|knobs| knobs.status = Some(503));
    world.run(&["servers", "test", SERVER]).await.fails(6);
    let shown = world.run(&["servers", "show", SERVER, "--json"]).await.ok().json();
    assert_eq!(shown["state"], "unreachable");
    assert!(shown["trouble"].as_str().is_some_and(|text| text.contains("503")), "{shown}");
    assert!(!world.state().to_string().contains("503"), "it is not kept");
    world.server.handle().set(|knobs| knobs.status = None);
    world.run(&["servers", "test", SERVER]).await.ok();
    let shown = world.run(&["servers", "show", SERVER, "--json"]).await.ok().json();
    assert_eq!((&shown["state"], &shown["trouble"]), (&json!("connected"), &json!(null)));
}

#[tokio::test]
async fn what_only_a_bridge_runs_into_is_shown_until_it_goes_well_again() {
    let world = World::with_ana().await;
    for era in eras() {
        let host = world.host_in(era, "cursor", &[]).await;
        assert_eq!(whoami(&host).await.unwrap(), "ana");
        world.server.handle().set(|knobs| knobs.status = Some(503));
        assert!(whoami(&host).await.is_err());
        let shown = eventually("the trouble", async || {
            let server = world.status().await["servers"][0].clone();
            (server["state"] == "unreachable").then_some(server)
        })
        .await;
        assert_eq!(shown["trouble"], "it answered with HTTP status 503");
        let status = world.run(&["status"]).await.ok();
        assert!(status.out.contains("unreachable") && status.out.contains("HTTP status 503"), "{status:?}");
        // An agent that starts anew hears of it again.
        world.run(&["agent", "stop"]).await.ok();
        eventually("the trouble again", async || {
            (world.status().await["servers"][0]["trouble"] == shown["trouble"]).then_some(())
        })
        .await;
        world.server.handle().set(|knobs| knobs.status = None);
        assert_eq!(whoami(&host).await.unwrap(), "ana");
        eventually("its end", async || {
            let server = world.status().await["servers"][0].clone();
            (server["state"] == "connected" && server["trouble"] == json!(null)).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_renewal_is_seen_while_it_runs() {
    let world = World::new().await;
    world.issuer.handle().set(|knobs| knobs.access_token_lifetime = 4);
    world.add_server().await;
    world.login("ana", &[]).await.ok();
    let host = world.host("cursor").await;
    assert_eq!(whoami(&host).await.unwrap(), "ana");
    world.issuer.handle().set(|knobs| {
        knobs.token_fault = Some(TokenFault::PauseBefore);
        knobs.token_fault_on = TokenRequests::Refreshes;
        knobs.token_fault_times = Some(1);
        knobs.access_token_lifetime = 3600;
    });
    world.issuer.handle().wait_until_paused(1).await;
    let state = async || world.status().await["servers"][0]["state"].clone();
    eventually("a renewal", async || (state().await == "renewing").then_some(())).await;
    world.issuer.handle().release();
    eventually("its end", async || (state().await == "connected").then_some(())).await;
}

#[tokio::test]
async fn a_sign_in_under_way_is_shown_with_all_its_steps_to_whoever_looks_later() {
    let world = World::new().await;
    world.add_server().await;
    let mut waiting = world.hallpass(&["login", SERVER, "--no-browser", "--yes", "--timeout", "5m"]);
    waiting.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut waiting = tokio::process::Command::from(waiting).kill_on_drop(true).spawn().expect("it starts");
    let shown = eventually("the sign-in", async || {
        let sign_in = world.status().await["sign_ins"][0].clone();
        let last = sign_in["steps"].as_array().and_then(|steps| steps.last()).cloned().unwrap_or_default();
        (last["step"] == "open_browser").then_some(sign_in)
    })
    .await;
    assert_eq!(shown["server"], SERVER);
    assert_eq!(shown["steps"][0]["step"], "found", "{shown}");
    let seconds = |name: &str| shown[name].as_u64().expect("a time");
    assert_eq!(seconds("ends_at") - seconds("began_at"), 300);
    assert_eq!(shown["parked"], false);
    waiting.kill().await.expect("it is ours");
    eventually("that nobody attends it", async || {
        (world.status().await["sign_ins"][0]["parked"] == true).then_some(())
    })
    .await;
}

#[tokio::test]
async fn settings_are_kept_and_survive_what_a_newer_version_added() {
    let world = World::new().await;
    let get = async || world.run(&["config", "get", "--json"]).await.ok().json();
    assert_eq!((get().await["theme"].clone(), get().await["notify"].clone()), (json!("system"), json!(true)));
    world.run(&["config", "set", "theme", "dark"]).await.ok();
    world.run(&["agent", "stop"]).await.ok();
    let mut state = world.state();
    state["settings"]["from_the_future"] = json!([1]);
    std::fs::write(world.root().join("state/state.json"), state.to_string()).expect("it is ours");
    let set = world.run(&["config", "set", "notify", "off"]).await.ok();
    assert_eq!(set.out.trim(), "off");
    assert_eq!(world.state()["settings"]["from_the_future"], json!([1]));
    assert_eq!((get().await["theme"].clone(), get().await["notify"].clone()), (json!("dark"), json!(false)));
    world.run(&["config", "set", "notify", "dark"]).await.fails(2);
    let path = world.run(&["config", "path"]).await.ok();
    assert_eq!(path.out.trim(), world.root().display().to_string());
}
