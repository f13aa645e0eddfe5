//! Keychain items that nothing names any more.

use serde::{Deserialize, Serialize};

use crate::{ItemId, RegistrationKind, Revocation, Server, State};

/// An item that is to be deleted. It stands in the state until it is, so that neither a crash nor a locked keychain
/// leaves it behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discarded {
    /// The item.
    pub item: ItemId,
    /// Grants that were made with it, and ended ones whose issuer may still have to be told, with this secret as
    /// proof of who tells it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needed_for: Vec<ItemId>,
    /// It holds tokens that a newer sign-in of the same Grant replaces: their issuer is told once that one is safe.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tokens: bool,
}

impl State {
    /// Forgets the pre-registered clients that no Server names, and discards their secrets.
    pub fn discard_registrations(&mut self) {
        let Self { registrations, servers, discarded, revocations, .. } = self;
        registrations.retain(|registration| {
            let named = |id: Option<&String>| id.is_some_and(|id| *id == registration.client_id);
            let keep = match registration.kind {
                RegistrationKind::PreRegistered => {
                    servers.values().any(|server| named(server.registration.client_id.as_ref()))
                }
                // These are the issuer's, whichever Server leads there.
                RegistrationKind::MetadataDocument | RegistrationKind::Dynamic => true,
            };
            if let Some(item) = registration.secret.clone().filter(|_| !keep) {
                let needed_for = revocations.iter().map(|revocation| revocation.record.clone()).collect();
                discarded.push(Discarded { item, needed_for, tokens: false });
            }
            keep
        });
    }

    /// Discards the secret of a client in whose place another one has come. Grants that were made with it go on with
    /// it until they end: their records name it.
    pub fn discard_secret(&mut self, item: ItemId, client_id: &str) {
        let made_with_it = self.grants.iter().filter(|grant| grant.client_id == client_id);
        let ended = self.revocations.iter().map(|revocation| &revocation.record);
        let needed_for = made_with_it.map(|grant| &grant.record).chain(ended).cloned().collect();
        self.discarded.push(Discarded { item, needed_for, tokens: false });
    }

    /// The tokens that were put aside for this record are needed no longer, those of a sign-in that never came to its end
    /// too: their issuer is to be told. Answers where they lie.
    pub fn end_replaced(&mut self, record: &ItemId, server: Option<&Server>) -> Vec<ItemId> {
        let of_record = |one: &Discarded| one.tokens && one.needed_for.contains(record);
        let (ended, left): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.discarded).into_iter().partition(|one| of_record(one));
        self.discarded = left;
        let items = ended.iter().map(|one| one.item.clone()).collect();
        let replaced = |one: Discarded| Revocation { replaced: true, ..Revocation::new(one.item, server) };
        self.revocations.extend(ended.into_iter().map(replaced));
        items
    }

    /// The discarded items that can be deleted now.
    pub fn disposable(&self) -> Vec<ItemId> {
        let lives = |record: &ItemId| self.grants.iter().any(|grant| grant.record == *record);
        let over = |record: &ItemId| self.revocation(record).is_none() && !lives(record);
        let can_go = self.discarded.iter().filter(|discarded| discarded.needed_for.iter().all(over));
        can_go.map(|discarded| discarded.item.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ServerId;

    fn state() -> State {
        let registration = |client: &str, kind: &str, secret: &str| {
            json!({"issuer": "https://login.example", "client_id": client, "kind": kind,
                "token_endpoint_auth": "client_secret_basic", "secret": secret})
        };
        let server = |id: &str, client: &str| {
            json!({"id": id, "label": id, "endpoint": format!("https://{id}.example/mcp"), "auth": "oauth",
                "origin": {"kind": "hand-made"}, "registration": {"client_id": client, "has_secret": true}})
        };
        let state = json!({"v": 1,
            "servers": {"one": server("one", "shared"), "two": server("two", "shared"), "alone": server("alone", "own")},
            "registrations": [registration("shared", "pre_registered", "aa"), registration("own", "pre_registered", "bb"),
                registration("gone", "dynamic", "cc")]});
        State::parse(state.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn the_secret_of_a_client_goes_with_the_last_server_that_names_it() {
        let mut state = state();
        let remove = |state: &mut State, id: &str| {
            state.servers.remove(&ServerId::parse(id).unwrap());
            state.discard_registrations();
            state.disposable().iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(remove(&mut state, "one"), Vec::<String>::new(), "another server names it");
        assert_eq!(remove(&mut state, "alone"), ["bb"]);
        assert_eq!(remove(&mut state, "two"), ["bb", "aa"]);
        let left: Vec<_> = state.registrations.iter().map(|r| r.client_id.as_str()).collect();
        assert_eq!(left, ["gone"], "what the issuer registered by itself stays");
    }

    #[test]
    fn a_secret_that_was_replaced_stays_for_those_who_signed_in_with_it() {
        let mut state = state();
        let grant = json!({"account": "ana", "server": "one", "record": "ee", "state": {"state": "active"},
            "client_id": "shared", "epoch": 1, "signed_in_at": 1, "renewable": true});
        state.grants.push(serde_json::from_value(grant).unwrap());
        state.discard_secret(ItemId::parse("aa").unwrap(), "shared");
        state.discard_secret(ItemId::parse("bb").unwrap(), "own");
        let disposable =
            |state: &State| state.disposable().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(disposable(&state), ["bb"]);
        state.end_grants(|_| true);
        assert_eq!(disposable(&state), ["bb"], "the issuer is still to be told");
        state.revocations.clear();
        assert_eq!(disposable(&state), ["aa", "bb"]);
    }

    #[test]
    fn a_secret_stays_until_the_issuer_has_been_told_with_it() {
        let mut state = state();
        let record = ItemId::parse("dd").unwrap();
        state.revocations.push(Revocation::new(record, None));
        state.servers.clear();
        state.discard_registrations();
        assert!(state.disposable().is_empty());
        let mut state = State::parse(&state.to_bytes()).unwrap();
        state.revocations.clear();
        assert_eq!(state.disposable().len(), 2);
    }

    #[test]
    fn tokens_that_were_put_aside_are_told_of_when_their_grant_is_safe_or_has_ended() {
        let item = |text: &str| ItemId::parse(text).unwrap();
        let aside = |of: &str| Discarded { item: item(of), needed_for: vec![item("a1")], tokens: true };
        let mut before = state();
        before.discarded = vec![aside("b1"), Discarded { tokens: false, ..aside("b2") }, aside("b3")];
        let mut safe = before.clone();
        safe.end_replaced(&item("ff"), None);
        assert_eq!(safe, before, "another record");
        safe.end_replaced(&item("a1"), None);
        let told: Vec<String> = safe.revocations.iter().map(|one| one.record.to_string()).collect();
        assert_eq!((told.join(" "), safe.discarded.len()), ("b1 b3".to_owned(), 1));
        assert!(safe.revocations.iter().all(|one| one.replaced));
    }
}
