//! Whatever comes from outside gets one sentence that names the thing, the next step, the right exit code,
//! and loses nothing.

use std::fs;

use ipc::{Request, Response};
use serde_json::{Value, json};
use testbed::host::HostEra;
use testbed::mcp_server::{Eras, McpServer};

use crate::support::control::Control;
use crate::support::{Ran, SERVER, World, executable};

/// One sentence and one next step on stderr, nothing on stdout.
#[track_caller]
fn one_sentence(ran: &Ran, names: &str) {
    let lines: Vec<&str> = ran.err.lines().filter(|line| line.starts_with("hallpass: ")).collect();
    assert_eq!(lines.len(), 1, "{ran:?}");
    assert!(lines[0].contains(names), "{names:?} is not named: {ran:?}");
    assert!(ran.err.contains("  next: "), "no next step: {ran:?}");
    assert!(ran.out.is_empty(), "{ran:?}");
}

#[tokio::test]
async fn addresses_that_cannot_be_a_server_are_refused_with_the_reason() {
    let world = World::new().await;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let nobody = format!("http://{}/mcp", silent.local_addr().expect("bound"));
    drop(silent);
    let issuer = world.issuer.issuer().to_owned();
    let cases = [
        ("mcp.example.com/mcp", 2, "URL"),
        ("https://", 2, "URL"),
        ("ftp://example.com/mcp", 2, "https://"),
        ("http://example.com/mcp", 2, "plain http"),
        ("https://ana:secret@example.com/mcp", 2, "user name or password"),
        ("https://example.com/mcp#x", 2, "fragment"),
        ("https://exa mple.com/", 2, "blank"),
        ("https://10.1.2.3/mcp", 2, "private network"),
        ("javascript:alert(1)", 2, "URL"),
        (&nobody, 6, "cannot reach"),
        (&issuer, 1, "no MCP server"),
    ];
    for (url, code, names) in cases {
        let ran = world.run(&["servers", "add", url]).await.fails(code);
        one_sentence(&ran, names);
        assert!(!ran.err.contains("secret"), "{}", ran.err);
    }
    assert_eq!(world.run(&["servers", "list", "--json"]).await.ok().json()["servers"], json!([]));
}

#[tokio::test]
async fn credentials_in_headers_and_duplicates_are_refused() {
    let world = World::new().await;
    let endpoint = world.server.endpoint();
    for header in ["Authorization=Bearer abc", "cookie=a=b", "X-Api-Key=abc"] {
        let ran = world.run(&["servers", "add", &endpoint, "--header", header]).await.fails(2);
        one_sentence(&ran, "carries a credential");
        assert!(!ran.err.contains("abc"), "{}", ran.err);
    }
    world.add_server().await;
    one_sentence(&world.run(&["servers", "add", &endpoint]).await.fails(2), SERVER);
    let other = McpServer::open(Eras::Both).await.expect("a port");
    let ran = world.run(&["servers", "add", &other.endpoint(), "--id", SERVER]).await.fails(2);
    one_sentence(&ran, SERVER);
}

#[tokio::test]
async fn what_does_not_exist_is_named() {
    let world = World::with_ana().await;
    let cases: [&[&str]; 12] = [
        &["servers", "show", "nosuch"],
        &["servers", "test", "nosuch"],
        &["servers", "remove", "nosuch"],
        &["login", "nosuch", "--yes"],
        &["logout", "nosuch"],
        &["status", "nosuch"],
        &["switch", "nosuch", "ana"],
        &["switch", SERVER, "nosuch"],
        &["accounts", "rename", "nosuch", "x"],
        &["accounts", "remove", "nosuch"],
        &["apps", "connect", "nosuch", "--yes"],
        &["apps", "diff", "cursor", "--servers", "nosuch"],
    ];
    for args in cases {
        let ran = world.run(args).await.fails(1);
        one_sentence(&ran, "nosuch");
        let mut json = args.to_vec();
        json.push("--json");
        if let ["accounts", "rename", ..] = args {
            continue;
        }
        let ran = world.run(&json).await.fails(1);
        assert_eq!(ran.json()["error"]["code"], "not_found", "{args:?}");
    }
    world.run(&["login", "Not An Id"]).await.fails(2);
    world.run(&["nonsense"]).await.fails(2);
}

