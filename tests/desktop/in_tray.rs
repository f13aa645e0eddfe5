//! The tray alone: hidden start, second start, menu, close to the tray and back, where nothing shows a tray.

use serde_json::json;

use crate::desk::{Desk, eventually, shell};
use crate::panel::{Panel, find};

#[tokio::test]
async fn a_hidden_start_shows_a_tray_and_no_window_and_its_menu_opens_and_quits() {
    let desk = Desk::new();
    let panel = Panel::on(&desk).await;
    let mut app = desk.app(&["--hidden"]);
    panel.shows("the way in and out", |rows| find(rows, &["Open Hallpass"]).is_some()).await;
    assert!(desk.windows().is_empty());
    // Not one web view is there.
    assert!(desk.processes("WebKitWebProcess").is_empty());
    eventually("the agent", async || desk.agent_pid()).await;
    panel.click(&["Open Hallpass"]).await;
    eventually("the window", async || (desk.windows().len() == 1).then_some(())).await;
    panel.click(&["Quit"]).await;
    assert!(app.ended().await, "quitting is no failure");
}

#[tokio::test]
async fn a_second_start_shows_the_window_of_the_first() {
    let desk = Desk::new();
    let panel = Panel::on(&desk).await;
    let mut first = desk.app(&["--hidden"]);
    panel.shows("the menu", |rows| find(rows, &["Quit"]).is_some()).await;
    assert!(desk.app(&["--hidden"]).ended().await, "a start at login finds it running");
    assert!(desk.windows().is_empty());
    assert!(desk.app(&[]).ended().await);
    eventually("the window", async || (desk.windows().len() == 1).then_some(())).await;
    assert!(first.runs());
    assert_eq!(panel.programs(), 1, "one tray for one person");

    // Another home, on the same bus and display, has a window of its own.
    let other = desk.sandbox.root().join("other");
    std::fs::create_dir(&other).unwrap();
    let mut another = desk.command(crate::desk::app());
    let mut another = another.env("HOME", &other).spawn().unwrap();
    eventually("the other home's window", async || (desk.windows().len() == 2).then_some(())).await;
    another.kill().unwrap();
    another.wait().unwrap();
}

#[tokio::test]
async fn a_stopped_agent_is_seen_in_the_tray_and_started_from_it() {
    let desk = Desk::new();
    let panel = Panel::on(&desk).await;
    let _app = desk.app(&["--hidden"]);
    eventually("the agent", async || desk.agent_pid()).await;
    panel.shows("the menu", |rows| find(rows, &["Quit"]).is_some()).await;
    assert!(desk.hallpass(&["agent", "stop"]).status.success());
    panel.click(&["Start the agent"]).await;
    eventually("the agent", async || desk.agent_pid()).await;
    panel.shows("that all is well", |rows| find(rows, &["Start the agent"]).is_none()).await;
}

#[tokio::test]
async fn where_nothing_shows_a_tray_closing_the_window_quits() {
    let desk = Desk::new();
    let page = desk.open_window().await;
    assert_eq!(shell(&page, json!({"do": "view"})).await["answer"]["tray"], false);
    desk.close_window().await;
    eventually("the end of the app", async || (desk.processes("hallpass-desktop").is_empty()).then_some(()))
        .await;
}

#[tokio::test]
async fn a_closed_window_leaves_the_tray_and_its_web_view_is_gone() {
    let desk = Desk::new();
    let panel = Panel::on(&desk).await;
    let mut app = desk.app(&[]);
    eventually("the window", async || (desk.windows().len() == 1).then_some(())).await;
    panel.shows("the menu", |rows| find(rows, &["Quit"]).is_some()).await;
    eventually("a web view", async || (!desk.processes("WebKitWebProcess").is_empty()).then_some(())).await;
    let mut last = 0;
    let open = eventually("a web view at rest", async || {
        let now = pss(&desk);
        let rests = now.abs_diff(last) * 50 < now;
        last = now;
        rests.then_some(now)
    })
    .await;
    desk.close_window().await;
    eventually("no web view", async || (desk.processes("WebKitWebProcess").is_empty()).then_some(())).await;
    assert!(app.runs());
    let closed = pss(&desk);
    report("PSS of the app's processes", &format!("window open {open} kB, closed to the tray {closed} kB"));
    panel.click(&["Open Hallpass"]).await;
    eventually("the window again", async || (desk.windows().len() == 1).then_some(())).await;
    let place = desk.sandbox.home().join(".hallpass-dev/cache/window.json");
    eventually("a note of its place", async || place.is_file().then_some(())).await;
    panel.click(&["Quit"]).await;
    assert!(app.ended().await);
}

/// Proportional set size of the app and its web processes, the agent left out.
fn pss(desk: &Desk) -> u64 {
    let ours = [desk.processes("hallpass-desktop"), desk.processes("WebKit")].concat();
    let of = |pid: u32| -> Option<u64> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let line = text.lines().find(|line| line.starts_with("Pss:"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    ours.into_iter().filter_map(of).sum()
}

/// A figure for who reads the output of the tests.
fn report(what: &str, figure: &str) {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("desktop-figures.txt");
    let mut text = std::fs::read_to_string(&path).unwrap_or_default();
    text = format!("{text}{what}: {figure}\n");
    std::fs::write(path, text).unwrap();
}
