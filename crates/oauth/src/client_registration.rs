//! Who we are to an issuer: which registration to use, and how to get one (MCP authorization, Client
//! Registration; RFC 7591).

use model::{ClientRegistration, Endpoint, RegistrationChoice, RegistrationKind, Secret, TokenEndpointAuth};
use serde_json::{Map, Value, json};

use crate::authorization_server_metadata::AuthorizationServerMetadata;
use crate::device_authorization::DEVICE_CODE;
use crate::http::{Http, HttpRequest, HttpResponse, TOKEN_TIME};
use crate::scopes::Scopes;
use crate::{ServerText, json_field};

mod error;

pub use error::RegistrationError;

/// What to do about a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registration {
    /// Use this one: pre-registered, a metadata document, or stored from before. Its `secret` field is
    /// that of the stored one, or empty.
    Use(ClientRegistration),
    /// Register anew here.
    Register {
        /// `registration_endpoint`.
        endpoint: Endpoint,
        /// What to ask for.
        token_endpoint_auth: TokenEndpointAuth,
    },
}

/// What a registration is for. One for a grant is never used for another: the issuer was told of one alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterFor<'a> {
    /// The authorization code grant, coming back to this exact redirect URI.
    Redirect(&'a str),
    /// The device code grant (RFC 8628), which comes back to nowhere.
    Device,
    /// A grant for which an administrator registers us beforehand: an application's own credentials, the word of an
    /// identity provider.
    Administered,
}

impl<'a> RegisterFor<'a> {
    fn redirect_uri(self) -> Option<&'a str> {
        match self {
            Self::Redirect(uri) => Some(uri),
            Self::Device | Self::Administered => None,
        }
    }
}

/// Chooses: pre-registered, then metadata document, then stored, then new (A8). Registrations of other
/// issuers, and stored ones with another redirect URI, are never used (A12).
pub fn choose(
    metadata: &AuthorizationServerMetadata,
    choice: &RegistrationChoice,
    stored: &[ClientRegistration],
    wanted: RegisterFor<'_>,
) -> Result<Registration, RegistrationError> {
    let issuer = &metadata.issuer;
    let made = |client_id: &str, kind, token_endpoint_auth| {
        let old = stored.iter().find(|r| r.issuer == *issuer && r.client_id == client_id && r.kind == kind);
        ClientRegistration {
            issuer: issuer.clone(),
            client_id: client_id.to_owned(),
            kind,
            token_endpoint_auth,
            redirect_uri: None,
            secret: old.and_then(|r| r.secret.clone()),
        }
    };
    if let Some(client_id) = &choice.client_id {
        let auth = match choice.token_endpoint_auth {
            Some(auth) => auth,
            None if choice.has_secret => auth_with_secret(metadata)?,
            None => TokenEndpointAuth::None,
        };
        return Ok(Registration::Use(made(client_id, RegistrationKind::PreRegistered, auth)));
    }
    if let Some(url) = &choice.metadata_url
        && metadata.client_id_metadata_document_supported
    {
        check_metadata_url(url)?;
        return Ok(Registration::Use(made(url, RegistrationKind::MetadataDocument, TokenEndpointAuth::None)));
    }
    if wanted == RegisterFor::Administered {
        return Err(RegistrationError::NotOffered { issuer: issuer.clone() });
    }
    let known = stored.iter().find(|r| {
        r.issuer == *issuer
            && r.kind == RegistrationKind::Dynamic
            && r.redirect_uri.as_deref() == wanted.redirect_uri()
    });
    if let Some(known) = known {
        return Ok(Registration::Use(known.clone()));
    }
    let endpoint = metadata
        .registration_endpoint
        .clone()
        .ok_or_else(|| RegistrationError::NotOffered { issuer: issuer.clone() })?;
    Ok(Registration::Register { endpoint, token_endpoint_auth: auth_to_ask_for(metadata)? })
}

/// What to register.
#[derive(Clone, Copy, Debug)]
pub struct RegistrationRequest<'a> {
    /// The issuer that the registration will belong to.
    pub issuer: &'a str,
    /// `registration_endpoint`.
    pub endpoint: &'a Endpoint,
    /// The grant that it will be used for.
    pub wanted: RegisterFor<'a>,
    /// How we want to authenticate.
    pub token_endpoint_auth: TokenEndpointAuth,
    /// The scopes that will be asked for.
    pub scopes: &'a Scopes,
    /// The issuer's `grant_types_supported`: one without `refresh_token` is not asked for it.
    pub grant_types_supported: Option<&'a [String]>,
}

