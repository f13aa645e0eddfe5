//! Saved Selections: made, used in one write, forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipc::{Error, ErrorCode, ProfileUsedView, ProfileView, SwitchView};
use model::{AccountId, ClientAppId, GrantState, Profile, ServerId, State, differing_servers, profile_name};
use token_lease::OlderLeases;

use crate::agent::Agent;
use crate::sessions::Session;
use crate::standings::Brought;
use crate::{error, faults, people, views};

impl Agent {
    /// Saves the Selection as it is now.
    pub(crate) fn create_profile(&self, name: &str, replace: bool) -> Result<Vec<ProfileView>, Error> {
        let name = profile_name(name).map_err(|e| {
            Error::new(ErrorCode::Usage, e.to_string()).hint("give it a short name, such as Work")
        })?;
        self.change(|state| {
            if state.profiles.contains_key(&name) && !replace {
                return Err(Error::new(ErrorCode::Usage, format!("there is a profile {name:?} already"))
                    .hint("choose another name, or replace it: hallpass profiles create <name> --replace"));
            }
            let selection = state.bindings.selection.clone();
            state.profiles.entry(name).or_default().selection = selection;
            Ok(profile_views(state, &self.switching(state)))
        })
        .map_err(error::of_state)?
    }

    /// Changes which Account a saved Profile chooses for a Server, or leaves the Server out of it. Who acts
    /// now stays.
    pub(crate) fn change_profile(
        &self,
        name: &str,
        server: &ServerId,
        account: Option<&str>,
    ) -> Result<Vec<ProfileView>, Error> {
        self.change(|state| {
            if !state.servers.contains_key(server) {
                return Err(error::no_server(server));
            }
            let account =
                account.map(|account| people::resolve(state, Some(server), account).map(|a| a.id.clone()));
            let account = account.transpose()?;
            let profile = find(&mut state.profiles, name)?;
            match account {
                Some(account) => profile.selection.insert(server.clone(), account),
                None => profile.selection.remove(server),
            };
            Ok(profile_views(state, &self.switching(state)))
        })
        .map_err(error::of_state)?
    }

    /// Forgets a Profile. The Selection stays.
    pub(crate) fn delete_profile(&self, name: &str) -> Result<Vec<ProfileView>, Error> {
        self.change(|state| {
            find(&mut state.profiles, name)?;
            state.profiles.remove(name.trim());
            Ok(profile_views(state, &self.switching(state)))
        })
        .map_err(error::of_state)?
    }

    /// All Profiles, by name.
    pub(crate) fn profiles(&self) -> Vec<ProfileView> {
        self.read(|state| profile_views(state, &self.switching(state)))
    }

    /// Puts a Profile in the place of the Selection: one write, then every bridge concerned takes it over.
    /// Returns when each has acknowledged or was cut off. What an entry or an app is bound to stays in force.
    pub(crate) async fn use_profile(self: &Arc<Self>, name: &str) -> Result<ProfileUsedView, Error> {
        let (profile, changed, apps) = self
            .change(|state| {
                let next = find(&mut state.profiles, name)?.selection.clone();
                let mut changed = differing_servers(&state.bindings.selection, &next);
                changed.retain(|server| state.servers.contains_key(server));
                state.bindings.selection = next;
                Ok::<_, Error>((name.trim().to_owned(), changed, state.bindings.apps.clone()))
            })
            .map_err(error::of_state)??;
        faults::point(&self.root, "profile.written");
        let concerned = |session: &Session| {
            changed.contains(&session.server) && session.entry.is_none() && !is_bound(&apps, session)
        };
        let brought = self.bring(concerned, OlderLeases::Drain).await;
        let changed = self.read(|state| changed.iter().map(|s| switch_view(state, s, brought)).collect());
        Ok(ProfileUsedView { profile, changed, acknowledged: brought.acknowledged, cut_off: brought.cut_off })
    }
}

/// All Profiles. One whose Selection is not yet in force at these Servers is not in use yet.
fn profile_views(state: &State, switching: &BTreeSet<ServerId>) -> Vec<ProfileView> {
    let view = |(name, profile): (&String, &Profile)| ProfileView {
        name: name.clone(),
        selection: profile.selection.clone(),
        in_use: switching.is_empty() && profile.selection == state.bindings.selection,
    };
    state.profiles.iter().map(view).collect()
}

