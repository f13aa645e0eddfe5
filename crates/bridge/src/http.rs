//! HTTP towards the one endpoint of a session: connections kept open, answers as they come.
//!
//! There is no way to name another origin, no cookie jar, no decompression, and a redirect is an answer like
//! any other.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::task::{Poll, Waker};

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use model::Endpoint;
use token_lease::ServerFacts;
use tokio::task::AbortHandle;

use crate::connection::{Connection, Lost};
use crate::dial::{Way, dial};
use crate::error::Failure;
use crate::framing::Framing;
use crate::head::Head;
use crate::plain::Plain;

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
    path: String,
    /// The fields of every request, each with its line break.
    fixed: Vec<u8>,
    idle: Mutex<Idle>,
}

/// The connections that wait for the next request.
#[derive(Default)]
struct Idle {
    connections: Vec<Connection>,
    /// Is told when something happens on one of them.
    waker: Option<Waker>,
    watch: Option<AbortHandle>,
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
        let _: Uri = path.parse().map_err(|_| bad("address"))?;
        let host = url.host_str().unwrap_or_default();
        let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let mut fields = HeaderMap::with_capacity(16);
        fields.insert(HOST, HeaderValue::from_str(&host).map_err(|_| bad("host"))?);
        fields.insert(USER_AGENT, HeaderValue::from_static(concat!("hallpass/", env!("CARGO_PKG_VERSION"))));
        fields.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        for (name, value) in &facts.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad("headers"))?;
            // What decides about identity or framing is never taken from a list of extra headers.
            if is_ours(&name) {
                continue;
            }
            fields.insert(name, HeaderValue::from_str(value).map_err(|_| bad("headers"))?);
        }
        let mut fixed = Vec::new();
        for (name, value) in &fields {
            write_field(&mut fixed, name, value);
        }
        Ok(Self { way: Way::to(facts), path, fixed, idle: Mutex::default() })
    }

    /// The URL that is called; the only other places are on its origin, named by itself (2024-11-05).
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.way.endpoint
    }

    /// Sends one request to the endpoint, with its own copy of the headers, and waits for the head of the answer.
    pub(crate) async fn send(
        self: &Arc<Self>,
        method: Method,
        headers: &HeaderMap,
        authorization: Option<&HeaderValue>,
        body: Bytes,
        repeat: Repeat,
    ) -> Result<Answer, Failure> {
        self.send_to(None, method, headers, authorization, body, repeat).await
    }

    /// The same to another path (and query) of the endpoint's origin.
    pub(crate) async fn send_to(
        self: &Arc<Self>,
        path: Option<&str>,
        method: Method,
        headers: &HeaderMap,
        authorization: Option<&HeaderValue>,
        body: Bytes,
        repeat: Repeat,
    ) -> Result<Answer, Failure> {
        let own = own_fields(&method, headers, authorization);
        let lines = self.lines(path, &method, &own);
        let body = (method == Method::POST).then_some(&body);
        while let Some(mut connection) = self.take_idle() {
            match connection.ask(&lines, body).await {
                Ok(head) => return Ok(Answer::new(self, connection, head)),
                // An idle connection that the server closed meanwhile: the request was not sent.
                Err(Lost::Unsent) => {}
                Err(Lost::Broken | Lost::Nonsense) if repeat == Repeat::Safe => {}
                Err(lost) => return Err(broken(lost)),
            }
        }
        // Rare, and large: every call has room for what it awaits here.
        let mut connection = Box::pin(dial(&self.way)).await?;
        match connection.ask(&lines, body).await {
            Ok(head) => Ok(Answer::new(self, connection, head)),
            Err(lost) => Err(broken(lost)),
        }
    }

    /// Makes sure that a connection is open.
    pub(crate) async fn is_connected_or_connects(self: &Arc<Self>, limit: std::time::Duration) -> bool {
        if let Some(connection) = self.take_idle() {
            self.give_back(connection);
            return true;
        }
        let dialled = dial(&self.way);
        match tokio::time::timeout(limit, dialled).await {
            Ok(Ok(connection)) => {
                self.give_back(connection);
                true
            }
            Ok(Err(_)) | Err(_) => false,
        }
    }

    /// Everything that stands before the length of the body.
    fn lines<'a>(&'a self, path: Option<&'a str>, method: &'a Method, own: &'a [u8]) -> [&'a [u8]; 6] {
        let path = path.unwrap_or(&self.path).as_bytes();
        [method.as_str().as_bytes(), b" ", path, b" HTTP/1.1\r\n", &self.fixed, own]
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle();
        while let Some(mut connection) = idle.connections.pop() {
            if connection.is_idle(Waker::noop()) {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection for the next request. It is closed when the server closes it, or says what nobody asked for.
    fn give_back(self: &Arc<Self>, mut connection: Connection) {
        let mut idle = self.idle();
        let idle = &mut *idle;
        if idle.connections.len() >= MAX_IDLE {
            return;
        }
        if connection.is_idle(idle.waker.as_ref().unwrap_or(Waker::noop())) {
            connection.shrink();
            idle.connections.push(connection);
            idle.watch.get_or_insert_with(|| tokio::spawn(watch(Arc::downgrade(self))).abort_handle());
        }
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        if let Some(watch) = self.idle().watch.take() {
            watch.abort();
        }
    }
}

/// Closes idle connections that the server has closed, as soon as it does.
async fn watch(http: Weak<Http>) {
    poll_fn(|context| {
        let Some(http) = http.upgrade() else { return Poll::Ready(()) };
        let mut idle = http.idle();
        idle.waker = Some(context.waker().clone());
        idle.connections.retain_mut(|connection| connection.is_idle(context.waker()));
        Poll::Pending
    })
    .await;
}

/// The fields of one request alone, each with its line break.
fn own_fields(method: &Method, headers: &HeaderMap, authorization: Option<&HeaderValue>) -> Vec<u8> {
    let mut own = Vec::with_capacity(512);
    for (name, value) in headers {
        write_field(&mut own, name, value);
    }
    if method == Method::POST {
        own.extend_from_slice(b"content-type: application/json\r\n");
    }
    if let Some(authorization) = authorization {
        write_field(&mut own, &AUTHORIZATION, authorization);
    }
    own
}

/// A value of this type holds no line break.
fn write_field(fields: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
        fields.extend_from_slice(part);
    }
}

fn is_ours(name: &HeaderName) -> bool {
    use http::header::{CONNECTION, CONTENT_LENGTH, COOKIE, TRANSFER_ENCODING};
    [AUTHORIZATION, COOKIE, HOST, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING, CONNECTION, ACCEPT]
        .contains(name)
        || [crate::header::SESSION_ID, crate::header::PROTOCOL_VERSION].contains(name)
}

fn broken(lost: Lost) -> Failure {
    let what = match lost {
        Lost::Unsent | Lost::Broken => "the connection broke before an answer came",
        Lost::Nonsense => "it does not speak HTTP",
    };
    Failure::Unreachable(what.to_owned())
}

/// An answer whose head has come.
pub(crate) struct Answer {
    pub(crate) head: Head,
    /// Until the body has ended.
    rest: Option<(Arc<Http>, Connection)>,
}

impl Answer {
    fn new(http: &Arc<Http>, connection: Connection, head: Head) -> Self {
        Self { head, rest: Some((http.clone(), connection)) }
    }

    /// The next piece of the body; `None` at its end, where the connection is kept for the next request.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        let Some((_, connection)) = &mut self.rest else { return Ok(None) };
        let piece = connection.piece(&mut self.head.framing).await.map_err(|_| Failure::StreamEnded)?;
        if piece.is_none() {
            self.ended();
        }
        Ok(piece)
    }

    /// The whole body, at most `limit` bytes of it.
    pub(crate) async fn whole(&mut self, limit: usize) -> Result<Bytes, Failure> {
        Ok(self.whole_seen(limit).await?.0)
    }

    /// The same, and what was seen of it while it came.
    pub(crate) async fn whole_seen(&mut self, limit: usize) -> Result<(Bytes, Plain), Failure> {
        let Some((_, connection)) = &mut self.rest else { return Ok(Default::default()) };
        if let Framing::Length(length) = self.head.framing {
            let length = usize::try_from(length).ok().filter(|length| *length <= limit);
            let body = connection.exactly(length.ok_or(Failure::TooLarge)?).await;
            let body = body.map_err(|_| Failure::StreamEnded)?;
            self.ended();
            return Ok(body);
        }
        let mut all = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            if all.len() + chunk.len() > limit {
                return Err(Failure::TooLarge);
            }
            all.extend_from_slice(&chunk);
        }
        Ok((all.freeze(), Plain::default()))
    }

    /// Whether all of it was read.
    pub(crate) fn is_over(&self) -> bool {
        self.rest.is_none()
    }

    fn ended(&mut self) {
        if let Some((http, connection)) = self.rest.take()
            && self.head.keep
        {
            http.give_back(connection);
        }
    }
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

    fn request(http: &Http, headers: &HeaderMap, authorization: Option<&HeaderValue>) -> String {
        let own = own_fields(&Method::POST, headers, authorization);
        String::from_utf8(http.lines(None, &Method::POST, &own).concat()).unwrap()
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
        let request = request(&http, &HeaderMap::new(), None);
        assert!(request.starts_with("POST /mcp?x=1 HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("\r\nx-mcp-toolsets: repos\r\n"), "{request}");
        assert!(request.contains("\r\nhost: a.example:8443\r\n"), "{request}");
        for name in ["authorization", "cookie", "mcp-session-id"] {
            assert!(!request.contains(name), "{name}");
        }
    }

    #[test]
    fn a_token_is_on_one_request_only() {
        let http = Http::new(&facts(&[])).unwrap();
        let bearer = HeaderValue::from_static("Bearer t");
        let with = request(&http, &HeaderMap::new(), Some(&bearer));
        let without = request(&http, &HeaderMap::new(), None);
        assert!(with.contains("\r\nauthorization: Bearer t\r\n") && !without.contains("authorization"));
    }

    #[tokio::test]
    async fn an_idle_connection_is_closed_when_the_server_closes_it() {
        use tokio::io::AsyncReadExt as _;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut facts = facts(&[]);
        let address = listener.local_addr().unwrap();
        facts.endpoint = Endpoint::parse(&format!("http://{address}/mcp")).unwrap();
        let http = Arc::new(Http::new(&facts).unwrap());
        assert!(http.is_connected_or_connects(std::time::Duration::from_secs(30)).await);
        let (mut accepted, _) = listener.accept().await.unwrap();
        assert_eq!(http.idle().connections.len(), 1);
        tokio::io::AsyncWriteExt::shutdown(&mut accepted).await.unwrap();
        // Our end is closed in turn, though nobody sends anything.
        let closed = tokio::time::timeout(std::time::Duration::from_secs(30), accepted.read_u8()).await;
        assert_eq!(closed.unwrap().unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
        assert!(http.idle().connections.is_empty());
    }
}
