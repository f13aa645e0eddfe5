//! Who a connection acts as. Pure, and the only place where it is decided.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{AccountId, ClientAppId, ServerId};

/// Rules that fix an Account, and the Selection that holds where no rule does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bindings {
    /// Which Account each Server uses now.
    #[serde(default)]
    pub selection: BTreeMap<ServerId, AccountId>,
    /// Which Account a ClientApp uses at a Server, whatever the Selection says.
    #[serde(default)]
    pub apps: BTreeMap<ClientAppId, BTreeMap<ServerId, AccountId>>,
}

/// What a connection asks for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The Server.
    pub server: &'a ServerId,
    /// The ClientApp that its config entry names.
    pub app: &'a ClientAppId,
    /// The Account that its config entry pins (`--account`).
    pub entry: Option<&'a AccountId>,
}

/// Who it acts as, and by which rule; or that nobody was chosen. Never a guess.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effective {
    /// The config entry pins this Account.
    Entry(AccountId),
    /// The ClientApp is bound to this Account.
    App(AccountId),
    /// The Selection names this Account.
    Selection(AccountId),
    /// No rule names anybody.
    Nobody,
}

impl Effective {
    /// The Account, if there is one.
    pub fn account(&self) -> Option<&AccountId> {
        match self {
            Self::Entry(id) | Self::App(id) | Self::Selection(id) => Some(id),
            Self::Nobody => None,
        }
    }
}

/// Applies the precedence entry > ClientApp > Selection. Whether that Account *can* be used is not
/// asked here: one that cannot is an error for the caller, never a reason to look further down.
pub fn effective_account(asked: Asked<'_>, bindings: &Bindings) -> Effective {
    if let Some(account) = asked.entry {
        return Effective::Entry(account.clone());
    }
    if let Some(account) = bindings.apps.get(asked.app).and_then(|servers| servers.get(asked.server)) {
        return Effective::App(account.clone());
    }
    match bindings.selection.get(asked.server) {
        Some(account) => Effective::Selection(account.clone()),
        None => Effective::Nobody,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(name: &str) -> AccountId {
        AccountId::parse(name).unwrap()
    }

    #[test]
    fn precedence_is_entry_then_app_then_selection_and_never_a_guess() {
        let (server, other) = (ServerId::parse("jira").unwrap(), ServerId::parse("wiki").unwrap());
        let (app, app2) = (ClientAppId::parse("cursor").unwrap(), ClientAppId::parse("codex").unwrap());
        let mut b = Bindings::default();
        let ask = |b: &Bindings, app: &ClientAppId, entry: Option<&AccountId>| {
            effective_account(Asked { server: &server, app, entry }, b)
        };
        b.selection.insert(other, account("zoe"));
        assert_eq!(ask(&b, &app, None), Effective::Nobody);
        b.selection.insert(server.clone(), account("ana"));
        assert_eq!(ask(&b, &app, None), Effective::Selection(account("ana")));
        b.apps.entry(app.clone()).or_default().insert(server.clone(), account("ben"));
        assert_eq!(ask(&b, &app, None), Effective::App(account("ben")));
        assert_eq!(ask(&b, &app2, None), Effective::Selection(account("ana")));
        assert_eq!(ask(&b, &app, Some(&account("cem"))), Effective::Entry(account("cem")));
    }
}
