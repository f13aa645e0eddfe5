//! Opens the person's browser.

use std::process::{Command, Stdio};

/// `$BROWSER` split into argv by us (no shell), else the system's own way. The agent has parsed the URL, and it is
/// http(s) only.
pub(crate) fn open(url: &str) -> Result<(), String> {
    if !url.starts_with("https://") && !url.starts_with("http://") {
        return Err("that is no web address".to_owned());
    }
    let chosen = std::env::var("BROWSER").unwrap_or_default();
    let mut words = chosen.split_whitespace();
    let Some(program) = words.next() else {
        return open::that_detached(url).map_err(|error| error.to_string());
    };
    let mut command = Command::new(program);
    command.args(words).arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut browser = command.spawn().map_err(|error| format!("{program}: {error}"))?;
    // Its end is of no interest, but somebody has to take note of it.
    std::thread::spawn(move || browser.wait());
    Ok(())
}
