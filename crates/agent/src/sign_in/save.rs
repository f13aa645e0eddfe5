//! The last steps: keychain first, read back, then the state, then the bridges.

use std::sync::Arc;

use ipc::{Error, ErrorCode, SignInStep};
use model::{Account, AuthKind, Grant, GrantState, ItemId, Server, State};
use token_lease::OlderLeases;
use token_store::{Renewal, Seal, StoreError, TokenSet};

use super::{Wanted, replaced};
use crate::agent::Agent;
use crate::{error, faults, intents, views};

/// What came of saving.
pub(super) struct Saved {
    /// [`SignInStep::Done`].
    pub(super) done: SignInStep,
    /// Where tokens lie that the new ones have replaced, and that are still to be revoked.
    pub(super) replaced: Vec<ItemId>,
}

/// Saves a new or renewed Grant of `account` at `server`, as that was when the sign-in began. An error leaves no
/// new item behind; the tokens are then still the caller's to give back.
pub(super) async fn save(
    agent: &Arc<Agent>,
    wanted: &Wanted,
    server: &Server,
    account: Account,
    mut set: TokenSet,
    new_account: bool,
) -> Result<Saved, Error> {
    let at = server;
    let server = &wanted.server;
    let find = |state: &State| state.grant(&account.id, server).cloned();
    let ends_at = set.expires_at.filter(|_| !set.renews());
    let old = agent.read(find);
    let mut record = old.as_ref().map_or_else(|| agent.world.item_id(), |grant| grant.record.clone());
    let mut slot = agent.tokens.slot(&record);
    let held = Arc::clone(&slot);
    let flight = held.flight.lock().await;
    let keychain = agent.keychain().await.map_err(|e| error::of_store(&e))?;
    // Newer than everything that was ever saved under this record, also where the state lags behind.
    let stored = match &old {
        // Signed out while we waited: whoever has that record ends it.
        Some(_) if agent.read(find).is_none_or(|grant| grant.record != record) => None,
        Some(_) => match keychain.load_tokens(&record).await {
            // "Sign in again" is the cure of a record that is damaged or holds somebody else's tokens: it is
            // left as it is, and a new one takes its place.
            Ok(stored) => {
                Some(stored).filter(|s| s.as_ref().is_none_or(|set| set.matches(server, &account.id)))
            }
            Err(StoreError::Damaged { .. }) => None,
            Err(error) => return Err(error::of_store(&error)),
        },
        None => None,
    };
    let is_new = stored.is_none();
    if is_new && old.is_some() {
        record = agent.world.item_id();
        slot = agent.tokens.slot(&record);
    }
    let stored = stored.flatten();
    let old_set = slot.unsaved().or_else(|| stored.clone());
    if let Some(old) = old_set.filter(|old| replaced::is_to_be_revoked(old, &set)) {
        replaced::set_aside(agent, &record, old).await;
    }
    let mut replaced = Vec::new();
    let epoch = old.as_ref().map_or(0, |g| g.epoch).max(stored.as_ref().map_or(0, |s| s.epoch)) + 1;
    set.epoch = epoch;
    set.generation = stored.map_or(0, |s| s.generation) + 1;
    set.seal.account = account.id.clone();
    keychain.save_tokens(&record, &set).await.map_err(|e| error::of_store(&e))?;
    faults::point(&agent.root, "sign-in.saved");
    let now = agent.world.now();
    let grant = Grant {
        account: account.id.clone(),
        server: server.clone(),
        record: record.clone(),
        state: GrantState::Active,
        client_id: set.seal.client_id.clone(),
        scopes: set.scopes.clone(),
        epoch,
        signed_in_at: now,
        renewable: set.renews(),
        pasted: set.seal.renewal == Renewal::Pasted,
        expires_at: set.expires_at,
        renewed_at: None,
        step_up: None,
        step_ups: old.as_ref().filter(|g| g.step_up.is_some()).map_or(0, |g| g.step_ups.saturating_add(1)),
        extra: old.map(|grant| grant.extra).unwrap_or_default(),
    };
    let entered = agent.change(|state| {
        let entered = enter(state, at, grant, &account, &set.seal, wanted.select);
        // In one write with the sign-in that replaces it: never before that is safe.
        if entered.is_ok() {
            replaced = state.end_replaced(&record, Some(at));
        }
        entered
    });
    let selected = match entered.map_err(error::of_state) {
        Ok(Ok(selected)) => selected,
        Ok(Err(error)) | Err(error) => {
            if is_new {
                if let Err(error) = keychain.delete_record(&record).await {
                    tracing::warn!(%error, "the item of a sign-in that was not kept is still in the keychain");
                }
                agent.tokens.forget(&record);
            }
            return Err(error);
        }
    };
    intents::clear(&agent.root, &record);
    let renewable = set.renews();
    slot.adopt(Some(set));
    drop(flight);
    agent.time_again(&account.id, server);
    if wanted.select {
        agent.bring(|session| session.server == *server, OlderLeases::Drain).await;
    } else {
        agent.grant_changed(&account.id, server).await;
    }
    agent.asked(server, &Ok(()));
    let view = views::account_view(&account);
    agent.endings.notify_one();
    let done = SignInStep::Done { account: view, selected, renewable, ends_at, new_account };
    Ok(Saved { done, replaced })
}

