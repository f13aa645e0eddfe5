//! How the bridge reaches the agent, as a value: tests hand in a scripted one.

use std::future::Future;

use tokio::io::{AsyncRead, AsyncWrite};

/// Connects to the agent.
pub trait AgentLink: Send + Sync + 'static {
    /// What the agent says: JSON lines of `token_lease`, behind the hello.
    type Reader: AsyncRead + Send + Unpin + 'static;
    /// What is said to the agent.
    type Writer: AsyncWrite + Send + Unpin + 'static;

    /// Connects as a bridge, and starts an agent where none runs. `first` is the line that opens the Session, line
    /// feed and all; it is sent right behind the hello. Called again after the connection was lost; the pauses in
    /// between are the caller's affair.
    fn connect(
        &self,
        first: &[u8],
    ) -> impl Future<Output = Result<(Self::Reader, Self::Writer), LinkError>> + Send;

    /// True where it is certain at once that the agent has said nothing that was not read yet. False costs each call
    /// a turn of the runtime, which brings what has arrived.
    fn is_silent(reader: &Self::Reader) -> bool {
        let _ = reader;
        false
    }
}

/// Why there is no agent, in words for the host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LinkError {
    /// One sentence: what happened. Without a final stop.
    pub message: String,
    /// One sentence: what to do now. Without a final stop.
    pub hint: String,
}
