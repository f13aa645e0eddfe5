//! Fetches an anonymous JSON document: a few redirects on the same origin, and a clear line between "there
//! is none" and "it cannot be had now", since only the first lets discovery go on elsewhere.

use serde_json::{Map, Value};
use url::Url;

use crate::http::{Http, HttpError, HttpRequest, origin_of};

/// At most this many redirects are followed.
const REDIRECTS: usize = 3;

/// What lies at an address.
#[derive(Debug)]
pub(crate) enum Document {
    /// A JSON object.
    Found(Map<String, Value>),
    /// The server answered, and not with a JSON object.
    Absent,
}

/// Why it cannot be said what lies at an address.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// No answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The server is in trouble.
    #[error("{origin} answered with status {status}")]
    Status {
        /// Scheme, host, port.
        origin: String,
        /// 408, 425, 429 or 5xx.
        status: u16,
    },
    /// Redirects without end.
    #[error("{origin} redirects again and again")]
    Redirects {
        /// Scheme, host, port.
        origin: String,
    },
}

/// GETs `url`. Nothing secret is sent, so redirects that stay on the origin are followed.
pub(crate) async fn fetch(http: &dyn Http, url: &str) -> Result<Document, DocumentError> {
    let mut url = url.to_owned();
    for _ in 0..=REDIRECTS {
        let response = http.send(HttpRequest::get_json(&url)).await?;
        match response.status {
            200..=299 => {
                return Ok(response.json_object().map_or(Document::Absent, Document::Found));
            }
            301 | 302 | 303 | 307 | 308 => match same_origin_target(&url, &response.headers) {
                Some(target) => url = target,
                None => return Ok(Document::Absent),
            },
            status @ (408 | 425 | 429 | 500..=599) => {
                return Err(DocumentError::Status { origin: origin_of(&url), status });
            }
            _ => return Ok(Document::Absent),
        }
    }
    Err(DocumentError::Redirects { origin: origin_of(&url) })
}

/// The target of a redirect, if it stays on the origin.
fn same_origin_target(from: &str, headers: &http::HeaderMap) -> Option<String> {
    let location = headers.get(http::header::LOCATION)?.to_str().ok()?;
    let from = Url::parse(from).ok()?;
    let target = from.join(location).ok()?;
    (target.origin() == from.origin() && target.username().is_empty()).then(|| target.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Answers, answer, json, redirect};

    #[tokio::test]
    async fn redirects_are_followed_on_the_origin_only_and_not_for_ever() {
        let http = Answers::new([
            ("https://a.example/one", redirect(307, "/two")),
            ("https://a.example/two", redirect(302, "https://a.example/three")),
            ("https://a.example/three", json(r#"{"x":1}"#)),
            ("https://a.example/away", redirect(302, "https://b.example/three")),
            ("https://a.example/down", redirect(302, "http://a.example/three")),
            ("https://a.example/loop", redirect(301, "/loop")),
            ("https://b.example/three", json(r#"{"x":2}"#)),
        ]);
        let get = |url: &'static str| {
            let http = &http;
            async move { fetch(http, url).await }
        };
        assert!(matches!(get("https://a.example/one").await, Ok(Document::Found(o)) if o["x"] == 1));
        assert!(matches!(get("https://a.example/away").await, Ok(Document::Absent)));
        assert!(matches!(get("https://a.example/down").await, Ok(Document::Absent)));
        assert!(matches!(get("https://a.example/loop").await, Err(DocumentError::Redirects { .. })));
        assert!(!http.asked().iter().any(|url| url.starts_with("https://b.")));
    }

    #[tokio::test]
    async fn only_an_answer_can_say_that_there_is_no_document() {
        for (status, body, absent) in [
            (404, "", true),
            (401, "{}", true),
            (200, "<html></html>", true),
            (200, "[]", true),
            (500, "{}", false),
            (503, "", false),
            (429, "", false),
        ] {
            let http = Answers::new([("https://a.example/x", answer(status, "text/plain", body))]);
            let got = fetch(&http, "https://a.example/x").await;
            assert_eq!(matches!(got, Ok(Document::Absent)), absent, "{status} {body}");
            assert_eq!(matches!(got, Err(DocumentError::Status { .. })), !absent, "{status} {body}");
        }
        let http = Answers::unreachable();
        assert!(matches!(fetch(&http, "https://a.example/x").await, Err(DocumentError::Http(_))));
    }
}
