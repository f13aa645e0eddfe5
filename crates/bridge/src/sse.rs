//! Server-sent events, cut out of a byte stream (WHATWG HTML, "Interpreting an event stream").

use std::ops::Range;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

/// One event that carries data, or a bare change of id.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// The joined `data` lines.
    pub(crate) data: Bytes,
    /// What it is called.
    pub(crate) kind: Kind,
}

/// The kinds of event that MCP knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No `event` field, or `message`.
    Message,
    /// Where messages go (2024-11-05).
    Endpoint,
    Other,
}

/// More than the limit in one event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// The state between two chunks.
pub(crate) struct EventParser {
    limit: usize,
    pending: BytesMut,
    after_cr: bool,
    first_line: bool,
    data: Data,
    kind: Kind,
    last_event_id: Option<String>,
    retry: Option<Duration>,
}

enum Data {
    None,
    One(Bytes),
    Many(BytesMut),
}

impl EventParser {
    /// Takes events of at most `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            pending: BytesMut::new(),
            after_cr: false,
            first_line: true,
            data: Data::None,
            kind: Kind::Message,
            last_event_id: None,
            retry: None,
        }
    }

    /// `Last-Event-ID` for a reconnect.
    pub(crate) fn last_event_id(&self) -> Option<&str> {
        self.last_event_id.as_deref().filter(|id| !id.is_empty())
    }

    /// How long to wait before a reconnect, if the server said so.
    pub(crate) fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// Goes on where another stream broke off.
    pub(crate) fn inherit(&mut self, other: &Self) {
        self.last_event_id.clone_from(&other.last_event_id);
        self.retry = other.retry;
    }

    /// Takes a chunk and gives the events that it completes. Data of one line within one chunk is not copied.
    pub(crate) fn feed(&mut self, chunk: &Bytes, events: &mut Vec<Event>) -> Result<(), TooLong> {
        let mut at = 0;
        while at < chunk.len() {
            if std::mem::take(&mut self.after_cr) && chunk[at] == b'\n' {
                at += 1;
                continue;
            }
            let Some(found) = memchr::memchr2(b'\n', b'\r', &chunk[at..]) else {
                self.pending.extend_from_slice(&chunk[at..]);
                return if self.held() > self.limit { Err(TooLong) } else { Ok(()) };
            };
            let end = at + found;
            self.after_cr = chunk[end] == b'\r';
            if self.pending.is_empty() {
                self.line(chunk, at..end, events);
            } else {
                self.pending.extend_from_slice(&chunk[at..end]);
                let line = self.pending.split().freeze();
                self.line(&line, 0..line.len(), events);
            }
            at = end + 1;
            if self.held() > self.limit {
                return Err(TooLong);
            }
        }
        Ok(())
    }

    fn held(&self) -> usize {
        self.pending.len()
            + match &self.data {
                Data::None => 0,
                Data::One(data) => data.len(),
                Data::Many(data) => data.len(),
            }
    }

    /// Takes the line that lies at `place` in `text`.
    fn line(&mut self, text: &Bytes, mut place: Range<usize>, events: &mut Vec<Event>) {
        if std::mem::take(&mut self.first_line) && text[place.clone()].starts_with(b"\xef\xbb\xbf") {
            place.start += 3;
        }
        if place.is_empty() {
            let kind = std::mem::replace(&mut self.kind, Kind::Message);
            let data = match std::mem::replace(&mut self.data, Data::None) {
                Data::None => return,
                Data::One(data) => data,
                Data::Many(data) => data.freeze(),
            };
            events.push(Event { data, kind });
            return;
        }
        let colon = memchr::memchr(b':', &text[place.clone()]).map_or(place.end, |colon| place.start + colon);
        let mut start = (colon + 1).min(place.end);
        if text[start..place.end].first() == Some(&b' ') {
            start += 1;
        }
        let value = &text[start..place.end];
        match &text[place.start..colon] {
            b"data" => {
                let value = text.slice(start..place.end);
                self.data = match std::mem::replace(&mut self.data, Data::None) {
                    Data::None => Data::One(value),
                    Data::One(first) => Data::Many(joined(BytesMut::from(&first[..]), &value)),
                    Data::Many(all) => Data::Many(joined(all, &value)),
                };
            }
            b"event" => {
                self.kind = match value {
                    b"" | b"message" => Kind::Message,
                    b"endpoint" => Kind::Endpoint,
                    _ => Kind::Other,
                };
            }
            b"id" if !value.contains(&0) => {
                self.last_event_id = std::str::from_utf8(value).ok().map(str::to_owned);
            }
            b"retry" if value.iter().all(u8::is_ascii_digit) => {
                let millis = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                self.retry = millis.map(Duration::from_millis).or(self.retry);
            }
            _ => {}
        }
    }
}

fn joined(mut all: BytesMut, line: &[u8]) -> BytesMut {
    all.extend_from_slice(b"\n");
    all.extend_from_slice(line);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] = b"\xef\xbb\xbf: hello\r\nid: 1\r\nretry: 500\r\ndata:\r\n\r\n\
        event: message\ndata: {\"a\":1}\n\ndata: x\rdata:y\r\rid\nid: ev-2\n\
        event: endpoint\ndata: z\n\ndata: \xc3\xa4\n\nnonsense\nretry: soon\n\ndata: lost";

    fn want() -> Vec<Event> {
        let message = Kind::Message;
        [("", message), ("{\"a\":1}", message), ("x\ny", message), ("z", Kind::Endpoint), ("ä", message)]
            .map(|(data, kind)| Event { data: Bytes::copy_from_slice(data.as_bytes()), kind })
            .into()
    }

    #[test]
    fn events_are_the_same_wherever_the_stream_is_split() {
        for first in 0..STREAM.len() {
            for second in [first, (first + 1).min(STREAM.len()), STREAM.len()] {
                let mut parser = EventParser::new(100);
                let mut events = Vec::new();
                for part in [&STREAM[..first], &STREAM[first..second], &STREAM[second..]] {
                    parser.feed(&Bytes::copy_from_slice(part), &mut events).unwrap();
                }
                assert_eq!(events, want(), "split at {first} and {second}");
                assert_eq!(parser.last_event_id(), Some("ev-2"));
                assert_eq!(parser.retry(), Some(Duration::from_millis(500)));
            }
        }
    }

    #[test]
    fn one_byte_at_a_time_gives_the_same() {
        let mut parser = EventParser::new(100);
        let mut events = Vec::new();
        for byte in STREAM {
            parser.feed(&Bytes::copy_from_slice(&[*byte]), &mut events).unwrap();
        }
        assert_eq!(events, want());
    }

    #[test]
    fn an_event_above_the_limit_is_refused() {
        let mut events = Vec::new();
        let feed = |text: &str, events: &mut Vec<Event>| {
            EventParser::new(10).feed(&Bytes::copy_from_slice(text.as_bytes()), events)
        };
        assert_eq!(feed("data: 12345678901", &mut events), Err(TooLong));
        assert_eq!(feed("data: 123456\ndata: 123456\n", &mut events), Err(TooLong));
        assert_eq!(feed("data: 12345\n\ndata: 12345\n\n", &mut events), Ok(()));
        assert_eq!(events.len(), 2);
    }
}
