//! An app of the handshake era at a server of 2026-07-28: what each of them says, in the words of the other. Nothing
//! here sends anything.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use tokio::task::AbortHandle;

use crate::era::{
    APP_CAPABILITIES, APP_INFO, HANDSHAKE, HANDSHAKES, INVALID_PARAMS, LOG_LEVEL, NO_SUCH_RESOURCE,
    SERVER_INFO, STATELESS, SUBSCRIPTION, VERSION, can_be_asked, is_cacheable, map, message, notification,
    request, response, strip_meta,
};
use crate::error::Failure;
use crate::field::Field;
use crate::message::{Message, json_string};
use crate::object::Object;

/// What is known of the two, from the handshake on.
pub(crate) struct OlderHost {
    /// What `_meta` of every request says of the app.
    envelope: Object,
    /// What the app can be asked.
    app: Map<String, Value>,
    /// What the server offers.
    offers: Map<String, Value>,
    /// The newest stream of changes, by the text of its id.
    pub(crate) stream: Option<Bytes>,
    /// It has been open before: a second acknowledgement means that changes may have been missed.
    pub(crate) has_listened: bool,
    /// The stream that the newest one replaces.
    pub(crate) replaced: Option<AbortHandle>,
}

/// What becomes of a request of the app.
#[derive(Debug)]
pub(crate) enum Plan {
    /// There is nothing to ask: this is the result.
    Answer,
    /// The same, and the stream of changes is opened anew.
    Watch,
    /// It goes out with these `params`.
    Send(Object),
    /// No server of 2026-07-28 has this.
    Refuse(Failure),
}

impl OlderHost {
    /// From the app's `initialize` and the server's answer to `server/discover`.
    pub(crate) fn new(initialize: &Message, discovered: &Message) -> Self {
        let envelope = envelope(initialize);
        let app = map(envelope.get(APP_CAPABILITIES));
        let offers = map(discovered.raw(Field::ResultCapabilities).as_ref());
        Self { envelope, app, offers, stream: None, has_listened: false, replaced: None }
    }

    /// What becomes of a request. `level`: of the logs that the app wants, as JSON text.
    pub(crate) fn plan(&self, asked: &Message, level: Option<&Bytes>) -> Plan {
        let method = asked.method();
        let refused = |what: &str| {
            Plan::Refuse(Failure::Untranslatable(format!(
                "{what}: it speaks MCP {STATELESS}, which has nothing like it"
            )))
        };
        let offered = |name: &str| self.offers.contains_key(name);
        match &*method {
            "ping" => Plan::Answer,
            "logging/setLevel" if offered("logging") => Plan::Answer,
            "resources/subscribe" | "resources/unsubscribe" if self.offers_subscriptions() => Plan::Watch,
            "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe" => {
                Plan::Refuse(Failure::Untranslatable(format!("{method}: it offers nothing of the kind")))
            }
            "tasks/get" | "tasks/result" | "tasks/list" | "tasks/cancel" => {
                refused(&format!("{method} of MCP {HANDSHAKE} cannot be passed on"))
            }
            _ => {
                let params = match asked.raw(Field::Params) {
                    None => Some(Object::default()),
                    Some(text) => Object::parse(&text),
                };
                let Some(mut params) = params else {
                    return refused(&format!("{method} with a list of parameters cannot be passed on"));
                };
                // A wish, which a server without tasks of that kind passes over (2025-11-25, Tasks).
                params.remove("task");
                let mut meta = params.object("_meta").unwrap_or_default();
                for (name, value) in self.envelope.iter() {
                    meta.set(name, value.clone());
                }
                if let Some(level) = level {
                    meta.set(LOG_LEVEL, level.clone());
                }
                params.set("_meta", meta.to_bytes());
                Plan::Send(params)
            }
        }
    }

