//! What should not be, under an open window: another version's agent, a keychain that locks, an agent that dies, a full
//! disk, names that lie, far too much of everything. Each is drawn decently, nothing hangs, nothing is lost.

mod room;

use fantoccini::{Client, Locator};
use ipc::{Error, ErrorCode, Greeting, Hello, LineReader, LineWriter, MAX_ANSWER, MAX_LINE, Role};
use platform::socket::Listener;
use platform::{Lock, Root};
use serde_json::{Value, json};

use crate::desk::{Desk, click, eventually, invoke, picture, seen, text};
use crate::panel::{Panel, Row, find};
use crate::team::{SERVER, Team, ran, whoami};

#[tokio::test]
async fn an_agent_of_an_older_version_makes_room_for_ours_and_nothing_is_lost() {
    let desk = Desk::new();
    let team = Team::at(&desk).await;
    team.login(&desk, "ana").await;
    ran(&desk, &["agent", "stop"]).await;
    let older = Other::start(&desk, 0).await;
    let page = desk.open_window().await;
    assert!(older.await.unwrap(), "it was not asked to retire");
    seen(&page, &format!("server-{SERVER}")).await;
    shows(&page, "Running").await;
    assert_eq!(whoami(&team.app(&desk).await).await, "ana");
}

#[tokio::test]
async fn an_agent_of_a_newer_version_is_left_alone_and_the_window_says_what_to_do() {
    let desk = Desk::new();
    let newer = Other::start(&desk, 99).await;
    let page = desk.open_window().await;
    shows(&page, "speak no common protocol").await;
    shows(&page, "hallpass agent stop").await;
    picture(&page, "trouble-newer-agent.png").await;
    // The button asks again, and again nobody is sent away.
    click(&page, "start-agent").await;
    shows(&page, "speak no common protocol").await;
    assert!(!newer.is_finished(), "it was asked to retire");
    newer.abort();
}

#[tokio::test]
async fn an_agent_that_is_killed_comes_back_under_the_window_with_everything() {
    let desk = Desk::new();
    let team = Team::at(&desk).await;
    team.login(&desk, "ana").await;
    let page = desk.open_window().await;
    seen(&page, &format!("server-{SERVER}")).await;
    let first = eventually("the agent", async || desk.agent_pid()).await;
    shows(&page, &format!("process {first}")).await;
    // A person is at the browser meanwhile: that sign-in is over, and says so.
    click(&page, &format!("server-{SERVER}")).await;
    click(&page, &format!("sign-in-{SERVER}")).await;
    shows(&page, "Waiting for your browser").await;
    assert!(desk.command("kill").args(["-KILL", &first.to_string()]).status().unwrap().success());
    let second = eventually("another agent", async || desk.agent_pid().filter(|pid| *pid != first)).await;
    shows(&page, &format!("process {second}")).await;
    shows_no_longer(&page, "Waiting for your browser").await;
    assert_eq!(whoami(&team.app(&desk).await).await, "ana");
}

#[tokio::test]
async fn a_full_disk_is_named_in_the_window_and_nothing_is_lost() {
    if !room::is_inside() {
        return room::run_inside("trouble::a_full_disk_is_named_in_the_window_and_nothing_is_lost");
    }
    let desk = Desk::new();
    let small = room::small_disk(&desk.sandbox.home().join(".hallpass-dev"), "state");
    let team = Team::at(&desk).await;
    team.login(&desk, "ana").await;
    let page = desk.open_window().await;
    click(&page, &format!("server-{SERVER}")).await;
    let filler = room::fill(&small);
    click(&page, "pause").await;
    shows(&page, "No space left on device").await;
    shows(&page, "Make room or mend the file, then try again").await;
    picture(&page, "trouble-disk-full.png").await;
    drop(filler);
    click(&page, "pause").await;
    shows(&page, "You paused this server").await;
    click(&page, "pause").await;
    shows(&page, "renews by itself").await;
    assert_eq!(whoami(&team.app(&desk).await).await, "ana");
}

