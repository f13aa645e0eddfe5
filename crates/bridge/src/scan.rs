//! The one validating pass over a JSON-RPC message: two parsers that read one text differently are an attack.
//!
//! It accepts exactly one JSON value (RFC 8259) of limited depth, and on the way notes where the few fields
//! lie that routing needs. Nothing is built: the original bytes pass on.

use std::ops::Range;

use crate::field::{Fields, Place, Row};
use crate::plain::Plain;

/// Deepest nesting that is accepted.
pub(crate) const MAX_DEPTH: u32 = 64;

/// Why a text is not a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("not valid UTF-8")]
    NotUtf8,
    #[error("not valid JSON at byte {0}")]
    NotJson(usize),
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    #[error("more than one `{0}`")]
    Duplicate(&'static str),
    #[error("`{0}` in another spelling")]
    Spelling(&'static str),
}

/// What a whole text is.
#[derive(Debug)]
pub(crate) enum Shape {
    Object(Box<Fields>),
    /// The elements of an array.
    Array(Vec<Range<usize>>),
    Scalar,
}

/// Checks a whole text. With a fault come the fields that were found before it.
pub(crate) fn scan(text: &[u8]) -> Result<Shape, (Fault, Box<Fields>)> {
    scan_seen(text, &Plain::default())
}

/// The same for a text of which something is known already.
pub(crate) fn scan_seen(text: &[u8], plain: &Plain) -> Result<Shape, (Fault, Box<Fields>)> {
    let mut scanner = Scanner { text, plain, at: 0, high: 0, fields: Box::default() };
    scanner.blanks();
    let shape = match scanner.peek() {
        Some(b'{') => scanner.value(0, Place::Top).map(|()| None),
        Some(b'[') => scanner.elements().map(|elements| Some(Shape::Array(elements))),
        _ => scanner.value(0, Place::Other).map(|()| Some(Shape::Scalar)),
    };
    scanner.blanks();
    // Outside of strings only ASCII is taken, and of a text in ASCII nothing is read twice.
    if scanner.high >= 0x80 && std::str::from_utf8(text).is_err() {
        return Err((Fault::NotUtf8, Box::default()));
    }
    match shape {
        Err(fault) => Err((fault, scanner.fields)),
        Ok(_) if scanner.at != text.len() => Err((scanner.fault(), scanner.fields)),
        Ok(None) => Ok(Shape::Object(scanner.fields)),
        Ok(Some(other)) => Ok(other),
    }
}

struct Scanner<'a> {
    text: &'a [u8],
    plain: &'a Plain,
    at: usize,
    /// At least 0x80 if one of the bytes in strings was.
    high: u8,
    fields: Box<Fields>,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn fault(&self) -> Fault {
        Fault::NotJson(self.at)
    }

    fn blanks(&mut self) {
        while let Some(blank @ (b' ' | b'\t' | b'\n' | b'\r')) = self.peek() {
            if matches!(blank, b'\n' | b'\r') {
                self.fields.note_breaks();
            }
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> Result<(), Fault> {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(self.fault())
        }
    }

    fn value(&mut self, depth: u32, place: Place) -> Result<(), Fault> {
        match self.peek() {
            Some(b'{') if depth < MAX_DEPTH => self.object(depth + 1, place),
            Some(b'[') if depth < MAX_DEPTH => self.array(depth + 1, None),
            Some(b'{' | b'[') => Err(Fault::TooDeep),
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal(b"true"),
            Some(b'f') => self.literal(b"false"),
            Some(b'n') => self.literal(b"null"),
            _ => Err(self.fault()),
        }
    }

    fn object(&mut self, depth: u32, place: Place) -> Result<(), Fault> {
        self.take(b'{')?;
        self.blanks();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            let key = self.at;
            self.string()?;
            let known = self.known(key + 1..self.at - 1, place)?;
            self.blanks();
            self.take(b':')?;
            self.blanks();
            let start = self.at;
            self.value(depth, known.map_or(Place::Other, |(_, _, inner)| inner))?;
            if let Some((name, field, _)) = known
                && !self.fields.set(field, &(start..self.at))
            {
                return Err(Fault::Duplicate(name));
            }
            self.blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.fault()),
            }
            self.blanks();
        }
    }

    fn elements(&mut self) -> Result<Vec<Range<usize>>, Fault> {
        let mut elements = Vec::new();
        self.array(1, Some(&mut elements))?;
        Ok(elements)
    }

    fn array(&mut self, depth: u32, mut note: Option<&mut Vec<Range<usize>>>) -> Result<(), Fault> {
        self.take(b'[')?;
        self.blanks();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            let start = self.at;
            self.value(depth, Place::Other)?;
            if let Some(note) = note.as_deref_mut() {
                note.push(start..self.at);
            }
            self.blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.fault()),
            }
            self.blanks();
        }
    }

    /// The field that a key names here. At the top, a key that only a lax parser would take for one of
    /// ours (another case, escapes) is refused.
    fn known(&self, key: Range<usize>, place: Place) -> Result<Option<Row>, Fault> {
        let table = place.fields();
        let raw = &self.text[key.clone()];
        if let Some(found) = table.iter().find(|(name, ..)| name.as_bytes() == raw) {
            return Ok(Some(*found));
        }
        if place == Place::Top || raw.contains(&b'\\') {
            let quoted = &self.text[key.start - 1..=key.end];
            let plain: String = serde_json::from_slice(quoted).map_err(|_| Fault::NotJson(key.start))?;
            // Two letters outside ASCII fold to ASCII ones in parsers that ignore case.
            let folded = plain.replace('\u{17f}', "s").replace('\u{212a}', "k");
            let lax = |name: &str| {
                if place == Place::Top { folded.eq_ignore_ascii_case(name) } else { plain == name }
            };
            if let Some((name, ..)) = table.iter().find(|(name, ..)| lax(name)) {
                return Err(Fault::Spelling(name));
            }
        }
        Ok(None)
    }

    fn string(&mut self) -> Result<(), Fault> {
        self.take(b'"')?;
        loop {
            self.at = self.plain.run_end(self.text, self.at, &mut self.high);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => match self.text.get(self.at + 1) {
                    Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
                    Some(b'u') => {
                        let digits = self.text.get(self.at + 2..self.at + 6);
                        if !digits.is_some_and(|d| d.iter().all(u8::is_ascii_hexdigit)) {
                            return Err(self.fault());
                        }
                        self.at += 6;
                    }
                    _ => return Err(self.fault()),
                },
                _ => return Err(self.fault()),
            }
        }
    }

    fn number(&mut self) -> Result<(), Fault> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(self.fault()) }
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), Fault> {
        if self.text[self.at..].starts_with(word) {
            self.at += word.len();
            Ok(())
        } else {
            Err(self.fault())
        }
    }
}

