use serde_json::json;
use token_lease::{AgentMessage, LeaseId, OlderLeases, Standing};

use crate::support::{Server, closed, facts, ready, start, text, token};

#[tokio::test]
async fn calls_in_flight_end_as_they_began_and_the_next_one_is_the_other_person() {
    let server = Server::start().await;
    let (mut host, mut agent) = start().await;
    let mut connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.initialize().await;
    host.call(1, "slow").await;
    server.until("the slow call", |seen| seen.rpc() == "tools/call").await;
    connection.switch(ready(2, "ben"), OlderLeases::Drain).await;
    host.call(2, "whoami").await;
    assert_eq!(text(&host.answer(2).await), "ben");
    host.method("notifications/tools/list_changed").await;
    let live: Vec<_> = server.state.sessions.lock().unwrap().values().cloned().collect();
    assert_eq!(live, ["ana", "ben"], "two sessions live");
    server.state.gate.add_permits(1);
    assert_eq!(text(&host.answer(1).await), "ana");
    assert_eq!(connection.released().await, LeaseId(1));
    let ended = server.until("DELETE", |seen| seen.method == http::Method::DELETE).await;
    assert_eq!(ended.header("mcp-session-id"), Some("sess-1-ana"));
    assert_eq!(ended.header("authorization"), Some("Bearer tok-ana-1"));
    host.call(3, "whoami").await;
    assert_eq!(text(&host.answer(3).await), "ben");
    server.assert_nothing_wrong();
}

#[tokio::test]
async fn a_call_that_began_as_ana_is_renewed_as_ana_after_the_switch() {
    let server = Server::start().await;
    let (mut host, mut agent) = start().await;
    let mut connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.initialize().await;
    host.call(0, "whoami").await;
    host.answer(0).await;
    server.listened_to().await;
    server.state.dead.lock().unwrap().push("tok-ana-1".to_owned());
    host.call(1, "whoami").await;
    assert_eq!(connection.asked().await, (LeaseId(1), Some(1)));
    connection.switch(ready(2, "ben"), OlderLeases::Drain).await;
    connection.say(&AgentMessage::Token { lease: LeaseId(1), outcome: Ok(token("ana", 2)) }).await;
    assert_eq!(text(&host.answer(1).await), "ana");
    server.assert_nothing_wrong();
}

#[tokio::test]
async fn from_the_old_session_only_what_belongs_to_its_calls_passes() {
    let server = Server::start().await;
    let (mut host, mut agent) = start().await;
    let mut connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.initialize().await;
    host.call(1, "chatty").await;
    host.method("notifications/progress").await;
    server.push("ana", json!({"jsonrpc": "2.0", "method": "notifications/prompts/list_changed"})).await;
    host.method("notifications/prompts/list_changed").await;
    host.settled("before").await;
    connection.switch(ready(2, "ben"), OlderLeases::Drain).await;
    server.push("ana", json!({"jsonrpc": "2.0", "method": "notifications/prompts/list_changed"})).await;
    server.state.gate.add_permits(1);
    let mut methods = Vec::new();
    loop {
        let message = host.next().await;
        if message["id"] == 1 {
            assert_eq!(text(&message), "ana");
            break;
        }
        methods.push(message["method"].as_str().unwrap().to_owned());
    }
    methods.retain(|method| method != "notifications/tools/list_changed");
    assert_eq!(methods, ["notifications/progress"], "no log line, no change of ana's lists");
    let after: Vec<_> = host.settled("after").await;
    assert!(after.iter().all(|m| m["method"] == "notifications/tools/list_changed"), "{after:?}");
}

#[tokio::test]
async fn questions_of_two_sessions_do_not_mix() {
    let server = Server::start().await;
    let (mut host, mut agent) = start().await;
    let mut connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.initialize().await;
    host.call(1, "ask").await;
    let of_ana = host.method("elicitation/create").await;
    assert_eq!(of_ana["params"]["message"], "who asks? ana");
    connection.switch(ready(2, "ben"), OlderLeases::Drain).await;
    host.call(2, "ask").await;
    let of_ben = host.method("elicitation/create").await;
    assert_eq!(of_ben["params"]["message"], "who asks? ben");
    assert_ne!(of_ana["id"], of_ben["id"], "both servers said id 1");
    let answer = |id: &serde_json::Value, name: &str| json!({"jsonrpc": "2.0", "id": id, "result": {"action": "accept", "content": {"name": name}}});
    host.send(answer(&of_ben["id"], "for-ben")).await;
    assert_eq!(text(&host.answer(2).await), "ben heard for-ben");
    host.send(answer(&of_ana["id"], "for-ana")).await;
    assert_eq!(text(&host.answer(1).await), "ana heard for-ana");
    server.assert_nothing_wrong();
}

