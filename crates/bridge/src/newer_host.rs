//! An app of 2026-07-28 at a server with a handshake: what each of them says, in the words of the other. Nothing here
//! sends anything.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::era::{
    APP_CAPABILITIES, APP_INFO, HANDSHAKE, INVALID_PARAMS, LOG_LEVEL, NO_SUCH_RESOURCE, SERVER_INFO,
    STATELESS, SUBSCRIPTION, UNSUPPORTED_VERSION, VERSION, VISIT_FIRST, is_cacheable, map, message,
    notification, request, response, strip_meta,
};
use crate::error::error_response;
use crate::field::Field;
use crate::message::{Message, json_string};
use crate::object::Object;
use crate::older_host::LISTS;

/// The handshake that is made for an app that knows none.
#[derive(Clone, Debug)]
pub(crate) struct StandIn {
    info: Bytes,
    capabilities: Object,
}

impl StandIn {
    /// From what a request says of its app; `None` if it says nothing.
    pub(crate) fn of(asked: &Message) -> Option<Self> {
        let meta = asked.raw(Field::Meta).as_ref().and_then(Object::parse)?;
        let capabilities = handshake_capabilities(&meta)?;
        let unnamed = || json!({"name": "unknown", "version": "0"}).to_string().into();
        Some(Self { info: meta.get(APP_INFO).cloned().unwrap_or_else(unnamed), capabilities })
    }

    /// Takes in what another request of the app declares; whether that is more than was known.
    pub(crate) fn grow(&mut self, asked: &Message) -> bool {
        let meta = asked.raw(Field::Meta).as_ref().and_then(Object::parse);
        let Some(declared) = meta.as_ref().and_then(handshake_capabilities) else { return false };
        let mut more = false;
        for (name, value) in declared.iter() {
            if self.capabilities.get(name).is_none() {
                self.capabilities.set(name, value.clone());
                more = true;
            }
        }
        more
    }

    /// Its `initialize`.
    pub(crate) fn initialize(&self, id: &str) -> Option<Message> {
        let mut params = Object::default();
        params.set("protocolVersion", json_string(HANDSHAKE));
        params.set("capabilities", self.capabilities.to_bytes());
        params.set("clientInfo", self.info.clone());
        message(&request(&json_string(id), "initialize", Some(&params)))
    }
}

/// What a handshake has to say of the app's capabilities.
fn handshake_capabilities(meta: &Object) -> Option<Object> {
    let mut capabilities = meta.object(APP_CAPABILITIES)?;
    if let Some(mut extensions) = capabilities.object("extensions") {
        extensions.remove("io.modelcontextprotocol/tasks");
        capabilities.set("extensions", extensions.to_bytes());
    }
    Some(capabilities)
}

/// What is known of the two, from the handshake on.
pub(crate) struct NewerHost {
    /// The server's own answer to the handshake.
    result: Object,
    offers: Map<String, Value>,
    /// The log level that the session has now, as JSON text.
    pub(crate) level: Option<Bytes>,
    /// Resources that the session has subscribed to, as JSON text.
    pub(crate) subscribed: BTreeSet<Bytes>,
}

impl NewerHost {
    /// From the server's answer to `initialize`.
    pub(crate) fn new(initialized: &Message) -> Self {
        let result = initialized.raw(Field::Result).as_ref().and_then(Object::parse).unwrap_or_default();
        let offers = map(result.get("capabilities"));
        Self { result, offers, level: None, subscribed: BTreeSet::new() }
    }

    /// The answer to `server/discover`.
    pub(crate) fn discovered(&self, id: &Bytes) -> Bytes {
        let mut result = Object::default();
        let mut capabilities = self.result.object("capabilities").unwrap_or_default();
        capabilities.remove("tasks");
        result.set("resultType", "\"complete\"");
        result.set("supportedVersions", json!([STATELESS]).to_string());
        result.set("capabilities", capabilities.to_bytes());
        if let Some(instructions) = self.result.get("instructions") {
            result.set("instructions", instructions.clone());
        }
        result.set("ttlMs", "0");
        result.set("cacheScope", "\"private\"");
        let mut meta = self.result.object("_meta").unwrap_or_default();
        if let Some(info) = self.result.get("serverInfo") {
            meta.set(SERVER_INFO, info.clone());
        }
        result.set("_meta", meta.to_bytes());
        response(id, "result", &result.to_bytes())
    }

