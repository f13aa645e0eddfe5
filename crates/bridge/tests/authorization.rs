use model::UnixTime;
use serde_json::json;
use token_lease::{AgentMessage, LeaseId, Standing, TokenRefusal};

use crate::support::{Server, closed, facts, ready, start, start_at, text, token};

#[tokio::test]
async fn a_rejected_token_is_renewed_once_for_everybody_who_waits() {
    let server = Server::start().await;
    let (mut host, mut agent) = start().await;
    let mut connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.initialize().await;
    host.call(0, "whoami").await;
    host.answer(0).await;
    server.listened_to().await;
    server.state.dead.lock().unwrap().push("tok-ana-1".to_owned());
    for id in 1..21 {
        host.call(id, "whoami").await;
    }
    assert_eq!(connection.asked().await, (LeaseId(1), Some(1)));
    connection.say(&AgentMessage::Token { lease: LeaseId(1), outcome: Ok(token("ana", 2)) }).await;
    for id in 1..21 {
        assert_eq!(text(&host.answer(id).await), "ana");
    }
    host.close().await;
    let mut calls: std::collections::HashMap<i64, usize> = std::collections::HashMap::new();
    for seen in server.seen().iter().filter(|s| s.rpc() == "tools/call") {
        *calls.entry(seen.body["id"].as_i64().unwrap()).or_default() += 1;
    }
    assert!(calls.values().all(|times| *times <= 2), "one retry each: {calls:?}");
}

#[tokio::test]
async fn a_token_that_is_rejected_again_ends_in_the_next_step() {
    let server = Server::start().await;
    let (mut host, mut agent) = start().await;
    let mut connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.initialize().await;
    host.call(0, "whoami").await;
    host.answer(0).await;
    server.listened_to().await;
    server.state.dead.lock().unwrap().extend(["tok-ana-1".to_owned(), "tok-ana-2".to_owned()]);
    host.call(1, "whoami").await;
    connection.asked().await;
    connection.say(&AgentMessage::Token { lease: LeaseId(1), outcome: Ok(token("ana", 2)) }).await;
    let error = host.answer(1).await["error"].clone();
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("ana@corp") && message.contains("hallpass login jira"), "{message}");
    assert_eq!(error["data"]["account"], "acc-ana");
    let tries = server.seen().iter().filter(|s| s.rpc() == "tools/call").count();
    assert_eq!(tries, 1 + 2);
}

#[tokio::test]
async fn a_refused_token_is_the_agents_message() {
    let server = Server::start().await;
    let (mut host, mut agent) = start().await;
    let mut connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.initialize().await;
    host.call(0, "whoami").await;
    host.answer(0).await;
    server.listened_to().await;
    server.state.dead.lock().unwrap().push("tok-ana-1".to_owned());
    host.call(1, "whoami").await;
    connection.asked().await;
    let refusal = TokenRefusal { void: false, closed: closed("ana") };
    connection.say(&AgentMessage::Token { lease: LeaseId(1), outcome: Err(refusal) }).await;
    let error = host.answer(1).await["error"].clone();
    assert_eq!(error["data"]["code"], "sign_in_needed");
    assert_eq!(error["message"], "ana@corp is not signed in to Jira. run `hallpass login jira`");
}

#[tokio::test]
async fn a_token_near_its_end_is_renewed_before_it_ends() {
    let server = Server::start().await;
    let (mut host, mut agent) = start_at(|| UnixTime(999_980)).await;
    let mut connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    assert_eq!(host.initialize().await["result"]["serverInfo"]["name"], "real", "still good for this one");
    assert_eq!(connection.asked().await, (LeaseId(1), None));
    let mut newer = token("ana", 2);
    newer.expires_at = Some(UnixTime(2_000_000));
    connection.say(&AgentMessage::Token { lease: LeaseId(1), outcome: Ok(newer) }).await;
    host.call(1, "whoami").await;
    assert_eq!(text(&host.answer(1).await), "ana");
    let seen = server.until("the call", |seen| seen.rpc() == "tools/call").await;
    assert_eq!(seen.header("authorization"), Some("Bearer tok-ana-2"));
}

