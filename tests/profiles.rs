//! Work and Home: two servers, two people, one change for both.

use serde_json::{Value, json};
use testbed::host::Host;
use testbed::mcp_server::{Eras, McpServer};

use crate::support::people::{People, handshake, refusal, whoami};
use crate::support::{Ran, SERVER, World, eventually};

/// The second server's id.
const OTHER: &str = "wiki";

/// Two protected servers of one issuer, ana and ben signed in at both, ana selected at both.
struct House {
    world: World,
    wiki: McpServer,
    people: People,
}

impl House {
    async fn new() -> Self {
        let world = World::new().await;
        // No renewal writes the state while a test counts writes.
        world.issuer.handle().set(|knobs| knobs.access_token_lifetime = 3600);
        world.add_server().await;
        for person in ["ana", "ben"] {
            world.login(person, &[]).await.ok();
        }
        let wiki = McpServer::protected(world.issuer.handle(), Eras::Both).await.expect("a free port");
        world.run(&["servers", "add", &wiki.endpoint(), "--id", OTHER]).await.ok();
        for person in ["ana", "ben"] {
            world.login_with(&format!("--as {person}"), &["login", OTHER, "--yes"]).await.ok();
        }
        let people = People::of(&world).await;
        Self { world, wiki, people }
    }

    /// Work: ana everywhere. Home: ben everywhere. Ana acts.
    async fn with_profiles() -> Self {
        let house = Self::new().await;
        house.profiles(&["create", "Work"]).await.ok();
        for server in [SERVER, OTHER] {
            house.world.run(&["switch", server, &house.people.ben]).await.ok();
        }
        house.profiles(&["create", "Home"]).await.ok();
        house.use_it("Work").await.ok();
        house
    }

    async fn profiles(&self, args: &[&str]) -> Ran {
        self.world.run(&[&["profiles"], args].concat()).await
    }

    async fn use_it(&self, name: &str) -> Ran {
        self.profiles(&["use", name, "--json"]).await
    }

    /// A greeted host on a bridge to the second server.
    async fn wiki_host(&self, app: &str) -> Host {
        let mut command = self.world.bridge(app, &[]);
        let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let program = command.get_program().to_owned();
        command = self.world.sandbox.bare_command(program);
        command.args(arguments.iter().map(|a| if a == SERVER { OTHER.into() } else { a.clone() }));
        let host = self.world.host_of(command, handshake());
        host.greet().await.expect("the bridge answers");
        host
    }

    /// `name` and `in_use` of each profile.
    async fn listed(&self) -> Vec<(String, bool)> {
        let listed = self.profiles(&["list", "--json"]).await.ok().json();
        let all = listed["profiles"].as_array().cloned().unwrap_or_default();
        all.iter()
            .map(|one| (one["name"].as_str().unwrap_or_default().to_owned(), one["in_use"] == true))
            .collect()
    }
}

fn rows(pairs: &[(&str, bool)]) -> Vec<(String, bool)> {
    pairs.iter().map(|(name, in_use)| ((*name).to_owned(), *in_use)).collect()
}

#[tokio::test]
async fn one_use_switches_every_server_in_one_write_and_the_next_calls_are_right() {
    let house = House::with_profiles().await;
    let tickets = house.world.host("cursor").await;
    let wiki = house.wiki_host("cursor").await;
    assert_eq!((whoami(&tickets).await.unwrap(), whoami(&wiki).await.unwrap()), ("ana".into(), "ana".into()));
    assert_eq!(house.listed().await, rows(&[("Home", false), ("Work", true)]));
    // That is written too, a moment after the first answer.
    eventually("the eras of both servers in the state", async || {
        let servers = house.world.state()["servers"].clone();
        [SERVER, OTHER].iter().all(|id| servers[id]["era"].is_string()).then_some(())
    })
    .await;
    for (name, person) in [("Home", "ben"), ("Work", "ana"), ("Home", "ben")] {
        let before = house.world.state()["serial"].as_u64().expect("a number");
        let used = house.use_it(name).await.ok().json();
        assert_eq!((&used["acknowledged"], &used["cut_off"]), (&json!(2), &json!(0)), "{used}");
        assert_eq!(used["changed"].as_array().map(Vec::len), Some(2));
        let state = house.world.state();
        assert_eq!(state["serial"], before + 1, "one write for both");
        assert_eq!(state["bindings"]["selection"], state["profiles"][name]["selection"]);
        assert_eq!(whoami(&tickets).await.unwrap(), person);
        assert_eq!(whoami(&wiki).await.unwrap(), person);
    }
    let again = house.use_it("Home").await.ok().json();
    assert_eq!((&again["acknowledged"], &again["changed"]), (&json!(0), &json!([])), "nobody had to change");
    let status = house.world.status().await;
    assert_eq!(status["profiles"][0]["name"], "Home");
    assert_eq!(status["profiles"][0]["in_use"], true);
    assert_eq!(house.wiki.handle().stats().mixed_sessions, 0);
}

