//! `hallpass presets subscribe|update|list|remove`: following an administrator's list. Nothing changes before the
//! plan was seen and said yes to.

use std::io::Write as _;

use ipc::{Error, ErrorCode, PresetItemKind, PresetItemView, PresetPlanView, PresetView, Request, Response};

use crate::args::{PresetsAnswer, PresetsSubscribe, PresetsUpdate};
use crate::commands::{authority_file, unexpected};
use crate::link::Link;
use crate::output::{Output, can_ask, relative};

/// Shows what following a list would change, asks, and follows it.
pub(crate) async fn subscribe(options: PresetsSubscribe, out: Output) -> Result<(), Error> {
    let ca = options.ca.as_deref().map(authority_file).transpose()?;
    let request = Request::PlanPreset { source: absolute(&options.source), key: options.key, ca };
    let mut link = Link::open().await?;
    let plan = planned(link.ask(request).await?)?;
    decide(&mut link, out, &plan, options.answer).await
}

/// The same for lists that are followed already; all of them, if none is named.
pub(crate) async fn update(options: PresetsUpdate, out: Output) -> Result<(), Error> {
    let mut link = Link::open().await?;
    let ids = match options.id {
        Some(id) => vec![id],
        None => followed(&mut link).await?.into_iter().map(|preset| preset.id).collect(),
    };
    if ids.is_empty() {
        out.talk("no list is followed; next: hallpass presets subscribe <url> --key RW…");
    }
    let mut first_error = None;
    for id in ids {
        let result = match link
            .ask(Request::PlanPresetUpdate { preset: id, bring_back: options.bring_back.clone() })
            .await
        {
            Ok(plan) => decide(&mut link, out, &planned(plan)?, options.answer).await,
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            if first_error.is_some() {
                out.notice(format!("hallpass: {}", error.message));
            }
            first_error.get_or_insert(error);
        }
    }
    first_error.map_or(Ok(()), Err)
}

/// Shows the lists that are followed.
pub(crate) async fn list(out: Output) -> Result<(), Error> {
    let presets = followed(&mut Link::open().await?).await?;
    if out.json {
        return out.object("presets", &serde_json::json!({ "presets": presets }));
    }
    if presets.is_empty() {
        out.line("no list is followed");
    }
    for preset in &presets {
        one(out, preset);
    }
    Ok(())
}

/// Stops following a list.
pub(crate) async fn remove(id: String, out: Output) -> Result<(), Error> {
    match Link::open().await?.ask(Request::RemovePreset { preset: id.clone() }).await? {
        Response::Presets { presets } if out.json => {
            out.object("presets", &serde_json::json!({ "presets": presets }))
        }
        Response::Presets { .. } => {
            out.line(format!("{id} is not followed any more; its servers stay, as if you had added them"));
            Ok(())
        }
        other => Err(unexpected(&other)),
    }
}

async fn followed(link: &mut Link) -> Result<Vec<PresetView>, Error> {
    match link.ask(Request::ListPresets).await? {
        Response::Presets { presets } => Ok(presets),
        other => Err(unexpected(&other)),
    }
}

fn planned(answer: Response) -> Result<PresetPlanView, Error> {
    match answer {
        Response::PresetPlan(plan) => Ok(*plan),
        other => Err(unexpected(&other)),
    }
}

/// The agent does not know the folder that a relative path is meant from.
fn absolute(source: &str) -> String {
    if source.contains("://") {
        return source.to_owned();
    }
    std::path::absolute(source).map_or_else(|_| source.to_owned(), |path| path.display().to_string())
}

async fn decide(
    link: &mut Link,
    out: Output,
    plan: &PresetPlanView,
    answer: PresetsAnswer,
) -> Result<(), Error> {
    if out.json && (answer.dry_run || plan.empty) {
        return out.object("preset-plan", plan);
    }
    if !out.json {
        show(out, plan);
    }
    if answer.dry_run || plan.empty {
        return Ok(());
    }
    if !answer.yes {
        if !can_ask() {
            return Err(Error::new(
                ErrorCode::ConfirmationNeeded,
                "nobody can be asked whether to follow this list",
            )
            .hint("look at it with --dry-run, compare the eight words, then say --yes"));
        }
        if out.json {
            show_on_terminal(out, plan);
        }
        ask()?;
    }
    let presets = match link.ask(Request::ApplyPreset { digest: plan.digest.clone() }).await? {
        Response::Presets { presets } => presets,
        other => return Err(unexpected(&other)),
    };
    if out.json {
        return out.object("presets", &serde_json::json!({ "presets": presets }));
    }
    out.line(format!("following {}, serial {}", plan.title, plan.serial));
    for item in
        plan.items.iter().filter(|item| matches!(item.kind, PresetItemKind::New | PresetItemKind::Moved))
    {
        if let Some(server) = &item.server {
            out.line(format!("  next: hallpass login {server}"));
        }
    }
    Ok(())
}

