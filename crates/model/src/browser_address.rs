//! The only addresses that are ever opened in a person's browser.

use std::fmt;

use url::Url;

/// What a sign-in can lead to: https, and plain http on this machine. One word for whoever gets it, and never an
/// option, since it begins with its scheme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrowserAddress(Url);

/// Why an address is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrowserAddressError {
    /// It is none, or of another kind.
    #[error("that is no web address")]
    NotWeb,
    /// `http` to another machine.
    #[error("that address is not encrypted (http)")]
    PlainHttp,
}

impl BrowserAddress {
    /// Parses and checks the text.
    pub fn parse(text: &str) -> Result<Self, BrowserAddressError> {
        let url = Url::parse(text).map_err(|_| BrowserAddressError::NotWeb)?;
        let local = || {
            url.host_str().is_some_and(|host| {
                let bare = host.trim_start_matches('[').trim_end_matches(']');
                host == "localhost"
                    || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
            })
        };
        match url.scheme() {
            "https" => Ok(Self(url)),
            "http" if local() => Ok(Self(url)),
            "http" => Err(BrowserAddressError::PlainHttp),
            _ => Err(BrowserAddressError::NotWeb),
        }
    }

    /// The address, escaped as URLs are.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for BrowserAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_that_a_sign_in_can_lead_to_are_opened() {
        for address in [
            "https://id.example/authorize?a=1&b=%20c",
            "http://127.0.0.1:4000/authorize",
            "http://[::1]:4000/",
            "http://localhost/x",
        ] {
            assert_eq!(BrowserAddress::parse(address).unwrap().as_str(), address);
        }
        for address in [
            "http://id.example/authorize",
            "http://127.0.0.1.example/",
            "http://localhost.example/",
            "http://[::ffff:7f00:1]/",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "data:text/html,x",
            "vbscript:x",
            "ftp://id.example/",
            "--new-window",
            "-h",
            "/usr/bin/id",
            "https:",
            "",
        ] {
            assert!(BrowserAddress::parse(address).is_err(), "{address}");
        }
    }

    #[test]
    fn the_address_is_one_word_whatever_is_in_it() {
        for (address, word) in [
            ("https://id.example/a b\"c'$(id);`id`|&x", "https://id.example/a%20b%22c'$(id);%60id%60|&x"),
            ("https://id.example/\n--evil\r\t", "https://id.example/--evil"),
            ("  https://id.example/  ", "https://id.example/"),
        ] {
            assert_eq!(BrowserAddress::parse(address).unwrap().as_str(), word, "{address:?}");
        }
    }
}
