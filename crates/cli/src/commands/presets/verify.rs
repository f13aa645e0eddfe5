//! `hallpass presets verify`: the verdict of those who will follow the list.

use ipc::{Error, ErrorCode};
use preset::{Offered, PublicKey, Trust, accept, format_time, standing};
use serde_json::json;

use super::files;
use crate::args::PresetsVerify;
use crate::output::Output;

pub(super) fn run(options: &PresetsVerify, out: Output) -> Result<(), Error> {
    let key = PublicKey::parse(&options.key).map_err(|error| {
        Error::new(ErrorCode::Usage, error.to_string()).hint("it stands in the second line of the .pub file")
    })?;
    let bytes = files::list(&options.file)?;
    let signature = options.signature.clone().unwrap_or_else(|| files::beside(&options.file, ".minisig"));
    let signature = files::text(&signature)?;
    let offered = Offered { bytes: &bytes, signature: Some(&signature), etag: None };
    let now = files::now();
    let accepted = accept(None, Some(&key), offered, now).map_err(|refused| {
        let hint = refused.next_step();
        Error::new(ErrorCode::Failed, format!("{} is refused: {refused}", options.file.display())).hint(hint)
    })?;
    let seen = &accepted.seen;
    let comment = match &accepted.trust {
        Trust::Verified { comment, .. } => comment.as_str(),
        Trust::Unverified => "",
    };
    let stale = standing(seen, now).words();
    if out.json {
        let object = json!({
            "file": options.file, "key": key, "words": key.eight_words(), "comment": comment,
            "list": seen.list, "serial": seen.serial, "issued": seen.issued, "expires": seen.expires,
            "stale": stale.is_some(), "sha256": seen.sha256, "next_keys": seen.keys[1..],
            "servers": accepted.list.servers.len(), "warnings": accepted.list.warnings,
        });
        return out.object("presets.verify", &object);
    }
    out.line(format!("{} is signed by this key", options.file.display()));
    out.line(format!("  words    {}", key.eight_words()));
    out.line(format!("  list     {} serial {}", seen.list.as_deref().unwrap_or_default(), seen.serial));
    out.line(format!("  expires  {}", seen.expires.map_or_else(|| "never".to_owned(), format_time)));
    out.line(format!("  comment  {comment}"));
    out.line(format!("  servers  {}", accepted.list.servers.len()));
    for key in &seen.keys[1..] {
        out.line(format!("  next key {key}"));
    }
    for warning in &accepted.list.warnings {
        out.notice(format!("warning {warning}"));
    }
    if let Some(stale) = stale {
        out.notice(format!("warning: {stale}"));
    }
    Ok(())
}
