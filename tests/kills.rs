//! Processes that die at once, at every point of their life that has a name.

mod bridges;

use testbed::authorization_server::{Stats, TokenFault, TokenRequests};
use testbed::host::Host;

use crate::support::people::{refusal, whoami};
use crate::support::process::{is_alive, signal};
use crate::support::{World, eventually};

/// What a kill of the agent costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cost {
    Nothing,
    /// It fell between the server's rotation and our save.
    OneSignIn,
}

/// The points of the refresh at which the agent kills itself (`run/fault`), in their order.
const POINTS: [(&str, Cost); 6] = [
    ("refresh.intent-written", Cost::Nothing),
    ("refresh.refused", Cost::Nothing),
    ("refresh.answered", Cost::OneSignIn),
    ("refresh.saved", Cost::Nothing),
    ("refresh.checked", Cost::Nothing),
    ("refresh.done", Cost::Nothing),
];

#[tokio::test]
async fn an_agent_that_dies_during_a_refresh_costs_a_sign_in_only_between_rotation_and_save() {
    let world = signed_in().await;
    let host = world.host("cursor").await;
    let (mut kills, mut costly) = (0, 0);
    for (point, cost) in POINTS {
        let before = stats(&world);
        if point == "refresh.refused" {
            world.issuer.handle().set(|knobs| {
                knobs.token_fault = Some(TokenFault::Status(500));
                knobs.token_fault_on = TokenRequests::Refreshes;
                knobs.token_fault_times = Some(1);
            });
        }
        expire(&world).await;
        let victim = world.agent_pid().await;
        world.plant_fault(point);
        let died = async { eventually("the agent's end", async || (!is_alive(victim)).then_some(())).await };
        let (first, ()) = tokio::join!(whoami(&host), died);
        kills += 1;
        costly += u64::from(cost == Cost::OneSignIn);
        afterwards(&world, &host, cost, &before, &format!("{point}: {first:?}")).await;
    }
    // The same with a signal from outside, before and after the server's work.
    for (fault, cost) in [(TokenFault::PauseBefore, Cost::Nothing), (TokenFault::PauseAfter, Cost::OneSignIn)]
    {
        let before = stats(&world);
        world.issuer.handle().set(|knobs| {
            knobs.token_fault = Some(fault.clone());
            knobs.token_fault_on = TokenRequests::Refreshes;
            knobs.token_fault_times = Some(1);
        });
        expire(&world).await;
        let victim = world.agent_pid().await;
        let killed = async {
            world.issuer.handle().wait_until_paused(1).await;
            signal(victim, "KILL");
            eventually("the agent's end", async || (!is_alive(victim)).then_some(())).await;
            // The server must have seen that its asker is gone: what it had not begun, it does not begin then.
            let unasked = async || (world.issuer.handle().stats().paused == 0).then_some(());
            eventually("the server's notice of it", unasked).await;
            world.issuer.handle().release();
        };
        let (first, ()) = tokio::join!(whoami(&host), killed);
        kills += 1;
        costly += u64::from(cost == Cost::OneSignIn);
        afterwards(&world, &host, cost, &before, &format!("{fault:?}: {first:?}")).await;
    }
    let revoked = stats(&world).families_revoked;
    println!(
        "agent killed at {kills} of {} points of the refresh, {costly} between rotation and save; {revoked} families revoked",
        POINTS.len() + 2
    );
    assert_eq!(kills, POINTS.len() + 2);
    assert!(revoked <= costly);
}

/// Either everything works on, or there is one clear "sign in again".
async fn afterwards(world: &World, host: &Host, cost: Cost, before: &Stats, what: &str) {
    let revoked = stats(world).families_revoked - before.families_revoked;
    match cost {
        Cost::Nothing => {
            let person = eventually(what, async || whoami(host).await.ok()).await;
            assert_eq!(person, "ana", "{what}");
            assert_eq!(revoked, 0, "{what}");
            assert_eq!(world.run(&["status"]).await.code, 0, "{what}");
        }
        Cost::OneSignIn => {
            let said = refusal(host).await;
            assert!(said.contains("hallpass login"), "{what}: {said}");
            assert!(stats(world).families_revoked - before.families_revoked <= 1, "{what}");
            let status = world.run(&["status"]).await.fails(4);
            assert_eq!(status.out.matches("needs sign-in:").count(), 1, "{what}: {status:?}");
            let asked = stats(world).refresh_requests;
            refusal(host).await;
            assert_eq!(stats(world).refresh_requests, asked, "{what}: it is not tried for ever");
            world.login("ana", &[]).await.ok();
            assert_eq!(whoami(host).await.expect("it answers"), "ana", "{what}");
        }
    }
}

#[tokio::test]
async fn an_agent_that_dies_between_keychain_and_state_loses_no_sign_in() {
    let world = signed_in().await;
    let host = world.host("cursor").await;
    // Somebody who was signed in before: the keychain is ahead of the state then.
    world.plant_fault("sign-in.saved");
    let again = world.login("ana", &[]).await;
    assert_ne!(again.code, 0, "{again:?}");
    assert_eq!(eventually("ana", async || whoami(&host).await.ok()).await, "ana");
    expire(&world).await;
    assert_eq!(whoami(&host).await.unwrap(), "ana", "the newer sign-in is the one that is renewed");
    // Somebody new: nobody was told that they are signed in, so they sign in once more.
    world.plant_fault("sign-in.saved");
    let first = world.login("ben", &[]).await;
    assert_ne!(first.code, 0, "{first:?}");
    world.login("ben", &[]).await.ok();
    world.switch("ben").await;
    assert_eq!(whoami(&host).await.unwrap(), "ben");
    assert_eq!((stats(&world).families_revoked, stats(&world).reuse_detections), (0, 0));
}

/// Ends the tokens of everybody. A new agent, since one that has just renewed on account of a refusal does not
/// do so again at once.
async fn expire(world: &World) {
    world.run(&["agent", "stop"]).await.ok();
    // A bridge, or this command, starts the next one.
    world.run(&["servers", "list"]).await.ok();
    world.issuer.handle().expire_access_tokens();
}

/// ana, with tokens that end only when a test says so.
async fn signed_in() -> World {
    let world = World::new().await;
    world.issuer.handle().set(|knobs| knobs.access_token_lifetime = 3600);
    world.add_server().await;
    world.login("ana", &[]).await.ok();
    world
}

fn stats(world: &World) -> Stats {
    world.issuer.handle().stats()
}
