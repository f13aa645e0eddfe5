//! One JSON-RPC message as its original bytes, with what routing needs to know of it.

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};

use crate::field::{Field, Fields};
use crate::plain::Plain;
use crate::scan::{Fault, Shape, scan, scan_seen};

/// A checked message. Its bytes hold no line break.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    bytes: Bytes,
    fields: Box<Fields>,
    kind: Kind,
    id: Option<Id>,
}

/// The three kinds of JSON-RPC 2.0 (section 4 and 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Request,
    Notification,
    Response,
}

/// One message, or the elements of a batch.
#[derive(Debug)]
pub(crate) enum Parsed {
    One(Message),
    Batch(Vec<Result<Message, Invalid>>),
}

/// A text that is no message, with its id if one was found.
#[derive(Debug)]
pub(crate) struct Invalid {
    pub(crate) reason: InvalidReason,
    pub(crate) id: Option<Bytes>,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidReason {
    #[error("{0}")]
    Fault(#[from] Fault),
    #[error("neither a request, a notification nor a response")]
    NoKind,
    #[error("an id must be a string or a number")]
    BadId,
    #[error("a method must be a string")]
    BadMethod,
    #[error("params must be an object or an array")]
    BadParams,
    #[error("an empty batch")]
    EmptyBatch,
}

impl InvalidReason {
    /// The JSON-RPC code: -32700 for what is no JSON, -32600 for what is no message.
    pub(crate) fn code(&self) -> i32 {
        match self {
            Self::Fault(Fault::NotUtf8 | Fault::NotJson(_)) => -32700,
            Self::Fault(Fault::TooDeep | Fault::Duplicate(_) | Fault::Spelling(_))
            | Self::NoKind
            | Self::BadId
            | Self::BadMethod
            | Self::BadParams
            | Self::EmptyBatch => -32600,
        }
    }
}

/// An id in one spelling, so that `1` and `1.0` are one id and `"a"` and `"\u0061"` are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Id(Bytes);

impl Id {
    /// From its JSON text.
    pub(crate) fn of(raw: &Bytes) -> Self {
        if raw.first() == Some(&b'"') {
            if raw.contains(&b'\\')
                && let Ok(text) = serde_json::from_slice::<String>(raw)
            {
                return Self(json_string(&text));
            }
        } else if raw.iter().any(|b| matches!(b, b'.' | b'e' | b'E'))
            && let Ok(number) = serde_json::from_slice::<f64>(raw)
            && number.fract() == 0.0
            && number.abs() < 9e15
        {
            return Self(Bytes::from(format!("{number:.0}")));
        }
        Self(raw.clone())
    }

    /// Its JSON text.
    pub(crate) fn json(&self) -> &Bytes {
        &self.0
    }
}

/// Checks a text and says what it is.
pub(crate) fn parse(bytes: &Bytes) -> Result<Parsed, Invalid> {
    parse_seen(bytes, &Plain::default())
}

/// The same for a text of which something is known already.
pub(crate) fn parse_seen(bytes: &Bytes, plain: &Plain) -> Result<Parsed, Invalid> {
    match scan_seen(bytes, plain) {
        Ok(Shape::Object(fields)) => Message::new(bytes, fields).map(Parsed::One),
        Ok(Shape::Array(elements)) if elements.is_empty() => {
            Err(Invalid { reason: InvalidReason::EmptyBatch, id: None })
        }
        Ok(Shape::Array(elements)) => Ok(Parsed::Batch(
            elements
                .into_iter()
                .map(|range| match parse(&bytes.slice(range))? {
                    Parsed::One(message) => Ok(message),
                    Parsed::Batch(_) => Err(Invalid { reason: InvalidReason::NoKind, id: None }),
                })
                .collect(),
        )),
        Ok(Shape::Scalar) => Err(Invalid { reason: InvalidReason::NoKind, id: None }),
        Err((fault, fields)) => Err(Invalid { reason: fault.into(), id: valid_id(bytes, &fields) }),
    }
}

/// The id at the start of a text that was cut off because it was too long.
pub(crate) fn id_of_start(start: &Bytes) -> Option<Bytes> {
    match scan(start) {
        Ok(Shape::Object(fields)) | Err((_, fields)) => valid_id(start, &fields),
        Ok(Shape::Array(_) | Shape::Scalar) => None,
    }
}

/// A string as JSON text.
pub(crate) fn json_string(text: &str) -> Bytes {
    Bytes::from(serde_json::to_vec(text).expect("a string always serialises"))
}

impl Message {
    fn new(bytes: &Bytes, fields: Box<Fields>) -> Result<Self, Invalid> {
        let invalid = |reason| Err(Invalid { reason, id: valid_id(bytes, &fields) });
        let first = |field| fields.get(field).map(|range| bytes[range.start]);
        let kind = match (first(Field::Method), first(Field::Id)) {
            (Some(b'"'), Some(id)) if !can_begin_id(id) => return invalid(InvalidReason::BadId),
            (Some(b'"'), Some(_)) => Kind::Request,
            (Some(b'"'), None) => Kind::Notification,
            (Some(_), _) => return invalid(InvalidReason::BadMethod),
            (None, Some(_)) if first(Field::Result).is_some() || first(Field::Error).is_some() => {
                Kind::Response
            }
            (None, _) => return invalid(InvalidReason::NoKind),
        };
        if let Some(byte) = first(Field::Params)
            && !matches!(byte, b'{' | b'[')
        {
            return invalid(InvalidReason::BadParams);
        }
        let bytes = if fields.has_breaks() { one_line(bytes) } else { bytes.clone() };
        let mut message = Self { bytes, fields, kind, id: None };
        message.id = message.id_in(Field::Id);
        Ok(message)
    }

    /// What it is.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// The original text, line breaks between tokens replaced by spaces.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Whether it has a field.
    pub(crate) fn has(&self, field: Field) -> bool {
        self.fields.get(field).is_some()
    }

    /// The JSON text of a field.
    pub(crate) fn raw(&self, field: Field) -> Option<Bytes> {
        let range = self.fields.get(field)?;
        // A slice keeps the whole text in memory: no id may do that to a large message.
        Some(if self.bytes.len() > LARGE && range.len() < LARGE {
            Bytes::copy_from_slice(&self.bytes[range])
        } else {
            self.bytes.slice(range)
        })
    }

    /// A field that is a string.
    pub(crate) fn text(&self, field: Field) -> Option<Cow<'_, str>> {
        let raw = &self.bytes[self.fields.get(field)?];
        if raw.contains(&b'\\') {
            return serde_json::from_slice(raw).ok().map(Cow::Owned);
        }
        let inner = raw.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        std::str::from_utf8(inner).ok().map(Cow::Borrowed)
    }

    /// The method; empty for a response.
    pub(crate) fn method(&self) -> Cow<'_, str> {
        self.text(Field::Method).unwrap_or_default()
    }

