//! One sign-in from beginning to end.

use std::sync::Arc;
use std::time::Duration;

use ipc::{Error, ErrorCode, KeychainState, SignInStep};
use model::{Account, AccountId, AccountKey, AuthKind, Proof, ProofKind, Server};
use oauth::{
    Discovered, FoundBy, Identified, IdentitySources, Prompt, Protected, ServerPin, SignedIn, TokenAnswer,
    TokenEndpoint, TokenError,
};
use token_lease::OlderLeases;
use token_store::{Seal, StoreError, TokenSet};

use super::attempt::{self, Attempt, Returned};
use super::decide::{Decision, decide};
use super::save::save;
use super::{Line, Wanted};
use crate::agent::Agent;
use crate::issuer_calls::split;
use crate::network::Access;
use crate::servers::{chain, words};
use crate::{error, list_rules, people, views};

/// How long the person may think about "use this account?".
const CONFIRM_WITHIN: Duration = Duration::from_mins(10);

/// Runs it. The `Err` says why nothing was changed.
pub(super) async fn run(agent: &Arc<Agent>, wanted: &Wanted, line: &mut Line) -> Result<SignInStep, Error> {
    let deadline = attempt::deadline(wanted);
    // All slow or human things of the keychain come before the browser.
    agent.keychain().await.map_err(|e| error::of_store(&e))?;
    // It was found once, and may have been locked since: nobody signs in for nothing.
    if let KeychainState::Locked { .. } = agent.keychain_state().await {
        return Err(error::of_store(&StoreError::Locked));
    }
    let server = agent
        .read(|state| state.servers.get(&wanted.server).cloned())
        .ok_or_else(|| error::no_server(&wanted.server))?;
    agent.read(|state| list_rules::refuse_closed(state, &server))?;
    let protected = find(agent, &server, line).await?;
    let scopes = list_rules::scopes(&server, &protected);
    let http = agent.network.http(&server.endpoint, Access::of(&server))?;
    let attempt = Attempt { agent, http, server: &server, protected: &protected, scopes: &scopes };
    let prompt = attempt::prompt(agent, wanted, &protected.issuer);
    let (returned, answer) = exchange(&attempt, wanted, &prompt, deadline, line).await?;
    let fresh = Fresh { attempt: &attempt, wanted, returned: &returned, answer: &answer };
    match fresh.bind(line).await {
        Ok(done) => {
            finish(returned, SignedIn::Yes).await;
            Ok(done)
        }
        Err(error) => {
            finish(returned, SignedIn::No).await;
            Err(error)
        }
    }
}

async fn find(agent: &Arc<Agent>, server: &Server, line: &Line) -> Result<Protected, Error> {
    let mut tell = |step| line.step(SignInStep::Found { what: words(&step) });
    let mut pin = ServerPin::default();
    if server.registration.client_id.is_some() {
        // That client, and its secret, are known to one issuer and shown to no other.
        pin.issuer.clone_from(&server.issuer);
    }
    if let Some(issuer) = server.pinned_issuer() {
        // The list says who signs people in there, whatever the server says today.
        pin.issuer = Some(issuer.to_owned());
    }
    let search = agent.discover(server, pin, &mut tell);
    let found = tokio::select! {
        found = search => found?,
        () = line.cancelled() => return Err(cancelled()),
    };
    match found {
        Discovered::Protected(protected) if is_step_back(agent, server, &protected) => Err(Error::new(
            ErrorCode::Failed,
            format!("{} has named its issuer before and now publishes nothing about it", server.id),
        )
        .hint("nothing was sent; ask the server's operator, or remove the server and add it again")),
        Discovered::Protected(protected) => Ok(*protected),
        Discovered::Open if agent.was_never_asked(server) => {
            agent.use_as_open(server).await?;
            Err(Error::new(
                ErrorCode::Usage,
                format!("{} answers without a sign-in: from now on it is used as it is", server.id),
            )
            .hint("hallpass apps connect cursor puts it into an app"))
        }
        Discovered::Open => Err(Error::new(
            ErrorCode::Usage,
            format!("{} answers without a sign-in, so there is nobody to sign in as", server.id),
        )
        .hint("hallpass apps connect cursor uses it as it is")),
    }
}

impl Agent {
    /// A list brought it, and nobody has asked it yet how people sign in there.
    fn was_never_asked(&self, server: &Server) -> bool {
        server.issuer.is_none()
            && server.pinned_issuer().is_none()
            && server.auth == AuthKind::Oauth
            && self.read(|state| !state.grants.iter().any(|grant| grant.server == server.id))
    }

    /// Nobody is ever named to it.
    async fn use_as_open(self: &Arc<Self>, server: &Server) -> Result<(), Error> {
        self.change(|state| {
            if let Some(server) = state.servers.get_mut(&server.id) {
                server.auth = AuthKind::None;
            }
        })
        .map_err(error::of_state)?;
        self.bring(|session| session.server == server.id, OlderLeases::Drain).await;
        Ok(())
    }
}

