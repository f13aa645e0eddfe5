//! The one large buffer that is kept for the next large message. Memory that is new to a process costs a page fault
//! for every 4 KiB of it, which is more than all copying of a message together.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

/// Buffers below this many bytes are the allocator's affair.
pub(crate) const LARGE_BUFFER: usize = 1024 * 1024;

/// How long it is kept: for the answer to a large request, and the next one of several.
const KEPT: Duration = Duration::from_secs(1);

/// It belongs to the process, like the allocator in front of which it stands.
pub(crate) static SPARE: Place = Place(Mutex::new(None));

/// Where a buffer is kept.
pub(crate) struct Place(Mutex<Option<Spare>>);

struct Spare {
    buffer: Vec<u8>,
    until: Instant,
}

impl Place {
    /// An empty buffer with room for at least `capacity` bytes.
    pub(crate) fn take(&self, capacity: usize) -> Vec<u8> {
        let kept = self.kept().take().map(|spare| spare.buffer);
        kept.filter(|buffer| buffer.capacity() >= capacity).unwrap_or_else(|| {
            let mut buffer = Vec::with_capacity(capacity);
            platform::process::prefer_large_pages(buffer.spare_capacity_mut());
            buffer
        })
    }

    /// The bytes of a buffer that comes back here when nobody needs them any more.
    pub(crate) fn lend(&'static self, buffer: Vec<u8>) -> Bytes {
        Bytes::from_owner(Lent { buffer, place: self })
    }

    /// Takes a buffer back.
    pub(crate) fn give_back(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut kept = self.kept();
        if kept.as_ref().is_none_or(|spare| spare.buffer.capacity() <= buffer.capacity()) {
            *kept = Some(Spare { buffer, until: Instant::now() + KEPT });
        }
    }

    /// When [`Place::tick`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.kept().as_ref().map(|spare| spare.until)
    }

    /// Lets go of a buffer that was not needed again.
    pub(crate) fn tick(&self, now: Instant) {
        self.kept().take_if(|spare| spare.until <= now);
    }

    fn kept(&self) -> MutexGuard<'_, Option<Spare>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Lent {
    buffer: Vec<u8>,
    place: &'static Place,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.place.give_back(std::mem::take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_when_its_last_reader_is_gone_and_is_let_go_in_time() {
        static PLACE: Place = Place(Mutex::new(None));
        let mut buffer = PLACE.take(LARGE_BUFFER);
        let room = buffer.capacity();
        buffer.extend_from_slice(b"ana's");
        let bytes = PLACE.lend(buffer);
        let part = bytes.slice(..3);
        drop(bytes);
        assert_eq!((&part[..], PLACE.deadline()), (&b"ana"[..], None));
        drop(part);
        let until = PLACE.deadline().unwrap();
        PLACE.tick(until - Duration::from_millis(1));
        let again = PLACE.take(room);
        assert!(again.is_empty() && again.capacity() == room);
        PLACE.give_back(Vec::with_capacity(2 * room));
        PLACE.give_back(again);
        assert!(PLACE.kept().as_ref().unwrap().buffer.capacity() >= 2 * room);
        PLACE.tick(PLACE.deadline().unwrap());
        assert_eq!(PLACE.deadline(), None);
    }
}
