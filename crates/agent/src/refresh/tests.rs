//! The recipe against a world of values: every refusal, every crash, and the order of its steps.

use std::cell::{Cell, RefCell};

use model::{AccountId, Secret, ServerId, TokenEndpointAuth};
use token_store::{Renewal, Seal};

use super::*;

const NOW: u64 = 1_000_000;

/// A keychain record, an issuer that rotates, and a diary of what was done.
struct World {
    stored: RefCell<Option<TokenSet>>,
    intent: Cell<Option<Intent>>,
    epoch: Cell<Option<u64>>,
    answers: RefCell<Vec<Result<(), Refusal>>>,
    subject: RefCell<Subject>,
    save_fails: Cell<bool>,
    diary: RefCell<Vec<String>>,
    /// What happens when the request is on its way: a sign-out, for example.
    meanwhile: fn(&World),
}

/// ana's tokens at server `s`, checked and due for renewal.
pub(crate) fn set(generation: u64) -> TokenSet {
    TokenSet {
        access_token: Secret::new(format!("access-{generation}")),
        refresh_token: Some(Secret::new(format!("refresh-{generation}"))),
        id_token: None,
        expires_at: Some(UnixTime(NOW + 1)),
        lifetime: Some(100),
        received_at: UnixTime(NOW - 99),
        scopes: vec![],
        generation,
        epoch: 1,
        subject_checked: true,
        seal: Seal {
            issuer: "i".into(),
            token_endpoint: "https://i/token".into(),
            token_endpoint_auth: TokenEndpointAuth::None,
            revocation_endpoint: None,
            userinfo_endpoint: None,
            introspection_endpoint: None,
            jwks_uri: None,
            renewal: Renewal::default(),
            resource: "https://s".into(),
            endpoint: "https://s".into(),
            client_id: "c".into(),
            client_secret: None,
            subject: Some("ana".into()),
            told: None,
            server: ServerId::parse("s").unwrap(),
            account: AccountId::parse("ana").unwrap(),
        },
    }
}

fn world(answers: Vec<Result<(), Refusal>>) -> World {
    World {
        stored: RefCell::new(Some(set(1))),
        intent: Cell::new(None),
        epoch: Cell::new(Some(1)),
        answers: RefCell::new(answers),
        subject: RefCell::new(Subject::Equal),
        save_fails: Cell::new(false),
        diary: RefCell::default(),
        meanwhile: |_| {},
    }
}

impl World {
    fn note(&self, what: impl Into<String>) {
        self.diary.borrow_mut().push(what.into());
    }

    fn run(&self, ask: Ask) -> Outcome {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(refresh(self, &ItemId::parse("r").unwrap(), ask))
    }

    fn posts(&self) -> usize {
        self.diary.borrow().iter().filter(|line| line.starts_with("post")).count()
    }
}

