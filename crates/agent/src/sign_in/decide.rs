//! Who came back, and whether that may be bound. Pure: the state and the evidence in, a decision out.

use ipc::{Approval, Error, ErrorCode};
use model::{Account, AccountId, AccountKey, State, Tenant};
use oauth::Identity;

use crate::whoami::Person;

use super::Wanted;

/// Who came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// An issuer, or the identity provider, proved them.
    Proven(Identity),
    /// The server's own whoami tool named them, by this key.
    Told(AccountKey, Person),
    /// Nothing proves anything.
    Unverified,
    /// No person: the application of this key.
    Application(AccountKey),
}

/// What is to be done with the tokens that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// They belong to this known Account.
    Save(AccountId),
    /// They belong to a new Account; it may be bound without a question.
    Add,
    /// They belong to a new Account; the person must say yes.
    AskToAdd,
    /// Nothing proves whose they are; the person must say whether it is still this Account.
    AskWhetherSame(AccountId),
    /// They are not wanted.
    Refuse(Error),
}

/// Decides. The wrong person is refused, whatever else was asked for.
pub(super) fn decide(state: &State, wanted: &Wanted, came: &Came) -> Decision {
    match came {
        Came::Proven(identity) => proven(state, wanted, identity),
        Came::Told(key, person) => told(state, wanted, key, person),
        Came::Unverified => unverified(state, wanted),
        Came::Application(key) => application(state, wanted, key),
    }
}

/// Nobody can come back in its place, so there is nothing to ask; but it is nobody whom one can expect.
fn application(state: &State, wanted: &Wanted, key: &AccountKey) -> Decision {
    let refuse = |expected: &str| {
        Decision::Refuse(
            Error::new(
                ErrorCode::WrongPerson,
                format!("this signs in an application, which is no person, and {expected} was expected"),
            )
            .hint(format!("to sign a person in: hallpass login {}", wanted.server)),
        )
    };
    if let Some(expect) = &wanted.expect {
        return refuse(expect);
    }
    match (expected_account(state, wanted), state.account_by_key(key)) {
        (Some(expected), _) if expected.key != *key => refuse(&expected.label),
        (_, Some(known)) => Decision::Save(known.id.clone()),
        (_, None) => Decision::Add,
    }
}

fn proven(state: &State, wanted: &Wanted, identity: &Identity) -> Decision {
    let key = identity.key();
    let who = Who { key: &key, id: &identity.subject, words: &in_words(identity) };
    if let Some(refused) = not_expected(state, wanted, who) {
        return refused;
    }
    if let (Some(account), Some(now)) = (state.account_by_key(&key), &identity.tenant)
        && account.tenant.as_ref().is_some_and(|before| before.contradicts(now))
    {
        return Decision::Refuse(other_organisation(account, now));
    }
    if let Some(expect) = &wanted.expect {
        let email = identity.email.as_ref().filter(|_| identity.email_verified);
        if *expect != identity.subject && Some(expect) != email {
            return Decision::Refuse(wrong_person(wanted, who.words, expect));
        }
    }
    recognised(state, wanted, who)
}

/// The same by the word of the server's own tool, whose names for people are no address.
fn told(state: &State, wanted: &Wanted, key: &AccountKey, person: &Person) -> Decision {
    let who = Who { key, id: &person.named.id, words: person.label() };
    // Whom nothing proved may turn out to be somebody whom the tool names by now, if they say so and nobody else is.
    if let Some(account) = expected_account(state, wanted)
        && matches!(&account.key, AccountKey::Unverified { server, .. } if *server == wanted.server)
        && wanted.expect.is_none()
        && state.account_by_key(key).is_none()
    {
        return still(wanted, account);
    }
    if let Some(refused) = not_expected(state, wanted, who) {
        return refused;
    }
    match &wanted.expect {
        Some(expect) if *expect != person.named.id => {
            Decision::Refuse(wrong_person(wanted, who.words, expect))
        }
        Some(_) | None => recognised(state, wanted, who),
    }
}

/// Somebody who can be recognised.
#[derive(Clone, Copy)]
struct Who<'a> {
    key: &'a AccountKey,
    /// What `--expect` may be.
    id: &'a str,
    words: &'a str,
}

fn not_expected(state: &State, wanted: &Wanted, who: Who<'_>) -> Option<Decision> {
    let account = expected_account(state, wanted).filter(|account| account.key != *who.key)?;
    Some(Decision::Refuse(wrong_person(wanted, who.words, &account.label)))
}

