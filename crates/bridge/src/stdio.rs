//! Lines in and lines out: newline-delimited messages with a limit, and an outbox that never blocks.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::plain::Plain;
use crate::spare::{LARGE_BUFFER, SPARE};

/// The longest message that is carried, in bytes.
pub(crate) const MAX_MESSAGE: usize = 16 * 1024 * 1024;

/// A line above this many bytes does not share its memory with the next one.
const LARGE: usize = 64 * 1024;

/// How much of a message that is too long is kept, to find its id.
const START: usize = 4096;

/// One line, without its line feed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Whole(Bytes),
    /// A large one, and what was seen of it while it came.
    Large(Bytes, Plain),
    /// Longer than the limit; only its start is kept.
    TooLong(Bytes),
}

/// Cuts a byte stream into lines. Dropping the future of [`Lines::next`] loses nothing.
pub(crate) struct Lines<R> {
    input: R,
    limit: usize,
    buffer: BytesMut,
    /// In place of `buffer`, while a large line comes.
    large: Option<(Vec<u8>, Plain)>,
    searched: usize,
    too_long: Option<Bytes>,
    fresh: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Reads lines of at most `limit` bytes.
    pub(crate) fn new(input: R, limit: usize) -> Self {
        Self { input, limit, buffer: BytesMut::new(), large: None, searched: 0, too_long: None, fresh: false }
    }

    /// The next line that is not blank; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            if let Some(line) = self.ready() {
                return Ok(Some(line));
            }
            if self.read().await? == 0 {
                return Ok(None);
            }
            self.fresh = true;
        }
    }

    async fn read(&mut self) -> io::Result<usize> {
        if self.buffer.len() >= LARGE_BUFFER && self.too_long.is_none() {
            let mut large = SPARE.take(MAX_MESSAGE + LARGE_BUFFER);
            large.extend_from_slice(&self.buffer);
            self.large = Some((large, Plain::default()));
            self.buffer = BytesMut::new();
        }
        if let Some((large, _)) = &mut self.large {
            large.reserve(LARGE_BUFFER);
            return self.input.read_buf(large).await;
        }
        // Large messages are read in large steps, small ones cost a small buffer.
        self.buffer.reserve(self.buffer.len().clamp(8 * 1024, LARGE_BUFFER));
        self.input.read_buf(&mut self.buffer).await
    }

    /// The next line that is not blank, of those that were read already.
    pub(crate) fn ready(&mut self) -> Option<Line> {
        let is_blank = |line: &Line| matches!(line, Line::Whole(bytes) | Line::Large(bytes, _) if bytes.iter().all(u8::is_ascii_whitespace));
        loop {
            let line = self.cut()?;
            if !is_blank(&line) {
                return Some(line);
            }
        }
    }

    /// Where the lines come from.
    pub(crate) fn input(&self) -> &R {
        &self.input
    }

    /// Whether the stream was read since this was asked last.
    pub(crate) fn take_fresh(&mut self) -> bool {
        std::mem::take(&mut self.fresh)
    }

    fn cut(&mut self) -> Option<Line> {
        if let Some((large, plain)) = self.large.take() {
            return self.cut_large(large, plain);
        }
        if let Some(found) = memchr::memchr(b'\n', &self.buffer[self.searched..]) {
            let line = self.buffer.split_to(self.searched + found).freeze();
            self.buffer.advance(1);
            self.searched = 0;
            if line.len() > LARGE {
                // What follows moves out, so that the line's memory goes with the line.
                self.buffer = BytesMut::from(&self.buffer[..]);
            }
            return Some(match self.too_long.take() {
                Some(start) => Line::TooLong(start),
                None if line.len() > self.limit => Line::TooLong(line.slice(..START.min(line.len()))),
                None => Line::Whole(line),
            });
        }
        self.searched = self.buffer.len();
        if self.buffer.len() > self.limit || self.too_long.is_some() {
            let start = Bytes::copy_from_slice(&self.buffer[..START.min(self.buffer.len())]);
            self.too_long.get_or_insert(start);
            self.buffer.clear();
            self.searched = 0;
        }
        None
    }

    fn cut_large(&mut self, mut large: Vec<u8>, mut plain: Plain) -> Option<Line> {
        plain.look(&large);
        let end = plain.line_feed(&large, self.searched);
        self.searched = 0;
        if end.unwrap_or(large.len()) > self.limit {
            let start = Bytes::copy_from_slice(&large[..START.min(large.len())]);
            if let Some(end) = end {
                self.buffer.extend_from_slice(&large[end + 1..]);
                SPARE.give_back(large);
                return Some(Line::TooLong(start));
            }
            self.too_long = Some(start);
            SPARE.give_back(large);
            return None;
        }
        let Some(end) = end else {
            self.searched = large.len();
            self.large = Some((large, plain));
            return None;
        };
        self.buffer.extend_from_slice(&large[end + 1..]);
        large.truncate(end);
        Some(Line::Large(SPARE.lend(large), plain))
    }
}

/// Lines that wait to be written. Filling it never blocks, so that a reader who is slow or gone cannot
/// keep a switch from being applied.
pub(crate) struct Outbox<W> {
    output: W,
    queue: VecDeque<Bytes>,
    tail: BytesMut,
    queued: usize,
    unflushed: bool,
}

impl<W: AsyncWrite + Unpin> Outbox<W> {
    /// An empty outbox.
    pub(crate) fn new(output: W) -> Self {
        Self { output, queue: VecDeque::new(), tail: BytesMut::new(), queued: 0, unflushed: false }
    }

