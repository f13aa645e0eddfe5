//! stdio MCP on one side, Streamable HTTP on the other, as a person lent by the agent.
//!
//! ```text
//!          stdin  +-------+  message   +-----------+  Exchange   +---------+  HTTP, SSE
//!  host  -------> | relay | ---------> |  Bridge   | ----------> | tasks   | <----------> server
//!        <------- | (I/O) | <--------- | (decides) | <---------- | (one a  |
//!          stdout +-------+   lines    +-----------+   Event     |  call)  |
//!                     |  token-lease         |                   +---------+
//!                   agent              one Session a person
//! ```
//!
//! [`run`] never opens a browser, never touches a file, and writes nothing to stdout but messages.

#[cfg(all(feature = "mutant", not(debug_assertions)))]
compile_error!("the feature `mutant` mixes two people up on purpose: never in a release");

mod agent_link;
mod answer;
mod authorization;
mod closed;
mod connection;
mod dial;
mod era;
mod error;
mod event_stream;
mod exchange;
mod field;
mod framing;
mod from_host;
mod from_server;
mod handshake;
mod head;
mod header;
mod host;
mod http;
mod lease;
mod lifecycle;
mod memory;
mod message;
mod mirrored;
mod newer_host;
mod object;
mod older_host;
mod opening;
mod own_requests;
mod parked;
mod plain;
mod proxy;
mod relay;
mod scan;
mod session;
mod spare;
mod sse;
mod stdio;
mod switch;
mod translate_newer;
mod translate_older;
mod upstream;

use std::future::Future;

use model::{AccountId, ClientAppId, ServerId, UnixTime};
use token_lease::BridgeMessage;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;

pub use agent_link::{AgentLink, LinkError};

/// What stands in the argv of a bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `--app`: a label.
    pub app: ClientAppId,
    /// `--server`.
    pub server: ServerId,
    /// `--account`, where the entry pins one.
    pub account: Option<AccountId>,
    /// `--workspace`, where the entry names one.
    pub workspace: Option<String>,
}

/// What a bridge gets from its process.
pub struct Surroundings<R, W, E> {
    /// Messages of the host, one a line.
    pub stdin: R,
    /// Messages to the host; nothing else is ever written to it.
    pub stdout: W,
    /// The wall clock, for the expiry of tokens.
    pub clock: fn() -> UnixTime,
    /// Ends the bridge as the end of `stdin` does: a signal, or the death of the parent.
    pub end: E,
}

/// Carries messages until the host goes away; the exit code of the process. Wants a tokio runtime of one
/// thread with I/O and time.
pub async fn run<R, W, E, L>(options: Options, surroundings: Surroundings<R, W, E>, link: L) -> i32
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
    E: Future<Output = ()> + Send + 'static,
    L: AgentLink,
{
    let Surroundings { stdin, stdout, clock, end } = surroundings;
    // What ends the bridge (signals, its parent) is waited for apart, so that no message has to ask for it.
    let (tell, ended) = oneshot::channel();
    let watch = tokio::spawn(async move {
        end.await;
        let _ = tell.send(());
    });
    // A task is woken by another one without a turn of the I/O driver; what the runtime blocks on is not.
    let relay = tokio::spawn(relay::relay(options, stdin, stdout, clock, ended, link));
    let code = relay.await.unwrap_or(1);
    watch.abort();
    code
}

impl Options {
    fn attach(&self) -> BridgeMessage {
        BridgeMessage::Attach {
            app: self.app.clone(),
            server: self.server.clone(),
            account: self.account.clone(),
            workspace: self.workspace.clone(),
        }
    }
}
