//! One JSON object a line, with a limit on the line.

use serde::{Serialize, de::DeserializeOwned};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};

use crate::{Error, ErrorCode};

/// The longest line that a caller may send, in bytes.
pub const MAX_LINE: usize = 8 * 1024 * 1024;
/// The longest line that the agent sends, in bytes: everything at a glance of 500 Servers with 20 Accounts each fits.
pub const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// Reads messages. Cancelling a read loses nothing: what has come stays in the buffer.
#[derive(Debug)]
pub struct LineReader<R> {
    inner: BufReader<R>,
    line: Vec<u8>,
    limit: usize,
    /// The rest of a line that was too long is thrown away as it comes.
    passing_over: bool,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    /// Wraps the reading half of a connection; a line may have `limit` bytes.
    pub fn new(inner: R, limit: usize) -> Self {
        Self { inner: BufReader::new(inner), line: Vec::new(), limit, passing_over: false }
    }

    /// The stream behind it, with what was read ahead.
    pub fn into_inner(self) -> BufReader<R> {
        self.inner
    }

    /// The next message; `None` at the end of the stream. After a line that is too long or not understood, the
    /// next one can be read.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, CodecError> {
        loop {
            let available = self.inner.fill_buf().await?;
            if available.is_empty() {
                let between = self.line.is_empty() && !self.passing_over;
                return if between { Ok(None) } else { Err(CodecError::Truncated) };
            }
            let (part, ends) = match available.iter().position(|b| *b == b'\n') {
                Some(at) => (at + 1, true),
                None => (available.len(), false),
            };
            if self.passing_over {
                self.inner.consume(part);
                self.passing_over = !ends;
                continue;
            }
            if self.line.len() + part > self.limit {
                let call = call_at_start(if self.line.is_empty() { available } else { &self.line });
                self.inner.consume(part);
                self.passing_over = !ends;
                self.wipe();
                return Err(CodecError::TooLong { limit: self.limit, call });
            }
            self.line.extend_from_slice(&available[..part]);
            self.inner.consume(part);
            if ends {
                let message = serde_json::from_slice(&self.line);
                self.wipe();
                return message.map(Some).map_err(|source| CodecError::Malformed { source });
            }
        }
    }

    /// A line may have held a secret: nothing of it stays in the buffer that the next one uses.
    fn wipe(&mut self) {
        self.line.fill(0);
        self.line.clear();
    }
}

/// The id of a [`crate::Call`], which is written first, of a line that is not read to its end.
fn call_at_start(line: &[u8]) -> Option<u64> {
    let rest = line.strip_prefix(b"{\"id\":")?;
    let digits = rest.iter().take(21).position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
}

/// Writes messages, each flushed.
#[derive(Debug)]
pub struct LineWriter<W> {
    inner: W,
    limit: usize,
}

impl<W: AsyncWrite + Unpin> LineWriter<W> {
    /// Wraps the writing half of a connection; the other end reads lines of `limit` bytes.
    pub fn new(inner: W, limit: usize) -> Self {
        Self { inner, limit }
    }

    /// The stream behind it.
    pub fn into_inner(self) -> W {
        self.inner
    }

    /// Writes one message and its line feed. Of a message that is too long nothing is written, and the next one can
    /// be.
    pub async fn send<T: Serialize>(&mut self, message: &T) -> Result<(), CodecError> {
        self.send_with(message, &[]).await
    }

    /// The same, with lines that were made elsewhere behind it, in one write.
    pub(crate) async fn send_with<T: Serialize>(
        &mut self,
        message: &T,
        behind: &[u8],
    ) -> Result<(), CodecError> {
        let mut line = serde_json::to_vec(message).map_err(|source| CodecError::Malformed { source })?;
        line.push(b'\n');
        if line.len() > self.limit {
            line.fill(0);
            return Err(CodecError::TooLong { limit: self.limit, call: None });
        }
        line.extend_from_slice(behind);
        let written = self.inner.write_all(&line).await;
        line.fill(0);
        written?;
        self.inner.flush().await?;
        Ok(())
    }
}

/// Why a message could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(#[from] std::io::Error),
    /// Not a message of ours.
    #[error("a message could not be understood: {source}")]
    Malformed {
        /// Where.
        source: serde_json::Error,
    },
    /// A line that is longer than its reader takes.
    #[error("a message is longer than {limit} bytes")]
    TooLong {
        /// What is taken, in bytes.
        limit: usize,
        /// The call that it was, as far as it was read.
        call: Option<u64>,
    },
    /// The stream ended within a line.
    #[error("the connection ended within a message")]
    Truncated,
}

