//! The model check of renewals: the production recipe, flight and slot, on schedules that shuttle chooses, with a
//! process that dies at any step, an issuer that rotates and punishes reuse, and a sign-out and a sign-in beside them.
//!
//! ```text
//! World: keychain, notes on disk, state, issuer                    what a crash leaves
//!   Process: Tokens -> Slot -> fly -> refresh, callers, sign-out, sign-in       what a crash takes
//!   Process: the same again, as soon as the life lock is free
//! ```
//!
//! Two processes are started at once, by mistake: the lock that an agent holds for life keeps the second one waiting.
//! Five mistakes, and a sixth where that lock is missing, must each be found. They are made in the world around the
//! recipe, whose text is production's alone.

mod issuer;
mod process;
mod world;

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use shuttle::future::block_on;
use shuttle::rand::{Rng as _, thread_rng};
use shuttle::scheduler::RandomScheduler;
use shuttle::{Config, Runner};

use super::Trouble;
use crate::agent::lock;
use crate::refresh::Ask;
use process::Process;
use world::World;

/// What holds on every schedule (docs/reliability.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Invariant {
    /// A generation is sent once, and once more only as the retry that is marked on disk; never after a newer one is
    /// in the keychain.
    OneUse,
    /// The newest saved generation is never overwritten by an older one.
    NewestStays,
    /// Nothing is handed out that the keychain has not taken.
    SavedFirst,
    /// Nothing is handed out that is another person's.
    RightPerson,
    /// What the issuer answers after a sign-out is neither saved nor handed out, and a sign-out leaves nothing.
    EndedStaysEnded,
    /// A refusal deletes nothing: only a sign-out does.
    OnlySignOutDeletes,
    /// Nobody is asked to sign in again while the newest saved generation is good, and in the end a token comes.
    NoLoginLost,
}

/// A mistake that the check must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutant {
    /// The keychain is said to have taken what is still to be saved.
    HandOutBeforeSave,
    /// The record is read once, and memory is believed from then on.
    NoReRead,
    /// Whoever is told `invalid_grant` deletes the record.
    LoserDeletes,
    /// The epoch at the start counts, whatever has happened since.
    EpochUnchecked,
    /// Every answer is taken for the right person's.
    SubjectUnchecked,
    /// Two agents run at once.
    NoLifeLock,
}

/// What one exploration is made of.
#[derive(Clone, Copy, Debug)]
struct Plan {
    mutant: Option<Mutant>,
    /// At most so many deaths on a schedule.
    crashes: u32,
    /// At most so many other troubles on a schedule.
    troubles: u32,
}

impl Plan {
    const fn with(mutant: Option<Mutant>) -> Self {
        Self { mutant, crashes: 3, troubles: 3 }
    }
}

/// What an exploration has seen.
#[derive(Debug, Default)]
struct Explored {
    schedules: usize,
    handed_out: usize,
    refreshes: usize,
    crashes: BTreeSet<&'static str>,
    troubles: BTreeSet<&'static str>,
    violation: Option<Violation>,
}

/// A schedule that should not be.
#[derive(Debug)]
struct Violation {
    schedule: usize,
    broken: Vec<(Invariant, String)>,
    /// What led to it.
    diary: Vec<String>,
}

/// Runs schedules until one violates an invariant, or the `wanted` one; `most` at most. The same start gives the
/// same schedules.
fn explore(plan: Plan, wanted: Option<Invariant>, start: u64, most: usize) -> Explored {
    // Waits have a deadline by tokio's clock, which nothing drives here.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let _context = runtime.enter();
    let explored = Arc::new(Mutex::new(Explored::default()));
    let into = Arc::clone(&explored);
    let schedule = move || {
        if lock(&into).violation.is_some() {
            return;
        }
        let world = Rc::new(World::new(plan));
        block_on(one_schedule(&world));
        let seen = world.seen.take();
        let mut explored = lock(&into);
        explored.schedules += 1;
        explored.handed_out += seen.handed_out;
        explored.refreshes += seen.refreshes;
        explored.crashes.extend(seen.crashes);
        explored.troubles.extend(seen.troubles);
        if seen.violations.iter().any(|(found, _)| wanted.is_none_or(|wanted| wanted == *found)) {
            let (broken, diary) = (seen.violations, seen.diary);
            explored.violation = Some(Violation { schedule: explored.schedules, broken, diary });
        }
    };
    let mut config = Config::new();
    // The recipe's futures are large where nothing is optimised.
    config.stack_size = 1 << 19;
    Runner::new(RandomScheduler::new_from_seed(start, most), config).run(schedule);
    std::mem::take(&mut *lock(&explored))
}