    /// The final answer to `method`, for the app, under its own id.
    pub(crate) fn answer(&self, said: &Message, method: &str, id: &Bytes) -> Bytes {
        if let Some(text) = said.raw(Field::Error) {
            return response(id, "error", &error(&text));
        }
        let Some(mut result) = said.raw(Field::Result).as_ref().and_then(Object::parse) else {
            return said.with(Field::Id, id);
        };
        result.set_if_absent("resultType", "\"complete\"");
        if is_cacheable(method) {
            result.set_if_absent("ttlMs", "0");
            result.set_if_absent("cacheScope", "\"private\"");
        }
        if let Some(info) = self.result.get("serverInfo") {
            let mut meta = result.object("_meta").unwrap_or_default();
            meta.set_if_absent(SERVER_INFO, info.clone());
            result.set("_meta", meta.to_bytes());
        }
        response(id, "result", &result.to_bytes())
    }

    /// Whether `logging/setLevel` means anything to the server.
    pub(crate) fn offers_logging(&self) -> bool {
        self.offers.contains_key("logging")
    }

    /// Whether resources can be watched.
    pub(crate) fn offers_subscriptions(&self) -> bool {
        self.offers.get("resources").and_then(|offer| offer.get("subscribe")) == Some(&Value::Bool(true))
    }

    /// What of a filter the server can tell of, and the acknowledgement that says so.
    pub(crate) fn acknowledgement(&self, listen: &Message) -> Bytes {
        let asked = Filter::of(listen);
        let mut honored = Object::default();
        for (name, flag) in LISTS {
            let offered = self.offers.get(name).and_then(|offer| offer.get("listChanged"));
            if asked.lists.contains(&name) && offered == Some(&Value::Bool(true)) {
                honored.set(flag, "true");
            }
        }
        if !asked.resources.is_empty() && self.offers_subscriptions() {
            honored.set("resourceSubscriptions", asked.resources_text());
        }
        let mut params = Object::default();
        params.set("notifications", honored.to_bytes());
        tagged("notifications/subscriptions/acknowledged", params, listen)
    }
}

/// What a `subscriptions/listen` wants to hear of.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    pub(crate) lists: Vec<&'static str>,
    /// URIs as JSON text.
    pub(crate) resources: Vec<Bytes>,
}

impl Filter {
    /// Of a request.
    pub(crate) fn of(listen: &Message) -> Self {
        let asked = listen.raw(Field::Notifications).as_ref().and_then(Object::parse).unwrap_or_default();
        let is_wanted = |flag: &str| asked.get(flag).is_some_and(|value| &value[..] == b"true");
        let lists = LISTS.iter().filter(|(_, flag)| is_wanted(flag)).map(|(name, _)| *name).collect();
        let uris: Vec<String> = asked
            .get("resourceSubscriptions")
            .and_then(|uris| serde_json::from_slice(uris).ok())
            .unwrap_or_default();
        Self { lists, resources: uris.iter().map(|uri| json_string(uri)).collect() }
    }

    /// Whether it wants this notification. A server may tell of a part of what was subscribed to (2025-11-25, Resources).
    pub(crate) fn wants(&self, said: &Message) -> bool {
        let method = said.method();
        if &*method == "notifications/resources/updated" {
            let uri = said.text(Field::Uri).map(|uri| json_string(&uri)).unwrap_or_default();
            let is_part =
                |whole: &[u8], part: &[u8]| part.starts_with(whole) && part.get(whole.len()) == Some(&b'/');
            return self.resources.iter().any(|watched| {
                // Without the closing quote.
                *watched == uri || is_part(&watched[..watched.len() - 1], &uri)
            });
        }
        let list = method.strip_prefix("notifications/").and_then(|rest| rest.strip_suffix("/list_changed"));
        list.is_some_and(|list| self.lists.contains(&list))
    }

    fn resources_text(&self) -> String {
        let uris: Vec<&str> = self.resources.iter().filter_map(|uri| std::str::from_utf8(uri).ok()).collect();
        format!("[{}]", uris.join(","))
    }
}

