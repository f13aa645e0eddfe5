//! An app of one era at a server of the other: the bridge says to each what it understands, as the person whose call it is.

use serde_json::{Value, json};
use testbed::host::{Host, HostEra};
use testbed::mcp_server::{AnswerForm, Eras, Handle, McpServer, Push};

use crate::support::people::{People, handshake, text_of, whoami};
use crate::support::{World, eventually};

/// ana and ben at a server that speaks one era alone, and an app that speaks the other.
async fn apart(eras: Eras, form: AnswerForm) -> (World, People, HostEra) {
    let mut world = World::new().await;
    world.server = McpServer::protected(world.issuer.handle(), eras).await.expect("a free port");
    world.server.handle().set(|knobs| knobs.answers = form);
    world.add_server().await;
    world.login("ana", &[]).await.ok();
    world.login("ben", &[]).await.ok();
    let people = People::of(&world).await;
    world.switch(&people.ana).await;
    let app = if eras == Eras::Stateless { handshake() } else { HostEra::Stateless("2026-07-28".to_owned()) };
    (world, people, app)
}

/// Waits until the server can say something of its own accord: it may ask there.
async fn listened_to(server: &Handle) {
    let streams = || server.sessions().iter().map(|session| session.streams).sum::<usize>();
    eventually("the server's own stream", async || (streams() > 0).then_some(())).await;
}

/// Has the server ask something, and says what it heard.
async fn ask(host: &Host, method: &str) -> Value {
    let text = host.call_tool("ask", json!({"method": method})).await.expect("the call is answered");
    serde_json::from_str(&text).expect("the tool answers JSON")
}

#[tokio::test]
async fn an_older_app_uses_all_of_a_newer_server_as_the_person_of_now() {
    for form in [AnswerForm::Json, AnswerForm::Sse] {
        let (world, people, era) = apart(Eras::Stateless, form).await;
        let server = world.server.handle();
        let host = world.host_in(era, "cursor", &[]).await;
        assert_eq!(whoami(&host).await.unwrap(), "ana");
        let tools = host.request("tools/list", json!({})).await.unwrap();
        assert!(tools["tools"].to_string().contains("of-ana"), "{tools}");
        assert_eq!(
            host.request("resources/read", json!({"uri": "person://me"})).await.unwrap()["contents"][0]["text"],
            "ana"
        );
        host.request("ping", json!({})).await.unwrap();
        host.request("logging/setLevel", json!({"level": "info"})).await.unwrap();
        host.request("resources/subscribe", json!({"uri": "person://ana"})).await.unwrap();
        let heard = ask(&host, "elicitation/create").await;
        assert_eq!((&heard["person"], &heard["answer"]["content"]["yes"]), (&json!("ana"), &json!(true)));
        assert_eq!(ask(&host, "roots/list").await["answer"]["roots"], json!([]));

        let slow = world.slow_call(&host, 2000).await;
        world.switch(&people.ben).await;
        assert_eq!(whoami(&host).await.unwrap(), "ben");
        assert_eq!(text_of(slow).await, "ana", "a call ends as it began");
        assert_eq!(ask(&host, "elicitation/create").await["person"], "ben");
        let changed = |one: &Value| one["method"] == "notifications/tools/list_changed";
        assert!(host.wait_for_notification(changed).await.is_some());
        eventually("ben's stream", async || (server.listeners() == [Some("ben".to_owned())]).then_some(()))
            .await;
        let told = host.notifications().len();
        server.push(Push::ToolsListChanged, None);
        eventually("the change", async || (host.notifications().len() > told).then_some(())).await;
        for late in &host.notifications()[told..] {
            assert!(!late.to_string().contains("ana"), "{late}");
        }
        assert!(host.garbage().is_empty(), "{:?}", host.garbage());
        let stats = server.stats();
        assert_eq!((stats.header_errors, stats.foreign_request_states), (1, 0), "one handshake was tried");
        assert_eq!(stats.sessions_deleted, 0);
    }
}

#[tokio::test]
async fn a_newer_app_uses_all_of_an_older_server_as_the_person_of_now() {
    for form in [AnswerForm::Json, AnswerForm::Sse] {
        let (world, people, era) = apart(Eras::Handshake, form).await;
        let server = world.server.handle();
        let host = world.host_in(era, "cursor", &[]).await;
        assert_eq!(whoami(&host).await.unwrap(), "ana");
        let tools = host.request("tools/list", json!({})).await.unwrap();
        assert!(tools["tools"].to_string().contains("of-ana"), "{tools}");
        assert_eq!((&tools["resultType"], &tools["cacheScope"]), (&json!("complete"), &json!("private")));

        // The server asks in the middle of a call; the app is asked by its answer and comes back.
        listened_to(server).await;
        let call = json!({"name": "ask", "arguments": {"method": "elicitation/create"}});
        let asked = host.request("tools/call", call.clone()).await.unwrap();
        assert_eq!(asked["resultType"], "input_required", "{asked}");
        let again = |asked: &Value| {
            let mut again = call.clone();
            again["requestState"] = asked["requestState"].clone();
            again["inputResponses"]["question-1"] = json!({"action": "accept", "content": {"yes": true}});
            again
        };
        let answer = host.request("tools/call", again(&asked)).await.unwrap();
        let heard: Value = serde_json::from_str(answer["content"][0]["text"].as_str().unwrap()).unwrap();
        assert_eq!((&heard["person"], &heard["answer"]["content"]["yes"]), (&json!("ana"), &json!(true)));

        let of_ana = host.request("tools/call", call.clone()).await.unwrap();
        let slow = world.slow_call(&host, 2000).await;
        world.switch(&people.ben).await;
        assert_eq!(whoami(&host).await.unwrap(), "ben");
        assert_eq!(text_of(slow).await, "ana", "a call ends as it began");
        let refused = host.request("tools/call", again(&of_ana)).await.unwrap_err().to_string();
        assert!(refused.contains("ana") && refused.contains("ben"), "{refused}");
        assert!(host.garbage().is_empty(), "{:?}", host.garbage());
        let stats = server.stats();
        assert_eq!((stats.mixed_sessions, stats.stray_answers), (0, 0));
    }
}
