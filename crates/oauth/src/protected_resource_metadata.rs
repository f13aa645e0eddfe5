//! Protected resource metadata (RFC 9728): which authorization servers a Server trusts.

use model::Endpoint;
use serde_json::{Map, Value};

use crate::{ServerText, json_field};

/// The document, as far as we use it. Identifiers are exact texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtectedResourceMetadata {
    /// `resource`: the identifier to send as RFC 8707 parameter.
    pub resource: String,
    /// `authorization_servers`: issuer identifiers, at least one.
    pub authorization_servers: Vec<String>,
    /// `scopes_supported`.
    pub scopes_supported: Option<Vec<String>>,
    /// `resource_name`, for eyes.
    pub resource_name: Option<ServerText>,
}

impl ProtectedResourceMetadata {
    /// Reads the document and checks that it speaks of `endpoint` (RFC 9728 section 3.3), or names the
    /// `pinned` resource.
    pub fn read(
        document: &Map<String, Value>,
        endpoint: &Endpoint,
        pinned: Option<&str>,
    ) -> Result<Self, ResourceMetadataError> {
        let resource = json_field::text(document, "resource").ok_or(ResourceMetadataError::NoResource)?;
        let matches = match pinned {
            Some(pinned) => resource == pinned,
            None => Endpoint::parse(resource).is_ok_and(|r| model::covers(&r.url(), &endpoint.url())),
        };
        if !matches {
            return Err(ResourceMetadataError::OtherResource {
                resource: ServerText::new(resource),
                endpoint: endpoint.to_string(),
            });
        }
        let authorization_servers = json_field::list(document, "authorization_servers").unwrap_or_default();
        if authorization_servers.is_empty() {
            return Err(ResourceMetadataError::NoAuthorizationServer);
        }
        Ok(Self {
            resource: resource.to_owned(),
            authorization_servers,
            scopes_supported: json_field::list(document, "scopes_supported"),
            resource_name: json_field::text(document, "resource_name").map(ServerText::new),
        })
    }

    /// Where the document is looked for when no challenge names it: at the endpoint's path, then at the
    /// root (RFC 9728 section 3.1, MCP authorization).
    pub fn well_known(endpoint: &Endpoint) -> Vec<String> {
        let (origin, url) = (endpoint.origin(), endpoint.url());
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let path = url.path();
        let mut places = Vec::new();
        for path in [path, path.trim_end_matches('/')] {
            let place = format!("{origin}{WELL_KNOWN}{path}{query}");
            if !path.trim_end_matches('/').is_empty() && !places.contains(&place) {
                places.push(place);
            }
        }
        places.push(format!("{origin}{WELL_KNOWN}"));
        places
    }
}

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// Why a document cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResourceMetadataError {
    /// It speaks of something else.
    #[error("the server's metadata speaks of another resource, \"{resource}\", and not of {endpoint}")]
    OtherResource {
        /// What it speaks of.
        resource: ServerText,
        /// What was asked about.
        endpoint: String,
    },
    /// `resource` is missing.
    #[error("the server's metadata names no resource")]
    NoResource,
    /// `authorization_servers` is missing or empty.
    #[error("the server's metadata names no authorization server")]
    NoAuthorizationServer,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ProtectedResourceMetadata, ResourceMetadataError> {
        let document: Map<String, Value> = serde_json::from_str(text).unwrap();
        ProtectedResourceMetadata::read(&document, &Endpoint::parse("https://a.example/mcp").unwrap(), None)
    }

    #[test]
    fn well_known_places_are_path_first_then_root() {
        let places = |text: &str| ProtectedResourceMetadata::well_known(&Endpoint::parse(text).unwrap());
        let root = "https://a.example/.well-known/oauth-protected-resource";
        assert_eq!(places("https://a.example"), [root]);
        assert_eq!(places("https://a.example/"), [root]);
        assert_eq!(places("https://a.example/mcp"), [format!("{root}/mcp"), root.into()]);
        assert_eq!(
            places("https://a.example/mcp/"),
            [format!("{root}/mcp/"), format!("{root}/mcp"), root.into()]
        );
        assert_eq!(places("https://a.example/t/mcp?x=1"), [format!("{root}/t/mcp?x=1"), root.into()]);
    }

    #[test]
    fn the_resource_must_be_the_server_or_a_prefix_of_its_path() {
        for (resource, good) in [
            ("https://a.example/mcp", true),
            ("https://a.example", true),
            ("https://a.example/", true),
            ("https://a.example/mc", false),
            ("https://evil.example/mcp", false),
            ("http://a.example/mcp", false),
            ("https://a.example:8443/mcp", false),
            ("https://a.example/mcp#x", false),
            ("https://u@a.example/mcp", false),
            ("not a url", false),
        ] {
            let text =
                format!(r#"{{"resource":"{resource}","authorization_servers":["https://as.example"]}}"#);
            match read(&text) {
                Ok(found) => {
                    assert!(good, "{resource} was taken");
                    assert_eq!(found.resource, resource, "the exact text is kept");
                }
                Err(error) => assert!(!good, "{resource}: {error}"),
            }
        }
    }

    #[test]
    fn a_document_without_resource_or_authorization_server_is_refused() {
        assert_eq!(read("{}"), Err(ResourceMetadataError::NoResource));
        for text in [
            r#"{"resource":"https://a.example/mcp"}"#,
            r#"{"resource":"https://a.example/mcp","authorization_servers":[]}"#,
            r#"{"resource":"https://a.example/mcp","authorization_servers":"https://as.example"}"#,
        ] {
            assert_eq!(read(text), Err(ResourceMetadataError::NoAuthorizationServer), "{text}");
        }
    }
}
