//! Following a list: what would change is planned and shown; a yes to that digest, and to no other, carries it out
//! in one write.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipc::{Error, ErrorCode, PresetPlanView, PresetView};
use model::{
    ListingStanding, Origin, PresetId, PresetRecord, PrivateAuthority, Seen, Server, ServerId, State,
    WebAddress,
};
use preset::{Accepted, Item, List, MergePlan, Offered, PublicKey, Trust, What};
use token_lease::OlderLeases;

use super::fetch::{Fetched, ListFile, Source, Wanted};
use super::{Checked, no_preset, of_refused, sha256, views};
use crate::agent::{Agent, lock};
use crate::error;
use crate::servers::parse_authority;

/// A plan that was shown, with what it needs.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    /// The subscription as it will be.
    pub(super) record: PresetRecord,
    pub(super) checked: Checked,
    /// To be kept with the yes; none where they are kept already.
    pub(super) bytes: Option<Vec<u8>>,
    /// What a person should know besides.
    pub(super) warnings: Vec<String>,
    /// What the list has closed already, to be shown with the rest.
    pub(super) closed: Vec<Item>,
}

impl Shown {
    /// What was seen of a list and waits for a yes.
    pub(super) fn waiting(record: &PresetRecord, checked: &Checked) -> Self {
        Self {
            record: PresetRecord { in_force: record.seen.clone(), ..record.clone() },
            checked: checked.clone(),
            bytes: None,
            warnings: Vec::new(),
            closed: Vec::new(),
        }
    }
}

impl Agent {
    /// Fetches a list and works out what following it would change.
    pub(crate) async fn plan_preset(
        self: &Arc<Self>,
        source: &str,
        key: Option<&str>,
        ca: Option<&str>,
    ) -> Result<PresetPlanView, Error> {
        let source = Source::parse(source)?;
        refuse_secret(&source)?;
        let authority = parse_authority(ca)?;
        let pinned = key.map(|key| PublicKey::parse(key.trim())).transpose().map_err(|error| {
            Error::new(ErrorCode::Usage, error.to_string()).hint("ask the list's publisher for it")
        })?;
        let wanted = Wanted { authority: authority.as_ref(), etag: None, signature: pinned.is_some() };
        let Fetched::File(file) = self.fetch_list(&source, wanted).await? else {
            return Err(Error::new(ErrorCode::Failed, "the list's server answered to a question not asked"));
        };
        let file = Arc::new(file);
        let (id, accepted, warnings) = self.accept_first(&file, pinned.as_ref()).await?;
        refuse_stale(&accepted, self.world.now())?;
        let title = title_of(&accepted.list, &file.source);
        let known = self.read(|state| state.presets.get(&id).cloned());
        let record = PresetRecord {
            id,
            source: file.source.text(),
            title,
            key: pinned.map(|key| key.as_str().to_owned()),
            in_force: Some(accepted.seen.clone()),
            checked_at: Some(self.world.now()),
            problem: None,
            authority,
            removed: known.as_ref().map(|record| record.removed.clone()).unwrap_or_default(),
            extra: known.map(|record| record.extra).unwrap_or_default(),
            seen: Some(accepted.seen),
        };
        let sha256 = sha256(&file.bytes);
        let checked = Checked { list: accepted.list, trust: accepted.trust, sha256 };
        let bytes = Some(file.bytes.clone());
        Ok(self.show(Shown { record, checked, bytes, warnings, closed: Vec::new() }))
    }

    /// Fetches a followed list anew and works out what would change, with the servers of it that the person had
    /// removed and wants back.
    pub(crate) async fn plan_preset_update(
        self: &Arc<Self>,
        preset: &str,
        bring_back: &[String],
    ) -> Result<PresetPlanView, Error> {
        let id = self.known_preset(preset)?;
        let look = self.presets.look(&id);
        let _one_look = look.lock().await;
        let closed = self.look_for(&id).await?;
        let mut record =
            self.read(|state| state.presets.get(&id).cloned()).ok_or_else(|| no_preset(preset))?;
        let checked = self.presets.checked(&record).ok_or_else(|| no_preset(preset))?;
        for name in bring_back {
            let is_listed = checked.list.servers.iter().any(|entry| entry.name == *name);
            if !record.removed.remove(name) || !is_listed {
                return Err(not_removed(&record.title, name));
            }
        }
        Ok(self.show(Shown { closed, ..Shown::waiting(&record, &checked) }))
    }

