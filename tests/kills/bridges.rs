//! Bridges killed with SIGKILL, as hosts do: no family is revoked, nobody acts as the wrong person, and the
//! agent forgets them.

use std::time::Duration;

use serde_json::json;
use testbed::authorization_server::{TokenFault, TokenRequests};
use testbed::host::{Host, HostEra};
use testbed::mcp_server::AnswerForm;

use super::{expire, stats};
use crate::support::people::{People, eras, handshake, whoami};
use crate::support::process::signal;
use crate::support::{LIMIT, SERVER, World, eventually};

/// A point of a bridge's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Point {
    BeforeHello,
    StartingWithoutAgent,
    AfterAttach,
    HalfALineRead,
    InitializeSent,
    BeforeInitialized,
    Idle,
    CallInFlight,
    DuringEvents,
    DuringABigAnswer,
    DuringAServerRequest,
    DuringASwitch,
    WhileAnOldSessionDrains,
    SilentDuringASwitch,
    DuringARefresh,
    DuringASecondTry,
    DuringALogout,
    DuringALogin,
    AtShutdown,
    DiscoverSent,
    StatelessCallInFlight,
    StreamOpen,
    StatelessDuringASwitch,
    StatelessDuringARefresh,
}

const ALL: [Point; 24] = [
    Point::BeforeHello,
    Point::StartingWithoutAgent,
    Point::AfterAttach,
    Point::HalfALineRead,
    Point::InitializeSent,
    Point::BeforeInitialized,
    Point::Idle,
    Point::CallInFlight,
    Point::DuringEvents,
    Point::DuringABigAnswer,
    Point::DuringAServerRequest,
    Point::DuringASwitch,
    Point::WhileAnOldSessionDrains,
    Point::SilentDuringASwitch,
    Point::DuringARefresh,
    Point::DuringASecondTry,
    Point::DuringALogout,
    Point::DuringALogin,
    Point::AtShutdown,
    Point::DiscoverSent,
    Point::StatelessCallInFlight,
    Point::StreamOpen,
    Point::StatelessDuringASwitch,
    Point::StatelessDuringARefresh,
];

/// The gate's sample: one of each kind of moment.
const SAMPLE: [Point; 10] = [
    Point::BeforeHello,
    Point::StartingWithoutAgent,
    Point::InitializeSent,
    Point::DuringEvents,
    Point::DuringASwitch,
    Point::WhileAnOldSessionDrains,
    Point::DuringARefresh,
    Point::DuringASecondTry,
    Point::AtShutdown,
    Point::StatelessDuringARefresh,
];

#[tokio::test]
async fn a_bridge_that_is_killed_costs_no_sign_in_and_mixes_nobody_up() {
    let full = std::env::var_os("HALLPASS_FULL").is_some_and(|value| value == "1");
    let points: &[Point] = if full { &ALL } else { &SAMPLE };
    let world = World::new().await;
    world.acknowledge_within(Duration::from_secs(5));
    world.issuer.handle().set(|knobs| knobs.access_token_lifetime = 3600);
    world.add_server().await;
    world.login("ana", &[]).await.ok();
    world.login("ben", &[]).await.ok();
    let people = People::of(&world).await;
    let witness = world.host_in(handshake(), "claude-desktop", &["--account", &people.ana]).await;
    let mut survived = 0;
    for point in points {
        world.server.handle().set(|knobs| *knobs = testbed::mcp_server::Knobs::default());
        world.issuer.handle().set(|knobs| knobs.token_fault = None);
        world.switch(&people.ana).await;
        let victim = kill_at(&world, &people, *point).await;
        // The witness keeps the agent, and says whether anything came between.
        assert_eq!(whoami(&witness).await.expect("the bridge is there"), "ana", "{point:?}");
        eventually("the agent's list without the victim", async || {
            let sessions = world.status().await["sessions"].as_array().cloned().unwrap_or_default();
            sessions.iter().all(|session| session["pid"] != json!(victim)).then_some(())
        })
        .await;
        for era in eras() {
            let mut next = world.host_in(era, "cursor", &[]).await;
            let selected = world.status().await["servers"][0]["selected"].clone();
            let right = if selected == json!(people.ana) { "ana" } else { "ben" };
            assert_eq!(whoami(&next).await.expect("the bridge is there"), right, "{point:?}");
            next.close().await.expect("the bridge is there");
        }
        let seen = stats(&world);
        assert_eq!((seen.families_revoked, seen.reuse_detections), (0, 0), "{point:?}");
        survived += 1;
    }
    println!("bridges killed at {survived} of {} points ({} are known)", points.len(), ALL.len());
    let seen = world.server.handle().stats();
    assert_eq!((seen.mixed_sessions, seen.stray_answers, seen.wrong_audience), (0, 0, 0));
    assert_eq!(survived, points.len());
}

