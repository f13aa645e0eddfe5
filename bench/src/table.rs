//! The table as text, and its place in `docs/performance.md`: between two markers, so that the prose around it stays.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use crate::rows::{Form, ROWS, Row, WINDOWS, Weight};
use crate::stats::Figures;
use crate::world::{BARE, DIRECT, FLOOR, HALLPASS, NOT_ASKED_FOR};

/// The columns, in order.
const COLUMNS: [&str; 7] =
    [DIRECT, FLOOR, "mcp-relay", "hyper-mcp-remote", "mcp-stdio", "mcp-remote", HALLPASS];

/// The table, the reasons for gaps below it, and a sentence on the rows that must be met.
pub(crate) fn markdown(figures: &Figures, about: &str) -> String {
    let measured = |row: &&Row| row.keys.iter().any(|key| figures.median(key, HALLPASS).is_some());
    let shown: Vec<&Row> = ROWS.iter().filter(measured).collect();
    if shown.is_empty() {
        return format!("{about}\n");
    }
    let mut text = format!("{about}\n\n| what | {} | goal | met |\n", COLUMNS.join(" | "));
    let _ = writeln!(text, "|{}", "---|".repeat(COLUMNS.len() + 3));
    let mut gaps: Vec<String> = Vec::new();
    let (mut musts, mut missed) = (0, Vec::new());
    for row in shown {
        let cells: Vec<String> = COLUMNS.iter().map(|column| cell(figures, row, column, &mut gaps)).collect();
        let met = (row.met)(figures);
        if row.weight == Weight::Must {
            musts += 1;
            if met != Some(true) {
                missed.push(row.title);
            }
        }
        let verdict = match met {
            Some(true) => "yes",
            Some(false) => "**no**",
            None if row.goal == "-" => "-",
            None => "?",
        };
        let star = if row.weight == Weight::Must { " *" } else { "" };
        let _ = writeln!(text, "| {}{star} | {} | {} | {verdict} |", row.title, cells.join(" | "), row.goal);
    }
    let _ = match missed.as_slice() {
        [] if musts == 0 => Ok(()),
        [] => writeln!(text, "\n\\* must be met: all {musts} are."),
        missed => {
            writeln!(text, "\n\\* must be met: {} of {musts} are not: {}.", missed.len(), missed.join("; "))
        }
    };
    if !gaps.is_empty() {
        text.push_str("\nWhy a figure is missing:\n\n");
        for gap in gaps {
            let _ = writeln!(text, "- {gap}");
        }
    }
    text
}

/// The table of the window: ours beside the least that Tauri can do, and how many times as much it is. Without any
/// figure it is the reason for that, or nothing where nobody asked.
pub(crate) fn windows(figures: &Figures) -> String {
    if WINDOWS.iter().all(|(_, key)| figures.median(key, HALLPASS).is_none()) {
        let why = WINDOWS.iter().find_map(|(_, key)| figures.why(key, HALLPASS));
        return why.map_or_else(String::new, |why| format!("Not measured: {}\n", one_line(why)));
    }
    let mut text = format!("| what | {BARE} | {HALLPASS} | ratio |\n|---|---|---|---|\n");
    let mut gaps = Vec::new();
    for (title, key) in WINDOWS {
        let (bare, ours) = (figures.median(key, BARE), figures.median(key, HALLPASS));
        let shown = |value: Option<f64>| value.map_or("-".to_owned(), |value| written(value, Form::Plain));
        let ratio = bare
            .filter(|bare| *bare > 0.0)
            .zip(ours)
            .map_or("-".to_owned(), |(bare, ours)| format!("{:.1} x", ours / bare));
        let _ = writeln!(text, "| {title} | {} | {} | {ratio} |", shown(bare), shown(ours));
        if let (None, Some(why)) = (ours, figures.why(key, HALLPASS)) {
            gaps.push(format!("- {title}: {}\n", one_line(why)));
        }
    }
    if !gaps.is_empty() {
        let _ = write!(text, "\nWhy a figure is missing:\n\n{}", gaps.concat());
    }
    text
}

