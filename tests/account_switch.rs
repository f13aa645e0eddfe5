//! Switching accounts while apps run.

mod interleaved;
mod orders;
mod shown;

use serde_json::json;
use testbed::host::HostEra;
use testbed::mcp_server::{AnswerForm, Push};

use crate::support::people::{People, asked, eras, handshake, needs_sign_in, refusal, text_of, whoami};
use crate::support::process::signal;
use crate::support::{SERVER, World, eventually};

#[tokio::test]
async fn a_call_that_runs_at_a_switch_ends_as_it_began_and_the_next_one_is_the_other_person() {
    let world = World::with_ana_and_ben().await;
    let people = People::of(&world).await;
    let server = world.server.handle();
    server.set(|knobs| knobs.answers = AnswerForm::Sse);
    for era in eras() {
        world.switch(&people.ana).await;
        let deleted = server.stats().sessions_deleted;
        let host = world.host_in(era.clone(), "cursor", &[]).await;
        assert_eq!(whoami(&host).await.unwrap(), "ana");
        let slow = world.slow_call(&host, 2000).await;
        let switched = world.switch(&people.ben).await;
        assert_eq!((&switched["acknowledged"], &switched["cut_off"]), (&json!(1), &json!(0)));
        let told = host.notifications().len();
        let asked = host.server_requests().len();
        for _ in 0..3 {
            assert_eq!(whoami(&host).await.unwrap(), "ben", "{era:?}");
        }
        for push in [Push::Message, Push::ResourceUpdated, Push::ToolsListChanged, Push::RootsRequest] {
            server.push(push, Some("ana"));
        }
        assert_eq!(text_of(slow).await, "ana", "{era:?}");
        let changed = |one: &serde_json::Value| one["method"] == "notifications/tools/list_changed";
        if let HostEra::Handshake(_) = era {
            assert!(host.wait_for_notification(changed).await.is_some());
            eventually("the end of ana's session", async || {
                (server.stats().sessions_deleted == deleted + 1).then_some(())
            })
            .await;
            assert!(server.sessions().iter().all(|session| session.person.as_deref() == Some("ben")));
        }
        // What still comes from ana's session is the progress of her own call.
        for late in &host.notifications()[told..] {
            let of_ana = late.to_string().contains("ana");
            assert!(!of_ana || late["method"] == "notifications/progress", "{late}");
        }
        assert_eq!(host.server_requests().len(), asked, "only ana's session had a question");
        assert_eq!(whoami(&host).await.unwrap(), "ben");
        assert!(host.garbage().is_empty(), "{:?}", host.garbage());
    }
    let stats = server.stats();
    assert_eq!((stats.mixed_sessions, stats.stray_answers, stats.foreign_request_states), (0, 0, 0));
}

#[tokio::test]
async fn long_lived_streams_follow_the_switch() {
    let world = World::with_ana_and_ben().await;
    let people = People::of(&world).await;
    let server = world.server.handle();
    let [with_session, without] = eras();
    let one = world.host_in(with_session, "cursor", &[]).await;
    let two = world.host_in(without, "claude-desktop", &[]).await;
    let wanted = json!({"notifications": {"toolsListChanged": true}});
    let _stream = two.send("subscriptions/listen", wanted).await.unwrap();
    let streams = |person: &'static str| {
        eventually("the streams of the one who acts", async move || {
            let listening = server.listeners().iter().filter(|who| who.as_deref() == Some(person)).count();
            let sessions = server.sessions();
            let open = sessions.iter().filter(|one| one.person.as_deref() == Some(person) && one.streams > 0);
            let others = sessions.iter().filter(|one| one.person.as_deref() != Some(person)).count();
            (listening == 1 && open.count() == 1 && others == 0 && server.listeners().len() == 1)
                .then_some(())
        })
    };
    streams("ana").await;
    for (account, person) in [(&people.ben, "ben"), (&people.ana, "ana"), (&people.ben, "ben")] {
        world.switch(account).await;
        streams(person).await;
        let (told_one, told_two) = (one.notifications().len(), two.notifications().len());
        assert_eq!(server.push(Push::ToolsListChanged, None), 2);
        let name = json!(person);
        for (host, told) in [(&one, told_one), (&two, told_two)] {
            let of_person = eventually("the pushed notification", async || {
                host.notifications()[told..]
                    .iter()
                    .find(|one| one["params"]["_meta"]["person"] == name)
                    .cloned()
            });
            assert_eq!(of_person.await["method"], "notifications/tools/list_changed");
        }
    }
}

