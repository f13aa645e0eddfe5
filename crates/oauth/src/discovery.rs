//! From an MCP endpoint to the authorization server that protects it (MCP authorization, Authorization
//! Server Discovery; the order is in docs/architecture.md).
//!
//! Every "there is none" must have been said by a server. A server that cannot be reached, or is in
//! trouble, ends discovery with an error: it never makes us fall back to something weaker.

use std::collections::BTreeMap;

use model::Endpoint;

use crate::ServerText;
use crate::authorization_server_metadata::{AuthorizationServerMetadata, PkceSilence};
use crate::challenge::Challenge;
use crate::document::{Document, DocumentError, fetch};
use crate::door::{Door, knock};
use crate::http::{Http, origin_of};
use crate::protected_resource_metadata::ProtectedResourceMetadata;

mod error;
mod quirks;

pub use error::DiscoveryError;
pub use quirks::{Quirk, Want, quirks_of};

/// What the person or a signed list confirmed for one Server, against the rules. All off by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerPin {
    /// The one issuer that is acceptable; any other ends discovery.
    pub issuer: Option<String>,
    /// The `issuer` that the document at the well-known place of `issuer` carries, where it differs.
    pub metadata_issuer: Option<String>,
    /// The `resource` that the protected resource metadata carries, where it does not match.
    pub resource: Option<String>,
    /// An address of protected resource metadata on another origin that a challenge may name.
    pub resource_metadata: Option<String>,
    /// Metadata that does not mention PKCE is accepted. PKCE is sent all the same.
    pub tolerate_missing_pkce: bool,
    /// The `resource` parameter is left out of every request.
    pub omit_resource: bool,
}

/// What discovery needs beside the endpoint.
#[derive(Clone, Debug, Default)]
pub struct DiscoveryOptions {
    /// The Server's own headers that are no secret.
    pub headers: BTreeMap<String, String>,
    /// Confirmed exceptions.
    pub pin: ServerPin,
}

/// Progress, for eyes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The endpoint answered.
    Reached {
        /// Status code.
        status: u16,
    },
    /// It speaks MCP 2026-07-28 or later, and nothing older.
    Stateless,
    /// It wants a sign-in.
    NeedsSignIn,
    /// Its protected resource metadata was read.
    ResourceMetadata {
        /// Where.
        url: String,
    },
    /// A named place of metadata was not used, since it lies on another origin.
    ForeignMetadataIgnored {
        /// Scheme, host, port.
        origin: String,
    },
    /// This is the authorization server.
    Issuer {
        /// Exact text.
        issuer: String,
    },
    /// An authorization server that is listed cannot be used; the next one is tried.
    IssuerUnusable {
        /// Exact text, made safe to show.
        issuer: ServerText,
        /// Why.
        why: String,
    },
    /// Its metadata was read.
    ServerMetadata {
        /// Where.
        url: String,
    },
    /// The server publishes no metadata: the paths of the 2025-03-26 revision are assumed on its origin.
    DefaultEndpoints,
}

/// What an endpoint turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Discovered {
    /// It answers without a sign-in, and no metadata speaks of one.
    Open,
    /// It wants a sign-in.
    Protected(Box<Protected>),
}

/// All that a sign-in needs to know. To be shown and sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protected {
    /// The resource identifier, exactly as published (RFC 8707, RFC 9728).
    pub resource: String,
    /// What to send as `resource`: the same, unless the Server's pin leaves it out.
    pub resource_parameter: Option<String>,
    /// The server's own name, for eyes.
    pub resource_name: Option<ServerText>,
    /// The issuer identifier that the metadata carries, exact.
    pub issuer: String,
    /// The issuer's metadata.
    pub metadata: AuthorizationServerMetadata,
    /// `scope` of the challenge.
    pub challenged_scope: Option<String>,
    /// `scopes_supported` of the protected resource metadata.
    pub resource_scopes: Option<Vec<String>>,
    /// How the issuer was found.
    pub found: FoundBy,
}

