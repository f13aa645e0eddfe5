//! Other apps' configuration files: what is found in them, what becomes of it, and the way back.

mod app_file;
mod back;
mod in_the_way;

use serde_json::{Value, json};
use testbed::mcp_server::{Eras, McpServer};
use testbed::scanner::{Output, Surface, Wanted, scan_sandbox};

use crate::support::people::{People, handshake, refusal, whoami};
use crate::support::{Ran, SERVER, World};
use app_file::{
    ARGV_TOKEN, AppFile, CLAUDE, CURSOR, ENV_TOKEN, HEADER_TOKEN, OPEN_TOKEN, UNKNOWN_HEADER, URL_TOKEN,
    all_kinds, one_header, planned,
};

const TOKENS: [&str; 5] = [HEADER_TOKEN, URL_TOKEN, ARGV_TOKEN, ENV_TOKEN, OPEN_TOKEN];

/// No value of the files is ever shown.
#[track_caller]
fn shows_no_value(ran: &Ran) {
    for value in TOKENS.iter().chain(&[UNKNOWN_HEADER]) {
        assert!(!ran.out.contains(value) && !ran.err.contains(value), "{value} in {ran:?}");
    }
}

#[tokio::test]
async fn apps_list_finds_every_kind_of_entry_and_names_secrets_by_kind_never_by_value() {
    let world = World::new().await;
    let open = McpServer::open(Eras::Both).await.expect("a port");
    for app in [CLAUDE, CURSOR] {
        AppFile::with(&world, app, &all_kinds(&world, &open.endpoint()));
    }
    let list = world.run(&["apps", "list", "--json"]).await.ok();
    shows_no_value(&list);
    for app in list.json()["apps"].as_array().unwrap() {
        let location = &app["locations"][0];
        assert_eq!((&location["exists"], &location["problem"]), (&json!(true), &Value::Null), "{app}");
        let found: Vec<(&str, &str, &Value, &Value)> = location["entries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| (e["name"].as_str().unwrap(), e["kind"].as_str().unwrap(), &e["host"], &e["secrets"]))
            .collect();
        let host = json!("127.0.0.1");
        let of = |secrets: &[&str]| json!(secrets);
        let expected: [(&str, &str, &Value, Value); 7] = [
            (
                "by-header",
                "remote",
                &host,
                of(&["GitHub token in mcpServers.by-header.headers.Authorization"]),
            ),
            ("by-url", "remote", &host, of(&["token in the URL in mcpServers.by-url.url"])),
            ("by-remote", "mcp_remote", &host, of(&["bearer token in mcpServers.by-remote.args[4]"])),
            (
                "offers-none",
                "remote",
                &host,
                of(&["GitHub token in mcpServers.offers-none.headers.Authorization"]),
            ),
            ("odd-header", "remote", &host, of(&[])),
            (
                "local-secret",
                "local",
                &Value::Null,
                of(&["GitHub token in mcpServers.local-secret.env.GITHUB_TOKEN"]),
            ),
            ("local", "local", &Value::Null, of(&[])),
        ];
        let expected: Vec<_> = expected.iter().map(|(n, k, h, s)| (*n, *k, *h, s)).collect();
        assert_eq!(found, expected, "{}", app["app"]);
    }
    let said = world.run(&["apps", "list"]).await.ok();
    shows_no_value(&said);
    for words in ["claude-desktop (Claude Desktop)", "in plain text: bearer token", "local command"] {
        assert!(said.out.contains(words), "{words:?}: {said:?}");
    }
}

#[tokio::test]
async fn plaintext_entries_become_our_bridge_and_what_cannot_is_reported_and_left() {
    let world = World::new().await;
    let open = McpServer::open(Eras::Both).await.expect("a port");
    let original = all_kinds(&world, &open.endpoint());
    let file = AppFile::with(&world, CURSOR, &original);

    // Looking changes nothing, neither in the file nor in the state.
    let diff = world.run(&["apps", "diff", CURSOR, "--json"]).await.ok();
    let dry = world.run(&["apps", "connect", CURSOR, "--dry-run"]).await.ok();
    let unasked = world.run(&["apps", "connect", CURSOR]).await.fails(2);
    assert!(unasked.err.contains("--yes"), "{unasked:?}");
    for ran in [&diff, &dry, &unasked] {
        shows_no_value(ran);
    }
    let plan = diff.json();
    assert_eq!(plan["secrets_moved"], 3, "{plan}");
    for (name, kind, reason) in [
        ("by-header", "replace", "remote server"),
        ("by-url", "replace", "remote server"),
        ("by-remote", "replace", "mcp-remote"),
        ("offers-none", "keep", "no way to sign in"),
        ("odd-header", "keep", "X-Region-Hint"),
        ("local-secret", "keep", "1 secret(s) in plain text"),
        ("local", "keep", "local command (uvx)"),
    ] {
        let entry = planned(&plan, name);
        assert_eq!(entry["kind"], kind, "{entry}");
        assert!(entry["reason"].as_str().unwrap().contains(reason), "{entry}");
    }
    assert_eq!(file.text(), original);
    let servers = world.run(&["servers", "list", "--json"]).await.ok().json();
    assert_eq!(servers["servers"], json!([]), "looking adds no server");

    let connected = world.run(&["apps", "connect", CURSOR, "--yes"]).await.ok();
    shows_no_value(&connected);
    assert!(connected.out.contains("3 value(s) leave the file for the keychain"), "{connected:?}");
    let servers = world.run(&["servers", "list", "--json"]).await.ok().json();
    let [server] = servers["servers"].as_array().unwrap().as_slice() else {
        panic!("one server, whatever the number of entries: {servers}");
    };
    assert_eq!(server["endpoint"], world.server.endpoint());
    let id = server["id"].as_str().unwrap();
    let next = format!("sign in with: hallpass login {id}");
    assert!(connected.out.contains(&next), "{connected:?}");
    let executable = world.root().join("bin/hallpass");
    let ours = json!({ "command": executable, "args": ["bridge", "--app", CURSOR, "--server", id] });
    for name in ["by-header", "by-url", "by-remote"] {
        assert_eq!(file.entry(name), ours, "{name}");
    }
    let before: Value = serde_json::from_str(&original).unwrap();
    for name in ["offers-none", "odd-header", "local-secret", "local"] {
        assert_eq!(file.entry(name), before["mcpServers"][name], "{name}");
    }

    // The entry itself, with next to no environment, after somebody has signed in.
    world.login_with("--as ana", &["login", id, "--yes"]).await.ok();
    let host = world.host_of(file.command(&world, "by-url"), handshake());
    host.greet().await.expect("the entry's command answers");
    assert_eq!(whoami(&host).await.unwrap(), "ana");
    let seen = world.server.handle().requests();
    assert!(!seen.is_empty(), "the server was called");

    // What left the file is nowhere in plain text; what stayed is found, so the scanner sees such files.
    let secrets = TOKENS.map(|token| Wanted::new(kind_of(token), token.to_owned().into()));
    let issued = world.issuer.handle().secrets().into_iter().map(Wanted::from);
    let (out, err) = (host.stdout(), host.stderr());
    let outputs = [
        Output { surface: Surface::Stdout, name: "bridge", bytes: &out },
        Output { surface: Surface::Stderr, name: "bridge", bytes: &err },
        Output { surface: Surface::Stdout, name: "connect", bytes: connected.out.as_bytes() },
        Output { surface: Surface::Stderr, name: "connect", bytes: connected.err.as_bytes() },
    ];
    let report = scan_sandbox(&world.sandbox, secrets.into_iter().chain(issued), &outputs).expect("a scan");
    assert_eq!(report.broken(), Vec::<String>::new(), "the canary is found");
    let path = file.path.display().to_string();
    let mut kinds: Vec<&str> = report.findings.iter().map(|f| f.kind.as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds, ["left, no sign-in", "left, of a local command"], "{report}");
    assert!(report.findings.iter().all(|f| f.place == path), "{report}");

    // And back, having said what that means.
    let restored = world.run(&["apps", "restore", CURSOR, "--yes"]).await.ok();
    shows_no_value(&restored);
    assert_eq!(restored.out.matches("this writes 3 secret").count(), 1, "{restored:?}");
    assert_eq!(file.text(), original);
}

fn kind_of(token: &str) -> &'static str {
    match token {
        ENV_TOKEN => "left, of a local command",
        OPEN_TOKEN => "left, no sign-in",
        _ => "moved",
    }
}

