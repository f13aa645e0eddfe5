//! The host against a real process: a few lines of shell that speak JSON-RPC.

use std::process::Command;

use super::*;

/// Answers `initialize`, says things of its own accord, asks for roots, and repeats the answer as a result.
const SERVER: &str = r#"
read -r initialize
echo '{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25","environment":"'"$GIVEN$SECRET_OF_THE_CALLER"'"}}'
read -r initialized
echo '{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"hello"}}'
echo 'this is no message'
echo 'words on stderr' >&2
read -r call
echo '{"jsonrpc":"2.0","id":"q","method":"roots/list"}'
read -r answer
echo '{"jsonrpc":"2.0","id":2,"result":'"$answer"'}'
read -r failing
echo '{"jsonrpc":"2.0","id":3,"error":{"code":-32000,"message":"no"}}'
read -r last
echo '{"jsonrpc":"2.0","id":4,"result":{"asked":'"$last"'}}'
while read -r line; do :; done
exit 7
"#;

fn host(script: &str, era: HostEra) -> Host {
    let mut command = Command::new("sh");
    command.args(["-c", script]).env_clear().env("GIVEN", "given").env("PATH", "/usr/bin:/bin");
    Host::start(command, era).unwrap()
}

fn handshake() -> HostEra {
    HostEra::Handshake("2025-11-25".to_owned())
}

#[tokio::test]
async fn a_conversation_is_carried_both_ways_and_ends_at_the_end_of_stdin() {
    let mut host = host(SERVER, handshake());
    assert_eq!(host.greet().await.unwrap()["environment"], "given");
    assert!(host.wait_for_notification(|one| one["params"]["data"] == "hello").await.is_some());
    let result = host.request("tools/call", json!({})).await.unwrap();
    assert_eq!((&result["id"], &result["result"]), (&json!("q"), &json!({"roots": []})));
    assert!(
        matches!(host.request("tools/list", json!({})).await, Err(HostError::Rpc(error)) if error["code"] == -32000)
    );
    host.send("ping", json!({})).await.unwrap().result().await.unwrap();
    assert_eq!(host.close().await.unwrap().code(), Some(7));
    assert_eq!(host.garbage(), ["this is no message"]);
    assert_eq!(host.server_requests().len(), 1);
    assert_eq!(host.stderr(), b"words on stderr\n");
    assert!(host.stdout().starts_with(b"{"));
}

#[tokio::test]
async fn in_the_stateless_era_every_request_carries_its_version() {
    let host = host(
        "read -r line; echo '{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":'\"$line\"'}'; read -r end",
        HostEra::Stateless("2026-07-28".to_owned()),
    );
    let seen = host.greet().await.unwrap();
    assert_eq!(seen["method"], "server/discover");
    assert_eq!(seen["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"], "2026-07-28");
}

#[tokio::test]
async fn who_waits_for_a_server_that_is_killed_hears_so() {
    let mut host = host("read -r line; echo 'last words' >&2; exec sleep 1000", handshake());
    let awaited = host.send("ping", json!({})).await.unwrap();
    while host.stderr().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(host.kill().await.unwrap().code(), None, "a signal is no exit");
    assert!(matches!(awaited.result().await, Err(HostError::Gone(words)) if words == "last words"));
}

#[tokio::test]
async fn a_server_that_says_nothing_is_late() {
    let mut host = host("exec sleep 1000", handshake());
    host.set_limit(Duration::from_millis(10));
    assert!(
        matches!(host.request("ping", json!({})).await, Err(HostError::Late(method)) if method == "ping")
    );
}
