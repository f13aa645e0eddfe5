//! Every way in which somebody can come back.

use model::{Proof, ProofKind, ServerId, UnixTime};

use super::*;

fn server() -> ServerId {
    ServerId::parse("jira").unwrap()
}

fn wanted(approval: Approval) -> Wanted {
    Wanted {
        server: server(),
        account: None,
        expect: None,
        label: None,
        select: false,
        approval,
        same_person: false,
        login_hint: None,
        way: super::super::Way::Browser,
        timeout: 60,
    }
}

fn came(subject: &str) -> Came {
    Came::Proven(Identity {
        issuer: "https://i".into(),
        subject: subject.into(),
        name: None,
        email: Some(format!("{subject}@corp")),
        email_verified: true,
        proof: ProofKind::IdToken,
        tenant: None,
    })
}

fn id(text: &str) -> AccountId {
    AccountId::parse(text).unwrap()
}

fn state() -> State {
    let mut state = State::default();
    let mut add = |account: &str, key: AccountKey| {
        let proof = Proof { kind: ProofKind::IdToken, at: UnixTime(0) };
        let (id, label) = (id(account), account.to_owned());
        state.accounts.insert(
            id.clone(),
            Account {
                id,
                key,
                label,
                name: None,
                email: None,
                email_verified: false,
                tenant: None,
                proof,
                extra: serde_json::Map::new(),
            },
        );
    };
    add("ana", AccountKey::Subject { issuer: "https://i".into(), subject: "ana".into() });
    add("nobody", AccountKey::Unverified { server: server(), issuer: "https://i".into() });
    state
}

fn code(decision: &Decision) -> ErrorCode {
    match decision {
        Decision::Refuse(error) => error.code,
        other => panic!("{other:?} should have been refused"),
    }
}

#[test]
fn a_known_subject_is_saved_and_a_new_one_needs_a_yes() {
    let state = state();
    assert_eq!(decide(&state, &wanted(Approval::ExpectOnly), &came("ana")), Decision::Save(id("ana")));
    assert_eq!(decide(&state, &wanted(Approval::Ask), &came("ben")), Decision::AskToAdd);
    assert_eq!(decide(&state, &wanted(Approval::Yes), &came("ben")), Decision::Add);
    let refused = decide(&state, &wanted(Approval::ExpectOnly), &came("ben"));
    assert_eq!(code(&refused), ErrorCode::ConfirmationNeeded);
}

#[test]
fn another_person_than_expected_is_refused_even_with_yes() {
    let state = state();
    let expecting = Wanted { account: Some(id("ana")), ..wanted(Approval::Yes) };
    assert_eq!(decide(&state, &expecting, &came("ana")), Decision::Save(id("ana")));
    assert_eq!(code(&decide(&state, &expecting, &came("ben"))), ErrorCode::WrongPerson);
    let expecting = Wanted { expect: Some("ana".into()), ..wanted(Approval::Yes) };
    assert_eq!(code(&decide(&state, &expecting, &came("ben"))), ErrorCode::WrongPerson);
}

#[test]
fn an_expected_email_counts_only_if_the_issuer_verified_it() {
    let state = State::default();
    let expecting = Wanted { expect: Some("ana@corp".into()), ..wanted(Approval::ExpectOnly) };
    assert_eq!(decide(&state, &expecting, &came("ana")), Decision::Add);
    let Came::Proven(mut identity) = came("ana") else { unreachable!() };
    identity.email_verified = false;
    let unproven = decide(&state, &expecting, &Came::Proven(identity));
    assert_eq!(code(&unproven), ErrorCode::WrongPerson);
}

#[test]
fn the_same_subject_at_another_issuer_is_somebody_else() {
    let state = state();
    let Came::Proven(mut identity) = came("ana") else { unreachable!() };
    identity.issuer = "https://other".into();
    let expecting = Wanted { account: Some(id("ana")), ..wanted(Approval::Yes) };
    let decision = decide(&state, &expecting, &Came::Proven(identity.clone()));
    assert_eq!(code(&decision), ErrorCode::WrongPerson);
    let decision = decide(&state, &wanted(Approval::Ask), &Came::Proven(identity));
    assert_eq!(decision, Decision::AskToAdd);
}

