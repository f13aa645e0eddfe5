//! When which Grant is renewed, earliest first. A wake-up costs what is due or in doubt, not what is there.

use std::collections::{BTreeMap, BTreeSet};

use model::{AccountId, ServerId, UnixTime};

/// A Grant: whose, where.
pub(crate) type Key = (AccountId, ServerId);

/// What is to be done when. Whoever changes what a time depends on puts it in doubt.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    times: BTreeMap<Key, UnixTime>,
    queue: BTreeSet<(UnixTime, Key)>,
    doubts: BTreeSet<Key>,
}

impl Agenda {
    /// Its time must be worked out anew.
    pub(crate) fn doubt(&mut self, key: Key) {
        self.doubts.insert(key);
    }

    /// Those in doubt, and those whose time has come; each is to be [`set`](Self::set) again or is gone.
    pub(crate) fn take(&mut self, now: UnixTime) -> BTreeSet<Key> {
        let mut taken = std::mem::take(&mut self.doubts);
        while let Some((at, _)) = self.queue.first()
            && *at <= now
            && let Some((_, key)) = self.queue.pop_first()
        {
            self.times.remove(&key);
            taken.insert(key);
        }
        taken
    }

    /// Its time from now on; `None`: there is nothing to do.
    pub(crate) fn set(&mut self, key: Key, at: Option<UnixTime>) {
        if let Some(before) = self.times.remove(&key) {
            self.queue.remove(&(before, key.clone()));
        }
        if let Some(at) = at {
            self.times.insert(key.clone(), at);
            self.queue.insert((at, key));
        }
    }

    /// The earliest time.
    pub(crate) fn next(&self) -> Option<UnixTime> {
        self.queue.first().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        (AccountId::parse(name).unwrap(), ServerId::parse("jira").unwrap())
    }

    fn names(taken: &BTreeSet<Key>) -> Vec<&str> {
        taken.iter().map(|(account, _)| account.as_str()).collect()
    }

    #[test]
    fn what_is_due_comes_once_and_in_time() {
        let mut agenda = Agenda::default();
        for (name, at) in [("c", 30), ("a", 10), ("b", 20)] {
            agenda.set(key(name), Some(UnixTime(at)));
        }
        assert_eq!(agenda.next(), Some(UnixTime(10)));
        assert!(agenda.take(UnixTime(9)).is_empty());
        assert_eq!(names(&agenda.take(UnixTime(20))), ["a", "b"]);
        assert!(agenda.take(UnixTime(20)).is_empty());
        assert_eq!(agenda.next(), Some(UnixTime(30)));
    }

    #[test]
    fn a_newer_time_replaces_the_older_and_a_doubt_is_taken_at_once() {
        let mut agenda = Agenda::default();
        agenda.set(key("a"), Some(UnixTime(10)));
        agenda.set(key("a"), Some(UnixTime(50)));
        assert_eq!(agenda.next(), Some(UnixTime(50)));
        agenda.doubt(key("a"));
        assert_eq!(names(&agenda.take(UnixTime(0))), ["a"]);
        agenda.set(key("a"), None);
        assert_eq!((agenda.next(), agenda.take(UnixTime(99)).len()), (None, 0));
    }
}
