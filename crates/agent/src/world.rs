//! What the agent takes from outside: time and randomness. Made in `main`, handed down, replaced in
//! tests.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use model::{AccountId, ItemId, UnixTime};

/// Fills a buffer with random bytes.
type Fill = dyn Fn(&mut [u8]) + Send + Sync;

/// The clock and the source of random numbers.
#[derive(Clone)]
pub(crate) struct World {
    now: Arc<dyn Fn() -> UnixTime + Send + Sync>,
    fill: Arc<Fill>,
}

impl World {
    /// The system's clock and the operating system's randomness.
    pub(crate) fn system() -> Self {
        Self {
            now: Arc::new(|| {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                UnixTime(since.as_secs())
            }),
            fill: Arc::new(|bytes| {
                getrandom::fill(bytes).expect("an operating system without randomness cannot run us");
            }),
        }
    }

    /// Now, by the wall clock.
    pub(crate) fn now(&self) -> UnixTime {
        (self.now)()
    }

    /// The same clock for what tells the time later.
    pub(crate) fn clock(&self) -> oauth::Clock {
        Arc::clone(&self.now)
    }

    /// A fresh Account id: 80 random bits.
    pub(crate) fn account_id(&self) -> AccountId {
        AccountId::parse(&self.hex("a", 10)).expect("a letter and hexadecimal digits")
    }

    /// A fresh keychain item id: 128 random bits, so that its text tells nothing.
    pub(crate) fn item_id(&self) -> ItemId {
        ItemId::parse(&self.hex("", 16)).expect("hexadecimal digits")
    }

    /// A number between 0 and 1.
    pub(crate) fn jitter(&self) -> f64 {
        let mut bytes = [0; 4];
        (self.fill)(&mut bytes);
        f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
    }

    fn hex(&self, prefix: &str, bytes: usize) -> String {
        let mut buffer = vec![0; bytes];
        (self.fill)(&mut buffer);
        buffer.iter().fold(prefix.to_owned(), |mut text, byte| {
            use fmt::Write;
            write!(text, "{byte:02x}").expect("a String takes everything");
            text
        })
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("World")
    }
}
