//! The record of a secret that does not change by itself: a client secret, a key, text cut out of a config.

use std::borrow::Cow;

use model::{ItemId, Secret};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::StoreError;
use crate::record;

/// A secret text. Bytes that are no text are the caller's to encode (a key as hexadecimal digits).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticSecret(pub Secret<String>);

impl StaticSecret {
    /// The JSON text that is stored.
    pub(crate) fn to_text(&self) -> Zeroizing<String> {
        // Exposed to be written into the keychain, and only there.
        record::to_text(&Wire { v: record::VERSION, secret: self.0.expose().into() })
    }

    /// Reads it again; `record` is for the message.
    pub(crate) fn parse(record: &ItemId, text: &str) -> Result<Self, StoreError> {
        let wire: Wire<'_> = record::parse(record, text)?;
        Ok(Self(Secret::new(wire.secret.into_owned())))
    }
}

/// The stored form. Other fields are ignored on purpose.
#[derive(Serialize, Deserialize)]
struct Wire<'a> {
    v: u64,
    secret: Cow<'a, str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_form_is_fixed() {
        let (record, secret) = (ItemId::parse("r").unwrap(), StaticSecret("s3cret \"x\"".into()));
        assert_eq!(secret.to_text().as_str(), r#"{"v":1,"secret":"s3cret \"x\""}"#);
        assert_eq!(StaticSecret::parse(&record, &secret.to_text()).unwrap(), secret);
        assert!(!format!("{secret:?}").contains("s3cret"));
    }

    #[test]
    fn a_record_of_another_kind_is_damage() {
        let record = ItemId::parse("r").unwrap();
        let tokens = crate::token_set::tests::sample().to_text();
        assert!(matches!(StaticSecret::parse(&record, &tokens), Err(StoreError::Damaged { .. })));
        let secret = StaticSecret("s".into()).to_text();
        assert!(matches!(crate::TokenSet::parse(&record, &secret), Err(StoreError::Damaged { .. })));
    }
}
