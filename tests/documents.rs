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
