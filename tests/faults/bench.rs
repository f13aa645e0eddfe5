//! What every fault is tried on: issuer and server behind interposers that lie on demand, a stranger to whom nothing of
//! use may ever come, and the eye that reads everything that reached any of them.

use std::cell::Cell;

use serde_json::{Value, json};
use testbed::authorization_server::{AuthorizationServer, IssuedSecret, Knobs, SecretKind};
use testbed::interposer::{Interposer, Lie, Seen, Where};
use testbed::mcp_server::{Eras, McpServer};
use testbed::sandbox::Sandbox;
use testbed::scanner::{Output, Scanner, Surface, Wanted};

use crate::support::{Ran, World};

/// One home and everything around it.
pub(super) struct Bench {
    pub(super) world: World,
    pub(super) issuer: Interposer,
    pub(super) server: Interposer,
    pub(super) stranger: Interposer,
    /// What was looked through already, at issuer, server and stranger.
    read: [Cell<usize>; 3],
}

impl Bench {
    /// The server is added; nobody is signed in.
    pub(super) async fn new() -> Self {
        let [issuer, server, stranger] =
            [Interposer::start().await, Interposer::start().await, Interposer::start().await]
                .map(|one| one.expect("a free port"));
        let sandbox = Sandbox::new().expect("dbus and gnome-keyring are installed by cargo xtask setup");
        let (behind, address) =
            AuthorizationServer::start_behind(issuer.origin()).await.expect("a free port");
        issuer.handle().pass_on_to(address);
        let (mcp, address) = McpServer::protected_behind(behind.handle(), server.origin(), Eras::Both)
            .await
            .expect("a free port");
        server.handle().pass_on_to(address);
        let world = World { sandbox, issuer: behind, server: mcp };
        let read = [Cell::new(0), Cell::new(0), Cell::new(0)];
        let bench = Self { world, issuer, server, stranger, read };
        bench.knobs(|knobs| knobs.access_token_lifetime = 3600);
        bench.world.add_server().await;
        bench
    }

    /// The same with ana signed in.
    pub(super) async fn with_ana() -> Self {
        let bench = Self::new().await;
        bench.sign_in().await.ok();
        bench
    }

    pub(super) async fn sign_in(&self) -> Ran {
        self.world.login("ana", &["--timeout", "5s"]).await
    }

    pub(super) fn knobs(&self, change: impl FnOnce(&mut Knobs)) {
        self.world.issuer.handle().set(change);
    }

    /// The issuer lies there.
    pub(super) fn lie(&self, place: Where, lie: Lie) {
        self.issuer.handle().tell(place, lie);
    }

    /// All is as it should be again.
    pub(super) fn be_honest(&self) {
        self.issuer.handle().be_honest();
        self.server.handle().be_honest();
        self.knobs(|knobs| *knobs = Knobs { access_token_lifetime: 3600, ..Knobs::default() });
        self.world.server.handle().set(|knobs| *knobs = testbed::mcp_server::Knobs::default());
    }

    /// Lies told so far. `None`: none is to be told.
    pub(super) fn lies_told(&self) -> Option<usize> {
        let fronts = [self.issuer.handle(), self.server.handle()];
        let told = |seen: &Vec<Seen>| seen.iter().filter(|one| one.lied_to).count();
        fronts.iter().any(|one| one.is_lying()).then(|| fronts.iter().map(|one| told(&one.seen())).sum())
    }

    /// A redirect to the stranger.
    pub(super) fn away(&self, status: u16) -> Lie {
        Lie::reply(status, &[("location", &format!("{}/token", self.stranger.origin()))], "")
    }

    /// Secrets where they do not belong, in what has arrived since the last look.
    pub(super) fn leaks(&self) -> Vec<String> {
        let secrets = self.world.issuer.handle().secrets();
        let places = [("issuer", &self.issuer), ("server", &self.server), ("stranger", &self.stranger)];
        let mut leaks = Vec::new();
        for ((name, place), read) in places.into_iter().zip(&self.read) {
            let seen = place.handle().seen();
            for one in &seen[read.replace(seen.len())..] {
                leaks.extend(leaks_in(&secrets, name, one));
            }
        }
        leaks
    }

    /// Whether anybody is bound to anything.
    pub(super) fn is_nobody_bound(&self) -> bool {
        let state = self.world.state();
        state["grants"].as_array().is_none_or(Vec::is_empty)
            && state["accounts"].as_object().is_none_or(serde_json::Map::is_empty)
    }
}

