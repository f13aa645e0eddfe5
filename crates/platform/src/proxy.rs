//! The proxy that the system's own settings name. Windows and macOS keep it where no variable tells of it; on Linux the
//! session's variables are all there is.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::Os;

/// What the settings of this system name, as proxy variables in lower case (`https_proxy`, `http_proxy`, `no_proxy`); empty
/// where they name none, and `None` where the system has no such settings or does not tell. Asks the system's own tool, which takes milliseconds. Scripts that choose a proxy are not run.
pub fn of_system() -> Option<BTreeMap<String, String>> {
    match Os::current() {
        Os::Linux => None,
        Os::MacOs => output("/usr/sbin/scutil".into(), &["--proxy"]).map(|text| of_scutil(&text)),
        Os::Windows => {
            let system =
                std::env::var_os("SystemRoot").map_or_else(|| PathBuf::from(r"C:\Windows"), PathBuf::from);
            let key = r"HKCU\Software\Microsoft\Windows\CurrentVersion\Internet Settings";
            output(system.join(r"System32\reg.exe"), &["query", key]).map(|text| of_reg(&text))
        }
    }
}

fn output(program: PathBuf, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stderr(Stdio::null());
    without_window(&mut command);
    let said = command.output().ok().filter(|said| said.status.success())?;
    Some(String::from_utf8_lossy(&said.stdout).into_owned())
}

/// A program without a console would show one for a moment.
#[cfg(windows)]
fn without_window(command: &mut Command) {
    use std::os::windows::process::CommandExt as _;
    const CREATE_NO_WINDOW: u32 = 0x0800_0000;
    command.creation_flags(CREATE_NO_WINDOW);
}

#[cfg(not(windows))]
fn without_window(_command: &mut Command) {}

/// What `reg query` says of the Internet settings: `ProxyEnable`, `ProxyServer` (one for all, or `http=...;https=...`),
/// `ProxyOverride` (names apart by semicolons).
fn of_reg(text: &str) -> BTreeMap<String, String> {
    let value = |name: &str| {
        text.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some(name)).then(|| words.skip(1).collect::<Vec<_>>().join(" "))
        })
    };
    let enabled = value("ProxyEnable").is_some_and(|value| value != "0x0");
    let Some(server) = value("ProxyServer").filter(|server| enabled && !server.is_empty()) else {
        return BTreeMap::new();
    };
    let mut found = BTreeMap::new();
    for part in server.split(';') {
        match part.split_once('=') {
            None => {
                found.insert("https_proxy".to_owned(), part.trim().to_owned());
                found.insert("http_proxy".to_owned(), part.trim().to_owned());
            }
            Some((kind @ ("http" | "https"), address)) => {
                found.insert(format!("{kind}_proxy"), address.trim().to_owned());
            }
            Some(_) => {}
        }
    }
    let overrides = value("ProxyOverride").unwrap_or_default();
    except(&mut found, overrides.split(';'));
    found
}

/// What `scutil --proxy` says: `HTTPSEnable`, `HTTPSProxy`, `HTTPSPort`, the same for HTTP, and `ExceptionsList`.
fn of_scutil(text: &str) -> BTreeMap<String, String> {
    let pairs: Vec<(&str, &str)> = text
        .lines()
        .filter_map(|line| line.split_once(" : "))
        .map(|(name, value)| (name.trim(), value.trim()))
        .collect();
    let value = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    let mut found = BTreeMap::new();
    for (prefix, variable) in [("HTTPS", "https_proxy"), ("HTTP", "http_proxy")] {
        let host =
            value(&format!("{prefix}Proxy")).filter(|_| value(&format!("{prefix}Enable")) == Some("1"));
        if let Some(host) = host.filter(|host| !host.is_empty()) {
            let port = value(&format!("{prefix}Port")).map_or_else(String::new, |port| format!(":{port}"));
            found.insert(variable.to_owned(), format!("{host}{port}"));
        }
    }
    // The entries of the list are the lines that have a number for their name.
    let listed = pairs.iter().filter(|(name, _)| name.parse::<u32>().is_ok()).map(|(_, value)| *value);
    except(&mut found, listed);
    found
}

