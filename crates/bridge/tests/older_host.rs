use model::Era;
use serde_json::{Value, json};
use token_lease::OlderLeases;

use crate::support::{Host, Server, call, facts, initialize, ready, start, text};

const VERSION: &str = "io.modelcontextprotocol/protocolVersion";

async fn modern() -> Server {
    let server = Server::start().await;
    *server.state.modern.lock().unwrap() = true;
    server
}

fn rpcs(server: &Server) -> Vec<String> {
    server.seen().iter().map(|seen| seen.rpc().to_owned()).collect()
}

fn accept(id: &Value, name: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": {"action": "accept", "content": {"name": name}}})
}

async fn note(server: &Server, person: &str, uri: &str) {
    let note = json!({"jsonrpc": "2.0", "method": "notifications/resources/updated",
        "params": {"uri": uri, "_meta": {"io.modelcontextprotocol/subscriptionId": "x"}}});
    server.push(&format!("listen-{person}"), note).await;
}

#[tokio::test]
async fn it_is_answered_by_what_the_server_offers_and_its_calls_say_who_asks() {
    for sse in [false, true] {
        let server = modern().await;
        *server.state.sse.lock().unwrap() = sse;
        let (mut host, mut agent) = start().await;
        let mut connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
        let answer = host.initialize().await["result"].clone();
        assert_eq!(answer["protocolVersion"], "2025-11-25");
        assert_eq!(answer["serverInfo"]["name"], "modern");
        assert_eq!(answer["capabilities"]["tools"]["listChanged"], true);
        assert_eq!(answer.get("resultType"), None);
        assert_eq!(connection.learned().await, Era::Stateless);
        host.send_raw(
            br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"n":12345678901234567890.5}}}"#,
        )
        .await;
        let answer = host.answer(1).await;
        assert_eq!(text(&answer), "ana");
        let sent = server.until("the call", |seen| seen.rpc() == "tools/call").await;
        let meta = &sent.body["params"]["_meta"];
        assert_eq!(meta[VERSION], "2026-07-28");
        assert_eq!(meta["io.modelcontextprotocol/clientInfo"]["name"], "host");
        assert_eq!(meta["io.modelcontextprotocol/clientCapabilities"], json!({"elicitation": {}}));
        assert_eq!(sent.header("mcp-protocol-version"), Some("2026-07-28"));
        assert_eq!(sent.header("mcp-name"), Some("t"));
        assert!(sent.raw.windows(22).any(|part| part == b"12345678901234567890.5"), "no number is read");
        server.until("the stream", |seen| seen.rpc() == "subscriptions/listen").await;
        assert_eq!(host.close().await, 0);
        server.assert_nothing_wrong();
        let seen = server.seen();
        assert!(seen.iter().all(|seen| seen.method == http::Method::POST), "no GET, no DELETE");
        assert_eq!(rpcs(&server)[..2], ["initialize", "server/discover"]);
    }
}

#[tokio::test]
async fn a_server_that_is_known_to_have_no_handshake_is_not_asked_for_one() {
    let server = modern().await;
    let (mut host, mut agent) = start().await;
    let mut known = facts(&server.url);
    known.era = Some(Era::Stateless);
    *server.state.open.lock().unwrap() = true;
    let _connection = agent.attach(known, token_lease::Standing::Open).await;
    host.initialize().await;
    assert_eq!(rpcs(&server)[0], "server/discover");
    // And one that has got one since is not lost.
    *server.state.modern.lock().unwrap() = false;
    host.send(initialize("2025-11-25")).await;
    assert_eq!(host.answer("init").await["result"]["serverInfo"]["name"], "real");
}

#[tokio::test]
async fn a_server_that_has_lost_its_handshake_since_is_understood() {
    let server = modern().await;
    let (mut host, mut agent) = start().await;
    let mut known = facts(&server.url);
    known.era = Some(Era::Handshake);
    let mut connection = agent.attach(known, ready(1, "ana")).await;
    assert_eq!(host.initialize().await["result"]["serverInfo"]["name"], "modern");
    assert_eq!(connection.learned().await, Era::Stateless);
}

