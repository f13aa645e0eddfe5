//! Servers come in: by a pasted URL, link, command or snippet, and out of other apps' files.

use std::path::Path;

use serde_json::{Value, json};
use testbed::mcp_server::{Eras, McpServer};

use crate::support::people::whoami;
use crate::support::{Ran, SERVER, World};

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
