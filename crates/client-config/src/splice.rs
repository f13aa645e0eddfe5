//! The smallest changes of bytes that add, replace or remove one entry.

use std::ops::Range;

use crate::client_app::ClientApp;
use crate::cut::comments_in;
use crate::document::{BOM, Document};
use crate::layout::{Layout, Shape, colon, indent_of_line, last_line_end, lead, line_end, starts_line, unit};
use crate::node::{Member, Node};

/// Some bytes that give way to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Splice {
    /// What goes, in the text before.
    pub(crate) span: Range<usize>,
    /// What comes.
    pub(crate) text: String,
}

impl Splice {
    fn insert(at: usize, text: String) -> Self {
        Self { span: at..at, text }
    }
}

/// Adds an entry. The splices are in descending order of place, so that each can be made without moving
/// the next.
pub(crate) fn add(document: &Document, name: &str, entry: Shape) -> Vec<Splice> {
    let app: &ClientApp = document.app();
    if let Some(servers) = document.servers() {
        return insert(document, servers, name, &entry);
    }
    let servers = Shape::Object(vec![(name.to_owned(), entry)]);
    match document.root() {
        Some(root) => insert(document, root, app.root_key, &servers),
        None => vec![create(document, &Shape::Object(vec![(app.root_key.to_owned(), servers)]))],
    }
}

/// Puts another value in an entry's place.
pub(crate) fn replace(document: &Document, member: &Member, entry: &Shape) -> Splice {
    let text = document.text();
    let span = member.value.span.clone();
    let old = document.slice(&span);
    let layout = Layout {
        indent: old.contains(['\n', '\r']).then(|| indent_of_line(text, member.key_span.start).to_owned()),
        unit: value_unit(document, &member.value).unwrap_or_else(|| unit(document)),
        eol: line_end(if old.contains(['\n', '\r']) { old } else { text }),
        colon: colon(document, &member.value),
    };
    Splice { span, text: layout.render(entry) }
}

/// Takes an entry out, with the comma that only it needed. Comments stay.
pub(crate) fn remove(document: &Document, name: &str) -> Vec<Splice> {
    let Some(members) = document.servers().and_then(Node::members) else { return Vec::new() };
    let Some(at) = members.iter().position(|m| m.key == name) else { return Vec::new() };
    let object_end = document.servers().map_or(0, |node| node.span.end);
    let (text, member) = (document.text(), &members[at]);
    let start = lead(text, member.key_span.start).start;
    let comma = comma_after(document, member.value.span.end, object_end);
    let gone = |span: Range<usize>| Splice { span, text: String::new() };
    let mut splices = Vec::new();
    match comma {
        // Between value and comma there may be a comment: it stays.
        Some(comma) if comma == member.value.span.end => splices.push(gone(start..comma + 1)),
        Some(comma) => splices.extend([gone(comma..comma + 1), gone(start..member.value.span.end)]),
        None => {
            splices.push(gone(start..member.value.span.end));
            let before = at.checked_sub(1).map(|at| &members[at]);
            let comma = before.and_then(|m| comma_after(document, m.value.span.end, member.key_span.start));
            splices.extend(comma.map(|comma| gone(comma..comma + 1)));
        }
    }
    splices
}

/// The whole content of a file that has none: comments and white space before it stay.
fn create(document: &Document, root: &Shape) -> Splice {
    let text = document.text();
    let eol = line_end(text);
    let layout =
        Layout { indent: Some(String::new()), unit: "  ".into(), eol: eol.clone(), colon: ": ".into() };
    let own_line = text.trim_start_matches(BOM).is_empty() || text.ends_with(['\n', '\r']);
    let start = if own_line { String::new() } else { eol.clone() };
    Splice::insert(text.len(), format!("{start}{}{eol}", layout.render(root)))
}

fn insert(document: &Document, object: &Node, key: &str, value: &Shape) -> Vec<Splice> {
    match object.members().and_then(<[_]>::last) {
        Some(last) => after(document, object, last, key, value),
        None => vec![into_empty(document, object, key, value)],
    }
}