    /// Carries out a plan that was shown, if it is still the same.
    pub(crate) async fn apply_preset(self: &Arc<Self>, digest: &str) -> Result<Vec<PresetView>, Error> {
        let now = self.world.now();
        let shown = lock(&self.presets.shown).remove(digest);
        let Some(shown) = shown.or_else(|| self.waiting_plan(digest, now)) else {
            return Err(Error::new(ErrorCode::ChangedOutside, "that plan is not known any more")
                .hint("look at the list again, then say yes to it"));
        };
        let id = shown.record.id.clone();
        let applied = self
            .change(|state| {
                let plan = planned(state, &shown, now);
                if self::digest(state, &shown, &plan) != digest {
                    return Err(Error::new(
                        ErrorCode::ChangedOutside,
                        "something has changed since the list was looked at, so nothing was done",
                    )
                    .hint("look at the list again, then say yes to it"));
                }
                let before: BTreeMap<ServerId, _> =
                    state.servers.iter().map(|(id, server)| (id.clone(), server.headers.clone())).collect();
                let applied = preset::apply(state, &plan);
                let reattach: Vec<ServerId> = state
                    .servers
                    .values()
                    .filter(|server| before.get(&server.id).is_some_and(|headers| *headers != server.headers))
                    .map(|server| server.id.clone())
                    .collect();
                let mut record = shown.record.clone();
                record.removed.retain(|name| !is_here(state, &id, name));
                state.presets.insert(id.clone(), record);
                Ok((applied, reattach))
            })
            .map_err(error::of_state)?;
        let (applied, reattach) = applied?;
        lock(&self.presets.lists).insert(id.clone(), shown.checked);
        if let Some(bytes) = &shown.bytes {
            self.keep_copy(&id, bytes);
        }
        self.close_bridges(&applied.closed).await;
        self.reattach(&reattach);
        self.bring(|session| applied.changed.contains(&session.server), OlderLeases::Drain).await;
        Ok(self.read(|state| views::preset_views(state, &self.presets, now)))
    }

    /// Stops following a list. Its Servers stay as hand-made ones; one that it closed stays closed.
    pub(crate) async fn remove_preset(self: &Arc<Self>, preset: &str) -> Result<Vec<PresetView>, Error> {
        let id = self.known_preset(preset)?;
        let of_list = self.change(|state| {
            state.presets.remove(&id);
            let mut of_list = BTreeSet::new();
            for server in state.servers.values_mut() {
                if server.listings.iter().any(|listing| listing.preset == id) {
                    of_list.insert(server.id.clone());
                }
                server.listings.retain(|listing| {
                    listing.preset != id || matches!(listing.standing, ListingStanding::Revoked { .. })
                });
                if matches!(&server.origin, Origin::Preset { preset, .. } if *preset == id) {
                    server.origin = Origin::HandMade;
                }
            }
            of_list
        });
        let of_list = of_list.map_err(error::of_state)?;
        self.presets.forget(&id);
        self.forget_copy(&id);
        // Whom the list's rules kept out may act now.
        self.bring(|session| of_list.contains(&session.server), OlderLeases::Drain).await;
        let now = self.world.now();
        Ok(self.read(|state| views::preset_views(state, &self.presets, now)))
    }

    /// The lists that are followed.
    pub(crate) fn presets(&self) -> Vec<PresetView> {
        let now = self.world.now();
        self.read(|state| views::preset_views(state, &self.presets, now))
    }

    /// The bridges of these Servers end what they do and say why.
    pub(super) async fn close_bridges(self: &Arc<Self>, servers: &[ServerId]) {
        if !servers.is_empty() {
            self.bring(|session| servers.contains(&session.server), OlderLeases::Void).await;
        }
    }

