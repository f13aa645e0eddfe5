//! Heads, chunked bodies and the few JSON fields that the yardsticks look at; nothing is checked that need not be.

use std::ops::Range;

use memchr::memmem;

/// What a head says about what follows it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Its length in bytes, with the blank line.
    pub len: usize,
    /// `Content-Length`.
    pub content_length: Option<usize>,
    /// `Transfer-Encoding: chunked`.
    pub chunked: bool,
    /// `Content-Type: text/event-stream`.
    pub events: bool,
    /// Where the value of `Mcp-Session-Id` lies.
    pub session: Option<Range<usize>>,
    /// Where the value of `Authorization` lies.
    pub authorization: Option<Range<usize>>,
}

impl Head {
    /// Reads a head; `None` while it is not complete.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let end = memmem::find(bytes, b"\r\n\r\n")?;
        let mut head = Self { len: end + 4, ..Self::default() };
        let mut at = memchr::memchr(b'\n', bytes)? + 1;
        while at < end {
            let stop = memmem::find(&bytes[at..end], b"\r\n").map_or(end, |found| at + found);
            head.line(bytes, at..stop);
            at = stop + 2;
        }
        Some(head)
    }

    fn line(&mut self, bytes: &[u8], range: Range<usize>) {
        let line = &bytes[range.clone()];
        let Some(colon) = memchr::memchr(b':', line) else { return };
        let blanks = line[colon + 1..].iter().take_while(|b| **b == b' ').count();
        let value = range.start + colon + 1 + blanks..range.end;
        let name = &line[..colon];
        if name.eq_ignore_ascii_case(b"content-length") {
            self.content_length = number(&bytes[value]);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.chunked = bytes[value].eq_ignore_ascii_case(b"chunked");
        } else if name.eq_ignore_ascii_case(b"content-type") {
            self.events = bytes[value].starts_with(b"text/event-stream");
        } else if name.eq_ignore_ascii_case(b"mcp-session-id") {
            self.session = Some(value);
        } else if name.eq_ignore_ascii_case(b"authorization") {
            self.authorization = Some(value);
        }
    }
}

/// The status of an answer's first line.
pub fn status(head: &[u8]) -> u16 {
    head.get(9..12).and_then(number).and_then(|n| u16::try_from(n).ok()).unwrap_or(0)
}

fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.trim().parse().ok()
}

/// Takes the framing off a chunked body (RFC 9112 section 7.1), wherever it was split.
#[derive(Debug, Default)]
pub struct Chunks {
    left: usize,
    line: Vec<u8>,
    state: Part,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Size,
    Data,
    AfterData,
    Trailer,
}

impl Chunks {
    /// Takes bytes and hands the body's to `body`. Returns how many bytes were used if the body is at its end.
    pub fn take(&mut self, bytes: &[u8], mut body: impl FnMut(&[u8])) -> Option<usize> {
        let mut at = 0;
        while at < bytes.len() {
            if self.state == Part::Data {
                let step = self.left.min(bytes.len() - at);
                body(&bytes[at..at + step]);
                self.left -= step;
                at += step;
                if self.left == 0 {
                    self.state = Part::AfterData;
                }
                continue;
            }
            let Some(end) = memchr::memchr(b'\n', &bytes[at..]) else {
                self.line.extend_from_slice(&bytes[at..]);
                return None;
            };
            self.line.extend_from_slice(&bytes[at..at + end]);
            at += end + 1;
            let text = std::str::from_utf8(&self.line).unwrap_or_default().trim();
            match self.state {
                Part::AfterData => self.state = Part::Size,
                Part::Size => {
                    self.left = usize::from_str_radix(text, 16).unwrap_or(0);
                    self.state = if self.left == 0 { Part::Trailer } else { Part::Data };
                }
                Part::Trailer if text.is_empty() => {
                    *self = Self::default();
                    return Some(at);
                }
                Part::Trailer | Part::Data => {}
            }
            self.line.clear();
        }
        None
    }
}

/// The JSON text of the first member of this name, wherever it stands; good enough for messages of our own making.
pub fn member<'a>(json: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let quoted = format!("\"{name}\"");
    let mut from = 0;
    loop {
        let at = from + memmem::find(&json[from..], quoted.as_bytes())? + quoted.len();
        from = at;
        let rest = json[at..].trim_ascii_start();
        // A value of this text is no member.
        let Some(rest) = rest.strip_prefix(b":") else { continue };
        let rest = rest.trim_ascii_start();
        let end = if rest.first() == Some(&b'"') {
            memchr::memchr(b'"', &rest[1..])? + 2
        } else {
            rest.iter().position(|b| matches!(b, b',' | b'}' | b']')).unwrap_or(rest.len())
        };
        return Some(rest[..end].trim_ascii_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_when_it_is_complete() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nMcp-Session-Id: s1\r\ncontent-type: text/event-stream\r\n\r\nbody";
        assert_eq!(Head::parse(&text[..40]), None);
        let head = Head::parse(text).unwrap();
        assert_eq!(&text[head.len..], b"body");
        assert_eq!((head.content_length, head.chunked, head.events), (Some(12), false, true));
        assert_eq!(&text[head.session.unwrap()], b"s1");
        assert_eq!(status(text), 200);
    }

    #[test]
    fn chunks_give_the_body_wherever_they_are_split() {
        let text = b"5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\n\r\n";
        for split in 0..text.len() {
            let (mut chunks, mut body) = (Chunks::default(), Vec::new());
            assert_eq!(chunks.take(&text[..split], |part| body.extend_from_slice(part)), None);
            let used = chunks.take(&text[split..], |part| body.extend_from_slice(part));
            assert_eq!(used, Some(text.len() - split));
            assert_eq!(body, b"hello world");
        }
    }

    #[test]
    fn members_are_found_and_values_of_the_same_text_are_not() {
        let json = br#"{"method":"id","id" : 7,"params":{"name":"echo"}}"#;
        assert_eq!(member(json, "id"), Some(&b"7"[..]));
        assert_eq!(member(json, "name"), Some(&b"\"echo\""[..]));
        assert_eq!(member(json, "nothing"), None);
    }
}
