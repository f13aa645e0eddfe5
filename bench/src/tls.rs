//! TLS before the benchmark's server, and the same calls over TLS without a bridge. Both sides block; one call at a time.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, poll};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection, StreamOwned};

use bench::wire::Head;

use crate::server::{STATIC_TOKEN, Server};

/// Puts TLS before a server, which from now on says that it is there. Lives as long as the process.
pub(crate) fn before(server: &Server, identity: &Arc<ServerConfig>) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    server.set_origin(&format!("https://{}", listener.local_addr()?));
    let (behind, identity) = (server.address(), Arc::clone(identity));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (behind, identity) = (behind.clone(), Arc::clone(&identity));
            // A connection that breaks is the other side's to tell.
            std::thread::spawn(move || carry(stream, &behind, identity));
        }
    });
    Ok(())
}

fn carry(outside: TcpStream, behind: &str, identity: Arc<ServerConfig>) -> io::Result<()> {
    let inside = TcpStream::connect(behind)?;
    for stream in [&inside, &outside] {
        stream.set_nodelay(true)?;
    }
    let connection = ServerConnection::new(identity).map_err(io::Error::other)?;
    let mut tls = StreamOwned::new(connection, outside);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let mut fds = [PollFd::new(&tls.sock, PollFlags::IN), PollFd::new(&inside, PollFlags::IN)];
        poll(&mut fds, None)?;
        let (from_outside, from_inside) = (!fds[0].revents().is_empty(), !fds[1].revents().is_empty());
        if from_outside {
            let (connection, outside) = (&mut tls.conn, &mut tls.sock);
            if connection.read_tls(outside)? == 0 {
                return Ok(());
            }
            let state = connection.process_new_packets().map_err(io::Error::other)?;
            let mut left = state.plaintext_bytes_to_read();
            while left > 0 {
                let got = connection.reader().read(&mut buffer)?;
                (&inside).write_all(&buffer[..got])?;
                left -= got;
            }
            while connection.wants_write() {
                connection.write_tls(outside)?;
            }
        }
        if from_inside {
            let got = (&inside).read(&mut buffer)?;
            if got == 0 {
                return Ok(());
            }
            tls.write_all(&buffer[..got])?;
        }
    }
}

/// One connection to a server behind TLS, greeted.
pub(crate) struct DirectTls {
    stream: StreamOwned<ClientConnection, TcpStream>,
    prefix: Vec<u8>,
    input: Vec<u8>,
}

impl DirectTls {
    /// Connects, shakes hands, opens a session.
    pub(crate) fn open(address: &str, trust: &Arc<ClientConfig>) -> io::Result<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        let name = ServerName::try_from("127.0.0.1").map_err(io::Error::other)?;
        let connection = ClientConnection::new(Arc::clone(trust), name).map_err(io::Error::other)?;
        let prefix = format!(
            "POST /mcp HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {STATIC_TOKEN}\r\nAccept: application/json, text/event-stream\r\nContent-Type: application/json\r\n"
        );
        let stream = StreamOwned::new(connection, socket);
        let mut direct = Self { stream, prefix: prefix.into_bytes(), input: Vec::new() };
        let head = direct.ask(crate::direct::INITIALIZE)?;
        if let Some(session) = head.session {
            direct.prefix.extend_from_slice(b"Mcp-Session-Id: ");
            direct.prefix.extend_from_slice(&direct.input[session]);
            direct.prefix.extend_from_slice(b"\r\nMCP-Protocol-Version: 2025-11-25\r\n");
        }
        Ok(direct)
    }

    /// One call, to the end of its answer.
    pub(crate) fn ask(&mut self, body: &[u8]) -> io::Result<Head> {
        let mut request = self.prefix.clone();
        write!(request, "Content-Length: {}\r\n\r\n", body.len())?;
        request.extend_from_slice(body);
        self.stream.write_all(&request)?;
        self.input.clear();
        let mut piece = [0; 16 * 1024];
        loop {
            let got = self.stream.read(&mut piece)?;
            self.input.extend_from_slice(&piece[..got]);
            if let Some(head) = Head::parse(&self.input)
                && self.input.len() >= head.len + head.content_length.unwrap_or(0)
            {
                return Ok(head);
            }
            if got == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use testbed::authority::{Authority, Certificate, client_config};

    use super::*;

    #[test]
    fn calls_pass_through_tls_and_only_with_the_authority() {
        let authority = Authority::new("Bench CA");
        let server = Server::start(3, Box::new(|_| false)).unwrap();
        before(&server, &authority.identify(Certificate::Good).server_config()).unwrap();
        let endpoint = server.endpoint();
        let address = endpoint.strip_prefix("https://").unwrap().strip_suffix("/mcp").unwrap();
        let mut direct = DirectTls::open(address, &client_config(&authority.pem())).unwrap();
        let call = crate::groups::call(1, "echo", "hello");
        for _ in 0..3 {
            direct.ask(call.trim_end().as_bytes()).unwrap();
            assert!(direct.input.ends_with(br#""text":"hello"}]}}"#));
        }
        let other = client_config(&Authority::new("Another").pem());
        assert!(DirectTls::open(address, &other).is_err());
    }
}
