//! `hallpass presets sign`: checks a list, then signs it.

use std::path::Path;

use ipc::{Error, ErrorCode};
use model::Secret;
use preset::{About, List, PublicKey, SecretKey, format_time, needs_password, verify};
use serde_json::json;

use super::files::{self, Ask};
use super::lint;
use crate::args::PresetsSign;
use crate::output::Output;

pub(super) fn run(options: &PresetsSign, out: Output) -> Result<(), Error> {
    let bytes = files::list(&options.file)?;
    let list = List::parse(&bytes).map_err(|error| lint::of_list(&error, &options.file))?;
    let about = list.about.as_ref().ok_or_else(|| {
        let message = format!("{} does not say which list it is", options.file.display());
        Error::new(ErrorCode::Failed, message)
            .hint("add _meta[\"dev.hallpass/list\"] with id, title, serial and issued")
    })?;
    let key = open(&options.key, options.password_stdin)?;
    let public = key.public().map_err(|error| of_key(&error, &options.key))?;
    if let Some(previous) = &options.previous {
        compare(previous, &bytes, about, &public)?;
    }
    let comment = format!("{} serial {} issued {}", about.id, about.serial, format_time(about.issued));
    let signature = key.sign(&bytes, &comment).map_err(|error| of_key(&error, &options.key))?;
    let path = files::beside(&options.file, ".minisig");
    files::replace(&path, &signature)?;
    if out.json {
        let object = json!({
            "file": options.file, "signature": path, "list": about.id, "serial": about.serial,
            "key": public, "words": public.eight_words(),
        });
        return out.object("presets.sign", &object);
    }
    for warning in &list.warnings {
        out.notice(format!("warning {warning}"));
    }
    out.line(format!("signed {} serial {} with {public}", about.id, about.serial));
    out.line(format!("  {}", path.display()));
    if options.previous.is_none() {
        out.talk("  not compared with what is published now: name that file with --previous");
    }
    out.talk("  publish both files beside each other, the signature first");
    Ok(())
}

fn open(path: &Path, password_stdin: bool) -> Result<SecretKey, Error> {
    let file = Secret::new(files::text(path)?);
    let password = if needs_password(&file).map_err(|error| of_key(&error, path))? {
        Some(files::password(password_stdin, Ask::Once)?)
    } else {
        None
    };
    SecretKey::open(&file, password.as_ref()).map_err(|error| of_key(&error, path))
}

/// What everybody who follows the list would refuse is refused here.
fn compare(previous: &Path, bytes: &[u8], about: &About, key: &PublicKey) -> Result<(), Error> {
    let old_bytes = files::list(previous)?;
    let refuse = |message: String, hint: &str| Err(Error::new(ErrorCode::Failed, message).hint(hint));
    let old = List::parse(&old_bytes).map_err(|error| lint::of_list(&error, previous))?;
    let Some(old) = old.about else {
        return refuse(
            format!("{} does not say which list it is", previous.display()),
            "leave --previous out",
        );
    };
    if old.id != about.id {
        return refuse(
            format!("{} is another list: {} instead of {}", previous.display(), old.id, about.id),
            "compare with the published file of the same list",
        );
    }
    if old.serial >= about.serial && old_bytes != bytes {
        return refuse(
            format!("the serial must rise: {} is published, and this is {}", old.serial, about.serial),
            "raise \"serial\", then sign again",
        );
    }
    let signature = files::text(&files::beside(previous, ".minisig"))?;
    if verify(key, &old_bytes, &signature).is_err() && !old.next_keys.contains(key) {
        return refuse(
            format!("{} was not signed with this key and does not announce it", previous.display()),
            "sign with the present key, and add the new one to \"nextKeys\" first",
        );
    }
    Ok(())
}

fn of_key(error: &preset::SigningError, path: &Path) -> Error {
    Error::new(ErrorCode::Failed, format!("{}: {error}", path.display()))
        .hint("hallpass presets keygen makes a key; one of the minisign tool does as well")
}
