//! Server-sent events: the pen of a stream, and the reply that carries it.

use bytes::Bytes;
use http::Response;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::web::{Body, StreamEnd, stream_reply};

/// Writes messages to one event stream.
#[derive(Clone, Debug)]
pub(super) struct Pen {
    chunks: mpsc::UnboundedSender<Bytes>,
    piece: usize,
}

impl Pen {
    /// A pen and the reply that it writes to. `piece` as in the knob.
    pub(super) fn new(piece: usize, end: StreamEnd) -> (Self, Response<Body>) {
        let (chunks, receiver) = mpsc::unbounded_channel();
        (Self { chunks, piece }, stream_reply("text/event-stream", receiver, end))
    }

    /// Says whether the peer still reads.
    pub(super) fn write(&self, message: &Value) -> bool {
        let event = format!("event: message\ndata: {message}\n\n");
        self.send(event.as_bytes())
    }

    /// A comment, so that the peer sees the stream open at once.
    pub(super) fn greet(&self) -> bool {
        self.send(b": open\n\n")
    }

    pub(super) fn is_open(&self) -> bool {
        !self.chunks.is_closed()
    }

    fn send(&self, bytes: &[u8]) -> bool {
        let piece = if self.piece == 0 { bytes.len() } else { self.piece };
        bytes.chunks(piece).all(|chunk| self.chunks.send(Bytes::copy_from_slice(chunk)).is_ok())
    }
}
