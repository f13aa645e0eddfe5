//! Reads JSON values into types and names what is wrong by its place, never by its value.

use serde_json::{Map, Value};

use crate::json::below;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node<'a> {
    pub(crate) value: &'a Value,
    pub(crate) at: String,
}

/// An object and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a> {
    map: &'a Map<String, Value>,
    at: String,
}

/// A place in a list that is not as the format wants it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{at}\" {problem}")]
pub struct Misfit {
    /// JSON pointer (RFC 6901).
    pub at: String,
    /// What is wrong, as the rest of a sentence: `must be true or false`.
    pub problem: String,
}

impl<'a> Node<'a> {
    pub(crate) fn root(value: &'a Value) -> Self {
        Self { value, at: String::new() }
    }

    pub(crate) fn misfit(&self, problem: impl Into<String>) -> Misfit {
        Misfit { at: self.at.clone(), problem: problem.into() }
    }

    pub(crate) fn object(&self) -> Result<Fields<'a>, Misfit> {
        match self.value {
            Value::Object(map) => Ok(Fields { map, at: self.at.clone() }),
            _ => Err(self.misfit("must be an object")),
        }
    }

    pub(crate) fn list(&self) -> Result<Vec<Node<'a>>, Misfit> {
        let Value::Array(items) = self.value else { return Err(self.misfit("must be a list")) };
        let node = |(at, value): (usize, &'a Value)| Node { value, at: below(&self.at, &at.to_string()) };
        Ok(items.iter().enumerate().map(node).collect())
    }

    pub(crate) fn text(&self) -> Result<&'a str, Misfit> {
        self.value.as_str().ok_or_else(|| self.misfit("must be a text"))
    }

    /// A text of 1 to `max` characters without control characters.
    pub(crate) fn line(&self, max: usize) -> Result<&'a str, Misfit> {
        let text = self.text()?;
        if text.trim().is_empty() || text.chars().count() > max || text.chars().any(char::is_control) {
            return Err(self.misfit(format!("must be one line of 1 to {max} characters")));
        }
        Ok(text)
    }

    pub(crate) fn flag(&self) -> Result<bool, Misfit> {
        self.value.as_bool().ok_or_else(|| self.misfit("must be true or false"))
    }

    pub(crate) fn number(&self) -> Result<u64, Misfit> {
        let number = self.value.as_u64().filter(|n| (1..=LARGEST).contains(n));
        number.ok_or_else(|| self.misfit(format!("must be a whole number from 1 to {LARGEST}")))
    }
}

impl<'a> Fields<'a> {
    /// The value of a field, `None` if it is not there.
    pub(crate) fn get(&self, name: &str) -> Option<Node<'a>> {
        self.map.get(name).map(|value| Node { value, at: below(&self.at, name) })
    }

    /// The same for documents that are not ours: `null` is as good as nothing.
    pub(crate) fn lenient(&self, name: &str) -> Option<Node<'a>> {
        self.get(name).filter(|node| !node.value.is_null())
    }

    pub(crate) fn need(&self, name: &str) -> Result<Node<'a>, Misfit> {
        self.get(name).ok_or_else(|| Misfit { at: self.at.clone(), problem: format!("must have \"{name}\"") })
    }

    /// All of them, in their order.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&'a str, Node<'a>)> {
        self.map
            .iter()
            .map(|(name, value)| (name.as_str(), Node { value, at: below(&self.at, &shown(name)) }))
    }

    /// Refuses every field that is not named here.
    pub(crate) fn only(&self, names: &[&str]) -> Result<(), Misfit> {
        match self.map.keys().find(|key| !names.contains(&key.as_str())) {
            None => Ok(()),
            Some(key) => Err(Misfit { at: below(&self.at, &shown(key)), problem: UNKNOWN.to_owned() }),
        }
    }

    /// Refuses every field that starts with `prefix` and is not `name`.
    pub(crate) fn only_below(&self, prefix: &str, name: &str) -> Result<(), Misfit> {
        match self.map.keys().find(|key| key.starts_with(prefix) && *key != name) {
            None => Ok(()),
            Some(key) => Err(Misfit { at: below(&self.at, &shown(key)), problem: UNKNOWN.to_owned() }),
        }
    }
}

/// A key that may be repeated in a message: a name, no secret that somebody put there.
pub(crate) fn shown(key: &str) -> String {
    let good =
        key.len() <= 64 && !key.chars().any(char::is_control) && model::secret_rules::shape(key).is_none();
    if good { key.to_owned() } else { "…".to_owned() }
}

const UNKNOWN: &str = "is not a field of this version; leave it out or update Hallpass";

/// Beyond this, other readers of JSON round.
const LARGEST: u64 = (1 << 53) - 1;
