//! A small HTTP/1.1 server on loopback whose handler sees the connection and may cut it without an answer.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as HttpBody, Frame};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// How long a port may take to be free again.
const RELEASE: Duration = Duration::from_mins(1);

pub(crate) type Body = BoxBody<Bytes, Infallible>;

/// A request, read to its end.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) peer: SocketAddr,
    /// Our end of the connection that `peer` is the other end of.
    pub(crate) local: Option<SocketAddr>,
    pub(crate) connection: u64,
}

impl Incoming {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.header("authorization")?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token)
    }
}

/// What becomes of a request.
pub(crate) enum Answer {
    Reply(Box<Response<Body>>),
    /// The connection is closed without a byte of answer.
    Drop,
}

impl From<Response<Body>> for Answer {
    fn from(reply: Response<Body>) -> Self {
        Self::Reply(Box::new(reply))
    }
}

/// Runs until dropped; then every connection is cut.
#[derive(Debug)]
pub(crate) struct WebServer {
    cut: Arc<Notify>,
    connects: Arc<AtomicU64>,
    accept: JoinHandle<()>,
}

impl WebServer {
    /// Binds `127.0.0.1` at `port` (0 = a free one). A port that was somebody's a moment ago is waited for: a listener
    /// closes when its task is next run, and a process that is being started has it too until it is its own program.
    pub(crate) async fn bind(port: u16) -> io::Result<TcpListener> {
        let deadline = Instant::now() + RELEASE;
        loop {
            match TcpListener::bind(("127.0.0.1", port)).await {
                Err(error)
                    if port != 0 && error.kind() == io::ErrorKind::AddrInUse && Instant::now() < deadline =>
                {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                bound => return bound,
            }
        }
    }

    /// Serves on tasks of the caller's runtime.
    pub(crate) fn start<H, F>(listener: TcpListener, tls: Option<TlsAcceptor>, handler: H) -> Self
    where
        H: Fn(Incoming) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        let cut = Arc::new(Notify::new());
        let connects = Arc::new(AtomicU64::new(0));
        let accept = tokio::spawn(accept(listener, tls, handler, Arc::clone(&cut), Arc::clone(&connects)));
        Self { cut, connects, accept }
    }

    pub(crate) fn connects(&self) -> u64 {
        self.connects.load(Ordering::SeqCst)
    }

    /// Cuts every open connection, answered or not.
    pub(crate) fn cut_connections(&self) {
        self.cut.notify_one();
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

async fn accept<H, F>(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    handler: H,
    cut: Arc<Notify>,
    connects: Arc<AtomicU64>,
) where
    H: Fn(Incoming) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = cut.notified() => connections.abort_all(),
            accepted = listener.accept() => {
                let Ok((stream, peer)) = accepted else { continue };
                let _ = stream.set_nodelay(true);
                let connection = connects.fetch_add(1, Ordering::SeqCst) + 1;
                let (handler, tls) = (handler.clone(), tls.clone());
                connections.spawn(async move {
                    let ends = (peer, stream.local_addr().ok());
                    let service = service_fn(move |request| handle(request, ends, connection, handler.clone()));
                    let http = hyper::server::conn::http1::Builder::new();
                    // An error is a peer that went away, that does not trust us, or an answer to be dropped.
                    match tls {
                        None => {
                            let _ = http.serve_connection(TokioIo::new(stream), service).await;
                        }
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                let _ = http.serve_connection(TokioIo::new(stream), service).await;
                            }
                        }
                    }
                });
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn handle<H, F>(
    request: hyper::Request<hyper::body::Incoming>,
    (peer, local): (SocketAddr, Option<SocketAddr>),
    connection: u64,
    handler: H,
) -> Result<Response<Body>, io::Error>
where
    H: Fn(Incoming) -> F,
    F: Future<Output = Answer>,
{
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let incoming = Incoming {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body,
        peer,
        local,
        connection,
    };
    match handler(incoming).await {
        Answer::Reply(reply) => Ok(*reply),
        Answer::Drop => Err(io::Error::from(io::ErrorKind::ConnectionAborted)),
    }
}

/// A reply of one piece.
pub(crate) fn bytes_reply(status: StatusCode, content_type: &str, body: impl Into<Bytes>) -> Response<Body> {
    let mut reply = Response::new(Full::new(body.into()).boxed());
    *reply.status_mut() = status;
    if let Ok(value) = content_type.parse() {
        reply.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    reply.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    reply
}

pub(crate) fn json(status: StatusCode, value: &serde_json::Value) -> Response<Body> {
    bytes_reply(status, "application/json", value.to_string())
}

pub(crate) fn html(status: StatusCode, title: &str, body: &str) -> Response<Body> {
    let page = format!("<!doctype html><html><head><title>{title}</title></head><body>{body}</body></html>");
    bytes_reply(status, "text/html; charset=utf-8", page)
}

pub(crate) fn redirect(location: &str) -> Response<Body> {
    let mut reply = bytes_reply(StatusCode::SEE_OTHER, "text/plain", Bytes::new());
    if let Ok(value) = location.parse() {
        reply.headers_mut().insert(header::LOCATION, value);
    }
    reply
}

/// A reply whose body is what arrives on the channel; it ends when the channel does. `end` is dropped
/// with the body: at the end, or when the peer goes away.
pub(crate) fn stream_reply(
    content_type: &str,
    chunks: mpsc::UnboundedReceiver<Bytes>,
    end: StreamEnd,
) -> Response<Body> {
    let mut reply = bytes_reply(StatusCode::OK, content_type, Bytes::new());
    *reply.body_mut() = ChannelBody { chunks, _end: end }.boxed();
    reply
}

/// Something to be dropped when a stream is over.
pub(crate) type StreamEnd = Box<dyn Send + Sync>;

struct ChannelBody {
    chunks: mpsc::UnboundedReceiver<Bytes>,
    _end: StreamEnd,
}

impl HttpBody for ChannelBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.chunks.poll_recv(context).map(|chunk| chunk.map(|bytes| Ok(Frame::data(bytes))))
    }
}
