//! Finds the Account that a person means by a name, and never guesses.

use ipc::{Error, ErrorCode};
use model::{Account, AccountId, AccountKey, ServerId, State};

/// The one Account that `name` stands for: its id, else its label, else its e-mail or subject. With a
/// Server, only Accounts that have a Grant there are looked at first.
pub(crate) fn resolve<'s>(
    state: &'s State,
    server: Option<&ServerId>,
    name: &str,
) -> Result<&'s Account, Error> {
    if let Some(account) = AccountId::parse(name).ok().and_then(|id| state.accounts.get(&id)) {
        return Ok(account);
    }
    let here = |account: &&Account| {
        server
            .is_none_or(|server| state.grants.iter().any(|g| g.account == account.id && g.server == *server))
    };
    let fits = |account: &&Account| {
        account.label == name
            || account.email.as_deref() == Some(name)
            || matches!(
                &account.key,
                AccountKey::Subject { subject: id, .. } | AccountKey::Told { id, .. } if id == name
            )
    };
    let mut found: Vec<&Account> = state.accounts.values().filter(fits).filter(here).collect();
    if found.is_empty() {
        found = state.accounts.values().filter(fits).collect();
    }
    match found[..] {
        [account] => Ok(account),
        [] => Err(Error::new(ErrorCode::NotFound, format!("there is no account {name:?}"))
            .hint("hallpass accounts list shows all")),
        [_, ..] => Err(Error::new(ErrorCode::Ambiguous, format!("{name:?} fits {} accounts", found.len()))
            .hint("name one by its id; hallpass accounts list shows them")),
    }
}

/// A label for a new Account that no other one bears: the wish, else e-mail, name, "account".
pub(crate) fn free_label(state: &State, wishes: &[Option<&str>]) -> String {
    let wish = wishes.iter().flatten().find(|w| !w.trim().is_empty()).map_or("account", |w| w.trim());
    let wish: String = wish.chars().filter(|c| !c.is_control()).take(100).collect();
    model::free_name(&wish, " (", ")", |label| is_taken(state, label, None))
}

/// Whether a label would stand for somebody else than `whose`: it is theirs, or reads as their id, which goes first.
pub(crate) fn is_taken(state: &State, label: &str, whose: Option<&AccountId>) -> bool {
    let others = state.accounts.values().filter(|account| Some(&account.id) != whose);
    others.into_iter().any(|account| account.label == label || account.id.as_str() == label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Proof, ProofKind, UnixTime};

    fn state(people: &[(&str, &str, &str)]) -> State {
        let mut state = State::default();
        for (id, label, email) in people {
            let id = AccountId::parse(id).unwrap();
            let account = Account {
                id: id.clone(),
                key: AccountKey::Subject { issuer: "i".into(), subject: format!("sub-{id}") },
                label: (*label).to_owned(),
                name: None,
                email: Some((*email).to_owned()),
                email_verified: true,
                tenant: None,
                proof: Proof { kind: ProofKind::IdToken, at: UnixTime(0) },
                extra: serde_json::Map::new(),
            };
            state.accounts.insert(id, account);
        }
        state
    }

    #[test]
    fn a_name_that_fits_two_people_is_refused() {
        let state = state(&[("a1", "ana", "x@corp"), ("a2", "ben", "x@corp")]);
        assert_eq!(resolve(&state, None, "ana").unwrap().id.as_str(), "a1");
        assert_eq!(resolve(&state, None, "a2").unwrap().label, "ben");
        assert_eq!(resolve(&state, None, "sub-a2").unwrap().label, "ben");
        assert_eq!(resolve(&state, None, "x@corp").unwrap_err().code, ErrorCode::Ambiguous);
        assert_eq!(resolve(&state, None, "an").unwrap_err().code, ErrorCode::NotFound);
    }

    #[test]
    fn labels_stay_distinct_and_printable() {
        let state = state(&[("a1", "ana", "x")]);
        assert_eq!(free_label(&state, &[None, Some("ana")]), "ana (2)");
        assert_eq!(free_label(&state, &[Some("a1")]), "a1 (2)", "an id is somebody already");
        assert!(
            is_taken(&state, "a1", None) && !is_taken(&state, "a1", Some(&AccountId::parse("a1").unwrap()))
        );
        assert_eq!(free_label(&state, &[Some(" "), None]), "account");
        assert_eq!(free_label(&state, &[Some("a\u{1b}b\n")]), "ab");
    }
}