#[tokio::test]
async fn a_name_that_fits_two_people_is_never_guessed() {
    let world = World::with_ana_and_ben().await;
    world.run(&["accounts", "rename", "ben", "ana"]).await.ok();
    // "ana" is now a label of ben and the subject of ana: two people.
    let ran = world.run(&["switch", SERVER, "ana"]).await.fails(2);
    one_sentence(&ran, "fits 2 accounts");
    let id = world.account("ben").await;
    world.run(&["switch", SERVER, &id]).await.ok();
    world.run(&["accounts", "rename", &id, "  "]).await.fails(2);
}

#[tokio::test]
async fn a_server_without_sign_in_is_called_as_nobody() {
    let world = World::new().await;
    let open = McpServer::open(Eras::Both).await.expect("a port");
    let ran = world.run(&["servers", "add", &open.endpoint(), "--id", SERVER, "--json"]).await.ok();
    assert_eq!(ran.json()["auth"], "none");
    one_sentence(&world.login("ana", &[]).await.fails(2), SERVER);
    let host = world.host("cursor").await;
    host.call_tool("echo", json!({ "text": "hi" })).await.unwrap();
    assert_eq!(open.handle().stats().unexpected_credentials, 0);
}

#[tokio::test]
async fn a_bridge_for_an_unknown_server_says_so_and_stays() {
    let world = World::with_ana().await;
    let mut command = world.sandbox.bare_command(executable());
    command.args(["bridge", "--app", "cursor", "--server", "nosuch"]);
    let mut host = world.host_of(command, HostEra::Handshake("2025-11-25".into()));
    let error = host.greet().await.unwrap_err().to_string();
    assert!(error.contains("nosuch"), "{error}");
    let error = host.request("tools/list", json!({})).await.unwrap_err().to_string();
    assert!(error.contains("nosuch"), "{error}");
    host.close().await.expect("it ends with its host");
}

#[tokio::test]
async fn a_bridge_survives_everything_that_a_host_may_write() {
    let world = World::with_ana().await;
    let mut host = world.host("cursor").await;
    let mut long =
        br#"{"jsonrpc":"2.0","id":90,"method":"tools/call","params":{"name":"echo","arguments":{"text":""#
            .to_vec();
    long.resize(17 * 1024 * 1024, b'x');
    long.extend_from_slice(b"\"}}}\n");
    let deep = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":91,\"method\":\"ping\",\"params\":{}{}}}\n",
        "[".repeat(99),
        "]".repeat(99)
    );
    let bad: [&[u8]; 8] = [
        b"\n",
        b"garbage\n",
        b"{\"jsonrpc\":\"2.0\",\"id\":1\n",
        b"\xff\xfe{\"jsonrpc\":\"2.0\",\"id\":92,\"method\":\"ping\"}\n",
        b"{\"jsonrpc\":\"2.0\",\"id\":93,\"id\":94,\"method\":\"ping\"}\n",
        b"{\"jsonrpc\":\"2.0\",\"id\":95,\"method\":\"ping\"}{\"jsonrpc\":\"2.0\",\"id\":96,\"method\":\"ping\"}\n",
        deep.as_bytes(),
        &long,
    ];
    for bytes in bad {
        host.write_raw(bytes).await.expect("the pipe is open");
        assert_eq!(host.call_tool("whoami", json!({})).await.unwrap(), "ana");
    }
    for line in String::from_utf8_lossy(&host.stdout()).lines() {
        serde_json::from_str::<Value>(line).expect("one JSON message a line");
    }
    host.close().await.expect("it ends with its host");
}

