//! Tokens for Hallpass itself, without a person (RFC 6749 section 4.4; MCP extension
//! `io.modelcontextprotocol/oauth-client-credentials`). Nobody is proven by them: an Account of this kind is
//! shown everywhere as "not a person".

use crate::authorization_server_metadata::{AuthorizationServerMetadata, Offer};
use crate::http::Http;
use crate::scopes::Scopes;
use crate::token::{TokenAnswer, TokenEndpoint, TokenError, ask};

/// `grant_type` of this grant.
pub const CLIENT_CREDENTIALS: &str = "client_credentials";

/// Asks for an access token in our own name: `client_secret_basic`, `client_secret_post` or
/// `private_key_jwt`. A registration that proves nothing is not sent at all. A refresh token that comes
/// nevertheless is dropped (RFC 6749 section 4.4.3): the credentials themselves are what renews, by the same
/// call.
pub async fn client_credentials(
    http: &dyn Http,
    endpoint: TokenEndpoint<'_>,
    scopes: &Scopes,
) -> Result<TokenAnswer, ClientCredentialsError> {
    if !endpoint.authentication.proves_us() {
        return Err(ClientCredentialsError::NoCredentials);
    }
    let scope = scopes.parameter();
    let mut fields = vec![("grant_type", CLIENT_CREDENTIALS)];
    fields.extend(scope.as_deref().map(|scope| ("scope", scope)));
    let mut answer = ask(http, endpoint, &fields).await?;
    answer.refresh_token = None;
    answer.id_token = None;
    Ok(answer)
}

/// Whether an issuer may give tokens in this way: before a person is asked for credentials.
pub fn offers_client_credentials(
    metadata: &AuthorizationServerMetadata,
) -> Result<(), ClientCredentialsError> {
    match metadata.offers(CLIENT_CREDENTIALS) {
        Offer::Listed | Offer::Unsaid => Ok(()),
        Offer::NotListed => Err(ClientCredentialsError::NotOffered { issuer: metadata.issuer.clone() }),
    }
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum ClientCredentialsError {
    /// Neither a secret nor a private key.
    #[error("there is neither a client secret nor a private key to ask with")]
    NoCredentials,
    /// `grant_types_supported` lists others.
    #[error("{issuer} gives no tokens to apps alone; a person has to sign in")]
    NotOffered {
        /// Who.
        issuer: String,
    },
    /// The token endpoint.
    #[error(transparent)]
    Token(#[from] TokenError),
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::{Endpoint, TokenEndpointAuth, UnixTime};

    use super::*;
    use crate::private_key::tests::RSA_JWK;
    use crate::testing::{Answers, answer, field, json};
    use crate::token_endpoint_auth::{AssertionAudience, ClientAuthentication};

    const TOKEN: &str = "https://as.example/token";
    const RESOURCE: &str = "https://mcp.example";

    fn authentication(method: TokenEndpointAuth, kept: Option<&str>) -> ClientAuthentication {
        let audience = AssertionAudience { audience: "https://as.example", algorithms: None };
        ClientAuthentication::of("app", method, kept.map(Into::into), audience, Arc::new(|| UnixTime(9)))
            .unwrap()
    }

    async fn asked(
        http: &Answers,
        authentication: &ClientAuthentication,
        scopes: &str,
    ) -> Result<TokenAnswer, ClientCredentialsError> {
        let url = Endpoint::parse(TOKEN).unwrap();
        let endpoint = TokenEndpoint { url: &url, authentication, resource: Some(RESOURCE) };
        client_credentials(http, endpoint, &Scopes::parse(scopes)).await
    }

    #[tokio::test]
    async fn every_way_to_prove_ourselves_brings_a_token_and_never_a_refresh_token() {
        use TokenEndpointAuth::{ClientSecretBasic, ClientSecretPost, PrivateKeyJwt};
        for (method, kept) in [(ClientSecretBasic, "s"), (ClientSecretPost, "s"), (PrivateKeyJwt, RSA_JWK)] {
            let body = r#"{"access_token":"at","token_type":"Bearer","expires_in":60,"refresh_token":"rt","id_token":"x.y.z"}"#;
            let http = Answers::new([(TOKEN, json(body))]);
            let got = asked(&http, &authentication(method, Some(kept)), "a b").await.unwrap();
            assert_eq!((got.access_token, got.refresh_token, got.id_token), ("at".into(), None, None));
            let form = http.last_form();
            assert_eq!(field(&form, "grant_type"), Some("client_credentials"));
            assert_eq!((field(&form, "scope"), field(&form, "resource")), (Some("a b"), Some(RESOURCE)));
            let basic = http.requests()[0].headers.contains_key("authorization");
            assert_eq!(basic, method == ClientSecretBasic);
            assert_eq!(field(&form, "client_secret").is_some(), method == ClientSecretPost);
            assert_eq!(field(&form, "client_assertion").is_some(), method == PrivateKeyJwt);
        }
    }

    #[tokio::test]
    async fn nothing_is_sent_without_credentials() {
        for method in [TokenEndpointAuth::None, TokenEndpointAuth::ClientSecretBasic] {
            let http = Answers::new([]);
            let got = asked(&http, &ClientAuthentication::new("app", method, None), "").await;
            assert!(matches!(got, Err(ClientCredentialsError::NoCredentials)));
            assert!(http.asked().is_empty());
        }
    }

    #[tokio::test]
    async fn no_scopes_are_invented_and_a_refusal_keeps_its_class() {
        let refused = answer(401, "application/json", r#"{"error":"invalid_client"}"#);
        let http = Answers::new([(TOKEN, refused)]);
        let got = asked(&http, &authentication(TokenEndpointAuth::ClientSecretPost, Some("s")), "").await;
        assert!(matches!(got, Err(ClientCredentialsError::Token(TokenError::RegistrationGone { .. }))));
        assert_eq!(field(&http.last_form(), "scope"), None);
    }

    #[test]
    fn an_issuer_that_lists_other_grants_alone_is_not_asked() {
        let server = Endpoint::parse("https://as.example/").unwrap();
        let mut metadata = AuthorizationServerMetadata::default_endpoints(&server);
        assert!(offers_client_credentials(&metadata).is_ok());
        metadata.grant_types_supported = Some(vec!["authorization_code".into()]);
        let error = offers_client_credentials(&metadata).unwrap_err();
        assert!(matches!(error, ClientCredentialsError::NotOffered { .. }));
        metadata.grant_types_supported = Some(vec!["client_credentials".into()]);
        assert!(offers_client_credentials(&metadata).is_ok());
    }
}
