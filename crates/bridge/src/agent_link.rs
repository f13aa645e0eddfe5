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
