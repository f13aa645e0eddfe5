//! What is known of a large text before it is there to its end: in which of its blocks nothing needs a closer look. It is
//! found out while the text comes, when each piece is still in the processor's cache and the sender is at work anyhow.

use crate::scan::plain_run;

/// In bytes.
const BLOCK: usize = 4096;

/// The blocks of a text that are of ASCII alone and hold neither quotes, backslashes nor control characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plain {
    /// A bit for each block.
    words: Vec<u64>,
    looked: usize,
}

impl Plain {
    /// Looks at the whole blocks of `text` that have come since; it begins where it began before.
    pub(crate) fn look(&mut self, text: &[u8]) {
        let (blocks, _) = text.as_chunks::<BLOCK>();
        self.words.resize(blocks.len().div_ceil(64), 0);
        for (at, block) in blocks.iter().enumerate().skip(self.looked) {
            let mut high = 0;
            let is_plain = plain_run(block, &mut high) == BLOCK && high < 0x80;
            self.words[at / 64] |= u64::from(is_plain) << (at % 64);
        }
        self.looked = blocks.len();
    }

    /// The first line feed at or behind `from`; no block that is plain is looked at.
    pub(crate) fn line_feed(&self, text: &[u8], from: usize) -> Option<usize> {
        let mut at = from;
        while at < text.len() {
            let border = ((at / BLOCK + 1) * BLOCK).min(text.len());
            if !self.is_plain(at / BLOCK)
                && let Some(found) = memchr::memchr(b'\n', &text[at..border])
            {
                return Some(at + found);
            }
            at = border;
        }
        None
    }

    /// Where the run of plain characters from `from` on ends; `high` as in [`plain_run`].
    pub(crate) fn run_end(&self, text: &[u8], from: usize, high: &mut u8) -> usize {
        if self.looked == 0 {
            return from + plain_run(&text[from..], high);
        }
        let mut at = from;
        while at < text.len() {
            let border = ((at / BLOCK + 1) * BLOCK).min(text.len());
            if !self.is_plain(at / BLOCK) {
                at += plain_run(&text[at..border], high);
                if at < border {
                    return at;
                }
            }
            at = border;
        }
        at
    }

    fn is_plain(&self, block: usize) -> bool {
        self.words.get(block / 64).is_some_and(|word| word >> (block % 64) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_before_changes_no_answer() {
        const LENGTH: usize = 5 * BLOCK + 17;
        let places = [0, 1, BLOCK - 1, BLOCK, 2 * BLOCK + 70, 4 * BLOCK, 5 * BLOCK, LENGTH - 1];
        for special in [b'"', b'\\', b'\n', 0x80] {
            for place in places {
                let mut text = vec![b'x'; LENGTH];
                text[place] = special;
                for step in [1000, BLOCK, LENGTH] {
                    let mut plain = Plain::default();
                    for end in (0..LENGTH).step_by(step).chain([LENGTH]) {
                        plain.look(&text[..end]);
                    }
                    for from in places.into_iter().filter(|from| *from <= place) {
                        let (mut high, mut want_high) = (0, 0);
                        let want = from + plain_run(&text[from..], &mut want_high);
                        assert_eq!(plain.run_end(&text, from, &mut high), want, "{special} at {place}");
                        assert_eq!(high >= 0x80, want_high >= 0x80, "{special} at {place}");
                        let feed = (special == b'\n').then_some(place);
                        assert_eq!(plain.line_feed(&text, from), feed);
                    }
                }
            }
        }
    }
}
