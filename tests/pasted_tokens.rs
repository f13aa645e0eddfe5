//! Personal tokens that people make at a server and paste; and what proves who they are where nothing but the server's
//! own tool says it. Never the wrong person, never a token where it can be read, never a loop.

use serde_json::{Value, json};
use testbed::authorization_server::Identity;
use testbed::mcp_server::{AnswerForm, Eras, McpServer};
use testbed::scanner::{Output, Surface, Wanted, scan_sandbox};

use crate::support::people::{asked, eras, refusal, whoami};
use crate::support::{Ran, SERVER, World, eventually};
use crate::ways_in::run_with_input;

/// A home whose server takes personal tokens and offers no sign-in.
async fn token_world(eras: Eras) -> World {
    World { server: McpServer::personal(eras).await.expect("a free port"), ..World::new().await }
}

impl World {
    async fn add_token_server(&self, more: &[&str]) {
        let endpoint = self.server.endpoint();
        let add = ["servers", "add", &endpoint, "--id", SERVER, "--personal-token"];
        self.run(&[&add[..], more].concat()).await.ok();
    }

    async fn paste(&self, token: &str, more: &[&str]) -> Ran {
        run_with_input(self, &[&["login", SERVER, "--token-stdin"], more].concat(), &format!("{token}\n"))
            .await
    }

    /// Ana's token, pasted.
    async fn paste_ana(&self) -> String {
        let token = self.server.handle().make_token("ana");
        self.paste(&token, &["--yes"]).await.ok();
        token
    }

    async fn shown(&self) -> Value {
        self.run(&["servers", "show", SERVER, "--json"]).await.ok().json()
    }

    fn grants(&self) -> Vec<Value> {
        self.state()["grants"].as_array().cloned().unwrap_or_default()
    }
}

#[tokio::test]
async fn two_people_paste_their_tokens_and_nobody_acts_as_the_other() {
    let world = token_world(Eras::Both).await;
    world.add_token_server(&["--whoami", "whoami"]).await;
    let needed = world.run(&["login", SERVER]).await.fails(2);
    assert!(
        needed.err.contains("takes a personal token") && needed.err.contains("--token-stdin"),
        "{needed:?}"
    );
    let tested = world.run(&["servers", "test", SERVER]).await.ok();
    assert!(
        tested.out.contains("takes a personal token") && tested.err.contains("tool whoami alone"),
        "{tested:?}"
    );
    let (ana, ben) = (world.server.handle().make_token("ana"), world.server.handle().make_token("ben"));
    let unasked = world.paste(&ana, &[]).await.fails(2);
    assert!(
        unasked.err.contains("ana is new here") && unasked.err.contains("say --expect ana"),
        "{unasked:?}"
    );
    let other = world.paste(&ben, &["--expect", "ana"]).await.fails(1);
    assert!(other.err.contains("you signed in as ben, expected ana"), "{other:?}");
    assert_eq!(world.grants(), Vec::<Value>::new());
    // As documentation shows it, white space and all.
    let pasted = world.paste(&format!("  Bearer {ana} "), &["--expect", "ana"]).await.ok();
    assert!(pasted.err.contains("only you can renew or revoke it"), "{pasted:?}");
    let host = world.host("cursor").await;
    assert_eq!(whoami(&host).await.unwrap(), "ana");
    world.paste(&ben, &["--yes"]).await.ok();
    assert_eq!(whoami(&host).await.unwrap(), "ana", "a second person changes nothing for the first");
    world.run(&["switch", SERVER, "ben"]).await.ok();
    assert_eq!(whoami(&host).await.unwrap(), "ben");
    world.run(&["switch", SERVER, "ana"]).await.ok();
    assert_eq!(whoami(&host).await.unwrap(), "ana");

    // Shown as what they are.
    let shown = world.shown().await;
    assert_eq!((&shown["auth"], &shown["whoami"]), (&json!("bearer"), &json!("whoami")));
    for grant in shown["grants"].as_array().unwrap() {
        assert_eq!((&grant["pasted"], &grant["renewable"]), (&json!(true), &json!(false)), "{grant}");
        assert_eq!(
            (&grant["account"]["proof"], &grant["account"]["subject"]),
            (&json!("whoami"), &Value::Null)
        );
    }
    let status = world.run(&["status"]).await.ok();
    assert!(status.out.contains("ana (by the server's own word)  pasted token"), "{status:?}");
    let listed = world.run(&["accounts", "list"]).await.ok();
    assert!(
        listed.out.contains("the server's own whoami tool") && listed.out.contains("tickets (pasted token)")
    );

    // Another person's token never takes ana's place; a new one of hers does.
    let before = world.state()["grants"].clone();
    let wrong = world.paste(&ben, &["--account", "ana"]).await.fails(1);
    assert!(wrong.err.contains("you signed in as ben, expected ana; nothing was changed"), "{wrong:?}");
    assert_eq!(world.state()["grants"], before);
    let newer = world.server.handle().make_token("ana");
    world.paste(&newer, &["--account", "ana"]).await.ok();
    world.server.handle().revoke_token(&ana);
    assert_eq!(whoami(&host).await.unwrap(), "ana", "the new token is the one that is used");
    assert_eq!(world.state()["accounts"].as_object().unwrap().len(), 2);

    // The tool was asked with nobody's token but that of the person that it then named.
    let whoamis = world.server.handle().requests();
    let whoamis: Vec<_> = whoamis.iter().filter(|one| one.tool.as_deref() == Some("whoami")).collect();
    assert!(whoamis.len() >= 5 && whoamis.iter().all(|one| one.status == 200 && one.person.is_some()));
    let wanted = [("ana", ana), ("ben", ben), ("newer", newer)];
    let wanted = wanted.map(|(kind, token)| Wanted::new(kind, token.into()));
    let outputs = [&needed, &unasked, &other, &pasted, &status, &listed, &wrong];
    let outputs =
        outputs.map(|ran| Output { surface: Surface::Stderr, name: "hallpass", bytes: ran.err.as_bytes() });
    let report = scan_sandbox(&world.sandbox, wanted, &outputs).unwrap();
    assert_eq!(report.broken(), Vec::<String>::new(), "the canary is found");
    assert_eq!(report.findings, [], "no token lies anywhere but in the keychain");
}