fn cell(figures: &Figures, row: &Row, column: &'static str, gaps: &mut Vec<String>) -> String {
    let parts: Vec<String> = row
        .keys
        .iter()
        .map(|key| {
            if let Some(value) = figures.median(key, column) {
                // The direct share is what the others are a share of.
                let form = if column == DIRECT && row.form == Form::Share { Form::Count } else { row.form };
                return written(value, form);
            }
            let Some(why) = figures.why(key, column).filter(|why| *why != NOT_ASKED_FOR) else {
                return "-".to_owned();
            };
            let gap = format!("{column}, {}: {}", row.title, one_line(why));
            if !gaps.contains(&gap) {
                gaps.push(gap);
            }
            "x".to_owned()
        })
        .collect();
    if parts.iter().all(|part| part == "-") { "-".to_owned() } else { parts.join(" / ") }
}

fn written(value: f64, form: Form) -> String {
    match form {
        _ if value.is_infinite() => "never".to_owned(),
        Form::Share => format!("{value:.2}"),
        Form::Plain if value.abs() < 0.05 => "0".to_owned(),
        Form::Plain if value < 10.0 => format!("{value:.1}"),
        Form::Plain | Form::Count => grouped(value),
    }
}

/// With a comma before every three digits.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 && text != "-" {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(160).collect()
}

/// Puts `text` between the markers of this name; what stands around them stays.
pub(crate) fn put(path: &Path, name: &str, text: &str) -> io::Result<()> {
    let old = fs::read_to_string(path)?;
    fs::write(path, replaced(&old, name, text).map_err(io::Error::other)?)
}

fn replaced(old: &str, name: &str, text: &str) -> Result<String, String> {
    let (begin, end) = (format!("<!-- bench:{name} -->"), format!("<!-- /bench:{name} -->"));
    let missing = || format!("the page has no place for it: {begin} and {end}");
    let (before, rest) = old.split_once(&begin).ok_or_else(missing)?;
    let (_, after) = rest.split_once(&end).ok_or_else(missing)?;
    Ok(format!("{before}{begin}\n{}\n{end}{after}", text.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_with_few_digits() {
        assert_eq!(written(2.149, Form::Plain), "2.1");
        assert_eq!(written(112.4, Form::Plain), "112");
        assert_eq!(written(0.0, Form::Plain), "0");
        assert_eq!(written(1_090_000.0, Form::Count), "1,090,000");
        assert_eq!(written(0.634, Form::Share), "0.63");
        assert_eq!(written(f64::INFINITY, Form::Plain), "never");
        assert_eq!(grouped(-120.0), "-120");
    }

    #[test]
    fn prose_around_the_table_stays() {
        let page = "# A\nwords\n<!-- bench:x -->\nold\n<!-- /bench:x -->\nmore words\n";
        let new = replaced(page, "x", "table\n").unwrap();
        assert_eq!(new, "# A\nwords\n<!-- bench:x -->\ntable\n<!-- /bench:x -->\nmore words\n");
        assert!(replaced(page, "y", "").is_err());
    }

    #[test]
    fn our_window_stands_beside_a_bare_one_with_the_ratio() {
        let mut figures = Figures::default();
        figures.add("window_ms", BARE, 200.0);
        figures.add("window_ms", HALLPASS, 300.0);
        figures.add("web_left", BARE, 0.0);
        figures.add("web_left", HALLPASS, 0.0);
        figures.note("tray_ms", HALLPASS, "no\ntray");
        let text = windows(&figures);
        assert!(text.contains("| 200 | 300 | 1.5 x |"), "{text}");
        assert!(text.contains("(goal: 0) | 0 | 0 | - |"), "{text}");
        assert!(text.contains("- start to the tray") && text.contains(": no tray"), "{text}");
        let mut figures = Figures::default();
        assert_eq!(windows(&figures), "");
        figures.note("window_ms", HALLPASS, "left out");
        assert_eq!(windows(&figures), "Not measured: left out\n");
    }

    #[test]
    fn a_row_that_must_be_met_and_is_not_is_named() {
        let mut figures = Figures::default();
        figures.add("start_ms", FLOOR, 2.0);
        figures.add("start_ms", HALLPASS, 5.1);
        figures.note("start_ms", "mcp-remote", "could not be installed");
        assert_eq!(markdown(&Figures::default(), "today"), "today\n");
        let text = markdown(&figures, "today");
        assert!(text.contains("| **no** |") && text.contains("1 of 1 are not: spawn to"), "{text}");
        assert!(text.contains("- mcp-remote, spawn to"), "{text}");
        figures.add("start_ms", HALLPASS, 3.0);
        figures.add("start_ms", HALLPASS, 4.9);
        let text = markdown(&figures, "today");
        assert!(text.contains("| 4.9 | <= 2.5 x floor | yes |") && text.contains("all 1 are"), "{text}");
    }
}