#[tokio::test]
async fn a_cancel_goes_to_the_session_that_owns_the_call() {
    let server = Server::start().await;
    let (mut host, mut agent) = start().await;
    let mut connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.initialize().await;
    host.call(1, "slow").await;
    server.until("the slow call", |seen| seen.rpc() == "tools/call").await;
    connection.switch(ready(2, "ben"), OlderLeases::Drain).await;
    host.call(2, "whoami").await;
    host.answer(2).await;
    host.send(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}))
        .await;
    let seen = server.until("the cancel", |seen| seen.rpc() == "notifications/cancelled").await;
    assert_eq!(seen.header("mcp-session-id"), Some("sess-1-ana"));
    assert_eq!(seen.header("authorization"), Some("Bearer tok-ana-1"));
}

#[tokio::test]
async fn a_void_lease_ends_its_calls_at_once_and_is_never_used_again() {
    let server = Server::start().await;
    let (mut host, mut agent) = start().await;
    let mut connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.initialize().await;
    host.call(1, "slow").await;
    server.until("the slow call", |seen| seen.rpc() == "tools/call").await;
    server.listened_to().await;
    connection.switch(Standing::Closed(closed("ana")), OlderLeases::Void).await;
    let error = host.answer(1).await["error"].clone();
    assert_eq!(error["data"]["code"], "signed_out");
    let requests = server.seen().len();
    host.call(2, "whoami").await;
    let answer = host.answer(2).await;
    assert_eq!(answer["result"]["isError"], true, "never the old person");
    assert_eq!(host.close().await, 0);
    assert_eq!(server.seen().len(), requests, "not even DELETE");
}

#[tokio::test]
async fn no_grant_for_the_new_person_closes_the_server() {
    let server = Server::start().await;
    let (mut host, mut agent) = start().await;
    let mut connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.initialize().await;
    host.call(1, "slow").await;
    server.until("the slow call", |seen| seen.rpc() == "tools/call").await;
    connection.switch(Standing::Closed(closed("ben")), OlderLeases::Drain).await;
    host.call(2, "whoami").await;
    assert!(text(&host.answer(2).await).starts_with("ben@corp is not signed in"));
    server.state.gate.add_permits(1);
    assert_eq!(text(&host.answer(1).await), "ana", "in flight, it ends as it began");
    connection.switch(ready(3, "ben"), OlderLeases::Drain).await;
    host.call(3, "whoami").await;
    assert_eq!(text(&host.answer(3).await), "ben");
    server.assert_nothing_wrong();
}

#[tokio::test]
async fn what_the_agent_said_before_a_message_holds_for_it() {
    for _ in 0..50 {
        let server = Server::start().await;
        let (mut host, mut agent) = start().await;
        let mut connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
        host.initialize().await;
        // No waiting for the acknowledgement: both lines lie before the bridge at once.
        connection.switched(ready(2, "ben"), OlderLeases::Drain).await;
        host.call(1, "whoami").await;
        assert_eq!(text(&host.answer(1).await), "ben");
    }
}

#[tokio::test]
async fn subscriptions_are_repeated_for_the_new_person() {
    let server = Server::start().await;
    let (mut host, mut agent) = start().await;
    let mut connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.initialize().await;
    host.send(
        json!({"jsonrpc": "2.0", "id": 1, "method": "resources/subscribe", "params": {"uri": "a://b"}}),
    )
    .await;
    host.answer(1).await;
    connection.switch(ready(2, "ben"), OlderLeases::Drain).await;
    let seen = server
        .until("the subscription", |s| {
            s.rpc() == "resources/subscribe" && s.header("authorization") == Some("Bearer tok-ben-1")
        })
        .await;
    assert_eq!(seen.body["params"]["uri"], "a://b");
    let stray: Vec<_> = host.settled("after").await;
    assert!(stray.iter().all(|m| m.get("id").is_none()), "its answer is ours alone: {stray:?}");
}
