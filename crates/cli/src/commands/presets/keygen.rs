//! `hallpass presets keygen`: a key to sign lists with, in the minisign tool's files.

use ipc::{Error, ErrorCode};
use platform::file::{self, Expected};
use preset::Protection;
use serde_json::json;

use super::files::{self, Ask};
use crate::args::PresetsKeygen;
use crate::output::Output;

pub(super) fn run(options: &PresetsKeygen, out: Output) -> Result<(), Error> {
    let secret =
        if options.out.is_dir() { options.out.join("hallpass-list.key") } else { options.out.clone() };
    let public = files::beside(&secret, ".pub");
    // Asked before the password, so that nobody types one for nothing; the writes check again.
    for path in [&secret, &public] {
        if path.symlink_metadata().is_ok() {
            return Err(files::exists(path));
        }
    }
    let protection = if options.no_password {
        Protection::None
    } else {
        Protection::Password(files::password(options.password_stdin, Ask::Twice)?)
    };
    let keys = preset::generate(protection)
        .map_err(|error| Error::new(ErrorCode::Failed, format!("no key was made: {error}")))?;
    // The one place where a secret of ours lies in a file: an administrator's key, 0600, as minisign keeps it.
    file::replace(&secret, keys.secret_file.expose().as_bytes(), Expected::Missing).map_err(|error| {
        match error {
            platform::FileError::ChangedMeanwhile { .. } => files::exists(&secret),
            other => Error::new(ErrorCode::Failed, other.to_string()),
        }
    })?;
    files::create(&public, &keys.public_file)?;
    let words = keys.public.eight_words();
    if out.json {
        let object =
            json!({ "key": keys.public, "words": words, "secret_file": secret, "public_file": public });
        return out.object("presets.keygen", &object);
    }
    out.line(format!("key    {}", keys.public));
    out.line(format!("words  {words}"));
    out.talk(format!("  secret key: {} (keep it, and a copy of it, away from the list)", secret.display()));
    out.talk("  give the key to the people who follow your lists, and the words by another way");
    if options.no_password {
        out.notice("  the key is protected by nothing: who can read the file can sign");
    }
    Ok(())
}
