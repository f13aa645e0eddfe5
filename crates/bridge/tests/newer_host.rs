use model::Era;
use serde_json::{Value, json};
use token_lease::OlderLeases;

use crate::support::{Host, Server, facts, ready, request, request_of, start, text};

fn call(id: i64, tool: &str) -> Value {
    request(
        id,
        "tools/call",
        json!({"name": tool, "arguments": {}, "_meta": {"progressToken": format!("p{id}")}}),
    )
}

/// Comes back with an answer to everything that was asked.
fn again(id: i64, tool: &str, asked: &Value) -> Value {
    let result = &asked["result"];
    assert_eq!(result["resultType"], "input_required", "{asked}");
    let keys = result["inputRequests"].as_object().unwrap().keys();
    let said: serde_json::Map<String, Value> =
        keys.map(|key| (key.clone(), json!({"action": "accept", "content": {"name": "x"}}))).collect();
    let mut again = call(id, tool);
    again["params"]["inputResponses"] = said.into();
    again["params"]["requestState"] = result["requestState"].clone();
    again
}

async fn discover(host: &mut Host, id: i64) -> Value {
    host.send(request(id, "server/discover", json!({}))).await;
    host.answer(id).await["result"].clone()
}

#[tokio::test]
async fn it_finds_what_the_handshake_gave_and_its_calls_run_in_one_session() {
    for sse in [false, true] {
        let server = Server::start().await;
        *server.state.sse.lock().unwrap() = sse;
        let (mut host, mut agent) = start().await;
        let mut connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
        let found = discover(&mut host, 1).await;
        assert_eq!(found["supportedVersions"], json!(["2026-07-28"]));
        assert_eq!(found["resultType"], "complete");
        assert_eq!(found["capabilities"]["tools"]["listChanged"], true);
        assert_eq!(found["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "real");
        assert_eq!(connection.learned().await, Era::Handshake);
        host.send(call(2, "whoami")).await;
        let answer = host.answer(2).await;
        assert_eq!((text(&answer), &answer["result"]["resultType"]), ("ana", &json!("complete")));
        host.send(request(3, "tools/list", json!({}))).await;
        let listed = host.answer(3).await["result"].clone();
        assert_eq!((&listed["cacheScope"], &listed["ttlMs"]), (&json!("private"), &json!(0)));
        server.listened_to().await;
        assert_eq!(host.close().await, 0);
        server.until("DELETE", |seen| seen.method == http::Method::DELETE).await;
        server.assert_nothing_wrong();
        let seen = server.seen();
        let handshake = seen.iter().find(|seen| seen.rpc() == "initialize").unwrap();
        assert_eq!(handshake.body["params"]["clientInfo"]["name"], "newer");
        assert_eq!(handshake.body["params"]["capabilities"], json!({"elicitation": {}}));
        let sent = seen.iter().find(|seen| seen.rpc() == "tools/call").unwrap();
        assert_eq!(sent.body["params"]["_meta"], json!({"progressToken": "p2"}));
        assert_eq!(sent.header("mcp-session-id"), Some("sess-1-ana"));
        assert_eq!(sent.header("mcp-method"), None);
    }
}

#[tokio::test]
async fn a_server_that_answers_discovery_with_nothing_is_met_with_a_handshake() {
    for sse in [false, true] {
        let server = Server::start().await;
        *server.state.shrugs.lock().unwrap() = true;
        *server.state.sse.lock().unwrap() = sse;
        let (mut host, mut agent) = start().await;
        let _connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
        assert_eq!(discover(&mut host, 1).await["supportedVersions"], json!(["2026-07-28"]));
        // And once more, now that there is a session.
        assert_eq!(discover(&mut host, 2).await["supportedVersions"], json!(["2026-07-28"]));
        host.send(call(3, "whoami")).await;
        assert_eq!(text(&host.answer(3).await), "ana");
        assert!(host.settled("p").await.is_empty());
    }
}

#[tokio::test]
async fn a_call_before_any_discovery_is_sent_again_in_a_session() {
    for era in [None, Some(Era::Handshake)] {
        let server = Server::start().await;
        let (mut host, mut agent) = start().await;
        let mut known = facts(&server.url);
        known.era = era;
        let _connection = agent.attach(known, ready(1, "ana")).await;
        for id in 1..4 {
            host.send(call(id, "whoami")).await;
        }
        for id in 1..4 {
            assert_eq!(text(&host.answer(id).await), "ana");
        }
        let seen = server.seen();
        assert_eq!(seen.iter().filter(|seen| seen.rpc() == "initialize").count(), 1);
        let alone =
            seen.iter().any(|seen| seen.rpc() == "tools/call" && seen.header("mcp-session-id").is_none());
        assert_eq!(alone, era.is_none(), "what is known is not asked again");
    }
}

#[tokio::test]
async fn a_question_in_the_middle_of_a_call_is_asked_by_its_answer() {
    for sse in [false, true] {
        let server = Server::start().await;
        *server.state.sse.lock().unwrap() = sse;
        let (mut host, mut agent) = start().await;
        let mut connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
        discover(&mut host, 1).await;
        host.send(call(2, "ask")).await;
        let asked = host.answer(2).await;
        let question = asked["result"]["inputRequests"]["question-1"].clone();
        assert_eq!(question["method"], "elicitation/create");
        assert_eq!(question["params"]["message"], "who asks? ana");
        // The id is free again, and another call goes its own way.
        host.send(call(2, "whoami")).await;
        assert_eq!(text(&host.answer(2).await), "ana");
        host.send(again(3, "ask", &asked)).await;
        assert_eq!(text(&host.answer(3).await), "ana heard x");
        // Nobody waits under that name any more.
        host.send(again(4, "ask", &asked)).await;
        assert_eq!(host.answer(4).await["error"]["code"], -32602);
        server.assert_nothing_wrong();
        connection.switch(ready(2, "ben"), OlderLeases::Drain).await;
        server.until("the end of her session", |seen| seen.method == http::Method::DELETE).await;
    }
}

#[tokio::test]
async fn a_server_that_asks_an_app_what_it_does_not_offer_is_told_so() {
    let server = Server::start().await;
    let (mut host, mut agent) = start().await;
    let _connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.send(request_of(&json!({"roots": {}}), 1, "tools/call", json!({"name": "ask", "arguments": {}})))
        .await;
    assert_eq!(text(&host.answer(1).await), "ana heard nothing");
    let said = server.until("the answer", |seen| seen.body.get("error").is_some()).await;
    assert_eq!(said.body["error"]["code"], -32601);
}

#[tokio::test]
async fn a_call_goes_on_only_as_the_person_it_began_as() {
    let server = Server::start().await;
    let (mut host, mut agent) = start().await;
    let mut connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.send(call(1, "ask")).await;
    let asked = host.answer(1).await;
    connection.switch(ready(2, "ben"), OlderLeases::Drain).await;
    host.send(call(2, "whoami")).await;
    assert_eq!(text(&host.answer(2).await), "ben");
    let answers = server.seen().iter().filter(|seen| seen.is_answer()).count();
    host.send(again(3, "ask", &asked)).await;
    let refused = host.answer(3).await["error"]["message"].as_str().unwrap().to_owned();
    assert!(refused.contains("ana@corp") && refused.contains("ben@corp"), "{refused}");
    host.settled("p").await;
    assert_eq!(server.seen().iter().filter(|seen| seen.is_answer()).count(), answers, "no answer went out");
    connection.switch(ready(3, "ana"), OlderLeases::Drain).await;
    host.send(again(4, "ask", &asked)).await;
    assert_eq!(text(&host.answer(4).await), "ana heard x");
    server.assert_nothing_wrong();
}

#[tokio::test]
async fn a_stream_of_changes_is_fed_by_the_session_and_follows_the_person() {
    let server = Server::start().await;
    *server.state.watchable.lock().unwrap() = true;
    let (mut host, mut agent) = start().await;
    let mut connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    discover(&mut host, 1).await;
    let wanted =
        json!({"toolsListChanged": true, "promptsListChanged": true, "resourceSubscriptions": ["file:///a"]});
    host.send(request(2, "subscriptions/listen", json!({"notifications": wanted}))).await;
    let acknowledged = host.method("notifications/subscriptions/acknowledged").await;
    assert_eq!(
        acknowledged["params"],
        json!({"_meta": {"io.modelcontextprotocol/subscriptionId": 2},
            "notifications": {"toolsListChanged": true, "resourceSubscriptions": ["file:///a"]}})
    );
    server.until("the subscription", |seen| seen.rpc() == "resources/subscribe").await;
    server.listened_to().await;
    let note = |uri: &str| json!({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": uri}});
    server.push("ana", note("file:///other")).await;
    server.push("ana", note("file:///a")).await;
    let told = host.method("notifications/resources/updated").await["params"].clone();
    assert_eq!(told, json!({"uri": "file:///a", "_meta": {"io.modelcontextprotocol/subscriptionId": 2}}));

    // A call of hers keeps her session at the server.
    host.send(call(3, "slow")).await;
    server.until("the call", |seen| seen.rpc() == "tools/call").await;
    connection.switch(ready(2, "ben"), OlderLeases::Drain).await;
    let changed = host.method("notifications/tools/list_changed").await;
    assert_eq!(changed["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], 2);
    server
        .until("ben's subscription", |seen| {
            seen.rpc() == "resources/subscribe" && seen.header("authorization") == Some("Bearer tok-ben-1")
        })
        .await;
    server.push("ana", note("file:///a/ana")).await;
    server.push("ben", note("file:///a/ben")).await;
    assert_eq!(host.method("notifications/resources/updated").await["params"]["uri"], "file:///a/ben");

    host.send(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 2}}))
        .await;
    server.until("the end of it", |seen| seen.rpc() == "resources/unsubscribe").await;
    server.assert_nothing_wrong();
}

#[tokio::test]
async fn a_cancel_names_the_call_as_the_server_knows_it() {
    let server = Server::start().await;
    let (mut host, mut agent) = start().await;
    let _connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    discover(&mut host, 1).await;
    host.send(call(2, "slow")).await;
    let sent = server.until("the call", |seen| seen.rpc() == "tools/call").await;
    host.send(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 2}}))
        .await;
    let cancelled = server.until("the cancel", |seen| seen.rpc() == "notifications/cancelled").await;
    assert_eq!(cancelled.body["params"]["requestId"], sent.body["id"]);
}

