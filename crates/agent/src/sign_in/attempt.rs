//! From an issuer's metadata to a code: listener, registration, browser.

use std::sync::Arc;
use std::time::Duration;

use ipc::{Error, ErrorCode, SignInStep};
use model::{ClientRegistration, RegistrationKind, Server};
use oauth::{
    Arrived, AssertionAudience, AuthorizationParameters, AuthorizationRequest, Callback, CallbackError,
    ClientAuthentication, LoopbackRedirect, Prompt, Protected, RegisterFor, Registration, RegistrationError,
    RegistrationRequest, Reply, ReqwestHttp, Scopes, parse_pasted,
};
use token_store::StaticSecret;
use tokio::time::Instant;

use super::{Line, Wanted};
use crate::agent::Agent;
use crate::issuer_calls::Client;
use crate::servers::{chain, put_registration};
use crate::{documents, error, redirects};

/// Everything that one trip through the browser needs.
pub(super) struct Attempt<'a> {
    pub(super) agent: &'a Arc<Agent>,
    pub(super) http: Arc<ReqwestHttp>,
    pub(super) server: &'a Server,
    pub(super) protected: &'a Protected,
    pub(super) scopes: &'a Scopes,
}

/// What the browser brought back.
pub(super) struct Trip {
    pub(super) registration: ClientRegistration,
    pub(super) authentication: ClientAuthentication,
    pub(super) request: AuthorizationRequest,
    pub(super) callback: Callback,
    /// The waiting browser; none where the address was pasted.
    pub(super) reply: Option<Reply>,
}

