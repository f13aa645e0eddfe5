//! Whose are the tokens that have come? They are bound to that Account, or given back.

use std::sync::Arc;
use std::time::Duration;

use ipc::{Error, ErrorCode, SignInStep};
use model::{Account, AccountId, AccountKey, AuthKind, Proof, ProofKind, Server};
use oauth::{Identified, IdentitySources, Introspection};
use token_store::{Renewal, Seal, TokenSet, Told};

use super::attempt::Attempt;
use super::decide::{Came, Decision, decide};
use super::flow::{Granted, Whose};
use super::save::{Saved, save};
use super::{Line, Wanted};
use crate::agent::Agent;
use crate::issuer_calls::split;
use crate::network::Access;
use crate::servers::chain;
use crate::whoami::Whoami;
use crate::{list_rules, people, views};

/// How long the person may think about "use this account?".
const CONFIRM_WITHIN: Duration = Duration::from_mins(10);

/// Finds out whose the tokens are that an issuer has given, and binds them, or gives them back.
pub(super) async fn bind(
    attempt: &Attempt<'_>,
    wanted: &Wanted,
    granted: &Granted,
    line: &mut Line,
) -> Result<Saved, Error> {
    let mut set = token_set(attempt, wanted, granted);
    let issuer = &attempt.protected.issuer;
    let came = match &granted.whose {
        Whose::Application => Ok(Came::Application(AccountKey::Application {
            issuer: issuer.clone(),
            client_id: granted.registration.client_id.clone(),
        })),
        Whose::Vouched(identity) => Ok(Came::Proven(identity.clone())),
        Whose::AskIssuer => identify(attempt, granted, line).await,
    };
    // What this issuer calls them is not what the identity provider calls them.
    if let (Ok(Came::Proven(identity)), Whose::AskIssuer) = (&came, &granted.whose) {
        set.seal.subject = Some(identity.subject.clone());
    }
    let fresh = |came| Fresh { agent: attempt.agent, server: attempt.server, wanted, issuer, came, set };
    match came {
        Ok(came) => fresh(Some(came)).bind(line).await,
        Err(why) => {
            fresh(None).give_back().await;
            Err(unsaid(&why))
        }
    }
}

/// Asks for proof, the strongest first. An error: it cannot be asked now.
async fn identify(attempt: &Attempt<'_>, granted: &Granted, line: &Line) -> Result<Came, String> {
    let metadata = &attempt.protected.metadata;
    let sources = IdentitySources::new(metadata, &granted.registration.client_id);
    let (http, answer, now) = (&*attempt.http, &granted.answer, attempt.agent.world.now());
    let mut identified = oauth::identify(http, &sources, answer, granted.nonce.as_ref(), now)
        .await
        .map_err(|error| chain(&error))?;
    if let (Identified::Unverified, Some(endpoint)) = (&identified, &metadata.introspection_endpoint) {
        let introspection = Introspection { endpoint, authentication: &granted.authentication };
        let token = &answer.access_token;
        identified = oauth::identify_by_introspection(http, &sources, introspection, token, now)
            .await
            .map_err(|error| chain(&error))?;
    }
    if let Identified::Proven(identity) = identified {
        return Ok(Came::Proven(identity));
    }
    // An identity provider is no MCP server.
    if attempt.server.auth == AuthKind::IdentityProvider {
        return Ok(Came::Unverified);
    }
    let whoami = attempt.agent.whoami(attempt.server, &answer.access_token).await;
    Ok(told(whoami.map_err(|error| error.to_string())?, &attempt.protected.issuer, attempt.server, line))
}

/// What the word of a server's own tool is worth; that it proves nobody is said.
pub(super) fn told(whoami: Whoami, issuer: &str, server: &Server, line: &Line) -> Came {
    match whoami {
        Whoami::Named(person) => Came::Told(person.key(issuer, server), person),
        Whoami::Nobody(why) => {
            line.step(SignInStep::Found { what: why });
            Came::Unverified
        }
        Whoami::NoTool => Came::Unverified,
    }
}

/// Nobody becomes unverified because somebody could not be asked.
pub(super) fn unsaid(why: &str) -> Error {
    Error::new(ErrorCode::Failed, format!("it cannot be said who signed in: {why}"))
        .hint("nothing was changed; try again, and if it stays so ask the issuer's operator")
}

