//! Takes every value out of an entry, recognised as a secret or not, so that undo can be exact to the
//! byte while no file of ours ever holds one.

use std::ops::Range;

use model::{Secret, WebAddress, is_web_address};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::document::Document;
use crate::hex::hex;
use crate::node::{Node, Value};

/// The bytes of a value in two halves: what may lie in a file, and what belongs in the keychain.
#[derive(Clone, Debug)]
pub struct Cut {
    skeleton: Vec<String>,
    values: Vec<Secret<String>>,
}

/// The keychain's half, as text.
#[derive(Serialize, Deserialize)]
struct Stored {
    v: u32,
    /// SHA-256 of the whole bytes, to notice a skeleton and values that do not belong together.
    sha256: String,
    values: Vec<String>,
}

impl Cut {
    /// Cuts the value at `node`.
    pub(crate) fn of(document: &Document, node: &Node) -> Self {
        let mut spans = Vec::new();
        scalars(document, node, "", For::Journal, &mut spans);
        spans.extend(comments_in(document, &node.span));
        spans.sort_by_key(|span| span.start);
        let (mut skeleton, mut values, mut end) = (Vec::new(), Vec::new(), node.span.start);
        for span in spans {
            skeleton.push(document.slice(&(end..span.start)).to_owned());
            values.push(Secret::from(document.slice(&span)));
            end = span.end;
        }
        skeleton.push(document.slice(&(end..node.span.end)).to_owned());
        Self { skeleton, values }
    }

    /// Bytes that hold no value to hide: an entry of our own.
    pub(crate) fn plain(text: &str) -> Self {
        Self { skeleton: vec![text.to_owned()], values: Vec::new() }
    }

    /// The bytes between the values: no value is in it.
    pub fn skeleton(&self) -> &[String] {
        &self.skeleton
    }

    /// The values, raw as they stand in the file (escapes and all).
    pub fn values(&self) -> &[Secret<String>] {
        &self.values
    }

    /// What the keychain keeps: one text for all values.
    pub fn secret_text(&self) -> Secret<String> {
        let values: Vec<String> = self.values.iter().map(|v| v.expose().clone()).collect();
        let whole = join(&self.skeleton, &values).unwrap_or_default();
        let stored = Stored { v: 1, sha256: hex(&Sha256::digest(whole)), values };
        Secret::new(serde_json::to_string(&stored).expect("strings and a number always serialise"))
    }
}

/// Puts the two halves together again.
pub(crate) fn rebuild(skeleton: &[String], secret: &Secret<String>) -> Result<String, CutError> {
    // The values go back into the file: this is what undo is for.
    let stored: Stored = serde_json::from_str(secret.expose()).map_err(|_| CutError::Unreadable)?;
    if stored.v != 1 {
        return Err(CutError::Newer { found: stored.v });
    }
    let whole = join(skeleton, &stored.values).ok_or(CutError::Mismatch)?;
    if hex(&Sha256::digest(&whole)) == stored.sha256 { Ok(whole) } else { Err(CutError::Mismatch) }
}

/// Puts `[…]` where the values were, quoted where one was no string, so that the text can still be parsed.
pub(crate) fn preview(skeleton: &[String]) -> String {
    let (mut text, mut inside) = (String::new(), Inside::Nothing);
    for (at, piece) in skeleton.iter().enumerate() {
        if at > 0 {
            text.push_str(if inside == Inside::Nothing { QUOTED } else { HIDDEN });
        }
        text.push_str(piece);
        inside = inside.after(piece);
    }
    text
}

/// What a place in the text is inside of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Nothing,
    Text,
    Line,
    Block,
}

