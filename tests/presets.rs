//! Administrators' lists, end to end.

mod hostile;
mod lab;
mod meanwhile;
mod registration;
mod removed;

use serde_json::json;
use testbed::host::HostError;

use crate::support::people::{handshake, refusal, whoami};
use crate::support::{SERVER, World, eventually};
use lab::{LIST, Lab, TITLE, followed};

#[tokio::test]
async fn two_people_follow_a_list_and_each_calls_as_themselves_and_no_token_follows_a_moved_url() {
    let lab = Lab::new().await;
    lab.publish(&lab.list(1)).await;
    let (ana, ben) = (&lab.world, World::new().await);

    // Nothing is followed before somebody has said yes to what they saw.
    let shown = lab.subscribe(ana, &["--dry-run", "--json"]).await.ok().json();
    assert_eq!(shown["key_words"].as_str().map(|words| words.split(' ').count()), Some(8), "{shown}");
    assert_eq!((&shown["items"][0]["kind"], &shown["empty"]), (&json!("new"), &json!(false)));
    let refused = lab.subscribe(ana, &[]).await.fails(2);
    assert!(refused.err.contains("--yes") && refused.out.contains("com.acme/tools"), "{refused:?}");
    assert!(ana.run(&["presets", "list", "--json"]).await.ok().json()["presets"] == json!([]));
    let without =
        ana.run(&["presets", "subscribe", &lab.files.url(lab::PATH), "--key", &lab.key]).await.fails(6);
    assert!(without.err.contains("Acme Internal CA") && without.err.contains("--ca"), "{without:?}");

    for (world, person) in [(ana, "ana"), (&ben, "ben")] {
        lab.subscribe(world, &["--yes"]).await.ok();
        lab.login(world, person, SERVER).await.ok();
        let host = world.host("cursor").await;
        assert_eq!(whoami(&host).await.unwrap(), person);
    }
    let show = ana.run(&["servers", "show", SERVER]).await.ok();
    assert!(show.out.contains(TITLE) && show.out.contains("--ca"), "{show:?}");

    // The URL moves: a new server beside the old one, and nobody's token goes there.
    let running = ana.host("claude-desktop").await;
    let moved = lab.another_server().await;
    lab.publish(&lab.list_of(2, &[lab.entry(&moved.endpoint())])).await;
    for (world, person) in [(ana, "ana"), (&ben, "ben")] {
        let shown = lab.update(world, &[]).await.fails(2);
        assert!(shown.out.contains("MOVED") && shown.out.contains(&moved.endpoint()), "{shown:?}");
        assert_eq!(followed(world).await["serial"], 1, "it waits for a yes");
        lab.update(world, &["--yes"]).await.ok();
        let state = world.state();
        assert_eq!(state["grants"].as_array().unwrap().len(), 1);
        assert_eq!(state["grants"][0]["server"], SERVER, "the sign-in stays where it was");
        assert!(state["bindings"]["selection"].get("tickets-2").is_none(), "{}", state["bindings"]);
        let listed = world.run(&["servers", "show", SERVER, "--json"]).await.ok().json();
        assert_eq!(listed["lists"][0]["gone"], true, "{listed}");
        let host = world.host("cursor").await;
        assert_eq!(whoami(&host).await.unwrap(), person, "the old server goes on");
        let mut command = world.sandbox.bare_command(crate::support::executable());
        command.args(["bridge", "--app", "cursor", "--server", "tickets-2"]);
        let host = world.host_of(command, handshake());
        host.greet().await.unwrap();
        assert!(refusal(&host).await.contains("hallpass login"));
    }
    assert_eq!(whoami(&running).await.unwrap(), "ana");
    let bearing =
        |one: &testbed::mcp_server::Recorded| one.header_names.iter().any(|name| name == "authorization");
    assert!(!moved.handle().requests().iter().any(bearing), "{:?}", moved.handle().requests());

    // The ratchet survives the agent.
    ana.run(&["agent", "stop"]).await.ok();
    lab.publish(&lab.list(1)).await;
    let old = lab.update(ana, &["--yes"]).await.fails(1);
    assert!(old.err.contains("older list") && old.err.contains('2'), "{old:?}");
    assert_eq!(followed(ana).await["serial"], 2);

    // Without the list, its servers stay.
    ana.run(&["presets", "remove", LIST]).await.ok();
    let listed = ana.run(&["servers", "list", "--json"]).await.ok().json();
    let servers = listed["servers"].as_array().unwrap();
    assert_eq!(servers.len(), 2);
    assert!(
        servers.iter().all(|s| s["origin"]["kind"] == "hand-made" && s["lists"] == json!([])),
        "{listed}"
    );
    assert_eq!(whoami(&ana.host("cursor").await).await.unwrap(), "ana");

    // Nothing that was asked of the administrator's server tells who asked.
    for asked in lab.files.asked() {
        for name in ["authorization", "cookie", "referer"] {
            assert!(!asked.header_names.iter().any(|n| n == name), "{asked:?}");
        }
    }
}

