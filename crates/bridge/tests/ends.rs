use std::time::Duration;

use model::UnixTime;
use serde_json::json;
use token_lease::{AgentMessage, LeaseId, OlderLeases};

use crate::support::{Carrier, Server, call, facts, ready, start, start_on, text, token};

#[tokio::test]
async fn the_end_of_stdin_ends_the_bridge_even_while_a_call_hangs() {
    let server = Server::start().await;
    let (mut host, mut agent) = start().await;
    let _connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.initialize().await;
    host.call(1, "slow").await;
    server.until("the slow call", |seen| seen.rpc() == "tools/call").await;
    assert_eq!(host.close().await, 0);
    server.until("DELETE", |seen| seen.method == http::Method::DELETE).await;
}

#[tokio::test]
async fn nothing_that_it_waits_for_at_its_end_takes_two_seconds() {
    let server = Server::start().await;
    let (mut host, mut agent) = start().await;
    let _connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.initialize().await;
    host.call(1, "slow").await;
    server.until("the slow call", |seen| seen.rpc() == "tools/call").await;
    // From here on time is what is waited for, and nothing that the machine does besides.
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    assert_eq!(host.close().await, 0);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_signal_ends_it_as_well() {
    let server = Server::start().await;
    let (mut host, mut agent) = start().await;
    let _connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.initialize().await;
    host.end.take().unwrap().send(()).unwrap();
    assert_eq!(crate::support::soon("the exit", &mut host.bridge).await.unwrap(), 0);
    server.until("DELETE", |seen| seen.method == http::Method::DELETE).await;
}

#[tokio::test]
async fn without_an_agent_requests_wait_and_calls_in_flight_end() {
    let server = Server::start().await;
    let (mut host, mut agent) = start().await;
    let connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.initialize().await;
    host.call(1, "slow").await;
    server.until("the slow call", |seen| seen.rpc() == "tools/call").await;
    drop(connection);
    host.call(2, "whoami").await;
    server.state.gate.add_permits(1);
    assert_eq!(text(&host.answer(1).await), "ana", "it had its token");
    let calls = |server: &Server| server.seen().iter().filter(|s| s.rpc() == "tools/call").count();
    // The bridge answers this itself, and only after it has read the call before.
    host.send(json!({"jsonrpc": "2.0", "id": "after", "method": "ping"})).await;
    host.answer("after").await;
    assert_eq!(calls(&server), 1, "the second one is held");
    // The same person under a lease of the new agent: the session goes on.
    let mut connection = agent.attach(facts(&server.url), ready(10, "ana")).await;
    assert_eq!(text(&host.answer(2).await), "ana");
    assert_eq!(server.state.sessions.lock().unwrap().len(), 1);
    server.listened_to().await;
    server.state.dead.lock().unwrap().push("tok-ana-1".to_owned());
    host.call(3, "whoami").await;
    assert_eq!(connection.asked().await, (LeaseId(10), Some(1)), "the new lease is asked about");
    connection.say(&AgentMessage::Token { lease: LeaseId(10), outcome: Ok(token("ana", 2)) }).await;
    assert_eq!(text(&host.answer(3).await), "ana");
    server.assert_nothing_wrong();
}

#[tokio::test]
async fn an_agent_that_comes_back_with_another_person_switches() {
    let server = Server::start().await;
    let (mut host, mut agent) = start().await;
    let connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.initialize().await;
    host.call(1, "slow").await;
    server.until("the slow call", |seen| seen.rpc() == "tools/call").await;
    drop(connection);
    host.call(2, "whoami").await;
    let mut connection = agent.attach(facts(&server.url), ready(1, "ben")).await;
    assert_eq!(text(&host.answer(2).await), "ben");
    server.state.gate.add_permits(1);
    assert_eq!(text(&host.answer(1).await), "ana");
    connection.switch(ready(2, "ana"), OlderLeases::Drain).await;
    host.call(3, "whoami").await;
    assert_eq!(text(&host.answer(3).await), "ana");
    server.assert_nothing_wrong();
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_stays_away_is_an_error_after_ten_seconds() {
    let (mut host, mut agent) = start_on(Carrier::Memory, || UnixTime(1_000)).await;
    let connection = agent.attach(facts("http://127.0.0.1:9/mcp"), ready(1, "ana")).await;
    drop(connection);
    let began = tokio::time::Instant::now();
    host.send(call(1, "whoami")).await;
    // The agent accepts connections but says nothing.
    let _silent = agent.accept().await;
    let answer = tokio::time::timeout(Duration::from_mins(1), host.answer(1)).await.unwrap();
    assert_eq!(answer["error"]["data"]["code"], "agent_lost");
    assert!((10..12).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    host.send(json!({"jsonrpc": "2.0", "id": 2, "method": "ping"})).await;
    assert_eq!(host.answer(2).await["result"], json!({}));
}

#[tokio::test]
async fn a_line_that_is_not_of_the_wire_counts_as_a_lost_agent() {
    let server = Server::start().await;
    let (mut host, mut agent) = start().await;
    let mut connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.initialize().await;
    connection.say_raw("{\"type\":\"switched\"}").await;
    host.call(1, "whoami").await;
    let _connection = agent.attach(facts(&server.url), ready(5, "ben")).await;
    assert_eq!(text(&host.answer(1).await), "ben");
}
