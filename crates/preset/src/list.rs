//! An administrator's list: an MCP Registry v0.1 answer, with ours under `_meta["dev.hallpass/…"]`.
//!
//! Ours is read strictly: an unknown field or a wrong type refuses the file. The rest is read as a registry answer,
//! where other fields are none of our business. No type here has a field that is meant for a secret, and
//! [`List::parse`] refuses a file in which [`crate::lint`] finds one anywhere.

mod oauth;

use std::collections::{BTreeMap, BTreeSet};

use model::{ClientAppId, LoopbackSetting, UnixTime};
use serde_json::Value;

use crate::json::{self, JsonError};
use crate::lint::{self, Finding};
use crate::offer::{Offer, offer};
use crate::reader::{Fields, Misfit, Node};
use crate::timestamp::parse_time;
use crate::{PublicKey, Severity};

/// A list that may be shown, measured and merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Who it is; `None` for a plain registry answer, which can only be followed unverified.
    pub about: Option<About>,
    /// Its servers, in its order, one for each name.
    pub servers: Vec<ListedServer>,
    /// What is not forbidden and yet no good.
    pub warnings: Vec<Finding>,
}

/// What a list says of itself: `_meta["dev.hallpass/list"]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// `com.acme/dev-tools`.
    pub id: String,
    /// For people.
    pub title: String,
    /// Rises with every change.
    pub serial: u64,
    /// When it was made.
    pub issued: UnixTime,
    /// When it goes stale.
    pub expires: Option<UnixTime>,
    /// Whom to ask.
    pub contact: Option<String>,
    /// Keys that may sign the next one beside the present key.
    pub next_keys: Vec<PublicKey>,
}

/// A server of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedServer {
    /// `com.acme/tickets`: stable within the list.
    pub name: String,
    /// For people; the name where there is none.
    pub title: String,
    /// For people.
    pub description: Option<String>,
    /// The registry's status.
    pub status: Status,
    /// How it can be used.
    pub offer: Offer,
    /// It is installed without the person's choice. Void in an unverified list.
    pub mandatory: bool,
    /// The apps that it is meant for; empty: all.
    pub apps: BTreeSet<ClientAppId>,
    /// The Profile that it is meant for.
    pub profile: Option<String>,
    /// The one issuer that signs people in there.
    pub issuer: Option<String>,
    /// The public client id to use at that issuer.
    pub client_id: Option<String>,
    /// The client id metadata document to present there; empty: none. Never beside a client id.
    pub metadata_url: Option<String>,
    /// Where the browser comes back to.
    pub redirect: LoopbackSetting,
    /// Further parameters of the authorization request, by name.
    pub parameters: BTreeMap<String, String>,
    /// The scopes to ask for; empty: the server's own.
    pub scopes: BTreeSet<String>,
    /// Accounts must have a verified address of one of these domains; empty: no such rule.
    pub email_domains: BTreeSet<String>,
    /// It must not be used any more.
    pub revoked: Option<Revocation>,
}

/// `status` of a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// In use.
    Active,
    /// Still there, not for new people.
    Deprecated,
    /// As if it were not on the list.
    Deleted,
}

/// `revoked` of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Why, for people.
    pub reason: String,
    /// Since when.
    pub since: Option<UnixTime>,
}

/// So many servers a list may name.
pub const MAX_SERVERS: usize = 1000;

/// What the remote entries of `server.json` may hold besides.
pub(crate) const SERVER_KEY: &str = "dev.hallpass/server";
pub(crate) const LIST_KEY: &str = "dev.hallpass/list";
const OFFICIAL_KEY: &str = "io.modelcontextprotocol.registry/official";
const OURS: &str = "dev.hallpass/";

impl List {
    /// Reads the bytes of a list: limits, lint, form, in this order. Checks no signature and no serial.
    pub fn parse(bytes: &[u8]) -> Result<Self, ListError> {
        let value = json::parse(bytes)?;
        let (errors, warnings): (Vec<_>, Vec<_>) = lint::findings(&value)
            .into_iter()
            .partition(|finding| finding.rule.severity() == Severity::Error);
        if !errors.is_empty() {
            return Err(ListError::Lint(errors));
        }
        Ok(Self { warnings, ..read(&value)? })
    }

