//! What Servers have said of themselves, to each person: kept so that an app can start before its server has answered, and
//! has its tools while that is away. `cache/known-<digest>.json`; no file is of two people.

use std::path::PathBuf;

use model::{AccountId, ServerId};
use platform::file;
use serde::{Deserialize, Serialize};
use token_lease::{AgentMessage, Known, LeaseId};

use crate::agent::{Agent, lock};
use crate::presets::sha256;
use crate::sessions::{Current, SessionId};

/// More of one kind is not kept, in bytes.
const MAX_PART: usize = 256 * 1024;
/// More than this is no file of ours, in bytes.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// The file. It names whose it is, so that a mixed-up name is found.
#[derive(Serialize, Deserialize)]
struct Kept {
    v: u32,
    server: ServerId,
    account: Option<AccountId>,
    known: Known,
}

impl Agent {
    /// What is told to a bridge that acts as the person of now.
    pub(crate) fn known_to(&self, session: SessionId) -> Option<AgentMessage> {
        let (server, account) = {
            let sessions = lock(&self.sessions);
            let session = sessions.get(session)?;
            let account = match &session.current {
                Current::Open => None,
                Current::Ready { .. } | Current::Closed { .. } => Some(session.current.account()?.clone()),
            };
            (session.server.clone(), account)
        };
        let known = self.known(&server, account.as_ref())?;
        Some(AgentMessage::Known { account, known })
    }

    /// A bridge has heard news, under a lease of its own or at a Server that is open to everybody.
    pub(crate) fn seen(&self, session: SessionId, lease: Option<LeaseId>, newer: &Known) {
        let whose = {
            let sessions = lock(&self.sessions);
            match lease {
                Some(lease) => sessions
                    .lease(session, lease)
                    .filter(|lease| !lease.void)
                    .map(|lease| (lease.server.clone(), Some(lease.account.clone()))),
                None => sessions
                    .get(session)
                    .filter(|session| session.current == Current::Open)
                    .map(|session| (session.server.clone(), None)),
            }
        };
        let Some((server, account)) = whose else { return };
        let parts = [&newer.initialize, &newer.discover, &newer.tools];
        if parts.into_iter().flatten().any(|part| part.len() > MAX_PART) {
            return;
        }
        let mut known = self.known(&server, account.as_ref()).unwrap_or_default();
        if !known.merge(newer.clone()) {
            return;
        }
        let Some(path) = self.known_at(&server, account.as_ref()) else { return };
        let kept = Kept { v: 1, server, account, known };
        let Ok(text) = serde_json::to_vec(&kept) else { return };
        if let Err(error) = file::write_private(&path, &text) {
            tracing::warn!(%error, "what a server said of itself was not kept");
        }
    }

    /// Whoever signs out leaves nothing of what they were shown.
    pub(crate) fn forget_known(&self, server: &ServerId, account: Option<&AccountId>) {
        let Some(path) = self.known_at(server, account) else { return };
        if let Err(error) = std::fs::remove_file(path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "what a server said of itself could not be removed");
        }
    }

    fn known(&self, server: &ServerId, account: Option<&AccountId>) -> Option<Known> {
        let bytes = file::read_private(&self.known_at(server, account)?, MAX_FILE).ok()?;
        let kept: Kept = serde_json::from_slice(&bytes).ok()?;
        (kept.v == 1 && kept.server == *server && kept.account.as_ref() == account).then_some(kept.known)
    }

    /// Another address under the same id is another server.
    fn known_at(&self, server: &ServerId, account: Option<&AccountId>) -> Option<PathBuf> {
        let endpoint = self.read(|state| state.servers.get(server).map(|s| s.endpoint.to_string()))?;
        let account = account.map_or("", AccountId::as_str);
        let digest = sha256(format!("{server}\n{endpoint}\n{account}").as_bytes());
        Some(self.root.cache().join(format!("known-{}.json", &digest[..32])))
    }
}