#[tokio::test]
async fn a_damaged_or_newer_state_is_refused_and_left_as_it_is() {
    let world = World::with_ana().await;
    world.run(&["agent", "stop"]).await.ok();
    let path = world.root().join("state/state.json");
    let good = fs::read(&path).expect("it is there");
    for bad in [&b"{\"v\":1,"[..], b"{\"v\":99}", b"[]", b"", b"{\"v\":1,\"servers\":7}"] {
        fs::write(&path, bad).expect("our folder is ours");
        let ran = world.run(&["status"]).await.fails(9);
        assert!(ran.err.contains("next: "), "{ran:?}");
        let ran = world.run(&["agent", "run"]).await;
        assert_ne!(ran.code, 0);
        one_sentence(&ran, "state.json");
        assert_eq!(
            fs::read(&path).expect("still there"),
            bad,
            "a file that is not understood is not touched"
        );
    }
    fs::write(&path, &good).expect("our folder is ours");
    let host = world.host("cursor").await;
    assert_eq!(host.call_tool("whoami", json!({})).await.unwrap(), "ana");
}

#[tokio::test]
async fn an_app_s_file_that_is_not_understood_is_not_touched() {
    let world = World::with_ana().await;
    let path = world.sandbox.home().join(".cursor/mcp.json");
    fs::create_dir_all(path.parent().expect("it has one")).expect("the home is ours");
    for bad in [
        &b"{\"mcpServers\": {"[..],
        b"[]",
        b"{\"mcpServers\": []}",
        b"\xff{}",
        b"{\"mcpServers\":{},\"mcpServers\":{}}",
    ] {
        fs::write(&path, bad).expect("the home is ours");
        let ran = world.run(&["apps", "connect", "cursor", "--yes"]).await.fails(1);
        one_sentence(&ran, "mcp.json");
        assert_eq!(fs::read(&path).expect("still there"), bad);
    }
    let listed = world.run(&["apps", "list"]).await.ok();
    assert!(listed.out.contains("cannot be changed"), "{}", listed.out);
}

#[tokio::test]
async fn a_server_that_goes_away_gives_each_call_one_error_and_comes_back() {
    let world = World::with_ana().await;
    let host = world.host("cursor").await;
    world.server.handle().set(|k| k.status = Some(503));
    let error = host.call_tool("whoami", json!({})).await.unwrap_err().to_string();
    assert!(error.contains("503"), "{error}");
    world.server.handle().set(|k| k.status = None);
    assert_eq!(host.call_tool("whoami", json!({})).await.unwrap(), "ana");
    // A redirect would carry the token away: it is not followed.
    world.server.handle().set(|k| k.redirect = Some(format!("{}/elsewhere", world.issuer.issuer())));
    host.call_tool("whoami", json!({})).await.unwrap_err();
    world.server.handle().set(|k| k.redirect = None);
    assert_eq!(host.call_tool("whoami", json!({})).await.unwrap(), "ana");
}

#[tokio::test]
async fn a_request_that_is_too_long_is_answered_as_such_and_the_next_one_is_served() {
    let world = World::new().await;
    let mut control = Control::without_limit(&world).await;
    let paste = |length: usize| Request::ReadPaste { text: "x".repeat(length) };
    for length in [ipc::MAX_LINE, 3 * ipc::MAX_LINE] {
        let asked = control.begin(paste(length)).await;
        let (answered, answer) = control.next_reply().await;
        let error = answer.unwrap_err();
        assert_eq!(answered, asked, "{error}");
        assert_eq!(error, ipc::request_too_long());
        assert!(error.message.contains("8 MB") && !error.hint.is_empty(), "{error}");
        let next = control.ask(paste(10)).await;
        assert!(matches!(next, Ok(Response::Pasted(_))), "{next:?}");
    }
    // The longest line that is taken: the request around the text has less than a hundred bytes.
    let taken = control.ask(paste(ipc::MAX_LINE - 100)).await;
    assert_ne!(taken.as_ref().err(), Some(&ipc::request_too_long()));
}
