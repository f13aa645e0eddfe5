//! When two descriptions are one Server.

use std::collections::{BTreeMap, BTreeSet};

use model::{
    AuthKind, Listing, ListingStanding, Origin, RegistrationChoice, Server, ServerId, TokenEndpointAuth,
};

use super::Source;
use crate::offer::Remote;
use crate::{ListedServer, Trust};

/// Whether an entry stands for this Server: URL, issuer, client id and tenant agree. `known` is what the same list said
/// of it before; without it, the Server came from elsewhere.
pub(super) fn same_server(
    server: &Server,
    known: Option<&Listing>,
    entry: &ListedServer,
    remote: &Remote,
) -> bool {
    let settings = if known.is_some_and(|known| is_of(server, known)) {
        tenants(&server.headers) == tenants(&remote.headers)
    } else {
        same_headers(&server.headers, &remote.headers) && agrees(server, entry)
    };
    server.endpoint.canonical() == remote.endpoint.canonical()
        && settings
        && same_issuer(server, known, entry)
        && same_client(server, known, entry)
}

/// Whether it was this list that brought the Server here, so that the list may change its settings.
pub(super) fn is_of(server: &Server, known: &Listing) -> bool {
    match &server.origin {
        Origin::Preset { preset, .. } => *preset == known.preset,
        Origin::HandMade | Origin::Imported { .. } => false,
    }
}

/// Whether a Server that came from elsewhere signs people in as the entry wants it, if it wants anything.
fn agrees(server: &Server, entry: &ListedServer) -> bool {
    let registration = &server.registration;
    (entry.redirect.is_default() || entry.redirect == registration.redirect)
        && (entry.parameters.is_empty() || entry.parameters == registration.parameters)
}

fn same_issuer(server: &Server, known: Option<&Listing>, entry: &ListedServer) -> bool {
    let pinned = known.map_or_else(|| server.pinned_issuer(), |known| known.issuer.as_deref());
    match (pinned, entry.issuer.as_deref()) {
        (Some(pinned), Some(issuer)) => pinned == issuer,
        // The list gave up its pin: another issuer could sign people in from now on.
        (Some(_), None) => known.is_none(),
        // A first pin must name the issuer that the server named itself.
        (None, Some(issuer)) => server.issuer.as_deref().is_none_or(|named| named == issuer),
        (None, None) => true,
    }
}

/// The URL of a client id metadata document is a client id.
fn same_client(server: &Server, known: Option<&Listing>, entry: &ListedServer) -> bool {
    if let Some(known) = known {
        return (&known.client_id, &known.metadata_url) == (&entry.client_id, &entry.metadata_url);
    }
    let has = &server.registration;
    (entry.client_id.is_none() || entry.client_id == has.client_id)
        && (entry.metadata_url.is_none() || entry.metadata_url == has.metadata_url)
}

/// Header names compare without case.
pub(super) fn same_headers(one: &BTreeMap<String, String>, other: &BTreeMap<String, String>) -> bool {
    lower(one) == lower(other)
}

/// Headers that say for whom a call is made; a token must not follow from one tenant to another.
fn tenants(headers: &BTreeMap<String, String>) -> BTreeSet<(String, String)> {
    lower(headers)
        .into_iter()
        .filter(|(name, _)| TENANT_WORDS.iter().any(|word| name.contains(word)))
        .collect()
}

fn lower(headers: &BTreeMap<String, String>) -> BTreeSet<(String, String)> {
    headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect()
}

/// What a list says of a Server, as it is kept.
pub(super) fn listing_of(entry: &ListedServer, source: Source<'_>) -> Listing {
    Listing {
        preset: source.preset.clone(),
        name: entry.name.clone(),
        title: entry.title.clone(),
        standing: ListingStanding::Listed,
        issuer: entry.issuer.clone(),
        client_id: entry.client_id.clone(),
        metadata_url: entry.metadata_url.clone(),
        redirect: entry.redirect,
        parameters: entry.parameters.clone(),
        scopes: entry.scopes.clone(),
        email_domains: entry.email_domains.clone(),
        mandatory: entry.mandatory && *source.trust != Trust::Unverified,
        apps: entry.apps.clone(),
        profile: entry.profile.clone(),
        description: entry.description.clone(),
        extra: serde_json::Map::new(),
    }
}

/// The Server that an entry becomes. A signed list may name addresses of private networks.
pub(super) fn new_server(
    id: ServerId,
    entry: &ListedServer,
    remote: &Remote,
    listing: Listing,
    source: Source<'_>,
) -> Server {
    Server {
        id,
        label: entry.title.clone(),
        endpoint: remote.endpoint.clone(),
        headers: remote.headers.clone(),
        auth: AuthKind::Oauth,
        origin: Origin::Preset { preset: source.preset.clone(), name: entry.name.clone() },
        issuer: entry.issuer.clone(),
        registration: RegistrationChoice {
            client_id: entry.client_id.clone(),
            // A list names public clients only.
            token_endpoint_auth: entry.client_id.as_ref().map(|_| TokenEndpointAuth::None),
            metadata_url: entry.metadata_url.clone(),
            redirect: entry.redirect,
            parameters: entry.parameters.clone(),
            ..RegistrationChoice::default()
        },
        whoami: None,
        private_network: *source.trust != Trust::Unverified,
        authority: None,
        era: None,
        listings: vec![listing],
        extra: serde_json::Map::new(),
    }
}

const TENANT_WORDS: &[&str] =
    &["tenant", "org", "workspace", "project", "account", "team", "site", "customer"];
