use serde_json::json;
use token_lease::OlderLeases;

use crate::support::{EventStreamServer, facts, initialize, ready, request, start, text};

#[tokio::test]
async fn a_server_that_takes_no_post_is_asked_for_its_stream() {
    let server = EventStreamServer::start().await;
    let (mut host, mut agent) = start().await;
    let mut connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    assert_eq!(host.initialize().await["result"]["serverInfo"]["name"], "old");
    assert_eq!(connection.learned().await, model::Era::Handshake);
    host.call(1, "whoami").await;
    assert_eq!(text(&host.answer(1).await), "ana");
    server.push("ana", &json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}));
    host.method("notifications/tools/list_changed").await;
    host.call(2, "ask").await;
    assert_eq!(host.method("roots/list").await["id"], 1);
    host.send(json!({"jsonrpc": "2.0", "id": 1, "result": {"roots": []}})).await;
    assert_eq!(host.method("notifications/message").await["params"]["data"], "ana was answered");
    let seen = server.seen();
    assert_eq!(seen[0].raw, initialize("2025-11-25").to_string(), "a POST to the endpoint first");
    assert_eq!(seen[1].method, http::Method::GET);
    assert_eq!(seen.iter().filter(|seen| seen.method == http::Method::GET).count(), 1, "one stream");
    assert!(seen.iter().all(|seen| seen.header("authorization") == Some("Bearer tok-ana-1")));
    assert!(server.state.wrong.lock().unwrap().is_empty());
    assert_eq!(host.close().await, 0);
}

#[tokio::test]
async fn a_place_on_another_origin_gets_nothing() {
    let elsewhere = EventStreamServer::start().await;
    let server = EventStreamServer::start().await;
    *server.state.place.lock().unwrap() = Some(elsewhere.url.replace("/sse", "/messages?session=s0-ana"));
    let (mut host, mut agent) = start().await;
    let _connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.send(initialize("2025-11-25")).await;
    let error = host.answer("init").await["error"]["message"].as_str().unwrap().to_owned();
    assert!(error.contains("another origin"), "{error}");
    assert!(elsewhere.seen().is_empty(), "neither the message nor the token");
}

#[tokio::test]
async fn a_call_ends_on_the_stream_of_the_person_it_began_as() {
    let server = EventStreamServer::start().await;
    let (mut host, mut agent) = start().await;
    let mut connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.initialize().await;
    host.call(1, "slow").await;
    server.until("the call", |seen| seen.rpc() == "tools/call").await;
    connection.switch(ready(2, "ben"), OlderLeases::Drain).await;
    host.call(2, "whoami").await;
    assert_eq!(text(&host.answer(2).await), "ben");
    host.method("notifications/tools/list_changed").await;
    let note = |of: &str| json!({"jsonrpc": "2.0", "method": "notifications/prompts/list_changed", "params": {"of": of}});
    server.push("ana", &note("ana"));
    server.push("ben", &note("ben"));
    assert_eq!(host.method("notifications/prompts/list_changed").await["params"]["of"], "ben");
    server.state.gate.add_permits(1);
    assert_eq!(text(&host.answer(1).await), "ana");
    assert_eq!(connection.released().await, token_lease::LeaseId(1));
    assert!(server.state.wrong.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_stream_that_ends_takes_its_calls_along_and_another_one_is_opened() {
    let server = EventStreamServer::start().await;
    let (mut host, mut agent) = start().await;
    let _connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.initialize().await;
    host.call(1, "slow").await;
    server.until("the call", |seen| seen.rpc() == "tools/call").await;
    server.cut();
    assert_eq!(host.answer(1).await["error"]["data"]["code"], "unreachable");
    host.method("notifications/tools/list_changed").await;
    host.call(2, "whoami").await;
    assert_eq!(text(&host.answer(2).await), "ana");
    let slow = server.seen().iter().filter(|seen| seen.body["params"]["name"] == "slow").count();
    assert_eq!(slow, 1, "it may have been carried out: it is not sent twice");
}

#[tokio::test]
async fn a_newer_app_is_served_there_as_well() {
    let server = EventStreamServer::start().await;
    let (mut host, mut agent) = start().await;
    let _connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.send(request(1, "server/discover", json!({}))).await;
    assert_eq!(host.answer(1).await["result"]["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "old");
    host.send(request(2, "tools/call", json!({"name": "whoami", "arguments": {}}))).await;
    assert_eq!(text(&host.answer(2).await), "ana");
}
