//! The cookies of one browser (RFC 6265, as far as sign-in pages need it).

use url::Url;

/// Cookies by host and path. Ports are not told apart, as in real browsers.
#[derive(Clone, Debug, Default)]
pub(super) struct CookieJar(Vec<Cookie>);

#[derive(Clone, Debug)]
struct Cookie {
    host: String,
    path: String,
    name: String,
    value: String,
}

impl CookieJar {
    /// Takes a `Set-Cookie` header of an answer to `url` in.
    pub(super) fn set(&mut self, url: &Url, header: &str) {
        let mut parts = header.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { return };
        let mut path = url.path().rsplit_once('/').map_or("/", |(folder, _)| folder).to_owned();
        let mut over = false;
        for part in parts {
            let (attribute, text) = part.split_once('=').unwrap_or((part, ""));
            match attribute.to_ascii_lowercase().as_str() {
                "path" if text.starts_with('/') => text.clone_into(&mut path),
                "max-age" => over |= text.parse::<i64>().is_ok_and(|seconds| seconds <= 0),
                // Only the far past is recognised: that is how servers delete.
                "expires" => over |= text.contains("1970"),
                _ => {}
            }
        }
        let host = url.host_str().unwrap_or_default().to_owned();
        self.0.retain(|old| !(old.name == name && old.host == host && old.path == path));
        if !over {
            self.0.push(Cookie { host, path, name: name.to_owned(), value: value.to_owned() });
        }
    }

    /// The `Cookie` header for a request to `url`.
    pub(super) fn header(&self, url: &Url) -> String {
        let fits = |cookie: &&Cookie| {
            let rest = url.path().strip_prefix(cookie.path.trim_end_matches('/'));
            Some(cookie.host.as_str()) == url.host_str()
                && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let mut fitting: Vec<&Cookie> = self.0.iter().filter(fits).collect();
        fitting.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<_> =
            fitting.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        pairs.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_goes_back_to_its_path_only_until_it_is_deleted() {
        let mut jar = CookieJar::default();
        let at = |path: &str| Url::parse(&format!("http://127.0.0.1:1{path}")).unwrap();
        jar.set(&at("/auth"), "session=s; Path=/; HttpOnly");
        jar.set(&at("/auth"), "step=1; Path=/interaction/x");
        assert_eq!(jar.header(&at("/interaction/x")), "step=1; session=s");
        assert_eq!(jar.header(&at("/interaction/xy")), "session=s");
        jar.set(&at("/auth"), "session=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(jar.header(&at("/other")), "");
    }
}
