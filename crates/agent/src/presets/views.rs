//! Lists and their plans as callers see them: every word about a change that a person says yes to.

use ipc::{PresetItemKind, PresetItemView, PresetPlanView, PresetView};
use model::{ListingStanding, PresetRecord, Server, State, UnixTime};
use preset::{Change, Item, MergePlan, PublicKey, Trust, Warning, What};

use super::follow::{Shown, digest, is_ahead, is_stale, planned};
use super::{Checked, Presets, live_key};

/// All lists, by title.
pub(crate) fn preset_views(state: &State, presets: &Presets, now: UnixTime) -> Vec<PresetView> {
    let mut views: Vec<PresetView> = state
        .presets
        .values()
        .map(|record| preset_view(state, record, presets.checked(record).as_ref(), now))
        .collect();
    views.sort_by(|a, b| (&a.title, &a.id).cmp(&(&b.title, &b.id)));
    views
}

fn preset_view(state: &State, record: &PresetRecord, checked: Option<&Checked>, now: UnixTime) -> PresetView {
    let in_force = record.in_force.as_ref().or(record.seen.as_ref());
    let key = live_key(record);
    let named = |server: &&Server| server.listings.iter().any(|listing| listing.preset == record.id);
    let waiting = checked.filter(|_| is_ahead(record)).map(|checked| {
        let shown = Shown::waiting(record, checked);
        let plan = planned(state, &shown, now);
        let digest = digest(state, &shown, &plan);
        Box::new(plan_view(state, &shown, &plan, digest))
    });
    PresetView {
        id: record.id.to_string(),
        title: record.title.clone(),
        source: record.source.clone(),
        key_words: key.as_ref().map(PublicKey::eight_words),
        key: key.map(|key| key.as_str().to_owned()),
        serial: in_force.map_or(0, |seen| seen.serial),
        issued: in_force.and_then(|seen| seen.issued),
        expires: in_force.and_then(|seen| seen.expires),
        stale: in_force.is_some_and(|seen| is_stale(seen, now)),
        contact: in_force.and_then(|seen| seen.contact.clone()),
        checked_at: record.seen.as_ref().map(|seen| seen.last_success),
        problem: record.problem.clone(),
        servers: state.servers.values().filter(named).map(|server| server.id.clone()).collect(),
        removed: record.removed.iter().cloned().collect(),
        waiting: waiting.filter(|plan| !plan.empty),
    }
}

/// A plan for a person's eyes.
pub(super) fn plan_view(state: &State, shown: &Shown, plan: &MergePlan, digest: String) -> PresetPlanView {
    let record = &shown.record;
    let seen = record.seen.as_ref();
    let before = state.presets.get(&record.id).and_then(|known| known.in_force.as_ref());
    let key_words = match &shown.checked.trust {
        Trust::Verified { key, .. } => Some(key.eight_words()),
        Trust::Unverified => None,
    };
    let mut warnings = shown.warnings.clone();
    if key_words.is_none() {
        warnings.push(
            "this list is unverified: whoever serves it, or stands in between, can change it".to_owned(),
        );
    }
    if record.authority.is_some() {
        warnings.push(match &shown.checked.trust {
            Trust::Verified { .. } => {
                "the private authority of --ca is trusted for this list, for the servers that it adds and for their \
                 issuers"
                    .to_owned()
            }
            Trust::Unverified => "the private authority of --ca is trusted for fetching this list".to_owned(),
        });
    }
    warnings.extend(shown.checked.list.warnings.iter().map(|finding| finding.message.clone()));
    let items: Vec<PresetItemView> =
        shown.closed.iter().chain(&plan.items).map(|item| item_view(state, item)).collect();
    PresetPlanView {
        digest,
        id: record.id.to_string(),
        title: record.title.clone(),
        source: record.source.clone(),
        key_words,
        serial: seen.map_or(0, |seen| seen.serial),
        previous_serial: before.map(|seen| seen.serial),
        expires: seen.and_then(|seen| seen.expires),
        contact: seen.and_then(|seen| seen.contact.clone()),
        items,
        warnings,
        empty: plan.is_empty() && state.presets.get(&record.id).is_some_and(|known| is_same(known, record)),
    }
}

/// Whether a subscription stays one to the same place, with the same key and trust.
fn is_same(known: &PresetRecord, record: &PresetRecord) -> bool {
    (&known.source, &known.key, &known.authority) == (&record.source, &record.key, &record.authority)
}

