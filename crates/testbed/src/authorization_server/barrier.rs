//! A place where requests wait until a test lets them go, so that it can kill somebody meanwhile.

use tokio::sync::watch;

pub(super) struct Barrier {
    paused: watch::Sender<u64>,
    released: watch::Sender<u64>,
}

impl Barrier {
    pub(super) fn new() -> Self {
        Self { paused: watch::Sender::new(0), released: watch::Sender::new(0) }
    }

    pub(super) fn paused(&self) -> u64 {
        *self.paused.borrow()
    }

    /// Waits for the next release. Whoever is dropped meanwhile no longer counts as waiting.
    pub(super) async fn pause(&self) {
        let mut released = self.released.subscribe();
        self.paused.send_modify(|count| *count += 1);
        let _leave = Leave(&self.paused);
        // The sender lives in `self`, so an error cannot be.
        let _ = released.changed().await;
    }

    pub(super) async fn wait_until_paused(&self, count: u64) {
        let mut paused = self.paused.subscribe();
        let _ = paused.wait_for(|now| *now >= count).await;
    }

    pub(super) fn release(&self) {
        self.released.send_modify(|count| *count += 1);
    }
}

struct Leave<'a>(&'a watch::Sender<u64>);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
