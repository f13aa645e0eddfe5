//! One token for another (RFC 8693). MCP uses it in one place only: an identity assertion at the company's
//! identity provider (see `identity_assertion.rs`).

use std::time::Duration;

use model::{Endpoint, Secret};
use serde_json::{Map, Value};

use crate::http::Http;
use crate::json_field;
use crate::scopes::Scopes;
use crate::token::{TokenError, post, unusable_answer};
use crate::token_answer::{LONGEST_LIFE, Unusable, is_printable, lifetime, scope};
use crate::token_endpoint_auth::ClientAuthentication;

/// `grant_type` of this grant (RFC 8693 section 2.1).
pub const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// What a token is (RFC 8693 section 3; draft-ietf-oauth-identity-assertion-authz-grant section 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenType {
    /// `access_token`.
    AccessToken,
    /// `refresh_token`.
    RefreshToken,
    /// `id_token`.
    IdToken,
    /// `id-jag`: an identity assertion for another authorization server.
    IdJag,
}

impl TokenType {
    /// Its registered name.
    pub fn name(self) -> &'static str {
        match self {
            Self::AccessToken => "urn:ietf:params:oauth:token-type:access_token",
            Self::RefreshToken => "urn:ietf:params:oauth:token-type:refresh_token",
            Self::IdToken => "urn:ietf:params:oauth:token-type:id_token",
            Self::IdJag => "urn:ietf:params:oauth:token-type:id-jag",
        }
    }
}

/// What to exchange for what.
#[derive(Clone, Copy, Debug)]
pub struct TokenExchange<'a> {
    /// `subject_token`: whose.
    pub subject_token: &'a Secret<String>,
    /// `subject_token_type`.
    pub subject_token_type: TokenType,
    /// `requested_token_type`.
    pub requested_token_type: TokenType,
    /// `audience`: for whom, exact.
    pub audience: Option<&'a str>,
    /// `resource` (RFC 8707), exact.
    pub resource: Option<&'a str>,
    /// `scope`.
    pub scopes: &'a Scopes,
}

/// What came.
#[derive(Clone, Debug)]
pub struct Exchanged {
    /// `access_token`, which is of the requested type and need not be an access token.
    pub token: Secret<String>,
    /// `expires_in`.
    pub expires_in: Option<Duration>,
    /// `scope` as granted; `None` means as asked for.
    pub scope: Option<String>,
}

/// Exchanges a token at `url`. An answer of another type than the requested one is refused.
pub async fn exchange_token(
    http: &dyn Http,
    url: &Endpoint,
    authentication: &ClientAuthentication,
    exchange: &TokenExchange<'_>,
) -> Result<Exchanged, TokenError> {
    let scope = exchange.scopes.parameter();
    let mut fields = vec![
        ("grant_type", TOKEN_EXCHANGE),
        ("requested_token_type", exchange.requested_token_type.name()),
        // Into the request body, which is a secret itself.
        ("subject_token", exchange.subject_token.expose()),
        ("subject_token_type", exchange.subject_token_type.name()),
    ];
    fields.extend(exchange.audience.map(|audience| ("audience", audience)));
    fields.extend(exchange.resource.map(|resource| ("resource", resource)));
    fields.extend(scope.as_deref().map(|scope| ("scope", scope)));
    let body = post(http, url, authentication, &fields).await?;
    read(&body, exchange.requested_token_type).map_err(|unusable| unusable_answer(&unusable, &body))
}

