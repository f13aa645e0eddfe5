//! Asks an issuer who an access token belongs to (OpenID Connect Core section 5.3).

use http::HeaderValue;
use model::{Endpoint, Secret};
use serde_json::Value;

use crate::http::{Http, HttpError, HttpRequest, HttpResponse, TOKEN_TIME};
use crate::identity::Person;
use crate::json_field;
use crate::tenant::tenant_of;

/// What the endpoint said.
#[derive(Debug)]
pub(crate) enum Userinfo {
    /// It knows the person.
    Person(Person),
    /// It does not tell us: not allowed, or in a form that we do not read (a signed one).
    Silent,
}

/// Why an endpoint that is there tells nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserinfoSilence {
    /// It takes the token for one without that right.
    #[error("refuses its token (status {status})")]
    Refused {
        /// Status code.
        status: u16,
    },
    /// A signed answer, say, or one without `sub`.
    #[error("answers in a form that names nobody")]
    NamesNobody,
}

/// Asks the endpoint as [`crate::identify`] does, for the reason why it proves nobody; `None`: it does prove somebody.
pub async fn userinfo_silence(
    http: &dyn Http,
    endpoint: &Endpoint,
    access_token: &Secret<String>,
) -> Result<Option<UserinfoSilence>, UserinfoError> {
    let Some(response) = ask(http, endpoint, access_token).await? else {
        return Ok(Some(UserinfoSilence::NamesNobody));
    };
    Ok(match read(&response)? {
        Userinfo::Person(_) => None,
        Userinfo::Silent if !(200..=299).contains(&response.status) => {
            Some(UserinfoSilence::Refused { status: response.status })
        }
        Userinfo::Silent => Some(UserinfoSilence::NamesNobody),
    })
}

/// GETs the endpoint with the token, which belongs to the same issuer. No redirect is followed.
pub(crate) async fn userinfo(
    http: &dyn Http,
    endpoint: &Endpoint,
    access_token: &Secret<String>,
) -> Result<Userinfo, UserinfoError> {
    match ask(http, endpoint, access_token).await? {
        Some(response) => read(&response),
        None => Ok(Userinfo::Silent),
    }
}

/// `None`: no header can carry the token.
async fn ask(
    http: &dyn Http,
    endpoint: &Endpoint,
    access_token: &Secret<String>,
) -> Result<Option<HttpResponse>, UserinfoError> {
    let mut request = HttpRequest::get_json(endpoint.as_str());
    request.time_limit = TOKEN_TIME;
    // Into a header that is marked sensitive.
    let value = Secret::new(format!("Bearer {}", access_token.expose()));
    let Ok(mut value) = HeaderValue::from_str(value.expose()) else { return Ok(None) };
    value.set_sensitive(true);
    request.headers.insert(http::header::AUTHORIZATION, value);
    Ok(Some(http.send(request).await?))
}

fn read(response: &HttpResponse) -> Result<Userinfo, UserinfoError> {
    match response.status {
        200..=299 => {}
        // A redirect is what a captive portal answers.
        status @ (300..=399 | 408 | 425 | 429 | 500..=599) => return Err(UserinfoError::Trouble { status }),
        _ => return Ok(Userinfo::Silent),
    }
    // Nobody must become unverified, and no renewal go unchecked, because a page came in between.
    let Some(claims) = response.json_object().filter(|_| response.says_json()) else {
        let is_page = response.media_type() == "text/html";
        let is_damaged = response.says_json();
        return if is_page || is_damaged { Err(UserinfoError::Unreadable) } else { Ok(Userinfo::Silent) };
    };
    let Some(subject) = json_field::text(&claims, "sub") else { return Ok(Userinfo::Silent) };
    let text = |name| json_field::text(&claims, name).map(str::to_owned);
    let verified = match claims.get("email_verified") {
        Some(Value::Bool(flag)) => *flag,
        Some(Value::String(text)) => text == "true",
        Some(Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_)) | None => false,
    };
    Ok(Userinfo::Person(Person {
        subject: subject.to_owned(),
        name: text("name").or_else(|| text("preferred_username")),
        email: text("email"),
        email_verified: verified,
        tenant: tenant_of(&claims),
    }))
}

/// Why nothing can be said now.
#[derive(Debug, thiserror::Error)]
pub enum UserinfoError {
    /// No answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// Try again later.
    #[error("the authorization server cannot say who signed in now (status {status})")]
    Trouble {
        /// Status code.
        status: u16,
    },
    /// A page, or half an answer: try again later.
    #[error(
        "the authorization server answered the question who signed in with something that cannot be read"
    )]
    Unreadable,
}
