//! The real [`Http`]: reqwest with redirects, cookies, retries and decompression off.

use std::{collections::BTreeMap, error::Error, fmt, net::SocketAddr, sync::Arc, time::Duration};

use http::HeaderValue;
use model::{Endpoint, Secret};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::http::{BODY_CAP, BoxFuture, Http, HttpError, HttpRequest, HttpResponse};
use crate::network::Network;

/// How long a connection, TLS included, may take to stand.
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// Proxies never carry what is meant for this machine.
const NEVER_BY_PROXY: &str = "localhost,127.0.0.0/8,::1";

/// HTTP for one Server: it reaches what [`Network`] allows and nothing else.
pub struct ReqwestHttp {
    inner: reqwest::Client,
    network: Network,
}

impl ReqwestHttp {
    /// Makes one. `tls` carries provider and trust (platform verifier); `proxies` are the person's proxy
    /// variables by name in lower case (`https_proxy`, `http_proxy`, `all_proxy`, `no_proxy`).
    pub fn new(
        network: Network,
        tls: rustls::ClientConfig,
        proxies: &BTreeMap<String, String>,
    ) -> Result<Self, HttpSetupError> {
        let proxies = Proxies::read(proxies)?;
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            // A connection that died while idle would make "sent or not?" unanswerable.
            .pool_max_idle_per_host(0)
            .connect_timeout(CONNECT_TIME)
            .user_agent(concat!("hallpass/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Arc::new(GuardedResolver { network, exempt: proxies.hosts }))
            .no_proxy();
        for proxy in proxies.list {
            builder = builder.proxy(proxy);
        }
        let inner = builder.build().map_err(|source| HttpSetupError::Build { source })?;
        Ok(Self { inner, network })
    }

    /// As [`Http::send`] for a document that may be larger: at most `limit` bytes of it are read.
    pub async fn fetch(&self, request: HttpRequest, limit: usize) -> Result<HttpResponse, HttpError> {
        self.exchange(request, limit, None).await
    }

    /// As [`Self::fetch`], but an event stream is read too: until `enough` says so of what has come of it, or it ends. One
    /// that does neither within the request's time is an error.
    pub async fn listen(
        &self,
        request: HttpRequest,
        limit: usize,
        enough: &Enough,
    ) -> Result<HttpResponse, HttpError> {
        self.exchange(request, limit, Some(enough)).await
    }

    async fn exchange(
        &self,
        request: HttpRequest,
        limit: usize,
        enough: Option<&Enough>,
    ) -> Result<HttpResponse, HttpError> {
        let endpoint = Endpoint::parse(&request.url).map_err(|source| HttpError::BadUrl { source })?;
        let origin = endpoint.origin();
        if !self.network.allows(endpoint.reach()) {
            return Err(HttpError::PrivateAddress { origin });
        }
        let answer = self
            .inner
            .request(request.method, endpoint.url())
            .headers(request.headers)
            .timeout(request.time_limit)
            .body(request.body.expose().clone())
            .send()
            .await;
        let mut response = answer.map_err(|error| classify(error, &origin))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let is_stream = is_event_stream(headers.get(http::header::CONTENT_TYPE));
        let mut body = Vec::new();
        if !is_stream || enough.is_some() {
            while let Some(part) = response.chunk().await.map_err(|error| classify(error, &origin))? {
                if body.len() + part.len() > limit {
                    return Err(HttpError::TooLarge { origin, limit });
                }
                body.extend_from_slice(&part);
                if is_stream && enough.is_some_and(|enough| enough(&body)) {
                    break;
                }
            }
        }
        Ok(HttpResponse { status, headers, body: Secret::new(body) })
    }
}

/// Says of what has come of an event stream whether it is enough.
pub type Enough = dyn Fn(&[u8]) -> bool + Send + Sync;

impl Http for ReqwestHttp {
    fn send(&self, request: HttpRequest) -> BoxFuture<'_, Result<HttpResponse, HttpError>> {
        Box::pin(self.exchange(request, BODY_CAP, None))
    }
}

impl fmt::Debug for ReqwestHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReqwestHttp").field("network", &self.network).finish_non_exhaustive()
    }
}

