//! The syntax tree that everything else reads: owned values with the byte span of each.

use std::ops::Range;

use jsonc_parser::ast;
use jsonc_parser::common::Ranged;

/// A value and where its bytes are. Has no `Debug`: it may hold secrets.
#[derive(Clone)]
pub(crate) struct Node {
    /// Byte span in the whole text.
    pub(crate) span: Range<usize>,
    /// What it is.
    pub(crate) value: Value,
}

/// A JSON value; strings are decoded.
#[derive(Clone)]
pub(crate) enum Value {
    Null,
    Bool,
    Number,
    String(String),
    Array(Vec<Node>),
    Object(Vec<Member>),
}

/// One member of an object.
#[derive(Clone)]
pub(crate) struct Member {
    /// The decoded key.
    pub(crate) key: String,
    /// Byte span of the key with its quotes.
    pub(crate) key_span: Range<usize>,
    /// The value.
    pub(crate) value: Node,
}

/// What the tree refuses that the parser lets pass.
pub(crate) enum Excess {
    /// Nested deeper than the limit.
    Depth,
    /// A raw control character in a string, at this offset.
    ControlCharacter(usize),
}

impl Node {
    /// Copies the parser's tree. `shift` is added to each position; `text` is what the parser saw; `depth`
    /// is how many lists and objects may still be inside each other.
    pub(crate) fn from_ast(
        value: &ast::Value<'_>,
        text: &str,
        shift: usize,
        depth: usize,
    ) -> Result<Self, Excess> {
        let range = value.range();
        let span = range.start + shift..range.end + shift;
        let value = match value {
            ast::Value::NullKeyword(_) => Value::Null,
            ast::Value::BooleanLit(_) => Value::Bool,
            ast::Value::NumberLit(_) => Value::Number,
            ast::Value::StringLit(s) => {
                no_control_character(text, range.start..range.end, shift)?;
                Value::String(s.value.clone().into_owned())
            }
            ast::Value::Array(a) => {
                let depth = depth.checked_sub(1).ok_or(Excess::Depth)?;
                let elements = a.elements.iter().map(|v| Self::from_ast(v, text, shift, depth));
                Value::Array(elements.collect::<Result<_, _>>()?)
            }
            ast::Value::Object(o) => {
                let depth = depth.checked_sub(1).ok_or(Excess::Depth)?;
                let members = o.properties.iter().map(|p| Member::from_ast(p, text, shift, depth));
                Value::Object(members.collect::<Result<_, _>>()?)
            }
        };
        Ok(Self { span, value })
    }

    /// The members, if it is an object.
    pub(crate) fn members(&self) -> Option<&[Member]> {
        match &self.value {
            Value::Object(members) => Some(members),
            Value::Null | Value::Bool | Value::Number | Value::String(_) | Value::Array(_) => None,
        }
    }

    /// The elements, if it is an array.
    pub(crate) fn elements(&self) -> Option<&[Node]> {
        match &self.value {
            Value::Array(elements) => Some(elements),
            Value::Null | Value::Bool | Value::Number | Value::String(_) | Value::Object(_) => None,
        }
    }

    /// The decoded text, if it is a string.
    pub(crate) fn string(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            Value::Null | Value::Bool | Value::Number | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// The value of the first member with this key.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.members()?.iter().find(|m| m.key == key).map(|m| &m.value)
    }

    /// A word for its type, as a sentence would use it.
    pub(crate) fn type_name(&self) -> &'static str {
        match &self.value {
            Value::Null => "null",
            Value::Bool => "a boolean",
            Value::Number => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        }
    }
}

impl Member {
    fn from_ast(
        member: &ast::ObjectProp<'_>,
        text: &str,
        shift: usize,
        depth: usize,
    ) -> Result<Self, Excess> {
        let range = member.name.range();
        no_control_character(text, range.start..range.end, shift)?;
        Ok(Self {
            key: member.name.as_str().to_owned(),
            key_span: range.start + shift..range.end + shift,
            value: Node::from_ast(&member.value, text, shift, depth)?,
        })
    }

    /// From the first byte of the key to the last of the value.
    pub(crate) fn span(&self) -> Range<usize> {
        self.key_span.start..self.value.span.end
    }
}

fn no_control_character(text: &str, range: Range<usize>, shift: usize) -> Result<(), Excess> {
    let start = range.start;
    match text.as_bytes()[range].iter().position(|b| *b < 0x20) {
        Some(at) => Err(Excess::ControlCharacter(start + at + shift)),
        None => Ok(()),
    }
}