    /// The server of this name.
    pub fn server(&self, name: &str) -> Option<&ListedServer> {
        self.servers.iter().find(|server| server.name == name)
    }

    /// The same list as it counts when nobody vouches for it: nothing is mandatory.
    #[must_use]
    pub fn unverified(mut self) -> Self {
        for server in &mut self.servers {
            server.mandatory = false;
        }
        self
    }
}

/// Reads the form alone.
pub(crate) fn read(value: &Value) -> Result<List, Misfit> {
    let root = Node::root(value).object()?;
    let about = match root.lenient("_meta") {
        None => None,
        Some(meta) => {
            let meta = meta.object()?;
            meta.only_below(OURS, LIST_KEY)?;
            meta.get(LIST_KEY).map(|node| about(&node)).transpose()?
        }
    };
    let mut servers: Vec<(ListedServer, Latest)> = Vec::new();
    let entries = root.need("servers")?;
    if entries.list()?.len() > MAX_SERVERS {
        return Err(entries.misfit(format!("must name at most {MAX_SERVERS} servers")));
    }
    for entry in entries.list()? {
        let (server, latest) = listed(&entry)?;
        match servers.iter_mut().find(|(other, _)| other.name == server.name) {
            None => servers.push((server, latest)),
            Some(_) if about.is_some() => {
                return Err(entry.misfit("names a server that the list already has"));
            }
            // A registry answers with all versions; the latest counts, or the one that comes last.
            Some((_, Latest::Yes)) => {}
            Some(place) => *place = (server, latest),
        }
    }
    let servers = servers.into_iter().map(|(server, _)| server).collect();
    Ok(List { about, servers, warnings: Vec::new() })
}

fn about(node: &Node<'_>) -> Result<About, Misfit> {
    let fields = node.object()?;
    fields.only(&["id", "title", "serial", "issued", "expires", "contact", "nextKeys"])?;
    let issued = time(&fields.need("issued")?)?;
    let expires = fields.get("expires").map(|node| Ok((time(&node)?, node))).transpose()?;
    if let Some((expires, node)) = &expires
        && *expires <= issued
    {
        return Err(node.misfit("must be later than \"issued\""));
    }
    let mut next_keys = Vec::new();
    if let Some(node) = fields.get("nextKeys") {
        for key in node.list()? {
            next_keys.push(
                PublicKey::parse(key.text()?)
                    .map_err(|error| key.misfit(format!("holds no key: {error}")))?,
            );
        }
        if next_keys.len() > 2 {
            return Err(node.misfit("must hold at most two keys"));
        }
    }
    Ok(About {
        id: name(&fields.need("id")?)?,
        title: fields.need("title")?.line(100).map(clean)?,
        serial: fields.need("serial")?.number()?,
        issued,
        expires: expires.map(|(time, _)| time),
        contact: fields.get("contact").map(|node| node.line(200).map(clean)).transpose()?,
        next_keys,
    })
}

/// Whether a registry says that this version of a server is the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Latest {
    Yes,
    Unsaid,
}

fn listed(entry: &Node<'_>) -> Result<(ListedServer, Latest), Misfit> {
    let fields = entry.object()?;
    let server = fields.need("server")?.object()?;
    let (mut ours, mut official) = (None, None);
    if let Some(meta) = fields.lenient("_meta") {
        let meta = meta.object()?;
        meta.only_below(OURS, SERVER_KEY)?;
        ours = meta.get(SERVER_KEY).map(|node| node.object()).transpose()?;
        official = meta.lenient(OFFICIAL_KEY).map(|node| node.object()).transpose()?;
    }
    let latest = official.as_ref().and_then(|meta| meta.lenient("isLatest")?.value.as_bool());
    let status =
        official.as_ref().and_then(|meta| meta.lenient("status")).or_else(|| server.lenient("status"));
    let name = name(&server.need("name")?)?;
    let words =
        |field: &str, max| Some(cut(server.lenient(field)?.value.as_str()?, max)).filter(|t| !t.is_empty());
    let mut listed = ListedServer {
        title: words("title", 100).unwrap_or_else(|| name.clone()),
        description: words("description", 400),
        name,
        status: Status::Active,
        offer: offer(&server)?,
        mandatory: false,
        apps: BTreeSet::new(),
        profile: None,
        issuer: None,
        client_id: None,
        metadata_url: None,
        redirect: LoopbackSetting::default(),
        parameters: BTreeMap::new(),
        scopes: BTreeSet::new(),
        email_domains: BTreeSet::new(),
        revoked: None,
    };
    match status.and_then(|node| node.value.as_str()) {
        None | Some("active") => {}
        Some("deprecated") => listed.status = Status::Deprecated,
        Some("deleted") => listed.status = Status::Deleted,
        Some(_) => listed.offer = Offer::unknown_status(),
    }
    if let Some(ours) = ours {
        extras(&ours, &mut listed)?;
    }
    Ok((listed, if latest == Some(true) { Latest::Yes } else { Latest::Unsaid }))
}

