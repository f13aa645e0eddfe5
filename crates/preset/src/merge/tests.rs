//! What lists do to states: tables of (state, list, plan), and what no list can ever do.

mod look_alikes;
mod sign_in;

use std::collections::BTreeMap;

use model::{
    Account, AccountId, AccountKey, AuthKind, Grant, GrantState, ItemId, Origin, Proof, ProofKind,
    RegistrationChoice, UnixTime,
};
use serde_json::{Value, json};

use super::*;
use crate::PublicKey;

fn signed() -> Trust {
    let key = PublicKey::parse("RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3").unwrap();
    Trust::Verified { key, comment: String::new() }
}

fn preset() -> PresetId {
    PresetId::parse("com.acme/tools").unwrap()
}

fn id(text: &str) -> ServerId {
    ServerId::parse(text).unwrap()
}

/// An entry at `https://{host}/mcp` with a pinned issuer and a client id, changed by `edit`.
fn entry(name: &str, host: &str, edit: impl Fn(&mut Value)) -> Value {
    let mut entry = json!({
        "server": {"name": format!("com.acme/{name}"), "title": format!("Acme {name}"), "description": "d",
                   "remotes": [{"type": "streamable-http", "url": format!("https://{host}/mcp")}]},
        "_meta": {"dev.hallpass/server": {"oauth": {
            "issuer": "https://login.acme.example", "clientId": "desktop", "scopes": ["read"]}}}
    });
    edit(&mut entry);
    entry
}

fn plain(name: &str, host: &str) -> Value {
    entry(name, host, |_| {})
}

fn ours(entry: &mut Value) -> &mut Value {
    &mut entry["_meta"]["dev.hallpass/server"]
}

fn list(entries: &[Value]) -> List {
    List::parse(&serde_json::to_vec(&json!({"servers": entries})).unwrap()).unwrap()
}

fn plan(state: &State, entries: &[Value]) -> MergePlan {
    plan_of(state, entries, &preset(), &signed())
}

fn plan_of(state: &State, entries: &[Value], preset: &PresetId, trust: &Trust) -> MergePlan {
    let removed = state.presets.get(preset).map(|record| record.removed.clone()).unwrap_or_default();
    merge(state, Source { preset, title: "Acme tools", trust, removed: &removed }, &list(entries))
}

/// Follows a list in a state, whole.
fn follow(state: &mut State, entries: &[Value]) -> Applied {
    let plan = plan(state, entries);
    apply(state, &plan)
}

/// A state that followed one entry, with ana signed in there.
fn followed() -> State {
    let mut state = State::default();
    follow(&mut state, &[plain("tickets", "mcp.acme.example")]);
    sign_in(&mut state, "tickets");
    state
}

fn sign_in(state: &mut State, server: &str) {
    let ana = AccountId::parse("ana").unwrap();
    let key = AccountKey::Subject { issuer: "https://login.acme.example".into(), subject: "1".into() };
    let proof = Proof { kind: ProofKind::IdToken, at: UnixTime(1) };
    let account = Account {
        id: ana.clone(),
        key,
        label: "ana".into(),
        name: None,
        email: None,
        email_verified: false,
        tenant: None,
        proof,
        extra: serde_json::Map::new(),
    };
    state.accounts.insert(ana.clone(), account);
    state.grants.push(Grant {
        account: ana.clone(),
        server: id(server),
        record: ItemId::parse("item").unwrap(),
        state: GrantState::Active,
        client_id: "desktop".into(),
        scopes: vec!["read".into()],
        epoch: 1,
        signed_in_at: UnixTime(1),
        renewable: true,
        pasted: false,
        expires_at: None,
        renewed_at: None,
        step_up: None,
        step_ups: 0,
        extra: serde_json::Map::new(),
    });
    state.bindings.selection.insert(id(server), ana);
}

fn hand_made(host: &str, edit: impl Fn(&mut Server)) -> Server {
    let mut server = Server {
        id: id("mine"),
        label: "Mine".into(),
        endpoint: Endpoint::parse(&format!("https://{host}/mcp")).unwrap(),
        headers: BTreeMap::new(),
        auth: AuthKind::Oauth,
        origin: Origin::HandMade,
        issuer: Some("https://login.acme.example".into()),
        registration: RegistrationChoice::default(),
        whoami: None,
        private_network: false,
        authority: None,
        era: None,
        listings: Vec::new(),
        extra: serde_json::Map::new(),
    };
    edit(&mut server);
    server
}

