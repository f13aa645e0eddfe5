//! One HTTP/1.1 connection (RFC 9112): a request out, its answer in, and then the next request.
//!
//! It has no task of its own. Whoever waits for the answer writes and reads, so that a call costs no more turns of
//! the runtime than it has to wait.

use std::future::poll_fn;
use std::io::{self, IoSlice, Write as _};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use crate::framing::{Framing, Taken};
use crate::head::{Head, MAX_HEAD, NotHttp, head};
use crate::plain::Plain;
use crate::spare::{LARGE_BUFFER, SPARE};

/// How much is read at once: little while little comes.
const SMALL_STEP: usize = 8 * 1024;
const LARGE_STEP: usize = 128 * 1024;

/// A body up to this size leaves in one piece with its head.
const SMALL_BODY: usize = 16 * 1024;

/// TCP, or TLS on it.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// An open connection.
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    input: BytesMut,
    step: usize,
    /// Head and small body of the request, and how much of them has left.
    output: BytesMut,
    sent: usize,
    /// What of a large body has not left yet.
    body: Bytes,
    unflushed: bool,
    /// The request could not be written to its end.
    broken: bool,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// No byte of the request has left.
    Unsent,
    /// The connection ended before an answer came.
    Broken,
    /// What came is not HTTP/1.1.
    Nonsense,
}

impl Connection {
    /// Nothing was said on it yet.
    pub(crate) fn new(stream: impl Stream + 'static) -> Self {
        Self {
            stream: Box::new(stream),
            input: BytesMut::new(),
            step: SMALL_STEP,
            output: BytesMut::new(),
            sent: 0,
            body: Bytes::new(),
            unflushed: false,
            broken: false,
        }
    }

    /// Sends a request and waits for the head of its answer. `lines` are the request line and all fields but the
    /// length, each with its line break; `body` is `None` for methods that have none.
    pub(crate) async fn ask(&mut self, lines: &[&[u8]], body: Option<&Bytes>) -> Result<Head, Lost> {
        self.output.clear();
        self.sent = 0;
        self.output.reserve(lines.iter().map(|part| part.len()).sum::<usize>() + SMALL_STEP / 16);
        for part in lines {
            self.output.extend_from_slice(part);
        }
        if let Some(body) = body {
            // Writing to memory does not fail.
            let _ = write!((&mut self.output).writer(), "content-length: {}\r\n\r\n", body.len());
            if body.len() > SMALL_BODY {
                self.body = body.clone();
            } else {
                self.output.extend_from_slice(body);
            }
        } else {
            self.output.extend_from_slice(b"\r\n");
        }
        poll_fn(|context| self.poll_head(context)).await
    }

    fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<Result<Head, Lost>> {
        loop {
            self.send_on(context);
            if self.broken && self.sent == 0 {
                return Poll::Ready(Err(Lost::Unsent));
            }
            let Some((head, len)) = head(&self.input).map_err(|NotHttp| Lost::Nonsense)? else {
                if self.input.len() > MAX_HEAD {
                    return Poll::Ready(Err(Lost::Nonsense));
                }
                match ready!(self.poll_fill(context)) {
                    Ok(0) | Err(_) => return Poll::Ready(Err(Lost::Broken)),
                    Ok(_) => continue,
                }
            };
            self.input.advance(len);
            // 1xx: the answer is still to come. But nobody asked for another protocol.
            if head.status == StatusCode::SWITCHING_PROTOCOLS {
                return Poll::Ready(Err(Lost::Nonsense));
            }
            if !head.status.is_informational() {
                return Poll::Ready(Ok(head));
            }
        }
    }

    /// The next piece of a body; `None` at its end.
    pub(crate) async fn piece(&mut self, framing: &mut Framing) -> io::Result<Option<Bytes>> {
        poll_fn(|context| {
            loop {
                match framing.take(&mut self.input).map_err(io::Error::other)? {
                    Taken::Piece(piece) => return Poll::Ready(Ok(Some(piece))),
                    Taken::End => return Poll::Ready(Ok(None)),
                    Taken::Nothing => {}
                }
                self.send_on(context);
                if ready!(self.poll_fill(context))? == 0 {
                    return Poll::Ready(match framing {
                        Framing::Close => Ok(None),
                        Framing::Length(_) | Framing::Chunked(_) => Err(io::ErrorKind::UnexpectedEof.into()),
                    });
                }
            }
        })
        .await
    }