#[tokio::test]
async fn questions_of_the_server_are_requests_to_it_and_nothing_of_them_leaks_into_another_call() {
    let server = modern().await;
    let (mut host, mut agent) = start().await;
    let _connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.initialize().await;
    host.call(1, "ask").await;
    let question = host.method("elicitation/create").await;
    assert_eq!(question["params"]["message"], "who asks? ana");
    host.call(2, "whoami").await;
    assert_eq!(text(&host.answer(2).await), "ana");
    host.send(accept(&question["id"], "x")).await;
    assert_eq!(text(&host.answer(1).await), "ana heard x");
    server.assert_nothing_wrong();
    let calls: Vec<_> = server.seen().into_iter().filter(|seen| seen.rpc() == "tools/call").collect();
    let [first, other, again] = &calls[..] else { panic!("{calls:?}") };
    assert_ne!(first.body["id"], again.body["id"]);
    assert_eq!(again.body["params"]["inputResponses"]["who"]["content"]["name"], "x");
    assert_eq!(other.body["params"].get("requestState"), None);
    assert_eq!(other.body["params"].get("inputResponses"), None);
}

#[tokio::test]
async fn an_app_that_cannot_be_asked_is_told_so_by_name() {
    let server = modern().await;
    let (mut host, mut agent) = start().await;
    let _connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    let mut first = initialize("2025-06-18");
    first["params"]["capabilities"] = json!({});
    host.send(first).await;
    assert_eq!(host.answer("init").await["result"]["protocolVersion"], "2025-06-18");
    host.call(1, "ask").await;
    let error = host.answer(1).await["error"].clone();
    assert_eq!(
        (error["code"].clone(), error["data"]["code"].clone()),
        (json!(-32601), json!("not_translated"))
    );
    assert!(error["message"].as_str().unwrap().contains("elicitation/create"), "{error}");
    // An answer that nobody waits for changes nothing.
    assert!(host.settled("p").await.is_empty());
}

#[tokio::test]
async fn an_app_that_refuses_to_answer_ends_its_call_and_a_cancel_takes_the_question_back() {
    let server = modern().await;
    let (mut host, mut agent) = start().await;
    let _connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.initialize().await;
    host.call(1, "ask").await;
    let question = host.method("elicitation/create").await;
    host.send(json!({"jsonrpc": "2.0", "id": question["id"], "error": {"code": -1, "message": "not now"}}))
        .await;
    let message = host.answer(1).await["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("not now"), "{message}");
    host.call(2, "ask").await;
    let question = host.method("elicitation/create").await;
    host.send(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 2}}))
        .await;
    let taken_back = host.method("notifications/cancelled").await;
    assert_eq!(taken_back["params"]["requestId"], question["id"]);
    host.send(accept(&question["id"], "late")).await;
    assert!(host.settled("p").await.is_empty());
    assert_eq!(rpcs(&server).iter().filter(|rpc| *rpc == "tools/call").count(), 2, "no second round");
}

#[tokio::test]
async fn a_cancelled_call_is_cancelled_by_closing_its_stream() {
    let server = modern().await;
    let (mut host, mut agent) = start().await;
    let _connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.initialize().await;
    host.call(1, "slow").await;
    server.until("the call", |seen| seen.rpc() == "tools/call").await;
    host.send(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}))
        .await;
    host.call(1, "whoami").await;
    assert_eq!(text(&host.answer(1).await), "ana");
    assert!(rpcs(&server).iter().all(|rpc| !rpc.starts_with("notifications/")), "there are none of its own");
}

#[tokio::test]
async fn what_needs_no_server_is_answered_and_logs_and_progress_come() {
    let server = modern().await;
    let (mut host, mut agent) = start().await;
    let _connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.initialize().await;
    for (id, method, params) in [
        (1, "ping", json!({})),
        (2, "logging/setLevel", json!({"level": "info"})),
        (3, "resources/subscribe", json!({"uri": "file:///a"})),
        (4, "resources/unsubscribe", json!({"uri": "file:///b"})),
    ] {
        host.send(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})).await;
        assert_eq!(host.answer(id).await["result"], json!({}), "{method}");
    }
    for (id, method, said) in [(5, "tasks/list", "tasks/list"), (6, "tasks/result", "tasks/result")] {
        host.send(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": {}})).await;
        let error = host.answer(id).await["error"].clone();
        assert_eq!(error["code"], -32601);
        assert!(error["message"].as_str().unwrap().contains(said), "{error}");
    }
    host.send(json!({"jsonrpc": "2.0", "id": 7, "method": "resources/read", "params": {"uri": "u"}})).await;
    assert_eq!(host.answer(7).await["error"]["code"], -32002, "as its revision calls it");
    server.state.gate.add_permits(1);
    host.call(8, "chatty").await;
    let mut methods = Vec::new();
    loop {
        let message = host.next().await;
        if message["id"] == 8 {
            break;
        }
        methods.extend(message["method"].as_str().map(str::to_owned));
    }
    let round = ["notifications/message", "notifications/progress"];
    assert_eq!(methods, [round, round].concat());
    let sent = server.until("the call", |seen| seen.rpc() == "tools/call").await;
    assert_eq!(sent.body["params"]["_meta"]["io.modelcontextprotocol/logLevel"], "info");
    assert_eq!(sent.body["params"]["_meta"]["progressToken"], "p8");
}