/// A notification as one of the stream that `listen` opened.
pub(crate) fn tagged(method: &str, mut params: Object, listen: &Message) -> Bytes {
    let mut meta = params.object("_meta").unwrap_or_default();
    meta.set(SUBSCRIPTION, listen.raw(Field::Id).unwrap_or_default());
    params.set("_meta", meta.to_bytes());
    notification(method, Some(&params))
}

/// What the server said, on the stream that `listen` opened.
pub(crate) fn told(said: &Message, listen: &Message) -> Bytes {
    let params = said.raw(Field::Params).as_ref().and_then(Object::parse).unwrap_or_default();
    tagged(&said.method(), params, listen)
}

/// The notifications that everything which `listen` watches has changed.
pub(crate) fn all_changed(listen: &Message) -> Vec<Bytes> {
    let lists = Filter::of(listen).lists;
    lists
        .into_iter()
        .map(|list| tagged(&format!("notifications/{list}/list_changed"), Object::default(), listen))
        .collect()
}

/// A request in the words of the handshake era, under an id of ours.
pub(crate) fn in_session(asked: &Message, id: &Bytes) -> Option<Message> {
    let mut params = asked.raw(Field::Params).as_ref().and_then(Object::parse)?;
    strip_meta(&mut params, &[VERSION, APP_INFO, APP_CAPABILITIES, LOG_LEVEL]);
    params.remove("inputResponses");
    params.remove("requestState");
    message(&request(id, &asked.method(), (!params.is_empty()).then_some(&params)))
}

/// The error for a revision that cannot be translated; `None` if it can.
pub(crate) fn other_revision(asked: &Message) -> Option<Bytes> {
    let version = asked.text(Field::MetaVersion)?;
    if version == STATELESS {
        return None;
    }
    let data = json!({"supported": [STATELESS], "requested": version});
    let code = i32::try_from(UNSUPPORTED_VERSION).unwrap_or_default();
    Some(error_response(&asked.raw(Field::Id)?, code, "Unsupported protocol version", Some(data)))
}

