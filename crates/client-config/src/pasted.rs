//! What a pasted text means: a URL, an install link, a command line, a snippet of a configuration.
//!
//! Pure, and nothing of the text is kept: secrets in it are named by their kind, never quoted. Every form ends
//! as entries of a configuration, which the rules for files judge.
//!
//! ```text
//! text -> form (address | link | command | snippet) -> entries (name, JSON) -> judged like a file's -> Pasted
//! ```

mod command;
mod link;
mod snippet;

use std::collections::BTreeMap;

use model::{Endpoint, EndpointError, WebAddress, is_hidden, is_web_address, secret_rules, visible};
use url::Url;

use crate::argv;
use crate::client_app::{CLIENT_APPS, ClientApp};
use crate::document::Document;
use crate::entry::{EntryKind, Remote, entries};

/// The longest text that is read, in bytes.
pub const MAX_PASTED: usize = 1024 * 1024;
/// More servers than this are no snippet that anybody means.
const MAX_SERVERS: usize = 1000;
/// What every refusal ends with.
const INSTEAD: &str = "paste a server's URL (https://…/mcp), an install link, a command such as \
                       `claude mcp add …`, or the JSON of its entry";

/// What a pasted text means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pasted {
    /// What it was read as, in words: "a URL", "a JSON snippet with 2 servers".
    pub read_as: String,
    /// Servers that it names.
    pub servers: Vec<PastedServer>,
    /// Lists that it names.
    pub lists: Vec<PastedList>,
    /// Why nothing can be made of it, and what could be pasted instead.
    pub problem: Option<String>,
}

/// A server in a pasted text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastedServer {
    /// Its name there, or its host.
    pub label: String,
    /// Its URL, without anything that looks like a secret.
    pub url: Option<String>,
    /// Its headers that are no secret.
    pub headers: BTreeMap<String, String>,
    /// Secrets that stood beside it, by kind, each kind once.
    pub secrets: Vec<String>,
    /// Why it cannot be added.
    pub problem: Option<String>,
}

/// A list in a pasted link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastedList {
    /// Its https URL.
    pub source: String,
    /// The publisher's minisign key.
    pub key: Option<String>,
}

/// What a form yields before it is judged.
enum Found {
    /// Entries as a configuration would hold them: name (may be empty) and JSON.
    Entries(String, Vec<(String, String)>),
    /// Lists of administrators.
    Lists(String, Vec<PastedList>),
}

/// Why a form yields nothing: what it was read as, and why.
struct Unreadable {
    read_as: String,
    problem: String,
}

impl Unreadable {
    fn new(read_as: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { read_as: read_as.into(), problem: problem.into() }
    }
}

/// Works out what a pasted text means.
pub fn read_pasted(text: &str) -> Pasted {
    match form(text) {
        Ok(Found::Entries(read_as, entries)) => {
            let servers: Vec<PastedServer> = entries.iter().map(|(name, json)| judge(name, json)).collect();
            let read_as = match (servers.len(), read_as.as_str()) {
                (0 | 1, _) => read_as,
                (many, "a URL") => format!("{many} URLs"),
                (many, _) => format!("{read_as} with {many} servers"),
            };
            let problem = match servers.len() {
                0 => Some(format!("no server stands in it; {INSTEAD}")),
                1..=MAX_SERVERS => None,
                _ => Some(format!("it names more than {MAX_SERVERS} servers; paste those that you want")),
            };
            let servers = if problem.is_some() { Vec::new() } else { servers };
            Pasted { read_as, servers, lists: Vec::new(), problem }
        }
        Ok(Found::Lists(read_as, lists)) => Pasted { read_as, lists, ..Pasted::default() },
        Err(Unreadable { read_as, problem }) => {
            Pasted { read_as, problem: Some(problem), ..Pasted::default() }
        }
    }
}

fn form(text: &str) -> Result<Found, Unreadable> {
    if text.len() > MAX_PASTED {
        return Err(Unreadable::new("a long text", format!("it is longer than 1 MB; {INSTEAD}")));
    }
    // Web pages hand out blanks that do not break and marks at the start of a file.
    let text = text.trim_start_matches('\u{feff}').replace('\u{a0}', " ");
    let text = without_fence(text.trim());
    if text.is_empty() {
        return Err(Unreadable::new("nothing", INSTEAD));
    }
    if let Some(c) = text.chars().find(|c| is_hidden(*c) && !matches!(c, '\n' | '\r' | '\t')) {
        return Err(Unreadable::new(
            "a text",
            format!(
                "it holds a character that cannot be seen (U+{:04X}), so it may not be what it looks like; type \
                 the address by hand, or copy it from another place",
                u32::from(c)
            ),
        ));
    }
    if text.split_whitespace().all(is_web_address) {
        return addresses(text);
    }
    if text.starts_with('[')
        && let Some(refusal) = foreign(text)
    {
        return Err(refusal);
    }
    if ["{", "[", "\"", "//", "/*"].iter().any(|start| text.starts_with(start)) {
        return snippet::read(text, "").map(|entries| Found::Entries("a JSON snippet".to_owned(), entries));
    }
    if let Some(found) = link::read(text) {
        return found;
    }
    if let Some(found) = command::read(text) {
        return found;
    }
    Err(unknown(text))
}

