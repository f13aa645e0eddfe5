//! Arguments of tools that are mirrored in headers (2026-07-28, Streamable HTTP: Custom Headers from Tool Parameters).
//!
//! Tools whose annotations break the rules are taken out of the list, since no request to them can be right.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use serde_json::{Map, Value};

use crate::error::Failure;
use crate::field::Field;
use crate::header;
use crate::message::{Message, json_string};
use crate::object::Object;

/// The annotation in a schema.
const ANNOTATION: &str = "x-mcp-header";
/// What stands before a name.
const PREFIX: &str = "mcp-param-";
/// Integers beyond this are not safe in JavaScript, and not to be mirrored (2^53 - 1).
const MAX_SAFE: f64 = 9_007_199_254_740_991.0;

/// The tools of one person at one server, as far as they have annotations.
#[derive(Debug, Default)]
pub(crate) struct Mirrors {
    tools: HashMap<String, Result<Vec<Mirror>, Wrong>>,
}

/// One argument and its header.
#[derive(Debug, PartialEq, Eq)]
struct Mirror {
    path: Vec<String>,
    header: HeaderName,
}

/// Why a tool's annotations cannot be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Wrong {
    #[error("an `x-mcp-header` is no name that a header can have")]
    Name,
    #[error("two of its `x-mcp-header` are one name")]
    Twice,
    #[error("an `x-mcp-header` stands at something other than a string, an integer or a boolean")]
    Type,
    #[error("an `x-mcp-header` stands where no argument can be read")]
    Place,
}

impl Mirrors {
    /// Learns from an answer to `tools/list`; gives the answer that the host may see, if that is another one.
    pub(crate) fn learn(&mut self, answer: &Message) -> Option<Bytes> {
        let annotated = memchr::memmem::find(answer.bytes(), ANNOTATION.as_bytes()).is_some();
        if !annotated && self.tools.is_empty() {
            return None;
        }
        let mut result = Object::parse(&answer.raw(Field::Result)?)?;
        let tools: Vec<&serde_json::value::RawValue> = serde_json::from_slice(result.get("tools")?).ok()?;
        let mut kept = Vec::with_capacity(tools.len());
        let before = tools.len();
        for text in tools {
            let tool: Value = serde_json::from_str(text.get()).ok()?;
            let name = tool["name"].as_str().unwrap_or_default();
            let found = annotations(&tool["inputSchema"]);
            if let Err(wrong) = &found {
                tracing::warn!(tool = name, %wrong, "the tool is left out");
            } else {
                kept.push(text.get());
            }
            if found.as_ref().is_ok_and(Vec::is_empty) {
                self.tools.remove(name);
            } else {
                self.tools.insert(name.to_owned(), found);
            }
        }
        if kept.len() == before {
            return None;
        }
        let list = format!("[{}]", kept.join(","));
        result.set("tools", list);
        Some(answer.with(Field::Result, &result.to_bytes()))
    }

    /// Adds the headers of a `tools/call`.
    pub(crate) fn add_to(&self, headers: &mut HeaderMap, call: &Message) -> Result<(), Failure> {
        if self.tools.is_empty() || call.method() != "tools/call" {
            return Ok(());
        }
        let Some(name) = call.text(Field::Name) else { return Ok(()) };
        let mirrors = match self.tools.get(&*name) {
            None => return Ok(()),
            Some(Err(wrong)) => {
                return Err(Failure::Unsendable(format!("the tool {name} cannot be called: {wrong}")));
            }
            Some(Ok(mirrors)) => mirrors,
        };
        let arguments =
            call.raw(Field::Params).as_ref().and_then(Object::parse).and_then(|p| p.object("arguments"));
        let Some(arguments) = arguments else { return Ok(()) };
        for mirror in mirrors {
            if let Some(text) = mirror.value(&arguments) {
                headers.insert(mirror.header.clone(), header::value(&text));
            }
        }
        Ok(())
    }
}