#[tokio::test]
async fn two_apps_are_two_people_in_the_same_minute() {
    let world = World::with_ana_and_ben().await;
    let people = People::of(&world).await;
    for era in eras() {
        let cursor = world.host_in(era.clone(), "cursor", &[]).await;
        let desktop = world.host_in(era, "claude-desktop", &[]).await;
        let bound =
            world.run(&["switch", SERVER, &people.ben, "--app", "cursor", "--json"]).await.ok().json();
        assert_eq!(bound["acknowledged"], 1, "only one bridge is concerned");
        for _ in 0..5 {
            let (one, two) = tokio::join!(whoami(&cursor), whoami(&desktop));
            assert_eq!((one.unwrap(), two.unwrap()), ("ben".to_owned(), "ana".to_owned()));
        }
        world.run(&["switch", SERVER, "--app", "cursor", "--follow"]).await.ok();
        assert_eq!(whoami(&cursor).await.unwrap(), "ana");
        assert_eq!(whoami(&desktop).await.unwrap(), "ana");
    }
    let wrong = world.run(&["switch", "no-such", &people.ben]).await.fails(1);
    assert!(wrong.err.contains("no-such"), "{wrong:?}");
}

#[tokio::test]
async fn a_pinned_entry_never_falls_back_to_somebody_else() {
    let world = World::with_ana_and_ben().await;
    let people = People::of(&world).await;
    let pinned = world.host_in(handshake(), "cursor", &["--account", &people.ana]).await;
    let follows = world.host_in(handshake(), "cursor", &[]).await;
    let switched = world.switch(&people.ben).await;
    assert_eq!(switched["acknowledged"], 1, "the pinned entry is not concerned");
    assert_eq!(whoami(&pinned).await.unwrap(), "ana");
    assert_eq!(whoami(&follows).await.unwrap(), "ben");
    world.run(&["logout", SERVER, "--account", &people.ana]).await.ok();
    let before = asked(&world);
    let said = refusal(&pinned).await;
    assert!(said.contains("ana") && said.contains("hallpass login"), "{said}");
    assert_eq!(asked(&world), before, "nothing was sent");
    let newcomer = world.host_in(handshake(), "claude-desktop", &["--account", &people.ana]).await;
    assert!(refusal(&newcomer).await.contains("hallpass login"));
    world.login("ana", &[]).await.ok();
    assert_eq!(whoami(&pinned).await.unwrap(), "ana");
    assert_eq!(whoami(&newcomer).await.unwrap(), "ana");
    assert_eq!(whoami(&follows).await.unwrap(), "ben");
}

#[tokio::test]
async fn a_switch_to_somebody_who_must_sign_in_closes_the_server_until_they_do() {
    let world = World::with_ana_and_ben().await;
    let people = People::of(&world).await;
    world.run(&["logout", SERVER, "--account", &people.ben]).await.ok();
    for era in eras() {
        world.switch(&people.ana).await;
        let host = world.host_in(era.clone(), "cursor", &[]).await;
        assert_eq!(whoami(&host).await.unwrap(), "ana");
        needs_sign_in(world.run(&["switch", SERVER, &people.ben]).await);
        let said = refusal(&host).await;
        assert!(said.contains("ben") && said.contains("hallpass login"), "{said}");
        assert_eq!(world.run(&["status"]).await.code, 4);
        let told = host.notifications().len();
        world.login("ben", &[]).await.ok();
        if let HostEra::Handshake(_) = era {
            eventually("tools/list_changed", async || {
                let late = &host.notifications()[told..];
                late.iter().any(|one| one["method"] == "notifications/tools/list_changed").then_some(())
            })
            .await;
        }
        assert_eq!(whoami(&host).await.unwrap(), "ben");
        world.run(&["logout", SERVER, "--account", &people.ben]).await.ok();
    }
}

