//! Messages that the server sends of its own accord, each naming the person whose stream it goes to.

use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::Inner;
use super::stream::Pen;

/// What to push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Push {
    /// `notifications/message` with `data.person` (not on stateless streams, which carry no logs).
    Message,
    /// `notifications/resources/updated` of `person://<name>`.
    ResourceUpdated,
    /// `notifications/tools/list_changed`.
    ToolsListChanged,
    /// A server request `roots/list` (handshake era alone).
    RootsRequest,
}

/// A stateless `subscriptions/listen` stream.
pub(super) struct Listener {
    pub(super) person: Option<String>,
    pub(super) id: Value,
    pub(super) filter: Value,
    pub(super) pen: Pen,
}

/// Method and params of a notification that names `person`.
pub(super) fn message(kind: &str, person: &str) -> (&'static str, Value) {
    match kind {
        "resource" => ("notifications/resources/updated", json!({"uri": format!("person://{person}")})),
        "tools" => ("notifications/tools/list_changed", json!({"_meta": {"person": person}})),
        _ => (
            "notifications/message",
            json!({"level": "info", "logger": "testbed", "data": {"person": person, "text": format!("for {person}")}}),
        ),
    }
}

impl Inner {
    /// Pushes to every open stream, or to those of `person`; says to how many.
    pub(super) fn push(&self, push: Push, person: Option<&str>) -> usize {
        let kind = match push {
            Push::Message => "message",
            Push::ResourceUpdated => "resource",
            Push::ToolsListChanged => "tools",
            Push::RootsRequest => return self.push_request(person),
        };
        let meant = |owner: &Option<String>| person.is_none() || owner.as_deref() == person;
        let mut reached = 0;
        for (_, session) in self.sessions().iter_mut().filter(|(_, session)| meant(&session.person)) {
            let (method, params) = message(kind, session.person.as_deref().unwrap_or("nobody"));
            reached += session.write(&json!({"jsonrpc": "2.0", "method": method, "params": params}));
        }
        let mut listeners = self.listeners();
        listeners.retain(|listener| listener.pen.is_open());
        for listener in listeners.iter().filter(|listener| meant(&listener.person)) {
            let (method, mut params) = message(kind, listener.person.as_deref().unwrap_or("nobody"));
            let asked = match push {
                Push::ToolsListChanged => listener.filter["toolsListChanged"] == true,
                Push::ResourceUpdated => listener.filter["resourceSubscriptions"]
                    .as_array()
                    .is_some_and(|uris| uris.contains(&params["uri"])),
                Push::Message | Push::RootsRequest => false,
            };
            if asked {
                params["_meta"][SUBSCRIPTION_ID] = listener.id.clone();
                let sent = listener.pen.write(&json!({"jsonrpc": "2.0", "method": method, "params": params}));
                reached += usize::from(sent);
            }
        }
        reached
    }

    fn push_request(&self, person: Option<&str>) -> usize {
        let mut sessions = self.sessions();
        let views = sessions.views();
        let meant = views.iter().filter(|view| person.is_none() || view.person.as_deref() == person);
        meant
            .map(|view| {
                // Nobody waits for it: the answer is counted as awaited and then forgotten.
                let (tell, _forgotten) = oneshot::channel();
                let Some(id) = sessions.await_answer(&view.id, tell) else { return 0 };
                sessions.write(&view.id, &json!({"jsonrpc": "2.0", "id": id, "method": "roots/list"}))
            })
            .sum()
    }
}

pub(super) const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";