impl Attempt<'_> {
    /// Takes the person through the browser; once more where the issuer does not know how to ask them which
    /// account they mean (oidc-provider), which it does not say beforehand, and once more where it does not know us any
    /// more, or not by our document.
    pub(super) async fn run(
        &self,
        wanted: &Wanted,
        prompt: &Prompt,
        deadline: Instant,
        line: &mut Line,
    ) -> Result<Trip, Error> {
        let (mut prompt, mut renewed) = (prompt.clone(), false);
        loop {
            match self.once(wanted, &prompt, deadline, line).await? {
                Once::Back(trip) => return Ok(*trip),
                // Only the choice of accounts is ever asked for in another way.
                Once::PromptRefused => {
                    line.step(SignInStep::Found {
                        what: "the issuer cannot ask which account is meant, so please sign in there anew"
                            .to_owned(),
                    });
                    prompt = Prompt::Login;
                }
                Once::UnknownClient(registration, _) if !renewed && self.forget(&registration).await? => {
                    renewed = true;
                    line.step(SignInStep::Found { what: registered_anew(&registration) });
                }
                Once::UnknownClient(_, error) => return Err(error),
            }
        }
    }

    /// One trip.
    async fn once(
        &self,
        wanted: &Wanted,
        prompt: &Prompt,
        deadline: Instant,
        line: &mut Line,
    ) -> Result<Once, Error> {
        let issuer = &self.protected.issuer;
        // The listener comes first: the exact redirect URI is what is registered.
        let preferred = self.agent.read(|state| state.loopback_ports.get(issuer).copied());
        let (redirect, port) = redirects::listen(self.server, preferred)?;
        let parameters = redirects::check(&self.server.registration.parameters)?;
        let registration = self.registration(RegisterFor::Redirect(redirect.redirect_uri())).await?;
        // Before the browser: a key that cannot sign is said now.
        let authentication = self.authentication(&registration).await?;
        let asked = AuthorizationParameters {
            metadata: &self.protected.metadata,
            client_id: &registration.client_id,
            redirect_uri: redirect.redirect_uri(),
            resource: self.protected.resource_parameter.as_deref(),
            scopes: self.scopes,
            prompt,
        };
        let request = AuthorizationRequest::with_extra(&asked, &parameters)
            .map_err(|e| Error::new(ErrorCode::Failed, chain(&e)))?;
        if self.server.registration.redirect.port.is_none() {
            self.remember_port(port)?;
        }
        line.step(SignInStep::OpenBrowser { url: request.url.clone(), port });
        tracing::info!(server = %wanted.server, port, "waiting for the browser");
        let (callback, reply) = match wait(redirect, &request, prompt, deadline, line).await? {
            Back::Code(callback, reply) => (callback, reply),
            Back::PromptRefused => return Ok(Once::PromptRefused),
            Back::UnknownClient(error) => return Ok(Once::UnknownClient(registration, error)),
            Back::Never(error) => {
                // The issuer may have told the browser alone that it does not know us: next time we register
                // anew. A person who gave up says nothing about that.
                if error.code != ErrorCode::Cancelled || registration.kind == RegistrationKind::Dynamic {
                    self.forget(&registration).await?;
                }
                return Err(error);
            }
        };
        Ok(Once::Back(Box::new(Trip { registration, authentication, request, callback, reply })))
    }

    /// How we authenticate as this registration.
    pub(super) async fn authentication(
        &self,
        registration: &ClientRegistration,
    ) -> Result<ClientAuthentication, Error> {
        let metadata = &self.protected.metadata;
        let algorithms = metadata.token_endpoint_auth_signing_alg_values_supported.as_deref();
        let audience = AssertionAudience::of(&metadata.issuer, metadata.token_endpoint.as_str(), algorithms);
        let client =
            Client { id: &registration.client_id, method: registration.token_endpoint_auth, audience };
        self.agent.authentication(client, registration.secret.as_ref()).await
    }

    /// Who we are to this issuer: what is there already, or a new registration.
    pub(super) async fn registration(&self, wanted: RegisterFor<'_>) -> Result<ClientRegistration, Error> {
        let metadata = &self.protected.metadata;
        let (stored, choice) = self
            .agent
            .read(|state| (state.registrations.clone(), documents::choice(state, self.server, metadata)));
        let chosen = oauth::choose(metadata, &choice, &stored, wanted);
        match chosen.map_err(|e| of_registration(&e))? {
            Registration::Use(registration) => {
                if self.server.registration.has_secret && registration.secret.is_none() {
                    return Err(issuer_moved(self.server, &self.protected.issuer));
                }
                Ok(registration)
            }
            Registration::Register { endpoint, token_endpoint_auth } => {
                let request = RegistrationRequest {
                    issuer: &metadata.issuer,
                    endpoint: &endpoint,
                    wanted,
                    token_endpoint_auth,
                    scopes: self.scopes,
                    grant_types_supported: metadata.grant_types_supported.as_deref(),
                };
                let registered =
                    oauth::register(&*self.http, &request).await.map_err(|e| of_registration(&e))?;
                let mut registration = registered.registration;
                if let Some(secret) = registered.secret {
                    let item = self.agent.world.item_id();
                    let keychain = self.agent.keychain().await.map_err(|e| error::of_store(&e))?;
                    let kept = keychain.save_secret(&item, &StaticSecret(secret)).await;
                    kept.map_err(|e| error::of_store(&e))?;
                    registration.secret = Some(item);
                }
                self.agent
                    .change(|state| put_registration(&mut state.registrations, registration.clone()))
                    .map_err(error::of_state)?;
                Ok(registration)
            }
        }
    }

    /// Forgets a dynamic registration that the issuer has forgotten, or that it should know us by our document; `false`
    /// where it is not ours to renew, or there is no other way.
    pub(super) async fn forget(&self, registration: &ClientRegistration) -> Result<bool, Error> {
        match registration.kind {
            RegistrationKind::Dynamic => {}
            RegistrationKind::MetadataDocument if self.protected.metadata.registration_endpoint.is_some() => {
                let issuer = registration.issuer.clone();
                self.agent.change(|state| state.documents_refused.insert(issuer)).map_err(error::of_state)?;
                return Ok(true);
            }
            RegistrationKind::MetadataDocument | RegistrationKind::PreRegistered => return Ok(false),
        }
        let used =
            self.agent.read(|state| state.grants.iter().any(|g| g.client_id == registration.client_id));
        self.agent
            .change(|state| {
                state
                    .registrations
                    .retain(|r| !(r.issuer == registration.issuer && r.client_id == registration.client_id));
            })
            .map_err(error::of_state)?;
        // The secret stays while a token set may still name it.
        if let Some(item) = registration.secret.as_ref().filter(|_| !used) {
            let keychain = self.agent.keychain().await.map_err(|e| error::of_store(&e))?;
            if let Err(error) = keychain.delete_secret(item).await {
                tracing::warn!(%error, "the secret of a forgotten registration is still in the keychain");
            }
        }
        Ok(true)
    }

    fn remember_port(&self, port: u16) -> Result<(), Error> {
        let issuer = self.protected.issuer.clone();
        self.agent
            .change(|state| state.loopback_ports.insert(issuer, port))
            .map(|_| ())
            .map_err(error::of_state)
    }
}

/// How one trip through the browser ended.
enum Once {
    Back(Box<Trip>),
    PromptRefused,
    UnknownClient(ClientRegistration, Error),
}

/// What came back from the browser.
enum Back {
    Code(Callback, Option<Reply>),
    PromptRefused,
    UnknownClient(Error),
    /// The browser did not come back.
    Never(Error),
}

