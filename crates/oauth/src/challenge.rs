//! The `WWW-Authenticate` header of a 401 or 403: what the server asks for, and where its metadata lies.

use http::HeaderMap;

/// One challenge (RFC 9110 section 11.6.1), with the parameters that we use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Challenge {
    /// The scheme in lower case: `bearer`.
    pub scheme: String,
    /// Where the protected resource metadata lies (RFC 9728 section 5.1).
    pub resource_metadata: Option<String>,
    /// The scopes that are asked for (RFC 6750 section 3).
    pub scope: Option<String>,
    /// The error code (RFC 6750 section 3.1).
    pub error: Option<String>,
}

/// The challenge to act on: the Bearer one that names metadata, else any Bearer one, else any that names
/// metadata, else the first. Anything unreadable is skipped.
pub fn challenge(headers: &HeaderMap) -> Option<Challenge> {
    let all: Vec<Challenge> = headers
        .get_all(http::header::WWW_AUTHENTICATE)
        .iter()
        .flat_map(|value| parse_challenges(&String::from_utf8_lossy(value.as_bytes())))
        .collect();
    let rank = |c: &Challenge| match (c.scheme == "bearer", c.resource_metadata.is_some()) {
        (true, true) => 0,
        (true, false) => 1,
        (false, true) => 2,
        (false, false) => 3,
    };
    all.into_iter().min_by_key(rank)
}

/// Parses one header value: several challenges, quoted strings, token68, and garbage between them.
pub fn parse_challenges(value: &str) -> Vec<Challenge> {
    let mut rest = Cursor { text: value };
    let mut found: Vec<Challenge> = Vec::new();
    loop {
        rest.skip(|c| c == ',' || c.is_ascii_whitespace());
        if rest.text.is_empty() {
            return found;
        }
        let word = rest.take(is_token);
        if word.is_empty() {
            // Garbage: on to the next comma, not into a quoted string.
            if rest.text.starts_with('"') {
                rest.quoted();
            } else {
                rest.bump();
            }
            continue;
        }
        rest.skip(|c| c.is_ascii_whitespace());
        if let Some(after) = rest.text.strip_prefix('=')
            && let Some(current) = found.last_mut()
        {
            rest.text = after;
            rest.skip(|c| c.is_ascii_whitespace());
            let value = if rest.text.starts_with('"') {
                rest.quoted()
            } else {
                rest.take(|c| c != ',' && !c.is_ascii_whitespace()).to_owned()
            };
            current.set(word, value);
        } else {
            // A scheme; a token68 that follows it is of no use to us.
            found.push(Challenge { scheme: word.to_ascii_lowercase(), ..Challenge::default() });
            rest.skip_token68();
        }
    }
}

impl Challenge {
    /// The first of a repeated parameter counts.
    fn set(&mut self, name: &str, value: String) {
        let field = match name.to_ascii_lowercase().as_str() {
            "resource_metadata" => &mut self.resource_metadata,
            "scope" => &mut self.scope,
            "error" => &mut self.error,
            _ => return,
        };
        if field.is_none() && !value.is_empty() {
            *field = Some(value);
        }
    }
}

/// What is still to be read.
struct Cursor<'a> {
    text: &'a str,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, good: impl Fn(char) -> bool) -> &'a str {
        let end = self.text.find(|c| !good(c)).unwrap_or(self.text.len());
        let (head, tail) = self.text.split_at(end);
        self.text = tail;
        head
    }

    fn skip(&mut self, good: impl Fn(char) -> bool) {
        self.take(good);
    }

    fn bump(&mut self) {
        let mut chars = self.text.chars();
        chars.next();
        self.text = chars.as_str();
    }

    /// A quoted string, which may lack its end (RFC 9110 section 5.6.4).
    fn quoted(&mut self) -> String {
        self.bump();
        let mut value = String::new();
        let mut chars = self.text.chars();
        while let Some(c) = chars.next() {
            match c {
                '"' => break,
                '\\' => value.extend(chars.next()),
                c => value.push(c),
            }
        }
        self.text = chars.as_str();
        value
    }

    /// Skips `Negotiate abc123==`: a word that ends the challenge and is no parameter name.
    fn skip_token68(&mut self) {
        let mut ahead = Cursor { text: self.text };
        let word = ahead.take(|c| c.is_ascii_alphanumeric() || "-._~+/".contains(c));
        if word.is_empty() {
            return;
        }
        ahead.skip(|c| c == '=');
        let tail = ahead.text.trim_start();
        if tail.is_empty() || tail.starts_with(',') {
            self.text = ahead.text;
        }
    }
}

