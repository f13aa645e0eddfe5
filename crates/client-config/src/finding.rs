//! Finds plaintext secrets in an entry and says where they are and of what kind, never what they are.

use std::collections::{BTreeMap, BTreeSet};

use model::{WebAddress, is_web_address, secret_rules};
use serde::{Deserialize, Serialize};

use crate::argv;
use crate::document::{Document, Position};
use crate::node::{Member, Node, Value};

/// A secret in plain text. Holds no part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What it is: `GitHub token`, `bearer token`, `password in the URL`.
    pub kind: String,
    /// Where, as a path: `mcpServers.github.headers.Authorization`.
    pub place: String,
    /// Where, as people count.
    pub position: Position,
}

/// All secrets of one entry, in the order of the file.
pub(crate) fn findings(document: &Document, entry: &Member) -> Vec<Finding> {
    let place = format!("{}.{}", document.app().root_key, entry.key);
    let env = strings_of(entry.value.get("env"));
    let mut walk = Walk { document, env_headers: env_used_in_headers(entry, &env), found: Vec::new() };
    walk.node(&entry.value, &place, "", Slot::Any);
    walk.comments(&entry.value, &place);
    walk.found
}

/// The decoded string members of an object.
pub(crate) fn strings_of(node: Option<&Node>) -> BTreeMap<String, String> {
    let members = node.and_then(Node::members).unwrap_or_default();
    members.iter().filter_map(|m| Some((m.key.clone(), m.value.string()?.to_owned()))).collect()
}

/// The decoded elements of `args`; what is no string is an empty one, so that positions stay.
pub(crate) fn args_of(entry: &Node) -> Vec<String> {
    let elements = entry.get("args").and_then(Node::elements).unwrap_or_default();
    elements.iter().map(|node| node.string().unwrap_or_default().to_owned()).collect()
}

/// What position says about a string.
#[derive(Clone, Copy, PartialEq)]
enum Slot {
    Any,
    Header,
    Variable,
}

struct Walk<'a> {
    document: &'a Document,
    /// Variables that a header of mcp-remote is made of.
    env_headers: BTreeSet<String>,
    found: Vec<Finding>,
}

impl Walk<'_> {
    fn add(&mut self, kind: &str, place: &str, offset: usize) {
        let position = self.document.position(offset);
        self.found.push(Finding { kind: kind.to_owned(), place: place.to_owned(), position });
    }

    fn node(&mut self, node: &Node, place: &str, name: &str, slot: Slot) {
        match &node.value {
            Value::Null | Value::Bool | Value::Number => {}
            Value::String(text) => {
                if let Some(kind) = self.string(text, name, slot) {
                    self.add(kind, place, node.span.start);
                }
            }
            Value::Array(elements) => {
                if name == "args" {
                    self.args(elements, place);
                    return;
                }
                for (at, element) in elements.iter().enumerate() {
                    self.node(element, &format!("{place}[{at}]"), name, slot);
                }
            }
            Value::Object(members) => {
                for member in members {
                    let slot = match member.key.as_str() {
                        "headers" | "http_headers" => Slot::Header,
                        "env" | "envs" | "environment" | "settings" => Slot::Variable,
                        _ => slot,
                    };
                    self.node(&member.value, &format!("{place}.{}", member.key), &member.key, slot);
                }
            }
        }
    }

    fn string(&self, text: &str, name: &str, slot: Slot) -> Option<&'static str> {
        if is_web_address(text) {
            return WebAddress::read(text).kinds.first().copied();
        }
        match slot {
            Slot::Header => secret_rules::header(name, text),
            Slot::Variable if self.env_headers.contains(name) => secret_rules::header("authorization", text),
            Slot::Any if name == "command" => word_kind("", text),
            Slot::Variable | Slot::Any => secret_rules::named(name, text),
        }
    }

    /// At most one finding for each argument.
    fn args(&mut self, elements: &[Node], place: &str) {
        let words: Vec<&str> = elements.iter().map(|node| node.string().unwrap_or_default()).collect();
        for (at, node) in elements.iter().enumerate() {
            let before = if at == 0 { "" } else { words[at - 1] };
            // `--headers NAME VALUE`
            let named = at >= 2 && words[at - 2] == "--headers";
            let kind =
                if named { secret_rules::header(before, words[at]) } else { word_kind(before, words[at]) };
            if let Some(kind) = kind {
                self.add(kind, &format!("{place}[{at}]"), node.span.start);
            } else if node.string().is_none() {
                self.node(node, &format!("{place}[{at}]"), "", Slot::Any);
            }
        }
    }

    /// Tokens in comments between the values: people comment old entries out.
    fn comments(&mut self, entry: &Node, place: &str) {
        for span in crate::cut::comments_in(self.document, &entry.span) {
            let mut before = "";
            let kind = self.document.slice(&span).split_whitespace().find_map(|word| {
                let word = word.trim_matches(['"', ',']);
                // Behind `Bearer` everything is a secret in a header, but in prose only what is no word.
                let behind = ["bearer", "basic"].iter().any(|scheme| before.eq_ignore_ascii_case(scheme));
                let odd = behind && word.len() >= 12 && word.bytes().any(|b| b.is_ascii_digit());
                before = word.trim_start_matches(|c: char| !c.is_alphanumeric());
                word_kind("", word).or_else(|| secret_rules::header("authorization", word).filter(|_| odd))
            });
            if let Some(kind) = kind {
                self.add(kind, &format!("{place} (comment)"), span.start);
            }
        }
    }
}