    /// A list that waits, as views show it.
    fn waiting_plan(&self, digest: &str, now: model::UnixTime) -> Option<Shown> {
        self.read(|state| {
            state.presets.values().filter(|record| is_ahead(record)).find_map(|record| {
                let shown = Shown::waiting(record, &self.presets.checked(record)?);
                let plan = planned(state, &shown, now);
                (self::digest(state, &shown, &plan) == digest).then_some(shown)
            })
        })
    }

    fn known_preset(&self, preset: &str) -> Result<PresetId, Error> {
        let id = PresetId::parse(preset).map_err(|_| no_preset(preset))?;
        if self.read(|state| state.presets.contains_key(&id)) { Ok(id) } else { Err(no_preset(preset)) }
    }

    fn show(&self, shown: Shown) -> PresetPlanView {
        let now = self.world.now();
        let view = self.read(|state| {
            let plan = planned(state, &shown, now);
            let digest = digest(state, &shown, &plan);
            views::plan_view(state, &shown, &plan, digest)
        });
        self.presets.keep(&view.digest, shown);
        view
    }

    /// Checks the file of a subscription that is new, or that is made anew.
    async fn accept_first(
        &self,
        file: &Arc<ListFile>,
        pinned: Option<&PublicKey>,
    ) -> Result<(PresetId, Accepted, Vec<String>), Error> {
        let first = self.accept(file, None, pinned).await?;
        let name = first.list.about.as_ref().map_or_else(|| file.source.host(), |about| about.id.clone());
        let id = PresetId::parse(&name).map_err(|error| {
            Error::new(ErrorCode::Failed, format!("the list has no name that can be kept: {error}"))
        })?;
        let Some(known) = self.read(|state| state.presets.get(&id).cloned()) else {
            return Ok((id, first, Vec::new()));
        };
        let live = known.seen.as_ref().map(|seen| seen.keys.clone()).unwrap_or_default();
        let mut warnings = Vec::new();
        if known.source != file.source.text() {
            warnings.push(format!("this list was fetched from {} until now", known.source));
        }
        match pinned {
            None if !live.is_empty() => Err(Error::new(
                ErrorCode::Failed,
                format!(
                    "{} is followed with its publisher's key already, and is not taken without it",
                    known.title
                ),
            )
            .hint("give the key with --key, or remove the list first: hallpass presets remove")),
            Some(key) if !live.is_empty() && !live.iter().any(|live| live == key.as_str()) => {
                warnings.push(
                    "this pins ANOTHER key than before, and the count of versions starts anew: compare the eight \
                     words with the publisher"
                        .to_owned(),
                );
                Ok((id, first, warnings))
            }
            // A key for a list that was unverified until now: nothing of what was seen before counts.
            Some(_) if live.is_empty() => Ok((id, first, warnings)),
            Some(_) | None => Ok((id, self.accept(file, known.seen.as_ref(), pinned).await?, warnings)),
        }
    }

    /// Judges a file beside the agent's own thread: a large one takes a while, and nobody waits for it.
    pub(super) async fn accept(
        &self,
        file: &Arc<ListFile>,
        seen: Option<&Seen>,
        pinned: Option<&PublicKey>,
    ) -> Result<Accepted, Error> {
        let (file, seen, pinned, now) = (Arc::clone(file), seen.cloned(), pinned.cloned(), self.world.now());
        let judged = tokio::task::spawn_blocking(move || {
            let (signature, etag) = (file.signature.as_deref(), file.etag.as_deref());
            let offered = Offered { bytes: &file.bytes, signature, etag };
            preset::accept(seen.as_ref(), pinned.as_ref(), offered, now)
        });
        match judged.await {
            Ok(accepted) => accepted.map_err(|error| of_refused(&error)),
            Err(error) => Err(Error::new(ErrorCode::Failed, format!("the list was not judged: {error}"))),
        }
    }
}

/// Whether a Server stands for this name on a list.
fn is_here(state: &State, preset: &PresetId, name: &str) -> bool {
    let stands = |server: &Server| server.in_force().any(|l| l.preset == *preset && l.name == name);
    state.servers.values().any(stands)
}

