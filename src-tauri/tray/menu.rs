//! What the tray's menu says: a pure function of what is known of the agent.

use std::collections::BTreeMap;

use ipc::{AccountView, GrantView, KeychainState, ServerState, ServerView, SignInStep, StatusView};
use model::{AccountId, AuthKind, GrantState, ProofKind, ServerId};
use serde::{Deserialize, Serialize};

use super::label::clean;

/// What is known of the agent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Look<'a> {
    /// It is being started or asked.
    Starting,
    /// It does not run.
    Stopped,
    /// What it said last.
    Running(&'a StatusView),
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// Does something.
    Do(Act, String),
    /// One of several, ticked if it is the one.
    Choice { act: Act, text: String, chosen: bool },
    /// Says something, and cannot be chosen.
    Says(String),
    /// A line between groups.
    Line,
    /// A menu below this row.
    Below(String, Vec<Item>),
}

/// What a row does. It is its own id, so that a click on a menu that was just replaced still means what it said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Act {
    /// Opens the window.
    Open,
    /// Opens the window at the sign-in of a Server.
    SignIn(ServerId),
    /// Opens the window at a Server.
    Show(ServerId),
    /// Lets an Account act at a Server.
    Use(ServerId, AccountId),
    /// Lets a Profile take the Selection's place.
    UseProfile(String),
    /// Starts the agent.
    Start,
    /// Ends the tray and the window.
    Quit,
}

/// The whole menu: what needs the person first, then Profiles, Servers, and the way out.
pub(crate) fn menu(look: Look<'_>) -> Vec<Item> {
    let mut items = match look {
        Look::Starting => vec![Item::Says("Starting…".to_owned())],
        Look::Stopped => vec![
            Item::Says("The agent is not running".to_owned()),
            Item::Do(Act::Start, "Start the agent".to_owned()),
        ],
        Look::Running(view) => {
            let groups = [needs_you(view), profiles(view), servers(view)];
            groups.into_iter().filter(|group| !group.is_empty()).collect::<Vec<_>>().join(&Item::Line)
        }
    };
    if !items.is_empty() {
        items.push(Item::Line);
    }
    items.push(Item::Do(Act::Open, "Open Hallpass".to_owned()));
    items.push(Item::Do(Act::Quit, "Quit".to_owned()));
    items
}

/// What waits for the person.
fn needs_you(view: &StatusView) -> Vec<Item> {
    let mut items = Vec::new();
    match &view.agent.keychain {
        KeychainState::Ready { .. } => {}
        KeychainState::Locked { .. } => items.push(Item::Do(Act::Open, "The keychain is locked…".to_owned())),
        KeychainState::Absent { .. } => items.push(Item::Do(Act::Open, "There is no keychain…".to_owned())),
    }
    for sign_in in &view.sign_ins {
        let asked =
            matches!(sign_in.steps.last(), Some(SignInStep::Confirm { .. } | SignInStep::SamePerson { .. }));
        let server = view.servers.iter().find(|server| server.id == sign_in.server);
        if let Some(server) = server.filter(|_| asked) {
            items.push(Item::Do(Act::SignIn(server.id.clone()), format!("{}: is this you?…", name(server))));
        }
    }
    for server in view.servers.iter().filter(|server| is_usable(server)) {
        match server.state {
            ServerState::NeedsSignIn => {
                let text = format!("{} needs sign-in…", name(server));
                items.push(Item::Do(Act::SignIn(server.id.clone()), text));
            }
            ServerState::RevokedByServer => {
                let text = format!("{} refuses the token: paste a new one…", name(server));
                items.push(Item::Do(Act::SignIn(server.id.clone()), text));
            }
            ServerState::NobodyChosen => {
                let text = format!("{}: choose who acts…", name(server));
                items.push(Item::Do(Act::Show(server.id.clone()), text));
            }
            ServerState::Connected
            | ServerState::Renewing
            | ServerState::Switching
            | ServerState::SignedOut
            | ServerState::Open
            | ServerState::Unreachable
            | ServerState::Paused
            | ServerState::Blocked => {}
        }
    }
    capped(items, MOST_NEEDS)
}

fn profiles(view: &StatusView) -> Vec<Item> {
    if view.profiles.is_empty() {
        return Vec::new();
    }
    let in_use = view.profiles.iter().find(|profile| profile.in_use);
    let title = in_use.map_or_else(|| "Profile".to_owned(), |p| format!("Profile: {}", clean(&p.name, NAME)));
    let rows = view.profiles.iter().map(|profile| Item::Choice {
        act: Act::UseProfile(profile.name.clone()),
        text: clean(&profile.name, NAME),
        chosen: profile.in_use,
    });
    vec![Item::Below(title, capped(rows.collect(), MOST_PROFILES))]
}

