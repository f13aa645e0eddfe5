//! The one item that says which generation of a record is the newest.

use model::ItemId;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::StoreError;

/// More parts than any token set needs; a manifest that names more is damaged.
const MAX_PARTS: u32 = 4096;

/// The form that this build writes.
const VERSION: u64 = 1;

/// Points to the newest generation. Written last, and in one step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    v: u64,
    /// Which generation of items. It counts writes of this record and is not the TokenSet's own number.
    pub(crate) generation: u64,
    /// How many parts it has. None: the record is deleted, and its parts are being removed.
    pub(crate) count: u32,
    /// SHA-256 of all parts in their order, in lower-case hexadecimal digits.
    pub(crate) sha256: String,
}

#[derive(Deserialize)]
struct Version {
    v: u64,
}

impl Manifest {
    /// For a generation with these bytes in so many parts.
    pub(crate) fn new(generation: u64, count: u32, bytes: &[u8]) -> Self {
        Self { v: VERSION, generation, count, sha256: digest(bytes) }
    }

    /// For a record whose parts are about to go.
    pub(crate) fn deleted(generation: u64) -> Self {
        Self::new(generation, 0, b"")
    }

    /// Whether the record is as good as gone.
    pub(crate) fn is_deleted(&self) -> bool {
        self.count == 0
    }

    /// Reads an item's bytes; `record` is for the message.
    pub(crate) fn parse(record: &ItemId, bytes: &[u8]) -> Result<Self, StoreError> {
        let damaged = |what| StoreError::Damaged { record: record.to_string(), what };
        let version: Version =
            serde_json::from_slice(bytes).map_err(|_| damaged("its manifest is not JSON of our form"))?;
        if version.v > VERSION {
            return Err(StoreError::Newer { record: record.to_string(), found: version.v });
        }
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|_| damaged("its manifest is not JSON of our form"))?;
        if manifest.v != VERSION || manifest.count > MAX_PARTS {
            return Err(damaged("its manifest has impossible values"));
        }
        Ok(manifest)
    }

    /// The bytes to write.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers and a text always serialise")
    }

    /// Whether these are the bytes that it points to.
    pub(crate) fn describes(&self, bytes: &[u8]) -> bool {
        self.sha256 == digest(bytes)
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_form_is_fixed() {
        let manifest = Manifest::new(3, 2, b"abc");
        let text = r#"{"v":1,"generation":3,"count":2,"sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}"#;
        assert_eq!(String::from_utf8(manifest.to_bytes()).unwrap(), text);
        assert_eq!(Manifest::parse(&ItemId::parse("r").unwrap(), text.as_bytes()).unwrap(), manifest);
        assert!(manifest.describes(b"abc") && !manifest.describes(b"abd"));
    }

    #[test]
    fn a_damaged_or_newer_manifest_is_refused() {
        let record = ItemId::parse("r").unwrap();
        for bad in [
            "",
            "{",
            "[]",
            "{}",
            r#"{"v":0}"#,
            r#"{"v":1,"generation":-1,"count":1,"sha256":""}"#,
            r#"{"v":0,"generation":1,"count":1,"sha256":""}"#,
            r#"{"v":1,"generation":1,"count":4294967295,"sha256":""}"#,
        ] {
            assert!(
                matches!(Manifest::parse(&record, bad.as_bytes()), Err(StoreError::Damaged { .. })),
                "{bad}"
            );
        }
        let newer = br#"{"v":2,"form":"unknown"}"#;
        assert!(matches!(Manifest::parse(&record, newer), Err(StoreError::Newer { found: 2, .. })));
    }
}