    /// The next `len` bytes, read to where they stay, and what was seen of them if they are many.
    pub(crate) async fn exactly(&mut self, len: usize) -> io::Result<(Bytes, Plain)> {
        let mut plain = Plain::default();
        if len <= self.input.len() {
            return Ok((self.input.split_to(len).freeze(), plain));
        }
        let mut all = if len < LARGE_BUFFER { Vec::with_capacity(len) } else { SPARE.take(len) };
        all.extend_from_slice(&self.input);
        self.input.clear();
        while all.len() < len {
            let left = len - all.len();
            let got = poll_fn(|context| {
                self.send_on(context);
                pin!(self.stream.read_buf(&mut (&mut all).limit(left))).poll(context)
            });
            if got.await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if len >= LARGE_BUFFER {
                plain.look(&all);
            }
        }
        Ok((if len < LARGE_BUFFER { all.into() } else { SPARE.lend(all) }, plain))
    }

    /// Whether nothing was left over and nothing has come that nobody asked for, the end included; `waker` is told
    /// when something does.
    pub(crate) fn is_idle(&mut self, waker: &Waker) -> bool {
        let is_done = !self.broken && !self.is_sending() && self.input.is_empty();
        is_done && self.poll_fill(&mut Context::from_waker(waker)).is_pending()
    }

    /// A large buffer is not kept for small answers.
    pub(crate) fn shrink(&mut self) {
        if self.step > SMALL_STEP {
            self.step = SMALL_STEP;
            self.input = BytesMut::new();
        }
    }

    fn is_sending(&self) -> bool {
        self.sent < self.output.len() || !self.body.is_empty() || self.unflushed
    }

