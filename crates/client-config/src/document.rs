//! A configuration file as bytes with positions: what an edit needs to touch nothing but its own.

use std::fmt;
use std::ops::Range;

use jsonc_parser::errors::{ParseError, ParseErrorKind};
use jsonc_parser::{CollectOptions, CommentCollectionStrategy, ParseOptions, parse_to_ast};

use crate::client_app::ClientApp;
use crate::node::{Excess, Member, Node};

/// The largest file that is read, in bytes.
pub const MAX_BYTES: usize = 64 * 1024 * 1024;
/// The deepest nesting that is read.
pub const MAX_DEPTH: usize = 128;
/// The byte order mark, as UTF-8 writes it.
pub(crate) const BOM: &str = "\u{feff}";

/// A parsed file. Every byte of it is kept; its `Debug` shows none, since some may be secrets.
#[derive(Clone)]
pub struct Document {
    app: &'static ClientApp,
    text: String,
    root: Option<Node>,
    duplicates: Vec<DuplicateKey>,
}

/// A place in the file as people count: from 1; the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Position {
    /// Line, from 1. A lone carriage return ends a line too.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
}

/// A key that stands twice where an edit would have to choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuplicateKey {
    /// The path, as in `mcpServers.github`.
    pub place: String,
    /// Lines of the first two.
    pub lines: (usize, usize),
}

impl Document {
    /// Parses the file as strictly as `app` itself does.
    ///
    /// # Errors
    /// Whatever makes it unsafe to change the file: see [`DocumentError`]. A key that stands twice is
    /// no error here, so that both entries can be shown: planning refuses it.
    pub fn parse(bytes: &[u8], app: &'static ClientApp) -> Result<Self, DocumentError> {
        if bytes.len() > MAX_BYTES {
            return Err(DocumentError::TooLarge);
        }
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(source) => return Err(DocumentError::NotUtf8 { offset: source.valid_up_to() }),
        };
        if let Some(offset) = text.find('\0') {
            return Err(DocumentError::Nul { at: position(&text, offset) });
        }
        let shift = if text.starts_with(BOM) { BOM.len() } else { 0 };
        let root = parse_root(&text, shift, app)?;
        let mut document = Self { app, text, root, duplicates: Vec::new() };
        document.duplicates = document.check_types()?;
        Ok(document)
    }

    /// The document of a file that is not there.
    pub fn missing(app: &'static ClientApp) -> Self {
        Self { app, text: String::new(), root: None, duplicates: Vec::new() }
    }

    /// The app whose rules it was parsed by.
    pub fn app(&self) -> &'static ClientApp {
        self.app
    }

    /// Whether it starts with a byte order mark.
    pub fn has_bom(&self) -> bool {
        self.text.starts_with(BOM)
    }

    /// Keys that stand twice on the path to an entry: such a file is shown, never edited.
    pub fn duplicates(&self) -> &[DuplicateKey] {
        &self.duplicates
    }

    /// The bytes as they were.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The root object, unless the file is empty.
    pub(crate) fn root(&self) -> Option<&Node> {
        self.root.as_ref()
    }

    /// The object that holds the entries, if there is one.
    pub(crate) fn servers(&self) -> Option<&Node> {
        self.root.as_ref()?.get(self.app.root_key)
    }

    /// All members of all objects under the root key: two objects where that key stands twice.
    pub(crate) fn entry_members(&self) -> impl Iterator<Item = &Member> {
        let root = self.root.as_ref().and_then(Node::members).unwrap_or_default();
        root.iter().filter(|m| m.key == self.app.root_key).filter_map(|m| m.value.members()).flatten()
    }

    /// The entry with this name.
    pub(crate) fn entry(&self, name: &str) -> Option<&Member> {
        self.servers()?.members()?.iter().find(|m| m.key == name)
    }

    /// Where a byte is.
    pub(crate) fn position(&self, offset: usize) -> Position {
        position(&self.text, offset)
    }

    /// The bytes of a span.
    pub(crate) fn slice(&self, span: &Range<usize>) -> &str {
        &self.text[span.clone()]
    }

    fn check_types(&self) -> Result<Vec<DuplicateKey>, DocumentError> {
        let Some(root) = &self.root else { return Ok(Vec::new()) };
        let Some(members) = root.members() else {
            return Err(DocumentError::RootType { found: root.type_name() });
        };
        let mut duplicates = Vec::new();
        let key = self.app.root_key;
        self.find_duplicates(members.iter().filter(|m| m.key == key), "", &mut duplicates);
        for member in members.iter().filter(|m| m.key == key) {
            let Some(entries) = member.value.members() else {
                return Err(DocumentError::ServersType {
                    key,
                    found: member.value.type_name(),
                    at: self.position(member.value.span.start),
                });
            };
            self.find_duplicates(entries.iter(), &format!("{key}."), &mut duplicates);
        }
        Ok(duplicates)
    }

    /// Appends each key that occurs twice among `members`.
    pub(crate) fn find_duplicates<'a>(
        &self,
        members: impl Iterator<Item = &'a Member>,
        prefix: &str,
        found: &mut Vec<DuplicateKey>,
    ) {
        let mut seen = std::collections::HashMap::<&str, usize>::new();
        for member in members {
            let offset = member.key_span.start;
            if let Some(first) = seen.insert(&member.key, offset) {
                let lines = (self.position(first).line, self.position(offset).line);
                found.push(DuplicateKey { place: format!("{prefix}{}", member.key), lines });
            }
        }
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document")
            .field("app", &self.app.id)
            .field("bytes", &self.text.len())
            .finish_non_exhaustive()
    }
}

