//! Tells an issuer that a token is no longer wanted (RFC 7009).

use model::{Endpoint, Secret};

use crate::http::{Http, HttpError};
use crate::token_endpoint_auth::ClientAuthentication;
use crate::{ServerText, json_field};

/// What a token is, as a hint for the issuer (RFC 7009 section 2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// `access_token`.
    Access,
    /// `refresh_token`: ends the whole grant at most issuers.
    Refresh,
}

/// Revokes a token at the sealed `revocation_endpoint`. A token that the issuer does not know is revoked.
pub async fn revoke(
    http: &dyn Http,
    endpoint: &Endpoint,
    authentication: &ClientAuthentication,
    token: &Secret<String>,
    kind: TokenKind,
) -> Result<(), RevocationError> {
    let hint = match kind {
        TokenKind::Access => "access_token",
        TokenKind::Refresh => "refresh_token",
    };
    // Into the request body, which is a secret itself.
    let request =
        authentication.post(endpoint.as_str(), &[("token", token.expose()), ("token_type_hint", hint)]);
    let response = http.send(request).await?;
    match response.status {
        200..=299 => Ok(()),
        status @ (408 | 425 | 429 | 500..=599) => Err(RevocationError::Trouble { status }),
        status => {
            let body = response.json_object().unwrap_or_default();
            let code = json_field::text(&body, "error").unwrap_or("no reason");
            Err(RevocationError::Refused { status, code: ServerText::new(code) })
        }
    }
}

/// Why a token may still be good.
#[derive(Debug, thiserror::Error)]
pub enum RevocationError {
    /// No answer: try again later.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// Try again later.
    #[error("the authorization server cannot revoke now (status {status})")]
    Trouble {
        /// Status code.
        status: u16,
    },
    /// Trying again does not help.
    #[error("the authorization server refused to revoke the token: {code} (status {status})")]
    Refused {
        /// Status code.
        status: u16,
        /// Its error code.
        code: ServerText,
    },
}

impl RevocationError {
    /// Whether a later attempt can succeed.
    pub fn is_worth_a_retry(&self) -> bool {
        match self {
            Self::Http(_) | Self::Trouble { .. } => true,
            Self::Refused { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use model::TokenEndpointAuth;

    use super::*;
    use crate::testing::{Answers, answer, field};

    const REVOKE: &str = "https://as.example/revoke";

    async fn ask(http: &Answers) -> Result<(), RevocationError> {
        let authentication =
            ClientAuthentication::new("app", TokenEndpointAuth::ClientSecretPost, Some("s".into()));
        revoke(http, &Endpoint::parse(REVOKE).unwrap(), &authentication, &"rt".into(), TokenKind::Refresh)
            .await
    }

    #[tokio::test]
    async fn the_token_and_its_kind_are_sent_with_our_authentication() {
        let http = Answers::new([(REVOKE, answer(200, "text/plain", ""))]);
        ask(&http).await.unwrap();
        let form = http.last_form();
        for (name, value) in [
            ("token", "rt"),
            ("token_type_hint", "refresh_token"),
            ("client_id", "app"),
            ("client_secret", "s"),
        ] {
            assert_eq!(field(&form, name), Some(value), "{name}");
        }
    }

    #[tokio::test]
    async fn only_what_may_pass_is_worth_a_retry() {
        for (status, worth) in [(503, true), (429, true), (400, false), (404, false), (302, false)] {
            let http = Answers::new([(REVOKE, answer(status, "application/json", r#"{"error":"nope"}"#))]);
            assert_eq!(ask(&http).await.unwrap_err().is_worth_a_retry(), worth, "{status}");
        }
        assert!(ask(&Answers::unreachable()).await.unwrap_err().is_worth_a_retry());
    }
}
