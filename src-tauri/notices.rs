//! Tells through the system that somebody must sign in: once when it comes about, and each Account at most every
//! quarter of an hour.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use ipc::{ServerState, StatusView};
use model::{AccountId, ServerId};

use crate::shell::{Page, Show};
use crate::tray::label::clean;

/// What has been told.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    needing: BTreeSet<(ServerId, AccountId)>,
    told: BTreeMap<AccountId, Instant>,
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
        for server in status.servers.iter().filter(|server| server.state == ServerState::NeedsSignIn) {
            let Some(grant) =
                server.grants.iter().find(|grant| server.selected.as_ref() == Some(&grant.account.id))
            else {
                continue;
            };
            let account = &grant.account.id;
            needing.insert((server.id.clone(), account.clone()));
            let is_new = !self.needing.contains(&(server.id.clone(), account.clone()));
            let rested = self.told.get(account).is_none_or(|told| now.duration_since(*told) >= REST);
            if is_new && rested {
                self.told.insert(account.clone(), now);
                due.push(Notice {
                    server: server.id.clone(),
                    title: format!("{} needs sign-in", clean(&server.label, NAME)),
                    body: format!("{} must sign in again.", clean(&grant.account.label, NAME)),
                });
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
