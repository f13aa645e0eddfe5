//! More scopes, when a server says that the token's are too few (MCP authorization, Step-Up Authorization Flow;
//! RFC 6750 section 3.1). Decides only: whether to widen a sign-in is for the person to say.

use crate::challenge::{Challenge, parse_challenges};
use crate::scopes::Scopes;

/// A call is followed by at most this many wider sign-ins; with the first one these are the three
/// authorizations that the specification's "a few times" is judged by (conformance: auth/scope-retry-limit).
pub const MOST_STEP_UPS: u8 = 2;

/// What is known of the sign-in whose token was too narrow.
#[derive(Clone, Copy, Debug)]
pub struct Narrow<'a> {
    /// The scopes that it asked for.
    pub asked: &'a Scopes,
    /// The scopes that it was granted, where the issuer said so.
    pub granted: Option<&'a Scopes>,
    /// How often this call has been followed by a wider sign-in. Counted for each Grant and operation, and
    /// forgotten when the call succeeds.
    pub step_ups: u8,
}

/// What to do about a refused call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepUp {
    /// It was not refused for its scopes.
    NotAScopeMatter,
    /// Ask the person to sign in again with more.
    AskPerson {
        /// What to ask the issuer for: all that was asked for before, and what is missing (SEP-2350).
        scopes: Scopes,
        /// What is new in it, to be shown.
        missing: Scopes,
    },
    /// Another sign-in would bring nothing.
    GiveUp(GaveUp),
}

/// Why a wider sign-in is not offered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GaveUp {
    /// It was tried as often as makes sense.
    #[error("the server still asks for more rights after {MOST_STEP_UPS} further sign-ins; ask its operator")]
    TooOften,
    /// The server names no scope, so there is nothing to ask for.
    #[error("the server says that rights are missing and does not say which; ask its operator")]
    NamesNothing,
    /// Everything that it names was granted.
    #[error("the server asks for rights that you have already ({scopes}); ask its operator")]
    HasThem {
        /// What it names.
        scopes: String,
    },
}

/// Decides about a 403 (or a 401 that speaks of scopes) by its `WWW-Authenticate` header values.
pub fn step_up(header_values: &[&str], narrow: Narrow<'_>) -> StepUp {
    let challenges = header_values.iter().flat_map(|value| parse_challenges(value));
    let Some(challenge) = challenges.into_iter().find(is_insufficient_scope) else {
        return StepUp::NotAScopeMatter;
    };
    // The challenge is authoritative, and says nothing of how its scopes relate to others (A14).
    let wanted = Scopes::parse(challenge.scope.as_deref().unwrap_or_default());
    if wanted.as_slice().is_empty() {
        return StepUp::GiveUp(GaveUp::NamesNothing);
    }
    let has = narrow.granted.unwrap_or(narrow.asked);
    let missing = wanted.without(has);
    if missing.as_slice().is_empty() {
        return StepUp::GiveUp(GaveUp::HasThem { scopes: wanted.as_slice().join(" ") });
    }
    if narrow.step_ups >= MOST_STEP_UPS {
        return StepUp::GiveUp(GaveUp::TooOften);
    }
    StepUp::AskPerson { scopes: narrow.asked.clone().union(&wanted), missing }
}

fn is_insufficient_scope(challenge: &Challenge) -> bool {
    challenge.scheme == "bearer" && challenge.error.as_deref() == Some("insufficient_scope")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decided(header: &str, asked: &str, granted: Option<&str>, step_ups: u8) -> StepUp {
        let (asked, granted) = (Scopes::parse(asked), granted.map(Scopes::parse));
        step_up(&[header], Narrow { asked: &asked, granted: granted.as_ref(), step_ups })
    }

    fn ask(scopes: &str, missing: &str) -> StepUp {
        StepUp::AskPerson { scopes: Scopes::parse(scopes), missing: Scopes::parse(missing) }
    }

    #[test]
    fn the_union_is_asked_for_a_few_times_and_never_in_vain() {
        let write = r#"Bearer error="insufficient_scope", scope="write""#;
        let has_them = |scopes: &str| StepUp::GiveUp(GaveUp::HasThem { scopes: scopes.into() });
        for (header, asked, granted, step_ups, want) in [
            (write, "read", None, 0, ask("read write", "write")),
            (write, "read", Some("read"), 1, ask("read write", "write")),
            (write, "openid read", Some("read"), 0, ask("openid read write", "write")),
            (write, "", None, 0, ask("write", "write")),
            // Asked for, and not granted: a person may say yes this time.
            (write, "read write", Some("read"), 1, ask("read write", "write")),
            (write, "read", None, 2, StepUp::GiveUp(GaveUp::TooOften)),
            (write, "read", None, u8::MAX, StepUp::GiveUp(GaveUp::TooOften)),
            (write, "read write", None, 0, has_them("write")),
            (write, "read", Some("read write"), 0, has_them("write")),
            (r#"Bearer error="insufficient_scope""#, "read", None, 0, StepUp::GiveUp(GaveUp::NamesNothing)),
            (
                r#"Bearer error="insufficient_scope", scope="\"""#,
                "",
                None,
                0,
                StepUp::GiveUp(GaveUp::NamesNothing),
            ),
            (r#"Bearer error="invalid_token", scope="write""#, "read", None, 0, StepUp::NotAScopeMatter),
            (r#"Bearer scope="write""#, "read", None, 0, StepUp::NotAScopeMatter),
            (r#"DPoP error="insufficient_scope", scope="write""#, "read", None, 0, StepUp::NotAScopeMatter),
            (
                r#"Basic realm="x", Bearer error=insufficient_scope, scope="write admin""#,
                "read",
                None,
                0,
                ask("read write admin", "write admin"),
            ),
            ("", "read", None, 0, StepUp::NotAScopeMatter),
        ] {
            assert_eq!(
                decided(header, asked, granted, step_ups),
                want,
                "{header} {asked:?} {granted:?} {step_ups}"
            );
        }
    }

    #[test]
    fn several_header_lines_are_read_as_one() {
        let asked = Scopes::parse("read");
        let lines = ["Basic realm=x", r#"Bearer error="insufficient_scope", scope="write""#];
        let narrow = Narrow { asked: &asked, granted: None, step_ups: 0 };
        assert_eq!(step_up(&lines, narrow), ask("read write", "write"));
    }

    proptest! {
        #[test]
        fn what_was_asked_for_is_never_lost_and_the_end_always_comes(
            header in r#"Bearer error="insufficient_scope", scope="[a-e ]{0,12}""#, asked in "[a-e ]{0,12}",
        ) {
            let before = Scopes::parse(&asked);
            if let StepUp::AskPerson { scopes, missing } = decided(&header, &asked, None, 0) {
                prop_assert!(before.without(&scopes).as_slice().is_empty());
                prop_assert!(missing.without(&scopes).as_slice().is_empty());
                prop_assert!(!missing.as_slice().is_empty());
            }
            let end = decided(&header, &asked, None, MOST_STEP_UPS);
            prop_assert!(!matches!(end, StepUp::AskPerson { .. }), "{:?}", end);
        }
    }
}
