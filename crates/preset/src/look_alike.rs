//! Host names that a person may take for another one (Unicode Technical Standard 39).

use std::collections::{BTreeMap, BTreeSet};

use unicode_security::{MixedScript as _, RestrictionLevel, RestrictionLevelDetection as _, skeleton};

/// Why a host name is suspicious beside the known ones: the known one, or `None` for what it is by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Suspicion {
    /// It looks like this known host.
    LooksLike(String),
    /// It mixes scripts.
    MixedScript,
    /// It is written in other letters than the Latin ones; people see it otherwise than it is called.
    International,
}

/// The hosts that a person has to do with already, in ASCII form (punycode).
#[derive(Debug, Default)]
pub(crate) struct Known {
    hosts: BTreeSet<String>,
    /// By what they look like.
    looks: BTreeMap<String, BTreeSet<String>>,
}

impl Known {
    pub(crate) fn new(hosts: BTreeSet<String>) -> Self {
        let mut looks = BTreeMap::<String, BTreeSet<String>>::new();
        for host in &hosts {
            looks.entry(look(&unicode(host))).or_default().insert(host.clone());
        }
        Self { hosts, looks }
    }

    /// Judges a host in its ASCII form beside the known ones.
    pub(crate) fn judge(&self, host: &str) -> Option<Suspicion> {
        let seen = unicode(host);
        let alike = self.looks.get(&look(&seen)).into_iter().flatten().find(|other| *other != host);
        if let Some(other) = alike.or_else(|| self.hosts.iter().find(|other| hides(host, other))) {
            return Some(Suspicion::LooksLike(other.clone()));
        }
        if seen.is_ascii() {
            return None;
        }
        let mixed = seen.split('.').any(|label| {
            !label.is_single_script()
                || label.detect_restriction_level() > RestrictionLevel::HighlyRestrictive
        });
        Some(if mixed { Suspicion::MixedScript } else { Suspicion::International })
    }
}

/// Whether a host begins with another one's name, dots or dashes between its parts, and goes on:
/// `mcp.acme.example.evil.example`, `mcp-acme-example.evil.example`.
fn hides(host: &str, other: &str) -> bool {
    let same = |(ours, theirs): (u8, u8)| ours == theirs || (theirs == b'.' && ours == b'-');
    host.len() > other.len()
        && host.bytes().zip(other.bytes()).all(same)
        && matches!(host.as_bytes()[other.len()], b'.' | b'-')
}

/// As a person sees it.
pub(crate) fn unicode(host: &str) -> String {
    let (text, result) = idna::domain_to_unicode(host);
    if result.is_ok() { text } else { host.to_owned() }
}

/// Two names with one skeleton look alike. The skeleton turns 0 into a capital O, so case goes last.
fn look(host: &str) -> String {
    skeleton(host).collect::<String>().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn look_alikes_are_told_from_neighbours() {
        let hosts = ["mcp.acme.example", "login.acme.example", "api.github.com"];
        let known = Known::new(hosts.map(str::to_owned).into());
        for (host, want) in [
            ("mcp.acme.example", None),
            ("wiki.acme.example", None),
            ("mcp.acne.example", None),
            ("mcp.acrne.example", Some("mcp.acme.example")),
            ("api.g1thub.com", None),
            ("api.githuh.com", None),
            ("1ogin.acme.example", Some("login.acme.example")),
            ("mcp.acme.example.evil.example", Some("mcp.acme.example")),
            ("mcp-acme-example.evil.example", Some("mcp.acme.example")),
        ] {
            let found = known.judge(host);
            assert_eq!(found, want.map(|known| Suspicion::LooksLike(known.to_owned())), "{host}");
        }
        // Cyrillic а and е in "acme".
        let cyrillic = idna::domain_to_ascii("mcp.\u{430}cm\u{435}.example").unwrap();
        assert!(cyrillic.contains("xn--"));
        assert_eq!(known.judge(&cyrillic), Some(Suspicion::LooksLike("mcp.acme.example".to_owned())));
        assert_eq!(Known::default().judge(&cyrillic), Some(Suspicion::MixedScript));
        let german = idna::domain_to_ascii("bücher.example").unwrap();
        assert_eq!(known.judge(&german), Some(Suspicion::International));
        assert_eq!(known.judge("[::1]"), None);
    }
}