fn ask() -> Result<(), Error> {
    let _closed = write!(std::io::stderr().lock(), "Follow this list? [y/N] ");
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    if read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        Ok(())
    } else {
        Err(Error::new(ErrorCode::Cancelled, "nothing was changed"))
    }
}

/// Data goes to stdout as JSON, so the question's ground goes to the terminal.
fn show_on_terminal(out: Output, plan: &PresetPlanView) {
    for line in lines(plan) {
        out.notice(line);
    }
}

fn show(out: Output, plan: &PresetPlanView) {
    for line in lines(plan) {
        out.line(line);
    }
}

fn lines(plan: &PresetPlanView) -> Vec<String> {
    let mut lines = vec![format!("{}  {}", plan.id, plan.title), format!("  from       {}", plan.source)];
    lines.push(match &plan.key_words {
        Some(words) => {
            format!("  key        {words}\n             (compare these eight words with the publisher's)")
        }
        None => "  key        NONE: unverified".to_owned(),
    });
    lines.push(match plan.previous_serial {
        Some(before) if before != plan.serial => format!("  serial     {} (until now {before})", plan.serial),
        Some(_) | None => format!("  serial     {}", plan.serial),
    });
    if let Some(expires) = plan.expires {
        lines.push(format!("  ends       {}", relative(expires)));
    }
    if let Some(contact) = &plan.contact {
        lines.push(format!("  contact    {contact}"));
    }
    for item in &plan.items {
        lines.extend(item_lines(item));
    }
    lines.extend(plan.warnings.iter().map(|warning| format!("note: {warning}")));
    if plan.empty {
        lines.push("nothing to change".to_owned());
    }
    lines
}

fn item_lines(item: &PresetItemView) -> Vec<String> {
    let mut lines = vec![format!("  {:8} {}: {}", word(item.kind), item.label, item.reason)];
    if matches!(item.kind, PresetItemKind::Same | PresetItemKind::Removed) {
        return lines;
    }
    let id = item.server.as_ref().map(|server| format!("{server}  ")).unwrap_or_default();
    if let Some(endpoint) = &item.endpoint {
        lines.push(format!("           {id}{endpoint}"));
    }
    if let Some(issuer) = &item.issuer {
        lines.push(format!("           sign-in at {issuer}"));
    }
    if !item.scopes.is_empty() {
        lines.push(format!("           scopes {}", item.scopes.join(" ")));
    }
    lines.extend(item.warnings.iter().map(|warning| format!("           note: {warning}")));
    lines
}

fn word(kind: PresetItemKind) -> &'static str {
    match kind {
        PresetItemKind::New => "add",
        PresetItemKind::Joined => "join",
        PresetItemKind::Changed => "change",
        PresetItemKind::Moved => "MOVED",
        PresetItemKind::Gone => "gone",
        PresetItemKind::Revoked => "CLOSED",
        PresetItemKind::Clash => "cannot",
        PresetItemKind::Same => "same",
        PresetItemKind::Removed => "removed",
    }
}

fn one(out: Output, preset: &PresetView) {
    out.line(format!("{}  {}", preset.id, preset.title));
    out.line(format!("  from       {}", preset.source));
    match &preset.key_words {
        Some(words) => out.line(format!("  key        {words}")),
        None => out.line("  key        NONE: unverified"),
    }
    out.line(format!("  serial     {}", preset.serial));
    match (preset.expires, preset.stale) {
        (Some(expires), true) => {
            out.line(format!("  STALE      ended {}; what it says stays in force", relative(expires)));
        }
        (Some(expires), false) => out.line(format!("  ends       {}", relative(expires))),
        (None, _) => {}
    }
    if let Some(contact) = &preset.contact {
        out.line(format!("  contact    {contact}"));
    }
    if let Some(checked) = preset.checked_at {
        out.line(format!("  obtained   {}", relative(checked)));
    }
    if let Some(problem) = &preset.problem {
        out.line(format!("  problem    {problem}; the list in force stays in force"));
    }
    if let Some(waiting) = &preset.waiting {
        out.line(format!(
            "  waiting    serial {}; see: hallpass presets update {}",
            waiting.serial, preset.id
        ));
    }
    for server in &preset.servers {
        out.line(format!("  server     {server}"));
    }
    for name in &preset.removed {
        out.line(format!(
            "  removed    {name}, by you; back with: hallpass presets update {} --bring-back {name}",
            preset.id
        ));
    }
}
