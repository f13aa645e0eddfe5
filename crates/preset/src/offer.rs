//! How a listed server can be used: one remote endpoint, or the reason why not. Packages are shown, never run.

use std::collections::BTreeMap;

use model::{Endpoint, header};

use crate::reader::{Fields, Misfit, Node};

/// How a listed server can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offer {
    /// At a URL.
    Remote(Remote),
    /// Not by this version.
    Unsupported {
        /// Why, as the rest of a sentence: `is a local package, which a list never runs`.
        reason: String,
    },
}

/// A remote server as a list gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// The exact URL.
    pub endpoint: Endpoint,
    /// Headers to send with every request. No secrets: lint refused the file otherwise.
    pub headers: BTreeMap<String, String>,
}

impl Offer {
    pub(crate) fn unknown_status() -> Self {
        unsupported("has a status that this version does not know")
    }

    /// The remote server, if it is one.
    pub fn remote(&self) -> Option<&Remote> {
        match self {
            Self::Remote(remote) => Some(remote),
            Self::Unsupported { .. } => None,
        }
    }
}

/// Reads `remotes` of a `server.json`; the first one that can be used counts.
pub(crate) fn offer(server: &Fields<'_>) -> Result<Offer, Misfit> {
    let mut reason = None;
    if let Some(remotes) = server.lenient("remotes") {
        for remote in remotes.list()? {
            match read(&remote.object()?)? {
                Offer::Remote(remote) => return Ok(Offer::Remote(remote)),
                Offer::Unsupported { reason: why } => reason = reason.or(Some(why)),
            }
        }
    }
    let packages =
        server.lenient("packages").is_some_and(|node| node.value.as_array().is_some_and(|a| !a.is_empty()));
    Ok(match reason {
        Some(reason) => Offer::Unsupported { reason },
        None if packages => unsupported("is a local package, which a list never runs"),
        None => unsupported("offers neither a remote endpoint nor a package"),
    })
}

fn read(remote: &Fields<'_>) -> Result<Offer, Misfit> {
    match remote.lenient("type").and_then(|node| node.value.as_str()) {
        Some("streamable-http" | "http") => {}
        Some("sse") => return Ok(unsupported("speaks only the old SSE transport")),
        Some(_) | None => return Ok(unsupported("speaks a transport that this version does not know")),
    }
    let variables = remote.lenient("variables");
    let url = match fill(remote.need("url")?.text()?, variables.as_ref()) {
        Ok(url) => url,
        Err(name) => return Ok(asks(&name)),
    };
    let Ok(endpoint) = Endpoint::parse(&url) else {
        return Ok(unsupported("has a URL that cannot be called"));
    };
    // Other letters look like these; a host in them has a name of its own.
    if !url.is_ascii() {
        return Ok(unsupported("has a URL that is not ASCII: its host must be written as xn--…"));
    }
    let mut headers = BTreeMap::<String, String>::new();
    for given in remote.lenient("headers").map_or(Ok(Vec::new()), |node| node.list())? {
        let given = given.object()?;
        let name = given.need("name")?;
        let name = name.line(100).map_err(|_| name.misfit("must be a header's name"))?;
        // The sign-in takes the place of whatever a person would be asked for here.
        if name.eq_ignore_ascii_case("authorization") {
            continue;
        }
        if !header::is_name(name) || header::is_reserved(name) {
            return Ok(unsupported("wants a header that Hallpass sets itself"));
        }
        match value(&given) {
            Ok(value) => {
                if headers.keys().any(|other| other.eq_ignore_ascii_case(name)) {
                    return Ok(unsupported("names a header twice"));
                }
                headers.insert(name.to_owned(), value);
            }
            Err(_) if !is(&given, "isRequired") => {}
            Err(name) => return Ok(asks(&name)),
        }
    }
    Ok(Offer::Remote(Remote { endpoint, headers }))
}

/// The fixed value of a header: `value`, else `default`; the name of what a person would have to give otherwise.
fn value(input: &Fields<'_>) -> Result<String, String> {
    let name = || input.lenient("name").and_then(|node| node.value.as_str()).unwrap_or_default().to_owned();
    let text =
        input.lenient("value").or_else(|| input.lenient("default")).and_then(|node| node.value.as_str());
    let text = fill(text.ok_or_else(name)?, input.lenient("variables").as_ref())?;
    if text.is_empty() || text.len() > 4096 || !text.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        Err(name())
    } else {
        Ok(text)
    }
}

/// Puts the fixed values of `{variables}` in. The name of one without a value otherwise.
fn fill(template: &str, variables: Option<&Node<'_>>) -> Result<String, String> {
    let (mut filled, mut rest) = (String::new(), template);
    while let Some((before, behind)) = rest.split_once('{') {
        let Some((name, after)) = behind.split_once('}') else { break };
        let variable = variables.and_then(|node| node.object().ok()?.lenient(name)?.object().ok());
        let value = variable.and_then(|variable| value(&variable).ok());
        filled.push_str(before);
        filled.push_str(&value.ok_or_else(|| name.to_owned())?);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

fn is(input: &Fields<'_>, field: &str) -> bool {
    input.lenient(field).is_some_and(|node| node.value == &serde_json::Value::Bool(true))
}

fn asks(name: &str) -> Offer {
    let name: String = crate::reader::shown(name).chars().filter(char::is_ascii_graphic).take(64).collect();
    unsupported(&format!("asks each person for a value ({name}), which this version cannot do"))
}

fn unsupported(reason: &str) -> Offer {
    Offer::Unsupported { reason: reason.to_owned() }
}
