//! The form of a list: what is read, what is refused, and that no bytes panic.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn good() -> Value {
    serde_json::from_str(&crate::starter(UnixTime(1_795_132_800))).unwrap()
}

fn parse(value: &Value) -> Result<List, ListError> {
    List::parse(&serde_json::to_vec(value).unwrap())
}

#[test]
fn the_starter_is_read_whole() {
    let list = parse(&good()).unwrap();
    assert_eq!(list.warnings, []);
    let about = list.about.unwrap();
    assert_eq!((about.id.as_str(), about.serial), ("com.example/tools", 1));
    assert_eq!(about.issued, UnixTime(1_795_132_800));
    assert_eq!(about.expires, Some(UnixTime(1_795_132_800 + 90 * 86_400)));
    let server = &list.servers[0];
    assert_eq!(server.title, "Tickets");
    assert_eq!(server.offer.remote().unwrap().endpoint.as_str(), "https://mcp.example.com/mcp");
    assert_eq!(server.issuer.as_deref(), Some("https://login.example.com"));
    assert_eq!(server.client_id.as_deref(), Some("desktop-public"));
    assert_eq!(server.scopes, BTreeSet::from(["tickets:read".to_owned()]));
    assert_eq!(server.email_domains, BTreeSet::from(["example.com".to_owned()]));
    assert_eq!(server.apps.len(), 2);
}

#[test]
fn the_design_s_own_sample_is_read() {
    let sample = r#"{ "servers": [ {
    "server": { "$schema": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
      "name": "com.acme/tickets", "title": "Acme Tickets", "description": "Issue tracker", "version": "1.4.0",
      "remotes": [ { "type": "streamable-http", "url": "https://mcp.acme.example/mcp" } ] },
    "_meta": { "dev.hallpass/server": { "mandatory": true, "apps": ["claude-desktop", "cursor"], "profile": "Work",
      "oauth": { "issuer": "https://login.acme.example", "clientId": "desktop-public", "scopes": ["tickets:read"] },
      "account": { "emailDomains": ["acme.example"] } } } } ],
  "metadata": { "count": 1 },
  "_meta": { "dev.hallpass/list": { "id": "com.acme/dev-tools", "title": "Acme dev tools", "serial": 42,
    "issued": "2026-11-20T00:00:00Z", "expires": "2027-02-20T00:00:00Z", "contact": "it@acme.example",
    "nextKeys": ["RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3"] } } }"#;
    let list = List::parse(sample.as_bytes()).unwrap();
    assert!(list.servers[0].mandatory);
    assert!(!list.clone().unverified().servers[0].mandatory);
    assert_eq!(list.about.unwrap().next_keys.len(), 1);
}

#[test]
fn letters_that_look_like_others_stand_in_no_address() {
    let mut list = good();
    list["servers"][0]["server"]["remotes"][0]["url"] = json!("https://mcp.\u{430}cme.example/mcp");
    let read = parse(&list).unwrap();
    let Offer::Unsupported { reason } = &read.servers[0].offer else { panic!("{read:?}") };
    assert!(reason.contains("xn--"), "{reason}");
    let mut list = good();
    list["servers"][0]["_meta"]["dev.hallpass/server"]["oauth"]["issuer"] =
        json!("https://login.\u{430}cme.example");
    assert!(parse(&list).unwrap_err().to_string().contains("in ASCII"));
}

#[test]
fn a_plain_registry_answer_is_readable_and_the_latest_version_counts() {
    let entry = |name: &str, version: &str, url: &str, latest: bool, status: &str| {
        json!({
            "server": {"name": name, "description": "d", "version": version, "somethingNew": [1], "title": null,
                       "remotes": [{"type": "streamable-http", "url": url}]},
            "_meta": {"io.modelcontextprotocol.registry/official": {"status": status, "isLatest": latest,
                      "publishedAt": "2025-09-09T10:00:00.000000Z"}}
        })
    };
    let list = parse(&json!({
        "servers": [
            entry("com.acme/a", "2.0.0", "https://two.example/", true, "active"),
            entry("com.acme/a", "1.0.0", "https://one.example/", false, "active"),
            entry("com.acme/b", "1.0.0", "https://b.example/", true, "deprecated"),
            entry("com.acme/c", "1.0.0", "https://c.example/", true, "deleted"),
            entry("com.acme/d", "1.0.0", "https://d.example/", true, "unheard-of"),
        ],
        "metadata": {"nextCursor": "com.acme/d:1.0.0", "count": 5}
    }))
    .unwrap();
    assert_eq!(list.about, None);
    assert_eq!(list.servers.len(), 4);
    assert_eq!(list.servers[0].offer.remote().unwrap().endpoint.as_str(), "https://two.example/");
    let status: Vec<Status> = list.servers.iter().map(|server| server.status).collect();
    assert_eq!(status, [Status::Active, Status::Deprecated, Status::Deleted, Status::Active]);
    assert_eq!(list.servers[3].offer, Offer::unknown_status());
    assert_eq!(parse(&json!({"servers": []})).unwrap().servers, []);
}

