//! How answers and errors reach people and programs: data on stdout, talk on stderr.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use ipc::{Error, ErrorCode};
use model::UnixTime;
use serde::Serialize;
use serde_json::{Value, json};

/// Where a command's words go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    /// One JSON object instead of text.
    pub(crate) json: bool,
    /// No talk.
    pub(crate) quiet: bool,
}

impl Output {
    /// Data: text for people.
    #[expect(clippy::unused_self, reason = "the counterpart of talk(), so that no caller prints by itself")]
    pub(crate) fn line(self, text: impl AsRef<str>) {
        // A closed pipe (`hallpass status | head -1`) is no error of ours.
        let _closed = writeln!(std::io::stdout().lock(), "{}", printable(text.as_ref()));
    }

    /// Data: one JSON object with its schema's name.
    #[expect(clippy::unused_self, reason = "the counterpart of line()")]
    pub(crate) fn object(self, schema: &str, value: &impl Serialize) -> Result<(), Error> {
        let value = serde_json::to_value(value).map_err(|e| {
            Error::new(ErrorCode::Failed, format!("the answer cannot be written as JSON: {e}"))
        })?;
        let mut object = json!({ "schema": format!("hallpass.{schema}/1") });
        match (value, object.as_object_mut()) {
            (Value::Object(fields), Some(object)) => object.extend(fields),
            (other, Some(object)) => {
                object.insert("value".to_owned(), other);
            }
            (_, None) => {}
        }
        let text = serde_json::to_string_pretty(&object).unwrap_or_default();
        let _closed = writeln!(std::io::stdout().lock(), "{text}");
        Ok(())
    }

    /// Talk: progress, what is happening now.
    pub(crate) fn talk(self, text: impl AsRef<str>) {
        if !self.quiet {
            say(text.as_ref());
        }
    }

    /// Talk that cannot be left out: an address to open, a warning.
    #[expect(clippy::unused_self, reason = "the counterpart of talk(), so that no caller prints by itself")]
    pub(crate) fn notice(self, text: impl AsRef<str>) {
        say(text.as_ref());
    }

    /// What we drew ourselves, escape sequences included; on stderr, and only onto a terminal.
    pub(crate) fn picture(lines: &[String]) {
        let mut err = std::io::stderr().lock();
        if err.is_terminal() {
            for line in lines {
                let _closed = writeln!(err, "{line}");
            }
        }
    }

    /// Columns of equal width, the first row being the heading.
    pub(crate) fn table(self, rows: &[Vec<String>]) {
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                let pad = width.saturating_sub(cell.chars().count());
                line.push_str(cell);
                line.push_str(&" ".repeat(pad + 2));
            }
            self.line(line.trim_end());
        }
    }
}

/// Whether a person can be asked.
pub(crate) fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Prints the error as sentence and next step, and gives the exit code.
pub(crate) fn fail(error: &Error, json: bool) -> ExitCode {
    if json {
        let object = json!({ "schema": "hallpass.error/1", "error": error });
        let _closed = writeln!(std::io::stdout().lock(), "{object:#}");
    }
    say(&format!("hallpass: {}", error.message));
    if !error.hint.is_empty() {
        say(&format!("  next: {}", error.hint));
    }
    ExitCode::from(error.code.exit_code())
}

/// `in 3 min`, `2 h ago`.
pub(crate) fn relative(at: UnixTime) -> String {
    let now = now().0;
    let words = |seconds: u64| match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86400 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86400),
    };
    if at.0 > now { format!("in {}", words(at.0 - now)) } else { format!("{} ago", words(now - at.0)) }
}

/// Now.
pub(crate) fn now() -> UnixTime {
    UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}

/// The day of a moment, UTC (ISO 8601).
pub(crate) fn day(at: UnixTime) -> String {
    preset::format_time(at)[..10].to_owned()
}

/// `2026-11-29 14:05 UTC (in 7 days)`: the day in one zone that is named, since no other is known here.
pub(crate) fn moment(at: UnixTime) -> String {
    let text = preset::format_time(at);
    format!("{} {} UTC ({})", &text[..10], &text[11..16], relative(at))
}

fn say(text: &str) {
    let _closed = writeln!(std::io::stderr().lock(), "{}", printable(text));
}

/// Text from outside cannot move the cursor, recolour the terminal or turn the reading direction.
fn printable(text: &str) -> String {
    let hidden = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let text = text.replace("\r\n", "\n");
    text.chars().map(|c| if hidden(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01"),
            (1_709_251_199, "2024-02-29"),
            (1_801_439_999, "2027-01-31"),
            (1_798_761_600, "2027-01-01"),
        ] {
            assert_eq!(day(UnixTime(seconds)), text);
        }
    }

    #[test]
    fn control_and_direction_characters_are_shown_as_such() {
        assert_eq!(printable("a\u{1b}[31mb\u{202e}c\r"), "a\u{fffd}[31mb\u{fffd}c\u{fffd}");
        assert_eq!(printable("ä\r\n日本\n"), "ä\n日本\n");
    }
}
