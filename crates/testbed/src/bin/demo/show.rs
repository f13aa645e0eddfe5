//! What the audience sees: numbered steps, what happens in them, what each proves.

use std::io::Write as _;
use std::time::Instant;

/// Why the demo cannot go on, in one sentence.
pub(crate) type Reason = String;

/// The screen.
#[derive(Default)]
pub(crate) struct Show {
    step: usize,
    proven: usize,
    since: Option<Instant>,
}

impl Show {
    /// Begins a step.
    pub(crate) fn step(&mut self, title: &str) {
        self.step += 1;
        self.since.get_or_insert_with(Instant::now);
        say(&format!("\n{:>2}. {title}", self.step));
    }

    /// Something that happens.
    #[expect(clippy::unused_self, reason = "what happens is shown by the show")]
    pub(crate) fn happens(&self, what: &str) {
        for line in what.lines() {
            say(&format!("      {line}"));
        }
    }

    /// Something that has been seen to hold; the demo fails where it does not.
    pub(crate) fn proves(&mut self, what: &str, holds: bool) -> Result<(), Reason> {
        if !holds {
            return Err(format!("step {}: this does not hold: {what}", self.step));
        }
        self.proven += 1;
        say(&format!("    = {what}"));
        Ok(())
    }

    /// The last words.
    pub(crate) fn end(&self) {
        let seconds = self.since.map_or(0, |since| since.elapsed().as_secs());
        say(&format!(
            "\n{} steps, {} things proven, {seconds} s. Nothing is left behind.",
            self.step, self.proven
        ));
    }

    /// The last words, if it went wrong.
    #[expect(clippy::unused_self, reason = "the counterpart of end()")]
    pub(crate) fn failed(&self, reason: &str) {
        say(&format!("\nThe demo stops: {reason}"));
    }
}

fn say(line: &str) {
    // Whoever closed the pipe has seen enough.
    let _closed = writeln!(std::io::stdout().lock(), "{line}");
}
