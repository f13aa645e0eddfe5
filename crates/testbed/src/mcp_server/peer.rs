//! Which process is at the other end of a loopback connection (Linux; elsewhere nobody is found).

use std::fs;
use std::net::SocketAddr;

/// The kernel's table changes while it is read, a few pages at a time, so a row may be skipped.
const LOOKS: usize = 20;

/// The command line of the process that connected from `peer` to `server`.
pub(super) fn process_behind(peer: SocketAddr, server: SocketAddr) -> Option<String> {
    let ends = [hexadecimal(peer)?, hexadecimal(server)?];
    (0..LOOKS).find_map(|_| {
        let socket = socket_between(&ends, &fs::read_to_string("/proc/net/tcp").ok()?)?;
        owner(&socket)
    })
}

/// An address in the notation of `/proc/net/tcp`.
fn hexadecimal(address: SocketAddr) -> Option<String> {
    let SocketAddr::V4(address) = address else { return None };
    Some(format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port()))
}

/// The open socket of the row from the one end to the other. The port alone would not do: an
/// ended connection from the same port to another server waits in the table, owned by nobody.
fn socket_between(ends: &[String; 2], table: &str) -> Option<String> {
    let mut rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = rows.find(|row| row.len() > 9 && row[1..3] == ends[..] && row[9] != "0")?;
    Some(format!("socket:[{}]", row[9]))
}

fn owner(socket: &str) -> Option<String> {
    fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        process.file_name().to_str()?.parse::<u32>().ok()?;
        let mut open = fs::read_dir(process.path().join("fd")).ok()?.flatten();
        open.find(|fd| fs::read_link(fd.path()).is_ok_and(|target| target.as_os_str() == socket))?;
        let argv = fs::read(process.path().join("cmdline")).ok()?;
        let argv: Vec<_> = argv.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
        Some(argv.join(" ").trim_end().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ended_connection_from_the_same_port_is_not_taken_for_the_open_one() {
        let ends = ["127.0.0.1:4660", "127.0.0.1:8080"].map(|end| hexadecimal(end.parse().unwrap()).unwrap());
        let row = |server: &str, inode: &str| {
            format!("1: {} {server} 01 00000000:00000000 00:00000000 00000000 0 0 {inode} 1\n", ends[0])
        };
        let table = row("0100007F:0050", "0") + &row(&ends[1], "0") + &row(&ends[1], "77");
        assert_eq!(socket_between(&ends, &table).as_deref(), Some("socket:[77]"));
        assert_eq!(socket_between(&ends, &row("0100007F:0050", "78")), None);
    }
}
