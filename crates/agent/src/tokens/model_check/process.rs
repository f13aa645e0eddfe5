//! One agent process of the model: callers, a sign-out and a sign-in beside them, all on the production slot, flight
//! and recipe. It may die at every step, and what is in memory dies with it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::pending;
use std::rc::Rc;
use std::sync::Arc;

use model::{GrantState, ItemId, Secret, State, UnixTime};
use shuttle::future::{AbortHandle, JoinHandle, spawn_local, yield_now};
use shuttle::rand::{Rng as _, thread_rng};
use token_store::{StoreError, TokenSet};

use super::issuer::{ANA, BEN, Tokens as Pair};
use super::world::{LIFETIME, World, account, grant, server};
use super::{Ask, Mutant};
use crate::refresh::{Intent, Refusal, Renewed, Steps, Subject};
use crate::tokens::flight::{Around, Whose, fly};
use crate::tokens::{Landing, Need, Slot, Tokens};

/// A process. Its memory is production's.
pub(super) struct Process {
    world: Rc<World>,
    tokens: Tokens,
    dead: Cell<bool>,
    tasks: RefCell<Vec<AbortHandle>>,
    /// What the mutant that never reads again has read first.
    first_read: RefCell<BTreeMap<ItemId, TokenSet>>,
}

impl Process {
    pub(super) fn new(world: &Rc<World>) -> Rc<Self> {
        Rc::new(Self {
            world: Rc::clone(world),
            tokens: Tokens::default(),
            dead: Cell::new(false),
            tasks: RefCell::default(),
            first_read: RefCell::default(),
        })
    }

    /// Runs a task of this process; it ends with the process.
    pub(super) fn start(&self, task: impl Future<Output = ()> + 'static) -> JoinHandle<()> {
        let running = spawn_local(task);
        if self.dead.get() {
            running.abort();
        } else {
            self.tasks.borrow_mut().push(running.abort_handle());
        }
        running
    }

    /// Whether it has died.
    pub(super) fn is_dead(&self) -> bool {
        self.dead.get()
    }

    /// Whether it lives, and holds what the keychain has not taken.
    pub(super) fn has_unsaved(&self) -> bool {
        !self.is_dead() && self.tokens.unsaved() > 0
    }

    /// A place where others come between, and where the process may die. Nothing comes back from a dead one.
    async fn step(&self, place: &'static str) {
        yield_now().await;
        self.pass(place);
        if self.dead.get() {
            pending::<()>().await;
        }
    }

    /// The same where nothing can be awaited. `false`: dead, and nothing may be done any more.
    fn step_now(&self, place: &'static str) -> bool {
        shuttle::thread::yield_now();
        self.pass(place);
        !self.dead.get()
    }

    fn pass(&self, place: &'static str) {
        if !self.dead.get() && self.world.dies_at(place) {
            self.dead.set(true);
            let tasks = self.tasks.take();
            tasks.iter().for_each(AbortHandle::abort);
        }
    }

    /// An app asks for a token, several times.
    pub(super) async fn caller(self: Rc<Self>, rounds: usize) {
        let mut rejected = None;
        for _ in 0..rounds {
            self.step("caller").await;
            let answer = self.token(Ask { rejected, ahead: thread_rng().gen_bool(0.2) }).await;
            if self.is_dead() {
                return;
            }
            if let Ok(set) = answer {
                self.world.handed_out(&set);
                // The server refuses it now and then.
                rejected = thread_rng().gen_bool(0.4).then_some(set.generation);
            }
            let later = [0, 12, LIFETIME][thread_rng().gen_range(0..3)];
            self.world.clock.set(self.world.clock.get() + later);
        }
    }

    /// The last caller, when nothing goes wrong any more: what it was told in the end.
    pub(super) async fn last_caller(self: Rc<Self>) -> Result<(), String> {
        let mut told = Ok(());
        for _ in 0..4 {
            self.world.clock.set(self.world.clock.get() + 400);
            told = match self.token(Ask { rejected: None, ahead: false }).await {
                Ok(set) => {
                    self.world.handed_out(&set);
                    return Ok(());
                }
                Err(trouble) => Err(format!("{trouble:?}")),
            };
        }
        told
    }

    /// As `Agent::token_when` asks the slot.
    async fn token(self: &Rc<Self>, ask: Ask) -> Result<TokenSet, super::Trouble> {
        let Some(grant) = self.world.grant() else { return Err(super::Trouble::Gone) };
        match grant.state {
            GrantState::Active => {}
            GrantState::NeedsSignIn { reason } => return Err(super::Trouble::NeedsSignIn(reason)),
            GrantState::RevokedByServer | GrantState::Revoked => return Err(super::Trouble::Gone),
        }
        let slot = self.tokens.slot(&grant.record);
        let endpoint = crate::refresh::tests::set(1).seal.endpoint;
        let need = Need { epoch: grant.epoch, endpoint: &endpoint, ask };
        let start = |landing: Landing| self.set_off(&slot, &grant.record, landing);
        slot.token(need, || self.world.now(), start).await
    }

