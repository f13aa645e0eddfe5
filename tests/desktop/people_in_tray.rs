//! People through the tray: profiles, another person's sign-in, and who must sign in again, with real accounts.

use crate::desk::{Desk, click, eventually, gone, picture, reopened, seen};
use crate::notifier::Notifier;
use crate::panel::{Panel, Row, find};
use crate::team::{SERVER, Team, is_selected, ran, whoami};

#[tokio::test]
async fn profiles_are_used_in_the_tray_and_every_call_follows() {
    let desk = Desk::new();
    let panel = Panel::on(&desk).await;
    let team = Team::at(&desk).await;
    team.login(&desk, "ana").await;
    ran(&desk, &["profiles", "create", "Work"]).await;
    team.login(&desk, "ben").await;
    ran(&desk, &["profiles", "create", "Home"]).await;
    let app = team.app(&desk).await;
    assert_eq!(whoami(&app).await, "ben");
    let _tray = desk.app(&["--hidden"]);
    panel
        .shows("Home in use", |rows| ticks(rows, "Profile: Home") == [("Home", true), ("Work", false)])
        .await;
    panel.click(&["Profile: Home", "Work"]).await;
    panel
        .shows("Work in use", |rows| ticks(rows, "Profile: Work") == [("Home", false), ("Work", true)])
        .await;
    is_selected(&desk, "ana").await;
    assert_eq!(whoami(&app).await, "ana");
    panel.click(&[SERVER, "ben"]).await;
    panel.shows("Home again", |rows| find(rows, &["Profile: Home"]).is_some()).await;
    assert_eq!(whoami(&app).await, "ben");
    ran(&desk, &["profiles", "delete", "Home"]).await;
    let rows = panel.shows("no profile in use", |rows| ticks(rows, "Profile") == [("Work", false)]).await;
    assert!(rows.iter().any(|row| row.label == "Profile"), "{rows:?}");
}

#[tokio::test]
async fn somebody_else_signs_in_from_the_tray_in_a_window_that_had_been_closed() {
    let desk = Desk::new();
    let panel = Panel::on(&desk).await;
    let team = Team::at(&desk).await;
    team.login(&desk, "ana").await;
    let page = desk.open_window().await;
    seen(&page, &format!("server-{SERVER}")).await;
    desk.close_window().await;
    eventually("no web view", async || desk.processes("WebKitWebProcess").is_empty().then_some(())).await;
    team.browse_as(&desk, "ben");
    panel.click(&[SERVER, "Sign in as someone else"]).await;
    reopened(&page).await;
    eventually("the question in the sheet", async || {
        let text = seen(&page, "sign-in-sheet").await.text().await.ok()?;
        (text.contains("ben") && text.contains("Use this account?")).then_some(())
    })
    .await;
    picture(&page, "tray-sign-in.png").await;
    click(&page, "confirm-yes").await;
    click(&page, "sheet-done").await;
    gone(&page, "sign-in-sheet").await;
    let both = |rows: &[Row]| {
        let people = ticks(rows, SERVER);
        people.iter().any(|(who, on)| who.starts_with("ana") && *on)
            && people.iter().any(|(who, on)| who.starts_with("ben") && !*on)
    };
    panel.shows("ana in use beside ben", both).await;
    let app = team.app(&desk).await;
    assert_eq!(whoami(&app).await, "ana");
}

#[tokio::test]
async fn who_must_sign_in_again_is_told_once_and_the_notice_leads_to_the_sheet() {
    let desk = Desk::new();
    let notifier = Notifier::on(&desk).await;
    let panel = Panel::on(&desk).await;
    let team = Team::at(&desk).await;
    team.login(&desk, "ana").await;
    let name = "<script>alert(1)</script> & <b>co</b>";
    ran(&desk, &["servers", "rename", SERVER, name]).await;
    let page = desk.open_window().await;
    seen(&page, &format!("server-{SERVER}")).await;
    desk.close_window().await;
    let app = team.app(&desk).await;
    assert_eq!(whoami(&app).await, "ana");
    team.issuer.handle().revoke_person("ana");
    assert!(app.call_tool("whoami", serde_json::json!({})).await.is_err(), "nobody may act any more");
    panel
        .shows("who must sign in", |rows| {
            rows[0].label == "<script>alert(1)</script> & <b>co</b> needs sign-in…"
        })
        .await;
    let told = notifier.told(1).await;
    assert!(told[0].title.starts_with("<script>alert(1)"), "{told:?}");
    assert!(told[0].title.ends_with(" needs sign-in"), "{told:?}");
    assert!(!told[0].body.contains('<') && told[0].body.contains("must sign in again"), "{told:?}");
    // The same again is no news.
    assert!(app.call_tool("whoami", serde_json::json!({})).await.is_err());
    ran(&desk, &["servers", "rename", SERVER, SERVER]).await;
    panel.shows("the new name", |rows| rows[0].label == "tickets needs sign-in…").await;
    assert_eq!(notifier.told(1).await.len(), 1);
    team.browse_as(&desk, "ana");
    notifier.choose(0).await;
    reopened(&page).await;
    eventually("the end of the sheet", async || {
        let text = seen(&page, "sign-in-sheet").await.text().await.ok()?;
        text.contains("Signed in as ana").then_some(())
    })
    .await;
    assert_eq!(whoami(&app).await, "ana");
}

/// The rows below the one with this very label, with their ticks.
fn ticks<'a>(rows: &'a [Row], title: &str) -> Vec<(&'a str, bool)> {
    let row = rows.iter().find(|row| row.label == title);
    row.map_or_else(Vec::new, |row| {
        row.below.iter().filter_map(|row| Some((row.label.as_str(), row.ticked?))).collect()
    })
}
