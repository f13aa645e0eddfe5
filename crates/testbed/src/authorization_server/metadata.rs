//! The documents: authorization server metadata (RFC 8414), its OpenID Connect twin, the keys.

use serde_json::{Value, json};

use super::knobs::{AuthMethod, Availability, Identity, Knobs, Metadata};

/// Whether `path` is a well-known place of this issuer, and whose metadata stands there.
///
/// RFC 8414 section 3.1 inserts the well-known part before the issuer's path; OpenID Connect Discovery
/// appends it; section 5 of RFC 8414 allows the inserted OpenID form as well.
pub(super) fn is_metadata_path(path: &str, issuer_path: &str, knobs: &Knobs) -> bool {
    let oauth = path == format!("/.well-known/oauth-authorization-server{issuer_path}");
    let openid = path == format!("{issuer_path}/.well-known/openid-configuration")
        || path == format!("/.well-known/openid-configuration{issuer_path}");
    match knobs.metadata {
        Metadata::Both => oauth || openid,
        Metadata::OAuthOnly => oauth,
        Metadata::OpenIdOnly => openid,
        Metadata::Absent => false,
    }
}

pub(super) fn document(issuer: &str, knobs: &Knobs) -> Value {
    let scopes = scopes(knobs);
    let mut document = json!({
        "issuer": knobs.metadata_issuer.as_deref().unwrap_or(issuer),
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/jwks"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": grants(knobs),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "token_endpoint_auth_methods_supported": knobs.token_endpoint_auth,
        "scopes_supported": scopes,
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "authorization_response_iss_parameter_supported": knobs.advertise_callback_issuer,
        "client_id_metadata_document_supported": knobs.client_id_metadata_documents,
    });
    if knobs.pkce_metadata {
        document["code_challenge_methods_supported"] = json!(["S256"]);
    }
    for (member, place, availability) in [
        ("registration_endpoint", "register", knobs.registration),
        ("revocation_endpoint", "revoke", knobs.revocation),
        ("userinfo_endpoint", "userinfo", knobs.userinfo),
        ("device_authorization_endpoint", "device_authorization", knobs.device_authorization),
        ("introspection_endpoint", "introspect", knobs.introspection),
    ] {
        let hidden = member == "userinfo_endpoint" && knobs.identity == Identity::Nothing;
        if availability != Availability::Absent && !hidden {
            document[member] = format!("{issuer}/{place}").into();
        }
    }
    if knobs.token_endpoint_auth.contains(&AuthMethod::PrivateKeyJwt) {
        document["token_endpoint_auth_signing_alg_values_supported"] =
            json!(["ES256", "ES384", "RS256", "PS256", "EdDSA"]);
    }
    if knobs.jwt_bearer != Availability::Absent {
        document["authorization_grant_profiles_supported"] =
            json!(["urn:ietf:params:oauth:grant-profile:id-jag"]);
    }
    document
}

/// The grants that exist, by their registered names.
fn grants(knobs: &Knobs) -> Vec<&'static str> {
    let more = [
        (knobs.device_authorization, DEVICE_CODE),
        (knobs.client_credentials, "client_credentials"),
        (knobs.token_exchange, TOKEN_EXCHANGE),
        (knobs.jwt_bearer, JWT_BEARER),
    ];
    let offered = more.into_iter().filter(|(there, _)| *there != Availability::Absent).map(|(_, name)| name);
    ["authorization_code", "refresh_token"].into_iter().chain(offered).collect()
}

pub(super) const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";
pub(super) const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
pub(super) const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// Without any proof of the person there is no `openid` either.
pub(super) fn scopes(knobs: &Knobs) -> Vec<&str> {
    let proves = knobs.identity != Identity::Nothing;
    let known = knobs.scopes_supported.iter().map(String::as_str);
    known.filter(|scope| proves || !["openid", "profile", "email"].contains(scope)).collect()
}
