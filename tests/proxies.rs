//! The network that people have: proxies that open tunnels, want a password, refuse or fall silent; authorities in between.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::process::Command;

use testbed::authority::{Authority, Certificate};
use testbed::authorization_server::AuthorizationServer;
use testbed::mcp_server::{Eras, McpServer};
use testbed::proxy::{Manner, Proxy};
use testbed::scanner::{Wanted, scan_sandbox};

use crate::support::people::{refusal, whoami};
use crate::support::{Ran, SERVER, World, eventually, testbed_program};

const PASSWORD: &str = "pr0xy-passw0rd-of-ana";

/// Issuer and server with names that only a proxy knows, behind an authority that the person trusts for them.
struct Lab {
    world: World,
    proxy: Proxy,
    authority: Authority,
    issuer: AuthorizationServer,
    server: McpServer,
    ca: String,
}

impl Lab {
    async fn new() -> Self {
        let world = World::new().await;
        let authority = Authority::new("Acme Internal CA");
        let ca = world.sandbox.home().join("acme.pem");
        std::fs::write(&ca, authority.pem()).unwrap();
        let named = authority.identify(Certificate::Named);
        let issuer = AuthorizationServer::start_tls(&named).await.unwrap();
        let server = McpServer::protected_tls(issuer.handle(), &named, Eras::Both).await.unwrap();
        let proxy = Proxy::start().await.unwrap();
        Self { world, proxy, authority, issuer, server, ca: ca.display().to_string() }
    }

    /// With the server added and ana signed in, through the proxy at this address.
    async fn with_ana(proxy: impl Fn(&Proxy) -> String) -> (Self, String) {
        let lab = Self::new().await;
        let address = proxy(&lab.proxy);
        lab.run(&address, &["servers", "add", &lab.server.endpoint(), "--id", SERVER, "--ca", &lab.ca])
            .await
            .ok();
        lab.run(&address, &["login", SERVER, "--yes"]).await.ok();
        (lab, address)
    }

    /// A command in a session with this proxy.
    async fn run(&self, proxy: &str, args: &[&str]) -> Ran {
        self.run_with(&[("HTTPS_PROXY", proxy)], args).await
    }

    async fn run_with(&self, variables: &[(&str, &str)], args: &[&str]) -> Ran {
        let mut command: Command = self.world.hallpass(args);
        let browser = format!("{} browser --as ana --ca {}", testbed_program().display(), self.ca);
        command.env("BROWSER", browser).envs(variables.iter().copied());
        self.world.finish(command).await
    }

    fn opened(&self, url: &str) -> usize {
        let authority = url.trim_start_matches("https://").split('/').next().unwrap_or_default();
        self.proxy.asked().iter().filter(|one| one.authority == authority && one.opened).count()
    }
}

#[tokio::test]
async fn everything_goes_through_the_proxy_of_the_session() {
    let (lab, address) = Lab::with_ana(Proxy::url).await;
    assert!(lab.opened(lab.issuer.issuer()) > 0 && lab.opened(&lab.server.endpoint()) > 0);
    let before = lab.opened(&lab.server.endpoint());
    // The host strips the environment: what the session told is what holds, in another agent too.
    lab.world.run_agent_stop().await;
    let host = lab.world.host("cursor").await;
    assert_eq!(whoami(&host).await.unwrap(), "ana");
    assert!(lab.opened(&lab.server.endpoint()) > before);
    let refreshes = lab.issuer.handle().stats().refreshes;
    lab.issuer.handle().expire_access_tokens();
    assert_eq!(whoami(&host).await.unwrap(), "ana");
    assert!(lab.issuer.handle().stats().refreshes > refreshes);
    let doctor = lab.run(&address, &["doctor"]).await;
    assert!(doctor.out.contains(&format!("https_proxy {address}")), "{doctor:?}");
}

#[tokio::test]
async fn a_session_without_a_proxy_takes_none_away_and_an_empty_variable_does() {
    let (lab, _address) = Lab::with_ana(Proxy::url).await;
    let recorded = || lab.world.state()["environment"]["proxies"].clone();
    let before = recorded();
    assert!(before["https_proxy"].as_str().is_some_and(|text| !text.is_empty()), "{before}");
    // A remote shell, say, or a job of the night.
    lab.world.run(&["servers", "test", SERVER]).await.ok();
    assert_eq!(recorded(), before);
    lab.world.run_agent_stop().await;
    lab.world.run(&["servers", "test", SERVER]).await.ok();
    lab.run_with(&[("NO_PROXY", ".corp.example")], &["status"]).await;
    assert_eq!(recorded(), before);
    lab.run("", &["servers", "test", SERVER]).await.fails(6);
    assert_eq!(recorded()["https_proxy"], "");
}

#[tokio::test]
async fn a_name_that_no_proxy_shall_carry_is_not_asked_of_it() {
    let lab = Lab::new().await;
    let (url, endpoint) = (lab.proxy.url(), lab.server.endpoint());
    let add = ["servers", "add", endpoint.as_str(), "--id", SERVER, "--ca", lab.ca.as_str()];
    lab.run_with(&[("HTTPS_PROXY", &url), ("NO_PROXY", ".corp.example")], &add).await.fails(6);
    assert_eq!(lab.proxy.asked(), []);
    // The one for https is taken before the one for everything.
    lab.run_with(&[("ALL_PROXY", "http://127.0.0.1:9"), ("HTTPS_PROXY", &url)], &add).await.ok();
    assert!(lab.opened(&endpoint) > 0);
}