/// One or more URLs and nothing else; some web addresses are install links.
fn addresses(text: &str) -> Result<Found, Unreadable> {
    if let Some(found) = link::web(text) {
        return found;
    }
    for word in text.split_whitespace() {
        if let Err(error @ (EndpointError::NotAUrl { .. } | EndpointError::NoHost)) = Endpoint::parse(word) {
            return Err(Unreadable::new("a URL", format!("{error}; {INSTEAD}")));
        }
    }
    let entry = |url: &str| (String::new(), serde_json::json!({ "url": url }).to_string());
    Ok(Found::Entries("a URL".to_owned(), text.split_whitespace().map(entry).collect()))
}

fn unknown(text: &str) -> Unreadable {
    if let Some(kind) = secret_rules::shape(text) {
        return Unreadable::new(
            "a secret",
            format!(
                "this is a secret ({kind}), not an address, and it was not kept; {INSTEAD}, then sign in"
            ),
        );
    }
    let first = text.split_whitespace().next().unwrap_or_default();
    if is_web_address(first) {
        return Unreadable::new("a URL", format!("there is a blank or another text in this URL; {INSTEAD}"));
    }
    if let Some(refusal) = foreign(text) {
        return refusal;
    }
    if text == first && looks_like_host(first) {
        return Unreadable::new(
            "an address without its scheme",
            "this is not the whole URL: write https:// in front of it, if that is the server's address",
        );
    }
    Unreadable::new("a text", format!("no server can be recognised in it; {INSTEAD}"))
}

/// Refuses a configuration in another language than JSON.
fn foreign(text: &str) -> Option<Unreadable> {
    let language = language(text)?;
    let problem = format!("{language} cannot be read here; {INSTEAD}");
    Some(Unreadable::new(format!("a snippet of {language}"), problem))
}

/// The language of a configuration that is not JSON, by its first line that says something.
fn language(text: &str) -> Option<&'static str> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'))?;
    let is_name = |text: &str| {
        let text = text.trim();
        let good = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '"' | '\'' | ' ');
        !text.is_empty() && text.chars().all(good) && text.chars().next().is_some_and(char::is_alphabetic)
    };
    // `[mcp_servers.acme]`, `[[servers]]`; a list of JSON holds no bare name.
    let table = line.strip_prefix('[').and_then(|line| line.strip_suffix(']'));
    let table = table.map(|name| name.trim_start_matches('[').trim_end_matches(']'));
    let is_word = |name: &str| !matches!(name.trim(), "true" | "false" | "null");
    if table.is_some_and(|name| is_name(name) && is_word(name)) {
        return Some("TOML");
    }
    if let Some((name, value)) = line.split_once('=')
        && is_name(name)
        && !name.trim().contains(' ')
        && value.trim_start().starts_with(['"', '\'', '{', '['])
    {
        return Some("TOML");
    }
    if line == "---" || line.strip_prefix("- ").is_some_and(|rest| rest.contains(':')) {
        return Some("YAML");
    }
    if let Some((name, value)) = line.split_once(':')
        && is_name(name)
        && !name.contains(['"', '\''])
        && (value.is_empty() || value.starts_with(' '))
    {
        return Some("YAML");
    }
    if line.starts_with("<?xml") || line.starts_with("<plist") || line.starts_with("<!DOCTYPE") {
        return Some("XML");
    }
    None
}

/// `mcp.example.com/mcp`, `localhost:3000/mcp`.
fn looks_like_host(word: &str) -> bool {
    let host = word.split(['/', '?', '#', ':']).next().unwrap_or_default();
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
    let dotted = host.split('.').all(|part| !part.is_empty()) && host.contains('.');
    (dotted || host == "localhost") && host.bytes().all(good)
}

/// What stands between the marks of a code block.
fn without_fence(text: &str) -> &str {
    let Some(rest) = text.strip_prefix("```") else { return text.trim_matches('`').trim() };
    let inner = rest.split_once('\n').map_or(rest, |(_, inner)| inner);
    inner.trim_end().trim_end_matches('`').trim()
}

