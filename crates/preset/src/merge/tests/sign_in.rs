//! Settings of the sign-in that a list carries: the document that we are known by, the redirect, the parameters.

use std::num::NonZeroU16;

use model::{LoopbackHost, LoopbackSetting};

use super::*;

const DOCUMENT: &str = "https://acme.example/client.json";

/// An entry whose `oauth` has these fields besides its issuer.
fn with(oauth: Value) -> Value {
    entry("tickets", "mcp.acme.example", move |e| {
        let fields = ours(e)["oauth"].as_object_mut().unwrap();
        fields.shift_remove("clientId");
        fields.extend(oauth.as_object().unwrap().clone());
    })
}

fn followed_with(oauth: Value) -> State {
    let mut state = State::default();
    follow(&mut state, &[with(oauth)]);
    sign_in(&mut state, "tickets");
    state
}

#[test]
fn a_new_server_is_set_as_the_list_has_it_and_shows_it() {
    let entry = with(json!({"clientMetadataUrl": DOCUMENT, "redirect": {"port": 8765, "host": "localhost"},
        "parameters": {"audience": "api://acme"}}));
    let redirect = LoopbackSetting { port: NonZeroU16::new(8765), host: LoopbackHost::Localhost };
    let plan = plan(&State::default(), std::slice::from_ref(&entry));
    let shown = &plan.items[0].shown;
    assert_eq!((shown.metadata_url.as_deref(), shown.redirect), (Some(DOCUMENT), redirect));
    assert_eq!(shown.parameters["audience"], "api://acme");
    let mut state = State::default();
    apply(&mut state, &plan);
    let registration = &state.servers[&id("tickets")].registration;
    assert_eq!((registration.metadata_url.as_deref(), registration.redirect), (Some(DOCUMENT), redirect));
    assert_eq!(registration.parameters, shown.parameters);
    assert_eq!(registration.except, model::Exceptions::default());
    assert_eq!(State::parse(&state.to_bytes()).unwrap(), state);
    assert_eq!(kinds(&self::plan(&state, &[entry])), ["same"]);
}

#[test]
fn no_token_follows_another_document() {
    let documents = [json!({}), json!({"clientMetadataUrl": "none"}), json!({"clientMetadataUrl": DOCUMENT})];
    for before in &documents {
        for after in &documents {
            let mut state = followed_with(before.clone());
            let old = state.clone();
            let plan = plan(&state, &[with(after.clone())]);
            if before == after {
                assert_eq!(kinds(&plan), ["same"], "{before}");
                continue;
            }
            assert_eq!(kinds(&plan), ["moved", "gone"], "{before} {after}");
            assert!(plan.asks());
            apply(&mut state, &plan);
            assert_eq!((&state.grants, &state.bindings), (&old.grants, &old.bindings));
            assert!(state.grants.iter().all(|grant| grant.server == id("tickets")));
            let (was, is) = (&state.servers[&id("tickets")], &state.servers[&id("tickets-2")]);
            assert_eq!(
                was.registration,
                old.servers[&id("tickets")].registration,
                "the old one stays as it was"
            );
            assert_ne!(is.registration.metadata_url, was.registration.metadata_url);
        }
    }
}

#[test]
fn redirect_and_parameters_change_with_a_yes_and_only_where_the_list_changes_them() {
    let oauth = |port: u16, hint: &str| json!({"redirect": {"port": port}, "parameters": {"hint": hint}});
    let mut state = followed_with(oauth(8765, "a"));
    // A person's own setting stays while the list says the same.
    let own = BTreeMap::from([("hint".to_owned(), "mine".to_owned())]);
    state.servers.get_mut(&id("tickets")).unwrap().registration.parameters.clone_from(&own);
    assert_eq!(kinds(&plan(&state, &[with(oauth(8765, "a"))])), ["same"]);
    for (entry, change) in [
        (with(oauth(8766, "a")), Change::Redirect),
        (with(oauth(8765, "b")), Change::Parameters),
        (with(json!({"parameters": {"hint": "a"}})), Change::Redirect),
        (with(json!({"redirect": {"port": 8765}})), Change::Parameters),
    ] {
        let mut state = state.clone();
        let plan = plan(&state, &[entry]);
        assert!(plan.asks() && plan.without_asking().is_empty());
        let What::Changed { changes, listing, .. } = &plan.items[0].what else { panic!("{plan:?}") };
        assert_eq!(changes[..], *std::slice::from_ref(&change));
        let grants = state.grants.clone();
        apply(&mut state, &plan);
        let registration = &state.servers[&id("tickets")].registration;
        assert_eq!(registration.redirect, listing.redirect);
        let expected = if change == Change::Parameters { &listing.parameters } else { &own };
        assert_eq!(registration.parameters, *expected);
        assert_eq!(state.grants, grants);
    }
}

#[test]
fn a_server_from_elsewhere_is_joined_only_if_it_is_set_so_and_is_never_set_by_a_list() {
    let port = LoopbackSetting { port: NonZeroU16::new(8765), ..LoopbackSetting::default() };
    let parameters = BTreeMap::from([("hint".to_owned(), "a".to_owned())]);
    let entries = [
        json!({"redirect": {"port": 8765}}),
        json!({"parameters": {"hint": "a"}}),
        json!({"clientMetadataUrl": DOCUMENT}),
    ];
    for oauth in entries {
        for (set, kind) in [(true, "joins"), (false, "clash")] {
            let mut state = State::default();
            let mine = hand_made("mcp.acme.example", |server| {
                if set {
                    server.registration.redirect = port;
                    server.registration.parameters.clone_from(&parameters);
                    server.registration.metadata_url = Some(DOCUMENT.to_owned());
                }
            });
            state.servers.insert(id("mine"), mine.clone());
            let plan = plan(&state, &[with(oauth.clone())]);
            assert_eq!(kinds(&plan), [kind], "{oauth}");
            apply(&mut state, &plan);
            assert_eq!(state.servers[&id("mine")].registration, mine.registration);
            if set && oauth.get("clientMetadataUrl").is_none() {
                // The list gives its wish up: what the person set stays.
                follow(&mut state, &[with(json!({}))]);
                assert_eq!(state.servers[&id("mine")].registration, mine.registration);
                assert_eq!(state.servers.len(), 1);
            }
        }
    }
}
