//! Opens the person's browser at the address of a sign-in, and at nothing else.

use std::process::{Command, Stdio};

use tauri::Url;

/// `$BROWSER` split into argv by us (no shell), else the system's own way.
///
/// Only what a sign-in can lead to is opened: https, and plain http on this machine. The address is one word for
/// whoever gets it, and never an option, since it begins with its scheme.
pub(crate) fn open(url: &str) -> Result<(), String> {
    let url = allowed(url)?;
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
fn chosen_browser(chosen: &str, url: &Url) -> Option<Command> {
    let mut words = chosen.split_whitespace();
    let mut command = Command::new(words.next()?);
    command.args(words).arg(url.as_str());
    Some(command)
}

fn allowed(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|_| "that is no web address".to_owned())?;
    let local = || {
        url.host_str().is_some_and(|host| {
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        })
    };
    match url.scheme() {
        "https" => Ok(url),
        "http" if local() => Ok(url),
        "http" => Err("that address is not encrypted (http)".to_owned()),
        _ => Err("that is no web address".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_that_a_sign_in_can_lead_to_are_opened() {
        for address in [
            "https://id.example/authorize?a=1&b=%20c",
            "http://127.0.0.1:4000/authorize",
            "http://[::1]:4000/",
            "http://localhost/x",
        ] {
            assert_eq!(allowed(address).unwrap().as_str(), address);
        }
        for address in [
            "http://id.example/authorize",
            "http://127.0.0.1.example/",
            "http://localhost.example/",
            "http://[::ffff:7f00:1]/",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "data:text/html,x",
            "vbscript:x",
            "ftp://id.example/",
            "--new-window",
            "-h",
            "/usr/bin/id",
            "https:",
            "",
        ] {
            assert!(allowed(address).is_err(), "{address}");
        }
    }

    #[test]
    fn the_address_is_one_word_whatever_is_in_it() {
        for (address, word) in [
            ("https://id.example/a b\"c'$(id);`id`|&x", "https://id.example/a%20b%22c'$(id);%60id%60|&x"),
            ("https://id.example/\n--evil\r\t", "https://id.example/--evil"),
            ("  https://id.example/  ", "https://id.example/"),
        ] {
            let command = chosen_browser("my-browser --profile work", &allowed(address).unwrap()).unwrap();
            let words: Vec<_> = command.get_args().map(|word| word.to_str().unwrap()).collect();
            assert_eq!(words, ["--profile", "work", word], "{address:?}");
            assert_eq!(command.get_program(), "my-browser");
        }
        assert!(chosen_browser("  ", &allowed("https://id.example/").unwrap()).is_none());
    }
}
