//! What outlives a process in the model: the keychain, the notes on disk, the state file, the issuer; and the eye
//! that watches all of it and holds the invariants.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use model::{AccountId, Grant, GrantState, ItemId, Secret, ServerId, State, UnixTime};
use serde_json::json;
use shuttle::rand::{Rng as _, thread_rng};
use token_store::TokenSet;

use super::issuer::{ANA, Issuer, Tokens};
use super::{Invariant, Plan};
use crate::refresh::Intent;
use crate::refresh::tests::set;

/// The life of an access token.
pub(super) const LIFETIME: u64 = 100;

/// All of it. Nothing in here is a place where another task may come between.
pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) issuer: RefCell<Issuer>,
    pub(super) clock: Cell<u64>,
    pub(super) state: RefCell<State>,
    pub(super) seen: RefCell<Seen>,
    keychain: RefCell<BTreeMap<ItemId, TokenSet>>,
    intents: RefCell<BTreeMap<ItemId, Intent>>,
    records: Cell<usize>,
    /// Nothing goes wrong any more.
    calm: Cell<bool>,
    crashes_left: Cell<u32>,
    troubles_left: Cell<u32>,
}

/// What was seen so far.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) violations: Vec<(Invariant, String)>,
    /// What happened, in order.
    pub(super) diary: Vec<String>,
    /// Where processes died.
    pub(super) crashes: Vec<&'static str>,
    /// What went wrong besides, by name.
    pub(super) troubles: Vec<&'static str>,
    pub(super) handed_out: usize,
    pub(super) refreshes: usize,
    /// Access tokens that the keychain has held.
    saved: BTreeSet<String>,
    /// Access tokens of sign-ins that had ended before the issuer answered.
    late: BTreeSet<String>,
    /// How often a generation was sent since the last verdict about it.
    uses: BTreeMap<(ItemId, u64), u32>,
    /// A sign-in was replaced by another; the old one is left to the issuer.
    replaced: bool,
    /// Records of sign-ins that came to their end.
    entered: BTreeSet<ItemId>,
}

impl World {
    /// ana has signed in; her token is due for renewal.
    pub(super) fn new(plan: Plan) -> Self {
        let world = Self {
            plan,
            issuer: RefCell::default(),
            clock: Cell::new(set(1).received_at.0),
            state: RefCell::default(),
            seen: RefCell::default(),
            keychain: RefCell::default(),
            intents: RefCell::default(),
            records: Cell::new(0),
            calm: Cell::new(false),
            crashes_left: Cell::new(thread_rng().gen_range(0..=plan.crashes)),
            troubles_left: Cell::new(thread_rng().gen_range(0..=plan.troubles)),
        };
        world.issuer.borrow_mut().one_family = thread_rng().gen_bool(0.3);
        let tokens = world.issuer.borrow_mut().sign_in();
        let record = world.fresh_record();
        world.save(&record, &TokenSet { subject_checked: true, ..world.token_set(&tokens, 1, 1) });
        world.enter(grant(&record, 1));
        world.clock.set(world.clock.get() + LIFETIME - 1);
        world
    }

    pub(super) fn note(&self, what: impl Into<String>) {
        self.seen.borrow_mut().diary.push(what.into());
    }

    pub(super) fn violated(&self, invariant: Invariant, how: impl Into<String>) {
        let how = how.into();
        self.note(format!("VIOLATION of {invariant:?}: {how}"));
        self.seen.borrow_mut().violations.push((invariant, how));
    }

    /// From now on nothing goes wrong.
    pub(super) fn calm_down(&self) {
        self.calm.set(true);
    }

    /// Whether the process dies here.
    pub(super) fn dies_at(&self, place: &'static str) -> bool {
        let dies = !self.calm.get() && self.crashes_left.get() > 0 && thread_rng().gen_bool(0.06);
        if dies {
            self.crashes_left.set(self.crashes_left.get() - 1);
            self.seen.borrow_mut().crashes.push(place);
            self.note(format!("dies at {place}"));
        }
        dies
    }

    /// Whether this trouble comes about now.
    pub(super) fn has(&self, trouble: &'static str, chance: f64) -> bool {
        let has = !self.calm.get() && self.troubles_left.get() > 0 && thread_rng().gen_bool(chance);
        if has {
            self.troubles_left.set(self.troubles_left.get() - 1);
            self.seen.borrow_mut().troubles.push(trouble);
            self.note(trouble);
        }
        has
    }