/// Waits for the callback or a pasted address, whichever comes first.
async fn wait(
    redirect: LoopbackRedirect,
    request: &AuthorizationRequest,
    prompt: &Prompt,
    deadline: Instant,
    line: &mut Line,
) -> Result<Back, Error> {
    let cancelled = line.cancelled();
    let mut cancelled = std::pin::pin!(cancelled);
    let mut arrival = std::pin::pin!(redirect.wait(request.expected.clone(), deadline));
    loop {
        tokio::select! {
            arrived = &mut arrival => {
                let Arrived { outcome, reply } = match arrived {
                    Ok(arrived) => arrived,
                    Err(error) => {
                        let error = Error::new(ErrorCode::Failed, error.to_string())
                            .hint("try again; give yourself more time with --timeout 20m");
                        return Ok(Back::Never(error));
                    }
                };
                if outcome.as_ref().is_err_and(|error| refuses(error, prompt)) {
                    return Ok(Back::PromptRefused);
                }
                line.step(SignInStep::Exchanging);
                return match outcome {
                    Ok(callback) => Ok(Back::Code(callback, Some(reply))),
                    // Dropping the reply shows the page "not signed in".
                    Err(error) if error.is_unknown_client() => Ok(Back::UnknownClient(unknown_client(&error))),
                    Err(error) => Err(Error::new(ErrorCode::Failed, error.to_string())
                        .hint("nothing was changed; start the sign-in again if that was not meant")),
                };
            }
            Some(url) = line.pasted.recv() => match parse_pasted(url.expose(), &request.expected) {
                Ok(callback) => {
                    line.step(SignInStep::Exchanging);
                    return Ok(Back::Code(callback, None));
                }
                Err(error) if refuses(&error, prompt) => return Ok(Back::PromptRefused),
                Err(error) if error.is_unknown_client() => return Ok(Back::UnknownClient(unknown_client(&error))),
                Err(error) => line.step(SignInStep::Found { what: error.to_string() }),
            },
            () = &mut cancelled => {
                let what = "the sign-in was cancelled; nothing was changed";
                return Ok(Back::Never(Error::new(ErrorCode::Cancelled, what)));
            }
        }
    }
}

/// `invalid_request` (RFC 6749 section 4.1.2.1), where the choice of accounts is the only thing that a
/// request of ours may hold and another may not.
fn refuses(error: &CallbackError, prompt: &Prompt) -> bool {
    *prompt == Prompt::SelectAccount
        && matches!(error, CallbackError::Refused { code, .. } if code.as_str() == "invalid_request")
}

/// What the person is told when they have to sign in once more.
pub(super) fn registered_anew(registration: &ClientRegistration) -> String {
    match registration.kind {
        RegistrationKind::MetadataDocument => {
            "the issuer does not know Hallpass by its document; registered instead, please sign in once more"
        }
        RegistrationKind::Dynamic | RegistrationKind::PreRegistered => {
            "the issuer had forgotten Hallpass; registered anew, please sign in once more"
        }
    }
    .to_owned()
}

fn unknown_client(error: &CallbackError) -> Error {
    Error::new(ErrorCode::Failed, error.to_string()).hint(
        "ask the server's administrator for a client id, then: hallpass servers add <url> --client-id <id>",
    )
}

fn of_registration(error: &RegistrationError) -> Error {
    let code = match error {
        RegistrationError::Trouble { .. } | RegistrationError::Http(_) => ErrorCode::Unreachable,
        RegistrationError::NotOffered { .. }
        | RegistrationError::Closed { .. }
        | RegistrationError::RedirectRefused { .. }
        | RegistrationError::Refused { .. }
        | RegistrationError::Malformed { .. }
        | RegistrationError::NoCommonAuthentication { .. }
        | RegistrationError::BadMetadataUrl { .. } => ErrorCode::Failed,
    };
    let hint = match code {
        ErrorCode::Unreachable => "try again in a moment",
        _ => {
            "ask the server's administrator for a client id, then: hallpass servers add <url> --client-id <id>"
        }
    };
    Error::new(code, chain(error)).hint(hint)
}

fn issuer_moved(server: &Server, issuer: &str) -> Error {
    Error::new(
        ErrorCode::Failed,
        format!("{} now names the issuer {issuer}, for which no client secret was entered", server.id),
    )
    .hint("if that is right, remove the server and add it again with --client-id and --client-secret")
}

/// How long the whole sign-in may take.
pub(super) fn deadline(wanted: &Wanted) -> Instant {
    Instant::now() + Duration::from_secs(wanted.timeout)
}

/// What the person is asked at the issuer: nothing special, to choose among their accounts, or to be the
/// one who is expected.
pub(super) fn prompt(agent: &Agent, wanted: &Wanted, issuer: &str) -> Prompt {
    if let Some(hint) = &wanted.login_hint {
        return Prompt::LoginHint(hint.clone());
    }
    agent.read(|state| {
        let known = wanted.account.as_ref().and_then(|id| state.accounts.get(id));
        match known {
            // Another issuer is told nothing of them; what comes back is refused.
            Some(account) if account.key.issuer() != issuer => Prompt::Unspecified,
            Some(account) => match account.email.clone().or_else(|| account.name.clone()) {
                Some(hint) => Prompt::LoginHint(hint),
                None => Prompt::Unspecified,
            },
            // Somebody is signed in at this issuer already: it must not take that one silently.
            None if state.accounts.values().any(|a| a.key.issuer() == issuer) => Prompt::SelectAccount,
            None => Prompt::Unspecified,
        }
    })
}
