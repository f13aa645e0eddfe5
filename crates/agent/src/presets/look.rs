//! Looking for a newer list: the ratchet moves at once, what is taken back is closed at once, and everything else
//! waits for the person.

use std::sync::Arc;
use std::time::Duration;

use ipc::{Error, ErrorCode};
use model::{PresetId, PresetRecord, Seen};
use preset::{Item, MergePlan, News, Trust, What};

use super::fetch::{Fetched, Source, Wanted};
use super::follow::{merged, refuse_stale};
use super::schedule::next_look;
use super::{Checked, live_key, no_preset, sha256};
use crate::agent::{Agent, lock};
use crate::error;

/// The clock is looked at again after so long, in case it jumped or the machine slept.
const LOOK_AGAIN: Duration = Duration::from_mins(5);

/// Looks at each list when its time has come, for as long as the agent lives.
pub(crate) async fn run(agent: Arc<Agent>) {
    loop {
        let now = agent.world.now();
        let mut next = None;
        for (id, checked_at) in agent.read(|state| {
            state.presets.values().map(|record| (record.id.clone(), record.checked_at)).collect::<Vec<_>>()
        }) {
            let failures = lock(&agent.presets.failures).get(&id).copied().unwrap_or_default();
            let at = next_look(checked_at, failures, agent.world.jitter(), now);
            if at <= now {
                tokio::spawn(look_at(Arc::clone(&agent), id));
            } else {
                next = Some(next.map_or(at, |n: model::UnixTime| n.min(at)));
            }
        }
        let wait = next.map_or(LOOK_AGAIN, |at| at.since(now).clamp(Duration::from_secs(1), LOOK_AGAIN));
        tokio::time::sleep(wait).await;
    }
}

/// One look of its own; none where somebody is looking already.
async fn look_at(agent: Arc<Agent>, id: PresetId) {
    let look = agent.presets.look(&id);
    let Ok(_one_look) = look.try_lock() else { return };
    if let Err(error) = agent.look_for(&id).await {
        tracing::warn!(%error, "a list was not renewed");
    }
}

impl Agent {
    /// Fetches a followed list and takes it over as far as that needs no yes. Answers what was closed. The caller
    /// holds the list's look.
    pub(super) async fn look_for(self: &Arc<Self>, id: &PresetId) -> Result<Vec<Item>, Error> {
        let asked =
            self.read(|state| state.presets.get(id).cloned()).ok_or_else(|| no_preset(id.as_str()))?;
        match self.renew(&asked).await {
            Ok(closed) => {
                lock(&self.presets.failures).remove(id);
                Ok(closed)
            }
            Err(error) => {
                let now = self.world.now();
                let noted = self.change(|state| {
                    // What somebody follows by now has nothing to do with it.
                    let record =
                        state.presets.get_mut(id).filter(|record| is_same_question(record, &asked))?;
                    record.checked_at = Some(now);
                    record.problem = Some(error.message.clone());
                    Some(())
                });
                match noted {
                    Ok(Some(())) => *lock(&self.presets.failures).entry(id.clone()).or_default() += 1,
                    Ok(None) => {}
                    Err(error) => tracing::warn!(%error, "the problem of a list was not noted"),
                }
                Err(error)
            }
        }
    }

    async fn renew(self: &Arc<Self>, record: &PresetRecord) -> Result<Vec<Item>, Error> {
        let id = &record.id;
        let source = Source::parse(&record.source)?;
        let known = self.presets.checked(record);
        // Without our copy of it, "not modified" would leave us with nothing.
        let etag = record.seen.as_ref().filter(|_| known.is_some()).and_then(|seen| seen.etag.as_deref());
        let wanted =
            Wanted { authority: record.authority.as_ref(), etag, signature: live_key(record).is_some() };
        let (seen, checked, bytes) = match (self.fetch_list(&source, wanted).await?, &record.seen, known) {
            (Fetched::NotModified, Some(seen), Some(known)) => {
                (preset::not_modified(seen, self.world.now()), known, None)
            }
            (Fetched::NotModified, _, _) => return Err(no_preset(id.as_str())),
            (Fetched::File(file), _, _) => {
                let pinned = record.key.as_deref().and_then(|key| preset::PublicKey::parse(key).ok());
                let file = Arc::new(file);
                let accepted = self.accept(&file, record.seen.as_ref(), pinned.as_ref()).await?;
                if accepted.news != News::Same {
                    refuse_stale(&accepted, self.world.now())?;
                }
                let sha256 = sha256(&file.bytes);
                let checked = Checked { list: accepted.list, trust: accepted.trust, sha256 };
                (accepted.seen, checked, Some(file))
            }
        };
        let closed = self.advance(record, seen, &checked)?;
        if let Some(file) = bytes {
            self.keep_copy(id, &file.bytes);
        }
        lock(&self.presets.lists).insert(id.clone(), checked);
        let servers: Vec<_> = closed.iter().filter_map(|item| item.server.clone()).collect();
        self.close_bridges(&servers).await;
        Ok(closed)
    }

    /// One write: how far the list was seen, what it takes back, and whether there is anything to say yes to. `asked`
    /// is the subscription as it was when the list was asked for.
    fn advance(&self, asked: &PresetRecord, seen: Seen, checked: &Checked) -> Result<Vec<Item>, Error> {
        let checked_at = Some(self.world.now());
        self.change(|state| {
            let known = state.presets.get(&asked.id).filter(|known| is_same_question(known, asked));
            let Some(known) = known.cloned() else { return Err(changed_meanwhile(&asked.id)) };
            let title = checked.list.about.as_ref().map(|about| about.title.clone());
            let mut record = PresetRecord {
                title: title.unwrap_or_else(|| known.title.clone()),
                seen: Some(seen),
                checked_at,
                problem: None,
                ..known
            };
            let plan = merged(state, &record, checked);
            // Whoever serves an unsigned list can change it: even what it takes back waits for a yes.
            let revoked = |item: &&Item| {
                checked.trust != Trust::Unverified && matches!(item.what, What::Revoked { .. })
            };
            let closed: Vec<Item> = plan.items.iter().filter(revoked).cloned().collect();
            preset::apply(state, &MergePlan { items: closed.clone(), ..plan.clone() });
            let nothing_else = plan.items.iter().all(|item| item.what.is_nothing() || revoked(&item));
            if nothing_else {
                record.in_force.clone_from(&record.seen);
            } else if let (Some(in_force), Some(seen)) = (&mut record.in_force, &record.seen) {
                keep_fresh(in_force, seen);
            }
            state.presets.insert(record.id.clone(), record);
            Ok(closed)
        })
        .map_err(error::of_state)?
    }
}

/// Whether a list would still be asked for in the same words and judged by the same ratchet.
fn is_same_question(now: &PresetRecord, then: &PresetRecord) -> bool {
    let ratchet = |seen: &Option<Seen>| seen.as_ref().map(|seen| (seen.sha256.clone(), seen.keys.clone()));
    now.source == then.source
        && now.key == then.key
        && now.authority == then.authority
        && ratchet(&now.seen) == ratchet(&then.seen)
}

/// Somebody followed a list anew, or no longer, while it was on its way.
fn changed_meanwhile(id: &PresetId) -> Error {
    Error::new(
        ErrorCode::ChangedOutside,
        format!("{id} was followed anew, or no longer, while it was fetched"),
    )
    .hint("hallpass presets list shows what is followed now")
}

/// The same file, obtained again.
fn keep_fresh(in_force: &mut Seen, seen: &Seen) {
    if in_force.sha256 == seen.sha256 {
        in_force.clone_from(seen);
    }
}