    pub(super) fn now(&self) -> UnixTime {
        UnixTime(self.clock.get())
    }

    pub(super) fn fresh_record(&self) -> ItemId {
        self.records.set(self.records.get() + 1);
        ItemId::parse(&format!("record{}", self.records.get())).expect("letters and digits")
    }

    /// A set that was received now.
    pub(super) fn token_set(&self, tokens: &Tokens, generation: u64, epoch: u64) -> TokenSet {
        TokenSet {
            access_token: Secret::new(tokens.access.clone()),
            refresh_token: Some(Secret::new(tokens.refresh.clone())),
            received_at: self.now(),
            lifetime: Some(LIFETIME),
            expires_at: Some(UnixTime(self.now().0 + LIFETIME)),
            epoch,
            subject_checked: false,
            ..set(generation)
        }
    }

    pub(super) fn grant(&self) -> Option<Grant> {
        self.state.borrow().grants.first().cloned()
    }

    /// As the last step of a sign-in does it.
    pub(super) fn enter(&self, grant: Grant) {
        let mut state = self.state.borrow_mut();
        state.revocations.retain(|revocation| revocation.record != grant.record);
        state.grants.clear();
        self.seen.borrow_mut().entered.insert(grant.record.clone());
        state.grants.push(grant);
    }

    // The keychain.

    pub(super) fn load(&self, record: &ItemId) -> Option<TokenSet> {
        self.keychain.borrow().get(record).cloned()
    }

    pub(super) fn save(&self, record: &ItemId, set: &TokenSet) {
        let access = set.access_token.expose().clone();
        self.note(format!(
            "{record}: saves {access}, generation {} of epoch {}, checked: {}",
            set.generation, set.epoch, set.subject_checked
        ));
        if self.seen.borrow().late.contains(&access) {
            self.violated(Invariant::EndedStaysEnded, format!("{access} is saved"));
        }
        if let Some(stored) = self.load(record) {
            let (old, new) = ((stored.epoch, stored.generation), (set.epoch, set.generation));
            let same = old == new && stored.access_token == set.access_token;
            if new < old || (new == old && !same) {
                self.violated(Invariant::NewestStays, format!("{new:?} overwrites {old:?}"));
            }
        }
        let mut seen = self.seen.borrow_mut();
        seen.replaced |= self.load(record).is_some_and(|stored| stored.epoch != set.epoch);
        seen.saved.insert(access);
        self.keychain.borrow_mut().insert(record.clone(), set.clone());
    }

    /// `signed_out`: the person said so.
    pub(super) fn delete(&self, record: &ItemId, signed_out: bool) {
        self.note(format!("{record}: deleted"));
        if !signed_out {
            self.violated(Invariant::OnlySignOutDeletes, record.to_string());
        }
        self.keychain.borrow_mut().remove(record);
    }

    // The notes on disk.

    pub(super) fn intent(&self, record: &ItemId) -> Option<Intent> {
        self.intents.borrow().get(record).copied()
    }

    pub(super) fn write_intent(&self, record: &ItemId, intent: Intent) {
        self.note(format!("{record}: {intent:?}"));
        self.intents.borrow_mut().insert(record.clone(), intent);
    }

    pub(super) fn clear_intent(&self, record: &ItemId) {
        if let Some(intent) = self.intents.borrow_mut().remove(record) {
            // Whoever removes it knows what became of the request, or has a good token of that generation.
            self.seen.borrow_mut().uses.remove(&(record.clone(), intent.generation));
        }
    }

    // What the eye holds.

    /// A refresh token is about to be sent.
    pub(super) fn sent(&self, record: &ItemId, set: &TokenSet) {
        let newest = self.load(record).map_or(0, |stored| stored.generation);
        self.note(format!("{record}: sends generation {}", set.generation));
        if set.generation < newest {
            let how = format!("generation {} is sent, and {newest} is in the keychain", set.generation);
            self.violated(Invariant::OneUse, how);
        }
        let times = {
            let mut seen = self.seen.borrow_mut();
            let once = seen.uses.entry((record.clone(), set.generation)).or_default();
            *once += 1;
            *once
        };
        let marked = self.intent(record) == Some(Intent { generation: set.generation, tried: true });
        if times > 2 || (times == 2 && !marked) {
            let how = format!("generation {}, time {times}, marked: {marked}", set.generation);
            self.violated(Invariant::OneUse, how);
        }
    }

