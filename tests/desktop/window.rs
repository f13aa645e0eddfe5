//! The window opens, tells the truth about the agent, brings it back, and can do nothing but its two commands.

use fantoccini::Locator;
use serde_json::json;

use crate::desk::{Desk, PATIENCE, eventually, invoke, picture, shell, text};

#[tokio::test]
async fn the_window_opens_and_starts_the_agent_by_itself() {
    let desk = Desk::new();
    let page = desk.open_window().await;
    assert_eq!(page.title().await.unwrap(), "Hallpass");
    let view = eventually("the running agent", async || {
        let view = shell(&page, json!({"do": "view"})).await["answer"].clone();
        (view["agent"] == "running").then_some(view)
    })
    .await;
    assert_eq!(view["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(view["tray"], false, "nothing shows a tray here");
    let status = invoke(&page, "call", &json!({"request": {"verb": "status"}})).await;
    assert_eq!(status["answer"]["agent"]["pid"].as_u64(), desk.agent_pid().map(u64::from));
    // What it was started from is what configs name, and its keychain is this session's.
    assert_eq!(status["answer"]["agent"]["keychain"]["state"], "ready", "{status}");
    let published = desk.sandbox.home().join(".hallpass-dev/bin/hallpass");
    eventually("the executable that configs name", async || published.is_file().then_some(())).await;
    assert!(!text(&page, "body").await.is_empty());
    eventually("a window that is not empty", async || {
        (picture(&page, "desktop-window.png").await > 10_000).then_some(())
    })
    .await;
    page.close().await.unwrap();
}

#[tokio::test]
async fn an_agent_that_was_killed_comes_back_and_one_that_was_stopped_does_not() {
    let desk = Desk::new();
    let page = desk.open_window().await;
    let first = eventually("the agent", async || desk.agent_pid()).await;
    listen(&page).await;
    assert!(desk.command("kill").args(["-KILL", &first.to_string()]).status().unwrap().success());
    let second = eventually("another agent", async || desk.agent_pid().filter(|pid| *pid != first)).await;
    let status = async || invoke(&page, "call", &json!({"request": {"verb": "status"}})).await;
    eventually("the answer of the new agent", async || {
        (status().await["answer"]["agent"]["pid"] == second).then_some(())
    })
    .await;
    eventually("word of it in the window", async || (heard(&page).await > 0).then_some(())).await;

    assert!(desk.hallpass(&["agent", "stop"]).status.success());
    eventually("the window's word", async || {
        (shell(&page, json!({"do": "view"})).await["answer"]["agent"] == "stopped").then_some(())
    })
    .await;
    let refused = status().await;
    assert_eq!(refused["refused"]["code"], "agent_unavailable", "{refused}");
    assert_eq!(refused["refused"]["message"], "the Hallpass agent is not running", "{refused}");
    assert_eq!(desk.agent_pid(), None, "a person stopped it");

    // Somebody else starts one: the window finds it. Then the button does.
    assert!(desk.hallpass(&["servers", "list"]).status.success());
    eventually("the agent of the other one", async || status().await["answer"]["agent"]["pid"].as_u64())
        .await;
    assert!(desk.hallpass(&["agent", "stop"]).status.success());
    eventually("the stop", async || status().await["refused"]["code"].as_str().map(str::to_owned)).await;
    shell(&page, json!({"do": "start_agent"})).await;
    eventually("the agent of the button", async || desk.agent_pid()).await;
    page.close().await.unwrap();
}

#[tokio::test]
async fn a_locked_keychain_is_told_and_not_waited_for() {
    let desk = Desk::new();
    desk.sandbox.lock_keychain().unwrap();
    let page = desk.open_window().await;
    let keychain = eventually("the keychain's state", async || {
        let status = invoke(&page, "call", &json!({"request": {"verb": "status"}})).await;
        status["answer"]["agent"]["keychain"]["state"].as_str().map(str::to_owned)
    })
    .await;
    assert_eq!(keychain, "locked");
    page.close().await.unwrap();
}

#[tokio::test]
async fn the_window_can_do_nothing_but_its_two_commands() {
    let desk = Desk::new();
    let page = desk.open_window().await;
    page.wait().at_most(PATIENCE).for_element(Locator::Css("h1")).await.unwrap();
    let allowed = invoke(&page, "call", &json!({"request": {"verb": "status"}})).await;
    assert_eq!(allowed["answer"]["kind"], "status", "the one command must reach the agent: {allowed}");
    for verb in [
        json!({"verb": "give_me_tokens"}),
        // What the agent learns of the session comes from the shell's environment, never from a page.
        json!({"verb": "record_environment", "dbus_address": "unix:path=/tmp/x", "proxies": {"https_proxy": "http://127.0.0.1:1"}}),
        json!({"verb": "watch"}),
    ] {
        let refused = invoke(&page, "call", &json!({ "request": verb })).await;
        assert_eq!(refused["refused"]["code"], "usage", "{verb}: {refused}");
    }
    let nothing = shell(&page, json!({"do": "open_browser", "sign_in": 7})).await;
    assert_eq!(nothing["refused"]["code"], "not_found", "only addresses of sign-ins are opened: {nothing}");
    let other = shell(&page, json!({"do": "run", "program": "/bin/sh"})).await;
    assert!(other["refused"].as_str().is_some_and(|why| why.contains("unknown variant")), "{other}");
    for (command, arguments) in [
        ("run_anything", json!({})),
        ("plugin:window|create", json!({"options": {"label": "second", "url": "index.html"}})),
        (
            "plugin:webview|create_webview_window",
            json!({"options": {"label": "second", "url": "index.html"}}),
        ),
        ("plugin:path|resolve_directory", json!({"directory": 1})),
        ("plugin:event|emit", json!({"event": "agent-event", "payload": {}})),
        ("plugin:app|version", json!({})),
        ("plugin:tray|new", json!({"options": {"id": "x"}, "handler": 1})),
        ("plugin:menu|new", json!({"kind": "Menu", "handler": 1})),
        ("plugin:image|from_path", json!({"path": "/etc/hostname"})),
    ] {
        let answer = invoke(&page, command, &arguments).await;
        let why = answer["refused"].as_str().unwrap_or_default();
        assert!(
            why.contains("not allowed") || why.contains("not found"),
            "{command} was not refused: {answer}"
        );
    }
    for (attempt, script) in [
        ("eval", "try { new Function('return 1')(); done('ran') } catch { done('refused') }"),
        (
            "an address outside",
            // Both are told, one a moment before the other.
            "let end = 'nothing';
             const tell = () => { if (heard && end !== 'nothing') done(end); };
             document.addEventListener('securitypolicyviolation', tell);
             fetch('http://127.0.0.1:1/').then(() => { end = 'ran'; heard = true; tell(); }, () => { end = 'refused'; tell(); })",
        ),
        (
            "an inline script",
            "const s = document.createElement('script'); s.textContent = 'window.ran = true'; document.body.append(s);
             done(window.ran ? 'ran' : 'refused')",
        ),
    ] {
        let script = format!(
            "const done = arguments[0]; let heard = false;
             document.addEventListener('securitypolicyviolation', () => {{ heard = true; }}); {script}"
        );
        let answer = page.execute_async(&script, Vec::new()).await.unwrap();
        assert_eq!(answer, "refused", "the content security policy let {attempt} pass");
    }
    page.close().await.unwrap();
}

/// Counts what the agent says from now on.
async fn listen(page: &fantoccini::Client) {
    let script = "const done = arguments[0]; window.heardEvents = 0;
        const handler = window.__TAURI_INTERNALS__.transformCallback(() => { window.heardEvents += 1; });
        window.__TAURI_INTERNALS__.invoke('plugin:event|listen',
            { event: 'agent-event', target: { kind: 'Any' }, handler }).then(() => done(true), e => done(String(e)))";
    assert_eq!(page.execute_async(script, Vec::new()).await.unwrap(), true);
}

async fn heard(page: &fantoccini::Client) -> u64 {
    page.execute("return window.heardEvents", Vec::new()).await.unwrap().as_u64().unwrap()
}
