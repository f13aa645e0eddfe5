//! A client id metadata document in place of a registration, and an issuer that does not know it after all.

use serde_json::json;
use testbed::authorization_server::{Availability, UnknownAt};

use crate::support::people::whoami;
use crate::support::{SERVER, World};

const OURS: &str = "https://hallpass.example/client.json";

async fn add(world: &World) {
    let endpoint = world.server.endpoint();
    world.run(&["servers", "add", &endpoint, "--id", SERVER, "--client-metadata-url", OURS]).await.ok();
}

#[tokio::test]
async fn where_it_is_taken_nothing_is_registered() {
    let world = World::new().await;
    world.issuer.handle().set(|knobs| knobs.client_id_metadata_documents = true);
    add(&world).await;
    let ran = world.run(&["servers", "test", SERVER]).await.ok();
    assert!(ran.out.contains("client id metadata document"), "{ran:?}");
    world.login("ana", &[]).await.ok();
    assert_eq!(world.issuer.handle().stats().registrations, 0);
    assert_eq!(world.state()["grants"][0]["client_id"], OURS);
}

#[tokio::test]
async fn an_issuer_that_does_not_know_it_is_registered_at_once_and_for_good() {
    for place in [UnknownAt::Browser, UnknownAt::TokenEndpoint] {
        let world = World::new().await;
        world.issuer.handle().set(|knobs| {
            knobs.client_id_metadata_documents = true;
            knobs.unknown_documents = Some(place);
        });
        add(&world).await;
        let ran = world.login("ana", &[]).await.ok();
        assert!(ran.err.contains("does not know Hallpass by its document; registered instead"), "{ran:?}");
        assert_eq!(world.issuer.handle().stats().registrations, 1, "{place:?}");
        assert_eq!(whoami(&world.host("cursor").await).await.expect("she acts"), "ana");
        let ran = world.login("ben", &[]).await.ok();
        assert!(!ran.err.contains("document"), "it is known by now: {ran:?}");
        assert_eq!(world.issuer.handle().stats().registrations, 1);
        assert_eq!(world.state()["documents_refused"], json!([world.issuer.issuer()]));
    }
}

#[tokio::test]
async fn without_another_way_an_administrator_is_named() {
    let world = World::new().await;
    world.issuer.handle().set(|knobs| {
        knobs.client_id_metadata_documents = true;
        knobs.unknown_documents = Some(UnknownAt::Browser);
        knobs.registration = Availability::Absent;
    });
    add(&world).await;
    let ran = world.login("ana", &[]).await.fails(1);
    assert!(ran.err.contains("unauthorized_client") && ran.err.contains("administrator"), "{ran:?}");
    assert!(world.state().get("documents_refused").is_none(), "there is nothing to take its place");
    let endpoint = world.server.endpoint();
    for bad in ["http://a.example/c.json", "https://a.example", "c.json"] {
        let add = ["servers", "add", &endpoint, "--id", "other", "--client-metadata-url", bad];
        let ran = world.run(&add).await.fails(2);
        assert!(ran.err.contains("lies at an https address with a path"), "{ran:?}");
    }
}

#[tokio::test]
async fn a_servers_own_document_can_be_set_switched_off_and_taken_back() {
    let world = World::new().await;
    world.issuer.handle().set(|knobs| knobs.client_id_metadata_documents = true);
    let endpoint = world.server.endpoint();
    world.run(&["servers", "add", &endpoint, "--id", SERVER, "--client-metadata-url", "none"]).await.ok();
    let shown = world.run(&["servers", "show", SERVER]).await.ok();
    assert!(shown.out.contains("no client id metadata document is presented"), "{shown:?}");
    world.login("ana", &[]).await.ok();
    assert_eq!(world.issuer.handle().stats().registrations, 1);

    let set = |document: &'static str| ["servers", "set", SERVER, "--client-metadata-url", document];
    let bad = world.run(&set("http://a.example/c.json")).await.fails(2);
    assert!(bad.err.contains("lies at an https address with a path"), "{bad:?}");
    world.run(&set(OURS)).await.ok();
    let shown = world.run(&["servers", "show", SERVER]).await.ok();
    assert!(shown.out.contains(OURS), "{shown:?}");
    assert_eq!(
        whoami(&world.host("cursor").await).await.expect("she acts"),
        "ana",
        "who is signed in stays so"
    );
    world.login("ben", &[]).await.ok();
    assert_eq!(world.issuer.handle().stats().registrations, 1);
    let clients = world.state()["grants"].as_array().unwrap().clone();
    assert!(clients.iter().any(|grant| grant["client_id"] == OURS), "{clients:?}");

    // What else is set does not touch it; only its own options do.
    world.run(&["servers", "set", SERVER, "--redirect-host", "localhost"]).await.ok();
    let document = async || {
        let view = world.run(&["servers", "show", SERVER, "--json"]).await.ok().json();
        view["registration"].get("metadata_url").cloned()
    };
    assert_eq!(document().await, Some(json!(OURS)));
    world.run(&set("none")).await.ok();
    assert_eq!(document().await, Some(json!("")));
    world.run(&["servers", "set", SERVER, "--no-client-metadata-url"]).await.ok();
    assert_eq!(document().await, None);

    let add =
        ["servers", "add", &endpoint, "--id", "own", "--client-id", "desktop", "--header", "X-Tenant=a"];
    world.run(&add).await.ok();
    let beside = world.run(&["servers", "set", "own", "--client-metadata-url", OURS]).await.fails(2);
    assert!(beside.err.contains("has a client id of its own"), "{beside:?}");
}