#[tokio::test]
async fn a_server_that_the_list_takes_back_is_closed_at_once_and_says_why() {
    let lab = Lab::new().await;
    let world = &lab.world;
    lab.publish(&lab.list(1)).await;
    lab.subscribe(world, &["--yes"]).await.ok();
    lab.login(world, "ana", SERVER).await.ok();
    let host = world.host("cursor").await;
    assert_eq!(whoami(&host).await.unwrap(), "ana");
    let slow = host.send("tools/call", json!({"name": "slow", "arguments": {"ms": 20_000}})).await.unwrap();
    eventually("the slow call", async || {
        lab.server.handle().requests().iter().any(|one| one.tool.as_deref() == Some("slow")).then_some(())
    })
    .await;

    let mut entry = lab.entry(&lab.server.endpoint());
    entry["_meta"]["dev.hallpass/server"]["revoked"] = json!({"reason": "it leaked tickets"});
    lab.publish(&lab.list_of(2, &[entry])).await;
    // Nobody has to say yes to that.
    let told = lab.update(world, &[]).await.ok();
    assert!(told.out.contains("CLOSED") && told.out.contains("it leaked tickets"), "{told:?}");
    match slow.result().await {
        Err(HostError::Rpc(_)) => {}
        other => panic!("the call that ran is given up, yet the answer is {other:?}"),
    }
    let before = lab.server.handle().requests().iter().filter(|one| one.http_method == "POST").count();
    let said = refusal(&host).await;
    assert!(said.contains("it leaked tickets") && said.contains(TITLE), "{said}");
    let newcomer = world.host("claude-desktop").await;
    assert!(refusal(&newcomer).await.contains("it leaked tickets"));
    let after = lab.server.handle().requests().iter().filter(|one| one.http_method == "POST").count();
    assert_eq!(after, before, "nothing was sent");
    let status = world.status().await;
    assert_eq!(status["servers"][0]["state"], "blocked");
    assert_eq!(status["servers"][0]["closed"], json!({"by": TITLE, "reason": "it leaked tickets"}));
    for args in [&["status"][..], &["servers", "show", SERVER], &["doctor"]] {
        let ran = world.run(args).await;
        assert!(ran.out.contains("it leaked tickets") && ran.out.contains(TITLE), "{ran:?}");
    }
    let login = lab.login(world, "ana", SERVER).await.fails(1);
    assert!(login.err.contains("it leaked tickets"), "{login:?}");

    // Closing needs no yes; opening does.
    lab.publish(&lab.list(3)).await;
    let waits = lab.update(world, &[]).await.fails(2);
    assert!(waits.out.contains("opens it again"), "{waits:?}");
    assert!(refusal(&host).await.contains("it leaked tickets"), "opening waits for a yes");
    lab.update(world, &["--yes"]).await.ok();
    assert_eq!(whoami(&host).await.unwrap(), "ana");
}

