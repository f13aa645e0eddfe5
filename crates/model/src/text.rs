//! What text from people and from elsewhere may not hold, since eyes would not notice it.

/// Whether a character cannot be seen, or changes how its neighbours read: control characters, reading
/// direction (Unicode Standard Annex 9), zero width, tags and variation selectors, line separators.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{00ad}'
                | '\u{034f}'
                | '\u{061c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// Text for eyes: hidden characters out, white space around it off, at most `max` characters.
pub fn visible(text: &str, max: usize) -> String {
    let kept: String = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
    let kept: String = kept.trim().chars().filter(|c| !is_hidden(*c)).take(max).collect();
    kept.trim().to_owned()
}

/// A text with its percent encoding (RFC 3986 section 2.1) taken away; what is none stays as it is.
pub fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let hex = |at: usize| {
        bytes.get(at).and_then(|b| char::from(*b).to_digit(16)).and_then(|digit| u8::try_from(digit).ok())
    };
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        if let (b'%', Some(high), Some(low)) = (byte, hex(at + 1), hex(at + 2)) {
            out.push(high << 4 | low);
            at += 3;
        } else {
            out.push(*byte);
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_encoding_is_taken_away_once() {
        for (text, plain) in
            [("a%20b", "a b"), ("%C3%A4", "ä"), ("%2520", "%20"), ("100%", "100%"), ("%zz%", "%zz%")]
        {
            assert_eq!(percent_decoded(text), plain);
        }
        assert_eq!(percent_decoded("%ff"), "\u{fffd}");
    }

    #[test]
    fn what_cannot_be_seen_is_told_from_letters() {
        for hidden in
            ['\0', '\n', '\u{1b}', '\u{7f}', '\u{85}', '\u{200b}', '\u{202e}', '\u{2066}', '\u{feff}']
        {
            assert!(is_hidden(hidden), "{hidden:?}");
        }
        for seen in ['a', 'ä', ' ', '<', '日', '\u{5d0}', '\u{1f600}', '\u{fffd}'] {
            assert!(!is_hidden(seen), "{seen:?}");
        }
    }

    #[test]
    fn visible_text_is_what_eyes_get() {
        assert_eq!(visible("  Wo\u{202e}rk\n\tx \u{200b}", 100), "Work  x");
        assert_eq!(visible("abcdef", 3), "abc");
        assert_eq!(visible("\u{200b}", 3), "");
    }
}