fn extras(ours: &Fields<'_>, listed: &mut ListedServer) -> Result<(), Misfit> {
    ours.only(&["mandatory", "apps", "profile", "oauth", "account", "revoked"])?;
    listed.mandatory = ours.get("mandatory").map_or(Ok(false), |node| node.flag())?;
    listed.apps = set(ours.get("apps"), |node| {
        ClientAppId::parse(node.text()?).map_err(|_| node.misfit("must be an app's id, such as \"cursor\""))
    })?;
    listed.profile = ours.get("profile").map(|node| node.line(100).map(clean)).transpose()?;
    if let Some(oauth) = ours.get("oauth") {
        oauth::read(&oauth, listed)?;
    }
    if let Some(account) = ours.get("account") {
        let node = account.clone();
        let account = account.object()?;
        account.only(&["emailDomains"])?;
        listed.email_domains = set(account.get("emailDomains"), domain)?;
        if listed.email_domains.is_empty() {
            return Err(node.misfit("must name at least one domain in \"emailDomains\""));
        }
    }
    if let Some(revoked) = ours.get("revoked") {
        let revoked = revoked.object()?;
        revoked.only(&["reason", "since"])?;
        listed.revoked = Some(Revocation {
            reason: revoked.need("reason")?.line(300).map(clean)?,
            since: revoked.get("since").map(|node| time(&node)).transpose()?,
        });
    }
    Ok(())
}

fn set<T: Ord>(
    node: Option<Node<'_>>,
    read: impl Fn(&Node<'_>) -> Result<T, Misfit>,
) -> Result<BTreeSet<T>, Misfit> {
    node.map_or(Ok(BTreeSet::new()), |node| node.list()?.iter().map(read).collect())
}

/// `com.acme/tickets`, as the registry has it.
fn name(node: &Node<'_>) -> Result<String, Misfit> {
    let text = node.text()?;
    let part = |text: &str, more: &[char]| {
        !text.is_empty()
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-') || more.contains(&c))
    };
    match text.split_once('/') {
        Some((space, rest)) if text.len() <= 200 && part(space, &[]) && part(rest, &['_']) => {
            Ok(text.to_owned())
        }
        Some(_) | None => Err(node.misfit("must be a name such as \"com.acme/tickets\"")),
    }
}

fn time(node: &Node<'_>) -> Result<UnixTime, Misfit> {
    parse_time(node.text()?).ok_or_else(|| node.misfit("must be a time such as \"2026-11-20T00:00:00Z\""))
}

fn domain(node: &Node<'_>) -> Result<String, Misfit> {
    let text = node.text()?.to_ascii_lowercase();
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if text.len() <= 253 && text.contains('.') && text.split('.').all(label) {
        Ok(text)
    } else {
        Err(node.misfit("must be a mail domain such as \"acme.example\""))
    }
}

/// Without what turns the reading direction or cannot be seen.
fn clean(text: &str) -> String {
    text.chars().filter(|c| !lint::is_invisible(*c)).collect::<String>().trim().to_owned()
}

/// For words that are not ours: cleaned, on one line, and cut.
fn cut(text: &str, max: usize) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    clean(&line).chars().take(max).collect()
}

/// Why bytes are no list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// Size, depth, a key twice, not JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Of another form.
    #[error("the list does not fit its format: {0}")]
    Misfit(#[from] Misfit),
    /// It breaks a rule, P01 to P08. Never empty.
    #[error("the list breaks a rule: {}", .0.first().map_or(String::new(), Finding::to_string))]
    Lint(Vec<Finding>),
}

#[cfg(test)]
mod tests;
