//! Strict JSON: a limit of size and depth, and no key twice, since two readers of one signed file must see one file.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::reader::shown;

/// The largest list, in bytes.
pub const MAX_BYTES: usize = 1024 * 1024;

/// The deepest nesting; a real list needs about eight levels.
pub const MAX_DEPTH: usize = 32;

/// Reads the bytes of a file.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, JsonError> {
    if bytes.len() > MAX_BYTES {
        return Err(JsonError::TooLarge);
    }
    let refusal = RefCell::new(None);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let seed = Strict { refusal: &refusal, at: &At::Root, depth: 0 };
    let read = seed.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    read.map_err(|error| {
        refusal.into_inner().unwrap_or(JsonError::Malformed { line: error.line(), column: error.column() })
    })
}

/// Appends a name to a JSON pointer (RFC 6901).
pub(crate) fn below(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

struct Strict<'a> {
    refusal: &'a RefCell<Option<JsonError>>,
    at: &'a At<'a>,
    depth: usize,
}

/// A place, written out only when something is wrong there: a long name must not cost more for each value below it.
enum At<'a> {
    Root,
    Name(&'a At<'a>, &'a str),
    Item(&'a At<'a>, usize),
}

impl At<'_> {
    fn pointer(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Name(above, name) => below(&above.pointer(), &shown(name)),
            Self::Item(above, index) => below(&above.pointer(), &index.to_string()),
        }
    }
}

impl<'a> Strict<'a> {
    fn refuse<E: serde::de::Error>(&self, refusal: JsonError) -> E {
        *self.refusal.borrow_mut() = Some(refusal);
        E::custom("refused")
    }

    fn inner<'b>(&self, at: &'b At<'b>) -> Strict<'b>
    where
        'a: 'b,
    {
        Strict { refusal: self.refusal, at, depth: self.depth + 1 }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        if self.depth > MAX_DEPTH {
            return Err(self.refuse(JsonError::TooDeep));
        }
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self.inner(&At::Item(self.at, list.len())))? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(self.refuse(JsonError::Twice { at: self.at.pointer() }));
            }
            let value = members.next_value_seed(self.inner(&At::Name(self.at, &name)))?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

/// Why bytes are no JSON that a list may be. Repeats nothing of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// More than [`MAX_BYTES`].
    #[error("the file is larger than 1 MiB")]
    TooLarge,
    /// Deeper than [`MAX_DEPTH`].
    #[error("the file is nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
    /// A key stands twice in one object.
    #[error("the object at \"{at}\" has the same key twice")]
    Twice {
        /// JSON pointer of the object.
        at: String,
    },
    /// Not JSON.
    #[error("the file is not JSON (line {line}, column {column})")]
    Malformed {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_read_strictly() {
        assert_eq!(parse(br#"{"a":[1,-2,1.5,"x",null,true]}"#).unwrap()["a"][3], "x");
        assert_eq!(parse(br#"{"a":[{"b":1,"b":2}]}"#), Err(JsonError::Twice { at: "/a/0".into() }));
        assert_eq!(parse(br#"{"a":1,"\u0061":2}"#), Err(JsonError::Twice { at: String::new() }));
        let key = format!("ghp_{}", "a1B2c3D4e5F6".repeat(3));
        let below_a_secret = format!(r#"{{"{key}":{{"a":1,"a":2}}}}"#);
        assert_eq!(parse(below_a_secret.as_bytes()), Err(JsonError::Twice { at: "/…".into() }));
        assert_eq!(parse(&vec![b' '; MAX_BYTES + 1]), Err(JsonError::TooLarge));
        assert_eq!(parse(&[b'['; 2000]), Err(JsonError::TooDeep));
        let nested = |n: usize| [vec![b'['; n], vec![b']'; n]].concat();
        assert!(parse(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(parse(&nested(MAX_DEPTH + 2)), Err(JsonError::TooDeep));
        for bad in ["", "{", "{}x", "nul", "\u{feff}{}", "{\"a\":01}", "{'a':1}", "[1,]", "// x\n{}"] {
            assert!(matches!(parse(bad.as_bytes()), Err(JsonError::Malformed { .. })), "{bad:?}");
        }
        assert!(matches!(parse(b"\"\xff\""), Err(JsonError::Malformed { .. })));
    }

    #[test]
    fn a_long_name_is_not_copied_for_every_value_below_it() {
        let half = MAX_BYTES / 2;
        let text = format!(r#"{{"{}":[{}0]}}"#, "k".repeat(half - 100), "0,".repeat(half / 2 - 100));
        // 60 GB of copies before: minutes. The count of items is what is looked at, not the clock.
        assert_eq!(
            parse(text.as_bytes()).unwrap()["k".repeat(half - 100)].as_array().unwrap().len(),
            half / 2 - 99
        );
    }
}
