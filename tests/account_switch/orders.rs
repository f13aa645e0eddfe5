//! Orders about who acts, while an issuer does not answer: none waits for another, and none ends with a wrong person.

use std::time::{Duration, SystemTime};

use ipc::{Request, Response};
use model::ServerId;
use testbed::authorization_server::{TokenFault, TokenRequests};

use crate::support::control::Control;
use crate::support::people::{People, handshake, refusal, whoami};
use crate::support::{SERVER, World, eventually};

#[tokio::test]
async fn an_issuer_that_does_not_answer_holds_up_neither_another_switch_nor_a_sign_out() {
    let world = World::new().await;
    let issuer = world.issuer.handle();
    issuer.set(|knobs| knobs.access_token_lifetime = 3600);
    world.add_server().await;
    world.login("ana", &[]).await.ok();
    issuer.set(|knobs| knobs.access_token_lifetime = 1);
    world.login("ben", &[]).await.ok();
    issuer.set(|knobs| knobs.access_token_lifetime = 3600);
    let people = People::of(&world).await;
    let host = world.host_in(handshake(), "cursor", &[]).await;
    assert_eq!(whoami(&host).await.unwrap(), "ana");
    ended(&world, &people.ben).await;
    issuer.set(|knobs| {
        knobs.token_fault = Some(TokenFault::PauseBefore);
        knobs.token_fault_on = TokenRequests::Refreshes;
    });
    let mut control = Control::open(&world).await;

    let to_ben = control.begin(switch(&people.ben)).await;
    eventually("the question to the issuer", async || (issuer.stats().refresh_requests > 0).then_some(()))
        .await;
    assert_eq!(whoami(&host).await.unwrap(), "ana", "the switch is not in force yet");
    let to_ana = control.begin(switch(&people.ana)).await;
    let (first, answer) = control.next_reply().await;
    assert_eq!(first, to_ana, "the switch back does not wait for ben's issuer");
    assert!(matches!(answer, Ok(Response::Switched(_))), "{answer:?}");
    assert_eq!(whoami(&host).await.unwrap(), "ana");
    let (second, answer) = control.next_reply().await;
    assert_eq!(second, to_ben);
    assert!(matches!(answer, Ok(Response::Switched(_))), "{answer:?}");
    assert_eq!(whoami(&host).await.unwrap(), "ana", "the order that was overtaken changes nothing");

    let to_ben = control.begin(switch(&people.ben)).await;
    let server = ServerId::parse(SERVER).unwrap();
    let account = Some(people.ana.clone());
    let out = Request::SignOut { server, account, all: false, keep_upstream: false };
    let ana_out = control.begin(out).await;
    let (first, answer) = control.next_reply().await;
    assert_eq!(first, ana_out, "the sign-out does not wait for ben's issuer");
    assert!(matches!(answer, Ok(Response::SignedOut(_))), "{answer:?}");
    let said = refusal(&host).await;
    assert!(said.contains("ben") && said.contains("still being renewed"), "{said}");
    let (second, _) = control.next_reply().await;
    assert_eq!(second, to_ben);

    issuer.set(|knobs| knobs.token_fault = None);
    issuer.release();
    eventually("ben, without a further order", async || {
        let person = host.call_tool("whoami", serde_json::json!({})).await.ok()?;
        assert_eq!(person, "ben");
        Some(())
    })
    .await;
    let stats = world.server.handle().stats();
    assert_eq!((stats.mixed_sessions, stats.stray_answers), (0, 0));
    assert_eq!(issuer.stats().reuse_detections, 0);
}

fn switch(account: &str) -> Request {
    let server = ServerId::parse(SERVER).expect("an id");
    Request::UseAccount { server, account: Some(account.to_owned()), app: None, follow_selection: false }
}

/// Waits until the access token of this Account has come to its end.
async fn ended(world: &World, account: &str) {
    eventually("the end of the token", async || {
        let status = world.status().await;
        let grants = status["servers"][0]["grants"].as_array()?.clone();
        let grant = grants.into_iter().find(|grant| grant["account"]["id"] == account)?;
        let ends = Duration::from_secs(grant["expires_at"].as_u64()?);
        (SystemTime::now() > SystemTime::UNIX_EPOCH + ends).then_some(())
    })
    .await;
}
