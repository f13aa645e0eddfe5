//! How we say who we are at the token, revocation and registration endpoints (RFC 6749 section 2.3).

use base64::Engine;
use http::HeaderValue;
use model::{Secret, TokenEndpointAuth};
use url::form_urlencoded::{Serializer, byte_serialize};

use crate::discovery::{Want, quirks_of};
use crate::http::{HttpRequest, TOKEN_TIME};
use crate::private_key::PrivateKey;
use crate::private_key_jwt::{AssertionError, CLIENT_ASSERTION_TYPE, ClientAssertionSigner, Clock};

/// A registration in use: what stands in every request to an issuer's endpoints.
#[derive(Clone, Debug)]
pub struct ClientAuthentication {
    /// `client_id`.
    pub client_id: String,
    /// How.
    pub method: TokenEndpointAuth,
    /// `client_secret`, where the method wants one.
    pub secret: Option<Secret<String>>,
    /// What signs, where the method is `private_key_jwt`.
    pub signer: Option<ClientAssertionSigner>,
}

/// Whom assertions of ours are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AssertionAudience<'a> {
    /// `aud`, exact.
    pub audience: &'a str,
    /// `token_endpoint_auth_signing_alg_values_supported` (RFC 8414 section 2), where its metadata are at
    /// hand.
    pub algorithms: Option<&'a [String]>,
}

impl<'a> AssertionAudience<'a> {
    /// The issuer's identifier; its token endpoint where the table of quirks says that it wants that.
    pub fn of(issuer: &'a str, token_endpoint: &'a str, algorithms: Option<&'a [String]>) -> Self {
        let wants_endpoint = quirks_of(issuer).iter().any(|q| q.want == Want::AssertionForTokenEndpoint);
        Self { audience: if wants_endpoint { token_endpoint } else { issuer }, algorithms }
    }
}

impl ClientAuthentication {
    /// With a secret, or as a public client. For `private_key_jwt` use [`ClientAuthentication::of`].
    pub fn new(client_id: &str, method: TokenEndpointAuth, secret: Option<Secret<String>>) -> Self {
        Self { client_id: client_id.to_owned(), method, secret, signer: None }
    }

    /// From what the keychain holds for a registration: a client secret, or, for `private_key_jwt`, the
    /// private key as PEM or JWK.
    pub fn of(
        client_id: &str,
        method: TokenEndpointAuth,
        kept: Option<Secret<String>>,
        audience: AssertionAudience<'_>,
        clock: Clock,
    ) -> Result<Self, AssertionError> {
        match method {
            TokenEndpointAuth::PrivateKeyJwt => {
                let key = PrivateKey::parse(&kept.ok_or(AssertionError::NoKey)?)?;
                let signer = ClientAssertionSigner::new(key, audience.audience, audience.algorithms, clock)?;
                Ok(Self { signer: Some(signer), ..Self::new(client_id, method, None) })
            }
            TokenEndpointAuth::None
            | TokenEndpointAuth::ClientSecretBasic
            | TokenEndpointAuth::ClientSecretPost => Ok(Self::new(client_id, method, kept)),
        }
    }

    /// Whether an issuer can tell us from anybody who knows the client id.
    pub fn proves_us(&self) -> bool {
        match self.method {
            TokenEndpointAuth::None => false,
            TokenEndpointAuth::ClientSecretBasic | TokenEndpointAuth::ClientSecretPost => {
                self.secret.is_some()
            }
            TokenEndpointAuth::PrivateKeyJwt => self.signer.is_some(),
        }
    }

