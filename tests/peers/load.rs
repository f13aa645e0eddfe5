//! Many calls through several running clients, while people are switched and tokens run out.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::checker::{Called, PEOPLE, Record, Rule, Switched, Verdict};
use super::lab::{Lab, Sdk, Speaks};
use super::running_app::{Moment, RunningApp, now};

/// A client at the table.
pub(crate) struct Seat {
    pub(crate) sdk: Sdk,
    pub(crate) speaks: Speaks,
    pub(crate) app: &'static str,
    /// Whether the app has a choice of its own, or follows the general one.
    pub(crate) rule: Rule,
}

/// How much of everything there is at least.
pub(crate) struct Load {
    pub(crate) calls: usize,
    pub(crate) switches: usize,
    /// Refreshes at the authorization server while a call is in flight.
    pub(crate) refreshes: usize,
    pub(crate) seats: &'static [Seat],
}

/// What there was.
pub(crate) struct Done {
    pub(crate) calls: usize,
    pub(crate) switches: usize,
    pub(crate) refreshes_in_flight: usize,
    pub(crate) verdict: Verdict,
    /// The authorization server's counters.
    pub(crate) stats: Value,
    cut_off: u64,
    unauthorized: usize,
    took: Duration,
}

/// Calls that one client has under way at a time.
const AT_ONCE: usize = 3;
const BETWEEN_CALLS: Duration = Duration::from_millis(200);
const BETWEEN_SWITCHES: Duration = Duration::from_millis(250);
/// Whatever is missing then, is missing.
const AT_MOST: Duration = Duration::from_mins(20);

/// What the callers share.
struct Table {
    seats: &'static [Seat],
    apps: Vec<RunningApp>,
    begun: AtomicUsize,
    over: AtomicBool,
    calls: Mutex<Vec<Called>>,
}

impl Load {
    /// Puts everybody to work, and compares the records of all sides.
    pub(crate) async fn run(&self, lab: &Lab) -> Done {
        let mut rules: Vec<(Rule, usize)> = Vec::new();
        for seat in self.seats {
            if rules.iter().all(|(rule, _)| *rule != seat.rule) {
                lab.switch(seat.rule, PEOPLE[rules.len() % 2]).await;
                rules.push((seat.rule, rules.len() % 2));
            }
        }
        let first: BTreeMap<Rule, usize> = rules.iter().copied().collect();
        let mut apps = Vec::new();
        for seat in self.seats {
            apps.push(lab.start(seat.sdk, seat.speaks, seat.app).await);
        }
        let table = Arc::new(Table {
            seats: self.seats,
            apps,
            begun: AtomicUsize::new(0),
            over: AtomicBool::new(false),
            calls: Mutex::default(),
        });
        let table_began = now();
        let mut callers = JoinSet::new();
        for seat in 0..self.seats.len() {
            for _ in 0..AT_ONCE {
                callers.spawn(Arc::clone(&table).call_on_and_on(seat));
            }
        }
        let mut switches = Vec::new();
        let mut cut_off = 0;
        loop {
            let count = rules.len();
            let (rule, person) = &mut rules[switches.len() % count];
            *person = 1 - *person;
            let began = now();
            let view = lab.switch(*rule, PEOPLE[*person]).await;
            cut_off += view["cut_off"].as_u64().unwrap_or_default();
            switches.push(Switched { rule: *rule, began, returned: now(), person: PEOPLE[*person] });
            let stats = lab.stats().await;
            let enough = {
                let calls = table.calls.lock().expect("no caller panics with it");
                calls.len() >= self.calls && in_flight(&stats, &calls) >= self.refreshes
            };
            if enough && switches.len() >= self.switches {
                break;
            }
            if now() > table_began + AT_MOST {
                break;
            }
            tokio::time::sleep(BETWEEN_SWITCHES).await;
        }
        table.over.store(true, Ordering::Relaxed);
        while let Some(caller) = callers.join_next().await {
            caller.expect("a caller panics only when a client is broken");
        }
        let took = now().saturating_sub(table_began);
        let (stats, log) = (lab.stats().await, lab.log().await);
        let heard = table
            .apps
            .iter()
            .enumerate()
            .flat_map(|(app, running)| running.take_events().into_iter().map(move |event| (app, event)));
        let record = Record {
            apps: self.seats.iter().map(|s| (s.rule, PEOPLE[first[&s.rule]], s.is_stateless())).collect(),
            switches,
            events: heard.collect(),
            calls: std::mem::take(&mut table.calls.lock().expect("no caller runs any more")),
            log,
        };
        Done {
            calls: record.calls.len(),
            switches: record.switches.len(),
            refreshes_in_flight: in_flight(&stats, &record.calls),
            verdict: record.verdict(),
            unauthorized: record.log.iter().filter(|row| row["status"] == 401).count(),
            stats,
            cut_off,
            took,
        }
    }
}

impl Table {
    async fn call_on_and_on(self: Arc<Self>, app: usize) {
        while !self.over.load(Ordering::Relaxed) {
            let number = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
            let tag = format!("call-{number}");
            let (tool, args) = order(number, &tag, self.seats[app].is_stateless());
            let sent = now();
            let answer = self.apps[app].call(tool, args).await;
            let called = Called { app, tag, tool, sent, answer };
            self.calls.lock().expect("no holder of this lock panics").push(called);
            tokio::time::sleep(BETWEEN_CALLS).await;
        }
    }
}

impl Seat {
    fn is_stateless(&self) -> bool {
        self.speaks == Speaks::Stateless
    }
}

/// Mostly `whoami`, but also what takes long, what asks back, and what goes on after its answer.
fn order(number: usize, tag: &str, stateless: bool) -> (&'static str, Value) {
    match number % 10 {
        1 => ("slow", json!({"ms": 900, "tag": tag})),
        3 => ("note", json!({"text": tag, "after_ms": 900, "tag": tag})),
        5 => ("ask", json!({"after_ms": 300, "tag": tag})),
        // Without a session there is no standing stream that could ring.
        7 if !stateless => ("chime", json!({"every_ms": 200, "count": 10, "tag": tag})),
        _ => ("whoami", json!({"tag": tag})),
    }
}

fn renewals(stats: &Value) -> impl Iterator<Item = Moment> {
    let exchanges = stats["exchanges"].as_array().into_iter().flatten();
    let renewals = exchanges.filter(|exchange| exchange["grant_type"] == "refresh_token");
    renewals.map(|exchange| Duration::from_millis(exchange["at"].as_u64().unwrap_or_default()))
}

/// How many refreshes took place while somebody waited for an answer.
fn in_flight(stats: &Value, calls: &[Called]) -> usize {
    let busy = |at: &Moment| calls.iter().any(|call| call.sent < *at && *at < call.answer.at);
    renewals(stats).filter(busy).count()
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verdict {
            wrong,
            overlapping,
            ended_as_before,
            refused_halves,
            notifications,
            chimes,
            questions,
            progress,
        } = &self.verdict;
        write!(
            f,
            "{} calls, {} switches ({} bridges cut off), {} refreshes while calls were in flight, {:.0} s: {} wrong. \
             {overlapping} calls overlapped a switch, {ended_as_before} of them ended as the person they began as, \
             {refused_halves} questions were refused by name; {notifications} notifications ({chimes:?} of \
             them on standing streams), {questions} questions, {progress} steps of progress; {} answers were 401",
            self.calls,
            self.switches,
            self.cut_off,
            self.refreshes_in_flight,
            self.took.as_secs_f64(),
            wrong.len(),
            self.unauthorized,
        )
    }
}
