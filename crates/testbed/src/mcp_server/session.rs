//! The sessions of the handshake era.

use std::collections::HashMap;

use serde_json::Value;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::record::SessionView;
use super::stream::Pen;
use crate::web::random_text;

#[derive(Default)]
pub(super) struct Sessions(HashMap<String, Session>);

#[derive(Default)]
pub(super) struct Session {
    pub(super) person: Option<String>,
    pub(super) version: String,
    streams: Vec<Pen>,
    /// Ids of server requests count from 1 in each session, so two sessions use the same ones.
    next_request: u64,
    awaited: HashMap<u64, oneshot::Sender<Value>>,
    pub(super) calls: HashMap<String, AbortHandle>,
}

impl Sessions {
    pub(super) fn open(&mut self, person: Option<String>, version: String) -> String {
        let id = random_text(16);
        self.0.insert(id.clone(), Session { person, version, ..Session::default() });
        id
    }

    pub(super) fn get(&mut self, id: &str) -> Option<&mut Session> {
        self.0.get_mut(id)
    }

    pub(super) fn close(&mut self, id: &str) -> bool {
        self.0.remove(id).is_some()
    }

    pub(super) fn close_all(&mut self) {
        self.0.clear();
    }

    /// Writes to all GET streams of a session; says to how many.
    pub(super) fn write(&mut self, id: &str, message: &Value) -> usize {
        self.get(id).map_or(0, |session| session.write(message))
    }

    /// Room for the answer to a server request, and the id that it must bear.
    pub(super) fn await_answer(&mut self, id: &str, tell: oneshot::Sender<Value>) -> Option<u64> {
        let session = self.get(id)?;
        session.next_request += 1;
        session.awaited.insert(session.next_request, tell);
        Some(session.next_request)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&String, &mut Session)> {
        self.0.iter_mut()
    }

    pub(super) fn views(&mut self) -> Vec<SessionView> {
        let view = |(id, session): (&String, &mut Session)| SessionView {
            id: id.clone(),
            person: session.person.clone(),
            version: session.version.clone(),
            streams: session.open_streams(),
        };
        self.0.iter_mut().map(view).collect()
    }
}

impl Session {
    pub(super) fn add_stream(&mut self, pen: Pen) {
        self.streams.push(pen);
    }

    pub(super) fn open_streams(&mut self) -> usize {
        self.streams.retain(Pen::is_open);
        self.streams.len()
    }

    /// On one stream alone: a message must not be sent twice (Streamable HTTP, "multiple connections").
    pub(super) fn write(&mut self, message: &Value) -> usize {
        self.streams.retain(Pen::is_open);
        usize::from(self.streams.iter().any(|pen| pen.write(message)))
    }

    /// Hands the answer to whoever asked. Says whether somebody had.
    pub(super) fn answered(&mut self, id: &Value, answer: Value) -> bool {
        let Some(tell) = id.as_u64().and_then(|id| self.awaited.remove(&id)) else { return false };
        // Who asked may have been cancelled meanwhile.
        let _ = tell.send(answer);
        true
    }
}