/// How many bytes at the start are neither a quote, a backslash nor a control character; long runs 64 at a time
/// (the compiler makes vector code of it), short ones eight at a time. All of them are added to `high`, bit by bit.
pub(crate) fn plain_run(text: &[u8], high: &mut u8) -> usize {
    let (blocks, _) = text.as_chunks::<64>();
    let special = |b: u8| u8::from(b < 0x20) | u8::from(b == b'"') | u8::from(b == b'\\');
    let mut at = 0;
    for block in blocks {
        let (any, all) = block.iter().fold((0, 0), |(any, all), b| (any | special(*b), all | *b));
        if any != 0 {
            break;
        }
        *high |= all;
        at += 64;
    }
    at + short_run(&text[at..], high)
}

fn short_run(text: &[u8], high: &mut u8) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let zero = |x: u64| x.wrapping_sub(ONES) & !x & HIGH;
    let (words, _) = text.as_chunks::<8>();
    let (mut at, mut all) = (0, 0);
    for word in words {
        let x = u64::from_le_bytes(*word);
        let control = x.wrapping_sub(ONES * 0x20) & !x & HIGH;
        if control | zero(x ^ (ONES * u64::from(b'"'))) | zero(x ^ (ONES * u64::from(b'\\'))) != 0 {
            break;
        }
        all |= x;
        at += 8;
    }
    if all & HIGH != 0 {
        *high |= 0x80;
    }
    let rest = text[at..].iter().take_while(|&&b| b != b'"' && b != b'\\' && b >= 0x20);
    at + rest.inspect(|b| *high |= **b).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::Field;

    fn fault(text: &str) -> Fault {
        scan(text.as_bytes()).expect_err(text).0
    }

    #[test]
    fn valid_json_is_taken_and_fields_are_found() {
        let text = br#" { "jsonrpc":"2.0", "id" : 7, "method":"tools/call","params":{"name":"x\"y","arguments":{"name":1,"id":2},"_meta":{"progressToken":"p","io.modelcontextprotocol/protocolVersion":"2026-07-28"}}} "#;
        let Ok(Shape::Object(fields)) = scan(text) else { panic!() };
        let get = |f| std::str::from_utf8(&text[fields.get(f).unwrap()]).unwrap();
        assert_eq!(get(Field::Id), "7");
        assert_eq!(get(Field::Method), r#""tools/call""#);
        assert_eq!(get(Field::Name), r#""x\"y""#);
        assert_eq!(get(Field::MetaVersion), r#""2026-07-28""#);
        assert_eq!(get(Field::MetaProgressToken), r#""p""#);
        assert!(fields.get(Field::Uri).is_none());
    }

    #[test]
    fn scalars_and_arrays_are_told_apart() {
        assert!(matches!(scan(b"1"), Ok(Shape::Scalar)));
        let Ok(Shape::Array(elements)) = scan(br#"[{"id":1}, 2 ]"#) else { panic!() };
        assert_eq!(elements, vec![1..9, 11..12]);
        assert!(matches!(scan(b"[]"), Ok(Shape::Array(e)) if e.is_empty()));
    }

    #[test]
    fn broken_json_is_refused() {
        for bad in [
            "",
            "{",
            "}",
            "{]",
            "[1,]",
            "{\"a\":1,}",
            "{\"a\" 1}",
            "{a:1}",
            "01",
            "1.",
            "1e",
            "-",
            "+1",
            "tru",
            "nul",
            "\"a",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"a\u{1}b\"",
            "\"line\nbreak\"",
            "{} {}",
            "1 2",
            "[1 2]",
            "\u{feff}{}",
            "NaN",
            "'a'",
            "{\"a\":1 \"b\":2}",
            "//x\n{}",
            "\"12345678\u{1f}90\"",
        ] {
            assert!(scan(bad.as_bytes()).is_err(), "{bad:?} was taken");
        }
        for bad in
            [&b"\"\xff\""[..], b"{\"a\":1,\"\xc3\":2}", b"[\"aaaaaaaaaaaaaaaaaaaaaaaaaa\xed\xa0\x80\"]"]
        {
            assert_eq!(scan(bad).unwrap_err().0, Fault::NotUtf8, "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn every_text_that_we_take_serde_takes_as_well() {
        let mut state = 7u64;
        let alphabet = br#"{}[]",:\u0169 tfne-+.1a"#;
        for _ in 0..200_000 {
            let text: Vec<u8> = (0..12)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    alphabet[usize::try_from(state >> 40).unwrap() % alphabet.len()]
                })
                .collect();
            let serde = serde_json::from_slice::<serde::de::IgnoredAny>(&text).is_ok();
            assert_eq!(scan(&text).is_ok(), serde, "{}", String::from_utf8_lossy(&text));
        }
    }

    #[test]
    fn depth_is_limited() {
        let nest = |n: usize| "[".repeat(n) + &"]".repeat(n);
        assert!(scan(nest(64).as_bytes()).is_ok());
        assert_eq!(fault(&nest(65)), Fault::TooDeep);
        assert_eq!(fault(&"[".repeat(1_000_000)), Fault::TooDeep);
        let objects = |n: usize| "{\"a\":".repeat(n) + "1" + &"}".repeat(n);
        assert!(scan(objects(64).as_bytes()).is_ok());
        assert_eq!(fault(&objects(65)), Fault::TooDeep);
    }

    #[test]
    fn duplicates_and_other_spellings_of_routing_fields_are_refused() {
        assert_eq!(fault(r#"{"id":1,"id":2}"#), Fault::Duplicate("id"));
        assert_eq!(fault(r#"{"method":"a","method":"b"}"#), Fault::Duplicate("method"));
        assert_eq!(fault(r#"{"params":{},"params":{}}"#), Fault::Duplicate("params"));
        assert_eq!(fault(r#"{"params":{"name":"a","name":"b"}}"#), Fault::Duplicate("name"));
        assert_eq!(fault(r#"{"ID":1}"#), Fault::Spelling("id"));
        assert_eq!(fault(r#"{"Method":"x"}"#), Fault::Spelling("method"));
        assert_eq!(fault(r#"{"param\u0073":{}}"#), Fault::Spelling("params"));
        assert_eq!(fault("{\"param\u{17f}\":{}}"), Fault::Spelling("params"));
        assert_eq!(fault(r#"{"params":{"n\u0061me":"a"}}"#), Fault::Spelling("name"));
        assert!(scan(r#"{"params":{"Name":"a"},"other":{"ID":1,"id":1}}"#.as_bytes()).is_ok());
    }

    #[test]
    fn an_id_before_the_fault_is_known() {
        let (_, fields) = scan(br#"{"jsonrpc":"2.0","id":42,"method":"#).unwrap_err();
        assert!(fields.get(Field::Id).is_some());
    }

    #[test]
    fn a_run_ends_at_the_first_special_byte_wherever_it_stands() {
        for special in [b'"', b'\\', 0u8, 0x1f] {
            for place in 0..200 {
                let mut text = vec![b'x'; 200];
                text[place] = special;
                let mut high = 0;
                assert_eq!((plain_run(&text, &mut high), high < 0x80), (place, true));
                for foreign in 0..place {
                    text[foreign] = 0x80;
                    assert_eq!(plain_run(&text, &mut high), place);
                    assert!(std::mem::take(&mut high) >= 0x80, "{foreign} of {place}");
                    text[foreign] = b'x';
                }
            }
        }
        let text = "äöü€😀 !~\u{7f}".as_bytes();
        assert_eq!(plain_run(text, &mut 0), text.len());
    }
}
