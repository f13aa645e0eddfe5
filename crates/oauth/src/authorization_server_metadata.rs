//! Authorization server metadata (RFC 8414, OpenID Connect Discovery): where an issuer's endpoints lie.

use model::Endpoint;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use crate::{ServerText, json_field};

/// The document, as far as we use it. The issuer is the exact text; endpoints are safe to call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizationServerMetadata {
    /// `issuer`.
    pub issuer: String,
    /// `authorization_endpoint`.
    pub authorization_endpoint: Endpoint,
    /// `token_endpoint`.
    pub token_endpoint: Endpoint,
    /// `registration_endpoint` (RFC 7591).
    pub registration_endpoint: Option<Endpoint>,
    /// `revocation_endpoint` (RFC 7009).
    pub revocation_endpoint: Option<Endpoint>,
    /// `userinfo_endpoint` (OpenID Connect Core section 5.3).
    pub userinfo_endpoint: Option<Endpoint>,
    /// `jwks_uri`.
    pub jwks_uri: Option<Endpoint>,
    /// `scopes_supported`.
    pub scopes_supported: Option<Vec<String>>,
    /// `grant_types_supported`.
    pub grant_types_supported: Option<Vec<String>>,
    /// `token_endpoint_auth_methods_supported`.
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// `code_challenge_methods_supported` (RFC 7636).
    pub code_challenge_methods_supported: Option<Vec<String>>,
    /// `client_id_metadata_document_supported`.
    pub client_id_metadata_document_supported: bool,
    /// `authorization_response_iss_parameter_supported` (RFC 9207).
    pub authorization_response_iss_parameter_supported: bool,
    /// `device_authorization_endpoint` (RFC 8628 section 4).
    #[serde(default)]
    pub device_authorization_endpoint: Option<Endpoint>,
    /// `introspection_endpoint` (RFC 7662).
    #[serde(default)]
    pub introspection_endpoint: Option<Endpoint>,
    /// `token_endpoint_auth_signing_alg_values_supported`.
    #[serde(default)]
    pub token_endpoint_auth_signing_alg_values_supported: Option<Vec<String>>,
    /// `authorization_grant_profiles_supported` (draft-ietf-oauth-identity-assertion-authz-grant section 7.2).
    #[serde(default)]
    pub authorization_grant_profiles_supported: Option<Vec<String>>,
}

/// What metadata say about a grant type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// It is listed.
    Listed,
    /// There is no list: it may work.
    Unsaid,
    /// There is a list without it.
    NotListed,
}

impl AuthorizationServerMetadata {
    /// Reads the document. `issuers` are the texts of which its `issuer` must be one, exactly
    /// (RFC 8414 section 3.3): another issuer's document is not used.
    pub fn read(document: &Map<String, Value>, issuers: &[&str]) -> Result<Self, ServerMetadataError> {
        let issuer = json_field::text(document, "issuer").ok_or(ServerMetadataError::NoIssuer)?;
        if !issuers.contains(&issuer) {
            return Err(ServerMetadataError::OtherIssuer {
                found: ServerText::new(issuer),
                wanted: issuers.first().copied().unwrap_or_default().to_owned(),
            });
        }
        let list = |name| json_field::list(document, name);
        Ok(Self {
            issuer: issuer.to_owned(),
            authorization_endpoint: required(document, "authorization_endpoint")?,
            token_endpoint: required(document, "token_endpoint")?,
            registration_endpoint: endpoint(document, "registration_endpoint")?,
            revocation_endpoint: endpoint(document, "revocation_endpoint")?,
            userinfo_endpoint: endpoint(document, "userinfo_endpoint")?,
            jwks_uri: endpoint(document, "jwks_uri")?,
            scopes_supported: list("scopes_supported"),
            grant_types_supported: list("grant_types_supported"),
            token_endpoint_auth_methods_supported: list("token_endpoint_auth_methods_supported"),
            code_challenge_methods_supported: list("code_challenge_methods_supported"),
            client_id_metadata_document_supported: json_field::flag(
                document,
                "client_id_metadata_document_supported",
            ),
            authorization_response_iss_parameter_supported: json_field::flag(
                document,
                "authorization_response_iss_parameter_supported",
            ),
            device_authorization_endpoint: endpoint_if_usable(document, "device_authorization_endpoint"),
            introspection_endpoint: endpoint_if_usable(document, "introspection_endpoint"),
            token_endpoint_auth_signing_alg_values_supported: list(
                "token_endpoint_auth_signing_alg_values_supported",
            ),
            authorization_grant_profiles_supported: list("authorization_grant_profiles_supported"),
        })
    }

