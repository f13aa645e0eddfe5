//! The headers that mirror a message (2026-07-28, Streamable HTTP: standard request headers).

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::field::Field;
use crate::message::Message;

/// `MCP-Protocol-Version`.
pub(crate) const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// `Mcp-Session-Id` (up to 2025-11-25).
pub(crate) const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
/// `Last-Event-ID` (up to 2025-11-25).
pub(crate) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");

/// A message whose value no header can hold.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the protocol version in `_meta` is not a plain string")]
pub(crate) struct BadVersion;

/// The headers of a stateless request.
pub(crate) fn of_stateless(message: &Message) -> Result<HeaderMap, BadVersion> {
    let mut headers = HeaderMap::with_capacity(8);
    if message.has(Field::MetaVersion) {
        let version = message.text(Field::MetaVersion).ok_or(BadVersion)?;
        if !version.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(BadVersion);
        }
        headers.insert(PROTOCOL_VERSION, HeaderValue::from_str(&version).map_err(|_| BadVersion)?);
    }
    let method = message.method();
    let name = match &*method {
        "tools/call" | "prompts/get" => message.text(Field::Name),
        "resources/read" => message.text(Field::Uri),
        "tasks/get" | "tasks/update" | "tasks/cancel" => message.text(Field::TaskId),
        _ => None,
    };
    headers.insert(METHOD, value(&method));
    if let Some(name) = name {
        headers.insert(NAME, value(&name));
    }
    Ok(headers)
}

/// A value that mirrors a text.
pub(crate) fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(&encoded(text)).expect("encoded text is printable ASCII")
}

/// The text itself where a header can hold it unchanged, else `=?base64?…?=` of its UTF-8.
fn encoded(text: &str) -> Cow<'_, str> {
    let printable = text.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
    let blank_edge = text.starts_with(' ') || text.ends_with(' ');
    let looks_encoded = text.starts_with("=?base64?") && text.ends_with("?=");
    if printable && !blank_edge && !looks_encoded {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("=?base64?{}?=", STANDARD.encode(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Parsed, parse};
    use bytes::Bytes;

    fn headers(text: &'static str) -> Result<HeaderMap, BadVersion> {
        let Ok(Parsed::One(message)) = parse(&Bytes::from_static(text.as_bytes())) else { panic!("{text}") };
        of_stateless(&message)
    }

    #[test]
    fn values_are_encoded_where_a_header_cannot_hold_them() {
        for (text, want) in [
            ("get_weather", "get_weather"),
            ("a b", "a b"),
            ("", ""),
            ("file:///x?y=%20", "file:///x?y=%20"),
            ("=?base64?", "=?base64?"),
            ("ä", "=?base64?w6Q=?="),
            (" a", "=?base64?IGE=?="),
            ("a ", "=?base64?YSA=?="),
            ("a\nb", "=?base64?YQpi?="),
            ("a\u{7f}", "=?base64?YX8=?="),
            ("=?base64?YQ==?=", "=?base64?PT9iYXNlNjQ/WVE9PT89?="),
        ] {
            assert_eq!(encoded(text), want);
        }
    }

    #[test]
    fn each_method_mirrors_its_own_field() {
        for (text, method, name) in [
            (r#"{"id":1,"method":"tools/call","params":{"name":"a","uri":"u"}}"#, "tools/call", Some("a")),
            (r#"{"id":1,"method":"prompts/get","params":{"name":"p"}}"#, "prompts/get", Some("p")),
            (
                r#"{"id":1,"method":"resources/read","params":{"name":"p","uri":"u"}}"#,
                "resources/read",
                Some("u"),
            ),
            (r#"{"id":1,"method":"tasks/get","params":{"taskId":"t"}}"#, "tasks/get", Some("t")),
            (r#"{"id":1,"method":"tools/list","params":{"name":"p"}}"#, "tools/list", None),
            (r#"{"id":1,"method":"tools\/call","params":{"name":"\u0061"}}"#, "tools/call", Some("a")),
        ] {
            let headers = headers(text).unwrap();
            assert_eq!(headers[METHOD], method);
            assert_eq!(headers.get(NAME).map(|v| v.to_str().unwrap()), name);
        }
    }

    #[test]
    fn a_version_that_is_no_header_value_is_refused() {
        let good = r#"{"id":1,"method":"x","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
        assert_eq!(headers(good).unwrap()[PROTOCOL_VERSION], "2026-07-28");
        let bad =
            r#"{"id":1,"method":"x","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"a\nb"}}}"#;
        assert_eq!(headers(bad), Err(BadVersion));
        let number =
            r#"{"id":1,"method":"x","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":5}}}"#;
        assert_eq!(headers(number), Err(BadVersion));
    }
}