#[tokio::test]
async fn what_is_no_token_or_is_refused_is_not_kept() {
    let world = token_world(Eras::Both).await;
    world.add_token_server(&[]).await;
    let before = asked(&world);
    for (bad, words) in [
        ("", "missing"),
        ("<YOUR_TOKEN>", "placeholder"),
        ("Bearer xxx", "placeholder"),
        ("${TICKETS_TOKEN}", "names a place"),
        ("ghp_abc def", "no spaces"),
        ("tok\u{7}en-4f9c", "no spaces"),
        (&"a1".repeat(20_000), "longer than any token"),
    ] {
        let ran = world.paste(bad, &["--yes"]).await.fails(2);
        assert!(ran.err.contains(words) && ran.err.contains("next: "), "{bad}: {ran:?}");
        assert!(bad.len() < 4 || !ran.err.contains(bad), "it is not repeated: {ran:?}");
    }
    for bad in ["yesterday", "2020-01-01", "0d"] {
        let token = world.server.handle().make_token("ana");
        world.paste(&token, &["--yes", "--expires", bad]).await.fails(2);
    }
    assert_eq!(asked(&world), before, "the server saw none of it");
    let stranger = world.paste("tbp_0123456789abcdef0123", &["--yes"]).await.fails(1);
    assert!(stranger.err.contains("it refuses the token; nothing was kept"), "{stranger:?}");
    let once = asked(&world) - before;
    assert_eq!(once, 1, "it is not tried again");
    world.server.handle().set(|knobs| knobs.status = Some(503));
    let token = world.server.handle().make_token("ana");
    let away = world.paste(&token, &["--yes"]).await.fails(6);
    assert!(away.err.contains("cannot be asked now"), "{away:?}");
    assert_eq!(world.grants(), Vec::<Value>::new());
    assert!(world.state()["accounts"].as_object().is_none_or(serde_json::Map::is_empty));
}