fn item_view(state: &State, item: &Item) -> PresetItemView {
    let shown = &item.shown;
    let mut warnings: Vec<String> = item.warnings.iter().map(warning).collect();
    if let What::Clash { with, .. } = &item.what {
        warnings.push(format!(
            "{with} has the same URL with other headers, issuer, client id or sign-in settings: they stay \
             two servers"
        ));
    }
    if !shown.email_domains.is_empty() {
        let domains: Vec<&str> = shown.email_domains.iter().map(String::as_str).collect();
        warnings.push(format!("only accounts with a verified address of {} may use it", domains.join(", ")));
    }
    if shown.mandatory {
        warnings.push("it cannot be removed while the list names it".to_owned());
    }
    if !shown.apps.is_empty() {
        let apps: Vec<&str> = shown.apps.iter().map(model::ClientAppId::as_str).collect();
        warnings.push(format!("the list suggests it for {}", apps.join(", ")));
    }
    if let Some(profile) = &shown.profile {
        warnings.push(format!("the list suggests it for the profile {profile}"));
    }
    for (name, value) in &shown.headers {
        warnings.push(format!("it is sent with every request: {name}: {value}"));
    }
    match shown.metadata_url.as_deref() {
        Some("") => warnings.push("no client id metadata document is presented there".to_owned()),
        Some(url) => warnings.push(format!("Hallpass is known there by the document {url}")),
        None => {}
    }
    if !shown.redirect.is_default() {
        warnings.push(format!("the browser comes back to {}", shown.redirect.shown()));
    }
    for (name, value) in &shown.parameters {
        warnings.push(format!("it is sent with every sign-in: {name}={value}"));
    }
    let listed = item.what.new_server().or_else(|| item.server.as_ref().and_then(|id| state.servers.get(id)));
    let pinned = listed.and_then(|server| server.listings.iter().find(|l| l.name == item.name));
    PresetItemView {
        kind: kind(&item.what),
        name: item.name.clone(),
        label: shown.title.clone(),
        endpoint: shown.url.clone(),
        issuer: pinned.and_then(|l| l.issuer.clone()).or_else(|| shown.issuer_host.clone()),
        scopes: shown.scopes.iter().cloned().collect(),
        reason: reason(item),
        server: item.server.clone(),
        warnings,
    }
}

fn kind(what: &What) -> PresetItemKind {
    match what {
        What::New { replaces: None, .. } | What::Clash { replaces: None, .. } => PresetItemKind::New,
        What::New { replaces: Some(_), .. } | What::Clash { replaces: Some(_), .. } => PresetItemKind::Moved,
        What::Joins { .. } => PresetItemKind::Joined,
        What::Changed { .. } | What::Wording { .. } => PresetItemKind::Changed,
        What::Gone { .. } => PresetItemKind::Gone,
        What::Revoked { .. } => PresetItemKind::Revoked,
        What::Same => PresetItemKind::Same,
        What::Removed => PresetItemKind::Removed,
        What::Unsupported { .. } => PresetItemKind::Clash,
    }
}

fn reason(item: &Item) -> String {
    match &item.what {
        What::New { replaces: None, .. } | What::Clash { replaces: None, .. } => "new on the list".to_owned(),
        What::New { replaces: Some(old), .. } | What::Clash { replaces: Some(old), .. } => format!(
            "its URL, issuer or client id (or its document) has changed: a new server, nobody is signed in there, and \
             {old} stays beside it"
        ),
        What::Joins { .. } => "you have it already; the list joins its origins".to_owned(),
        What::Changed { changes, .. } => changes.iter().map(change).collect::<Vec<_>>().join("; "),
        What::Wording { .. } => "only its words change, or it asks for less".to_owned(),
        What::Gone { moved_to: Some(new) } => {
            format!("no longer on the list, which names {new} instead; it stays")
        }
        What::Gone { moved_to: None } => "no longer on the list; it stays, and so do its sign-ins".to_owned(),
        What::Revoked { standing: ListingStanding::Revoked { reason, .. } } => {
            format!("closed at once: {reason}")
        }
        What::Revoked { standing: ListingStanding::Listed | ListingStanding::Gone } => "closed".to_owned(),
        What::Same => "unchanged".to_owned(),
        What::Removed => "removed by you".to_owned(),
        What::Unsupported { reason } => format!("cannot be used: it {reason}"),
    }
}

fn change(change: &Change) -> String {
    match change {
        Change::WiderScopes { added } if added.is_empty() => {
            "it asks for whatever scopes the server names; sign in again to grant them".to_owned()
        }
        Change::WiderScopes { added } => {
            format!("it asks for more: {}; sign in again to grant it", added.join(" "))
        }
        Change::WiderAccounts => "accounts of other mail domains are allowed".to_owned(),
        Change::Headers => "other headers are sent with every request".to_owned(),
        Change::Redirect => "the browser comes back elsewhere after a sign-in".to_owned(),
        Change::Parameters => "other parameters are sent with every sign-in".to_owned(),
        Change::Mandatory => "it cannot be removed any more".to_owned(),
        Change::BackOnTheList => "it is on the list again".to_owned(),
        Change::NoLongerRevoked => "the list opens it again".to_owned(),
    }
}

fn warning(warning: &Warning) -> String {
    match warning {
        Warning::LookAlike { host, like } => format!("{host} looks like {like}, and is another host"),
        Warning::MixedScript { host, seen } => format!("{host} mixes letters of several scripts ({seen})"),
        Warning::International { host, seen } => format!("{host} is written {seen}"),
        Warning::LabelTaken { server } => format!("{server} is called the same"),
        Warning::TwiceOnTheList => "the list names this URL twice".to_owned(),
        Warning::Deprecated => "the list calls it deprecated".to_owned(),
        Warning::PrivateNetwork => {
            "it lies in a private network, where an unverified list leads nobody: it will not be called"
                .to_owned()
        }
    }
}
