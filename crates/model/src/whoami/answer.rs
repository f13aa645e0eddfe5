//! What is to be made of a tool's answer.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::{Named, NamesNobody};
use crate::{is_hidden, visible};

/// The longest name of a person, in characters.
const LONGEST: usize = 200;
/// How many fields are named when none was chosen.
const MOST_FIELDS: usize = 20;

pub(super) fn read(
    result: &Map<String, Value>,
    field: Option<&str>,
    label: Option<&str>,
) -> Result<Named, NamesNobody> {
    match result.get("isError") {
        None | Some(Value::Bool(false)) => {}
        Some(_) => return Err(NamesNobody::IsError),
    }
    let texts: Vec<&str> = result
        .get("content")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter(|one| one.get("type").and_then(Value::as_str) == Some("text"))
        .filter_map(|one| one.get("text").and_then(Value::as_str))
        .collect();
    match field {
        Some(field) => in_field(result, &texts, field, label),
        None => plain(result, &texts),
    }
}

/// The same field of everything that holds an object must hold one name.
fn in_field(
    result: &Map<String, Value>,
    texts: &[&str],
    field: &str,
    label: Option<&str>,
) -> Result<Named, NamesNobody> {
    let mut objects: Vec<Value> = result.get("structuredContent").cloned().into_iter().collect();
    for text in texts {
        match parse(text) {
            Parsed::Json(value @ Value::Object(_)) => objects.push(value),
            Parsed::Json(_) | Parsed::Prose => {}
            Parsed::Twins => return Err(NamesNobody::TwoValues),
        }
    }
    let found: Vec<&Value> = objects.iter().filter_map(|object| at(object, field)).collect();
    let mut ids = found.iter().map(|value| name(value)).collect::<Result<BTreeSet<_>, _>>()?;
    let id = ids.pop_first().ok_or(NamesNobody::Nothing)?;
    if !ids.is_empty() {
        return Err(NamesNobody::TwoValues);
    }
    let label = label.and_then(|label| objects.iter().find_map(|object| at(object, label)?.as_str()));
    Ok(Named { id, label: label.map(|text| visible(text, 100)).filter(|text| !text.is_empty()) })
}

/// The whole answer is the name.
fn plain(result: &Map<String, Value>, texts: &[&str]) -> Result<Named, NamesNobody> {
    let mut ids = BTreeSet::new();
    for text in texts {
        match parse(text) {
            Parsed::Json(Value::Object(fields)) => return Err(which(&fields)),
            Parsed::Json(Value::Array(_)) | Parsed::Twins => return Err(NamesNobody::OddType),
            Parsed::Json(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_))
            | Parsed::Prose => {
                ids.insert(name(&Value::String(text.trim().to_owned()))?);
            }
        }
    }
    match (ids.pop_first(), ids.is_empty(), result.get("structuredContent")) {
        (Some(id), true, _) => Ok(Named { id, label: None }),
        (Some(_), false, _) => Err(NamesNobody::TwoValues),
        (None, _, Some(Value::Object(fields))) => Err(which(fields)),
        (None, _, _) => Err(NamesNobody::Nothing),
    }
}

/// Fields that could be meant, by their names alone.
fn which(fields: &Map<String, Value>) -> NamesNobody {
    let could = |(_, value): &(&String, &Value)| name(value).is_ok();
    let fields = fields.iter().filter(could).map(|(name, _)| visible(name, 64)).take(MOST_FIELDS).collect();
    NamesNobody::WhichField { fields }
}

fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(value, |value, part| value.as_object()?.get(part))
}

/// A person's name: a text of one line, or a whole number.
fn name(value: &Value) -> Result<String, NamesNobody> {
    match value {
        Value::String(text) => {
            let fits = !text.trim().is_empty()
                && text.trim() == text
                && text.chars().count() <= LONGEST
                && !text.chars().any(is_hidden);
            if fits { Ok(text.clone()) } else { Err(NamesNobody::OddType) }
        }
        Value::Number(number) if number.is_u64() || number.is_i64() => Ok(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Err(NamesNobody::OddType)
        }
    }
}

enum Parsed {
    Json(Value),
    /// JSON that says one thing twice.
    Twins,
    Prose,
}

fn parse(text: &str) -> Parsed {
    match (serde_json::from_str::<Unique>(text), serde_json::from_str::<Value>(text)) {
        (Ok(Unique(value)), _) => Parsed::Json(value),
        (Err(_), Ok(_)) => Parsed::Twins,
        (Err(_), Err(_)) => Parsed::Prose,
    }
}

/// A value none of whose objects has a name twice: of two, each reader would take another.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON whose objects have each name once")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Unique(value)) = from.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some((name, Unique(value))) = from.next_entry::<String, Unique>()? {
            if fields.insert(name, value).is_some() {
                return Err(A::Error::custom("a name stands twice"));
            }
        }
        Ok(Value::Object(fields))
    }
}