/// A person removes a Server: the lists that name it do not bring it again. To be called when it is gone.
pub(crate) fn remember_removed(state: &mut State, server: &Server) {
    for listing in server.in_force() {
        if !is_here(state, &listing.preset, &listing.name)
            && let Some(record) = state.presets.get_mut(&listing.preset)
        {
            record.removed.insert(listing.name.clone());
        }
    }
}

fn not_removed(title: &str, name: &str) -> Error {
    let shown: String = name.chars().filter(|c| !c.is_control()).take(200).collect();
    Error::new(ErrorCode::NotFound, format!("{title} names no server {shown} that you removed"))
        .hint("hallpass presets list shows those that you removed")
}

/// Whether a newer file was seen than the one that the person said yes to.
pub(super) fn is_ahead(record: &PresetRecord) -> bool {
    let digest = |seen: &Option<Seen>| seen.as_ref().map(|seen| seen.sha256.clone());
    digest(&record.in_force) != digest(&record.seen)
}

/// What a yes would do now. A stale list adds nothing.
pub(super) fn planned(state: &State, shown: &Shown, now: model::UnixTime) -> MergePlan {
    let plan = merged(state, &shown.record, &shown.checked);
    let has_ended = shown.record.seen.as_ref().is_some_and(|seen| is_stale(seen, now));
    if has_ended { plan.without_new() } else { plan }
}

/// What a checked list would change in the state.
pub(super) fn merged(state: &State, record: &PresetRecord, checked: &Checked) -> MergePlan {
    let source = preset::Source {
        preset: &record.id,
        title: &record.title,
        trust: &checked.trust,
        removed: &record.removed,
    };
    let mut plan = preset::merge(state, source, &checked.list);
    for item in &mut plan.items {
        if let (What::New { server, .. } | What::Clash { server, .. }, Trust::Verified { .. }) =
            (&mut item.what, &checked.trust)
        {
            server.authority.clone_from(&record.authority);
        }
    }
    plan
}

pub(super) fn is_stale(seen: &Seen, now: model::UnixTime) -> bool {
    match preset::standing(seen, now) {
        preset::Standing::Current => false,
        preset::Standing::Stale { .. } => true,
    }
}

/// A file that is new and has ended already is no list of today.
pub(super) fn refuse_stale(accepted: &Accepted, now: model::UnixTime) -> Result<(), Error> {
    match preset::standing(&accepted.seen, now) {
        preset::Standing::Stale { since } => Err(Error::new(
            ErrorCode::Failed,
            format!("the list is refused: it ended at {}", preset::format_time(since)),
        )
        .hint("ask its publisher for a newer one")),
        preset::Standing::Current => Ok(()),
    }
}

/// Where a list comes from is kept and shown, so no secret may stand in it.
fn refuse_secret(source: &Source) -> Result<(), Error> {
    let Source::Url(endpoint) = source else { return Ok(()) };
    match WebAddress::read(endpoint.as_str()).kinds.first() {
        None => Ok(()),
        Some(kind) => Err(Error::new(
            ErrorCode::Usage,
            format!("the list's address carries a secret ({kind}), and it was not kept"),
        )
        .hint("ask its publisher for an address without one: the signature protects the list")),
    }
}

pub(super) fn title_of(list: &List, source: &Source) -> String {
    list.about.as_ref().map_or_else(|| source.host(), |about| about.title.clone())
}

/// Names the plan, the subscription as it will be, and what the ratchet stood at when it was made.
pub(super) fn digest(state: &State, shown: &Shown, plan: &MergePlan) -> String {
    let before = state.presets.get(&shown.record.id);
    let of = |record: &PresetRecord| {
        serde_json::json!([
            record.source,
            record.key,
            record.authority.as_ref().map(PrivateAuthority::pem),
            record.seen.as_ref().map(|seen| &seen.sha256),
            record.in_force.as_ref().map(|seen| &seen.sha256),
        ])
    };
    let whole = serde_json::json!([plan.digest(), of(&shown.record), before.map(of)]);
    sha256(whole.to_string().as_bytes())
}
