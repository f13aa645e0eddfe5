//! Servers and issuers in TLS behind an authority that only a person's `--ca` makes known.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use testbed::authority::{Authority, Certificate};
use testbed::authorization_server::{AuthorizationServer, Availability};
use testbed::host::HostError;
use testbed::mcp_server::{Eras, McpServer};

use crate::support::people::{handshake, whoami};
use crate::support::{SERVER, World, eventually};

/// A home, an authority in a file of it, and issuer and server behind that authority.
struct Lab {
    world: World,
    authority: Authority,
    issuer: AuthorizationServer,
    server: McpServer,
    ca: String,
}

impl Lab {
    async fn new(issuer: Certificate, server: Certificate) -> Self {
        let world = World::new().await;
        let authority = Authority::new("Acme Internal CA");
        let ca = world.sandbox.home().join("acme.pem");
        std::fs::write(&ca, authority.pem()).unwrap();
        let issuer = AuthorizationServer::start_tls(&authority.identify(issuer)).await.unwrap();
        let identity = authority.identify(server);
        let server = McpServer::protected_tls(issuer.handle(), &identity, Eras::Both).await.unwrap();
        Self { world, authority, issuer, server, ca: ca.display().to_string() }
    }

    /// Adds the server as [`SERVER`] with these options more.
    async fn add(&self, more: &[&str]) -> crate::support::Ran {
        let endpoint = self.server.endpoint();
        let mut args = vec!["servers", "add", &endpoint, "--id", SERVER];
        args.extend(more);
        self.world.run(&args).await
    }
}

#[tokio::test]
async fn with_ca_a_person_signs_in_and_calls_and_without_it_the_authority_is_named() {
    let lab = Lab::new(Certificate::Good, Certificate::Good).await;
    let refused = lab.add(&[]).await.fails(6);
    assert!(refused.err.contains("Acme Internal CA") && refused.err.contains("--ca"), "{refused:?}");
    assert_eq!(
        lab.world.run(&["servers", "list", "--json"]).await.ok().json()["servers"],
        serde_json::json!([])
    );
    let added = lab.add(&["--ca", &lab.ca, "--json"]).await.ok().json();
    assert_eq!(added["private_ca"], true);
    let browser = format!("--as ana --ca {}", lab.ca);
    lab.world.login_with(&browser, &["login", SERVER, "--yes"]).await.ok();
    let host = lab.world.host("cursor").await;
    assert_eq!(whoami(&host).await.unwrap(), "ana");
    // The token is renewed over the same trust.
    lab.issuer.handle().expire_access_tokens();
    assert_eq!(whoami(&host).await.unwrap(), "ana");
    assert!(lab.issuer.handle().stats().refreshes > 0);
    let shown = lab.world.run(&["servers", "show", SERVER]).await.ok();
    assert!(shown.out.contains("private one is trusted"), "{shown:?}");
    // The certificate is in the state, and nothing else of it anywhere.
    assert!(lab.world.state().to_string().contains("BEGIN CERTIFICATE"));
    lab.world.run(&["logout", SERVER]).await.ok();
    assert_eq!(lab.issuer.handle().stats().revocations.min(1), 1, "revoked over the same trust");
}

#[tokio::test]
async fn another_server_does_not_inherit_the_authority() {
    let lab = Lab::new(Certificate::Good, Certificate::Good).await;
    lab.add(&["--ca", &lab.ca]).await.ok();
    let identity = lab.authority.identify(Certificate::Good);
    let other = McpServer::protected_tls(lab.issuer.handle(), &identity, Eras::Both).await.unwrap();
    let refused = lab.world.run(&["servers", "add", &other.endpoint(), "--id", "other"]).await.fails(6);
    assert!(refused.err.contains("Acme Internal CA"), "{refused:?}");
    assert!(other.handle().requests().is_empty(), "nothing was sent");
    // A plain issuer's server whose issuer hides behind the authority is refused as well.
    let plain = McpServer::protected(lab.issuer.handle(), Eras::Both).await.unwrap();
    let refused = lab.world.run(&["servers", "add", &plain.endpoint(), "--id", "plain"]).await.fails(6);
    assert!(refused.err.contains("Acme Internal CA"), "{refused:?}");
}

#[tokio::test]
async fn a_bridge_names_an_authority_that_was_taken_away() {
    let lab = Lab::new(Certificate::Good, Certificate::Good).await;
    lab.add(&["--ca", &lab.ca]).await.ok();
    let browser = format!("--as ana --ca {}", lab.ca);
    lab.world.login_with(&browser, &["login", SERVER, "--yes"]).await.ok();
    lab.world.run(&["agent", "stop"]).await.ok();
    let path = lab.world.root().join("state/state.json");
    let mut state = lab.world.state();
    state["servers"][SERVER].as_object_mut().unwrap().remove("authority").unwrap();
    std::fs::write(&path, serde_json::to_vec(&state).unwrap()).unwrap();
    let before = lab.server.handle().requests().len();
    let host = lab.world.host_of(lab.world.bridge("cursor", &[]), handshake());
    let error = match host.greet().await {
        Err(HostError::Rpc(error)) => error.to_string(),
        Ok(_) => match whoami(&host).await {
            Err(HostError::Rpc(error)) => error.to_string(),
            other => panic!("nothing may be sent, yet the answer is {other:?}"),
        },
        Err(other) => panic!("{other:?}"),
    };
    assert!(error.contains("Acme Internal CA") && error.contains("--ca"), "{error}");
    assert_eq!(lab.server.handle().requests().len(), before);
}

