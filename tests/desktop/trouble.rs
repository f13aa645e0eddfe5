//! What should not be, under an open window: another version's agent, a keychain that locks, an agent that dies, a full
//! disk, names that lie, far too much of everything. Each is drawn decently, nothing hangs, nothing is lost.

use std::time::{Duration, Instant};

use fantoccini::Client;
use ipc::{Error, ErrorCode, Greeting, Hello, LineReader, LineWriter, MAX_ANSWER, MAX_LINE, Role};
use platform::socket::Listener;
use platform::{Lock, Root};
use serde_json::{Value, json};

use crate::desk::{Desk, PATIENCE, click, eventually, invoke, picture, seen};
use crate::panel::{Panel, Row, find};
use crate::room;
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
async fn a_keychain_that_locks_is_drawn_with_the_next_step_and_so_is_its_return() {
    let desk = Desk::new();
    let panel = Panel::on(&desk).await;
    let team = Team::at(&desk).await;
    team.login(&desk, "ana").await;
    let page = desk.open_window().await;
    seen(&page, &format!("server-{SERVER}")).await;
    desk.sandbox.lock_keychain().unwrap();
    // Whoever looks first finds out; everybody else is told.
    desk.hallpass(&["status"]);
    shows(&page, "is locked: nobody can sign in and no app can act until it is unlocked").await;
    panel.shows("the lock", |rows| rows[0].label == "The keychain is locked…").await;
    picture(&page, "trouble-keychain-locked.png").await;
    click(&page, &format!("server-{SERVER}")).await;
    click(&page, &format!("sign-in-{SERVER}")).await;
    shows(&page, "Unlock your keychain, then try again").await;
    desk.sandbox.unlock_keychain().unwrap();
    desk.hallpass(&["status"]);
    shows_no_longer(&page, "is locked: nobody can sign in").await;
    panel.shows("that it is open", |rows| find(rows, &["The keychain is locked"]).is_none()).await;
    assert_eq!(whoami(&team.app(&desk).await).await, "ana");
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
    let small = room::small_disk(&desk.sandbox.home().join(".hallpass-dev/state"));
    let team = Team::at(&desk).await;
    team.login(&desk, "ana").await;
    let page = desk.open_window().await;
    click(&page, &format!("server-{SERVER}")).await;
    let filler = small.fill();
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
async fn names_that_lie_stay_text_in_window_and_tray() {
    let desk = Desk::new();
    let panel = Panel::on(&desk).await;
    let team = Team::at(&desk).await;
    team.login(&desk, "ana").await;
    let long = "w".repeat(10_000);
    let server = format!("<script>window.ran = 1</script>\u{202e}cod\u{2066}.exe\u{7}{long}");
    let person = format!("<img src=x onerror='window.ran = 1'>\u{202e}nimda{long}");
    // The agent takes no such names from people; a state of before may hold them, and an issuer or a list may say them.
    ran(&desk, &["agent", "stop"]).await;
    edit_state(&desk, |state| {
        state["servers"][SERVER]["label"] = json!(server);
        for account in state["accounts"].as_object_mut().unwrap().values_mut() {
            account["label"] = json!(person);
        }
        let selection = state["bindings"]["selection"].clone();
        state["profiles"]["<b>Work</b>\u{202e}emoH"] = json!({ "selection": selection });
    });
    let page = desk.open_window().await;
    seen(&page, &format!("server-{SERVER}")).await;
    shows(&page, "<script>window.ran = 1</script>[U+202E]").await;
    shows(&page, "<img src=x onerror=").await;
    let made = page.execute("return [window.ran ?? 0, document.querySelectorAll('main script, main img[src=x], header b').length, document.documentElement.scrollWidth - innerWidth]", Vec::new());
    assert_eq!(made.await.unwrap(), json!([0, 0, 0]), "markup came to life, or the page grew");
    picture(&page, "trouble-names.png").await;
    let rows = panel.shows("the menu", |rows| find(rows, &["<script>"]).is_some()).await;
    let all = flat(&rows);
    let lies = |row: &&&Row| {
        row.label.chars().count() > 100
            || row.label.chars().any(|c| c.is_control() || ('\u{202a}'..='\u{2069}').contains(&c))
    };
    assert_eq!(all.iter().filter(lies).map(|row| &row.label).collect::<Vec<_>>(), Vec::<&String>::new());
    assert!(find(&rows, &["<script>", "<img src=x"]).is_some(), "{}", crate::panel::drawn(&rows));
    assert!(find(&rows, &["Profile: <b>Work</b>emoH"]).is_some(), "{}", crate::panel::drawn(&rows));
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
                let (read, write) = connection.split();
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
    edit_state(desk, multiplied);
}

fn multiplied(state: &mut Value) {
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
}

/// Changes `state.json`, while no agent runs.
fn edit_state(desk: &Desk, change: impl FnOnce(&mut Value)) {
    let path = desk.sandbox.home().join(".hallpass-dev/state/state.json");
    let mut state: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(&mut state);
    std::fs::write(&path, serde_json::to_vec(&state).unwrap()).unwrap();
}

/// All rows, at every depth.
fn flat(rows: &[Row]) -> Vec<&Row> {
    rows.iter().flat_map(|row| std::iter::once(row).chain(flat(&row.below))).collect()
}

/// Waits until these words are in the window.
async fn shows(page: &Client, words: &str) {
    let began = Instant::now();
    loop {
        let body = body(page).await;
        if body.contains(words) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "the window does not show {words:?}, but:\n{body}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn shows_no_longer(page: &Client, words: &str) {
    eventually(&format!("no {words:?} in the window"), async || {
        (!body(page).await.contains(words)).then_some(())
    })
    .await;
}

/// What stands in the window. The driver's own way leaves out what is cut at the end of its room.
async fn body(page: &Client) -> String {
    let text = page.execute("return document.body?.innerText ?? \"\"", Vec::new()).await;
    text.ok().and_then(|text| text.as_str().map(str::to_owned)).unwrap_or_default()
}