#[tokio::test]
async fn five_hundred_servers_with_twenty_people_each_are_shown_and_switched() {
    let desk = Desk::new();
    let panel = Panel::on(&desk).await;
    let team = Team::at(&desk).await;
    team.login(&desk, "ana").await;
    ran(&desk, &["agent", "stop"]).await;
    multiply(&desk);
    let page = desk.open_window().await;
    shows(&page, "60 of 500 servers").await;
    let rows = panel.shows("the servers", |rows| find(rows, &["Server 1", "person 3"]).is_some()).await;
    assert!(rows.len() < 35 && flat(&rows).len() < 500, "{} rows", flat(&rows).len());
    panel.click(&["Server 1", "person 3"]).await;
    eventually("the other person in the window", async || {
        let name = seen(&page, "server-s1").await.attr("aria-label").await.ok()??;
        name.contains("person 3").then_some(())
    })
    .await;
    let everything = invoke(&page, "call", &json!({"request": {"verb": "status"}})).await;
    assert_eq!(everything["answer"]["servers"].as_array().unwrap().len(), 500);
    // More than the wire takes is refused by a sentence, and the next question is answered.
    let huge = json!({"request": {"verb": "read_paste", "text": "x".repeat(MAX_LINE)}});
    let refused = invoke(&page, "call", &huge).await;
    assert_eq!(refused["refused"]["code"], "usage", "{refused}");
    let next = invoke(&page, "call", &json!({"request": {"verb": "list_profiles"}})).await;
    assert_eq!(next["answer"]["kind"], "profiles", "{next}");
}

/// An agent that speaks another version alone. The task says whether it was asked to retire, and ends then.
struct Other;

impl Other {
    async fn start(desk: &Desk, version: u32) -> tokio::task::JoinHandle<bool> {
        let root = Root::below(&desk.sandbox.home());
        root.ensure().unwrap();
        let path = root.run().join("agent.lock");
        let life =
            eventually("the end of the agent before", async || Lock::try_acquire(&path).unwrap()).await;
        let mut listener = Listener::bind(&root, &life).unwrap();
        tokio::spawn(async move {
            let _life = life;
            while let Ok((connection, _)) = listener.accept().await {
                let (read, write) = tokio::io::split(connection);
                let (mut reader, mut writer) =
                    (LineReader::new(read, MAX_LINE), LineWriter::new(write, MAX_ANSWER));
                let Ok(Some(hello)) = reader.next::<Hello>().await else { continue };
                if hello.role == Role::Retire {
                    return true;
                }
                let error =
                    Error::new(ErrorCode::AgentUnavailable, "this agent and yours speak no common protocol");
                let error = error.hint("run: hallpass agent stop, then try again with the newer one");
                let _gone = writer.send(&Greeting::Refused { error, versions: vec![version] }).await;
            }
            false
        })
    }
}

/// The one server and person of the state, five hundred and twenty times; what is in the keychain stays as it is.
fn multiply(desk: &Desk) {
    let path = desk.sandbox.home().join(".hallpass-dev/state/state.json");
    let mut state: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let server = state["servers"][SERVER].clone();
    let account = state["accounts"].as_object().unwrap().values().next().unwrap().clone();
    let grant = state["grants"][0].clone();
    let people: Vec<Value> = (0..20)
        .map(|n| {
            let mut person = account.clone();
            person["id"] = json!(format!("p{n}"));
            person["key"]["subject"] = json!(format!("subject-{n}"));
            person["label"] = json!(format!("person {n}"));
            person
        })
        .collect();
    let mut servers = serde_json::Map::new();
    let mut grants = Vec::new();
    for n in 0..500 {
        let id = format!("s{n}");
        let mut one = server.clone();
        one["id"] = json!(id);
        one["label"] = json!(format!("Server {n}"));
        for person in &people {
            let mut granted = grant.clone();
            granted["server"] = json!(id);
            granted["account"] = person["id"].clone();
            grants.push(granted);
        }
        state["bindings"]["selection"][&id] = json!("p0");
        servers.insert(id, one);
    }
    state["bindings"]["selection"].as_object_mut().unwrap().remove(SERVER);
    state["servers"] = Value::Object(servers);
    state["accounts"] =
        people.iter().map(|one| (one["id"].as_str().unwrap().to_owned(), one.clone())).collect();
    state["grants"] = json!(grants);
    std::fs::write(&path, serde_json::to_vec(&state).unwrap()).unwrap();
}

/// All rows, at every depth.
fn flat(rows: &[Row]) -> Vec<&Row> {
    rows.iter().flat_map(|row| std::iter::once(row).chain(flat(&row.below))).collect()
}

/// Waits until these words are in the window.
async fn shows(page: &Client, words: &str) {
    eventually(&format!("{words:?} in the window"), async || body(page).await.contains(words).then_some(()))
        .await;
}

async fn shows_no_longer(page: &Client, words: &str) {
    eventually(&format!("no {words:?} in the window"), async || {
        (!body(page).await.contains(words)).then_some(())
    })
    .await;
}

async fn body(page: &Client) -> String {
    match page.find(Locator::Css("body")).await {
        Ok(body) => body.text().await.unwrap_or_default(),
        Err(_) => text(page, "body").await,
    }
}
