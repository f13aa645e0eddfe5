//! `hallpass apps list|connect|disconnect|diff|restore`.

use std::io::BufRead;
use std::time::Duration;

use ipc::{
    AppView, EntryKind, Error, ErrorCode, LocationView, PickUp, PlanView, PlannedKind, Request, Response,
};

use super::unexpected;
use crate::args::{Apps, Change};
use crate::link::Link;
use crate::output::{Output, can_ask};

pub(crate) async fn run(verb: Apps, quiet: bool) -> Result<(), Error> {
    let location = ipc::locations();
    match verb {
        Apps::List(json) => list(Output { json: json.json, quiet }).await,
        Apps::Connect(options) => {
            let request = Request::PlanConnect {
                app: options.app,
                location,
                servers: options.servers,
                account: options.account,
            };
            change(request, &options.change, quiet).await
        }
        Apps::Disconnect(options) | Apps::Restore(options) => {
            change(Request::PlanRestore { app: options.app, location }, &options.change, quiet).await
        }
        Apps::Diff { app, servers, json } => {
            let out = Output { json: json.json, quiet };
            let plan = plan(Request::PlanConnect { app, location, servers, account: None }).await?.1;
            if out.json {
                return out.object("plan", &plan);
            }
            show(out, &plan);
            Ok(())
        }
    }
}

async fn plan(request: Request) -> Result<(Link, PlanView), Error> {
    let mut link = Link::open().await?;
    match link.ask(request).await? {
        Response::Plan(plan) => Ok((link, *plan)),
        other => Err(unexpected(&other)),
    }
}

async fn change(request: Request, options: &Change, quiet: bool) -> Result<(), Error> {
    let out = Output { json: options.json.json, quiet };
    let (mut link, plan) = plan(request).await?;
    if !out.json {
        show(out, &plan);
    }
    if options.dry_run || plan.empty {
        return if out.json { out.object("plan", &plan) } else { Ok(()) };
    }
    if !options.yes {
        if !can_ask() {
            return Err(Error::new(
                ErrorCode::ConfirmationNeeded,
                "nobody can be asked whether to make this change",
            )
            .hint("look at it with --dry-run, then say --yes"));
        }
        out.notice("Make this change? [y/N]");
        let mut answer = String::new();
        let read = std::io::stdin().lock().read_line(&mut answer);
        if read.is_err() || !matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
            return Err(Error::new(ErrorCode::Cancelled, "nothing was changed"));
        }
    }
    apply(&mut link, &plan, options, out).await?;
    if out.json {
        return out.object("plan", &plan);
    }
    out.line(format!("changed {}", plan.path.display()));
    let when = match plan.pick_up {
        PickUp::AtStart => format!("{} sees it when it starts again", plan.app_name),
        PickUp::Watches => {
            format!("{} takes it over by itself; if it asks, allow the changed servers", plan.app_name)
        }
    };
    out.talk(format!("  {when}; undo with: hallpass apps restore {}", plan.app));
    Ok(())
}

/// An app that rewrites its file from memory must be quit first: it is waited for.
async fn apply(link: &mut Link, plan: &PlanView, options: &Change, out: Output) -> Result<(), Error> {
    let mut told = false;
    loop {
        match link.ask(Request::ApplyPlan { digest: plan.digest.clone() }).await {
            Ok(Response::Done) => return Ok(()),
            Ok(other) => return Err(unexpected(&other)),
            Err(error) if error.code == ErrorCode::AppRunning && !options.no_wait => {
                if !told {
                    out.notice(format!("{}; waiting for it to be quit (Ctrl-C gives up)", error.message));
                    told = true;
                }
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_millis(500)) => {}
                    _ = tokio::signal::ctrl_c() => {
                        return Err(Error::new(ErrorCode::Cancelled, "nothing was changed"));
                    }
                }
            }
            Err(error) => return Err(error),
        }
    }
}

async fn list(out: Output) -> Result<(), Error> {
    let apps = match Link::open().await?.ask(Request::ListApps { location: ipc::locations() }).await? {
        Response::Apps { apps } => apps,
        other => return Err(unexpected(&other)),
    };
    if out.json {
        return out.object("apps", &serde_json::json!({ "apps": apps }));
    }
    for app in &apps {
        one_app(out, app);
    }
    Ok(())
}

fn one_app(out: Output, app: &AppView) {
    let running = if app.running { ", running" } else { "" };
    out.line(format!("{} ({}{running})", app.app, app.name));
    let files: Vec<&LocationView> = app.locations.iter().filter(|l| l.exists).collect();
    if files.is_empty() {
        out.line("  no configuration found");
    }
    for file in files {
        out.line(format!("  {}", file.path.display()));
        if let Some(problem) = &file.problem {
            out.line(format!("    cannot be changed: {problem}"));
        }
        for entry in &file.entries {
            let what = match (entry.kind, &entry.server, &entry.host) {
                (EntryKind::Ours, Some(server), _) => format!("Hallpass, server {server}"),
                (EntryKind::Ours, None, _) => "Hallpass".to_owned(),
                (EntryKind::Remote, _, Some(host)) => format!("remote, {host}"),
                (EntryKind::McpRemote, _, Some(host)) => format!("remote through mcp-remote, {host}"),
                (EntryKind::Remote | EntryKind::McpRemote, _, None) => "remote".to_owned(),
                (EntryKind::Local, _, _) => "local command".to_owned(),
                (EntryKind::Other, _, _) => "not understood".to_owned(),
            };
            out.line(format!("    {}  {what}", entry.name));
            for secret in &entry.secrets {
                out.line(format!("      in plain text: {secret}"));
            }
        }
    }
}

fn show(out: Output, plan: &PlanView) {
    out.line(format!("{}  {}", plan.app, plan.path.display()));
    for entry in &plan.entries {
        let word = match entry.kind {
            PlannedKind::Add => "add",
            PlannedKind::Replace => "replace",
            PlannedKind::Restore => "put back",
            PlannedKind::Remove => "remove",
            PlannedKind::Keep => "leave",
            PlannedKind::Conflict => "CANNOT CHANGE",
        };
        out.line(format!("  {word:9} {}: {}", entry.name, entry.reason));
    }
    if !plan.diff.is_empty() {
        out.line(&plan.diff);
    }
    if plan.secrets_moved > 0 {
        out.line(format!(
            "{} value(s) leave the file for the keychain, for undo only; replace the tokens among them at their issuer",
            plan.secrets_moved
        ));
    }
    for note in &plan.notes {
        out.line(format!("note: {note}"));
    }
    if plan.empty {
        out.line("nothing to change");
    }
}