    /// The request for the stream of changes, if there is anything to listen for. `uris`: resources that the app has
    /// subscribed to, as JSON text.
    pub(crate) fn listen<'a>(&self, id: &str, uris: impl Iterator<Item = &'a Bytes>) -> Option<Message> {
        let mut filter = Object::default();
        for (name, flag) in LISTS {
            if self.offers.get(name).and_then(|offer| offer.get("listChanged")) == Some(&Value::Bool(true)) {
                filter.set(flag, "true");
            }
        }
        let uris: Vec<&str> = uris.filter_map(|uri| std::str::from_utf8(uri).ok()).collect();
        if !uris.is_empty() && self.offers_subscriptions() {
            filter.set("resourceSubscriptions", format!("[{}]", uris.join(",")));
        }
        if filter.is_empty() {
            return None;
        }
        let mut params = Object::default();
        params.set("_meta", self.envelope.to_bytes());
        params.set("notifications", filter.to_bytes());
        message(&request(&json_string(id), "subscriptions/listen", Some(&params)))
    }

    /// A question of the server as a request to the app; `None` if the app has not said that it can be asked this.
    pub(crate) fn question(&self, id: &Bytes, asked: &Object) -> Option<Bytes> {
        let method = asked.text("method")?;
        let mut params = asked.object("params");
        if !can_be_asked(&self.app, &method, params.as_ref()) {
            return None;
        }
        if let Some(params) = params.as_mut().filter(|params| params.text("mode").as_deref() == Some("url")) {
            // 2025-11-25 wants a name for it; nothing will ever be said under it.
            params.set_if_absent("elicitationId", id.clone());
        }
        Some(request(id, &method, params.as_ref()))
    }

    fn offers_subscriptions(&self) -> bool {
        self.offers.get("resources").and_then(|offer| offer.get("subscribe")) == Some(&Value::Bool(true))
    }
}

/// The answer to the app's `initialize`, under its id.
pub(crate) fn initialized(initialize: &Message, discovered: &Message, ours: &Value) -> Option<Message> {
    let mut result = Object::parse(&discovered.raw(Field::Result)?)?;
    for name in ["resultType", "supportedVersions", "ttlMs", "cacheScope"] {
        result.remove(name);
    }
    let asked = initialize.text(Field::ProtocolVersion);
    let version = asked.as_deref().filter(|asked| HANDSHAKES.contains(asked)).unwrap_or(HANDSHAKE);
    let mut capabilities = result.object("capabilities").unwrap_or_default();
    if let Some(mut extensions) = capabilities.object("extensions") {
        // Its tasks are not those of the app's revision.
        extensions.remove("io.modelcontextprotocol/tasks");
        capabilities.set("extensions", extensions.to_bytes());
    }
    let named = result.object("_meta").and_then(|meta| meta.get(SERVER_INFO).cloned());
    result.set("protocolVersion", json_string(version));
    result.set("capabilities", capabilities.to_bytes());
    result.set_if_absent("serverInfo", named.unwrap_or_else(|| ours.to_string().into()));
    message(&response(&initialize.raw(Field::Id)?, "result", &result.to_bytes()))
}

/// A call of the app that the server may answer with questions first (2026-07-28, MRTR).
pub(crate) struct Rounds {
    pub(crate) method: String,
    params: Object,
    count: u32,
    /// To be sent back as it came.
    state: Option<Bytes>,
    /// What the server wants to know, and what the app has said.
    answers: BTreeMap<String, Option<Bytes>>,
    /// The last round has its answer, and the next one has not begun.
    is_between: bool,
}

impl Rounds {
    /// Before the first one.
    pub(crate) fn new(method: String, params: Object) -> Self {
        Self { method, params, count: 0, state: None, answers: BTreeMap::new(), is_between: false }
    }

    /// The request of the next round, under an id of its own.
    pub(crate) fn next(&mut self, call: u64) -> Option<Message> {
        let mut params = self.params.clone();
        let answers = std::mem::take(&mut self.answers);
        if !answers.is_empty() {
            let mut responses = Object::default();
            for (key, answer) in answers {
                responses.set(&key, answer.unwrap_or_else(|| Bytes::from_static(b"null")));
            }
            params.set("inputResponses", responses.to_bytes());
        }
        if let Some(state) = self.state.take() {
            params.set("requestState", state);
        }
        self.count += 1;
        self.is_between = false;
        let id = json_string(&format!("hallpass-{call}-{}", self.count));
        message(&request(&id, &self.method, Some(&params)))
    }

    /// Whether no request of it is under way.
    pub(crate) fn is_between(&self) -> bool {
        self.is_between
    }

