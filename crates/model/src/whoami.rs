//! What a server itself says of who is signed in, by a tool of its own: the weakest evidence, shown as such.
//!
//! Pure: which tool it is, and what is to be made of its answer. Every doubt names nobody.

mod answer;
mod known;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use known::KnownWhoami;

/// A read-only tool without arguments whose answer names the signed-in person: `get_me`, or `get_me:id` where the
/// answer is an object and one field of it is meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WhoamiTool {
    /// The tool's name.
    tool: String,
    /// Names of fields from the outside in, with dots between them.
    field: Option<String>,
}

impl WhoamiTool {
    /// Parses `TOOL` or `TOOL:FIELD`.
    pub fn parse(text: &str) -> Result<Self, WhoamiToolError> {
        let (tool, field) = match text.split_once(':') {
            Some((tool, field)) => (tool, Some(field)),
            None => (text, None),
        };
        let is_name = |name: &str, more: &str, most: usize| {
            !name.is_empty()
                && name.len() <= most
                && name.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        if !is_name(tool, "_-./", 128) {
            return Err(WhoamiToolError::Tool);
        }
        if !field.is_none_or(|field| field.split('.').all(|part| is_name(part, "_-", 64))) {
            return Err(WhoamiToolError::Field);
        }
        Ok(Self { tool: tool.to_owned(), field: field.map(str::to_owned) })
    }

    /// The tool's name.
    pub fn tool(&self) -> &str {
        &self.tool
    }

    /// Reads the `result` of a `tools/call` (MCP 2025-11-25, Tools: Tool Result). `label` is another field, for eyes.
    pub fn read(&self, result: &Map<String, Value>, label: Option<&str>) -> Result<Named, NamesNobody> {
        answer::read(result, self.field.as_deref(), label)
    }
}

impl fmt::Display for WhoamiTool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.tool)?;
        self.field.as_ref().map_or(Ok(()), |field| write!(f, ":{field}"))
    }
}

impl TryFrom<String> for WhoamiTool {
    type Error = WhoamiToolError;
    fn try_from(text: String) -> Result<Self, WhoamiToolError> {
        Self::parse(&text)
    }
}

impl From<WhoamiTool> for String {
    fn from(tool: WhoamiTool) -> Self {
        tool.to_string()
    }
}

/// Why a text names no tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WhoamiToolError {
    /// The part before the colon.
    #[error("a tool's name holds letters, digits, dashes, dots and underscores")]
    Tool,
    /// The part behind it.
    #[error("a field is named like id, or account.id where it lies in another one")]
    Field,
}

/// Whom a tool named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// What makes them this person, exact.
    pub id: String,
    /// For eyes.
    pub label: Option<String>,
}

/// Why an answer names nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NamesNobody {
    /// `isError`.
    #[error("it answers that something went wrong")]
    IsError,
    /// Nothing stands where the name should be.
    #[error("its answer does not hold what was asked for")]
    Nothing,
    /// Neither a text nor a whole number, or a text that is no name.
    #[error("what it answers is no name")]
    OddType,
    /// Two values stand for one person.
    #[error("it names two people in one answer")]
    TwoValues,
    /// An object, and nobody said which field is meant.
    #[error("it answers several fields ({}), and none was chosen", .fields.join(", "))]
    WhichField {
        /// Names that could be meant, never values.
        fields: Vec<String>,
    },
}

#[cfg(test)]
mod tests;
