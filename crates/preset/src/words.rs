//! A key as eight words, so that two people can compare it over the telephone.
//!
//! Eight words of a list of 2048 (BIP-39, English: no two words share their first four letters) carry 8 x 11 = 88
//! bits of SHA-256 over the 42 bytes of the key. Finding another key with the same words takes 2^88 tries.

use bip39::Language;
use sha2::{Digest as _, Sha256};

/// The words of a key's 42 bytes.
pub(crate) fn eight_words(key: &[u8]) -> String {
    let digest = Sha256::digest(key);
    let list = Language::English.word_list();
    let words: Vec<&str> = (0..8)
        .map(|word| {
            let index = (word * 11..word * 11 + 11)
                .fold(0usize, |index, bit| index << 1 | usize::from(digest[bit / 8] >> (7 - bit % 8) & 1));
            list[index]
        })
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_the_first_88_bits_of_the_digest() {
        // SHA-256("abc") = ba7816bf 8f01cfea 414140...: 1489 = 10111010011, then 1537, 859, 1008, ...
        let list = Language::English.word_list();
        let words = eight_words(b"abc");
        let first: Vec<&str> = words.split(' ').collect();
        assert_eq!(first.len(), 8);
        assert_eq!(first[0], list[0b101_1101_0011]);
        assert_eq!(first[1], list[0b110_0000_0101]);
        assert_ne!(eight_words(b"abd"), words);
    }

    #[test]
    fn no_two_words_share_their_first_four_letters() {
        let starts: std::collections::BTreeSet<String> =
            Language::English.word_list().iter().map(|word| word.chars().take(4).collect()).collect();
        assert_eq!(starts.len(), 2048);
    }
}
