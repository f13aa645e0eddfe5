//! Names that others chose (servers, accounts, lists), made fit for one line of a menu.

/// The name on one line: no control, direction or invisible characters, single spaces, at most `longest` characters.
pub(crate) fn clean(name: &str, longest: usize) -> String {
    let visible = name.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(|c| !is_hidden(*c));
    // Longer than any menu is wide, and a bound on the work.
    let visible: String = visible.take(longest * 8).collect();
    let words: Vec<&str> = visible.split(' ').filter(|word| !word.is_empty()).collect();
    let line = words.join(" ");
    if line.is_empty() {
        return "(no name)".to_owned();
    }
    if line.chars().count() <= longest {
        return line;
    }
    let short: String = line.chars().take(longest.saturating_sub(1)).collect();
    format!("{}…", short.trim_end())
}

/// Characters that change how their neighbours are shown, or show nothing themselves.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffc}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_become_one_plain_line() {
        for (name, shown) in [
            ("GitHub", "GitHub"),
            ("  Acme\n\tTickets ", "Acme Tickets"),
            ("ana\u{202e}moc.live", "anamoc.live"),
            ("a\u{200b}n\u{feff}a\u{0}\u{7}", "ana"),
            ("<script>alert(1)</script>", "<script>alert(1)</script>"),
            ("snake_case & co", "snake_case & co"),
            ("\u{5e9}\u{5dc}\u{5d5}\u{5dd}", "\u{5e9}\u{5dc}\u{5d5}\u{5dd}"),
            ("\u{2066}\u{2069}\u{200b}", "(no name)"),
            ("", "(no name)"),
        ] {
            assert_eq!(clean(name, 40), shown, "{name:?}");
        }
    }

    #[test]
    fn a_long_name_is_cut_at_a_character() {
        assert_eq!(clean(&"é".repeat(10_000), 5), "éééé…");
        assert_eq!(clean("exact", 5), "exact");
        assert_eq!(clean("four five", 6), "four…");
    }
}
