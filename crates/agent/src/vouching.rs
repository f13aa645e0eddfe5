//! The identity provider of a company vouches for somebody who is signed in there, and their tokens for a Server come
//! of its word: no browser opens (MCP extension `enterprise-managed-authorization`).

use std::sync::Arc;

use ipc::Error;
use model::{AccountId, Endpoint, ServerId};
use oauth::{
    AssertionTarget, Http, IdentityAssertionError, IdentityProvider, Subject, TokenAnswer, TokenEndpoint,
    id_token_claims, redeem_id_jag, request_id_jag,
};
use token_store::TokenSet;

use crate::agent::Agent;
use crate::issuer_calls::access;
use crate::refresh::Refusal;
use crate::servers::chain;
use crate::tokens::Trouble;

/// Where the provider's word is to be redeemed.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    pub(crate) http: &'a dyn Http,
    /// The token endpoint of the Server's issuer.
    pub(crate) endpoint: TokenEndpoint<'a>,
    /// Issuer, resource, client and scopes.
    pub(crate) target: AssertionTarget<'a>,
}

/// Why the provider's word brought no tokens.
#[derive(Debug)]
pub(crate) enum Unvouched {
    /// The sign-in at the provider cannot be used now.
    SignIn(Trouble),
    /// It names somebody else than the Account that is signed in there.
    OtherPerson,
    /// It has never proven who is signed in there, so nobody can say whom its word is about.
    Unproven,
    /// One of the two sides said no, or could not be asked.
    Refused(IdentityAssertionError),
    /// Something of our own is missing.
    Own(Error),
}

impl Agent {
    /// Tokens for an Account that is signed in at the provider.
    pub(crate) async fn vouched(
        self: &Arc<Self>,
        account: &AccountId,
        provider: &ServerId,
        at: At<'_>,
    ) -> Result<TokenAnswer, Unvouched> {
        let set = self.token(account, provider, None).await.map_err(|trouble| match trouble {
            // Not gone for good: what the keychain holds is of another moment than the state.
            Trouble::Gone if self.read(|state| state.grant(account, provider).is_some()) => {
                Unvouched::SignIn(Trouble::ForNow("its sign-in cannot be read just now".to_owned()))
            }
            trouble => Unvouched::SignIn(trouble),
        })?;
        let Some(known) = set.seal.subject.as_deref() else { return Err(Unvouched::Unproven) };
        let there = self.server_of(&set.seal);
        let (http, authentication) =
            self.issuer(&set.seal, access(there.as_ref())).await.map_err(Unvouched::Own)?;
        let token_endpoint = Endpoint::parse(&set.seal.token_endpoint)
            .map_err(|error| Unvouched::SignIn(Trouble::NeedsSignIn(error.to_string())))?;
        let now = self.world.now();
        let subject = shown(&set, now).ok_or_else(|| {
            let what = format!("sign in at {provider} again: what it knows you by has ended");
            Unvouched::SignIn(Trouble::NeedsSignIn(what))
        })?;
        let (issuer, authentication) = (set.seal.issuer.as_str(), &authentication);
        let by = IdentityProvider { issuer, token_endpoint: &token_endpoint, authentication };
        let word = request_id_jag(&*http, by, subject, at.target, now).await.map_err(Unvouched::Refused)?;
        if known != word.subject() {
            return Err(Unvouched::OtherPerson);
        }
        redeem_id_jag(at.http, at.target.issuer, at.endpoint, &word).await.map_err(Unvouched::Refused)
    }
}

/// What the provider is shown of a sign-in: its id_token while that is good, else the refresh token.
fn shown(set: &TokenSet, now: model::UnixTime) -> Option<Subject<'_>> {
    let good = |token: &&model::Secret<String>| {
        id_token_claims(token).is_some_and(|claims| claims.expires_at.is_none_or(|end| end > now))
    };
    let id_token = set.id_token.as_ref().filter(good).map(Subject::IdToken);
    id_token.or_else(|| set.refresh_token.as_ref().map(Subject::RefreshToken))
}

impl Unvouched {
    /// In one sentence, and whether only the person can help.
    pub(crate) fn words(&self, provider: &ServerId) -> (String, bool) {
        match self {
            Self::SignIn(Trouble::NeedsSignIn(reason) | Trouble::Over(reason)) => {
                (format!("{provider}: {reason}"), true)
            }
            Self::SignIn(Trouble::Gone) => (format!("nobody is signed in at {provider} any more"), true),
            Self::SignIn(Trouble::ForNow(what)) => (format!("{provider}: {what}"), false),
            Self::SignIn(Trouble::Store(error)) => (error.to_string(), false),
            Self::OtherPerson => (format!("{provider} vouched for somebody else; it was not used"), true),
            Self::Unproven => (
                format!("{provider} does not prove who is signed in there, so its word counts for nobody"),
                true,
            ),
            Self::Refused(error) => {
                let person = matches!(
                    error,
                    IdentityAssertionError::SignInAgain { .. }
                        | IdentityAssertionError::NotAllowed { .. }
                        | IdentityAssertionError::NotAccepted { .. }
                );
                (chain(error), person)
            }
            Self::Own(error) => (error.message.clone(), false),
        }
    }

    /// For the recipe of renewal.
    pub(crate) fn refusal(&self, provider: &ServerId) -> Refusal {
        match self.words(provider) {
            (reason, true) => Refusal::Over(reason),
            (trouble, false) => Refusal::NotAVerdict { what: trouble, retry_after: None },
        }
    }
}
