//! What a list would change here, decided before anything changes. Pure: state and list in, plan out.
//!
//! A Server is its canonical URL, the issuer that signs people in and the client id (or the URL of the client id
//! metadata document), within one list name. Where one
//! of these changes, it is another Server: it gets another id, and no Grant, Selection or Binding points at it. The
//! old one stays, marked as gone from the list.

mod apply;
mod identity;
mod item;

use std::collections::{BTreeMap, BTreeSet};

use model::{Endpoint, Listing, ListingStanding, PresetId, Server, ServerId, State};

use crate::look_alike::{self, Known, Suspicion};
use crate::offer::Remote;
use crate::{List, ListedServer, Offer, Revocation, Status, Trust};

pub use apply::{Applied, apply};
pub use item::{Change, Item, MergePlan, Shown, Warning, What};

use identity::{is_of, listing_of, same_headers, same_server};

/// Where a list comes from.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The subscription.
    pub preset: &'a PresetId,
    /// What people call the list.
    pub title: &'a str,
    /// Who vouches for it.
    pub trust: &'a Trust,
    /// Names on it that the person removed.
    pub removed: &'a BTreeSet<String>,
}

/// Compares a list with the state.
pub fn merge(state: &State, source: Source<'_>, list: &List) -> MergePlan {
    let mut merging = Merging::new(state, source);
    for entry in list.servers.iter().filter(|entry| entry.status != Status::Deleted) {
        match (&entry.revoked, &entry.offer) {
            (Some(revocation), _) => merging.revoke(entry, revocation),
            (None, Offer::Remote(remote)) => merging.remote(entry, remote),
            (None, Offer::Unsupported { reason }) => merging.unsupported(entry, reason),
        }
    }
    merging.gone();
    MergePlan { preset: source.preset.clone(), title: source.title.to_owned(), items: merging.items }
}

struct Merging<'a> {
    state: &'a State,
    source: Source<'a>,
    items: Vec<Item>,
    /// Servers of the state that the list still names, by id and name.
    kept: BTreeSet<(ServerId, String)>,
    /// Ids that the plan gives out.
    ids: BTreeSet<ServerId>,
    /// Servers of the state, by canonical URL.
    at: BTreeMap<String, Vec<&'a Server>>,
    /// What the list stands for so far, by canonical URL.
    taken: BTreeMap<String, Vec<Taken>>,
    /// Hosts of the state's Servers and issuers.
    hosts: Known,
    /// Servers of the state, by label in lower case.
    labels: BTreeMap<String, &'a ServerId>,
}

/// A Server that an entry stands for.
struct Taken {
    server: ServerId,
    headers: BTreeMap<String, String>,
}

impl<'a> Merging<'a> {
    /// Looks everything of the state up once: a list may hold a thousand servers, and the state as many.
    fn new(state: &'a State, source: Source<'a>) -> Self {
        let mut at = BTreeMap::<String, Vec<&Server>>::new();
        let mut labels = BTreeMap::new();
        let mut hosts = BTreeSet::new();
        for server in state.servers.values() {
            at.entry(server.endpoint.canonical()).or_default().push(server);
            labels.entry(server.label.to_lowercase()).or_insert(&server.id);
            hosts.insert(host_of(&server.endpoint));
            let issuer = server.issuer.as_deref().and_then(|issuer| Endpoint::parse(issuer).ok());
            hosts.extend(issuer.as_ref().map(host_of));
        }
        Self {
            state,
            source,
            items: Vec::new(),
            kept: BTreeSet::new(),
            ids: BTreeSet::new(),
            at,
            taken: BTreeMap::new(),
            hosts: Known::new(hosts),
            labels,
        }
    }

    fn revoke(&mut self, entry: &ListedServer, revocation: &Revocation) {
        for (server, known) in self.mine(&entry.name) {
            let standing =
                ListingStanding::Revoked { reason: revocation.reason.clone(), since: revocation.since };
            let what = if known.standing == standing { What::Same } else { What::Revoked { standing } };
            self.keep(entry, server, what);
        }
    }

