//! Every other way in: on another device, as an application, by the word of a company's identity provider; and what
//! proves who came where there is no id_token. Never the wrong person, whichever way was taken.

use std::process::Stdio;

use serde_json::json;
use testbed::authorization_server::{
    AuthMethod, AuthorizationServer, Availability, IdJagFault, Identity, Registration,
};
use testbed::browser::Decision;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use crate::support::people::{refusal, whoami};
use crate::support::process::signal;
use crate::support::{LIMIT, Ran, SERVER, World, eventually};

/// Runs `hallpass` with something on its standard input.
pub(crate) async fn run_with_input(world: &World, args: &[&str], input: &str) -> Ran {
    let mut command = world.hallpass(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child =
        tokio::process::Command::from(command).kill_on_drop(true).spawn().expect("it can be started");
    let mut stdin = child.stdin.take().expect("it is a pipe");
    stdin.write_all(input.as_bytes()).await.expect("it reads");
    drop(stdin);
    let output =
        tokio::time::timeout(LIMIT, child.wait_with_output()).await.expect("in time").expect("its output");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Ran { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

/// Adds a server with a client id and secret that an administrator registered.
async fn add_with_secret(world: &World, client: &Registration, more: &[&str]) -> Ran {
    let endpoint = world.server.endpoint();
    let mut args = vec!["servers", "add", &endpoint, "--id", SERVER, "--client-id", &client.id];
    args.push("--client-secret-stdin");
    args.extend(more);
    let secret = client.secret.clone().expect("it has one");
    run_with_input(world, &args, &format!("{secret}\n")).await
}

/// Signs in on another device: a person of this name reads the code and decides.
async fn login_on_a_device(world: &World, person: &str, decision: Decision) -> Ran {
    let mut command = world.hallpass(&["login", SERVER, "--device", "--yes"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child =
        tokio::process::Command::from(command).kill_on_drop(true).spawn().expect("it can be started");
    let mut lines = BufReader::new(child.stderr.take().expect("it is a pipe")).lines();
    let mut err = String::new();
    while let Some(line) =
        tokio::time::timeout(LIMIT, lines.next_line()).await.expect("in time").expect("UTF-8")
    {
        err.push_str(&line);
        err.push('\n');
        if let Some(code) = line.trim().strip_prefix("code: ").and_then(|rest| rest.split(' ').next()) {
            assert!(world.issuer.handle().decide_device(code, person, decision), "{code} is a code");
        }
    }
    let output =
        tokio::time::timeout(LIMIT, child.wait_with_output()).await.expect("in time").expect("its output");
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).expect("UTF-8"),
        err,
    }
}

#[tokio::test]
async fn a_person_signs_in_on_another_device() {
    let world = World::new().await;
    world.add_server().await;
    // Not offered: said at once, and nothing is registered for it.
    let ran = world.run(&["login", SERVER, "--device", "--yes"]).await.fails(1);
    assert!(ran.err.contains("does not offer") && ran.err.contains("next: "), "{}", ran.err);
    world.issuer.handle().set(|knobs| {
        knobs.device_authorization = Availability::Open;
        knobs.device_interval = 1;
    });
    let denied = login_on_a_device(&world, "ana", Decision::Deny).await.fails(1);
    assert!(denied.err.contains("declined"), "{}", denied.err);
    assert!(world.state()["grants"].as_array().is_none_or(Vec::is_empty));
    let ran = login_on_a_device(&world, "ana", Decision::Allow).await.ok();
    assert!(ran.err.contains("open this address and enter the code"), "{}", ran.err);
    assert_eq!(world.issuer.handle().stats().authorization_requests, 0, "no browser of this machine");
    let registered = world.issuer.handle().registrations();
    assert!(registered.iter().all(|one| one.redirect_uris.is_empty()), "{registered:?}");
    let host = world.host("cursor").await;
    assert_eq!(whoami(&host).await.unwrap(), "ana");
    // Somebody else at the other device changes nothing for ana.
    let before = world.state()["grants"].clone();
    let mut command = world.hallpass(&["login", SERVER, "--device", "--account", "ana"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = tokio::process::Command::from(command).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = String::new();
    while let Some(line) = tokio::time::timeout(LIMIT, lines.next_line()).await.unwrap().unwrap() {
        if let Some(code) = line.trim().strip_prefix("code: ").and_then(|rest| rest.split(' ').next()) {
            assert!(world.issuer.handle().decide_device(code, "ben", Decision::Allow));
        }
        said.push_str(&line);
    }
    assert!(!child.wait().await.unwrap().success());
    assert!(said.contains("expected ana"), "{said}");
    assert_eq!(world.state()["grants"], before);
}

#[tokio::test]
async fn an_application_is_shown_as_no_person_and_acts_only_where_it_is_chosen() {
    let world = World::new().await;
    let client = world.issuer.handle().preregister(&[], AuthMethod::Basic);
    add_with_secret(&world, &client, &[]).await.ok();
    let ran = world.run(&["login", SERVER, "--application"]).await.fails(1);
    assert!(ran.err.contains("gives no tokens to apps alone"), "{}", ran.err);
    world.issuer.handle().set(|knobs| knobs.client_credentials = Availability::Open);
    let ran = world.run(&["login", SERVER, "--application"]).await.ok();
    assert!(ran.out.contains("not a person"), "{ran:?}");
    // Nobody chose it, so nothing goes out.
    let host = world.host("cursor").await;
    assert!(refusal(&host).await.contains("no account is chosen"));
    let accounts = world.run(&["accounts", "list", "--json"]).await.ok().json();
    assert_eq!(accounts["accounts"][0]["proof"], "application");
    assert_eq!(accounts["accounts"][0]["subject"], serde_json::Value::Null);
    world.run(&["switch", SERVER, &client.id]).await.ok();
    assert_eq!(whoami(&host).await.unwrap(), client.id);
    // It renews itself by its own credentials.
    let before = world.issuer.handle().stats().client_credentials;
    world.issuer.handle().expire_access_tokens();
    assert_eq!(whoami(&host).await.unwrap(), client.id);
    assert!(world.issuer.handle().stats().client_credentials > before);
    // And it is nobody whom one can expect.
    world.run(&["login", SERVER, "--application", "--account", &client.id]).await.ok();
    assert_eq!(world.state()["accounts"].as_object().unwrap().len(), 1);
}

#[tokio::test]
async fn an_application_proves_itself_with_a_key_and_no_secret() {
    let world = World::new().await;
    let (pem, public) = testbed::authorization_server::client_key();
    let client = world.issuer.handle().preregister_with_key(&[], &public);
    world.issuer.handle().set(|knobs| {
        knobs.client_credentials = Availability::Open;
        knobs.token_endpoint_auth = vec![AuthMethod::PrivateKeyJwt];
    });
    let endpoint = world.server.endpoint();
    let add = ["servers", "add", &endpoint, "--id", SERVER, "--client-id", &client.id];
    let with_key = ["--token-endpoint-auth", "private-key-jwt", "--client-secret-stdin"];
    run_with_input(&world, &[&add[..], &with_key[..]].concat(), &pem).await.ok();
    world.run(&["login", SERVER, "--application", "--use"]).await.ok();
    let host = world.host("cursor").await;
    assert_eq!(whoami(&host).await.unwrap(), client.id);
}

/// A company with an identity provider, and the server that takes its word.
struct Company {
    world: World,
    provider: AuthorizationServer,
}

impl Company {
    async fn new() -> Self {
        let world = World::new().await;
        let provider = AuthorizationServer::start().await.expect("a free port");
        let app = provider.handle().preregister(&["http://127.0.0.1/callback"], AuthMethod::None);
        let client = world.issuer.handle().preregister(&[], AuthMethod::Basic);
        provider.handle().set(|knobs| {
            knobs.any_loopback_port = true;
            knobs.resource_required = false;
            knobs.token_exchange = Availability::Open;
            knobs.id_jag_app = Some(client.id.clone());
        });
        world.issuer.handle().set(|knobs| knobs.jwt_bearer = Availability::Open);
        world.issuer.handle().trust(provider.handle());
        let add = ["servers", "add", provider.issuer(), "--id", "acme", "--identity-provider"];
        world.run(&[&add[..], &["--client-id", &app.id]].concat()).await.ok();
        add_with_secret(&world, &client, &["--vouched-by", "acme"]).await.ok();
        Self { world, provider }
    }

    async fn sign_in(&self, person: &str) -> Ran {
        self.world.login_with(&format!("--as {person}"), &["login", "acme", "--yes"]).await
    }
}

#[tokio::test]
async fn one_sign_in_at_the_company_is_a_sign_in_everywhere_without_a_browser() {
    let Company { world, provider } = &Company::new().await;
    let ran = world.run(&["login", SERVER]).await.fails(1);
    assert!(
        ran.err.contains("nobody is signed in at acme") && ran.err.contains("hallpass login acme"),
        "{ran:?}"
    );
    let ran = world.login_with("--as ana", &["login", "acme", "--yes"]).await.ok();
    assert!(ran.err.contains("tickets: signed in too"), "{ran:?}");
    assert_eq!(world.issuer.handle().stats().authorization_requests, 0, "no browser for the server");
    let host = world.host("cursor").await;
    assert_eq!(whoami(&host).await.unwrap(), "ana");
    assert_eq!(world.state()["accounts"].as_object().unwrap().len(), 1, "one person, known by the provider");
    // Renewed by its word, again without anybody.
    world.issuer.handle().expire_access_tokens();
    assert_eq!(whoami(&host).await.unwrap(), "ana");
    // The provider itself is no server to call.
    let mut bridge = world.sandbox.bare_command(crate::support::executable());
    bridge.args(["bridge", "--app", "cursor", "--server", "acme"]);
    let odd = world.host_of(bridge, crate::support::people::handshake());
    odd.greet().await.unwrap();
    assert!(refusal(&odd).await.contains("identity provider"));
    // A second person there, and the first one stays who acts here.
    world.login_with("--as ben", &["login", "acme", "--yes"]).await.ok();
    assert_eq!(whoami(&host).await.unwrap(), "ana");
    world.run(&["switch", SERVER, "ben"]).await.ok();
    assert_eq!(whoami(&host).await.unwrap(), "ben");
    let ran = world.run(&["login", SERVER]).await.fails(2);
    assert!(ran.err.contains("several people are signed in at acme"), "{ran:?}");
    // The company says no to ben from now on: the next renewal ends it, in its words.
    provider.handle().set(|knobs| knobs.id_jag_denied = vec!["ben".to_owned()]);
    world.issuer.handle().expire_access_tokens();
    let said = refusal(&host).await;
    assert!(said.contains("does not let you use this server"), "{said}");
    // Nobody takes his place, and ana is signed in everywhere anew by one sign-in at the company.
    assert!(refusal(&host).await.contains("ben"), "it is still ben who was chosen");
    world.login_with("--as ana", &["login", "acme", "--account", "ana"]).await.ok();
    world.run(&["switch", SERVER, "ana"]).await.ok();
    assert_eq!(whoami(&host).await.unwrap(), "ana");
}

#[tokio::test]
async fn signing_out_at_the_company_ends_what_it_vouched_for_at_once_or_when_the_issuer_can_be_told() {
    let Company { world, provider } = &Company::new().await;
    let company = |person: &'static str| async move {
        world.login_with(&format!("--as {person}"), &["login", "acme", "--yes"]).await.ok()
    };
    company("ana").await;
    company("ben").await;
    let host = world.host("cursor").await;
    assert_eq!(whoami(&host).await.unwrap(), "ana");
    let ran = world.run(&["logout", "acme", "--account", "ana"]).await.ok();
    assert!(
        ran.out.contains("is signed out of tickets") && ran.out.contains("is signed out of acme"),
        "{ran:?}"
    );
    assert!(ran.err.contains("1 of these had come of the identity provider's word"), "{ran:?}");
    assert!(world.issuer.handle().stats().revocations > 0, "the server's own tokens are revoked too");
    assert!(provider.handle().stats().revocations > 0);
    let said = refusal(&host).await;
    assert!(!said.contains("ben"), "and nobody acts in her place: {said}");
    let who: Vec<_> =
        world.state()["grants"].as_array().unwrap().iter().map(|g| g["account"].clone()).collect();
    assert!(who.len() == 2 && who[0] == who[1], "ben stays, in both places: {who:?}");
    // Offline: signed out here all the same, and the issuer hears of it later.
    world.issuer.handle().set(|knobs| knobs.revocation = Availability::Unavailable);
    let before = world.issuer.handle().stats().revocations;
    let ran = world.run(&["servers", "remove", "acme", "--json"]).await.ok().json();
    assert_eq!((&ran["vouched"], &ran["pending"]), (&json!(1), &json!(1)), "{ran}");
    assert!(world.state()["grants"].as_array().unwrap().is_empty());
    assert_eq!(world.state()["revocations"].as_array().map(Vec::len), Some(1));
    world.issuer.handle().set(|knobs| knobs.revocation = Availability::Open);
    drop(host);
    signal(world.agent_pid().await, "KILL");
    eventually("the issuer to hear of it", async || {
        world.run(&["status"]).await;
        (world.issuer.handle().stats().revocations > before).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_company_that_proves_nobody_is_said_to_prove_nobody() {
    let company = Company::new().await;
    company.provider.handle().set(|knobs| {
        (knobs.identity, knobs.userinfo) = (Identity::UserinfoOnly, Availability::Refused);
    });
    let ran = company.sign_in("ana").await.ok();
    assert!(
        ran.err.contains("tickets: not signed in: acme does not prove who is signed in there"),
        "{ran:?}"
    );
    let ran = company.world.run(&["login", SERVER]).await.fails(1);
    assert!(ran.err.contains("its word counts for nobody") && !ran.err.contains("somebody else"), "{ran:?}");
}

#[tokio::test]
async fn the_sign_in_at_the_company_renews_itself_too() {
    let company = Company::new().await;
    company.provider.handle().set(|knobs| knobs.access_token_lifetime = 1);
    company.sign_in("ana").await.ok();
    let host = company.world.host("cursor").await;
    eventually("the provider's own tokens to be renewed", async || {
        company.world.issuer.handle().expire_access_tokens();
        let _asks_for_new_ones = whoami(&host).await;
        (company.provider.handle().stats().refreshes > 0).then_some(())
    })
    .await;
    eventually("ana to act", async || (whoami(&host).await.ok()? == "ana").then_some(())).await;
}

#[tokio::test]
async fn an_assertion_that_is_not_what_was_asked_for_is_shown_to_nobody() {
    let company = Company::new().await;
    for fault in [
        IdJagFault::Issuer,
        IdJagFault::Audience,
        IdJagFault::Resource,
        IdJagFault::App,
        IdJagFault::Expired,
        IdJagFault::Kind,
    ] {
        company.provider.handle().set(|knobs| knobs.id_jag_fault = Some(fault));
        let ran = company.sign_in("ana").await.ok();
        assert!(ran.err.contains("tickets: not signed in"), "{fault:?}: {ran:?}");
        let grants = company.world.state()["grants"].as_array().cloned().unwrap_or_default();
        assert!(grants.iter().all(|grant| grant["server"] == "acme"), "{fault:?}: {grants:?}");
    }
    company.provider.handle().set(|knobs| knobs.id_jag_fault = None);
    company.world.run(&["login", SERVER]).await.ok();
    let host = company.world.host("cursor").await;
    assert_eq!(whoami(&host).await.unwrap(), "ana");
}

#[tokio::test]
async fn an_id_token_from_elsewhere_counts_only_once_its_provider_vouches_for_it() {
    let company = Company::new().await;
    company.sign_in("ana").await.ok();
    let issued = company.provider.handle().secrets();
    let is_id_token = |one: &&testbed::authorization_server::IssuedSecret| {
        one.kind == testbed::authorization_server::SecretKind::IdToken
    };
    let id_token = issued.iter().rfind(is_id_token).unwrap().value.expose().to_owned();
    company.world.run(&["logout", "acme", "--all"]).await.ok();
    let login = ["login", SERVER, "--id-token-stdin", "--yes"];
    for (bad, words) in [("", "missing"), ("a.b.c", "not a signed JWT")] {
        let ran = run_with_input(&company.world, &login, bad).await.fails(2);
        assert!(ran.err.contains(words), "{ran:?}");
    }
    // Its claims cannot be rewritten: the provider is asked.
    let mut parts: Vec<&str> = id_token.split('.').collect();
    let forged = base64_json(parts[1], |claims| claims["sub"] = json!("ben"));
    parts[1] = &forged;
    run_with_input(&company.world, &login, &parts.join(".")).await.fails(1);
    assert!(company.world.state()["grants"].as_array().is_none_or(Vec::is_empty));
    run_with_input(&company.world, &login, &id_token).await.ok();
    let host = company.world.host("cursor").await;
    assert_eq!(whoami(&host).await.unwrap(), "ana");
}

fn base64_json(part: &str, change: impl FnOnce(&mut serde_json::Value)) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let mut claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("JSON");
    change(&mut claims);
    URL_SAFE_NO_PAD.encode(claims.to_string())
}

#[tokio::test]
async fn introspection_proves_a_person_where_nothing_else_does_and_notices_another() {
    let world = World::new().await;
    world.issuer.handle().set(|knobs| {
        knobs.identity = Identity::Nothing;
        knobs.introspection = Availability::Open;
        knobs.token_endpoint_auth = vec![AuthMethod::Basic];
    });
    world.add_server().await;
    world.login("ana", &[]).await.ok();
    let accounts = world.run(&["accounts", "list", "--json"]).await.ok().json();
    assert_eq!(
        (&accounts["accounts"][0]["proof"], &accounts["accounts"][0]["subject"]),
        (&json!("introspection"), &json!("ana"))
    );
    let host = world.host("cursor").await;
    assert_eq!(whoami(&host).await.unwrap(), "ana");
    // A renewal that turns out to be ben's is handed to nobody.
    world.issuer.handle().set(|knobs| knobs.introspection_as = Some("ben".to_owned()));
    world.issuer.handle().expire_access_tokens();
    let said = refusal(&host).await;
    assert!(said.contains("another person"), "{said}");
}

#[tokio::test]
async fn missing_rights_are_asked_of_the_person_and_a_limit_ends_it() {
    let world = World::with_ana().await;
    let host = world.host("cursor").await;
    assert_eq!(whoami(&host).await.unwrap(), "ana");
    world.server.handle().set(|knobs| knobs.insufficient_scope = Some("tickets:write".to_owned()));
    world.issuer.handle().set(|knobs| knobs.scopes_supported.push("tickets:write".to_owned()));
    let prompts = world.issuer.handle().stats().authorization_requests;
    let said = refusal(&host).await;
    assert!(said.contains("tickets:write") && said.contains("hallpass login tickets --account"), "{said}");
    assert_eq!(world.issuer.handle().stats().authorization_requests, prompts, "nobody was sent to a browser");
    let status = eventually("the missing rights to be shown", async || {
        let ran = world.run(&["servers", "show", SERVER, "--json"]).await.json();
        (ran["grants"][0]["missing_scopes"] == json!(["tickets:write"])).then_some(ran)
    })
    .await;
    assert_eq!(status["grants"][0]["state"], "active", "what worked before still works");
    // Asked for at ana's next sign-in beside everything that she had; the server is not content even then.
    world.login("ana", &["--account", "ana"]).await.ok();
    let shown = world.run(&["servers", "show", SERVER, "--json"]).await.json();
    let scopes = shown["grants"][0]["scopes"].to_string();
    assert!(
        scopes.contains("tickets:write") && scopes.contains("openid") && scopes.contains("mcp"),
        "{scopes}"
    );
    assert_eq!(shown["grants"][0]["missing_scopes"], json!([]));
    let said = refusal(&host).await;
    assert!(
        said.contains("have already") && !said.contains("hallpass login"),
        "it would go on for ever: {said}"
    );
    world.server.handle().set(|knobs| knobs.insufficient_scope = None);
    assert_eq!(whoami(&host).await.unwrap(), "ana");
}
