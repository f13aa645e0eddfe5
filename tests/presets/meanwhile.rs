//! What happens beside a list: somebody changes something between plan and yes, its server hangs or freezes it.

use std::process::Stdio;

use ipc::{ErrorCode, Request, Response};
use serde_json::json;
use testbed::file_server::Page;
use tokio::net::TcpListener;
use tokio::process::Command;

use super::lab::{LIST, Lab, PATH, followed};
use crate::support::SERVER;
use crate::support::control::Control;
use crate::support::people::whoami;

#[tokio::test]
async fn nothing_is_done_when_something_has_changed_between_plan_and_yes() {
    let lab = Lab::new().await;
    let world = &lab.world;
    lab.publish(&lab.list(1)).await;
    lab.subscribe(world, &["--yes"]).await.ok();
    let moved = lab.another_server().await;
    lab.publish(&lab.list_of(2, &[lab.entry(&moved.endpoint())])).await;
    let mut control = Control::open(world).await;
    let plan = |answer: Response| match answer {
        Response::PresetPlan(plan) => plan.digest,
        other => panic!("no plan: {other:?}"),
    };
    let update = Request::PlanPresetUpdate { preset: LIST.to_owned(), bring_back: Vec::new() };
    // A server that the plan speaks of is gone.
    let digest = plan(control.ask(update.clone()).await.unwrap());
    world.run(&["servers", "remove", SERVER]).await.ok();
    let state = world.state();
    let refused = control.ask(Request::ApplyPreset { digest: digest.clone() }).await.unwrap_err();
    assert_eq!((refused.code, refused.code.exit_code()), (ErrorCode::ChangedOutside, 8), "{refused}");
    assert!(refused.message.contains("nothing was done") && !refused.hint.is_empty(), "{refused}");
    assert_eq!(world.state(), state);
    let again = control.ask(Request::ApplyPreset { digest }).await.unwrap_err();
    assert_eq!(again.code, ErrorCode::ChangedOutside, "a plan is good for one yes: {again}");
    // A newer list was seen meanwhile.
    let digest = plan(control.ask(update.clone()).await.unwrap());
    lab.publish(&lab.list_of(3, &[lab.entry(&moved.endpoint())])).await;
    world.run(&["presets", "update", "--dry-run"]).await.ok();
    let refused = control.ask(Request::ApplyPreset { digest }).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::ChangedOutside, "{refused}");
    // The list is not followed any more.
    let digest = plan(control.ask(update.clone()).await.unwrap());
    world.run(&["presets", "remove", LIST]).await.ok();
    let refused = control.ask(Request::ApplyPreset { digest }).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::ChangedOutside, "{refused}");
    assert_eq!(world.run(&["presets", "list", "--json"]).await.ok().json()["presets"], json!([]));
}

#[tokio::test]
async fn a_list_that_hangs_delays_no_other_list_and_nobody_s_call() {
    let lab = Lab::new().await;
    let world = &lab.world;
    lab.publish(&lab.list(1)).await;
    lab.subscribe(world, &["--yes"]).await.ok();
    lab.login(world, "ana", SERVER).await.ok();
    let host = world.host("cursor").await;
    let hole = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/list", hole.local_addr().unwrap());
    let serial = |n: u64| lab.list_of(n, &[lab.entry(&lab.server.endpoint()), other(&lab, n)]);
    for (n, verb) in ["update", "subscribe", "list", "call", "remove"].into_iter().enumerate() {
        let n = u64::try_from(n).unwrap() + 2;
        lab.publish(&serial(n)).await;
        let mut hanging = world.hallpass(&["presets", "subscribe", &url, "--dry-run"]);
        hanging.stdout(Stdio::null()).stderr(Stdio::null());
        let mut hanging = Command::from(hanging).kill_on_drop(true).spawn().unwrap();
        let (_held, _) = hole.accept().await.unwrap();
        match verb {
            "update" => drop(lab.update(world, &["--yes"]).await.ok()),
            "subscribe" => drop(lab.subscribe(world, &["--yes"]).await.ok()),
            "list" => assert_eq!(followed(world).await["serial"], 3),
            "call" => assert_eq!(whoami(&host).await.unwrap(), "ana"),
            _ => drop(world.run(&["presets", "remove", LIST]).await.ok()),
        }
        assert!(hanging.try_wait().unwrap().is_none(), "{verb} came only after the list that hangs");
        hanging.kill().await.unwrap();
    }
}

