//! Files of an administrator: lists, signatures, keys. Reading is limited, and nothing is overwritten unasked.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use ipc::{Error, ErrorCode};
use model::{Secret, UnixTime};
use platform::file;

use crate::output::can_ask;

/// The bytes of a list. One byte more than may be is read, so that the limit is told as a finding.
pub(super) fn list(path: &Path) -> Result<Vec<u8>, Error> {
    file::read_limited(path, 2 * preset::MAX_BYTES as u64).map_err(|error| unreadable(&error))
}

/// The text of a small file: a signature, a key.
pub(super) fn text(path: &Path) -> Result<String, Error> {
    let bytes =
        file::read_limited(path, preset::MAX_SIGNATURE_BYTES as u64).map_err(|error| unreadable(&error))?;
    String::from_utf8(bytes)
        .map_err(|_| Error::new(ErrorCode::Usage, format!("{} is not a text file", path.display())))
}

/// Writes a file that is for everybody and is not there yet.
pub(super) fn create(path: &Path, text: &str) -> Result<(), Error> {
    let made = OpenOptions::new().write(true).create_new(true).open(path);
    made.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => exists(path),
        _ => Error::new(ErrorCode::Failed, format!("{} cannot be written: {error}", path.display())),
    })
}

/// Writes a file that is for everybody in the place of what is there: at each moment whole, the old one or the new.
pub(super) fn replace(path: &Path, text: &str) -> Result<(), Error> {
    let scratch = beside(path, &format!(".{}.new", std::process::id()));
    let written = OpenOptions::new().write(true).create_new(true).open(&scratch).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.and_then(|()| std::fs::rename(&scratch, path)).map_err(|error| {
        // It may never have come about.
        let _gone = std::fs::remove_file(&scratch);
        Error::new(ErrorCode::Failed, format!("{} cannot be written: {error}", path.display()))
            .hint("nothing was changed; see whether the folder can be written to and has room")
    })
}

pub(super) fn exists(path: &Path) -> Error {
    Error::new(ErrorCode::Usage, format!("{} is there already", path.display()))
        .hint("name another file; this one is not overwritten")
}

/// `FILE` with another ending behind its whole name.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    PathBuf::from(name)
}

/// A password: from standard input, or asked for on a terminal; never from argv.
pub(super) fn password(from_stdin: bool, ask: Ask) -> Result<Secret<String>, Error> {
    let text = if from_stdin {
        let mut text = String::new();
        std::io::stdin().lock().take(64 * 1024).read_to_string(&mut text).map_err(|e| {
            Error::new(ErrorCode::Usage, format!("the password cannot be read from standard input: {e}"))
        })?;
        text.trim_end_matches(['\r', '\n']).to_owned()
    } else if can_ask() {
        let mut prompt = dialoguer::Password::new().with_prompt("Password of the key");
        if let Ask::Twice = ask {
            prompt = prompt.with_confirmation("The same again", "these were two passwords; try again");
        }
        prompt
            .interact()
            .map_err(|e| Error::new(ErrorCode::Cancelled, format!("the password was not entered: {e}")))?
    } else {
        let hint = match ask {
            Ask::Twice => "give it on standard input with --password-stdin, or say --no-password",
            Ask::Once => "give it on standard input with --password-stdin",
        };
        return Err(
            Error::new(ErrorCode::Usage, "there is no terminal to ask for the password on").hint(hint)
        );
    };
    if text.is_empty() {
        return Err(Error::new(ErrorCode::Usage, "the password is empty")
            .hint("a key without a password is made with --no-password"));
    }
    Ok(Secret::new(text))
}

/// Whether a password is new and must be typed twice.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ask {
    /// It opens a key.
    Once,
    /// It will protect one.
    Twice,
}

pub(super) fn now() -> UnixTime {
    UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}

fn unreadable(error: &platform::FileError) -> Error {
    Error::new(ErrorCode::Failed, error.to_string())
}
