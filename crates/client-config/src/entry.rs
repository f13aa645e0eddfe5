//! What an entry of a configuration is: ours, a remote server, mcp-remote, or a local command.

use std::collections::BTreeMap;

use model::{AccountId, ServerId, WebAddress, secret_rules};

use crate::argv;
use crate::client_app::ClientApp;
use crate::document::{Document, DuplicateKey, Position};
use crate::finding::{Finding, args_of, findings, strings_of};
use crate::node::{Member, Node};

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name, which is never changed: approvals and prompts refer to it.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
    /// Secrets in plain text.
    pub findings: Vec<Finding>,
    /// Where it stands.
    pub position: Position,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// Our bridge, read from the entry itself: the executable's name and `bridge --server`.
    Ours(Ours),
    /// A URL that the app itself calls.
    Remote(Remote),
    /// A URL behind `mcp-remote`.
    McpRemote(Remote),
    /// Another local command.
    Local {
        /// The program's bare name.
        program: String,
    },
    /// Nothing that we understand; left alone.
    Other {
        /// Why.
        reason: String,
    },
}

/// An entry of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ours {
    /// The Server that it names.
    pub server: ServerId,
    /// The Account that it pins.
    pub account: Option<AccountId>,
    /// The app that it names: a label, not evidence.
    pub app: String,
    /// The executable that it names.
    pub executable: String,
    /// It is exactly what we would write for the same values: no member, argument or variable besides.
    pub untouched: bool,
}

/// A remote server, as an entry describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// The URL without its secrets; `None` where it cannot be called without them, or holds an expansion.
    pub url: Option<String>,
    /// The URL's host, for people.
    pub host: Option<String>,
    /// The transport, where the entry names one (`http`, `sse`, `http-only`, ...), as it is written.
    pub transport: Option<String>,
    /// Its headers, in order.
    pub headers: Vec<Header>,
    /// A user name or password stands in the URL.
    pub user_info: bool,
}

impl Remote {
    /// The headers that go along with every call. A credential stays behind, since people sign in instead.
    ///
    /// # Errors
    /// The name of a header that is neither harmless nor a credential: it may name a tenant, and without it the
    /// calls would end somewhere else.
    pub fn kept_headers(&self) -> Result<BTreeMap<String, String>, String> {
        let mut kept = BTreeMap::new();
        for header in &self.headers {
            match &header.value {
                HeaderValue::Plain(value) => {
                    kept.insert(header.name.clone(), value.clone());
                }
                HeaderValue::Secret => {}
                HeaderValue::Reference | HeaderValue::Unknown if secret_rules::is_telling(&header.name) => {}
                HeaderValue::Reference | HeaderValue::Unknown => return Err(header.name.clone()),
            }
        }
        Ok(kept)
    }
}

/// A header of a remote entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its name as it is written.
    pub name: String,
    /// What its value is.
    pub value: HeaderValue,
}

/// What a header's value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderValue {
    /// A header that is known to carry no secret (`X-MCP-Toolsets`, a tenant): its value.
    Plain(String),
    /// A secret in plain text. Its value is not here.
    Secret,
    /// An expansion such as `${env:TOKEN}`.
    Reference,
    /// Unknown: neither known to be harmless nor recognised as a secret. Its value is not here.
    Unknown,
}

/// All entries, in the order of the file.
pub fn entries(document: &Document) -> Vec<Entry> {
    document.entry_members().map(|member| entry(document, member)).collect()
}

pub(crate) fn entry(document: &Document, member: &Member) -> Entry {
    Entry {
        name: member.key.clone(),
        kind: kind(document, member),
        findings: findings(document, member),
        position: document.position(member.key_span.start),
    }
}

pub(crate) fn kind(document: &Document, member: &Member) -> EntryKind {
    let other = |reason: String| EntryKind::Other { reason };
    let node = &member.value;
    let Some(members) = node.members() else {
        return other(format!("it is {}, not an object", node.type_name()));
    };
    let mut duplicates: Vec<DuplicateKey> = Vec::new();
    document.find_duplicates(members.iter(), "", &mut duplicates);
    if let Some(DuplicateKey { place, lines: (first, second) }) = duplicates.first() {
        return other(format!("`{place}` stands twice in it (lines {first} and {second})"));
    }
    for key in FOREIGN_OWNERS {
        if node.get(key).is_some() {
            return other(format!("`{key}` says that somebody else looks after it"));
        }
    }
    let url = URL_KEYS.iter().find_map(|key| node.get(key));
    match (node.get("command"), url) {
        (Some(_), Some(_)) => other("it has both a command and a URL".to_owned()),
        (None, None) => other("it has neither a command nor a URL".to_owned()),
        (None, Some(url)) => match url.string() {
            Some(text) => EntryKind::Remote(remote(node, text)),
            None => other(format!("its URL is {}", url.type_name())),
        },
        (Some(command), None) => match command.string() {
            Some(text) => local(node, text),
            None => other(format!("its command is {}", command.type_name())),
        },
    }
}

