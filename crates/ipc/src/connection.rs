//! How CLI, window and bridges find the agent, and start it where it is not running.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use platform::dirs::Root;
use platform::lock::Lock;
use platform::socket::{self, ConnectError};
use tokio::time::{Instant, sleep};

use crate::{
    CodecError, Error, ErrorCode, Greeting, Hello, LineReader, LineWriter, MAX_ANSWER, MAX_LINE, Role,
};

/// A connection on which the hello has been said.
#[derive(Debug)]
pub struct Connection {
    /// What the agent says.
    pub reader: LineReader<socket::ReadEnd>,
    /// What is said to it.
    pub writer: LineWriter<socket::WriteEnd>,
    /// The agent's release.
    pub agent_version: String,
    /// The agent's process id.
    pub agent_pid: u32,
}

/// How an agent is started by whoever needs one: always the same executable, detached, with an
/// environment that is spelled out.
#[derive(Clone, Debug)]
pub struct Starter {
    /// The executable `hallpass`.
    pub executable: PathBuf,
    /// The environment that the agent gets. Nothing else of the caller's reaches it.
    pub environment: Vec<(OsString, OsString)>,
    /// How long to wait for it to answer.
    pub patience: Duration,
}

/// Between two looks for an agent that was just started: a few system calls each, for the tenth of a second that it takes.
const LOOK_AGAIN: Duration = Duration::from_millis(3);

/// Connects to the agent of this root if one is running.
pub async fn connect(root: &Root, role: Role) -> Result<Connection, StartError> {
    greeted(root, role, &[]).await
}

async fn greeted(root: &Root, role: Role, first: &[u8]) -> Result<Connection, StartError> {
    let stream = match socket::connect(root).await {
        Ok(stream) => stream,
        Err(ConnectError::NotRunning) => return Err(StartError::NotRunning),
        Err(source) => return Err(StartError::Connect { source }),
    };
    role_connection(stream, role, first).await
}

/// Connects to the agent of this root; starts one first if none is running.
///
/// Ten bridges that come at once start one agent: whoever holds the short start lock starts it, the
/// others find it running.
///
/// `first` is a whole line of the role's wire, or nothing. It travels with the hello, in one write, which saves a turn
/// of both processes; an agent that refuses the hello does not look at it.
pub async fn connect_or_start(
    root: &Root,
    role: Role,
    first: &[u8],
    starter: &Starter,
) -> Result<Connection, StartError> {
    match greeted(root, role, first).await {
        Err(StartError::NotRunning) => {}
        other => return other,
    }
    root.ensure().map_err(|source| StartError::Root { source })?;
    let deadline = Instant::now() + starter.patience;
    let _start_lock = start_lock(root, deadline).await?;
    match greeted(root, role, first).await {
        Err(StartError::NotRunning) => {}
        other => return other,
    }
    if let Some(sandbox) = platform::spawn::sandboxed() {
        return Err(StartError::Sandboxed { sandbox });
    }
    let log = root.logs().join("agent.stderr");
    platform::spawn::detached(
        &starter.executable,
        &["agent".as_ref(), "run".as_ref()],
        &starter.environment,
        platform::spawn::Log::Append(&log),
    )
    .map_err(|source| StartError::Spawn { executable: starter.executable.clone(), source })?;
    loop {
        match greeted(root, role, first).await {
            Err(StartError::NotRunning) if Instant::now() < deadline => {
                sleep(LOOK_AGAIN).await;
            }
            Err(StartError::NotRunning) => return Err(StartError::Silent { log }),
            other => return other,
        }
    }
}

/// Says hello, and `first` behind it, on a connected stream and reads the greeting.
async fn role_connection(
    stream: socket::Connection,
    role: Role,
    first: &[u8],
) -> Result<Connection, StartError> {
    let (read, write) = stream.split();
    let (mut reader, mut writer) = (LineReader::new(read, MAX_ANSWER), LineWriter::new(write, MAX_LINE));
    let greeted = async {
        writer.send_with(&Hello::new(role), first).await?;
        reader.next::<Greeting>().await
    };
    let greeting = tokio::time::timeout(Duration::from_secs(5), greeted).await;
    match greeting {
        Ok(Ok(Some(Greeting::Welcome { version: _, agent, pid }))) => {
            Ok(Connection { reader, writer, agent_version: agent, agent_pid: pid })
        }
        Ok(Ok(Some(Greeting::Refused { error, versions }))) => Err(StartError::Refused { error, versions }),
        // An agent that is just leaving closes connections it has accepted.
        Ok(Ok(None) | Err(CodecError::Io(_) | CodecError::Truncated)) => Err(StartError::NotRunning),
        Ok(Err(source)) => Err(StartError::Codec { source }),
        Err(_elapsed) => Err(StartError::Mute),
    }
}

