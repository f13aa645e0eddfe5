//! Where a body ends (RFC 9112, sections 6 and 7), and its bytes without what frames them.

use bytes::{Buf, Bytes, BytesMut};

/// The longest line between two chunks, and all trailer fields together, in bytes.
const MAX_LINE: usize = 16 * 1024;

/// What ends a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// So many bytes are left.
    Length(u64),
    Chunked(Chunks),
    /// The end of the connection.
    Close,
}

/// What can be taken from what has come.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Bytes of the body.
    Piece(Bytes),
    /// Nothing before more comes.
    Nothing,
    /// The body is at its end.
    End,
}

/// The framing is not that of HTTP/1.1.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the framing of a body is broken")]
pub(crate) struct Broken;

/// A chunked body (section 7.1).
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Chunks {
    part: Part,
    left: u64,
    trailer: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Size,
    Data,
    AfterData,
    Trailer,
    End,
}

impl Framing {
    /// Takes the next bytes of the body off `input`; they are not copied.
    pub(crate) fn take(&mut self, input: &mut BytesMut) -> Result<Taken, Broken> {
        match self {
            Self::Length(left) => Ok(up_to(left, input)),
            Self::Chunked(chunks) => chunks.take(input),
            Self::Close if input.is_empty() => Ok(Taken::Nothing),
            Self::Close => Ok(Taken::Piece(input.split().freeze())),
        }
    }
}

/// At most `left` bytes, which are then fewer.
fn up_to(left: &mut u64, input: &mut BytesMut) -> Taken {
    if *left == 0 {
        return Taken::End;
    }
    if input.is_empty() {
        return Taken::Nothing;
    }
    let step = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
    *left -= step as u64;
    Taken::Piece(input.split_to(step).freeze())
}

impl Chunks {
    fn take(&mut self, input: &mut BytesMut) -> Result<Taken, Broken> {
        loop {
            match self.part {
                Part::Data => {
                    let taken = up_to(&mut self.left, input);
                    if self.left == 0 {
                        self.part = Part::AfterData;
                    }
                    return Ok(taken);
                }
                Part::AfterData => match input.get(..2) {
                    Some(b"\r\n") => {
                        input.advance(2);
                        self.part = Part::Size;
                    }
                    Some(_) => return Err(Broken),
                    None => return Ok(Taken::Nothing),
                },
                Part::Size | Part::Trailer => {
                    let Some(end) = memchr::memchr(b'\n', input) else {
                        return if input.len() > MAX_LINE { Err(Broken) } else { Ok(Taken::Nothing) };
                    };
                    let line = input[..end].strip_suffix(b"\r").filter(|line| line.len() <= MAX_LINE);
                    self.line(line.ok_or(Broken)?)?;
                    input.advance(end + 1);
                }
                Part::End => return Ok(Taken::End),
            }
        }
    }

    fn line(&mut self, line: &[u8]) -> Result<(), Broken> {
        if self.part == Part::Size {
            self.left = size(line).ok_or(Broken)?;
            self.part = if self.left == 0 { Part::Trailer } else { Part::Data };
        } else if line.is_empty() {
            self.part = Part::End;
        } else {
            self.trailer += line.len();
            if self.trailer > MAX_LINE {
                return Err(Broken);
            }
        }
        Ok(())
    }
}

/// The size of a chunk; what is behind a semicolon is passed over.
fn size(line: &[u8]) -> Option<u64> {
    let end = memchr::memchr(b';', line).unwrap_or(line.len());
    let digits = line[..end].trim_ascii_end();
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    digits.iter().try_fold(0, |size, digit| Some(size << 4 | u64::from(char::from(*digit).to_digit(16)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body, and what was left behind it, or `None` if it is broken or does not end.
    fn read(mut framing: Framing, parts: &[&[u8]]) -> Option<(Vec<u8>, Vec<u8>)> {
        let (mut input, mut body) = (BytesMut::new(), Vec::new());
        let mut parts = parts.iter();
        loop {
            match framing.take(&mut input).ok()? {
                Taken::Piece(piece) => body.extend_from_slice(&piece),
                Taken::Nothing => input.extend_from_slice(parts.next()?),
                Taken::End => {
                    input.extend_from_slice(&parts.copied().collect::<Vec<_>>().concat());
                    return Some((body, input.to_vec()));
                }
            }
        }
    }

    #[test]
    fn a_body_is_the_same_wherever_it_was_split() {
        let chunked =
            b"5\r\nhello\r\n1;name=\"value\"\r\n \r\n00005 \r\nworld\r\n0\r\nA-Trailer: x\r\n\r\nnext";
        for split in 0..chunked.len() {
            let parts = [&chunked[..split], &chunked[split..]];
            let read = read(Framing::Chunked(Chunks::default()), &parts);
            assert_eq!(read, Some((b"hello world".to_vec(), b"next".to_vec())), "split at {split}");
        }
        let plain = b"hello worldnext";
        for split in 0..plain.len() {
            let read = read(Framing::Length(11), &[&plain[..split], &plain[split..]]);
            assert_eq!(read, Some((b"hello world".to_vec(), b"next".to_vec())), "split at {split}");
        }
    }

    #[test]
    fn a_body_that_two_readers_could_end_in_two_places_is_refused() {
        for text in [
            "5\nhello\r\n0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "5\r\nhelloo0\r\n\r\n",
            "+5\r\nhello\r\n0\r\n\r\n",
            "0x5\r\nhello\r\n0\r\n\r\n",
            " 5\r\nhello\r\n0\r\n\r\n",
            "\r\nhello\r\n0\r\n\r\n",
            "10000000000000005\r\nhello\r\n0\r\n\r\n",
            "5;\n\r\nhello\r\n0\r\n\r\n",
        ] {
            let mut framing = Framing::Chunked(Chunks::default());
            let mut input = BytesMut::from(text);
            let broken = std::iter::from_fn(|| match framing.take(&mut input) {
                Ok(Taken::Piece(_)) => Some(false),
                Ok(Taken::Nothing | Taken::End) => None,
                Err(Broken) => Some(true),
            });
            assert!(broken.take(3).any(|broken| broken), "{text:?}");
        }
    }

    #[test]
    fn what_frames_a_body_has_a_limit() {
        let long = "a".repeat(MAX_LINE + 1);
        let fields = "X: y\r\n".repeat(MAX_LINE / 3);
        for text in [format!("5;{long}"), format!("5;{long}\r\nhello\r\n"), format!("0\r\n{fields}\r\n")] {
            let mut input = BytesMut::from(text.as_str());
            assert_eq!(Framing::Chunked(Chunks::default()).take(&mut input), Err(Broken));
        }
    }
}
