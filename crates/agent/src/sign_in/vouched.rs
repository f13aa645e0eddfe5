//! Signing in by the word of a company's identity provider: once there, and then nowhere else.

use std::sync::Arc;
use std::time::Duration;

use ipc::{Approval, Error, ErrorCode, SignInStep};
use model::{AccountId, AuthKind, ProofKind, Secret, Server, ServerId};
use oauth::{
    AssertionTarget, Identity, IdentityProvider, RegisterFor, Scopes, Subject, TokenEndpoint,
    id_token_claims, redeem_id_jag, request_id_jag, takes_identity_assertions,
};
use token_store::Renewal;

use super::attempt::Attempt;
use super::flow::{self, Granted, Whose};
use super::{Line, Wanted, Way, provider};
use crate::agent::Agent;
use crate::network::Access;
use crate::vouching::{At, Unvouched};
use crate::{error, list_rules};

/// How long one Server of many may take.
const EACH_WITHIN: Duration = Duration::from_mins(1);

/// Tokens for the Account that is signed in at the provider.
pub(super) async fn run(
    attempt: &Attempt<'_>,
    wanted: &Wanted,
    provider: &ServerId,
) -> Result<Granted, Error> {
    let agent = attempt.agent;
    let account = signed_in_there(agent, wanted, provider)?;
    let (registration, authentication) = ours(attempt).await?;
    let at = At {
        http: &*attempt.http,
        endpoint: TokenEndpoint {
            url: &attempt.protected.metadata.token_endpoint,
            authentication: &authentication,
            resource: attempt.protected.resource_parameter.as_deref(),
        },
        target: target(attempt, &registration.client_id),
    };
    let answer =
        agent.vouched(&account, provider, at).await.map_err(|error| of_unvouched(&error, provider))?;
    let identity = agent.read(|state| {
        let account = state.accounts.get(&account)?;
        let model::AccountKey::Subject { issuer, subject } = &account.key else { return None };
        Some(Identity {
            issuer: issuer.clone(),
            subject: subject.clone(),
            name: account.name.clone(),
            email: account.email.clone(),
            email_verified: account.email_verified,
            proof: account.proof.kind,
            tenant: account.tenant.clone(),
        })
    });
    let Some(identity) = identity else { return Err(unproven(provider)) };
    Ok(Granted {
        registration,
        authentication,
        nonce: None,
        reply: None,
        answer,
        renewal: Renewal::IdentityAssertion { provider: provider.clone() },
        whose: Whose::Vouched(identity),
    })
}

/// Tokens for whoever the provider's id_token names, which another program has got. The provider itself checks it, and
/// says over the same connection whom it is of.
pub(super) async fn by_id_token(
    attempt: &Attempt<'_>,
    provider: &ServerId,
    id_token: &Secret<String>,
    line: &Line,
) -> Result<Granted, Error> {
    let agent = attempt.agent;
    let idp = agent
        .read(|state| state.servers.get(provider).cloned())
        .filter(|server| server.auth == AuthKind::IdentityProvider)
        .ok_or_else(|| error::no_server(provider))?;
    let protected = provider::find(agent, &idp).await?;
    let http = agent.network.http(&idp.endpoint, Access::of(&idp))?;
    let there = Attempt { agent, http, server: &idp, protected: &protected, scopes: &Scopes::default() };
    let client = there.registration(RegisterFor::Administered).await?;
    let proof_of_us = there.authentication(&client).await?;
    let now = agent.world.now();
    let claims = id_token_claims(id_token).ok_or_else(|| odd_id_token("it is not a signed JWT"))?;
    if claims.issuer != protected.issuer {
        return Err(odd_id_token(&format!("it is of {}, not of {}", claims.issuer, protected.issuer)));
    }
    if !claims.audience.contains(&client.client_id) {
        return Err(odd_id_token("it was made for another app"));
    }
    if claims.expires_at.is_some_and(|end| end <= now) {
        return Err(odd_id_token("it has expired"));
    }
    let (registration, authentication) = ours(attempt).await?;
    line.step(SignInStep::Exchanging);
    let by = IdentityProvider {
        issuer: &protected.issuer,
        token_endpoint: &protected.metadata.token_endpoint,
        authentication: &proof_of_us,
    };
    let of = |error| of_unvouched(&Unvouched::Refused(error), provider);
    let target = target(attempt, &registration.client_id);
    let word = request_id_jag(&*there.http, by, Subject::IdToken(id_token), target, now).await.map_err(of)?;
    if word.subject() != claims.subject {
        return Err(of_unvouched(&Unvouched::OtherPerson, provider));
    }
    let endpoint = TokenEndpoint {
        url: &attempt.protected.metadata.token_endpoint,
        authentication: &authentication,
        resource: attempt.protected.resource_parameter.as_deref(),
    };
    let answer = redeem_id_jag(&*attempt.http, target.issuer, endpoint, &word).await.map_err(of)?;
    let identity = Identity {
        issuer: protected.issuer.clone(),
        subject: claims.subject,
        name: claims.name,
        email: claims.email,
        email_verified: claims.email_verified,
        proof: ProofKind::Vouched,
        tenant: claims.tenant,
    };
    Ok(Granted {
        registration,
        authentication,
        nonce: None,
        reply: None,
        answer,
        // The id_token is not kept: when this ends, whoever brought it brings another.
        renewal: Renewal::RefreshToken,
        whose: Whose::Vouched(identity),
    })
}

