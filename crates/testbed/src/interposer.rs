//! Stands in front of a server on raw sockets: passes requests on, lies where a test wants a lie, and remembers every
//! byte that reached it. Without a server behind it, it is a stranger who should never hear anything of use.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::authority::{Identification, origin};

/// A running interposer. Dropping it closes its port and all connections.
#[derive(Debug)]
pub struct Interposer {
    handle: Handle,
    server: JoinHandle<()>,
}

impl Interposer {
    /// Listens on a free port of 127.0.0.1. Nobody is behind it before [`Handle::pass_on_to`].
    pub async fn start() -> io::Result<Self> {
        Self::serve(None).await
    }

    /// The same in TLS.
    pub async fn start_tls(identity: &Identification) -> io::Result<Self> {
        Self::serve(Some(identity)).await
    }

    async fn serve(identity: Option<&Identification>) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let inner = Inner {
            origin: origin(identity, listener.local_addr()?),
            identity: Mutex::new(identity.cloned()),
            behind: Mutex::default(),
            lies: Mutex::default(),
            seen: Mutex::default(),
        };
        let handle = Handle(Arc::new(inner));
        let server = tokio::spawn(accept(listener, handle.clone()));
        Ok(Self { handle, server })
    }

    /// The way to its lies and its memory.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> &str {
        &self.handle.0.origin
    }
}

impl Drop for Interposer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Lies and memory of an [`Interposer`].
#[derive(Clone)]
pub struct Handle(Arc<Inner>);

struct Inner {
    origin: String,
    identity: Mutex<Option<Identification>>,
    behind: Mutex<Option<SocketAddr>>,
    lies: Mutex<Vec<Told>>,
    seen: Mutex<Vec<Seen>>,
}

impl Handle {
    /// Requests go to this server from now on, with the `Host` that they came with.
    pub fn pass_on_to(&self, server: SocketAddr) {
        *lock(&self.0.behind) = Some(server);
    }

    /// Requests that fit are answered so from now on. The newest lie that fits is told.
    pub fn tell(&self, place: Where, lie: Lie) {
        lock(&self.0.lies).insert(0, Told { place, lie, once: false });
    }

    /// The next request that fits is answered so.
    pub fn tell_once(&self, place: Where, lie: Lie) {
        lock(&self.0.lies).insert(0, Told { place, lie, once: true });
    }

    fn lie_for(&self, seen: &Seen) -> Option<Lie> {
        let mut lies = lock(&self.0.lies);
        let at = lies.iter().position(|told| told.place.fits(seen))?;
        Some(if lies[at].once { lies.remove(at).lie } else { lies[at].lie.clone() })
    }

    /// Connections are met with another certificate from now on.
    pub fn identify_as(&self, identity: &Identification) {
        *lock(&self.0.identity) = Some(identity.clone());
    }

    /// Whether there is a lie to be told.
    pub fn is_lying(&self) -> bool {
        !lock(&self.0.lies).is_empty()
    }

    /// Tells the truth from now on.
    pub fn be_honest(&self) {
        lock(&self.0.lies).clear();
    }

    /// Everything that has reached it.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.0.seen).clone()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.0.origin).finish()
    }
}

/// A request that reached an [`Interposer`], byte for byte.
#[derive(Clone, Debug)]
pub struct Seen {
    /// GET, POST, DELETE.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// Head and body.
    pub bytes: Vec<u8>,
    /// A lie was told.
    pub lied_to: bool,
}

/// Which requests a lie is for.
#[derive(Clone, Copy, Debug)]
pub struct Where {
    /// This stands in the path.
    pub path: &'static str,
    /// This stands in the body; empty: any.
    pub body: &'static str,
}

impl Where {
    /// Requests whose path contains this.
    pub const fn path(path: &'static str) -> Self {
        Self { path, body: "" }
    }

    fn fits(&self, seen: &Seen) -> bool {
        let body = seen.bytes.windows(self.body.len().max(1)).any(|part| part == self.body.as_bytes());
        seen.path.contains(self.path) && (self.body.is_empty() || body)
    }
}

struct Told {
    place: Where,
    lie: Lie,
    once: bool,
}

/// What is answered instead of the truth.
#[derive(Clone)]
pub enum Lie {
    /// These bytes, and the connection ends.
    Bytes(Vec<u8>),
    /// The first bytes, then the second ones again and again, for as long as somebody reads.
    Endless(Vec<u8>, Vec<u8>),
    /// Nothing at all, for as long as somebody waits.
    Silence,
    /// The connection ends without a word.
    Drop,
    /// The server behind does its work, and nobody hears of it.
    Lose,
    /// The JSON of the server behind, changed.
    Edit(fn(&mut Value, &str), String),
}