/// Judges one entry by the rules for files.
fn judge(name: &str, json: &str) -> PastedServer {
    let quoted = serde_json::Value::String(name.to_owned()).to_string();
    let whole = format!("{{\"{}\":{{{quoted}:{json}}}}}", rules().root_key);
    let mut server = PastedServer {
        label: label(name),
        url: None,
        headers: BTreeMap::new(),
        secrets: Vec::new(),
        problem: None,
    };
    let entry = Document::parse(whole.as_bytes(), rules()).ok().and_then(|d| entries(&d).into_iter().next());
    let Some(entry) = entry else {
        server.problem = Some(format!("it cannot be understood; {INSTEAD}"));
        return server;
    };
    for finding in &entry.findings {
        if !server.secrets.contains(&finding.kind) {
            server.secrets.push(finding.kind.clone());
        }
    }
    match &entry.kind {
        EntryKind::Remote(remote) | EntryKind::McpRemote(remote) => remote_server(remote, json, &mut server),
        EntryKind::Ours(ours) => {
            server.problem = Some(format!("it is Hallpass' own entry for the server {}", ours.server));
        }
        EntryKind::Local { program } => server.problem = Some(starts_a_command(program)),
        EntryKind::Other { reason } => server.problem = Some(reason.clone()),
    }
    if server.label.is_empty() {
        "a server".clone_into(&mut server.label);
    }
    server
}

fn remote_server(remote: &Remote, json: &str, server: &mut PastedServer) {
    if server.label.is_empty() {
        server.label = label(remote.host.as_deref().unwrap_or_default());
    }
    if remote.user_info {
        server.problem = Some(
            "a user name or password stands in its address; take the address without it, and sign in instead"
                .to_owned(),
        );
        return;
    }
    let Some(url) = &remote.url else {
        server.problem = Some(
            "its address holds a secret or a variable and cannot be called without; take the address from the \
             server's documentation"
                .to_owned(),
        );
        return;
    };
    let url = without_fragment(url, server);
    if let Some(real) = look_alike(&url, json) {
        server.problem = Some(format!(
            "its host is written with letters that look like others; its real name is {real}: if that is the one \
             you mean, paste the address with that name"
        ));
        return;
    }
    if let Err(error) = Endpoint::parse(&url) {
        server.problem = Some(error.to_string());
        return;
    }
    if remote.transport.as_deref() == Some("ws") {
        server.problem = Some("it speaks MCP over WebSocket, which Hallpass does not".to_owned());
        return;
    }
    match remote.kept_headers() {
        Ok(headers) => {
            server.headers = headers;
            server.url = Some(url);
        }
        Err(name) => server.problem = Some(unknown_header(&name)),
    }
}

/// The URL up to its `#`, if a secret stands behind it: no server ever sees that.
fn without_fragment(url: &str, server: &mut PastedServer) -> String {
    let Some((kept, fragment)) = url.split_once('#') else { return url.to_owned() };
    let kinds = WebAddress::read(&format!("https://a.example/?{fragment}")).kinds;
    if kinds.is_empty() {
        return url.to_owned();
    }
    for kind in kinds.into_iter().map(str::to_owned) {
        if !server.secrets.contains(&kind) {
            server.secrets.push(kind);
        }
    }
    kept.to_owned()
}

/// The ASCII name of a host that was not pasted in ASCII.
fn look_alike(url: &str, pasted: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let host = url.host_str()?;
    let international = host.split('.').any(|part| part.starts_with("xn--"));
    (international && !pasted.to_ascii_lowercase().contains(host)).then(|| host.to_owned())
}

/// Why a local command is no server of ours.
pub fn starts_a_command(program: &str) -> String {
    let program = visible(program, 40);
    let named = !program.is_empty() && secret_rules::shape(&program).is_none();
    let program = if named { format!(" ({program})") } else { String::new() };
    format!("it starts a local command{program}; Hallpass signs in to servers with a URL")
}

/// Why a server whose meaning hangs on a header is left.
pub fn unknown_header(name: &str) -> String {
    format!("it sends the header {name}, whose meaning is not known; add the server yourself with --header")
}

/// A name for eyes; one that is a secret is none.
fn label(name: &str) -> String {
    if secret_rules::shape(name).is_some() { String::new() } else { visible(name, 100) }
}

/// The rules of an app whose files may hold comments and trailing commas.
fn rules() -> &'static ClientApp {
    CLIENT_APPS.iter().find(|app| app.syntax.comments).unwrap_or(&CLIENT_APPS[0])
}

/// A header as command lines write it.
fn header_of(text: &str) -> Option<(String, String)> {
    argv::header(text, &BTreeMap::new()).map(|(name, value, _)| (name, value))
}

#[cfg(test)]
mod tests;
