//! From an HTTP answer to messages: one JSON body or an event stream, and what a refusal says.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use crate::authorization::Bearer;
use crate::error::{Failure, tamed, wrapped};
use crate::field::Field;
use crate::head::Content;
use crate::http::Answer;
use crate::message::{Id, Invalid, Kind, Message, Parsed, parse, parse_seen};
use crate::plain::Plain;
use crate::sse::{self, EventParser};
use crate::stdio::MAX_MESSAGE;

/// Reads messages from an answer, whichever form it has.
pub(crate) struct Reader {
    answer: Answer,
    events: Option<EventParser>,
    found: Vec<sse::Event>,
    ready: VecDeque<Message>,
    /// Where messages go, if an event said so.
    endpoint: Option<Bytes>,
}

impl Reader {
    /// Starts reading a successful answer.
    pub(crate) fn new(answer: Answer) -> Result<Self, Failure> {
        let events = match answer.head.content {
            Content::Json => None,
            Content::Events => Some(EventParser::new(MAX_MESSAGE)),
            Content::Other if answer.head.status == http::StatusCode::ACCEPTED => {
                return Err(Failure::Garbage("it took the request and gave no answer".to_owned()));
            }
            Content::Other => return Err(Failure::Garbage("neither JSON nor an event stream".to_owned())),
        };
        Ok(Self { answer, events, found: Vec::new(), ready: VecDeque::new(), endpoint: None })
    }

    /// Goes on with the answer to a resumption; the last event id and the pause are kept.
    pub(crate) fn after(mut self, answer: Answer) -> Result<Self, Failure> {
        let mut next = Self::new(answer)?;
        if let (Some(old), Some(new)) = (self.events.take(), next.events.as_mut()) {
            new.inherit(&old);
        }
        Ok(next)
    }

    /// The next message, or `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Message>, Failure> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Ok(Some(message));
            }
            let Some(events) = &mut self.events else {
                let (body, plain) = self.answer.whole_seen(MAX_MESSAGE).await?;
                if body.iter().all(u8::is_ascii_whitespace) {
                    return Ok(None);
                }
                match self.take(&body, &plain)? {
                    Some(message) => return Ok(Some(message)),
                    None => continue,
                }
            };
            let Some(chunk) = self.answer.chunk().await? else { return Ok(None) };
            let mut found = std::mem::take(&mut self.found);
            let fed = events.feed(&chunk, &mut found);
            for event in found.drain(..).filter(|event| !event.data.is_empty()) {
                match event.kind {
                    sse::Kind::Message => {
                        let message = self.take(&event.data, &Plain::default())?;
                        self.ready.extend(message);
                    }
                    sse::Kind::Endpoint => self.endpoint = Some(event.data),
                    sse::Kind::Other => {}
                }
            }
            self.found = found;
            if fed.is_err() {
                return Err(Failure::TooLarge);
            }
        }
    }

    /// Where messages go (2024-11-05); `None` if anything else comes first, or nothing.
    pub(crate) async fn endpoint(&mut self) -> Result<Option<Bytes>, Failure> {
        while self.endpoint.is_none() && self.ready.is_empty() {
            let (Some(events), Some(chunk)) = (&mut self.events, self.answer.chunk().await?) else { break };
            let fed = events.feed(&chunk, &mut self.found);
            for event in std::mem::take(&mut self.found) {
                match event.kind {
                    sse::Kind::Endpoint => self.endpoint = Some(event.data),
                    sse::Kind::Message if !event.data.is_empty() => {
                        let message = self.take(&event.data, &Plain::default())?;
                        self.ready.extend(message);
                    }
                    sse::Kind::Message | sse::Kind::Other => {}
                }
            }
            fed.map_err(|_| Failure::TooLarge)?;
        }
        Ok(self.endpoint.take())
    }

    /// Whether nothing can follow.
    pub(crate) fn is_over(&self) -> bool {
        self.ready.is_empty() && self.answer.is_over()
    }

    /// The id of the last event, for a resumption.
    pub(crate) fn last_event_id(&self) -> Option<&str> {
        self.events.as_ref().and_then(EventParser::last_event_id)
    }

    /// How long the server wants a resumption to wait.
    pub(crate) fn retry(&self) -> Option<Duration> {
        self.events.as_ref().and_then(EventParser::retry)
    }

    /// Takes a text; its message where it is one, else they are made ready.
    fn take(&mut self, text: &Bytes, plain: &Plain) -> Result<Option<Message>, Failure> {
        let invalid = |invalid: Invalid| Failure::Garbage(invalid.reason.to_string());
        match parse_seen(text, plain).map_err(invalid)? {
            Parsed::One(message) => Ok(Some(message)),
            Parsed::Batch(elements) => {
                for element in elements {
                    self.ready.push_back(element.map_err(invalid)?);
                }
                Ok(None)
            }
        }
    }
}

/// The JSON-RPC error that a refusing answer carries, under our id; else what its status says.
pub(crate) async fn refusal(
    mut answer: Answer,
    id: &Bytes,
    bearer: Option<&Bearer>,
) -> Result<Message, Failure> {
    let status = answer.head.status;
    let challenge = answer.head.challenges.iter().find_map(|v| v.to_str().ok().and_then(description));
    let body = answer.whole(MAX_MESSAGE).await.unwrap_or_default();
    let mut detail = challenge;
    if answer.head.content == Content::Json
        && let Ok(Parsed::One(message)) = parse(&body)
        && let (Kind::Response, Some(error)) = (message.kind(), message.raw(Field::Error))
    {
        if message.id() == Some(&Id::of(id)) {
            return Ok(message);
        }
        if let (Ok(text), Some(_)) = (std::str::from_utf8(&error), message.error_code())
            && let Ok(Parsed::One(message)) = parse(&wrapped(id, "error", text))
        {
            return Ok(message);
        }
        detail = message.text(Field::ErrorMessage).map(std::borrow::Cow::into_owned).or(detail);
    } else if answer.head.content != Content::Events && !body.starts_with(b"<") && detail.is_none() {
        detail = Some(String::from_utf8_lossy(&body[..body.len().min(1000)]).into_owned());
    }
    Err(Failure::Status { status, detail: quoted(&detail.unwrap_or_default(), bearer) })
}

/// `error_description` of a challenge (RFC 6750 section 3).
fn description(challenge: &str) -> Option<String> {
    let rest = challenge.split_once("error_description=\"")?.1;
    Some(rest.split_once('"')?.0.to_owned())
}

/// Foreign words fit for a message of ours; a server that echoes the token is cut out.
fn quoted(text: &str, bearer: Option<&Bearer>) -> String {
    let token = bearer.and_then(|b| b.value.to_str().ok()).and_then(|v| v.strip_prefix("Bearer "));
    let text = match token {
        Some(token) if !token.is_empty() => text.replace(token, "[secret]"),
        Some(_) | None => text.to_owned(),
    };
    tamed(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn an_echoed_token_is_cut_out() {
        let bearer = Bearer { value: HeaderValue::from_static("Bearer s3cr3t"), generation: 1 };
        assert_eq!(quoted("no: s3cr3t\n!", Some(&bearer)), "no: [secret] !");
    }

    #[test]
    fn a_challenge_is_described() {
        let text = r#"Bearer error="insufficient_scope", error_description="needs files:write", scope="x""#;
        assert_eq!(description(text).as_deref(), Some("needs files:write"));
        assert_eq!(description("Bearer"), None);
    }
}
