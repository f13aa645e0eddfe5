//! From an endpoint to an open connection: addresses that may be called, proxy, TLS.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::{Endpoint, PrivateAuthority, Reach};
use platform::trust::{self, Refused};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use token_lease::ServerFacts;

use crate::connection::Connection;
use crate::error::{Failure, tamed};
use crate::proxy::{Proxy, proxy_for};

const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// The one place that may be called, and by which way.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    pub(crate) endpoint: Endpoint,
    private_network: bool,
    proxies: BTreeMap<String, String>,
    /// Trusted besides the operating system's.
    authority: Option<PrivateAuthority>,
}

impl Way {
    /// To a Server.
    pub(crate) fn to(facts: &ServerFacts) -> Self {
        Self {
            endpoint: facts.endpoint.clone(),
            private_network: facts.private_network,
            proxies: facts.proxies.clone(),
            authority: facts.authority.clone(),
        }
    }
}

/// Opens a connection to the endpoint's origin, and to nothing else.
pub(crate) async fn dial(way: &Way) -> Result<Connection, Failure> {
    match tokio::time::timeout(CONNECT_LIMIT, open(way)).await {
        Ok(connection) => connection,
        Err(_) => Err(Failure::Unreachable(format!("no connection within {} s", CONNECT_LIMIT.as_secs()))),
    }
}

async fn open(way: &Way) -> Result<Connection, Failure> {
    let url = way.endpoint.url();
    let (host, port) = place(&url)?;
    let allowed = Allowed::of(&way.endpoint, way.private_network);
    if let Host::Domain(_) = host {
        // Judged when its addresses are known.
    } else {
        allowed.check(way.endpoint.reach())?;
    }
    let stream = match proxy_for(&url, &way.proxies).map_err(|e| Failure::Proxy(e.to_string()))? {
        None => connect(&host, port, |address| allowed.check(Reach::of(address))).await?,
        Some(proxy) => tunnel(&proxy, &host, port).await?,
    };
    if url.scheme() == "https" {
        encrypt(stream, &host, way.authority.as_ref()).await
    } else {
        Ok(Connection::new(stream))
    }
}

fn place(url: &Url) -> Result<(Host<&str>, u16), Failure> {
    // An `Endpoint` has a host, and its schemes have default ports.
    url.host()
        .zip(url.port_or_known_default())
        .ok_or_else(|| Failure::Unreachable("its address names no host".to_owned()))
}

/// Which addresses may be called.
#[derive(Clone, Copy)]
enum Allowed {
    Public,
    Loopback,
    All,
}

impl Allowed {
    fn of(endpoint: &Endpoint, private_network: bool) -> Self {
        match (endpoint.reach(), private_network) {
            (Reach::Loopback, _) => Self::Loopback,
            (Reach::Private | Reach::Public, true) => Self::All,
            (Reach::Private | Reach::Public, false) => Self::Public,
        }
    }

    fn check(self, reach: Reach) -> Result<(), Failure> {
        match (self, reach) {
            (Self::All, _) | (Self::Public, Reach::Public) | (Self::Loopback, Reach::Loopback) => Ok(()),
            (Self::Public | Self::Loopback, _) => Err(Failure::PrivateAddress),
        }
    }
}

/// Resolves once and connects to what was checked, so that a second look-up cannot give another address.
async fn connect(
    host: &Host<&str>,
    port: u16,
    check: impl Fn(IpAddr) -> Result<(), Failure>,
) -> Result<TcpStream, Failure> {
    let addresses: Vec<SocketAddr> = match host {
        Host::Ipv4(ip) => vec![SocketAddr::from((*ip, port))],
        Host::Ipv6(ip) => vec![SocketAddr::from((*ip, port))],
        Host::Domain(name) => tokio::net::lookup_host((*name, port))
            .await
            .map_err(|_| Failure::Unreachable(format!("the name {} was not found", tamed(name))))?
            .collect(),
    };
    let mut last = Failure::Unreachable("its name has no address".to_owned());
    for (tried, address) in addresses.iter().enumerate() {
        if let Err(refused) = check(address.ip()) {
            last = refused;
            continue;
        }
        // The last address has all the time that is left.
        let limit = if tried + 1 == addresses.len() { CONNECT_LIMIT } else { Duration::from_secs(3) };
        match tokio::time::timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => last = Failure::Unreachable(tamed(&error.kind().to_string())),
            Err(_) => last = Failure::Unreachable("no connection within 3 s".to_owned()),
        }
    }
    Err(last)
}

