//! One HTTP request on a connection of its own, for the scripted browser and for tests.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

use crate::authority::NAMED;

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Exchange {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Why nothing came back.
#[derive(Debug, Error)]
pub enum ExchangeError {
    /// Neither clear text, nor TLS with an authority to check it by.
    #[error("{0} is not an address that can be called")]
    NotHttp(String),
    /// Nobody listens, or the connection broke.
    #[error("could not connect to {host}")]
    Connect {
        /// Host and port.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// The request cannot be written.
    #[error("the request cannot be built")]
    Request(#[from] http::Error),
    /// The connection ended before the answer did.
    #[error("the connection ended before the answer did")]
    Cut(#[from] hyper::Error),
}

/// Whom to believe behind https; nobody means that only http is spoken.
pub(crate) type Trust = Option<Arc<ClientConfig>>;

/// Sends one request and reads the whole answer. Follows nothing.
pub(crate) async fn exchange(
    method: Method,
    url: &Url,
    trust: &Trust,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Result<Exchange, ExchangeError> {
    let no_way = || ExchangeError::NotHttp(url.origin().ascii_serialization());
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return Err(no_way());
    };
    let authority = format!("{host}:{port}");
    let connect = |source| ExchangeError::Connect { host: authority.clone(), source };
    let target = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let mut request = Request::builder().method(method).uri(target).header(header::HOST, &authority);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(body.into()))?;
    match (url.scheme(), trust) {
        ("http", _) => carry(TcpStream::connect(&authority).await.map_err(connect)?, request).await,
        ("https", Some(trust)) => {
            let name = ServerName::try_from(host.to_owned()).map_err(|_| no_way())?;
            // Where people have a browser, somebody leads it to their organisation's servers.
            let place = if host == NAMED { format!("127.0.0.1:{port}") } else { authority.clone() };
            let stream = TcpStream::connect(place).await.map_err(connect)?;
            let stream =
                TlsConnector::from(Arc::clone(trust)).connect(name, stream).await.map_err(connect)?;
            carry(stream, request).await
        }
        (_, _) => Err(no_way()),
    }
}

async fn carry<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Exchange, ExchangeError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let reply = sender.send_request(request).await?;
    let (parts, body) = reply.into_parts();
    let body = body.collect().await?.to_bytes();
    connection.abort();
    Ok(Exchange { status: parts.status, headers: parts.headers, body })
}