#[tokio::test]
async fn a_proxy_s_password_is_used_and_lies_in_the_keychain_alone() {
    let lab = Lab::new().await;
    lab.proxy.set(Manner::Basic { user: "ana".into(), password: PASSWORD.into() });
    let (with, without) = (lab.proxy.url_for("ana", PASSWORD), lab.proxy.url());
    let endpoint = lab.server.endpoint();
    let add = ["servers", "add", endpoint.as_str(), "--id", SERVER, "--ca", lab.ca.as_str()];
    let refused = lab.run(&without, &add).await.fails(6);
    assert!(refused.err.contains("proxy"), "{refused:?}");
    lab.run(&with, &add).await.ok();
    lab.run(&with, &["login", SERVER, "--yes"]).await.ok();
    // An agent that a bridge starts has no session to ask, and yet the proxy lets it through.
    lab.world.run_agent_stop().await;
    let host = lab.world.host("cursor").await;
    assert_eq!(whoami(&host).await.unwrap(), "ana");
    lab.issuer.handle().expire_access_tokens();
    assert_eq!(whoami(&host).await.unwrap(), "ana");
    let proxies = lab.world.state()["environment"]["proxies"].clone();
    assert_eq!(proxies["https_proxy"].as_str().unwrap().trim_end_matches('/'), without);
    let doctor = lab.run(&with, &["doctor"]).await;
    assert!(doctor.out.contains("password are in the keychain"), "{doctor:?}");
    let status = lab.run(&with, &["status", "--json"]).await;
    for said in [&doctor, &status] {
        assert!(!said.out.contains(PASSWORD) && !said.err.contains(PASSWORD), "{said:?}");
    }
    // An agent that finds the keychain locked goes without, loses nothing, and has it when it is unlocked.
    lab.world.run_agent_stop().await;
    lab.world.sandbox.lock_keychain().unwrap();
    assert!(refusal(&host).await.contains("locked"));
    lab.world.sandbox.unlock_keychain().unwrap();
    assert_eq!(eventually("ana", async || whoami(&host).await.ok()).await, "ana");
    let report = scan_sandbox(&lab.world.sandbox, [Wanted::new("proxy", PASSWORD.into())], &[]).unwrap();
    assert_eq!(report.broken(), Vec::<String>::new(), "the canary is found");
    assert_eq!(report.findings, [], "nothing of it lies anywhere");
}

#[tokio::test]
async fn whatever_a_proxy_says_no_with_keeps_the_sign_in() {
    let (lab, address) = Lab::with_ana(Proxy::url).await;
    let host = lab.world.host("cursor").await;
    assert_eq!(whoami(&host).await.unwrap(), "ana");
    let before = lab.world.state()["grants"][0]["state"].clone();
    let basic = Manner::Basic { user: "other".into(), password: "other".into() };
    for manner in [Manner::Refuse(403), basic, Manner::Refuse(502), Manner::Drop] {
        lab.proxy.set(manner.clone());
        lab.issuer.handle().expire_access_tokens();
        let said = refusal(&host).await;
        assert!(!said.contains("hallpass login"), "{manner:?}: {said}");
        assert_eq!(lab.world.state()["grants"][0]["state"], before, "{manner:?}");
        let refused = lab.run(&address, &["servers", "test", SERVER]).await;
        assert_eq!(refused.code, 6, "{manner:?}: {refused:?}");
        lab.proxy.set(Manner::Open);
        assert_eq!(eventually("ana", async || whoami(&host).await.ok()).await, "ana", "{manner:?}");
    }
    let stats = lab.issuer.handle().stats();
    assert_eq!((stats.families_revoked, stats.code_exchanges), (0, 1));
}

#[tokio::test]
async fn the_doctor_names_who_vouches_for_a_connection_and_whom_nobody_trusts() {
    let (lab, address) = Lab::with_ana(Proxy::url).await;
    let doctor = lab.run(&address, &["doctor"]).await.ok();
    assert!(doctor.out.contains("\"Acme Internal CA\", a private one that is trusted"), "{doctor:?}");
    assert!(doctor.out.contains(lab.issuer.issuer()), "the issuer is looked at too: {doctor:?}");
    // Somebody sits in the middle, with certificates of another authority.
    let middle = Authority::new("Nosy Proxy Root");
    let other = lab.world.sandbox.home().join("other.pem");
    std::fs::write(&other, middle.pem()).unwrap();
    lab.run(&address, &["servers", "trust", SERVER, "--ca", other.to_str().unwrap()]).await.ok();
    let doctor = lab.run(&address, &["doctor"]).await.fails(1);
    let found = doctor.out.lines().find(|line| line.contains("PROBLEM") && line.contains("connection"));
    assert!(
        found.is_some_and(|line| line.contains("Acme Internal CA") && line.contains("read along")),
        "{doctor:?}"
    );
    assert!(doctor.out.contains(&format!("hallpass servers trust {SERVER} --ca")), "{doctor:?}");
    assert!(lab.authority.pem() != middle.pem());
    lab.proxy.set(Manner::Refuse(403));
    let doctor = lab.run(&address, &["doctor", "--json"]).await.fails(1).json();
    let kept = doctor["checks"].as_array().unwrap().iter().any(|check| {
        check["state"] == "problem"
            && check["found"].as_str().is_some_and(|text| text.contains("sign-ins are kept"))
    });
    assert!(kept, "{doctor}");
}

impl World {
    /// The next command or bridge starts another one.
    async fn run_agent_stop(&self) {
        self.run(&["agent", "stop"]).await.ok();
    }
}