fn remote(node: &Node, url: &str) -> Remote {
    let address = WebAddress::read(url);
    let transport = ["type", "transport"].iter().find_map(|key| node.get(key)?.string()).map(str::to_owned);
    let headers = strings_of(node.get("headers"));
    let headers = headers.iter().map(|(name, value)| judge_header(name, value)).collect();
    Remote { url: address.callable, host: address.host, transport, headers, user_info: address.user_info }
}

fn local(node: &Node, command: &str) -> EntryKind {
    let args = args_of(node);
    if let Some(ours) = ours(node, command, &args) {
        return EntryKind::Ours(ours);
    }
    let env = strings_of(node.get("env"));
    let words = argv::words(command, &args);
    let Some(found) = argv::mcp_remote(&words) else {
        return EntryKind::Local { program: argv::program(command) };
    };
    let address = WebAddress::read(&expand(&found.url, &env));
    let headers = found
        .headers
        .iter()
        .filter_map(|text| argv::header(text, &env))
        .map(|(name, value, _)| judge_header(&name, &value))
        .collect();
    EntryKind::McpRemote(Remote {
        url: address.callable,
        host: address.host,
        transport: found.transport,
        headers,
        user_info: address.user_info,
    })
}

/// Reads an entry of ours; `None` for anything else.
fn ours(node: &Node, command: &str, args: &[String]) -> Option<Ours> {
    if argv::program(command) != PROGRAM || args.first().map(String::as_str) != Some("bridge") {
        return None;
    }
    let value =
        |flag: &str| args.iter().position(|a| a == flag).and_then(|at| args.get(at + 1)).map(String::as_str);
    let server = ServerId::parse(value("--server")?).ok()?;
    let account = match value("--account") {
        Some(text) => Some(AccountId::parse(text).ok()?),
        None => None,
    };
    let app = value("--app").unwrap_or_default();
    let members = node.members().unwrap_or_default();
    let untouched = members.len() == 2 && args == arguments(app, &server, account.as_ref());
    Some(Ours { server, account, app: app.to_owned(), executable: command.to_owned(), untouched })
}

/// Reads the text of a value that should be an entry of ours.
pub(crate) fn ours_in(app: &'static ClientApp, text: &str) -> Option<Ours> {
    let whole = format!("{{\"{}\":{{\"x\":{text}}}}}", app.root_key);
    let document = Document::parse(whole.as_bytes(), app).ok()?;
    match kind(&document, document.entry("x")?) {
        EntryKind::Ours(ours) => Some(ours),
        EntryKind::Remote(_)
        | EntryKind::McpRemote(_)
        | EntryKind::Local { .. }
        | EntryKind::Other { .. } => None,
    }
}

/// The arguments of our bridge.
pub(crate) fn arguments(app: &str, server: &ServerId, account: Option<&AccountId>) -> Vec<String> {
    let mut args = vec!["bridge", "--app", app, "--server", server.as_str()];
    if let Some(account) = account {
        args.extend(["--account", account.as_str()]);
    }
    args.into_iter().map(str::to_owned).collect()
}

fn judge_header(name: &str, value: &str) -> Header {
    let value = if secret_rules::header(name, value).is_some() {
        HeaderValue::Secret
    } else if secret_rules::without_references(value) != value {
        HeaderValue::Reference
    } else if secret_rules::is_plain_header(name) {
        HeaderValue::Plain(value.to_owned())
    } else {
        HeaderValue::Unknown
    };
    Header { name: name.to_owned(), value }
}

fn expand(text: &str, env: &BTreeMap<String, String>) -> String {
    env.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${{{name}}}"), value))
}

/// The executable that configs name, without its ending.
const PROGRAM: &str = "hallpass";
const URL_KEYS: [&str; 4] = ["url", "serverUrl", "httpUrl", "uri"];
/// Members that say that a sandbox or an administrator's service owns the entry.
const FOREIGN_OWNERS: [&str; 3] = ["sandboxEnabled", "sandbox", "remoteConfigured"];
