//! A URL of an entry: what of it is secret, what of it may be called and shown.

use url::Url;

use crate::secret_rules;

/// A URL as an entry gives it, judged.
pub struct WebAddress {
    /// What kinds of secret it holds, in order: user information, query, path.
    pub kinds: Vec<&'static str>,
    /// Without its secrets; `None` where it cannot be called without them or without an expansion.
    pub callable: Option<String>,
    /// The host, for people.
    pub host: Option<String>,
    /// A user name or password stands in it.
    pub user_info: bool,
}

/// Whether a text looks like an http URL.
pub fn is_web_address(text: &str) -> bool {
    let start = text.get(..8).unwrap_or(text).to_ascii_lowercase();
    start.starts_with("https://") || start.starts_with("http://")
}

impl WebAddress {
    /// Judges a text that [`is_web_address`].
    pub fn read(text: &str) -> Self {
        let text = text.trim();
        let filled = fill_references(text);
        let Ok(mut url) = Url::parse(&filled) else {
            return Self {
                kinds: secret_rules::shape(text).into_iter().collect(),
                callable: None,
                host: None,
                user_info: false,
            };
        };
        let expands = filled != text;
        let mut kinds = Vec::new();
        let host = url.host_str().filter(|host| !host.contains(FILLER)).map(str::to_owned);
        let mut changed = false;
        let user_info = [url.username(), url.password().unwrap_or_default()].join("");
        let has_user_info = !user_info.is_empty();
        if has_user_info {
            changed = true;
            if without_filler(&user_info).is_some() {
                kinds.push(if url.password().is_some() { "password in the URL" } else { "token in the URL" });
            }
            // A URL with a host always takes these.
            let _ = url.set_username("");
            let _ = url.set_password(None);
        }
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let secret: Vec<bool> =
            pairs.iter().map(|(name, value)| query_kind(name, value, &mut kinds)).collect();
        if secret.contains(&true) {
            changed = true;
            let kept: Vec<_> =
                pairs.iter().zip(&secret).filter(|(_, s)| !**s).map(|(pair, _)| pair).collect();
            if kept.is_empty() {
                url.set_query(None);
            } else {
                url.query_pairs_mut().clear().extend_pairs(kept);
            }
        }
        let in_path = path_kind(&url);
        kinds.extend(in_path);
        let callable = match (in_path, expands) {
            (Some(_), _) => None,
            (None, false) if !changed => Some(text.to_owned()),
            (None, _) => Some(url.to_string()).filter(|url| !url.contains(FILLER)),
        };
        Self { kinds, callable, host, user_info: has_user_info }
    }
}

fn query_kind(name: &str, value: &str, kinds: &mut Vec<&'static str>) -> bool {
    let telling =
        secret_rules::is_telling(name) || matches!(name.to_ascii_lowercase().as_str(), "code" | "access");
    let Some(left) = without_filler(value) else { return telling };
    if secret_rules::is_placeholder(&left) {
        return telling;
    }
    let kind = secret_rules::shape(&left).or_else(|| telling.then_some("token in the URL"));
    kinds.extend(kind);
    kind.is_some()
}

/// Secrets as path segments: behind `/s/` and `/mcp/`, or by shape, or random looking.
fn path_kind(url: &Url) -> Option<&'static str> {
    let mut before = "";
    for segment in url.path_segments()? {
        let random = secret_rules::entropy(segment);
        let mixed =
            segment.bytes().any(|b| b.is_ascii_digit()) && segment.bytes().any(|b| b.is_ascii_alphabetic());
        let behind = matches!(before, "s" | "mcp" | "t" | "token") && segment.len() >= 16 && mixed;
        let long =
            segment.len() >= 24 && mixed && random >= 3.8 && !segment.contains('.') && !is_uuid(segment);
        if !segment.contains(FILLER) && (secret_rules::shape(segment).is_some() || behind || long) {
            return Some("secret in the URL's path");
        }
        before = segment;
    }
    None
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

/// Puts a word where references stand, so that a URL with one can be parsed.
fn fill_references(text: &str) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let Some(length) = rest[start..].find('}') else { break };
        let reference = &rest[start..=start + length];
        filled.push_str(&rest[..start]);
        match reference.split_once(":-") {
            Some((_, default)) => filled.push_str(default.trim_end_matches('}')),
            None => filled.push_str(FILLER),
        }
        rest = &rest[start + length + 1..];
    }
    filled + rest
}

fn without_filler(text: &str) -> Option<String> {
    let left = secret_rules::without_references(&text.replace(FILLER, ""));
    (!left.trim().is_empty()).then_some(left)
}

/// Lower case, since hosts become so.
const FILLER: &str = "hallpass-reference-0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_judged_by_its_parts() {
        let cases: &[(&str, &[&str], Option<&str>)] = &[
            ("https://a.example/mcp", &[], Some("https://a.example/mcp")),
            ("https://a.example", &[], Some("https://a.example")),
            ("https://a.example/mcp?toolsets=repos", &[], Some("https://a.example/mcp?toolsets=repos")),
            (
                "https://a.example/mcp?api_key=hunter2&x=1",
                &["token in the URL"],
                Some("https://a.example/mcp?x=1"),
            ),
            ("https://ana:hunter2@a.example/mcp", &["password in the URL"], Some("https://a.example/mcp")),
            ("https://hunter2@a.example/mcp", &["token in the URL"], Some("https://a.example/mcp")),
            ("https://a.example/mcp?token=${env:T}", &[], Some("https://a.example/mcp")),
            ("https://${HOST}/mcp", &[], None),
            (
                "https://a.example/mcp?token=${T:-hunter2}",
                &["token in the URL"],
                Some("https://a.example/mcp"),
            ),
            ("https://a.example/api/mcp/s/MzA5ZjQ2YjE1NjQ4NGE/mcp", &["secret in the URL's path"], None),
            (
                "https://a.example/v1/3f2b8c1e-1111-4222-8333-944455566677/mcp",
                &[],
                Some("https://a.example/v1/3f2b8c1e-1111-4222-8333-944455566677/mcp"),
            ),
            ("https://a.example/mcp?apikey=YOUR_API_KEY", &[], Some("https://a.example/mcp")),
            ("https://", &[], None),
        ];
        for (text, kinds, callable) in cases {
            let address = WebAddress::read(text);
            assert_eq!(address.kinds, *kinds, "{text}");
            assert_eq!(address.callable.as_deref(), *callable, "{text}");
        }
    }
}
