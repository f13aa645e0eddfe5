//! The yardstick's server: Streamable HTTP on loopback, one thread, epoll, as little work a call as possible, so that
//! what is measured is the bridge.
//!
//! `echo` answers as JSON, `echo_sse` as an event stream, `progress` sends `n` notifications first, `hang` never
//! answers. Bearer tokens are checked; [`Server::restart`] is what a host sees of a server that was restarted.

use std::collections::HashSet;
use std::io::{self, IoSlice, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use rustix::event::{EventfdFlags, epoll, eventfd};

use bench::wire::{Head, member};

/// The token that the floor and the peers are given.
pub(crate) const STATIC_TOKEN: &str = "static-token-of-the-benchmark";
const LISTENER: u64 = u64::MAX;
const WAKE: u64 = u64::MAX - 1;
/// An answer is written at once up to this size, else as the other side takes it.
const SMALL: usize = 64 * 1024;

/// Says whether an access token that was not seen before is good.
pub(crate) type Judge = Box<dyn Fn(&str) -> bool + Send>;

/// A running server.
pub(crate) struct Server {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    wake: OwnedFd,
    restart: AtomicBool,
    issuer: Mutex<String>,
    origin: Mutex<String>,
}

impl Server {
    /// Starts on a free port; `tools` is how many tools `tools/list` names.
    pub(crate) fn start(tools: usize, judge: Judge) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            wake: eventfd(0, EventfdFlags::CLOEXEC)?,
            restart: AtomicBool::new(false),
            issuer: Mutex::new(String::new()),
            origin: Mutex::new(format!("http://127.0.0.1:{port}")),
        });
        let mut work = Work {
            listener,
            poll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            connections: Vec::new(),
            free: Vec::new(),
            sessions: HashSet::new(),
            count: 0,
            tokens: HashSet::from([STATIC_TOKEN.to_owned()]),
            judge,
            tools: tool_list(tools),
            port,
            shared: shared.clone(),
        };
        std::thread::spawn(move || work.run());
        Ok(Self { port, shared })
    }

    /// `127.0.0.1:<port>`.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The MCP endpoint.
    pub(crate) fn endpoint(&self) -> String {
        format!("{}/mcp", self.shared.origin.lock().expect("no holder panics"))
    }

    /// Where it says that it is, when something else stands before it.
    pub(crate) fn set_origin(&self, origin: &str) {
        origin.clone_into(&mut self.shared.origin.lock().expect("no holder panics"));
    }

    /// The authorization server that its metadata names.
    pub(crate) fn set_issuer(&self, issuer: &str) {
        issuer.clone_into(&mut self.shared.issuer.lock().expect("no holder panics"));
    }

    /// Ends every connection and forgets every session, as a restart does.
    pub(crate) fn restart(&self) -> io::Result<()> {
        self.shared.restart.store(true, SeqCst);
        rustix::io::write(&self.shared.wake, &1u64.to_ne_bytes())?;
        while self.shared.restart.load(SeqCst) {
            std::thread::yield_now();
        }
        Ok(())
    }
}

struct Work {
    listener: TcpListener,
    poll: OwnedFd,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    sessions: HashSet<Vec<u8>>,
    count: u64,
    tokens: HashSet<String>,
    judge: Judge,
    tools: Vec<u8>,
    port: u16,
    shared: Arc<Shared>,
}

struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
    /// What the other side has not taken yet.
    output: Vec<u8>,
    sent: usize,
}