    /// Whether the issuer offers a grant type (`grant_types_supported`; its default without a list,
    /// RFC 8414 section 2, is what many issuers forget to widen).
    pub fn offers(&self, grant_type: &str) -> Offer {
        match &self.grant_types_supported {
            Some(list) if list.iter().any(|listed| listed == grant_type) => Offer::Listed,
            Some(_) => Offer::NotListed,
            None => Offer::Unsaid,
        }
    }

    /// The default endpoints of the 2025-03-26 revision, for an MCP origin without any metadata.
    pub fn default_endpoints(server: &Endpoint) -> Self {
        let origin = server.origin();
        let at = |path: &str| {
            Endpoint::parse(&format!("{origin}{path}"))
                .expect("the origin of an endpoint with a plain path is one")
        };
        Self {
            authorization_endpoint: at("/authorize"),
            token_endpoint: at("/token"),
            registration_endpoint: Some(at("/register")),
            issuer: origin,
            revocation_endpoint: None,
            userinfo_endpoint: None,
            jwks_uri: None,
            scopes_supported: None,
            grant_types_supported: None,
            token_endpoint_auth_methods_supported: Some(vec!["none".to_owned()]),
            code_challenge_methods_supported: Some(vec!["S256".to_owned()]),
            client_id_metadata_document_supported: false,
            authorization_response_iss_parameter_supported: false,
            device_authorization_endpoint: None,
            introspection_endpoint: None,
            token_endpoint_auth_signing_alg_values_supported: None,
            authorization_grant_profiles_supported: None,
        }
    }

    /// Where an issuer's document is looked for, in order (RFC 8414 section 3.1, OpenID Connect Discovery
    /// section 4, MCP authorization).
    pub fn well_known(issuer: &str) -> Result<Vec<String>, ServerMetadataError> {
        let unusable = || ServerMetadataError::BadIssuer { issuer: ServerText::new(issuer) };
        let parsed = Endpoint::parse(issuer).map_err(|_| unusable())?.url();
        if parsed.query().is_some() {
            return Err(unusable());
        }
        let origin = parsed.origin().ascii_serialization();
        let path = parsed.path().trim_end_matches('/');
        Ok(if path.is_empty() {
            vec![format!("{origin}{OAUTH}"), format!("{origin}{OPENID}")]
        } else {
            vec![
                format!("{origin}{OAUTH}{path}"),
                format!("{origin}{OPENID}{path}"),
                format!("{origin}{path}{OPENID}"),
            ]
        })
    }

    /// Refuses an issuer that does not say that it checks PKCE with S256 (MCP authorization, Authorization
    /// Code Protection). A pin may excuse silence, never another method.
    pub fn check_pkce(&self, silence: PkceSilence) -> Result<(), ServerMetadataError> {
        match (&self.code_challenge_methods_supported, silence) {
            (Some(methods), _) if methods.iter().any(|method| method == "S256") => Ok(()),
            (None, PkceSilence::Tolerated) => Ok(()),
            (None, PkceSilence::Refused) => {
                Err(ServerMetadataError::SilentOnPkce { issuer: self.issuer.clone() })
            }
            (Some(_), _) => Err(ServerMetadataError::NoS256 { issuer: self.issuer.clone() }),
        }
    }
}

/// Whether metadata that says nothing about PKCE is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PkceSilence {
    /// The default.
    Refused,
    /// A pin says so for this Server.
    Tolerated,
}

const OAUTH: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";

/// An endpoint that may be absent; one that is there must be safe.
fn endpoint(
    document: &Map<String, Value>,
    name: &'static str,
) -> Result<Option<Endpoint>, ServerMetadataError> {
    let Some(text) = json_field::text(document, name) else { return Ok(None) };
    // A base that is not http(s) (`javascript:`, `data:`) does not parse as an endpoint at all.
    let _: Url = Url::parse(text).map_err(|_| ServerMetadataError::NotAUrl { name })?;
    Endpoint::parse(text).map(Some).map_err(|source| ServerMetadataError::UnsafeEndpoint { name, source })
}