#[tokio::test]
async fn a_revoked_token_is_one_sentence_and_no_loop() {
    for era in eras() {
        let world = token_world(Eras::Both).await;
        world.add_token_server(&["--whoami", "whoami"]).await;
        let token = world.paste_ana().await;
        let host = world.host_in(era, "cursor", &[]).await;
        assert_eq!(whoami(&host).await.unwrap(), "ana");
        world.server.handle().revoke_token(&token);
        let said = refusal(&host).await;
        assert!(said.contains("the server refuses the pasted token"), "{said}");
        assert!(said.contains("make a new token there") && said.contains("--token-stdin"), "{said}");
        let state = eventually("it to be shown", async || {
            let state = world.shown().await["state"].clone();
            (state == "revoked_by_server").then_some(state)
        });
        state.await;
        let refused = world.server.handle().stats().unauthorized;
        let requests = asked(&world);
        for _ in 0..5 {
            assert!(refusal(&host).await.contains("the server refuses the pasted token"));
        }
        let status = world.run(&["status"]).await.fails(4);
        assert!(
            status.out.contains("revoked by server") && status.err.contains("--token-stdin"),
            "{status:?}"
        );
        assert_eq!(asked(&world), requests, "nobody asks again");
        assert_eq!(world.server.handle().stats().unauthorized, refused);
        assert!(refused <= 3, "add, call, and nothing beyond: {refused}");
        assert_eq!(world.issuer.handle().stats().refreshes, 0);
        let doctor = world.run(&["doctor"]).await;
        assert!(doctor.out.contains("the token of ana at tickets is refused"), "{doctor:?}");
        // A new one, and the same bridge goes on.
        let newer = world.server.handle().make_token("ana");
        world.paste(&newer, &["--account", "ana"]).await.ok();
        assert_eq!(eventually("ana", async || whoami(&host).await.ok()).await, "ana");
    }
}

#[tokio::test]
async fn a_token_is_announced_before_its_day_and_closed_after() {
    let world = token_world(Eras::Both).await;
    world.add_token_server(&["--whoami", "whoami"]).await;
    let token = world.server.handle().make_token("ana");
    world.paste(&token, &["--yes", "--expires", "2099-12-31"]).await.ok();
    let status = world.run(&["status"]).await.ok();
    assert!(status.out.contains("pasted token, ends 2099-12-31"), "{status:?}");
    assert!(!status.err.contains("make a new one"), "{status:?}");
    world.paste(&token, &["--account", "ana", "--expires", "3d"]).await.ok();
    let status = world.run(&["status"]).await.ok();
    assert!(
        status.err.contains("the token of ana ends in") && status.err.contains("--token-stdin"),
        "{status:?}"
    );
    let doctor = world.run(&["doctor"]).await;
    assert!(doctor.out.contains("the token of ana at tickets ends in"), "{doctor:?}");
    let host = world.host("cursor").await;
    assert_eq!(whoami(&host).await.unwrap(), "ana");
    world.paste(&token, &["--account", "ana", "--expires", "1s"]).await.ok();
    let state = eventually("its end", async || {
        let shown = world.shown().await;
        (shown["state"] == "needs_sign_in").then(|| shown["grants"][0]["reason"].clone())
    });
    assert_eq!(state.await, "the day has come on which the pasted token ends");
    let before = asked(&world);
    let said = refusal(&host).await;
    assert!(said.contains("the day has come") && said.contains("--token-stdin"), "{said}");
    assert_eq!(asked(&world), before, "a token that has ended is shown to nobody");
    world.paste(&token, &["--account", "ana"]).await.ok();
    assert_eq!(eventually("ana", async || whoami(&host).await.ok()).await, "ana");
}

#[tokio::test]
async fn what_nothing_proves_is_shown_so_and_merged_with_nobody() {
    let world = token_world(Eras::Both).await;
    world.add_token_server(&[]).await;
    let ana = world.server.handle().make_token("ana");
    let unasked = world.paste(&ana, &[]).await.fails(2);
    assert!(unasked.err.contains("nothing proves who signed in"), "{unasked:?}");
    world.paste(&ana, &["--yes", "--as", "work"]).await.ok();
    // The same token once more is another account: nobody can say that it is the same person.
    world.paste(&ana, &["--yes", "--as", "again"]).await.ok();
    let accounts = world.run(&["accounts", "list", "--json"]).await.ok().json();
    let accounts = accounts["accounts"].as_array().unwrap().clone();
    assert_eq!(accounts.len(), 2);
    assert!(accounts.iter().all(|one| one["proof"] == "unknown" && one["pasted"] == json!([SERVER])));
    assert!(world.run(&["status"]).await.ok().out.contains("work (unverified)  pasted token"));
    let ben = world.server.handle().make_token("ben");
    let refused = world.paste(&ben, &["--account", "work"]).await.fails(2);
    assert!(refused.err.contains("--same-person"), "{refused:?}");
    world.paste(&ana, &["--account", "work", "--same-person"]).await.ok();
    let host = world.host("cursor").await;
    assert_eq!(whoami(&host).await.unwrap(), "ana");
    // Signing out forgets it here, and says who can end it there.
    let out = world.run(&["logout", SERVER, "--account", "work"]).await.ok();
    assert!(out.err.contains("delete it at the server"), "{out:?}");
    assert_eq!(world.grants().len(), 1);
    assert!(refusal(&host).await.contains("nothing was sent"));
}