/// A new registration.
#[derive(Clone, Debug)]
pub struct Registered {
    /// Its `secret` is empty: the caller stores [`Registered::secret`] and fills it in.
    pub registration: ClientRegistration,
    /// `client_secret`, where one was issued that the method uses.
    pub secret: Option<Secret<String>>,
    /// `client_secret_expires_at` in Unix seconds; `None` for never.
    pub secret_expires_at: Option<u64>,
}

/// Registers anew (RFC 7591 section 3), as a native app (A11).
pub async fn register(
    http: &dyn Http,
    request: &RegistrationRequest<'_>,
) -> Result<Registered, RegistrationError> {
    let (grant, response_types) = match request.wanted {
        RegisterFor::Redirect(_) => ("authorization_code", vec!["code"]),
        RegisterFor::Device | RegisterFor::Administered => (DEVICE_CODE, Vec::new()),
    };
    let mut grant_types = vec![grant];
    if request.grant_types_supported.is_none_or(|known| known.iter().any(|grant| grant == "refresh_token")) {
        grant_types.push("refresh_token");
    }
    let mut body = json!({
        "client_name": "Hallpass",
        "client_uri": "https://hallpass.dev",
        "application_type": "native",
        "redirect_uris": Vec::from_iter(request.wanted.redirect_uri()),
        "grant_types": grant_types,
        "response_types": response_types,
        "token_endpoint_auth_method": auth_name(request.token_endpoint_auth),
    });
    if let Some(scope) = request.scopes.parameter() {
        body["scope"] = Value::String(scope);
    }
    let mut response = post(http, request, &body).await?;
    // Some issuers register only the scopes that they list themselves, and grant those of a resource all the
    // same (oidc-provider). A registration without scopes leaves the choice to them (RFC 7591 section 2).
    if is_refused_metadata(&response) && body.as_object_mut().is_some_and(|b| b.remove("scope").is_some()) {
        response = post(http, request, &body).await?;
    }
    match response.status {
        200 | 201 => read_registered(request, &response),
        status => Err(refusal(request, status, response.json_object())),
    }
}

async fn post(
    http: &dyn Http,
    request: &RegistrationRequest<'_>,
    body: &Value,
) -> Result<HttpResponse, RegistrationError> {
    let (url, body) = (request.endpoint.as_str(), body.to_string().into_bytes());
    Ok(http.send(HttpRequest::post(url, "application/json", body, TOKEN_TIME)).await?)
}

/// `invalid_client_metadata` (RFC 7591 section 3.2.2).
fn is_refused_metadata(response: &HttpResponse) -> bool {
    let answer = response.json_object().unwrap_or_default();
    response.status == 400 && json_field::text(&answer, "error") == Some("invalid_client_metadata")
}

fn read_registered(
    request: &RegistrationRequest<'_>,
    response: &HttpResponse,
) -> Result<Registered, RegistrationError> {
    let malformed = |what| RegistrationError::Malformed { issuer: request.issuer.to_owned(), what };
    let answer = response.json_object().ok_or_else(|| malformed("not JSON"))?;
    let client_id = json_field::text(&answer, "client_id").ok_or_else(|| malformed("no client_id"))?;
    if client_id.len() > 2048 || !is_vschar(client_id) {
        return Err(malformed("an unusable client_id"));
    }
    let secret = json_field::text(&answer, "client_secret");
    if secret.is_some_and(|secret| secret.len() > 4096 || !is_vschar(secret)) {
        return Err(malformed("an unusable client_secret"));
    }
    if let (Some(ours), Some(uris)) =
        (request.wanted.redirect_uri(), json_field::list(&answer, "redirect_uris"))
        && !uris.is_empty()
        && !uris.iter().any(|uri| uri == ours)
    {
        return Err(redirect_refused(request, None));
    }
    let method = match json_field::text(&answer, "token_endpoint_auth_method") {
        Some(name) => auth_of_name(name).ok_or_else(|| malformed("an unknown token_endpoint_auth_method"))?,
        // It must be in the answer (RFC 7591 section 3.2.1); many leave it out and mean what was asked,
        // or, where no secret came, a public registration.
        None if secret.is_none() => TokenEndpointAuth::None,
        None => request.token_endpoint_auth,
    };
    if method != TokenEndpointAuth::None && secret.is_none() {
        return Err(malformed("no client_secret"));
    }
    let used_secret = if method == TokenEndpointAuth::None { None } else { secret };
    Ok(Registered {
        registration: ClientRegistration {
            issuer: request.issuer.to_owned(),
            client_id: client_id.to_owned(),
            kind: RegistrationKind::Dynamic,
            token_endpoint_auth: method,
            redirect_uri: request.wanted.redirect_uri().map(str::to_owned),
            secret: None,
        },
        secret: used_secret.map(Secret::from),
        secret_expires_at: answer
            .get("client_secret_expires_at")
            .and_then(Value::as_u64)
            .filter(|at| *at != 0),
    })
}