    /// The issuer's answer has arrived.
    pub(super) fn answered(&self, record: &ItemId, asked: &TokenSet, tokens: &Tokens) {
        self.seen.borrow_mut().refreshes += 1;
        let ours = self.grant().is_some_and(|grant| grant.record == *record && grant.epoch <= asked.epoch);
        self.note(format!("{record}: answer {}, still ours: {ours}", tokens.access));
        if !ours {
            self.seen.borrow_mut().late.insert(tokens.access.clone());
        }
    }

    /// A Grant was closed until the person signs in again.
    pub(super) fn closed(&self) {
        let Some(grant) = self.grant() else { return };
        let GrantState::NeedsSignIn { reason } = &grant.state else { return };
        self.note(format!("{}: sign in again, {reason}", grant.record));
        let Some(set) = self.load(&grant.record) else {
            self.violated(Invariant::NoLoginLost, format!("nothing is left of {}", grant.record));
            return;
        };
        let refresh = set.refresh_token.as_ref().map_or("", |token| token.expose());
        let good = self.issuer.borrow().is_good(refresh);
        let hers = self.issuer.borrow().person(set.access_token.expose()) == Some(ANA);
        // Twice nobody knows whether the issuer has rotated: one that has not is the price of never asking a third time.
        if good && hers && !reason.contains("interrupted twice") {
            let how = format!("generation {} is good, yet: {reason}", set.generation);
            self.violated(Invariant::NoLoginLost, how);
        }
    }

    /// A caller has a token.
    pub(super) fn handed_out(&self, set: &TokenSet) {
        let access = set.access_token.expose();
        self.note(format!("hands out {access}"));
        self.seen.borrow_mut().handed_out += 1;
        if self.issuer.borrow().person(access) != Some(ANA) {
            self.violated(Invariant::RightPerson, format!("{access} is handed out"));
        }
        if !self.seen.borrow().saved.contains(access) {
            self.violated(Invariant::SavedFirst, format!("{access} is handed out"));
        }
        if self.seen.borrow().late.contains(access) {
            self.violated(Invariant::EndedStaysEnded, format!("{access} is handed out"));
        }
    }

    /// All is over, and the last process has had its time: what is left must be as it should be.
    pub(super) fn ended(&self, told: &Result<(), String>) {
        let grant = self.grant();
        for record in self.keychain.borrow().keys() {
            let known = grant.as_ref().is_some_and(|grant| grant.record == *record);
            // A sign-in that died before its last step told nobody that it had succeeded.
            if !known && self.seen.borrow().entered.contains(record) {
                self.violated(Invariant::EndedStaysEnded, format!("{record} is left in the keychain"));
            }
        }
        if let (Some(GrantState::Active), Err(told)) = (grant.as_ref().map(|grant| &grant.state), told) {
            self.violated(Invariant::NoLoginLost, format!("signed in, and no token comes: {told}"));
        }
        // Where no answer was lost, a sign-out leaves nothing alive at the issuer.
        let seen = self.seen.borrow();
        let nothing_lost =
            seen.crashes.is_empty() && !seen.replaced && !seen.troubles.contains(&"answer lost");
        let expected = usize::from(grant.is_some());
        let alive = self.issuer.borrow().alive();
        drop(seen);
        if nothing_lost && alive > expected {
            self.violated(Invariant::EndedStaysEnded, format!("{alive} sign-ins live on at the issuer"));
        }
    }
}

/// A Grant of ana's.
pub(super) fn grant(record: &ItemId, epoch: u64) -> Grant {
    serde_json::from_value(json!({
        "account": account(), "server": server(), "record": record, "state": GrantState::Active,
        "client_id": "c", "scopes": [], "epoch": epoch, "signed_in_at": 1, "renewable": true, "expires_at": null,
    }))
    .expect("these are the members of a Grant")
}

pub(super) fn account() -> AccountId {
    set(1).seal.account
}

pub(super) fn server() -> ServerId {
    set(1).seal.server
}
