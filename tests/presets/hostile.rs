//! What a hostile or broken publisher, or whoever stands in between, can serve in the place of a list: each is
//! refused or shown as said, and the list in force stays in force.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use testbed::authority::Certificate;
use testbed::file_server::{Body, FileServer, Page};

use super::lab::{LIST, Lab, PATH, TITLE, followed};
use crate::support::people::whoami;
use crate::support::{SERVER, eventually};

/// What is served, and a word that the refusal must hold.
struct Case {
    name: &'static str,
    list: Page,
    signature: Option<Page>,
    says: &'static str,
}

/// The serial of the list in force.
const SERIAL: u64 = 5;

#[tokio::test]
async fn whatever_is_served_in_its_place_the_list_in_force_stays_in_force() {
    let lab = Lab::new().await;
    let world = &lab.world;
    lab.publish(&lab.list(SERIAL)).await;
    lab.subscribe(world, &["--yes"]).await.ok();
    lab.login(world, "ana", SERVER).await.ok();
    let host = world.host("cursor").await;
    assert_eq!(whoami(&host).await.unwrap(), "ana");
    let servers = eventually("the server's era", async || {
        let servers = world.state()["servers"].clone();
        servers[SERVER]["era"].is_string().then_some(servers)
    })
    .await;
    assert!(servers.get(SERVER).is_some());
    let ratchet = world.state()["presets"][LIST]["seen"].clone();
    let other = FileServer::start_tls(&lab.authority.identify(Certificate::Good)).await.unwrap();
    put(&other, &lab, &lab.list(SERIAL + 1));
    let cases = cases(&lab, &other);
    let all = cases.len();
    assert!(all >= 45, "only {all} cases");
    let mut refused = 0;
    let mut names: Vec<_> = cases.iter().map(|case| case.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), cases.len(), "a case stands twice");
    for case in cases {
        let Case { name, list, signature, says } = case;
        lab.files.put(PATH, list);
        match signature {
            Some(signature) => lab.files.put(&format!("{PATH}.minisig"), signature),
            None => lab.files.remove(&format!("{PATH}.minisig")),
        }
        for ran in [lab.update(world, &["--yes"]).await, lab.subscribe(world, &["--yes"]).await] {
            assert!(ran.code == 1 || ran.code == 6, "{name}: {ran:?}");
            let text = ran.err.to_lowercase();
            assert!(text.contains(&says.to_lowercase()), "{name}: no {says:?} in {ran:?}");
            assert!(text.contains("next:"), "{name} has no next step: {ran:?}");
            for secret in secrets() {
                assert!(
                    !ran.err.contains(&secret) && !ran.out.contains(&secret),
                    "{name} repeats a secret: {ran:?}"
                );
            }
        }
        let now = followed(world).await;
        assert_eq!((&now["serial"], &now["title"]), (&json!(SERIAL), &json!(TITLE)), "{name}: {now}");
        assert_eq!(now["waiting"], Value::Null, "{name}: {now}");
        assert!(now["problem"].as_str().is_some_and(|text| !text.is_empty()), "{name}: {now}");
        let state = world.state();
        assert_eq!(state["servers"], servers, "{name} changed a server");
        assert_eq!(state["presets"][LIST]["seen"], ratchet, "{name} moved the ratchet");
        assert_eq!(state["presets"][LIST]["in_force"], ratchet, "{name} took the place of the list");
        assert_eq!(whoami(&host).await.unwrap(), "ana", "{name}");
        refused += 1;
    }
    assert_eq!(refused, all);
    println!(
        "hostile lists: {refused} of {all} refused, by update and by subscribe, the list in force after each"
    );
    // Another list of the same publisher does not take its place; it can be followed by its own.
    let mut other_list = lab.list(SERIAL + 1);
    other_list["_meta"]["dev.hallpass/list"]["id"] = json!("com.acme/other");
    lab.publish_bytes(&serde_json::to_vec(&other_list).unwrap());
    let refused = lab.update(world, &["--yes"]).await.fails(1);
    assert!(refused.err.contains("another list"), "{refused:?}");
    assert_eq!(world.state()["servers"], servers);
    // And the list itself is good again.
    lab.publish(&lab.list(SERIAL)).await;
    let healed = lab.update(world, &[]).await.ok();
    assert!(healed.out.contains("nothing to change"), "{healed:?}");
    assert_eq!(followed(world).await["problem"], Value::Null);
}

