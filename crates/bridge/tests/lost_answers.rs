//! The host's answer to a question of the server: it arrives although it got lost on the way, and never as
//! somebody else's.

use serde_json::{Value, json};
use token_lease::{OlderLeases, Standing};

use crate::support::{Seen, Server, closed, facts, ready, start, text};

/// The host's answers as the server got them, those that were lost included.
fn answers(server: &Server) -> Vec<Seen> {
    server.seen().into_iter().filter(Seen::is_answer).collect()
}

fn accepted(question: &Value, name: &str) -> Value {
    let content = json!({"action": "accept", "content": {"name": name}});
    json!({"jsonrpc": "2.0", "id": question["id"], "result": content})
}

/// A call that takes longer than the first pause.
fn nap(id: u64) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "nap", "arguments": {"ms": 1500}}})
}

#[tokio::test]
async fn an_answer_that_gets_lost_is_delivered_all_the_same() {
    for lost in [1, 3] {
        let server = Server::start().await;
        let (mut host, mut agent) = start().await;
        let _connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
        host.initialize().await;
        host.call(1, "ask").await;
        let question = host.method("elicitation/create").await;
        *server.state.spoilt_answers.lock().unwrap() = vec![None; lost];
        host.send(accepted(&question, "me")).await;
        assert_eq!(text(&host.answer(1).await), "ana heard me", "lost {lost} times");
        assert_eq!(answers(&server).len(), lost + 1, "not once more than needed");
        server.assert_nothing_wrong();
    }
}

#[tokio::test]
async fn an_answer_that_gets_lost_goes_out_as_who_was_asked_after_a_switch() {
    let server = Server::start().await;
    let (mut host, mut agent) = start().await;
    let mut connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.initialize().await;
    host.call(1, "ask").await;
    let question = host.method("elicitation/create").await;
    *server.state.spoilt_answers.lock().unwrap() = vec![None; 2];
    host.send(accepted(&question, "ana")).await;
    server.until("the answer that gets lost", Seen::is_answer).await;
    connection.switch(ready(2, "ben"), OlderLeases::Drain).await;
    assert_eq!(text(&host.answer(1).await), "ana heard ana");
    for seen in answers(&server) {
        assert_eq!(seen.header("mcp-session-id"), Some("sess-1-ana"));
        assert_eq!(seen.header("authorization"), Some("Bearer tok-ana-1"));
    }
    server.assert_nothing_wrong();
}

#[tokio::test]
async fn an_answer_of_somebody_who_was_signed_out_meanwhile_is_not_sent_again() {
    for next in [ready(2, "ben"), Standing::Closed(closed("ana"))] {
        let server = Server::start().await;
        let (mut host, mut agent) = start().await;
        let mut connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
        host.initialize().await;
        host.call(1, "ask").await;
        let question = host.method("elicitation/create").await;
        *server.state.spoilt_answers.lock().unwrap() = vec![None; 2];
        host.send(accepted(&question, "ana")).await;
        server.until("the answer that gets lost", Seen::is_answer).await;
        connection.switch(next, OlderLeases::Void).await;
        assert_eq!(host.answer(1).await["error"]["data"]["code"], "signed_out");
        // Longer than the pause in which it would have been sent again.
        connection.switch(ready(3, "cem"), OlderLeases::Drain).await;
        host.send(nap(2)).await;
        assert_eq!(text(&host.answer(2).await), "cem");
        let sent = answers(&server);
        let of_ana = |seen: &Seen| seen.header("authorization") == Some("Bearer tok-ana-1");
        assert!(sent.len() <= 2 && sent.iter().all(of_ana), "{sent:?}");
    }
}

#[tokio::test]
async fn a_verdict_of_the_server_is_taken_and_trouble_is_not() {
    for (status, tries) in [(400, 1), (404, 1), (502, 2)] {
        let server = Server::start().await;
        let (mut host, mut agent) = start().await;
        let _connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
        host.initialize().await;
        host.call(1, "ask").await;
        let question = host.method("elicitation/create").await;
        *server.state.spoilt_answers.lock().unwrap() = vec![Some(status)];
        host.send(accepted(&question, "me")).await;
        server.until("the first try", Seen::is_answer).await;
        // Longer than the pause before the next one.
        host.send(nap(2)).await;
        host.answer(2).await;
        assert_eq!(answers(&server).len(), tries, "{status}");
    }
}