    /// Still on the list, if only in a form that we cannot use: what came of it before counts as gone from it.
    fn unsupported(&mut self, entry: &ListedServer, reason: &str) {
        self.items.push(Item {
            name: entry.name.clone(),
            server: None,
            shown: Shown::of_entry(self.source.title, entry),
            what: What::Unsupported { reason: reason.to_owned() },
            warnings: Vec::new(),
        });
    }

    fn remote(&mut self, entry: &ListedServer, remote: &Remote) {
        let listing = listing_of(entry, self.source);
        // The Server that this list brought under this name and that is still the same.
        let same =
            self.mine(&entry.name).find(|(server, known)| same_server(server, Some(known), entry, remote));
        if let Some((server, known)) = same {
            let what = changed(server, known, listing, remote);
            return self.keep(entry, server, what);
        }
        // What a list makes mandatory is nothing that a person can do without.
        if self.source.removed.contains(&entry.name) && !listing.mandatory {
            let shown = Shown::of_entry(self.source.title, entry);
            let item = Item {
                name: entry.name.clone(),
                server: None,
                shown,
                what: What::Removed,
                warnings: Vec::new(),
            };
            return self.items.push(item);
        }
        let listed_first = |listing: &Listing| listing.standing != ListingStanding::Listed;
        let before = self.mine(&entry.name).min_by_key(|(_, known)| listed_first(known));
        let replaces = before.map(|(server, _)| server.id.clone());
        let twice = self.twice(remote);
        let url = remote.endpoint.canonical();
        let here = self.at.get(&url).into_iter().flatten().copied();
        let at_url: Vec<&Server> = here.filter(|server| Some(&server.id) != replaces.as_ref()).collect();
        let joined = at_url.iter().find(|server| same_server(server, None, entry, remote));
        if let (Some(server), None) = (joined, &twice) {
            return self.keep(entry, server, What::Joins { listing: Box::new(listing), replaces });
        }
        let server = Box::new(self.new_server(entry, remote, listing));
        let mut warnings = self.warnings(entry, remote);
        if twice.is_some() {
            warnings.push(Warning::TwiceOnTheList);
        }
        let id = server.id.clone();
        let taken = Taken { server: id.clone(), headers: remote.headers.clone() };
        self.taken.entry(url).or_default().push(taken);
        let what = match twice.or_else(|| at_url.first().map(|server| server.id.clone())) {
            Some(with) => What::Clash { with, server, replaces },
            None => What::New { server, replaces },
        };
        let shown = Shown::of_entry(self.source.title, entry);
        self.items.push(Item { name: entry.name.clone(), server: Some(id), shown, what, warnings });
    }

    fn keep(&mut self, entry: &ListedServer, server: &Server, what: What) {
        let taken = self.taken.entry(server.endpoint.canonical()).or_default();
        taken.push(Taken { server: server.id.clone(), headers: server.headers.clone() });
        self.kept.insert((server.id.clone(), entry.name.clone()));
        let warnings =
            if entry.status == Status::Deprecated { vec![Warning::Deprecated] } else { Vec::new() };
        self.items.push(Item {
            name: entry.name.clone(),
            server: Some(server.id.clone()),
            shown: Shown::of_entry(self.source.title, entry).at(server),
            what,
            warnings,
        });
    }

    /// The Server that another entry of this list already stands for, if this one has its URL and headers.
    fn twice(&self, remote: &Remote) -> Option<ServerId> {
        let taken = self.taken.get(&remote.endpoint.canonical())?;
        let taken = taken.iter().find(|taken| same_headers(&taken.headers, &remote.headers))?;
        Some(taken.server.clone())
    }

    fn gone(&mut self) {
        let mut gone = Vec::new();
        for server in self.state.servers.values() {
            for listing in server.in_force().filter(|listing| listing.preset == *self.source.preset) {
                if !self.kept.contains(&(server.id.clone(), listing.name.clone())) {
                    gone.push(Item {
                        name: listing.name.clone(),
                        server: Some(server.id.clone()),
                        shown: Shown::of_server(self.source.title, server, listing),
                        what: What::Gone {
                            moved_to: self.items.iter().find_map(|item| item.replacement_of(&server.id)),
                        },
                        warnings: Vec::new(),
                    });
                }
            }
        }
        self.items.extend(gone);
    }