#[tokio::test]
async fn what_changes_whom_a_person_deals_with_is_shown_and_waits() {
    let lab = Lab::new().await;
    let world = &lab.world;
    let named = |name: &str, url: &str| {
        let mut entry = lab.entry(url);
        entry["server"]["name"] = json!(name);
        entry
    };
    let docs = named("com.acme/docs", "https://mcp.acme.example/mcp");
    lab.publish(&lab.list_of(SERIAL, &[lab.entry(&lab.server.endpoint()), docs.clone()])).await;
    lab.subscribe(world, &["--yes"]).await.ok();
    lab.login(world, "ana", SERVER).await.ok();
    let servers = world.state()["servers"].clone();
    let moved = lab.another_server().await;
    let with = |change: &dyn Fn(&mut Value)| {
        let mut entry = lab.entry(&lab.server.endpoint());
        change(&mut entry["_meta"]["dev.hallpass/server"]);
        entry
    };
    let at = |url: &str| vec![lab.entry(url)];
    let twin = named("com.acme/twin", "https://twin.example/mcp");
    let cases: Vec<(&str, Vec<Value>, &[&str])> = vec![
        ("moved URL", at(&moved.endpoint()), &["MOVED", "nobody is signed in there"]),
        ("a look-alike host", at("https://rncp.acme.example/mcp"), &["MOVED", "looks like mcp.acme.example"]),
        (
            "a host behind a known name",
            at("https://mcp.acme.example.evil.example/"),
            &["MOVED", "looks like mcp"],
        ),
        ("a host in another script", at("https://xn--80ak6aa92e.example/mcp"), &["MOVED", "is written"]),
        (
            "other issuer",
            vec![with(&|ours| ours["oauth"]["issuer"] = json!("https://login.example"))],
            &["MOVED", "sign-in at https://login.example"],
        ),
        ("issuer no longer pinned", vec![with(&|ours| ours["oauth"] = json!({}))], &["MOVED"]),
        ("other client id", vec![with(&|ours| ours["oauth"]["clientId"] = json!("other"))], &["MOVED"]),
        (
            "a second server",
            vec![lab.entry(&lab.server.endpoint()), twin],
            &["add", "https://twin.example/mcp"],
        ),
        ("it became mandatory", vec![with(&|ours| ours["mandatory"] = json!(true))], &["cannot be removed"]),
        ("the server is gone", vec![], &["no longer on the list; it stays"]),
    ];
    let mut serial = SERIAL;
    let (all, mut shown_as_said) = (cases.len(), 0);
    for (name, entries, says) in cases {
        serial += 1;
        let list = lab.list_of(serial, &[entries, vec![docs.clone()]].concat());
        lab.publish_bytes(&serde_json::to_vec(&list).unwrap());
        let shown = lab.update(world, &[]).await.fails(2);
        for word in says {
            assert!(shown.out.contains(word), "{name}: no {word:?} in {shown:?}");
        }
        let now = followed(world).await;
        assert_eq!(now["serial"], SERIAL, "{name}: {now}");
        assert_eq!(world.state()["servers"], servers, "{name} changed a server without a yes");
        assert_eq!(world.state()["grants"][0]["server"], SERVER, "{name}");
        shown_as_said += 1;
    }
    println!(
        "lists that change with whom a person deals: {shown_as_said} of {all} shown, none in force without a yes"
    );
    // What was seen is seen: an older one does not come back, although nobody has said yes to the newer.
    lab.publish(&lab.list(SERIAL + 1)).await;
    let old = lab.update(world, &["--yes"]).await.fails(1);
    assert!(old.err.contains("older list"), "{old:?}");
    let bearing =
        moved.handle().requests().iter().any(|one| one.header_names.iter().any(|n| n == "authorization"));
    assert!(!bearing, "a token went to the moved URL");
}

