//! Waits on this machine's own address for the browser to come back (RFC 8252 section 7.3).
//!
//! The listener is handed in, bound. It is a door that other users of this machine can knock at, so it
//! says little, believes little, and every connection is bounded in time, size and number.

use std::{io, net::SocketAddr, sync::Arc, task::Poll, time::Duration};

use model::{LoopbackHost, Secret};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::{JoinHandle, JoinSet},
    time::{Instant, timeout, timeout_at},
};

use crate::authorization_request::ExpectedResponse;
use crate::authorization_response::{Callback, CallbackError, Reading, read};
use crate::loopback_page::Page;

/// The path of every redirect URI.
pub const CALLBACK_PATH: &str = "/callback";
/// Longest request head, in bytes.
const HEAD_CAP: usize = 16 * 1024;
/// How long a connection may take to send its head, and as long again to take its answer.
const CONNECTION_TIME: Duration = Duration::from_secs(5);
/// Connections served at once; more wait in the system's queue.
const CONNECTIONS: usize = 32;

/// Judges the two ends of a connection (theirs, ours): is the other end this user?
pub type PeerCheck = Arc<dyn Fn(SocketAddr, SocketAddr) -> bool + Send + Sync>;

/// A bound listener that stands for one sign-in.
pub struct LoopbackRedirect {
    listeners: Vec<TcpListener>,
    host: String,
    redirect_uri: String,
    peer: PeerCheck,
}

/// How the sign-in ended, and the browser that waits to be told.
#[derive(Debug)]
pub struct Arrived {
    /// The code, or why there is none.
    pub outcome: Result<Callback, CallbackError>,
    /// To be finished when it is known how the person's sign-in ended.
    pub reply: Reply,
}

/// What the browser is to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedIn {
    /// All went well.
    Yes,
    /// Not.
    No,
}

/// The open connection of the browser. Dropped unfinished, it shows "not signed in".
#[derive(Debug)]
pub struct Reply {
    outcome: oneshot::Sender<SignedIn>,
    task: JoinHandle<()>,
}

impl Reply {
    /// Shows the page and closes the listener; returns when the browser has taken it or had its time.
    pub async fn finish(self, outcome: SignedIn) {
        // The task can only be gone if the browser is.
        let _ = self.outcome.send(outcome);
        let _ = self.task.await;
    }
}

impl LoopbackRedirect {
    /// Takes a listener that is bound to a loopback address.
    pub fn new(listener: TcpListener, peer: PeerCheck) -> io::Result<Self> {
        let host = loopback_address(&listener)?.to_string();
        Ok(Self {
            listeners: vec![listener],
            redirect_uri: format!("http://{host}{CALLBACK_PATH}"),
            host,
            peer,
        })
    }

    /// For an issuer that accepts no address but `localhost`: a name that resolves to either family, so both are
    /// held by us, on one port, or the sign-in does not begin. Without `v6` only on a machine that has no `[::1]`.
    pub fn localhost(v4: TcpListener, v6: Option<TcpListener>, peer: PeerCheck) -> io::Result<Self> {
        let four = loopback_address(&v4)?;
        let six = v6.as_ref().map(loopback_address).transpose()?;
        if !four.is_ipv4() || six.is_some_and(|six| !six.is_ipv6() || four.port() != six.port()) {
            return Err(io::Error::other("localhost needs one port of 127.0.0.1 and of [::1]"));
        }
        let redirect_uri = redirect_uri(LoopbackHost::Localhost, four.port());
        let host = format!("localhost:{}", four.port());
        let listeners = std::iter::once(v4).chain(v6).collect();
        Ok(Self { listeners, host, redirect_uri, peer })
    }

    /// The exact redirect URI: to be registered and to be sent.
    pub fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// Waits until the expected answer comes or `deadline` passes. Everything else is turned away and
    /// changes nothing. Cancel by dropping the future.
    pub async fn wait(self, expected: ExpectedResponse, deadline: Instant) -> Result<Arrived, WaitError> {
        let door = Arc::new(Door { host: self.host, peer: self.peer, expected: Some(expected) });
        let mut connections = JoinSet::new();
        loop {
            let room = connections.len() < CONNECTIONS;
            tokio::select! {
                biased;
                Some(served) = connections.join_next() => {
                    if let Ok(Served::Arrived(stream, outcome)) = served {
                        return Ok(Arrived { outcome, reply: hold(stream, self.listeners, &door) });
                    }
                }
                accepted = timeout_at(deadline, accept(&self.listeners)), if room => {
                    match accepted {
                        Err(_) => return Err(WaitError::TimedOut),
                        Ok(Ok((stream, from))) => { connections.spawn(Arc::clone(&door).serve(stream, from)); }
                        // One connection that failed before it was accepted is not the listener's end;
                        // out of descriptors is, until some are free again.
                        Ok(Err(_)) => tokio::time::sleep(Duration::from_millis(50)).await,
                    }
                }
                () = tokio::time::sleep_until(deadline), if !room => return Err(WaitError::TimedOut),
            }
        }
    }
}

/// The redirect URI of a host and a port, as it is registered: for a fixed port also before anything is bound.
pub fn redirect_uri(host: LoopbackHost, port: u16) -> String {
    let host = match host {
        LoopbackHost::Literal => "127.0.0.1",
        LoopbackHost::Localhost => "localhost",
    };
    format!("http://{host}:{port}{CALLBACK_PATH}")
}

fn loopback_address(listener: &TcpListener) -> io::Result<SocketAddr> {
    let address = listener.local_addr()?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err(io::Error::other("the listener for the sign-in is not bound to a loopback address"))
    }
}