/// RFC 8693 section 2.2.1.
fn read(body: &Map<String, Value>, wanted: TokenType) -> Result<Exchanged, Unusable> {
    let token = json_field::text(body, "access_token").ok_or(Unusable::NoToken)?;
    if !is_printable(token) || token.contains(' ') {
        return Err(Unusable::Bad("the token holds characters that no token may hold, or is too long"));
    }
    if json_field::text(body, "issued_token_type") != Some(wanted.name()) {
        return Err(Unusable::Bad("the token is of another type than was asked for"));
    }
    let bearer = json_field::text(body, "token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("bearer"));
    if wanted == TokenType::AccessToken && !bearer {
        return Err(Unusable::Bad("the token is not of the type Bearer"));
    }
    Ok(Exchanged {
        token: Secret::from(token),
        expires_in: body.get("expires_in").and_then(|value| lifetime(value, LONGEST_LIFE)),
        scope: scope(body.get("scope")),
    })
}

#[cfg(test)]
mod tests {
    use model::TokenEndpointAuth;

    use super::*;
    use crate::testing::{Answers, field, json};

    const TOKEN: &str = "https://idp.example/token";

    async fn exchanged(http: &Answers, wanted: TokenType) -> Result<Exchanged, TokenError> {
        let authentication = ClientAuthentication::new("app", TokenEndpointAuth::None, None);
        let scopes = Scopes::parse("a b");
        let exchange = TokenExchange {
            subject_token: &"x.y.z".into(),
            subject_token_type: TokenType::IdToken,
            requested_token_type: wanted,
            audience: Some("https://as.example/"),
            resource: Some("https://mcp.example/mcp"),
            scopes: &scopes,
        };
        exchange_token(http, &Endpoint::parse(TOKEN).unwrap(), &authentication, &exchange).await
    }

    #[tokio::test]
    async fn the_request_names_token_audience_and_resource_exactly() {
        let body = r#"{"access_token":"a.b.c","issued_token_type":"urn:ietf:params:oauth:token-type:id-jag","token_type":"N_A","expires_in":300,"scope":"a"}"#;
        let http = Answers::new([(TOKEN, json(body))]);
        let got = exchanged(&http, TokenType::IdJag).await.unwrap();
        assert_eq!((got.token, got.expires_in), ("a.b.c".into(), Some(Duration::from_mins(5))));
        assert_eq!(got.scope.as_deref(), Some("a"));
        let form = http.last_form();
        for (name, value) in [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("requested_token_type", "urn:ietf:params:oauth:token-type:id-jag"),
            ("subject_token", "x.y.z"),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"),
            ("audience", "https://as.example/"),
            ("resource", "https://mcp.example/mcp"),
            ("scope", "a b"),
            ("client_id", "app"),
        ] {
            assert_eq!(field(&form, name), Some(value), "{name}");
        }
    }

    #[tokio::test]
    async fn another_type_of_token_is_refused() {
        let of = |kind: &str, token_type: &str| {
            format!(
                r#"{{"access_token":"abc","issued_token_type":"urn:ietf:params:oauth:token-type:{kind}","token_type":"{token_type}"}}"#
            )
        };
        for (body, wanted, good) in [
            (of("access_token", "Bearer"), TokenType::AccessToken, true),
            (of("access_token", "N_A"), TokenType::AccessToken, false),
            (of("access_token", "DPoP"), TokenType::AccessToken, false),
            (of("access_token", "Bearer"), TokenType::IdJag, false),
            (of("id-jag", "N_A"), TokenType::IdJag, true),
            (of("id-jag", "Bearer"), TokenType::IdJag, true),
            (of("jwt", "N_A"), TokenType::IdJag, false),
            (r#"{"access_token":"abc","token_type":"N_A"}"#.into(), TokenType::IdJag, false),
        ] {
            let got = exchanged(&Answers::new([(TOKEN, json(&body))]), wanted).await;
            match got {
                Ok(_) => assert!(good, "{body}"),
                Err(error) => {
                    assert!(!good && matches!(error, TokenError::Malformed { .. }), "{body}: {error:?}");
                }
            }
        }
        let none = exchanged(&Answers::new([(TOKEN, json("{}"))]), TokenType::IdJag).await;
        assert!(matches!(none, Err(TokenError::NotAVerdict { .. })));
    }
}
