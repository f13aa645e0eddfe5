//! The server is restarted and knows no session any more: what fails, and how long it takes.

use std::io;
use std::time::Instant;

use super::Run;
use crate::host::good;
use crate::world::CONTENDERS;

const ROWS: [&str; 3] = ["restart_safe_failed", "restart_unsafe_failed", "restart_ms"];

pub(super) fn measure(run: &mut Run<'_>) {
    for _ in 0..run.rounds {
        for contender in CONTENDERS.into_iter().skip(1) {
            run.attempt(&ROWS, contender, |run| {
                let (safe, took) = restarted(run, contender, "tools/list", "{}")?;
                let echo = r#"{"name":"echo","arguments":{"message":"hi"}}"#;
                let (not_safe, took_too) = restarted(run, contender, "tools/call", echo)?;
                run.figures.add("restart_safe_failed", contender, safe);
                run.figures.add("restart_unsafe_failed", contender, not_safe);
                run.figures.add("restart_ms", contender, took.max(took_too));
                Ok(())
            });
        }
    }
}

/// Failed requests, and milliseconds until one succeeds again.
fn restarted(run: &mut Run<'_>, contender: &str, method: &str, params: &str) -> io::Result<(f64, f64)> {
    let mut host = run.greeted(contender)?;
    for _ in 0..5 {
        good(&host.ask(method, params)?)?;
    }
    run.world.server.restart()?;
    let began = Instant::now();
    let mut failed = 0.0;
    while failed < 20.0 {
        if good(&host.ask(method, params)?).is_ok() {
            return Ok((failed, began.elapsed().as_secs_f64() * 1e3));
        }
        failed += 1.0;
    }
    Ok((failed, f64::INFINITY))
}