#[tokio::test]
async fn an_agent_that_was_away_catches_up_at_its_start() {
    let lab = Lab::new().await;
    let world = &lab.world;
    lab.publish(&lab.list(1)).await;
    lab.subscribe(world, &["--yes"]).await.ok();
    world.run(&["agent", "stop"]).await.ok();
    let mut state = world.state();
    state["presets"][LIST]["checked_at"] = json!(1);
    std::fs::write(world.root().join("state/state.json"), serde_json::to_vec(&state).unwrap()).unwrap();
    let mut entry = lab.entry(&lab.server.endpoint());
    entry["_meta"]["dev.hallpass/server"]["revoked"] = json!({"reason": "it is gone"});
    lab.publish(&lab.list_of(2, &[entry])).await;
    eventually("the closed server", async || {
        (world.status().await["servers"][0]["state"] == "blocked").then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_unchanged_list_is_not_sent_again_and_a_registry_is_found_below_its_base() {
    let lab = Lab::new().await;
    let world = &lab.world;
    lab.publish(&lab.list(1)).await;
    let page = |bytes: &[u8]| testbed::file_server::Page::json(bytes).header("etag", "\"one\"");
    let bytes = serde_json::to_vec(&lab.list(1)).unwrap();
    lab.publish_bytes(&bytes);
    lab.files.put(lab::PATH, page(&bytes));
    lab.subscribe(world, &["--yes"]).await.ok();
    let asked = lab.files.asked().len();
    let same = lab.update(world, &[]).await.ok();
    assert!(same.out.contains("nothing to change"), "{same:?}");
    let new = lab.files.asked()[asked..].to_vec();
    assert_eq!(new.len(), 1, "no signature is fetched for what has not changed: {new:?}");
    assert_eq!(new[0].if_none_match.as_deref(), Some("\"one\""));
    let dated = |state: &serde_json::Value| state["presets"][LIST]["seen"].clone();
    assert_eq!(dated(&world.state())["serial"], 1);
    // Our copy is gone: "not modified" would leave nothing, so the whole list is asked for.
    world.run(&["agent", "stop"]).await.ok();
    for file in std::fs::read_dir(world.root().join("cache")).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    let asked = lab.files.asked().len();
    lab.update(world, &[]).await.ok();
    assert_eq!(lab.files.asked()[asked].if_none_match, None);

    let mut plain = lab.list(1);
    plain.as_object_mut().unwrap().remove("_meta");
    plain["servers"][0].as_object_mut().unwrap().remove("_meta");
    lab.files.put("/registry/v0.1/servers", testbed::file_server::Page::json(plain.to_string()));
    let ca = lab.give_authority(world);
    let base = lab.files.url("/registry");
    let shown = world.run(&["presets", "subscribe", &base, "--ca", &ca, "--dry-run"]).await.ok();
    assert!(shown.out.contains("/registry/v0.1/servers") && shown.out.contains("unverified"), "{shown:?}");
}

#[tokio::test]
async fn the_lists_rules_hold_at_the_sign_in() {
    let lab = Lab::new().await;
    let world = &lab.world;
    let mut entry = lab.entry(&lab.server.endpoint());
    entry["_meta"]["dev.hallpass/server"]["account"] = json!({"emailDomains": ["acme.example"]});
    lab.publish(&lab.list_of(1, &[entry])).await;
    lab.subscribe(world, &["--yes"]).await.ok();
    let refused = lab.login(world, "ana", SERVER).await.fails(1);
    assert!(refused.err.contains("acme.example") && refused.err.contains("ana@corp.example"), "{refused:?}");
    assert_eq!(world.state()["grants"], json!([]));
    assert!(lab.issuer.handle().stats().revocations > 0, "what was not wanted was given back");

    let mut entry = lab.entry(&lab.server.endpoint());
    entry["_meta"]["dev.hallpass/server"]["account"] = json!({"emailDomains": ["corp.example"]});
    lab.publish(&lab.list_of(2, &[entry.clone()])).await;
    lab.update(world, &["--yes"]).await.ok();
    lab.login(world, "ana", SERVER).await.ok();
    let host = world.host("cursor").await;
    assert_eq!(whoami(&host).await.unwrap(), "ana");

    // The list names the scopes, and more of them is a question.
    entry["_meta"]["dev.hallpass/server"]["oauth"]["scopes"] = json!(["tickets:read"]);
    lab.publish(&lab.list_of(3, std::slice::from_ref(&entry))).await;
    lab.update(world, &["--yes"]).await.ok();
    entry["_meta"]["dev.hallpass/server"]["oauth"]["scopes"] = json!(["tickets:read", "tickets:write"]);
    lab.publish(&lab.list_of(4, std::slice::from_ref(&entry))).await;
    let wider = lab.update(world, &[]).await.fails(2);
    assert!(wider.out.contains("it asks for more: tickets:write; sign in again"), "{wider:?}");
    lab.update(world, &["--yes"]).await.ok();
    assert_eq!(whoami(&host).await.unwrap(), "ana", "the old sign-in goes on with what it has");

    // The issuer that the list pins is the only one.
    entry["_meta"]["dev.hallpass/server"]["oauth"]["issuer"] = json!("https://login.acme.example");
    lab.publish(&lab.list_of(5, &[entry])).await;
    lab.update(world, &["--yes"]).await.ok();
    let refused = lab.login(world, "ana", "tickets-2").await.fails(1);
    assert!(refused.err.contains("https://login.acme.example"), "{refused:?}");
    assert_eq!(whoami(&host).await.unwrap(), "ana", "the old server goes on");
}

#[tokio::test]
async fn a_plan_that_has_changed_is_not_carried_out() {
    let lab = Lab::new().await;
    let world = &lab.world;
    let bytes = serde_json::to_vec(&lab.list(1)).unwrap();
    lab.publish_bytes(&bytes);
    // A file does as well as a URL.
    let file = world.sandbox.home().join("acme.mcpreset");
    std::fs::write(&file, &bytes).unwrap();
    std::fs::write(format!("{}.minisig", file.display()), lab.secret.sign(&bytes, "c").unwrap()).unwrap();
    let path = file.display().to_string();
    let shown =
        world.run(&["presets", "subscribe", &path, "--key", &lab.key, "--dry-run", "--json"]).await.ok();
    assert_eq!(shown.json()["source"], path);
    world.run(&["presets", "subscribe", &path, "--key", &lab.key, "--yes"]).await.ok();
    // Another key for the same list is shown as such; no key at all is refused.
    let without = world.run(&["presets", "subscribe", &path, "--yes"]).await.fails(1);
    assert!(without.err.contains("--key"), "{without:?}");
    let other = preset::generate(preset::Protection::None).unwrap();
    let stranger = preset::SecretKey::open(&other.secret_file, None).unwrap();
    std::fs::write(format!("{}.minisig", file.display()), stranger.sign(&bytes, "c").unwrap()).unwrap();
    let key = other.public.to_string();
    let anew = world.run(&["presets", "subscribe", &path, "--key", &key, "--dry-run"]).await.ok();
    assert!(anew.out.contains("ANOTHER key"), "{anew:?}");
}