    fn set_off(self: &Rc<Self>, slot: &Arc<Slot>, record: &ItemId, landing: Landing) {
        let whose = Whose { record: record.clone(), account: account(), server: server() };
        let flight = Flight { process: Rc::clone(self), whose, first_epoch: Cell::new(None) };
        let slot = Arc::clone(slot);
        // Nobody waits for it but those who want its answer.
        drop(self.start(async move {
            let answer = fly(&flight, &slot, landing.ask).await;
            landing.land(answer);
        }));
    }

    /// As `sign_out.rs` does it: the state first, then whoever holds the flight ends, then issuer and keychain.
    pub(super) async fn sign_out(self: Rc<Self>) {
        self.step("sign-out").await;
        let Some(grant) = self.world.grant() else { return };
        self.world.note("signed out");
        self.world.state.borrow_mut().end_grants(|_| true);
        self.finish(&grant.record).await;
    }

    /// What is left to do about ended Grants, as a new process finds it.
    pub(super) async fn finish_all(self: Rc<Self>) {
        let left: Vec<ItemId> =
            self.world.state.borrow().revocations.iter().map(|one| one.record.clone()).collect();
        for record in left {
            self.finish(&record).await;
        }
    }

    async fn finish(&self, record: &ItemId) {
        let slot = self.tokens.slot(record);
        let _flight = slot.flight.lock().await;
        self.step("sign-out: has the flight").await;
        if self.world.state.borrow().revocation(record).is_none() {
            return;
        }
        if let Some(set) = slot.unsaved() {
            if self.world.has("keychain locked", 0.2) {
                return;
            }
            self.world.save(record, &set);
            self.step("sign-out: saved what was not saved").await;
        }
        slot.adopt(None);
        if let Some(set) = self.world.load(record) {
            self.revoke(&set);
            self.step("sign-out: revoked").await;
        }
        self.world.delete(record, true);
        self.step("sign-out: deleted").await;
        self.tokens.forget(record);
        self.world.clear_intent(record);
        self.world.state.borrow_mut().revocations.retain(|one| one.record != *record);
    }

    fn revoke(&self, set: &TokenSet) {
        if let Some(token) = &set.refresh_token {
            self.world.note(format!("revokes {}", token.expose()));
            self.world.issuer.borrow_mut().revoke(token.expose());
        }
    }

    /// As `sign_in/save.rs` does it: under the flight, the keychain first, then the state.
    pub(super) async fn sign_in(self: Rc<Self>) {
        self.step("sign-in").await;
        let world = &self.world;
        let pair = world.issuer.borrow_mut().sign_in();
        world.note(format!("signs in: {}", pair.access));
        self.step("sign-in: has tokens").await;
        let old = world.grant();
        let mut record = old.as_ref().map_or_else(|| world.fresh_record(), |grant| grant.record.clone());
        let mut slot = self.tokens.slot(&record);
        let held = Arc::clone(&slot);
        let _flight = held.flight.lock().await;
        self.step("sign-in: has the flight").await;
        let still = world.grant().is_some_and(|grant| grant.record == record);
        let stored = if old.is_some() && still { world.load(&record) } else { None };
        if old.is_some() && !still {
            record = world.fresh_record();
            slot = self.tokens.slot(&record);
        }
        let epoch = old.map_or(0, |grant| grant.epoch).max(stored.as_ref().map_or(0, |set| set.epoch)) + 1;
        let generation = stored.map_or(0, |set| set.generation) + 1;
        let set = TokenSet { subject_checked: true, ..world.token_set(&pair, generation, epoch) };
        if world.has("keychain locked", 0.1) {
            self.revoke(&set);
            return;
        }
        world.save(&record, &set);
        self.step("sign-in: saved").await;
        world.note(format!("signed in: {record}"));
        world.enter(grant(&record, epoch));
        self.step("sign-in: entered").await;
        world.clear_intent(&record);
        slot.adopt(Some(set));
    }
}

/// The recipe's world in the model, whole or with one mistake.
struct Flight {
    process: Rc<Process>,
    whose: Whose,
    /// What the mutant that does not look at the epoch again has seen first.
    first_epoch: Cell<Option<u64>>,
}

impl Flight {
    fn world(&self) -> &World {
        &self.process.world
    }

    fn makes(&self, mistake: Mutant) -> bool {
        self.world().plan.mutant == Some(mistake)
    }
}