impl Inside {
    fn after(self, piece: &str) -> Self {
        let (mut inside, mut chars) = (self, piece.chars().peekable());
        while let Some(c) = chars.next() {
            inside = match (inside, c) {
                (Self::Nothing, '"') => Self::Text,
                (Self::Nothing, '/') if chars.next_if_eq(&'/').is_some() => Self::Line,
                (Self::Nothing, '/') if chars.next_if_eq(&'*').is_some() => Self::Block,
                (Self::Text, '\\') => {
                    chars.next();
                    Self::Text
                }
                (Self::Text, '"') | (Self::Line, '\n' | '\r') => Self::Nothing,
                (Self::Block, '*') if chars.next_if_eq(&'/').is_some() => Self::Nothing,
                (other, _) => other,
            };
        }
        inside
    }
}

fn join(skeleton: &[String], values: &[String]) -> Option<String> {
    if skeleton.len() != values.len() + 1 {
        return None;
    }
    let mut whole = skeleton[0].clone();
    for (value, piece) in values.iter().zip(&skeleton[1..]) {
        whole.push_str(value);
        whole.push_str(piece);
    }
    Some(whole)
}

/// What the cut is for: the journal keeps next to nothing, a view what helps to recognise the entry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    Journal,
    View,
}

/// Collects the spans of all values below `node` that must not be seen.
pub(crate) fn scalars(
    document: &Document,
    node: &Node,
    key: &str,
    purpose: For,
    spans: &mut Vec<Range<usize>>,
) {
    match &node.value {
        Value::Null | Value::Bool => {}
        Value::Number => spans.push(node.span.clone()),
        Value::Array(elements) => {
            for element in elements {
                scalars(document, element, "", purpose, spans);
            }
        }
        Value::Object(members) => {
            for member in members {
                scalars(document, &member.value, &member.key, purpose, spans);
            }
        }
        Value::String(text) => {
            let inner = node.span.start + 1..node.span.end - 1;
            if matches!(key, "type" | "transport") && TRANSPORTS.contains(&text.as_str()) {
                return;
            }
            if purpose == For::View && key == "command" && is_bare_program(text) {
                return;
            }
            if key.to_ascii_lowercase().ends_with("url") && is_web_address(text) {
                address(text, document.slice(&inner), inner.start, purpose, spans);
            } else if !inner.is_empty() {
                spans.push(inner);
            }
        }
    }
}

/// Keeps of a URL its scheme and host, and for a view its path if that holds no secret.
fn address(text: &str, raw: &str, start: usize, purpose: For, spans: &mut Vec<Range<usize>>) {
    let end = start + raw.len();
    let scheme = raw.find("://").map(|at| at + 3);
    let (Some(scheme), false) = (scheme, raw.contains('\\')) else {
        spans.push(start..end);
        return;
    };
    let authority_end = raw[scheme..].find(['/', '?', '#']).map_or(raw.len(), |at| scheme + at);
    if let Some(at) = raw[scheme..authority_end].rfind('@') {
        spans.push(start + scheme..start + scheme + at);
    }
    let path_is_secret = WebAddress::read(text).kinds.iter().any(|kind| kind.contains("path"));
    let keep = match purpose {
        For::View if !path_is_secret => {
            raw[authority_end..].find(['?', '#']).map_or(raw.len(), |at| authority_end + at + 1)
        }
        For::View | For::Journal => authority_end,
    };
    if keep < raw.len() {
        spans.push(start + keep..end);
    }
}

/// The comments inside a span, without their marks.
pub(crate) fn comments_in(document: &Document, span: &Range<usize>) -> Vec<Range<usize>> {
    let bytes = document.text().as_bytes();
    let (mut found, mut at) = (Vec::new(), span.start);
    while at < span.end {
        match (bytes[at], bytes.get(at + 1)) {
            (b'"', _) => {
                at += 1;
                while at < span.end && bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
            }
            (b'/', Some(b'/')) => {
                let length = bytes[at..span.end].iter().position(|b| matches!(b, b'\n' | b'\r'));
                let end = length.map_or(span.end, |length| at + length);
                found.push(at + 2..end);
                at = end;
            }
            (b'/', Some(b'*')) => {
                let length = document.text()[at + 2..span.end].find("*/");
                let end = length.map_or(span.end, |length| at + 2 + length);
                found.push(at + 2..end);
                at = end + 2;
            }
            _ => at += 1,
        }
    }
    found.retain(|comment| !comment.is_empty());
    found
}

