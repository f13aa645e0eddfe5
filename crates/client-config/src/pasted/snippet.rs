//! JSON snippets: whole files, their inner object, one entry, or a piece that starts with its name.

use serde_json::Value as Json;

use super::{INSTEAD, Unreadable, rules};
use crate::document::{DocumentError, parse_root};
use crate::node::Node;

/// Members under which apps keep their entries.
const ROOT_KEYS: [&str; 6] =
    ["mcpServers", "servers", "context_servers", "mcp_servers", "mcp.servers", "amp.mcpServers"];
/// Members that make an object an entry.
const ENTRY_KEYS: [&str; 5] = ["url", "serverUrl", "httpUrl", "uri", "command"];

/// The entries of a snippet: name and JSON. `name` is what a single entry without one is called.
pub(super) fn read(text: &str, name: &str) -> Result<Vec<(String, String)>, Unreadable> {
    // `"github": { … }`, as documentation shows it.
    let piece = text.starts_with('"');
    let text = if piece { format!("{{{text}}}") } else { text.to_owned() };
    let root = match parse_root(&text, 0, rules()) {
        Ok(Some(root)) => root,
        Ok(None) => {
            return Err(Unreadable::new("a JSON snippet", format!("no server stands in it; {INSTEAD}")));
        }
        Err(error) => return Err(broken(&error, piece)),
    };
    if root.members().is_none() {
        return Err(Unreadable::new(
            "a JSON snippet",
            format!("it is {}, where an object with entries is wanted; {INSTEAD}", root.type_name()),
        ));
    }
    let entries = object(&root, name);
    Ok(entries.into_iter().map(|(name, node)| (name, plain(&text, node))).collect())
}

fn object<'n>(root: &'n Node, name: &str) -> Vec<(String, &'n Node)> {
    if is_entry(root) {
        let own = root.get("name").and_then(Node::string);
        return vec![(own.filter(|_| name.is_empty()).unwrap_or(name).to_owned(), root)];
    }
    for key in ROOT_KEYS {
        if let Some(servers) = root.get(key).filter(|node| node.members().is_some()) {
            return members(servers);
        }
    }
    // VS Code's settings and opencode's file.
    if let Some(inner) = root.get("mcp").filter(|node| node.members().is_some()) {
        return object(inner, name);
    }
    members(root).into_iter().filter(|(_, node)| is_entry(node)).collect()
}

fn members(node: &Node) -> Vec<(String, &Node)> {
    let all = node.members().unwrap_or_default().iter();
    all.map(|member| (member.key.clone(), &member.value)).collect()
}

fn is_entry(node: &Node) -> bool {
    ENTRY_KEYS.iter().any(|key| node.get(key).is_some_and(|value| value.members().is_none()))
}

/// The text of a value. What the parser takes, the rules for files take too.
fn plain(text: &str, node: &Node) -> String {
    text.get(node.span.clone()).unwrap_or_default().to_owned()
}

fn broken(error: &DocumentError, piece: bool) -> Unreadable {
    let why = match error {
        DocumentError::Syntax { reason, at, .. } if !piece => format!("{reason} ({at})"),
        DocumentError::Syntax { reason, .. } => reason.clone(),
        other => other.to_string(),
    };
    Unreadable::new(
        "something like JSON",
        format!("it is not JSON: {why}; copy the whole snippet, or paste the server's URL"),
    )
}

/// A JSON text of a command line or link, with the name in it if it has one.
pub(super) fn inline(text: &str, name: &str) -> Result<Vec<(String, String)>, Unreadable> {
    // What is no JSON at all must not be quoted by anybody.
    if serde_json::from_str::<Json>(text).is_err() {
        return Err(Unreadable::new("a snippet", format!("the JSON in it is damaged; {INSTEAD}")));
    }
    read(text, name)
}
