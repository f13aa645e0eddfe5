//! The HTTP that this crate speaks through: a trait that is handed in, so that no socket is opened here
//! without the caller's say and every rule can be tested with a closure.

use std::{error::Error, fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use model::Secret;

/// More than this is never read of a body, in bytes (metadata, tokens, keys are all far smaller).
pub const BODY_CAP: usize = 256 * 1024;
/// How long an anonymous document may take in all.
pub const DOCUMENT_TIME: Duration = Duration::from_secs(15);
/// How long a request that carries a secret may take in all.
pub const TOKEN_TIME: Duration = Duration::from_secs(30);

/// A future that can be boxed and sent.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Sends one request and never follows a redirect.
pub trait Http: Send + Sync {
    /// Sends `request`. A response of any status is a response; an error means that there is none.
    fn send(&self, request: HttpRequest) -> BoxFuture<'_, Result<HttpResponse, HttpError>>;
}

/// Tests hand in closures.
impl<F, Fut> Http for F
where
    F: Fn(HttpRequest) -> Fut + Send + Sync,
    Fut: Future<Output = Result<HttpResponse, HttpError>> + Send + 'static,
{
    fn send(&self, request: HttpRequest) -> BoxFuture<'_, Result<HttpResponse, HttpError>> {
        Box::pin(self(request))
    }
}

/// One request. The URL is the exact text; the body may hold secrets and is not printed.
#[derive(Clone)]
pub struct HttpRequest {
    /// GET or POST.
    pub method: Method,
    /// Exact text.
    pub url: String,
    /// Headers; a value that is secret is marked sensitive.
    pub headers: HeaderMap,
    /// May be empty.
    pub body: Secret<Vec<u8>>,
    /// From connecting to the last byte.
    pub time_limit: Duration,
}

impl HttpRequest {
    /// An anonymous GET of a JSON document.
    pub(crate) fn get_json(url: &str) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(http::header::ACCEPT, HeaderValue::from_static("application/json"));
        Self {
            method: Method::GET,
            url: url.to_owned(),
            headers,
            body: Secret::new(Vec::new()),
            time_limit: DOCUMENT_TIME,
        }
    }

    /// A POST that asks for JSON.
    pub(crate) fn post(url: &str, content_type: &'static str, body: Vec<u8>, time_limit: Duration) -> Self {
        let mut request = Self::get_json(url);
        request.method = Method::POST;
        request.headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        request.body = Secret::new(body);
        request.time_limit = time_limit;
        request
    }

    /// Adds a header; a value that no header can hold is left out.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
            self.headers.insert(name, value);
        }
        self
    }
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest")
            .field("method", &self.method)
            .field("to", &origin_of(&self.url))
            .field("body_bytes", &self.body.expose().len())
            .finish_non_exhaustive()
    }
}

/// One response. The body may hold secrets and is not printed.
#[derive(Clone)]
pub struct HttpResponse {
    /// Status code.
    pub status: u16,
    /// As received.
    pub headers: HeaderMap,
    /// At most [`BODY_CAP`] bytes. Empty for an event stream, which has no end to wait for.
    pub body: Secret<Vec<u8>>,
}

impl HttpResponse {
    /// The media type in lower case without parameters; empty if there is none.
    pub fn media_type(&self) -> String {
        let value = self.headers.get(http::header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
        value.split(';').next().unwrap_or("").trim().to_ascii_lowercase()
    }

    /// Whether the media type says JSON.
    pub(crate) fn says_json(&self) -> bool {
        let kind = self.media_type();
        kind == "application/json" || kind == "text/json" || kind.ends_with("+json")
    }

    /// The body as one JSON object, if that is what it is. A media type other than JSON does not hinder,
    /// but markup never is JSON.
    pub(crate) fn json_object(&self) -> Option<serde_json::Map<String, serde_json::Value>> {
        serde_json::from_slice(self.body.expose()).ok()
    }
}

impl fmt::Debug for HttpResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpResponse")
            .field("status", &self.status)
            .field("media_type", &self.media_type())
            .field("body_bytes", &self.body.expose().len())
            .finish_non_exhaustive()
    }
}

/// Why there is no response. What matters to the caller is whether the server may have acted.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The request never left: name resolution, connecting, TLS, the proxy.
    #[error("cannot reach {origin}")]
    NotSent {
        /// Scheme, host, port.
        origin: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The certificate of the other side is not accepted, so the request never left.
    #[error("the certificate of {origin} is not accepted")]
    Certificate {
        /// Scheme, host, port.
        origin: String,
        /// Why.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The request left, or may have: a time-out or a broken connection. The server may have acted.
    #[error("{origin} did not answer to the end")]
    Unknown {
        /// Scheme, host, port.
        origin: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The answer is longer than what is ever read of it.
    #[error("the answer of {origin} is longer than {limit} bytes")]
    TooLarge {
        /// Scheme, host, port.
        origin: String,
        /// In bytes.
        limit: usize,
    },
    /// Not a URL that may be called.
    #[error("this address may not be called: {source}")]
    BadUrl {
        /// Why.
        source: model::EndpointError,
    },
    /// The address belongs to a private network or to this machine, and the Server does not.
    #[error(
        "{origin} lies on a private network or on this machine; if that is right, add the server with --private-network"
    )]
    PrivateAddress {
        /// Scheme, host, port.
        origin: String,
    },
}

impl HttpError {
    /// Whether the server certainly saw nothing of the request.
    pub fn is_not_sent(&self) -> bool {
        match self {
            Self::NotSent { .. }
            | Self::Certificate { .. }
            | Self::BadUrl { .. }
            | Self::PrivateAddress { .. } => true,
            Self::Unknown { .. } | Self::TooLarge { .. } => false,
        }
    }
}

/// Scheme, host and port of a URL: what may be logged and shown of it.
pub(crate) fn origin_of(url: &str) -> String {
    match url::Url::parse(url) {
        Ok(url) => url.origin().ascii_serialization(),
        Err(_) => "(not a URL)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_neither_path_nor_body_nor_headers() {
        let request =
            HttpRequest::post("https://a.example/p?code=abc", "text/plain", b"hunter2".to_vec(), TOKEN_TIME)
                .header("authorization", "Basic Zm9v");
        let text = format!("{request:?}");
        assert!(text.contains("https://a.example") && !text.contains("abc"), "{text}");
        assert!(!text.contains("hunter2") && !text.contains("Zm9v"), "{text}");
    }

    #[test]
    fn only_what_certainly_stayed_here_counts_as_not_sent() {
        let source = || "x".into();
        assert!(HttpError::NotSent { origin: String::new(), source: source() }.is_not_sent());
        assert!(HttpError::PrivateAddress { origin: String::new() }.is_not_sent());
        assert!(!HttpError::Unknown { origin: String::new(), source: source() }.is_not_sent());
        assert!(!HttpError::TooLarge { origin: String::new(), limit: 1 }.is_not_sent());
    }
}
