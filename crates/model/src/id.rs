//! Identifiers that are parsed once and cannot be wrong afterwards.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(type = "string", export_to = "wire.ts"))]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Parses the text form: 1 to the type's maximum of `[a-z0-9-]`, no dash at either end.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                let good = !text.is_empty()
                    && text.len() <= $max
                    && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                    && !text.starts_with('-')
                    && !text.ends_with('-');
                if good { Ok(Self(text.to_owned())) } else { Err(IdError { what: $what, max: $max }) }
            }

            /// The text form.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    };
}

id!(
    /// A managed MCP server. Chosen from the host name, stable, visible in the argv of bridges.
    ServerId, "server id", 40
);
id!(
    /// An Account. Random and opaque: names are for eyes, this is for decisions.
    AccountId, "account id", 40
);
id!(
    /// A program whose configuration we rewrite: `claude-desktop`, `cursor`. A label, never evidence.
    ClientAppId, "app id", 40
);
id!(
    /// A keychain item of ours. Random, because attributes are readable while a keychain is locked.
    ItemId, "keychain item id", 64
);

impl ServerId {
    /// Makes an id out of free text (a host name, a config key): other characters become dashes, and
    /// `taken` decides whether a number must follow.
    pub fn suggest(text: &str, taken: impl Fn(&ServerId) -> bool) -> ServerId {
        let mut slug = String::new();
        for c in text.chars().flat_map(char::to_lowercase) {
            if c.is_ascii_alphanumeric() {
                slug.push(c);
            } else if !slug.ends_with('-') && !slug.is_empty() {
                slug.push('-');
            }
            if slug.len() >= 34 {
                break;
            }
        }
        let slug = slug.trim_matches('-');
        let slug = if slug.is_empty() { "server" } else { slug };
        let free = free_name(slug, "-", "", |name| taken(&ServerId(name.to_owned())));
        ServerId(free)
    }
}

/// `wish` itself, or `wish` followed by the first number from 2 on (between `before` and `after`) that
/// makes it a name that is not taken.
pub fn free_name(wish: &str, before: &str, after: &str, taken: impl Fn(&str) -> bool) -> String {
    let mut name = wish.to_owned();
    let mut n = 2u64;
    while taken(&name) {
        name = format!("{wish}{before}{n}{after}");
        n += 1;
    }
    name
}

/// A text that is not an id of the kind that was wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a {what}: 1 to {max} lower-case letters, digits and dashes are wanted")]
pub struct IdError {
    what: &'static str,
    max: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_take_only_their_alphabet() {
        for good in ["a", "jira", "a-1", "0"] {
            assert_eq!(ServerId::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "-a", "a-", "A", "a b", "a_b", "ä", "../x", &"a".repeat(41)] {
            assert!(ServerId::parse(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn a_suggested_id_is_valid_and_free() {
        let taken = ServerId::parse("mcp-example-com").unwrap();
        let id = ServerId::suggest("MCP.Example.com!", |id| *id == taken);
        assert_eq!(id.as_str(), "mcp-example-com-2");
        assert_eq!(ServerId::suggest("<script>", |_| false).as_str(), "script");
        assert_eq!(ServerId::suggest("日本", |_| false).as_str(), "server");
        for odd in ["a".repeat(80), "-".repeat(9), "x.".repeat(60)] {
            ServerId::parse(ServerId::suggest(&odd, |_| false).as_str()).unwrap();
        }
    }
}