fn is_bare_program(text: &str) -> bool {
    !text.contains(char::is_whitespace) && !text.contains('=') && model::secret_rules::shape(text).is_none()
}

/// What stands for a hidden value.
pub(crate) const HIDDEN: &str = "[…]";
const QUOTED: &str = "\"[…]\"";
const TRANSPORTS: [&str; 8] =
    ["http", "sse", "stdio", "streamable-http", "streamableHttp", "streamable_http", "http-only", "ws"];

/// Why an original cannot be put together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CutError {
    /// The keychain's text is not ours.
    #[error("the keychain item does not hold what was cut out of the file")]
    Unreadable,
    /// A newer format.
    #[error("the keychain item was written by a newer Hallpass (format {found})")]
    Newer {
        /// The format found.
        found: u32,
    },
    /// The halves do not belong together.
    #[error("the journal and the keychain item do not belong together")]
    Mismatch,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client_app::CLIENT_APPS;

    #[test]
    fn the_skeleton_holds_no_value_at_all_and_both_halves_make_the_whole() {
        let entry = r#"{ // a comment
            "url": "https://u\u0073er@mcp.example.com/path?tenant=acme", "type": "http",
            "serverUrl": "https://ana:pw@mcp.example.com:8443/x#y", "plainUrl": "https:\/\/escaped.example",
            "headers": {"X-MCP-Toolsets": "repos", "Empty": ""}, "env": {"A": "b\"c", "N": 12.50, "T": true},
            "command": "node", "args": ["-y", ["deep"], {"k": "v"}], /* another */ "timeout": null }"#;
        let text = format!(r#"{{"mcpServers": {{"a": {entry}}}}}"#);
        let document = Document::parse(text.as_bytes(), &CLIENT_APPS[1]).unwrap();
        let node = &document.entry("a").unwrap().value;
        let cut = Cut::of(&document, node);
        let skeleton = cut.skeleton().join("|");
        for word in [
            "repos", "b\\\"c", "12", "node", "-y", "deep", "\"v", "comment", "another", "tenant", "path",
            "ana", "pw", "escaped", "er@",
        ] {
            assert!(!skeleton.contains(word), "{word} is in {skeleton}");
        }
        for word in ["\"type\": \"http\"", "@mcp.example.com:8443", "X-MCP-Toolsets", "true", "null"] {
            assert!(skeleton.contains(word), "{word} is not in {skeleton}");
        }
        assert_eq!(rebuild(cut.skeleton(), &cut.secret_text()).unwrap(), entry);
        let shown = preview(cut.skeleton());
        assert!(shown.contains(r#""N": "[…]""#) && shown.contains(r#""A": "[…]""#), "{shown}");
        assert!(!format!("{cut:?}").contains("node"));
    }

    #[test]
    fn halves_that_do_not_belong_together_are_noticed() {
        let cut = |text: &str| {
            let text = format!(r#"{{"mcpServers": {{"a": {text}}}}}"#);
            let document = Document::parse(text.as_bytes(), &CLIENT_APPS[0]).unwrap();
            Cut::of(&document, &document.entry("a").unwrap().value)
        };
        let (a, b, c) = (cut(r#"{"x": "1"}"#), cut(r#"{"y": "1"}"#), cut(r#"{"x": "1", "z": "2"}"#));
        assert_eq!(rebuild(a.skeleton(), &b.secret_text()), Err(CutError::Mismatch));
        assert_eq!(rebuild(a.skeleton(), &c.secret_text()), Err(CutError::Mismatch));
        assert_eq!(rebuild(a.skeleton(), &Secret::from("{}")), Err(CutError::Unreadable));
        let newer = Secret::from(r#"{"v": 2, "sha256": "", "values": []}"#);
        assert_eq!(rebuild(a.skeleton(), &newer), Err(CutError::Newer { found: 2 }));
    }
}