fn kinds(plan: &MergePlan) -> Vec<&'static str> {
    plan.items
        .iter()
        .map(|item| match &item.what {
            What::New { replaces: None, .. } => "new",
            What::New { replaces: Some(_), .. } => "moved",
            What::Joins { .. } => "joins",
            What::Clash { .. } => "clash",
            What::Changed { .. } => "changed",
            What::Wording { .. } => "wording",
            What::Gone { .. } => "gone",
            What::Revoked { .. } => "revoked",
            What::Same => "same",
            What::Removed => "removed",
            What::Unsupported { .. } => "unsupported",
        })
        .collect()
}

#[test]
fn a_new_server_shows_who_where_and_what_before_anything_changes() {
    let state = State::default();
    let plan = plan(&state, &[plain("tickets", "MCP.acme.example")]);
    assert_eq!(kinds(&plan), ["new"]);
    let shown = &plan.items[0].shown;
    assert_eq!(shown.origins, ["Acme tools"]);
    assert_eq!(shown.host.as_deref(), Some("mcp.acme.example"));
    assert_eq!(shown.issuer_host.as_deref(), Some("login.acme.example"));
    assert_eq!(shown.scopes, BTreeSet::from(["read".to_owned()]));
    assert!(
        plan.asks() && !plan.is_empty() && plan.without_asking().is_empty() && plan.without_new().is_empty()
    );

    let mut state = state;
    assert_eq!(apply(&mut state, &plan).added, [id("tickets")]);
    let server = &state.servers[&id("tickets")];
    assert_eq!(server.label, "Acme tickets");
    assert_eq!(server.pinned_issuer(), Some("https://login.acme.example"));
    assert_eq!(server.registration.client_id.as_deref(), Some("desktop"));
    assert!(server.private_network && !server.registration.has_secret);
    let parsed = State::parse(&state.to_bytes()).unwrap();
    assert_eq!(parsed, state);
    // The same list again changes nothing, and a plan can be carried out twice without harm.
    let again = plan_of(&state, &[plain("tickets", "mcp.acme.example")], &preset(), &signed());
    assert_eq!(kinds(&again), ["same"]);
    let before = state.clone();
    apply(&mut state, &plan);
    assert_eq!(state, before);
}

/// A changed URL, issuer, client id or tenant: another Server, and neither Grant nor Selection points at it.
#[test]
fn no_token_follows_a_server_that_moved() {
    let moves: Vec<(&str, Value)> = vec![
        ("host", plain("tickets", "mcp.evil.example")),
        (
            "path",
            entry("tickets", "mcp.acme.example", |e| {
                e["server"]["remotes"][0]["url"] = json!("https://mcp.acme.example/other");
            }),
        ),
        ("port", plain("tickets", "mcp.acme.example:8443")),
        (
            "issuer",
            entry("tickets", "mcp.acme.example", |e| {
                ours(e)["oauth"]["issuer"] = json!("https://login.evil.example");
            }),
        ),
        (
            "issuer by a slash",
            entry("tickets", "mcp.acme.example", |e| {
                ours(e)["oauth"]["issuer"] = json!("https://login.acme.example/");
            }),
        ),
        (
            "issuer given up",
            entry("tickets", "mcp.acme.example", |e| {
                drop(ours(e)["oauth"].as_object_mut().unwrap().shift_remove("issuer"));
            }),
        ),
        (
            "client id",
            entry("tickets", "mcp.acme.example", |e| ours(e)["oauth"]["clientId"] = json!("other")),
        ),
        (
            "client id given up",
            entry("tickets", "mcp.acme.example", |e| {
                drop(ours(e)["oauth"].as_object_mut().unwrap().shift_remove("clientId"));
            }),
        ),
        (
            "tenant",
            entry("tickets", "mcp.acme.example", |e| {
                e["server"]["remotes"][0]["headers"] = json!([{"name": "X-Tenant-Id", "value": "evil"}]);
            }),
        ),
    ];
    for (what, moved) in moves {
        let mut state = followed();
        let plan = plan(&state, std::slice::from_ref(&moved));
        assert_eq!(kinds(&plan), ["moved", "gone"], "{what}");
        // Without a yes, only the mark is set.
        let mut unasked = state.clone();
        apply(&mut unasked, &plan.without_asking());
        assert_eq!(unasked.servers.len(), 1, "{what}");
        let applied = apply(&mut state, &plan);
        assert_eq!(applied.added, [id("tickets-2")], "{what}");
        let old = &state.servers[&id("tickets")];
        assert_eq!(old.endpoint.as_str(), "https://mcp.acme.example/mcp", "{what}");
        assert_eq!(old.issuer.as_deref(), Some("https://login.acme.example"), "{what}");
        assert_eq!(old.listings[0].standing, ListingStanding::Gone, "{what}");
        assert!(state.grants.iter().all(|grant| grant.server == id("tickets")), "{what}");
        assert!(!state.bindings.selection.contains_key(&id("tickets-2")), "{what}");
        assert!(matches!(&plan.items[1].what, What::Gone { moved_to: Some(to) } if *to == id("tickets-2")));
        // And from then on it is quiet.
        let again = plan_of(&state, &[moved], &preset(), &signed());
        assert_eq!(kinds(&again), ["same"], "{what}");
    }
}

