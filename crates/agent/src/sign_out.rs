//! Signing out: bridges first, then the issuer, then the keychain. What the issuer could not be told is
//! kept and tried again.

use std::sync::Arc;

use ipc::{Error, ErrorCode, SignedOutView};
use model::{Grant, ItemId, Revocation, ServerId, State};
use token_lease::OlderLeases;
use token_store::StoreError;

use crate::agent::Agent;
use crate::issuer_calls::Revoked;
use crate::network::Access;
use crate::{error, faults, list_rules, people, presets, profiles};

/// Whether the issuer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upstream {
    Revoke,
    Keep,
}

impl Agent {
    /// Signs one Account, or all, out of a Server.
    pub(crate) async fn sign_out(
        self: &Arc<Self>,
        server: &ServerId,
        account: Option<&str>,
        all: bool,
        keep_upstream: bool,
    ) -> Result<SignedOutView, Error> {
        let grants = self.read(|state| {
            if !state.servers.contains_key(server) {
                return Err(error::no_server(server));
            }
            let here: Vec<Grant> = state.grants.iter().filter(|g| g.server == *server).cloned().collect();
            if let Some(name) = account {
                let account = people::resolve(state, Some(server), name)?;
                let grants: Vec<Grant> = here.into_iter().filter(|g| g.account == account.id).collect();
                if grants.is_empty() {
                    let message = format!("{} is not signed in to {server}", account.label);
                    return Err(Error::new(ErrorCode::NotFound, message));
                }
                return Ok(grants);
            }
            match (&here[..], all) {
                ([], _) => Err(Error::new(ErrorCode::NotFound, format!("nobody is signed in to {server}"))),
                ([_], _) | (_, true) => Ok(here),
                ([_, _, ..], false) => Err(Error::new(
                    ErrorCode::Usage,
                    format!("{} accounts are signed in to {server}", here.len()),
                )
                .hint("name one with --account, or say --all")),
            }
        })?;
        let upstream = if keep_upstream { Upstream::Keep } else { Upstream::Revoke };
        self.end_grants(grants, upstream).await
    }

    /// Signs everybody out of a Server and forgets it.
    pub(crate) async fn remove_server(self: &Arc<Self>, server: &ServerId) -> Result<SignedOutView, Error> {
        let grants = self.read(|state| {
            let found = state.servers.get(server).ok_or_else(|| error::no_server(server))?;
            list_rules::refuse_removal(state, found)?;
            Ok::<_, Error>(state.grants.iter().filter(|g| g.server == *server).cloned().collect::<Vec<_>>())
        })?;
        let view = self.end_grants(grants, Upstream::Revoke).await?;
        self.forget_known(server, None);
        self.sign_ins.cancel_at(server);
        self.change(|state| {
            // Whoever signed in meanwhile is signed out as well.
            state.end_grants(|grant| grant.server == *server);
            if let Some(gone) = state.servers.remove(server) {
                presets::remember_removed(state, &gone);
            }
            state.discard_registrations();
            state.bindings.selection.remove(server);
            profiles::forget_server(state, server);
            state.paused.remove(server);
            for servers in state.bindings.apps.values_mut() {
                servers.remove(server);
            }
        })
        .map_err(error::of_state)?;
        faults::point(&self.root, "server.removed");
        self.asked(server, &Ok(()));
        self.bring(|session| session.server == *server, OlderLeases::Void).await;
        self.delete_discarded().await;
        Ok(view)
    }

    /// Signs an Account out everywhere and forgets it. Bindings to it stay: an app that was bound to it is
    /// closed, and does not fall to somebody else.
    pub(crate) async fn remove_account(self: &Arc<Self>, name: &str) -> Result<SignedOutView, Error> {
        let (account, grants) = self.read(|state| {
            let account = people::resolve(state, None, name)?.id.clone();
            let grants: Vec<Grant> = state.grants.iter().filter(|g| g.account == account).cloned().collect();
            Ok::<_, Error>((account, grants))
        })?;
        let view = self.end_grants(grants, Upstream::Revoke).await?;
        self.change(|state| {
            state.end_grants(|grant| grant.account == account);
            state.accounts.remove(&account);
            state.bindings.selection.retain(|_, selected| *selected != account);
            profiles::forget_account(state, &account);
        })
        .map_err(error::of_state)?;
        self.bring(|session| session.current.account() == Some(&account), OlderLeases::Void).await;
        Ok(view)
    }

    /// Changes what an Account is called.
    pub(crate) fn rename_account(&self, name: &str, label: &str) -> Result<(), Error> {
        let label: String = label.trim().chars().filter(|c| !c.is_control()).take(100).collect();
        if label.is_empty() {
            return Err(Error::new(ErrorCode::Usage, "an account's label cannot be empty"));
        }
        let account = self.read(|state| {
            let id = people::resolve(state, None, name)?.id.clone();
            if people::is_taken(state, &label, Some(&id)) {
                return Err(Error::new(
                    ErrorCode::Usage,
                    format!("another account is called {label:?} already"),
                )
                .hint("choose another label"));
            }
            Ok(id)
        })?;
        self.change(|state| {
            if let Some(account) = state.accounts.get_mut(&account) {
                account.label = label;
            }
        })
        .map_err(error::of_state)
    }

