//! The sockets of agent and window: whoever connects and whoever listens prove to the other that they are this user.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

use crate::file::FileError;
use crate::{DirsError, Lock, Root, file};

/// Who listens. Each has an address file of its own in `run/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// The agent: `run/socket`.
    Agent,
    /// The one window of this root, which a second start of the app knocks at: `run/window`.
    Window,
}

impl Door {
    fn address_file(self, root: &Root) -> PathBuf {
        root.run().join(match self {
            Self::Agent => "socket",
            Self::Window => "window",
        })
    }
}

/// Listens for connections of this user. Dropping it takes the address back.
#[derive(Debug)]
pub struct Listener(system::Listener);

impl Listener {
    /// Opens the socket of a root and writes its address to `run/socket`.
    ///
    /// `life` is the lock whose holder alone may do so: with it in hand, a socket that is already there is
    /// stale and is removed. Needs a tokio runtime.
    pub fn bind(root: &Root, life: &Lock) -> Result<Self, BindError> {
        Self::bind_at(root, Door::Agent, life)
    }

    /// The same for either door; its address goes into its own file.
    pub fn bind_at(root: &Root, door: Door, life: &Lock) -> Result<Self, BindError> {
        system::Listener::bind(root, door, life).map(Self)
    }

    /// Waits for the next connection of this user. One of anybody else is closed unread and not returned.
    pub async fn accept(&mut self) -> io::Result<(Connection, Peer)> {
        let (stream, peer) = self.0.accept().await?;
        Ok((Connection(stream), peer))
    }
}

/// Connects to the agent of a root, if it listens and is this user's.
pub async fn connect(root: &Root) -> Result<Connection, ConnectError> {
    connect_at(root, Door::Agent).await
}

/// Connects to whoever listens at this door, if it is this user's.
pub async fn connect_at(root: &Root, door: Door) -> Result<Connection, ConnectError> {
    system::connect(root, door).await.map(Connection)
}

/// True if an address stands in `run/`: somebody listens there, or was killed before it could take it back.
pub fn is_announced(root: &Root, door: Door) -> bool {
    door.address_file(root).exists()
}

/// Bytes both ways between two processes of this user.
#[derive(Debug)]
pub struct Connection(system::Stream);

impl Connection {
    /// What comes, and what goes, each for itself.
    pub fn split(self) -> (ReadEnd, WriteEnd) {
        let (read, write) = system::split(self.0);
        (ReadEnd(read), WriteEnd(write))
    }
}

/// What comes on a connection.
#[derive(Debug)]
pub struct ReadEnd(system::ReadEnd);

impl ReadEnd {
    /// True where the system says at once that nothing waits to be read, not even the end. False where it cannot say.
    pub fn is_silent(&self) -> bool {
        system::is_silent(&self.0)
    }
}

/// What goes on a connection. Dropping it says that nothing more will, where the system can say so.
#[derive(Debug)]
pub struct WriteEnd(system::WriteEnd);

/// The process at the other end, as the kernel names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its process id when it connected.
    pub pid: Option<u32>,
}

/// Why the socket cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The lock is not one of this root.
    #[error("the lock in hand is not one in {run}", run = run.display())]
    OtherLock {
        /// The folder that the lock should lie in.
        run: PathBuf,
    },
    /// A folder on the way is missing or open to others.
    #[error("the socket's folder cannot be used")]
    Folder(#[source] DirsError),
    /// The address cannot be written.
    #[error("the socket's address cannot be written")]
    Address(#[source] FileError),
    /// The system refused.
    #[error("cannot listen on {address}")]
    Io {
        /// What was to be listened on.
        address: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody listens: no address, or one that is dead.
    #[error("nobody listens there")]
    NotRunning,
    /// The address file, its folder or the process behind it belongs to somebody else.
    #[error("{what} does not belong to this user alone")]
    NotOurs {
        /// What was refused.
        what: String,
    },
    /// The system refused.
    #[error("cannot connect")]
    Io(#[from] io::Error),
}

/// Reads the address of a root's socket, trusting only a file that this user alone can have written.
fn read_address(root: &Root, door: Door) -> Result<Vec<u8>, ConnectError> {
    let path = door.address_file(root);
    let mut bytes = file::read_private(&path, LONGEST_ADDRESS).map_err(|error| match error {
        FileError::Missing { .. } => ConnectError::NotRunning,
        FileError::Io { source, .. } => ConnectError::Io(source),
        FileError::NotOurs { path } | FileError::NotAFile { path } | FileError::TooLarge { path, .. } => {
            ConnectError::NotOurs { what: path.display().to_string() }
        }
        FileError::ChangedMeanwhile { .. }
        | FileError::ReadOnly { .. }
        | FileError::FolderReadOnly { .. }
        | FileError::DanglingLink { .. }
        | FileError::Readable { .. }
        | FileError::NotKept { .. } => ConnectError::Io(io::Error::other(error)),
    })?;
    bytes.truncate(bytes.trim_ascii_end().len());
    Ok(bytes)
}

/// Checks that the caller may clear away what an earlier agent left.
fn check_lock(root: &Root, life: &Lock) -> Result<(), BindError> {
    if life.is_in(&root.run()) { Ok(()) } else { Err(BindError::OtherLock { run: root.run() }) }
}

fn random_name() -> io::Result<String> {
    use std::fmt::Write as _;
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(bytes.iter().fold(String::new(), |mut name, byte| {
        let _ = write!(name, "{byte:02x}");
        name
    }))
}

const LONGEST_ADDRESS: u64 = 4096;

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

impl AsyncRead for ReadEnd {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for WriteEnd {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