#[tokio::test]
async fn changes_are_told_without_the_stream_that_they_came_on_and_follow_the_person() {
    let server = modern().await;
    let (mut host, mut agent) = start().await;
    let mut connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.initialize().await;
    let subscribe =
        json!({"jsonrpc": "2.0", "id": 1, "method": "resources/subscribe", "params": {"uri": "file:///a"}});
    host.send(subscribe).await;
    host.answer(1).await;
    let watching = |seen: &crate::support::Seen| {
        seen.rpc() == "subscriptions/listen"
            && seen.body["params"]["notifications"]
                == json!({"toolsListChanged": true, "resourceSubscriptions": ["file:///a"]})
    };
    server.until("the stream", watching).await;
    host.settled("p").await;
    note(&server, "ana", "file:///a").await;
    let told = host.method("notifications/resources/updated").await;
    assert_eq!(told["params"], json!({"uri": "file:///a"}));
    connection.switch(ready(2, "ben"), OlderLeases::Drain).await;
    host.method("notifications/tools/list_changed").await;
    note(&server, "ana", "file:///ana").await;
    note(&server, "ben", "file:///ben").await;
    assert_eq!(host.method("notifications/resources/updated").await["params"]["uri"], "file:///ben");
    let of_ben: Vec<_> = server
        .seen()
        .into_iter()
        .filter(|seen| watching(seen) && seen.header("authorization") == Some("Bearer tok-ben-1"))
        .collect();
    assert_eq!(of_ben.len(), 1, "what was subscribed to still is");
}

async fn finish(host: &mut Host, question: &Value, id: i64, want: &str) {
    host.send(accept(&question["id"], "x")).await;
    assert_eq!(text(&host.answer(id).await), want);
}

#[tokio::test]
async fn a_call_ends_as_the_person_it_began_as_however_many_rounds_it_takes() {
    let server = modern().await;
    let (mut host, mut agent) = start().await;
    let mut connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.initialize().await;
    host.call(1, "slow").await;
    host.call(2, "ask").await;
    let of_ana = host.method("elicitation/create").await;
    server.until("the slow one", |seen| seen.body["params"]["name"] == "slow").await;
    connection.switch(ready(2, "ben"), OlderLeases::Drain).await;
    host.call(3, "ask").await;
    let of_ben = host.method("elicitation/create").await;
    assert_eq!(of_ben["params"]["message"], "who asks? ben");
    finish(&mut host, &of_ana, 2, "ana heard x").await;
    finish(&mut host, &of_ben, 3, "ben heard x").await;
    server.state.gate.add_permits(1);
    assert_eq!(text(&host.answer(1).await), "ana");
    assert_eq!(connection.released().await, token_lease::LeaseId(1));
    server.assert_nothing_wrong();
    for seen in server.seen() {
        let state = seen.body["params"]["requestState"].as_str().unwrap_or_default().to_owned();
        if let Some(person) = state.strip_prefix("state of ") {
            assert_eq!(seen.header("authorization"), Some(&*format!("Bearer tok-{person}-1")));
        }
    }
}

#[tokio::test]
async fn a_sign_out_takes_the_questions_back_and_gives_the_call_up() {
    let server = modern().await;
    let (mut host, mut agent) = start().await;
    let mut connection = agent.attach(facts(&server.url), ready(1, "ana")).await;
    host.initialize().await;
    host.call(1, "ask").await;
    let question = host.method("elicitation/create").await;
    let before = server.seen().len();
    connection.switch(token_lease::Standing::Closed(crate::support::closed("ana")), OlderLeases::Void).await;
    assert_eq!(host.answer(1).await["error"]["data"]["code"], "signed_out");
    assert_eq!(host.method("notifications/cancelled").await["params"]["requestId"], question["id"]);
    host.send(accept(&question["id"], "late")).await;
    host.send(call(2, "whoami")).await;
    assert_eq!(host.answer(2).await["result"]["isError"], true);
    assert!(
        server.seen()[before..].iter().all(|seen| seen.rpc() != "tools/call"),
        "nothing of hers goes out"
    );
}