/// Tokens that have just come and belong to nobody yet.
pub(super) struct Fresh<'a> {
    pub(super) agent: &'a Arc<Agent>,
    pub(super) server: &'a Server,
    pub(super) wanted: &'a Wanted,
    /// Who gave them.
    pub(super) issuer: &'a str,
    /// Whose they are, where that could be asked.
    pub(super) came: Option<Came>,
    /// As they will be saved; record, generation and epoch are filled in under the Grant's flight.
    pub(super) set: TokenSet,
}

impl Fresh<'_> {
    /// Binds them to whoever they are of, or gives them back to the issuer.
    pub(super) async fn bind(mut self, line: &mut Line) -> Result<Saved, Error> {
        let agent = self.agent;
        let came = self.came.clone().unwrap_or(Came::Unverified);
        if !line.attended(CONFIRM_WITHIN).await {
            self.give_back().await;
            return Err(Error::new(
                ErrorCode::Cancelled,
                "nobody was there any more to see who signed in; nothing was kept",
            )
            .hint(format!("sign in again: hallpass login {}", self.wanted.server)));
        }
        if let Came::Told(_, person) = &came {
            self.set.seal.told = Some(Told { asked: person.asked.clone(), id: person.named.id.clone() });
        }
        let candidate = self.candidate(&came);
        let unwanted = agent.read(|state| list_rules::unwanted(state, self.server, &candidate));
        if let Some(error) = unwanted {
            self.give_back().await;
            return Err(error);
        }
        let decision = agent.read(|state| decide(state, self.wanted, &came));
        let (account, new_account) = match decision {
            Decision::Save(id) => (self.known(&id, &came), false),
            Decision::Add => (candidate, true),
            Decision::AskToAdd => {
                let view = views::account_view(&candidate);
                if !ask(line, SignInStep::Confirm { account: view }).await {
                    self.give_back().await;
                    return Err(Error::new(
                        ErrorCode::Cancelled,
                        "that account was not wanted; nothing was changed",
                    ));
                }
                (candidate, true)
            }
            Decision::AskWhetherSame(id) => {
                let known = self.known(&id, &came);
                let view = views::account_view(&known);
                if !ask(line, SignInStep::SamePerson { account: view }).await {
                    self.give_back().await;
                    return Err(Error::new(ErrorCode::Cancelled, "it is somebody else; nothing was changed")
                        .hint(format!("to add them: hallpass login {}", self.wanted.server)));
                }
                (known, false)
            }
            Decision::Refuse(error) => {
                self.give_back().await;
                return Err(error);
            }
        };
        let saved = save(agent, self.wanted, self.server, account, self.set.clone(), new_account).await;
        if saved.is_err() {
            self.give_back().await;
        }
        saved
    }

    /// An Account that does not exist yet.
    fn candidate(&self, came: &Came) -> Account {
        let agent = self.agent;
        let now = agent.world.now();
        let wish = self.wanted.label.as_deref();
        let account = |key, label, proof| Account {
            id: agent.world.account_id(),
            key,
            label,
            name: None,
            email: None,
            email_verified: false,
            tenant: None,
            proof: Proof { kind: proof, at: now },
            extra: serde_json::Map::new(),
        };
        agent.read(|state| match came {
            Came::Proven(identity) => {
                let names =
                    [wish, identity.email.as_deref(), identity.name.as_deref(), Some(&identity.subject)];
                Account {
                    name: identity.name.clone(),
                    email: identity.email.clone(),
                    email_verified: identity.email_verified,
                    tenant: identity.tenant.clone(),
                    ..account(identity.key(), people::free_label(state, &names), identity.proof)
                }
            }
            Came::Told(key, person) => {
                let label = people::free_label(state, &[wish, Some(person.label())]);
                let name = Some(person.label().to_owned());
                Account { name, ..account(key.clone(), label, ProofKind::Whoami) }
            }
            Came::Unverified => {
                let (server, issuer) = (self.wanted.server.clone(), self.issuer.to_owned());
                let key = AccountKey::Unverified { server, issuer };
                account(key, people::free_label(state, &[wish]), ProofKind::Unknown)
            }
            Came::Application(key) => {
                let client = &self.set.seal.client_id;
                let label = people::free_label(state, &[wish, Some(client)]);
                account(key.clone(), label, ProofKind::Application)
            }
        })
    }

    /// A known Account with what the issuer says of it now.
    fn known(&self, id: &AccountId, came: &Came) -> Account {
        let candidate = self.candidate(came);
        self.agent.read(|state| match (state.accounts.get(id), came) {
            (Some(account), Came::Proven(_) | Came::Told(..) | Came::Application(_)) => Account {
                id: account.id.clone(),
                label: account.label.clone(),
                extra: account.extra.clone(),
                ..candidate
            },
            // The same person, by their own word; the issuer is the one who signed them in now.
            (Some(account), Came::Unverified) => Account { key: candidate.key, ..account.clone() },
            (None, _) => candidate,
        })
    }

    /// Revokes what nobody wants; but never where that person already has a Grant through the same
    /// registration, since some issuers end the whole grant. What a person has pasted is theirs, and stays as it is.
    async fn give_back(&self) {
        if self.set.seal.renewal == Renewal::Pasted {
            return;
        }
        let client_id = &self.set.seal.client_id;
        let shared = self.agent.read(|state| match &self.came {
            Some(Came::Proven(identity)) => state.account_by_key(&identity.key()).is_some_and(|account| {
                state.grants.iter().any(|g| g.account == account.id && g.client_id == *client_id)
            }),
            // Whose it is cannot be said for certain: it may be anybody's who came through this registration.
            Some(Came::Told(..) | Came::Unverified | Came::Application(_)) | None => {
                state.grants.iter().any(|g| g.client_id == *client_id)
            }
        });
        if shared {
            tracing::info!("unwanted tokens were dropped and not revoked: their person is signed in already");
            return;
        }
        self.agent.revoke_set(&self.set, Access::of(self.server)).await;
    }
}