#[test]
fn ours_is_read_strictly_and_the_place_is_named() {
    const OURS: &str = "/servers/0/_meta/dev.hallpass~1server";
    const LIST: &str = "/_meta/dev.hallpass~1list";
    let text = "must be a text";
    let cases: Vec<(String, Value, &str, &str)> = vec![
        (format!("{OURS}/mandatory"), json!("yes"), "", "must be true or false"),
        (format!("{OURS}/mandatory"), json!(null), "", "must be true or false"),
        (format!("{OURS}/clientSecret"), json!("x"), "", "is not a field"),
        (format!("{OURS}/apps"), json!("cursor"), "", "must be a list"),
        (format!("{OURS}/apps"), json!(["Cursor!"]), "/0", "must be an app's id"),
        (format!("{OURS}/profile"), json!(""), "", "must be one line"),
        (format!("{OURS}/profile"), json!("a\nb"), "", "must be one line"),
        (format!("{OURS}/oauth"), json!([]), "", "must be an object"),
        (format!("{OURS}/oauth/clientSecret"), json!("x"), "", "is not a field"),
        (format!("{OURS}/oauth/issuer"), json!(7), "", text),
        (format!("{OURS}/oauth/issuer"), json!("login.example.com"), "", "must be an issuer's https URL"),
        (
            format!("{OURS}/oauth/issuer"),
            json!("https://a.example/?x=1"),
            "",
            "must be an issuer's https URL",
        ),
        (format!("{OURS}/oauth/clientId"), json!("é"), "", "must be printable ASCII"),
        (format!("{OURS}/oauth/clientMetadataUrl"), json!("none"), "", "has no use beside"),
        (format!("{OURS}/oauth/except"), json!(["missing-pkce"]), "", "is not a field"),
        (format!("{OURS}/oauth/redirect"), json!("localhost"), "", "must be an object"),
        (format!("{OURS}/oauth/redirect/path"), json!("/x"), "", "is not a field"),
        (format!("{OURS}/oauth/redirect/port"), json!(65536), "", "must be a port"),
        (format!("{OURS}/oauth/redirect/port"), json!(0), "", "must be a whole number"),
        (format!("{OURS}/oauth/redirect/host"), json!("evil.example"), "", "must be \"127.0.0.1\""),
        (format!("{OURS}/oauth/parameters"), json!({"a b": "x"}), "", "must name parameters"),
        (format!("{OURS}/oauth/parameters/hint"), json!("a\nb"), "", "must be printable ASCII"),
        (format!("{OURS}/oauth/parameters/hint"), json!(1), "", "must be a text"),
        (
            format!("{OURS}/oauth/parameters"),
            json!({"a": "", "b": "", "c": "", "d": "", "e": "", "f": "", "g": "", "h": "", "i": ""}),
            "",
            "at most 8",
        ),
        (format!("{OURS}/oauth/scopes"), json!(["a b"]), "/0", "must be one scope"),
        (format!("{OURS}/account"), json!({}), "", "must name at least one domain"),
        (format!("{OURS}/account"), json!({"emailDomains": []}), "", "must name at least one domain"),
        (format!("{OURS}/account/emailDomains"), json!(["example"]), "/0", "must be a mail domain"),
        (format!("{OURS}/account/emailDomains"), json!(["a@b.example"]), "/0", "must be a mail domain"),
        (format!("{OURS}/account/only"), json!(1), "", "is not a field"),
        (format!("{OURS}/revoked"), json!({}), "", "must have \"reason\""),
        (format!("{OURS}/revoked"), json!({"reason": "r", "since": "yesterday"}), "/since", "must be a time"),
        (format!("{OURS}/revoked"), json!(true), "", "must be an object"),
        ("/servers/0/_meta/dev.hallpass~1sever".into(), json!({}), "", "is not a field"),
        ("/_meta/dev.hallpass~1policy".into(), json!({}), "", "is not a field"),
        ("/servers/0/server/name".into(), json!("tickets"), "", "must be a name"),
        ("/servers/0/server/name".into(), json!("com.acme/../x"), "", "must be a name"),
        ("/servers/0/server".into(), json!([]), "", "must be an object"),
        ("/servers".into(), json!({}), "", "must be a list"),
        (format!("{LIST}/serial"), json!(0), "", "must be a whole number"),
        (format!("{LIST}/serial"), json!(-1), "", "must be a whole number"),
        (format!("{LIST}/serial"), json!(1.5), "", "must be a whole number"),
        (format!("{LIST}/serial"), json!("1"), "", "must be a whole number"),
        (format!("{LIST}/serial"), json!(1u64 << 53), "", "must be a whole number"),
        (format!("{LIST}/id"), json!("a b/c"), "", "must be a name"),
        (format!("{LIST}/issued"), json!("2026-11-20"), "", "must be a time"),
        (format!("{LIST}/expires"), json!("2026-11-20T00:00:00Z"), "", "must be later"),
        (format!("{LIST}/nextKeys"), json!(["RW"]), "/0", "holds no key"),
        (format!("{LIST}/commands"), json!(["rm"]), "", "is not a field"),
    ];
    for (at, value, below, problem) in cases {
        let mut list = good();
        let (parent, name) = at.rsplit_once('/').unwrap();
        let name = name.replace("~1", "/");
        list.pointer_mut(parent).unwrap()[&name] = value.clone();
        // The form alone: lint comes first and may have its own word on some of these.
        assert!(parse(&list).is_err(), "{at} = {value}");
        match read(&list) {
            Err(misfit) => {
                assert_eq!(misfit.at, format!("{at}{below}"), "{value}");
                assert!(misfit.problem.contains(problem), "{at}: {}", misfit.problem);
            }
            other => panic!("{at} = {value}: {other:?}"),
        }
    }
    for field in ["id", "title", "serial", "issued"] {
        let mut list = good();
        list["_meta"]["dev.hallpass/list"].as_object_mut().unwrap().shift_remove(field);
        assert!(matches!(parse(&list), Err(ListError::Misfit(misfit)) if misfit.problem.contains(field)));
    }
    let mut twice = good();
    let entry = twice["servers"][0].clone();
    twice["servers"].as_array_mut().unwrap().push(entry);
    assert!(matches!(parse(&twice), Err(ListError::Misfit(misfit)) if misfit.at == "/servers/1"));
}