#[test]
fn a_known_subject_in_another_organisation_is_not_taken_for_the_same_person() {
    let mut state = state();
    let of = |tid: &str| Some(Tenant { tid: Some(tid.into()), ..Tenant::default() });
    let Came::Proven(mut identity) = came("ana") else { unreachable!() };
    identity.tenant = of("t-2");
    let again = |state: &State| decide(state, &wanted(Approval::Yes), &Came::Proven(identity.clone()));
    assert_eq!(again(&state), Decision::Save(id("ana")), "nothing was known of an organisation");
    state.accounts.get_mut(&id("ana")).unwrap().tenant = of("t-1");
    assert_eq!(code(&again(&state)), ErrorCode::WrongPerson);
    state.accounts.get_mut(&id("ana")).unwrap().tenant = of("t-2");
    assert_eq!(again(&state), Decision::Save(id("ana")));
}

#[test]
fn nothing_proven_is_never_taken_for_a_proven_account() {
    let state = state();
    let none = Came::Unverified;
    let expecting = Wanted { account: Some(id("ana")), same_person: true, ..wanted(Approval::Yes) };
    assert_eq!(code(&decide(&state, &expecting, &none)), ErrorCode::WrongPerson);
    let expecting = Wanted { expect: Some("ana".into()), ..wanted(Approval::Yes) };
    assert_eq!(code(&decide(&state, &expecting, &none)), ErrorCode::WrongPerson);
}

#[test]
fn an_unverified_account_is_renewed_only_when_the_person_says_that_it_is_the_same() {
    let state = state();
    let none = Came::Unverified;
    let again =
        |approval, same_person| Wanted { account: Some(id("nobody")), same_person, ..wanted(approval) };
    assert_eq!(decide(&state, &again(Approval::Ask, false), &none), Decision::AskWhetherSame(id("nobody")));
    assert_eq!(decide(&state, &again(Approval::Yes, true), &none), Decision::Save(id("nobody")));
    assert_eq!(code(&decide(&state, &again(Approval::Yes, false), &none)), ErrorCode::ConfirmationNeeded);
    let mut elsewhere = again(Approval::Yes, true);
    elsewhere.server = ServerId::parse("wiki").unwrap();
    assert_eq!(code(&decide(&state, &elsewhere, &none)), ErrorCode::WrongPerson);
    // Without naming it, a second unverified sign-in is a second Account.
    assert_eq!(decide(&state, &wanted(Approval::Yes), &none), Decision::Add);
}

#[test]
fn an_application_is_nobody_whom_one_can_expect() {
    let key = AccountKey::Application { issuer: "https://i".into(), client_id: "robot".into() };
    let came = Came::Application(key.clone());
    let mut state = state();
    assert_eq!(decide(&state, &wanted(Approval::ExpectOnly), &came), Decision::Add);
    let ana = Wanted { account: Some(id("ana")), ..wanted(Approval::Yes) };
    let expects = Wanted { expect: Some("ana@corp".into()), ..wanted(Approval::Yes) };
    for wrong in [&ana, &expects] {
        assert!(matches!(decide(&state, wrong, &came), Decision::Refuse(_)));
    }
    let robot = Account { id: id("robot"), key, ..state.accounts[&id("ana")].clone() };
    state.accounts.insert(robot.id.clone(), robot);
    assert_eq!(decide(&state, &wanted(Approval::Ask), &came), Decision::Save(id("robot")));
    // And a person never takes its place.
    let robot = Wanted { account: Some(id("robot")), same_person: true, ..wanted(Approval::Yes) };
    assert!(matches!(decide(&state, &robot, &Came::Unverified), Decision::Refuse(_)));
    assert!(matches!(decide(&state, &robot, &self::came("1")), Decision::Refuse(_)));
}

