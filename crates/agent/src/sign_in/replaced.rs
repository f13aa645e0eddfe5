//! What a newer sign-in of the same Account has replaced: revoked once the newer one is safe, never before.
//!
//! Some issuers end everything that a person was given when one token of theirs is revoked. So the new sign-in is tried
//! afterwards; one that went along with the old one is made anew, once, and at that issuer nothing is ever revoked that way
//! again.

use std::sync::Arc;

use model::{GrantState, ItemId};
use token_store::{Renewal, TokenSet};

use crate::agent::Agent;
use crate::issuer_calls::Revoked;
use crate::tokens::Trouble;

/// How the new sign-in is after the old one was revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// As it was.
    Good,
    /// Its issuer ended it together with the old one.
    EndedToo,
}

/// Whether `old` lives on unless its issuer is told; and whether the new one can be tried afterwards.
pub(super) fn is_to_be_revoked(old: &TokenSet, new: &TokenSet) -> bool {
    old.seal.renewal == Renewal::RefreshToken
        && new.seal.renewal == Renewal::RefreshToken
        && new.refresh_token.is_some()
        && old.seal.revocation_endpoint.is_some()
        && old.refresh_token.as_ref().is_some_and(|token| Some(token) != new.refresh_token.as_ref())
}

/// Puts it beside its record, which the new one takes. It is noted first as something to be deleted with that record, so
/// that a crash leaves nothing that nobody knows. What cannot be put aside is left to end by itself.
pub(super) async fn set_aside(agent: &Agent, record: &ItemId, old: TokenSet) {
    if agent.read(|state| state.ends_all.contains(&old.seal.issuer)) {
        return;
    }
    let aside = agent.world.item_id();
    let noted = model::Discarded { item: aside.clone(), needed_for: vec![record.clone()], tokens: true };
    let saved = async {
        agent.change(|state| state.discarded.push(noted)).map_err(|error| error.to_string())?;
        let keychain = agent.keychain().await.map_err(|error| error.to_string())?;
        keychain.save_tokens(&aside, &old).await.map_err(|error| error.to_string())
    };
    if let Err(error) = saved.await {
        tracing::warn!(error, "a replaced sign-in is not revoked, and ends by itself");
    }
}

impl Agent {
    /// While somebody is there: revokes what was set aside, and looks whether the sign-in that replaced it still lives.
    /// Where the issuer cannot be told now, it stays noted, and is left later.
    pub(crate) async fn end_replaced(self: &Arc<Self>, aside: &ItemId) -> After {
        let seal = match self.keychain().await {
            Ok(keychain) => keychain.load_tokens(aside).await.ok().flatten().map(|set| set.seal),
            Err(_) => return After::Good,
        };
        let known =
            seal.as_ref().is_some_and(|seal| self.read(|state| state.ends_all.contains(&seal.issuer)));
        if known {
            self.leave_replaced(aside).await;
            return After::Good;
        }
        let told = self.finish(aside).await;
        let (Ok(Revoked::Yes), Some(seal)) = (told, seal) else { return After::Good };
        let newer = self.read(|state| {
            let grant = state.grant(&seal.account, &seal.server)?;
            (grant.state == GrantState::Active && grant.renewable).then(|| grant.record.clone())
        });
        let Some(record) = newer else { return After::Good };
        let Ok(set) = self.token(&seal.account, &seal.server, None).await else { return After::Good };
        // Of another Server under the same id, say.
        if set.seal.issuer != seal.issuer {
            return After::Good;
        }
        match self.token(&seal.account, &seal.server, Some(set.generation)).await {
            Err(Trouble::NeedsSignIn(_)) => {
                tracing::warn!(issuer = %seal.issuer, "revoking a replaced sign-in ended the new one as well");
                if let Err(error) = self.change(|state| state.ends_all.insert(seal.issuer)) {
                    tracing::warn!(%error, "what that issuer does was not noted");
                }
                After::EndedToo
            }
            Ok(_) => {
                // No server has refused anything.
                self.tokens.slot(&record).was_not_refused();
                After::Good
            }
            Err(Trouble::ForNow(_) | Trouble::Over(_) | Trouble::Store(_) | Trouble::Gone) => After::Good,
        }
    }

    /// Forgets what was set aside without a word to its issuer: nobody is there who could sign in once more, so it ends by
    /// itself.
    pub(crate) async fn leave_replaced(self: &Arc<Self>, aside: &ItemId) {
        let noted = self.change(|state| {
            for revocation in state.revocations.iter_mut().filter(|one| one.record == *aside) {
                revocation.keep_upstream = true;
            }
        });
        match noted {
            Ok(()) => drop(self.finish(aside).await),
            Err(error) => tracing::warn!(%error, "a replaced sign-in is still noted"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refresh::tests::set;

    #[test]
    fn only_a_refresh_token_that_was_replaced_and_can_be_revoked_is() {
        let with = |token: Option<&str>, endpoint: Option<&str>| {
            let mut made = set(1);
            made.refresh_token = token.map(Into::into);
            made.seal.revocation_endpoint = endpoint.map(str::to_owned);
            made
        };
        let end = Some("https://as.example/revoke");
        for (old, new, revoked) in [
            (with(Some("a"), end), with(Some("b"), end), true),
            (with(Some("a"), end), with(Some("a"), end), false),
            (with(None, end), with(Some("b"), end), false),
            (with(Some("a"), end), with(None, end), false),
            (with(Some("a"), None), with(Some("b"), end), false),
        ] {
            assert_eq!(is_to_be_revoked(&old, &new), revoked, "{:?}", (old.seal, new.seal));
        }
    }
}
