//! What could be added: servers in pasted text and in other apps' files. Nothing is kept and nothing changed.

use std::collections::BTreeMap;

use client_config::{ClientApp, Entry, EntryKind, Scope};
use ipc::{Error, FoundServerView, PastedListView, PastedServerView, PastedView};
use model::{ClientAppId, Endpoint, Reach, ServerId, visible};

use crate::agent::Agent;
use crate::servers::known_as;

impl Agent {
    /// Works out what a pasted text means.
    pub(crate) fn read_paste(&self, text: &str) -> PastedView {
        let pasted = client_config::read_pasted(text);
        let server = |one: client_config::PastedServer| PastedServerView {
            server: self.known_as(one.url.as_deref(), &one.headers),
            label: one.label,
            url: one.url,
            headers: one.headers,
            secrets: one.secrets,
            problem: one.problem,
        };
        let list = |one: client_config::PastedList| PastedListView {
            source: one.source,
            key_words: one.key.as_deref().and_then(eight_words),
            key: one.key,
        };
        PastedView {
            read_as: pasted.read_as,
            servers: pasted.servers.into_iter().map(server).collect(),
            lists: pasted.lists.into_iter().map(list).collect(),
            problem: pasted.problem,
        }
    }

    /// Looks through the files of every app that we know. Entries of ours are left out.
    pub(crate) fn find_servers(
        &self,
        location: &BTreeMap<String, String>,
    ) -> Result<Vec<FoundServerView>, Error> {
        let mut found: Vec<FoundServerView> = Vec::new();
        for (app, entry) in self.foreign_entries(location)? {
            let view = self.found_server(&app, &entry);
            match found.iter_mut().find(|known| is_same(known, &view)) {
                Some(known) => {
                    if !known.apps.contains(&app) {
                        known.apps.push(app);
                    }
                    known.secrets.extend(view.secrets);
                }
                None => found.push(view),
            }
        }
        found.sort_by_key(|one| one.name.to_lowercase());
        Ok(found)
    }

    fn foreign_entries(
        &self,
        location: &BTreeMap<String, String>,
    ) -> Result<Vec<(ClientAppId, Entry)>, Error> {
        let env = self.location_env(location)?;
        let mut all = Vec::new();
        for app in client_config::CLIENT_APPS {
            for located in client_config::locate(platform::Os::current(), &env, app) {
                if located.exists && located.scope != Scope::Project {
                    let entries = entries_of(app, &located.path);
                    all.extend(entries.into_iter().map(|entry| (app.app_id(), entry)));
                }
            }
        }
        Ok(all)
    }

    fn found_server(&self, app: &ClientAppId, entry: &Entry) -> FoundServerView {
        let mut view = FoundServerView {
            name: visible(&entry.name, 100),
            url: None,
            headers: BTreeMap::new(),
            apps: vec![app.clone()],
            secrets: entry.findings.iter().map(|f| format!("{} in {}", f.kind, f.place)).collect(),
            server: None,
            problem: None,
        };
        view.problem = match &entry.kind {
            EntryKind::Remote(remote) | EntryKind::McpRemote(remote) => match &remote.url {
                None => {
                    Some("its address cannot be used without what is secret or variable in it".to_owned())
                }
                Some(url) => {
                    let (headers, odd) = match remote.kept_headers() {
                        Ok(headers) => (headers, None),
                        Err(name) => (BTreeMap::new(), Some(client_config::unknown_header(&name))),
                    };
                    view.url = Some(url.clone());
                    view.headers = headers;
                    odd.or_else(|| cannot_be_added(url))
                }
            },
            EntryKind::Local { program } => Some(client_config::starts_a_command(program)),
            EntryKind::Ours(_) => Some("it is an entry of Hallpass".to_owned()),
            EntryKind::Other { reason } => Some(reason.clone()),
        };
        view.server = self.known_as(view.url.as_deref(), &view.headers).filter(|_| view.problem.is_none());
        view
    }

    /// The Server with this URL and these headers, if it is there already.
    fn known_as(&self, url: Option<&str>, headers: &BTreeMap<String, String>) -> Option<ServerId> {
        let endpoint = Endpoint::parse(url?).ok()?;
        self.read(|state| known_as(state, &endpoint, headers))
    }
}

/// The entries of a file that can be read; the list of apps says what is wrong with one that cannot.
fn entries_of(app: &'static ClientApp, path: &std::path::Path) -> Vec<Entry> {
    let Ok(Some(bytes)) = client_config::read(path) else { return Vec::new() };
    let Ok(document) = client_config::Document::parse(&bytes, app) else { return Vec::new() };
    let mut entries = client_config::entries(&document);
    entries.retain(|entry| !matches!(entry.kind, EntryKind::Ours(_)));
    entries
}

fn cannot_be_added(url: &str) -> Option<String> {
    match Endpoint::parse(url) {
        Err(error) => Some(error.to_string()),
        Ok(endpoint) if endpoint.reach() == Reach::Private => {
            Some("it lies in a private network; add it yourself with --private-network".to_owned())
        }
        Ok(_) => None,
    }
}

/// One Server: the same URL and headers. What has no URL is the same by its name and why.
fn is_same(one: &FoundServerView, other: &FoundServerView) -> bool {
    match (&one.url, &other.url) {
        (Some(url), Some(theirs)) => {
            let canonical = |url: &str| Endpoint::parse(url).map(|endpoint| endpoint.canonical()).ok();
            let same_url = url == theirs || canonical(url).is_some_and(|url| canonical(theirs) == Some(url));
            same_url && one.headers == other.headers && one.problem == other.problem
        }
        (None, None) => one.name == other.name && one.problem == other.problem,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// A publisher's key as words that people can compare.
fn eight_words(key: &str) -> Option<String> {
    preset::PublicKey::parse(key).ok().map(|key| key.eight_words())
}
