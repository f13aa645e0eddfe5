//! The last steps: keychain first, read back, then the state, then the bridges.

use std::sync::Arc;

use ipc::{Error, SignInStep};
use model::{Account, AuthKind, Grant, GrantState};
use token_lease::OlderLeases;
use token_store::{StoreError, TokenSet};

use super::Wanted;
use crate::agent::Agent;
use crate::{error, faults, intents, views};

/// Saves a new or renewed Grant of `account`.
pub(super) async fn save(
    agent: &Arc<Agent>,
    wanted: &Wanted,
    account: Account,
    mut set: TokenSet,
    new_account: bool,
) -> Result<SignInStep, Error> {
    let server = &wanted.server;
    let old = agent.read(|state| state.grant(&account.id, server).cloned());
    let mut record = old.as_ref().map_or_else(|| agent.world.item_id(), |grant| grant.record.clone());
    let mut slot = agent.tokens.slot(&record);
    let held = Arc::clone(&slot);
    let flight = held.flight.lock().await;
    let keychain = agent.keychain().await.map_err(|e| error::of_store(&e))?;
    // Newer than everything that was ever saved under this record, also where the state lags behind.
    let stored = match &old {
        Some(_) => match keychain.load_tokens(&record).await {
            Ok(stored) if stored.as_ref().is_none_or(|set| set.matches(server, &account.id)) => stored,
            // "Sign in again" is the cure of a record that is damaged or holds somebody else's tokens: it is
            // left as it is, and a new one takes its place.
            Ok(_) | Err(StoreError::Damaged { .. }) => {
                record = agent.world.item_id();
                slot = agent.tokens.slot(&record);
                None
            }
            Err(error) => return Err(error::of_store(&error)),
        },
        None => None,
    };
    let epoch = old.as_ref().map_or(0, |g| g.epoch).max(stored.as_ref().map_or(0, |s| s.epoch)) + 1;
    set.epoch = epoch;
    set.generation = stored.map_or(0, |s| s.generation) + 1;
    set.seal.account = account.id.clone();
    keychain.save_tokens(&record, &set).await.map_err(|e| error::of_store(&e))?;
    faults::point(&agent.root, "sign-in.saved");
    let now = agent.world.now();
    let selected = agent
        .change(|state| {
            let grant = Grant {
                account: account.id.clone(),
                server: server.clone(),
                record: record.clone(),
                state: GrantState::Active,
                client_id: set.seal.client_id.clone(),
                scopes: set.scopes.clone(),
                epoch,
                signed_in_at: now,
                renewable: set.refresh_token.is_some(),
                expires_at: set.expires_at,
                renewed_at: None,
                extra: old.as_ref().map(|g| g.extra.clone()).unwrap_or_default(),
            };
            state.grants.retain(|g| !(g.account == account.id && g.server == *server));
            state.grants.push(grant);
            state.accounts.insert(account.id.clone(), account.clone());
            if let Some(server) = state.servers.get_mut(server) {
                server.auth = AuthKind::Oauth;
                server.issuer = Some(set.seal.issuer.clone());
            }
            let selection = &mut state.bindings.selection;
            if wanted.select || !selection.contains_key(server) {
                selection.insert(server.clone(), account.id.clone());
            }
            selection.get(server) == Some(&account.id)
        })
        .map_err(error::of_state)?;
    intents::clear(&agent.root, &record);
    let renewable = set.refresh_token.is_some();
    slot.adopt(Some(set));
    drop(flight);
    if wanted.select {
        agent.bring(|session| session.server == *server, OlderLeases::Drain).await;
    } else {
        agent.grant_changed(&account.id, server).await;
    }
    agent.asked(server, &Ok(()));
    let view = agent.read(|state| views::account_view(state, &account));
    Ok(SignInStep::Done { account: view, selected, renewable, new_account })
}
