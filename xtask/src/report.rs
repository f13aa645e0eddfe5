//! What xtask prints: steps with the time they took, the closing line, and the table of a full run.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, Instant};

use crate::command::Tally;

/// How one stage went.
#[derive(Debug)]
pub(crate) struct Result {
    /// The stage.
    pub(crate) stage: &'static str,
    /// What it counted, or why it could not be run.
    pub(crate) outcome: std::result::Result<Tally, String>,
    /// How long it took.
    pub(crate) took: Duration,
}

impl Result {
    /// Whether nothing failed.
    pub(crate) fn good(&self) -> bool {
        self.outcome.as_ref().is_ok_and(|tally| tally.failed == 0)
    }

    fn counted(&self) -> Tally {
        self.outcome.as_ref().copied().unwrap_or(Tally { passed: 0, failed: 1 })
    }
}

/// Prints a line for people.
pub(crate) fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Prints what went wrong.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "error: {text}");
}

/// Runs a step under a heading, and says how long it took.
pub(crate) fn step<T>(
    what: &str,
    body: impl FnOnce() -> std::result::Result<T, String>,
) -> std::result::Result<T, String> {
    line(&format!("--- {what}"));
    let began = Instant::now();
    let outcome = body();
    let verdict = if outcome.is_ok() { "done" } else { "FAILED" };
    line(&format!("--- {what}: {verdict} in {:.1} s", began.elapsed().as_secs_f64()));
    outcome
}

/// Prints the table of the stages, with `N passed, N failed` as the last line; an error if anything failed.
pub(crate) fn close(results: &[Result]) -> std::result::Result<(), String> {
    line(&closing(results));
    match results
        .iter()
        .filter(|result| !result.good())
        .map(|result| result.stage)
        .collect::<Vec<_>>()
        .as_slice()
    {
        [] => Ok(()),
        failed => Err(format!("these stages failed: {}", failed.join(", "))),
    }
}

fn closing(results: &[Result]) -> String {
    let mut text = String::new();
    let mut total = Tally::default();
    for result in results {
        let verdict = if result.good() { "ok" } else { "FAILED" };
        let seconds = result.took.as_secs_f64();
        let _ = writeln!(text, "{verdict:<6} {:<12} {seconds:>7.1} s  {}", result.stage, words(result));
        total.passed += result.counted().passed;
        total.failed += result.counted().failed;
    }
    let _ = write!(text, "\n{} passed, {} failed", total.passed, total.failed);
    text
}

/// The same table for `docs/`.
pub(crate) fn markdown(results: &[Result], date: &str, cores: usize) -> String {
    let mut text = format!(
        "# Last result of `cargo xtask test --full`\n\nWritten by that command on {date}, on {cores} cores.\n\n\
         | stage | result | seconds |\n|---|---|---|\n"
    );
    for result in results {
        let row = (result.stage, words(result).replace('|', "\\|").replace('\n', " "), result.took.as_secs());
        let _ = writeln!(text, "| {} | {} | {} |", row.0, row.1, row.2);
    }
    text
}

fn words(result: &Result) -> String {
    match &result.outcome {
        Ok(Tally { passed, failed }) => format!("{passed} passed, {failed} failed"),
        Err(reason) => format!("could not run: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_that_could_not_run_is_a_failed_check() {
        let results = [
            Result {
                stage: "fmt",
                outcome: Ok(Tally { passed: 1, failed: 0 }),
                took: Duration::from_secs(2),
            },
            Result { stage: "deny", outcome: Err("no tool".to_owned()), took: Duration::ZERO },
        ];
        assert!(results[0].good() && !results[1].good());
        assert_eq!(closing(&results).lines().last(), Some("1 passed, 1 failed"));
        assert!(markdown(&results, "2026-01-02", 2).contains("| deny | could not run: no tool | 0 |"));
    }
}