#[tokio::test]
async fn a_token_that_is_over_is_not_sent() {
    let server = Server::start().await;
    let (mut host, mut agent) = start_at(|| UnixTime(1_000_000)).await;
    let mut connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.send(crate::support::initialize("2025-11-25")).await;
    assert_eq!(connection.asked().await, (LeaseId(1), None));
    let mut newer = token("ana", 2);
    newer.expires_at = None;
    connection.say(&AgentMessage::Token { lease: LeaseId(1), outcome: Ok(newer) }).await;
    host.answer("init").await;
    assert!(server.seen().iter().all(|s| s.header("authorization") == Some("Bearer tok-ana-2")));
}

#[tokio::test]
async fn an_open_server_that_wants_a_sign_in_is_closed_with_the_next_step() {
    let server = Server::start().await;
    let (mut host, mut agent) = start().await;
    let _connection = agent.attach(facts(&server.url), Standing::Open).await;
    let answer = host.initialize().await;
    assert_eq!(answer["result"]["serverInfo"]["title"], "Jira", "answered all the same");
    host.call(1, "whoami").await;
    let answer = host.answer(1).await;
    assert_eq!(answer["result"]["isError"], true);
    let said = text(&answer);
    assert!(said.contains("now asks for a sign-in") && said.contains("hallpass login jira"), "{said}");
}

#[tokio::test]
async fn forbidden_is_told_in_the_servers_words_and_not_retried() {
    let server = Server::start().await;
    let (mut host, mut agent) = start().await;
    let mut connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.initialize().await;
    host.call(0, "whoami").await;
    host.answer(0).await;
    let page = "not for tok-ana-1\u{1b}[31m, sorry".to_owned();
    *server.state.instead.lock().unwrap() = Some((403, "text/plain", page));
    host.call(1, "whoami").await;
    let error = host.answer(1).await["error"].clone();
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("403") && message.contains("not for [secret] [31m, sorry"), "{message}");
    assert_eq!(error["data"]["code"], "forbidden");
    let body = json!({"jsonrpc": "2.0", "id": 2, "error": {"code": -32003, "message": "needs approval"}});
    *server.state.instead.lock().unwrap() = Some((403, "application/json", body.to_string()));
    host.call(2, "whoami").await;
    assert_eq!(host.answer(2).await, body, "an answer of its own passes as it is");
    assert_eq!(server.seen().iter().filter(|s| s.rpc() == "tools/call").count(), 3);
    connection.switch(ready(2, "ben"), token_lease::OlderLeases::Drain).await;
}

#[tokio::test]
async fn redirects_are_not_followed_and_other_errors_are_told_once() {
    let server = Server::start().await;
    let (mut host, mut agent) = start().await;
    let _connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.initialize().await;
    host.call(0, "whoami").await;
    host.answer(0).await;
    for (id, status, kind, body, code) in [
        (1, 307, "text/plain", "elsewhere", "http_status"),
        (2, 500, "text/html", "<h1>oops</h1>", "http_status"),
        (3, 200, "text/html", "<h1>captive portal</h1>", "bad_answer"),
        (4, 200, "application/json", "{\"a\":", "bad_answer"),
        (5, 202, "text/plain", "", "bad_answer"),
    ] {
        *server.state.instead.lock().unwrap() = Some((status, kind, body.to_owned()));
        host.call(id, "whoami").await;
        let error = host.answer(id).await["error"].clone();
        assert_eq!(error["data"]["code"], code, "{error}");
        assert_eq!(error["data"]["server"], "jira");
        assert!(error["message"].as_str().unwrap().contains("Jira"), "{error}");
    }
}

#[tokio::test]
async fn an_unreachable_server_is_named() {
    // Held, so that nobody else is given the port, and nobody listens.
    let closed = tokio::net::TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}/mcp", closed.local_addr().unwrap());
    let (mut host, mut agent) = start().await;
    let _connection = agent.attach(facts(&url), ready(1, "ana")).await;
    host.send(crate::support::initialize("2025-11-25")).await;
    let error = host.answer("init").await["error"].clone();
    assert_eq!(error["data"]["code"], "unreachable");
    assert!(error["message"].as_str().unwrap().contains("connection refused"), "{error}");
}
