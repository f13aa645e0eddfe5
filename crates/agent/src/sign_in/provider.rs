//! The identity provider of a company, which is no MCP server: its metadata in place of discovery.

use ipc::{Error, ErrorCode};
use model::Server;
use oauth::{FoundBy, Protected};

use crate::agent::Agent;
use crate::network::Access;
use crate::servers::of_discovery;

/// What people are asked to let us know of themselves there.
const ABOUT_THE_PERSON: [&str; 3] = ["openid", "email", "profile"];

/// Reads the metadata of an identity provider (OpenID Connect Discovery section 4).
pub(crate) async fn find(agent: &Agent, server: &Server) -> Result<Protected, Error> {
    let Some(issuer) = &server.issuer else {
        return Err(Error::new(ErrorCode::Failed, format!("{} names no issuer", server.id))
            .hint("remove it and add it again with --identity-provider"));
    };
    let http = agent.network.http(&server.endpoint, Access::of(server))?;
    let metadata = oauth::issuer_metadata(&*http, issuer).await.map_err(|error| of_discovery(&error))?;
    let offered = metadata.scopes_supported.as_deref();
    let wanted = ABOUT_THE_PERSON.iter().filter(|scope| {
        **scope == "openid" || offered.is_none_or(|offered| offered.iter().any(|one| one == *scope))
    });
    Ok(Protected {
        resource: issuer.clone(),
        resource_parameter: None,
        resource_name: None,
        issuer: metadata.issuer.clone(),
        challenged_scope: None,
        resource_scopes: Some(wanted.map(|scope| (*scope).to_owned()).collect()),
        found: FoundBy::ResourceMetadata,
        metadata,
    })
}
