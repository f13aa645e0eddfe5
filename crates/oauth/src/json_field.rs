//! Reads fields of documents whose authors are careless: absent, null and empty mean "not there".

use serde_json::{Map, Value};

/// A text that is there and not empty.
pub(crate) fn text<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    object.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// A list of texts; `None` if there is no list.
pub(crate) fn list(object: &Map<String, Value>, name: &str) -> Option<Vec<String>> {
    let values = object.get(name)?.as_array()?;
    Some(values.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

/// A literal `true`.
pub(crate) fn flag(object: &Map<String, Value>, name: &str) -> bool {
    object.get(name) == Some(&Value::Bool(true))
}