/// Brings a bridge to this point and kills it there; answers its process id.
async fn kill_at(world: &World, people: &People, point: Point) -> u32 {
    let [with_session, without] = eras();
    match point {
        Point::BeforeHello => kill(start(world, with_session)).await,
        Point::StartingWithoutAgent => {
            signal(world.agent_pid().await, "KILL");
            let host = start(world, with_session);
            tokio::time::sleep(Duration::from_millis(30)).await;
            kill(host).await
        }
        Point::AfterAttach => {
            let host = start(world, with_session);
            attached(world, &host).await;
            kill(host).await
        }
        Point::HalfALineRead => {
            let host = start(world, with_session);
            attached(world, &host).await;
            host.write_raw(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"init")
                .await
                .expect("the bridge is there");
            kill(host).await
        }
        Point::InitializeSent => kill_while_it_waits(world, with_session, "initialize").await,
        Point::DiscoverSent => kill_while_it_waits(world, without, "server/discover").await,
        Point::BeforeInitialized => {
            let host = start(world, with_session);
            let params = json!({"protocolVersion": "2025-11-25", "capabilities": {},
                                "clientInfo": {"name": "testbed-host", "version": "1.0.0"}});
            host.request("initialize", params).await.expect("the bridge is there");
            kill(host).await
        }
        Point::Idle => kill(greeted(world, with_session).await).await,
        Point::CallInFlight => kill_in_a_call(world, with_session).await,
        Point::StatelessCallInFlight => kill_in_a_call(world, without).await,
        Point::DuringEvents => {
            world.server.handle().set(|knobs| knobs.answers = AnswerForm::Sse);
            let host = greeted(world, with_session).await;
            let _call = world.slow_call(&host, 3000).await;
            host.wait_for_notification(|one| one["method"] == "notifications/progress")
                .await
                .expect("the bridge is there");
            kill(host).await
        }
        Point::DuringABigAnswer => {
            let host = greeted(world, with_session).await;
            let params = json!({"name": "big", "arguments": {"bytes": 8_000_000}});
            let _call = host.send("tools/call", params).await.expect("the bridge is there");
            tool_reached(world, "big").await;
            kill(host).await
        }
        Point::DuringAServerRequest => {
            world.server.handle().set(|knobs| knobs.answers = AnswerForm::Sse);
            let host = greeted(world, with_session).await;
            host.answer_with(Box::new(|_| None));
            let params = json!({"name": "ask", "arguments": {"method": "roots/list"}});
            let _call = host.send("tools/call", params).await.expect("the bridge is there");
            eventually("the question", async || (!host.server_requests().is_empty()).then_some(())).await;
            kill(host).await
        }
        Point::DuringASwitch => kill_in_a_switch(world, people, with_session).await,
        Point::StatelessDuringASwitch => kill_in_a_switch(world, people, without).await,
        Point::WhileAnOldSessionDrains => {
            let host = greeted(world, with_session).await;
            let _call = world.slow_call(&host, 3000).await;
            world.switch(&people.ben).await;
            assert_eq!(whoami(&host).await.expect("the bridge is there"), "ben");
            kill(host).await
        }
        Point::SilentDuringASwitch => {
            let host = greeted(world, with_session).await;
            signal(host.pid().expect("the bridge is there"), "STOP");
            assert_eq!(world.switch(&people.ben).await["cut_off"], 1);
            kill(host).await
        }
        Point::DuringARefresh => kill_in_a_refresh(world, with_session).await,
        Point::StatelessDuringARefresh => kill_in_a_refresh(world, without).await,
        Point::DuringASecondTry => {
            let host = greeted(world, with_session).await;
            expire(world).await;
            world.server.handle().set(|knobs| knobs.delay_ms = 300);
            let refreshes = stats(world).refreshes;
            let _call = host
                .send("tools/call", json!({"name": "whoami", "arguments": {}}))
                .await
                .expect("the bridge is there");
            eventually("the renewal", async || (stats(world).refreshes > refreshes).then_some(())).await;
            let pid = kill(host).await;
            world.server.handle().set(|knobs| knobs.delay_ms = 0);
            pid
        }
        Point::DuringALogout => {
            let host = greeted(world, with_session).await;
            world.switch(&people.ben).await;
            let logout = ["logout", SERVER, "--account", &people.ben];
            let (_done, pid) = tokio::join!(world.run(&logout), kill(host));
            world.login("ben", &[]).await.ok();
            pid
        }
        Point::DuringALogin => {
            let host = greeted(world, with_session).await;
            let (login, pid) = tokio::join!(world.login("ana", &[]), kill(host));
            login.ok();
            pid
        }
        Point::AtShutdown => {
            let host = greeted(world, with_session).await;
            let _call = world.slow_call(&host, 3000).await;
            let pid = host.pid().expect("the bridge is there");
            host.close_stdin().await;
            signal(pid, "KILL");
            pid
        }
        Point::StreamOpen => {
            let host = greeted(world, without).await;
            let wanted = json!({"notifications": {"toolsListChanged": true}});
            let _stream = host.send("subscriptions/listen", wanted).await.expect("the bridge is there");
            eventually("the stream", async || (!world.server.handle().listeners().is_empty()).then_some(()))
                .await;
            kill(host).await
        }
    }
}

