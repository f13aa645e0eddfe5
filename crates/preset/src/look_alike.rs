//! Host names that a person may take for another one (Unicode Technical Standard 39).

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

/// Judges a host in its ASCII form (punycode) beside hosts in the same form.
pub(crate) fn judge<'a>(host: &str, known: impl Iterator<Item = &'a str>) -> Option<Suspicion> {
    let seen = unicode(host);
    let look = look(&seen);
    for other in known {
        if other == host {
            continue;
        }
        let same_look = look == self::look(&unicode(other));
        let hides = [".", "-"].iter().any(|mark| {
            let other = other.replace('.', mark);
            host.strip_prefix(&other).is_some_and(|rest| rest.starts_with(['.', '-']))
        });
        if same_look || hides {
            return Some(Suspicion::LooksLike(other.to_owned()));
        }
    }
    if seen.is_ascii() {
        return None;
    }
    let mixed = seen.split('.').any(|label| {
        !label.is_single_script() || label.detect_restriction_level() > RestrictionLevel::HighlyRestrictive
    });
    Some(if mixed { Suspicion::MixedScript } else { Suspicion::International })
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
        let known = ["mcp.acme.example", "login.acme.example", "api.github.com"];
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
            let found = judge(host, known.into_iter());
            assert_eq!(found, want.map(|known| Suspicion::LooksLike(known.to_owned())), "{host}");
        }
        // Cyrillic а and е in "acme".
        let cyrillic = idna::domain_to_ascii("mcp.\u{430}cm\u{435}.example").unwrap();
        assert!(cyrillic.contains("xn--"));
        assert_eq!(
            judge(&cyrillic, known.into_iter()),
            Some(Suspicion::LooksLike("mcp.acme.example".to_owned()))
        );
        assert_eq!(judge(&cyrillic, std::iter::empty()), Some(Suspicion::MixedScript));
        let german = idna::domain_to_ascii("bücher.example").unwrap();
        assert_eq!(judge(&german, known.into_iter()), Some(Suspicion::International));
        assert_eq!(judge("[::1]", known.into_iter()), None);
    }
}
