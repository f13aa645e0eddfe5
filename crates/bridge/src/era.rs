//! The two eras of the protocol, in the words that both translations use.

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Map, Value};

use crate::message::{Message, Parsed, json_string, parse};
use crate::newer_host::NewerHost;
use crate::object::Object;
use crate::older_host::OlderHost;

/// The revision without a handshake that is translated to and from.
pub(crate) const STATELESS: &str = "2026-07-28";
/// The newest revision with one.
pub(crate) const HANDSHAKE: &str = "2025-11-25";
/// Revisions with a handshake that an app may ask for.
pub(crate) const HANDSHAKES: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", HANDSHAKE];

/// Reserved members of `_meta` (2026-07-28, Base Protocol: `_meta`).
pub(crate) const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
pub(crate) const APP_INFO: &str = "io.modelcontextprotocol/clientInfo";
pub(crate) const APP_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
pub(crate) const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
pub(crate) const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
pub(crate) const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// Codes of 2026-07-28, and those of 2025-11-25 that it replaced.
pub(crate) const HEADER_MISMATCH: i64 = -32020;
pub(crate) const UNSUPPORTED_VERSION: i64 = -32022;
pub(crate) const INVALID_PARAMS: i64 = -32602;
pub(crate) const NO_SUCH_RESOURCE: i64 = -32002;
pub(crate) const VISIT_FIRST: i64 = -32042;

/// What the app and the server of a session have to be told in other words.
#[derive(Default)]
pub(crate) enum Translation {
    /// Both speak alike, or nothing is known yet: messages pass as they are.
    #[default]
    None,
    /// An app of the handshake era at a server without one.
    OlderHost(Box<OlderHost>),
    /// An app of 2026-07-28 at a server with a handshake.
    NewerHost(Box<NewerHost>),
}

/// Whether results of this method carry cache hints.
pub(crate) fn is_cacheable(method: &str) -> bool {
    matches!(
        method,
        "server/discover"
            | "tools/list"
            | "prompts/list"
            | "resources/list"
            | "resources/templates/list"
            | "resources/read"
    )
}

/// Whether a server may ask for input in answer to this method (2026-07-28, MRTR: Supported Requests).
pub(crate) fn may_ask(method: &str) -> bool {
    matches!(method, "tools/call" | "prompts/get" | "resources/read")
}

/// The capability of an app that a question needs.
pub(crate) fn capability_for(method: &str) -> Option<&'static str> {
    match method {
        "elicitation/create" => Some("elicitation"),
        "sampling/createMessage" => Some("sampling"),
        "roots/list" => Some("roots"),
        _ => None,
    }
}

/// Whether an app that has declared `capabilities` can be asked this; a URL only if it says so (2025-11-25, Elicitation).
pub(crate) fn can_be_asked(capabilities: &Map<String, Value>, method: &str, params: Option<&Object>) -> bool {
    let declared = capability_for(method).and_then(|name| capabilities.get(name));
    let is_url = params.and_then(|params| params.text("mode")).is_some_and(|mode| mode == "url");
    declared.is_some_and(|elicitation| !is_url || elicitation.get("url").is_some())
}

/// A JSON text as an object of values, to look at.
pub(crate) fn map(text: Option<&Bytes>) -> Map<String, Value> {
    text.and_then(|text| serde_json::from_slice(text).ok()).unwrap_or_default()
}

/// The text of a request; `id` is JSON text.
pub(crate) fn request(id: &[u8], method: &str, params: Option<&Object>) -> Bytes {
    let mut text = BytesMut::new();
    text.put_slice(br#"{"jsonrpc":"2.0","id":"#);
    text.put_slice(id);
    text.put_slice(br#","method":"#);
    text.put_slice(&json_string(method));
    if let Some(params) = params {
        text.put_slice(br#","params":"#);
        text.put_slice(&params.to_bytes());
    }
    text.put_u8(b'}');
    text.freeze()
}

/// The text of a notification.
pub(crate) fn notification(method: &str, params: Option<&Object>) -> Bytes {
    let mut message = Object::default();
    message.set("jsonrpc", "\"2.0\"");
    message.set("method", json_string(method));
    if let Some(params) = params {
        message.set("params", params.to_bytes());
    }
    message.to_bytes()
}

/// The text of a response with one member, which is JSON text; `id` is as well.
pub(crate) fn response(id: &[u8], name: &str, member: &Bytes) -> Bytes {
    let mut text = BytesMut::with_capacity(id.len() + member.len() + 40);
    text.put_slice(br#"{"jsonrpc":"2.0","id":"#);
    text.put_slice(id);
    text.put_slice(b",\"");
    text.put_slice(name.as_bytes());
    text.put_slice(b"\":");
    text.put_slice(member);
    text.put_u8(b'}');
    text.freeze()
}

/// A text of ours as a message.
pub(crate) fn message(text: &Bytes) -> Option<Message> {
    match parse(text) {
        Ok(Parsed::One(message)) => Some(message),
        // Only what is put together of a checked message comes here; it can be too deep by one level.
        Ok(Parsed::Batch(_)) | Err(_) => None,
    }
}

/// `params` without those members of `_meta`, and without a `_meta` that is empty then.
pub(crate) fn strip_meta(params: &mut Object, names: &[&str]) {
    let Some(mut meta) = params.object("_meta") else { return };
    for name in names {
        meta.remove(name);
    }
    if meta.is_empty() {
        params.remove("_meta");
    } else {
        params.set("_meta", meta.to_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: &Value) -> Object {
        Object::parse(&Bytes::from(value.to_string())).unwrap()
    }

    #[test]
    fn an_app_is_asked_only_what_it_has_declared() {
        let declared = |value: Value| map(Some(&Bytes::from(value.to_string())));
        let url = object(&json!({"mode": "url"}));
        for (capabilities, method, params, want) in [
            (json!({"elicitation": {}}), "elicitation/create", None, true),
            (json!({"elicitation": {}}), "elicitation/create", Some(&url), false),
            (json!({"elicitation": {"url": {}}}), "elicitation/create", Some(&url), true),
            (json!({"elicitation": {}}), "sampling/createMessage", None, false),
            (json!({"roots": {}}), "roots/list", None, true),
            (json!({"roots": {}}), "ping", None, false),
        ] {
            assert_eq!(can_be_asked(&declared(capabilities), method, params), want, "{method}");
        }
    }

    #[test]
    fn an_empty_meta_is_left_out() {
        let mut params = object(&json!({"a": 1, "_meta": {LOG_LEVEL: "info"}}));
        strip_meta(&mut params, &[LOG_LEVEL]);
        assert_eq!(params.to_bytes(), r#"{"a":1}"#);
        let mut params = object(&json!({"_meta": {LOG_LEVEL: "info", "traceparent": "00"}}));
        strip_meta(&mut params, &[LOG_LEVEL]);
        assert_eq!(params.to_bytes(), r#"{"_meta":{"traceparent":"00"}}"#);
    }
}
