//! Which process is at the other end of a loopback connection (Linux; elsewhere nobody is found).

use std::fs;
use std::net::SocketAddr;

/// The command line of the process that owns the socket `peer`.
pub(super) fn process_behind(peer: SocketAddr) -> Option<String> {
    let SocketAddr::V4(peer) = peer else { return None };
    let address = u32::from_ne_bytes(peer.ip().octets());
    let wanted = format!("{address:08X}:{:04X}", peer.port());
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    let mut rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = rows.find(|row| row.get(1) == Some(&wanted.as_str()))?;
    let socket = format!("socket:[{}]", row.get(9)?);
    fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        process.file_name().to_str()?.parse::<u32>().ok()?;
        let mut open = fs::read_dir(process.path().join("fd")).ok()?.flatten();
        open.find(|fd| fs::read_link(fd.path()).is_ok_and(|target| target.as_os_str() == socket.as_str()))?;
        let argv = fs::read(process.path().join("cmdline")).ok()?;
        let argv: Vec<_> = argv.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
        Some(argv.join(" ").trim_end().to_owned())
    })
}
