//! The address that the person's browser opens, and what must be remembered until it comes back
//! (RFC 6749 section 4.1.1, RFC 7636, RFC 8707, RFC 9207).

use std::fmt;

use model::{Endpoint, Secret};
use oauth2::{AuthUrl, ClientId, CsrfToken, PkceCodeChallenge, RedirectUrl, Scope};

use crate::authorization_server_metadata::AuthorizationServerMetadata;
use crate::extra_parameters::ExtraParameters;
use crate::http::origin_of;
use crate::scopes::Scopes;

/// What the person is asked for at the issuer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Prompt {
    /// Whatever the issuer does by itself.
    #[default]
    Unspecified,
    /// Another person is added: the issuer must not silently take the one who is signed in.
    SelectAccount,
    /// The same, at an issuer that refuses to be asked for a choice of accounts: whoever is signed in there
    /// signs in anew (OpenID Connect Core section 3.1.2.1).
    Login,
    /// The same person again.
    LoginHint(String),
}

/// What goes into an authorization request.
#[derive(Clone, Copy, Debug)]
pub struct AuthorizationParameters<'a> {
    /// The issuer's metadata.
    pub metadata: &'a AuthorizationServerMetadata,
    /// `client_id`.
    pub client_id: &'a str,
    /// Exact text, as registered.
    pub redirect_uri: &'a str,
    /// `resource`, exact; `None` only by a pin.
    pub resource: Option<&'a str>,
    /// `scope`.
    pub scopes: &'a Scopes,
    /// `prompt` or `login_hint`.
    pub prompt: &'a Prompt,
}

/// One sign-in in flight. The address is for the browser; the rest stays here.
#[derive(Clone)]
pub struct AuthorizationRequest {
    /// The address to open: http(s), without a fragment.
    pub url: String,
    /// Where and how the answer must come.
    pub expected: ExpectedResponse,
    /// The PKCE verifier (RFC 7636 section 4.1).
    pub verifier: Secret<String>,
    /// Sent with `openid`; must stand in the id_token.
    pub nonce: Option<Secret<String>>,
}

/// What an authorization response must carry; recorded before the browser leaves (A18).
#[derive(Clone, Debug)]
pub struct ExpectedResponse {
    /// The redirect URI, exact.
    pub redirect_uri: String,
    /// `state`.
    pub state: Secret<String>,
    /// The issuer that was asked, exact.
    pub issuer: String,
    /// Whether that issuer promised to name itself.
    pub iss: IssParameter,
}

/// RFC 9207: whether an answer without `iss` is acceptable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssParameter {
    /// The metadata promise it.
    Promised,
    /// They do not. If it comes, it is compared all the same.
    Unpromised,
}

impl AuthorizationRequest {
    /// Makes the request with fresh verifier, state (128 bits) and, with `openid`, nonce, and with what the
    /// issuer wants by the table of quirks.
    pub fn new(parameters: &AuthorizationParameters<'_>) -> Result<Self, BadRedirectUri> {
        Self::with_extra(parameters, &ExtraParameters::default())
    }