/// RFC 9110 section 5.6.2.
fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn one(value: &str) -> Challenge {
        let mut headers = HeaderMap::new();
        headers.insert(http::header::WWW_AUTHENTICATE, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        challenge(&headers).unwrap_or_default()
    }

    #[test]
    fn parameters_are_read_in_every_spelling() {
        let want = Challenge {
            scheme: "bearer".into(),
            resource_metadata: Some("https://a.example/m?x=1,2".into()),
            scope: Some("a b".into()),
            error: Some("invalid_token".into()),
        };
        for text in [
            r#"Bearer resource_metadata="https://a.example/m?x=1,2", scope="a b", error="invalid_token""#,
            r#"bearer scope="a b" , ERROR=invalid_token,resource_metadata = "https://a.example/m?x=1,2""#,
            r#"Basic realm="x, Bearer y=\"z\"", Bearer error="invalid_token", scope="a b", resource_metadata="https://a.example/m?x=1,2""#,
            r#"Negotiate YII+abc/==, Bearer scope="a b",error="invalid_token",resource_metadata="https://a.example/m?x=1,2""#,
            r#"Negotiate, Bearer realm="", scope="a b",error="invalid_token",resource_metadata="https://a.example/m?x=1,2""#,
            r#"Bearer scope="a b" error="invalid_token" resource_metadata="https://a.example/m?x=1,2""#,
            r#", ,Bearer scope="a\ b",error="invalid_token", error="second",,resource_metadata="https://a.example/m?x=1,2",@@@"#,
        ] {
            assert_eq!(one(text), want, "{text}");
        }
    }

    #[test]
    fn a_bearer_challenge_that_names_metadata_is_preferred() {
        let mut headers = HeaderMap::new();
        for value in [
            r#"Basic realm="a""#,
            "Bearer",
            r#"DPoP resource_metadata="d""#,
            r#"Bearer resource_metadata="b""#,
        ] {
            headers.append(http::header::WWW_AUTHENTICATE, HeaderValue::from_static(value));
        }
        assert_eq!(challenge(&headers).unwrap().resource_metadata.as_deref(), Some("b"));
        assert_eq!(one("Basic realm=x, Bearer").scheme, "bearer");
        assert_eq!(one("Basic realm=x").scheme, "basic");
        assert!(challenge(&HeaderMap::new()).is_none());
    }

    #[test]
    fn a_parameter_of_another_challenge_is_not_mixed_in() {
        let all = parse_challenges(r#"Basic scope="wrong", Bearer scope="right""#);
        assert_eq!(all.len(), 2);
        assert_eq!(all[1].scope.as_deref(), Some("right"));
    }

    #[test]
    fn an_unfinished_quotation_does_not_hide_what_came_before() {
        assert_eq!(one(r#"Bearer scope="a", resource_metadata="https://a.exa"#).scope.as_deref(), Some("a"));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic_or_hang(text in ".{0,300}") {
            let _ = parse_challenges(&text);
        }

        #[test]
        fn no_nearly_right_text_does_either(text in r#"(Bearer|Basic|[=",\\ a-z]){0,60}"#) {
            let _ = parse_challenges(&text);
        }
    }
}
