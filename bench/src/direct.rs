//! The same calls without a bridge: HTTP on connections that stay open, one for each call in flight.

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, epoll, poll};

use bench::wire::{Chunks, Head};

use crate::server::STATIC_TOKEN;

/// What opens a session.
pub(crate) const INITIALIZE: &[u8] = br#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}"#;

/// Connections to the server, greeted.
pub(crate) struct Direct {
    connections: Vec<Connection>,
    prefix: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
}

impl Direct {
    /// Opens `count` connections and one session.
    pub(crate) fn open(address: &str, count: usize) -> io::Result<Self> {
        let connections = (0..count)
            .map(|_| {
                let stream = TcpStream::connect(address)?;
                stream.set_nodelay(true)?;
                Ok(Connection { stream, input: Vec::new() })
            })
            .collect::<io::Result<Vec<_>>>()?;
        let prefix = format!(
            "POST /mcp HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {STATIC_TOKEN}\r\nAccept: application/json, text/event-stream\r\nContent-Type: application/json\r\n"
        );
        let mut direct = Self { connections, prefix: prefix.into_bytes() };
        let (head, raw) = direct.ask(INITIALIZE)?;
        if let Some(session) = head.session {
            direct.prefix.extend_from_slice(b"Mcp-Session-Id: ");
            direct.prefix.extend_from_slice(&raw[session]);
            direct.prefix.extend_from_slice(b"\r\nMCP-Protocol-Version: 2025-11-25\r\n");
        }
        Ok(direct)
    }

    /// One call on the first connection: the head and all that was read.
    pub(crate) fn ask(&mut self, body: &[u8]) -> io::Result<(Head, Vec<u8>)> {
        self.send(0, body)?;
        let connection = &mut self.connections[0];
        connection.input.clear();
        let mut progress = Progress::default();
        loop {
            let mut fds = [PollFd::new(&connection.stream, PollFlags::IN)];
            poll(&mut fds, None)?;
            if let Some(head) = connection.read(&mut progress, |_| {})? {
                return Ok((head, std::mem::take(&mut connection.input)));
            }
        }
    }

    /// One call whose answer is a stream: every piece of its body is handed on.
    pub(crate) fn stream(&mut self, body: &[u8], mut each: impl FnMut(&[u8])) -> io::Result<()> {
        self.send(0, body)?;
        let connection = &mut self.connections[0];
        connection.input.clear();
        let mut progress = Progress::default();
        while connection.read(&mut progress, &mut each)?.is_none() {}
        Ok(())
    }

    /// `count` calls, `self.connections` of them in flight; how many a second were answered.
    pub(crate) fn rate(&mut self, count: usize, call: impl Fn(usize) -> String) -> io::Result<f64> {
        let set = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut progress = Vec::new();
        for (at, connection) in self.connections.iter_mut().enumerate() {
            connection.input.clear();
            epoll::add(
                &set,
                &connection.stream,
                epoll::EventData::new_u64(at as u64),
                epoll::EventFlags::IN,
            )?;
            progress.push(Progress::default());
        }
        let began = Instant::now();
        let mut started = 0;
        for at in 0..self.connections.len().min(count) {
            self.send(at, call(started).as_bytes())?;
            started += 1;
        }
        let mut answered = 0;
        let mut events: Vec<epoll::Event> = Vec::with_capacity(128);
        while answered < count {
            events.clear();
            epoll::wait(&set, rustix::buffer::spare_capacity(&mut events), None)?;
            for event in &events {
                let at = usize::try_from(event.data.u64()).map_err(io::Error::other)?;
                let connection = &mut self.connections[at];
                if connection.read(&mut progress[at], |_| {})?.is_none() {
                    continue;
                }
                connection.input.clear();
                progress[at] = Progress::default();
                answered += 1;
                if started < count {
                    self.send(at, call(started).as_bytes())?;
                    started += 1;
                }
            }
        }
        let elapsed = began.elapsed().as_secs_f64();
        Ok(f64::from(u32::try_from(count).map_err(io::Error::other)?) / elapsed)
    }

    fn send(&mut self, at: usize, body: &[u8]) -> io::Result<()> {
        let mut request =
            Vec::with_capacity(self.prefix.len() + 40 + if body.len() < 65536 { body.len() } else { 0 });
        request.extend_from_slice(&self.prefix);
        write!(request, "Content-Length: {}\r\n\r\n", body.len())?;
        let stream = &mut self.connections[at].stream;
        if body.len() < 65536 {
            request.extend_from_slice(body);
            return stream.write_all(&request);
        }
        stream.write_all(&request)?;
        stream.write_all(body)
    }
}

/// How far the reading of an answer is.
#[derive(Default)]
struct Progress {
    head: Option<Head>,
    chunks: Chunks,
    body: usize,
}

impl Connection {
    /// Reads once; the head when the answer is complete.
    fn read(&mut self, progress: &mut Progress, mut each: impl FnMut(&[u8])) -> io::Result<Option<Head>> {
        // What was handed on is not kept.
        if progress.head.as_ref().is_some_and(|head| head.chunked) {
            self.input.clear();
        }
        let before = self.input.len();
        self.input.reserve(if before > 64 * 1024 { 1024 * 1024 } else { 64 * 1024 });
        if rustix::io::read(&self.stream, rustix::buffer::spare_capacity(&mut self.input))? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let fresh = if progress.head.is_none() {
            progress.head = Head::parse(&self.input);
            progress.head.as_ref().map_or(self.input.len(), |head| head.len)
        } else {
            before
        };
        let Some(head) = &progress.head else { return Ok(None) };
        let done = if head.chunked {
            progress.chunks.take(&self.input[fresh..], &mut each).is_some()
        } else {
            progress.body += self.input.len() - fresh;
            progress.body >= head.content_length.unwrap_or(0)
        };
        Ok(if done { progress.head.take() } else { None })
    }
}