#[test]
fn a_document_is_named_by_its_https_address_or_switched_off() {
    let with = |url: &str| {
        let mut list = good();
        let oauth = &mut list["servers"][0]["_meta"]["dev.hallpass/server"]["oauth"];
        oauth.as_object_mut().unwrap().shift_remove("clientId");
        oauth["clientMetadataUrl"] = json!(url);
        parse(&list).map(|list| list.servers[0].metadata_url.clone())
    };
    assert_eq!(with("https://acme.example/c.json"), Ok(Some("https://acme.example/c.json".to_owned())));
    assert_eq!(with("none"), Ok(Some(String::new())));
    for bad in [
        "",
        "None",
        "c.json",
        "https://acme.example",
        "http://acme.example/c.json",
        "http://127.0.0.1/c.json",
        "https://acme.example/c.json?x=1",
        "https://acme.example/c.json#x",
        "https://ana@acme.example/c.json",
        "https://acme.\u{435}xample/c.json",
    ] {
        assert!(with(bad).is_err(), "{bad}");
    }
}

#[test]
fn what_cannot_be_used_is_shown_and_never_run() {
    let offer_of = |server: Value| {
        let mut list = json!({"servers": [{"server": server}]});
        list["servers"][0]["server"]["name"] = json!("com.acme/x");
        parse(&list).unwrap().servers.remove(0).offer
    };
    let url = "https://a.example/mcp";
    let unsupported: Vec<(Value, &str)> = vec![
        (json!({}), "neither a remote endpoint nor a package"),
        (json!({"packages": [{"registryType": "npm", "identifier": "x"}]}), "never runs"),
        (json!({"remotes": [{"type": "sse", "url": url}]}), "old SSE transport"),
        (json!({"remotes": [{"type": "carrier-pigeon", "url": url}]}), "transport"),
        (
            json!({"remotes": [{"type": "streamable-http", "url": "https://{tenant}.a.example/mcp"}]}),
            "(tenant)",
        ),
        (json!({"remotes": [{"type": "streamable-http", "url": "ftp://a.example/"}]}), "cannot be called"),
        (
            json!({"remotes": [{"type": "streamable-http", "url": url,
                 "headers": [{"name": "X-Pat", "isSecret": true, "isRequired": true}]}]}),
            "(X-Pat)",
        ),
        (
            json!({"remotes": [{"type": "streamable-http", "url": url,
                 "headers": [{"name": "Mcp-Session-Id", "value": "1"}]}]}),
            "sets itself",
        ),
        (
            json!({"remotes": [{"type": "streamable-http", "url": url,
                 "headers": [{"name": "X\r\nEvil", "value": "1"}]}]}),
            "",
        ),
    ];
    for (server, reason) in &unsupported[..unsupported.len() - 1] {
        match offer_of(server.clone()) {
            Offer::Unsupported { reason: found } => assert!(found.contains(reason), "{server}: {found}"),
            Offer::Remote(remote) => panic!("{server}: {remote:?}"),
        }
    }
    let split = json!({"servers": [{"server": {"name": "a/b", "remotes": unsupported[8].0["remotes"]}}]});
    assert!(matches!(parse(&split), Err(ListError::Misfit(_))));
    let remote = offer_of(json!({"remotes": [
        {"type": "sse", "url": url},
        {"type": "streamable-http", "url": "https://{region}.a.example/mcp",
         "variables": {"region": {"default": "eu", "choices": ["eu", "us"]}},
         "headers": [
            {"name": "Authorization", "isSecret": true, "isRequired": true},
            {"name": "X-Tenant", "value": "{t}", "variables": {"t": {"value": "acme"}}},
            {"name": "X-Optional", "isSecret": true}]}]}));
    let remote = remote.remote().unwrap().clone();
    assert_eq!(remote.endpoint.as_str(), "https://eu.a.example/mcp");
    assert_eq!(remote.headers.into_iter().collect::<Vec<_>>(), [("X-Tenant".to_owned(), "acme".to_owned())]);
}