    /// Writes on, also while the answer comes. Some servers refuse before they have read everything, and close: what
    /// they say then still counts.
    fn send_on(&mut self, context: &mut Context<'_>) {
        if self.is_sending() && !self.broken {
            self.broken = matches!(self.poll_send(context), Poll::Ready(Err(_)));
        }
    }

    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.output.len() || !self.body.is_empty() {
            let head = &self.output[self.sent..];
            let stream = Pin::new(&mut self.stream);
            let written = if self.body.is_empty() {
                ready!(stream.poll_write(context, head))?
            } else {
                let parts = [IoSlice::new(head), IoSlice::new(&self.body)];
                let first = usize::from(head.is_empty());
                ready!(stream.poll_write_vectored(context, &parts[first..]))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let of_head = written.min(head.len());
            self.sent += of_head;
            self.body.advance(written - of_head);
            self.unflushed = true;
        }
        if self.unflushed {
            // The request is let go as soon as it has left.
            self.body = Bytes::new();
            ready!(Pin::new(&mut self.stream).poll_flush(context))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.input.capacity() - self.input.len() < self.step / 2 {
            self.input.reserve(self.step);
        }
        let room = self.input.capacity() - self.input.len();
        let got = ready!(pin!(self.stream.read_buf(&mut self.input)).poll(context))?;
        if got == room {
            self.step = (self.step * 4).min(LARGE_STEP);
        }
        Poll::Ready(Ok(got))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::{Content, MAX_FIELDS};
    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

    const REQUEST: [&[u8]; 2] = [b"POST / HTTP/1.1\r\n", b"host: a\r\n"];

    /// A connection whose server has said `answers` already.
    async fn answered(answers: &[u8]) -> (Connection, DuplexStream) {
        let (ours, mut theirs) = duplex(1024 * 1024);
        theirs.write_all(answers).await.unwrap();
        (Connection::new(ours), theirs)
    }

    async fn ask(connection: &mut Connection) -> Result<(Head, Vec<u8>), Lost> {
        let mut head = connection.ask(&REQUEST, Some(&Bytes::from_static(b"{}"))).await?;
        let mut body = Vec::new();
        while let Some(piece) = connection.piece(&mut head.framing).await.map_err(|_| Lost::Broken)? {
            body.extend_from_slice(&piece);
        }
        Ok((head, body))
    }

    #[tokio::test]
    async fn a_request_leaves_whole_and_answers_end_where_they_say() {
        let (mut connection, mut theirs) = answered(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: application/JSON; charset=utf-8\r\n\
            Content-Length: 5, 5\r\nmcp-session-id: s\r\n\r\nhello",
        )
        .await;
        let (head, body) = ask(&mut connection).await.unwrap();
        assert_eq!((head.status, head.content, head.keep), (StatusCode::OK, Content::Json, true));
        assert_eq!((&body[..], head.session_id.unwrap().as_bytes()), (&b"hello"[..], &b"s"[..]));
        assert!(connection.is_idle(Waker::noop()));
        let chunked = b"HTTP/1.1 401 No\r\nTransfer-Encoding: Chunked\r\nWWW-Authenticate: Bearer\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
        theirs.write_all(chunked).await.unwrap();
        let (head, body) = ask(&mut connection).await.unwrap();
        assert_eq!((head.status, &body[..]), (StatusCode::UNAUTHORIZED, &b"hi"[..]));
        assert!(head.keep && !head.challenges.is_empty());
        theirs.write_all(b"HTTP/1.1 202 Accepted\r\nConnection: a, Close\r\n\r\nrest").await.unwrap();
        theirs.shutdown().await.unwrap();
        let (head, body) = ask(&mut connection).await.unwrap();
        assert_eq!((head.keep, &body[..]), (false, &b"rest"[..]));
        let mut sent = vec![0; 3 * 49];
        theirs.read_exact(&mut sent).await.unwrap();
        assert_eq!(sent, b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}".repeat(3));
    }

    #[tokio::test]
    async fn what_two_readers_could_take_for_two_things_is_no_answer() {
        for text in [
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
            "SSH-2.0-OpenSSH_9.9\r\n",
            &format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(MAX_FIELDS + 1)),
            &format!("HTTP/1.1 200 OK\r\na: {}", "b".repeat(MAX_HEAD)),
        ] {
            let (mut connection, _theirs) = answered(text.as_bytes()).await;
            assert_eq!(ask(&mut connection).await.unwrap_err(), Lost::Nonsense, "{text}");
        }
        let both = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
        let (mut connection, _theirs) = answered(both).await;
        assert!(!ask(&mut connection).await.unwrap().0.keep);
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_is_none() {
        for text in [
            "",
            "HTTP/1.1 200 OK\r\nContent-",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        ] {
            let (mut connection, mut theirs) = answered(text.as_bytes()).await;
            theirs.shutdown().await.unwrap();
            assert_eq!(ask(&mut connection).await.unwrap_err(), Lost::Broken, "{text}");
        }
        let (mut connection, theirs) = answered(b"").await;
        drop(theirs);
        assert_eq!(ask(&mut connection).await.unwrap_err(), Lost::Unsent);
    }

    #[tokio::test]
    async fn what_nobody_asked_for_ends_a_connection() {
        let (mut connection, mut theirs) = answered(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na").await;
        ask(&mut connection).await.unwrap();
        assert!(connection.is_idle(Waker::noop()));
        theirs.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb").await.unwrap();
        assert!(!connection.is_idle(Waker::noop()));
        let (mut connection, _theirs) = answered(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab").await;
        ask(&mut connection).await.unwrap();
        assert!(!connection.is_idle(Waker::noop()));
    }

    #[tokio::test]
    async fn large_bodies_pass_both_ways_at_once() {
        const HEAD: &[u8] = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 300000\r\n\r\n";
        let (ours, theirs) = duplex(1000);
        let body = Bytes::from(vec![b'x'; 300_000]);
        let (mut read, mut write) = tokio::io::split(theirs);
        let (told, mut has_read) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let mut all = vec![0; HEAD.len() + 300_000];
            read.read_exact(&mut all).await.unwrap();
            told.send(all).unwrap();
        });
        tokio::spawn(async move {
            // Before the request has been read.
            write.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n").await.unwrap();
            write.write_all(&vec![b'y'; 200_000]).await.unwrap();
            std::future::pending::<()>().await;
        });
        let mut connection = Connection::new(ours);
        let head = connection.ask(&REQUEST, Some(&body)).await.unwrap();
        assert_eq!(head.framing, Framing::Length(200_000));
        let (answer, _) = connection.exactly(200_000).await.unwrap();
        assert!(answer.len() == 200_000 && answer.iter().all(|b| *b == b'y'));
        // What is left of the request leaves while somebody waits for the connection.
        let sent = poll_fn(|context| {
            connection.send_on(context);
            Pin::new(&mut has_read).poll(context)
        });
        let sent = sent.await.unwrap();
        assert!(sent.ends_with(&body) && sent.starts_with(HEAD));
    }

    #[tokio::test]
    async fn a_refusal_counts_though_the_request_was_not_read_to_its_end() {
        let (ours, mut theirs) = duplex(1000);
        let body = Bytes::from(vec![b'x'; 300_000]);
        tokio::spawn(async move {
            let mut some = [0; 500];
            theirs.read_exact(&mut some).await.unwrap();
            theirs.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno!").await.unwrap();
        });
        let mut connection = Connection::new(ours);
        let head = connection.ask(&REQUEST, Some(&body)).await.unwrap();
        assert_eq!(head.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(connection.exactly(3).await.unwrap().0, "no!");
        assert!(!connection.is_idle(Waker::noop()), "half a request stands on it");
    }
}
