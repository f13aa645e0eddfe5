//! An app starts at once, and keeps its tools while the server is away: by what the server said to the same person before.

use serde_json::{Value, json};
use testbed::host::{Host, HostEra};

use crate::support::people::{People, eras, whoami};
use crate::support::{SERVER, World, eventually};

/// What is remembered, one text a person.
fn remembered(world: &World) -> Vec<String> {
    let Ok(files) = std::fs::read_dir(world.root().join("cache")) else { return Vec::new() };
    let known = files.flatten().filter(|file| file.file_name().to_string_lossy().starts_with("known-"));
    known.filter_map(|file| std::fs::read_to_string(file.path()).ok()).collect()
}

async fn tools(host: &Host) -> Result<String, String> {
    let listed = host.request("tools/list", json!({})).await;
    listed.map(|result| result["tools"].to_string()).map_err(|error| error.to_string())
}

async fn away(world: &World, era: HostEra, people: &People) {
    world.switch(&people.ana).await;
    let first = world.host_in(era.clone(), "cursor", &[]).await;
    let greeting = first.greet().await.expect("once more");
    assert!(tools(&first).await.expect("an answer").contains("of-ana"));
    eventually("her memory", async || {
        remembered(world).iter().any(|text| text.contains("of-ana")).then_some(())
    })
    .await;
    drop(first);

    world.server.handle().set(|knobs| knobs.status = Some(503));
    let host = world.host_of(world.bridge("cursor", &[]), era);
    let again = host.greet().await.expect("the bridge answers by what it knows");
    assert_eq!(again["capabilities"], greeting["capabilities"]);
    assert!(tools(&host).await.expect("an answer").contains("of-ana"));
    assert!(whoami(&host).await.is_err(), "a call is no list");
    world.switch(&people.ben).await;
    if let Ok(of_ben) = tools(&host).await {
        assert!(!of_ben.contains("of-ana"), "{of_ben}");
    }
    world.switch(&people.ana).await;
    assert!(tools(&host).await.expect("an answer").contains("of-ana"));

    world.server.handle().set(|knobs| knobs.status = None);
    eventually("the server", async || whoami(&host).await.ok()).await;
    assert_eq!(whoami(&host).await.expect("an answer"), "ana");
    assert!(host.garbage().is_empty(), "{:?}", host.garbage());
}

#[tokio::test]
async fn an_app_starts_while_its_server_is_away_and_nobody_is_shown_what_another_saw() {
    let world = World::with_ana_and_ben().await;
    let people = People::of(&world).await;
    for era in eras() {
        away(&world, era, &people).await;
    }
    for text in remembered(&world) {
        let kept: Value = serde_json::from_str(&text).expect("an answer");
        let owner = if kept["account"] == people.ana.as_str() { "of-ana" } else { "of-ben" };
        let other = if owner == "of-ana" { "of-ben" } else { "of-ana" };
        assert!(!text.contains(other), "{text}");
    }
    world.run(&["logout", SERVER, "--account", &people.ana]).await.ok();
    assert!(remembered(&world).iter().all(|text| !text.contains("of-ana")), "who signs out leaves nothing");
}