impl Steps for World {
    async fn load(&self, _: &ItemId) -> Result<Option<TokenSet>, StoreError> {
        Ok(self.stored.borrow().clone())
    }
    async fn save(&self, _: &ItemId, set: &TokenSet) -> Result<(), StoreError> {
        self.note(format!("save {} checked={}", set.generation, set.subject_checked));
        if self.save_fails.get() {
            return Err(StoreError::Locked);
        }
        *self.stored.borrow_mut() = Some(set.clone());
        Ok(())
    }
    fn epoch(&self, _: &ItemId) -> Option<u64> {
        self.epoch.get()
    }
    fn intent(&self, _: &ItemId, _: u64) -> Option<Intent> {
        self.intent.get()
    }
    fn write_intent(&self, _: &ItemId, intent: Intent) -> Result<(), String> {
        self.note(format!("intent {} tried={}", intent.generation, intent.tried));
        self.intent.set(Some(intent));
        Ok(())
    }
    fn clear_intent(&self, _: &ItemId) {
        self.intent.set(None);
    }
    async fn post(&self, old: &TokenSet) -> Result<Renewed, Refusal> {
        self.note(format!("post {}", old.refresh_token.as_ref().unwrap().expose()));
        (self.meanwhile)(self);
        self.answers.borrow_mut().remove(0)?;
        let mut next = set(old.generation + 1);
        next.expires_at = Some(UnixTime(NOW + 100));
        next.received_at = UnixTime(NOW);
        Ok(Renewed { set: next, id_token: None })
    }
    async fn subject(&self, set: &TokenSet, _: Option<&Secret<String>>, _: Option<&TokenSet>) -> Subject {
        self.note(format!("subject {}", set.generation));
        self.subject.borrow().clone()
    }
    async fn revoke(&self, set: &TokenSet) {
        self.note(format!("revoke {}", set.generation));
    }
    fn now(&self) -> UnixTime {
        UnixTime(NOW)
    }
    fn point(&self, _: &'static str) {}
}

const DUE: Ask = Ask { rejected: None, ahead: false };

#[test]
fn saved_before_checked_and_checked_before_handed_out() {
    let world = world(vec![Ok(())]);
    let outcome = world.run(DUE);
    assert!(
        matches!(outcome, Outcome::Token { ref set, renewed: true, proven: true } if set.generation == 2)
    );
    assert_eq!(
        *world.diary.borrow(),
        [
            "intent 1 tried=false",
            "post refresh-1",
            "save 2 checked=false",
            "subject 2",
            "save 2 checked=true"
        ]
    );
    assert_eq!(world.intent.get(), None);
}

#[test]
fn a_fresh_token_is_handed_out_without_a_request() {
    let world = world(vec![]);
    world.stored.borrow_mut().as_mut().unwrap().expires_at = Some(UnixTime(NOW + 90));
    assert!(matches!(world.run(DUE), Outcome::Token { renewed: false, .. }));
    assert_eq!(world.posts(), 0);
}

#[test]
fn a_rejected_generation_is_renewed_and_a_newer_one_is_not() {
    let first = world(vec![Ok(())]);
    first.stored.borrow_mut().as_mut().unwrap().expires_at = Some(UnixTime(NOW + 90));
    assert!(matches!(
        first.run(Ask { rejected: Some(1), ahead: false }),
        Outcome::Token { renewed: true, .. }
    ));
    let second = world(vec![]);
    second.stored.borrow_mut().as_mut().unwrap().expires_at = Some(UnixTime(NOW + 90));
    assert!(matches!(
        second.run(Ask { rejected: Some(0), ahead: false }),
        Outcome::Token { renewed: false, .. }
    ));
}

#[test]
fn another_subject_is_revoked_and_never_handed_out() {
    let world = world(vec![Ok(())]);
    *world.subject.borrow_mut() = Subject::Other;
    assert!(matches!(world.run(DUE), Outcome::NeedsSignIn { .. }));
    assert!(world.diary.borrow().contains(&"revoke 2".to_owned()));
    assert!(!world.stored.borrow().as_ref().unwrap().subject_checked);
}

#[test]
fn an_unchecked_set_is_checked_before_it_is_ever_handed_out() {
    let world = world(vec![]);
    {
        let mut stored = world.stored.borrow_mut();
        let stored = stored.as_mut().unwrap();
        stored.subject_checked = false;
        stored.expires_at = Some(UnixTime(NOW + 90));
    }
    *world.subject.borrow_mut() = Subject::CannotAsk("down".into());
    match world.run(DUE) {
        Outcome::Kept { set, .. } => assert!(schedule::is_over(UnixTime(NOW), set.expires_at)),
        other => panic!("{other:?}"),
    }
    *world.subject.borrow_mut() = Subject::Equal;
    assert!(matches!(world.run(DUE), Outcome::Token { renewed: false, proven: true, .. }));
}

#[test]
fn while_the_subject_cannot_be_asked_the_old_token_serves() {
    let world = world(vec![Ok(())]);
    *world.subject.borrow_mut() = Subject::CannotAsk("down".into());
    assert!(matches!(world.run(DUE), Outcome::Kept { ref set, .. } if set.generation == 1));
    let stored = world.stored.borrow().clone().unwrap();
    assert!(stored.generation == 2 && !stored.subject_checked, "the new set is safe, and marked");
    assert!(!world.diary.borrow().iter().any(|line| line.starts_with("revoke")));
}

#[test]
fn a_sign_out_during_the_refresh_wins() {
    let mut world = world(vec![Ok(())]);
    world.meanwhile = |world| world.epoch.set(Some(2));
    assert!(matches!(world.run(DUE), Outcome::Ended));
    assert_eq!(world.stored.borrow().as_ref().unwrap().generation, 1, "nothing was written back");
    assert!(world.diary.borrow().contains(&"revoke 2".to_owned()));
}

#[test]
fn a_save_that_fails_hands_nothing_out_and_loses_nothing() {
    let world = world(vec![Ok(())]);
    world.save_fails.set(true);
    assert!(matches!(world.run(DUE), Outcome::Unsaved { ref set, .. } if set.generation == 2));
}

#[test]
fn only_invalid_grant_on_the_newest_is_final() {
    let keep = |refusal: Refusal| {
        let world = world(vec![Err(refusal)]);
        assert!(matches!(world.run(DUE), Outcome::Kept { ref set, .. } if set.generation == 1));
        assert_eq!(world.intent.get(), None);
        assert!(world.stored.borrow().is_some());
    };
    keep(Refusal::NotSent("offline".into()));
    keep(Refusal::NotAVerdict { what: "503".into(), retry_after: None });
    let refused = world(vec![Err(Refusal::InvalidGrant)]);
    assert!(matches!(refused.run(DUE), Outcome::NeedsSignIn { .. }));
    assert!(refused.stored.borrow().is_some(), "the record is kept");
    let mut overtaken = world(vec![Err(Refusal::InvalidGrant)]);
    overtaken.meanwhile = |world| *world.stored.borrow_mut() = Some(set(5));
    assert!(matches!(overtaken.run(DUE), Outcome::Token { ref set, .. } if set.generation == 5));
}

#[test]
fn an_unknown_outcome_is_tried_once_more_and_no_more() {
    let healed = world(vec![Err(Refusal::Unknown("reset".into())), Ok(())]);
    assert!(matches!(healed.run(DUE), Outcome::Token { renewed: true, .. }));
    let twice = world(vec![Err(Refusal::Unknown("a".into())), Err(Refusal::Unknown("b".into()))]);
    assert!(matches!(twice.run(DUE), Outcome::Kept { .. }));
    assert_eq!(twice.posts(), 2);
}

#[test]
fn after_a_crash_the_old_token_is_tried_once() {
    let once = world(vec![Ok(())]);
    once.intent.set(Some(Intent { generation: 1, tried: false }));
    assert!(matches!(once.run(DUE), Outcome::Token { renewed: true, .. }));
    assert!(once.diary.borrow().contains(&"intent 1 tried=true".to_owned()));
    let twice = world(vec![]);
    twice.intent.set(Some(Intent { generation: 1, tried: true }));
    assert!(matches!(twice.run(DUE), Outcome::NeedsSignIn { .. }));
    assert_eq!(twice.posts(), 0);
    let over = world(vec![Ok(())]);
    over.intent.set(Some(Intent { generation: 0, tried: true }));
    assert!(
        matches!(over.run(DUE), Outcome::Token { renewed: true, .. }),
        "an older generation's intent is void"
    );
}

#[test]
fn without_a_refresh_token_the_access_token_serves_while_it_lives() {
    let world = world(vec![]);
    world.stored.borrow_mut().as_mut().unwrap().refresh_token = None;
    assert!(matches!(world.run(DUE), Outcome::Token { renewed: false, .. }));
    world.stored.borrow_mut().as_mut().unwrap().expires_at = Some(UnixTime(NOW));
    assert!(matches!(world.run(DUE), Outcome::NeedsSignIn { .. }));
    assert_eq!(world.posts(), 0);
}

#[test]
fn a_pasted_token_serves_until_its_day_and_one_refusal_ends_it() {
    let world = world(vec![]);
    {
        let mut stored = world.stored.borrow_mut();
        let set = stored.as_mut().unwrap();
        (set.refresh_token, set.lifetime) = (None, None);
        set.seal.renewal = Renewal::Pasted;
    }
    assert!(matches!(world.run(DUE), Outcome::Token { renewed: false, .. }));
    assert!(matches!(world.run(Ask { rejected: None, ahead: true }), Outcome::Token { renewed: false, .. }));
    let refused = Ask { rejected: Some(1), ahead: false };
    assert!(matches!(world.run(refused), Outcome::Over(Over::Revoked)));
    world.stored.borrow_mut().as_mut().unwrap().expires_at = Some(UnixTime(NOW));
    assert!(matches!(world.run(DUE), Outcome::Over(Over::DayCame)));
    assert_eq!(*world.diary.borrow(), Vec::<String>::new(), "nobody was asked, and nothing was written");
}
