//! A thousand calls over several bridges of both eras while people are switched and tokens renewed: each one
//! must be the person's in force when its bridge accepted it.
//!
//! A call is accepted between the moment in which the host wrote it and the one in which the server read
//! it. A person is in force from when the switch to them was begun until the switch away was answered. A
//! call is right if the two spans meet; without a switch in its span it has exactly one right answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testbed::host::Host;
use tokio::task::JoinSet;

use crate::support::World;
use crate::support::people::{People, eras};

/// What has to come together before a run ends.
struct Goal {
    calls: usize,
    switches: usize,
    refreshes: u64,
}

/// What a run found.
#[derive(Debug)]
struct Found {
    calls: usize,
    /// Calls with exactly one right answer.
    certain: usize,
    switches: usize,
    refreshes: u64,
    wrong: Vec<String>,
    failed: Vec<String>,
}

struct Switching {
    begun: Instant,
    answered: Instant,
    to: &'static str,
}

struct Answered {
    id: u64,
    sent: Instant,
    answer: Result<Value, String>,
}

#[tokio::test]
async fn a_thousand_interleaved_calls_are_each_the_person_in_force() {
    let world = world().await;
    let found = interleave(&world, &Goal { calls: 1000, switches: 50, refreshes: 20 }).await;
    println!(
        "{} calls ({} with exactly one right answer), {} switches, {} refreshes: {} wrong, {} failed",
        found.calls,
        found.certain,
        found.switches,
        found.refreshes,
        found.wrong.len(),
        found.failed.len()
    );
    assert!(found.wrong.is_empty(), "{:#?}", found.wrong);
    assert!(found.failed.is_empty(), "{:#?}", found.failed);
    assert!(found.calls >= 1000 && found.switches >= 50 && found.refreshes >= 20, "{found:?}");
    assert!(found.certain > found.calls / 5, "{found:?}");
    let (stats, issuer) = (world.server.handle().stats(), world.issuer.handle().stats());
    assert_eq!((stats.mixed_sessions, stats.wrong_audience, stats.stray_answers), (0, 0, 0));
    assert_eq!((issuer.reuse_detections, issuer.families_revoked), (0, 0));
}

#[tokio::test]
async fn the_same_run_finds_the_mistake_of_an_agent_that_mixes_two_people() {
    let world = world().await;
    std::fs::write(world.root().join("run/mutant"), "mix-people").unwrap();
    let found = interleave(&world, &Goal { calls: 60, switches: 6, refreshes: 0 }).await;
    assert!(!found.wrong.is_empty(), "a check that cannot fail: {found:?}");
}

/// Tokens that live for five seconds: a call whose token ends on its way, twice in a row, has failed.
async fn world() -> World {
    let world = World::new().await;
    world.issuer.handle().set(|knobs| knobs.access_token_lifetime = 5);
    world.add_server().await;
    world.login("ana", &[]).await.ok();
    world.login("ben", &[]).await.ok();
    world
}

