//! When a token is renewed. Pure: times in, times out.

use std::time::Duration;

use model::UnixTime;

/// A token with less than this left is not handed out without asking for a newer one.
const LEAST_LEFT: Duration = Duration::from_secs(30);
/// Waits between attempts that failed for the time being, in seconds; the last one repeats.
const BACKOFF: [u64; 8] = [1, 2, 5, 10, 30, 60, 120, 300];

/// When a token that was received at `received_at` with `lifetime` seconds to live is renewed ahead of
/// time: at 80 % of its life, less up to 5 % of it by `jitter` (0.0 to 1.0), so that many do not come
/// at once. `None` where the issuer gave no lifetime, or one of less than two seconds: such a token is renewed when
/// somebody asks for it, not again and again.
pub(crate) fn renewal_at(received_at: UnixTime, lifetime: Option<u64>, jitter: f64) -> Option<UnixTime> {
    let lifetime = lifetime.filter(|seconds| *seconds >= 2)?;
    let early = Duration::from_secs(lifetime).mul_f64(0.05 * jitter.clamp(0.0, 1.0)).as_secs();
    Some(UnixTime(received_at.0.saturating_add((lifetime * 4 / 5).saturating_sub(early))))
}

/// Whether a token should be renewed before it is handed out: less than 30 s or 20 % of its lifetime
/// are left, whichever is less.
pub(crate) fn is_due(now: UnixTime, expires_at: Option<UnixTime>, lifetime: Option<u64>) -> bool {
    let Some(expires_at) = expires_at else { return false };
    let share = lifetime.map_or(LEAST_LEFT, |s| Duration::from_secs(s / 5));
    // A lifetime below five seconds has no whole second in its fifth.
    expires_at <= now || expires_at.since(now) < share.min(LEAST_LEFT)
}

/// Whether a token has ended.
pub(crate) fn is_over(now: UnixTime, expires_at: Option<UnixTime>) -> bool {
    expires_at.is_some_and(|at| at <= now)
}

/// How long to wait after the `failures`-th failure in a row (1 is the first), or as long as the issuer
/// asked for, up to five minutes; with up to 20 % of jitter on top.
pub(crate) fn backoff(failures: u32, retry_after: Option<Duration>, jitter: f64) -> Duration {
    let index = (failures.max(1) as usize - 1).min(BACKOFF.len() - 1);
    let base = Duration::from_secs(BACKOFF[index]).max(retry_after.unwrap_or_default());
    base.min(Duration::from_mins(5)).mul_f64(1.0 + 0.2 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewal_comes_at_four_fifths_of_the_life() {
        assert_eq!(renewal_at(UnixTime(1000), Some(100), 0.0), Some(UnixTime(1080)));
        assert_eq!(renewal_at(UnixTime(1000), Some(100), 1.0), Some(UnixTime(1075)));
        assert_eq!(renewal_at(UnixTime(1000), Some(2), 0.0), Some(UnixTime(1001)));
        assert_eq!(renewal_at(UnixTime(1000), Some(1), 1.0), None, "it would be renewed without an end");
        assert_eq!(renewal_at(UnixTime(1000), Some(0), 1.0), None);
        assert_eq!(renewal_at(UnixTime(1000), None, 0.0), None);
    }

    #[test]
    fn a_token_is_due_when_a_fifth_or_half_a_minute_is_left() {
        let due = |left: u64, lifetime| is_due(UnixTime(1000), Some(UnixTime(1000 + left)), lifetime);
        assert!(due(5, Some(30)) && !due(6, Some(30)));
        assert!(due(29, Some(3600)) && !due(30, Some(3600)));
        assert!(due(29, None) && !due(30, None));
        assert!(due(0, Some(3)) && !due(1, Some(3)));
        assert!(!is_due(UnixTime(1000), None, None));
    }

    #[test]
    fn backoff_grows_to_five_minutes_and_heeds_the_issuer() {
        assert_eq!(backoff(1, None, 0.0), Duration::from_secs(1));
        assert_eq!(backoff(99, None, 0.0), Duration::from_mins(5));
        assert_eq!(backoff(1, Some(Duration::from_secs(40)), 0.0), Duration::from_secs(40));
        assert_eq!(backoff(1, Some(Duration::from_secs(4000)), 0.0), Duration::from_mins(5));
        assert_eq!(backoff(1, None, 1.0), Duration::from_millis(1200));
    }
}