/// Keeps everybody from starting an agent until the lock is dropped, waiting up to `patience` for who starts one now.
pub async fn hold_starts(root: &Root, patience: Duration) -> Result<Lock, StartError> {
    start_lock(root, Instant::now() + patience).await
}

async fn start_lock(root: &Root, deadline: Instant) -> Result<Lock, StartError> {
    let path = root.run().join("start.lock");
    loop {
        match Lock::try_acquire(&path).map_err(|source| StartError::Lock { source })? {
            Some(lock) => return Ok(lock),
            None if Instant::now() < deadline => sleep(Duration::from_millis(10)).await,
            None => return Err(StartError::StartLockBusy),
        }
    }
}

/// Why there is no connection to the agent.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No agent is running.
    #[error("the Hallpass agent is not running")]
    NotRunning,
    /// The socket is not what it should be.
    #[error("the agent's socket cannot be used: {source}")]
    Connect {
        /// Why.
        source: ConnectError,
    },
    /// Our folder cannot be used.
    #[error("{source}")]
    Root {
        /// Why.
        source: platform::dirs::DirsError,
    },
    /// A lock file cannot be used.
    #[error("the start lock cannot be used: {source}")]
    Lock {
        /// Why.
        source: platform::lock::LockError,
    },
    /// Another process has been starting the agent for too long.
    #[error("another process is starting the agent and does not get done")]
    StartLockBusy,
    /// The executable could not be started.
    #[error("{} could not be started: {source}", executable.display())]
    Spawn {
        /// The executable.
        executable: PathBuf,
        /// Why.
        source: platform::spawn::SpawnError,
    },
    /// It was started and does not answer.
    #[error("the agent was started but does not answer; its last words are in {}", log.display())]
    Silent {
        /// Where its stderr goes.
        log: PathBuf,
    },
    /// It accepts connections and says nothing.
    #[error("the agent does not answer")]
    Mute,
    /// It does not speak our protocol.
    #[error("{error}")]
    Refused {
        /// What it said.
        error: Error,
        /// What it speaks.
        versions: Vec<u32>,
    },
    /// It says things we do not understand.
    #[error("{source}")]
    Codec {
        /// What.
        source: CodecError,
    },
    /// No agent is started inside another program's sandbox.
    #[error("this program runs inside a sandbox ({sandbox}), where no agent is started")]
    Sandboxed {
        /// Which kind.
        sandbox: &'static str,
    },
}

impl StartError {
    /// The error as people and programs see it.
    pub fn to_error(&self) -> Error {
        let hint = match self {
            Self::Sandboxed { .. } | Self::NotRunning => "open Hallpass, or run: hallpass agent run",
            Self::Silent { .. } => "read that file, then run: hallpass agent run",
            Self::Refused { .. } => "run: hallpass agent stop, then try again",
            Self::StartLockBusy
            | Self::Mute
            | Self::Connect { .. }
            | Self::Root { .. }
            | Self::Lock { .. }
            | Self::Spawn { .. }
            | Self::Codec { .. } => "run: hallpass doctor",
        };
        Error::new(ErrorCode::AgentUnavailable, self.to_string()).hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use platform::socket::Listener;

    use super::*;

    #[tokio::test]
    async fn what_is_said_first_comes_with_the_hello_and_a_refusal_is_heard() {
        let home = tempfile::tempdir().unwrap();
        let root = Root::below(home.path());
        root.ensure().unwrap();
        let life = Lock::try_acquire(&root.run().join("agent.lock")).unwrap().unwrap();
        let mut listener = Listener::bind(&root, &life).unwrap();
        let agent = async {
            let (stream, _peer) = listener.accept().await.unwrap();
            let (read, write) = stream.split();
            let mut reader = LineReader::new(read, MAX_LINE);
            let hello = reader.next::<Hello>().await.unwrap().unwrap();
            let first = reader.next::<u32>().await.unwrap();
            let error = Error::new(ErrorCode::AgentUnavailable, "another time");
            LineWriter::new(write, MAX_LINE)
                .send(&Greeting::Refused { error, versions: vec![9] })
                .await
                .unwrap();
            (hello.role, first)
        };
        let starter =
            Starter { executable: PathBuf::new(), environment: Vec::new(), patience: Duration::ZERO };
        let (heard, answered) = tokio::join!(agent, connect_or_start(&root, Role::Bridge, b"7\n", &starter));
        assert_eq!(heard, (Role::Bridge, Some(7)));
        assert!(matches!(answered, Err(StartError::Refused { versions, .. }) if versions == [9]));
    }
}
