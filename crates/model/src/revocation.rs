//! What is left to do about a Grant that has ended.

use serde::{Deserialize, Serialize};

use crate::{ItemId, PrivateAuthority, Server};

/// The keychain item of an ended Grant: its issuer is still to be told, or the item is still to be deleted. How the
/// issuer is reached stands here, since the Server may be gone by then, or be another one under the same id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Form")]
pub struct Revocation {
    /// The item.
    pub record: ItemId,
    /// The person said that the issuer is not to be told.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub keep_upstream: bool,
    /// Its person is still signed in: a newer sign-in has replaced it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub replaced: bool,
    /// Addresses of private networks are allowed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub private_network: bool,
    /// A private authority that is trusted besides those of the operating system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<PrivateAuthority>,
}

impl Revocation {
    /// One whose issuer is told, over what holds for the Grant's Server.
    pub fn new(record: ItemId, server: Option<&Server>) -> Self {
        Self {
            record,
            keep_upstream: false,
            replaced: false,
            private_network: server.is_some_and(|server| server.private_network),
            authority: server.and_then(|server| server.authority.clone()),
        }
    }
}

/// As it stands in the file; earlier builds wrote the item alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum Form {
    Item(ItemId),
    Whole {
        record: ItemId,
        #[serde(default)]
        keep_upstream: bool,
        #[serde(default)]
        replaced: bool,
        #[serde(default)]
        private_network: bool,
        #[serde(default)]
        authority: Option<PrivateAuthority>,
    },
}

impl From<Form> for Revocation {
    fn from(form: Form) -> Self {
        match form {
            Form::Item(record) => Self::new(record, None),
            Form::Whole { record, keep_upstream, replaced, private_network, authority } => {
                Self { record, keep_upstream, replaced, private_network, authority }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_and_the_whole_one_is_written() {
        let old: Revocation = serde_json::from_str(r#""0123abcd""#).unwrap();
        assert_eq!(serde_json::to_string(&old).unwrap(), r#"{"record":"0123abcd"}"#);
        let kept = Revocation { keep_upstream: true, replaced: true, private_network: true, ..old };
        let text = serde_json::to_string(&kept).unwrap();
        assert_eq!(serde_json::from_str::<Revocation>(&text).unwrap(), kept);
    }
}