impl Work {
    fn run(&mut self) -> io::Result<()> {
        let flags = epoll::EventFlags::IN;
        epoll::add(&self.poll, &self.listener, epoll::EventData::new_u64(LISTENER), flags)?;
        epoll::add(&self.poll, &self.shared.wake, epoll::EventData::new_u64(WAKE), flags)?;
        let mut events: Vec<epoll::Event> = Vec::with_capacity(128);
        loop {
            events.clear();
            epoll::wait(&self.poll, rustix::buffer::spare_capacity(&mut events), None)?;
            for event in events.iter().map(|e| e.data.u64()) {
                match event {
                    LISTENER => self.accept()?,
                    WAKE => {
                        rustix::io::read(&self.shared.wake, &mut [0u8; 8][..])?;
                        self.sessions.clear();
                        self.connections.clear();
                        self.free.clear();
                        self.shared.restart.store(false, SeqCst);
                    }
                    at => {
                        let at = usize::try_from(at).map_err(io::Error::other)?;
                        if self.serve(at).is_err() {
                            self.connections[at] = None;
                            self.free.push(at);
                        }
                    }
                }
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        while let Ok((stream, _)) = self.listener.accept() {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let at = self.free.pop().unwrap_or(self.connections.len());
            let data = epoll::EventData::new_u64(at as u64);
            epoll::add(&self.poll, &stream, data, epoll::EventFlags::IN)?;
            let connection = Connection { stream, input: Vec::new(), output: Vec::new(), sent: 0 };
            if at == self.connections.len() {
                self.connections.push(Some(connection));
            } else {
                self.connections[at] = Some(connection);
            }
        }
        Ok(())
    }

    /// Reads, and answers every request that is complete; an error closes the connection.
    fn serve(&mut self, at: usize) -> io::Result<()> {
        // An event of a connection that a restart has closed.
        let Some(mut connection) = self.connections.get_mut(at).and_then(Option::take) else { return Ok(()) };
        if connection.sent < connection.output.len() {
            connection.flush()?;
            if connection.sent == connection.output.len() {
                self.interest(at, &connection, epoll::EventFlags::IN)?;
            }
            self.connections[at] = Some(connection);
            return Ok(());
        }
        let room = if connection.input.len() > SMALL { 1024 * 1024 } else { SMALL };
        connection.input.reserve(room);
        let spare = rustix::buffer::spare_capacity(&mut connection.input);
        if rustix::io::read(&connection.stream, spare)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        while let Some(head) = Head::parse(&connection.input) {
            let end = head.len + head.content_length.unwrap_or(0);
            if connection.input.len() < end {
                break;
            }
            let input = std::mem::take(&mut connection.input);
            self.answer(&input, &head, &mut connection)?;
            connection.input = input;
            connection.input.drain(..end);
        }
        if connection.input.is_empty() && connection.input.capacity() > 4 * SMALL {
            connection.input = Vec::new();
        }
        if connection.sent < connection.output.len() {
            self.interest(at, &connection, epoll::EventFlags::OUT)?;
        }
        self.connections[at] = Some(connection);
        Ok(())
    }

    fn interest(&self, at: usize, connection: &Connection, flags: epoll::EventFlags) -> io::Result<()> {
        let data = epoll::EventData::new_u64(at as u64);
        Ok(epoll::modify(&self.poll, &connection.stream, data, flags)?)
    }

    fn answer(&mut self, input: &[u8], head: &Head, connection: &mut Connection) -> io::Result<()> {
        let body = &input[head.len..head.len + head.content_length.unwrap_or(0)];
        if input.starts_with(b"GET /.well-known/") {
            return connection.json(b"", &[self.metadata().as_bytes()]);
        }
        if !head.authorization.as_ref().is_some_and(|range| self.admits(&input[range.clone()])) {
            return connection.say(&format!(
                "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer resource_metadata=\"{}/.well-known/oauth-protected-resource/mcp\"\r\nContent-Length: 0\r\n\r\n",
                self.shared.origin.lock().expect("no holder panics")
            ));
        }
        if input.starts_with(b"GET ") {
            return connection.say("HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n");
        }
        if input.starts_with(b"DELETE ") {
            if let Some(session) = &head.session {
                self.sessions.remove(&input[session.clone()]);
            }
            return connection.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
        let method = member(body, "method").unwrap_or_default();
        let id = member(body, "id").unwrap_or(b"null");
        if method != b"\"initialize\"" {
            let known =
                head.session.as_ref().is_some_and(|range| self.sessions.contains(&input[range.clone()]));
            if head.session.is_some() && !known {
                return connection.say("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
            }
        }
        match method {
            b"\"initialize\"" => {
                self.count += 1;
                let session = format!("session-{}-{}", self.port, self.count);
                let header = format!("Mcp-Session-Id: {session}\r\n");
                self.sessions.insert(session.into_bytes());
                let version = member(body, "protocolVersion").unwrap_or(b"\"2025-11-25\"");
                connection.json(
                    header.as_bytes(),
                    &[
                        br#"{"jsonrpc":"2.0","id":"#,
                        id,
                        br#","result":{"protocolVersion":"#,
                        version,
                        br#","capabilities":{"tools":{"listChanged":false}},"serverInfo":{"name":"bench","version":"1"}}}"#,
                    ],
                )
            }
            b"\"tools/list\"" => {
                connection.json(b"", &[br#"{"jsonrpc":"2.0","id":"#, id, b",\"result\":", &self.tools, b"}"])
            }
            b"\"ping\"" => connection.json(b"", &[br#"{"jsonrpc":"2.0","id":"#, id, br#","result":{}}"#]),
            b"\"tools/call\"" => connection.tool(body, id),
            _ => connection.say("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"),
        }
    }

    fn admits(&mut self, authorization: &[u8]) -> bool {
        let Some(token) = authorization.strip_prefix(b"Bearer ").and_then(|t| std::str::from_utf8(t).ok())
        else {
            return false;
        };
        if self.tokens.contains(token) {
            return true;
        }
        let good = (self.judge)(token);
        if good {
            self.tokens.insert(token.to_owned());
        }
        good
    }

    /// RFC 9728.
    fn metadata(&self) -> String {
        let issuer = self.shared.issuer.lock().expect("no holder panics");
        format!(
            r#"{{"resource":"{}/mcp","authorization_servers":["{issuer}"],"scopes_supported":["mcp"]}}"#,
            self.shared.origin.lock().expect("no holder panics")
        )
    }
}

impl Connection {
    fn tool(&mut self, body: &[u8], id: &[u8]) -> io::Result<()> {
        let text = member(body, "message").unwrap_or(b"\"\"");
        let start: &[u8] = br#"{"jsonrpc":"2.0","id":"#;
        let middle: &[u8] = br#","result":{"content":[{"type":"text","text":"#;
        match member(body, "name").unwrap_or_default() {
            b"\"hang\"" => Ok(()),
            b"\"echo_sse\"" => {
                let event = [b"event: message\ndata: ", start, id, middle, text, b"}]}}\n\n"].concat();
                let mut answer = EVENTS.as_bytes().to_vec();
                chunk(&mut answer, &event);
                answer.extend_from_slice(b"0\r\n\r\n");
                self.write(&[&answer])
            }
            b"\"progress\"" => {
                let count =
                    member(body, "n").and_then(|n| std::str::from_utf8(n).ok()?.parse().ok()).unwrap_or(0);
                let token = member(body, "progressToken").unwrap_or(b"0");
                let token = String::from_utf8_lossy(token);
                let mut answer = EVENTS.as_bytes().to_vec();
                for n in 1..=count {
                    let event = format!(
                        "event: message\ndata: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{{\"progressToken\":{token},\"progress\":{n},\"total\":{count}}}}}\n\n"
                    );
                    chunk(&mut answer, event.as_bytes());
                }
                let event = [b"event: message\ndata: ", start, id, middle, b"\"done\"}]}}\n\n"].concat();
                chunk(&mut answer, &event);
                answer.extend_from_slice(b"0\r\n\r\n");
                self.write(&[&answer])
            }
            _ => self.json(b"", &[start, id, middle, text, b"}]}}"]),
        }
    }

    fn say(&mut self, text: &str) -> io::Result<()> {
        self.write(&[text.as_bytes()])
    }

    fn json(&mut self, headers: &[u8], parts: &[&[u8]]) -> io::Result<()> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n");
        let mut all: Vec<&[u8]> = vec![head.as_bytes(), headers, b"\r\n"];
        all.extend(parts);
        self.write(&all)
    }

    /// Writes what goes at once and keeps the rest.
    fn write(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        let slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
        let mut sent = match self.stream.write_vectored(&slices) {
            Ok(sent) => sent,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        self.output.clear();
        self.sent = 0;
        for part in parts {
            let skip = sent.min(part.len());
            self.output.extend_from_slice(&part[skip..]);
            sent -= skip;
        }
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.sent < self.output.len() {
            match self.stream.write(&self.output[self.sent..]) {
                Ok(sent) => self.sent += sent,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.output = Vec::new();
        self.sent = 0;
        Ok(())
    }
}

const EVENTS: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";

fn chunk(answer: &mut Vec<u8>, data: &[u8]) {
    // Writing into memory does not fail.
    let _ = write!(answer, "{:x}\r\n", data.len());
    answer.extend_from_slice(data);
    answer.extend_from_slice(b"\r\n");
}

fn tool_list(count: usize) -> Vec<u8> {
    let tools: Vec<serde_json::Value> = (0..count)
        .map(|n| {
            serde_json::json!({"name": format!("tool_{n}"), "description": "Does what its name says, and says so at some length.",
                "inputSchema": {"type": "object", "properties": {"message": {"type": "string", "description": "what to say"}}, "required": ["message"]}})
        })
        .collect();
    serde_json::json!({ "tools": tools }).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a whole answer from a blocking stream: its head, and its body without framing.
    fn read_answer(mut stream: &TcpStream) -> io::Result<(Head, Vec<u8>)> {
        let mut bytes = Vec::new();
        loop {
            let mut piece = [0; 4096];
            let got = io::Read::read(&mut stream, &mut piece)?;
            bytes.extend_from_slice(&piece[..got]);
            if let Some(head) = Head::parse(&bytes)
                && bytes.len() >= head.len + head.content_length.unwrap_or(0)
            {
                let body = bytes.split_off(head.len);
                return Ok((head, body));
            }
            if got == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn ask(stream: &TcpStream, token: &str, session: &str, body: &str) -> (u16, String) {
        let mut stream = stream;
        let text = format!(
            "POST /mcp HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{session}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(text.as_bytes()).unwrap();
        let mut first = [0; 12];
        while stream.peek(&mut first).unwrap() < 12 {}
        let (_, body) = read_answer(stream).unwrap();
        (bench::wire::status(&first), String::from_utf8(body).unwrap())
    }

    #[test]
    fn it_echoes_refuses_strangers_and_forgets_sessions_at_a_restart() {
        let server = Server::start(3, Box::new(|token| token == "judged")).unwrap();
        let stream = TcpStream::connect(server.address()).unwrap();
        let call = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo","arguments":{"message":"hi"}}}"#;
        assert_eq!(ask(&stream, "nobody", "", call).0, 401);
        let (status, body) = ask(&stream, "judged", "", call);
        assert_eq!(
            (status, body.as_str()),
            (200, r#"{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"hi"}]}}"#)
        );
        let (_, opened) = ask(&stream, STATIC_TOKEN, "", r#"{"id":1,"method":"initialize","params":{}}"#);
        assert!(opened.contains("serverInfo"));
        let session =
            format!("Mcp-Session-Id: session-{}-1\r\n", server.address().rsplit_once(':').unwrap().1);
        assert_eq!(ask(&stream, STATIC_TOKEN, &session, call).0, 200);
        server.restart().unwrap();
        let stream = TcpStream::connect(server.address()).unwrap();
        assert_eq!(ask(&stream, STATIC_TOKEN, &session, call).0, 404);
    }
}
