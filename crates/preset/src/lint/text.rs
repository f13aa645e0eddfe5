//! Secrets in plain text: known shapes, random looking words, credentials in URLs.

use model::{WebAddress, is_hidden, is_web_address, percent_decoded, secret_rules};
use serde_json::Value;
use url::Url;

/// Whether a random looking word counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Random {
    /// It does.
    Counts,
    /// Here something random is expected; known shapes still count.
    IsFine,
}

/// The kind of secret in a text, or `None`. Looks through percent encoding and invisible characters.
pub(super) fn secret_in(text: &str, random: Random) -> Option<&'static str> {
    let visible: String = text.chars().filter(|c| !is_invisible(*c)).collect();
    let decoded = percent_decoded(&visible);
    [visible.as_str(), decoded.as_str()].into_iter().find_map(|text| {
        secret_rules::shape(text).or_else(|| in_path(text)).or_else(|| match random {
            Random::Counts => words(text).any(is_random).then_some("a random value"),
            Random::IsFine => None,
        })
    })
}

/// What a URL in a text carries that it must not, or `None`.
pub(super) fn secret_in_url(text: &str) -> Option<&'static str> {
    let visible: String = text.chars().filter(|c| !is_invisible(*c)).collect();
    urls(&visible).find_map(|text| {
        let Ok(url) = Url::parse(text) else {
            // Not to be parsed, and yet with something before an @ in front of the path.
            let authority = text
                .split_once("://")
                .map_or("", |(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or(rest));
            return authority.contains('@').then_some("a user name or a password");
        };
        let user_is_fine = matches!(url.scheme(), "ssh" | "git" | "git+ssh") && url.password().is_none();
        if url.password().is_some() || (!url.username().is_empty() && !user_is_fine) {
            return Some("a user name or a password");
        }
        let fragment = url.fragment().unwrap_or_default().as_bytes();
        let pairs = url.query_pairs().chain(url::form_urlencoded::parse(fragment));
        pairs.into_iter().find_map(|(name, value)| {
            let telling =
                secret_rules::is_telling(&name) || matches!(&*name.to_ascii_lowercase(), "code" | "access");
            (telling && !value.is_empty() && !is_variable(&value)).then_some("a token in its query")
        })
    })
}

/// Whether a value of this name may look random without being a secret.
pub(super) fn random_is_fine(name: &str, value: &Value) -> bool {
    let hexadecimal = |text: &str| text.len() >= 40 && text.bytes().all(|b| b.is_ascii_hexdigit());
    match (name, value) {
        ("clientId" | "nextCursor" | "nextKeys", _) => true,
        ("fileSha256" | "commit" | "sha256", Value::String(text)) => hexadecimal(text),
        _ => false,
    }
}

/// Characters that take no room or turn the reading direction; those that choose a glyph's form among them.
pub(crate) fn is_invisible(c: char) -> bool {
    let chooses = matches!(c, '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{fe00}'..='\u{fe0f}');
    chooses || (is_hidden(c) && !c.is_control())
}

fn in_path(text: &str) -> Option<&'static str> {
    urls(text).filter(|url| is_web_address(url)).find_map(|url| {
        // `{name}` of a registry is what `${name}` is elsewhere.
        let kinds = WebAddress::read(&url.replace('{', "${")).kinds;
        kinds.into_iter().find(|kind| kind.contains("path"))
    })
}

/// `scheme://…` up to what cannot belong to it.
fn urls(text: &str) -> impl Iterator<Item = &str> {
    let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '`');
    text.split(ends).filter_map(|word| {
        let at = word.find("://")?;
        let scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
        let start = word[..at]
            .rfind(|c| !scheme(c))
            .map_or(0, |before| before + word[before..].chars().next().map_or(1, char::len_utf8));
        Some(word[start..].trim_end_matches([')', ',', ';', '.']))
    })
}

/// Parts of a text that could be random: letters and digits in one piece. Digests that say so are left out.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '(' | ')' | ',' | '@'))
        .filter(|word| !word.starts_with("sha256:") && !word.starts_with("sha512-"))
        .flat_map(|word| word.split(|c: char| !c.is_ascii_alphanumeric()))
}

/// Twenty characters or more that change between capitals, small letters and digits as no name does.
fn is_random(word: &str) -> bool {
    if word.len() < 20 {
        return false;
    }
    let class = |b: u8| match b {
        b'0'..=b'9' => 0,
        b'A'..=b'Z' => 1,
        _ => 2,
    };
    let bytes = word.as_bytes();
    let digits = bytes.iter().filter(|b| b.is_ascii_digit()).count();
    let letters = bytes.len() - digits;
    let changes = bytes.windows(2).filter(|pair| class(pair[0]) != class(pair[1])).count();
    digits >= 2 && letters >= 2 && changes * 4 >= bytes.len() && secret_rules::entropy(word) >= 3.2
}

fn is_variable(text: &str) -> bool {
    text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).is_some_and(|name| {
        name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_versions_are_not_random() {
        for fine in [
            "io.github.modelcontextprotocol/server-everything-2025-12-11",
            "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
            "GetTicketsByUserNameAndProject",
            "b94b5f7e-c7c6-d760-2c78-a5e9b8a5b8c9",
            "docker.io/acme/tool@sha256:3f9a0c7be5d14826613f9a0c7be5d14826613f9a0c7be5d14826613f9a0c7be5d148",
            "2026-11-20T00:00:00.000000Z",
            "modelcontextprotocol2025",
            "Ein sehr langer Satz über Donaudampfschifffahrtsgesellschaften im Jahr 1999.",
        ] {
            assert_eq!(secret_in(fine, Random::Counts), None, "{fine}");
            assert_eq!(secret_in_url(fine), None, "{fine}");
        }
    }
}