async fn ask(line: &mut Line, question: SignInStep) -> bool {
    // What was said before the question is no answer to it.
    while line.answers.try_recv().is_ok() {}
    line.step(question);
    let cancelled = line.cancelled();
    tokio::select! {
        answer = line.answers.recv() => answer == Some(true),
        () = tokio::time::sleep(CONFIRM_WITHIN) => false,
        () = cancelled => false,
    }
}

/// The token set of an issuer's answer, before it is known whose it is.
fn token_set(attempt: &Attempt<'_>, wanted: &Wanted, granted: &Granted) -> TokenSet {
    let agent = attempt.agent;
    let (protected, registration) = (attempt.protected, &granted.registration);
    let received_at = agent.world.now();
    let keeps_id_token = attempt.server.auth == AuthKind::IdentityProvider;
    let text = |endpoint: &Option<model::Endpoint>| endpoint.as_ref().map(ToString::to_string);
    TokenSet {
        access_token: granted.answer.access_token.clone(),
        refresh_token: granted.answer.refresh_token.clone(),
        id_token: granted.answer.id_token.clone().filter(|_| keeps_id_token),
        expires_at: granted.answer.expires_in.map(|life| received_at.after(life)),
        lifetime: granted.answer.expires_in.map(|life| life.as_secs()),
        received_at,
        scopes: match &granted.answer.scope {
            Some(granted) => split(granted),
            None => attempt.scopes.as_slice().to_vec(),
        },
        generation: 1,
        epoch: 1,
        subject_checked: true,
        seal: Seal {
            issuer: protected.issuer.clone(),
            token_endpoint: protected.metadata.token_endpoint.to_string(),
            token_endpoint_auth: registration.token_endpoint_auth,
            revocation_endpoint: text(&protected.metadata.revocation_endpoint),
            userinfo_endpoint: text(&protected.metadata.userinfo_endpoint),
            introspection_endpoint: text(&protected.metadata.introspection_endpoint),
            jwks_uri: text(&protected.metadata.jwks_uri),
            renewal: granted.renewal.clone(),
            resource: protected.resource.clone(),
            endpoint: attempt.server.endpoint.to_string(),
            client_id: registration.client_id.clone(),
            client_secret: registration.secret.clone(),
            subject: None,
            told: None,
            server: wanted.server.clone(),
            // Replaced by the Account's own when it is saved.
            account: agent.world.account_id(),
        },
    }
}
