//! The floor: the least that a bridge from stdio to Streamable HTTP can cost. One thread, a fixed token, no OAuth, no
//! TLS, no checks. It knows the limit and is good for nothing else: `floor <host:port> <path> <token>`.
//!
//! Calls go out one connection each (kept open), answers are passed on while they come. Writes block: whoever does
//! not read holds everybody up, which a real bridge must not allow.

use std::io::{self, IoSlice, Write as _};
use std::net::TcpStream;
use std::os::fd::{AsFd as _, BorrowedFd};

use bench::wire::{Chunks, Head};
use rustix::event::epoll;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, path, token] = arguments.as_slice() else {
        return Err(io::Error::other("floor <host:port> <path> <token>"));
    };
    let prefix = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nAccept: application/json, \
         text/event-stream\r\nContent-Type: application/json\r\n"
    );
    Floor {
        address: address.clone(),
        prefix: prefix.into_bytes(),
        poll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
        connections: Vec::new(),
        idle: Vec::new(),
        input: Vec::with_capacity(64 * 1024),
        searched: 0,
        opening: None,
        opened: false,
        buffer: Vec::with_capacity(256 * 1024),
        output: Vec::new(),
        holder: None,
        wide: false,
    }
    .run()
}

struct Floor {
    address: String,
    prefix: Vec<u8>,
    poll: rustix::fd::OwnedFd,
    connections: Vec<Connection>,
    idle: Vec<usize>,
    input: Vec<u8>,
    searched: usize,
    /// The connection on which `initialize` waits; until it is answered nothing else leaves.
    opening: Option<usize>,
    opened: bool,
    buffer: Vec<u8>,
    output: Vec<u8>,
    /// Whose answer is being passed on in pieces; other answers are collected meanwhile.
    holder: Option<usize>,
    wide: bool,
}

struct Connection {
    stream: TcpStream,
    /// A head that has not come whole.
    partial: Vec<u8>,
    answer: Option<Answer>,
    collected: Vec<u8>,
}

struct Answer {
    left: usize,
    chunks: Option<Chunks>,
    events: bool,
    /// An event's line that has not come whole.
    line: Vec<u8>,
}

const STDIN: u64 = u64::MAX;

impl Floor {
    fn run(mut self) -> io::Result<()> {
        let stdin = io::stdin();
        epoll::add(&self.poll, &stdin, epoll::EventData::new_u64(STDIN), epoll::EventFlags::IN)?;
        let mut events: Vec<epoll::Event> = Vec::with_capacity(64);
        // `initialize` is on its way: connect meanwhile.
        let first = self.connect()?;
        self.idle.push(first);
        loop {
            events.clear();
            epoll::wait(&self.poll, rustix::buffer::spare_capacity(&mut events), None)?;
            for event in &events {
                if event.data.u64() == STDIN {
                    if !self.read_host(stdin.as_fd())? {
                        return Ok(());
                    }
                } else {
                    let at = usize::try_from(event.data.u64()).map_err(io::Error::other)?;
                    self.read_server(at)?;
                }
            }
        }
    }

    fn connect(&mut self) -> io::Result<usize> {
        let stream = TcpStream::connect(&self.address)?;
        stream.set_nodelay(true)?;
        let at = self.connections.len();
        epoll::add(&self.poll, &stream, epoll::EventData::new_u64(at as u64), epoll::EventFlags::IN)?;
        self.connections.push(Connection {
            stream,
            partial: Vec::new(),
            answer: None,
            collected: Vec::new(),
        });
        Ok(at)
    }

    /// False at the end of the host's messages.
    fn read_host(&mut self, stdin: BorrowedFd<'_>) -> io::Result<bool> {
        let room = if self.input.len() > 32 * 1024 { 1024 * 1024 } else { 64 * 1024 };
        self.input.reserve(room);
        let got = rustix::io::read(stdin, rustix::buffer::spare_capacity(&mut self.input))?;
        if got == 0 {
            return Ok(false);
        }
        if got >= 64 * 1024 && !self.wide {
            // A large message: fewer, larger steps.
            self.wide = true;
            let _ = rustix::pipe::fcntl_setpipe_size(stdin, 1024 * 1024);
            let _ = rustix::pipe::fcntl_setpipe_size(io::stdout(), 1024 * 1024);
        }
        self.send_lines()?;
        Ok(true)
    }

    fn send_lines(&mut self) -> io::Result<()> {
        let mut start = 0;
        while self.opening.is_none() {
            let from = self.searched.max(start);
            let Some(end) = memchr::memchr(b'\n', &self.input[from..]) else {
                self.searched = self.input.len();
                break;
            };
            let end = from + end;
            self.send(start, end)?;
            start = end + 1;
            self.searched = start;
        }
        self.input.drain(..start);
        self.searched -= start;
        Ok(())
    }

