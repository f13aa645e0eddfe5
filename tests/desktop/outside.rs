//! What reaches out of the window: settings that other things obey, the entry for the start at login, the browser.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use fantoccini::Client;

use crate::desk::{Desk, app, click, eventually, hallpass, reopened, seen};
use crate::panel::{Panel, find};
use crate::team::{SERVER, Team, ran};

#[tokio::test]
async fn each_setting_is_kept_and_in_force() {
    let desk = Desk::new();
    let panel = Panel::on(&desk).await;
    let page = desk.open_window().await;
    panel.shows("the menu", |rows| find(rows, &["Quit"]).is_some()).await;
    click(&page, "tab-settings").await;
    for (box_of, name, wanted) in [
        ("start-at-login", "start-at-login", true),
        ("notify", "notify", false),
        ("keep-in-tray", "keep-in-tray", false),
    ] {
        assert_eq!(ticked(&page, box_of).await, !wanted, "{name} at first");
        click(&page, box_of).await;
        is_set(&desk, name, if wanted { "on" } else { "off" }).await;
    }
    click(&page, "theme-dark").await;
    is_set(&desk, "theme", "dark").await;
    let dark = "return document.documentElement.dataset.theme";
    eventually("the dark theme", async || {
        (page.execute(dark, Vec::new()).await.ok()? == "dark").then_some(())
    })
    .await;
    eventually("the entry", async || entry(&desk).is_file().then_some(())).await;

    // Somebody else changes one: window and system follow. A window that is opened anew says the same.
    ran(&desk, &["config", "set", "start-at-login", "off"]).await;
    eventually("no entry", async || (!entry(&desk).exists()).then_some(())).await;
    page.refresh().await.unwrap();
    click(&page, "tab-settings").await;
    for (box_of, wanted) in
        [("start-at-login", false), ("notify", false), ("keep-in-tray", false), ("theme-dark", true)]
    {
        eventually(box_of, async || (ticked(&page, box_of).await == wanted).then_some(())).await;
    }
    eventually("the dark theme", async || {
        (page.execute(dark, Vec::new()).await.ok()? == "dark").then_some(())
    })
    .await;

    // A closed window stays in the tray no longer, though there is one.
    desk.close_window().await;
    eventually("the end of the app", async || desk.processes("hallpass-desktop").is_empty().then_some(()))
        .await;
}

#[tokio::test]
async fn a_folder_that_takes_no_entry_is_told_in_the_window() {
    let desk = Desk::new();
    std::fs::write(desk.sandbox.home().join(".config"), "no folder").unwrap();
    let page = desk.open_window().await;
    click(&page, "tab-settings").await;
    click(&page, "start-at-login").await;
    let words = eventually("the error", async || {
        let text = crate::desk::text(&page, "body").await;
        text.contains("The entry for the start at login could not be made").then_some(text)
    })
    .await;
    assert!(words.contains("autostart") && words.contains("The setting is saved: put that right"), "{words}");
    assert!(ticked(&page, "start-at-login").await, "the box says what is saved");
}

