//! Which proxy leads to a URL. The variables come from the person's session by way of the agent, since
//! hosts start bridges with an environment of their own.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::Secret;
use url::{Host, Url};

/// An HTTP proxy.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Proxy {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The value of `Proxy-Authorization`, where the address carries a user.
    authorization: Option<Secret<String>>,
}

/// Proxy settings that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProxyError {
    #[error("its address is not a URL")]
    NotAUrl,
    #[error("only http:// proxies are supported, not {0}://")]
    Scheme(String),
}

impl Proxy {
    /// The head of a `CONNECT` request. Secret, since it may carry the proxy's password.
    pub(crate) fn connect_request(&self, authority: &str) -> Secret<String> {
        let mut head = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
        if let Some(authorization) = &self.authorization {
            // The proxy is where the person's system sends this password as well.
            head.push_str("Proxy-Authorization: ");
            head.push_str(authorization.expose());
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        Secret::new(head)
    }
}

/// The proxy for `url`, by `https_proxy`, `http_proxy`, `all_proxy` and `no_proxy` in lower case.
pub(crate) fn proxy_for(
    url: &Url,
    variables: &BTreeMap<String, String>,
) -> Result<Option<Proxy>, ProxyError> {
    // Plain http is for this machine only (`Endpoint`), and no proxy leads there.
    let Some(host) = url.host().filter(|host| url.scheme() == "https" && !is_loopback(host)) else {
        return Ok(None);
    };
    let named = |name: &str| variables.get(name).map(|v| v.trim()).filter(|v| !v.is_empty());
    let Some(address) = named("https_proxy").or_else(|| named("all_proxy")) else { return Ok(None) };
    let port = url.port_or_known_default();
    if named("no_proxy").is_some_and(|list| list.split([',', ' ']).any(|entry| excepts(entry, &host, port))) {
        return Ok(None);
    }
    let address = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
    let proxy = Url::parse(&address).map_err(|_| ProxyError::NotAUrl)?;
    if proxy.scheme() != "http" {
        return Err(ProxyError::Scheme(crate::error::tamed(proxy.scheme())));
    }
    let authorization = (!proxy.username().is_empty()).then(|| {
        let password = proxy.password().unwrap_or_default();
        let plain = Secret::new(format!("{}:{}", decoded(proxy.username()), decoded(password)));
        // Encoding it is the purpose (RFC 7617).
        Secret::new(format!("Basic {}", STANDARD.encode(plain.expose())))
    });
    Ok(Some(Proxy {
        host: proxy.host_str().ok_or(ProxyError::NotAUrl)?.to_owned(),
        port: proxy.port().unwrap_or(80),
        authorization,
    }))
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => ip.is_loopback(),
    }
}

/// Whether one entry of `no_proxy` names the host: `*`, a name (with its subdomains), an address, a network,
/// each with a port or without.
fn excepts(entry: &str, host: &Host<&str>, port: Option<u16>) -> bool {
    let entry = entry.trim();
    if entry == "*" {
        return true;
    }
    let (entry, wanted) = match entry.rsplit_once(':') {
        Some((name, digits)) if !name.contains(':') || name.ends_with(']') => match digits.parse::<u16>() {
            Ok(number) => (name, Some(number)),
            Err(_) => (entry, None),
        },
        _ => (entry, None),
    };
    if wanted.is_some() && wanted != port {
        return false;
    }
    let entry = entry.trim_start_matches('[').trim_end_matches(']');
    match host {
        Host::Domain(name) => {
            let entry = entry.trim_start_matches('*').trim_start_matches('.').to_ascii_lowercase();
            !entry.is_empty()
                && (*name == entry || name.strip_suffix(&entry).is_some_and(|rest| rest.ends_with('.')))
        }
        Host::Ipv4(ip) => match entry.split_once('/') {
            None => entry.parse() == Ok(*ip),
            Some((network, bits)) => match (network.parse::<std::net::Ipv4Addr>(), bits.parse::<u32>()) {
                (Ok(network), Ok(bits @ 0..=32)) => {
                    let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
                    (u32::from(network) ^ u32::from(*ip)) & mask == 0
                }
                _ => false,
            },
        },
        Host::Ipv6(ip) => entry.parse() == Ok(*ip),
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let pair = tail.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        let byte = pair.filter(|_| first == b'%').and_then(|pair| u8::from_str_radix(pair, 16).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(url: &str, variables: &[(&str, &str)]) -> Result<Option<String>, ProxyError> {
        let variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        proxy_for(&Url::parse(url).unwrap(), &variables).map(|p| p.map(|p| format!("{}:{}", p.host, p.port)))
    }

    #[test]
    fn the_proxy_is_taken_from_the_variables() {
        let proxy = ("https_proxy", "http://proxy.corp:3128");
        assert_eq!(through("https://a.example/", &[]), Ok(None));
        assert_eq!(through("https://a.example/", &[proxy]), Ok(Some("proxy.corp:3128".into())));
        assert_eq!(through("https://a.example/", &[("all_proxy", "p")]), Ok(Some("p:80".into())));
        assert_eq!(through("http://127.0.0.1:9/", &[proxy, ("http_proxy", "p")]), Ok(None));
        assert_eq!(through("https://localhost/", &[proxy]), Ok(None));
        let socks = through("https://a.example/", &[("all_proxy", "socks5://p:1")]);
        assert_eq!(socks, Err(ProxyError::Scheme("socks5".into())));
    }

    #[test]
    fn no_proxy_names_exceptions() {
        for (list, url, direct) in [
            ("*", "https://a.example/", true),
            ("a.example", "https://a.example/", true),
            (".example", "https://a.example/", true),
            ("example", "https://a.example/", true),
            ("x, a.example", "https://a.example/", true),
            ("b.example", "https://ab.example/", false),
            ("a.example:8443", "https://a.example/", false),
            ("a.example:443", "https://a.example/", true),
            ("10.0.0.0/8", "https://10.2.3.4/", true),
            ("10.0.0.0/8", "https://11.2.3.4/", false),
            ("0.0.0.0/0", "https://11.2.3.4/", true),
            ("", "https://a.example/", false),
        ] {
            let variables = [("https_proxy", "p"), ("no_proxy", list)];
            assert_eq!(through(url, &variables).unwrap().is_none(), direct, "{list} {url}");
        }
    }

    #[test]
    fn the_password_goes_to_the_proxy_and_shows_nowhere() {
        let variables = BTreeMap::from([("https_proxy".to_owned(), "http://u%40x:p%3Aw@p:1".to_owned())]);
        let proxy = proxy_for(&Url::parse("https://a.example/").unwrap(), &variables).unwrap().unwrap();
        let head = proxy.connect_request("a.example:443");
        assert!(head.expose().contains("Proxy-Authorization: Basic dUB4OnA6dw==\r\n"));
        assert!(!format!("{proxy:?}").contains("dUB4"));
    }
}
