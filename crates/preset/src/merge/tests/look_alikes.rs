//! What a list shows that looks like something else.

use super::*;

#[test]
fn look_alikes_labels_and_doubles_are_warned_of() {
    let state = followed();
    let warned = |entries: &[Value]| {
        plan(&state, entries).items.into_iter().flat_map(|item| item.warnings).collect::<Vec<_>>()
    };
    let old = plain("tickets", "mcp.acme.example");
    let with = |entry: Value| warned(&[old.clone(), entry]);
    assert_eq!(with(plain("wiki", "wiki.acme.example")), []);
    assert!(matches!(&with(plain("wiki", "mcp.acrne.example"))[..],
        [Warning::LookAlike { host, like }] if host == "mcp.acrne.example" && like == "mcp.acme.example"));
    assert!(
        matches!(&with(plain("wiki", &idna::domain_to_ascii("mcp.\u{430}cm\u{435}.example").unwrap()))[..],
        [Warning::LookAlike { host, .. }] if host.contains("xn--"))
    );
    assert!(matches!(&with(plain("wiki", "mcp.acme.example.evil.test"))[..], [Warning::LookAlike { .. }]));
    assert!(matches!(
        &with(plain("wiki", &idna::domain_to_ascii("p\u{430}ypal.test").unwrap()))[..],
        [Warning::MixedScript { .. }]
    ));
    let issuer = entry("wiki", "wiki.acme.example", |e| {
        ours(e)["oauth"]["issuer"] = json!("https://1ogin.acme.example");
    });
    assert!(matches!(&with(issuer)[..], [Warning::LookAlike { like, .. }] if like == "login.acme.example"));
    let label = entry("wiki", "wiki.acme.example", |e| e["server"]["title"] = json!("ACME TICKETS"));
    assert_eq!(with(label), [Warning::LabelTaken { server: id("tickets") }]);
    let double = entry("wiki", "mcp.acme.example", |e| e["server"]["title"] = json!("Wiki"));
    assert_eq!(with(double), [Warning::TwiceOnTheList]);
    let old = entry("wiki", "wiki.acme.example", |e| e["server"]["status"] = json!("deprecated"));
    assert_eq!(with(old), [Warning::Deprecated]);
}
