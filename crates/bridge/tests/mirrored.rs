use serde_json::{Value, json};
use token_lease::OlderLeases;

use crate::support::{Host, Server, facts, ready, request, start, text};

async fn modern() -> Server {
    let server = Server::start().await;
    *server.state.modern.lock().unwrap() = true;
    server
}

async fn names(host: &mut Host, id: i64) -> Vec<Value> {
    host.send(request(id, "tools/list", json!({}))).await;
    let tools = host.answer(id).await["result"]["tools"].clone();
    tools.as_array().unwrap().iter().map(|tool| tool["name"].clone()).collect()
}

fn call(id: i64, region: &str) -> Value {
    request(id, "tools/call", json!({"name": "where", "arguments": {"region": region}}))
}

#[tokio::test]
async fn a_tool_that_breaks_the_rules_is_not_shown_and_the_others_are_called_with_their_headers() {
    let server = modern().await;
    let (mut host, mut agent) = start().await;
    let _connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    assert_eq!(names(&mut host, 1).await, ["tool-of-ana", "where"]);
    host.send(call(2, "eu")).await;
    assert_eq!(text(&host.answer(2).await), "ana in eu");
    assert_eq!(server.seen().len(), 2, "one call, one request");
    host.send(request(3, "tools/call", json!({"name": "broken", "arguments": {"n": 1}}))).await;
    let refused = host.answer(3).await["error"]["message"].as_str().unwrap().to_owned();
    assert!(refused.contains("broken") && refused.contains("x-mcp-header"), "{refused}");
    assert_eq!(server.seen().len(), 2, "it was not sent");
}

#[tokio::test]
async fn an_app_that_knows_its_tools_from_before_is_served_after_one_look_at_the_list() {
    let server = modern().await;
    let (mut host, mut agent) = start().await;
    let mut connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.send(call(1, "eu")).await;
    assert_eq!(text(&host.answer(1).await), "ana in eu");
    let seen: Vec<_> = server.seen().iter().map(|seen| seen.rpc().to_owned()).collect();
    assert_eq!(seen, ["tools/call", "tools/list", "tools/call"]);
    // The list is one person's: the next one's is looked at anew, as that person.
    connection.switch(ready(2, "ben"), OlderLeases::Drain).await;
    host.send(call(2, "us")).await;
    assert_eq!(text(&host.answer(2).await), "ben in us");
    let listed: Vec<_> = server.seen().into_iter().filter(|seen| seen.rpc() == "tools/list").collect();
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[1].header("authorization"), Some("Bearer tok-ben-1"));
}

#[tokio::test]
async fn a_refusal_that_the_list_does_not_cure_is_told_once() {
    let server = modern().await;
    let (mut host, mut agent) = start().await;
    let _connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    *server.state.instead.lock().unwrap() = Some((
        400,
        "application/json",
        r#"{"jsonrpc":"2.0","id":2,"error":{"code":-32020,"message":"never content"}}"#.to_owned(),
    ));
    host.send(call(2, "eu")).await;
    let answer = host.answer(2).await;
    assert_eq!(answer["error"]["message"], "never content");
    let seen: Vec<_> = server.seen().iter().map(|seen| seen.rpc().to_owned()).collect();
    assert_eq!(seen, ["tools/call", "tools/list", "tools/call"]);
}
