//! An application that signs in for itself (RFC 6749 section 4.4; MCP extension `oauth-client-credentials`). No
//! person is behind it, and it is shown so.

use ipc::{Error, ErrorCode};
use oauth::{ClientCredentialsError, RegisterFor, TokenEndpoint, offers_client_credentials};
use token_store::Renewal;

use super::attempt::Attempt;
use super::flow::{Granted, Whose, of_exchange};
use crate::servers::chain;

/// Asks for a token with the credentials that an administrator registered.
pub(super) async fn run(attempt: &Attempt<'_>) -> Result<Granted, Error> {
    let metadata = &attempt.protected.metadata;
    offers_client_credentials(metadata).map_err(|error| of_credentials(&error))?;
    if attempt.server.registration.client_id.is_none() {
        return Err(of_credentials(&ClientCredentialsError::NoCredentials));
    }
    let registration = attempt.registration(RegisterFor::Administered).await?;
    let authentication = attempt.authentication(&registration).await?;
    let endpoint = TokenEndpoint {
        url: &metadata.token_endpoint,
        authentication: &authentication,
        resource: attempt.protected.resource_parameter.as_deref(),
    };
    // `openid` and `offline_access` are about people.
    let scopes = attempt.scopes.without_people();
    let answer = oauth::client_credentials(&*attempt.http, endpoint, &scopes)
        .await
        .map_err(|error| of_credentials(&error))?;
    Ok(Granted {
        registration,
        authentication,
        nonce: None,
        reply: None,
        answer,
        renewal: Renewal::ClientCredentials,
        whose: Whose::Application,
    })
}

fn of_credentials(error: &ClientCredentialsError) -> Error {
    match error {
        ClientCredentialsError::NoCredentials => Error::new(ErrorCode::Failed, error.to_string()).hint(
            "add the server with what its administrator registered: \
             hallpass servers add <url> --client-id <id> --client-secret",
        ),
        ClientCredentialsError::NotOffered { .. } => Error::new(ErrorCode::Failed, error.to_string())
            .hint("leave --application out to sign in yourself"),
        ClientCredentialsError::Token(error) => {
            let error = of_exchange(error);
            Error { message: chain(&error), ..error }
        }
    }
}
