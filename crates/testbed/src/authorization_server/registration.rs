//! Dynamic registration (RFC 7591) and the comparison of redirect URIs.

use http::{Response, StatusCode};
use serde_json::{Value, json};
use url::Url;

use super::Inner;
use super::knobs::{AuthMethod, Availability};
use super::ledger::{Registration, SecretKind, sized};
use crate::web::{self, Body, Incoming};

pub(super) fn register(inner: &Inner, request: &Incoming) -> Response<Body> {
    let knobs = inner.knobs();
    match knobs.registration {
        Availability::Open => {}
        Availability::Absent => return super::not_found(),
        Availability::Refused => return error("invalid_client_metadata", "registration is closed here"),
        Availability::Unavailable => return super::unavailable(),
    }
    let Ok(asked) = serde_json::from_slice::<Value>(&request.body) else {
        return error("invalid_client_metadata", "not a JSON document");
    };
    let redirect_uris: Vec<String> = asked["redirect_uris"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    // RFC 7591 section 2: redirect URIs belong to grants that come back by redirect.
    let by_redirect =
        asked["grant_types"].as_array().is_none_or(|all| all.contains(&json!("authorization_code")));
    let native = |uri: &String| Url::parse(uri).is_ok_and(|url| is_loopback(&url) || url.scheme() == "https");
    if (by_redirect && redirect_uris.is_empty()) || !redirect_uris.iter().all(native) {
        return error("invalid_redirect_uri", "redirect URIs are on loopback or https");
    }
    let wanted = asked.get("token_endpoint_auth_method").cloned();
    let auth = match wanted.map(serde_json::from_value::<AuthMethod>) {
        Some(Ok(auth)) if knobs.token_endpoint_auth.contains(&auth) => auth,
        Some(Ok(_) | Err(_)) => {
            return error("invalid_client_metadata", "that authentication is not supported");
        }
        None => AuthMethod::Basic, // RFC 7591 section 2: the default
    };
    let application_type = asked["application_type"].as_str().map(str::to_owned);
    let keys = asked.get("jwks").cloned();
    if auth == AuthMethod::PrivateKeyJwt && keys.is_none() {
        return error("invalid_client_metadata", "private_key_jwt needs a key");
    }
    let registration = inner.register(redirect_uris, auth, application_type, keys);
    inner.ledger().stats.registrations += 1;
    let mut answer = asked;
    answer["client_id"] = registration.id.into();
    answer["client_id_issued_at"] = json!(0);
    answer["token_endpoint_auth_method"] = json!(auth);
    if let Some(secret) = registration.secret {
        answer["client_secret"] = secret.into();
        answer["client_secret_expires_at"] = json!(0);
    }
    web::json(StatusCode::CREATED, &answer)
}

impl Inner {
    pub(super) fn register(
        &self,
        redirect_uris: Vec<String>,
        auth: AuthMethod,
        application_type: Option<String>,
        keys: Option<Value>,
    ) -> Registration {
        let secret = match auth {
            AuthMethod::None | AuthMethod::PrivateKeyJwt => None,
            AuthMethod::Basic | AuthMethod::Post => Some(sized("secret", 0)),
        };
        let registration =
            Registration { id: sized("app", 0), secret, auth, redirect_uris, application_type, keys };
        let mut ledger = self.ledger();
        if let Some(secret) = &registration.secret {
            ledger.note(SecretKind::ClientSecret, None, secret);
        }
        ledger.registrations.insert(registration.id.clone(), registration.clone());
        registration
    }
}

/// RFC 9700 section 4.1.3: exact; with the one exception of RFC 8252 section 7.3 where it is granted.
pub(super) fn redirect_matches(registered: &[String], asked: &str, any_loopback_port: bool) -> bool {
    let same_but_port = |known: &String| {
        let (Ok(mut known), Ok(asked)) = (Url::parse(known), Url::parse(asked)) else { return false };
        is_loopback(&asked) && known.set_port(asked.port()).is_ok() && known == asked
    };
    registered.iter().any(|known| known == asked || (any_loopback_port && same_but_port(known)))
}

fn is_loopback(url: &Url) -> bool {
    url.scheme() == "http" && matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"))
}

fn error(code: &str, description: &str) -> Response<Body> {
    web::json(StatusCode::BAD_REQUEST, &json!({"error": code, "error_description": description}))
}

#[cfg(test)]
mod tests {
    use super::redirect_matches;

    #[test]
    fn a_redirect_uri_is_compared_exactly_unless_the_port_is_free() {
        let known = ["http://127.0.0.1:4000/callback".to_owned()];
        assert!(redirect_matches(&known, "http://127.0.0.1:4000/callback", false));
        assert!(!redirect_matches(&known, "http://127.0.0.1:4001/callback", false));
        assert!(redirect_matches(&known, "http://127.0.0.1:4001/callback", true));
        assert!(!redirect_matches(&known, "http://127.0.0.1:4001/other", true));
        assert!(!redirect_matches(&known, "http://localhost:4001/callback", true));
        assert!(!redirect_matches(&known, "http://127.0.0.1:4000/callback/", false));
    }
}