/// Signs an Account that has just signed in at the provider in at every Server that it vouches at. What fails is told,
/// and hinders nothing else.
pub(super) async fn connect_all(
    agent: &Arc<Agent>,
    provider: &ServerId,
    account: &AccountId,
    line: &mut Line,
) {
    let servers: Vec<Server> = agent.read(|state| {
        let vouched = |server: &&Server| server.registration.vouched_by.as_ref() == Some(provider);
        let open = |server: &&Server| list_rules::refuse_closed(state, server).is_ok();
        state.servers.values().filter(vouched).filter(open).cloned().collect()
    });
    for server in servers {
        let wanted = Wanted {
            server: server.id.clone(),
            account: Some(account.clone()),
            expect: None,
            label: None,
            select: false,
            approval: Approval::Yes,
            same_person: false,
            login_hint: None,
            way: Way::Browser,
            timeout: EACH_WITHIN.as_secs(),
        };
        let deadline = tokio::time::Instant::now() + EACH_WITHIN;
        let done = tokio::time::timeout(EACH_WITHIN, flow::at(agent, &wanted, &server, deadline, line)).await;
        let what = match done {
            Ok(Ok(_)) => format!("{}: signed in too", server.id),
            Ok(Err(error)) => format!("{}: not signed in: {}", server.id, error.message),
            Err(_) => format!("{}: not signed in: it does not answer", server.id),
        };
        line.step(SignInStep::Found { what });
    }
}

/// Who of those signed in at the provider is meant.
fn signed_in_there(agent: &Agent, wanted: &Wanted, provider: &ServerId) -> Result<AccountId, Error> {
    agent.read(|state| {
        if state.servers.get(provider).is_none_or(|server| server.auth != AuthKind::IdentityProvider) {
            return Err(Error::new(
                ErrorCode::NotFound,
                format!("{} names {provider} as its identity provider, and there is none", wanted.server),
            )
            .hint("add it: hallpass servers add <issuer> --identity-provider --id <id> --client-id <id>"));
        }
        if let Some(account) = &wanted.account {
            let there = state.grant(account, provider).map(|grant| grant.account.clone());
            return there.ok_or_else(|| nobody_there(provider));
        }
        let mut there = state.grants.iter().filter(|grant| grant.server == *provider);
        match (there.next(), there.next()) {
            (Some(only), None) => Ok(only.account.clone()),
            (None, _) => Err(nobody_there(provider)),
            (Some(_), Some(_)) => {
                Err(Error::new(ErrorCode::Ambiguous, format!("several people are signed in at {provider}"))
                    .hint(format!("say which: hallpass login {} --account <account>", wanted.server)))
            }
        }
    })
}

async fn ours(
    attempt: &Attempt<'_>,
) -> Result<(model::ClientRegistration, oauth::ClientAuthentication), Error> {
    if !takes_identity_assertions(&attempt.protected.metadata) {
        return Err(Error::new(
            ErrorCode::Failed,
            format!("{} does not take the word of an identity provider", attempt.protected.issuer),
        )
        .hint("remove the server and add it again without --vouched-by"));
    }
    let registration = attempt.registration(RegisterFor::Administered).await?;
    let authentication = attempt.authentication(&registration).await?;
    Ok((registration, authentication))
}

fn target<'a>(attempt: &'a Attempt<'_>, client_id: &'a str) -> AssertionTarget<'a> {
    AssertionTarget {
        issuer: &attempt.protected.issuer,
        resource: &attempt.protected.resource,
        client_id,
        scopes: attempt.scopes,
    }
}

pub(super) fn nobody_vouches(server: &Server) -> Error {
    Error::new(
        ErrorCode::Usage,
        format!("{} names no identity provider that could take an id_token", server.id),
    )
    .hint("leave --id-token-stdin out, or add the server again with --vouched-by")
}

fn nobody_there(provider: &ServerId) -> Error {
    Error::new(
        ErrorCode::NotFound,
        format!("nobody is signed in at {provider}, which vouches for people here"),
    )
    .hint(format!("run: hallpass login {provider}"))
}

fn unproven(provider: &ServerId) -> Error {
    Error::new(
        ErrorCode::WrongPerson,
        format!("{provider} does not prove who is signed in there, so its word counts for nobody"),
    )
    .hint("ask whoever runs the identity provider why it names nobody; hallpass servers test shows what it offers")
}

fn odd_id_token(why: &str) -> Error {
    Error::new(ErrorCode::Usage, format!("that id_token cannot be used: {why}"))
        .hint("give one of the identity provider, made for the client id that it knows Hallpass by")
}

fn of_unvouched(error: &Unvouched, provider: &ServerId) -> Error {
    match (error, error.words(provider)) {
        (Unvouched::Own(error), _) => error.clone(),
        (Unvouched::Unproven, _) => unproven(provider),
        (Unvouched::OtherPerson, (words, _)) => Error::new(ErrorCode::WrongPerson, words)
            .hint(format!("nothing was changed; sign in there again: hallpass login {provider}")),
        (_, (words, true)) => Error::new(ErrorCode::Failed, words)
            .hint(format!("nothing was changed; sign in there again: hallpass login {provider}")),
        (_, (words, false)) => {
            Error::new(ErrorCode::Unreachable, words).hint("nothing was changed; try again in a moment")
        }
    }
}
