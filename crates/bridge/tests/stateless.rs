use serde_json::json;
use token_lease::OlderLeases;

use crate::support::{Server, closed, facts, ready, request, start, text};

async fn modern() -> Server {
    let server = Server::start().await;
    *server.state.modern.lock().unwrap() = true;
    server
}

#[tokio::test]
async fn requests_pass_with_their_headers_and_without_a_session() {
    let server = modern().await;
    let (mut host, mut agent) = start().await;
    let mut connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.send(request(1, "server/discover", json!({}))).await;
    assert_eq!(host.answer(1).await["result"]["supportedVersions"][0], "2026-07-28");
    assert_eq!(connection.learned().await, model::Era::Stateless);
    host.send(request(2, "tools/call", json!({"name": "wörld"}))).await;
    assert_eq!(text(&host.answer(2).await), "ana");
    host.close().await;
    let seen = server.seen();
    assert_eq!(seen.len(), 2, "no handshake, no GET, no DELETE");
    assert_eq!(seen[1].header("mcp-name"), Some("=?base64?d8O2cmxk?="));
    server.assert_nothing_wrong();
}

#[tokio::test]
async fn a_modern_error_passes_unchanged() {
    let server = modern().await;
    let (mut host, mut agent) = start().await;
    let _connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    let mut old = request(1, "server/discover", json!({}));
    old["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2027-01-01");
    host.send(old).await;
    let answer = host.answer(1).await;
    assert_eq!(answer["error"]["code"], -32022);
    assert_eq!(answer["error"]["data"]["supported"][0], "2026-07-28");
    host.send(request(2, "nonsense", json!({}))).await;
    assert_eq!(host.answer(2).await["error"]["code"], -32601);
}

#[tokio::test]
async fn an_app_that_does_not_say_who_it_is_finds_no_discovery_at_an_older_server() {
    let server = Server::start().await;
    let (mut host, mut agent) = start().await;
    let _connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    let discover = |id: i64| json!({"jsonrpc": "2.0", "id": id, "method": "server/discover"});
    host.send(discover(1)).await;
    assert_eq!(host.answer(1).await["error"]["code"], -32601);
    for nonsense in [r#"{"jsonrpc":"2.0","id":2,"result":{}}"#, "not even JSON-RPC"] {
        let status = if nonsense.starts_with('{') { 200 } else { 404 };
        *server.state.instead.lock().unwrap() = Some((status, "application/json", nonsense.to_owned()));
        host.send(discover(2)).await;
        assert_eq!(host.answer(2).await["error"]["code"], -32601, "{nonsense}");
    }
    *server.state.instead.lock().unwrap() = None;
    // And then it falls back.
    host.initialize().await;
    host.call(3, "whoami").await;
    assert_eq!(text(&host.answer(3).await), "ana");
}

#[tokio::test]
async fn a_cancel_closes_the_stream_and_is_not_sent_on() {
    let server = modern().await;
    let (mut host, mut agent) = start().await;
    let _connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.send(request(1, "tools/call", json!({"name": "slow"}))).await;
    server.until("the call", |seen| seen.rpc() == "tools/call").await;
    host.send(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}))
        .await;
    // The id is free again, so the call is gone; and nobody but the person's next call is seen.
    host.send(request(1, "tools/call", json!({"name": "whoami"}))).await;
    assert_eq!(text(&host.answer(1).await), "ana");
    assert!(server.seen().iter().all(|seen| seen.rpc() == "tools/call"));
}

#[tokio::test]
async fn a_listening_stream_is_reopened_as_the_new_person() {
    let server = modern().await;
    let (mut host, mut agent) = start().await;
    let mut connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.send(request(1, "subscriptions/listen", json!({"notifications": {"toolsListChanged": true}}))).await;
    host.method("notifications/subscriptions/acknowledged").await;
    // While nobody may listen, the stream lies dormant.
    connection.switch(token_lease::Standing::Closed(closed("ben")), OlderLeases::Drain).await;
    connection.switch(ready(2, "ben"), OlderLeases::Drain).await;
    let changed = host.method("notifications/tools/list_changed").await;
    assert_eq!(changed["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], 1);
    let note = |of: &str| json!({"jsonrpc": "2.0", "method": "notifications/prompts/list_changed", "params": {"of": of}});
    server.push("listen-ana", note("ana")).await;
    server.push("listen-ben", note("ben")).await;
    assert_eq!(host.method("notifications/prompts/list_changed").await["params"]["of"], "ben");
    let tokens: Vec<_> =
        server.seen().iter().map(|s| s.header("authorization").unwrap().to_owned()).collect();
    assert_eq!(tokens, ["Bearer tok-ana-1", "Bearer tok-ben-1"]);
}

#[tokio::test]
async fn a_round_that_began_as_another_person_is_refused_by_name() {
    let server = modern().await;
    let (mut host, mut agent) = start().await;
    let mut connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.send(request(1, "tools/call", json!({"name": "rounds"}))).await;
    let state = host.answer(1).await["result"]["requestState"].clone();
    connection.switch(ready(2, "ben"), OlderLeases::Drain).await;
    let again = json!({"name": "rounds", "requestState": state, "inputResponses": {}});
    host.send(request(2, "tools/call", again.clone())).await;
    let refused = host.answer(2).await;
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("ana@corp") && message.contains("ben@corp"), "{message}");
    assert_eq!(server.seen().len(), 1);
    connection.switch(ready(3, "ana"), OlderLeases::Drain).await;
    host.send(request(3, "tools/call", again)).await;
    assert_eq!(text(&host.answer(3).await), "ana");
}