/// The kind of secret in one word of a command line, given the word before it.
fn word_kind(before: &str, word: &str) -> Option<&'static str> {
    if is_web_address(word) {
        return WebAddress::read(word).kinds.first().copied();
    }
    if matches!(before, "--header" | "-H") {
        let (name, value) = word.split_once(':').unwrap_or(("authorization", word));
        return secret_rules::header(name.trim(), value);
    }
    if let Some(value) = word.strip_prefix("--header=").or_else(|| word.strip_prefix("-H=")) {
        return word_kind("--header", value);
    }
    if matches!(before, "-u" | "--user")
        && word.contains(':')
        && !secret_rules::without_references(word).starts_with(':')
    {
        let secret =
            word.split_once(':').is_some_and(|(_, p)| !secret_rules::without_references(p).is_empty());
        return secret.then_some("password");
    }
    if word.starts_with('{')
        && let Ok(value) = serde_json::from_str::<serde_json::Value>(word)
    {
        return json_kind("", &value);
    }
    // `--api-key=V`, `--env=NAME=V`, `NAME=V`, `-DNAME=V`
    if let Some((name, value)) = word.split_once('=').filter(|(name, _)| is_name(name)) {
        let name = name.trim_start_matches('-');
        if matches!(name, "env" | "e") && value.contains('=') {
            return word_kind("", value);
        }
        if let Some(kind) = secret_rules::named(name, value) {
            return Some(kind);
        }
    }
    if before.starts_with('-')
        && !word.starts_with('-')
        && let Some(kind) = secret_rules::named(before.trim_start_matches('-'), word)
    {
        return Some(kind);
    }
    if word.contains(char::is_whitespace) {
        let words = argv::split_words(word);
        if words.len() > 1 {
            return words
                .iter()
                .enumerate()
                .find_map(|(at, inner)| word_kind(if at == 0 { "" } else { &words[at - 1] }, inner));
        }
    }
    secret_rules::named("", word)
}

fn json_kind(name: &str, value: &serde_json::Value) -> Option<&'static str> {
    match value {
        serde_json::Value::String(text) => secret_rules::named(name, text),
        serde_json::Value::Array(list) => list.iter().find_map(|value| json_kind(name, value)),
        serde_json::Value::Object(map) => map.iter().find_map(|(name, value)| json_kind(name, value)),
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => None,
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

fn env_used_in_headers(entry: &Member, env: &BTreeMap<String, String>) -> BTreeSet<String> {
    let command = entry.value.get("command").and_then(Node::string).unwrap_or_default();
    let words = argv::words(command, &args_of(&entry.value));
    let headers = argv::mcp_remote(&words).map(|found| found.headers).unwrap_or_default();
    headers.iter().filter_map(|text| argv::header(text, env)).flat_map(|(_, _, used)| used).collect()
}