/// Enters a Grant and its Account. `Err`: the Server is not what it was when the person began to sign in there.
/// Answers whether the Account is the one that acts there now.
fn enter(
    state: &mut State,
    at: &Server,
    grant: Grant,
    account: &Account,
    seal: &Seal,
    select: bool,
) -> Result<bool, Error> {
    let gone = || {
        Error::new(ErrorCode::NotFound, format!("{} was removed during the sign-in; nothing was kept", at.id))
            .hint("add it again and sign in there, if it is still wanted")
    };
    let server = state.servers.get_mut(&at.id).ok_or_else(gone)?;
    let other_issuer = server.pinned_issuer().is_some_and(|pinned| pinned != seal.issuer);
    if server.endpoint != at.endpoint || server.headers != at.headers || other_issuer {
        return Err(Error::new(
            ErrorCode::ChangedOutside,
            format!("{} is another server since the sign-in began; nothing was kept", at.id),
        )
        .hint(format!("sign in again: hallpass login {}", at.id)));
    }
    // That a token was pasted says nothing of how the others come in.
    if seal.renewal != Renewal::Pasted {
        if server.auth != AuthKind::IdentityProvider {
            server.auth = AuthKind::Oauth;
        }
        server.issuer = Some(seal.issuer.clone());
    }
    // A sign-out of the same moment leaves the record to this sign-in.
    state.revocations.retain(|revocation| revocation.record != grant.record);
    state.grants.retain(|g| !(g.account == grant.account && g.server == grant.server));
    state.grants.push(grant);
    state.accounts.insert(account.id.clone(), account.clone());
    let selection = &mut state.bindings.selection;
    // An application acts for nobody, and never unasked.
    if select || (account.is_person() && !selection.contains_key(&at.id)) {
        selection.insert(at.id.clone(), account.id.clone());
    }
    Ok(selection.get(&at.id) == Some(&account.id))
}

#[cfg(test)]
mod tests {
    use model::{
        AccountId, AccountKey, Endpoint, Origin, Proof, ProofKind, RegistrationChoice, Revocation, ServerId,
        UnixTime,
    };

    use super::*;

    const ISSUER: &str = "https://login.example";

    fn server(url: &str) -> Server {
        Server {
            id: ServerId::parse("tickets").unwrap(),
            label: "Tickets".into(),
            endpoint: Endpoint::parse(url).unwrap(),
            headers: std::collections::BTreeMap::new(),
            auth: AuthKind::Oauth,
            origin: Origin::HandMade,
            issuer: None,
            registration: RegistrationChoice::default(),
            whoami: None,
            private_network: false,
            authority: None,
            era: None,
            listings: Vec::new(),
            extra: serde_json::Map::new(),
        }
    }

    fn ana() -> Account {
        Account {
            id: AccountId::parse("ana").unwrap(),
            key: AccountKey::Subject { issuer: ISSUER.into(), subject: "1".into() },
            label: "ana".into(),
            name: None,
            email: None,
            email_verified: false,
            tenant: None,
            proof: Proof { kind: ProofKind::IdToken, at: UnixTime(1) },
            extra: serde_json::Map::new(),
        }
    }

    fn grant() -> Grant {
        Grant {
            account: ana().id,
            server: ServerId::parse("tickets").unwrap(),
            record: ItemId::parse("0123abcd").unwrap(),
            state: GrantState::Active,
            client_id: "c".into(),
            scopes: Vec::new(),
            epoch: 1,
            signed_in_at: UnixTime(1),
            renewable: true,
            pasted: false,
            expires_at: None,
            renewed_at: None,
            step_up: None,
            step_ups: 0,
            extra: serde_json::Map::new(),
        }
    }

    fn seal() -> Seal {
        Seal { issuer: ISSUER.into(), ..crate::refresh::tests::set(1).seal }
    }

    fn state(servers: &[Server]) -> State {
        let servers = servers.iter().map(|one| (one.id.clone(), one.clone())).collect();
        State { servers, ..State::default() }
    }

    #[test]
    fn a_server_that_is_gone_or_another_one_by_now_gets_no_grant() {
        let began = server("https://mcp.acme.example/mcp");
        let mut tenant = began.clone();
        tenant.headers.insert("X-Tenant".into(), "other".into());
        for now in [&[][..], &[server("https://mcp.evil.example/mcp")], &[tenant]] {
            let before = state(now);
            let mut after = before.clone();
            assert!(enter(&mut after, &began, grant(), &ana(), &seal(), true).is_err(), "{now:?}");
            assert_eq!(after, before);
        }
        let mut same = state(std::slice::from_ref(&began));
        assert_eq!(enter(&mut same, &began, grant(), &ana(), &seal(), false), Ok(true));
        assert_eq!(same.grants.len(), 1);
    }

    #[test]
    fn a_pasted_token_changes_nothing_for_those_who_sign_in() {
        let began =
            Server { issuer: Some("https://other.example".into()), ..server("https://mcp.acme.example/mcp") };
        let mut state = state(std::slice::from_ref(&began));
        let pasted = Seal { renewal: Renewal::Pasted, ..seal() };
        enter(&mut state, &began, grant(), &ana(), &pasted, false).unwrap();
        assert_eq!(state.servers[&began.id], began);
        enter(&mut state, &began, grant(), &ana(), &seal(), false).unwrap();
        assert_eq!(state.servers[&began.id].issuer.as_deref(), Some(ISSUER));
    }

    #[test]
    fn a_sign_out_of_the_same_moment_leaves_the_record_to_the_sign_in() {
        let began = server("https://mcp.acme.example/mcp");
        let mut state = state(std::slice::from_ref(&began));
        state.grants.push(grant());
        state.end_grants(|_| true);
        assert_eq!(state.revocations, [Revocation::new(grant().record, Some(&began))]);
        enter(&mut state, &began, grant(), &ana(), &seal(), false).unwrap();
        assert_eq!((state.grants.len(), state.revocations.len()), (1, 0), "it must not be revoked");
    }
}
