//! Whatever an authorization server does or says: no secret goes where it does not belong, nobody is bound who was not
//! proven, nobody is signed out by mere trouble, and the refusal names the cause.
//!
//! ```text
//! browser, agent --> interposer --> authorization server     every lie is told on the wire, or by a knob behind it
//! agent, bridge  --> interposer --> protected MCP server     everything that arrives is remembered
//!                    stranger                                where redirects and changed metadata point
//! ```

mod bench;
mod provider;
mod renewals;
mod sign_ins;
mod tls;

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use testbed::host::Host;
use tokio::task::{JoinSet, LocalSet};

use crate::support::people::whoami;
use crate::support::{LIMIT, SERVER, World};
use bench::Bench;
use renewals::Then;

/// What a case is counted by: surface, fault, step.
type Name = (String, String, &'static str);

/// What came of some cases: their names, and what was wrong with them.
#[derive(Debug, Default)]
struct Tried {
    names: Vec<Name>,
    wrong: Vec<String>,
}

impl Tried {
    fn note(&mut self, surface: &str, fault: &str, step: &'static str, wrong: Vec<String>) {
        let name = (surface.to_owned(), fault.to_owned(), step);
        let problems = wrong.into_iter().map(|what| format!("{step}, {surface}, {fault}: {what}"));
        self.wrong.extend(problems);
        self.names.push(name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_fault_leaks_a_secret_or_binds_somebody_unproven_or_signs_anybody_out() {
    let mut parts: JoinSet<Tried> = JoinSet::new();
    let local = LocalSet::new();
    let mut add = |part: std::pin::Pin<Box<dyn Future<Output = Tried>>>| {
        parts.spawn_local_on(part, &local);
    };
    add(Box::pin(at_a_sign_in(sign_ins::before_the_browser())));
    add(Box::pin(at_a_sign_in(sign_ins::after_the_browser())));
    add(Box::pin(at_a_renewal(renewals::renewals())));
    add(Box::pin(at_a_renewal(renewals::people().into_iter().chain(renewals::changes()).collect())));
    add(Box::pin(at_a_sign_out(renewals::sign_outs())));
    add(Box::pin(tls::at_a_renewal()));
    add(Box::pin(provider::all()));
    let tried = local.run_until(async move { parts.join_all().await }).await;
    let wrong: Vec<String> = tried.iter().flat_map(|part| part.wrong.clone()).collect();
    let names: Vec<Name> = tried.into_iter().flat_map(|part| part.names).collect();
    let distinct: BTreeSet<&Name> = names.iter().collect();
    assert_eq!(distinct.len(), names.len(), "two cases have one name");
    for (surface, fault, step) in &names {
        println!("{step}: {surface}: {fault}");
    }
    let of = |step: &str| names.iter().filter(|name| name.2 == step).count();
    println!(
        "faults: {} distinct (surface, fault, step): {} at a sign-in, {} at a renewal, {} at a sign-out; {} wrong",
        names.len(),
        of("sign-in"),
        of("renewal"),
        of("sign-out"),
        wrong.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(names.len() >= 60, "{}", names.len());
}

async fn at_a_sign_in(cases: Vec<sign_ins::Case>) -> Tried {
    let bench = Bench::new().await;
    let mut tried = Tried::default();
    for case in cases {
        (case.plant)(&bench);
        let told = bench.lies_told();
        let ran = bench.sign_in().await;
        let mut wrong = Vec::new();
        if told.is_some() && bench.lies_told() == told {
            wrong.push("nobody heard the lie".to_owned());
        }
        let named = ran.err.contains(case.says) && ran.err.contains("next: ");
        if ran.code == 0 || !named || ran.err.contains('\u{1b}') {
            wrong.push(format!("{:?} is not in {ran:?}", case.says));
        }
        if !bench.is_nobody_bound() {
            wrong.push("somebody is bound".to_owned());
        }
        wrong.extend(bench.leaks());
        tried.note(case.surface, case.fault, "sign-in", wrong);
        bench.be_honest();
    }
    let ran = bench.sign_in().await;
    if ran.code != 0 {
        tried.wrong.push(format!("after all faults nobody can sign in: {ran:?}"));
    }
    tried
}

async fn at_a_renewal(cases: Vec<renewals::Case>) -> Tried {
    let bench = Bench::with_ana().await;
    let host = bench.world.host("cursor").await;
    let mut tried = Tried::default();
    for case in cases {
        let strangers = bench.stranger.handle().seen().len();
        let exchanges = bench.world.issuer.handle().stats().code_exchanges;
        (case.plant)(&bench);
        let told = bench.lies_told();
        expire(&bench.world).await;
        let said = said(&host).await;
        let mut wrong = judge(&bench.world, &said, case.then).await;
        if told.is_some() && bench.lies_told() == told && !matches!(case.then, Then::Fine) {
            wrong.push("nobody heard the lie".to_owned());
        }
        bench.be_honest();
        if matches!(case.then, Then::Ended(_)) {
            bench.sign_in().await.ok();
        } else if bench.world.issuer.handle().stats().code_exchanges != exchanges {
            wrong.push("somebody signed in again".to_owned());
        }
        if bench.stranger.handle().seen().len() != strangers {
            wrong.push("the stranger was called".to_owned());
        }
        let after = acts_again(&bench.world, &host).await;
        let is_lost = after.is_some();
        wrong.extend(after.into_iter().chain(bench.leaks()));
        tried.note(case.surface, case.fault, "renewal", wrong);
        if is_lost {
            return tried;
        }
    }
    if bench.world.server.handle().requests().iter().any(|one| one.person.as_deref() == Some("ben")) {
        tried.wrong.push("ben's token was used".to_owned());
    }
    tried
}

async fn at_a_sign_out(cases: Vec<renewals::Case>) -> Tried {
    let bench = Bench::new().await;
    let mut tried = Tried::default();
    for case in cases {
        bench.sign_in().await.ok();
        (case.plant)(&bench);
        let told = bench.lies_told();
        let ran = bench.world.run(&["logout", SERVER]).await;
        let (Then::Kept(says) | Then::Ended(says)) = case.then else {
            unreachable!("a sign-out says something")
        };
        let mut wrong = Vec::new();
        if bench.lies_told() == told {
            wrong.push("nobody heard the lie".to_owned());
        }
        if ran.code != 0 || !ran.err.contains(says) {
            wrong.push(format!("{says:?} is not in {ran:?}"));
        }
        if bench.world.state()["grants"].as_array().is_some_and(|grants| !grants.is_empty()) {
            wrong.push("somebody is still signed in".to_owned());
        }
        wrong.extend(bench.leaks());
        tried.note(case.surface, case.fault, "sign-out", wrong);
        bench.be_honest();
    }
    tried
}

/// Whether it came as it has to.
async fn judge(world: &World, said: &Result<String, String>, then: Then) -> Vec<String> {
    let mut wrong = Vec::new();
    if said.as_ref().is_err_and(|error| error.contains('\u{1b}')) {
        wrong.push("a control character is shown".to_owned());
    }
    let code = world.run(&["status"]).await.code;
    match (said, then) {
        (Ok(person), Then::Fine) if person == "ana" => {}
        (Err(error), Then::Kept(says)) if error.contains(says) && !error.contains("hallpass login") => {}
        (Err(error), Then::Ended(says)) if error.contains(says) && error.contains("hallpass login") => {}
        (_, then) => wrong.push(format!("expected {then:?}, got {said:?}")),
    }
    let expected = if matches!(then, Then::Ended(_)) { 4 } else { 0 };
    if code != expected {
        wrong.push(format!("status ends with {code}"));
    }
    wrong
}

/// What is wrong where a call does not succeed as ana, after the fault and without a new sign-in.
async fn acts_again(world: &World, host: &Host) -> Option<String> {
    // What postponed it is in the memory of one agent.
    restart(world).await;
    let deadline = tokio::time::Instant::now() + LIMIT;
    loop {
        match said(host).await {
            Ok(person) if person == "ana" => return None,
            Ok(person) => return Some(format!("{person} acts")),
            Err(error) if tokio::time::Instant::now() > deadline => {
                return Some(format!("afterwards: {error}"));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Who acts, or why nobody does.
async fn said(host: &Host) -> Result<String, String> {
    whoami(host).await.map_err(|error| error.to_string())
}

/// Ends the life of every access token, and the agent that remembers when it last renewed one.
async fn expire(world: &World) {
    restart(world).await;
    world.issuer.handle().expire_access_tokens();
}

async fn restart(world: &World) {
    world.run(&["agent", "stop"]).await.ok();
    world.run(&["servers", "list"]).await.ok();
}