/// Two codes of the handshake era have no place in 2026-07-28 (Base Protocol: Error Codes).
fn error(text: &Bytes) -> Bytes {
    let Some(mut error) = Object::parse(text) else { return text.clone() };
    let code: Option<i64> = error.get("code").and_then(|code| serde_json::from_slice(code).ok());
    if matches!(code, Some(NO_SUCH_RESOURCE | VISIT_FIRST)) {
        error.set("code", INVALID_PARAMS.to_string());
    }
    error.to_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &Value) -> Message {
        message(&Bytes::from(value.to_string())).unwrap()
    }

    fn value(text: &Bytes) -> Value {
        serde_json::from_slice(text).unwrap()
    }

    fn asked(method: &str, capabilities: &Value, mut params: Value) -> Message {
        params["_meta"] = json!({VERSION: STATELESS, APP_INFO: {"name": "app", "version": "1"},
            APP_CAPABILITIES: capabilities, LOG_LEVEL: "warning", "progressToken": 1});
        text(&json!({"jsonrpc": "2.0", "id": 3, "method": method, "params": params}))
    }

    fn newer() -> NewerHost {
        NewerHost::new(&text(&json!({"jsonrpc": "2.0", "id": 1, "result": {"protocolVersion": "2025-11-25",
            "capabilities": {"tools": {"listChanged": true}, "resources": {"subscribe": true}, "tasks": {}},
            "serverInfo": {"name": "s", "version": "1"}, "instructions": "i"}})))
    }

    #[test]
    fn a_handshake_is_made_of_what_a_request_says() {
        let request = asked(
            "tools/list",
            &json!({"roots": {}, "extensions": {"io.modelcontextprotocol/tasks": {}}}),
            json!({}),
        );
        let mut stand_in = StandIn::of(&request).unwrap();
        assert_eq!(
            value(stand_in.initialize("i").unwrap().bytes()),
            json!({"jsonrpc": "2.0", "id": "i", "method": "initialize", "params": {
                "protocolVersion": "2025-11-25", "capabilities": {"roots": {}, "extensions": {}},
                "clientInfo": {"name": "app", "version": "1"}}})
        );
        assert!(!stand_in.grow(&asked("x", &json!({"roots": {}}), json!({}))));
        assert!(stand_in.grow(&asked("x", &json!({"sampling": {}}), json!({}))));
        assert!(StandIn::of(&text(&json!({"id": 1, "method": "server/discover"}))).is_none());
        assert_eq!(
            value(&newer().discovered(&Bytes::from("7"))),
            json!({"jsonrpc": "2.0", "id": 7, "result": {"resultType": "complete", "supportedVersions": [STATELESS],
                "capabilities": {"tools": {"listChanged": true}, "resources": {"subscribe": true}},
                "instructions": "i", "ttlMs": 0, "cacheScope": "private",
                "_meta": {SERVER_INFO: {"name": "s", "version": "1"}}}})
        );
    }

    #[test]
    fn requests_lose_what_the_session_says_once_and_nothing_else() {
        let request = asked("tools/call", &json!({}), json!({"name": "t", "arguments": {"n": 1}}));
        assert_eq!(
            in_session(&request, &json_string("a")).unwrap().bytes(),
            r#"{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"t","arguments":{"n":1},"_meta":{"progressToken":1}}}"#
        );
        assert!(other_revision(&request).is_none());
        let later = text(&json!({"id": 1, "method": "x", "params": {"_meta": {VERSION: "2027-01-01"}}}));
        let refused = value(&other_revision(&later).unwrap());
        assert_eq!(refused["error"]["code"], -32022);
        assert_eq!(refused["error"]["data"], json!({"supported": [STATELESS], "requested": "2027-01-01"}));
    }

    #[test]
    fn answers_gain_what_the_revision_demands_and_keep_the_rest() {
        let said = message(&Bytes::from_static(
            br#"{"jsonrpc":"2.0","id":"x","result":{"tools":[12345678901234567890.0],"_meta":{"a": 1}}}"#,
        ))
        .unwrap();
        let answer = newer().answer(&said, "tools/list", &Bytes::from("3"));
        assert_eq!(
            answer,
            concat!(
                r#"{"jsonrpc":"2.0","id":3,"result":{"tools":[12345678901234567890.0],"#,
                r#""_meta":{"a":1,"io.modelcontextprotocol/serverInfo":{"name":"s","version":"1"}},"#,
                r#""resultType":"complete","ttlMs":0,"cacheScope":"private"}}"#
            )
        );
        for (code, want) in [(-32002, -32602), (-32042, -32602), (-32601, -32601), (-1, -1)] {
            let said =
                text(&json!({"id": "x", "error": {"code": code, "message": "m", "data": {"uri": "u"}}}));
            let answer = value(&newer().answer(&said, "resources/read", &Bytes::from("3")));
            assert_eq!(answer["error"], json!({"code": want, "message": "m", "data": {"uri": "u"}}));
        }
    }

    #[test]
    fn a_stream_hears_what_it_asked_for_and_nothing_else() {
        let listen = text(&json!({"id": 4, "method": "subscriptions/listen", "params": {"notifications": {
            "toolsListChanged": true, "promptsListChanged": true, "resourceSubscriptions": ["file:///a"]}}}));
        assert_eq!(
            value(&newer().acknowledgement(&listen)),
            json!({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": {
                "notifications": {"toolsListChanged": true, "resourceSubscriptions": ["file:///a"]},
                "_meta": {SUBSCRIPTION: 4}}})
        );
        let filter = Filter::of(&listen);
        for (method, params, want) in [
            ("notifications/tools/list_changed", json!({}), true),
            ("notifications/resources/list_changed", json!({}), false),
            ("notifications/resources/updated", json!({"uri": "file:///a/b"}), true),
            ("notifications/resources/updated", json!({"uri": "file:///b"}), false),
            ("notifications/message", json!({}), false),
        ] {
            let said = text(&json!({"method": method, "params": params}));
            assert_eq!(filter.wants(&said), want, "{method} {params}");
        }
        assert_eq!(all_changed(&listen).len(), 2);
        let told = told(
            &text(
                &json!({"method": "notifications/resources/updated", "params": {"uri": "u", "_meta": {"a": 1}}}),
            ),
            &listen,
        );
        assert_eq!(value(&told)["params"], json!({"uri": "u", "_meta": {"a": 1, SUBSCRIPTION: 4}}));
    }
}
