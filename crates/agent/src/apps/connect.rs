//! Which entries of a file become ours: those that call a Server of ours, those that call one that people
//! can sign in to, and a new one for each Server that the file does not name yet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use client_config::{Change, Entry, EntryKind, Remote, Target, entries};
use ipc::{Error, ErrorCode, PlanView, PlannedEntry, PlannedKind};
use model::{
    AccountId, AuthKind, ClientAppId, Endpoint, Origin, Reach, RegistrationChoice, Server, ServerId,
};
use oauth::{Discovered, ServerPin};

use super::{Prepared, known, parse, unusable};
use crate::agent::Agent;
use crate::network::Access;
use crate::{error, people};

/// What is found out about a file before it is planned for.
#[derive(Default)]
struct Findings {
    changes: Vec<Change>,
    /// Servers that will be added with the change.
    new_servers: Vec<Server>,
    /// Entries that are left, and why.
    left: Vec<PlannedEntry>,
    /// Servers that an entry names already or will name.
    named: BTreeSet<ServerId>,
}

impl Agent {
    /// Works out how an app's file would change to call our bridges.
    pub(crate) async fn plan_connect(
        self: &Arc<Self>,
        app: &ClientAppId,
        location: &BTreeMap<String, String>,
        only: Option<&[ServerId]>,
        account: Option<&str>,
    ) -> Result<PlanView, Error> {
        let app = known(app)?;
        let account = self.pinned(account, only)?;
        let (path, bytes) = self.file(app, location)?;
        if let Some(folder) = path.parent().filter(|folder| bytes.is_none() && !folder.is_dir()) {
            return Err(Error::new(
                ErrorCode::NotFound,
                format!("{} has never been started here: {} does not exist", app.name, folder.display()),
            )
            .hint(format!("install {} and start it once, then try again", app.name)));
        }
        let document = parse(app, bytes.as_deref()).map_err(|e| unusable(&path, &e))?;
        let mut found = Findings::default();
        for entry in entries(&document) {
            self.look_at(&entry, &app.app_id(), only, account.as_ref(), &mut found).await?;
        }
        let taken: BTreeSet<String> = entries(&document).into_iter().map(|e| e.name).collect();
        self.add_missing(only, account.as_ref(), &taken, &mut found);
        let executable = platform::publish::entry_executable(&self.root);
        let Some(executable) = executable.to_str() else {
            return Err(Error::new(ErrorCode::Failed, "the home folder's path is not readable text")
                .hint("configurations cannot name such a path; use another home folder"));
        };
        let target = Target { path: &path, bytes: bytes.as_deref(), app };
        let plan =
            client_config::plan(target, &found.changes, executable).map_err(|e| unusable(&path, &e))?;
        let mut view = plan.view();
        view.entries.extend(found.left);
        if view.secrets_moved > 0 {
            view.notes.push(
                "tokens that stood in this file may also be in backups and in its history: replace them at their issuer"
                    .to_owned(),
            );
        }
        for server in &found.new_servers {
            view.notes.push(format!(
                "{} is added as {}; sign in with: hallpass login {}",
                server.endpoint.as_str(),
                server.id,
                server.id
            ));
        }
        self.plans.keep(&view.digest, Prepared::Connect { plan, new_servers: found.new_servers });
        Ok(view)
    }

    /// The Account that entries shall pin: it must be signed in at every Server concerned.
    fn pinned(&self, account: Option<&str>, only: Option<&[ServerId]>) -> Result<Option<AccountId>, Error> {
        self.read(|state| {
            if let Some(missing) = only.unwrap_or_default().iter().find(|id| !state.servers.contains_key(id))
            {
                return Err(error::no_server(missing));
            }
            let Some(name) = account else { return Ok(None) };
            let account = people::resolve(state, None, name)?;
            let servers: Vec<&ServerId> = match only {
                Some(only) => only.iter().collect(),
                None => state.servers.keys().collect(),
            };
            match servers.iter().find(|server| state.grant(&account.id, server).is_none()) {
                Some(server) => Err(Error::new(
                    ErrorCode::SignInNeeded,
                    format!("{} is not signed in to {server}", account.label),
                )
                .hint(format!("name the servers with --servers, or run: hallpass login {server}"))),
                None => Ok(Some(account.id.clone())),
            }
        })
    }