    /// The same with parameters that were set for the Server; they win over the table of quirks. One that
    /// stands in the authorization endpoint itself already is left out.
    pub fn with_extra(
        parameters: &AuthorizationParameters<'_>,
        extra: &ExtraParameters,
    ) -> Result<Self, BadRedirectUri> {
        let AuthorizationParameters { metadata, client_id, redirect_uri, resource, scopes, prompt } =
            *parameters;
        let redirect = RedirectUrl::new(redirect_uri.to_owned())
            .map_err(|source| BadRedirectUri { redirect_uri: redirect_uri.to_owned(), source })?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let nonce = scopes.ask_for_identity().then(|| CsrfToken::new_random_len(RANDOM_BYTES));
        let app = oauth2::basic::BasicClient::new(ClientId::new(client_id.to_owned()))
            .set_auth_uri(AuthUrl::from_url(metadata.authorization_endpoint.url()))
            .set_redirect_uri(redirect);
        let mut request = app
            .authorize_url(|| CsrfToken::new_random_len(RANDOM_BYTES))
            .add_scopes(scopes.as_slice().iter().cloned().map(Scope::new))
            .set_pkce_challenge(challenge);
        if let Some(resource) = resource {
            request = request.add_extra_param("resource", resource);
        }
        if let Some(nonce) = &nonce {
            request = request.add_extra_param("nonce", nonce.secret().clone());
        }
        request = match prompt {
            Prompt::Unspecified => request,
            Prompt::SelectAccount => request.add_extra_param("prompt", "select_account"),
            Prompt::Login => request.add_extra_param("prompt", "login"),
            Prompt::LoginHint(hint) => request.add_extra_param("login_hint", hint.as_str()),
        };
        let endpoint = metadata.authorization_endpoint.url();
        let extra = extra.clone().or(&ExtraParameters::of_issuer(&metadata.issuer, resource));
        let own_prompt = |name| match prompt {
            Prompt::Unspecified => false,
            Prompt::SelectAccount | Prompt::Login => name == "prompt",
            Prompt::LoginHint(_) => name == "login_hint",
        };
        for (name, value) in extra.iter() {
            if !own_prompt(name) && !endpoint.query_pairs().any(|(known, _)| known == name) {
                request = request.add_extra_param(name.to_owned(), value.to_owned());
            }
        }
        let (url, state) = request.url();
        let iss = if metadata.authorization_response_iss_parameter_supported {
            IssParameter::Promised
        } else {
            IssParameter::Unpromised
        };
        Ok(Self {
            url: url.to_string(),
            expected: ExpectedResponse {
                redirect_uri: redirect_uri.to_owned(),
                state: Secret::new(state.into_secret()),
                issuer: metadata.issuer.clone(),
                iss,
            },
            verifier: Secret::new(verifier.into_secret()),
            nonce: nonce.map(|nonce| Secret::new(nonce.into_secret())),
        })
    }
}

impl fmt::Debug for AuthorizationRequest {
    /// The address holds `state` and nonce.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationRequest")
            .field("to", &origin_of(&self.url))
            .field("expected", &self.expected)
            .finish_non_exhaustive()
    }
}

/// 128 bits.
const RANDOM_BYTES: u32 = 16;

/// The redirect URI is not a URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{redirect_uri} cannot be a place to return to")]
pub struct BadRedirectUri {
    redirect_uri: String,
    source: url::ParseError,
}

