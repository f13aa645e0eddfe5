//! Text that a server sent and that a person may read: escaped and short, so that it cannot pose as ours.

use std::fmt;

/// At most this many characters of a server's text are kept.
const MOST: usize = 200;

/// A server's words, safe to print: control and direction-changing characters are escaped, the rest is
/// cut at 200 characters. Quote it where it is shown.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerText(String);

impl ServerText {
    /// Escapes and cuts.
    pub fn new(text: &str) -> Self {
        let mut safe = String::new();
        for (n, c) in text.chars().enumerate() {
            if n == MOST {
                safe.push('…');
                break;
            }
            if c.is_control() || is_invisible(c) {
                safe.extend(c.escape_unicode());
            } else {
                safe.push(c);
            }
        }
        Self(safe)
    }

    /// The safe text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServerText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ServerText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// A server's words behind a colon.
pub(crate) fn said(text: Option<&ServerText>) -> String {
    text.map(|text| format!(" (it says: \"{text}\")")).unwrap_or_default()
}

/// Zero-width characters, and those that change the direction of what follows.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{061c}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_moves_the_cursor_or_the_eye_passes() {
        let text = ServerText::new("a\u{1b}[2Jb\r\nc\u{202e}d\u{200b}").as_str().to_owned();
        assert!(!text.chars().any(|c| c.is_control() || is_invisible(c)), "{text}");
        assert!(text.starts_with("a\\u{1b}[2Jb"));
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!(ServerText::new(&"ä".repeat(5000)).as_str().chars().count(), MOST + 1);
        assert_eq!(ServerText::new("short").as_str(), "short");
    }
}