fn recognised(state: &State, wanted: &Wanted, who: Who<'_>) -> Decision {
    match (state.account_by_key(who.key), &wanted.expect, wanted.approval) {
        (Some(account), _, _) => Decision::Save(account.id.clone()),
        (None, Some(_), _) | (None, None, Approval::Yes) => Decision::Add,
        (None, None, Approval::Ask) => Decision::AskToAdd,
        (None, None, Approval::ExpectOnly) => Decision::Refuse(
            Error::new(
                ErrorCode::ConfirmationNeeded,
                format!("{} is new here, and nobody can be asked whether to use it", who.words),
            )
            .hint(format!("say --expect {}, or --yes", who.id)),
        ),
    }
}

fn unverified(state: &State, wanted: &Wanted) -> Decision {
    if let Some(expect) = &wanted.expect {
        return Decision::Refuse(
            Error::new(
                ErrorCode::WrongPerson,
                format!("nothing proves who signed in, so it cannot be said whether it is {expect}"),
            )
            .hint("leave --expect out, and the account will be shown as unverified"),
        );
    }
    if let Some(account) = expected_account(state, wanted) {
        return match &account.key {
            AccountKey::Application { .. } => Decision::Refuse(
                Error::new(
                    ErrorCode::WrongPerson,
                    format!("{} is an application, and a person came back", account.label),
                )
                .hint(format!("to sign it in: hallpass login {} --application", wanted.server)),
            ),
            AccountKey::Subject { .. } => Decision::Refuse(
                Error::new(
                    ErrorCode::WrongPerson,
                    format!(
                        "this time nothing proves who signed in, and {} is a proven account",
                        account.label
                    ),
                )
                .hint("nothing was changed; ask the server's operator why it names nobody any more"),
            ),
            AccountKey::Told { .. } => Decision::Refuse(
                Error::new(
                    ErrorCode::WrongPerson,
                    format!(
                        "this time the server's own tool names nobody, and {} is known by what it names",
                        account.label
                    ),
                )
                .hint("nothing was changed; try again in a moment"),
            ),
            AccountKey::Unverified { server, .. } if *server != wanted.server => Decision::Refuse(
                Error::new(
                    ErrorCode::WrongPerson,
                    format!(
                        "{} is an unverified account of {server} and stands for nobody elsewhere",
                        account.label
                    ),
                )
                .hint(format!("run: hallpass login {}", wanted.server)),
            ),
            AccountKey::Unverified { .. } => still(wanted, account),
        };
    }
    match wanted.approval {
        Approval::Yes => Decision::Add,
        Approval::Ask => Decision::AskToAdd,
        Approval::ExpectOnly => Decision::Refuse(
            Error::new(
                ErrorCode::ConfirmationNeeded,
                "nothing proves who signed in, and nobody can be asked whether to use it",
            )
            .hint("say --yes to add an unverified account, and name it with --as"),
        ),
    }
}

/// Whether this is still the person whom nothing proved: theirs to say.
fn still(wanted: &Wanted, account: &Account) -> Decision {
    match (wanted.same_person, wanted.approval) {
        (true, _) => Decision::Save(account.id.clone()),
        (false, Approval::Ask) => Decision::AskWhetherSame(account.id.clone()),
        // `--yes` never answers "is this still ana?".
        (false, Approval::Yes | Approval::ExpectOnly) => Decision::Refuse(
            Error::new(
                ErrorCode::ConfirmationNeeded,
                format!("nothing proves that this is still {}", account.label),
            )
            .hint("if you are sure, say --same-person"),
        ),
    }
}

fn expected_account<'s>(state: &'s State, wanted: &Wanted) -> Option<&'s Account> {
    state.accounts.get(wanted.account.as_ref()?)
}

fn wrong_person(wanted: &Wanted, came: &str, expected: &str) -> Error {
    Error::new(
        ErrorCode::WrongPerson,
        format!("you signed in as {came}, expected {expected}; nothing was changed"),
    )
    .hint(format!(
        "to add {came} as another account: hallpass login {}; or try again as {expected}",
        wanted.server
    ))
}

/// One subject in two organisations: the issuer mixes people up, or somebody does.
fn other_organisation(account: &Account, now: &Tenant) -> Error {
    Error::new(
        ErrorCode::WrongPerson,
        format!(
            "the issuer names {} in another organisation than before ({}); nothing was changed",
            account.label,
            now.label().unwrap_or("unnamed"),
        ),
    )
    .hint(format!("if they really moved there: hallpass accounts remove {}, then sign in again", account.id))
}

fn in_words(identity: &Identity) -> String {
    identity.email.clone().or_else(|| identity.name.clone()).unwrap_or_else(|| identity.subject.clone())
}

#[cfg(test)]
mod tests;