/// Whether `url` may be handed to a browser: what [`AuthorizationRequest`] makes always may (B1).
pub fn may_open(url: &str) -> bool {
    Endpoint::parse(url).is_ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use base64::Engine;

    use super::*;

    fn metadata(authorization_endpoint: &str) -> AuthorizationServerMetadata {
        let server = Endpoint::parse("https://as.example/").unwrap();
        AuthorizationServerMetadata {
            authorization_endpoint: Endpoint::parse(authorization_endpoint).unwrap(),
            ..AuthorizationServerMetadata::default_endpoints(&server)
        }
    }

    fn made(scopes: &str, prompt: &Prompt) -> (AuthorizationRequest, BTreeMap<String, String>) {
        let metadata = metadata("https://as.example/authorize?tenant=t");
        let request = AuthorizationRequest::new(&AuthorizationParameters {
            metadata: &metadata,
            client_id: "app",
            redirect_uri: "http://127.0.0.1:4711/callback",
            resource: Some("https://mcp.example"),
            scopes: &Scopes::parse(scopes),
            prompt,
        })
        .unwrap();
        let pairs: Vec<(String, String)> =
            url::Url::parse(&request.url).unwrap().query_pairs().into_owned().collect();
        let query: BTreeMap<_, _> = pairs.iter().cloned().collect();
        assert_eq!(query.len(), pairs.len(), "a parameter stands twice");
        (request, query)
    }

    #[test]
    fn the_address_carries_what_the_specification_wants_and_exact_identifiers() {
        let (request, query) = made("a b", &Prompt::Unspecified);
        let challenge = {
            let digest = ring::digest::digest(&ring::digest::SHA256, request.verifier.expose().as_bytes());
            base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest)
        };
        for (name, value) in [
            ("response_type", "code"),
            ("client_id", "app"),
            ("redirect_uri", "http://127.0.0.1:4711/callback"),
            ("scope", "a b"),
            ("state", request.expected.state.expose()),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("resource", "https://mcp.example"),
            ("tenant", "t"),
        ] {
            assert_eq!(query.get(name).map(String::as_str), Some(value), "{name}");
        }
        for name in ["nonce", "prompt", "login_hint"] {
            assert!(!query.contains_key(name), "{name}");
        }
        assert!(request.expected.state.expose().len() >= 22, "128 bits in base64");
        assert_ne!(request.expected.state, made("a b", &Prompt::Unspecified).0.expected.state);
    }

    #[test]
    fn scope_is_left_out_when_there_is_none_and_a_nonce_comes_with_openid() {
        assert!(!made("", &Prompt::Unspecified).1.contains_key("scope"));
        let (request, query) = made("openid", &Prompt::Unspecified);
        assert_eq!(query.get("nonce"), request.nonce.as_ref().map(Secret::expose));
        assert!(request.nonce.is_some());
    }

    #[test]
    fn another_account_is_chosen_and_the_same_person_hinted_at() {
        let (_, query) = made("", &Prompt::SelectAccount);
        assert_eq!(query.get("prompt").map(String::as_str), Some("select_account"));
        assert_eq!(made("", &Prompt::Login).1.get("prompt").map(String::as_str), Some("login"));
        let (_, query) = made("", &Prompt::LoginHint("ana@example.com".into()));
        assert_eq!(query.get("login_hint").map(String::as_str), Some("ana@example.com"));
    }

    #[test]
    fn parameters_that_an_issuer_wants_stand_once_and_never_instead_of_ours() {
        let mut metadata = metadata("https://as.example/authorize?tenant=t");
        metadata.issuer = "https://accounts.google.com".to_owned();
        let extra = ExtraParameters::new([("prompt", "consent"), ("tenant", "other"), ("x", "1")]).unwrap();
        for (prompt, want) in [
            (Prompt::Unspecified, Some("consent")),
            (Prompt::SelectAccount, Some("select_account")),
            (Prompt::LoginHint("ana".into()), Some("consent")),
        ] {
            let request = AuthorizationRequest::with_extra(
                &AuthorizationParameters {
                    metadata: &metadata,
                    client_id: "app",
                    redirect_uri: "http://127.0.0.1:4711/callback",
                    resource: None,
                    scopes: &Scopes::default(),
                    prompt: &prompt,
                },
                &extra,
            )
            .unwrap();
            let url = url::Url::parse(&request.url).unwrap();
            let values = |name: &str| -> Vec<String> {
                url.query_pairs().filter(|(n, _)| n == name).map(|(_, v)| v.into_owned()).collect()
            };
            assert_eq!(values("prompt"), want.into_iter().collect::<Vec<_>>());
            assert_eq!(values("tenant"), ["t"]);
            assert_eq!(values("x"), ["1"]);
            assert_eq!(values("access_type"), ["offline"]);
        }
    }

    #[test]
    fn debug_shows_neither_state_nor_verifier_nor_nonce() {
        let (request, query) = made("openid", &Prompt::Unspecified);
        let text = format!("{request:?}");
        for secret in [&query["state"], &query["nonce"], request.verifier.expose()] {
            assert!(!text.contains(secret.as_str()), "{text}");
        }
    }

    #[test]
    fn only_http_addresses_may_be_opened() {
        assert!(may_open(&made("", &Prompt::Unspecified).0.url));
        for bad in
            ["javascript:alert(1)", "file:///etc/passwd", "data:text/html,x", "http://as.example/", "-x", ""]
        {
            assert!(!may_open(bad), "{bad}");
        }
    }
}
