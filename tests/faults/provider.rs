//! The same against a certified OpenID provider that is not ours, behind an interposer that is.

use std::cell::Cell;
use std::process::Stdio;

use serde_json::{Value, json};
use testbed::interposer::{Interposer, Lie, Seen, Where};
use testbed::scanner::{Output, Scanner, Surface, Wanted};

use super::bench::{endless, json_lie, page};
use super::renewals::Then::{self, Ended, Kept};
use super::{Tried, acts_again, judge, restart, said};
use crate::peers::lab::{Program, get, install, script};
use crate::support::{Ran, SERVER, World, eventually};

/// The provider, a protected server, and a stranger.
struct Lab {
    world: World,
    front: Interposer,
    stranger: Interposer,
    provider: Program,
    server: Program,
    read: Cell<usize>,
}

type SignIn = (&'static str, &'static str, fn(&Lab), &'static str);
type Renewal = (&'static str, &'static str, fn(&Lab), Then);

const METADATA: Where = Where::path("/.well-known/o");
const REGISTER: Where = Where::path("/reg");
const KEYS: Where = Where::path("/jwks");
const CODES: Where = Where { path: "/token", body: "authorization_code" };
const REFRESHES: Where = Where { path: "/token", body: "grant_type=refresh_token" };
const USERINFO: Where = Where::path("/me");

const SIGN_INS: [SignIn; 15] = [
    ("registration of oidc-provider", "a page", |l| l.lie(REGISTER, page(200)), "not JSON"),
    ("registration of oidc-provider", "redirect to a stranger", |l| l.lie(REGISTER, l.away()), "a redirect"),
    (
        "metadata of oidc-provider",
        "another issuer",
        |l| l.edit(METADATA, |d, x| d["issuer"] = x.into()),
        "another one",
    ),
    (
        "metadata of oidc-provider",
        "no PKCE",
        |l| l.edit(METADATA, |d, _| d["code_challenge_methods_supported"] = json!(null)),
        "PKCE",
    ),
    (
        "metadata of oidc-provider",
        "redirect to a stranger",
        |l| l.lie(METADATA, l.away()),
        "publishes no metadata",
    ),
    ("token endpoint of oidc-provider", "redirect to a stranger", |l| l.lie(CODES, l.away()), "redirects"),
    ("token endpoint of oidc-provider", "a page", |l| l.lie(CODES, page(200)), "no usable answer"),
    ("token endpoint of oidc-provider", "503", |l| l.lie(CODES, page(503)), "status 503"),
    ("token endpoint of oidc-provider", "endless", |l| l.lie(CODES, endless()), "longer than"),
    (
        "token endpoint of oidc-provider",
        "answer lost",
        |l| l.lie(CODES, Lie::Lose),
        "did not answer to the end",
    ),
    (
        "token endpoint of oidc-provider",
        "a line break in the access token",
        |l| l.edit(CODES, |d, _| d["access_token"] = "a\r\nb: c".into()),
        "characters that no token may hold",
    ),
    (
        "id_token of oidc-provider",
        "a signature of something else",
        |l| l.edit(CODES, |d, _| d["id_token"] = cut(&d["id_token"]).into()),
        "who signed in",
    ),
    (
        "keys of oidc-provider",
        "no keys",
        |l| l.lie(KEYS, json_lie(200, &json!({"keys": []}))),
        "who signed in",
    ),
    ("keys of oidc-provider", "redirect to a stranger", |l| l.lie(KEYS, l.away()), "publishes no keys"),
    ("keys of oidc-provider", "503", |l| l.lie(KEYS, page(503)), "status 503"),
];

const RENEWALS: [Renewal; 8] = [
    ("token endpoint of oidc-provider", "503", |l| l.lie(REFRESHES, page(503)), Kept("status 503")),
    (
        "token endpoint of oidc-provider",
        "captive portal",
        |l| l.lie(REFRESHES, page(200)),
        Kept("no usable answer"),
    ),
    (
        "token endpoint of oidc-provider",
        "redirect to a stranger",
        |l| l.lie(REFRESHES, l.away()),
        Kept("redirects"),
    ),
    ("token endpoint of oidc-provider", "endless", |l| l.lie(REFRESHES, endless()), Kept("longer than")),
    (
        "token endpoint of oidc-provider",
        "connection dropped",
        |l| l.lie(REFRESHES, Lie::Drop),
        Kept("did not answer"),
    ),
    (
        "userinfo of oidc-provider",
        "503",
        |l| {
            l.edit(REFRESHES, |d, _| d["id_token"] = json!(null));
            l.lie(USERINFO, page(503));
        },
        Kept("cannot say now whose it is"),
    ),
    (
        "token endpoint of oidc-provider",
        "token endpoint moved to a stranger, and invalid_client",
        |l| {
            l.edit(METADATA, |d, x| d["token_endpoint"] = x.into());
            l.lie(REFRESHES, json_lie(401, &json!({"error": "invalid_client"})));
        },
        Ended("does not know this Hallpass any more"),
    ),
    (
        "token endpoint of oidc-provider",
        "answer lost",
        |l| l.front.handle().tell_once(REFRESHES, Lie::Lose),
        Ended("ended this sign-in"),
    ),
];

/// All of them.
pub(super) async fn all() -> Tried {
    let lab = Lab::new().await;
    let mut tried = Tried::default();
    for (surface, fault, plant, says) in SIGN_INS {
        plant(&lab);
        let ran = lab.sign_in().await;
        let mut wrong = lab.leaks().await;
        if ran.code == 0 || !ran.err.contains(says) || !ran.err.contains("next: ") {
            wrong.push(format!("{says:?} is not in {ran:?}"));
        }
        if lab.world.state()["grants"].as_array().is_some_and(|grants| !grants.is_empty()) {
            wrong.push("somebody is bound".to_owned());
        }
        lab.front.handle().be_honest();
        tried.note(surface, fault, "sign-in", wrong);
    }
    lab.sign_in().await.ok();
    let host = lab.world.host("cursor").await;
    for (surface, fault, plant, then) in RENEWALS {
        plant(&lab);
        lab.wait_for_the_end_of_a_token().await;
        let mut wrong = judge(&lab.world, &said(&host).await, then).await;
        lab.front.handle().be_honest();
        if matches!(then, Then::Ended(_)) {
            lab.sign_in().await.ok();
        }
        let after = acts_again(&lab.world, &host).await;
        let is_lost = after.is_some();
        wrong.extend(after);
        wrong.extend(lab.leaks().await);
        tried.note(surface, fault, "renewal", wrong);
        if is_lost {
            return tried;
        }
    }
    tried
}

impl Lab {
    async fn new() -> Self {
        let install = install();
        let world = World::new().await;
        let [front, stranger] =
            [Interposer::start().await, Interposer::start().await].map(|one| one.expect("a port"));
        let mut provider = world.sandbox.command(install.join("bin/node"));
        provider
            .arg(script("oidc_provider.mjs"))
            .env("ACCESS_TOKEN_SECONDS", "5")
            .env("ISSUER", front.origin());
        let provider = Program::start(provider, "listens", &world).await;
        let address =
            provider.address.trim_start_matches("http://").parse().expect("it says where it listens");
        front.handle().pass_on_to(address);
        let mut server = world.sandbox.command(install.join("py/bin/python"));
        server.arg(script("fastmcp_server.py")).args(["--issuer", front.origin()]);
        let server = Program::start(server, "url", &world).await;
        let lab = Self { world, front, stranger, provider, server, read: Cell::new(0) };
        lab.world.run(&["servers", "add", &lab.server.address, "--id", SERVER]).await.ok();
        lab
    }

    fn lie(&self, place: Where, lie: Lie) {
        self.front.handle().tell(place, lie);
    }

    fn edit(&self, place: Where, change: fn(&mut Value, &str)) {
        self.lie(place, Lie::Edit(change, self.stranger.origin().to_owned()));
    }

    fn away(&self) -> Lie {
        Lie::reply(307, &[("location", &format!("{}/away", self.stranger.origin()))], "")
    }

    async fn sign_in(&self) -> Ran {
        let mut command = self.world.hallpass(&["login", SERVER, "--yes", "--as", "ana", "--timeout", "20s"]);
        let python = install().join("py/bin/python");
        command.env("BROWSER", format!("{} {} --as ana", python.display(), script("browser.py").display()));
        command.stdin(Stdio::null());
        self.world.finish(command).await
    }

    /// A new agent, which remembers no attempt, finds a token that is over.
    async fn wait_for_the_end_of_a_token(&self) {
        let now =
            || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |t| t.as_secs());
        eventually("the end of a token", async || {
            let ends = self.world.state()["grants"][0]["expires_at"].as_u64().unwrap_or(0);
            (now() > ends).then_some(())
        })
        .await;
        restart(&self.world).await;
    }

    /// Secrets where they do not belong: anything at the stranger's, and at the provider what its path is not for.
    async fn leaks(&self) -> Vec<String> {
        let issued = get(&format!("{}/_issued", self.provider.address)).await;
        let issued: Vec<(String, String)> = issued
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|one| Some((one["kind"].as_str()?.to_owned(), one["value"].as_str()?.to_owned())))
            .filter(|(_, value)| value.len() >= 12)
            .collect();
        let seen = self.front.handle().seen();
        let mut leaks: Vec<String> = Vec::new();
        for one in &seen[self.read.replace(seen.len())..] {
            let allowed: &[&str] = match one.path.as_str() {
                "/token" => &["code", "code_verifier", "refresh_token", "client_secret"],
                "/token/revocation" => &["access_token", "refresh_token", "client_secret"],
                "/me" => &["access_token"],
                _ => &[],
            };
            leaks.extend(found(&issued, allowed, one));
        }
        for one in self.stranger.handle().seen() {
            leaks.extend(found(&issued, &[], &one));
        }
        leaks
    }
}

fn found(issued: &[(String, String)], allowed: &[&str], seen: &Seen) -> Vec<String> {
    let wanted = issued.iter().filter(|(kind, _)| !allowed.contains(&kind.as_str()));
    let wanted = wanted.map(|(kind, value)| Wanted::new(kind.as_str(), model::Secret::from(value.as_str())));
    let mut scanner = Scanner::new(wanted).expect("short ones are left out");
    scanner.scan_output(Output { surface: Surface::Stdout, name: &seen.path, bytes: &seen.bytes });
    scanner.report().findings.iter().map(|found| format!("{} came to {}", found.kind, found.place)).collect()
}

/// A JWT with the signature of nothing.
fn cut(token: &Value) -> String {
    let token = token.as_str().unwrap_or_default();
    format!("{}.{}", token.rsplit_once('.').map_or("", |(signed, _)| signed), "A".repeat(342))
}
