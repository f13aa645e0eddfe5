//! Looking for a newer list: the ratchet moves at once, what is taken back is closed at once, and everything else
//! waits for the person.

use std::sync::Arc;
use std::time::Duration;

use ipc::Error;
use model::{PresetId, PresetRecord, Seen};
use preset::{Item, MergePlan, News, Offered, Trust, What};

use super::fetch::{Fetched, Source, Wanted};
use super::follow::{merged, refuse_stale, title_of};
use super::schedule::next_look;
use super::{Checked, live_key, no_preset, of_refused, sha256};
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
                let _one_at_a_time = agent.presets.busy.lock().await;
                if let Err(error) = agent.look_for(&id).await {
                    tracing::warn!(%error, "a list was not renewed");
                }
            } else {
                next = Some(next.map_or(at, |n: model::UnixTime| n.min(at)));
            }
        }
        let wait = next.map_or(LOOK_AGAIN, |at| at.since(now).clamp(Duration::from_secs(1), LOOK_AGAIN));
        tokio::time::sleep(wait).await;
    }
}

impl Agent {
    /// Fetches a followed list and takes it over as far as that needs no yes. Answers what was closed. The caller
    /// holds `busy`.
    pub(super) async fn look_for(self: &Arc<Self>, id: &PresetId) -> Result<Vec<Item>, Error> {
        match self.renew(id).await {
            Ok(closed) => {
                lock(&self.presets.failures).remove(id);
                Ok(closed)
            }
            Err(error) => {
                *lock(&self.presets.failures).entry(id.clone()).or_default() += 1;
                let now = self.world.now();
                let noted = self.change(|state| {
                    if let Some(record) = state.presets.get_mut(id) {
                        record.checked_at = Some(now);
                        record.problem = Some(error.message.clone());
                    }
                });
                if let Err(error) = noted {
                    tracing::warn!(%error, "the problem of a list was not noted");
                }
                Err(error)
            }
        }
    }

    async fn renew(self: &Arc<Self>, id: &PresetId) -> Result<Vec<Item>, Error> {
        let record =
            self.read(|state| state.presets.get(id).cloned()).ok_or_else(|| no_preset(id.as_str()))?;
        let source = Source::parse(&record.source)?;
        let known = self.presets.checked(&record);
        // Without our copy of it, "not modified" would leave us with nothing.
        let etag = record.seen.as_ref().filter(|_| known.is_some()).and_then(|seen| seen.etag.as_deref());
        let wanted =
            Wanted { authority: record.authority.as_ref(), etag, signature: live_key(&record).is_some() };
        let now = self.world.now();
        let (seen, checked) = match (self.fetch_list(&source, wanted).await?, &record.seen, known) {
            (Fetched::NotModified, Some(seen), Some(known)) => (preset::not_modified(seen, now), known),
            (Fetched::NotModified, _, _) => return Err(no_preset(id.as_str())),
            (Fetched::File(file), _, _) => {
                let pinned = record.key.as_deref().and_then(|key| preset::PublicKey::parse(key).ok());
                let offered = Offered {
                    bytes: &file.bytes,
                    signature: file.signature.as_deref(),
                    etag: file.etag.as_deref(),
                };
                let accepted = preset::accept(record.seen.as_ref(), pinned.as_ref(), offered, now)
                    .map_err(|error| of_refused(&error))?;
                if accepted.news != News::Same {
                    refuse_stale(&accepted, now)?;
                }
                self.keep_copy(id, &file.bytes)?;
                let sha256 = sha256(&file.bytes);
                (accepted.seen, Checked { list: accepted.list, trust: accepted.trust, sha256 })
            }
        };
        let title = title_of(&checked.list, &source);
        let record = PresetRecord { seen: Some(seen), title, checked_at: Some(now), problem: None, ..record };
        let closed = self.advance(record, &checked)?;
        lock(&self.presets.lists).insert(id.clone(), checked);
        let servers: Vec<_> = closed.iter().filter_map(|item| item.server.clone()).collect();
        self.close_bridges(&servers).await;
        Ok(closed)
    }

    /// One write: how far the list was seen, what it takes back, and whether there is anything to say yes to.
    fn advance(&self, mut record: PresetRecord, checked: &Checked) -> Result<Vec<Item>, Error> {
        self.change(|state| {
            let plan = merged(state, &record, checked);
            // Whoever serves an unsigned list can change it: even what it takes back waits for a yes.
            let revoked = |item: &&Item| {
                checked.trust != Trust::Unverified && matches!(item.what, What::Revoked { .. })
            };
            let closed: Vec<Item> = plan.items.iter().filter(revoked).cloned().collect();
            preset::apply(state, &MergePlan { items: closed.clone(), ..plan.clone() });
            let nothing_else = plan.items.iter().all(|item| {
                matches!(item.what, What::Same | What::Unsupported { .. }) || closed.contains(item)
            });
            if nothing_else {
                record.in_force.clone_from(&record.seen);
            } else if let (Some(in_force), Some(seen)) = (&mut record.in_force, &record.seen) {
                keep_fresh(in_force, seen);
            }
            state.presets.insert(record.id.clone(), record);
            closed
        })
        .map_err(error::of_state)
    }
}

/// The same file, obtained again.
fn keep_fresh(in_force: &mut Seen, seen: &Seen) {
    if in_force.sha256 == seen.sha256 {
        in_force.clone_from(seen);
    }
}