#[tokio::test]
async fn the_start_at_login_works_from_any_path() {
    let desk = Desk::new();
    let panel = Panel::on(&desk).await;
    let folder = desk.sandbox.root().join("it's 100% \"my\" $HOME `apps` & b\\s; #1");
    std::fs::create_dir(&folder).unwrap();
    let moved = copies(&folder);
    let mut first = desk.command(&moved);
    let mut first = crate::desk::Running::start(first.arg("--hidden"));
    panel.shows("the menu", |rows| find(rows, &["Quit"]).is_some()).await;
    for _ in 0..2 {
        ran(&desk, &["config", "set", "start-at-login", "on"]).await;
        eventually("the entry", async || entry(&desk).is_file().then_some(())).await;
    }
    let written = std::fs::read_to_string(entry(&desk)).unwrap();
    panel.click(&["Quit"]).await;
    assert!(first.ended().await);
    assert_eq!(panel.programs(), 1);

    // GLib reads the entry as a desktop does at login, and the tray is there again, without a window.
    let started = desk.command("gio").arg("launch").arg(entry(&desk)).status();
    assert!(started.expect("gio comes with the libraries of the window").success(), "{written}");
    eventually("the tray of the second", async || (panel.programs() == 2).then_some(())).await;
    panel.shows("the menu", |rows| find(rows, &["Quit"]).is_some()).await;
    assert!(desk.windows().is_empty());
    assert_eq!(std::fs::read_to_string(entry(&desk)).unwrap(), written, "the same again changes nothing");
    for _ in 0..2 {
        ran(&desk, &["config", "set", "start-at-login", "off"]).await;
        eventually("no entry", async || (!entry(&desk).exists()).then_some(())).await;
    }
    panel.click(&["Quit"]).await;
    eventually("the end of the app", async || desk.processes("hallpass-desktop").is_empty().then_some(()))
        .await;
}

#[tokio::test]
async fn the_browser_gets_the_address_and_no_more() {
    let desk = Desk::with_xdg_open();
    let panel = Panel::on(&desk).await;
    let team = Team::at(&desk).await;
    let asked = desk.sandbox.root().join("asked");
    desk.browse_with(&format!("printf '%s\\n' \"$#\" \"$@\" >> {}", asked.display()));
    let page = desk.open_window().await;
    click(&page, &format!("sign-in-{SERVER}")).await;
    let once = eventually("the browser", async || whole(&asked, 1)).await;
    click(&page, "open-again").await;
    let twice = eventually("the browser again", async || whole(&asked, 2)).await;
    let lines: Vec<&str> = twice.lines().collect();
    assert!(twice.starts_with(&once));
    assert_eq!((lines[0], lines[2], lines.len()), ("1", "1", 4), "one argument each time: {twice}");
    assert_eq!(lines[1], lines[3]);
    assert!(lines[1].starts_with(team.issuer.issuer()), "{twice}");
    assert!(lines[1].contains("code_challenge_method=S256"), "{twice}");
    // Closed to the tray and back: the sheet is there, and no browser was opened for it.
    desk.close_window().await;
    panel.click(&["Open Hallpass"]).await;
    reopened(&page).await;
    seen(&page, "sign-in-sheet").await;
    assert_eq!(whole(&asked, 2).as_deref(), Some(twice.as_str()));
}

/// The file, once it has the lines of so many openings.
fn whole(asked: &Path, openings: usize) -> Option<String> {
    let text = std::fs::read_to_string(asked).ok()?;
    (text.lines().count() >= 2 * openings && text.ends_with('\n')).then_some(text)
}

async fn ticked(page: &Client, testid: &str) -> bool {
    seen(page, testid).await.is_selected().await.unwrap()
}

async fn is_set(desk: &Desk, name: &str, wanted: &str) {
    eventually(&format!("{name} {wanted}"), async || {
        let said = desk.hallpass(&["config", "get", name]);
        String::from_utf8(said.stdout).unwrap().trim().ends_with(wanted).then_some(())
    })
    .await;
}

fn entry(desk: &Desk) -> PathBuf {
    desk.sandbox.home().join(".config/autostart/Hallpass-dev.desktop")
}

/// The app and what lies beside it, in another folder.
fn copies(folder: &Path) -> PathBuf {
    for program in [app().to_owned(), hallpass()] {
        let name = folder.join(program.file_name().unwrap());
        // Hundreds of megabytes in a development build: a second name where that is possible.
        if std::fs::hard_link(&program, &name).is_err() {
            std::fs::copy(&program, &name).unwrap();
        }
        assert_ne!(std::fs::metadata(&name).unwrap().permissions().mode() & 0o100, 0);
    }
    folder.join(app().file_name().unwrap())
}