#[tokio::test]
async fn a_token_at_a_server_that_signs_people_in_is_proven_by_its_issuer_or_by_nobody() {
    let world = World::with_ana().await;
    let verified = world.state()["accounts"].as_object().unwrap().clone();
    // Userinfo does not know a personal token, so it is nobody's for certain, and least of all ana's.
    let token = world.server.handle().make_token("ana");
    world.paste(&token, &["--yes", "--as", "pasted"]).await.ok();
    let accounts = world.state()["accounts"].as_object().unwrap().clone();
    assert_eq!(accounts.len(), 2);
    for (id, account) in &verified {
        assert_eq!(accounts[id], *account, "the verified one is as it was");
    }
    assert_eq!(world.shown().await["auth"], "oauth", "others go on signing in");
    // One that the issuer knows is proven by it, and is then hers.
    let known = world.issuer.handle().issue_access_token("ana", &world.server.endpoint());
    world.paste(&known, &["--account", "ana"]).await.ok();
    let foreign = world.issuer.handle().issue_access_token("ben", &world.server.endpoint());
    let wrong = world.paste(&foreign, &["--account", "ana"]).await.fails(1);
    assert!(wrong.err.contains("expected ana"), "{wrong:?}");
    let grants = world.shown().await["grants"].as_array().unwrap().clone();
    let ana = grants.iter().find(|grant| grant["account"]["subject"] == "ana").unwrap();
    assert_eq!((&ana["pasted"], &ana["account"]["proof"]), (&json!(true), &json!("userinfo")));
    // And she can sign in again as before.
    world.login("ana", &["--account", "ana"]).await.ok();
    let host = world.host("cursor").await;
    assert_eq!(whoami(&host).await.unwrap(), "ana");
    world.issuer.handle().expire_access_tokens();
    assert_eq!(whoami(&host).await.unwrap(), "ana", "renewed");
}

#[tokio::test]
async fn the_whoami_tool_is_asked_in_both_eras_and_read_out_of_an_event_stream() {
    for (eras, answers, piece) in [
        (Eras::Handshake, AnswerForm::Json, 0),
        (Eras::Handshake, AnswerForm::Sse, 3),
        (Eras::Stateless, AnswerForm::Json, 0),
        (Eras::Stateless, AnswerForm::Sse, 3),
        (Eras::Both, AnswerForm::Sse, 0),
    ] {
        let world = token_world(eras).await;
        world.server.handle().set(|knobs| {
            knobs.answers = answers;
            knobs.sse_piece = piece;
        });
        world.add_token_server(&["--whoami", "get_me:id"]).await;
        world.paste_ana().await;
        let account = world.shown().await["grants"][0]["account"].clone();
        assert_eq!(
            (&account["proof"], &account["label"]),
            (&json!("whoami"), &json!("id-of-ana")),
            "{eras:?}"
        );
        assert_eq!(world.server.handle().sessions(), [], "{eras:?}: the visit is over");
        // One that knows handshakes alone is asked first whether it knows better.
        let probe = u64::from(eras == Eras::Handshake);
        assert_eq!(world.server.handle().stats().header_errors, probe, "{eras:?}");
    }
}

