//! Every refusal of a registration, as a sentence that says what to do.

use crate::ServerText;
use crate::http::HttpError;
use crate::server_text::said;

/// Why there is no registration.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// No endpoint, or it says that it does not register.
    #[error(
        "{issuer} does not register new apps by itself; ask its administrator to register Hallpass and give the client id with --client-id"
    )]
    NotOffered {
        /// Who.
        issuer: String,
    },
    /// Registration needs a permission that we do not have.
    #[error(
        "{issuer} lets only its administrator register apps; ask for a client id and give it with --client-id"
    )]
    Closed {
        /// Who.
        issuer: String,
    },
    /// Our redirect URI is not accepted.
    #[error(
        "{issuer} does not accept the address {redirect_uri} on this machine as a place to return to; ask its administrator to register Hallpass{}", said(.text.as_ref())
    )]
    RedirectRefused {
        /// Who.
        issuer: String,
        /// Ours.
        redirect_uri: String,
        /// Its words.
        text: Option<ServerText>,
    },
    /// Another refusal.
    #[error("{issuer} refused to register Hallpass: {code}{}", said(.text.as_ref()))]
    Refused {
        /// Who.
        issuer: String,
        /// Its error code.
        code: ServerText,
        /// Its words.
        text: Option<ServerText>,
    },
    /// The issuer is in trouble.
    #[error("{issuer} cannot register apps now (status {status}); try again later")]
    Trouble {
        /// Who.
        issuer: String,
        /// Status code.
        status: u16,
    },
    /// The answer makes no sense.
    #[error("{issuer} answered the registration with {what}")]
    Malformed {
        /// Who.
        issuer: String,
        /// What is wrong.
        what: &'static str,
    },
    /// Only methods that we do not speak.
    #[error(
        "{issuer} accepts none of the ways in which Hallpass can authenticate (none, client_secret_basic, client_secret_post, or private_key_jwt with a key that its administrator knows)"
    )]
    NoCommonAuthentication {
        /// Who.
        issuer: String,
    },
    /// `--client-metadata-url` is not an https URL with a path.
    #[error("\"{url}\" cannot be the address of a client id metadata document; it must be https with a path")]
    BadMetadataUrl {
        /// The text.
        url: ServerText,
    },
    /// No answer.
    #[error(transparent)]
    Http(#[from] HttpError),
}
