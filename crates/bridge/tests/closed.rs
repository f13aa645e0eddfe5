use serde_json::json;
use token_lease::{AgentMessage, Closed, ClosedCode, OlderLeases, Standing};

use crate::support::{Server, closed, facts, initialize, ready, start, text};

#[tokio::test]
async fn nobody_signed_in_is_said_clearly_and_cured_without_a_restart() {
    let server = Server::start().await;
    let (mut host, mut agent) = start().await;
    let mut connection = agent.attach(facts(&server.url), Standing::Closed(closed("ana"))).await;
    let answer = host.initialize().await;
    assert_eq!(answer["result"]["protocolVersion"], "2025-11-25");
    assert_eq!(answer["result"]["serverInfo"]["title"], "Jira");
    for list in ["tools", "resources", "prompts"] {
        assert_eq!(answer["result"]["capabilities"][list]["listChanged"], true);
    }
    for (id, method, key) in
        [(1, "tools/list", "tools"), (2, "prompts/list", "prompts"), (3, "resources/list", "resources")]
    {
        host.send(json!({"jsonrpc": "2.0", "id": id, "method": method})).await;
        assert_eq!(host.answer(id).await["result"][key], json!([]));
    }
    host.send(json!({"jsonrpc": "2.0", "id": 4, "method": "ping"})).await;
    assert_eq!(host.answer(4).await["result"], json!({}));
    host.call(5, "whoami").await;
    let answer = host.answer(5).await;
    assert_eq!(answer["result"]["isError"], true);
    assert_eq!(text(&answer), "ana@corp is not signed in to Jira. run `hallpass login jira`");
    host.send(json!({"jsonrpc": "2.0", "id": 6, "method": "resources/read", "params": {"uri": "x"}})).await;
    let error = host.answer(6).await["error"].clone();
    assert_eq!(error["code"], -32000);
    let want = json!({"code": "sign_in_needed", "server": "jira", "account": "acc-ana", "hint": "run `hallpass login jira`"});
    assert_eq!(error["data"], want);
    host.send(json!({"jsonrpc": "2.0", "id": 7, "method": "server/discover"})).await;
    assert_eq!(host.answer(7).await["error"]["code"], -32601);
    assert!(server.seen().is_empty(), "nothing was sent");

    connection.switch(ready(1, "ana"), OlderLeases::Drain).await;
    for list in ["tools", "resources", "prompts"] {
        host.method(&format!("notifications/{list}/list_changed")).await;
    }
    host.send(json!({"jsonrpc": "2.0", "id": 8, "method": "tools/list"})).await;
    assert_eq!(host.answer(8).await["result"]["tools"][0]["name"], "tool-of-ana");
    let first = server.until("initialize", |seen| seen.rpc() == "initialize").await;
    assert_eq!(first.body["params"], initialize("2025-11-25")["params"], "the captured one");
    server.assert_nothing_wrong();
}

#[tokio::test]
async fn a_stateless_server_is_discovered_although_nobody_is_signed_in() {
    let (mut host, mut agent) = start().await;
    let mut facts = facts("https://jira.example/mcp");
    facts.era = Some(model::Era::Stateless);
    let _connection = agent.attach(facts, Standing::Closed(closed("ana"))).await;
    host.send(json!({"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {
        "_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}}}))
        .await;
    let result = host.answer(1).await["result"].clone();
    assert_eq!(result["supportedVersions"], json!(["2026-07-28"]));
    assert_eq!(result["resultType"], "complete");
    assert_eq!(result["capabilities"]["tools"]["listChanged"], true);
}

#[tokio::test]
async fn an_unknown_server_is_named_and_the_bridge_stays() {
    let (mut host, mut agent) = start().await;
    let mut connection = agent.accept().await;
    connection.hear().await;
    host.send(initialize("2025-11-25")).await;
    let refused = Closed {
        code: ClosedCode::UnknownServer,
        message: "there is no server jira".into(),
        hint: "run `hallpass servers list`".into(),
        person: None,
    };
    connection.say(&AgentMessage::Refused { closed: refused }).await;
    let error = host.answer("init").await["error"].clone();
    assert_eq!(error["data"]["code"], "unknown_server");
    assert!(error["message"].as_str().unwrap().contains("no server jira"));
    host.send(json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})).await;
    assert_eq!(host.answer(1).await["error"]["data"]["code"], "unknown_server");
    drop(connection);
    host.send(initialize("2025-11-25")).await;
    assert_eq!(host.answer("init").await["error"]["data"]["code"], "unknown_server");
    assert!(!host.bridge.is_finished());
    assert_eq!(host.close().await, 0);
}
