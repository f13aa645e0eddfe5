//! How Hallpass is known to an issuer, as a list has it: by which document, where the browser comes back to, what else is
//! sent.

use serde_json::json;

use super::lab::{Lab, followed};
use crate::redirects::free_port;
use crate::support::SERVER;
use crate::support::people::{handshake, refusal, whoami};

const DOCUMENT: &str = "https://hallpass.acme.example/client.json";
const OTHER: &str = "https://hallpass.acme.example/other.json";

#[tokio::test]
async fn an_issuer_that_wants_its_own_document_and_one_exact_address_is_met_and_no_token_follows_another_document()
 {
    let lab = Lab::new().await;
    let world = &lab.world;
    let issuer = lab.issuer.handle();
    issuer.set(|knobs| knobs.client_id_metadata_documents = true);
    let port = free_port();
    // Nobody listens there: only the words of it are looked at.
    let next = port - 1;
    let redirect = |port: u16| format!("http://127.0.0.1:{port}/callback");
    for document in [DOCUMENT, OTHER] {
        issuer.know_document(document, &[&redirect(port)]);
    }
    let mut entry = lab.entry(&lab.server.endpoint());
    let oauth = &mut entry["_meta"]["dev.hallpass/server"]["oauth"];
    oauth["clientMetadataUrl"] = json!(DOCUMENT);
    oauth["redirect"] = json!({"port": port});
    oauth["parameters"] = json!({"ui_hint": "acme"});
    lab.publish(&lab.list_of(1, &[entry.clone()])).await;

    // All of it is shown before anything is followed.
    let shown = lab.subscribe(world, &["--dry-run"]).await.ok();
    for said in [DOCUMENT, &redirect(port), "with every sign-in: ui_hint=acme"] {
        assert!(shown.out.contains(said), "{said}: {shown:?}");
    }
    lab.subscribe(world, &["--yes"]).await.ok();
    lab.login(world, "ana", SERVER).await.ok();
    let state = world.state();
    assert_eq!(state["grants"][0]["client_id"], DOCUMENT);
    assert_eq!(issuer.stats().registrations, 0, "nothing was registered");
    let host = world.host("cursor").await;
    assert_eq!(whoami(&host).await.unwrap(), "ana");

    // Another port and other parameters are asked about, and change nobody's sign-in.
    let oauth = &mut entry["_meta"]["dev.hallpass/server"]["oauth"];
    oauth["redirect"] = json!({"port": next});
    oauth["parameters"] = json!({});
    lab.publish(&lab.list_of(2, &[entry.clone()])).await;
    let asked = lab.update(world, &[]).await.fails(2);
    assert!(asked.out.contains("the browser comes back elsewhere"), "{asked:?}");
    assert!(asked.out.contains("other parameters are sent"), "{asked:?}");
    let before = world.run(&["servers", "show", SERVER]).await.ok();
    assert!(
        before.out.contains(&redirect(port)) && before.out.contains("ui_hint=acme"),
        "it waits: {before:?}"
    );
    lab.update(world, &["--yes"]).await.ok();
    let after = world.run(&["servers", "show", SERVER]).await.ok();
    assert!(after.out.contains(&redirect(next)) && !after.out.contains("ui_hint"), "{after:?}");
    assert_eq!(whoami(&host).await.unwrap(), "ana");

    // Another document is another client id: a new server, where nobody is signed in.
    let oauth = &mut entry["_meta"]["dev.hallpass/server"]["oauth"];
    oauth["clientMetadataUrl"] = json!(OTHER);
    oauth["redirect"] = json!({"port": port});
    lab.publish(&lab.list_of(3, &[entry])).await;
    let moved = lab.update(world, &[]).await.fails(2);
    assert!(moved.out.contains("MOVED") && moved.out.contains(OTHER), "{moved:?}");
    assert_eq!(followed(world).await["serial"], 2, "it waits for a yes");
    lab.update(world, &["--yes"]).await.ok();
    let state = world.state();
    assert_eq!(state["grants"].as_array().unwrap().len(), 1);
    assert_eq!(state["grants"][0]["server"], SERVER, "the sign-in stays where it was");
    assert!(state["bindings"]["selection"].get("tickets-2").is_none(), "{}", state["bindings"]);
    let mut command = world.sandbox.bare_command(crate::support::executable());
    command.args(["bridge", "--app", "cursor", "--server", "tickets-2"]);
    let newcomer = world.host_of(command, handshake());
    newcomer.greet().await.unwrap();
    assert!(refusal(&newcomer).await.contains("hallpass login"));
    assert_eq!(whoami(&host).await.unwrap(), "ana", "the old server goes on");
    lab.login(world, "ben", "tickets-2").await.ok();
    let clients = |server: &str| {
        let state = world.state();
        let grants = state["grants"].as_array().unwrap().clone();
        grants
            .into_iter()
            .filter(|g| g["server"] == server)
            .map(|g| g["client_id"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!((clients(SERVER), clients("tickets-2")), (vec![json!(DOCUMENT)], vec![json!(OTHER)]));
}
