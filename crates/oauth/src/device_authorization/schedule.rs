//! When to ask again (RFC 8628 section 3.5), as pure arithmetic.

use std::time::Duration;

use super::{DeviceAuthorization, Polled};
use crate::token::TokenError;

/// Added to every later pause by each `slow_down`.
const SLOWER: Duration = Duration::from_secs(5);
/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// The pauses of one sign-in on another device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PollSchedule {
    /// What the issuer asked for, and more with every `slow_down`.
    interval: Duration,
    /// Doubled while nothing is reached.
    pause: Duration,
    expires_in: Duration,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Wait so long, then ask.
    Wait(Duration),
    /// The code is no longer good.
    Expired,
}

impl PollSchedule {
    /// For a sign-in that has just begun.
    pub fn new(authorization: &DeviceAuthorization) -> Self {
        Self {
            interval: authorization.interval,
            pause: authorization.interval,
            expires_in: authorization.expires_in,
        }
    }

    /// What to do when the sign-in has been under way for `elapsed`, by a clock that sleep does not stop.
    pub fn next(&self, elapsed: Duration) -> Next {
        let left = self.expires_in.saturating_sub(elapsed);
        if left < self.interval {
            return Next::Expired;
        }
        // However long the pause has become, the last request falls on the last moment.
        Next::Wait(self.pause.min(left))
    }

    /// Takes note of how a request ended. Outcomes that end the sign-in change nothing.
    pub fn saw(&mut self, polled: &Polled) {
        match polled {
            Polled::Pending => self.pause = self.interval,
            Polled::SlowDown => {
                self.interval = self.interval.saturating_add(SLOWER).min(LONGEST_PAUSE);
                self.pause = self.interval;
            }
            Polled::Trouble(error) => {
                let asked = match error {
                    TokenError::NotAVerdict { retry_after, .. } => retry_after.unwrap_or_default(),
                    TokenError::NotSent { .. }
                    | TokenError::Unknown { .. }
                    | TokenError::Redirected { .. }
                    | TokenError::InvalidGrant { .. }
                    | TokenError::RegistrationGone { .. }
                    | TokenError::Refused { .. }
                    | TokenError::Malformed { .. } => Duration::ZERO,
                };
                self.pause = self.pause.saturating_mul(2).min(LONGEST_PAUSE).max(asked);
            }
            Polled::Tokens(_) | Polled::Denied { .. } | Polled::Expired | Polled::Failed(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http::HttpError;

    fn schedule(interval: u64, expires_in: u64) -> PollSchedule {
        let seconds = Duration::from_secs;
        PollSchedule {
            interval: seconds(interval),
            pause: seconds(interval),
            expires_in: seconds(expires_in),
        }
    }

    fn offline() -> Polled {
        Polled::Trouble(TokenError::NotSent {
            source: HttpError::NotSent { origin: "x".into(), source: "refused".into() },
        })
    }

    fn busy(seconds: Option<u64>) -> Polled {
        let retry_after = seconds.map(Duration::from_secs);
        Polled::Trouble(TokenError::NotAVerdict { status: 429, retry_after, text: None })
    }

    #[test]
    fn pauses_follow_what_the_issuer_says() {
        let cases: [(&str, Vec<Polled>, u64); 8] = [
            ("nothing yet", vec![], 5),
            ("pending", vec![Polled::Pending, Polled::Pending], 5),
            ("one slow_down", vec![Polled::SlowDown], 10),
            (
                "slow_down stays",
                vec![Polled::SlowDown, Polled::Pending, Polled::SlowDown, Polled::Pending],
                15,
            ),
            ("no network backs off", vec![offline(), offline()], 20),
            ("and returns to the pace", vec![offline(), offline(), Polled::Pending], 5),
            ("Retry-After is kept", vec![busy(Some(42))], 42),
            ("no pause is endless", (0..9).map(|_| offline()).collect(), 60),
        ];
        for (what, seen, want) in cases {
            let mut schedule = schedule(5, 900);
            for polled in &seen {
                schedule.saw(polled);
            }
            assert_eq!(schedule.next(Duration::ZERO), Next::Wait(Duration::from_secs(want)), "{what}");
        }
    }

    #[test]
    fn the_code_is_not_asked_for_after_its_end() {
        let schedule = schedule(5, 20);
        for (elapsed, want) in [
            (0, Next::Wait(Duration::from_secs(5))),
            (15, Next::Wait(Duration::from_secs(5))),
            (16, Next::Expired),
            (20, Next::Expired),
            (4000, Next::Expired),
        ] {
            assert_eq!(schedule.next(Duration::from_secs(elapsed)), want, "{elapsed}");
        }
        let mut late = schedule.clone();
        late.saw(&busy(Some(300)));
        assert_eq!(
            late.next(Duration::from_secs(10)),
            Next::Wait(Duration::from_secs(10)),
            "the last moment"
        );
    }

    proptest! {
        #[test]
        fn no_course_of_events_asks_faster_than_told_or_after_the_end(
            events in proptest::collection::vec(0u8..4, 0..40), interval in 1u64..60, life in 1u64..1800,
        ) {
            let mut schedule = schedule(interval, life);
            let mut elapsed = Duration::ZERO;
            let mut least = Duration::from_secs(interval);
            for event in events {
                let Next::Wait(pause) = schedule.next(elapsed) else { break };
                prop_assert!(pause >= least);
                elapsed += pause;
                prop_assert!(elapsed <= Duration::from_secs(life));
                match event {
                    0 => schedule.saw(&Polled::Pending),
                    1 => { schedule.saw(&Polled::SlowDown); least = (least + SLOWER).min(LONGEST_PAUSE); }
                    2 => schedule.saw(&offline()),
                    _ => schedule.saw(&busy(Some(1))),
                }
            }
        }
    }
}
