//! When a lost agent is started again: after a crash, soon; after a person's `agent stop`, never by ourselves.

use std::time::Duration;

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The agent took its address back first: it was told to end, or to make room for another version.
    Left,
    /// Its address is still there: it was killed, or it crashed.
    Crashed,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Wait so long, then start one.
    StartIn(Duration),
    /// Wait so long, then see whether somebody else started one.
    LookIn(Duration),
}

/// Counts crashes in a row.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Recovery {
    crashes: u32,
    looks: u32,
}

impl Recovery {
    /// A connection that had lasted so long is gone.
    pub(super) fn lost(&mut self, ended: Ended, lasted: Duration) -> Next {
        self.looks = 0;
        if ended == Ended::Left {
            return self.look();
        }
        if lasted >= STEADY {
            self.crashes = 0;
        }
        self.crashes += 1;
        match self.crashes {
            1 => Next::StartIn(SHORT),
            2..=MOST => Next::StartIn(SHORT * 4_u32.pow(self.crashes - 1)),
            _ => self.look(),
        }
    }

    /// Nobody was there, or a start failed: only a person's click starts one from here on.
    pub(super) fn not_there(&mut self) -> Next {
        self.look()
    }

    fn look(&mut self) -> Next {
        let pause = SHORT * 2_u32.pow(self.looks.min(4));
        self.looks += 1;
        Next::LookIn(pause)
    }
}

/// The pause before the first start after a crash; what waits that long is not told that nobody is there.
pub(super) const SHORT: Duration = Duration::from_millis(250);
/// An agent that lived so long did not die of its own start.
const STEADY: Duration = Duration::from_mins(1);
/// Starts after crashes in a row.
const MOST: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stopped_agent_is_looked_for_and_never_started() {
        let mut recovery = Recovery::default();
        assert_eq!(recovery.lost(Ended::Left, Duration::from_hours(1)), Next::LookIn(SHORT));
        for factor in [2, 4, 8, 16, 16, 16] {
            assert_eq!(recovery.not_there(), Next::LookIn(SHORT * factor));
        }
        assert_eq!(
            recovery.lost(Ended::Left, Duration::ZERO),
            Next::LookIn(SHORT),
            "one that came is gone again"
        );
    }

    #[test]
    fn a_crash_is_mended_at_once_and_a_crashing_agent_is_given_up() {
        let mut recovery = Recovery::default();
        let mut next = || recovery.lost(Ended::Crashed, Duration::from_secs(1));
        for factor in [1, 4, 16, 64, 256] {
            assert_eq!(next(), Next::StartIn(SHORT * factor));
        }
        assert_eq!(next(), Next::LookIn(SHORT));
        assert_eq!(recovery.lost(Ended::Crashed, STEADY), Next::StartIn(SHORT), "it had been well meanwhile");
    }
}