#[tokio::test]
async fn logs_come_where_they_were_asked_for_and_progress_in_order() {
    let server = Server::start().await;
    let (mut host, mut agent) = start().await;
    let _connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    discover(&mut host, 1).await;
    for (id, level, round) in [
        (2, None, &["notifications/progress"][..]),
        (3, Some("info"), &["notifications/message", "notifications/progress"][..]),
        (4, Some("error"), &["notifications/progress"][..]),
    ] {
        server.state.gate.add_permits(1);
        let mut chatty = call(id, "chatty");
        if let Some(level) = level {
            chatty["params"]["_meta"]["io.modelcontextprotocol/logLevel"] = json!(level);
        }
        host.send(chatty).await;
        let mut methods = Vec::new();
        loop {
            let message = host.next().await;
            if message["id"] == id {
                break;
            }
            methods.extend(message["method"].as_str().map(str::to_owned));
        }
        assert_eq!(methods, [round, round].concat(), "{level:?}");
    }
    let levels: Vec<_> = server
        .seen()
        .into_iter()
        .filter(|seen| seen.rpc() == "logging/setLevel")
        .map(|seen| seen.body["params"]["level"].clone())
        .collect();
    assert_eq!(levels, ["info", "error"]);
}

#[tokio::test]
async fn what_the_server_has_no_words_for_is_refused_by_name() {
    let server = Server::start().await;
    let (mut host, mut agent) = start().await;
    let _connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    discover(&mut host, 1).await;
    for (id, method) in [(2, "tasks/get"), (3, "tasks/update"), (4, "tasks/cancel")] {
        host.send(request(id, method, json!({"taskId": "t"}))).await;
        let error = host.answer(id).await["error"].clone();
        assert_eq!(error["code"], -32601);
        assert!(error["message"].as_str().unwrap().contains(method), "{error}");
    }
    let mut later = request(5, "tools/list", json!({}));
    later["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2027-01-01");
    host.send(later).await;
    let error = host.answer(5).await["error"].clone();
    assert_eq!((&error["code"], &error["data"]["supported"]), (&json!(-32022), &json!(["2026-07-28"])));
}

#[tokio::test]
async fn a_session_that_the_server_forgot_is_opened_again_and_streams_move_on() {
    let server = Server::start().await;
    let (mut host, mut agent) = start().await;
    let _connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    discover(&mut host, 1).await;
    host.send(request(2, "subscriptions/listen", json!({"notifications": {"toolsListChanged": true}}))).await;
    host.method("notifications/subscriptions/acknowledged").await;
    server.state.sessions.lock().unwrap().clear();
    for id in 3..6 {
        host.send(call(id, "whoami")).await;
    }
    for id in 3..6 {
        assert_eq!(text(&host.answer(id).await), "ana");
    }
    let changed = host.method("notifications/tools/list_changed").await;
    assert_eq!(changed["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], 2);
    assert_eq!(server.state.sessions.lock().unwrap().len(), 1, "one new session, not three");
    server.assert_nothing_wrong();
}
