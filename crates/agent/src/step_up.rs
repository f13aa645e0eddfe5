//! Missing rights: what a Server asks for beyond a Grant is noted, shown, and asked for at the person's next
//! sign-in. Nobody is sent to a browser by it (MCP authorization, Step-Up Authorization Flow).

use model::{AccountId, ServerId, StepUpAsked};
use oauth::{Narrow, Scopes, StepUp};
use token_lease::{Closed, ClosedCode, Person};

use crate::agent::Agent;

/// Notes what a refused call wants, and says what the person can do.
pub(crate) fn noted(agent: &Agent, account: &AccountId, server: &ServerId, challenges: &[String]) -> Closed {
    let person = agent.person(account);
    let Some((granted, step_ups)) =
        agent.read(|state| state.grant(account, server).map(|g| (Scopes::of(&g.scopes), g.step_ups)))
    else {
        return refused(server, person, "the account was signed out meanwhile", "call again");
    };
    let challenges: Vec<&str> = challenges.iter().map(String::as_str).collect();
    let narrow = Narrow { asked: &granted, granted: Some(&granted), step_ups };
    let asked = match oauth::step_up(&challenges, narrow) {
        StepUp::AskPerson { scopes, missing } => {
            StepUpAsked { scopes: scopes.as_slice().to_vec(), missing: missing.as_slice().to_vec() }
        }
        StepUp::GiveUp(why) => {
            return refused(server, person, &why.to_string(), "signing in again will not help");
        }
        StepUp::NotAScopeMatter => {
            return refused(
                server,
                person,
                "the server refuses this call",
                "ask whoever runs the server for access",
            );
        }
    };
    let rights = asked.missing.join(" ");
    let hint = format!("if you want to give them, run: hallpass login {server} --account {account}");
    let what = format!("{server} wants rights that {} has not given it: {rights}", person.label);
    let news =
        agent.read(|state| state.grant(account, server).is_some_and(|g| g.step_up.as_ref() != Some(&asked)));
    if news {
        let noted = agent.change(|state| {
            if let Some(grant) = state.grant_mut(account, server) {
                grant.step_up = Some(asked);
            }
        });
        if let Err(error) = noted {
            tracing::warn!(%error, "missing rights were not noted");
        }
    }
    Closed { code: ClosedCode::RightsMissing, message: what, hint, person: Some(person) }
}

fn refused(server: &ServerId, person: Person, why: &str, hint: &str) -> Closed {
    Closed {
        code: ClosedCode::RightsMissing,
        message: format!("{} at {server}: {why}", person.label),
        hint: hint.to_owned(),
        person: Some(person),
    }
}
