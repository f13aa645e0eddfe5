use serde_json::{Value, json};

use crate::support::{Server, call, closed, facts, initialize, ready, start, text};

#[tokio::test]
async fn garbage_gets_an_error_and_the_next_message_is_carried() {
    let server = Server::start().await;
    let (mut host, mut agent) = start().await;
    let _connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.initialize().await;
    let deep = format!(
        r#"{{"jsonrpc":"2.0","id":"deep","method":"x","params":{}1{}}}"#,
        "[".repeat(80),
        "]".repeat(80)
    );
    for (line, code, id) in [
        (&b"garbage"[..], -32700, Value::Null),
        (b"{\"jsonrpc\":\"2.0\",\"id\":7,", -32700, json!(7)),
        (b"{\"id\":8,\"method\":\"a\xff\"}", -32700, Value::Null),
        (b"\x00\x01\x02", -32700, Value::Null),
        (b"42", -32600, Value::Null),
        (b"[]", -32600, Value::Null),
        (b"[{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"ping\"}]", -32600, Value::Null),
        (b"{\"jsonrpc\":\"2.0\",\"id\":10,\"Method\":\"tools/call\"}", -32600, json!(10)),
        (b"{\"jsonrpc\":\"2.0\",\"id\":11,\"method\":\"a\",\"method\":\"b\"}", -32600, json!(11)),
        (b"{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"a\"}", -32600, Value::Null),
        (deep.as_bytes(), -32600, json!("deep")),
    ] {
        host.send_raw(line).await;
        let answer = host.next().await;
        assert_eq!(answer["error"]["code"], code, "{answer}");
        assert_eq!(answer["id"], id, "{answer}");
    }
    host.send_raw(b"  \r").await;
    host.call(12, "whoami").await;
    assert_eq!(text(&host.answer(12).await), "ana");
    assert_eq!(server.seen().iter().filter(|s| s.rpc() == "tools/call").count(), 1, "nothing of it was sent");
}

#[tokio::test]
async fn a_message_above_16_mib_is_refused_by_its_id_and_one_below_is_carried() {
    let server = Server::start().await;
    let (mut host, mut agent) = start().await;
    let _connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.initialize().await;
    let message = |id: i64, size: usize| {
        let mut message = call(id, "whoami");
        message["params"]["arguments"]["text"] = json!("x".repeat(size));
        message
    };
    // With the id at the front, as every host writes it, the host learns which call it was.
    host.send(message(1, 16 * 1024 * 1024)).await;
    let answer = host.next().await;
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(1), &json!(-32600)), "{answer}");
    let filler = "x".repeat(17 << 20);
    host.send_raw(
        format!(r#"{{"jsonrpc":"2.0","params":{{"a":"{filler}"}},"id":2,"method":"x"}}"#).as_bytes(),
    )
    .await;
    let answer = host.next().await;
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&Value::Null, &json!(-32600)), "{answer}");
    let large = message(3, 15 * 1024 * 1024);
    host.send(large.clone()).await;
    assert_eq!(text(&host.answer(3).await), "ana");
    let seen = server.until("the large call", |seen| seen.body["id"] == 3).await;
    assert!(seen.raw == large.to_string(), "original bytes");
}

#[tokio::test]
async fn an_answer_above_16_mib_is_one_error() {
    let server = Server::start().await;
    let (mut host, mut agent) = start().await;
    let _connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.initialize().await;
    host.call(0, "whoami").await;
    host.answer(0).await;
    *server.state.instead.lock().unwrap() = Some((200, "application/json", " ".repeat(17 << 20)));
    host.call(1, "whoami").await;
    assert_eq!(host.answer(1).await["error"]["data"]["code"], "bad_answer");
    let event = format!("data: {}\n\n", "x".repeat(17 << 20));
    *server.state.instead.lock().unwrap() = Some((200, "text/event-stream", event));
    host.call(2, "whoami").await;
    assert_eq!(host.answer(2).await["error"]["data"]["code"], "bad_answer");
}

#[tokio::test]
async fn line_breaks_between_tokens_become_spaces() {
    let server = Server::start().await;
    let (mut host, mut agent) = start().await;
    let _connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.send(initialize("2025-11-25")).await;
    // The server pretty-prints its answers; each is one line for the host.
    let line = host.line().await;
    let value: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["id"], "init");
    assert!(line.contains("{   \"jsonrpc\""), "{line}");
}

#[tokio::test]
async fn an_id_that_is_under_way_keeps_its_answer() {
    let server = Server::start().await;
    let (mut host, mut agent) = start().await;
    let _connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.initialize().await;
    host.call(1, "slow").await;
    host.call(1, "whoami").await;
    host.send_raw(b"{\"id\":1.0,\"method\":").await;
    for _ in 0..2 {
        let answer = host.next().await;
        assert!(answer["id"].is_null() && answer["error"].is_object(), "{answer}");
    }
    server.state.gate.add_permits(1);
    assert_eq!(text(&host.answer(1).await), "ana");
}

#[tokio::test]
async fn a_batch_is_carried_only_where_its_revision_was_negotiated() {
    let (mut host, mut agent) = start().await;
    let standing = token_lease::Standing::Closed(closed("ana"));
    let _connection = agent.attach(facts("https://jira.example/mcp"), standing).await;
    host.send(initialize("2025-03-26")).await;
    assert_eq!(host.answer("init").await["result"]["protocolVersion"], "2025-03-26");
    host.send_raw(
        br#"[{"jsonrpc":"2.0","id":1,"method":"ping"}, 5, {"jsonrpc":"2.0","id":2,"method":"tools/list"}]"#,
    )
    .await;
    assert_eq!(host.answer(1).await["result"], json!({}));
    assert_eq!(host.answer(Value::Null).await["error"]["code"], -32600);
    assert_eq!(host.answer(2).await["result"]["tools"], json!([]));
}