    async fn look_at(
        self: &Arc<Self>,
        entry: &Entry,
        app: &ClientAppId,
        only: Option<&[ServerId]>,
        account: Option<&AccountId>,
        found: &mut Findings,
    ) -> Result<(), Error> {
        let wanted = |id: &ServerId| only.is_none_or(|only| only.contains(id));
        let remote = match &entry.kind {
            EntryKind::Ours(ours) => {
                found.named.insert(ours.server.clone());
                if wanted(&ours.server) && self.read(|s| s.servers.contains_key(&ours.server)) {
                    // An entry keeps the Account that it pins unless another one is asked for.
                    let account = account.or(ours.account.as_ref()).cloned();
                    found.changes.push(Change::Connect {
                        entry: entry.name.clone(),
                        server: ours.server.clone(),
                        account,
                    });
                }
                return Ok(());
            }
            EntryKind::Remote(remote) | EntryKind::McpRemote(remote) => remote,
            EntryKind::Local { program } => {
                let reason = match entry.findings.len() {
                    0 => format!("it starts a local command ({program})"),
                    n => format!(
                        "it starts a local command ({program}) with {n} secret(s) in plain text, which is left as it is"
                    ),
                };
                found.left.push(left(entry, reason));
                return Ok(());
            }
            EntryKind::Other { reason } => {
                found.left.push(left(entry, reason.clone()));
                return Ok(());
            }
        };
        match self.server_for(entry, remote, app, &found.new_servers).await {
            Ok(Found::Known(server)) if wanted(&server) => connect(entry, server, account, found),
            Ok(Found::New(server)) if only.is_none() => {
                connect(entry, server.id.clone(), account, found);
                found.new_servers.push(*server);
            }
            Ok(Found::Known(_) | Found::New(_)) => {
                found.left.push(left(entry, "it was not asked for".to_owned()));
            }
            Err(reason) => found.left.push(left(entry, reason)),
        }
        Ok(())
    }

    /// The Server that a remote entry calls; the `Err` says why the entry is left.
    async fn server_for(
        self: &Arc<Self>,
        entry: &Entry,
        remote: &Remote,
        app: &ClientAppId,
        pending: &[Server],
    ) -> Result<Found, String> {
        let Some(url) = &remote.url else {
            return Err("its address cannot be used without what is secret or variable in it".to_owned());
        };
        let endpoint = Endpoint::parse(url).map_err(|e| e.to_string())?;
        let headers = remote.kept_headers().map_err(|name| client_config::unknown_header(&name))?;
        let same = |s: &Server| s.endpoint == endpoint && s.headers == headers;
        if let Some(known) = self.read(|state| state.servers.values().find(|s| same(s)).cloned()) {
            return match known.auth {
                AuthKind::None if !entry.findings.is_empty() => {
                    Err(format!("{} takes nobody's sign-in, so its token would be lost", known.id))
                }
                AuthKind::IdentityProvider => {
                    Err(format!("{} is an identity provider, no MCP server", known.id))
                }
                AuthKind::None | AuthKind::Oauth | AuthKind::Bearer => Ok(Found::Known(known.id)),
            };
        }
        if let Some(new) = pending.iter().find(|s| same(s)) {
            return Ok(Found::Known(new.id.clone()));
        }
        if endpoint.reach() == Reach::Private {
            return Err("it lies in a private network; add it yourself with --private-network".to_owned());
        }
        let discovered =
            self.discover_at(&endpoint, &headers, Access::default(), ServerPin::default(), &mut |_| {}).await;
        match discovered {
            Ok(Discovered::Protected(protected)) => {
                let taken = |id: &ServerId| {
                    pending.iter().any(|s| s.id == *id) || self.read(|state| state.servers.contains_key(id))
                };
                Ok(Found::New(Box::new(Server {
                    id: ServerId::suggest(&entry.name, taken),
                    label: entry.name.clone(),
                    endpoint,
                    headers,
                    auth: AuthKind::Oauth,
                    origin: Origin::Imported { app: app.clone() },
                    issuer: Some(protected.issuer),
                    registration: RegistrationChoice::default(),
                    whoami: None,
                    private_network: false,
                    authority: None,
                    era: None,
                    listings: Vec::new(),
                    extra: serde_json::Map::new(),
                })))
            }
            Ok(Discovered::Open) => Err("its server offers no way to sign in".to_owned()),
            Err(error) => Err(format!("no way to sign in was found: {}", error.message)),
        }
    }

    /// A new entry for each Server that the file does not name.
    fn add_missing(
        &self,
        only: Option<&[ServerId]>,
        account: Option<&AccountId>,
        taken: &BTreeSet<String>,
        found: &mut Findings,
    ) {
        let is_mcp = |server: &&Server| server.auth != AuthKind::IdentityProvider;
        let servers: Vec<ServerId> = self
            .read(|state| state.servers.values().filter(is_mcp).map(|server| server.id.clone()).collect());
        for server in servers {
            let wanted = only.is_none_or(|only| only.contains(&server));
            if !wanted || found.named.contains(&server) {
                continue;
            }
            let entry = model::free_name(server.as_str(), "-", "", |name| taken.contains(name));
            found.changes.push(Change::Connect { entry, server, account: account.cloned() });
        }
    }
}

enum Found {
    Known(ServerId),
    New(Box<Server>),
}

fn connect(entry: &Entry, server: ServerId, account: Option<&AccountId>, found: &mut Findings) {
    found.named.insert(server.clone());
    found.changes.push(Change::Connect { entry: entry.name.clone(), server, account: account.cloned() });
}

fn left(entry: &Entry, reason: String) -> PlannedEntry {
    PlannedEntry { name: entry.name.clone(), kind: PlannedKind::Keep, reason, server: None }
}
