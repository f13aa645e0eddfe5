//! Servers come in: by a pasted URL, link, command or snippet, and out of other apps' files.

use std::path::Path;
use std::process::Stdio;

use ipc::{NewServer, Request, Response};
use model::ServerId;
use serde_json::{Value, json};
use testbed::mcp_server::{Eras, McpServer};

use crate::support::control::Control;
use crate::support::people::whoami;
use crate::support::{Ran, SERVER, World, eventually};

/// A made-up token in the form of a common one.
const TOKEN: &str = "ghp_pastedQ7xK2mV9tR4wZ8bN1cJ5hL3pS6dF0g";

async fn add(world: &World, args: &[&str]) -> Ran {
    world.run(&[&["servers", "add"], args].concat()).await
}

fn entry(endpoint: &str) -> Value {
    json!({ "url": endpoint, "headers": { "Authorization": format!("Bearer {TOKEN}"), "X-MCP-Toolsets": "repos" } })
}

/// Every file below a folder that holds a text.
fn holding(folder: &Path, text: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(holding(&path, text));
        } else if std::fs::read(&path).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(text)) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[tokio::test]
async fn a_pasted_snippet_becomes_a_server_and_its_token_is_kept_nowhere() {
    let world = World::new().await;
    let snippet = json!({ "mcpServers": { "tracker": entry(&world.server.endpoint()) } }).to_string();
    let ran = add(&world, &[&snippet, "--id", SERVER]).await.ok();
    assert!(ran.err.contains("GitHub token") && ran.err.contains("was not kept"), "{ran:?}");
    assert!(!ran.out.contains(TOKEN) && !ran.err.contains(TOKEN), "{ran:?}");
    let server = world.run(&["servers", "show", SERVER, "--json"]).await.ok().json();
    assert_eq!(server["label"], "tracker");
    assert_eq!(server["headers"], json!({ "X-MCP-Toolsets": "repos" }));
    assert_eq!(server["endpoint"], world.server.endpoint());
    world.login("ana", &[]).await.ok();
    assert_eq!(whoami(&world.host("cursor").await).await.unwrap(), "ana");
    assert_eq!(holding(&world.root(), TOKEN), Vec::<String>::new());
    // The check can fail: a planted one is found.
    std::fs::write(world.root().join("state/planted"), TOKEN).expect("our folder");
    assert_eq!(holding(&world.root(), TOKEN).len(), 1);
}

