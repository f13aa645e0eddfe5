//! What is shown of a switch: nobody has the tick before every bridge has taken it over.

use serde_json::Value;

use crate::support::people::{People, eras, whoami};
use crate::support::process::signal;
use crate::support::{World, eventually};

#[tokio::test]
async fn nobody_is_ticked_until_every_bridge_has_taken_the_switch_over() {
    let world = World::with_ana_and_ben().await;
    let people = People::of(&world).await;
    world.run(&["profiles", "create", "Work"]).await.ok();
    world.switch(&people.ben).await;
    let shown = Shown::of(&world).await;
    assert_eq!(
        (shown.ticked, shown.in_use),
        (vec![people.ben.clone()], 0),
        "no bridge runs: it is in force at once"
    );
    for era in eras() {
        let host = world.host_in(era.clone(), "cursor", &[]).await;
        assert_eq!(whoami(&host).await.unwrap(), "ben");
        let pid = host.pid().unwrap();
        signal(pid, "STOP");
        let until_ticked = async {
            let chosen = async || Some(Shown::of(&world).await).filter(|shown| shown.chosen == people.ana);
            let shown = eventually("the choice", chosen).await;
            assert_eq!((shown.ticked, shown.in_use), (vec![], 0), "the bridge is still ben");
            assert_eq!(shown.state, "switching");
            signal(pid, "CONT");
            let ticked = async || {
                let shown = Shown::of(&world).await;
                (!shown.ticked.is_empty()).then_some(shown)
            };
            let shown = eventually("the tick", ticked).await;
            assert_eq!(whoami(&host).await.unwrap(), "ana", "{era:?}");
            assert_eq!((shown.ticked, shown.in_use), (vec![people.ana.clone()], 1));
            assert_eq!(shown.state, "connected");
        };
        let (switched, ()) = tokio::join!(world.switch(&people.ana), until_ticked);
        assert_eq!((&switched["acknowledged"], &switched["cut_off"]), (&1.into(), &0.into()));
        world.switch(&people.ben).await;
    }
}

/// The one server as `status` shows it.
#[derive(Debug)]
struct Shown {
    state: String,
    /// Whom the rules name.
    chosen: String,
    /// Who is shown as the one who acts.
    ticked: Vec<String>,
    /// How many profiles are shown as those in use.
    in_use: usize,
}

impl Shown {
    async fn of(world: &World) -> Self {
        let status = world.status().await;
        let server = &status["servers"][0];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let all = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let ticked = all(&server["grants"]).into_iter().filter(|grant| grant["selected"] == true);
        Self {
            state: text(&server["state"]),
            chosen: text(&server["selected"]),
            ticked: ticked.map(|grant| text(&grant["account"]["id"])).collect(),
            in_use: all(&status["profiles"]).iter().filter(|profile| profile["in_use"] == true).count(),
        }
    }
}
