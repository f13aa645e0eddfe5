//! Opens the person's browser at the address of a sign-in, and at nothing else.

use std::process::{Command, Stdio};

use model::BrowserAddress;

/// `$BROWSER` split into argv by us (no shell), else the system's own way.
pub(crate) fn open(url: &str) -> Result<(), String> {
    let url = BrowserAddress::parse(url).map_err(|error| error.to_string())?;
    let chosen = std::env::var("BROWSER").unwrap_or_default();
    let Some(mut command) = chosen_browser(&chosen, &url) else {
        return open::that_detached(url.as_str()).map_err(|error| error.to_string());
    };
    let started = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut browser =
        started.map_err(|error| format!("{}: {error}", command.get_program().to_string_lossy()))?;
    // Its end is of no interest, but somebody has to take note of it.
    std::thread::spawn(move || browser.wait());
    Ok(())
}

/// The command that `$BROWSER` names, with the address as its last word; `None` if it names none.
fn chosen_browser(chosen: &str, url: &BrowserAddress) -> Option<Command> {
    let mut words = chosen.split_whitespace();
    let mut command = Command::new(words.next()?);
    command.args(words).arg(url.as_str());
    Some(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_the_last_word_of_the_chosen_command() {
        let address = BrowserAddress::parse("https://id.example/a b").unwrap();
        let command = chosen_browser("my-browser --profile work", &address).unwrap();
        let words: Vec<_> = command.get_args().map(|word| word.to_str().unwrap()).collect();
        assert_eq!(words, ["--profile", "work", "https://id.example/a%20b"]);
        assert_eq!(command.get_program(), "my-browser");
        assert!(chosen_browser("  ", &address).is_none());
        assert!(open("file:///etc/passwd").is_err());
    }
}
