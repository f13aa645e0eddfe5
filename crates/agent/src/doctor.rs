//! First checks: what is looked at, what was found, what to do.

mod connections;

use std::sync::Arc;
use std::time::Duration;

use ipc::{CheckState, CheckView, KeychainState};
use model::{Grant, GrantState, State, UnixTime};
use token_store::SealedFiles;

use crate::agent::Agent;
use crate::{list_rules, stores, views};

impl Agent {
    /// Looks at everything that a sign-in and a call need, in the order in which they build on each other.
    pub(crate) async fn checks(self: &Arc<Self>) -> Vec<CheckView> {
        let mut checks = vec![
            check(
                "agent",
                CheckState::Ok,
                format!("version {}, pid {}", env!("CARGO_PKG_VERSION"), std::process::id()),
                "",
            ),
            self.folder(),
            self.keychain_check().await,
            self.published(),
        ];
        if self.tokens.unsaved() > 0 {
            checks.push(check(
                "unsaved sign-ins",
                CheckState::Problem,
                format!("{} renewed sign-in(s) are only in memory", self.tokens.unsaved()),
                "unlock your keychain, and do not stop the agent",
            ));
        }
        let pending = self.read(|state| state.revocations.len());
        if pending > 0 {
            checks.push(check(
                "sign-outs",
                CheckState::Warning,
                format!("{pending} issuer(s) could not be told about a sign-out yet"),
                "nothing: it is tried again every minute while the agent runs",
            ));
        }
        if let Some(begun) = self.read(|state| state.moving_to.clone()) {
            checks.push(check(
                "store",
                CheckState::Warning,
                format!("a move to {} was interrupted; everything still lies where it was", begun.store),
                if begun.store == SealedFiles::NAME {
                    "hallpass store use sealed-file"
                } else {
                    "hallpass store use keychain"
                },
            ));
        }
        if let Some(old) = self.read(|state| state.moved_from.clone()) {
            let now = self.bare_keychain().store();
            checks.push(check(
                "old store",
                CheckState::Warning,
                format!("copies of sign-ins may still be in {}, from which they moved to {now}", old.store),
                if now == SealedFiles::NAME {
                    "hallpass store use sealed-file"
                } else {
                    "hallpass store use keychain"
                },
            ));
        }
        checks.extend(self.proxy_check());
        checks.extend(self.connection_checks().await);
        checks.extend(self.identity_checks().await);
        checks.extend(self.server_checks());
        checks.extend(self.list_checks());
        if platform::process::inside_package() {
            checks.push(check(
                "package",
                CheckState::Problem,
                "the agent was started inside a packaged app, where it must not change configurations"
                    .to_owned(),
                "run: hallpass agent stop, then any hallpass command in a terminal",
            ));
        }
        checks
    }

    fn folder(&self) -> CheckView {
        match self.root.ensure() {
            Ok(()) => check("folder", CheckState::Ok, format!("{}", self.root.path().display()), ""),
            Err(error) => check(
                "folder",
                CheckState::Problem,
                error.to_string(),
                "make it a folder of yours that nobody else can write",
            ),
        }
    }

    async fn keychain_check(&self) -> CheckView {
        match self.keychain_state().await {
            KeychainState::Ready { store } if store == SealedFiles::NAME => {
                let found =
                    format!("{store} in {}, {}", self.root.sealed().display(), stores::opener(&self.root));
                check("keychain", CheckState::Ok, found, "")
            }
            KeychainState::Locked { store } if store == SealedFiles::NAME => check(
                "keychain",
                CheckState::Problem,
                "the sealed files are locked".to_owned(),
                "hallpass store unlock",
            ),
            KeychainState::Ready { store } => {
                check("keychain", CheckState::Ok, format!("{store}, ready"), "")
            }
            KeychainState::Locked { store } => {
                check("keychain", CheckState::Problem, format!("{store} is locked"), "unlock it")
            }
            KeychainState::Absent { reason } => check(
                "keychain",
                CheckState::Problem,
                reason,
                if self.read(|state| state.keychain.as_ref().is_some_and(|k| k.store == SealedFiles::NAME)) {
                    "put back what is named; hallpass store show says what is in use"
                } else {
                    "start a keychain service (on Linux: gnome-keyring or KWallet) in your session; \
                     on a machine without one: hallpass store use sealed-file"
                },
            ),
        }
    }

