//! The URL that is called and the URL that identifies a Server to OAuth, kept as the exact text.
//!
//! URLs stay strings: parsing and printing one adds a slash to `http://host`, and that slash makes
//! another resource identifier and another issuer of it (RFC 8707, RFC 8414 section 3.3).

use std::fmt;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// The exact URL of an MCP endpoint: https, or http on a loopback address; no user information, no
/// fragment. Holds the text as it was given.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(type = "string", export_to = "wire.ts"))]
#[serde(try_from = "String", into = "String")]
pub struct Endpoint(String);

/// Where a host name or address lies, as far as its text tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// `localhost`, `*.localhost`, 127.0.0.0/8, `::1`.
    Loopback,
    /// Private, link-local, unique-local, carrier-grade NAT, unspecified, multicast.
    Private,
    /// Everything else. A name may still resolve to a private address: check that when connecting.
    Public,
}

impl Reach {
    /// Where an address lies; for checking what a name resolved to.
    pub fn of(address: std::net::IpAddr) -> Self {
        match address {
            std::net::IpAddr::V4(ip) => reach(&Host::Ipv4(ip)),
            std::net::IpAddr::V6(ip) => reach(&Host::Ipv6(ip)),
        }
    }
}

impl Endpoint {
    /// Parses and checks the text.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(EndpointError::Characters);
        }
        let url = Url::parse(text).map_err(|source| EndpointError::NotAUrl { source })?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointError::UserInfo);
        }
        if url.fragment().is_some() {
            return Err(EndpointError::Fragment);
        }
        match (url.scheme(), url.host()) {
            (_, None) => Err(EndpointError::NoHost),
            ("https", Some(_)) => Ok(Self(text.to_owned())),
            ("http", Some(host)) if reach(&host) == Reach::Loopback => Ok(Self(text.to_owned())),
            ("http", Some(_)) => Err(EndpointError::PlainHttp),
            _ => Err(EndpointError::Scheme),
        }
    }

    /// The text as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The parsed form, for comparing origins and making requests.
    pub fn url(&self) -> Url {
        Url::parse(&self.0).expect("parsed when it was made")
    }

    /// The URL as it goes over the wire, by which Servers are told apart: scheme and host in lower case and punycode, no
    /// default port, no dot segments, a slash where there is no path. Equal ones get the very same requests (RFC 3986
    /// sections 6.2.2 and 6.2.3). Nothing else is taken for equal: `/mcp` and `/mcp/`, and paths that differ in case or
    /// escapes, are different resources.
    pub fn canonical(&self) -> String {
        self.url().to_string()
    }

    /// Where its host lies.
    pub fn reach(&self) -> Reach {
        self.url().host().map_or(Reach::Private, |host| reach(&host))
    }

    /// Scheme, host and port: what may be logged and shown in a list.
    pub fn origin(&self) -> String {
        self.url().origin().ascii_serialization()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Endpoint {
    type Error = EndpointError;
    fn try_from(text: String) -> Result<Self, EndpointError> {
        Self::parse(&text)
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> String {
        endpoint.0
    }
}

/// Whether `resource` may stand for `endpoint`: same origin, and the path equal or a prefix that
/// ends at a `/` (RFC 9728 section 3.3, as the MCP specification and its suite read it).
pub fn covers(resource: &Url, endpoint: &Url) -> bool {
    if resource.origin() != endpoint.origin() || resource.query().is_some_and(|q| endpoint.query() != Some(q))
    {
        return false;
    }
    let (prefix, path) = (resource.path().trim_end_matches('/'), endpoint.path());
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Classifies a parsed host. Names other than `localhost` count as public here.
fn reach(host: &Host<&str>) -> Reach {
    match host {
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            if name == "localhost" || name.ends_with(".localhost") { Reach::Loopback } else { Reach::Public }
        }
        Host::Ipv4(ip) => {
            let [a, b, ..] = ip.octets();
            if ip.is_loopback() {
                Reach::Loopback
            } else if ip.is_private()
                || ip.is_link_local()
                || ip.is_unspecified()
                || ip.is_multicast()
                || ip.is_broadcast()
                || (a == 100 && (64..128).contains(&b))
                || a == 0
            {
                Reach::Private
            } else {
                Reach::Public
            }
        }
        Host::Ipv6(ip) => {
            if let Some(v4) = ip.to_ipv4_mapped() {
                return reach(&Host::Ipv4(v4));
            }
            let first = ip.segments()[0];
            if ip.is_loopback() {
                Reach::Loopback
            } else if ip.is_unspecified()
                || ip.is_multicast()
                || first & 0xfe00 == 0xfc00
                || first & 0xffc0 == 0xfe80
            {
                Reach::Private
            } else {
                Reach::Public
            }
        }
    }
}

/// Why a text is not an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not a URL at all.
    #[error("this is not a URL: {source}")]
    NotAUrl {
        /// What the URL parser said.
        source: url::ParseError,
    },
    /// A scheme other than http and https.
    #[error("an MCP server's URL starts with https://")]
    Scheme,
    /// `http` to a host that is not this machine.
    #[error("plain http is allowed only for a server on this machine; use https")]
    PlainHttp,
    /// No host.
    #[error("the URL names no host")]
    NoHost,
    /// `user:password@`.
    #[error("the URL carries a user name or password; leave it out and sign in instead")]
    UserInfo,
    /// `#…`.
    #[error("the URL carries a fragment (the part behind #); leave it out")]
    Fragment,
    /// Blank or control characters.
    #[error("the URL holds a blank or a control character")]
    Characters,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_stays_as_it_was_given() {
        assert_eq!(Endpoint::parse("https://Mcp.Example.com").unwrap().as_str(), "https://Mcp.Example.com");
    }

    #[test]
    fn two_texts_are_one_server_only_if_they_lead_to_the_same_requests() {
        let canonical = |text: &str| Endpoint::parse(text).unwrap().canonical();
        for (one, other) in [
            ("https://a.example/mcp", "HTTPS://A.Example:443/mcp"),
            ("https://a.example", "https://a.example/"),
            ("https://a.example?x=1", "https://a.example/?x=1"),
            ("https://a.example/mcp", "https://a.example/x/../mcp"),
            ("http://127.0.0.1:80/mcp", "http://127.1/mcp"),
            ("https://b\u{fc}cher.example/", "https://xn--bcher-kva.example/"),
        ] {
            assert_eq!(canonical(one), canonical(other), "{one} {other}");
        }
        for (one, other) in [
            ("https://a.example/mcp", "https://a.example/mcp/"),
            ("https://a.example/mcp", "https://a.example/MCP"),
            ("https://a.example/mcp", "https://a.example//mcp"),
            ("https://a.example/a%2Fb", "https://a.example/a/b"),
            ("https://a.example/%7Ea", "https://a.example/~a"),
            ("https://a.example/mcp", "https://a.example/mcp?"),
            ("https://a.example/mcp?a=1&b=2", "https://a.example/mcp?b=2&a=1"),
            ("https://a.example/mcp", "https://a.example:8443/mcp"),
            ("https://a.example/mcp", "https://a.example./mcp"),
            ("https://localhost/mcp", "http://localhost/mcp"),
        ] {
            assert_ne!(canonical(one), canonical(other), "{one} {other}");
        }
    }

    #[test]
    fn only_safe_urls_are_endpoints() {
        for good in
            ["https://a.example/mcp", "http://localhost:3000/mcp", "http://127.0.0.1/", "http://[::1]:9/x"]
        {
            Endpoint::parse(good).unwrap();
        }
        for bad in [
            "",
            "mcp.example.com",
            "http://example.com/mcp",
            "ftp://a.example",
            "javascript:alert(1)",
            "file:///etc/passwd",
            "https://u:p@a.example/",
            "https://a.example/#x",
            "https://a.example/\nx",
            "http://169.254.1.1/",
            "http://10.0.0.1/",
        ] {
            assert!(Endpoint::parse(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn private_addresses_are_told_from_public_ones() {
        for (text, want) in [
            ("https://10.1.2.3/", Reach::Private),
            ("https://169.254.169.254/", Reach::Private),
            ("https://100.64.0.1/", Reach::Private),
            ("https://[fe80::1]/", Reach::Private),
            ("https://[fd00::1]/", Reach::Private),
            ("https://[::ffff:10.0.0.1]/", Reach::Private),
            ("https://0x7f.1/", Reach::Loopback),
            ("https://8.8.8.8/", Reach::Public),
            ("https://example.com/", Reach::Public),
        ] {
            assert_eq!(Endpoint::parse(text).unwrap().reach(), want, "{text}");
        }
    }

    #[test]
    fn a_resource_covers_its_own_paths_only() {
        let covers = |r: &str, e: &str| super::covers(&Url::parse(r).unwrap(), &Url::parse(e).unwrap());
        assert!(covers("https://a.example", "https://a.example/mcp"));
        assert!(covers("https://a.example/mcp", "https://a.example/mcp"));
        assert!(covers("https://a.example/mcp/", "https://a.example/mcp"));
        assert!(covers("https://a.example/t1", "https://a.example/t1/mcp"));
        assert!(!covers("https://a.example/mc", "https://a.example/mcp"));
        assert!(!covers("https://a.example/other", "https://a.example/mcp"));
        assert!(!covers("https://b.example", "https://a.example/mcp"));
        assert!(!covers("http://a.example", "https://a.example/mcp"));
        assert!(!covers("https://a.example:444", "https://a.example/mcp"));
    }
}
