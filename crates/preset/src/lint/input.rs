//! P01, P02, P05: inputs of `server.json` (headers, variables, arguments, environment) that carry their own secret.

use model::secret_rules;
use serde_json::{Map, Value};

use super::{Finding, Rule};
use crate::json::below;
use crate::reader::shown;

/// Checks one object, whatever it stands for: the places of a registry and those of other programs' configs alike.
pub(super) fn check(fields: &Map<String, Value>, at: &str, found: &mut Vec<Finding>) {
    if fields.get("isSecret").is_some_and(|value| *value != Value::Bool(false) && !value.is_null()) {
        secret_with_value(fields, at, found);
    }
    for (name, value) in fields {
        let at = below(at, &shown(name));
        match (name.as_str(), value) {
            ("headers", Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    let at = below(&at, &index.to_string());
                    match item {
                        Value::Object(header) => header_input(header, &at, found),
                        Value::String(line) => {
                            if let Some((name, value)) = line.split_once(':') {
                                literal_header(name.trim(), value, &at, found);
                            }
                        }
                        _ => {}
                    }
                }
            }
            ("headers" | "http_headers", Value::Object(map)) => {
                for (name, value) in map {
                    if let Value::String(value) = value {
                        literal_header(name, value, &below(&at, &shown(name)), found);
                    }
                }
            }
            ("environmentVariables" | "env", Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    variable(item, &below(&at, &index.to_string()), found);
                }
            }
            ("env" | "environment", Value::Object(map)) => {
                for (name, value) in map {
                    if let Value::String(value) = value
                        && let Some(kind) = secret_rules::named(name, value)
                    {
                        push(found, &below(&at, &shown(name)), "an environment variable", kind);
                    }
                }
            }
            ("runtimeArguments" | "packageArguments" | "args" | "command", Value::Array(items)) => {
                arguments(items, &at, found);
            }
            _ => {}
        }
    }
}

fn secret_with_value(fields: &Map<String, Value>, at: &str, found: &mut Vec<Finding>) {
    for field in ["value", "default", "choices"] {
        let literal = match fields.get(field) {
            Some(Value::String(text)) => !left_of(text, fields).is_empty(),
            Some(Value::Array(items)) => !items.is_empty(),
            Some(Value::Null) | None => false,
            Some(_) => true,
        };
        if literal {
            found.push(Finding {
                rule: Rule::P01,
                at: below(at, field),
                message: format!("an input that is marked isSecret has a {field}"),
                fix: "leave it out: each person is asked for their own",
            });
        }
    }
}

fn header_input(header: &Map<String, Value>, at: &str, found: &mut Vec<Finding>) {
    let name = header.get("name").and_then(Value::as_str).unwrap_or_default();
    for field in ["value", "default"] {
        if let Some(Value::String(text)) = header.get(field) {
            literal_header(name, &left_of(text, header), &below(at, field), found);
        }
    }
    let Some(Value::Object(variables)) = header.get("variables") else { return };
    for (variable, input) in variables {
        for field in ["value", "default"] {
            if let Some(text) = input.get(field).and_then(Value::as_str) {
                let at = below(&below(&below(at, "variables"), &shown(variable)), field);
                literal_header(name, text, &at, found);
            }
        }
    }
}

/// P02 for headers that carry credentials by their name; the others may hold a tenant or a toolset.
fn literal_header(name: &str, value: &str, at: &str, found: &mut Vec<Finding>) {
    let lower = name.trim().to_ascii_lowercase();
    let credentials = secret_rules::is_credential_header(&lower);
    let value = value.trim();
    let bare = secret_rules::is_scheme(value);
    let kind = if credentials {
        (!value.is_empty() && !bare).then_some("any value is one here")
    } else {
        secret_rules::header(&lower, value)
    };
    let Some(kind) = kind else { return };
    let rule = if credentials || secret_rules::is_telling(&lower) { Rule::P02 } else { Rule::P04 };
    found.push(Finding {
        rule,
        at: at.to_owned(),
        message: format!("a header has a literal value that everybody would share ({kind})"),
        fix: "leave the header out and let people sign in, or mark it isSecret without a value",
    });
}

fn variable(item: &Value, at: &str, found: &mut Vec<Finding>) {
    match item {
        Value::Object(input) => {
            let name = input.get("name").and_then(Value::as_str).unwrap_or_default();
            for field in ["value", "default"] {
                if let Some(Value::String(text)) = input.get(field)
                    && let Some(kind) = secret_rules::named(name, &left_of(text, input))
                {
                    push(found, &below(at, field), "an environment variable", kind);
                }
            }
        }
        Value::String(text) => {
            if let Some((name, value)) = text.split_once('=')
                && let Some(kind) = secret_rules::named(name, value)
            {
                push(found, at, "an environment variable", kind);
            }
        }
        _ => {}
    }
}

/// `--token X`, `--token=X`, `-H "Authorization: X"`, as words or as a registry's named and positional arguments.
fn arguments(items: &[Value], at: &str, found: &mut Vec<Finding>) {
    let mut before = String::new();
    for (index, item) in items.iter().enumerate() {
        let at = below(at, &index.to_string());
        match item {
            Value::String(word) => {
                argument(&before, word, &at, found);
                before.clone_from(word);
            }
            Value::Object(input) => {
                let name = input.get("name").and_then(Value::as_str);
                let hint = input.get("valueHint").and_then(Value::as_str);
                for field in ["value", "default"] {
                    if let Some(Value::String(text)) = input.get(field) {
                        let left = left_of(text, input);
                        for name in [name, hint, Some(before.as_str())].into_iter().flatten() {
                            argument(name, &left, &below(&at, field), found);
                        }
                    }
                }
                let word = input.get("value").and_then(Value::as_str).or(name);
                word.unwrap_or_default().clone_into(&mut before);
            }
            _ => before.clear(),
        }
    }
}

fn argument(before: &str, word: &str, at: &str, found: &mut Vec<Finding>) {
    let header =
        |text: &str| text.split_once(':').and_then(|(name, value)| secret_rules::header(name.trim(), value));
    let kind = match word.split_once('=') {
        Some((name, value)) if name.starts_with('-') || is_name(name) => {
            secret_rules::named(name, value).or_else(|| header(value))
        }
        Some(_) | None => None,
    };
    let flag = before.trim_start_matches('-');
    let kind = kind.or_else(|| if word.starts_with('-') { None } else { secret_rules::named(flag, word) });
    let after_header = matches!(before, "-H" | "--header" | "--headers");
    if let Some(kind) = kind.or_else(|| if after_header { header(word) } else { None }) {
        push(found, at, "an argument", kind);
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn push(found: &mut Vec<Finding>, at: &str, what: &str, kind: &str) {
    if found.last().is_some_and(|last| last.at == at && last.rule == Rule::P05) {
        return;
    }
    found.push(Finding {
        rule: Rule::P05,
        at: at.to_owned(),
        message: format!("{what} carries a secret ({kind})"),
        fix: "leave the value out and mark it isSecret: each person is asked for their own",
    });
}

/// What of a value is literal: without the `{variables}` that the input itself declares, and without a scheme's word.
fn left_of(text: &str, input: &Map<String, Value>) -> String {
    let mut left = text.to_owned();
    if let Some(Value::Object(variables)) = input.get("variables") {
        for name in variables.keys() {
            left = left.replace(&format!("{{{name}}}"), "");
        }
    }
    let left = left.trim();
    if secret_rules::is_scheme(left) { String::new() } else { left.to_owned() }
}