#[tokio::test]
async fn a_wrong_name_and_an_ended_certificate_are_refused_even_with_ca() {
    for (certificate, word) in [(Certificate::OtherHost, "not valid for"), (Certificate::Expired, "expired")]
    {
        let lab = Lab::new(Certificate::Good, certificate).await;
        let refused = lab.add(&["--ca", &lab.ca]).await.fails(6);
        assert!(refused.err.contains(word), "{certificate:?}: {refused:?}");
        assert!(lab.server.handle().requests().is_empty(), "nothing was sent");
        // The same of an issuer.
        let lab = Lab::new(certificate, Certificate::Good).await;
        let refused = lab.add(&["--ca", &lab.ca]).await.fails(6);
        assert!(refused.err.contains(word), "{certificate:?}: {refused:?}");
    }
}

#[tokio::test]
async fn an_issuer_behind_it_hears_of_a_sign_out_although_the_server_is_gone() {
    let lab = Lab::new(Certificate::Good, Certificate::Good).await;
    lab.add(&["--ca", &lab.ca]).await.ok();
    let browser = format!("--as ana --ca {}", lab.ca);
    lab.world.login_with(&browser, &["login", SERVER, "--yes"]).await.ok();
    lab.issuer.handle().set(|knobs| knobs.revocation = Availability::Unavailable);
    let removed = lab.world.run(&["servers", "remove", SERVER]).await.ok();
    assert!(removed.err.contains("could not be told yet"), "{removed:?}");
    assert_eq!(lab.world.state()["servers"], serde_json::json!({}));
    lab.issuer.handle().set(|knobs| knobs.revocation = Availability::Open);
    let before = lab.issuer.handle().stats().revocations;
    // The next agent tries at once.
    lab.world.run(&["agent", "stop"]).await.ok();
    lab.world.run(&["status"]).await;
    eventually("the revocation", async || (lab.issuer.handle().stats().revocations > before).then_some(()))
        .await;
    eventually("the end of what is pending", async || {
        (lab.world.state()["revocations"] == serde_json::json!([])).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_authority_of_a_server_can_be_changed_and_its_bridges_follow() {
    let lab = Lab::new(Certificate::Good, Certificate::Good).await;
    lab.add(&["--ca", &lab.ca]).await.ok();
    let browser = format!("--as ana --ca {}", lab.ca);
    lab.world.login_with(&browser, &["login", SERVER, "--yes"]).await.ok();
    let host = lab.world.host("cursor").await;
    assert_eq!(whoami(&host).await.unwrap(), "ana");
    let trust = async |more: &[&str]| lab.world.run(&[&["servers", "trust", SERVER], more].concat()).await;
    let other = lab.world.sandbox.home().join("other.pem");
    std::fs::write(&other, Authority::new("Somebody Else").pem()).unwrap();
    for without in [&["--no-ca"][..], &["--ca", &other.display().to_string()]] {
        trust(without).await.ok();
        let refused = async || match whoami(&host).await {
            Err(HostError::Rpc(error)) => Some(error.to_string()),
            // What was on its way ends as it began.
            _ => None,
        };
        let said = eventually("the refusal", refused).await;
        assert!(said.contains("Acme Internal CA") && said.contains("servers trust tickets"), "{said}");
        let posts = || lab.server.handle().requests().iter().filter(|one| one.http_method == "POST").count();
        let before = posts();
        assert!(refused().await.is_some());
        assert_eq!(posts(), before, "nothing was sent");
        lab.world.run(&["servers", "test", SERVER]).await.fails(6);
    }
    let named = trust(&["--ca", &lab.ca, "--json"]).await.ok().json();
    assert_eq!(named["private_ca"], true);
    let who = eventually("the call", async || whoami(&host).await.ok()).await;
    assert_eq!(who, "ana", "nobody had to sign in again");
    let key = lab.world.sandbox.home().join("key.pem");
    std::fs::write(&key, lab.authority.private_key_pem()).unwrap();
    assert!(trust(&["--ca", &key.display().to_string()]).await.fails(2).err.contains("private key"));
    trust(&[]).await.fails(2);
    assert_eq!(whoami(&host).await.unwrap(), "ana");
}

#[tokio::test]
async fn what_is_no_authority_is_refused_by_name() {
    let lab = Lab::new(Certificate::Good, Certificate::Good).await;
    let home = lab.world.sandbox.home().clone();
    let key = lab.authority.private_key_pem();
    let both = format!("{}{key}", lab.authority.pem());
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let other = Authority::new("Somebody Else").pem();
    for (name, text, code, word) in [
        ("key.pem", key.as_str(), 2, "private key"),
        ("both.pem", &both, 2, "private key"),
        ("empty.pem", "", 2, "no certificate"),
        ("garbage.pem", garbage, 2, "no usable certificate"),
        ("other.pem", &other, 6, "Acme Internal CA"),
    ] {
        let path = home.join(name);
        std::fs::write(&path, text).unwrap();
        let refused = lab.add(&["--ca", &path.display().to_string()]).await.fails(code);
        assert!(refused.err.contains(word), "{name}: {refused:?}");
    }
    let missing = lab.add(&["--ca", &home.join("missing.pem").display().to_string()]).await.fails(2);
    assert!(missing.err.contains("missing.pem"), "{missing:?}");
    assert!(lab.server.handle().requests().is_empty(), "nothing was sent");
    let secret = key.lines().nth(1).unwrap();
    let state = std::fs::read_to_string(lab.world.root().join("state/state.json")).unwrap_or_default();
    assert!(!state.contains(secret), "the private key is in the state");
}