#[tokio::test]
async fn a_silent_bridge_is_cut_off_and_never_sends_a_new_request_as_the_old_person() {
    let world = World::with_ana_and_ben().await;
    world.acknowledge_within(std::time::Duration::from_secs(5));
    let people = People::of(&world).await;
    for era in eras() {
        world.switch(&people.ana).await;
        let silent = world.host_in(era.clone(), "cursor", &[]).await;
        let awake = world.host_in(era, "claude-desktop", &[]).await;
        assert_eq!(whoami(&silent).await.unwrap(), "ana");
        let pid = silent.pid().unwrap();
        signal(pid, "STOP");
        // A silent bridge holds up nobody: this comes back.
        let switched = world.switch(&people.ben).await;
        assert_eq!((&switched["acknowledged"], &switched["cut_off"]), (&json!(1), &json!(1)));
        assert_eq!(whoami(&awake).await.unwrap(), "ben");
        let seen = world.server.handle().requests().len();
        // Already in its pipe when it wakes up.
        let late = silent.send("tools/call", json!({"name": "whoami", "arguments": {}})).await.unwrap();
        signal(pid, "CONT");
        assert_eq!(text_of(late).await, "ben");
        assert_eq!(whoami(&silent).await.unwrap(), "ben");
        let after = world.server.handle().requests();
        let as_ana = after[seen..]
            .iter()
            .filter(|one| one.person.as_deref() == Some("ana") && one.http_method == "POST");
        assert_eq!(as_ana.count(), 0);
    }
}

#[tokio::test]
async fn a_logout_ends_the_calls_of_that_person_and_nothing_is_sent_for_them_any_more() {
    let world = World::with_ana_and_ben().await;
    let people = People::of(&world).await;
    for era in eras() {
        let host = world.host_in(era, "cursor", &[]).await;
        let slow = world.slow_call(&host, 20_000).await;
        world.run(&["logout", SERVER, "--account", &people.ana]).await.ok();
        let seen = asked(&world);
        let ended = slow.result().await;
        assert!(ended.is_err(), "the call of a person who has signed out ends: {ended:?}");
        let said = refusal(&host).await;
        assert!(said.contains("ana") && said.contains("hallpass login"), "{said}");
        assert_eq!(asked(&world), seen, "not even ben is asked");
        world.login("ana", &[]).await.ok();
        assert_eq!(whoami(&host).await.unwrap(), "ana");
    }
    assert_eq!(world.issuer.handle().stats().revocations, 4, "an access and a refresh token for each");
}

#[tokio::test]
async fn removed_accounts_and_servers_close_their_bridges() {
    let world = World::with_ana_and_ben().await;
    let people = People::of(&world).await;
    world.run(&["switch", SERVER, &people.ben, "--app", "cursor"]).await.ok();
    let bound = world.host_in(handshake(), "cursor", &[]).await;
    let other = world.host_in(handshake(), "claude-desktop", &[]).await;
    assert_eq!(whoami(&bound).await.unwrap(), "ben");
    world.run(&["accounts", "remove", &people.ben]).await.ok();
    let said = refusal(&bound).await;
    assert!(said.contains("does not exist") && said.contains("hallpass"), "{said}");
    assert_eq!(whoami(&other).await.unwrap(), "ana");
    world.run(&["servers", "remove", SERVER]).await.ok();
    for host in [&bound, &other] {
        let said = refusal(host).await;
        assert!(said.contains(SERVER), "{said}");
    }
    assert_eq!(world.issuer.handle().stats().revocations, 4, "an access and a refresh token for each");
    assert_eq!(world.issuer.handle().stats().families_revoked, 0);
    assert_eq!(world.status().await["servers"], json!([]));
}

#[tokio::test]
async fn of_two_accounts_a_switch_without_a_name_takes_the_other_one() {
    let world = World::with_ana().await;
    let alone = world.run(&["switch", SERVER]).await.fails(2);
    assert!(alone.err.contains("only one account"), "{alone:?}");
    world.login("ben", &[]).await.ok();
    let host = world.host("cursor").await;
    for person in ["ben", "ana", "ben"] {
        world.run(&["switch", SERVER]).await.ok();
        assert_eq!(whoami(&host).await.unwrap(), person);
    }
    world.login("cleo", &[]).await.ok();
    let several = world.run(&["switch", SERVER]).await.fails(2);
    assert!(several.err.contains("several accounts"), "{several:?}");
    assert_eq!(whoami(&host).await.unwrap(), "ben");
}
