use serde_json::json;
use token_lease::Standing;

use crate::support::{Carrier, Server, call, facts, initialize, ready, start, start_on, text};

#[tokio::test]
async fn a_session_is_opened_used_and_ended() {
    for sse in [false, true] {
        let server = Server::start().await;
        *server.state.sse.lock().unwrap() = sse;
        let (mut host, mut agent) = start().await;
        let mut connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
        let answer = host.initialize().await;
        assert_eq!(answer["result"]["serverInfo"]["name"], "real", "the server's own answer passes");
        assert_eq!(connection.learned().await, model::Era::Handshake);
        host.call(1, "whoami").await;
        assert_eq!(text(&host.answer(1).await), "ana");
        server.listened_to().await;
        server.push("ana", json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})).await;
        host.method("notifications/tools/list_changed").await;
        assert_eq!(host.close().await, 0);
        let ended = server.until("DELETE", |seen| seen.method == http::Method::DELETE).await;
        assert_eq!(ended.header("mcp-session-id"), Some("sess-1-ana"));
        assert_eq!(ended.header("authorization"), Some("Bearer tok-ana-1"));
        server.assert_nothing_wrong();

        let seen = server.seen();
        let first = &seen[0];
        assert_eq!(first.header("accept"), Some("application/json, text/event-stream"));
        assert_eq!(first.header("content-type"), Some("application/json"));
        assert_eq!(first.header("authorization"), Some("Bearer tok-ana-1"));
        assert_eq!(first.header("x-tenant"), Some("acme"));
        assert_eq!(first.raw, initialize("2025-11-25").to_string(), "original bytes");
        let order: Vec<_> =
            seen.iter().map(crate::support::Seen::rpc).filter(|rpc| !rpc.is_empty()).collect();
        assert_eq!(order, ["initialize", "notifications/initialized", "tools/call"]);
    }
}

#[tokio::test]
async fn calls_run_side_by_side() {
    let server = Server::start().await;
    let (mut host, mut agent) = start().await;
    let _connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.initialize().await;
    host.call(1, "slow").await;
    host.call(2, "whoami").await;
    assert_eq!(text(&host.answer(2).await), "ana");
    server.state.gate.add_permits(1);
    assert_eq!(text(&host.answer(1).await), "ana");
}

#[tokio::test]
async fn a_server_request_reaches_the_host_and_its_answer_the_server() {
    let server = Server::start().await;
    let (mut host, mut agent) = start().await;
    let _connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.initialize().await;
    host.call(1, "ask").await;
    let question = host.method("elicitation/create").await;
    assert_eq!(question["id"], 1, "one session: original bytes");
    host.send(json!({"jsonrpc": "2.0", "id": 1, "result": {"action": "accept", "content": {"name": "x"}}}))
        .await;
    assert_eq!(text(&host.answer(1).await), "ana heard x");
    server.assert_nothing_wrong();
}

#[tokio::test]
async fn a_stream_that_ends_early_is_resumed_with_the_last_event_id() {
    let server = Server::start().await;
    let (mut host, mut agent) = start().await;
    let _connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.initialize().await;
    host.call(7, "drop").await;
    assert_eq!(text(&host.answer(7).await), "resumed");
    let resumed = server.until("GET", |seen| seen.header("last-event-id").is_some()).await;
    assert_eq!(resumed.header("last-event-id"), Some("resume-7"));
    assert_eq!(resumed.header("mcp-session-id"), Some("sess-1-ana"));
}

#[tokio::test]
async fn progress_comes_in_order_and_before_the_answer() {
    let server = Server::start().await;
    let (mut host, mut agent) = start().await;
    let _connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.initialize().await;
    server.state.gate.add_permits(1);
    host.call(1, "chatty").await;
    let mut got = Vec::new();
    loop {
        let message = host.next().await;
        if message["id"] == 1 {
            break;
        }
        got.push(message["method"].as_str().unwrap().to_owned());
    }
    let round = ["notifications/message", "notifications/progress"];
    assert_eq!(got, [round, round].concat());
}