impl Lie {
    /// A whole answer.
    pub fn reply(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let mut bytes = head(status, headers);
        bytes.extend(format!("content-length: {}\r\nconnection: close\r\n\r\n", body.len()).bytes());
        bytes.extend(body);
        Self::Bytes(bytes)
    }

    /// A body without an end.
    pub fn endless(content_type: &str, piece: &str) -> Self {
        let mut bytes = head(200, &[("content-type", content_type)]);
        bytes.extend(b"connection: close\r\n\r\n");
        Self::Endless(bytes, piece.as_bytes().to_vec())
    }

    /// A body that ends before the length that was promised.
    pub fn cut_short(content_type: &str, body: &str) -> Self {
        let mut bytes = head(200, &[("content-type", content_type)]);
        bytes.extend(format!("content-length: {}\r\nconnection: close\r\n\r\n", body.len() + 100).bytes());
        bytes.extend(body.bytes());
        Self::Bytes(bytes)
    }
}

impl fmt::Debug for Lie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bytes(_) => "Bytes",
            Self::Endless(..) => "Endless",
            Self::Silence => "Silence",
            Self::Drop => "Drop",
            Self::Lose => "Lose",
            Self::Edit(..) => "Edit",
        })
    }
}

fn head(status: u16, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} Lie\r\n");
    for (name, value) in headers {
        text.extend([name, ": ", value, "\r\n"]);
    }
    text.into_bytes()
}

async fn accept(listener: TcpListener, handle: Handle) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let handle = handle.clone();
                let identity = lock(&handle.0.identity).clone();
                connections.spawn(async move {
                    // A connection that breaks is what tests of broken connections look at from the other end.
                    let _broken = match identity {
                        None => serve(stream, &handle).await,
                        Some(identity) => match identity.acceptor().accept(stream).await {
                            Ok(stream) => serve(stream, &handle).await,
                            Err(refused) => Err(refused),
                        },
                    };
                });
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

/// One request, one answer, and the end.
async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, handle: &Handle) -> io::Result<()> {
    let Some(mut seen) = read_request(&mut stream).await? else { return Ok(()) };
    let lie = handle.lie_for(&seen);
    seen.lied_to = lie.is_some();
    lock(&handle.0.seen).push(seen.clone());
    let behind = *lock(&handle.0.behind);
    match (lie, behind) {
        (Some(Lie::Bytes(bytes)), _) => stream.write_all(&bytes).await?,
        (Some(Lie::Endless(head, piece)), _) => {
            stream.write_all(&head).await?;
            loop {
                stream.write_all(&piece).await?;
            }
        }
        (Some(Lie::Silence), _) => {
            // Until the other side gives up.
            stream.read_u8().await?;
        }
        (Some(Lie::Drop), _) => return Ok(()),
        (Some(Lie::Lose), Some(behind)) => {
            let mut answer = Vec::new();
            ask(behind, &seen).await?.read_to_end(&mut answer).await?;
            return Ok(());
        }
        (Some(Lie::Edit(change, with)), Some(behind)) => {
            let mut answer = Vec::new();
            ask(behind, &seen).await?.read_to_end(&mut answer).await?;
            stream.write_all(&edited(&answer, change, &with)?).await?;
        }
        (None, Some(behind)) => {
            let mut answers = ask(behind, &seen).await?;
            tokio::io::copy(&mut answers, &mut stream).await?;
        }
        (None | Some(Lie::Lose | Lie::Edit(..)), None) => {
            stream
                .write_all(b"HTTP/1.1 404 Nobody\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                .await?;
        }
    }
    stream.shutdown().await
}

/// Reads head and body. `None`: the peer said nothing.
async fn read_request<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Option<Seen>> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = find(&bytes, b"\r\n\r\n") {
            break at + 4;
        }
        let read = tokio::time::timeout(PATIENCE, stream.read_buf(&mut bytes)).await??;
        if read == 0 {
            return Ok(None);
        }
    };
    let text = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let length = header(&text, "content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
    while bytes.len() < end + length {
        if tokio::time::timeout(PATIENCE, stream.read_buf(&mut bytes)).await?? == 0 {
            return Ok(None);
        }
    }
    let mut words = text.split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default().to_owned();
    Ok(Some(Seen { method, path, bytes, lied_to: false }))
}