fn refusal(
    request: &RegistrationRequest<'_>,
    status: u16,
    body: Option<Map<String, Value>>,
) -> RegistrationError {
    let issuer = request.issuer.to_owned();
    let body = body.unwrap_or_default();
    let code = json_field::text(&body, "error").unwrap_or_default();
    let text = json_field::text(&body, "error_description").map(ServerText::new);
    match (status, code) {
        (_, "invalid_redirect_uri") => redirect_refused(request, text),
        (300..=399, _) => RegistrationError::Malformed { issuer, what: "a redirect, which is not followed" },
        (401 | 403, _) => RegistrationError::Closed { issuer },
        (404 | 405 | 410 | 501, _) => RegistrationError::NotOffered { issuer },
        (408 | 425 | 429 | 500..=599, _) => RegistrationError::Trouble { issuer, status },
        (_, code) => RegistrationError::Refused {
            issuer,
            code: ServerText::new(if code.is_empty() { "no reason" } else { code }),
            text,
        },
    }
}

fn redirect_refused(request: &RegistrationRequest<'_>, text: Option<ServerText>) -> RegistrationError {
    let redirect_uri = request.wanted.redirect_uri().unwrap_or("(none)").to_owned();
    RegistrationError::RedirectRefused { issuer: request.issuer.to_owned(), redirect_uri, text }
}

/// The best method for a new registration: none, basic, post. Metadata that lists nothing means basic
/// (RFC 8414 section 2), but a native app that is given a choice asks for none.
fn auth_to_ask_for(metadata: &AuthorizationServerMetadata) -> Result<TokenEndpointAuth, RegistrationError> {
    use TokenEndpointAuth::{ClientSecretBasic, ClientSecretPost, None as Public};
    pick(metadata, &[Public, ClientSecretBasic, ClientSecretPost])
}

fn auth_with_secret(metadata: &AuthorizationServerMetadata) -> Result<TokenEndpointAuth, RegistrationError> {
    use TokenEndpointAuth::{ClientSecretBasic, ClientSecretPost, None as Public};
    pick(metadata, &[ClientSecretBasic, ClientSecretPost, Public])
}

fn pick(
    metadata: &AuthorizationServerMetadata,
    order: &[TokenEndpointAuth],
) -> Result<TokenEndpointAuth, RegistrationError> {
    let default = vec!["client_secret_basic".to_owned()];
    let listed = metadata.token_endpoint_auth_methods_supported.as_ref().unwrap_or(&default);
    order
        .iter()
        .copied()
        .find(|auth| listed.iter().any(|name| name == auth_name(*auth)))
        .ok_or_else(|| RegistrationError::NoCommonAuthentication { issuer: metadata.issuer.clone() })
}

/// The registered name of a method (RFC 7591 section 2).
fn auth_name(auth: TokenEndpointAuth) -> &'static str {
    match auth {
        TokenEndpointAuth::None => "none",
        TokenEndpointAuth::ClientSecretBasic => "client_secret_basic",
        TokenEndpointAuth::ClientSecretPost => "client_secret_post",
        TokenEndpointAuth::PrivateKeyJwt => "private_key_jwt",
    }
}

fn auth_of_name(name: &str) -> Option<TokenEndpointAuth> {
    use TokenEndpointAuth::{ClientSecretBasic, ClientSecretPost, None as Public};
    [Public, ClientSecretBasic, ClientSecretPost].into_iter().find(|auth| auth_name(*auth) == name)
}

/// A9: https with a path.
fn check_metadata_url(url: &str) -> Result<(), RegistrationError> {
    let good = Endpoint::parse(url).is_ok_and(|e| e.url().scheme() == "https" && e.url().path().len() > 1);
    if good { Ok(()) } else { Err(RegistrationError::BadMetadataUrl { url: ServerText::new(url) }) }
}

/// RFC 6749 appendix A.1 and A.2.
fn is_vschar(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, 0x20..=0x7e))
}

#[cfg(test)]
mod tests;
