//! The head of an answer (RFC 9112, sections 4 to 6): what of it decides anything here, and nothing that two readers could
//! take for two things.

use std::mem::MaybeUninit;

use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};

use crate::framing::{Chunks, Framing};
use crate::header::SESSION_ID;

/// The longest head, in bytes, and its most fields.
pub(crate) const MAX_HEAD: usize = 64 * 1024;
pub(crate) const MAX_FIELDS: usize = 100;

/// What came is no head of HTTP/1.1.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotHttp;

/// What the head of an answer says, as far as it matters here.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    pub(crate) content: Content,
    /// `WWW-Authenticate`.
    pub(crate) challenges: Vec<HeaderValue>,
    /// `Mcp-Session-Id`.
    pub(crate) session_id: Option<HeaderValue>,
    pub(crate) framing: Framing,
    /// The connection can be used again when the body has ended.
    pub(crate) keep: bool,
}

/// The kinds of body that MCP knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Json,
    Events,
    Other,
}

/// Reads a head and says how long it is; `None` while it is not complete.
pub(crate) fn head(input: &[u8]) -> Result<Option<(Head, usize)>, NotHttp> {
    if input.is_empty() {
        return Ok(None);
    }
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        input,
        &mut fields,
    );
    let len = match parsed {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(NotHttp),
    };
    let status = response.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(NotHttp)?;
    let mut head = Head {
        status,
        content: Content::Other,
        challenges: Vec::new(),
        session_id: None,
        framing: Framing::Close,
        keep: response.version == Some(1),
    };
    let (mut length, mut encoded) = (None, false);
    for field in &*response.headers {
        let is = |name: &http::HeaderName| field.name.eq_ignore_ascii_case(name.as_str());
        if is(&CONTENT_TYPE) {
            head.content = content(field.value);
        } else if is(&CONTENT_LENGTH) {
            let said = number(field.value).ok_or(NotHttp)?;
            // Two lengths are two messages to two readers.
            if length.replace(said).is_some_and(|before| before != said) {
                return Err(NotHttp);
            }
        } else if is(&TRANSFER_ENCODING) {
            if encoded || !field.value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                return Err(NotHttp);
            }
            encoded = true;
        } else if is(&CONNECTION) {
            let says = |word: &[u8]| {
                field.value.split(|b| *b == b',').any(|said| said.trim_ascii().eq_ignore_ascii_case(word))
            };
            head.keep = !says(b"close") && (head.keep || says(b"keep-alive"));
        } else if is(&WWW_AUTHENTICATE) {
            head.challenges.extend(HeaderValue::from_bytes(field.value));
        } else if is(&SESSION_ID) {
            head.session_id = head.session_id.or_else(|| HeaderValue::from_bytes(field.value).ok());
        }
    }
    head.framing = if status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
    {
        Framing::Length(0)
    } else if encoded {
        // A length beside it is an attempt at something: the connection is not used again (RFC 9112, 6.3).
        head.keep &= length.is_none();
        Framing::Chunked(Chunks::default())
    } else if let Some(length) = length {
        Framing::Length(length)
    } else {
        head.keep = false;
        Framing::Close
    };
    Ok(Some((head, len)))
}

fn content(value: &[u8]) -> Content {
    let end = memchr::memchr(b';', value).unwrap_or(value.len());
    let kind = value[..end].trim_ascii();
    if kind.eq_ignore_ascii_case(b"application/json") {
        Content::Json
    } else if kind.eq_ignore_ascii_case(b"text/event-stream") {
        Content::Events
    } else {
        Content::Other
    }
}

/// A length; a list of equal ones is one.
fn number(value: &[u8]) -> Option<u64> {
    let mut said = None;
    for digits in value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
        if said.replace(number).is_some_and(|before| before != number) {
            return None;
        }
    }
    said
}