#[tokio::test]
async fn links_commands_and_urls_with_keys_are_read_too() {
    let world = World::new().await;
    let endpoint = world.server.endpoint();
    let texts = [
        format!("{endpoint}?api_key={TOKEN}"),
        format!(
            "claude mcp add --transport http tracker {endpoint} --header 'Authorization: Bearer {TOKEN}'"
        ),
        format!("npx -y mcp-remote {endpoint}"),
        format!("hallpass://add?url={endpoint}"),
    ];
    for text in texts {
        let added = add(&world, &[&text, "--id", SERVER, "--json"]).await.ok();
        assert_eq!(added.json()["endpoint"], endpoint, "{text}");
        assert!(!added.err.contains(TOKEN), "{added:?}");
        world.run(&["servers", "remove", SERVER]).await.ok();
    }
    for (text, part) in [
        ("slack://open", "slack:"),
        (r#"{"mcpServers":{"files":{"command":"npx","args":["server-files"]}}}"#, "local command"),
        ("{\"mcpServers\":", "not JSON"),
        (TOKEN, "secret"),
        ("hallpass://subscribe?url=https://a.example/l.json", "list of servers"),
    ] {
        let ran = add(&world, &[text]).await.fails(2);
        assert!(ran.err.contains(part) && ran.err.contains("  next: "), "{ran:?}");
        assert!(!ran.err.contains(TOKEN), "{ran:?}");
    }
    assert_eq!(world.run(&["servers", "list", "--json"]).await.ok().json()["servers"], json!([]));
}

#[tokio::test]
async fn every_door_refuses_an_address_or_a_header_with_a_secret() {
    let world = World::new().await;
    let endpoint = world.server.endpoint();
    let mut control = Control::open(&world).await;
    let add = |url: &str, headers: &[(&str, &str)]| {
        Request::AddServer(NewServer {
            url: url.to_owned(),
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            ..NewServer::default()
        })
    };
    let bearer = format!("Bearer {TOKEN}");
    for (url, headers, part) in [
        (format!("{endpoint}?api_key=hunter2hunter2"), &[][..], "carries a secret"),
        (format!("{endpoint}?x=1&access_token={TOKEN}"), &[], "carries a secret"),
        (format!("{endpoint}/s/{TOKEN}/mcp"), &[], "carries a secret"),
        (endpoint.replace("://", "://ana:hunter2hunter2@"), &[], "user name"),
        ("https://mcp.\u{430}cme.example/mcp".to_owned(), &[], "look like others"),
        (endpoint.clone(), &[("Authorization", "x")], "credential"),
        (endpoint.clone(), &[("X-Acme-Token", "hunter2hunter2")], "credential"),
        (endpoint.clone(), &[("X-Tenant", TOKEN)], "credential"),
        (endpoint.clone(), &[("X-Odd", &bearer)], "credential"),
        (endpoint.clone(), &[(TOKEN, "x")], "credential"),
        (endpoint.clone(), &[("Host", "a.example")], "set by Hallpass"),
        (endpoint.clone(), &[("Mcp-Session-Id", "1")], "set by Hallpass"),
        (endpoint.clone(), &[("X-Two\r\nHost", "a")], "cannot be sent"),
    ] {
        let error = control.ask(add(&url, headers)).await.expect_err(&url);
        assert!(error.message.contains(part) && !error.hint.is_empty(), "{url} {headers:?}: {error:?}");
        let said = format!("{} {}", error.message, error.hint);
        assert!(!said.contains(TOKEN) && !said.contains("hunter2"), "{said}");
    }
    assert_eq!(world.run(&["servers", "list", "--json"]).await.ok().json()["servers"], json!([]));
    assert_eq!(holding(&world.root(), TOKEN), Vec::<String>::new());
    assert_eq!(holding(&world.root(), "hunter2"), Vec::<String>::new());
    control.ask(add(&endpoint, &[("X-Goog-User-Project", "acme-tickets-1234")])).await.expect("no secret");
}

#[tokio::test]
async fn a_server_that_is_removed_during_a_sign_in_gets_nobody_s_token() {
    let world = World::new().await;
    world.add_server().await;
    let mut waiting = world.hallpass(&["login", SERVER, "--no-browser", "--yes", "--timeout", "5m"]);
    waiting.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut waiting = tokio::process::Command::from(waiting).kill_on_drop(true).spawn().expect("it starts");
    eventually("the sign-in", async || {
        (world.status().await["sign_ins"][0]["server"] == SERVER).then_some(())
    })
    .await;
    world.run(&["servers", "remove", SERVER]).await.ok();
    // It does not wait for the browser of a server that is no more.
    assert_eq!(waiting.wait().await.expect("it ends").code(), Some(130));
    let state = world.state();
    assert_eq!((&state["grants"], &state["accounts"]), (&json!([]), &json!({})), "{state}");
}

#[tokio::test]
async fn what_the_issuer_is_not_to_hear_it_does_not_hear_later_either() {
    let world = World::with_ana().await;
    world.sandbox.lock_keychain().expect("it can be locked");
    world.run(&["logout", SERVER, "--no-revoke"]).await.ok();
    let state = world.state();
    assert_eq!((&state["grants"], state["revocations"].as_array().map(Vec::len)), (&json!([]), Some(1)));
    world.sandbox.unlock_keychain().expect("it can be unlocked");
    // The next agent deletes the item at once.
    world.run(&["agent", "stop"]).await.ok();
    world.run(&["status"]).await;
    eventually("the end of what is pending", async || {
        (world.state()["revocations"] == json!([])).then_some(())
    })
    .await;
    assert_eq!(world.issuer.handle().stats().revocations, 0, "the person said that it is not to be told");
}

#[tokio::test]
async fn of_several_servers_one_is_named_or_all_are_meant() {
    let world = World::new().await;
    let other = McpServer::protected(world.issuer.handle(), Eras::Both).await.expect("a port");
    let snippet = json!({ "servers": {
        "tracker": { "url": world.server.endpoint() },
        "wiki": { "url": other.endpoint() },
        "files": { "command": "npx", "args": ["server-files"] },
    }})
    .to_string();
    let asked = add(&world, &[&snippet]).await.fails(2);
    for part in ["tracker", "wiki", "files", "--name", "--all"] {
        assert!(asked.err.contains(part), "{asked:?}");
    }
    add(&world, &[&snippet, "--name", "nobody"]).await.fails(1);
    add(&world, &[&snippet, "--name", "wiki", "--id", "wiki"]).await.ok();
    let all = add(&world, &[&snippet, "--all", "--json"]).await.ok().json();
    assert_eq!(all["endpoint"], world.server.endpoint(), "the other one is there already: {all}");
    add(&world, &[&snippet, "--all"]).await.fails(2);
}

#[tokio::test]
async fn an_import_merges_what_two_apps_name_and_changes_no_file() {
    let world = World::new().await;
    let endpoint = world.server.endpoint();
    let home = world.sandbox.home();
    let cursor = json!({ "mcpServers": { "tracker": entry(&endpoint), "files": { "command": "npx" } } });
    let claude = json!({ "mcpServers": {
        "tickets": { "command": "npx", "args": ["mcp-remote", endpoint, "--header", "X-MCP-Toolsets: repos"] },
        "odd": { "url": endpoint, "headers": { "X-Odd": "west" } },
    }});
    let files = [
        (home.join(".cursor/mcp.json"), cursor.to_string()),
        (home.join(".config/Claude/claude_desktop_config.json"), claude.to_string()),
    ];
    for (path, text) in &files {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder of ours");
        std::fs::write(path, text).expect("a file of ours");
    }
    let shown = world.run(&["import", "--dry-run", "--json"]).await.ok().json();
    let found = shown["found"].as_array().expect("a list");
    let one = |name: &str| found.iter().find(|one| one["name"] == name).cloned().unwrap_or_default();
    assert_eq!(found.len(), 3, "{shown}");
    let merged =
        [one("tracker"), one("tickets")].into_iter().find(|one| !one.is_null()).expect("it is there");
    assert_eq!(merged["apps"].as_array().map(Vec::len), Some(2), "{merged}");
    assert!(one("files")["problem"].as_str().unwrap().contains("local command"));
    assert!(one("odd")["problem"].as_str().unwrap().contains("X-Odd"));
    assert_eq!((&shown["added"], world.status().await["servers"].clone()), (&json!([]), json!([])));
    world.run(&["import"]).await.fails(2);
    let ran = world.run(&["import", "--yes", "--json"]).await.ok();
    let added = &ran.json()["added"];
    assert_eq!(added.as_array().map(Vec::len), Some(1), "{ran:?}");
    assert_eq!(added[0]["origin"]["kind"], "imported");
    assert_eq!(added[0]["headers"], json!({ "X-MCP-Toolsets": "repos" }));
    for (path, text) in &files {
        assert_eq!(std::fs::read_to_string(path).expect("it is there"), *text, "{}", path.display());
    }
    assert!(!ran.out.contains(TOKEN));
    assert_eq!(holding(&world.root(), TOKEN), Vec::<String>::new());
    let again = world.run(&["import", "--yes"]).await.ok();
    assert!(again.out.contains("is there already"), "{again:?}");
    world.run(&["import", "--from", "no-such"]).await.fails(1);
    let only = world.run(&["import", "--from", "claude-desktop", "--dry-run", "--json"]).await.ok().json();
    assert!(only["found"].as_array().unwrap().iter().all(|one| one["name"] != "files"), "{only}");
}

#[tokio::test]
async fn a_server_that_is_there_already_is_found_however_its_address_is_spelled() {
    let world = World::new().await;
    world.add_server().await;
    let endpoint = world.server.endpoint();
    let address = endpoint.strip_prefix("http://127.0.0.1").expect("a server of this machine");
    for same in [
        format!("HTTP://127.0.0.1{address}"),
        format!("http://127.1{address}"),
        endpoint.replace("/mcp", "/x/../mcp"),
    ] {
        let refused = world.run(&["servers", "add", &same]).await.fails(2);
        assert!(refused.err.contains("is there already, as tickets"), "{same}: {refused:?}");
        let mut control = Control::open(&world).await;
        let text = json!({"mcpServers": {"again": {"url": same}}}).to_string();
        let Ok(Response::Pasted(pasted)) = control.ask(Request::ReadPaste { text }).await else {
            panic!("it can be read")
        };
        assert_eq!(pasted.servers[0].server.as_ref().map(ServerId::as_str), Some(SERVER), "{same}");
    }
    for other in [format!("{endpoint}/"), format!("{endpoint}?"), endpoint.replace("/mcp", "/MCP")] {
        let ran = world.run(&["servers", "add", &other]).await;
        assert!(!ran.err.contains("is there already"), "{other}: {ran:?}");
    }
}
