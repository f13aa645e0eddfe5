//! `hallpass status`.

use std::process::ExitCode;

use ipc::{Error, ErrorCode, KeychainState, Request, Response, ServerState, StatusView};

use model::GrantState;

use super::unexpected;
use crate::args::Status;
use crate::link::Link;
use crate::output::Output;

pub(crate) async fn run(options: Status, quiet: bool) -> Result<ExitCode, Error> {
    let out = Output { json: options.json.json, quiet };
    let mut view = match Link::open().await?.ask(Request::Status).await? {
        Response::Status(view) => *view,
        other => return Err(unexpected(&other)),
    };
    if let Some(server) = &options.server {
        view.servers.retain(|s| s.id == *server);
        view.sessions.retain(|s| s.server == *server);
        if view.servers.is_empty() {
            return Err(Error::new(ErrorCode::NotFound, format!("there is no server {server}"))
                .hint("hallpass servers list shows all"));
        }
    }
    if out.json {
        out.object("status", &view)?;
    } else {
        show(out, &view);
    }
    Ok(ExitCode::from(exit_code(&view)))
}

/// 7 if tokens cannot be read, 4 if somebody must sign in, also with `--json`.
fn exit_code(view: &StatusView) -> u8 {
    match view.agent.keychain {
        KeychainState::Locked { .. } => ErrorCode::KeychainLocked.exit_code(),
        KeychainState::Absent { .. } => ErrorCode::KeychainAbsent.exit_code(),
        KeychainState::Ready { .. } => {
            let needs = |state| match state {
                ServerState::NeedsSignIn
                | ServerState::RevokedByServer
                | ServerState::SignedOut
                | ServerState::NobodyChosen => true,
                ServerState::Connected
                | ServerState::Renewing
                | ServerState::Switching
                | ServerState::Open
                | ServerState::Unreachable
                | ServerState::Paused
                | ServerState::Blocked => false,
            };
            if view.servers.iter().any(|s| needs(s.state)) { ErrorCode::SignInNeeded.exit_code() } else { 0 }
        }
    }
}

fn show(out: Output, view: &StatusView) {
    match &view.agent.keychain {
        KeychainState::Ready { store } if store == "sealed-file" => {
            out.line("tokens lie in sealed files, not in a keychain (hallpass store show)");
        }
        KeychainState::Ready { .. } => {}
        KeychainState::Locked { store } if store == "sealed-file" => {
            out.notice("the sealed files are locked; next: hallpass store unlock");
        }
        KeychainState::Locked { store } => {
            out.notice(format!("the keychain ({store}) is locked: unlock it and everything goes on"));
        }
        KeychainState::Absent { reason } => out.notice(format!("no keychain: {reason}")),
    }
    if view.servers.is_empty() {
        out.line("no servers yet");
        out.talk("  next: hallpass servers add https://mcp.example.com/mcp");
        return;
    }
    for server in &view.servers {
        out.line(format!("{}  {}", server.id, super::servers::state(server.state)));
        super::servers::closed(out, server);
        if let Some(trouble) = &server.trouble {
            out.line(format!("  trouble: {trouble}"));
        }
        for grant in &server.grants {
            out.line(format!("  {}", super::accounts::grant_line(grant)));
            if let Some(warning) = super::accounts::ends_soon(server, grant) {
                out.notice(format!("  {warning}"));
            }
        }
        for grant in server.grants.iter().filter(|grant| grant.ends_soon && grant.state == GrantState::Active)
        {
            let (label, id) = (&grant.account.label, &grant.account.id);
            out.notice(format!("the sign-in of {label} to {} ends soon, and nothing renews it", server.id));
            out.talk(format!("  next: hallpass login {} --account {id}", server.id));
        }
        for session in view.sessions.iter().filter(|s| s.server == server.id) {
            let label = |id: &model::AccountId| {
                server
                    .grants
                    .iter()
                    .find(|g| g.account.id == *id)
                    .map_or_else(|| id.to_string(), |g| g.account.label.clone())
            };
            let who = session.account.as_ref().map_or_else(|| "nobody".to_owned(), label);
            out.line(format!("    {} is connected as {who}", session.app));
        }
        match server.state {
            ServerState::NeedsSignIn | ServerState::RevokedByServer | ServerState::SignedOut => {
                out.talk(format!("  next: {}", super::accounts::next_login(server)));
            }
            ServerState::NobodyChosen => out.talk(format!("  next: hallpass switch {} <account>", server.id)),
            ServerState::Connected
            | ServerState::Renewing
            | ServerState::Switching
            | ServerState::Open
            | ServerState::Unreachable
            | ServerState::Paused
            | ServerState::Blocked => {}
        }
    }
    for preset in &view.presets {
        if let Some(problem) = &preset.problem {
            out.notice(format!("the list {}: {problem}; the list in force stays in force", preset.title));
        }
        if preset.stale {
            out.notice(format!("the list {} is stale: ask its publisher for a newer one", preset.title));
        }
        if preset.waiting.is_some() {
            out.notice(format!(
                "the list {} has changed; look at it: hallpass presets update {}",
                preset.title, preset.id
            ));
        }
    }
    if view.agent.unsaved > 0 {
        out.notice("renewed tokens could not be saved yet: unlock your keychain, and do not stop the agent");
    }
}