#[test]
fn what_stays_itself_is_told_apart_by_whether_a_person_must_agree() {
    let host = "mcp.acme.example";
    let asking: Vec<(Value, Change)> = vec![
        (
            entry("tickets", host, |e| ours(e)["oauth"]["scopes"] = json!(["read", "write"])),
            Change::WiderScopes { added: vec!["write".into()] },
        ),
        (
            entry("tickets", host, |e| ours(e)["oauth"]["scopes"] = json!([])),
            Change::WiderScopes { added: vec![] },
        ),
        (
            entry("tickets", host, |e| {
                e["server"]["remotes"][0]["headers"] = json!([{"name": "X-MCP-Toolsets", "value": "all"}]);
            }),
            Change::Headers,
        ),
        (entry("tickets", host, |e| ours(e)["mandatory"] = json!(true)), Change::Mandatory),
    ];
    for (entry, change) in asking {
        let mut state = followed();
        let plan = plan(&state, &[entry]);
        assert_eq!(kinds(&plan), ["changed"], "{change:?}");
        assert!(matches!(&plan.items[0].what, What::Changed { changes, .. } if *changes == [change.clone()]));
        assert!(plan.asks());
        let grants = state.grants.clone();
        apply(&mut state, &plan);
        assert_eq!(state.grants, grants);
    }
    let quiet: Vec<Value> = vec![
        entry("tickets", host, |e| e["server"]["title"] = json!("Renamed")),
        entry("tickets", host, |e| e["server"]["description"] = json!("more words")),
        entry("tickets", host, |e| ours(e)["apps"] = json!(["cursor"])),
        entry("tickets", host, |e| ours(e)["profile"] = json!("Work")),
        entry("tickets", host, |e| ours(e)["account"] = json!({"emailDomains": ["acme.example"]})),
    ];
    for entry in quiet {
        let plan = plan(&followed(), &[entry]);
        assert_eq!(kinds(&plan), ["wording"]);
        assert!(!plan.asks() && !plan.is_empty());
    }
}

#[test]
fn account_rules_are_loosened_only_with_a_yes() {
    let with = |domains: Value| {
        entry("tickets", "mcp.acme.example", move |e| ours(e)["account"] = json!({"emailDomains": domains}))
    };
    let mut state = State::default();
    follow(&mut state, &[with(json!(["acme.example", "acme.test"]))]);
    assert_eq!(kinds(&plan(&state, &[with(json!(["acme.example"]))])), ["wording"]);
    assert_eq!(kinds(&plan(&state, &[with(json!(["evil.example"]))])), ["changed"]);
    assert_eq!(kinds(&plan(&state, &[plain("tickets", "mcp.acme.example")])), ["changed"]);
}

#[test]
fn a_label_that_a_person_changed_stays() {
    let renamed = entry("tickets", "mcp.acme.example", |e| e["server"]["title"] = json!("Renamed"));
    let mut state = followed();
    follow(&mut state, std::slice::from_ref(&renamed));
    assert_eq!(state.servers[&id("tickets")].label, "Renamed");
    let mut state = followed();
    state.servers.get_mut(&id("tickets")).unwrap().label = "My tickets".into();
    follow(&mut state, &[renamed]);
    assert_eq!(state.servers[&id("tickets")].label, "My tickets");
}