#[tokio::test]
async fn a_list_that_nobody_signs_is_shown_as_such_and_rules_nothing() {
    let lab = Lab::new().await;
    let world = &lab.world;
    let mut list = lab.list(1);
    list["servers"][0]["_meta"]["dev.hallpass/server"]["mandatory"] = json!(true);
    lab.files.put(PATH, Page::json(list.to_string()));
    let (url, ca) = (lab.files.url(PATH), lab.give_authority(world));
    let subscribe = ["presets", "subscribe", &url, "--ca", &ca];
    let shown = world.run(&subscribe).await.fails(2);
    assert!(shown.out.contains("unverified"), "{shown:?}");
    world.run(&[&subscribe[..], &["--yes"]].concat()).await.ok();
    let added = world.run(&["servers", "show", SERVER, "--json"]).await.ok().json();
    assert_eq!(
        (&added["private_network"], &added["private_ca"]),
        (&json!(false), &json!(false)),
        "nobody vouches for the list: it widens neither network nor trust"
    );
    list["_meta"]["dev.hallpass/list"]["serial"] = json!(2);
    list["servers"][0]["_meta"]["dev.hallpass/server"]["revoked"] = json!({"reason": "because"});
    lab.files.put(PATH, Page::json(list.to_string()));
    let waits = lab.update(world, &[]).await;
    assert!(waits.out.contains("CLOSED"), "{waits:?}");
    assert_ne!(world.status().await["servers"][0]["state"], "blocked", "it closes nothing by itself");
    world.run(&["servers", "remove", SERVER]).await.ok();
    // The key makes it a signed one.
    lab.publish(&lab.list(3)).await;
    lab.subscribe(world, &["--yes"]).await.ok();
    assert!(followed(world).await["key_words"].is_string());
    lab.files.remove(&format!("{PATH}.minisig"));
    let unsigned = lab.update(world, &["--yes"]).await.fails(1);
    assert!(unsigned.err.contains("no signature"), "{unsigned:?}");
}

/// Values that look like secrets and are none.
fn secrets() -> [String; 3] {
    [format!("ghp_{}", "a1B2c3D4e5F6".repeat(3)), "hunter2hunter2".to_owned(), jwt()]
}

fn jwt() -> String {
    let part = |text: &str| STANDARD.encode(text).replace('=', "");
    format!("{}.{}.{}", part("{\"alg\":\"HS256\"}"), part("{\"sub\":\"ana\"}"), "s".repeat(43))
}

fn put(server: &FileServer, lab: &Lab, list: &Value) {
    let bytes = serde_json::to_vec(list).unwrap();
    server.put(&format!("{PATH}.minisig"), Page::text(lab.secret.sign(&bytes, "c").unwrap()));
    server.put(PATH, Page::json(bytes));
}