#[test]
fn words_from_outside_are_cleaned() {
    let mut list = good();
    list["servers"][0]["server"]["title"] = json!(format!("<b>\u{202e}x\u{7}{}", "y".repeat(300)));
    let title = parse(&list).unwrap().servers.remove(0).title;
    assert!(title.starts_with("<b>x ") && title.chars().count() == 100, "{title}");
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = List::parse(&bytes);
        let _ = crate::lint(&bytes);
    }

    #[test]
    fn no_value_in_any_place_panics(place in 0usize..200, text in "\\PC{0,80}", kind in 0u8..6) {
        let mut list = good();
        let mut places = 0;
        change(&mut list, place, &mut places, &match kind {
            0 => json!(text),
            1 => json!([text]),
            2 => json!({text.clone(): text}),
            3 => json!(null),
            4 => json!(1.5e300),
            _ => json!(format!("https://{text}/?{text}#{text}")),
        });
        let _ = parse(&list);
        let _ = crate::lint(&serde_json::to_vec(&list).unwrap());
    }

    #[test]
    fn a_cut_file_is_no_list(at in 0usize..1000) {
        let text = crate::starter(UnixTime(1));
        let at = at.min(text.trim_end().len() - 1);
        prop_assert!(List::parse(&text.as_bytes()[..at]).is_err());
    }
}

/// Replaces the value at the `place`th place of a document.
fn change(value: &mut Value, place: usize, at: &mut usize, new: &Value) {
    if *at == place {
        *value = new.clone();
    }
    *at += 1;
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| change(item, place, at, new)),
        Value::Object(map) => map.values_mut().for_each(|item| change(item, place, at, new)),
        _ => {}
    }
}
