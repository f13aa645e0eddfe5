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

#[cfg(test)]
mod tests {
    use super::*;

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
