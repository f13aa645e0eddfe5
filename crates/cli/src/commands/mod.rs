//! One file a verb.

pub(crate) mod accounts;
pub(crate) mod agent;
pub(crate) mod apps;
pub(crate) mod bridge;
pub(crate) mod config;
pub(crate) mod doctor;
pub(crate) mod import;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod paste;
pub(crate) mod presets;
pub(crate) mod profiles;
pub(crate) mod servers;
pub(crate) mod status;
pub(crate) mod store;
pub(crate) mod switch;

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use ipc::{Error, ErrorCode, Response};
use model::PrivateAuthority;

use crate::output::can_ask;

/// A secret on standard input, without the end of its last line. It is never an argument: those are seen by everybody.
pub(crate) fn secret_from_stdin(what: &str) -> Result<String, Error> {
    let mut text = String::new();
    std::io::stdin().lock().take(64 * 1024).read_to_string(&mut text).map_err(|e| {
        Error::new(ErrorCode::Usage, format!("{what} cannot be read from standard input: {e}"))
    })?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(Error::new(ErrorCode::Usage, format!("{what} is missing on standard input"))
            .hint("end it with a line break, then close the input"));
    }
    Ok(text.to_owned())
}

/// A secret that is typed without being shown, or on standard input where that is no terminal.
pub(crate) fn secret_typed_or_piped(what: &str, prompt: &str) -> Result<String, Error> {
    if !can_ask() {
        return secret_from_stdin(what);
    }
    dialoguer::Password::new()
        .with_prompt(prompt)
        .interact()
        .map_err(|e| Error::new(ErrorCode::Cancelled, format!("{what} was not entered: {e}")))
}

/// The certificates of a private authority, out of the file that `--ca` names.
pub(crate) fn authority_file(path: &Path) -> Result<String, Error> {
    let refused = |what: String| {
        Error::new(ErrorCode::Usage, format!("{} cannot be used for --ca: {what}", path.display()))
            .hint("ask your administrator for the authority's certificate as a PEM file")
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|e| refused(e.to_string()))?;
    // One byte more than is ever accepted, so that too much is seen to be too much.
    file.take(LARGEST_AUTHORITY + 1).read_to_end(&mut bytes).map_err(|e| refused(e.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| refused("it is no text; PEM is expected".to_owned()))?;
    let authority = PrivateAuthority::parse(&text).map_err(|e| refused(e.to_string()))?;
    Ok(authority.pem().to_owned())
}

/// In bytes.
const LARGEST_AUTHORITY: u64 = 256 * 1024;

/// An answer of another kind than the request has: an agent that does not keep to the protocol.
pub(crate) fn unexpected(response: &Response) -> Error {
    tracing::debug!(?response, "unexpected answer");
    Error::new(ErrorCode::AgentUnavailable, "the agent gave an answer of another kind than was asked for")
        .hint("run: hallpass agent stop, then try again")
}
