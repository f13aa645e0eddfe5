//! Reads Rust text just far enough to know code from comments and strings, so that rules about words do not trip
//! over prose.

/// The words and marks of the code, in order: comments, strings and characters are left out.
pub(crate) fn tokens(source: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let length = skipped(rest).unwrap_or_else(|| {
            let word = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
            let length = if word == 0 { first.len_utf8() } else { word };
            if !first.is_whitespace() {
                found.push(&rest[..length]);
            }
            length
        });
        rest = &rest[length..];
    }
    found
}

/// The length of the comment, string or character that begins here, if one does.
fn skipped(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if text.starts_with("/*") {
        return Some(block_comment(text));
    }
    let prefix = ["br", "cr", "r", "b", "c"].into_iter().find(|prefix| {
        text.strip_prefix(prefix).is_some_and(|rest| rest.trim_start_matches('#').starts_with('"'))
    });
    let start = prefix.map_or(0, str::len);
    let raw = prefix.is_some_and(|prefix| prefix.ends_with('r'));
    let body = &text[start..];
    if raw {
        let hashes = body.len() - body.trim_start_matches('#').len();
        let end = format!("\"{}", "#".repeat(hashes));
        let inside = &body[hashes + 1..];
        return Some(start + hashes + 1 + inside.find(&end).map_or(inside.len(), |at| at + end.len()));
    }
    if body.starts_with('"') {
        return Some(start + quoted(body, '"'));
    }
    // A character, not a lifetime: 'x' or '\n', while 'a in &'a str has no closing mark.
    let character = text.strip_prefix('\'')?;
    let mut letters = character.chars();
    match (letters.next(), letters.next()) {
        (Some('\\'), _) => Some(quoted(text, '\'')),
        (Some(letter), Some('\'')) => Some(2 + letter.len_utf8()),
        (_, _) => None,
    }
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

fn quoted(text: &str, mark: char) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if letter == mark => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_strings_and_characters_are_no_code() {
        let source = r##"
            // unsafe in a line
            /* unsafe /* nested */ unsafe */
            let a = "unsafe \" unsafe"; let b = r#"unsafe " unsafe"#; let c = b'"'; let d = '\''; let e = '"';
            fn f<'a>(x: &'a str) -> &'a str { x }
        "##;
        let words = tokens(source);
        assert!(!words.contains(&"unsafe") && !words.contains(&"nested"), "{words:?}");
        assert_eq!(words.iter().filter(|word| **word == "let").count(), 5);
        assert_eq!(words.last(), Some(&"}"));
    }

    #[test]
    fn code_is_found_after_a_string_that_looks_like_its_own_end() {
        assert_eq!(tokens(r#"let p = "C:\\"; unsafe {}"#), ["let", "p", "=", ";", "unsafe", "{", "}"]);
    }
}
