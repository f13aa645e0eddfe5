//! A listener on 127.0.0.1 that nobody can share, and the question who connected to it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// Binds listeners for a redirect to this machine (RFC 8252, section 7.3).
///
/// Their ports are held exclusively: another socket, of whichever user, cannot bind them meanwhile. Needs a tokio
/// runtime.
#[derive(Debug)]
pub struct Loopback;

/// Which port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoopbackPort {
    /// The preferred one or, where that is taken or none is preferred, a free one.
    Any {
        /// Tried first.
        preferred: Option<u16>,
    },
    /// This one and no other.
    Fixed(NonZeroU16),
}

impl Loopback {
    /// Binds on 127.0.0.1.
    pub fn bind(port: LoopbackPort) -> Result<TcpListener, LoopbackError> {
        from_std(v4(port).map_err(LoopbackError)?)
    }

    /// Binds what the name `localhost` stands for: one port of 127.0.0.1 and of ::1. Only where the machine has no ::1,
    /// which nobody else can bind then either, 127.0.0.1 is all.
    pub fn bind_localhost(port: LoopbackPort) -> Result<(TcpListener, Option<TcpListener>), LoopbackError> {
        let mut wanted = port;
        for _attempt in 0..ATTEMPTS {
            let four = v4(wanted).map_err(LoopbackError)?;
            let number = four.local_addr().map_err(LoopbackError)?.port();
            match (listen(Ipv6Addr::LOCALHOST.into(), number), port) {
                (Ok(six), _) => return Ok((from_std(four)?, Some(from_std(six)?))),
                (Err(error), LoopbackPort::Fixed(_)) if is_held(&error) => return Err(LoopbackError(error)),
                // Somebody has that port of the other family: another one, then.
                (Err(error), LoopbackPort::Any { .. }) if is_held(&error) => {
                    wanted = LoopbackPort::Any { preferred: None };
                }
                (Err(_), _) => return Ok((from_std(four)?, None)),
            }
        }
        Err(LoopbackError(io::ErrorKind::AddrInUse.into()))
    }
}

/// No port on the loopback address can be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on 127.0.0.1")]
pub struct LoopbackError(#[source] io::Error);

impl LoopbackError {
    /// Another program has the port.
    pub fn is_taken(&self) -> bool {
        self.0.kind() == io::ErrorKind::AddrInUse
    }
}

/// Whether the connection that arrived at `local` from `peer` was opened by this user.
///
/// `None` where the system does not tell (everywhere but Linux): the caller needs other evidence. A
/// connection that the system no longer lists counts as a stranger's.
pub fn peer_is_this_user(local: SocketAddr, peer: SocketAddr) -> Option<bool> {
    peer::is_this_user(local, peer)
}

fn v4(port: LoopbackPort) -> io::Result<std::net::TcpListener> {
    let listen = |port| listen(Ipv4Addr::LOCALHOST.into(), port);
    match port {
        LoopbackPort::Fixed(port) => listen(port.get()),
        LoopbackPort::Any { preferred } => {
            preferred.and_then(|port| listen(port).ok()).map_or_else(|| listen(0), Ok)
        }
    }
}

fn from_std(socket: std::net::TcpListener) -> Result<TcpListener, LoopbackError> {
    TcpListener::from_std(socket).map_err(LoopbackError)
}

/// There is such an address, and it is not ours to have.
fn is_held(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied)
}

