//! Parameters of an authorization request that no standard names and that one issuer wants: from the table of
//! quirks, or from a setting of one Server. They can never take the place of one that the protocol needs.

use model::authorization_parameter::{MOST, is_name, is_reserved, is_value};

use crate::ServerText;
use crate::discovery::{Want, quirks_of};

/// Checked parameters, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtraParameters(Vec<(String, String)>);

impl ExtraParameters {
    /// Checks what a person or a list set. `prompt` is allowed: some issuers give a refresh token only with
    /// `prompt=consent`; where a sign-in needs a prompt of its own, that one wins.
    pub fn new<N: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, ExtraParameterError> {
        let mut made = Self::default();
        for (name, value) in pairs {
            let (name, value) = (name.as_ref(), value.as_ref());
            let shown = || ServerText::new(name);
            if !is_name(name) {
                return Err(ExtraParameterError::Name { name: shown() });
            }
            if is_reserved(name) {
                return Err(ExtraParameterError::Reserved { name: shown() });
            }
            if !is_value(value) {
                return Err(ExtraParameterError::Value { name: shown() });
            }
            if made.get(name).is_some() {
                return Err(ExtraParameterError::Twice { name: shown() });
            }
            if made.0.len() == MOST {
                return Err(ExtraParameterError::TooMany);
            }
            made.0.push((name.to_owned(), value.to_owned()));
        }
        Ok(made)
    }

    /// What an issuer wants by the table of quirks.
    pub fn of_issuer(issuer: &str, resource: Option<&str>) -> Self {
        let pairs = quirks_of(issuer).into_iter().filter_map(|quirk| match quirk.want {
            Want::Parameter { name, value } => Some((name.to_owned(), value.to_owned())),
            Want::ResourceAs { name } => resource.map(|resource| (name.to_owned(), resource.to_owned())),
            Want::AssertionForTokenEndpoint | Want::PinForPkce | Want::PinForResource => None,
        });
        // A resource that is too long, say, is left out rather than an obstacle.
        Self::new(pairs).unwrap_or_default()
    }

    /// These, and those of `more` that have other names.
    #[must_use]
    pub fn or(mut self, more: &Self) -> Self {
        for (name, value) in &more.0 {
            if self.get(name).is_none() {
                self.0.push((name.clone(), value.clone()));
            }
        }
        self
    }

    /// A value by its name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// One by one.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Why a parameter cannot be set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExtraParameterError {
    /// Not a name.
    #[error("\"{name}\" cannot be the name of a parameter")]
    Name {
        /// The text.
        name: ServerText,
    },
    /// The request sets it itself.
    #[error("{name} cannot be set: the sign-in needs it itself")]
    Reserved {
        /// Which.
        name: ServerText,
    },
    /// Too long, or not plain text.
    #[error("the value of {name} must be plain text of at most 512 characters")]
    Value {
        /// Which.
        name: ServerText,
    },
    /// Set twice.
    #[error("{name} is set twice")]
    Twice {
        /// Which.
        name: ServerText,
    },
    /// More than eight.
    #[error("at most {MOST} parameters can be set")]
    TooMany,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_of_the_protocol_can_be_set() {
        for name in ["redirect_uri", "state", "code_challenge", "resource", "client_secret", "nonce"] {
            for name in [name.to_owned(), name.to_uppercase()] {
                let got = ExtraParameters::new([(name.as_str(), "x")]);
                assert!(matches!(got, Err(ExtraParameterError::Reserved { .. })), "{name}");
            }
        }
        let many: Vec<(String, &str)> = (0..9).map(|n| (format!("p{n}"), "x")).collect();
        assert_eq!(ExtraParameters::new(many), Err(ExtraParameterError::TooMany));
        for (pairs, good) in [
            (vec![("prompt", "consent"), ("access_type", "offline"), ("audience", "api://x y")], true),
            (vec![("a", "1"), ("a", "2")], false),
            (vec![("", "1")], false),
            (vec![("a b", "1")], false),
            (vec![("a=b&c", "1")], false),
            (vec![("a", "\r\nx")], false),
            (vec![("a", "ä")], false),
        ] {
            assert_eq!(ExtraParameters::new(pairs.clone()).is_ok(), good, "{pairs:?}");
        }
    }

    #[test]
    fn the_table_fills_in_what_no_setting_says() {
        let google = ExtraParameters::of_issuer("https://accounts.google.com", Some("https://mcp.example"));
        assert_eq!(google.iter().collect::<Vec<_>>(), [("access_type", "offline")]);
        let auth0 = ExtraParameters::of_issuer("https://t.auth0.com/", Some("https://mcp.example"));
        assert_eq!(auth0.get("audience"), Some("https://mcp.example"));
        assert_eq!(ExtraParameters::of_issuer("https://t.auth0.com/", None), ExtraParameters::default());
        let set = ExtraParameters::new([("audience", "urn:other")]).unwrap().or(&auth0);
        assert_eq!(set.iter().collect::<Vec<_>>(), [("audience", "urn:other")]);
        let entra = ExtraParameters::of_issuer("https://login.microsoftonline.com/t/v2.0", Some("x"));
        assert_eq!(entra, ExtraParameters::default(), "what goes against a rule is never done by itself");
    }

    proptest! {
        #[test]
        fn no_pair_makes_it_panic_or_smuggles_a_separator(name in ".{0,70}", value in ".{0,70}") {
            if let Ok(made) = ExtraParameters::new([(name, value)]) {
                for (name, value) in made.iter() {
                    prop_assert!(!name.contains(['&', '=', '#']) && !value.contains(['\r', '\n']));
                }
            }
        }
    }
}