#[test]
fn what_leaves_a_list_stays_here_and_what_is_revoked_is_closed_at_once() {
    let mut state = followed();
    let gone = plan(&state, &[]);
    assert_eq!(kinds(&gone), ["gone"]);
    assert!(!gone.asks());
    apply(&mut state, &gone);
    assert_eq!(state.grants.len(), 1);
    assert!(state.servers[&id("tickets")].revoked_by().is_none());
    assert_eq!(kinds(&plan(&state, &[])), [""; 0]);
    let back = plan(&state, &[plain("tickets", "mcp.acme.example")]);
    assert!(
        matches!(&back.items[0].what, What::Changed { changes, .. } if *changes == [Change::BackOnTheList])
    );

    let revoked = entry("tickets", "moved.acme.example", |e| {
        ours(e)["revoked"] = json!({"reason": "compromised", "since": "2026-11-20T00:00:00Z"});
    });
    for mut state in [followed(), state] {
        let plan = plan(&state, std::slice::from_ref(&revoked));
        assert_eq!(kinds(&plan), ["revoked"]);
        assert!(!plan.asks());
        assert_eq!(apply(&mut state, &plan.without_asking()).closed, [id("tickets")]);
        let by = state.servers[&id("tickets")].revoked_by().unwrap();
        assert!(
            matches!(&by.standing, ListingStanding::Revoked { reason, since: Some(_) } if reason == "compromised")
        );
        // It stays closed when the list forgets it, and opens only with a yes.
        assert_eq!(kinds(&self::plan(&state, &[])), [""; 0]);
        let open = self::plan(&state, &[plain("tickets", "mcp.acme.example")]);
        assert!(
            matches!(&open.items[0].what, What::Changed { changes, .. } if *changes == [Change::NoLongerRevoked])
        );
        assert_eq!(kinds(&self::plan(&state, std::slice::from_ref(&revoked))), ["same"]);
    }
    // A list closes nothing that it never named.
    let mut other = State::default();
    other.servers.insert(id("mine"), hand_made("mcp.acme.example", |_| {}));
    let revoked = entry("tickets", "mcp.acme.example", |e| ours(e)["revoked"] = json!({"reason": "r"}));
    assert_eq!(kinds(&plan(&other, &[revoked])), [""; 0]);
}

#[test]
fn a_hand_made_server_is_joined_only_if_everything_agrees() {
    type Edit = Box<dyn Fn(&mut Server)>;
    let client: Edit = Box::new(|server| server.registration.client_id = Some("desktop".into()));
    let cases: Vec<(&str, Edit, &str)> = vec![
        ("all agrees", client, "joins"),
        ("another client id", Box::new(|s| s.registration.client_id = Some("own".into())), "clash"),
        ("no client id", Box::new(|_| {}), "clash"),
        (
            "another issuer",
            Box::new(|s| {
                s.registration.client_id = Some("desktop".into());
                s.issuer = Some("https://other.example".into());
            }),
            "clash",
        ),
        (
            "a tenant",
            Box::new(|s| {
                s.registration.client_id = Some("desktop".into());
                s.headers.insert("X-Tenant".into(), "t".into());
            }),
            "clash",
        ),
        (
            "a toolset",
            Box::new(|s| {
                s.registration.client_id = Some("desktop".into());
                s.headers.insert("X-MCP-Toolsets".into(), "t".into());
            }),
            "clash",
        ),
    ];
    for (what, edit, kind) in cases {
        let mut state = State::default();
        state.servers.insert(id("mine"), hand_made("mcp.acme.example", edit));
        let plan = plan(&state, &[plain("tickets", "mcp.acme.example")]);
        assert_eq!(kinds(&plan), [kind], "{what}");
        assert!(plan.asks(), "{what}");
        let before = state.servers[&id("mine")].clone();
        apply(&mut state, &plan);
        let mine = &state.servers[&id("mine")];
        if kind == "joins" {
            assert_eq!(plan.items[0].shown.origins, ["Acme tools", "added by hand"]);
            assert_eq!((mine.origin.clone(), mine.listings.len()), (Origin::HandMade, 1));
            assert_eq!(mine.label, "Mine");
        } else {
            assert_eq!(*mine, before, "{what}");
            assert_eq!(state.servers.len(), 2, "{what}");
        }
    }
}

