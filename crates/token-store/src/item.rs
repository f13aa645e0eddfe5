//! Names of keychain items. They are readable while a keychain is locked, so they say nothing.

use std::fmt;

use model::ItemId;

/// The name of one raw item: a random record id and a place within the record.
///
/// At most 97 bytes of `[a-z0-9/-]`. With the service name before it, it stays below the 247 characters
/// that the tightest system takes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemKey(String);

impl ItemKey {
    /// One part of one generation of a record.
    pub fn part(record: &ItemId, generation: u64, part: u32) -> Self {
        Self(format!("{record}/{generation}/{part}"))
    }

    /// The only pointer to a record's newest generation.
    pub fn manifest(record: &ItemId) -> Self {
        Self(format!("{record}/manifest"))
    }

    /// The item by which a keychain is recognised.
    pub fn marker(record: &ItemId) -> Self {
        Self(format!("{record}/marker"))
    }

    /// The record that it belongs to.
    pub fn record(&self) -> &str {
        self.0.split_once('/').map_or(&*self.0, |(record, _)| record)
    }

    /// Its place within the record.
    pub fn place(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, place)| place)
    }

    /// The text form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ItemKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_name_fits_the_tightest_system() {
        let record = ItemId::parse(&"f".repeat(64)).unwrap();
        let longest = ItemKey::part(&record, u64::MAX, u32::MAX);
        assert!(longest.as_str().len() + 1 + crate::keychain::MAX_SERVICE_NAME < 247, "{longest}");
    }

    #[test]
    fn names_are_made_of_the_id_alone() {
        let record = ItemId::parse("0a1b").unwrap();
        let part = ItemKey::part(&record, 7, 2);
        assert_eq!((part.as_str(), part.record(), part.place()), ("0a1b/7/2", "0a1b", "7/2"));
        assert_eq!(ItemKey::manifest(&record).as_str(), "0a1b/manifest");
        assert_eq!(ItemKey::marker(&record).as_str(), "0a1b/marker");
    }
}
