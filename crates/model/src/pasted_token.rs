//! A personal token as a person pastes it.

use crate::{Secret, secret_rules};

/// In bytes. Signed tokens with many claims are known to pass 16 kB.
const LONGEST: usize = 32 * 1024;

/// Takes a personal token out of what a person pasted: without white space around it, and without the words that
/// documentation puts before it (`Authorization: Bearer`). What is no token is refused in words that hold none of it.
pub fn pasted_token(text: &str) -> Result<Secret<String>, PastedTokenError> {
    let mut token = text.trim();
    for lead in ["authorization:", "bearer"] {
        let rest = token.get(..lead.len()).filter(|start| start.eq_ignore_ascii_case(lead));
        let rest = rest
            .map(|_| &token[lead.len()..])
            .filter(|rest| lead.ends_with(':') || rest.is_empty() || rest.starts_with(char::is_whitespace));
        token = rest.unwrap_or(token).trim();
    }
    if token.is_empty() {
        return Err(PastedTokenError::Empty);
    }
    if token.len() > LONGEST {
        return Err(PastedTokenError::TooLong { limit: LONGEST });
    }
    if secret_rules::is_placeholder(token) {
        return Err(PastedTokenError::Placeholder);
    }
    if secret_rules::without_references(token) != token {
        return Err(PastedTokenError::Reference);
    }
    // RFC 6750 section 2.1 allows fewer characters than issuers use; what a header cannot hold is refused.
    if !token.bytes().all(|byte| (0x21..0x7f).contains(&byte)) {
        return Err(PastedTokenError::Characters);
    }
    Ok(Secret::from(token))
}

/// Why a text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PastedTokenError {
    /// Nothing, or only the words before a token.
    #[error("no token was given")]
    Empty,
    /// `<YOUR_TOKEN>`, `xxx`.
    #[error("that is a placeholder out of some documentation, and no token")]
    Placeholder,
    /// `${TOKEN}`, `op://…`.
    #[error("that names a place where a token is kept, and is no token itself")]
    Reference,
    /// White space inside, control characters, anything beyond ASCII.
    #[error("that is no token: one holds no spaces, line breaks or accents")]
    Characters,
    /// Too long.
    #[error("that is longer than any token ({limit} bytes)")]
    TooLong {
        /// In bytes.
        limit: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_documentation_puts_around_a_token_is_taken_off() {
        let token = "github_pat_11ABC0_x-._~+/=:";
        for pasted in [
            token.to_owned(),
            format!("  {token}\r\n"),
            format!("Bearer {token}"),
            format!("bearer\t{token}"),
            format!("Authorization: Bearer {token}"),
            format!("authorization:BEARER  {token}"),
        ] {
            assert_eq!(pasted_token(&pasted).unwrap().expose(), token, "{pasted}");
        }
        // A token may begin with those letters.
        assert_eq!(pasted_token("bearer-4f9c2d").unwrap().expose(), "bearer-4f9c2d");
        assert_eq!(pasted_token(&"a1".repeat(10_000)).unwrap().expose().len(), 20_000);
    }

    #[test]
    fn what_is_no_token_is_refused_without_being_repeated() {
        use PastedTokenError::{Characters, Empty, Placeholder, Reference, TooLong};
        for (pasted, why) in [
            ("", Empty),
            (" \n", Empty),
            ("Bearer", Empty),
            ("Authorization: Bearer ", Empty),
            ("<YOUR_TOKEN>", Placeholder),
            ("Bearer <my-developer-token>", Placeholder),
            ("YOUR_TOKEN", Placeholder),
            ("your-token-here", Placeholder),
            ("xxx", Placeholder),
            ("ghp_xxxxxxxxxxxx", Placeholder),
            ("${GITHUB_TOKEN}", Reference),
            ("Bearer $TOKEN", Reference),
            ("{env:TOKEN}", Reference),
            ("abc${TAIL}", Reference),
            ("two words", Characters),
            ("Basic YW5hOnNlc2FtZQ==", Characters),
            ("abc\u{7}def", Characters),
            ("abc\ndef", Characters),
            ("t\u{f6}ken", Characters),
            ("zero\u{200b}width", Characters),
        ] {
            let error = pasted_token(pasted).unwrap_err();
            assert_eq!(error, why, "{pasted:?}");
            assert!(pasted.trim().is_empty() || !error.to_string().contains(pasted.trim()), "{error}");
        }
        assert_eq!(pasted_token(&"a1".repeat(20_000)).unwrap_err(), TooLong { limit: 32 * 1024 });
    }
}