/// How an issuer was found, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundBy {
    /// Protected resource metadata names it.
    ResourceMetadata,
    /// 2025-03-26: its metadata lies at the MCP server's own origin.
    OriginMetadata,
    /// 2025-03-26: nothing is published; default paths on the MCP server's own origin.
    DefaultEndpoints,
}

/// Asks `endpoint` and follows what it says. Nothing secret is sent.
pub async fn discover(
    http: &dyn Http,
    endpoint: &Endpoint,
    options: &DiscoveryOptions,
    on_step: &mut (dyn FnMut(Step) + Send),
) -> Result<Discovered, DiscoveryError> {
    let reached = knock(http, endpoint, options).await?;
    on_step(Step::Reached { status: reached.status });
    if reached.is_stateless {
        on_step(Step::Stateless);
    }
    let (answer, asked) = match reached.door {
        Door::Asks(challenge) => {
            on_step(Step::NeedsSignIn);
            (None, challenge)
        }
        Door::Answers => (Some(Discovered::Open), None),
        Door::Elsewhere(error) => return Err(error),
    };
    let search = Search { http, endpoint, pin: &options.pin };
    match search.resource_metadata(asked.as_ref(), on_step).await? {
        Some(resource) => search.protected_by(resource, asked, on_step).await.map(protected),
        None => match answer {
            Some(open) => Ok(open),
            None => search.legacy(asked, on_step).await.map(protected),
        },
    }
}

/// Reads the metadata of an issuer that is known by name: an identity provider, which protects no endpoint of its own.
/// PKCE is sent there whether or not the metadata mention it.
pub async fn issuer_metadata(
    http: &dyn Http,
    issuer: &str,
) -> Result<AuthorizationServerMetadata, DiscoveryError> {
    let endpoint = Endpoint::parse(issuer)
        .map_err(|_| DiscoveryError::NoServerMetadata { issuer: ServerText::new(issuer) })?;
    let pin = ServerPin { tolerate_missing_pkce: true, ..ServerPin::default() };
    let search = Search { http, endpoint: &endpoint, pin: &pin };
    search
        .server_metadata(issuer, &[issuer], &mut |_| {})
        .await?
        .ok_or_else(|| DiscoveryError::NoServerMetadata { issuer: ServerText::new(issuer) })
}

fn protected(found: Protected) -> Discovered {
    Discovered::Protected(Box::new(found))
}

/// Of a list of authorization servers, at most so many are tried.
const MOST_ISSUERS: usize = 5;

/// One search for the authorization server of one endpoint.
struct Search<'a> {
    http: &'a dyn Http,
    endpoint: &'a Endpoint,
    pin: &'a ServerPin,
}