    /// A form POST to `url` that carries `fields` and the authentication.
    pub(crate) fn post(&self, url: &str, fields: &[(&str, &str)]) -> HttpRequest {
        let mut form = Serializer::new(String::new());
        form.extend_pairs(fields);
        let mut basic = None;
        match (self.method, &self.secret) {
            (TokenEndpointAuth::ClientSecretBasic, Some(secret)) => {
                basic = Some(basic_value(&self.client_id, secret));
            }
            (TokenEndpointAuth::ClientSecretPost, Some(secret)) => {
                form.append_pair("client_id", &self.client_id);
                // Into the request body, which is a secret itself.
                form.append_pair("client_secret", secret.expose());
            }
            (TokenEndpointAuth::PrivateKeyJwt, _) => {
                // Superfluous beside the assertion (RFC 7521 section 4.2), and some issuers want it.
                form.append_pair("client_id", &self.client_id);
                // Without an assertion the issuer refuses us, as it should.
                if let Some(assertion) = self.signer.as_ref().and_then(|s| s.assertion(&self.client_id)) {
                    form.append_pair("client_assertion_type", CLIENT_ASSERTION_TYPE);
                    // Into the request body, which is a secret itself.
                    form.append_pair("client_assertion", assertion.expose());
                }
            }
            (TokenEndpointAuth::None, _)
            | (TokenEndpointAuth::ClientSecretBasic | TokenEndpointAuth::ClientSecretPost, None) => {
                form.append_pair("client_id", &self.client_id);
            }
        }
        let body = form.finish().into_bytes();
        let mut request = HttpRequest::post(url, "application/x-www-form-urlencoded", body, TOKEN_TIME);
        if let Some(value) = basic {
            request.headers.insert(http::header::AUTHORIZATION, value);
        }
        request
    }
}

/// Both parts are form-encoded first (RFC 6749 section 2.3.1).
fn basic_value(client_id: &str, secret: &Secret<String>) -> HeaderValue {
    let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    // Into a header that is marked sensitive.
    let pair = Secret::new(format!("{}:{}", encode(client_id), encode(secret.expose())));
    let text = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair.expose()));
    let mut value = HeaderValue::from_str(&text).expect("base64 is always a header value");
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{field, form};

    fn made(method: TokenEndpointAuth, secret: Option<&str>) -> HttpRequest {
        ClientAuthentication::new("id:1 x", method, secret.map(Secret::from))
            .post("https://as.example/t", &[("grant_type", "x")])
    }

    #[test]
    fn each_method_puts_the_secret_where_it_belongs() {
        let none = made(TokenEndpointAuth::None, Some("s&%")); // even if one is known
        assert_eq!(field(&form(&none), "client_id"), Some("id:1 x"));
        assert_eq!((field(&form(&none), "client_secret"), none.headers.get("authorization")), (None, None));

        let post = made(TokenEndpointAuth::ClientSecretPost, Some("s&%"));
        assert_eq!(field(&form(&post), "client_secret"), Some("s&%"));
        assert_eq!(post.headers.get("authorization"), None);

        let basic = made(TokenEndpointAuth::ClientSecretBasic, Some("s&%"));
        assert_eq!((field(&form(&basic), "client_id"), field(&form(&basic), "client_secret")), (None, None));
        let value = basic.headers.get("authorization").unwrap();
        assert!(value.is_sensitive());
        let decoded = base64::engine::general_purpose::STANDARD.decode(&value.as_bytes()[6..]).unwrap();
        assert_eq!(decoded, b"id%3A1+x:s%26%25");
    }

    #[test]
    fn assertions_are_for_the_issuer_unless_it_is_known_to_want_its_endpoint() {
        let of =
            |issuer: &'static str| AssertionAudience::of(issuer, "https://x.example/token", None).audience;
        assert_eq!(of("https://as.example"), "https://as.example");
        assert_eq!(of("https://login.microsoftonline.com/t/v2.0"), "https://x.example/token");
    }

    #[test]
    fn debug_shows_no_secret() {
        let auth =
            ClientAuthentication::new("id", TokenEndpointAuth::ClientSecretPost, Some("hunter2".into()));
        assert!(!format!("{auth:?} {:?}", auth.post("https://a.example/", &[])).contains("hunter2"));
    }
}