#[tokio::test]
async fn servers_that_are_asked_for_are_connected_and_no_other() {
    let world = World::with_ana().await;
    let open = McpServer::open(Eras::Both).await.expect("a port");
    world.run(&["servers", "add", &open.endpoint(), "--id", "clock"]).await.ok();
    let file = AppFile::with(&world, CLAUDE, &one_header(&world));
    let plan = world.run(&["apps", "diff", CLAUDE, "--servers", "clock", "--json"]).await.ok().json();
    assert_eq!(planned(&plan, "tracker")["kind"], "keep");
    assert_eq!(planned(&plan, "clock")["kind"], "add");
    world.run(&["apps", "connect", CLAUDE, "--servers", "nosuch", "--yes"]).await.fails(1);
    world.run(&["apps", "connect", CLAUDE, "--servers", SERVER, "--yes"]).await.ok();
    assert_eq!(file.entry("tracker")["args"], json!(["bridge", "--app", CLAUDE, "--server", SERVER]));
    assert_eq!(file.entry("clock"), Value::Null);
    // A second time there is nothing to do; without --servers the other one follows.
    let again = world.run(&["apps", "connect", CLAUDE, "--servers", SERVER, "--yes", "--json"]).await.ok();
    assert_eq!(again.json()["empty"], true, "{again:?}");
    world.run(&["apps", "connect", CLAUDE, "--yes"]).await.ok();
    assert_eq!(file.entry("clock")["args"], json!(["bridge", "--app", CLAUDE, "--server", "clock"]));
    // Both changes are undone at once.
    world.run(&["apps", "restore", CLAUDE, "--yes"]).await.ok();
    assert_eq!(file.text(), one_header(&world));
}

