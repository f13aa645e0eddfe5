//! HTTP towards the one endpoint of a session: connections kept open, answers as they come.
//!
//! There is no way to name another URL, no cookie jar, no decompression, and a redirect is an answer like
//! any other.

use std::sync::Mutex;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use model::Endpoint;
use token_lease::ServerFacts;

use crate::dial::{Sender, Way, dial};
use crate::error::Failure;
use crate::stdio::MAX_MESSAGE;

/// More idle connections than this are closed.
const MAX_IDLE: usize = 64;

/// Whether a request may be sent a second time when the connection broke before an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It changes nothing (lists, ping, discover, a handshake).
    Safe,
    /// It may have been carried out.
    Never,
}

/// The connections to one endpoint, of one session.
pub(crate) struct Http {
    way: Way,
    path: Uri,
    fixed: HeaderMap,
    idle: Mutex<Vec<Sender>>,
}

impl Http {
    /// Connects nothing yet.
    pub(crate) fn new(facts: &ServerFacts) -> Result<Self, Failure> {
        let bad = |what: &str| Failure::Unsendable(format!("the server's {what} cannot be sent"));
        let url = facts.endpoint.url();
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let host = url.host_str().unwrap_or_default();
        let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let mut fixed = HeaderMap::with_capacity(16);
        fixed.insert(HOST, HeaderValue::from_str(&host).map_err(|_| bad("host"))?);
        fixed.insert(USER_AGENT, HeaderValue::from_static(concat!("hallpass/", env!("CARGO_PKG_VERSION"))));
        fixed.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        for (name, value) in &facts.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad("headers"))?;
            // What decides about identity or framing is never taken from a list of extra headers.
            if is_ours(&name) {
                continue;
            }
            fixed.insert(name, HeaderValue::from_str(value).map_err(|_| bad("headers"))?);
        }
        Ok(Self {
            way: Way::to(facts),
            path: path.parse().map_err(|_| bad("address"))?,
            fixed,
            idle: Mutex::new(Vec::new()),
        })
    }

    /// The only URL that is ever called.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.way.endpoint
    }

    /// Sends one request, with its own copy of the headers, and waits for the head of the answer.
    pub(crate) async fn send(
        self: &std::sync::Arc<Self>,
        method: Method,
        headers: &HeaderMap,
        authorization: Option<&HeaderValue>,
        body: Bytes,
        repeat: Repeat,
    ) -> Result<Answer, Failure> {
        let mut request = self.request(method, headers, authorization, body);
        let mut again = None;
        while let Some(mut sender) = self.take_idle() {
            if sender.ready().await.is_err() {
                continue;
            }
            if repeat == Repeat::Safe {
                again = Some(request.clone());
            }
            match sender.try_send_request(request).await {
                Ok(response) => return Ok(Answer::new(self, sender, response)),
                // An idle connection that the server closed meanwhile: the request was not sent.
                Err(mut error) => match error.take_message().or_else(|| again.take()) {
                    Some(unsent) => request = unsent,
                    None => return Err(broken(error.error())),
                },
            }
        }
        let mut sender = dial(&self.way).await?;
        match sender.send_request(request).await {
            Ok(response) => Ok(Answer::new(self, sender, response)),
            Err(error) => Err(broken(&error)),
        }
    }

    /// Makes sure that a connection is open.
    pub(crate) async fn is_connected_or_connects(&self, limit: std::time::Duration) -> bool {
        if let Some(sender) = self.take_idle() {
            self.give_back(sender);
            return true;
        }
        let dialled = dial(&self.way);
        match tokio::time::timeout(limit, dialled).await {
            Ok(Ok(sender)) => {
                self.give_back(sender);
                true
            }
            Ok(Err(_)) | Err(_) => false,
        }
    }

    fn request(
        &self,
        method: Method,
        headers: &HeaderMap,
        authorization: Option<&HeaderValue>,
        body: Bytes,
    ) -> Request<Full<Bytes>> {
        let has_body = method == Method::POST;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = self.path.clone();
        let all = request.headers_mut();
        all.clone_from(&self.fixed);
        all.extend(headers.iter().map(|(name, value)| (name.clone(), value.clone())));
        if has_body {
            all.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(authorization) = authorization {
            all.insert(AUTHORIZATION, authorization.clone());
        }
        request
    }

    fn take_idle(&self) -> Option<Sender> {
        let mut idle = self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        while let Some(sender) = idle.pop() {
            if !sender.is_closed() {
                return Some(sender);
            }
        }
        None
    }

    fn give_back(&self, sender: Sender) {
        let mut idle = self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        idle.retain(|sender| !sender.is_closed());
        if idle.len() < MAX_IDLE && !sender.is_closed() {
            idle.push(sender);
        }
    }
}

