//! Tables for the tray's menu: one view in, the rows out, as lines of text.

use serde_json::{Value, json};

use super::*;

/// A view with these Servers; everything else as an agent without trouble says it.
#[expect(clippy::needless_pass_by_value, reason = "tables read better so")]
fn view(servers: Value) -> StatusView {
    let agent = json!({
        "version": "0.1.0", "pid": 1, "root": "/home/x/.hallpass", "started_at": 0,
        "keychain": {"state": "ready", "store": "login"}, "proxies": {}, "unsaved": 0, "pending_revocations": 0,
    });
    serde_json::from_value(json!({"agent": agent, "servers": servers, "sessions": []})).unwrap()
}

/// A Server whose Accounts are `(id, label, state)`; the first one is selected.
fn server(id: &str, label: &str, state: &str, people: &[(&str, &str, &str)]) -> Value {
    let mut grants: Vec<Value> = people.iter().map(|(id, label, state)| grant(id, label, state)).collect();
    if let Some(first) = grants.first_mut() {
        first["selected"] = json!(true);
    }
    json!({
        "id": id, "label": label, "endpoint": format!("https://{id}.example/mcp"), "auth": "oauth",
        "state": state, "origin": {"kind": "hand-made"}, "development": false, "private_network": false,
        "era": null, "selected": people.first().map(|(id, ..)| id), "grants": grants, "bound_apps": {},
    })
}

fn grant(id: &str, label: &str, state: &str) -> Value {
    let account = json!({
        "id": id, "label": label, "name": null, "email": format!("{id}@example.com"), "email_verified": true,
        "issuer": "https://id.example", "subject": id, "proof": "id_token", "proven_at": 0,
    });
    json!({
        "account": account, "state": state, "reason": "it ended", "renewable": true, "scopes": [],
        "expires_at": null, "signed_in_at": 0, "renewed_at": null, "selected": false,
    })
}

/// The rows as text: `>` a menu below, `*` ticked, `o` not ticked, `#` cannot be chosen, `---` a line.
fn text(items: &[Item]) -> Vec<String> {
    let mut lines = Vec::new();
    for item in items {
        match item {
            Item::Do(_, text) => lines.push(text.clone()),
            Item::Choice { text, chosen, .. } => {
                lines.push(format!("{} {text}", if *chosen { "*" } else { "o" }));
            }
            Item::Says(text) => lines.push(format!("# {text}")),
            Item::Line => lines.push("---".to_owned()),
            Item::Below(text, items) => {
                lines.push(format!("> {text}"));
                lines.extend(self::text(items).into_iter().map(|line| format!("  {line}")));
            }
        }
    }
    lines
}

fn shown(view: &StatusView) -> Vec<String> {
    text(&menu(Look::Running(view)))
}

const END: [&str; 3] = ["---", "Open Hallpass", "Quit"];

#[test]
fn without_an_agent_the_menu_says_so_and_offers_to_start_it() {
    assert_eq!(text(&menu(Look::Starting)), [&["# Starting…"][..], &END].concat());
    let stopped = ["# The agent is not running", "Start the agent"];
    assert_eq!(text(&menu(Look::Stopped)), [&stopped[..], &END].concat());
    assert_eq!(shown(&view(json!([]))), END[1..]);
}

#[test]
fn accounts_stand_below_their_server_with_the_current_one_ticked() {
    let view = view(json!([
        server(
            "github",
            "GitHub",
            "connected",
            &[("a1", "ana-work", "active"), ("b2", "ana-home", "needs_sign_in")]
        ),
        server("notion", "Notion", "signed_out", &[]),
    ]));
    let expected = [
        "> GitHub",
        "  * ana-work",
        "  o ana-home (needs sign-in)",
        "  ---",
        "  Sign in as someone else…",
        "  Show in the window…",
        "> Notion (nobody signed in)",
        "  Sign in…",
        "  Show in the window…",
    ];
    assert_eq!(shown(&view), [&expected[..], &END].concat());
}

#[test]
fn nobody_is_ticked_while_a_bridge_may_still_act_as_somebody_else() {
    let mut server = server(
        "github",
        "GitHub",
        "switching",
        &[("a1", "ana-work", "active"), ("b2", "ana-home", "active")],
    );
    server["grants"][0]["selected"] = json!(false);
    let lines = shown(&view(json!([server])));
    assert_eq!(lines[..3], ["> GitHub (switching)", "  o ana-work", "  o ana-home"]);
}

#[test]
fn an_application_is_named_as_no_person() {
    let mut server =
        server("github", "GitHub", "connected", &[("a1", "ana", "active"), ("r2", "robot", "active")]);
    server["grants"][1]["account"]["proof"] = json!("application");
    let lines = shown(&view(json!([server])));
    assert_eq!(lines[1..3], ["  * ana", "  o robot (not a person)"]);
}