/// Two processes, each started again until it has lived to its end, then one more in calm weather.
async fn one_schedule(world: &Rc<World>) {
    let life = Rc::new(tokio::sync::Mutex::new(()));
    let lives: Vec<_> =
        (0..2).map(|_| shuttle::future::spawn_local(agents(Rc::clone(world), Rc::clone(&life)))).collect();
    for one in lives {
        one.await.expect("nobody ends it");
    }
    world.calm_down();
    let last = Process::new(world);
    Rc::clone(&last).finish_all().await;
    let told = last.last_caller().await;
    world.ended(&told);
}

async fn agents(world: Rc<World>, life: Rc<tokio::sync::Mutex<()>>) {
    let mut lives = 0;
    loop {
        // The kernel frees it when the process is gone.
        let _held = match world.plan.mutant {
            Some(Mutant::NoLifeLock) => None,
            _ => Some(life.lock().await),
        };
        let process = Process::new(&world);
        let mut tasks = vec![process.start(Rc::clone(&process).finish_all())];
        for _ in 0..2 {
            tasks.push(process.start(Rc::clone(&process).caller(2)));
        }
        if thread_rng().gen_bool(0.3) {
            tasks.push(process.start(Rc::clone(&process).sign_out()));
        }
        if thread_rng().gen_bool(0.3) {
            tasks.push(process.start(Rc::clone(&process).sign_in()));
        }
        for task in tasks {
            // One that was cut off died with its process.
            let _cut_off = task.await;
        }
        // An agent does not leave while something is unsaved.
        while process.has_unsaved() {
            let _cut_off = process.start(Rc::clone(&process).finish_all()).await;
            let _cut_off = process.start(Rc::clone(&process).caller(1)).await;
        }
        lives += 1;
        if !process.is_dead() || lives > 4 {
            return;
        }
    }
}

/// The gate's share of schedules; `--full` explores twenty times as many.
fn share(schedules: usize) -> usize {
    let full = std::env::var_os("HALLPASS_FULL").is_some_and(|value| value == "1");
    if full { schedules * 20 } else { schedules }
}

#[test]
fn every_invariant_holds_on_every_schedule() {
    let explored = explore(Plan::with(None), None, 1, share(20_000));
    if let Some(Violation { schedule, broken, diary }) = &explored.violation {
        panic!("schedule {schedule}: {broken:#?}\n{}", diary.join("\n"));
    }
    println!(
        "model check: {} schedules, {} renewals, {} tokens handed out; died at {} places, {} kinds of trouble",
        explored.schedules,
        explored.refreshes,
        explored.handed_out,
        explored.crashes.len(),
        explored.troubles.len()
    );
    // What never happened was not checked.
    assert!(explored.refreshes > explored.schedules && explored.handed_out > explored.schedules);
    for place in PLACES {
        assert!(explored.crashes.contains(place), "no process died at {place:?}: {:?}", explored.crashes);
    }
    assert_eq!(explored.troubles.len(), 7, "{:?}", explored.troubles);
}

/// Every step of the recipe, and of what goes on beside it.
const PLACES: [&str; 24] = [
    "load",
    "intent",
    "intent written",
    "refresh.intent-written",
    "post",
    "at the issuer",
    "on the way back",
    "refresh.answered",
    "epoch",
    "save",
    "saved",
    "refresh.saved",
    "subject",
    "refresh.checked",
    "clear intent",
    "refresh.done",
    "refresh.refused",
    "revoke",
    "state",
    "sign-out: has the flight",
    "sign-out: revoked",
    "sign-out: deleted",
    "sign-in: saved",
    "sign-in: entered",
];

#[test]
fn each_mutant_is_caught() {
    let mutants = [
        (Mutant::HandOutBeforeSave, Invariant::SavedFirst),
        (Mutant::NoReRead, Invariant::OneUse),
        (Mutant::LoserDeletes, Invariant::OnlySignOutDeletes),
        (Mutant::EpochUnchecked, Invariant::EndedStaysEnded),
        (Mutant::SubjectUnchecked, Invariant::RightPerson),
        (Mutant::NoLifeLock, Invariant::OneUse),
    ];
    for (mutant, expected) in mutants {
        let explored = explore(Plan::with(Some(mutant)), Some(expected), 2, 5000);
        let found = explored.violation.unwrap_or_else(|| panic!("{mutant:?} is not found"));
        println!("model check: {mutant:?} is found on schedule {}: {:?}", found.schedule, found.broken);
    }
}
