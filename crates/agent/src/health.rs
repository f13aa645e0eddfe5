//! How Servers are beyond what the state says: a renewal under way, an issuer or a Server out of reach. Held in
//! memory alone, and gone when it goes well again.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;

use ipc::{Error, ErrorCode, ServerState, ServerView};
use model::{GrantState, ItemId, Server, ServerId, State, UnixTime};

use crate::agent::{Agent, lock};
use crate::error;
use crate::refresh::Over;
use crate::schedule::is_over;
use crate::tokens::Condition;
use crate::views::server_view;

/// What the last test of each Server ran into.
#[derive(Debug, Default)]
pub(crate) struct Troubles(Mutex<HashMap<ServerId, Error>>);

impl Agent {
    /// All Servers, by id.
    pub(crate) fn server_views(&self) -> Vec<ServerView> {
        let now = self.world.now();
        let views: Vec<_> = self.read(|state| {
            let switching = self.switching(state);
            let view =
                |one: &Server| (as_it_acts(server_view(state, one, now), &switching), record(state, &one.id));
            state.servers.values().map(view).collect()
        });
        views.into_iter().map(|(view, record)| self.with_health(view, record.as_ref())).collect()
    }

    /// One Server.
    pub(crate) fn server_view(&self, id: &ServerId) -> Result<ServerView, Error> {
        let now = self.world.now();
        let found = self.read(|state| {
            let server = state.servers.get(id)?;
            Some((as_it_acts(server_view(state, server, now), &self.switching(state)), record(state, id)))
        });
        let (view, record) = found.ok_or_else(|| error::no_server(id))?;
        Ok(self.with_health(view, record.as_ref()))
    }

    /// Remembers how asking a Server ended, and tells whoever watches if that is news.
    pub(crate) fn asked<T>(&self, server: &ServerId, outcome: &Result<T, Error>) {
        if !self.read(|state| state.servers.contains_key(server)) {
            lock(&self.troubles.0).remove(server);
            return;
        }
        let mut troubles = lock(&self.troubles.0);
        let news = match outcome {
            Ok(_) => troubles.remove(server).is_some(),
            Err(error) => troubles.insert(server.clone(), error.clone()).as_ref() != Some(error),
        };
        drop(troubles);
        if news {
            self.tell();
        }
    }

    fn with_health(&self, mut view: ServerView, record: Option<&ItemId>) -> ServerView {
        end_by_day(&mut view, self.world.now());
        let tested = lock(&self.troubles.0).get(&view.id).cloned();
        let condition = record.map(|record| self.tokens.slot(record).condition(self.world.now()));
        let (state, trouble) = judge(view.state, tested.as_ref(), condition);
        view.state = state;
        view.trouble = trouble;
        view
    }
}

/// A pasted token whose day has come is over, whether or not somebody has asked for it since.
fn end_by_day(view: &mut ServerView, now: UnixTime) {
    for grant in &mut view.grants {
        let over = grant.pasted && grant.state == GrantState::Active && is_over(now, grant.expires_at);
        if over {
            grant.state = Over::DayCame.state();
            if grant.selected && view.state == ServerState::Connected {
                view.state = ServerState::NeedsSignIn;
            }
        }
    }
}

/// Nobody is shown as the one who acts while a bridge may still act as somebody else.
fn as_it_acts(mut view: ServerView, switching: &BTreeSet<ServerId>) -> ServerView {
    if switching.contains(&view.id) {
        for grant in &mut view.grants {
            grant.selected = false;
        }
        // What is shut lets nobody act at all.
        if !matches!(view.state, ServerState::Paused | ServerState::Blocked) {
            view.state = ServerState::Switching;
        }
    }
    view
}

/// The record of the Grant that a Server uses now, if it can be used.
fn record(state: &State, server: &ServerId) -> Option<ItemId> {
    let account = state.bindings.selection.get(server)?;
    let grant = state.grant(account, server)?;
    (grant.state == GrantState::Active).then(|| grant.record.clone())
}

/// What is shown: only a Server that would be fine otherwise can be renewing or out of reach; what went wrong
/// is told in any case.
fn judge(
    state: ServerState,
    tested: Option<&Error>,
    condition: Option<Condition>,
) -> (ServerState, Option<String>) {
    let trouble = tested.map(|error| error.message.clone());
    let fine = matches!(state, ServerState::Connected | ServerState::Open);
    let out_of_reach = tested.is_some_and(|error| error.code == ErrorCode::Unreachable);
    let state_after = |out: bool| if fine && out { ServerState::Unreachable } else { state };
    match condition {
        Some(Condition::Renewing) if fine => (ServerState::Renewing, trouble),
        Some(Condition::Postponed { what, over }) => (state_after(over || out_of_reach), Some(what)),
        Some(Condition::Renewing | Condition::Good) | None => (state_after(out_of_reach), trouble),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_would_be_fine_is_renewing_or_out_of_reach() {
        use ServerState::{Connected, NeedsSignIn, Open, Paused, Renewing, Unreachable};
        let away = Error::new(ErrorCode::Unreachable, "no answer");
        let odd = Error::new(ErrorCode::Failed, "not MCP");
        let late = |over| Some(Condition::Postponed { what: "status 503".to_owned(), over });
        for (before, tested, condition, after, trouble) in [
            (Connected, None, None, Connected, None),
            (Connected, None, Some(Condition::Good), Connected, None),
            (Connected, None, Some(Condition::Renewing), Renewing, None),
            (NeedsSignIn, None, Some(Condition::Renewing), NeedsSignIn, None),
            (Connected, None, late(false), Connected, Some("status 503")),
            (Connected, None, late(true), Unreachable, Some("status 503")),
            (Paused, None, late(true), Paused, Some("status 503")),
            (Connected, Some(&away), None, Unreachable, Some("no answer")),
            (Open, Some(&away), None, Unreachable, Some("no answer")),
            (NeedsSignIn, Some(&away), None, NeedsSignIn, Some("no answer")),
            (Connected, Some(&odd), Some(Condition::Good), Connected, Some("not MCP")),
            (Connected, Some(&away), Some(Condition::Renewing), Renewing, Some("no answer")),
        ] {
            let told = format!("{before:?} {tested:?} {condition:?}");
            assert_eq!(judge(before, tested, condition), (after, trouble.map(str::to_owned)), "{told}");
        }
    }
}
