//! Install links: of Cursor, VS Code, LM Studio, Kiro, and of Hallpass itself.

use base64::Engine as _;
use model::{Endpoint, WebAddress, percent_decoded};
use url::Url;

use super::{Found, INSTEAD, PastedList, Unreadable, snippet};

/// Reads a link with a scheme of its own; `None` for what is no link.
pub(super) fn read(text: &str) -> Option<Result<Found, Unreadable>> {
    let (scheme, _) = text.split_once(':')?;
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
    if scheme.len() < 2 || !scheme.bytes().all(good) || text.contains(char::is_whitespace) {
        return None;
    }
    let scheme = scheme.to_ascii_lowercase();
    match scheme.as_str() {
        "cursor" | "lmstudio" => Some(with_config(text, &scheme)),
        "vscode" | "vscode-insiders" => Some(vs_code(text)),
        "hallpass" => Some(ours(text)),
        _ if text.contains("://") => Some(Err(Unreadable::new(
            "a link",
            format!("links that begin with {scheme}: are not understood; {INSTEAD}"),
        ))),
        _ => None,
    }
}

/// Web addresses that are install links in disguise; `None` for every other one.
pub(super) fn web(text: &str) -> Option<Result<Found, Unreadable>> {
    if text.contains(char::is_whitespace) {
        return None;
    }
    let url = Url::parse(text).ok()?;
    match (url.host_str()?, url.path()) {
        ("cursor.com" | "www.cursor.com", path) if path.ends_with("/install-mcp") => {
            Some(with_config(text, "cursor"))
        }
        ("kiro.dev", "/launch/mcp/add") => Some(with_config(text, "kiro")),
        ("vscode.dev" | "insiders.vscode.dev", "/redirect/mcp/install") => Some(with_config(text, "vscode")),
        ("vscode.dev" | "insiders.vscode.dev", "/redirect") => {
            let (_, inner) = url.query_pairs().find(|(name, _)| name == "url")?;
            Some(vs_code(&inner))
        }
        _ => None,
    }
}

/// `…?name=N&config=<base64 or percent-encoded JSON of one entry>`.
fn with_config(text: &str, whose: &str) -> Result<Found, Unreadable> {
    let read_as = match whose {
        "cursor" => "a Cursor link",
        "lmstudio" => "an LM Studio link",
        "kiro" => "a Kiro link",
        _ => "a VS Code link",
    };
    let pairs: Vec<(String, String)> =
        Url::parse(text).map(|url| url.query_pairs().into_owned().collect()).unwrap_or_default();
    let value = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let Some(config) = value("config").filter(|config| !config.is_empty()) else {
        return Err(Unreadable::new(read_as, format!("it holds no entry (config=…); {INSTEAD}")));
    };
    let json =
        if config.trim_start().starts_with('{') { config.to_owned() } else { decoded(config, read_as)? };
    entries(read_as, &json, value("name").unwrap_or_default())
}

fn decoded(config: &str, read_as: &str) -> Result<String, Unreadable> {
    // A plus sign becomes a blank in a query; some write the alphabet for URLs.
    let text: String = config
        .trim_end_matches('=')
        .chars()
        .map(|c| match c {
            ' ' | '-' => '+',
            '_' => '/',
            other => other,
        })
        .collect();
    let bytes = base64::engine::general_purpose::STANDARD_NO_PAD.decode(text).ok();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| Unreadable::new(read_as, format!("the entry in it is damaged; {INSTEAD}")))
}

/// `vscode:mcp/install?<percent-encoded JSON {name, …}>`.
fn vs_code(text: &str) -> Result<Found, Unreadable> {
    let read_as = "a VS Code link";
    let after = text.split_once(':').map_or("", |(_, after)| after).trim_start_matches('/');
    match after.split_once('?') {
        Some(("mcp/install", query)) => entries(read_as, &percent_decoded(query), ""),
        _ => Err(Unreadable::new(
            read_as,
            format!("it names no address: only links with mcp/install? and an entry can be read; {INSTEAD}"),
        )),
    }
}

fn entries(read_as: &str, json: &str, name: &str) -> Result<Found, Unreadable> {
    let entries = snippet::inline(json, name).map_err(|e| Unreadable::new(read_as, e.problem))?;
    Ok(Found::Entries(read_as.to_owned(), entries))
}

/// `hallpass://add?url=…&name=…`, `hallpass://subscribe?url=…&key=RW…`.
fn ours(text: &str) -> Result<Found, Unreadable> {
    let read_as = "a Hallpass link";
    let refuse = |problem: &str| Err(Unreadable::new(read_as, problem));
    let Ok(url) = Url::parse(text) else { return refuse("the link is damaged; ask for another one") };
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let value = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let verb = url.host_str().unwrap_or_else(|| url.path().trim_matches('/')).to_owned();
    let Some(target) = value("url").filter(|target| !target.is_empty()) else {
        return refuse("the link names no address (url=…); ask for another one");
    };
    match verb.as_str() {
        "add" => {
            let entry = serde_json::json!({ "url": target }).to_string();
            Ok(Found::Entries(read_as.to_owned(), vec![(value("name").unwrap_or_default(), entry)]))
        }
        "subscribe" => {
            let address = WebAddress::read(&target);
            if !address.kinds.is_empty() || Endpoint::parse(&target).is_err() || !target.is_ascii() {
                return refuse(
                    "the list's address must be a plain https URL without a secret; ask for another link",
                );
            }
            let key = value("key").filter(|key| !key.is_empty());
            if key.as_deref().is_some_and(|key| !is_key(key)) {
                return refuse("its key is no minisign public key (RW…); ask for another link");
            }
            Ok(Found::Lists(read_as.to_owned(), vec![PastedList { source: target, key }]))
        }
        _ => refuse("the link asks for something that this Hallpass does not know"),
    }
}

/// The base64 of a minisign public key: two letters of the algorithm, eight bytes of an id, 32 of the key.
fn is_key(text: &str) -> bool {
    let bytes = base64::engine::general_purpose::STANDARD.decode(text);
    bytes.is_ok_and(|bytes| bytes.len() == 42 && bytes.starts_with(b"Ed"))
}
