//! `hallpass accounts list|rename|remove`.

use std::time::Duration;

use ipc::{AccountView, Error, GrantView, Request, Response, ServerView};
use model::{AuthKind, GrantState, ProofKind, ServerId};

use super::unexpected;
use crate::args::Accounts;
use crate::link::Link;
use crate::output::{Output, day, moment, now, relative};

pub(crate) async fn run(verb: Accounts, quiet: bool) -> Result<(), Error> {
    match verb {
        Accounts::List(json) => {
            let out = Output { json: json.json, quiet };
            match Link::open().await?.ask(Request::ListAccounts).await? {
                Response::Accounts { accounts } if out.json => {
                    out.object("accounts", &serde_json::json!({ "accounts": accounts }))
                }
                Response::Accounts { accounts } if accounts.is_empty() => {
                    out.line("nobody is signed in");
                    out.talk("  next: hallpass login <server>");
                    Ok(())
                }
                Response::Accounts { accounts } => {
                    out.table(&table(&accounts));
                    Ok(())
                }
                other => Err(unexpected(&other)),
            }
        }
        Accounts::Rename { account, label } => {
            let out = Output { json: false, quiet };
            match Link::open().await?.ask(Request::RenameAccount { account, label: label.clone() }).await? {
                Response::Done => {
                    out.talk(format!("now called {label}"));
                    Ok(())
                }
                other => Err(unexpected(&other)),
            }
        }
        Accounts::Remove { account, json } => {
            let out = Output { json: json.json, quiet };
            match Link::open().await?.ask(Request::RemoveAccount { account: account.clone() }).await? {
                Response::SignedOut(view) if out.json => out.object("removed", &view),
                Response::SignedOut(view) => {
                    super::logout::report(out, &view);
                    out.line(format!("{account} is removed"));
                    Ok(())
                }
                other => Err(unexpected(&other)),
            }
        }
    }
}

/// One line for an Account at a Server.
pub(crate) fn grant_line(grant: &GrantView) -> String {
    let mark = if grant.selected { "*" } else { " " };
    let state = match &grant.state {
        GrantState::Active if grant.pasted => match grant.expires_at {
            Some(at) => format!("pasted token, ends {} ({})", day(at), relative(at)),
            None => "pasted token".to_owned(),
        },
        GrantState::RevokedByServer => "revoked by server: it refuses the pasted token".to_owned(),
        GrantState::Active if grant.renewable => "signed in, renews by itself".to_owned(),
        GrantState::Active => match grant.ends_at {
            Some(at) => format!("signed in until {}, cannot renew", moment(at)),
            None => "signed in, cannot renew, ends without notice".to_owned(),
        },
        GrantState::NeedsSignIn { reason } => format!("needs sign-in: {reason}"),
        GrantState::Revoked => "signed out, the issuer is still to be told".to_owned(),
    };
    let wants = if grant.missing_scopes.is_empty() {
        String::new()
    } else {
        format!("; the server wants more rights: {}", grant.missing_scopes.join(" "))
    };
    format!("{mark} {}  {state}{wants}", who(&grant.account))
}

/// A person in words: label, e-mail, whether proven.
pub(crate) fn who(account: &AccountView) -> String {
    let mut text = account.label.clone();
    if let Some(email) = account.email.as_deref().filter(|email| *email != account.label) {
        text = format!("{text} <{email}>");
    }
    if account.proof == ProofKind::Application {
        text.push_str(" (not a person)");
    } else if account.proof == ProofKind::Whoami {
        text.push_str(" (by the server's own word)");
    } else if account.subject.is_none() {
        text.push_str(" (unverified)");
    }
    text
}

/// What somebody does who must come in again: sign in, or paste a new token where one was pasted.
pub(crate) fn next_login(server: &ServerView) -> String {
    let selected = server.grants.iter().find(|grant| server.selected.as_ref() == Some(&grant.account.id));
    match selected {
        Some(grant) if grant.pasted => paste_anew(server, grant),
        None if server.auth == AuthKind::Bearer => format!("hallpass login {} --token-stdin", server.id),
        Some(_) | None => format!("hallpass login {}", server.id),
    }
}

/// A pasted token that has little left to live.
pub(crate) fn ends_soon(server: &ServerView, grant: &GrantView) -> Option<String> {
    let end = grant.expires_at.filter(|_| grant.pasted && grant.state == GrantState::Active)?;
    let soon = end.since(now()) < SOON;
    soon.then(|| {
        format!(
            "the token of {} ends {}; make a new one there, then: {}",
            grant.account.label,
            relative(end),
            paste_anew(server, grant)
        )
    })
}

fn paste_anew(server: &ServerView, grant: &GrantView) -> String {
    format!("hallpass login {} --account {} --token-stdin", server.id, grant.account.id)
}

const SOON: Duration = Duration::from_hours(24 * 7);

fn table(accounts: &[AccountView]) -> Vec<Vec<String>> {
    let heading = ["ACCOUNT", "ID", "PROOF", "ISSUER", "SERVERS"].map(str::to_owned).to_vec();
    let row = |account: &AccountView| {
        let proof = match account.proof {
            ProofKind::IdToken => "id_token",
            ProofKind::Userinfo => "userinfo",
            ProofKind::Introspection => "introspection",
            ProofKind::Vouched => "vouched for",
            ProofKind::Application => "not a person",
            ProofKind::Whoami => "the server's own whoami tool",
            ProofKind::Unknown => "unverified",
        };
        let server = |id: &ServerId| {
            if account.pasted.contains(id) { format!("{id} (pasted token)") } else { id.to_string() }
        };
        let servers: Vec<String> = account.servers.iter().map(server).collect();
        vec![
            who(account),
            account.id.to_string(),
            proof.to_owned(),
            account.issuer.clone(),
            if servers.is_empty() { "-".to_owned() } else { servers.join(", ") },
        ]
    };
    std::iter::once(heading).chain(accounts.iter().map(row)).collect()
}