impl Mirror {
    /// What the header says; nothing where the argument is absent or null.
    fn value(&self, arguments: &Object) -> Option<String> {
        let (last, way) = self.path.split_last()?;
        let mut object = arguments.clone();
        for step in way {
            object = object.object(step)?;
        }
        let raw = object.get(last)?;
        match serde_json::from_slice(raw).ok()? {
            Value::String(text) => Some(text),
            Value::Bool(yes) => Some(yes.to_string()),
            Value::Number(number) => decimal(&number, raw),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }
}

/// An integer in decimal; whatever else it is goes as it is written, for the server to judge.
fn decimal(number: &serde_json::Number, raw: &Bytes) -> Option<String> {
    if let Some(whole) = number.as_i64() {
        return Some(whole.to_string());
    }
    match number.as_f64() {
        Some(value) if value.fract() == 0.0 && value.abs() <= MAX_SAFE => Some(format!("{value:.0}")),
        Some(_) | None => String::from_utf8(raw.to_vec()).ok(),
    }
}

/// The annotated arguments of an input schema.
fn annotations(schema: &Value) -> Result<Vec<Mirror>, Wrong> {
    let mut found = Vec::new();
    let mut names = BTreeSet::new();
    walk(schema, Some(&mut Vec::new()), &mut found, &mut names)?;
    Ok(found)
}

/// Looks at one schema. `path` leads to its value, if properties alone lead there.
fn walk(
    schema: &Value,
    mut path: Option<&mut Vec<String>>,
    found: &mut Vec<Mirror>,
    names: &mut BTreeSet<String>,
) -> Result<(), Wrong> {
    let object = match schema {
        Value::Object(object) => object,
        Value::Array(all) => {
            return all.iter().try_for_each(|one| walk(one, None, found, names));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return Ok(()),
    };
    if let Some(annotation) = object.get(ANNOTATION) {
        let path = path.as_deref().filter(|path| !path.is_empty()).ok_or(Wrong::Place)?;
        if !is_primitive(object) {
            return Err(Wrong::Type);
        }
        let name = annotation.as_str().filter(|name| !name.is_empty()).ok_or(Wrong::Name)?;
        let header = HeaderName::from_bytes(format!("{PREFIX}{name}").as_bytes()).map_err(|_| Wrong::Name)?;
        if !names.insert(header.as_str().to_owned()) {
            return Err(Wrong::Twice);
        }
        found.push(Mirror { path: path.clone(), header });
    }
    for (key, inner) in object {
        match (key.as_str(), inner) {
            ("properties", Value::Object(properties)) => {
                for (name, property) in properties {
                    if let Some(path) = path.as_deref_mut() {
                        path.push(name.clone());
                        walk(property, Some(path), found, names)?;
                        path.pop();
                    } else {
                        walk(property, None, found, names)?;
                    }
                }
            }
            // Names that the schema's author chose, not keywords.
            ("patternProperties" | "dependentSchemas" | "$defs" | "definitions", Value::Object(several)) => {
                several.values().try_for_each(|one| walk(one, None, found, names))?;
            }
            // Values, not schemas.
            ("default" | "const" | "enum" | "examples" | ANNOTATION, _) => {}
            (_, other) => walk(other, None, found, names)?,
        }
    }
    Ok(())
}

fn is_primitive(schema: &Map<String, Value>) -> bool {
    matches!(schema.get("type").and_then(Value::as_str), Some("string" | "integer" | "boolean"))
}

/// The request for the tools' list that follows a refusal for want of headers; `meta` is the text of its `_meta`.
pub(crate) fn list_request(id: &str, meta: &Bytes, cursor: Option<&Bytes>) -> Bytes {
    let mut params = Object::default();
    if let Some(cursor) = cursor {
        params.set("cursor", cursor.clone());
    }
    params.set("_meta", meta.clone());
    crate::era::request(&json_string(id), "tools/list", Some(&params))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Parsed, parse};
    use serde_json::json;

    fn message(value: &Value) -> Message {
        let Ok(Parsed::One(message)) = parse(&Bytes::from(value.to_string())) else { panic!("{value}") };
        message
    }

    fn listing(tools: &Value) -> Message {
        message(&json!({"jsonrpc": "2.0", "id": 1, "result": {"tools": tools, "resultType": "complete"}}))
    }

    fn tool(name: &str, properties: &Value) -> Value {
        json!({"name": name, "inputSchema": {"type": "object", "properties": properties}})
    }

    #[test]
    fn annotated_arguments_are_mirrored_and_null_ones_are_not() {
        let mut mirrors = Mirrors::default();
        let schema = json!({
            "region": {"type": "string", "x-mcp-header": "Region"},
            "count": {"type": "integer", "x-mcp-header": "Count"},
            "big": {"type": "integer", "x-mcp-header": "Big"},
            "dry": {"type": "boolean", "x-mcp-header": "Dry"},
            "gone": {"type": "string", "x-mcp-header": "Gone"},
            "null": {"type": "string", "x-mcp-header": "Null"},
            "deep": {"type": "object", "properties": {"x-mcp-header": {"type": "string", "x-mcp-header": "Deep"}}},
            "plain": {"type": "string"},
        });
        assert_eq!(mirrors.learn(&listing(&json!([tool("t", &schema)]))), None, "passes as it is");
        let call = message(&json!({"id": 1, "method": "tools/call", "params": {"name": "t", "arguments": {
            "region": "Zürich", "count": 42.0, "big": -7, "dry": true, "null": null, "plain": "x",
            "deep": {"x-mcp-header": "=?base64?x?="}}}}));
        let mut headers = HeaderMap::new();
        mirrors.add_to(&mut headers, &call).unwrap();
        let get = |name: &str| headers.get(name).map(|v| v.to_str().unwrap());
        assert_eq!(get("mcp-param-region"), Some("=?base64?WsO8cmljaA==?="));
        assert_eq!(get("mcp-param-count"), Some("42"));
        assert_eq!(get("mcp-param-big"), Some("-7"));
        assert_eq!(get("mcp-param-dry"), Some("true"));
        assert_eq!(get("mcp-param-deep"), Some("=?base64?PT9iYXNlNjQ/eD89?="));
        assert_eq!(headers.len(), 5);
    }

    #[test]
    fn tools_that_break_the_rules_are_left_out_by_name_and_the_rest_keeps_its_text() {
        let good =
            json!({"region": {"type": "string", "x-mcp-header": "Region", "default": {"x-mcp-header": 1}}});
        for (properties, wrong) in [
            (json!({"a": {"type": "string", "x-mcp-header": ""}}), Wrong::Name),
            (json!({"a": {"type": "string", "x-mcp-header": "My Region"}}), Wrong::Name),
            (json!({"a": {"type": "string", "x-mcp-header": "Région"}}), Wrong::Name),
            (json!({"a": {"type": "string", "x-mcp-header": "a\tb"}}), Wrong::Name),
            (json!({"a": {"type": "string", "x-mcp-header": 5}}), Wrong::Name),
            (json!({"a": {"type": "number", "x-mcp-header": "A"}}), Wrong::Type),
            (json!({"a": {"type": "array", "x-mcp-header": "A"}}), Wrong::Type),
            (json!({"a": {"x-mcp-header": "A"}}), Wrong::Type),
            (
                json!({"a": {"type": "string", "x-mcp-header": "A"}, "b": {"type": "string", "x-mcp-header": "a"}}),
                Wrong::Twice,
            ),
            (json!({"a": {"type": "array", "items": {"type": "string", "x-mcp-header": "A"}}}), Wrong::Place),
            (json!({"a": {"anyOf": [{"type": "string", "x-mcp-header": "A"}]}}), Wrong::Place),
            (
                json!({"a": {"$defs": {"x": {"properties": {"y": {"type": "string", "x-mcp-header": "A"}}}}}}),
                Wrong::Place,
            ),
        ] {
            let schema = json!({"type": "object", "properties": properties});
            assert_eq!(annotations(&schema), Err(wrong), "{schema}");
            let mut mirrors = Mirrors::default();
            let shown =
                mirrors.learn(&listing(&json!([tool("good", &good), tool("bad", &properties)]))).unwrap();
            let shown: Value = serde_json::from_slice(&shown).unwrap();
            assert_eq!(shown["result"]["tools"], json!([tool("good", &good)]));
            let call = message(&json!({"id": 1, "method": "tools/call", "params": {"name": "bad"}}));
            let refused = mirrors.add_to(&mut HeaderMap::new(), &call).unwrap_err();
            assert!(refused.to_string().contains("bad"), "{refused}");
        }
        assert_eq!(annotations(&json!({"type": "object", "x-mcp-header": "A"})), Err(Wrong::Place));
    }
}