fn listen(ip: IpAddr, port: u16) -> io::Result<std::net::TcpListener> {
    // By hand, since what makes a port exclusive differs between systems.
    let address = SocketAddr::from((ip, port));
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    exclusive::claim(&socket)?;
    if ip.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// So many ports are tried until one is free in both families.
const ATTEMPTS: usize = 16;
const BACKLOG: i32 = 32;

#[cfg(unix)]
mod exclusive {
    use std::io;

    use socket2::Socket;

    /// SO_REUSEADDR lets a port be taken again while connections of an earlier sign-in linger (TIME_WAIT),
    /// so that the redirect URI stays the one that was registered. It lets nobody in beside a socket that
    /// listens on the same address; SO_REUSEPORT would, and stays off.
    pub(super) fn claim(socket: &Socket) -> io::Result<()> {
        socket.set_reuse_address(true)
    }
}

#[cfg(windows)]
mod exclusive {
    #![expect(unsafe_code, reason = "no safe wrapper sets SO_EXCLUSIVEADDRUSE")]

    use std::io;
    use std::os::windows::io::AsRawSocket as _;

    use socket2::Socket;
    use windows_sys::Win32::Networking::WinSock::{
        SO_EXCLUSIVEADDRUSE, SOCKET_ERROR, SOL_SOCKET, setsockopt,
    };

    /// Forbids other sockets the address, even those that set SO_REUSEADDR.
    pub(super) fn claim(socket: &Socket) -> io::Result<()> {
        let on = 1_i32.to_ne_bytes();
        // SAFETY: the socket is open for the whole call, and the pointer and length describe `on`.
        let result = unsafe {
            setsockopt(
                socket.as_raw_socket().try_into().map_err(io::Error::other)?,
                SOL_SOCKET,
                SO_EXCLUSIVEADDRUSE,
                on.as_ptr(),
                4,
            )
        };
        if result == SOCKET_ERROR { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

#[cfg(not(target_os = "linux"))]
mod peer {
    use std::net::SocketAddr;

    pub(super) fn is_this_user(_local: SocketAddr, _peer: SocketAddr) -> Option<bool> {
        None
    }
}

#[cfg(target_os = "linux")]
mod peer {
    //! The kernel's table of TCP connections names the user of each.

    use std::fs;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

    use crate::owner;

    pub(super) fn is_this_user(local: SocketAddr, peer: SocketAddr) -> Option<bool> {
        let table = fs::read_to_string("/proc/net/tcp").ok()?;
        // A program with one socket for both families appears here, with its IPv4 address mapped.
        let table6 = fs::read_to_string("/proc/net/tcp6").unwrap_or_default();
        let uid = table.lines().chain(table6.lines()).find_map(|row| uid_of(row, peer, local));
        Some(uid == Some(owner::our_uid()))
    }

    /// The user of the socket in this row, if its own end is `own` and its far end is `far`.
    fn uid_of(row: &str, own: SocketAddr, far: SocketAddr) -> Option<u32> {
        let mut fields = row.split_whitespace().skip(1);
        let row_own = address(fields.next()?)?;
        let row_far = address(fields.next()?)?;
        // State 01 is ESTABLISHED; an orphaned or waiting socket shows user 0 whoever had it.
        let state = fields.next()?;
        let uid = fields.nth(3)?.parse().ok()?;
        (row_own == own && row_far == far && state != "06").then_some(uid)
    }

    /// Parses `0100007F:1F90`: words in the machine's byte order, hexadecimal.
    fn address(text: &str) -> Option<SocketAddr> {
        let (ip, port) = text.split_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        let mut bytes = Vec::with_capacity(16);
        for start in (0..ip.len()).step_by(8) {
            let word = u32::from_str_radix(ip.get(start..start + 8)?, 16).ok()?;
            bytes.extend(word.to_ne_bytes());
        }
        let ip = match <[u8; 4]>::try_from(bytes.as_slice()) {
            Ok(four) => IpAddr::V4(Ipv4Addr::from(four)),
            Err(_) => Ipv6Addr::from(<[u8; 16]>::try_from(bytes.as_slice()).ok()?).to_canonical(),
        };
        Some(SocketAddr::new(ip, port))
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        const ROW: &str =
            "   1: 0100007F:A001 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1000        0 42 1";
        const MAPPED: &str = "   1: 0000000000000000FFFF00000100007F:A001 0000000000000000FFFF00000100007F:1F90 01 00000000:00000000 00:00000000 00000000  1001        0 42 1";

        fn at(port: u16) -> SocketAddr {
            SocketAddr::from((Ipv4Addr::LOCALHOST, port))
        }

        #[test]
        fn a_row_names_the_user_of_its_own_end() {
            assert_eq!(uid_of(ROW, at(0xA001), at(8080)), Some(1000));
            assert_eq!(uid_of(MAPPED, at(0xA001), at(8080)), Some(1001));
        }

        #[test]
        fn the_far_end_and_other_connections_are_not_taken_for_it() {
            assert_eq!(uid_of(ROW, at(8080), at(0xA001)), None);
            assert_eq!(uid_of(ROW, at(0xA002), at(8080)), None);
            assert_eq!(uid_of("  sl  local_address rem_address   st", at(1), at(2)), None);
        }
    }
}
