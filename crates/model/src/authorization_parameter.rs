//! Which parameters of an authorization request may be set beside those of the standards: by a person, by a list, by the
//! table of quirks.

/// At most so many for one Server.
pub const MOST: usize = 8;

/// Whether a text can be the name of one: 1 to 64 letters, digits, `_`, `-` and `.`.
pub fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
}

/// Whether a text can be the value of one: at most 512 printable ASCII characters.
pub fn is_value(text: &str) -> bool {
    text.len() <= 512 && text.bytes().all(|b| matches!(b, 0x20..=0x7e))
}

/// Whether a request sets this one itself. Names compare without case.
pub fn is_reserved(name: &str) -> bool {
    RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name))
}

/// Names that a request sets itself, or that change what comes back and how (RFC 6749, 7636, 8707, 9101, 9126;
/// OpenID Connect Core section 3.1.2.1), and names of secrets, which do not belong into a browser's address.
const RESERVED: [&str; 27] = [
    "response_type",
    "response_mode",
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code",
    "code_challenge",
    "code_challenge_method",
    "code_verifier",
    "resource",
    "request",
    "request_uri",
    "registration",
    "grant_type",
    "access_token",
    "refresh_token",
    "id_token",
    "id_token_hint",
    "assertion",
    "dpop_jkt",
    "iss",
    "error",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_protocol_can_be_set() {
        for name in RESERVED {
            assert!(is_name(name) && is_reserved(name) && is_reserved(&name.to_uppercase()), "{name}");
        }
        for name in ["prompt", "access_type", "audience"] {
            assert!(is_name(name) && !is_reserved(name), "{name}");
        }
    }
}
