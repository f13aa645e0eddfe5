//! Issuers that are particular about where the browser comes back to, and about what they are sent: a fixed port, the
//! name `localhost`, parameters of their own.

use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};

use testbed::authorization_server::{AuthMethod, Registration};

use crate::support::people::whoami;
use crate::support::{Ran, SERVER, World};

/// A port that nobody has in either family.
pub(crate) fn free_port() -> u16 {
    loop {
        let four = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = four.local_addr().expect("an address").port();
        let six = TcpListener::bind((Ipv6Addr::LOCALHOST, port));
        if six.is_ok() || TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
            return port;
        }
    }
}

/// A client that an administrator registered for this one address, and no other.
async fn add_registered(world: &World, client: &Registration, more: &[&str]) -> Ran {
    let endpoint = world.server.endpoint();
    let add = ["servers", "add", &endpoint, "--id", SERVER, "--client-id", &client.id];
    world.run(&[&add[..], more].concat()).await
}

/// The address that a sign-in would open, by printing it and waiting for nobody.
async fn opened(world: &World) -> String {
    let ran = world.run(&["login", SERVER, "--yes", "--no-browser", "--timeout", "1s"]).await.fails(1);
    let line = ran.err.lines().find(|line| line.contains("/authorize?"));
    line.unwrap_or_else(|| panic!("no address in {ran:?}")).trim().to_owned()
}

#[tokio::test]
async fn an_issuer_that_knows_one_exact_address_is_given_that_one() {
    for host in ["127.0.0.1", "localhost"] {
        let world = World::new().await;
        let port = free_port();
        let redirect = format!("http://{host}:{port}/callback");
        let client = world.issuer.handle().preregister(&[&redirect], AuthMethod::None);
        add_registered(&world, &client, &[]).await.ok();
        // Not set yet: the issuer refuses in the browser, and nobody comes back.
        let ran = world.login_with("--as ana", &["login", SERVER, "--yes", "--timeout", "2s"]).await.fails(1);
        assert!(ran.err.contains("did not come back"), "{ran:?}");
        let number = port.to_string();
        let set = ["servers", "set", SERVER, "--redirect-port", &number, "--redirect-host", host];
        world.run(&set).await.ok();
        let shown = world.run(&["servers", "show", SERVER]).await.ok();
        assert!(shown.out.contains(&redirect), "{}", shown.out);
        world.login("ana", &[]).await.ok();
        assert_eq!(whoami(&world.host("cursor").await).await.expect("she acts"), "ana");
        // Any port again, and what was not named stays.
        world.run(&["servers", "set", SERVER, "--redirect-port", "any"]).await.ok();
        let view = world.run(&["servers", "show", SERVER, "--json"]).await.ok().json();
        let name = if host == "localhost" { "localhost" } else { "literal" };
        assert_eq!(view["registration"]["redirect"].get("port"), None, "{view}");
        assert_eq!(view["registration"]["redirect"]["host"].as_str().unwrap_or("literal"), name);
    }
}

#[tokio::test]
async fn a_fixed_port_that_another_program_has_is_said_in_one_sentence_and_nothing_is_started() {
    let world = World::new().await;
    let port = free_port();
    let number = port.to_string();
    let redirect = format!("http://localhost:{port}/callback");
    let client = world.issuer.handle().preregister(&[&redirect], AuthMethod::None);
    let fixed = ["--redirect-port", &number, "--redirect-host", "localhost"];
    add_registered(&world, &client, &fixed).await.ok();
    // In one family alone, too: a browser might ask there.
    for held in
        [TcpListener::bind((Ipv4Addr::LOCALHOST, port)), TcpListener::bind((Ipv6Addr::LOCALHOST, port))]
    {
        let Ok(_held) = held else { continue };
        let ran = world.login("ana", &[]).await.fails(1);
        let words =
            format!("port {port} of this machine, to which the browser comes back from {SERVER}, is in use");
        assert!(
            ran.err.contains(&words) && ran.err.contains("servers set tickets --redirect-port"),
            "{ran:?}"
        );
        assert_eq!(world.issuer.handle().stats().authorization_requests, 0);
    }
    world.login("ana", &[]).await.ok();
}

#[tokio::test]
async fn what_an_issuer_wants_besides_is_sent_and_never_in_place_of_the_protocols_own() {
    let world = World::new().await;
    let endpoint = world.server.endpoint();
    for (bad, words) in [
        ("redirect_uri=https://evil.example", "the sign-in needs it itself"),
        ("code_challenge=x", "the sign-in needs it itself"),
        ("hint=ghp_0123456789abcdefghijABCDEFGHIJ012345", "looks like a secret"),
    ] {
        let ran = world
            .run(&["servers", "add", &endpoint, "--id", SERVER, "--authorize-param", bad])
            .await
            .fails(2);
        assert!(ran.err.contains(words) && !ran.err.contains("ghp_"), "{ran:?}");
    }
    let add = ["servers", "add", &endpoint, "--id", SERVER, "--authorize-param"];
    world
        .run(&[&add[..], &["access_type=offline", "--authorize-param", "audience=urn:a b"]].concat())
        .await
        .ok();
    let url = opened(&world).await;
    assert!(url.contains("access_type=offline") && url.contains("audience=urn%3Aa+b"), "{url}");
    // A new value takes the place of all; they live on in the state until they are taken back.
    world.run(&["servers", "set", SERVER, "--authorize-param", "access_type=online"]).await.ok();
    world.run(&["agent", "stop"]).await.ok();
    let url = opened(&world).await;
    assert!(url.contains("access_type=online") && !url.contains("audience="), "{url}");
    world.run(&["servers", "set", SERVER, "--no-authorize-params"]).await.ok();
    let url = opened(&world).await;
    assert!(!url.contains("access_type"), "{url}");
    world.run(&["servers", "set", SERVER]).await.fails(2);
    world.login("ana", &[]).await.ok();
}