    /// Whether the server has asked more often than anybody would.
    pub(crate) fn is_endless(&self) -> bool {
        self.count > 100
    }

    /// The answer that asks for input: what it asks, by its own names.
    pub(crate) fn asked(&mut self, answer: &Message) -> Vec<(String, Object)> {
        let result = answer.raw(Field::Result).as_ref().and_then(Object::parse).unwrap_or_default();
        self.is_between = true;
        self.state = result.get("requestState").cloned();
        let requests = result.object("inputRequests").unwrap_or_default();
        let questions: Vec<(String, Object)> =
            requests.iter().filter_map(|(key, text)| Some((key.to_owned(), Object::parse(text)?))).collect();
        self.answers = questions.iter().map(|(key, _)| (key.clone(), None)).collect();
        questions
    }

    /// Whether the last answer gave anything to go on with.
    pub(crate) fn has_state(&self) -> bool {
        self.state.is_some()
    }

    /// The app's answer; whether it was the last one that was missing.
    pub(crate) fn answered(&mut self, key: &str, result: Bytes) -> bool {
        if let Some(place) = self.answers.get_mut(key) {
            *place = Some(result);
        }
        self.answers.values().all(Option::is_some)
    }
}

/// The final answer to `method`, for the app, under its own id.
pub(crate) fn answer(said: &Message, method: &str, id: &Bytes) -> Bytes {
    if let Some(text) = said.raw(Field::Error) {
        return response(id, "error", &error(&text, method));
    }
    let Some(mut result) = said.raw(Field::Result).as_ref().and_then(Object::parse) else {
        return said.with(Field::Id, id);
    };
    result.remove("resultType");
    if is_cacheable(method) {
        result.remove("ttlMs");
        result.remove("cacheScope");
    }
    response(id, "result", &result.to_bytes())
}

/// A resource that is not there has a code of its own before 2026-07-28.
fn error(text: &Bytes, method: &str) -> Bytes {
    let Some(mut error) = Object::parse(text) else { return text.clone() };
    let code: Option<i64> = error.get("code").and_then(|code| serde_json::from_slice(code).ok());
    let names_it = error.object("data").is_some_and(|data| data.get("uri").is_some());
    if code == Some(INVALID_PARAMS) && method == "resources/read" && names_it {
        error.set("code", NO_SUCH_RESOURCE.to_string());
    }
    error.to_bytes()
}

/// A notification of the stream of changes as it was before there were such streams.
pub(crate) fn untagged(said: &Message) -> Bytes {
    let Some(mut params) = said.raw(Field::Params).as_ref().and_then(Object::parse) else {
        return said.bytes().clone();
    };
    strip_meta(&mut params, &[SUBSCRIPTION]);
    notification(&said.method(), (!params.is_empty()).then_some(&params))
}

/// The stream that a notification came on, by the text of its id.
pub(crate) fn stream_of(said: &Message) -> Option<Bytes> {
    let meta = said.raw(Field::Meta).as_ref().and_then(Object::parse)?;
    meta.get(SUBSCRIPTION).cloned()
}

/// `server/discover` in the name of the app.
pub(crate) fn discover(initialize: &Message, id: &str) -> Option<Message> {
    let mut params = Object::default();
    params.set("_meta", envelope(initialize).to_bytes());
    message(&request(&json_string(id), "server/discover", Some(&params)))
}

/// What every request says of the app.
fn envelope(initialize: &Message) -> Object {
    let params = initialize.raw(Field::Params).as_ref().and_then(Object::parse).unwrap_or_default();
    let mut capabilities = params.object("capabilities").unwrap_or_default();
    // Tasks of 2025-11-25 are not those of the extension.
    capabilities.remove("tasks");
    if capabilities.get("roots").is_some() {
        // Changes of roots cannot be told any more.
        capabilities.set("roots", "{}");
    }
    let mut envelope = Object::default();
    envelope.set(VERSION, json_string(STATELESS));
    envelope.set(APP_INFO, params.get("clientInfo").cloned().unwrap_or_else(|| unnamed().to_string().into()));
    envelope.set(APP_CAPABILITIES, capabilities.to_bytes());
    envelope
}

fn unnamed() -> Value {
    json!({"name": "unknown", "version": "0"})
}