#[tokio::test]
async fn an_entry_that_pins_an_account_never_acts_as_another() {
    let world = World::with_ana_and_ben().await;
    let people = People::of(&world).await;
    let file = AppFile::of(&world, CURSOR);
    world.run(&["apps", "connect", CURSOR, "--account", "nobody", "--yes"]).await.fails(1);
    assert!(!file.path.exists());
    world.run(&["apps", "connect", CURSOR, "--account", "ben", "--yes"]).await.ok();
    let pinned = json!(["bridge", "--app", CURSOR, "--server", SERVER, "--account", people.ben]);
    assert_eq!(file.entry(SERVER)["args"], pinned);
    let host = world.host_of(file.command(&world, SERVER), handshake());
    host.greet().await.expect("the entry's command answers");
    assert_eq!(whoami(&host).await.unwrap(), "ben", "ana is selected, ben is pinned");
    world.switch("ana").await;
    world.run(&["switch", SERVER, "ana", "--app", CURSOR]).await;
    assert_eq!(whoami(&host).await.unwrap(), "ben");
    // Connecting again keeps the pin.
    world.run(&["apps", "connect", CURSOR, "--yes"]).await.ok();
    assert_eq!(file.entry(SERVER)["args"], pinned);
    world.run(&["logout", SERVER, "--account", "ben"]).await.ok();
    let said = refusal(&host).await;
    assert!(said.contains("ben") && !said.contains("\"ana"), "{said}");
    let fresh = world.host_of(file.command(&world, SERVER), handshake());
    fresh.greet().await.expect("a closed bridge answers the greeting");
    refusal(&fresh).await;
    let as_ana =
        world.server.handle().requests().iter().filter(|r| r.person.as_deref() == Some("ana")).count();
    assert_eq!(as_ana, 0, "no bridge was asked to act as ana");
}