async fn interleave(world: &World, goal: &Goal) -> Found {
    let people = People::of(world).await;
    let refreshes = || world.issuer.handle().stats().refreshes;
    let before = refreshes();
    let hosts = hosts(world).await;
    let (over, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut callers = JoinSet::new();
    for (index, host) in hosts.iter().enumerate() {
        for lane in 0..2 {
            let (host, over, count) = (Arc::clone(host), Arc::clone(&over), Arc::clone(&count));
            callers.spawn(call_until(host, over, count, index * 2 + lane));
        }
    }
    let mut switches = Vec::new();
    let deadline = Instant::now() + Duration::from_mins(10);
    while count.load(Ordering::SeqCst) < goal.calls
        || switches.len() < goal.switches
        || refreshes() - before < goal.refreshes
    {
        let to = if switches.len() % 2 == 0 { "ben" } else { "ana" };
        let account = if to == "ben" { &people.ben } else { &people.ana };
        let (begun, before) = (Instant::now(), count.load(Ordering::SeqCst));
        // A bridge may be cut off where the machine is slow; that must not mix anybody up either.
        world.switch(account).await;
        switches.push(Switching { begun, answered: Instant::now(), to });
        if switches.len() == goal.switches / 2 {
            // A 401 that nothing foretold belongs to the picture.
            world.server.handle().set(|knobs| knobs.refuse_tokens = 1);
        }
        // Long enough for calls that no switch overlaps: as many as were answered during this one, at least.
        let so_far = count.load(Ordering::SeqCst);
        let enough = so_far + (goal.calls / goal.switches / 2).max(so_far - before);
        while count.load(Ordering::SeqCst) < enough {
            assert!(Instant::now() < deadline, "{so_far} calls, {} switches", switches.len());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    over.store(true, Ordering::SeqCst);
    let answered: Vec<Answered> = callers.join_all().await.into_iter().flatten().collect();
    judge(world, &switches, &answered, refreshes() - before)
}

/// Two bridges of each era, whose requests have ids that no other host uses.
async fn hosts(world: &World) -> Vec<Arc<Host>> {
    let mut hosts = Vec::new();
    for (index, era) in eras().into_iter().cycle().take(4).enumerate() {
        let app = if index < 2 { "cursor" } else { "claude-desktop" };
        let host = world.host_of(world.bridge(app, &[]), era);
        host.count_from((index as u64 + 1) * 1_000_000);
        host.greet().await.expect("the bridge answers");
        hosts.push(Arc::new(host));
    }
    hosts
}

async fn call_until(
    host: Arc<Host>,
    over: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
    seed: usize,
) -> Vec<Answered> {
    let mut answered = Vec::new();
    let mut turn = seed;
    while !over.load(Ordering::SeqCst) {
        // Quick ones and slow ones in turns, so that many are in flight when something happens.
        turn += 1;
        let (tool, ms) = [("whoami", 0), ("slow", 50), ("slow", 150), ("whoami", 0), ("slow", 300)][turn % 5];
        let sent = Instant::now();
        let call = host.send("tools/call", json!({"name": tool, "arguments": {"ms": ms}})).await;
        let call = call.expect("the bridge reads");
        let id = call.id();
        let answer = call.result().await.map_err(|error| error.to_string());
        answered.push(Answered { id, sent, answer });
        count.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    answered
}

fn judge(world: &World, switches: &[Switching], answered: &[Answered], refreshes: u64) -> Found {
    let mut seen: HashMap<u64, (Instant, Vec<String>)> = HashMap::new();
    for one in world.server.handle().requests() {
        let Some(id) = one.id.as_ref().and_then(Value::as_u64) else { continue };
        let (_, bearers) = seen.entry(id).or_insert_with(|| (one.at, Vec::new()));
        bearers.push(one.person.unwrap_or_else(|| "nobody".to_owned()));
    }
    let mut found = Found {
        calls: answered.len(),
        certain: 0,
        switches: switches.len(),
        refreshes,
        wrong: Vec::new(),
        failed: Vec::new(),
    };
    for call in answered {
        let text = call.answer.as_ref().map(|result| {
            let person = result["content"][0]["text"].as_str().unwrap_or_default();
            (person.to_owned(), result["isError"] == true)
        });
        let (Some((arrived, bearers)), Ok((person, false))) = (seen.get(&call.id), text) else {
            found.failed.push(format!("call {}: {:?}", call.id, call.answer));
            continue;
        };
        let right = in_force(switches, call.sent, *arrived);
        found.certain += usize::from(right.len() == 1);
        if !right.contains(&person.as_str()) || bearers.iter().any(|bearer| *bearer != person) {
            found.wrong.push(format!("call {}: {person}, sent as {bearers:?}, right: {right:?}", call.id));
        }
    }
    found
}

/// Whoever may have been in force at some moment between `from` and `to`. ana is at the start.
fn in_force(switches: &[Switching], from: Instant, to: Instant) -> Vec<&'static str> {
    let ends = switches.iter().map(|switch| Some(switch.answered)).chain([None]);
    let starts = [("ana", None)].into_iter().chain(switches.iter().map(|one| (one.to, Some(one.begun))));
    let mut right: Vec<&'static str> = starts
        .zip(ends)
        .filter(|((_, begun), ended)| {
            begun.is_none_or(|begun| begun <= to) && ended.is_none_or(|ended| ended >= from)
        })
        .map(|((person, _), _)| person)
        .collect();
    right.sort_unstable();
    right.dedup();
    right
}

#[test]
fn the_span_of_a_call_decides_who_is_right() {
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    let switches = [
        Switching { begun: at(100), answered: at(110), to: "ben" },
        Switching { begun: at(200), answered: at(210), to: "ana" },
    ];
    for (from, to, right) in [
        (0, 90, vec!["ana"]),
        (95, 105, vec!["ana", "ben"]),
        (111, 199, vec!["ben"]),
        (150, 205, vec!["ana", "ben"]),
        (211, 900, vec!["ana"]),
    ] {
        assert_eq!(in_force(&switches, at(from), at(to)), right, "{from} to {to}");
    }
}