#[tokio::test]
async fn a_list_that_is_followed_and_hangs_can_be_left_and_delays_no_other_one() {
    let lab = Lab::new().await;
    let world = &lab.world;
    lab.publish(&lab.list(1)).await;
    lab.subscribe(world, &["--yes"]).await.ok();
    let hole = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.run(&["agent", "stop"]).await.ok();
    let mut state = world.state();
    state["presets"][LIST]["source"] = json!(format!("https://{}/list", hole.local_addr().unwrap()));
    std::fs::write(world.root().join("state/state.json"), state.to_string()).unwrap();
    let mut hanging = world.hallpass(&["presets", "update", LIST]);
    hanging.stdout(Stdio::null()).stderr(Stdio::null());
    let mut hanging = Command::from(hanging).kill_on_drop(true).spawn().unwrap();
    let (held, _) = hole.accept().await.unwrap();
    world.run(&["presets", "remove", LIST]).await.ok();
    lab.subscribe(world, &["--yes"]).await.ok();
    assert!(hanging.try_wait().unwrap().is_none(), "the others came only after the list that hangs");
    // Whatever comes of the old question changes nothing of the new subscription.
    drop(held);
    assert!(!hanging.wait().await.unwrap().success());
    let now = followed(world).await;
    assert_eq!((&now["serial"], &now["problem"]), (&json!(1), &json!(null)), "{now}");
}

#[tokio::test]
async fn not_modified_keeps_the_ratchet_and_a_frozen_list_is_shown_when_it_has_ended() {
    let lab = Lab::new().await;
    let world = &lab.world;
    let bytes = serde_json::to_vec(&lab.list(5)).unwrap();
    lab.publish_bytes(&bytes);
    lab.files.put(PATH, Page::json(&bytes[..]).header("etag", "\"five\""));
    lab.subscribe(world, &["--yes"]).await.ok();
    let ratchet = |state: &serde_json::Value| {
        let seen = &state["presets"][LIST]["seen"];
        json!([seen["serial"], seen["sha256"], seen["keys"], seen["etag"], seen["expires"]])
    };
    let before = ratchet(&world.state());
    // From now on whoever serves it says that nothing has changed.
    lab.files.put(PATH, Page::status(304).header("etag", "\"five\""));
    for _ in 0..2 {
        assert!(lab.update(world, &[]).await.ok().out.contains("nothing to change"));
        assert_eq!(ratchet(&world.state()), before);
        world.run(&["agent", "stop"]).await.ok();
    }
    let old = serde_json::to_vec(&lab.list(4)).unwrap();
    lab.publish_bytes(&old);
    assert!(lab.update(world, &["--yes"]).await.fails(1).err.contains("older list"));
    assert_eq!(ratchet(&world.state()), before);
    // The day comes on which it ends.
    world.run(&["agent", "stop"]).await.ok();
    let mut state = world.state();
    for seen in ["seen", "in_force"] {
        state["presets"][LIST][seen]["expires"] = json!(1_770_000_000);
    }
    std::fs::write(world.root().join("state/state.json"), state.to_string()).unwrap();
    lab.files.put(PATH, Page::status(304).header("etag", "\"five\""));
    lab.update(world, &[]).await.ok();
    let now = followed(world).await;
    assert_eq!((&now["stale"], &now["serial"]), (&json!(true), &json!(5)), "{now}");
    assert!(world.run(&["presets", "list"]).await.ok().out.contains("STALE"));
    let status = world.run(&["status"]).await;
    assert!(status.err.contains("is stale: ask its publisher"), "{status:?}");
    assert!(world.state()["servers"].get(SERVER).is_some(), "what came of it stays");
}

#[tokio::test]
async fn an_address_with_a_secret_is_not_kept() {
    let lab = Lab::new().await;
    let world = &lab.world;
    lab.publish(&lab.list(1)).await;
    let url = format!("{}?token=hunter2hunter2", lab.files.url(PATH));
    let ca = lab.give_authority(world);
    let args = ["presets", "subscribe", &url, "--key", &lab.key, "--ca", &ca, "--yes"];
    let refused = world.run(&args).await.fails(2);
    assert!(refused.err.contains("carries a secret") && !refused.err.contains("hunter2"), "{refused:?}");
    assert!(lab.files.asked().is_empty(), "nothing was sent");
    assert_eq!(world.run(&["presets", "list", "--json"]).await.ok().json()["presets"], json!([]));
}

/// Another entry, so that the list has something to say.
fn other(lab: &Lab, n: u64) -> serde_json::Value {
    let mut entry = lab.entry(&format!("https://other{n}.acme.example/mcp"));
    entry["server"]["name"] = json!("com.acme/other");
    entry
}
