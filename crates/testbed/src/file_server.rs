//! An HTTPS server that gives out what a test puts there, well-behaved or not, and remembers who asked for what.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use tokio::sync::mpsc;

use crate::authority::{Identification, origin};
use crate::web::{Answer, Incoming, WebServer, bytes_reply, stream_reply};

/// What is at a path.
#[derive(Clone, Debug)]
pub struct Page {
    /// The status.
    pub status: u16,
    /// Headers, `Content-Type` among them.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Body,
}

/// A body.
#[derive(Clone, Debug)]
pub enum Body {
    /// These bytes.
    Bytes(Vec<u8>),
    /// Blanks without an end, as fast as they are read.
    Endless,
    /// No answer at all: the connection is cut.
    Cut,
}

/// A request that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Path and query.
    pub target: String,
    /// Names of its headers, in lower case, sorted.
    pub header_names: Vec<String>,
    /// `If-None-Match`.
    pub if_none_match: Option<String>,
}

/// A running server. Dropping it closes its port.
#[derive(Debug)]
pub struct FileServer {
    origin: String,
    shared: Arc<Shared>,
    _server: WebServer,
}

#[derive(Debug, Default)]
struct Shared {
    pages: Mutex<BTreeMap<String, Page>>,
    asked: Mutex<Vec<Asked>>,
}

impl Page {
    /// A JSON document.
    pub fn json(body: impl Into<Vec<u8>>) -> Self {
        Self {
            status: 200,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: Body::Bytes(body.into()),
        }
    }

    /// A text.
    pub fn text(body: impl Into<Vec<u8>>) -> Self {
        Self::json(body).header("content-type", "text/plain")
    }

    /// An answer without a body.
    pub fn status(status: u16) -> Self {
        Self { status, ..Self::text(Vec::new()) }
    }

    /// With this header, in place of one of that name.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With another body.
    #[must_use]
    pub fn body(self, body: Body) -> Self {
        Self { body, ..self }
    }
}

impl FileServer {
    /// Starts one on a free port of 127.0.0.1 with nothing on it.
    pub async fn start_tls(identity: &Identification) -> io::Result<Self> {
        let listener = WebServer::bind(0).await?;
        let origin = origin(Some(identity), listener.local_addr()?);
        let shared = Arc::new(Shared::default());
        let handler = Arc::clone(&shared);
        let server = WebServer::start(listener, Some(identity.acceptor()), move |request| {
            let shared = Arc::clone(&handler);
            async move { answer(&shared, &request) }
        });
        Ok(Self { origin, shared, _server: server })
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// Puts something at a path, in place of what was there.
    pub fn put(&self, path: &str, page: Page) {
        lock(&self.shared.pages).insert(path.to_owned(), page);
    }

    /// Leaves nothing at a path.
    pub fn remove(&self, path: &str) {
        lock(&self.shared.pages).remove(path);
    }

    /// Everything that was asked for.
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.shared.asked).clone()
    }
}

fn answer(shared: &Shared, request: &Incoming) -> Answer {
    let target = match request.query.as_str() {
        "" => request.path.clone(),
        query => format!("{}?{query}", request.path),
    };
    let mut header_names: Vec<_> = request.headers.keys().map(|name| name.as_str().to_owned()).collect();
    header_names.sort();
    let if_none_match = request.header("if-none-match").map(str::to_owned);
    lock(&shared.asked).push(Asked { target, header_names, if_none_match: if_none_match.clone() });
    let Some(page) = lock(&shared.pages).get(&request.path).cloned() else {
        return bytes_reply(StatusCode::NOT_FOUND, "text/plain", "not found").into();
    };
    let etag = page.headers.iter().find(|(name, _)| name == "etag").map(|(_, value)| value.clone());
    if etag.is_some() && etag == if_none_match {
        return bytes_reply(StatusCode::NOT_MODIFIED, "text/plain", "").into();
    }
    let mut reply = match page.body {
        Body::Cut => return Answer::Drop,
        Body::Bytes(bytes) => bytes_reply(StatusCode::OK, "text/plain", bytes),
        Body::Endless => {
            let (sender, chunks) = mpsc::unbounded_channel();
            tokio::spawn(async move {
                while sender.send(Bytes::from(vec![b' '; 16 * 1024])).is_ok() {
                    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                }
            });
            stream_reply("application/json", chunks, Box::new(()))
        }
    };
    *reply.status_mut() = StatusCode::from_u16(page.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in &page.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
            reply.headers_mut().insert(name, value);
        }
    }
    reply.headers_mut().remove(header::CACHE_CONTROL);
    reply.into()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no holder of this lock panics")
}
