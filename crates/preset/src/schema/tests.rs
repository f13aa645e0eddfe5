//! Holds the written schema against the reader: both must take and refuse the same documents.

use serde_json::{Value, json};

use super::*;
use crate::list::read;

fn good() -> Value {
    let mut value: Value = serde_json::from_str(&starter(UnixTime(1_795_132_800))).unwrap();
    let ours = &mut value["servers"][0]["_meta"]["dev.hallpass/server"];
    ours["revoked"] = json!({"reason": "r", "since": "2026-11-20T00:00:00Z"});
    ours["oauth"]["redirect"]["port"] = json!(8765);
    ours["oauth"]["parameters"] = json!({"audience": "api://acme"});
    let mut second = value["servers"][0].clone();
    second["server"]["name"] = json!("com.example/wiki");
    let oauth = &mut second["_meta"]["dev.hallpass/server"]["oauth"];
    oauth.as_object_mut().unwrap().shift_remove("clientId");
    oauth["clientMetadataUrl"] = json!("https://example.com/client.json");
    value["servers"].as_array_mut().unwrap().push(second);
    value["_meta"]["dev.hallpass/list"]["nextKeys"] =
        json!(["RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3"]);
    value
}

/// As much of JSON Schema draft-07 as the schema uses; whatever else it used would fail here.
fn fits(schema: &Value, root: &Value, value: &Value) -> bool {
    let Some(rules) = schema.as_object() else { return schema == &json!(true) };
    rules.iter().all(|(rule, wanted)| match rule.as_str() {
        "$schema" | "$id" | "title" | "description" | "definitions" | "patternProperties" => true,
        "$ref" => {
            fits(root.pointer(wanted.as_str().unwrap().strip_prefix('#').unwrap()).unwrap(), root, value)
        }
        "type" => match wanted.as_str().unwrap() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_u64() || value.is_i64(),
            other => panic!("type {other}"),
        },
        "required" => value.as_object().is_none_or(|map| {
            wanted.as_array().unwrap().iter().all(|name| map.contains_key(name.as_str().unwrap()))
        }),
        "properties" => value.as_object().is_none_or(|map| {
            map.iter().all(|(name, value)| wanted.get(name).is_none_or(|schema| fits(schema, root, value)))
        }),
        "additionalProperties" => {
            let named = |name: &str| rules.get("properties").is_some_and(|known| known.get(name).is_some());
            let foreign =
                |name: &str| rules.contains_key("patternProperties") && !name.starts_with("dev.hallpass/");
            value.as_object().is_none_or(|map| {
                map.iter().all(|(name, value)| named(name) || foreign(name) || fits(wanted, root, value))
            })
        }
        "items" => value.as_array().is_none_or(|items| items.iter().all(|item| fits(wanted, root, item))),
        "propertyNames" => {
            value.as_object().is_none_or(|map| map.keys().all(|name| fits(wanted, root, &json!(name))))
        }
        "maxProperties" => value.as_object().is_none_or(|map| map.len() as u64 <= wanted.as_u64().unwrap()),
        "not" => !fits(wanted, root, value),
        "enum" => wanted.as_array().unwrap().contains(value),
        "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= wanted.as_u64().unwrap()),
        "maxItems" => value.as_array().is_none_or(|items| items.len() as u64 <= wanted.as_u64().unwrap()),
        "minLength" => {
            value.as_str().is_none_or(|text| text.chars().count() as u64 >= wanted.as_u64().unwrap())
        }
        "maxLength" => {
            value.as_str().is_none_or(|text| text.chars().count() as u64 <= wanted.as_u64().unwrap())
        }
        "minimum" => value.as_i64().is_none_or(|n| n >= wanted.as_i64().unwrap()),
        "maximum" => value.as_u64().is_none_or(|n| n <= wanted.as_u64().unwrap()),
        "pattern" => value
            .as_str()
            .is_none_or(|text| regex::Regex::new(wanted.as_str().unwrap()).unwrap().is_match(text)),
        other => panic!("the schema uses {other}, which this test does not know"),
    })
}

/// Every document that is the good one with one place changed or left out.
fn mutants() -> Vec<(String, Value)> {
    let values = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(7),
        json!(1.5),
        json!(""),
        json!("text"),
        json!("x".repeat(1000)),
        json!("two words"),
        json!("https://a.example"),
        json!("https://a.example?x=1"),
        json!([]),
        json!([1]),
        json!(["text"]),
        json!({}),
        json!({"other": 1}),
        json!("2026-11-21T00:00:00Z"),
        json!("a/b"),
        json!("9007199254740993"),
        json!(9_007_199_254_740_993_u64),
        json!("cursor"),
        json!("-a"),
        json!("none"),
        json!("localhost"),
        json!("https://a.example/c.json"),
        json!(65536),
        json!({"a b": "x"}),
    ];
    let mut places = Vec::new();
    collect(&good(), "", &mut places);
    let mut mutants = Vec::new();
    for at in places {
        // What a registry may say as it likes is left out: the schema only helps editors there.
        if at.contains("/server/") && !at.ends_with("/server/name")
            || at == "/metadata"
            || at.starts_with("/metadata/")
            || at == "/$schema"
        {
            continue;
        }
        for value in &values {
            let mut mutant = good();
            *mutant.pointer_mut(&at).unwrap() = value.clone();
            mutants.push((format!("{at} = {value}"), mutant));
        }
        let mut mutant = good();
        let (parent, name) = at.rsplit_once('/').unwrap_or(("", ""));
        if let Some(Value::Object(map)) = mutant.pointer_mut(parent) {
            map.shift_remove(&name.replace("~1", "/"));
            mutants.push((format!("{at} left out"), mutant.clone()));
        }
        if let Some(Value::Object(map)) = mutant.pointer_mut(&at) {
            map.insert("dev.hallpass/new".to_owned(), json!(1));
            mutants.push((format!("{at} with a field more"), mutant));
        }
    }
    mutants
}

fn collect(value: &Value, at: &str, places: &mut Vec<String>) {
    if !at.is_empty() {
        places.push(at.to_owned());
    }
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect(item, &crate::json::below(at, &index.to_string()), places);
            }
        }
        Value::Object(map) => {
            for (name, item) in map {
                collect(item, &crate::json::below(at, name), places);
            }
        }
        _ => {}
    }
}

#[test]
fn schema_and_reader_take_and_refuse_the_same() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    assert!(fits(&schema, &schema, &good()) && read(&good()).is_ok());
    let (mut taken, mut refused) = (0, 0);
    for (what, mutant) in mutants() {
        let reader = read(&mutant);
        let expected = fits(&schema, &schema, &mutant);
        // A null is no object to the schema, and nothing to a reader of registries.
        if what.ends_with("/_meta = null") {
            continue;
        }
        assert_eq!(expected, reader.is_ok(), "{what}: {reader:?}");
        if expected { taken += 1 } else { refused += 1 }
    }
    let mut both = good();
    both["servers"][1]["_meta"]["dev.hallpass/server"]["oauth"]["clientId"] = json!("desktop");
    assert!(!fits(&schema, &schema, &both) && read(&both).is_err());
    assert!(taken > 30 && refused > 300, "{taken} taken, {refused} refused");
}

#[test]
fn the_starter_is_good() {
    let checked = crate::lint(starter(UnixTime(1_795_132_800)).as_bytes()).unwrap();
    assert!(checked.is_good() && checked.findings.warnings.is_empty());
}