/// Adds `no_proxy`, in its own notation: `*.corp` is `.corp`, `10.*` and `169.254/16` are networks. `<local>`, names without
/// a dot, has none.
fn except<'e>(found: &mut BTreeMap<String, String>, entries: impl Iterator<Item = &'e str>) {
    if found.is_empty() {
        return;
    }
    let entries: Vec<String> = entries
        .map(str::trim)
        .filter(|entry| !entry.is_empty() && !entry.starts_with('<'))
        .map(|entry| network(entry).unwrap_or_else(|| entry.strip_prefix('*').unwrap_or(entry).to_owned()))
        .collect();
    if !entries.is_empty() {
        found.insert("no_proxy".to_owned(), entries.join(","));
    }
}

/// `10.*`, `192.168.*.*` and `169.254/16` as a whole address and its length.
fn network(entry: &str) -> Option<String> {
    let (numbers, bits) = match entry.split_once('/') {
        Some((numbers, bits)) => (numbers, Some(bits.parse::<u32>().ok()?)),
        None => (entry, None),
    };
    let mut octets: Vec<&str> = numbers.split('.').collect();
    let known = octets.iter().take_while(|octet| **octet != "*").count();
    let all_numbers = octets.iter().take(known).all(|octet| octet.parse::<u8>().is_ok());
    let short = known < 4 && known > 0 && octets.iter().skip(known).all(|octet| *octet == "*");
    if !all_numbers || !short || (octets.len() == known && bits.is_none()) || octets.len() > 4 {
        return None;
    }
    octets.truncate(known);
    octets.resize(4, "0");
    let bits = bits.unwrap_or(u32::try_from(known).ok()? * 8);
    Some(format!("{}/{bits}", octets.join(".")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(found: &BTreeMap<String, String>) -> Vec<(&str, &str)> {
        found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    #[test]
    fn the_settings_of_windows_are_read() {
        let text = "\r\nHKEY_CURRENT_USER\\Software\\...\\Internet Settings\r\n    ProxyEnable    REG_DWORD    0x1\r\n    \
                    ProxyServer    REG_SZ    proxy.corp:3128\r\n    ProxyOverride    REG_SZ    *.corp;10.*;<local>\r\n";
        let want = [
            ("http_proxy", "proxy.corp:3128"),
            ("https_proxy", "proxy.corp:3128"),
            ("no_proxy", ".corp,10.0.0.0/8"),
        ];
        assert_eq!(pairs(&of_reg(text)), want);
        assert_eq!(of_reg(&text.replace("0x1", "0x0")), BTreeMap::new(), "switched off");
        let apart =
            text.replace("proxy.corp:3128", "http=a:1;https=b:2;socks=c:3").replace("ProxyOverride", "Other");
        assert_eq!(pairs(&of_reg(&apart)), [("http_proxy", "a:1"), ("https_proxy", "b:2")]);
        assert_eq!(of_reg(""), BTreeMap::new());
        assert_eq!(of_reg("    ProxyEnable    REG_DWORD    0x1\r\n"), BTreeMap::new());
    }

    #[test]
    fn the_settings_of_macos_are_read() {
        let text = "<dictionary> {\n  ExceptionsList : <array> {\n    0 : *.local\n    1 : 169.254/16\n  }\n  \
                    HTTPEnable : 0\n  HTTPProxy : old.corp\n  HTTPSEnable : 1\n  HTTPSPort : 3128\n  HTTPSProxy : proxy.corp\n}\n";
        let want = [("https_proxy", "proxy.corp:3128"), ("no_proxy", ".local,169.254.0.0/16")];
        assert_eq!(pairs(&of_scutil(text)), want);
        assert_eq!(
            of_scutil(&text.replace("HTTPSEnable : 1", "HTTPSEnable : 0")),
            BTreeMap::new(),
            "switched off"
        );
        assert_eq!(of_scutil("<dictionary> {\n}\n"), BTreeMap::new());
    }

    #[test]
    fn networks_are_told_from_names() {
        for (entry, want) in [
            ("10.*", Some("10.0.0.0/8")),
            ("192.168.*.*", Some("192.168.0.0/16")),
            ("172.16.0.0/12", None),
            ("169.254/16", Some("169.254.0.0/16")),
            ("10.0.0.1", None),
            ("*", None),
            ("*.corp", None),
            ("10.corp", None),
            ("10.*.1", None),
        ] {
            assert_eq!(network(entry).as_deref(), want, "{entry}");
        }
    }
}