#[test]
fn two_lists_share_a_server_and_neither_speaks_for_the_other() {
    let mut state = followed();
    let other = PresetId::parse("com.other/tools").unwrap();
    let joining = plan_of(&state, &[plain("issues", "mcp.acme.example")], &other, &signed());
    assert_eq!(kinds(&joining), ["joins"]);
    apply(&mut state, &joining);
    assert_eq!(state.servers[&id("tickets")].listings.len(), 2);
    // The second list leaves; the first still names it.
    let plan = plan_of(&state, &[], &other, &signed());
    apply(&mut state, &plan);
    assert_eq!(state.servers[&id("tickets")].in_force().count(), 1);
    // Another issuer in the second list is another Server.
    let evil =
        entry("issues", "mcp.acme.example", |e| ours(e)["oauth"]["issuer"] = json!("https://evil.example"));
    assert_eq!(kinds(&plan_of(&state, &[evil], &other, &signed())), ["moved"]);
}

#[test]
fn an_unverified_list_reaches_no_private_network_and_binds_nobody() {
    let entry = entry("tickets", "10.1.2.3", |e| ours(e)["mandatory"] = json!(true));
    let plan = plan_of(&State::default(), &[entry], &preset(), &Trust::Unverified);
    assert_eq!(plan.items[0].warnings, [Warning::PrivateNetwork]);
    let server = plan.items[0].what.new_server().unwrap();
    assert!(!server.private_network && !server.listings[0].mandatory);
}

#[test]
fn deleted_and_local_entries_bring_nothing() {
    let deleted = entry("tickets", "mcp.acme.example", |e| e["server"]["status"] = json!("deleted"));
    assert_eq!(kinds(&plan(&State::default(), std::slice::from_ref(&deleted))), [""; 0]);
    assert_eq!(kinds(&plan(&followed(), &[deleted])), ["gone"]);
    let local = json!({"server": {"name": "com.acme/local", "packages": [{"registryType": "npm", "identifier": "x"}]}});
    let plan = plan(&State::default(), &[local]);
    assert_eq!(kinds(&plan), ["unsupported"]);
    assert!(plan.is_empty());
    assert_eq!(apply(&mut State::default(), &plan), Applied::default());
}

#[test]
fn a_plan_is_named_by_what_it_would_do() {
    let one = plan(&State::default(), &[plain("tickets", "mcp.acme.example")]);
    let other = plan(&State::default(), &[plain("tickets", "mcp.evil.example")]);
    assert_eq!(one.digest(), plan(&State::default(), &[plain("tickets", "mcp.acme.example")]).digest());
    assert_ne!(one.digest(), other.digest());
    assert_eq!(one.digest().len(), 64);
}

#[test]
fn a_thousand_servers_are_merged_with_a_thousand() {
    let entries: Vec<Value> = (0..crate::MAX_SERVERS)
        .map(|n| {
            json!({"server": {"name": format!("com.acme/s{n}"),
            "remotes": [{"type": "streamable-http", "url": format!("https://s{n}.acme.example/mcp")}]}})
        })
        .collect();
    let mut state = State::default();
    assert_eq!(follow(&mut state, &entries).added.len(), entries.len());
    assert!(plan(&state, &entries).is_empty());
    let one_more: Vec<Value> =
        entries.iter().cloned().chain([plain("tickets", "mcp.acme.example")]).collect();
    let bytes = serde_json::to_vec(&json!({"servers": one_more})).unwrap();
    let refused = List::parse(&bytes).unwrap_err().to_string();
    assert!(refused.contains("at most 1000 servers"), "{refused}");
}

#[test]
fn what_a_person_removed_stays_away_unless_the_list_makes_it_mandatory() {
    let mut state = followed();
    let record = json!({"id": preset(), "source": "https://lists.example/x", "title": "Acme tools",
        "removed": ["com.acme/tickets"]});
    state.presets.insert(preset(), serde_json::from_value(record).unwrap());
    state.servers.clear();
    let entries = [plain("tickets", "mcp.acme.example"), plain("wiki", "wiki.acme.example")];
    let plan = self::plan(&state, &entries);
    assert_eq!(kinds(&plan), ["removed", "new"]);
    assert!(self::plan(&state, &entries[..1]).is_empty(), "nothing waits");
    // Nor does it come back through another server at its URL, or from another one.
    let moved = self::plan(&state, &[plain("tickets", "other.acme.example")]);
    assert_eq!(kinds(&moved), ["removed"]);
    let mut mandatory = entries;
    ours(&mut mandatory[0])["mandatory"] = json!(true);
    assert_eq!(kinds(&self::plan(&state, &mandatory)), ["new", "new"]);
}
