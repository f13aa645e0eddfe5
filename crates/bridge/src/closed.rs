//! Answers in the server's name, while nobody may call it or it has not answered yet.

use serde_json::{Value, json};
use token_lease::Closed;

use model::Era;

use crate::era::{HANDSHAKE, HANDSHAKES, STATELESS};
use crate::error::{Failure, error_response, result_response};
use crate::field::Field;
use crate::lifecycle::{Bridge, Position};
use crate::message::Message;

impl Bridge {
    /// Answers `initialize` now, if it still waits. Lists can be corrected later, capabilities cannot.
    pub(crate) fn answer_initialize_ourselves(&mut self) {
        self.host.answer_by = None;
        if self.host.answered {
            return;
        }
        let Some(initialize) = &self.host.initialize else { return };
        let Some(id) = initialize.raw(Field::Id) else { return };
        let asked = initialize.text(Field::ProtocolVersion);
        let version = asked.as_deref().filter(|v| HANDSHAKES.contains(v)).unwrap_or(HANDSHAKE).to_owned();
        self.host.batches = version == "2025-03-26";
        let result = json!({
            "protocolVersion": version, "capabilities": capabilities(), "serverInfo": self.server_info(),
        });
        self.to_host.push(result_response(&id, &result));
        self.host.answered = true;
        self.host.capabilities = None;
    }

    /// `ping` needs nobody.
    pub(crate) fn answer_ping(&mut self, message: &Message) {
        if let Some(id) = message.raw(Field::Id) {
            self.to_host.push(result_response(&id, &json!({})));
        }
    }

    /// Answers a request while the Server is closed: lists are empty, calls say what to do.
    pub(crate) fn answer_closed(&mut self, message: &Message, closed: &Closed) {
        let Some(id) = message.raw(Field::Id) else { return };
        let stateless = message.has(Field::MetaVersion);
        let method = message.method();
        if &*method == "tools/list"
            && let Some(line) =
                closed.person.as_ref().and_then(|person| self.remembered_tools(person, &id, stateless))
        {
            self.to_host.push(line);
            return;
        }
        let result = match &*method {
            "ping" => json!({}),
            "tools/list" => listed("tools", stateless),
            "prompts/list" => listed("prompts", stateless),
            "resources/list" => listed("resources", stateless),
            "resources/templates/list" => listed("resourceTemplates", stateless),
            "tools/call" => {
                let text = format!("{}. {}", closed.message, closed.hint);
                let mut result = json!({"content": [{"type": "text", "text": text}], "isError": true});
                if stateless {
                    result["resultType"] = json!("complete");
                }
                result
            }
            // Whatever the server speaks, an app of this revision will be understood.
            "server/discover" if stateless || self.era == Some(Era::Stateless) => json!({
                "resultType": "complete",
                "supportedVersions": [STATELESS],
                "capabilities": capabilities(),
                "ttlMs": 0,
                "cacheScope": "private",
                "_meta": {"io.modelcontextprotocol/serverInfo": self.server_info()},
            }),
            "server/discover" => {
                self.to_host.push(no_such_method(&id));
                return;
            }
            _ => {
                let failure = Failure::Closed(closed.clone());
                self.answer_failure(message, &failure);
                return;
            }
        };
        self.to_host.push(result_response(&id, &result));
    }

    /// The Server is closed from now on, by what the server itself said.
    pub(crate) fn close(&mut self, closed: Closed) {
        self.current = None;
        self.position = Position::Closed(closed);
    }

    /// What the bridge says of the server where that says nothing.
    pub(crate) fn server_info(&self) -> Value {
        json!({"name": self.voice.server, "title": self.voice.label, "version": env!("CARGO_PKG_VERSION")})
    }
}

/// What makes a host fall back to `initialize`.
pub(crate) fn no_such_method(id: &[u8]) -> bytes::Bytes {
    error_response(id, -32601, "Method not found", None)
}

fn capabilities() -> Value {
    json!({"tools": {"listChanged": true}, "resources": {"listChanged": true}, "prompts": {"listChanged": true}})
}

fn listed(name: &str, stateless: bool) -> Value {
    let mut result = json!({name: []});
    if stateless {
        result["resultType"] = json!("complete");
        result["ttlMs"] = json!(0);
        result["cacheScope"] = json!("private");
    }
    result
}
