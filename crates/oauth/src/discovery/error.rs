//! Every way in which discovery ends without an answer, as a sentence for people.

use crate::ServerText;
use crate::authorization_server_metadata::ServerMetadataError;
use crate::document::DocumentError;
use crate::http::HttpError;
use crate::protected_resource_metadata::ResourceMetadataError;

/// Why discovery ended without an answer.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// The endpoint cannot be reached.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// A document cannot be had.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The protected resource metadata is unusable.
    #[error(transparent)]
    ResourceMetadata(#[from] ResourceMetadataError),
    /// The authorization server metadata is unusable.
    #[error(transparent)]
    ServerMetadata(#[from] ServerMetadataError),
    /// The place that a challenge names has no document, or lies on another origin; nor is there one at
    /// the well-known places.
    #[error("{endpoint} says that its metadata lie at \"{place}\", where they cannot be used")]
    NoResourceMetadata {
        /// Exact text.
        endpoint: String,
        /// The place.
        place: ServerText,
    },
    /// No document at any of the issuer's places.
    #[error("the authorization server \"{issuer}\" publishes no metadata")]
    NoServerMetadata {
        /// Who.
        issuer: ServerText,
    },
    /// The Server names another issuer than the pinned one.
    #[error("the server now names the authorization server \"{found}\" instead of {wanted}")]
    OtherIssuer {
        /// The pinned one.
        wanted: String,
        /// The one that it names.
        found: ServerText,
    },
    /// The endpoint redirects. Requests with a token never follow, so the address itself must be right.
    #[error("{endpoint} redirects to \"{target}\"; add the server with that address if you trust it")]
    Redirected {
        /// Exact text.
        endpoint: String,
        /// Where to.
        target: ServerText,
    },
    /// The endpoint's server is in trouble.
    #[error("{endpoint} answered with status {status}; try again later")]
    ServerTrouble {
        /// Exact text.
        endpoint: String,
        /// 408, 425, 429 or 5xx.
        status: u16,
    },
    /// Something else than an MCP server answers.
    #[error(
        "there is no MCP server at {endpoint} (status {status}); check the address, most end in /mcp or /sse"
    )]
    NotMcp {
        /// Exact text.
        endpoint: String,
        /// Status code.
        status: u16,
    },
    /// A sign-in of another kind.
    #[error("{endpoint} asks for a sign-in of the kind \"{scheme}\" and offers no OAuth")]
    NotOauth {
        /// Exact text.
        endpoint: String,
        /// The scheme of the challenge.
        scheme: ServerText,
    },
}

impl DiscoveryError {
    /// Whether a server said something that cannot be used, as against not being there to say it now.
    pub(crate) fn is_about_content(&self) -> bool {
        match self {
            Self::ResourceMetadata(_)
            | Self::ServerMetadata(_)
            | Self::NoResourceMetadata { .. }
            | Self::NoServerMetadata { .. }
            | Self::OtherIssuer { .. }
            | Self::Redirected { .. }
            | Self::NotMcp { .. }
            | Self::NotOauth { .. } => true,
            Self::Http(error) | Self::Document(DocumentError::Http(error)) => match error {
                // Never asked again with another outcome.
                HttpError::BadUrl { .. } | HttpError::PrivateAddress { .. } | HttpError::TooLarge { .. } => {
                    true
                }
                HttpError::NotSent { .. } | HttpError::Certificate { .. } | HttpError::Unknown { .. } => {
                    false
                }
            },
            Self::Document(DocumentError::Status { .. } | DocumentError::Redirects { .. })
            | Self::ServerTrouble { .. } => false,
        }
    }
}
