//! An HTTP proxy as organisations have them: it opens tunnels (`CONNECT`, RFC 9110 section 9.3.6) to servers of this
//! process, whatever their names are, asks for a user and a password, refuses, falls silent, or sits in the middle with
//! certificates of its own.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A running proxy. Dropping it closes its port; tunnels end with their ends.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    inner: Arc<Mutex<Inner>>,
    accepting: tokio::task::JoinHandle<()>,
}

/// How it treats whoever comes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Manner {
    /// It opens tunnels for everybody.
    #[default]
    Open,
    /// Only for this user and password (RFC 7617); 407 for everybody else.
    Basic {
        /// User.
        user: String,
        /// Password.
        password: String,
    },
    /// This status for everybody.
    Refuse(u16),
    /// The connection ends without an answer.
    Drop,
}

/// What it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Host and port behind `CONNECT`.
    pub authority: String,
    /// A tunnel was opened.
    pub opened: bool,
    /// `Proxy-Authorization` came along.
    pub authorized: bool,
}

#[derive(Debug, Default)]
struct Inner {
    manner: Manner,
    asked: Vec<Asked>,
}

impl Proxy {
    /// Starts one on a free port of 127.0.0.1. Every tunnel leads to the port asked for, on 127.0.0.1.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let inner = Arc::<Mutex<Inner>>::default();
        let shared = Arc::clone(&inner);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let inner = Arc::clone(&shared);
                // What a broken connection ends with is seen at its other end.
                tokio::spawn(async move { drop(serve(stream, &inner).await) });
            }
        });
        Ok(Self { address, inner, accepting })
    }

    /// Its address as a proxy variable names it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The same with a user and a password.
    pub fn url_for(&self, user: &str, password: &str) -> String {
        format!("http://{user}:{password}@{}", self.address)
    }

    /// From now on it behaves so; open tunnels stay.
    pub fn set(&self, manner: Manner) {
        self.inner().manner = manner;
    }

    /// Everything that it was asked, oldest first.
    pub fn asked(&self) -> Vec<Asked> {
        self.inner().asked.clone()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(mut stream: TcpStream, inner: &Mutex<Inner>) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < LONGEST_HEAD {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut words = head.split_whitespace();
    let (method, authority) = (words.next().unwrap_or_default(), words.next().unwrap_or_default().to_owned());
    let authorization = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("proxy-authorization").then(|| value.trim().to_owned())
    });
    let answer = {
        let mut inner = inner.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = match &inner.manner {
            _ if method != "CONNECT" => Answer::Status(405),
            Manner::Open => Answer::Tunnel,
            Manner::Basic { user, password } => {
                let expected = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
                if authorization.as_deref() == Some(&expected) { Answer::Tunnel } else { Answer::Status(407) }
            }
            Manner::Refuse(status) => Answer::Status(*status),
            Manner::Drop => Answer::Nothing,
        };
        let opened = matches!(answer, Answer::Tunnel);
        inner.asked.push(Asked { authority: authority.clone(), opened, authorized: authorization.is_some() });
        answer
    };
    match answer {
        Answer::Nothing => Ok(()),
        Answer::Status(status) => {
            let ask = if status == 407 { "Proxy-Authenticate: Basic realm=\"testbed\"\r\n" } else { "" };
            let text = format!("HTTP/1.1 {status} no\r\n{ask}Content-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write_all(text.as_bytes()).await
        }
        Answer::Tunnel => {
            let port = authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(443);
            let mut target = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
            stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
            tokio::io::copy_bidirectional(&mut stream, &mut target).await.map(drop)
        }
    }
}

enum Answer {
    Tunnel,
    Status(u16),
    Nothing,
}

const LONGEST_HEAD: usize = 16 * 1024;