    /// Tries once more to tell issuers about sign-outs.
    pub(crate) async fn retry_revocations_once(self: &Arc<Self>) {
        for revocation in self.read(|state| state.revocations.clone()) {
            // What fails stays noted, and is tried again.
            if revocation.replaced {
                self.leave_replaced(&revocation.record).await;
            } else {
                let _outcome = self.finish(&revocation.record).await;
            }
        }
    }

    async fn end_grants(
        self: &Arc<Self>,
        grants: Vec<Grant>,
        upstream: Upstream,
    ) -> Result<SignedOutView, Error> {
        let mut view = SignedOutView {
            signed_out: Vec::new(),
            pending: 0,
            not_revocable: 0,
            refused: 0,
            unreadable: 0,
            vouched: 0,
            pasted: 0,
        };
        let vouched = self.read(|state| vouched_along(state, &grants));
        view.vouched = vouched.len();
        // First those that came of its word: whoever renews one meanwhile finds it gone.
        for grant in vouched.into_iter().chain(grants) {
            let label = self.person(&grant.account).label;
            match self.end_grant(&grant, upstream).await? {
                // Nobody but its person can end it at the server.
                Revoked::Yes | Revoked::NotOffered if grant.pasted => view.pasted += 1,
                Revoked::Yes => {}
                Revoked::NotYet => view.pending += 1,
                Revoked::NotOffered => view.not_revocable += 1,
                Revoked::Refused => view.refused += 1,
                Revoked::Unreadable => view.unreadable += 1,
            }
            view.signed_out.push((grant.server, label));
        }
        Ok(view)
    }

    /// From the state, then from the bridges, then from the issuer, then from the keychain. A refresh under
    /// way has the flight: it ends first, or finds the Grant gone.
    async fn end_grant(self: &Arc<Self>, grant: &Grant, upstream: Upstream) -> Result<Revoked, Error> {
        let Grant { account, server, record, .. } = grant;
        self.change(|state| {
            // Until the keychain item is gone, it is known as one whose revocation is to be tried.
            state.end_grants(|g| g.account == *account && g.server == *server);
            for revocation in state.revocations.iter_mut().filter(|r| r.record == *record) {
                revocation.keep_upstream = upstream == Upstream::Keep;
            }
        })
        .map_err(error::of_state)?;
        self.bring(
            |session| session.server == *server && session.current.account() == Some(account),
            OlderLeases::Void,
        )
        .await;
        self.cut_drained(account, server).await;
        // Now that no bridge has a lease any more under which it could say something.
        self.forget_known(server, Some(account));
        match self.finish(record).await {
            Ok(outcome) => Ok(outcome),
            // The keychain is locked: signed out here, told and deleted later.
            Err(error) => {
                tracing::warn!(%error, "signed out; the keychain item is deleted later");
                Ok(Revoked::NotYet)
            }
        }
    }

    /// Does what is left to do about an ended Grant: tells its issuer, deletes its item, forgets it.
    pub(crate) async fn finish(self: &Arc<Self>, record: &ItemId) -> Result<Revoked, Error> {
        let slot = self.tokens.slot(record);
        let _flight = slot.flight.lock().await;
        // Nothing is left where a sign-in that ended meanwhile has taken the record over.
        let Some(revocation) = self.read(|state| state.revocation(record).cloned()) else {
            return Ok(Revoked::Yes);
        };
        if let Some(set) = slot.unsaved() {
            // The issuer has to hear of the newest tokens, and only the keychain outlives this process.
            let keychain = self.keychain().await.map_err(|e| error::of_store(&e))?;
            keychain.save_tokens(record, &set).await.map_err(|e| error::of_store(&e))?;
        }
        slot.adopt(None);
        let outcome = self.revoke_and_delete(&revocation).await;
        self.tokens.forget(record);
        crate::intents::clear(&self.root, record);
        if let Ok(Revoked::Yes | Revoked::NotOffered | Revoked::Refused | Revoked::Unreadable) = outcome
            && let Err(error) = self.change(|state| state.revocations.retain(|r| r.record != *record))
        {
            tracing::warn!(%error, "a finished revocation was not noted");
        }
        outcome
    }

    async fn revoke_and_delete(self: &Arc<Self>, revocation: &Revocation) -> Result<Revoked, Error> {
        let keychain = self.keychain().await.map_err(|e| error::of_store(&e))?;
        let outcome = if revocation.keep_upstream {
            Revoked::Yes
        } else {
            match keychain.load_tokens(&revocation.record).await {
                Ok(Some(set)) => self.revoke_set(&set, Access::after(revocation)).await,
                Ok(None) => Revoked::Yes,
                // What cannot be read can be told to nobody, and is of no use to anybody.
                Err(StoreError::Damaged { .. }) => Revoked::Unreadable,
                Err(error) => return Err(error::of_store(&error)),
            }
        };
        if outcome != Revoked::NotYet {
            keychain.delete_record(&revocation.record).await.map_err(|e| error::of_store(&e))?;
        }
        Ok(outcome)
    }
}

/// The Grants that came of the word of an identity provider where one of `ending` ends, and are none of these.
fn vouched_along(state: &State, ending: &[Grant]) -> Vec<Grant> {
    let of_word = |grant: &Grant| {
        let provider = state.servers.get(&grant.server)?.registration.vouched_by.as_ref()?;
        ending.iter().find(|ends| ends.server == *provider && ends.account == grant.account)
    };
    let is_ending = |grant: &Grant| ending.iter().any(|ends| ends.record == grant.record);
    state.grants.iter().filter(|grant| !is_ending(grant) && of_word(grant).is_some()).cloned().collect()
}
