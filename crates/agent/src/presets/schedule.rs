//! When a list is asked for again. Pure: times in, times out.

use std::time::Duration;

use model::UnixTime;

/// Between two looks at a list that answers.
const INTERVAL: Duration = Duration::from_hours(6);
/// Never sooner than this after the last look, whatever came of it.
const FLOOR: Duration = Duration::from_mins(15);

/// When to look again, after `failures` failures in a row. Up to a tenth is added by `jitter` (0.0 to 1.0), so
/// that not everybody comes at once. Past times mean now: an agent that was away catches up.
pub(super) fn next_look(checked_at: Option<UnixTime>, failures: u32, jitter: f64, now: UnixTime) -> UnixTime {
    // A time that lies ahead was written before the clock was set back: it says nothing.
    let Some(checked_at) = checked_at.filter(|at| *at <= now) else { return now };
    let wait = match failures {
        0 => INTERVAL,
        some => FLOOR.saturating_mul(1 << (some - 1).min(8)).min(INTERVAL),
    };
    checked_at.after(wait.mul_f64(1.0 + 0.1 * jitter.clamp(0.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime(1_000_000);

    fn wait(failures: u32, jitter: f64) -> u64 {
        next_look(Some(NOW), failures, jitter, NOW).0 - NOW.0
    }

    #[test]
    fn a_list_is_asked_for_every_six_hours() {
        assert_eq!(wait(0, 0.0), 6 * 3600);
        assert_eq!(wait(0, 1.0), 6 * 3600 + 2160);
    }

    #[test]
    fn failures_back_off_and_never_go_below_a_quarter_of_an_hour() {
        assert_eq!(wait(1, 0.0), 15 * 60);
        assert_eq!(wait(2, 0.0), 30 * 60);
        assert_eq!(wait(5, 0.0), 4 * 3600);
        for failures in 6..40 {
            assert_eq!(wait(failures, 0.0), 6 * 3600, "{failures}");
        }
    }

    #[test]
    fn an_agent_that_was_away_catches_up_at_once() {
        assert_eq!(next_look(None, 0, 1.0, NOW), NOW);
        assert!(next_look(Some(UnixTime(0)), 0, 1.0, NOW) <= NOW);
        assert_eq!(next_look(Some(UnixTime(NOW.0 + 9)), 3, 0.0, NOW), NOW, "the clock was set back");
    }
}