/// Default paths of an old revision are no place for people who signed in by better ones: metadata that
/// vanish are how a server would send them elsewhere.
fn is_step_back(agent: &Agent, server: &Server, protected: &Protected) -> bool {
    protected.found == FoundBy::DefaultEndpoints
        && server.issuer.as_ref().is_some_and(|known| *known != protected.issuer)
        && agent.read(|state| state.grants.iter().any(|g| g.server == server.id))
}

/// Browser and token endpoint; once more with a new registration where the issuer has forgotten ours.
async fn exchange(
    attempt: &Attempt<'_>,
    wanted: &Wanted,
    prompt: &Prompt,
    deadline: tokio::time::Instant,
    line: &mut Line,
) -> Result<(Returned, TokenAnswer), Error> {
    let mut again = true;
    loop {
        let returned = attempt.run(wanted, prompt, deadline, line).await?;
        let endpoint = TokenEndpoint {
            url: &attempt.protected.metadata.token_endpoint,
            authentication: &returned.authentication,
            resource: attempt.protected.resource_parameter.as_deref(),
        };
        let request = &returned.request;
        let redirect_uri = &request.expected.redirect_uri;
        let exchanged = oauth::exchange(
            &*attempt.http,
            endpoint,
            &returned.callback.code,
            &request.verifier,
            redirect_uri,
        );
        match exchanged.await {
            Ok(answer) => return Ok((returned, answer)),
            Err(TokenError::RegistrationGone { .. })
                if again && attempt.forget(&returned.registration).await? =>
            {
                again = false;
                line.step(SignInStep::Found {
                    what: "the issuer had forgotten Hallpass; registered anew, please sign in once more"
                        .to_owned(),
                });
            }
            Err(error) => return Err(of_exchange(&error)),
        }
    }
}

fn of_exchange(error: &TokenError) -> Error {
    let (code, hint) = match error {
        TokenError::NotSent { .. } | TokenError::Unknown { .. } | TokenError::NotAVerdict { .. } => {
            (ErrorCode::Unreachable, "nothing was changed; try again in a moment")
        }
        TokenError::InvalidGrant { .. } => {
            (ErrorCode::Failed, "nothing was changed; start the sign-in again")
        }
        TokenError::RegistrationGone { .. } => {
            (ErrorCode::Failed, "check the client id and secret with your administrator")
        }
        TokenError::Redirected { .. } | TokenError::Refused { .. } | TokenError::Malformed { .. } => {
            (ErrorCode::Failed, "nothing was changed; ask the server's operator to mend this")
        }
    };
    Error::new(code, chain(error)).hint(hint)
}

/// Tokens that have just come and belong to nobody yet.
struct Fresh<'a> {
    attempt: &'a Attempt<'a>,
    wanted: &'a Wanted,
    returned: &'a Returned,
    answer: &'a TokenAnswer,
}

