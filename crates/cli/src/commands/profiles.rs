//! `hallpass profiles list|create|use|delete`.

use std::process::ExitCode;

use ipc::{AccountView, Error, ErrorCode, ProfileUsedView, ProfileView, Request, Response};

use super::{accounts::who, unexpected};
use crate::args::Profiles;
use crate::link::Link;
use crate::output::Output;

pub(crate) async fn run(verb: Profiles, quiet: bool) -> Result<ExitCode, Error> {
    match verb {
        Profiles::List(json) => list(Output { json: json.json, quiet }).await?,
        Profiles::Create { name, replace, json } => {
            let out = Output { json: json.json, quiet };
            let request = Request::CreateProfile { name: name.clone(), replace };
            changed(out, request, &format!("saved; use it with: hallpass profiles use {name:?}")).await?;
        }
        Profiles::Use { name, json } => return use_it(Output { json: json.json, quiet }, name).await,
        Profiles::Delete { name, json } => {
            let out = Output { json: json.json, quiet };
            changed(out, Request::DeleteProfile { name }, "forgotten; who acts now has not changed").await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks for a change that is answered by all profiles.
pub(crate) async fn changed(out: Output, request: Request, words: &str) -> Result<(), Error> {
    match Link::open().await?.ask(request).await? {
        Response::Profiles { profiles } if out.json => {
            out.object("profiles", &serde_json::json!({ "profiles": profiles }))
        }
        Response::Profiles { .. } => {
            out.talk(words);
            Ok(())
        }
        other => Err(unexpected(&other)),
    }
}

async fn list(out: Output) -> Result<(), Error> {
    let mut link = Link::open().await?;
    let profiles = match link.ask(Request::ListProfiles).await? {
        Response::Profiles { profiles } => profiles,
        other => return Err(unexpected(&other)),
    };
    if out.json {
        return out.object("profiles", &serde_json::json!({ "profiles": profiles }));
    }
    if profiles.is_empty() {
        out.line("no profiles yet");
        out.talk("  next: hallpass profiles create Work");
        return Ok(());
    }
    match link.ask(Request::ListAccounts).await? {
        Response::Accounts { accounts } => out.table(&table(&profiles, &accounts)),
        other => return Err(unexpected(&other)),
    }
    Ok(())
}

fn table(profiles: &[ProfileView], accounts: &[AccountView]) -> Vec<Vec<String>> {
    let heading = ["PROFILE", "IN USE", "ACTS AS"].map(str::to_owned).to_vec();
    let row = |profile: &ProfileView| {
        let pair = |(server, account): (&model::ServerId, &model::AccountId)| {
            let label = accounts.iter().find(|known| known.id == *account).map(|known| known.label.as_str());
            format!("{server}: {}", label.unwrap_or(account.as_str()))
        };
        let pairs: Vec<String> = profile.selection.iter().map(pair).collect();
        vec![
            profile.name.clone(),
            if profile.in_use { "yes" } else { "-" }.to_owned(),
            if pairs.is_empty() { "nobody anywhere".to_owned() } else { pairs.join(", ") },
        ]
    };
    std::iter::once(heading).chain(profiles.iter().map(row)).collect()
}

async fn use_it(out: Output, name: String) -> Result<ExitCode, Error> {
    let view = match Link::open().await?.ask(Request::UseProfile { name }).await? {
        Response::ProfileUsed(view) => view,
        other => return Err(unexpected(&other)),
    };
    if out.json {
        out.object("profile_used", &view)?;
    } else {
        show(out, &view);
    }
    let mut code = ExitCode::SUCCESS;
    for one in view.changed.iter().filter(|one| one.needs_sign_in) {
        let whom = one.account.as_ref().map_or_else(String::new, |a| format!(" --account {}", a.id));
        out.notice(format!("  next: hallpass login {}{whom}", one.server));
        code = ExitCode::from(ErrorCode::SignInNeeded.exit_code());
    }
    Ok(code)
}

fn show(out: Output, view: &ProfileUsedView) {
    if view.changed.is_empty() {
        out.line(format!("{} is in use; nobody had to change", view.profile));
    }
    for one in &view.changed {
        match &one.account {
            Some(account) => out.line(format!("{} now acts as {}", one.server, who(account))),
            None => out.line(format!("{} now acts as nobody", one.server)),
        }
    }
    if view.acknowledged > 0 {
        out.talk(format!("  {} running app connection(s) took it over", view.acknowledged));
    }
    if view.cut_off > 0 {
        out.notice(format!("{} app connection(s) did not answer and were cut off", view.cut_off));
    }
}
