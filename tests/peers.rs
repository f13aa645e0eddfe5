//! Real peers: other people's authorization server, protected server and MCP clients, with `hallpass` between them.
//!
//! ```text
//! oidc-provider <--sign-in, refresh-- agent     switch, switch, switch
//!      ^ keys                           | leases
//! FastMCP server <------HTTP------- bridges <--stdio-- Python SDK, FastMCP, TypeScript SDK, Inspector
//! ```

mod checker;
pub(crate) mod lab;
mod load;
mod running_app;

use checker::Verdict;
use lab::{Lab, Sdk, Speaks};
use load::{Load, Seat};
use serde_json::json;

use crate::support::eventually;

/// ana's app, ben's app.
const APPS: [(&str, &str); 2] = [("claude-desktop", "ana"), ("cursor", "ben")];

/// One of each SDK, both eras, apps with a choice of their own and apps that follow the general one.
const SEATS: [Seat; 4] = [
    Seat { sdk: Sdk::Python, speaks: Speaks::Handshake, app: APPS[0].0, rule: Some(APPS[0].0) },
    Seat { sdk: Sdk::TypeScript, speaks: Speaks::Stateless, app: APPS[1].0, rule: Some(APPS[1].0) },
    Seat { sdk: Sdk::FastMcp, speaks: Speaks::Stateless, app: "fast", rule: None },
    Seat { sdk: Sdk::TypeScript, speaks: Speaks::Handshake, app: "other", rule: None },
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_real_client_acts_as_the_person_of_its_app_in_every_era_it_speaks() {
    let lab = Lab::with_ana_and_ben(30).await;
    for (app, person) in APPS {
        lab.switch(Some(app), person).await;
    }
    for speaks in [Speaks::Handshake, Speaks::Stateless] {
        for sdk in [Sdk::Python, Sdk::FastMcp, Sdk::TypeScript] {
            let (one, other) =
                tokio::join!(lab.start(sdk, speaks, APPS[0].0), lab.start(sdk, speaks, APPS[1].0));
            assert_that_bridges_have_bare_environments(&lab).await;
            for (running, person) in [(one, APPS[0].1), (other, APPS[1].1)] {
                let stateless = running.ready["protocol"] == "2026-07-28";
                assert_eq!(stateless, speaks == Speaks::Stateless, "{sdk:?}: {}", running.ready);
                let answer = running.call("whoami", json!({})).await.said;
                assert_eq!(answer["text"], person, "{sdk:?} {speaks:?}: {answer}");
                running.close().await;
            }
        }
        let (one, other) =
            tokio::join!(lab.inspect(speaks, APPS[0].0, "whoami"), lab.inspect(speaks, APPS[1].0, "whoami"));
        assert_eq!([&*one, &*other], APPS.map(|(_, person)| person), "Inspector, {speaks:?}");
    }
    let log = lab.log().await;
    let calls: Vec<_> = log.iter().filter(|row| row["kind"] == "call").collect();
    for (_, person) in APPS {
        assert_eq!(calls.iter().filter(|row| row["sub"] == person).count(), 8, "{calls:?}");
    }
    let stats = lab.stats().await;
    assert_eq!((&stats["reuses"], &stats["families_revoked"]), (&json!(0), &json!(0)), "{stats}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_interleaved_calls_are_answered_as_the_person_in_force() {
    let lab = Lab::with_ana_and_ben(5).await;
    let done = Load { calls: 1000, switches: 50, refreshes: 20, seats: &SEATS }.run(&lab).await;
    println!("{done}");
    assert!(done.verdict.wrong.is_empty(), "{} wrong: {:#?}", done.verdict.wrong.len(), done.verdict.wrong);
    assert!(done.calls >= 1000 && done.switches >= 50 && done.refreshes_in_flight >= 20, "{done}");
    // What was never there cannot be wrong.
    let Verdict { overlapping, ended_as_before, notifications, ref chimes, questions, progress, .. } =
        done.verdict;
    for count in [overlapping, ended_as_before, notifications, questions, progress] {
        assert!(count >= 10, "{done}");
    }
    assert!(chimes.len() == 2 && chimes.values().all(|count| *count >= 5), "{done}");
    let stats = &done.stats;
    assert_eq!((&stats["reuses"], &stats["families_revoked"]), (&json!(0), &json!(0)), "{stats}");
    assert_eq!(stats["token_errors"], json!([]), "{stats}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_calls_are_found_wrong_where_the_agent_mixes_people() {
    let lab = Lab::with_ana_and_ben(30).await;
    lab.mix_people();
    let done = Load { calls: 60, switches: 4, refreshes: 0, seats: &SEATS[..2] }.run(&lab).await;
    println!("on the mutant: {done}");
    let wrong_people = done.verdict.wrong.iter().filter(|what| what.contains("in force was")).count();
    assert!(wrong_people >= 10, "{done}: {:#?}", done.verdict.wrong);
}

/// The SDKs hand on a few variables only; what a desktop session has besides must not be needed.
async fn assert_that_bridges_have_bare_environments(lab: &Lab) {
    let is_bridge = |argv: &[u8]| argv.split(|byte| *byte == 0).nth(1) == Some(b"bridge");
    // Those of the clients before may still be on their way out.
    let bridges = eventually("two bridges", async || {
        let mut processes = lab.world.sandbox.processes();
        processes.retain(|process| is_bridge(&process.argv));
        (processes.len() == 2).then_some(processes)
    });
    for bridge in bridges.await {
        let environ = bridge.environ.as_deref().unwrap_or_default();
        let text = String::from_utf8_lossy(environ);
        assert!(!text.contains("DBUS_SESSION_BUS_ADDRESS") && !text.contains("XDG_"), "{text}");
    }
}
