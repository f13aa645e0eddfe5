//! Signing out: bridges first, then the issuer, then the keychain. What the issuer could not be told is
//! kept and tried again.

use std::sync::Arc;

use ipc::{Error, ErrorCode, SignedOutView};
use model::{AccountId, Grant, ItemId, ServerId};
use token_lease::OlderLeases;
use token_store::StoreError;

use crate::agent::Agent;
use crate::issuer_calls::Revoked;
use crate::{error, list_rules, people, profiles};

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
        self.change(|state| {
            state.servers.remove(server);
            state.bindings.selection.remove(server);
            profiles::forget_server(state, server);
            state.paused.remove(server);
            for servers in state.bindings.apps.values_mut() {
                servers.remove(server);
            }
        })
        .map_err(error::of_state)?;
        self.asked(server, &Ok(()));
        self.bring(|session| session.server == *server, OlderLeases::Void).await;
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
            match state.accounts.values().find(|a| a.label == label && a.id != id) {
                Some(_) => {
                    Err(Error::new(ErrorCode::Usage, format!("another account is called {label:?} already"))
                        .hint("choose another label"))
                }
                None => Ok(id),
            }
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
        for record in self.read(|state| state.revocations.clone()) {
            if let Ok(Revoked::Yes | Revoked::Never) = self.revoke_and_delete(&record).await {
                self.forget_revocation(&record);
            }
        }
    }

    async fn end_grants(
        self: &Arc<Self>,
        grants: Vec<Grant>,
        upstream: Upstream,
    ) -> Result<SignedOutView, Error> {
        let mut view = SignedOutView { signed_out: Vec::new(), pending: 0, not_revocable: 0 };
        for grant in grants {
            let label = self.person(&grant.account).label;
            match self.end_grant(&grant.account, &grant.server, &grant.record, upstream).await? {
                Revoked::Yes => {}
                Revoked::NotYet => view.pending += 1,
                Revoked::Never => view.not_revocable += 1,
            }
            view.signed_out.push((grant.server, label));
        }
        Ok(view)
    }

    /// From the state, then from the bridges, then from the issuer, then from the keychain. A refresh under
    /// way has the flight: it ends first, or finds the Grant gone.
    async fn end_grant(
        self: &Arc<Self>,
        account: &AccountId,
        server: &ServerId,
        record: &ItemId,
        upstream: Upstream,
    ) -> Result<Revoked, Error> {
        self.change(|state| {
            state.grants.retain(|g| !(g.account == *account && g.server == *server));
            // Until the keychain item is gone, it is known as one whose revocation is to be tried.
            state.revocations.push(record.clone());
        })
        .map_err(error::of_state)?;
        self.bring(
            |session| session.server == *server && session.current.account() == Some(account),
            OlderLeases::Void,
        )
        .await;
        let slot = self.tokens.slot(record);
        let _flight = slot.flight.lock().await;
        slot.adopt(None);
        let outcome = match upstream {
            Upstream::Revoke => self.revoke_and_delete(record).await,
            Upstream::Keep => self.delete(record).await.map(|()| Revoked::Yes),
        };
        self.tokens.forget(record);
        crate::intents::clear(&self.root, record);
        match outcome {
            Ok(Revoked::NotYet) => Ok(Revoked::NotYet),
            Ok(done @ (Revoked::Yes | Revoked::Never)) => {
                self.forget_revocation(record);
                Ok(done)
            }
            // The keychain is locked: signed out here, told and deleted later.
            Err(error) => {
                tracing::warn!(%error, "signed out; the keychain item is deleted later");
                Ok(Revoked::NotYet)
            }
        }
    }

    async fn revoke_and_delete(self: &Arc<Self>, record: &ItemId) -> Result<Revoked, Error> {
        let keychain = self.keychain().await.map_err(|e| error::of_store(&e))?;
        let outcome = match keychain.load_tokens(record).await {
            Ok(Some(set)) => self.revoke_set(&set).await,
            Ok(None) => Revoked::Yes,
            // What cannot be read can be told to nobody, and is of no use to anybody.
            Err(StoreError::Damaged { .. }) => Revoked::Never,
            Err(error) => return Err(error::of_store(&error)),
        };
        if outcome != Revoked::NotYet {
            self.delete(record).await?;
        }
        Ok(outcome)
    }

    async fn delete(self: &Arc<Self>, record: &ItemId) -> Result<(), Error> {
        let keychain = self.keychain().await.map_err(|e| error::of_store(&e))?;
        keychain.delete_record(record).await.map_err(|e| error::of_store(&e))
    }

    fn forget_revocation(&self, record: &ItemId) {
        if let Err(error) = self.change(|state| state.revocations.retain(|r| r != record)) {
            tracing::warn!(%error, "a finished revocation was not noted");
        }
    }
}