/// The Servers that somebody can sign in to; those with accounts first, so that a cap hides the others.
fn servers(view: &StatusView) -> Vec<Item> {
    let shown = || view.servers.iter().filter(|server| server.auth != AuthKind::None);
    let (with, without): (Vec<_>, Vec<_>) = shown().partition(|server| grants(server).next().is_some());
    let rows = with.into_iter().chain(without).take(MOST_SERVERS + 1).map(server_row);
    let mut rows: Vec<Item> = rows.collect();
    let total = shown().count();
    if total > MOST_SERVERS {
        rows.truncate(MOST_SERVERS);
        rows.push(more(total - MOST_SERVERS));
    }
    rows
}

fn server_row(server: &ServerView) -> Item {
    let id = &server.id;
    let mut rows = Vec::new();
    let word = match server.state {
        ServerState::Paused => Some("paused".to_owned()),
        ServerState::Blocked => Some(match &server.closed {
            Some(closed) => format!("blocked by {}", clean(&closed.by, NAME)),
            None => "blocked".to_owned(),
        }),
        ServerState::Unreachable => Some("unreachable".to_owned()),
        ServerState::NeedsSignIn => Some("needs sign-in".to_owned()),
        ServerState::RevokedByServer => Some("token revoked by server".to_owned()),
        ServerState::SignedOut => Some("nobody signed in".to_owned()),
        ServerState::NobodyChosen => Some("nobody chosen".to_owned()),
        ServerState::Switching => Some("switching".to_owned()),
        ServerState::Connected | ServerState::Renewing | ServerState::Open => None,
    };
    let title = match &word {
        Some(word) => format!("{} ({word})", name(server)),
        None => name(server),
    };
    if let Some(closed) = server.closed.as_ref().filter(|_| server.state == ServerState::Blocked) {
        rows.push(Item::Says(clean(&closed.reason, SENTENCE)));
        rows.push(Item::Line);
    }
    let mut labels: BTreeMap<String, usize> = BTreeMap::new();
    for grant in grants(server) {
        *labels.entry(clean(&grant.account.label, NAME)).or_default() += 1;
    }
    let people = grants(server).map(|grant| {
        let account = &grant.account;
        let label = clean(&account.label, NAME);
        let who =
            if labels.get(&label).is_some_and(|count| *count > 1) { told_apart(account) } else { label };
        let who = if account.proof == ProofKind::Application { format!("{who} (not a person)") } else { who };
        let text = match grant.state {
            GrantState::NeedsSignIn { .. } => format!("{who} (needs sign-in)"),
            GrantState::RevokedByServer => format!("{who} (token revoked by server)"),
            GrantState::Active if grant.pasted => format!("{who} (pasted token)"),
            GrantState::Active | GrantState::Revoked => who,
        };
        let act = Act::Use(id.clone(), account.id.clone());
        Item::Choice { act, text, chosen: grant.selected }
    });
    let people: Vec<Item> = people.collect();
    let nobody = people.is_empty();
    rows.extend(capped(people, MOST_PEOPLE));
    if is_usable(server) {
        if !nobody {
            rows.push(Item::Line);
        }
        let words = if nobody { "Sign in…" } else { "Sign in as someone else…" };
        rows.push(Item::Do(Act::SignIn(id.clone()), words.to_owned()));
    }
    rows.push(Item::Do(Act::Show(id.clone()), "Show in the window…".to_owned()));
    Item::Below(title, rows)
}

/// Two accounts of one label: their e-mail or issuer says which is which.
fn told_apart(account: &AccountView) -> String {
    let other = account.email.as_deref().or(account.name.as_deref()).unwrap_or(&account.issuer);
    format!("{} ({})", clean(&account.label, NAME), clean(other, NAME))
}

/// Who is signed in, or was and can be again.
fn grants(server: &ServerView) -> impl Iterator<Item = &GrantView> {
    server.grants.iter().filter(|grant| grant.state != GrantState::Revoked)
}

fn is_usable(server: &ServerView) -> bool {
    !server.paused && !matches!(server.state, ServerState::Blocked | ServerState::Paused)
}

fn name(server: &ServerView) -> String {
    clean(&server.label, NAME)
}

fn capped(mut items: Vec<Item>, most: usize) -> Vec<Item> {
    if items.len() > most {
        let hidden = items.len() - most;
        items.truncate(most);
        items.push(more(hidden));
    }
    items
}

fn more(hidden: usize) -> Item {
    Item::Do(Act::Open, format!("{hidden} more in the window…"))
}

/// Characters of a name and of a sentence.
const NAME: usize = 40;
const SENTENCE: usize = 80;
/// Rows of a group: a menu that is longer than the screen cannot be used.
const MOST_NEEDS: usize = 5;
const MOST_PROFILES: usize = 12;
const MOST_SERVERS: usize = 20;
const MOST_PEOPLE: usize = 12;

#[cfg(test)]
#[path = "menu_tests.rs"]
mod tests;
