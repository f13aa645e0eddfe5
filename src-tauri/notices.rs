//! Tells through the system that somebody must sign in, or must do so soon since nothing renews their sign-in: once
//! when it comes about, and of each Account either at most every quarter of an hour.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use ipc::{ServerState, StatusView};
use model::{AccountId, GrantState, ServerId};

use crate::shell::{Page, Show};
use crate::tray::face::needs_somebody;
use crate::tray::label::clean;

/// What has been told.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    needing: BTreeSet<(ServerId, AccountId, Need)>,
    told: BTreeMap<(AccountId, Need), Instant>,
}

/// What somebody must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Need {
    Now,
    Soon,
}

/// One notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    server: ServerId,
    title: String,
    body: String,
}

impl Notices {
    /// What is to be told now.
    pub(crate) fn due(&mut self, status: &StatusView, now: Instant) -> Vec<Notice> {
        let mut needing = BTreeSet::new();
        let mut due = Vec::new();
        for server in &status.servers {
            let Some(grant) =
                server.grants.iter().find(|grant| server.selected.as_ref() == Some(&grant.account.id))
            else {
                continue;
            };
            let need = match server.state {
                state if needs_somebody(state) => Need::Now,
                ServerState::Connected | ServerState::Renewing | ServerState::Unreachable
                    if grant.ends_soon =>
                {
                    Need::Soon
                }
                ServerState::Connected
                | ServerState::Renewing
                | ServerState::Unreachable
                | ServerState::Switching
                | ServerState::NeedsSignIn
                | ServerState::RevokedByServer
                | ServerState::SignedOut
                | ServerState::NobodyChosen
                | ServerState::Open
                | ServerState::Paused
                | ServerState::Blocked => continue,
            };
            let account = &grant.account.id;
            let key = (server.id.clone(), account.clone(), need);
            let is_new = !self.needing.contains(&key);
            needing.insert(key);
            let rested =
                self.told.get(&(account.clone(), need)).is_none_or(|told| now.duration_since(*told) >= REST);
            if is_new && rested {
                self.told.insert((account.clone(), need), now);
                let (label, who) = (clean(&server.label, NAME), clean(&grant.account.label, NAME));
                let (title, body) = match need {
                    Need::Now if grant.pasted => (
                        if grant.state == GrantState::RevokedByServer {
                            format!("{label} refuses the pasted token")
                        } else {
                            format!("{label} needs sign-in")
                        },
                        format!("{who} needs a new token."),
                    ),
                    Need::Now => (format!("{label} needs sign-in"), format!("{who} must sign in again.")),
                    Need::Soon => (
                        format!("A sign-in to {label} ends soon"),
                        format!("Nothing renews it: {who} has to sign in again."),
                    ),
                };
                due.push(Notice { server: server.id.clone(), title, body });
            }
        }
        self.needing = needing;
        due
    }
}

impl Notice {
    /// Tells it; true once the person has chosen it.
    pub(crate) async fn tell(&self) -> bool {
        platform::notice::tell("Hallpass", &self.title, &self.body, "Sign in").await
    }

    /// Where it leads.
    pub(crate) fn leads_to(&self) -> Show {
        Show { page: Page::SignIn, server: Some(self.server.clone()) }
    }
}