impl Steps for Flight {
    async fn load(&self, record: &ItemId) -> Result<Option<TokenSet>, StoreError> {
        self.process.step("load").await;
        if self.world().has("keychain locked", 0.05) {
            return Err(StoreError::Locked);
        }
        let read = self.world().load(record);
        if self.makes(Mutant::NoReRead) {
            let mut first = self.process.first_read.borrow_mut();
            return Ok(read.map(|set| first.entry(record.clone()).or_insert(set).clone()));
        }
        Ok(read)
    }

    async fn save(&self, record: &ItemId, set: &TokenSet) -> Result<(), StoreError> {
        self.process.step("save").await;
        if self.world().has("keychain locked", 0.1) {
            return Err(StoreError::Locked);
        }
        if self.makes(Mutant::HandOutBeforeSave) {
            let (process, record, set) = (Rc::clone(&self.process), record.clone(), set.clone());
            drop(self.process.start(async move {
                process.step("late save").await;
                process.world.save(&record, &set);
            }));
            return Ok(());
        }
        self.world().save(record, set);
        self.process.step("saved").await;
        Ok(())
    }

    fn epoch(&self, record: &ItemId) -> Option<u64> {
        let alive = self.process.step_now("epoch");
        let grant = self.world().grant().filter(|grant| grant.record == *record && alive);
        let epoch = grant.map(|grant| grant.epoch);
        if self.makes(Mutant::EpochUnchecked) {
            self.first_epoch.set(self.first_epoch.get().or(epoch));
            return self.first_epoch.get();
        }
        epoch
    }

    fn intent(&self, record: &ItemId, _generation: u64) -> Option<Intent> {
        self.world().intent(record)
    }

    fn write_intent(&self, record: &ItemId, intent: Intent) -> Result<(), String> {
        if !self.process.step_now("intent") {
            return Err("dead".to_owned());
        }
        self.world().write_intent(record, intent);
        self.process.step_now("intent written");
        Ok(())
    }

    fn clear_intent(&self, record: &ItemId) {
        if self.process.step_now("clear intent") {
            self.world().clear_intent(record);
        }
    }

    async fn post(&self, set: &TokenSet) -> Result<Renewed, Refusal> {
        let record = &self.whose.record;
        self.process.step("post").await;
        if self.world().has("not sent", 0.1) {
            return Err(Refusal::NotSent("no way".to_owned()));
        }
        self.world().sent(record, set);
        if self.world().has("request lost", 0.1) {
            return Err(Refusal::Unknown("cut".to_owned()));
        }
        if self.world().has("no verdict", 0.1) {
            return Err(Refusal::NotAVerdict { what: "503".to_owned(), retry_after: None });
        }
        self.process.step("at the issuer").await;
        let token = set.refresh_token.as_ref().map_or("", |token| token.expose());
        let person = if self.world().has("another person", 0.15) { BEN } else { ANA };
        let answer = self.world().issuer.borrow_mut().refresh(token, person);
        self.process.step("on the way back").await;
        if answer.is_some() && self.world().has("answer lost", 0.1) {
            return Err(Refusal::Unknown("cut".to_owned()));
        }
        let Some(pair) = answer else {
            if self.makes(Mutant::LoserDeletes) {
                self.world().delete(record, false);
            }
            return Err(Refusal::InvalidGrant);
        };
        self.world().answered(record, set, &pair);
        Ok(self.renewed(set, &pair))
    }

    async fn subject(&self, set: &TokenSet, _: Option<&Secret<String>>, _: Option<&TokenSet>) -> Subject {
        if self.makes(Mutant::SubjectUnchecked) {
            return Subject::Equal;
        }
        self.process.step("subject").await;
        if self.world().has("subject cannot be asked", 0.1) {
            return Subject::CannotAsk("down".to_owned());
        }
        let person = self.world().issuer.borrow().person(set.access_token.expose());
        if person == Some(ANA) { Subject::Equal } else { Subject::Other }
    }

    async fn revoke(&self, set: &TokenSet) {
        self.process.step("revoke").await;
        self.process.revoke(set);
    }

    fn now(&self) -> UnixTime {
        self.world().now()
    }

    fn point(&self, name: &'static str) {
        self.process.step_now(name);
    }
}

impl Flight {
    fn renewed(&self, set: &TokenSet, pair: &Pair) -> Renewed {
        let set = self.world().token_set(pair, set.generation + 1, set.epoch);
        Renewed { set, id_token: None }
    }
}

impl Around for Flight {
    fn whose(&self) -> &Whose {
        &self.whose
    }

    fn change(&self, _lost: &'static str, change: impl FnOnce(&mut State)) {
        if self.process.step_now("state") {
            change(&mut self.world().state.borrow_mut());
        }
    }

    fn jitter(&self) -> f64 {
        0.0
    }

    fn tell(&self) {}

    fn reschedule(&self) {}

    fn waits_for_keychain(&self) {}

    fn close(&self) {
        if !self.process.is_dead() {
            self.world().closed();
        }
    }
}