    fn send(&mut self, start: usize, end: usize) -> io::Result<()> {
        let at = match self.idle.pop() {
            Some(at) => at,
            None => self.connect()?,
        };
        if !self.opened {
            self.opening = Some(at);
        }
        let body = &self.input[start..end];
        self.buffer.clear();
        self.buffer.extend_from_slice(&self.prefix);
        write!(self.buffer, "Content-Length: {}\r\n\r\n", body.len())?;
        let mut stream = &self.connections[at].stream;
        if body.len() < 64 * 1024 {
            self.buffer.extend_from_slice(body);
            stream.write_all(&self.buffer)
        } else {
            let both = stream.write_vectored(&[IoSlice::new(&self.buffer), IoSlice::new(body)])?;
            let rest = both.saturating_sub(self.buffer.len());
            stream.write_all(&self.buffer[both.min(self.buffer.len())..])?;
            stream.write_all(&body[rest..])
        }
    }

    fn read_server(&mut self, at: usize) -> io::Result<()> {
        self.buffer.clear();
        let connection = &mut self.connections[at];
        rustix::io::read(&connection.stream, rustix::buffer::spare_capacity(&mut self.buffer))?;
        if self.buffer.is_empty() {
            // Closed by the server; whatever was on its way is lost, as is this number.
            epoll::delete(&self.poll, &connection.stream)?;
            self.idle.retain(|idle| *idle != at);
            return Ok(());
        }
        let mut bytes = std::mem::take(&mut self.buffer);
        if connection.answer.is_none() {
            if !connection.partial.is_empty() {
                connection.partial.extend_from_slice(&bytes);
                bytes = std::mem::take(&mut connection.partial);
            }
            let Some(head) = Head::parse(&bytes) else {
                connection.partial = bytes;
                self.buffer = Vec::with_capacity(256 * 1024);
                return Ok(());
            };
            if self.opening == Some(at) {
                if let Some(session) = &head.session {
                    self.prefix.extend_from_slice(b"Mcp-Session-Id: ");
                    self.prefix.extend_from_slice(&bytes[session.clone()]);
                    self.prefix.extend_from_slice(b"\r\nMCP-Protocol-Version: 2025-11-25\r\n");
                }
                self.opened = true;
            }
            connection.answer = Some(Answer {
                left: head.content_length.unwrap_or(0),
                chunks: head.chunked.then(Chunks::default),
                events: head.events,
                line: Vec::new(),
            });
            let len = head.len;
            self.body(at, &bytes[len..])?;
        } else {
            self.body(at, &bytes)?;
        }
        self.buffer = bytes;
        Ok(())
    }

    fn body(&mut self, at: usize, bytes: &[u8]) -> io::Result<()> {
        let connection = &mut self.connections[at];
        let Some(answer) = &mut connection.answer else { return Ok(()) };
        self.output.clear();
        let done = match &mut answer.chunks {
            None => {
                answer.left = answer.left.saturating_sub(bytes.len());
                answer.left == 0
            }
            Some(chunks) if answer.events => {
                let (line, output) = (&mut answer.line, &mut self.output);
                chunks.take(bytes, |part| events(line, part, output)).is_some()
            }
            Some(chunks) => chunks.take(bytes, |part| self.output.extend_from_slice(part)).is_some(),
        };
        let lines_only = answer.events;
        let passed: &[u8] = if answer.chunks.is_none() { bytes } else { &self.output };
        let mut stdout = Stdout;
        if lines_only && self.holder.is_none() {
            stdout.write_all(passed)?;
        } else if self.holder.is_none_or(|holder| holder == at) && !lines_only {
            self.holder = (!done).then_some(at);
            match (done, passed.is_empty()) {
                (true, true) => {}
                (true, false) if passed.len() < 64 * 1024 => {
                    let mut line = std::mem::take(&mut connection.collected);
                    line.extend_from_slice(passed);
                    line.push(b'\n');
                    stdout.write_all(&line)?;
                    line.clear();
                    connection.collected = line;
                }
                (true, false) => {
                    stdout.write_all(passed)?;
                    stdout.write_all(b"\n")?;
                }
                (false, _) => stdout.write_all(passed)?,
            }
        } else {
            connection.collected.extend_from_slice(passed);
            if done && !lines_only {
                connection.collected.push(b'\n');
            }
        }
        if done {
            self.done(at)?;
        }
        Ok(())
    }

    fn done(&mut self, at: usize) -> io::Result<()> {
        self.connections[at].answer = None;
        self.idle.push(at);
        if self.holder.is_none() {
            for connection in self.connections.iter_mut().filter(|c| c.answer.is_none()) {
                if !connection.collected.is_empty() {
                    Stdout.write_all(&connection.collected)?;
                    connection.collected.clear();
                }
            }
        }
        if self.opening == Some(at) {
            self.opening = None;
            self.send_lines()?;
        }
        Ok(())
    }
}

/// Cuts `data:` lines out of an event stream.
fn events(partial: &mut Vec<u8>, mut part: &[u8], output: &mut Vec<u8>) {
    while let Some(end) = memchr::memchr(b'\n', part) {
        let line = if partial.is_empty() {
            &part[..end]
        } else {
            partial.extend_from_slice(&part[..end]);
            &partial[..]
        };
        if let Some(data) = line.strip_prefix(b"data:") {
            output.extend_from_slice(data.strip_prefix(b" ").unwrap_or(data));
            output.push(b'\n');
        }
        partial.clear();
        part = &part[end + 1..];
    }
    partial.extend_from_slice(part);
}

/// Standard output without a buffer.
struct Stdout;

impl io::Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(rustix::stdio::stdout(), bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