#[test]
fn what_needs_the_person_comes_first() {
    let mut view = view(json!([
        server("github", "GitHub", "connected", &[("a1", "ana", "active")]),
        server("linear", "Linear", "needs_sign_in", &[("a1", "ana", "needs_sign_in")]),
        server("wiki", "Wiki", "nobody_chosen", &[]),
    ]));
    view.agent.keychain = KeychainState::Locked { store: "login".to_owned() };
    let lines = shown(&view);
    assert_eq!(
        lines[..4],
        ["The keychain is locked…", "Linear needs sign-in…", "Wiki: choose who acts…", "---"]
    );
    let first = &menu(Look::Running(&view))[1];
    assert_eq!(*first, Item::Do(Act::SignIn("linear".parse().unwrap()), "Linear needs sign-in…".to_owned()));
}

#[test]
fn paused_blocked_and_unreachable_servers_say_so_and_ask_for_nothing() {
    let mut servers = json!([
        server("a", "A", "paused", &[("a1", "ana", "needs_sign_in")]),
        server("b", "B", "blocked", &[("a1", "ana", "active")]),
        server("c", "C", "unreachable", &[("a1", "ana", "active")]),
    ]);
    servers[0]["paused"] = json!(true);
    servers[1]["closed"] = json!({"by": "Acme\u{202e}", "reason": "not\nallowed"});
    let expected = [
        "> A (paused)",
        "  * ana (needs sign-in)",
        "  Show in the window…",
        "> B (blocked by Acme)",
        "  # not allowed",
        "  ---",
        "  * ana",
        "  Show in the window…",
        "> C (unreachable)",
        "  * ana",
        "  ---",
        "  Sign in as someone else…",
        "  Show in the window…",
    ];
    assert_eq!(shown(&view(servers)), [&expected[..], &END].concat());
}

#[test]
fn profiles_are_choices_and_the_title_names_the_one_in_use() {
    let mut view = view(json!([server("github", "GitHub", "connected", &[("a1", "ana", "active")])]));
    view.profiles = serde_json::from_value(json!([
        {"name": "Home", "selection": {}, "in_use": false},
        {"name": "Work", "selection": {}, "in_use": true},
    ]))
    .unwrap();
    assert_eq!(shown(&view)[..4], ["> Profile: Work", "  o Home", "  * Work", "---"]);
    view.profiles[1].in_use = false;
    assert_eq!(shown(&view)[0], "> Profile");
}

#[test]
fn two_accounts_of_one_label_are_told_apart() {
    let view = view(json!([server(
        "github",
        "GitHub",
        "connected",
        &[("a1", "ana", "active"), ("b2", "ana\u{200b}", "active"), ("c3", "ben", "active")]
    )]));
    assert_eq!(shown(&view)[1..4], ["  * ana (a1@example.com)", "  o ana (b2@example.com)", "  o ben"]);
}

#[test]
fn hostile_labels_cannot_leave_their_row() {
    let label = format!("<script>\u{202e}\n---\nQuit{}", "x".repeat(10_000));
    let view = view(json!([server("github", &label, "needs_sign_in", &[("a1", &label, "active")])]));
    let lines = shown(&view);
    assert!(
        lines.iter().all(|line| line.chars().count() < 80 && !line.contains(char::is_control)),
        "{lines:?}"
    );
    assert!(
        lines[0].starts_with("<script> --- Quitxx") && lines[0].ends_with("… needs sign-in…"),
        "{lines:?}"
    );
}

#[test]
fn five_hundred_servers_with_twenty_accounts_are_a_menu_and_a_way_to_the_rest() {
    let ids: Vec<String> = (0..20).map(|n| format!("p{n}")).collect();
    let people: Vec<_> = ids.iter().map(|id| (id.as_str(), id.as_str(), "active")).collect();
    let servers: Vec<Value> = (0..500)
        .map(|n| {
            // Those without an account come last, and are the first to be left out.
            let (state, people) =
                if n < 490 { ("signed_out", &[][..]) } else { ("needs_sign_in", &people[..]) };
            server(&format!("s{n}"), &format!("Server {n}"), state, people)
        })
        .collect();
    let view = view(json!(servers));
    let items = menu(Look::Running(&view));
    assert!(items.len() < 35, "{} rows", items.len());
    let lines = text(&items);
    assert_eq!(lines[5], "5 more in the window…");
    assert_eq!(lines[7], "> Server 490 (needs sign-in)");
    assert!(lines.contains(&"  8 more in the window…".to_owned()), "{lines:?}");
    assert_eq!(lines[lines.len() - 4], "480 more in the window…");
    let same = items.iter().filter(|item| matches!(item, Item::Below(..))).count();
    assert_eq!(same, MOST_SERVERS);
}

#[test]
fn a_server_without_sign_in_is_nobody_s_choice() {
    let mut open = server("files", "Files", "open", &[]);
    open["auth"] = json!("none");
    assert_eq!(shown(&view(json!([open]))), END[1..]);
}

#[test]
fn what_a_row_does_survives_its_way_through_the_toolkit() {
    let acts = [
        Act::Open,
        Act::Quit,
        Act::UseProfile("a \"quoted\" \u{5d0}".to_owned()),
        Act::Use("github".parse().unwrap(), serde_json::from_value(json!("a1")).unwrap()),
    ];
    for act in acts {
        let id = serde_json::to_string(&act).unwrap();
        assert_eq!(serde_json::from_str::<Act>(&id).unwrap(), act);
    }
}