/// Why HTTP cannot be set up at all.
#[derive(Debug, thiserror::Error)]
pub enum HttpSetupError {
    /// A proxy variable that is not an address.
    #[error("the proxy setting {variable} is not a usable address")]
    Proxy {
        /// Its name.
        variable: &'static str,
    },
    /// TLS and the rest.
    #[error("HTTP cannot be set up")]
    Build {
        /// Why.
        source: reqwest::Error,
    },
}

/// The person's proxies, and their names, which may well lie on a private network.
struct Proxies {
    list: Vec<reqwest::Proxy>,
    hosts: Vec<String>,
}

impl Proxies {
    fn read(variables: &BTreeMap<String, String>) -> Result<Self, HttpSetupError> {
        let mut found = Self { list: Vec::new(), hosts: Vec::new() };
        let except = variables.get("no_proxy").map(String::as_str).unwrap_or_default();
        let no_proxy = reqwest::NoProxy::from_string(&format!("{NEVER_BY_PROXY},{except}"));
        // The first that fits is taken, so the one that is for everything comes last.
        for name in ["https_proxy", "http_proxy", "all_proxy"] {
            let Some(value) = variables.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
            else {
                continue;
            };
            let made = match name {
                "https_proxy" => reqwest::Proxy::https(value),
                "http_proxy" => reqwest::Proxy::http(value),
                _ => reqwest::Proxy::all(value),
            };
            // The library's own words may quote the address, which may hold a password.
            let proxy = made.map_err(|_| HttpSetupError::Proxy { variable: name })?;
            found.list.push(proxy.no_proxy(no_proxy.clone()));
            let with_scheme =
                if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
            if let Some(host) = url::Url::parse(&with_scheme).ok().as_ref().and_then(url::Url::host_str) {
                found.hosts.push(host.to_ascii_lowercase());
            }
        }
        Ok(found)
    }
}

/// Resolves by the system and drops addresses that are not allowed; so the address that is checked is
/// the one that is connected to.
struct GuardedResolver {
    network: Network,
    exempt: Vec<String>,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let network = if self.exempt.iter().any(|host| host.eq_ignore_ascii_case(name.as_str())) {
            Network::Any
        } else {
            self.network
        };
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed: Vec<SocketAddr> =
                found.iter().copied().filter(|address| network.allows_ip(address.ip())).collect();
            if allowed.is_empty() && !found.is_empty() {
                return Err(Box::new(ResolvedPrivate) as Box<dyn Error + Send + Sync>);
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// All addresses of a name were refused.
#[derive(Debug, thiserror::Error)]
#[error("the name resolves to a private address")]
struct ResolvedPrivate;

/// Tells by reqwest's error whether the request can have reached the server. The URL is taken out of the
/// error: it may hold a code.
fn classify(error: reqwest::Error, origin: &str) -> HttpError {
    let origin = origin.to_owned();
    let mut cause = error.source();
    while let Some(inner) = cause {
        if inner.is::<ResolvedPrivate>() {
            return HttpError::PrivateAddress { origin };
        }
        if let Some(rustls::Error::InvalidCertificate(why)) = inner.downcast_ref::<rustls::Error>() {
            return HttpError::Certificate { origin, source: certificate_words(why) };
        }
        // An I/O error's source leaves out the error that it was made of.
        cause = match inner.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(within) => Some(within),
            None => inner.source(),
        };
    }
    if error.is_connect() || error.is_builder() {
        HttpError::NotSent { origin, source: Box::new(error.without_url()) }
    } else {
        HttpError::Unknown { origin, source: Box::new(error.without_url()) }
    }
}

/// The verifier's own words, where it has any.
fn certificate_words(why: &rustls::CertificateError) -> Arc<dyn Error + Send + Sync> {
    match why {
        rustls::CertificateError::Other(rustls::OtherError(words)) => Arc::clone(words),
        other => Arc::new(rustls::Error::InvalidCertificate(other.clone())),
    }
}

fn is_event_stream(content_type: Option<&HeaderValue>) -> bool {
    let text = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.trim_start().to_ascii_lowercase().starts_with("text/event-stream")
}

#[cfg(test)]
mod tests;
