//! Wall-clock time as a number that sorts and serialises.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Seconds since 1970-01-01T00:00:00Z. Made in `main` by the clock that is handed down, never here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(type = "number", export_to = "wire.ts"))]
#[serde(transparent)]
pub struct UnixTime(pub u64);

impl UnixTime {
    /// This moment plus `duration`, whole seconds, without overflow.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_secs()))
    }

    /// How long it is from `earlier` to this moment; zero if it is not later.
    pub fn since(self, earlier: UnixTime) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }
}