fn is_ours(name: &HeaderName) -> bool {
    use http::header::{CONNECTION, CONTENT_LENGTH, COOKIE, TRANSFER_ENCODING};
    [AUTHORIZATION, COOKIE, HOST, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING, CONNECTION, ACCEPT]
        .contains(name)
        || [crate::header::SESSION_ID, crate::header::PROTOCOL_VERSION].contains(name)
}

fn broken(error: &hyper::Error) -> Failure {
    let what = if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        "the connection broke before an answer came"
    } else if error.is_parse() {
        "it does not speak HTTP"
    } else {
        "the connection broke"
    };
    Failure::Unreachable(what.to_owned())
}

/// An answer whose head has come.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    body: Incoming,
    back: Option<(std::sync::Arc<Http>, Sender)>,
}

impl Answer {
    fn new(http: &std::sync::Arc<Http>, sender: Sender, response: http::Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        Self { status: head.status, headers: head.headers, body, back: Some((http.clone(), sender)) }
    }

    /// What kind of body it says it has.
    pub(crate) fn content(&self) -> Content {
        let kind = self.headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        match kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "application/json" => Content::Json,
            "text/event-stream" => Content::Events,
            _ => Content::Other,
        }
    }

    /// The next piece of the body; `None` at its end, where the connection is kept for the next request.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Some(Err(_)) => return Err(Failure::StreamEnded),
                None => {
                    if let Some((http, sender)) = self.back.take() {
                        http.give_back(sender);
                    }
                    return Ok(None);
                }
            }
        }
    }

    /// The whole body, at most `limit` bytes of it.
    pub(crate) async fn whole(&mut self, limit: usize) -> Result<Bytes, Failure> {
        let Some(first) = self.chunk().await? else { return Ok(Bytes::new()) };
        let Some(second) = self.chunk().await? else { return Ok(first) };
        let expected = self.headers.get(http::header::CONTENT_LENGTH).and_then(|v| v.to_str().ok());
        let expected =
            expected.and_then(|v| v.parse::<usize>().ok()).unwrap_or(0).min(limit.min(MAX_MESSAGE));
        let mut all = bytes::BytesMut::with_capacity(expected.max(first.len() + second.len()));
        all.extend_from_slice(&first);
        let mut next = Some(second);
        while let Some(chunk) = next {
            if all.len() + chunk.len() > limit {
                return Err(Failure::TooLarge);
            }
            all.extend_from_slice(&chunk);
            next = self.chunk().await?;
        }
        Ok(all.freeze())
    }
}

/// The kinds of body that MCP knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Json,
    Events,
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(headers: &[(&str, &str)]) -> ServerFacts {
        ServerFacts {
            id: model::ServerId::parse("s").unwrap(),
            label: "S".into(),
            endpoint: Endpoint::parse("https://a.example:8443/mcp?x=1").unwrap(),
            headers: headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            era: None,
            private_network: false,
            authority: None,
            proxies: std::collections::BTreeMap::new(),
        }
    }

    #[test]
    fn extra_headers_cannot_speak_for_a_person() {
        let http = Http::new(&facts(&[
            ("X-MCP-Toolsets", "repos"),
            ("Authorization", "Bearer stolen"),
            ("cookie", "a=b"),
            ("Mcp-Session-Id", "x"),
        ]))
        .unwrap();
        let request = http.request(Method::POST, &HeaderMap::new(), None, Bytes::new());
        assert_eq!(request.headers()["x-mcp-toolsets"], "repos");
        assert_eq!(request.headers()[HOST], "a.example:8443");
        assert_eq!(request.uri(), "/mcp?x=1");
        for name in ["authorization", "cookie", "mcp-session-id"] {
            assert!(!request.headers().contains_key(name), "{name}");
        }
    }

    #[test]
    fn a_token_is_on_one_request_only() {
        let http = Http::new(&facts(&[])).unwrap();
        let bearer = HeaderValue::from_static("Bearer t");
        let with = http.request(Method::POST, &HeaderMap::new(), Some(&bearer), Bytes::new());
        let without = http.request(Method::POST, &HeaderMap::new(), None, Bytes::new());
        assert!(with.headers().contains_key(AUTHORIZATION) && !without.headers().contains_key(AUTHORIZATION));
    }
}