const REST: Duration = Duration::from_mins(15);
const NAME: usize = 40;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A view in which each `(server, account)` needs a sign-in; `chosen` says whether the Account is the selected one.
    fn status(needing: &[(&str, &str)], chosen: bool) -> StatusView {
        let servers: Vec<Value> = needing
            .iter()
            .map(|(server, account)| {
                let grant = json!({
                    "account": {
                        "id": account, "label": format!("{account}\u{202e}<b>"), "name": null, "email": null,
                        "email_verified": false, "issuer": "https://id.example", "subject": account, "proof": "id_token",
                        "proven_at": 0,
                    },
                    "state": "needs_sign_in", "reason": "it ended", "renewable": true, "scopes": [], "expires_at": null,
                    "signed_in_at": 0, "renewed_at": null, "selected": chosen,
                });
                json!({
                    "id": server, "label": format!("{server}\n{}", "x".repeat(10_000)),
                    "endpoint": format!("https://{server}.example/mcp"), "auth": "oauth", "state": "needs_sign_in",
                    "origin": {"kind": "hand-made"}, "development": false, "private_network": false, "era": null,
                    "selected": chosen.then_some(account), "grants": [grant], "bound_apps": {},
                })
            })
            .collect();
        let agent = json!({
            "version": "0.1.0", "pid": 1, "root": "/home/x/.hallpass", "started_at": 0,
            "keychain": {"state": "ready", "store": "login"}, "proxies": {}, "unsaved": 0, "pending_revocations": 0,
        });
        serde_json::from_value(json!({"agent": agent, "servers": servers, "sessions": []})).unwrap()
    }

    /// The same for sign-ins that nothing renews and that end soon.
    fn ending(servers: &[(&str, &str)]) -> StatusView {
        let mut status = status(servers, true);
        for server in &mut status.servers {
            server.state = ServerState::Connected;
            server.grants[0].ends_soon = true;
        }
        status
    }

    fn servers(due: &[Notice]) -> Vec<&str> {
        due.iter().map(|notice| notice.server.as_str()).collect()
    }

    #[test]
    fn a_person_is_told_when_it_comes_about_and_not_again_while_it_lasts() {
        let mut notices = Notices::default();
        let start = Instant::now();
        assert_eq!(servers(&notices.due(&status(&[("jira", "ana")], true), start)), ["jira"]);
        for later in [0, 60, 14 * 60, 16 * 60, 24 * 3600] {
            let now = start + Duration::from_secs(later);
            assert!(notices.due(&status(&[("jira", "ana")], true), now).is_empty(), "after {later} s");
        }
    }

    #[test]
    fn an_account_is_told_about_at_most_every_quarter_of_an_hour() {
        let mut notices = Notices::default();
        let start = Instant::now();
        let mut comes_back = |after: u64| {
            let now = start + Duration::from_secs(after);
            assert!(notices.due(&status(&[], true), now).is_empty());
            notices.due(&status(&[("jira", "ana")], true), now).len()
        };
        assert_eq!([0, 60, 899, 900, 901, 1799, 1800].map(&mut comes_back), [1, 0, 0, 1, 0, 0, 1]);
    }

    #[test]
    fn servers_of_one_account_that_end_together_are_one_notice_and_others_are_their_own() {
        let mut notices = Notices::default();
        let now = Instant::now();
        let all = status(&[("jira", "ana"), ("wiki", "ana"), ("mail", "ben")], true);
        assert_eq!(servers(&notices.due(&all, now)), ["jira", "mail"]);
        // One of a person who was told lately stays quiet; it is not made up for later.
        let more = status(&[("jira", "ana"), ("wiki", "ana"), ("mail", "ben"), ("crm", "ben")], true);
        assert!(notices.due(&more, now + REST / 2).is_empty());
        assert!(notices.due(&more, now + REST).is_empty());
    }

    #[test]
    fn a_sign_in_that_nothing_renews_is_told_before_it_ends_and_when_it_has_ended() {
        let mut notices = Notices::default();
        let start = Instant::now();
        let soon = notices.due(&ending(&[("jira", "ana")]), start);
        assert!(soon[0].title.ends_with("ends soon") && soon[0].body.contains("ana"), "{soon:?}");
        assert!(notices.due(&ending(&[("jira", "ana")]), start + REST * 2).is_empty());
        let over = notices.due(&status(&[("jira", "ana")], true), start + Duration::from_mins(1));
        assert!(over[0].title.ends_with("needs sign-in"), "{over:?}");
    }

    #[test]
    fn nobody_is_told_of_an_account_that_is_not_in_use() {
        assert!(Notices::default().due(&status(&[("jira", "ana")], false), Instant::now()).is_empty());
    }

    #[test]
    fn what_is_told_is_one_short_plain_line_and_leads_to_the_sign_in() {
        let due = Notices::default().due(&status(&[("jira", "ana")], true), Instant::now());
        assert!(due[0].title.starts_with("jira xxx") && due[0].title.ends_with("… needs sign-in"), "{due:?}");
        assert!(due[0].title.chars().count() < 60, "{due:?}");
        assert_eq!(due[0].body, "ana<b> must sign in again.");
        let show = due[0].leads_to();
        assert_eq!((show.page, show.server.unwrap().as_str()), (Page::SignIn, "jira"));
    }
}