/// The next connection of any of them.
async fn accept(listeners: &[TcpListener]) -> io::Result<(TcpStream, SocketAddr)> {
    std::future::poll_fn(|context| {
        let mut ready = listeners.iter().map(|listener| listener.poll_accept(context)).filter(Poll::is_ready);
        ready.next().unwrap_or(Poll::Pending)
    })
    .await
}

/// Keeps the browser's connection until the outcome is known, and turns everybody else away meanwhile: a
/// callback is used once.
fn hold(stream: TcpStream, listeners: Vec<TcpListener>, door: &Door) -> Reply {
    let (outcome, mut known) = oneshot::channel();
    let used = Arc::new(Door { host: door.host.clone(), peer: Arc::clone(&door.peer), expected: None });
    let task = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        let page = loop {
            tokio::select! {
                told = &mut known => break match told {
                    Ok(SignedIn::Yes) => Page::SignedIn,
                    Ok(SignedIn::No) | Err(_) => Page::NotSignedIn,
                },
                Some(_) = connections.join_next() => {}
                accepted = accept(&listeners), if connections.len() < CONNECTIONS => {
                    if let Ok((stream, from)) = accepted {
                        connections.spawn(Arc::clone(&used).serve(stream, from));
                    }
                }
            }
        };
        drop(listeners);
        show(stream, page).await;
    });
    Reply { outcome, task }
}

/// What every connection is measured by.
struct Door {
    host: String,
    peer: PeerCheck,
    /// `None` once the sign-in's answer has come.
    expected: Option<ExpectedResponse>,
}

enum Served {
    /// Turned away.
    Done,
    /// The answer: its connection is kept open.
    Arrived(TcpStream, Result<Callback, CallbackError>),
}

impl Door {
    async fn serve(self: Arc<Self>, mut stream: TcpStream, from: SocketAddr) -> Served {
        let here = stream.local_addr();
        if !here.is_ok_and(|here| (self.peer)(from, here)) {
            return Served::Done;
        }
        let page = match timeout(CONNECTION_TIME, read_head(&mut stream)).await {
            Err(_) | Ok(Err(HeadError::Closed)) => return Served::Done,
            Ok(Err(HeadError::TooLarge)) => Page::TooLarge,
            Ok(Err(HeadError::Malformed)) => Page::BadRequest,
            Ok(Ok(head)) => match self.judge(head.expose()) {
                Verdict::Page(page) => page,
                Verdict::Ends(outcome) => return Served::Arrived(stream, outcome),
            },
        };
        show(stream, page).await;
        Served::Done
    }

    /// Judges a complete request head.
    fn judge(&self, head: &[u8]) -> Verdict {
        let mut headers = [httparse::EMPTY_HEADER; 100];
        let mut request = httparse::Request::new(&mut headers);
        if !matches!(request.parse(head), Ok(httparse::Status::Complete(_))) {
            return Verdict::Page(Page::BadRequest);
        }
        let mut hosts = request.headers.iter().filter(|h| h.name.eq_ignore_ascii_case("host"));
        let right_host =
            hosts.next().is_some_and(|h| h.value == self.host.as_bytes()) && hosts.next().is_none();
        if !right_host {
            return Verdict::Page(Page::BadRequest);
        }
        if request.headers.iter().any(|h| h.name.eq_ignore_ascii_case("origin")) {
            return Verdict::Page(Page::Forbidden);
        }
        if request.method != Some("GET") {
            return Verdict::Page(Page::MethodNotAllowed);
        }
        let (path, query) = request
            .path
            .unwrap_or_default()
            .split_once('?')
            .unwrap_or((request.path.unwrap_or_default(), ""));
        if path != CALLBACK_PATH {
            return Verdict::Page(Page::NotFound);
        }
        let Some(expected) = &self.expected else { return Verdict::Page(Page::BadRequest) };
        match read(query, expected) {
            Reading::NotOurs(_) => Verdict::Page(Page::BadRequest),
            Reading::Ends(outcome) => Verdict::Ends(outcome),
        }
    }
}

enum Verdict {
    Page(Page),
    Ends(Result<Callback, CallbackError>),
}

enum HeadError {
    Closed,
    TooLarge,
    Malformed,
}

/// Reads up to the blank line. Browsers send no body with a GET; what else comes is not read.
async fn read_head(stream: &mut TcpStream) -> Result<Secret<Vec<u8>>, HeadError> {
    let mut head = Vec::with_capacity(2048);
    let mut part = [0; 2048];
    loop {
        let read = stream.read(&mut part).await.map_err(|_| HeadError::Closed)?;
        if read == 0 {
            return Err(if head.is_empty() { HeadError::Closed } else { HeadError::Malformed });
        }
        head.extend_from_slice(&part[..read]);
        if let Some(end) = head.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            if end + 4 > HEAD_CAP {
                return Err(HeadError::TooLarge);
            }
            head.truncate(end + 4);
            return Ok(Secret::new(head));
        }
        if head.len() > HEAD_CAP {
            return Err(HeadError::TooLarge);
        }
    }
}

/// Writes a page and closes. A browser that is gone is nobody's trouble.
async fn show(mut stream: TcpStream, page: Page) {
    let _ = timeout(CONNECTION_TIME, async {
        stream.write_all(&page.bytes()).await?;
        stream.shutdown().await?;
        // Until the other end has read it: closing on unread input would reset the connection.
        let mut rest = [0; 1024];
        let mut left = HEAD_CAP;
        while left > 0 {
            match stream.read(&mut rest).await? {
                0 => break,
                read => left = left.saturating_sub(read),
            }
        }
        io::Result::Ok(())
    })
    .await;
}

/// Why no answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WaitError {
    /// The browser did not come back.
    #[error("the browser did not come back in time; start the sign-in again")]
    TimedOut,
}

#[cfg(test)]
mod tests;