#[tokio::test]
async fn a_tool_that_gives_no_clear_answer_proves_nobody_and_that_is_said() {
    let world = token_world(Eras::Both).await;
    world.add_token_server(&["--whoami", "whoami:id"]).await;
    let token = world.server.handle().make_token("ana");
    let text = |text: &str| json!({"content": [{"type": "text", "text": text}]});
    for (result, words) in [
        (
            json!({"content": [{"type": "text", "text": "{\"id\":1}"}], "isError": true}),
            "something went wrong",
        ),
        (json!({"content": []}), "does not hold what was asked for"),
        (text("I am ana"), "does not hold what was asked for"),
        (text(r#"{"id":true}"#), "no name"),
        (text(&"x".repeat(2 * 1024 * 1024)), "longer than"),
        (text(r#"{"id":"ana","id":"ben"}"#), "two people"),
        (
            json!({"structuredContent": {"id": "ana"}, "content": [{"type": "text", "text": "{\"id\":\"ben\"}"}]}),
            "two people",
        ),
    ] {
        world.server.handle().set(|knobs| knobs.whoami_result = Some(result.clone()));
        let ran = world.paste(&token, &["--yes", "--json"]).await.ok();
        assert_eq!(ran.json()["account"]["proof"], "unknown", "{result}");
        assert!(
            ran.err.contains("its tool whoami proves nobody") && ran.err.contains(words),
            "{result}: {ran:?}"
        );
        world.run(&["accounts", "remove", ran.json()["account"]["id"].as_str().unwrap()]).await.ok();
    }
    for bad in ["who am i", "", "x:", "a:b:c"] {
        let endpoint = format!("{}?other", world.server.endpoint());
        world.run(&["servers", "add", &endpoint, "--personal-token", "--whoami", bad]).await.fails(2);
    }
}

#[tokio::test]
async fn a_whoami_tool_proves_who_signs_in_where_the_issuer_does_not_and_is_asked_again_at_a_renewal() {
    let world = World::new().await;
    world.issuer.handle().set(|knobs| knobs.identity = Identity::Nothing);
    let endpoint = world.server.endpoint();
    world.run(&["servers", "add", &endpoint, "--id", SERVER, "--whoami", "get_me:id"]).await.ok();
    world.login("ana", &["--as", "ana"]).await.ok();
    let account = world.shown().await["grants"][0]["account"].clone();
    assert_eq!((&account["proof"], &account["subject"]), (&json!("whoami"), &Value::Null));
    // Ben is somebody else, and the browser's wrong person is refused.
    let wrong = world.login("ben", &["--account", "ana"]).await.fails(1);
    assert!(wrong.err.contains("expected ana"), "{wrong:?}");
    let host = world.host("cursor").await;
    assert_eq!(whoami(&host).await.unwrap(), "ana");
    // While it says nothing, nothing is handed out and nothing is lost.
    let before = get_me(&world);
    world.server.handle().set(|knobs| knobs.whoami_result = Some(json!({"content": [], "isError": true})));
    world.issuer.handle().expire_access_tokens();
    let said = refusal(&host).await;
    assert!(said.contains("get_me proves nobody"), "{said}");
    assert_eq!(world.shown().await["grants"][0]["state"], "active", "the login is kept");
    world.server.handle().set(|knobs| knobs.whoami_result = None);
    assert_eq!(eventually("ana again", async || whoami(&host).await.ok()).await, "ana");
    assert!(get_me(&world) >= before + 2, "asked after the renewal, until it was answered");
    assert_eq!(world.issuer.handle().stats().refreshes, 1, "one renewal was enough");
}

#[tokio::test]
async fn a_renewal_that_the_whoami_tool_calls_somebody_elses_is_handed_to_nobody() {
    let world = World::new().await;
    world.issuer.handle().set(|knobs| knobs.identity = Identity::Nothing);
    let endpoint = world.server.endpoint();
    world.run(&["servers", "add", &endpoint, "--id", SERVER, "--whoami", "get_me:id"]).await.ok();
    world.login("ana", &[]).await.ok();
    let host = world.host("cursor").await;
    assert_eq!(whoami(&host).await.unwrap(), "ana");
    world.server.handle().set(|knobs| knobs.whoami_as = Some("ben".to_owned()));
    world.issuer.handle().expire_access_tokens();
    let said = refusal(&host).await;
    assert!(said.contains("another person"), "{said}");
    assert_eq!(world.shown().await["grants"][0]["state"], "needs_sign_in");
}

#[tokio::test]
async fn whom_nothing_proved_stays_who_they_were_when_a_tool_is_named_later_and_they_say_so() {
    let world = token_world(Eras::Both).await;
    world.add_token_server(&[]).await;
    let token = world.server.handle().make_token("ana");
    world.paste(&token, &["--yes", "--as", "work"]).await.ok();
    let id = world.shown().await["grants"][0]["account"]["id"].clone();
    world.run(&["agent", "stop"]).await.ok();
    let mut state = world.state();
    state["servers"][SERVER]["whoami"] = json!("whoami");
    std::fs::write(world.root().join("state/state.json"), state.to_string()).unwrap();
    let unsaid = world.paste(&token, &["--account", "work"]).await.fails(2);
    assert!(unsaid.err.contains("--same-person"), "{unsaid:?}");
    world.paste(&token, &["--account", "work", "--same-person"]).await.ok();
    let account = world.shown().await["grants"][0]["account"].clone();
    assert_eq!(
        (&account["id"], &account["proof"], &account["label"]),
        (&id, &json!("whoami"), &json!("work"))
    );
    // From now on it is she and nobody else.
    let ben = world.server.handle().make_token("ben");
    let wrong = world.paste(&ben, &["--account", "work", "--same-person"]).await.fails(1);
    assert!(wrong.err.contains("you signed in as ben, expected work"), "{wrong:?}");
}

fn get_me(world: &World) -> usize {
    world.server.handle().requests().iter().filter(|one| one.tool.as_deref() == Some("get_me")).count()
}
