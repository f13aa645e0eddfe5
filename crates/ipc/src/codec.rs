//! One JSON object a line, with a limit on the line.

use serde::{Serialize, de::DeserializeOwned};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};

/// The longest line, in bytes, either way.
pub const MAX_LINE: usize = 8 * 1024 * 1024;

/// Reads messages. Cancelling a read loses nothing: what has come stays in the buffer.
#[derive(Debug)]
pub struct LineReader<R> {
    inner: BufReader<R>,
    line: Vec<u8>,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    /// Wraps the reading half of a connection.
    pub fn new(inner: R) -> Self {
        Self { inner: BufReader::new(inner), line: Vec::new() }
    }

    /// The stream behind it, with what was read ahead.
    pub fn into_inner(self) -> BufReader<R> {
        self.inner
    }

    /// The next message; `None` at the end of the stream.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, CodecError> {
        loop {
            let available = self.inner.fill_buf().await?;
            if available.is_empty() {
                return if self.line.is_empty() { Ok(None) } else { Err(CodecError::Truncated) };
            }
            let (part, ends) = match available.iter().position(|b| *b == b'\n') {
                Some(at) => (at + 1, true),
                None => (available.len(), false),
            };
            if self.line.len() + part > MAX_LINE {
                return Err(CodecError::TooLong);
            }
            self.line.extend_from_slice(&available[..part]);
            self.inner.consume(part);
            if ends {
                let message = serde_json::from_slice(&self.line);
                // A line may have held a secret: wipe it before the buffer is used again.
                self.line.fill(0);
                self.line.clear();
                return message.map(Some).map_err(|source| CodecError::Malformed { source });
            }
        }
    }
}

/// Writes messages, each flushed.
#[derive(Debug)]
pub struct LineWriter<W>(W);

impl<W: AsyncWrite + Unpin> LineWriter<W> {
    /// Wraps the writing half of a connection.
    pub fn new(inner: W) -> Self {
        Self(inner)
    }

    /// The stream behind it.
    pub fn into_inner(self) -> W {
        self.0
    }

    /// Writes one message and its line feed.
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
        if line.len() > MAX_LINE {
            return Err(CodecError::TooLong);
        }
        line.extend_from_slice(behind);
        let written = self.0.write_all(&line).await;
        line.fill(0);
        written?;
        self.0.flush().await?;
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
    /// A line of more than [`MAX_LINE`] bytes.
    #[error("a message is longer than {MAX_LINE} bytes")]
    TooLong,
    /// The stream ended within a line.
    #[error("the connection ended within a message")]
    Truncated,
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
                let mut reader = LineReader::new(rx);
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
        let mut writer = LineWriter::new(Writes::default());
        writer.send_with(&1, b"[]\n").await.unwrap();
        writer.send(&2).await.unwrap();
        assert_eq!(writer.into_inner().0, [b"1\n[]\n".to_vec(), b"2\n".to_vec()]);
    }

    #[tokio::test]
    async fn a_line_that_is_cut_or_garbage_is_an_error() {
        let mut reader = LineReader::new(&b"{\"a\":"[..]);
        assert!(matches!(reader.next::<serde_json::Value>().await, Err(CodecError::Truncated)));
        let mut reader = LineReader::new(&b"\xff\xfe\n"[..]);
        assert!(matches!(reader.next::<serde_json::Value>().await, Err(CodecError::Malformed { .. })));
    }
}
