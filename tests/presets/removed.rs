//! What a person removed of a list stays away, is shown as removed by them, and can be brought back.

use serde_json::json;

use super::lab::{LIST, Lab, followed};
use crate::support::SERVER;

const NAME: &str = "com.acme/tickets";

#[tokio::test]
async fn a_server_that_a_person_removed_stays_away_until_they_bring_it_back() {
    let lab = Lab::new().await;
    let world = &lab.world;
    let mut wiki = lab.entry(&lab.another_server().await.endpoint());
    wiki["server"]["name"] = json!("com.acme/wiki");
    wiki["_meta"]["dev.hallpass/server"]["mandatory"] = json!(true);
    let entries = [lab.entry(&lab.server.endpoint()), wiki];
    lab.publish(&lab.list_of(1, &entries)).await;
    lab.subscribe(world, &["--yes"]).await.ok();
    world.run(&["servers", "remove", SERVER]).await.ok();
    let refused = world.run(&["servers", "remove", "wiki"]).await.fails(1);
    assert!(refused.err.contains("mandatory"), "{refused:?}");

    // Neither the same list, nor a newer one, nor another agent brings it again.
    for serial in [1, 2] {
        lab.publish(&lab.list_of(serial, &entries)).await;
        let plan = lab.update(world, &["--dry-run", "--json"]).await.ok().json();
        let kinds: Vec<_> = plan["items"].as_array().unwrap().iter().map(|item| &item["kind"]).collect();
        assert_eq!(
            (&plan["empty"], kinds),
            (&json!(true), vec![&json!("removed"), &json!("same")]),
            "{plan}"
        );
        world.run(&["agent", "stop"]).await.ok();
        let now = followed(world).await;
        assert_eq!((&now["waiting"], &now["serial"]), (&json!(null), &json!(serial)), "{now}");
        assert_eq!((&now["removed"], &now["servers"]), (&json!([NAME]), &json!(["wiki"])), "{now}");
    }
    let shown = world.run(&["presets", "list"]).await.ok();
    let way = format!("hallpass presets update {LIST} --bring-back {NAME}");
    assert!(shown.out.contains("by you") && shown.out.contains(&way), "{shown:?}");

    let nobody = lab.update(world, &["--bring-back", "com.acme/wiki", "--yes"]).await.fails(1);
    assert!(nobody.err.contains("com.acme/wiki") && nobody.err.contains("presets list"), "{nobody:?}");
    let looked = lab.update(world, &["--bring-back", NAME, "--dry-run"]).await.ok();
    assert!(looked.out.contains("add") && looked.out.contains(&lab.server.endpoint()), "{looked:?}");
    assert_eq!(followed(world).await["removed"], json!([NAME]), "a look changes nothing");
    lab.update(world, &["--bring-back", NAME, "--yes"]).await.ok();
    let now = followed(world).await;
    assert_eq!((&now["removed"], &now["servers"]), (&json!([]), &json!([SERVER, "wiki"])), "{now}");
    lab.login(world, "ana", SERVER).await.ok();
}
