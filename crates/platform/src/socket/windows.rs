//! A named pipe that lets this user alone in, and whose two ends look at each other's user besides.
#![expect(unsafe_code, reason = "a pipe's access list and its peers have no safe interface")]

use std::ffi::c_void;
use std::io;
use std::os::windows::io::{AsRawHandle, RawHandle};
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, ReadHalf, WriteHalf};
use tokio::net::windows::named_pipe::{ClientOptions, NamedPipeClient, NamedPipeServer, ServerOptions};
use windows_sys::Win32::Foundation::ERROR_PIPE_BUSY;
use windows_sys::Win32::System::Pipes::{GetNamedPipeClientProcessId, GetNamedPipeServerProcessId};

use super::{BindError, ConnectError, Door, Peer, check_lock, random_name, read_address};
use crate::{Lock, Root, dirs, file, owner};

/// One end of a pipe: the two have types of their own.
#[derive(Debug)]
pub(super) enum Stream {
    Server(NamedPipeServer),
    Client(NamedPipeClient),
}

pub(super) type ReadEnd = ReadHalf<Stream>;
pub(super) type WriteEnd = WriteHalf<Stream>;

pub(super) fn split(stream: Stream) -> (ReadEnd, WriteEnd) {
    tokio::io::split(stream)
}

pub(super) fn is_silent(_: &ReadEnd) -> bool {
    false
}

#[derive(Debug)]
pub(super) struct Listener {
    /// The instance that the next caller gets; there is always one, so that no caller finds nothing.
    next: NamedPipeServer,
    name: String,
    sid: String,
    address_file: PathBuf,
}

impl Listener {
    pub(super) fn bind(root: &Root, door: Door, life: &Lock) -> Result<Self, BindError> {
        check_lock(root, life)?;
        let run = root.run();
        dirs::check_private(&run).map_err(BindError::Folder)?;
        let failed = |address: &str, source| BindError::Io { address: address.to_owned(), source };
        // Twice: a name that cannot be guessed cannot be taken before us.
        let random = random_name().and_then(|one| Ok(one + &random_name()?));
        let name = format!("{PREFIX}{}", random.map_err(|error| failed(PREFIX, error))?);
        let sid = owner::our_sid().map_err(|error| failed(&name, error))?;
        let next = instance(&name, Instance::First).map_err(|error| failed(&name, error))?;
        let address_file = door.address_file(root);
        file::write_private(&address_file, format!("{name}\n").as_bytes()).map_err(BindError::Address)?;
        Ok(Self { next, name, sid, address_file })
    }

    pub(super) async fn accept(&mut self) -> io::Result<(Stream, Peer)> {
        loop {
            // An error here is a caller that has gone already; it has used this instance up all the same.
            let connected = self.next.connect().await;
            let fresh = instance(&self.name, Instance::Further)?;
            let stream = std::mem::replace(&mut self.next, fresh);
            if connected.is_ok()
                && let Ok(pid) = other_end(&stream, GetNamedPipeClientProcessId)
                && owner::sid_of(pid).is_ok_and(|sid| sid == self.sid)
            {
                return Ok((Stream::Server(stream), Peer { pid: Some(pid) }));
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let ours = format!("{}\n", self.name);
        let _ = file::remove_if_same(&self.address_file, file::Expected::Bytes(ours.as_bytes()));
    }
}

pub(super) async fn connect(root: &Root, door: Door) -> Result<Stream, ConnectError> {
    let address = String::from_utf8(read_address(root, door)?).unwrap_or_default();
    let random = address.strip_prefix(PREFIX).unwrap_or_default();
    if random.is_empty() || !random.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(ConnectError::NotOurs { what: "the address in our run folder".to_owned() });
    }
    let start = Instant::now();
    let client = loop {
        match ClientOptions::new().open(&address) {
            Ok(client) => break client,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(ConnectError::NotRunning),
            // Between two callers the next instance is missing for a moment.
            Err(error) if is_busy(&error) && start.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(error) => return Err(error.into()),
        }
    };
    let server = other_end(&client, GetNamedPipeServerProcessId)?;
    if owner::sid_of(server)? == owner::our_sid()? {
        Ok(Stream::Client(client))
    } else {
        Err(ConnectError::NotOurs { what: "the process that listens".to_owned() })
    }
}

const PREFIX: &str = r"\\.\pipe\hallpass-";
const PATIENCE: Duration = Duration::from_secs(5);

/// Which instance of a pipe is made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Instance {
    /// The one that must not exist before us.
    First,
    /// One more for the next caller.
    Further,
}

fn instance(name: &str, which: Instance) -> io::Result<NamedPipeServer> {
    let security = owner::OursAlone::new("D:P(A;;GA;;;{sid})")?;
    let mut attributes = security.attributes();
    let mut options = ServerOptions::new();
    options.first_pipe_instance(which == Instance::First).reject_remote_clients(true);
    // SAFETY: the attributes are of the type that is expected, and what they point to outlives the call.
    unsafe { options.create_with_security_attributes_raw(name, (&raw mut attributes).cast::<c_void>()) }
}

/// Asks for the process at the other end, by one of the two functions that tell.
fn other_end(
    pipe: &impl AsRawHandle,
    ask: unsafe extern "system" fn(RawHandle, *mut u32) -> i32,
) -> io::Result<u32> {
    let mut pid = 0;
    // SAFETY: the pipe is open during the call and the result is written to a live variable.
    if unsafe { ask(pipe.as_raw_handle(), &raw mut pid) } == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(pid)
}

fn is_busy(error: &io::Error) -> bool {
    error.raw_os_error().map(i32::cast_unsigned) == Some(ERROR_PIPE_BUSY)
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Server(pipe) => Pin::new(pipe).poll_read(context, buffer),
            Self::Client(pipe) => Pin::new(pipe).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Server(pipe) => Pin::new(pipe).poll_write(context, bytes),
            Self::Client(pipe) => Pin::new(pipe).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Server(pipe) => Pin::new(pipe).poll_flush(context),
            Self::Client(pipe) => Pin::new(pipe).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Server(pipe) => Pin::new(pipe).poll_shutdown(context),
            Self::Client(pipe) => Pin::new(pipe).poll_shutdown(context),
        }
    }
}