impl Search<'_> {
    /// The challenge's place first, then the well-known ones (A1, A2). The first document counts.
    async fn resource_metadata(
        &self,
        asked: Option<&Challenge>,
        on_step: &mut (dyn FnMut(Step) + Send),
    ) -> Result<Option<ProtectedResourceMetadata>, DiscoveryError> {
        let mut places = ProtectedResourceMetadata::well_known(self.endpoint);
        if let Some(named) = asked.and_then(|challenge| challenge.resource_metadata.as_deref()) {
            if self.may_name(named) {
                places.retain(|place| place != named);
                places.insert(0, named.to_owned());
            } else {
                on_step(Step::ForeignMetadataIgnored { origin: origin_of(named) });
            }
        }
        for place in places {
            if let Document::Found(document) = fetch(self.http, &place).await? {
                let pinned = self.pin.resource.as_deref();
                let read = ProtectedResourceMetadata::read(&document, self.endpoint, pinned)?;
                on_step(Step::ResourceMetadata { url: place });
                return Ok(Some(read));
            }
        }
        Ok(None)
    }

    /// Only the server's own origin may say who protects it, unless a pin names the place.
    fn may_name(&self, place: &str) -> bool {
        self.pin.resource_metadata.as_deref() == Some(place)
            || Endpoint::parse(place).is_ok_and(|p| p.url().origin() == self.endpoint.url().origin())
    }

    /// A4, A5, A6, A16.
    async fn protected_by(
        &self,
        resource: ProtectedResourceMetadata,
        asked: Option<Challenge>,
        on_step: &mut (dyn FnMut(Step) + Send),
    ) -> Result<Protected, DiscoveryError> {
        let metadata = self.first_usable(&resource.authorization_servers, on_step).await?;
        Ok(Protected {
            resource_parameter: (!self.pin.omit_resource).then(|| resource.resource.clone()),
            resource: resource.resource,
            resource_name: resource.resource_name,
            issuer: metadata.issuer.clone(),
            metadata,
            challenged_scope: asked.and_then(|challenge| challenge.scope),
            resource_scopes: resource.scopes_supported,
            found: FoundBy::ResourceMetadata,
        })
    }

    /// A4: the pinned issuer if it is listed at all; else the first that is listed and can be used. The MCP
    /// server trusts all of them, so a later one is no weaker; but one that is merely in trouble now ends the
    /// search, since people may have an account at it.
    async fn first_usable(
        &self,
        listed: &[String],
        on_step: &mut (dyn FnMut(Step) + Send),
    ) -> Result<AuthorizationServerMetadata, DiscoveryError> {
        let candidates: Vec<&String> = match &self.pin.issuer {
            Some(pinned) => listed.iter().filter(|issuer| *issuer == pinned).take(1).collect(),
            None => listed.iter().take(MOST_ISSUERS).collect(),
        };
        let mut first_error = None;
        for (nth, issuer) in candidates.iter().enumerate() {
            on_step(Step::Issuer { issuer: (*issuer).clone() });
            let accepted = self.pin.metadata_issuer.as_deref().unwrap_or(issuer);
            let error = match self.server_metadata(issuer, &[accepted], on_step).await {
                Ok(Some(metadata)) => return self.with_identity(issuer, metadata, on_step).await,
                Ok(None) => DiscoveryError::NoServerMetadata { issuer: ServerText::new(issuer) },
                Err(error) if error.is_about_content() => error,
                Err(error) => return Err(error),
            };
            if nth + 1 < candidates.len() {
                on_step(Step::IssuerUnusable { issuer: ServerText::new(issuer), why: error.to_string() });
            }
            first_error = first_error.or(Some(error));
        }
        Err(first_error.unwrap_or_else(|| DiscoveryError::OtherIssuer {
            wanted: self.pin.issuer.clone().unwrap_or_default(),
            found: ServerText::new(listed.first().map_or("", String::as_str)),
        }))
    }

    /// Some issuers list `openid` in their OAuth document and say only in their OpenID document where the
    /// person is proven (Okta; tests/providers). That document adds these places, if it is of the same issuer
    /// and the same token endpoint; nothing else is taken from it, and its absence hinders nobody. Only that it
    /// cannot be asked for ends the search: nobody must become unverified because a network was gone.
    async fn with_identity(
        &self,
        issuer: &str,
        mut metadata: AuthorizationServerMetadata,
        on_step: &mut (dyn FnMut(Step) + Send),
    ) -> Result<AuthorizationServerMetadata, DiscoveryError> {
        let proves = metadata.jwks_uri.is_some() || metadata.userinfo_endpoint.is_some();
        let offers = metadata.scopes_supported.iter().flatten().any(|scope| scope == "openid");
        if proves || !offers {
            return Ok(metadata);
        }
        let places = AuthorizationServerMetadata::well_known(issuer).unwrap_or_default();
        for place in places.into_iter().skip(1) {
            let document = match fetch(self.http, &place).await {
                Ok(Document::Found(document)) => document,
                Err(error @ DocumentError::Http(_)) => return Err(error.into()),
                Ok(Document::Absent)
                | Err(DocumentError::Status { .. } | DocumentError::Redirects { .. }) => continue,
            };
            let Ok(openid) = AuthorizationServerMetadata::read(&document, &[&metadata.issuer]) else {
                continue;
            };
            if openid.token_endpoint != metadata.token_endpoint {
                continue;
            }
            on_step(Step::ServerMetadata { url: place });
            metadata.jwks_uri = openid.jwks_uri;
            metadata.userinfo_endpoint = openid.userinfo_endpoint;
            break;
        }
        Ok(metadata)
    }

    /// `None` if every place answered that there is no document. A document of another issuer is not
    /// used, and is, like trouble, the error to report if no later place has a better one.
    async fn server_metadata(
        &self,
        issuer: &str,
        accepted: &[&str],
        on_step: &mut (dyn FnMut(Step) + Send),
    ) -> Result<Option<AuthorizationServerMetadata>, DiscoveryError> {
        let silence =
            if self.pin.tolerate_missing_pkce { PkceSilence::Tolerated } else { PkceSilence::Refused };
        let mut unusable: Option<DiscoveryError> = None;
        for place in AuthorizationServerMetadata::well_known(issuer)? {
            let document = match fetch(self.http, &place).await {
                Ok(Document::Found(document)) => document,
                Ok(Document::Absent) => continue,
                Err(error @ DocumentError::Http(_)) => return Err(error.into()),
                // In trouble here, but the document may lie at the next place.
                Err(error @ (DocumentError::Status { .. } | DocumentError::Redirects { .. })) => {
                    unusable = unusable.or(Some(error.into()));
                    continue;
                }
            };
            match AuthorizationServerMetadata::read(&document, accepted) {
                Ok(metadata) => {
                    metadata.check_pkce(silence)?;
                    on_step(Step::ServerMetadata { url: place });
                    return Ok(Some(metadata));
                }
                Err(error) => unusable = unusable.or(Some(error.into())),
            }
        }
        unusable.map_or(Ok(None), Err)
    }

    /// A7: a server of the 2025-03-26 revision is its own authorization server.
    async fn legacy(
        &self,
        asked: Option<Challenge>,
        on_step: &mut (dyn FnMut(Step) + Send),
    ) -> Result<Protected, DiscoveryError> {
        // A server that speaks of metadata is no 2025-03-26 server: nothing is guessed in their place.
        if let Some(named) = asked.as_ref().and_then(|challenge| challenge.resource_metadata.as_deref()) {
            return Err(DiscoveryError::NoResourceMetadata {
                endpoint: self.endpoint.to_string(),
                place: ServerText::new(named),
            });
        }
        if let Some(challenge) = &asked
            && challenge.scheme != "bearer"
        {
            return Err(DiscoveryError::NotOauth {
                endpoint: self.endpoint.to_string(),
                scheme: ServerText::new(&challenge.scheme),
            });
        }
        let origin = self.endpoint.origin();
        if let Some(pinned) = &self.pin.issuer
            && *pinned != origin
        {
            return Err(DiscoveryError::OtherIssuer {
                wanted: pinned.clone(),
                found: ServerText::new(&origin),
            });
        }
        // Nobody published this issuer: we made it of the origin, so either spelling of a bare host is it.
        let with_slash = format!("{origin}/");
        let accepted =
            self.pin.metadata_issuer.as_deref().map_or(vec![&*origin, &*with_slash], |pinned| vec![pinned]);
        let found = self.server_metadata(&origin, &accepted, on_step).await?;
        let (metadata, found) = if let Some(metadata) = found {
            (metadata, FoundBy::OriginMetadata)
        } else {
            on_step(Step::DefaultEndpoints);
            (AuthorizationServerMetadata::default_endpoints(self.endpoint), FoundBy::DefaultEndpoints)
        };
        on_step(Step::Issuer { issuer: metadata.issuer.clone() });
        let resource = self.endpoint.to_string();
        Ok(Protected {
            resource_parameter: (!self.pin.omit_resource).then(|| resource.clone()),
            resource,
            resource_name: None,
            issuer: metadata.issuer.clone(),
            metadata,
            challenged_scope: asked.and_then(|challenge| challenge.scope),
            resource_scopes: None,
            found,
        })
    }
}

#[cfg(test)]
mod tests;