/// An endpoint of a way in that may be left alone: one that is not safe to call is as good as absent, and no
/// reason to refuse the others.
fn endpoint_if_usable(document: &Map<String, Value>, name: &'static str) -> Option<Endpoint> {
    endpoint(document, name).ok().flatten()
}

fn required(document: &Map<String, Value>, name: &'static str) -> Result<Endpoint, ServerMetadataError> {
    endpoint(document, name)?.ok_or(ServerMetadataError::NoEndpoint { name })
}

/// Why a document cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServerMetadataError {
    /// Its `issuer` is not the one that was asked for.
    #[error("the authorization server {wanted} says that it is another one, \"{found}\"")]
    OtherIssuer {
        /// What it says.
        found: ServerText,
        /// What was asked for.
        wanted: String,
    },
    /// No `issuer`.
    #[error("the authorization server's metadata names no issuer")]
    NoIssuer,
    /// An issuer identifier that is no https URL without query and fragment.
    #[error("\"{issuer}\" cannot be the address of an authorization server")]
    BadIssuer {
        /// The text.
        issuer: ServerText,
    },
    /// A required endpoint is missing.
    #[error("the authorization server's metadata has no {name}")]
    NoEndpoint {
        /// The field.
        name: &'static str,
    },
    /// An endpoint that is no URL.
    #[error("the authorization server's {name} is not a URL")]
    NotAUrl {
        /// The field.
        name: &'static str,
    },
    /// An endpoint that must not be called.
    #[error("the authorization server's {name} may not be called: {source}")]
    UnsafeEndpoint {
        /// The field.
        name: &'static str,
        /// Why.
        source: model::EndpointError,
    },
    /// `code_challenge_methods_supported` is missing.
    #[error("the authorization server {issuer} does not say that it protects sign-ins with PKCE")]
    SilentOnPkce {
        /// Who.
        issuer: String,
    },
    /// `code_challenge_methods_supported` lacks `S256`.
    #[error("the authorization server {issuer} does not support PKCE with S256")]
    NoS256 {
        /// Who.
        issuer: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(extra: &str) -> Map<String, Value> {
        let text = format!(
            r#"{{"issuer":"https://as.example","authorization_endpoint":"https://as.example/a","token_endpoint":"https://as.example/t"{extra}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn well_known_places_follow_the_order_of_the_specification() {
        let places = |issuer| AuthorizationServerMetadata::well_known(issuer).unwrap();
        assert_eq!(
            places("https://as.example"),
            [
                "https://as.example/.well-known/oauth-authorization-server",
                "https://as.example/.well-known/openid-configuration"
            ]
        );
        assert_eq!(places("https://as.example/"), places("https://as.example"));
        assert_eq!(
            places("https://as.example/t1/"),
            [
                "https://as.example/.well-known/oauth-authorization-server/t1",
                "https://as.example/.well-known/openid-configuration/t1",
                "https://as.example/t1/.well-known/openid-configuration"
            ]
        );
        for bad in [
            "",
            "as.example",
            "http://as.example",
            "https://as.example?x",
            "https://as.example#x",
            "javascript:1",
        ] {
            assert!(AuthorizationServerMetadata::well_known(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_issuer_is_compared_as_text() {
        let read = |issuer| AuthorizationServerMetadata::read(&document(""), &[issuer]);
        assert_eq!(read("https://as.example").unwrap().issuer, "https://as.example");
        for other in
            ["https://as.example/", "https://AS.example", "https://as.example:443", "https://evil.example"]
        {
            assert!(matches!(read(other), Err(ServerMetadataError::OtherIssuer { .. })), "{other}");
        }
    }

    #[test]
    fn endpoints_must_be_safe_to_call() {
        for bad in [
            "javascript:alert(1)",
            "data:text/html,x",
            "file:///x",
            "http://as.example/r",
            "https://u:p@as.example/r",
            "nonsense",
        ] {
            let extra = format!(r#","registration_endpoint":"{bad}""#);
            let got = AuthorizationServerMetadata::read(&document(&extra), &["https://as.example"]);
            assert!(
                matches!(
                    got,
                    Err(ServerMetadataError::UnsafeEndpoint { .. } | ServerMetadataError::NotAUrl { .. })
                ),
                "{bad}"
            );
        }
        for empty in [r#","registration_endpoint":null"#, r#","registration_endpoint":"""#, ""] {
            let got = AuthorizationServerMetadata::read(&document(empty), &["https://as.example"]).unwrap();
            assert_eq!(got.registration_endpoint, None);
        }
        let mut lacking = document("");
        lacking.remove("token_endpoint");
        assert_eq!(
            AuthorizationServerMetadata::read(&lacking, &["https://as.example"]),
            Err(ServerMetadataError::NoEndpoint { name: "token_endpoint" })
        );
    }

    /// security.md section 8: strict by default; a pin excuses a missing list, and nothing but that.
    #[test]
    fn pkce_must_be_promised_and_a_pin_excuses_silence_alone() {
        use PkceSilence::{Refused, Tolerated};
        let check = |methods: Option<&str>, silence| {
            let extra =
                methods.map(|m| format!(r#","code_challenge_methods_supported":{m}"#)).unwrap_or_default();
            let read = AuthorizationServerMetadata::read(&document(&extra), &["https://as.example"]).unwrap();
            match read.check_pkce(silence) {
                Ok(()) => "good",
                Err(ServerMetadataError::SilentOnPkce { .. }) => "silent",
                Err(ServerMetadataError::NoS256 { .. }) => "no S256",
                Err(error) => panic!("{error}"),
            }
        };
        for (methods, refused, tolerated) in [
            (Some(r#"["S256"]"#), "good", "good"),
            (Some(r#"["plain","S256"]"#), "good", "good"),
            (None, "silent", "good"),
            (Some("null"), "silent", "good"),
            // No list is no promise, and no denial either.
            (Some(r#""S256""#), "silent", "good"),
            (Some("true"), "silent", "good"),
            (Some("[]"), "no S256", "no S256"),
            (Some(r#"["plain"]"#), "no S256", "no S256"),
            (Some(r#"["s256"]"#), "no S256", "no S256"),
            (Some("[256]"), "no S256", "no S256"),
        ] {
            assert_eq!(check(methods, Refused), refused, "{methods:?}");
            assert_eq!(check(methods, Tolerated), tolerated, "{methods:?}");
        }
    }

    #[test]
    fn other_ways_in_are_read_and_an_unusable_one_does_not_hinder_the_rest() {
        let read = |extra: &str| {
            AuthorizationServerMetadata::read(&document(extra), &["https://as.example"]).unwrap()
        };
        let all = read(
            r#","device_authorization_endpoint":"https://as.example/d","introspection_endpoint":"https://as.example/i","grant_types_supported":["client_credentials"]"#,
        );
        let text = |endpoint: &Option<Endpoint>| endpoint.as_ref().map(|e| e.as_str().to_owned());
        assert_eq!(text(&all.device_authorization_endpoint).as_deref(), Some("https://as.example/d"));
        assert_eq!(text(&all.introspection_endpoint).as_deref(), Some("https://as.example/i"));
        assert_eq!(all.offers("client_credentials"), Offer::Listed);
        assert_eq!(all.offers("authorization_code"), Offer::NotListed);
        assert_eq!(read("").offers("client_credentials"), Offer::Unsaid);
        for bad in ["http://as.example/d", "javascript:1", "nonsense"] {
            let extra =
                format!(r#","device_authorization_endpoint":"{bad}","introspection_endpoint":"{bad}""#);
            let read = read(&extra);
            assert_eq!(
                (read.device_authorization_endpoint, read.introspection_endpoint),
                (None, None),
                "{bad}"
            );
        }
    }

    #[test]
    fn flags_are_true_only_when_they_say_true() {
        for (value, want) in
            [("true", true), ("false", false), ("\"true\"", false), ("1", false), ("null", false)]
        {
            let extra = format!(r#","authorization_response_iss_parameter_supported":{value}"#);
            let got = AuthorizationServerMetadata::read(&document(&extra), &["https://as.example"]).unwrap();
            assert_eq!(got.authorization_response_iss_parameter_supported, want, "{value}");
        }
    }
}