fn cases(lab: &Lab, other: &FileServer) -> Vec<Case> {
    let next = serde_json::to_vec(&lab.list(SERIAL + 1)).unwrap();
    let good = lab.secret.sign(&next, "serial 6").unwrap();
    let made = preset::generate(preset::Protection::None).unwrap();
    let stranger = preset::SecretKey::open(&made.secret_file, None).unwrap();
    let mut cases = Vec::new();
    let mut case = |name, list: Page, signature: Option<String>, says| {
        cases.push(Case { name, list, signature: signature.map(Page::text), says });
    };
    // Who signed, and what.
    let mut announces = lab.list(SERIAL + 1);
    announces["_meta"]["dev.hallpass/list"]["nextKeys"] = json!([made.public.as_str()]);
    let announces = serde_json::to_vec(&announces).unwrap();
    let by_stranger = stranger.sign(&announces, "c").unwrap();
    case("a stranger announces their own key", Page::json(announces), Some(by_stranger), "another key");
    let by_stranger = stranger.sign(&next, "c").unwrap();
    case("wrong key", Page::json(next.clone()), Some(by_stranger), "another key");
    let of_other = lab.secret.sign(b"other bytes", "c").unwrap();
    case("swapped signature", Page::json(next.clone()), Some(of_other), "does not fit");
    let stolen = good.replace("serial 6", "serial 7");
    case("stolen trusted comment", Page::json(next.clone()), Some(stolen), "does not fit");
    case("legacy signature", Page::json(next.clone()), Some(legacy(&good)), "legacy");
    case("missing signature", Page::json(next.clone()), None, "no signature");
    case("a page as signature", Page::json(next.clone()), Some("<html></html>".into()), "not a minisign");
    case("endless signature", Page::json(next.clone()), Some("x".repeat(100_000)), "longer than");
    let mut flipped = next.clone();
    *flipped.last_mut().unwrap() = b' ';
    case("changed bytes", Page::json(flipped), Some(good.clone()), "does not fit");
    let secret = format!("token {}", secrets()[0]);
    let with_comment = lab.secret.sign(&next, &secret).unwrap();
    case("a secret in the trusted comment", Page::json(next.clone()), Some(with_comment), "comment");

    // How it is served.
    let signed = || Some(good.clone());
    let to = |status, location: &str| Page::status(status).header("location", location);
    case("cross-host redirect", to(302, &other.url(PATH)), signed(), "not followed");
    let name = lab.files.url(PATH).replace("127.0.0.1", "localhost");
    case("redirect to another name of the host", to(308, &name), signed(), "not followed");
    case("http redirect", to(301, "http://127.0.0.1:1/list"), signed(), "not followed");
    case("redirect in circles", to(302, PATH), signed(), "circles");
    case("redirect to nowhere", Page::status(302), signed(), "circles");
    case("oversize", Page::json(vec![b' '; 1024 * 1024 + 1]), signed(), "longer than");
    case("endless body", Page::json("").body(Body::Endless), signed(), "longer than");
    let bomb = Page::json(vec![0x1f, 0x8b, 8, 0]).header("content-encoding", "gzip");
    case("compression bomb", bomb, signed(), "compressed");
    let page = Page::text("<!doctype html>").header("content-type", "text/html; charset=utf-8");
    case("a web page", page, signed(), "web page");
    case("500", Page::status(500), signed(), "500");
    case("403", Page::status(403), signed(), "403");
    case("nothing there", Page::status(404), signed(), "no list");
    case("304 lie", Page::status(304), signed(), "nothing has changed, although");
    case("cut connection", Page::json("").body(Body::Cut), signed(), "cannot be fetched");
    case("an empty file", Page::json(""), Some(lab.secret.sign(b"", "c").unwrap()), "list");

    // What it says, with a signature that holds.
    let mut signed = |name, bytes: Vec<u8>, says| {
        let signature = lab.secret.sign(&bytes, "c").unwrap();
        case(name, Page::json(bytes), Some(signature), says);
    };
    let text = |list: &Value| serde_json::to_vec(list).unwrap();
    let changed = |pointer: &str, value: Value| {
        let mut list = lab.list(SERIAL + 1);
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        list.pointer_mut(parent).unwrap()[field.replace("~1", "/")] = value;
        text(&list)
    };
    signed("rollback", text(&lab.list(SERIAL - 1)), "older list");
    let mut same = lab.list(SERIAL);
    same["servers"][0]["server"]["title"] = json!("Other");
    signed("same serial, other bytes", text(&same), "ALARM");
    signed("expired", changed("/_meta/dev.hallpass~1list/expires", json!("2026-01-02T00:00:00Z")), "ended");
    let mut nameless = lab.list(SERIAL + 1);
    nameless.as_object_mut().unwrap().remove("_meta");
    signed("no serial at all", text(&nameless), "which serial");
    let keys: Vec<String> =
        (0..3).map(|_| preset::generate(preset::Protection::None).unwrap().public.to_string()).collect();
    signed("three next keys", changed("/_meta/dev.hallpass~1list/nextKeys", json!(keys)), "two keys");
    let many: Vec<Value> = (0..=preset::MAX_SERVERS)
        .map(|n| json!({"server": {"name": format!("com.acme/s{n}"), "version": "1.0.0"}}))
        .collect();
    signed("more servers than a list may name", changed("/servers", json!(many)), "at most 1000 servers");
    signed("not JSON", b"serial: 6".to_vec(), "not JSON");
    signed("an array", b"[]".to_vec(), "format");
    signed("deep nesting", [b"[".repeat(5000), b"]".repeat(5000)].concat(), "deep");
    let twice = String::from_utf8(text(&lab.list(SERIAL + 1))).unwrap();
    let twice = twice.replacen("\"servers\":", "\"servers\":[],\"servers\":", 1);
    signed("duplicate keys", twice.into_bytes(), "twice");
    let mut invalid = text(&lab.list(SERIAL + 1));
    let at = invalid.windows(4).position(|part| part == b"Acme").unwrap();
    invalid[at] = 0xff;
    signed("invalid UTF-8", invalid, "not JSON");
    let ours = "/servers/0/_meta/dev.hallpass~1server";
    signed(
        "a field that we do not know",
        changed(&format!("{ours}/autoApprove"), json!(true)),
        "autoApprove",
    );
    signed("a client secret", changed(&format!("{ours}/oauth/clientSecret"), json!("x")), "clientSecret");
    let rule = changed(ours, json!({"account": {"emailDomains": ["acme.example"]}}));
    signed("a rule about accounts without an issuer", rule, "P07");

    // A secret, in each place where one could hide.
    let remote = "/servers/0/server/remotes/0";
    let [key, word, jwt] = secrets();
    signed("plain http", changed(&format!("{remote}/url"), json!("http://mcp.acme.example/mcp")), "P06");
    let url = format!("https://ana:{word}@mcp.acme.example/mcp");
    signed("a secret as user information", changed(&format!("{remote}/url"), json!(url)), "P03");
    let url = format!("https://mcp.acme.example/mcp?access_token={word}");
    signed("a secret in a query", changed(&format!("{remote}/url"), json!(url)), "P03");
    let header = |name: &str, value: &str| json!([{"name": name, "value": value}]);
    let headers = format!("{remote}/headers");
    let bearer = header("Authorization", &format!("Bearer {jwt}"));
    signed("a secret in a header", changed(&headers, bearer), "P02");
    signed("a secret in X-Api-Key", changed(&headers, header("X-Api-Key", &word)), "P02");
    signed("a key in a harmless header", changed(&headers, header("X-Tenant", &key)), "P04");
    let preset_secret = json!([{"name": "X-Team", "isSecret": true, "value": "acme"}]);
    signed("a secret with a value", changed(&headers, preset_secret), "P01");
    let default = json!([{"name": "X-Team", "isSecret": true, "default": "acme"}]);
    signed("a secret with a default", changed(&headers, default), "P01");
    let package = |more: Value| {
        let mut package = json!({"registryType": "npm", "identifier": "x", "version": "1.0.0"});
        package.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        changed("/servers/0/server/packages", json!([package]))
    };
    let env = json!({"environmentVariables": [{"name": "API_TOKEN", "value": word}]});
    signed("a secret in the environment", package(env), "P05");
    let argv = json!({"packageArguments": [{"type": "named", "name": "--api-key", "value": word}]});
    signed("a secret in argv", package(argv), "P05");
    let description = json!(format!("Use {key} to sign in"));
    signed("a secret in a description", changed("/servers/0/server/description", description), "P04");
    signed("a secret in a title", changed("/_meta/dev.hallpass~1list/title", json!(jwt)), "P04");
    let pem = json!({"note": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"});
    signed("a key in somebody else's metadata", changed("/servers/0/_meta/org.other", pem), "P04");
    cases
}

/// The same signature as minisign's legacy kind, over the bytes and not over their hash.
fn legacy(signature: &str) -> String {
    let mut lines: Vec<String> = signature.lines().map(str::to_owned).collect();
    let mut bytes = STANDARD.decode(&lines[1]).unwrap();
    bytes[..2].copy_from_slice(b"Ed");
    lines[1] = STANDARD.encode(bytes);
    lines.join("\n")
}