#[tokio::test]
async fn an_agent_killed_after_the_write_comes_back_with_the_profile_in_force() {
    let house = House::with_profiles().await;
    let tickets = house.world.host("cursor").await;
    let wiki = house.wiki_host("cursor").await;
    assert_eq!((whoami(&tickets).await.unwrap(), whoami(&wiki).await.unwrap()), ("ana".into(), "ana".into()));
    house.world.plant_fault("profile.written");
    house.use_it("Home").await.fails(9);
    assert_eq!((whoami(&tickets).await.unwrap(), whoami(&wiki).await.unwrap()), ("ben".into(), "ben".into()));
    assert_eq!(house.listed().await, rows(&[("Home", true), ("Work", false)]));
}

#[tokio::test]
async fn a_server_that_a_profile_does_not_name_is_closed_and_bound_apps_stay_bound() {
    let house = House::new().await;
    let (world, people) = (&house.world, &house.people);
    house.profiles(&["create", "Both"]).await.ok();
    world.run(&["switch", OTHER, &people.ben, "--app", "claude-desktop"]).await.ok();
    world.run(&["accounts", "list"]).await.ok();
    // Only the tickets: a profile as a person has made it before the wiki was there.
    house.profiles(&["create", "Tickets"]).await.ok();
    world.run(&["switch", SERVER, &people.ben, "--profile", "Tickets"]).await.ok();
    let mut state = world.state();
    world.run(&["agent", "stop"]).await.ok();
    state["profiles"]["Tickets"]["selection"].as_object_mut().expect("it is one").remove(OTHER);
    state["profiles"]["Tickets"]["selection"]["gone"] = json!("a0");
    std::fs::write(world.root().join("state/state.json"), state.to_string()).expect("it is ours");
    let wiki = house.wiki_host("cursor").await;
    let bound = house.wiki_host("claude-desktop").await;
    assert_eq!((whoami(&wiki).await.unwrap(), whoami(&bound).await.unwrap()), ("ana".into(), "ben".into()));
    let used = house.use_it("Tickets").await.ok().json();
    assert_eq!(used["acknowledged"], 1, "the bound app is not concerned");
    // The end of ana's session (DELETE) may still be on its way.
    let calls = || house.wiki.handle().requests().iter().filter(|one| one.http_method == "POST").count();
    let before = calls();
    let said = refusal(&wiki).await;
    assert!(said.contains("no account is chosen") && said.contains("hallpass switch"), "{said}");
    assert_eq!(calls(), before, "nothing was sent");
    assert_eq!(whoami(&bound).await.unwrap(), "ben");
    assert_eq!(whoami(&world.host("cursor").await).await.unwrap(), "ben");
    house.use_it("Both").await.ok();
    assert_eq!(whoami(&wiki).await.unwrap(), "ana");
}

#[tokio::test]
async fn somebody_who_has_signed_out_or_is_gone_closes_the_server_and_nobody_takes_the_place() {
    let house = House::with_profiles().await;
    let (world, people) = (&house.world, &house.people);
    let tickets = world.host("cursor").await;
    world.run(&["logout", SERVER, "--account", &people.ben]).await.ok();
    let used = house.use_it("Home").await.fails(4);
    assert!(used.err.contains("hallpass login tickets --account"), "{used:?}");
    let said = refusal(&tickets).await;
    assert!(said.contains("ben") && said.contains("hallpass login"), "{said}");
    house.use_it("Work").await.ok();
    world.run(&["accounts", "remove", &people.ben]).await.ok();
    let left = world.state()["profiles"]["Home"]["selection"].clone();
    assert_eq!(left, json!({}), "nobody takes the place of who is gone");
    house.use_it("Home").await.ok();
    assert!(refusal(&tickets).await.contains("no account is chosen"));
    world.run(&["servers", "remove", OTHER]).await.ok();
    let work = world.state()["profiles"]["Work"]["selection"].clone();
    assert_eq!(work, json!({ SERVER: people.ana }));
}

#[tokio::test]
async fn names_are_checked_and_profiles_are_replaced_and_forgotten_only_when_asked() {
    let world = World::with_ana().await;
    let run = async |args: &[&str]| world.run(&[&["profiles"], args].concat()).await;
    let empty = run(&["list"]).await.ok();
    assert!(empty.out.contains("no profiles yet"), "{empty:?}");
    let long = "x".repeat(61);
    for name in ["", "  ", "a\u{1b}[31m", "krow\u{202e}", &long] {
        let ran = run(&["create", name]).await.fails(2);
        assert!(ran.err.contains("profile") && ran.err.contains("  next: "), "{ran:?}");
    }
    run(&["create", " Work "]).await.ok();
    let twice = run(&["create", "Work", "--json"]).await.fails(2);
    assert!(twice.err.contains("--replace"), "{twice:?}");
    run(&["create", "Work", "--replace"]).await.ok();
    for verb in ["use", "delete"] {
        let ran = run(&[verb, "Home"]).await.fails(1);
        assert!(ran.err.contains("\"Home\"") && ran.err.contains("Work"), "{ran:?}");
    }
    let shown = run(&["list"]).await.ok();
    assert!(shown.out.contains("tickets: ") && shown.out.contains("yes"), "{shown:?}");
    run(&["delete", "Work"]).await.ok();
    assert_eq!(run(&["list", "--json"]).await.ok().json()["profiles"], Value::Array(Vec::new()));
    assert_eq!(whoami(&world.host("cursor").await).await.unwrap(), "ana", "who acts has not changed");
}