/// What a person is told whose request is too long to be sent; the connection goes on.
pub fn request_too_long() -> Error {
    let what = format!("this is more than the agent takes at once ({} MB)", MAX_LINE / 1024 / 1024);
    Error::new(ErrorCode::Usage, what).hint("give it in smaller parts; nothing was changed")
}

/// What a caller is told whose answer is too long to be sent; the connection goes on.
pub fn answer_too_long() -> Error {
    let what = format!("the answer is longer than {} MB", MAX_ANSWER / 1024 / 1024);
    Error::new(ErrorCode::Failed, what).hint("remove servers or accounts that nobody uses")
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use super::*;

    #[tokio::test]
    async fn messages_survive_any_split() {
        let text = b"{\"a\":1}\n{\"a\":2}\n";
        for chunk in 1..text.len() {
            let (mut tx, rx) = tokio::io::duplex(64);
            let send = async move {
                for part in text.chunks(chunk) {
                    tx.write_all(part).await.unwrap();
                }
            };
            let read = async move {
                let mut reader = LineReader::new(rx, MAX_LINE);
                let mut seen = Vec::new();
                while let Some(v) = reader.next::<serde_json::Value>().await.unwrap() {
                    seen.push(v["a"].as_u64().unwrap());
                }
                seen
            };
            assert_eq!(tokio::join!(send, read).1, [1, 2]);
        }
    }

    /// Keeps each write for itself.
    #[derive(Default)]
    struct Writes(Vec<Vec<u8>>);

    impl AsyncWrite for Writes {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _context: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.0.push(bytes.to_vec());
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn what_goes_behind_a_message_goes_in_the_same_write() {
        let mut writer = LineWriter::new(Writes::default(), MAX_LINE);
        writer.send_with(&1, b"[]\n").await.unwrap();
        writer.send(&2).await.unwrap();
        assert_eq!(writer.into_inner().0, [b"1\n[]\n".to_vec(), b"2\n".to_vec()]);
    }

    #[tokio::test]
    async fn a_line_that_is_cut_or_garbage_is_an_error() {
        let mut reader = LineReader::new(&b"{\"a\":"[..], MAX_LINE);
        assert!(matches!(reader.next::<serde_json::Value>().await, Err(CodecError::Truncated)));
        let mut reader = LineReader::new(&b"\xff\xfe\n"[..], MAX_LINE);
        assert!(matches!(reader.next::<serde_json::Value>().await, Err(CodecError::Malformed { .. })));
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_named_by_its_call_and_the_next_one_is_read() {
        let long = "x".repeat(100_000);
        let text = format!("{{\"id\":7,\"a\":\"{long}\"}}\n{{\"a\":\"{long}\"}}\n{{\"a\":1}}\n{long}");
        let mut reader = LineReader::new(text.as_bytes(), 64);
        let first = reader.next::<serde_json::Value>().await;
        assert!(matches!(first, Err(CodecError::TooLong { limit: 64, call: Some(7) })), "{first:?}");
        assert!(matches!(
            reader.next::<serde_json::Value>().await,
            Err(CodecError::TooLong { call: None, .. })
        ));
        assert_eq!(reader.next::<serde_json::Value>().await.unwrap().unwrap()["a"], 1);
        assert!(matches!(reader.next::<serde_json::Value>().await, Err(CodecError::TooLong { .. })));
        assert!(matches!(reader.next::<serde_json::Value>().await, Err(CodecError::Truncated)));
    }

    #[test]
    fn only_a_call_s_own_id_names_it() {
        for (line, id) in [
            (&b"{\"id\":7,\"request\":"[..], Some(7)),
            (b"{\"id\":18446744073709551615,", Some(u64::MAX)),
            (b"{\"id\":99999999999999999999,", None),
            (b"{\"id\":-1,", None),
            (b"{\"id\":12", None),
            (b"{ \"id\":7,", None),
            (b"", None),
        ] {
            assert_eq!(call_at_start(line), id, "{}", line.escape_ascii());
        }
    }

    #[tokio::test]
    async fn a_message_that_is_too_long_is_not_begun() {
        let mut wire = Vec::new();
        let mut writer = LineWriter::new(&mut wire, 16);
        assert!(matches!(writer.send(&"x".repeat(16)).await, Err(CodecError::TooLong { limit: 16, .. })));
        writer.send(&1).await.unwrap();
        assert_eq!(wire, b"1\n");
    }
}