    fn published(&self) -> CheckView {
        let path = platform::publish::entry_executable(&self.root);
        if path.is_file() {
            check("bridge path", CheckState::Ok, format!("{}", path.display()), "")
        } else {
            check(
                "bridge path",
                CheckState::Problem,
                format!("{} is missing: the apps' entries cannot start", path.display()),
                "run any hallpass command from the installed copy; it puts the file back",
            )
        }
    }

    fn server_checks(&self) -> Vec<CheckView> {
        let now = self.world.now();
        self.read(|state| {
            state
                .grants
                .iter()
                .filter_map(|grant| {
                    let label = state.accounts.get(&grant.account).map_or("?", |a| a.label.as_str());
                    let (how, found) = match &views::state_at(grant, now) {
                        GrantState::Active if grant.pasted => return pasted_check(state, grant, now),
                        GrantState::RevokedByServer => {
                            return Some(token_check(state, grant, CheckState::Problem, "is refused"));
                        }
                        GrantState::Active if grant.told_from().is_some_and(|from| from <= now) => (
                            CheckState::Warning,
                            format!(
                                "the sign-in of {label} to {} ends soon, and nothing renews it",
                                grant.server
                            ),
                        ),
                        GrantState::Active | GrantState::Revoked => return None,
                        GrantState::NeedsSignIn { reason } => (
                            CheckState::Problem,
                            format!("{label} must sign in to {} again: {reason}", grant.server),
                        ),
                    };
                    let fix = format!("hallpass login {} --account {}", grant.server, grant.account);
                    Some(check("sign-in", how, found, &fix))
                })
                .collect()
        })
    }
}

impl Agent {
    /// Lists that cannot be renewed or have ended, and what they have closed.
    fn list_checks(&self) -> Vec<CheckView> {
        let mut checks = Vec::new();
        for preset in self.presets() {
            let name = format!("list {}", preset.title);
            if let Some(problem) = &preset.problem {
                let found = format!("{problem}; the list in force stays in force");
                checks.push(check(
                    &name,
                    CheckState::Problem,
                    found,
                    &format!("hallpass presets update {}", preset.id),
                ));
            } else if preset.stale {
                let found = "it has ended; what it says stays in force".to_owned();
                checks.push(check(&name, CheckState::Warning, found, "ask its publisher for a newer one"));
            } else if preset.waiting.is_some() {
                let found = "a newer one waits for your yes".to_owned();
                checks.push(check(
                    &name,
                    CheckState::Warning,
                    found,
                    &format!("hallpass presets update {}", preset.id),
                ));
            }
        }
        let closed = self.read(|state| {
            let closed =
                |server: &model::Server| Some((server.id.clone(), list_rules::taken_back(state, server)?));
            state.servers.values().filter_map(closed).collect::<Vec<_>>()
        });
        for (server, (by, reason)) in closed {
            let found = format!("{server} was closed by the list {by}: {reason}");
            checks.push(check("closed", CheckState::Warning, found, &format!("ask whoever publishes {by}")));
        }
        checks
    }
}

/// A pasted token that ends soon, or has ended.
fn pasted_check(state: &State, grant: &Grant, now: UnixTime) -> Option<CheckView> {
    let end = grant.expires_at.filter(|end| end.since(now) < SOON)?;
    let (found, how) = if end <= now {
        (CheckState::Problem, "has ended".to_owned())
    } else {
        let left = match end.since(now).as_secs() / 86_400 {
            0 => "within a day".to_owned(),
            1 => "in 1 day".to_owned(),
            days => format!("in {days} days"),
        };
        (CheckState::Warning, format!("ends {left}"))
    };
    Some(token_check(state, grant, found, &how))
}

fn token_check(state: &State, grant: &Grant, found: CheckState, how: &str) -> CheckView {
    let label = state.accounts.get(&grant.account).map_or("?", |account| account.label.as_str());
    check(
        "pasted token",
        found,
        format!("the token of {label} at {} {how}", grant.server),
        &format!(
            "make a new one there, then: hallpass login {} --account {} --token-stdin",
            grant.server, grant.account
        ),
    )
}

/// What is left to live when a token's end is near.
const SOON: Duration = Duration::from_hours(24 * 7);

fn check(name: &str, state: CheckState, found: String, fix: &str) -> CheckView {
    CheckView { name: name.to_owned(), state, found, fix: fix.to_owned() }
}
