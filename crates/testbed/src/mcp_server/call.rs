//! One request that is being answered: as whom, and where its notifications and questions go.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::Inner;
use super::gate::Visitor;
use super::stream::Pen;
use super::tools::{INVALID_PARAMS, RpcError};
use crate::web::random_text;

/// The answers to server requests that are still awaited, and so on, live in the session; this is the call.
pub(super) struct Call {
    pub(super) inner: Arc<Inner>,
    pub(super) visitor: Visitor,
    pub(super) progress_token: Option<Value>,
    pub(super) way: Way,
}

/// How messages reach the caller before the answer.
pub(super) enum Way {
    /// Handshake era: on the answer's own stream if it has one, else on the session's GET streams.
    Session { id: Option<String>, pen: Option<Pen> },
    /// Stateless era: on the answer's own stream, or not at all. `logs`: log notifications were asked for.
    Request { pen: Option<Pen>, logs: bool },
}

impl Call {
    pub(super) fn person(&self) -> &str {
        self.visitor.person.as_deref().unwrap_or("nobody")
    }

    pub(super) fn handshake(&self) -> bool {
        match self.way {
            Way::Session { .. } => true,
            Way::Request { .. } => false,
        }
    }

    pub(super) fn notify(&self, method: &str, params: &Value) {
        let message = json!({"jsonrpc": "2.0", "method": method, "params": params});
        match &self.way {
            Way::Request { logs: false, .. } if method == "notifications/message" => {}
            Way::Session { pen: Some(pen), .. } | Way::Request { pen: Some(pen), .. } => {
                let _ = pen.write(&message);
            }
            Way::Session { id: Some(id), pen: None } => {
                let _ = self.inner.sessions().write(id, &message);
            }
            Way::Session { id: None, pen: None } | Way::Request { pen: None, .. } => {}
        }
    }

    /// Sends a server request and waits for its answer: `result` or `error` of it. `None`: no way to ask.
    pub(super) async fn request(&self, method: &str, params: Value) -> Option<Value> {
        let Way::Session { id: Some(session), pen } = &self.way else { return None };
        let (tell, answer) = oneshot::channel();
        {
            let mut sessions = self.inner.sessions();
            let id = sessions.await_answer(session, tell)?;
            let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
            let reached = match pen {
                Some(pen) => pen.write(&message),
                None => sessions.write(session, &message) > 0,
            };
            if !reached {
                return None;
            }
        }
        answer.await.ok()
    }

    /// A `requestState` that only this person may bring back, once.
    pub(super) fn new_request_state(&self) -> String {
        let state = random_text(16);
        self.inner.request_states().insert(state.clone(), self.person().to_owned());
        state
    }

    pub(super) fn take_request_state(&self, state: &str) -> Result<(), RpcError> {
        let owner = self.inner.request_states().remove(state);
        if owner.as_deref() == Some(self.person()) {
            return Ok(());
        }
        self.inner.stats().foreign_request_states += 1;
        Err(RpcError::new(INVALID_PARAMS, "that requestState is not this caller's"))
    }
}