/// A tunnel through an HTTP proxy (RFC 9110 section 9.3.6).
async fn tunnel(proxy: &Proxy, host: &Host<&str>, port: u16) -> Result<TcpStream, Failure> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let proxy_host = Host::parse(&proxy.host).map_err(|e| Failure::Proxy(e.to_string()))?;
    let proxy_host = match &proxy_host {
        Host::Domain(name) => Host::Domain(name.as_str()),
        Host::Ipv4(ip) => Host::Ipv4(*ip),
        Host::Ipv6(ip) => Host::Ipv6(*ip),
    };
    // The proxy itself may lie anywhere: the person's system names it.
    let mut stream =
        connect(&proxy_host, proxy.port, |_| Ok(())).await.map_err(|e| Failure::Proxy(e.to_string()))?;
    let broken = |e: std::io::Error| Failure::Proxy(e.kind().to_string());
    stream
        .write_all(proxy.connect_request(&format!("{host}:{port}")).expose().as_bytes())
        .await
        .map_err(broken)?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        // Byte by byte, since whatever follows the head belongs to TLS.
        head.push(stream.read_u8().await.map_err(broken)?);
        if head.len() > 8 * 1024 {
            return Err(Failure::Proxy("its answer is too long".to_owned()));
        }
    }
    let status = head.split(|b| *b == b' ').nth(1).unwrap_or_default();
    match status {
        b"200" => Ok(stream),
        b"407" => Err(Failure::Proxy("it wants a user and a password (it answered 407)".to_owned())),
        other => Err(Failure::Proxy(format!("it answered {}", tamed(&String::from_utf8_lossy(other))))),
    }
}

async fn encrypt(
    stream: TcpStream,
    host: &Host<&str>,
    authority: Option<&PrivateAuthority>,
) -> Result<Connection, Failure> {
    let name = match host {
        Host::Domain(name) => ServerName::try_from((*name).to_owned())
            .map_err(|_| Failure::Unreachable("its name cannot stand in a certificate".to_owned()))?,
        Host::Ipv4(ip) => ServerName::from(IpAddr::from(*ip)),
        Host::Ipv6(ip) => ServerName::from(IpAddr::from(*ip)),
    };
    let connector = TlsConnector::from(tls(authority)?);
    let stream = connector.connect(name, stream).await.map_err(|error| match Refused::behind(&error) {
        Some(refused) => Failure::Certificate {
            why: tamed(&refused.to_string()),
            private: matches!(refused, Refused::UnknownAuthority { .. }),
        },
        None => Failure::Unreachable(format!("no secure connection ({})", tamed(&error.to_string()))),
    })?;
    Ok(Connection::new(stream))
}

/// The TLS settings for a private authority or none.
type Tls = (Option<PrivateAuthority>, Arc<rustls::ClientConfig>);

/// The TLS settings, made when first needed: reading the system's roots takes a while.
fn tls(authority: Option<&PrivateAuthority>) -> Result<Arc<rustls::ClientConfig>, Failure> {
    static MADE: Mutex<Vec<Tls>> = Mutex::new(Vec::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, config)) = made.iter().find(|(known, _)| known.as_ref() == authority) {
        return Ok(Arc::clone(config));
    }
    let mut config = trust::client_config(authority.map(PrivateAuthority::pem))
        .map_err(|e| Failure::Unreachable(format!("TLS cannot start ({})", tamed(&e.to_string()))))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let config = Arc::new(config);
    made.push((authority.cloned(), Arc::clone(&config)));
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(endpoint: &str, private_network: bool, address: &str) -> bool {
        let endpoint = Endpoint::parse(endpoint).unwrap();
        Allowed::of(&endpoint, private_network).check(Reach::of(address.parse().unwrap())).is_ok()
    }

    #[test]
    fn private_addresses_are_called_only_where_that_was_said() {
        assert!(allowed("https://a.example/", false, "93.184.216.34"));
        assert!(!allowed("https://a.example/", false, "10.0.0.1"));
        assert!(!allowed("https://a.example/", false, "127.0.0.1"));
        assert!(!allowed("https://a.example/", false, "169.254.169.254"));
        assert!(!allowed("https://a.example/", false, "::ffff:192.168.0.1"));
        assert!(allowed("https://a.example/", true, "10.0.0.1"));
        assert!(allowed("http://localhost:1/", false, "127.0.0.1"));
        assert!(!allowed("http://localhost:1/", false, "10.0.0.1"));
        assert!(!allowed("http://localhost:1/", false, "8.8.8.8"));
    }

    fn way(endpoint: &str) -> Way {
        let endpoint = Endpoint::parse(endpoint).unwrap();
        Way { endpoint, private_network: false, proxies: BTreeMap::new(), authority: None }
    }

    #[tokio::test]
    async fn a_private_address_in_the_url_is_refused_before_any_connection() {
        let refused = dial(&way("https://10.255.255.1/mcp")).await;
        assert_eq!(refused.err(), Some(Failure::PrivateAddress));
    }

    #[tokio::test]
    async fn a_closed_port_is_named() {
        // Held, so that nobody else is given the port, and nobody listens.
        let closed = tokio::net::TcpSocket::new_v4().unwrap();
        closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = closed.local_addr().unwrap().port();
        let refused = dial(&way(&format!("http://127.0.0.1:{port}/mcp"))).await;
        assert_eq!(refused.err(), Some(Failure::Unreachable("connection refused".into())));
    }

    #[tokio::test]
    async fn https_to_something_else_gives_one_sentence() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            use tokio::io::AsyncWriteExt;
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        });
        let refused = dial(&way(&format!("https://127.0.0.1:{port}/mcp"))).await;
        assert!(
            matches!(refused.err(), Some(Failure::Unreachable(text)) if text.contains("secure connection"))
        );
    }
}
