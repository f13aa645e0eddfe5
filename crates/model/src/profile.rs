//! Saved, named Selections: Work, Home.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{AccountId, ServerId, is_hidden};

/// The longest name, in characters.
const MAX_NAME: usize = 60;

/// A saved Selection. Using it replaces the Selection whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Which Account each Server uses; one that is not named here is used by nobody.
    #[serde(default)]
    pub selection: BTreeMap<ServerId, AccountId>,
    /// Fields of a newer version, kept as they are.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Reads a Profile's name: 1 to 60 characters that can be seen; white space around it does not count.
pub fn profile_name(text: &str) -> Result<String, ProfileNameError> {
    let name = text.trim();
    if name.is_empty() {
        return Err(ProfileNameError::Empty);
    }
    if name.chars().any(is_hidden) {
        return Err(ProfileNameError::Hidden);
    }
    if name.chars().count() > MAX_NAME {
        return Err(ProfileNameError::TooLong);
    }
    Ok(name.to_owned())
}

/// The Servers at which two Selections differ.
pub fn differing_servers(
    one: &BTreeMap<ServerId, AccountId>,
    other: &BTreeMap<ServerId, AccountId>,
) -> BTreeSet<ServerId> {
    let named = one.keys().chain(other.keys());
    named.filter(|server| one.get(*server) != other.get(*server)).cloned().collect()
}

/// Why a text is no Profile's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileNameError {
    /// Nothing that can be seen.
    #[error("a profile needs a name")]
    Empty,
    /// Control characters, or such that turn the reading direction.
    #[error("a profile's name cannot hold control characters or such that cannot be seen")]
    Hidden,
    /// More than 60 characters.
    #[error("a profile's name can be {MAX_NAME} characters long")]
    TooLong,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(pairs: &[(&str, &str)]) -> BTreeMap<ServerId, AccountId> {
        let id = |(server, account): &(&str, &str)| {
            (ServerId::parse(server).unwrap(), AccountId::parse(account).unwrap())
        };
        pairs.iter().map(id).collect()
    }

    #[test]
    fn names_are_short_and_can_be_seen() {
        let long = "ä".repeat(60);
        for good in ["Work", "  Home ", "Acme (dev)", "日本", "<script>", &long] {
            assert_eq!(profile_name(good).as_deref(), Ok(good.trim()));
        }
        for (bad, why) in [
            ("", ProfileNameError::Empty),
            (" \t\n", ProfileNameError::Empty),
            ("a\nb", ProfileNameError::Hidden),
            ("a\u{1b}[31m", ProfileNameError::Hidden),
            ("krow\u{202e}", ProfileNameError::Hidden),
            ("Wo\u{200b}rk", ProfileNameError::Hidden),
            (&"x".repeat(61), ProfileNameError::TooLong),
        ] {
            assert_eq!(profile_name(bad), Err(why), "{bad:?}");
        }
    }

    #[test]
    fn selections_differ_where_somebody_came_went_or_changed() {
        type Pairs = &'static [(&'static str, &'static str)];
        let cases: [(Pairs, Pairs, &[&str]); 5] = [
            (&[], &[], &[]),
            (&[("jira", "ana")], &[("jira", "ana")], &[]),
            (&[("jira", "ana")], &[("jira", "ben")], &["jira"]),
            (&[("jira", "ana")], &[("wiki", "ana")], &["jira", "wiki"]),
            (&[("jira", "ana"), ("wiki", "ana")], &[("jira", "ana")], &["wiki"]),
        ];
        for (before, after, expected) in cases {
            let found = differing_servers(&selection(before), &selection(after));
            let found: Vec<&str> = found.iter().map(ServerId::as_str).collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn fields_of_a_newer_version_survive() {
        let text = r#"{"selection":{"jira":"ana"},"colour":"red"}"#;
        let profile: Profile = serde_json::from_str(text).unwrap();
        assert_eq!(profile.selection, selection(&[("jira", "ana")]));
        assert_eq!(serde_json::to_string(&profile).unwrap(), text);
    }
}