fn told(of: &str) -> Came {
    let asked = model::WhoamiTool::parse("get_me:id").unwrap();
    let named = model::Named { id: of.into(), label: Some(format!("{of}@corp")) };
    let (issuer, at) = ("https://i".to_owned(), "https://mcp".to_owned());
    let key = AccountKey::Told { issuer, at, asked: asked.clone(), id: of.into() };
    Came::Told(key, Person { asked, named })
}

#[test]
fn whom_a_whoami_tool_names_is_recognised_and_is_never_a_proven_person() {
    let mut state = state();
    let key = |came: &Came| match came {
        Came::Told(key, _) => key.clone(),
        other => panic!("{other:?} was told"),
    };
    // Ana by the issuer, and whom the tool calls ana.
    assert_eq!(decide(&state, &wanted(Approval::Ask), &told("ana")), Decision::AskToAdd);
    let account = Account { id: id("told"), key: key(&told("ana")), ..state.accounts[&id("ana")].clone() };
    state.accounts.insert(account.id.clone(), account);
    assert_eq!(decide(&state, &wanted(Approval::ExpectOnly), &told("ana")), Decision::Save(id("told")));
    assert_eq!(decide(&state, &wanted(Approval::Ask), &came("ana")), Decision::Save(id("ana")));
    for (account, who) in
        [("told", told("ben")), ("ana", told("ana")), ("nobody", told("ana")), ("told", came("ana"))]
    {
        let expecting = Wanted { account: Some(id(account)), same_person: true, ..wanted(Approval::Yes) };
        assert_eq!(code(&decide(&state, &expecting, &who)), ErrorCode::WrongPerson, "{account}: {who:?}");
    }
    // A tool that names nobody today does not make it the same person, whatever is said beforehand.
    let again = Wanted { account: Some(id("told")), same_person: true, ..wanted(Approval::Yes) };
    assert_eq!(code(&decide(&state, &again, &Came::Unverified)), ErrorCode::WrongPerson);
    // Whom nothing proved may be whom it names now, if they say so.
    let nobody =
        |approval, same_person| Wanted { account: Some(id("nobody")), same_person, ..wanted(approval) };
    let asked = decide(&state, &nobody(Approval::Ask, false), &told("ben"));
    assert_eq!(asked, Decision::AskWhetherSame(id("nobody")));
    assert_eq!(decide(&state, &nobody(Approval::Yes, true), &told("ben")), Decision::Save(id("nobody")));
    let unsaid = decide(&state, &nobody(Approval::Yes, false), &told("ben"));
    assert_eq!(code(&unsaid), ErrorCode::ConfirmationNeeded);
    // What a tool calls an address is none that anybody verified.
    for (expect, fits) in [("ben", true), ("ben@corp", false), ("ana", false)] {
        let expecting = Wanted { expect: Some(expect.into()), ..wanted(Approval::ExpectOnly) };
        assert_eq!(decide(&state, &expecting, &told("ben")) == Decision::Add, fits, "{expect}");
    }
    assert_eq!(
        code(&decide(&state, &wanted(Approval::ExpectOnly), &told("ben"))),
        ErrorCode::ConfirmationNeeded
    );
}

#[test]
fn what_another_tool_server_or_issuer_calls_alike_is_somebody_else() {
    let AccountKey::Told { issuer, at, asked, id: named } = (match told("1") {
        Came::Told(key, _) => key,
        other => panic!("{other:?} was told"),
    }) else {
        panic!("a key of that kind")
    };
    let key = |issuer: &str, at: &str, asked: &str| AccountKey::Told {
        issuer: issuer.to_owned(),
        at: at.to_owned(),
        asked: model::WhoamiTool::parse(asked).unwrap(),
        id: named.clone(),
    };
    let same = key(&issuer, &at, &asked.to_string());
    for other in [
        key("https://j", &at, "get_me:id"),
        key(&issuer, "https://mcp2", "get_me:id"),
        key(&issuer, &at, "get_me:login"),
    ] {
        assert_ne!(same, other);
    }
}
