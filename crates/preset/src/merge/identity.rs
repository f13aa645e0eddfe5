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
    let is_ours = match (&server.origin, known) {
        (Origin::Preset { preset, .. }, Some(known)) => *preset == known.preset,
        (Origin::HandMade | Origin::Imported { .. } | Origin::Preset { .. }, _) => false,
    };
    let headers = if is_ours {
        tenants(&server.headers) == tenants(&remote.headers)
    } else {
        same_headers(&server.headers, &remote.headers)
    };
    server.endpoint.canonical() == remote.endpoint.canonical()
        && headers
        && same_issuer(server, known, entry)
        && same_client(server, known, entry)
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

fn same_client(server: &Server, known: Option<&Listing>, entry: &ListedServer) -> bool {
    match known {
        Some(known) => known.client_id == entry.client_id,
        None => entry.client_id.is_none() || entry.client_id == server.registration.client_id,
    }
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