    fn new_server(&mut self, entry: &ListedServer, remote: &Remote, listing: Listing) -> Server {
        let host = remote.endpoint.url().host_str().unwrap_or("server").to_owned();
        let taken = |id: &ServerId| self.state.servers.contains_key(id) || self.ids.contains(id);
        let wish = entry.name.rsplit('/').next().filter(|last| !last.is_empty()).unwrap_or(&host);
        let id = ServerId::suggest(wish, taken);
        self.ids.insert(id.clone());
        identity::new_server(id, entry, remote, listing, self.source)
    }

    fn warnings(&self, entry: &ListedServer, remote: &Remote) -> Vec<Warning> {
        let mut warnings = Vec::new();
        let issuer = entry.issuer.as_deref().and_then(|issuer| Endpoint::parse(issuer).ok());
        for host in [Some(&remote.endpoint), issuer.as_ref()].into_iter().flatten().map(host_of) {
            let suspicion = self.hosts.judge(&host);
            let warning = suspicion.map(|suspicion| match suspicion {
                Suspicion::LooksLike(like) => Warning::LookAlike { host, like },
                Suspicion::MixedScript => Warning::MixedScript { seen: look_alike::unicode(&host), host },
                Suspicion::International => Warning::International { seen: look_alike::unicode(&host), host },
            });
            warnings.extend(warning.filter(|warning| !warnings.contains(warning)));
        }
        if let Some(server) = self.labels.get(&entry.title.to_lowercase()) {
            warnings.push(Warning::LabelTaken { server: (*server).clone() });
        }
        if entry.status == Status::Deprecated {
            warnings.push(Warning::Deprecated);
        }
        if remote.endpoint.reach() == model::Reach::Private && *self.source.trust == Trust::Unverified {
            warnings.push(Warning::PrivateNetwork);
        }
        warnings
    }

    /// Servers that this list names or named so.
    fn mine<'s>(&self, name: &'s str) -> impl Iterator<Item = (&'a Server, &'a Listing)> + use<'a, 's> {
        let preset = self.source.preset;
        self.state.servers.values().filter_map(move |server| Some((server, server.listing(preset, name)?)))
    }
}

fn host_of(endpoint: &Endpoint) -> String {
    endpoint.url().host_str().map(str::to_owned).unwrap_or_default()
}

/// What changed of a Server that stayed itself.
fn changed(server: &Server, known: &Listing, new: Listing, remote: &Remote) -> What {
    let mut changes = Vec::new();
    match &known.standing {
        ListingStanding::Listed => {}
        ListingStanding::Gone => changes.push(Change::BackOnTheList),
        ListingStanding::Revoked { .. } => changes.push(Change::NoLongerRevoked),
    }
    // No scopes named means whatever the server asks for: that is wider than any list of them.
    if !known.scopes.is_empty() && (new.scopes.is_empty() || !new.scopes.is_subset(&known.scopes)) {
        changes.push(Change::WiderScopes { added: new.scopes.difference(&known.scopes).cloned().collect() });
    }
    let domains = (&known.email_domains, &new.email_domains);
    if !domains.0.is_empty() && (domains.1.is_empty() || !domains.1.is_subset(domains.0)) {
        changes.push(Change::WiderAccounts);
    }
    if !same_headers(&server.headers, &remote.headers) {
        changes.push(Change::Headers);
    }
    // What a Server from elsewhere is set to stays its person's.
    if is_of(server, known) {
        if new.redirect != known.redirect {
            changes.push(Change::Redirect);
        }
        if new.parameters != known.parameters {
            changes.push(Change::Parameters);
        }
    }
    if new.mandatory && !known.mandatory {
        changes.push(Change::Mandatory);
    }
    let listing = Box::new(Listing { extra: known.extra.clone(), ..new });
    if !changes.is_empty() {
        return What::Changed { changes, listing, headers: remote.headers.clone() };
    }
    if *known == *listing { What::Same } else { What::Wording { listing } }
}

#[cfg(test)]
mod tests;