#[tokio::test]
async fn a_cancelled_call_is_cancelled_in_its_session() {
    let server = Server::start().await;
    let (mut host, mut agent) = start().await;
    let _connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.initialize().await;
    host.call(1, "slow").await;
    server.until("the call", |seen| seen.rpc() == "tools/call").await;
    host.send(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}))
        .await;
    let seen = server.until("the cancel", |seen| seen.rpc() == "notifications/cancelled").await;
    assert_eq!(seen.header("mcp-session-id"), Some("sess-1-ana"));
}

#[tokio::test]
async fn a_session_that_the_server_forgot_is_opened_again_and_the_call_repeated_once() {
    let server = Server::start().await;
    let (mut host, mut agent) = start().await;
    let _connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.initialize().await;
    host.call(1, "whoami").await;
    host.answer(1).await;
    server.state.sessions.lock().unwrap().clear();
    for id in 2..6 {
        host.call(id, "whoami").await;
    }
    for id in 2..6 {
        assert_eq!(text(&host.answer(id).await), "ana");
    }
    host.method("notifications/tools/list_changed").await;
    assert_eq!(server.state.sessions.lock().unwrap().len(), 1, "one new session, not four");
    assert_eq!(server.seen().iter().filter(|s| s.method == http::Method::DELETE).count(), 0);
    server.assert_nothing_wrong();
}

#[tokio::test]
async fn a_handshake_that_an_older_host_could_not_go_on_from_is_one_clear_error_too() {
    for (result, said) in [
        (
            r#"{"protocolVersion":"2026-07-28","capabilities":{},"serverInfo":{"name":"x","version":"1"}}"#,
            "2026-07-28",
        ),
        ("{}", "names no protocol version"),
    ] {
        let server = Server::start().await;
        let answer = format!(r#"{{"jsonrpc":"2.0","id":"init","result":{result}}}"#);
        *server.state.instead.lock().unwrap() = Some((200, "application/json", answer));
        let (mut host, mut agent) = start().await;
        let _connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
        host.send(initialize("2025-11-25")).await;
        let answer = host.answer("init").await;
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains("Jira") && message.contains(said), "{message}");
    }
}

#[tokio::test]
async fn an_agent_that_is_slow_does_not_keep_initialize_waiting() {
    let server = Server::start().await;
    let (mut host, mut agent) = start().await;
    // No agent answers for the time being, so nobody knows as whom.
    let mut connection = agent.accept().await;
    connection.hear().await;
    host.send(initialize("2025-06-18")).await;
    let answer = host.answer("init").await;
    assert_eq!(answer["result"]["protocolVersion"], "2025-06-18");
    assert_eq!(answer["result"]["capabilities"]["tools"]["listChanged"], true);
    host.send(json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
    connection
        .say(&token_lease::AgentMessage::Attached { server: facts(&server.url), standing: ready(1, "ana") })
        .await;
    // The real session is opened all the same, and the host is told to look again.
    for list in ["tools", "resources", "prompts"] {
        host.method(&format!("notifications/{list}/list_changed")).await;
    }
    host.send(call(1, "whoami")).await;
    assert_eq!(text(&host.answer(1).await), "ana");
    server.assert_nothing_wrong();
}

#[tokio::test]
async fn an_open_server_gets_no_credential() {
    let server = Server::start().await;
    *server.state.open.lock().unwrap() = true;
    let (mut host, mut agent) = start().await;
    let _connection = agent.attach(facts(&server.url), Standing::Open).await;
    host.initialize().await;
    host.call(1, "whoami").await;
    assert_eq!(text(&host.answer(1).await), "anybody");
    host.close().await;
    server.assert_nothing_wrong();
    assert!(server.seen().iter().all(|seen| seen.header("authorization").is_none()));
}

#[tokio::test(start_paused = true)]
async fn initialize_waits_three_seconds_for_a_server_that_does_not_answer() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", silent.local_addr().unwrap());
    let (mut host, mut agent) = start_on(Carrier::Memory, || model::UnixTime(1_000)).await;
    let _connection = agent.attach(facts(&url), ready(1, "ana")).await;
    let began = tokio::time::Instant::now();
    host.send(initialize("2025-11-25")).await;
    let answer = host.answer("init").await;
    assert_eq!(answer["result"]["serverInfo"]["title"], "Jira");
    assert_eq!(began.elapsed().as_secs(), 3);
}