/// The lists, and the member of a filter that watches each.
pub(crate) const LISTS: [(&str, &str); 3] =
    [("tools", "toolsListChanged"), ("resources", "resourcesListChanged"), ("prompts", "promptsListChanged")];

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &Value) -> Message {
        message(&Bytes::from(value.to_string())).unwrap()
    }

    fn older() -> (OlderHost, Message, Message) {
        let initialize = text(&json!({"jsonrpc": "2.0", "id": 7, "method": "initialize", "params": {
            "protocolVersion": "2025-06-18", "clientInfo": {"name": "app", "version": "1"},
            "capabilities": {"roots": {"listChanged": true}, "elicitation": {}, "tasks": {"list": {}}}}}));
        let discovered = text(&json!({"jsonrpc": "2.0", "id": "d", "result": {"resultType": "complete",
            "supportedVersions": ["2026-07-28"], "ttlMs": 5, "cacheScope": "public", "instructions": "be kind",
            "capabilities": {"tools": {"listChanged": true}, "logging": {},
                "resources": {"subscribe": true}, "extensions": {"io.modelcontextprotocol/tasks": {}, "a/b": {}}},
            "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "s", "version": "2"}, "x": 1}}}));
        (OlderHost::new(&initialize, &discovered), initialize, discovered)
    }

    fn value(text: &Bytes) -> Value {
        serde_json::from_slice(text).unwrap()
    }

    #[test]
    fn initialize_is_answered_by_what_was_discovered() {
        let (_, initialize, discovered) = older();
        let answer = initialized(&initialize, &discovered, &json!({})).unwrap();
        assert_eq!(
            value(answer.bytes()),
            json!({"jsonrpc": "2.0", "id": 7, "result": {"protocolVersion": "2025-06-18", "instructions": "be kind",
                "capabilities": {"tools": {"listChanged": true}, "logging": {}, "resources": {"subscribe": true},
                    "extensions": {"a/b": {}}},
                "serverInfo": {"name": "s", "version": "2"},
                "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "s", "version": "2"}, "x": 1}}})
        );
        let discover = discover(&initialize, "d").unwrap();
        assert_eq!(
            value(&discover.raw(Field::Params).unwrap()),
            json!({"_meta": {VERSION: "2026-07-28", APP_INFO: {"name": "app", "version": "1"},
                APP_CAPABILITIES: {"roots": {}, "elicitation": {}}}})
        );
    }

    #[test]
    fn requests_say_who_asks_and_everything_else_stays_the_text_that_it_was() {
        let (older, ..) = older();
        let asked = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"n": 12345678901234567890.5},"_meta":{"progressToken": 1e2},"task":{"ttl":1}}}"#;
        let Plan::Send(params) =
            older.plan(&message(&Bytes::from(asked)).unwrap(), Some(&json_string("info")))
        else {
            panic!()
        };
        let sent = Rounds::new("tools/call".into(), params).next(9).unwrap();
        assert_eq!(
            sent.bytes(),
            concat!(
                r#"{"jsonrpc":"2.0","id":"hallpass-9-1","method":"tools/call","params":{"name":"t","arguments":{"n": 12345678901234567890.5},"#,
                r#""_meta":{"progressToken":1e2,"io.modelcontextprotocol/protocolVersion":"2026-07-28","#,
                r#""io.modelcontextprotocol/clientInfo":{"name":"app","version":"1"},"#,
                r#""io.modelcontextprotocol/clientCapabilities":{"roots":{},"elicitation":{}},"#,
                r#""io.modelcontextprotocol/logLevel":"info"}}}"#
            )
        );
    }

    #[test]
    fn what_needs_no_server_is_answered_and_what_has_no_equal_is_refused_by_name() {
        let (older, ..) = older();
        let plan = |method: &str| older.plan(&text(&json!({"id": 1, "method": method})), None);
        assert!(matches!(plan("ping"), Plan::Answer));
        assert!(matches!(plan("logging/setLevel"), Plan::Answer));
        assert!(matches!(plan("resources/subscribe"), Plan::Watch));
        for method in ["tasks/list", "tasks/result"] {
            let Plan::Refuse(failure) = plan(method) else { panic!("{method}") };
            assert!(failure.to_string().contains(method), "{failure}");
        }
        let none = text(&json!({"id": 1, "result": {"supportedVersions": [], "capabilities": {}}}));
        let bare = OlderHost::new(&text(&json!({"id": 1, "method": "initialize"})), &none);
        for method in ["resources/subscribe", "logging/setLevel"] {
            let asked = text(&json!({"id": 1, "method": method}));
            assert!(matches!(bare.plan(&asked, None), Plan::Refuse(_)), "{method}");
        }
        assert!(bare.listen("l", [Bytes::from("\"u\"")].iter()).is_none(), "nothing to listen for");
        let listen = older.listen("l", [Bytes::from("\"u\"")].iter()).unwrap();
        assert_eq!(
            value(&listen.raw(Field::Params).unwrap())["notifications"],
            json!({"toolsListChanged": true, "resourceSubscriptions": ["u"]})
        );
    }

    #[test]
    fn a_round_carries_its_own_state_and_answers_and_the_next_one_nothing_of_them() {
        let mut rounds = Rounds::new("tools/call".into(), Object::default());
        assert_eq!(
            rounds.next(1).unwrap().bytes(),
            r#"{"jsonrpc":"2.0","id":"hallpass-1-1","method":"tools/call","params":{}}"#
        );
        let asks = text(
            &json!({"id": 1, "result": {"resultType": "input_required", "requestState": "s\u{e4}",
            "inputRequests": {"a": {"method": "roots/list"}, "b": {"method": "elicitation/create", "params": {}}}}}),
        );
        assert_eq!(rounds.asked(&asks).len(), 2);
        assert!(!rounds.answered("b", "{}".into()));
        assert!(rounds.answered("a", r#"{"roots":[]}"#.into()));
        let next = rounds.next(1).unwrap();
        assert_eq!(
            value(next.bytes()),
            json!({"jsonrpc": "2.0", "id": "hallpass-1-2", "method": "tools/call",
                "params": {"inputResponses": {"a": {"roots": []}, "b": {}}, "requestState": "s\u{e4}"}})
        );
        assert_eq!(value(rounds.next(1).unwrap().bytes())["params"], json!({}));
    }

    #[test]
    fn questions_reach_only_an_app_that_can_be_asked() {
        let (older, ..) = older();
        let ask = |value: Value| {
            let asked = Object::parse(&Bytes::from(value.to_string())).unwrap();
            older.question(&json_string("q"), &asked)
        };
        assert_eq!(
            ask(json!({"method": "roots/list"})).unwrap(),
            r#"{"jsonrpc":"2.0","id":"q","method":"roots/list"}"#
        );
        assert!(ask(json!({"method": "elicitation/create", "params": {"message": "m"}})).is_some());
        for unasked in [
            json!({"method": "elicitation/create", "params": {"mode": "url", "url": "https://a.example"}}),
            json!({"method": "sampling/createMessage", "params": {}}),
            json!({"method": "ping"}),
        ] {
            assert!(ask(unasked.clone()).is_none(), "{unasked}");
        }
    }

    #[test]
    fn answers_lose_what_the_app_does_not_know_and_nothing_else() {
        let id = Bytes::from_static(b"5");
        let said = message(&Bytes::from_static(
            br#"{"jsonrpc":"2.0","id":"x","result":{"resultType":"complete","ttlMs":1,"cacheScope":"public","tools":[ 1.0 ],"_meta":{"a":1}}}"#,
        ))
        .unwrap();
        assert_eq!(
            answer(&said, "tools/list", &id),
            r#"{"jsonrpc":"2.0","id":5,"result":{"tools":[ 1.0 ],"_meta":{"a":1}}}"#
        );
        assert!(value(&answer(&said, "tools/call", &id))["result"]["ttlMs"] == 1, "no cache hint there");
        let error = |data: Value| {
            let said = text(&json!({"id": "x", "error": {"code": -32602, "message": "m", "data": data}}));
            value(&answer(&said, "resources/read", &id))["error"]["code"].clone()
        };
        assert_eq!(error(json!({"uri": "u"})), -32002);
        assert_eq!(error(json!({})), -32602);
        let changed = text(&json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed",
            "params": {"_meta": {SUBSCRIPTION: "l"}}}));
        assert_eq!(untagged(&changed), r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#);
    }
}