/// Adds a member behind the last one and in its manner.
fn after(document: &Document, object: &Node, last: &Member, key: &str, value: &Shape) -> Vec<Splice> {
    let text = document.text();
    let blank = &text[lead(text, last.key_span.start)];
    let old = document.slice(&last.value.span);
    let line = last_line_end(blank);
    let (separator, layout) = if let Some((eol, indent)) = line {
        let outer = indent_of_line(text, object.span.end - 1);
        let unit = indent.strip_prefix(outer).filter(|unit| !unit.is_empty());
        let in_one_line = old.starts_with('{') && old.len() > 2 && !old.contains(['\n', '\r']);
        let layout = Layout {
            indent: (!in_one_line).then(|| indent.to_owned()),
            unit: unit.map_or_else(|| self::unit(document), str::to_owned),
            eol: eol.to_owned(),
            colon: colon(document, object),
        };
        (format!("{eol}{indent}"), layout)
    } else {
        let first = object.members().is_some_and(|members| members.len() == 1);
        let colon = colon(document, object);
        let separator = match blank {
            "" if first && colon.len() > 1 => " ",
            blank => blank,
        };
        let layout = Layout { indent: None, unit: String::new(), eol: String::new(), colon };
        (separator.to_owned(), layout)
    };
    let comma = comma_after(document, last.value.span.end, object.span.end);
    let mut at = comma.map_or(last.value.span.end, |comma| comma + 1);
    if line.is_some() {
        at = past_comments_of_line(document, at, object.span.end);
    }
    let mut text = format!("{separator}{}", layout.member(key, value));
    match comma {
        Some(_) => {
            text.push(',');
            vec![Splice::insert(at, text)]
        }
        None if at == last.value.span.end => vec![Splice::insert(at, format!(",{text}"))],
        None => vec![Splice::insert(at, text), Splice::insert(last.value.span.end, ",".to_owned())],
    }
}

fn into_empty(document: &Document, object: &Node, key: &str, value: &Shape) -> Splice {
    let text = document.text();
    let (start, end) = (object.span.start + 1, object.span.end - 1);
    let inner = &text[start..end];
    let colon = colon(document, object);
    if let Some((eol, closing)) = last_line_end(inner) {
        let closing = if closing.trim_matches([' ', '\t']).is_empty() { closing } else { "" };
        let unit = unit(document);
        let indent = format!("{closing}{unit}");
        let layout = Layout { indent: Some(indent.clone()), unit, eol: eol.to_owned(), colon };
        return Splice::insert(start, format!("{eol}{indent}{}", layout.member(key, value)));
    }
    let trimmed = text.trim_start_matches(BOM).trim();
    let in_one_line =
        !trimmed.contains(['\n', '\r']) && document.root().is_some_and(|r| r.span != object.span);
    if in_one_line {
        let layout = Layout { indent: None, unit: String::new(), eol: String::new(), colon };
        return Splice::insert(start, layout.member(key, value));
    }
    let (eol, unit) = (line_end(text), unit(document));
    let outer = indent_of_line(text, object.span.start).to_owned();
    let indent = format!("{outer}{unit}");
    let layout = Layout { indent: Some(indent.clone()), unit, eol: eol.clone(), colon };
    Splice::insert(end, format!("{eol}{indent}{}{eol}{outer}", layout.member(key, value)))
}

/// Where the comma behind a value is, if one is: comments are skipped.
fn comma_after(document: &Document, from: usize, end: usize) -> Option<usize> {
    let comments = comments_in(document, &(from..end));
    let inside = |at: usize| comments.iter().any(|c| c.contains(&at));
    document.text().as_bytes()[from..end]
        .iter()
        .enumerate()
        .map(|(at, byte)| (at + from, *byte))
        .filter(|(at, _)| !inside(*at))
        .find(|(_, byte)| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'/' | b'*'))
        .filter(|(_, byte)| *byte == b',')
        .map(|(at, _)| at)
}

/// Behind the comments that stand in the rest of the line, since they speak of what is before them.
fn past_comments_of_line(document: &Document, from: usize, end: usize) -> usize {
    let text = document.text();
    let line = text[from..end].find(['\n', '\r']).map_or(end, |length| from + length);
    let rest = &text[from..line];
    let blank = rest.len() - rest.trim_start_matches([' ', '\t']).len();
    if rest[blank..].starts_with("//") {
        return line;
    }
    if rest[blank..].starts_with("/*")
        && let Some(length) = rest.find("*/")
    {
        return past_comments_of_line(document, from + length + 2, end);
    }
    from
}

fn value_unit(document: &Document, value: &Node) -> Option<String> {
    let text = document.text();
    let first = value.members()?.first()?;
    if !starts_line(text, first.key_span.start) {
        return None;
    }
    let inner = indent_of_line(text, first.key_span.start);
    let outer = indent_of_line(text, value.span.end - 1);
    inner.strip_prefix(outer).filter(|unit| !unit.is_empty()).map(str::to_owned)
}
