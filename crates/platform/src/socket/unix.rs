//! A unix socket in a private folder, with the kernel's word on who is at the other end.

use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::net::{RecvFlags, recv};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf, UCred};
use tokio::net::{UnixListener, UnixStream};

use super::{BindError, ConnectError, Door, LONGEST_ADDRESS, Peer, check_lock, random_name, read_address};
use crate::{DirsError, Lock, Root, dirs, file, owner};

pub(super) type Stream = UnixStream;
pub(super) type ReadEnd = OwnedReadHalf;
pub(super) type WriteEnd = OwnedWriteHalf;

pub(super) fn split(stream: Stream) -> (ReadEnd, WriteEnd) {
    stream.into_split()
}

pub(super) fn is_silent(end: &ReadEnd) -> bool {
    let looked = recv(end.as_ref(), &mut [0; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT);
    looked.err() == Some(rustix::io::Errno::AGAIN)
}

#[derive(Debug)]
pub(super) struct Listener {
    socket: UnixListener,
    path: PathBuf,
    address_file: PathBuf,
}

impl Listener {
    pub(super) fn bind(root: &Root, door: Door, life: &Lock) -> Result<Self, BindError> {
        check_lock(root, life)?;
        let run = root.run();
        dirs::check_private(&run).map_err(BindError::Folder)?;
        clear_stale(root, door);
        let failed = |path: &Path, source| BindError::Io { address: path.display().to_string(), source };
        let name = random_name().map_err(|error| failed(&run, error))?;
        let mut path = run.join(format!("{}{name}{SOCKET_SUFFIX}", socket_prefix(door)));
        if path.as_os_str().len() > LONGEST_PATH {
            let folder = private_folder().map_err(|error| failed(&path, error))?;
            path = folder.join(format!("{}{name}{SOCKET_SUFFIX}", socket_prefix(door)));
        }
        let socket = UnixListener::bind(&path).map_err(|error| failed(&path, error))?;
        // From here on dropping the listener clears up.
        let listener = Self { socket, path, address_file: door.address_file(root) };
        fs::set_permissions(&listener.path, Permissions::from_mode(0o600))
            .map_err(|error| failed(&listener.path, error))?;
        let mut address = listener.path.as_os_str().as_bytes().to_vec();
        address.push(b'\n');
        file::write_private(&listener.address_file, &address).map_err(BindError::Address)?;
        Ok(listener)
    }

    pub(super) async fn accept(&mut self) -> io::Result<(Stream, Peer)> {
        loop {
            let (stream, _) = self.socket.accept().await?;
            if let Ok(credentials) = stream.peer_cred()
                && is_ours(&credentials, owner::our_uid())
            {
                let pid = credentials.pid().and_then(|pid| u32::try_from(pid).ok());
                return Ok((stream, Peer { pid }));
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // The name is ours alone (random); the address file may already be a successor's.
        let mut ours = self.path.as_os_str().as_bytes().to_vec();
        ours.push(b'\n');
        let _ = file::remove_if_same(&self.address_file, file::Expected::Bytes(&ours));
        remove_socket(&self.path);
    }
}

pub(super) async fn connect(root: &Root, door: Door) -> Result<Stream, ConnectError> {
    match dirs::check_private(&root.run()) {
        Ok(()) => {}
        Err(DirsError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Err(ConnectError::NotRunning);
        }
        Err(error) => return Err(not_ours(error)),
    }
    let path = PathBuf::from(OsString::from_vec(read_address(root, door)?));
    let folder = path.parent().filter(|folder| folder.is_absolute());
    let folder = folder.ok_or_else(|| ConnectError::NotOurs { what: path.display().to_string() })?;
    match dirs::check_private(folder) {
        Ok(()) => {}
        Err(DirsError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Err(ConnectError::NotRunning);
        }
        Err(error) => return Err(not_ours(error)),
    }
    let stream = match UnixStream::connect(&path).await {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Err(ConnectError::NotRunning);
        }
        Err(error) => return Err(error.into()),
    };
    if is_ours(&stream.peer_cred()?, owner::our_uid()) {
        Ok(stream)
    } else {
        Err(ConnectError::NotOurs { what: "the process that listens".to_owned() })
    }
}

fn is_ours(credentials: &UCred, uid: u32) -> bool {
    credentials.uid() == uid
}

fn not_ours(error: DirsError) -> ConnectError {
    match error {
        DirsError::Link { folder }
        | DirsError::NotAFolder { folder }
        | DirsError::NotOurs { folder }
        | DirsError::OpenToOthers { folder } => ConnectError::NotOurs { what: folder.display().to_string() },
        DirsError::Io { source, .. } => ConnectError::Io(source),
        DirsError::NoHome | DirsError::HomeIsRelative { .. } => ConnectError::Io(io::Error::other(error)),
    }
}

/// Removes what one that was killed left behind: its socket, its private folder, its address.
fn clear_stale(root: &Root, door: Door) {
    let address_file = door.address_file(root);
    let prefix = socket_prefix(door);
    if let Ok(address) = file::read_private(&address_file, LONGEST_ADDRESS) {
        let path = PathBuf::from(OsStr::from_bytes(address.trim_ascii_end()));
        let folder = path.parent();
        let is_beside = folder == Some(&root.run());
        let is_elsewhere = folder.is_some_and(|folder| {
            file_name_starts_with(folder, FOLDER_PREFIX) && dirs::check_private(folder).is_ok()
        });
        if file_name_starts_with(&path, prefix) && (is_beside || is_elsewhere) {
            remove_socket(&path);
        }
        let _ = fs::remove_file(&address_file);
    }
    // Killed between making the socket and writing its address.
    for entry in fs::read_dir(root.run()).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_socket = path.extension().is_some_and(|extension| extension == "sock");
        if is_socket && file_name_starts_with(&path, prefix) {
            let _ = fs::remove_file(path);
        }
    }
}

fn remove_socket(path: &Path) {
    let _ = fs::remove_file(path);
    if let Some(folder) = path.parent()
        && file_name_starts_with(folder, FOLDER_PREFIX)
    {
        let _ = fs::remove_dir(folder);
    }
}

fn file_name_starts_with(path: &Path, prefix: &str) -> bool {
    path.file_name().is_some_and(|name| name.as_bytes().starts_with(prefix.as_bytes()))
}

/// A fresh 0700 folder with a short path.
fn private_folder() -> io::Result<PathBuf> {
    let temporary = std::env::temp_dir();
    let short = temporary.as_os_str().len() + LONGEST_REST <= LONGEST_PATH && temporary.is_absolute();
    let place = if short { temporary } else { PathBuf::from("/tmp") };
    let private = Permissions::from_mode(0o700);
    Ok(tempfile::Builder::new().prefix(FOLDER_PREFIX).permissions(private).tempdir_in(place)?.keep())
}

fn socket_prefix(door: Door) -> &'static str {
    match door {
        Door::Agent => "agent-",
        Door::Window => "window-",
    }
}

const SOCKET_SUFFIX: &str = ".sock";
const FOLDER_PREFIX: &str = "hallpass-";
/// Socket addresses hold 108 bytes on Linux and 104 on macOS, with an end mark.
const LONGEST_PATH: usize = 100;
/// `/hallpass-XXXXXX/window-0123456789abcdef.sock`
const LONGEST_REST: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn another_users_end_is_told_apart() {
        let (one, _other) = UnixStream::pair().expect("a pair of sockets");
        let credentials = one.peer_cred().expect("credentials");
        assert!(is_ours(&credentials, owner::our_uid()));
        assert!(!is_ours(&credentials, owner::our_uid() + 1));
    }
}
