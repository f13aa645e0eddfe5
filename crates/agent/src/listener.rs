//! Who connects: says hello, then speaks control or `token-lease`.

use std::sync::Arc;
use std::time::Duration;

use ipc::{Error, ErrorCode, Greeting, Hello, LineReader, LineWriter, MAX_ANSWER, MAX_LINE, Role, VERSIONS};
use platform::socket::{Connection, Listener, Peer, ReadEnd, WriteEnd};

use crate::agent::Agent;
use crate::{bridge_connection, control_connection, lifecycle};

/// How long a caller may take for its hello.
const HELLO_WITHIN: Duration = Duration::from_secs(5);

/// The two halves of a connection, in messages.
pub(crate) type Reader = LineReader<ReadEnd>;
/// The writing half.
pub(crate) type Writer = LineWriter<WriteEnd>;

/// Accepts connections for ever.
pub(crate) async fn serve(agent: Arc<Agent>, mut listener: Listener) {
    loop {
        match listener.accept().await {
            Ok((connection, peer)) => {
                let agent = Arc::clone(&agent);
                tokio::spawn(async move {
                    let _counted = agent.lifecycle.connection();
                    greet(&agent, connection, peer).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn greet(agent: &Arc<Agent>, connection: Connection, peer: Peer) {
    let (read, write) = connection.split();
    let (mut reader, mut writer) = (LineReader::new(read, MAX_LINE), LineWriter::new(write, MAX_ANSWER));
    let hello = match tokio::time::timeout(HELLO_WITHIN, reader.next::<Hello>()).await {
        Ok(Ok(Some(hello))) => hello,
        Ok(Ok(None)) | Err(_) => return,
        Ok(Err(error)) => {
            tracing::info!(%error, "a caller that does not say hello");
            return;
        }
    };
    if hello.role == Role::Retire {
        tracing::info!(caller = %hello.hallpass, "asked to retire");
        let error = match lifecycle::retire(agent) {
            Ok(()) => Error::new(ErrorCode::AgentUnavailable, "this agent retires"),
            Err(error) => error,
        };
        let _gone = writer.send(&Greeting::Refused { error, versions: VERSIONS.to_vec() }).await;
        return;
    }
    let Some(version) = hello.common_version() else {
        let error = Error::new(
            ErrorCode::AgentUnavailable,
            format!(
                "this agent ({}) and {} speak no common protocol",
                env!("CARGO_PKG_VERSION"),
                hello.hallpass
            ),
        )
        .hint("run: hallpass agent stop, then try again with the newer one");
        let _gone = writer.send(&Greeting::Refused { error, versions: VERSIONS.to_vec() }).await;
        return;
    };
    let agent_version = env!("CARGO_PKG_VERSION").to_owned();
    let welcome = Greeting::Welcome { version, agent: agent_version, pid: std::process::id() };
    if writer.send(&welcome).await.is_err() {
        return;
    }
    match hello.role {
        Role::Control => control_connection::run(agent, reader, writer).await,
        Role::Bridge => bridge_connection::run(agent, reader, writer, peer).await,
        Role::Retire => {}
    }
}
