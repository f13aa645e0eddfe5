//! A JSON object taken apart and put together again. Every value stays the text that it was: no number is read, no
//! string is unescaped.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::message::json_string;

/// The members of an object, in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Object(Vec<(String, Bytes)>);

impl Object {
    /// Takes an object apart; `None` if the text is none.
    pub(crate) fn parse(text: &Bytes) -> Option<Self> {
        let Members(members) = serde_json::from_slice(text).ok()?;
        let slice = |value: &RawValue| text.slice_ref(value.get().as_bytes());
        Some(Self(members.into_iter().map(|(key, value)| (key, slice(value))).collect()))
    }

    /// The value of a member. Of two with one name the last one counts, as with most readers.
    pub(crate) fn get(&self, key: &str) -> Option<&Bytes> {
        self.0.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// A member that is an object itself.
    pub(crate) fn object(&self, key: &str) -> Option<Self> {
        self.get(key).and_then(Self::parse)
    }

    /// A member that is a string.
    pub(crate) fn text(&self, key: &str) -> Option<String> {
        serde_json::from_slice(self.get(key)?).ok()
    }

    /// Gives a member this value, in place or at the end.
    pub(crate) fn set(&mut self, key: &str, value: impl Into<Bytes>) {
        let value = value.into();
        match self.0.iter().position(|(name, _)| name == key) {
            Some(place) => {
                self.0[place].1 = value;
                let mut at = 0;
                self.0.retain(|(name, _)| {
                    at += 1;
                    at - 1 <= place || name != key
                });
            }
            None => self.0.push((key.to_owned(), value)),
        }
    }

    /// Gives a member this value if it has none.
    pub(crate) fn set_if_absent(&mut self, key: &str, value: impl Into<Bytes>) {
        if self.get(key).is_none() {
            self.set(key, value);
        }
    }

    /// Takes a member out.
    pub(crate) fn remove(&mut self, key: &str) -> Option<Bytes> {
        let value = self.get(key).cloned();
        self.0.retain(|(name, _)| name != key);
        value
    }

    /// The members.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Bytes)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Whether it has none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As text.
    pub(crate) fn to_bytes(&self) -> Bytes {
        let size: usize = self.0.iter().map(|(key, value)| key.len() + value.len() + 8).sum();
        let mut text = BytesMut::with_capacity(size + 2);
        text.put_u8(b'{');
        for (at, (key, value)) in self.0.iter().enumerate() {
            if at > 0 {
                text.put_u8(b',');
            }
            text.put_slice(&json_string(key));
            text.put_u8(b':');
            text.put_slice(value);
        }
        text.put_u8(b'}');
        text.freeze()
    }
}

/// The members as serde finds them.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_touched_stays_the_text_that_it_was() {
        let text = r#"{"a": 12345678901234567890.10 ,"b":{"x": [1,  2]},"\u0063":"\u0041"}"#;
        let mut object = Object::parse(&Bytes::from(text)).unwrap();
        assert_eq!(object.to_bytes(), r#"{"a":12345678901234567890.10,"b":{"x": [1,  2]},"c":"\u0041"}"#);
        assert_eq!(object.text("c").as_deref(), Some("A"));
        object.set("b", "null");
        object.set("d", "1");
        object.set_if_absent("d", "2");
        assert_eq!(object.remove("a").unwrap(), "12345678901234567890.10");
        assert_eq!(object.to_bytes(), r#"{"b":null,"c":"\u0041","d":1}"#);
    }

    #[test]
    fn of_two_members_with_one_name_the_last_one_counts_and_a_change_leaves_one() {
        let mut object = Object::parse(&Bytes::from_static(br#"{"a":1,"b":2,"a":3}"#)).unwrap();
        assert_eq!(object.get("a").unwrap(), "3");
        object.set("a", "4");
        assert_eq!(object.to_bytes(), r#"{"a":4,"b":2}"#);
    }

    #[test]
    fn what_is_no_object_is_none() {
        for text in ["[]", "1", "", "{", "null"] {
            assert!(Object::parse(&Bytes::from(text)).is_none(), "{text}");
        }
    }
}
