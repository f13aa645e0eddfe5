//! `hallpass import`: adds servers that stand in other apps' files. The files stay as they are.

use std::io::BufRead;

use ipc::{AppView, Error, ErrorCode, FoundServerView, NewServer, Request, Response, ServerView};
use model::ClientAppId;
use serde_json::json;

use super::unexpected;
use crate::args::Import;
use crate::link::Link;
use crate::output::{Output, can_ask};

pub(crate) async fn run(options: Import, quiet: bool) -> Result<(), Error> {
    let out = Output { json: options.json.json, quiet };
    let mut link = Link::open().await?;
    unread(&mut link, out, options.from.as_ref()).await?;
    let mut found = match link.ask(Request::FindServers { location: ipc::locations() }).await? {
        Response::Found { servers } => servers,
        other => return Err(unexpected(&other)),
    };
    if let Some(app) = &options.from {
        found.retain(|one| one.apps.contains(app));
    }
    let wanted: Vec<&FoundServerView> = found.iter().filter(|one| can_be_added(one)).collect();
    if !out.json {
        show(out, &found);
    }
    if options.dry_run || wanted.is_empty() {
        return report(out, &found, &[], &[]);
    }
    if !options.yes {
        confirm(out, wanted.len())?;
    }
    let (mut added, mut refused) = (Vec::new(), Vec::new());
    for one in wanted {
        match add(&mut link, one, options.from.as_ref()).await {
            Ok(view) => {
                if !out.json {
                    out.line(format!("added {} ({})", view.id, view.endpoint));
                    out.talk(format!("  next: hallpass login {}", view.id));
                }
                added.push(view);
            }
            Err(error) => {
                out.notice(format!("{} was not added: {}", one.name, error.message));
                refused.push((one.name.clone(), error));
            }
        }
    }
    if !added.is_empty() && !out.json {
        out.talk("the files are as they were; hallpass apps connect <app> puts Hallpass into them");
    }
    report(out, &found, &added, &refused)?;
    match refused.into_iter().next() {
        Some((name, error)) if added.is_empty() => {
            Err(Error::new(error.code, format!("{name}: {}", error.message)).hint(error.hint))
        }
        Some(_) | None => Ok(()),
    }
}

/// Files that could not be looked into are named: what stands there was not seen.
async fn unread(link: &mut Link, out: Output, from: Option<&ClientAppId>) -> Result<(), Error> {
    let apps: Vec<AppView> = match link.ask(Request::ListApps { location: ipc::locations() }).await? {
        Response::Apps { apps } => apps,
        other => return Err(unexpected(&other)),
    };
    if let Some(app) = from.filter(|from| !apps.iter().any(|app| app.app == **from)) {
        let ids: Vec<String> = apps.iter().map(|app| app.app.to_string()).collect();
        return Err(Error::new(ErrorCode::NotFound, format!("{app} is not an app whose files can be read"))
            .hint(format!("known apps: {}", ids.join(", "))));
    }
    let asked = apps.iter().filter(|app| from.is_none_or(|from| app.app == *from));
    for place in asked.flat_map(|app| &app.locations).filter(|place| place.exists) {
        if let Some(problem) = &place.problem {
            out.notice(format!("{}: {problem}", place.path.display()));
        }
    }
    Ok(())
}

fn can_be_added(one: &FoundServerView) -> bool {
    one.url.is_some() && one.problem.is_none() && one.server.is_none()
}

async fn add(
    link: &mut Link,
    one: &FoundServerView,
    from: Option<&ClientAppId>,
) -> Result<ServerView, Error> {
    let new = NewServer {
        url: one.url.clone().unwrap_or_default(),
        label: Some(one.name.clone()),
        headers: one.headers.clone(),
        imported_from: from.or(one.apps.first()).cloned(),
        ..NewServer::default()
    };
    match link.ask(Request::AddServer(new)).await? {
        Response::Server(view) => Ok(*view),
        other => Err(unexpected(&other)),
    }
}

fn show(out: Output, found: &[FoundServerView]) {
    if found.is_empty() {
        out.line("no servers found in the apps' files");
        out.talk("  next: hallpass servers add https://mcp.example.com/mcp");
        return;
    }
    for one in found {
        let apps: Vec<&str> = one.apps.iter().map(ClientAppId::as_str).collect();
        let what = match (&one.server, &one.problem) {
            (Some(server), _) => format!("is there already, as {server}"),
            (None, Some(problem)) => format!("is left: {problem}"),
            (None, None) => "can be added".to_owned(),
        };
        let url = one.url.as_deref().unwrap_or("-");
        out.line(format!("{}  {url}  ({})  {what}", one.name, apps.join(", ")));
        for secret in &one.secrets {
            out.line(format!("  in plain text: {secret}"));
        }
    }
}

fn confirm(out: Output, many: usize) -> Result<(), Error> {
    if !can_ask() {
        return Err(Error::new(ErrorCode::ConfirmationNeeded, "nobody can be asked whether to add them")
            .hint("look at them with --dry-run, then say --yes"));
    }
    out.notice(format!("Add {many} server(s)? Nothing in the files changes. [y/N]"));
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    if read.is_err() || !matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
        return Err(Error::new(ErrorCode::Cancelled, "nothing was added"));
    }
    Ok(())
}

fn report(
    out: Output,
    found: &[FoundServerView],
    added: &[ServerView],
    refused: &[(String, Error)],
) -> Result<(), Error> {
    if !out.json {
        return Ok(());
    }
    let refused: Vec<_> =
        refused.iter().map(|(name, error)| json!({ "name": name, "error": error })).collect();
    out.object("import", &json!({ "found": found, "added": added, "refused": refused }))
}
