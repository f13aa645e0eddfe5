//! Whose are the tokens that have come? They are bound to that Account, or given back.

use std::time::Duration;

use ipc::{Error, ErrorCode, SignInStep};
use model::{Account, AccountId, AccountKey, AuthKind, Proof, ProofKind};
use oauth::{Identified, IdentityError, IdentitySources, Introspection};
use token_store::{Seal, TokenSet};

use super::attempt::Attempt;
use super::decide::{Came, Decision, decide};
use super::flow::{Granted, Whose};
use super::save::save;
use super::{Line, Wanted};
use crate::issuer_calls::split;
use crate::network::Access;
use crate::servers::chain;
use crate::{list_rules, people, views};

/// How long the person may think about "use this account?".
const CONFIRM_WITHIN: Duration = Duration::from_mins(10);

/// Tokens that have just come and belong to nobody yet.
pub(super) struct Fresh<'a> {
    pub(super) attempt: &'a Attempt<'a>,
    pub(super) wanted: &'a Wanted,
    pub(super) granted: &'a Granted,
}

impl Fresh<'_> {
    /// Finds out whose they are and binds them, or gives them back to the issuer.
    pub(super) async fn bind(&self, line: &mut Line) -> Result<SignInStep, Error> {
        let agent = self.attempt.agent;
        let came = match &self.granted.whose {
            Whose::Application => Came::Application(self.application()),
            Whose::Vouched(identity) => Came::Proven(identity.clone()),
            Whose::AskIssuer => match self.identify().await {
                Ok(Identified::Proven(identity)) => Came::Proven(identity),
                Ok(Identified::Unverified) => Came::Unverified,
                Err(error) => {
                    self.give_back(None).await;
                    return Err(Error::new(
                        ErrorCode::Failed,
                        format!("it cannot be said who signed in: {}", chain(&error)),
                    )
                    .hint("nothing was changed; try again, and if it stays so ask the issuer's operator"));
                }
            },
        };
        let candidate = self.candidate(&came);
        let unwanted = agent.read(|state| list_rules::unwanted(state, self.attempt.server, &candidate));
        if let Some(error) = unwanted {
            self.give_back(Some(&came)).await;
            return Err(error);
        }
        let decision = agent.read(|state| decide(state, self.wanted, &came));
        let (account, new_account) = match decision {
            Decision::Save(id) => (self.known(&id, &came), false),
            Decision::Add => (candidate, true),
            Decision::AskToAdd => {
                let view = views::account_view(&candidate);
                if !self.ask(line, SignInStep::Confirm { account: view }).await {
                    self.give_back(Some(&came)).await;
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
                if !self.ask(line, SignInStep::SamePerson { account: view }).await {
                    self.give_back(Some(&came)).await;
                    return Err(Error::new(ErrorCode::Cancelled, "it is somebody else; nothing was changed")
                        .hint(format!("to add them: hallpass login {}", self.wanted.server)));
                }
                (known, false)
            }
            Decision::Refuse(error) => {
                self.give_back(Some(&came)).await;
                return Err(error);
            }
        };
        let set = self.set(&came);
        let saved = save(agent, self.wanted, self.attempt.server, account, set, new_account).await;
        if saved.is_err() {
            self.give_back(Some(&came)).await;
        }
        saved
    }

    /// Asks for proof, the strongest first.
    async fn identify(&self) -> Result<Identified, IdentityError> {
        let metadata = &self.attempt.protected.metadata;
        let sources = IdentitySources::new(metadata, &self.granted.registration.client_id);
        let (http, answer) = (&*self.attempt.http, &self.granted.answer);
        let (nonce, now) = (self.granted.nonce.as_ref(), self.attempt.agent.world.now());
        let identified = oauth::identify(http, &sources, answer, nonce, now).await?;
        let (Identified::Unverified, Some(endpoint)) = (&identified, &metadata.introspection_endpoint) else {
            return Ok(identified);
        };
        let introspection = Introspection { endpoint, authentication: &self.granted.authentication };
        oauth::identify_by_introspection(http, &sources, introspection, &answer.access_token, now).await
    }

    /// The key of the application that we are at this issuer.
    fn application(&self) -> AccountKey {
        AccountKey::Application {
            issuer: self.attempt.protected.issuer.clone(),
            client_id: self.granted.registration.client_id.clone(),
        }
    }

    async fn ask(&self, line: &mut Line, question: SignInStep) -> bool {
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

    /// An Account that does not exist yet.
    fn candidate(&self, came: &Came) -> Account {
        let agent = self.attempt.agent;
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
            Came::Unverified => {
                let (server, issuer) = (self.wanted.server.clone(), self.attempt.protected.issuer.clone());
                let key = AccountKey::Unverified { server, issuer };
                account(key, people::free_label(state, &[wish]), ProofKind::Unknown)
            }
            Came::Application(key) => {
                let client = &self.granted.registration.client_id;
                let label = people::free_label(state, &[wish, Some(client)]);
                account(key.clone(), label, ProofKind::Application)
            }
        })
    }

    /// A known Account with what the issuer says of it now.
    fn known(&self, id: &AccountId, came: &Came) -> Account {
        let agent = self.attempt.agent;
        let candidate = self.candidate(came);
        agent.read(|state| match (state.accounts.get(id), came) {
            (Some(account), Came::Proven(_) | Came::Application(_)) => Account {
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

    /// The token set to save; record, generation and epoch are filled in under the Grant's flight.
    fn set(&self, came: &Came) -> TokenSet {
        let agent = self.attempt.agent;
        let (protected, registration) = (self.attempt.protected, &self.granted.registration);
        let received_at = agent.world.now();
        let keeps_id_token = self.attempt.server.auth == AuthKind::IdentityProvider;
        let text = |endpoint: &Option<model::Endpoint>| endpoint.as_ref().map(ToString::to_string);
        TokenSet {
            access_token: self.granted.answer.access_token.clone(),
            refresh_token: self.granted.answer.refresh_token.clone(),
            id_token: self.granted.answer.id_token.clone().filter(|_| keeps_id_token),
            expires_at: self.granted.answer.expires_in.map(|life| received_at.after(life)),
            lifetime: self.granted.answer.expires_in.map(|life| life.as_secs()),
            received_at,
            scopes: match &self.granted.answer.scope {
                Some(granted) => split(granted),
                None => self.attempt.scopes.as_slice().to_vec(),
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
                renewal: self.granted.renewal.clone(),
                resource: protected.resource.clone(),
                endpoint: self.attempt.server.endpoint.to_string(),
                client_id: registration.client_id.clone(),
                client_secret: registration.secret.clone(),
                subject: match (came, &self.granted.whose) {
                    (Came::Proven(identity), Whose::AskIssuer) => Some(identity.subject.clone()),
                    // What this issuer calls them is not what the identity provider calls them.
                    (Came::Proven(_), Whose::Vouched(_) | Whose::Application)
                    | (Came::Unverified | Came::Application(_), _) => None,
                },
                server: self.wanted.server.clone(),
                // Replaced by the Account's own when it is saved.
                account: agent.world.account_id(),
            },
        }
    }

    /// Revokes what nobody wants; but never where that person already has a Grant through the same
    /// registration, since some issuers end the whole grant.
    async fn give_back(&self, came: Option<&Came>) {
        let agent = self.attempt.agent;
        let client_id = &self.granted.registration.client_id;
        let shared = agent.read(|state| match came {
            Some(Came::Proven(identity)) => state.account_by_key(&identity.key()).is_some_and(|account| {
                state.grants.iter().any(|g| g.account == account.id && g.client_id == *client_id)
            }),
            // Whose it is cannot be said: it may be anybody's who came through this registration.
            Some(Came::Unverified | Came::Application(_)) | None => {
                state.grants.iter().any(|g| g.client_id == *client_id)
            }
        });
        if shared {
            tracing::info!("unwanted tokens were dropped and not revoked: their person is signed in already");
            return;
        }
        let set = self.set(&Came::Unverified);
        agent.revoke_set(&set, Access::of(self.attempt.server)).await;
    }
}