    /// The id in its one spelling.
    pub(crate) fn id(&self) -> Option<&Id> {
        self.id.as_ref()
    }

    /// A field that is an id (a progress token, `requestId`).
    pub(crate) fn id_in(&self, field: Field) -> Option<Id> {
        self.raw(field).map(|raw| Id::of(&raw))
    }

    /// `error.code`, if it is an error response.
    pub(crate) fn error_code(&self) -> Option<i64> {
        serde_json::from_slice(&self.raw(Field::ErrorCode)?).ok()
    }

    /// The same request under an id of ours.
    pub(crate) fn renamed(&self, id: &str) -> Self {
        let bytes = self.with(Field::Id, &json_string(id));
        match parse(&bytes) {
            Ok(Parsed::One(message)) => message,
            // An exchanged id leaves a valid message valid.
            Ok(Parsed::Batch(_)) | Err(_) => self.clone(),
        }
    }

    /// The same message with another value in one place: the only change that is ever made to one.
    pub(crate) fn with(&self, field: Field, value: &[u8]) -> Bytes {
        let Some(range) = self.fields.get(field) else { return self.bytes.clone() };
        let mut changed = BytesMut::with_capacity(self.bytes.len() + value.len());
        changed.put_slice(&self.bytes[..range.start]);
        changed.put_slice(value);
        changed.put_slice(&self.bytes[range.end..]);
        changed.freeze()
    }
}

