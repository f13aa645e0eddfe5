//! Many apps at once, tokens that live for seconds, strict rotation with reuse detection, and bridges or agents that die
//! at random: ten minutes of it in a full run, half a minute in the gate. The full run writes its figures to
//! `docs/reliability.md`.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use testbed::authorization_server::{Identity, Stats};
use testbed::host::Host;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::people::{People, handshake, whoami};
use crate::support::process::signal;
use crate::support::{World, eventually};

/// The life of an access token, in seconds.
const LIFETIME: u64 = 5;

/// How much of it.
#[derive(Clone, Copy, Debug)]
struct Size {
    bridges: usize,
    time: Duration,
}

/// Who dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Bridges,
    Agent,
}

/// What was seen.
#[derive(Debug)]
struct Seen {
    size: Size,
    victim: Victim,
    kills: u64,
    calls: u64,
    failed: u64,
    wrong: u64,
    logins: u64,
    /// Since the bridges run.
    refreshes: u64,
    seconds: f64,
    stats: Stats,
}

impl Seen {
    /// Renewals of one Grant, and how many there are if each comes at 80 % of a token's life.
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    fn per_grant(&self) -> (f64, f64) {
        (self.refreshes as f64 / 2.0, self.seconds / (LIFETIME as f64 * 0.8))
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (renewed, due) = self.per_grant();
        write!(
            f,
            "{} bridges for {:.0} s, {} {} killed: {} calls, {} failed, {} as the wrong person; {renewed:.0} renewals \
             per Grant ({due:.0} at 80 % of each life); {} families revoked, {} answers lost, {} new sign-ins",
            self.size.bridges,
            self.seconds,
            self.kills,
            if self.victim == Victim::Bridges { "bridges" } else { "agents" },
            self.calls,
            self.failed,
            self.wrong,
            self.stats.families_revoked,
            self.stats.answers_lost,
            self.logins
        )
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bridges_that_die_at_random_cost_no_sign_in() {
    let seen = run(size(), Victim::Bridges).await;
    println!("soak: {seen}");
    assert_eq!((seen.wrong, seen.logins), (0, 0), "{seen}");
    assert_eq!((seen.stats.families_revoked, seen.stats.reuse_detections), (0, 0), "{seen}");
    let (renewed, due) = seen.per_grant();
    // The last one may be under way, and one before the first bridge.
    assert!(renewed <= due * 1.1 + 1.0, "{seen}");
    if is_full() {
        assert!(renewed >= due * 0.9, "{seen}");
        write_down("bridges", &seen);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_that_die_at_random_lose_a_sign_in_only_with_an_answer() {
    let seen = run(size(), Victim::Agent).await;
    println!("soak: {seen}");
    assert_eq!(seen.wrong, 0, "{seen}");
    // What the issuer had rotated and could tell nobody is gone (docs/threat-model.md); nothing else is.
    assert!(seen.stats.families_revoked <= seen.stats.answers_lost, "{seen}");
    assert!(seen.logins <= seen.stats.answers_lost, "{seen}");
    if is_full() {
        write_down("agent", &seen);
    }
}

fn is_full() -> bool {
    std::env::var_os("HALLPASS_FULL").is_some_and(|value| value == "1")
}

fn size() -> Size {
    if is_full() {
        Size { bridges: 50, time: Duration::from_mins(10) }
    } else {
        Size { bridges: 10, time: Duration::from_secs(20) }
    }
}

#[derive(Default)]
struct Counts {
    calls: AtomicU64,
    failed: AtomicU64,
    wrong: AtomicU64,
}

async fn run(size: Size, victim: Victim) -> Seen {
    let world = Arc::new(World::new().await);
    world.issuer.handle().set(|knobs| {
        knobs.access_token_lifetime = LIFETIME;
        knobs.identity = Identity::IdToken;
    });
    world.add_server().await;
    for person in ["ana", "ben"] {
        world.login(person, &[]).await.ok();
    }
    let people = People::of(&world).await;
    let accounts = [("ana", people.ana.clone()), ("ben", people.ben.clone())];
    let counts = Arc::new(Counts::default());
    let (began, before) = (Instant::now(), world.issuer.handle().stats());
    let end = began + size.time;
    let mut callers = JoinSet::new();
    for at in 0..size.bridges {
        let (person, account) = accounts[at % 2].clone();
        let (world, counts) = (Arc::clone(&world), Arc::clone(&counts));
        callers.spawn(async move { call(&world, person, &account, victim, at, end, &counts).await });
    }
    let mut kills = 0;
    let mut logins = 0;
    if victim == Victim::Agent {
        let mut pause = Pauses::new(7);
        while Instant::now() < end {
            tokio::time::sleep(pause.next(1500, 4000)).await;
            signal(world.agent_pid().await, "KILL");
            kills += 1;
            for (person, account) in &accounts {
                if needs_sign_in(&world, account) {
                    world.login(person, &[]).await.ok();
                    logins += 1;
                }
            }
        }
    }
    for killed in callers.join_all().await {
        kills += killed;
    }
    let stats = world.issuer.handle().stats();
    let seen = Seen {
        size,
        victim,
        kills,
        calls: counts.calls.load(Ordering::SeqCst),
        failed: counts.failed.load(Ordering::SeqCst),
        wrong: counts.wrong.load(Ordering::SeqCst),
        logins,
        refreshes: stats.refreshes - before.refreshes,
        seconds: began.elapsed().as_secs_f64(),
        stats,
    };
    // Everybody is still signed in, without a browser.
    let authorizations = stats.authorization_requests;
    assert_eq!(authorizations, before.authorization_requests + seen.logins, "{seen}");
    for (person, account) in &accounts {
        let host = world.host_in(handshake(), "last", &["--account", account]).await;
        assert_eq!(eventually("an answer", async || whoami(&host).await.ok()).await, *person, "{seen}");
    }
    seen
}

/// One app: calls again and again, and its bridge is killed now and then. Answers how often.
async fn call(
    world: &World,
    person: &str,
    account: &str,
    victim: Victim,
    at: usize,
    end: Instant,
    counts: &Counts,
) -> u64 {
    let mut pauses = Pauses::new(at as u64 + 1);
    let mut kills = 0;
    while Instant::now() < end {
        let mut host: Host = world.host_of(world.bridge("cursor", &["--account", account]), handshake());
        // It may be killed before it is greeted, too.
        let life = Instant::now() + pauses.next(200, 15_000);
        let greeted = host.greet().await.is_ok();
        while greeted && Instant::now() < life.min(end) {
            counts.calls.fetch_add(1, Ordering::SeqCst);
            match whoami(&host).await {
                Ok(found) if found == person => {}
                Ok(_) => drop(counts.wrong.fetch_add(1, Ordering::SeqCst)),
                Err(_) => drop(counts.failed.fetch_add(1, Ordering::SeqCst)),
            }
            tokio::time::sleep(pauses.next(100, 400)).await;
        }
        if victim == Victim::Bridges && Instant::now() < end {
            // In the middle of a call, as hosts do it.
            let params = serde_json::json!({"name": "whoami", "arguments": {}});
            let _call = host.send("tools/call", params).await;
            host.kill().await.expect("it is ours");
            kills += 1;
        } else {
            let _ended = host.close().await;
        }
    }
    kills
}

fn needs_sign_in(world: &World, account: &str) -> bool {
    let state = world.state();
    let grants = state["grants"].as_array().cloned().unwrap_or_default();
    grants.iter().any(|grant| grant["account"] == account && grant["state"]["state"] != "active")
}

/// Pauses that look like chance, and are the same in every run.
struct Pauses(u64);

impl Pauses {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// Between so many milliseconds.
    fn next(&mut self, least: u64, most: u64) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Duration::from_millis(least + self.0 % (most - least))
    }
}

/// Replaces one line of the figures.
fn write_down(which: &str, seen: &Seen) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reliability.md");
    let text = std::fs::read_to_string(&path).expect("it is in the repository");
    let mark = format!("<!-- {which} -->");
    let lines = text
        .lines()
        .map(|line| if line.ends_with(&mark) { format!("- {seen} {mark}") } else { line.to_owned() });
    let text = lines.collect::<Vec<_>>().join("\n");
    std::fs::write(&path, text + "\n").expect("the repository can be written to");
}