/// What may come where, by the path alone: everything else is a leak.
fn may_come(place: &str, path: &str) -> &'static [SecretKind] {
    use SecretKind::{AccessToken, ClientSecret, Code, RefreshToken, Verifier};
    match (place, path) {
        ("issuer", "/token") => &[Code, Verifier, RefreshToken, ClientSecret],
        ("issuer", "/revoke") => &[AccessToken, RefreshToken, ClientSecret],
        ("issuer", "/userinfo") | ("server", "/mcp") => &[AccessToken],
        _ => &[],
    }
}

fn leaks_in(secrets: &[IssuedSecret], place: &str, seen: &Seen) -> Vec<String> {
    let allowed = may_come(place, &seen.path);
    let wanted = secrets.iter().filter(|secret| !allowed.contains(&secret.kind)).cloned().map(Wanted::from);
    let mut scanner = Scanner::new(wanted).expect("the secrets of the testbed are long");
    let name = format!("{} {} at the {place}", seen.method, seen.path);
    scanner.scan_output(Output { surface: Surface::Stdout, name: &name, bytes: &seen.bytes });
    let report = scanner.report();
    report.findings.iter().map(|found| format!("{} came to {}", found.kind, found.place)).collect()
}

/// A JSON answer.
pub(super) fn json_lie(status: u16, body: &Value) -> Lie {
    Lie::reply(status, &[("content-type", "application/json")], body.to_string())
}

/// A page, as maintenance and captive portals show it.
pub(super) fn page(status: u16) -> Lie {
    let body = "<!doctype html><script>alert(1)</script><h1>Welcome to the hotel</h1>";
    Lie::reply(status, &[("content-type", "text/html")], body)
}

/// JSON that is packed although nobody asked for that.
pub(super) fn packed() -> Lie {
    let bytes = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xab, 0xae, 5, 0, 0x43, 0xbf, 0xa6, 0xa3, 2, 0, 0, 0];
    Lie::reply(200, &[("content-type", "application/json"), ("content-encoding", "gzip")], bytes)
}

/// JSON that is deeper than any document.
pub(super) fn deep() -> Lie {
    let body = format!("{{\"issuer\":{}{}}}", "[".repeat(20_000), "]".repeat(20_000));
    Lie::reply(200, &[("content-type", "application/json")], body)
}

/// JSON that is larger than any document, with its length said beforehand.
pub(super) fn huge() -> Lie {
    json_lie(200, &json!({ "filler": "x".repeat(400_000) }))
}

/// JSON that never ends.
pub(super) fn endless() -> Lie {
    Lie::endless(
        "application/json",
        "{\"filler\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"},",
    )
}

#[tokio::test]
async fn the_eye_finds_each_secret_that_comes_where_it_does_not_belong() {
    let bench = Bench::with_ana().await;
    assert_eq!(bench.leaks(), Vec::<String>::new());
    let secrets = bench.world.issuer.handle().secrets();
    let of = |kind| secrets.iter().find(|secret| secret.kind == kind).expect("it was issued").value.expose();
    let seen = |path: &str, bytes: &str| Seen {
        method: "POST".to_owned(),
        path: path.to_owned(),
        bytes: bytes.as_bytes().to_vec(),
        lied_to: false,
    };
    for (place, path) in
        [("stranger", "/token"), ("server", "/mcp"), ("issuer", "/register"), ("issuer", "/jwks")]
    {
        for kind in [SecretKind::RefreshToken, SecretKind::Code, SecretKind::Verifier] {
            let leaks = leaks_in(&secrets, place, &seen(path, &format!("x={}&y", of(kind))));
            assert_eq!(leaks.len(), 1, "{kind:?} at {place} {path}: {leaks:?}");
        }
    }
    let bearer = format!("authorization: Bearer {}", of(SecretKind::AccessToken));
    assert_eq!(leaks_in(&secrets, "server", &seen("/mcp", &bearer)), Vec::<String>::new());
    assert_eq!(leaks_in(&secrets, "server", &seen("/elsewhere", &bearer)).len(), 1);
    assert_eq!(
        leaks_in(&secrets, "issuer", &seen("/token", of(SecretKind::RefreshToken))),
        Vec::<String>::new()
    );
}
