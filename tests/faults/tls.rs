//! TLS that breaks after the sign-in: another certificate, an ended one, none at all, nobody there.

use testbed::authority::{Authority, Certificate};
use testbed::authorization_server::AuthorizationServer;
use testbed::interposer::{Interposer, Lie};
use testbed::mcp_server::{Eras, McpServer};
use testbed::sandbox::Sandbox;

use super::renewals::{REFRESHES, Then};
use super::{Tried, acts_again, expire, judge, said};
use crate::support::{SERVER, World};

const S: &str = "TLS of the token endpoint";

/// ana has signed in behind a private authority; then the issuer's TLS breaks, and is mended again.
pub(super) async fn at_a_renewal() -> Tried {
    let authority = Authority::new("Acme Internal CA");
    let good = authority.identify(Certificate::Good);
    let sandbox = Sandbox::new().expect("dbus and gnome-keyring are installed by cargo xtask setup");
    let front = Interposer::start_tls(&good).await.expect("a free port");
    let (issuer, address) = AuthorizationServer::start_behind(front.origin()).await.expect("a free port");
    front.handle().pass_on_to(address);
    let server = McpServer::protected_tls(issuer.handle(), &good, Eras::Both).await.expect("a free port");
    let world = World { sandbox, issuer, server };
    world.issuer.handle().set(|knobs| knobs.access_token_lifetime = 3600);
    let ca = world.sandbox.home().join("acme.pem");
    std::fs::write(&ca, authority.pem()).expect("the home is ours");
    let ca = ca.display().to_string();
    world.run(&["servers", "add", &world.server.endpoint(), "--id", SERVER, "--ca", &ca]).await.ok();
    world.login_with(&format!("--as ana --ca {ca}"), &["login", SERVER, "--yes"]).await.ok();
    let host = world.host("cursor").await;
    let mut tried = Tried::default();
    let stranger = Authority::new("Somebody Else");
    for (fault, identity, says) in [
        ("the certificate of another host", authority.identify(Certificate::OtherHost), "not valid for"),
        ("an ended certificate", authority.identify(Certificate::Expired), "expired"),
        ("a certificate of another authority", stranger.identify(Certificate::Good), "certificate"),
    ] {
        front.handle().identify_as(&identity);
        expire(&world).await;
        let before = front.handle().seen().len();
        let mut wrong = judge(&world, &said(&host).await, Then::Kept(says)).await;
        if front.handle().seen().len() != before {
            wrong.push("something was sent".to_owned());
        }
        front.handle().identify_as(&good);
        wrong.extend(acts_again(&world, &host).await);
        tried.note(S, fault, "renewal", wrong);
    }
    front.handle().tell(REFRESHES, Lie::Drop);
    expire(&world).await;
    let mut wrong = judge(&world, &said(&host).await, Then::Kept("did not answer to the end")).await;
    front.handle().be_honest();
    wrong.extend(acts_again(&world, &host).await);
    tried.note(S, "the connection dropped within TLS", "renewal", wrong);
    // Nobody listens there any more.
    drop(front);
    expire(&world).await;
    let wrong = judge(&world, &said(&host).await, Then::Kept("cannot reach")).await;
    tried.note(S, "nobody listens", "renewal", wrong);
    tried
}
