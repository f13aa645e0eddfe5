use serde_json::{Value, json};
use token_lease::{Known, LeaseId, OlderLeases, Standing};

use crate::support::{Server, closed, facts, initialize, ready, request, start, text};

/// What the test's server of the handshake era says to everybody.
fn truth() -> String {
    json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {"listChanged": true}, "logging": {}},
        "serverInfo": {"name": "real", "version": "1"}})
    .to_string()
}

fn tools(name: &str) -> String {
    json!([{"name": name, "inputSchema": {"type": "object"}}]).to_string()
}

fn known(initialize: String) -> Known {
    Known { initialize: Some(initialize), tools: Some(tools("remembered")), discover: None }
}

/// An address where nobody listens.
async fn nowhere() -> String {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}/mcp", gone.local_addr().unwrap())
}

fn list(id: i64) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/list"})
}

#[tokio::test]
async fn what_a_server_says_is_handed_to_the_agent_once_under_the_lease_of_the_person_it_was_said_to() {
    let server = Server::start().await;
    let (mut host, mut agent) = start().await;
    let mut connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.initialize().await;
    let (lease, said) = connection.seen().await;
    assert_eq!(lease, Some(LeaseId(1)));
    let said: Value = serde_json::from_str(&said.initialize.unwrap()).unwrap();
    assert_eq!(said["serverInfo"]["name"], "real");
    for id in 1..3 {
        host.send(list(id)).await;
        host.answer(id).await;
    }
    let (lease, said) = connection.seen().await;
    assert_eq!(lease, Some(LeaseId(1)));
    assert!(said.tools.unwrap().contains("tool-of-ana"));
    connection.switch(ready(2, "ben"), OlderLeases::Drain).await;
    host.send(list(3)).await;
    host.answer(3).await;
    let (lease, _) = connection.seen().await;
    assert_eq!(lease, Some(LeaseId(2)), "hers were said once");
}

#[tokio::test]
async fn an_app_starts_before_its_server_has_answered_and_hears_only_what_differs() {
    for (told, differs) in [(truth(), false), (truth().replace("\"real\"", "\"older\""), true)] {
        let server = Server::start().await;
        let held = server.state.starts.lock().await;
        let (mut host, mut agent) = start().await;
        let mut connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
        connection.remind("ana", known(told.clone())).await;
        host.send(initialize("2025-11-25")).await;
        let answer = host.answer("init").await;
        assert_eq!(answer["result"], serde_json::from_str::<Value>(&told).unwrap());
        drop(held);
        host.send(json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
        host.call(1, "whoami").await;
        assert_eq!(text(&host.answer(1).await), "ana");
        if differs {
            host.method("notifications/tools/list_changed").await;
        } else {
            assert!(host.settled("p").await.is_empty());
        }
        server.assert_nothing_wrong();
    }
}

#[tokio::test]
async fn nothing_of_another_person_or_revision_is_used() {
    let server = Server::start().await;
    let held = server.state.starts.lock().await;
    let (mut host, mut agent) = start().await;
    let mut connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    connection.remind("ben", known(truth().replace("real", "of-ben"))).await;
    connection.remind("ana", known(truth().replace("2025-11-25", "2025-06-18"))).await;
    host.send(initialize("2025-11-25")).await;
    server.until("initialize", |seen| seen.rpc() == "initialize").await;
    connection.remind("ben", known(truth().replace("real", "of-ben"))).await;
    drop(held);
    assert_eq!(host.answer("init").await["result"]["serverInfo"]["name"], "real", "the truth was waited for");
}

#[tokio::test]
async fn an_app_keeps_its_tools_while_the_server_is_away() {
    let (mut host, mut agent) = start().await;
    let mut connection = agent.attach(facts(&nowhere().await), ready(1, "ana")).await;
    connection.remind("ana", known(truth())).await;
    // In force before the app says a word.
    connection.switch(ready(2, "ana"), OlderLeases::Drain).await;
    assert_eq!(host.initialize().await["result"]["serverInfo"]["name"], "real");
    host.send(list(1)).await;
    assert_eq!(host.answer(1).await["result"]["tools"][0]["name"], "remembered");
    host.call(2, "whoami").await;
    assert_eq!(host.answer(2).await["error"]["data"]["code"], "unreachable", "a call is no list");
    // ben is not shown hers.
    connection.switch(ready(3, "ben"), OlderLeases::Drain).await;
    host.send(list(3)).await;
    assert_eq!(host.answer(3).await["error"]["data"]["code"], "unreachable");
    // Nor who comes while she is signed out; she herself is.
    connection.switch(Standing::Closed(closed("ben")), OlderLeases::Drain).await;
    connection.remind("ana", known(truth())).await;
    host.send(list(4)).await;
    assert_eq!(host.answer(4).await["result"]["tools"], json!([]));
    connection.switch(Standing::Closed(closed("ana")), OlderLeases::Drain).await;
    host.send(list(5)).await;
    assert_eq!(host.answer(5).await["result"]["tools"][0]["name"], "remembered");
}

#[tokio::test]
async fn a_newer_app_finds_its_server_while_that_is_away() {
    let (mut host, mut agent) = start().await;
    let mut connection = agent.attach(facts(&nowhere().await), ready(1, "ana")).await;
    let discover =
        json!({"resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}});
    let known =
        Known { discover: Some(discover.to_string()), tools: Some(tools("remembered")), initialize: None };
    connection.remind("ana", known).await;
    connection.switch(ready(2, "ana"), OlderLeases::Drain).await;
    host.send(request(1, "server/discover", json!({}))).await;
    assert_eq!(host.answer(1).await["result"], discover);
    host.send(request(2, "tools/list", json!({}))).await;
    let listed = host.answer(2).await["result"].clone();
    assert_eq!(
        (&listed["tools"][0]["name"], &listed["cacheScope"]),
        (&json!("remembered"), &json!("private"))
    );
}