/// Sends the request on, on a connection that ends with the answer.
async fn ask(behind: SocketAddr, seen: &Seen) -> io::Result<TcpStream> {
    let end = find(&seen.bytes, b"\r\n\r\n").unwrap_or(seen.bytes.len());
    let head = String::from_utf8_lossy(&seen.bytes[..end]);
    let kept = head.split("\r\n").filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
    let mut request = kept.collect::<Vec<_>>().join("\r\n").into_bytes();
    request.extend(b"\r\nconnection: close");
    request.extend(&seen.bytes[end..]);
    let mut stream = TcpStream::connect(behind).await?;
    stream.write_all(&request).await?;
    Ok(stream)
}

/// An answer with its JSON changed.
fn edited(answer: &[u8], change: fn(&mut Value, &str), with: &str) -> io::Result<Vec<u8>> {
    let end = find(answer, b"\r\n\r\n").ok_or(io::ErrorKind::InvalidData)?;
    let head = String::from_utf8_lossy(&answer[..end]);
    let body = &answer[end + 4..];
    let body = if header(&head, "transfer-encoding").is_some() { unchunked(body) } else { body.to_vec() };
    let mut value: Value = serde_json::from_slice(&body)?;
    change(&mut value, with);
    let body = value.to_string();
    let stale = ["content-length:", "transfer-encoding:"];
    let kept = head.split("\r\n").filter(|line| {
        let line = line.to_ascii_lowercase();
        !stale.iter().any(|name| line.starts_with(name))
    });
    let head = kept.collect::<Vec<_>>().join("\r\n");
    Ok(format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes())
}

/// RFC 9112 section 7.1, without trailers.
fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(at) = find(body, b"\r\n") {
        let size =
            std::str::from_utf8(&body[..at]).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
        let Some(size) = size.filter(|size| *size > 0 && body.len() >= at + 2 + size) else { break };
        whole.extend(&body[at + 2..at + 2 + size]);
        body = body.get(at + 4 + size..).unwrap_or_default();
    }
    whole
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
    lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no holder of this lock panics")
}

/// A peer that says nothing more is not waited for.
const PATIENCE: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::web::exchange;

    async fn get(interposer: &Interposer, path: &str) -> Result<String, String> {
        let url = format!("{}{path}", interposer.origin()).parse().unwrap();
        let got = exchange(Method::GET, &url, &None, &[], "").await.map_err(|error| error.to_string())?;
        Ok(format!("{} {}", got.status.as_u16(), got.text()))
    }

    #[tokio::test]
    async fn what_is_behind_is_passed_on_and_changed_where_a_lie_fits() {
        let behind = Interposer::start().await.unwrap();
        let chunked =
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\n{\"a\r\n5\r\n\": 1}\r\n0\r\n\r\n";
        behind.handle().tell(Where::path("/json"), Lie::Bytes(chunked.into()));
        let front = Interposer::start().await.unwrap();
        assert_eq!(get(&front, "/json").await.unwrap(), "404 ");
        front.handle().pass_on_to(behind.origin()["http://".len()..].parse().unwrap());
        assert_eq!(get(&front, "/json?x=1").await.unwrap(), "200 {\"a\": 1}");
        assert_eq!(get(&front, "/other").await.unwrap(), "404 ");
        front
            .handle()
            .tell(Where::path("/json"), Lie::Edit(|json, with| json["b"] = with.into(), "two".into()));
        assert_eq!(get(&front, "/json").await.unwrap(), r#"200 {"a":1,"b":"two"}"#);
        front.handle().tell(Where::path("/json"), Lie::Lose);
        get(&front, "/json").await.unwrap_err();
        front.handle().tell(Where::path("/json"), Lie::cut_short("text/plain", "half"));
        get(&front, "/json").await.unwrap_err();
        front.handle().be_honest();
        assert_eq!(get(&front, "/json").await.unwrap(), "200 {\"a\": 1}");
        let seen = front.handle().seen();
        assert_eq!(seen.len(), 7);
        assert!(seen[1].bytes.starts_with(b"GET /json?x=1 HTTP/1.1") && seen[1].path == "/json");
        assert_eq!(seen.iter().filter(|one| one.lied_to).count(), 3);
        // Behind, all but the first and the one that was cut short have arrived.
        assert_eq!(behind.handle().seen().len(), 5);
    }
}
