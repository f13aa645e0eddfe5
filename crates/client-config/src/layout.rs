//! How a new line must look to pass for its neighbour's: indent, line end, blanks.

use std::ops::Range;

use crate::document::Document;
use crate::node::Node;

/// A value to be written.
pub(crate) enum Shape {
    Text(String),
    List(Vec<String>),
    Object(Vec<(String, Shape)>),
}

/// How a value is laid out.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// Members on lines of their own, at this indent; `None` for all in one line.
    pub(crate) indent: Option<String>,
    /// One level of indent.
    pub(crate) unit: String,
    /// The line end.
    pub(crate) eol: String,
    /// Between key and value: `: ` or `:`.
    pub(crate) colon: String,
}

impl Layout {
    /// Writes a value whose first line stands at `self.indent`.
    pub(crate) fn render(&self, shape: &Shape) -> String {
        let gap = if self.colon.len() > 1 { " " } else { "" };
        match shape {
            Shape::Text(text) => quote(text),
            Shape::List(list) => {
                let list: Vec<String> = list.iter().map(|text| quote(text)).collect();
                format!("[{}]", list.join(&format!(",{gap}")))
            }
            Shape::Object(members) => {
                let inner = Self {
                    indent: self.indent.as_ref().map(|indent| format!("{indent}{}", self.unit)),
                    ..self.clone()
                };
                let members: Vec<String> =
                    members.iter().map(|(key, value)| inner.member(key, value)).collect();
                match (&self.indent, &inner.indent) {
                    (Some(outer), Some(indent)) => {
                        let eol = &self.eol;
                        let lines = members.join(&format!(",{eol}{indent}"));
                        format!("{{{eol}{indent}{lines}{eol}{outer}}}")
                    }
                    _ => format!("{{{gap}{}{gap}}}", members.join(&format!(",{gap}"))),
                }
            }
        }
    }

    /// Writes `"key": value`.
    pub(crate) fn member(&self, key: &str, value: &Shape) -> String {
        format!("{}{}{}", quote(key), self.colon, self.render(value))
    }
}

/// The white space directly before an offset.
pub(crate) fn lead(text: &str, offset: usize) -> Range<usize> {
    let blank = text[..offset].trim_end_matches([' ', '\t', '\r', '\n']).len();
    blank..offset
}

/// The last line end in a piece of text, and what follows it.
pub(crate) fn last_line_end(text: &str) -> Option<(&str, &str)> {
    let at = text.rfind(['\n', '\r'])?;
    let start = if text[at..].starts_with('\n') && text[..at].ends_with('\r') { at - 1 } else { at };
    Some((&text[start..=at], &text[at + 1..]))
}

/// The first line end of the document, or a line feed.
pub(crate) fn line_end(text: &str) -> String {
    match text.find(['\n', '\r']) {
        Some(at) if text[at..].starts_with("\r\n") => "\r\n".to_owned(),
        Some(at) => text[at..=at].to_owned(),
        None => "\n".to_owned(),
    }
}

/// The white space that starts the line of an offset.
pub(crate) fn indent_of_line(text: &str, offset: usize) -> &str {
    let start = text[..offset].rfind(['\n', '\r']).map_or(0, |at| at + 1);
    let line = text[start..offset].trim_start_matches(crate::document::BOM);
    &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
}

/// Whether nothing but white space stands before an offset in its line.
pub(crate) fn starts_line(text: &str, offset: usize) -> bool {
    let lead = lead(text, offset);
    last_line_end(&text[lead]).is_some()
}

/// One level of indent as the document uses it: between the root and its first member.
pub(crate) fn unit(document: &Document) -> String {
    let text = document.text();
    let mut levels = vec![document.root(), document.servers()];
    levels.extend(document.entry_members().map(|m| Some(&m.value)));
    for node in levels.into_iter().flatten() {
        let Some(first) = node.members().and_then(<[_]>::first) else { continue };
        if !starts_line(text, first.key_span.start) {
            continue;
        }
        let (inner, outer) =
            (indent_of_line(text, first.key_span.start), indent_of_line(text, node.span.start));
        if let Some(unit) = inner.strip_prefix(outer).filter(|unit| !unit.is_empty()) {
            return unit.to_owned();
        }
    }
    "  ".to_owned()
}

/// What stands between keys and values beside it.
pub(crate) fn colon(document: &Document, node: &Node) -> String {
    let member = node.members().and_then(<[_]>::first);
    let first = document.root().and_then(Node::members).and_then(<[_]>::first);
    let between = member.or(first).map(|m| document.slice(&(m.key_span.end..m.value.span.start)));
    match between {
        Some(":") => ":".to_owned(),
        _ => ": ".to_owned(),
    }
}

fn quote(text: &str) -> String {
    serde_json::to_string(text).expect("a string always serialises")
}