    /// Adds a line; its line feed is added here.
    pub(crate) fn push(&mut self, line: Bytes) {
        self.queued += line.len() + 1;
        // Small lines are gathered into one write; large ones are not copied.
        if line.len() > 16 * 1024 {
            let tail = self.tail.split().freeze();
            self.queue.extend([tail, line].into_iter().filter(|part| !part.is_empty()));
        } else {
            self.tail.extend_from_slice(&line);
        }
        self.tail.extend_from_slice(b"\n");
    }

    /// How many bytes wait.
    pub(crate) fn queued(&self) -> usize {
        self.queued
    }

    /// Whether there is anything to do for [`Outbox::write_some`].
    pub(crate) fn is_waiting(&self) -> bool {
        self.queued > 0 || self.unflushed
    }

    /// Writes what the other side takes at once. Dropping the future loses nothing.
    pub(crate) async fn write_some(&mut self) -> io::Result<()> {
        if self.queued > 0 {
            self.write_queued().await?;
        }
        if self.queued == 0 {
            self.output.flush().await?;
            self.unflushed = false;
        }
        Ok(())
    }

    async fn write_queued(&mut self) -> io::Result<()> {
        if !self.tail.is_empty() {
            let tail = self.tail.split().freeze();
            self.queue.push_back(tail);
        }
        let mut slices = [IoSlice::new(&[]); 8];
        for (slice, part) in slices.iter_mut().zip(&self.queue) {
            *slice = IoSlice::new(part);
        }
        let filled = self.queue.len().min(slices.len());
        let mut written = match &slices[..filled] {
            [one] => self.output.write(one).await?,
            several => self.output.write_vectored(several).await?,
        };
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.queued -= written;
        self.unflushed = true;
        while written > 0 {
            let Some(part) = self.queue.front_mut() else { break };
            let step = written.min(part.len());
            part.advance(step);
            written -= step;
            if part.is_empty() {
                self.queue.pop_front();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_come_whole_however_they_were_split() {
        let text = b"one\r\n\n  \ntwo\nthree\nno end";
        for step in 1..text.len() {
            let (mut write, read) = tokio::io::duplex(step);
            let sent = text.to_vec();
            tokio::spawn(async move { write.write_all(&sent).await });
            let mut lines = Lines::new(read, 100);
            for want in [&b"one\r"[..], b"two", b"three"] {
                assert_eq!(lines.next().await.unwrap(), Some(Line::Whole(Bytes::copy_from_slice(want))));
            }
            assert_eq!(lines.next().await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_skipped_and_the_next_one_read() {
        let mut text = br#"{"id":5,""#.to_vec();
        text.resize(50_000, b'x');
        text.extend_from_slice(b"\nnext\n");
        for step in [1, 7, 4096, 60_000] {
            let (mut write, read) = tokio::io::duplex(step);
            let sent = text.clone();
            tokio::spawn(async move { write.write_all(&sent).await });
            let mut lines = Lines::new(read, 10_000);
            let Some(Line::TooLong(start)) = lines.next().await.unwrap() else { panic!("{step}") };
            assert_eq!(start.len(), START);
            assert!(start.starts_with(br#"{"id":5,"#));
            assert_eq!(lines.next().await.unwrap(), Some(Line::Whole(Bytes::from_static(b"next"))));
        }
    }

    #[tokio::test]
    async fn large_lines_come_whole_between_small_ones_and_too_long_ones_do_not() {
        const MIB: usize = 1024 * 1024;
        let sizes = [3, 3 * MIB, 0, 7, MIB, MIB + 1, 5 * MIB, 9, 2 * MIB, 2 * MIB + 1];
        let sent = sizes.map(|size| vec![b'a' + u8::try_from(size % 26).unwrap(); size]).join(&b'\n');
        for step in [64 * 1024, 3 * MIB, 64 * MIB] {
            let (mut write, read) = tokio::io::duplex(step);
            let sent = sent.clone();
            tokio::spawn(async move {
                write.write_all(&sent).await.unwrap();
                write.write_all(b"\n").await.unwrap();
            });
            let mut lines = Lines::new(read, 3 * MIB);
            for size in sizes.into_iter().filter(|size| *size > 0) {
                let letter = b'a' + u8::try_from(size % 26).unwrap();
                match lines.next().await.unwrap().unwrap() {
                    Line::Whole(line) | Line::Large(line, _) => {
                        assert!(line.len() == size && line.iter().all(|b| *b == letter));
                    }
                    Line::TooLong(start) => assert!(size > 3 * MIB && start == vec![letter; START]),
                }
            }
            assert_eq!(lines.next().await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn the_outbox_writes_everything_once_and_in_order() {
        let (write, mut read) = tokio::io::duplex(1000);
        let mut outbox = Outbox::new(write);
        let mut want = Vec::new();
        for n in 0..50usize {
            let line = vec![b'a' + u8::try_from(n % 26).unwrap(); n * 1000];
            want.extend_from_slice(&line);
            want.push(b'\n');
            outbox.push(line.into());
        }
        let reading = tokio::spawn(async move {
            let mut all = Vec::new();
            read.read_to_end(&mut all).await.unwrap();
            all
        });
        while outbox.is_waiting() {
            outbox.write_some().await.unwrap();
        }
        assert_eq!(outbox.queued(), 0);
        drop(outbox);
        assert!(reading.await.unwrap() == want);
    }
}