/// The root value of a text; `shift` is added to each position.
pub(crate) fn parse_root(text: &str, shift: usize, app: &ClientApp) -> Result<Option<Node>, DocumentError> {
    let body = &text[shift..];
    let options = ParseOptions {
        allow_comments: app.syntax.comments,
        allow_trailing_commas: app.syntax.trailing_commas,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let syntax = |error: &ParseError| match error.kind() {
        ParseErrorKind::NestingDepthExceeded => DocumentError::TooDeep,
        kind => DocumentError::Syntax {
            app: app.name,
            reason: kind.to_string(),
            at: position(text, error.range().start + shift),
        },
    };
    let odd_space = |c: char| matches!(c, '\u{b}' | '\u{c}') || (!c.is_ascii() && c.is_whitespace());
    let odd = body.contains(odd_space);
    let collect = CollectOptions {
        comments: if odd { CommentCollectionStrategy::AsTokens } else { CommentCollectionStrategy::Off },
        tokens: odd,
    };
    let parsed = parse_to_ast(body, &collect, &options).map_err(|e| syntax(&e))?;
    let mut end = 0;
    // The parser takes white space that JSON does not have: look between the tokens for it.
    for token in parsed.tokens.iter().flatten() {
        if let Some(at) = body[end..token.range.start].find(odd_space) {
            return Err(DocumentError::WhiteSpace { at: position(text, end + at + shift) });
        }
        end = token.range.end;
    }
    if let Some(at) = body[end..].find(odd_space).filter(|_| odd) {
        return Err(DocumentError::WhiteSpace { at: position(text, end + at + shift) });
    }
    match parsed.value.map(|value| Node::from_ast(&value, body, shift, MAX_DEPTH)).transpose() {
        Ok(root) => Ok(root),
        Err(Excess::Depth) => Err(DocumentError::TooDeep),
        Err(Excess::ControlCharacter(offset)) => {
            Err(DocumentError::ControlCharacter { at: position(text, offset) })
        }
    }
}

fn position(text: &str, offset: usize) -> Position {
    let before = text.get(..offset).unwrap_or(text);
    let ends = before
        .bytes()
        .enumerate()
        .filter(|(i, b)| *b == b'\n' || (*b == b'\r' && text.as_bytes().get(i + 1) != Some(&b'\n')));
    let (mut line, mut start) = (1, 0);
    for (at, _) in ends {
        line += 1;
        start = at + 1;
    }
    let in_line = before[start.min(before.len())..].trim_start_matches(BOM);
    Position { line, column: in_line.chars().count() + 1 }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Why a file is not touched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Above [`MAX_BYTES`].
    #[error("the file is larger than 64 MB")]
    TooLarge,
    /// Bytes that are no UTF-8.
    #[error("the file is not UTF-8 text (byte {offset}); save it as UTF-8 and try again")]
    NotUtf8 {
        /// The first wrong byte.
        offset: usize,
    },
    /// A NUL character.
    #[error("the file holds a NUL character ({at}); it is probably damaged")]
    Nul {
        /// Where.
        at: Position,
    },
    /// Not JSON, or not the JSON that the app reads.
    #[error("the file is not JSON as {app} reads it ({at}): {reason}")]
    Syntax {
        /// The app whose rules apply.
        app: &'static str,
        /// What the parser said. Never quotes the text.
        reason: String,
        /// Where.
        at: Position,
    },
    /// White space that JSON does not have.
    #[error("the file holds white space that JSON does not allow ({at})")]
    WhiteSpace {
        /// Where.
        at: Position,
    },
    /// A raw control character in a string.
    #[error("the file holds a raw control character in a string ({at})")]
    ControlCharacter {
        /// Where.
        at: Position,
    },
    /// Above [`MAX_DEPTH`].
    #[error("the file is nested more than 128 levels deep")]
    TooDeep,
    /// The root is no object.
    #[error("the file holds {found} where an object is expected")]
    RootType {
        /// What it is.
        found: &'static str,
    },
    /// The root key is no object.
    #[error("`{key}` is {found}, not an object ({at})")]
    ServersType {
        /// The root key.
        key: &'static str,
        /// What it is.
        found: &'static str,
        /// Where.
        at: Position,
    },
}