impl Fresh<'_> {
    /// Finds out whose they are and binds them, or gives them back to the issuer.
    async fn bind(&self, line: &mut Line) -> Result<SignInStep, Error> {
        let agent = self.attempt.agent;
        let sources =
            IdentitySources::new(&self.attempt.protected.metadata, &self.returned.registration.client_id);
        let nonce = self.returned.request.nonce.as_ref();
        let now = agent.world.now();
        let identified = match oauth::identify(&*self.attempt.http, &sources, self.answer, nonce, now).await {
            Ok(identified) => identified,
            Err(error) => {
                self.give_back(None).await;
                return Err(Error::new(
                    ErrorCode::Failed,
                    format!("it cannot be said who signed in: {}", chain(&error)),
                )
                .hint("nothing was changed; try again, and if it stays so ask the issuer's operator"));
            }
        };
        let candidate = self.candidate(&identified);
        let unwanted = agent.read(|state| list_rules::unwanted(state, self.attempt.server, &candidate));
        if let Some(error) = unwanted {
            self.give_back(Some(&identified)).await;
            return Err(error);
        }
        let decision = agent.read(|state| decide(state, self.wanted, &identified));
        let (account, new_account) = match decision {
            Decision::Save(id) => (self.known(&id, &identified), false),
            Decision::Add => (candidate, true),
            Decision::AskToAdd => {
                let view = views::account_view(&candidate);
                if !self.ask(line, SignInStep::Confirm { account: view }).await {
                    self.give_back(Some(&identified)).await;
                    return Err(Error::new(
                        ErrorCode::Cancelled,
                        "that account was not wanted; nothing was changed",
                    ));
                }
                (candidate, true)
            }
            Decision::AskWhetherSame(id) => {
                let known = self.known(&id, &identified);
                let view = views::account_view(&known);
                if !self.ask(line, SignInStep::SamePerson { account: view }).await {
                    self.give_back(Some(&identified)).await;
                    return Err(Error::new(ErrorCode::Cancelled, "it is somebody else; nothing was changed")
                        .hint(format!("to add them: hallpass login {}", self.wanted.server)));
                }
                (known, false)
            }
            Decision::Refuse(error) => {
                self.give_back(Some(&identified)).await;
                return Err(error);
            }
        };
        let set = self.set(&identified);
        let saved = save(agent, self.wanted, self.attempt.server, account, set, new_account).await;
        if saved.is_err() {
            self.give_back(Some(&identified)).await;
        }
        saved
    }

    async fn ask(&self, line: &mut Line, question: SignInStep) -> bool {
        line.step(question);
        let cancelled = line.cancelled();
        tokio::select! {
            answer = line.answers.recv() => answer == Some(true),
            () = tokio::time::sleep(CONFIRM_WITHIN) => false,
            () = cancelled => false,
        }
    }

    /// An Account that does not exist yet.
    fn candidate(&self, identified: &Identified) -> Account {
        let agent = self.attempt.agent;
        let now = agent.world.now();
        let wish = self.wanted.label.as_deref();
        agent.read(|state| match identified {
            Identified::Proven(identity) => Account {
                id: agent.world.account_id(),
                key: identity.key(),
                label: people::free_label(
                    state,
                    &[wish, identity.email.as_deref(), identity.name.as_deref(), Some(&identity.subject)],
                ),
                name: identity.name.clone(),
                email: identity.email.clone(),
                email_verified: identity.email_verified,
                proof: Proof { kind: identity.proof, at: now },
                extra: serde_json::Map::new(),
            },
            Identified::Unverified => Account {
                id: agent.world.account_id(),
                key: AccountKey::Unverified {
                    server: self.wanted.server.clone(),
                    issuer: self.attempt.protected.issuer.clone(),
                },
                label: people::free_label(state, &[wish]),
                name: None,
                email: None,
                email_verified: false,
                proof: Proof { kind: ProofKind::Unknown, at: now },
                extra: serde_json::Map::new(),
            },
        })
    }

    /// A known Account with what the issuer says of it now.
    fn known(&self, id: &AccountId, identified: &Identified) -> Account {
        let agent = self.attempt.agent;
        let candidate = self.candidate(identified);
        agent.read(|state| match (state.accounts.get(id), identified) {
            (Some(account), Identified::Proven(_)) => Account {
                id: account.id.clone(),
                label: account.label.clone(),
                extra: account.extra.clone(),
                ..candidate
            },
            // The same person, by their own word; the issuer is the one who signed them in now.
            (Some(account), Identified::Unverified) => Account { key: candidate.key, ..account.clone() },
            (None, _) => candidate,
        })
    }

    /// The token set to save; record, generation and epoch are filled in under the Grant's flight.
    fn set(&self, identified: &Identified) -> TokenSet {
        let agent = self.attempt.agent;
        let (protected, registration) = (self.attempt.protected, &self.returned.registration);
        let received_at = agent.world.now();
        let text = |endpoint: &Option<model::Endpoint>| endpoint.as_ref().map(ToString::to_string);
        TokenSet {
            access_token: self.answer.access_token.clone(),
            refresh_token: self.answer.refresh_token.clone(),
            expires_at: self.answer.expires_in.map(|life| received_at.after(life)),
            lifetime: self.answer.expires_in.map(|life| life.as_secs()),
            received_at,
            scopes: match &self.answer.scope {
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
                jwks_uri: text(&protected.metadata.jwks_uri),
                resource: protected.resource.clone(),
                endpoint: self.attempt.server.endpoint.to_string(),
                client_id: registration.client_id.clone(),
                client_secret: registration.secret.clone(),
                subject: match identified {
                    Identified::Proven(identity) => Some(identity.subject.clone()),
                    Identified::Unverified => None,
                },
                server: self.wanted.server.clone(),
                // Replaced by the Account's own when it is saved.
                account: agent.world.account_id(),
            },
        }
    }

    /// Revokes what nobody wants; but never where that person already has a Grant through the same
    /// registration, since some issuers end the whole grant.
    async fn give_back(&self, identified: Option<&Identified>) {
        let agent = self.attempt.agent;
        let client_id = &self.returned.registration.client_id;
        let shared = agent.read(|state| match identified {
            Some(Identified::Proven(identity)) => {
                state.account_by_key(&identity.key()).is_some_and(|account| {
                    state.grants.iter().any(|g| g.account == account.id && g.client_id == *client_id)
                })
            }
            // Whose it is cannot be said: it may be anybody's who came through this registration.
            Some(Identified::Unverified) | None => state.grants.iter().any(|g| g.client_id == *client_id),
        });
        if shared {
            tracing::info!("unwanted tokens were dropped and not revoked: their person is signed in already");
            return;
        }
        let set = self.set(&Identified::Unverified);
        agent.revoke_set(&set, Access::of(self.attempt.server)).await;
    }
}

async fn finish(returned: Returned, outcome: SignedIn) {
    if let Some(reply) = returned.reply {
        reply.finish(outcome).await;
    }
}

/// The person gave up.
fn cancelled() -> Error {
    Error::new(ErrorCode::Cancelled, "the sign-in was cancelled; nothing was changed")
}