/// A Server that is forgotten is in no Profile.
pub(crate) fn forget_server(state: &mut State, server: &ServerId) {
    for profile in state.profiles.values_mut() {
        profile.selection.remove(server);
    }
}

/// An Account that is forgotten is in no Profile; nobody takes its place there.
pub(crate) fn forget_account(state: &mut State, account: &AccountId) {
    for profile in state.profiles.values_mut() {
        profile.selection.retain(|_, chosen| chosen != account);
    }
}

fn find<'p>(profiles: &'p mut BTreeMap<String, Profile>, name: &str) -> Result<&'p mut Profile, Error> {
    let name = name.trim();
    let hint = match profiles.keys().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => "save one first: hallpass profiles create <name>".to_owned(),
        ref names => format!("there are: {}", names.join(", ")),
    };
    profiles
        .get_mut(name)
        .ok_or_else(|| Error::new(ErrorCode::NotFound, format!("there is no profile {name:?}")).hint(hint))
}

fn is_bound(apps: &BTreeMap<ClientAppId, BTreeMap<ServerId, AccountId>>, session: &Session) -> bool {
    apps.get(&session.app).is_some_and(|servers| servers.contains_key(&session.server))
}

/// Who acts at a Server now that nobody or somebody else is selected.
fn switch_view(state: &State, server: &ServerId, brought: Brought) -> SwitchView {
    let selected = state.bindings.selection.get(server);
    let account = selected.and_then(|id| state.accounts.get(id));
    let grant = selected.and_then(|id| state.grant(id, server));
    SwitchView {
        server: server.clone(),
        app: None,
        account: account.map(views::account_view),
        needs_sign_in: selected.is_some() && grant.is_none_or(|grant| grant.state != GrantState::Active),
        acknowledged: brought.acknowledged,
        cut_off: brought.cut_off,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let id = |text: &str| AccountId::parse(text).unwrap();
        let server = |text: &str| ServerId::parse(text).unwrap();
        let mut state = State::default();
        state.bindings.selection.insert(server("jira"), id("ana"));
        for (name, pairs) in [
            ("Work", vec![("jira", "ana"), ("wiki", "ana")]),
            ("Home", vec![("jira", "ben")]),
            ("Now", vec![("jira", "ana")]),
        ] {
            let selection = pairs.into_iter().map(|(s, a)| (server(s), id(a))).collect();
            state.profiles.insert(name.to_owned(), Profile { selection, ..Profile::default() });
        }
        state
    }

    fn shown(state: &State) -> Vec<(String, String, bool)> {
        let pairs = |view: &ProfileView| {
            view.selection.iter().map(|(s, a)| format!("{s}={a}")).collect::<Vec<_>>().join(" ")
        };
        profile_views(state, &BTreeSet::new())
            .iter()
            .map(|view| (view.name.clone(), pairs(view), view.in_use))
            .collect()
    }

    fn row(name: &str, pairs: &str, in_use: bool) -> (String, String, bool) {
        (name.to_owned(), pairs.to_owned(), in_use)
    }

    #[test]
    fn the_profile_that_is_the_selection_is_in_use() {
        let rows = [
            row("Home", "jira=ben", false),
            row("Now", "jira=ana", true),
            row("Work", "jira=ana wiki=ana", false),
        ];
        assert_eq!(shown(&state()), rows);
        let switching = BTreeSet::from([ServerId::parse("jira").unwrap()]);
        assert!(profile_views(&state(), &switching).iter().all(|view| !view.in_use), "a bridge lags behind");
    }

    #[test]
    fn who_or_what_is_gone_is_in_no_profile_and_nobody_takes_the_place() {
        let mut state = state();
        forget_account(&mut state, &AccountId::parse("ana").unwrap());
        let rows = [row("Home", "jira=ben", false), row("Now", "", false), row("Work", "", false)];
        assert_eq!(shown(&state), rows);
        forget_server(&mut state, &ServerId::parse("jira").unwrap());
        assert_eq!(shown(&state)[0], row("Home", "", false));
    }

    #[test]
    fn a_profile_that_is_not_there_is_named_with_those_that_are() {
        let mut state = state();
        assert!(find(&mut state.profiles, " Work ").is_ok());
        let error = find(&mut state.profiles, "work").unwrap_err();
        assert_eq!(error.code, ErrorCode::NotFound);
        assert_eq!(error.hint, "there are: Home, Now, Work");
        assert!(find(&mut BTreeMap::new(), "Work").unwrap_err().hint.contains("profiles create"));
    }
}