fn start(world: &World, era: HostEra) -> Host {
    world.host_of(world.bridge("cursor", &[]), era)
}

async fn greeted(world: &World, era: HostEra) -> Host {
    world.host_in(era, "cursor", &[]).await
}

async fn kill(mut host: Host) -> u32 {
    let pid = host.pid().expect("it was started");
    host.kill().await.expect("it is ours");
    pid
}

async fn attached(world: &World, host: &Host) {
    let pid = json!(host.pid());
    eventually("the session", async || {
        let sessions = world.status().await["sessions"].as_array().cloned().unwrap_or_default();
        sessions.iter().any(|session| session["pid"] == pid).then_some(())
    })
    .await;
}

async fn tool_reached(world: &World, tool: &str) {
    let there = |one: &testbed::mcp_server::Recorded| one.tool.as_deref() == Some(tool);
    let reached = world.server.handle().wait_until(LIMIT, |seen| seen.iter().any(there));
    assert!(reached.await, "{tool} never reached the server");
}

/// Its first request is at the server, which takes its time.
async fn kill_while_it_waits(world: &World, era: HostEra, method: &str) -> u32 {
    let seen = world.server.handle().requests().len();
    world.server.handle().set(|knobs| knobs.delay_ms = 1000);
    let host = start(world, era);
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {},
                        "clientInfo": {"name": "testbed-host", "version": "1.0.0"}});
    let _call = host.send(method, params).await.expect("the bridge is there");
    let there = |one: &testbed::mcp_server::Recorded| one.method.as_deref() == Some(method);
    let reached = world.server.handle().wait_until(LIMIT, |all| all[seen..].iter().any(there)).await;
    assert!(reached, "{method} never reached the server");
    let pid = kill(host).await;
    world.server.handle().set(|knobs| knobs.delay_ms = 0);
    pid
}

async fn kill_in_a_call(world: &World, era: HostEra) -> u32 {
    let host = greeted(world, era).await;
    let _call = world.slow_call(&host, 3000).await;
    kill(host).await
}

async fn kill_in_a_switch(world: &World, people: &People, era: HostEra) -> u32 {
    let host = greeted(world, era).await;
    let _call = world.slow_call(&host, 3000).await;
    let pid = host.pid().expect("it was started");
    let killed = async {
        tokio::time::sleep(Duration::from_millis(15)).await;
        kill(host).await
    };
    let (switched, _) = tokio::join!(world.switch(&people.ben), killed);
    assert_eq!(switched["account"]["id"], json!(people.ben));
    pid
}

/// The server has rotated, and the bridge whose call asked for it dies before the answer.
async fn kill_in_a_refresh(world: &World, era: HostEra) -> u32 {
    let host = greeted(world, era).await;
    world.issuer.handle().set(|knobs| {
        knobs.token_fault = Some(TokenFault::PauseAfter);
        knobs.token_fault_on = TokenRequests::Refreshes;
        knobs.token_fault_times = Some(1);
    });
    expire(world).await;
    let _call = host
        .send("tools/call", json!({"name": "whoami", "arguments": {}}))
        .await
        .expect("the bridge is there");
    world.issuer.handle().wait_until_paused(1).await;
    let pid = kill(host).await;
    world.issuer.handle().release();
    pid
}