fn valid_id(bytes: &Bytes, fields: &Fields) -> Option<Bytes> {
    let raw = bytes.slice(fields.get(Field::Id)?);
    raw.first().is_some_and(|first| can_begin_id(*first)).then_some(raw)
}

/// A string or a number.
fn can_begin_id(first: u8) -> bool {
    matches!(first, b'"' | b'-' | b'0'..=b'9')
}

/// Messages above this many bytes are not kept for the sake of a few of them.
const LARGE: usize = 16 * 1024;

/// A checked text has line breaks between tokens only.
fn one_line(bytes: &Bytes) -> Bytes {
    bytes.iter().map(|&b| if b == b'\n' || b == b'\r' { b' ' } else { b }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &'static str) -> Message {
        match parse(&Bytes::from_static(text.as_bytes())).expect(text) {
            Parsed::One(message) => message,
            Parsed::Batch(_) => panic!("{text}"),
        }
    }

    #[test]
    fn kinds_are_told_apart() {
        assert_eq!(one(r#"{"id":1,"method":"ping"}"#).kind(), Kind::Request);
        assert_eq!(one(r#"{"method":"notifications/initialized"}"#).kind(), Kind::Notification);
        assert_eq!(one(r#"{"id":1,"result":{}}"#).kind(), Kind::Response);
        assert_eq!(one(r#"{"id":null,"error":{"code":-1,"message":"x"}}"#).kind(), Kind::Response);
    }

    #[test]
    fn what_is_no_message_is_refused_with_its_id_where_known() {
        for (text, code, id) in [
            (r#"{"id":1}"#, -32600, Some("1")),
            (r#"{"id":1,"method":5}"#, -32600, Some("1")),
            (r#"{"id":null,"method":"x"}"#, -32600, None),
            (r#"{"id":{},"method":"x"}"#, -32600, None),
            (r#"{"id":"a","method":"x","params":3}"#, -32600, Some("\"a\"")),
            (r#"{"id":9,"method":"x""#, -32700, Some("9")),
            ("garbage", -32700, None),
            ("[]", -32600, None),
            ("5", -32600, None),
        ] {
            let invalid = parse(&Bytes::from_static(text.as_bytes())).expect_err(text);
            assert_eq!(invalid.reason.code(), code, "{text}");
            assert_eq!(invalid.id.as_deref(), id.map(str::as_bytes), "{text}");
        }
    }

    #[test]
    fn line_breaks_between_tokens_become_spaces_and_nothing_else_changes() {
        let message = one("{\r\n \"id\": 1,\n\"method\" : \"a\\nb\"}");
        assert_eq!(&message.bytes()[..], b"{   \"id\": 1, \"method\" : \"a\\nb\"}");
        assert_eq!(message.method(), "a\nb");
    }

    #[test]
    fn an_id_has_one_spelling() {
        let id = |text: &'static str| Id::of(&Bytes::from_static(text.as_bytes()));
        assert_eq!(id("1"), id("1.0"));
        assert_eq!(id("10"), id("1e1"));
        assert_eq!(id(r#""a""#), id(r#""\u0061""#));
        assert_ne!(id("1"), id(r#""1""#));
        assert_ne!(id("1"), id("1.5"));
    }

    #[test]
    fn one_field_is_exchanged_and_the_rest_kept() {
        let message = one(r#"{"jsonrpc":"2.0", "id":1 ,"method":"x"}"#);
        assert_eq!(
            &message.with(Field::Id, b"\"hp-9\"")[..],
            br#"{"jsonrpc":"2.0", "id":"hp-9" ,"method":"x"}"#
        );
    }

    #[test]
    fn a_batch_gives_its_elements() {
        let text = Bytes::from_static(br#"[{"id":1,"method":"a"}, 5, {"method":"b"}]"#);
        let Ok(Parsed::Batch(elements)) = parse(&text) else { panic!() };
        assert!(elements[0].is_ok() && elements[1].is_err() && elements[2].is_ok());
    }
}
