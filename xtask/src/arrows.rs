//! Holds the arrows of `docs/architecture.md`, section 3: which crate of ours may use which, and what the window never
//! reaches, however many steps away.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{command, report};

/// Crate of ours, without the prefix, and those of ours that it may name. No other use exists.
const ARROWS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("platform", &[]),
    ("oauth", &["model"]),
    ("preset", &["model"]),
    ("token-lease", &["model"]),
    ("token-store", &["model", "platform"]),
    ("client-config", &["model", "platform"]),
    ("ipc", &["model", "platform"]),
    (
        "agent",
        &["oauth", "token-store", "client-config", "preset", "token-lease", "ipc", "platform", "model"],
    ),
    ("bridge", &["token-lease", "ipc", "platform", "model"]),
    ("cli", &["agent", "bridge", "preset", "ipc", "platform", "model"]),
    ("desktop", &["ipc", "platform", "model"]),
];

/// What may use anything, and what nothing may use.
const OUTSIDE: &[&str] = &["testbed", "bench", "bare-window", "xtask"];

/// Neither keychain nor OAuth code is linked into the window.
const NEVER_IN_DESKTOP: &[&str] = &[
    "hallpass-oauth",
    "hallpass-token-store",
    "hallpass-token-lease",
    "hallpass-client-config",
    "hallpass-agent",
    "hallpass-bridge",
    "keyring-core",
    "oauth2",
    "openidconnect",
];

/// Every arrow that should not be there, a sentence each.
pub(crate) fn violations() -> Result<Vec<String>, String> {
    let answer = command::output(&mut command::cargo(["metadata", "--format-version", "1", "--locked"]))?;
    let metadata = serde_json::from_slice(&answer).map_err(|error| format!("cargo metadata: {error}"))?;
    for package in ["hallpass-cli", "hallpass-desktop"] {
        report::line(&format!("{package} is built from {} packages", reached(&metadata, package).len()));
    }
    Ok(check(&metadata))
}

fn check(metadata: &Value) -> Vec<String> {
    let members = members(metadata);
    let mut found = Vec::new();
    for (name, package) in &members {
        let Some((_, allowed)) = ARROWS.iter().find(|(row, _)| row == name) else {
            if !OUTSIDE.contains(&name.as_str()) {
                found.push(format!("the crate {name} is in no row of the table of arrows"));
            }
            continue;
        };
        for dependency in list(package, "dependencies") {
            let used = ours(text(dependency, "name"));
            let Some(used) = used.filter(|used| members.contains_key(*used)) else { continue };
            // The end to end tests belong to cli, and tests may use anything.
            let in_test = text(dependency, "kind") == "dev" && (used == "testbed" || name == "cli");
            if !allowed.contains(&used) && !in_test {
                found.push(format!("{name} must not use {used}"));
            }
        }
    }
    for (row, _) in ARROWS {
        if !members.contains_key(*row) {
            found.push(format!("the crate {row} of the table of arrows does not exist"));
        }
    }
    let reached = reached(metadata, "hallpass-desktop");
    for never in NEVER_IN_DESKTOP {
        if reached.contains(*never) {
            found.push(format!("the window links {never}, at whatever distance"));
        }
    }
    if !reached.contains("tauri") {
        found.push("the window does not reach tauri: the check of what it links sees nothing".to_owned());
    }
    found
}

/// Packages of the workspace by their name without the prefix.
fn members(metadata: &Value) -> BTreeMap<String, &Value> {
    let ids: BTreeSet<&str> = list(metadata, "workspace_members").iter().filter_map(Value::as_str).collect();
    list(metadata, "packages")
        .iter()
        .filter(|package| ids.contains(text(package, "id")))
        .map(|package| {
            let name = text(package, "name");
            (ours(name).unwrap_or(name).to_owned(), package)
        })
        .collect()
}

/// Names of all packages that are built into this one, on whatever system; not what only its tests use.
fn reached<'a>(metadata: &'a Value, start: &str) -> BTreeSet<&'a str> {
    let names: BTreeMap<&str, &str> = list(metadata, "packages")
        .iter()
        .map(|package| (text(package, "id"), text(package, "name")))
        .collect();
    let nodes = metadata.get("resolve").map_or(&[][..], |resolve| list(resolve, "nodes"));
    let edges: BTreeMap<&str, &Value> = nodes.iter().map(|node| (text(node, "id"), node)).collect();
    let mut seen = BTreeSet::new();
    let mut open: Vec<&str> = names.iter().filter(|(_, name)| **name == start).map(|(id, _)| *id).collect();
    while let Some(id) = open.pop() {
        if !seen.insert(id) {
            continue;
        }
        let Some(node) = edges.get(id) else { continue };
        for dependency in list(node, "deps") {
            let built_in = list(dependency, "dep_kinds").iter().any(|kind| text(kind, "kind") != "dev");
            if built_in {
                open.push(text(dependency, "pkg"));
            }
        }
    }
    seen.into_iter().filter_map(|id| names.get(id).copied()).collect()
}

fn ours(name: &str) -> Option<&str> {
    name.strip_prefix("hallpass-").or_else(|| (name == "xtask").then_some(name))
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A workspace that keeps the whole table: each crate uses all that it may use.
    fn house() -> Value {
        let mut house = json!({"packages": [], "workspace_members": [], "resolve": {"nodes": []}});
        for (name, allowed) in ARROWS {
            add(&mut house, &format!("hallpass-{name}"), true);
            for used in *allowed {
                arrow(&mut house, &format!("hallpass-{name}"), &format!("hallpass-{used}"), None);
            }
        }
        for name in ["hallpass-testbed", "xtask"] {
            add(&mut house, name, true);
        }
        for name in ["tauri", "keyring-core", "wry"] {
            add(&mut house, name, false);
        }
        arrow(&mut house, "hallpass-desktop", "tauri", None);
        house
    }

    fn add(house: &mut Value, name: &str, member: bool) {
        house["packages"].as_array_mut().unwrap().push(json!({"id": name, "name": name, "dependencies": []}));
        house["resolve"]["nodes"].as_array_mut().unwrap().push(json!({"id": name, "deps": []}));
        if member {
            house["workspace_members"].as_array_mut().unwrap().push(json!(name));
        }
    }

    fn arrow(house: &mut Value, from: &str, to: &str, kind: Option<&str>) {
        let find = |list: &mut Value| {
            let rows = list.as_array_mut().unwrap();
            rows.iter().position(|row| row["id"] == from).unwrap()
        };
        let at = find(&mut house["packages"]);
        let dependencies = house["packages"][at]["dependencies"].as_array_mut().unwrap();
        dependencies.push(json!({"name": to, "kind": kind}));
        let at = find(&mut house["resolve"]["nodes"]);
        let edges = house["resolve"]["nodes"][at]["deps"].as_array_mut().unwrap();
        edges.push(json!({"pkg": to, "dep_kinds": [{"kind": kind, "target": null}]}));
    }

    #[test]
    fn this_workspace_keeps_the_table() {
        assert_eq!(violations(), Ok(Vec::new()));
    }

    #[test]
    fn a_house_that_keeps_the_table_has_no_violation() {
        assert_eq!(check(&house()), Vec::<String>::new());
    }

    #[test]
    fn each_planted_arrow_is_found() {
        for (from, to, kind) in [
            ("model", "platform", None),
            ("bridge", "oauth", None),
            ("cli", "token-store", Some("build")),
            ("ipc", "token-lease", Some("dev")),
            ("agent", "testbed", None),
        ] {
            let mut house = house();
            arrow(&mut house, &format!("hallpass-{from}"), &format!("hallpass-{to}"), kind);
            assert_eq!(check(&house), [format!("{from} must not use {to}")], "{from} -> {to}");
        }
    }

    #[test]
    fn tests_may_use_the_testbed_and_the_end_to_end_tests_anything() {
        let mut house = house();
        arrow(&mut house, "hallpass-bridge", "hallpass-testbed", Some("dev"));
        arrow(&mut house, "hallpass-cli", "hallpass-token-lease", Some("dev"));
        arrow(&mut house, "hallpass-desktop", "hallpass-testbed", Some("dev"));
        arrow(&mut house, "hallpass-testbed", "keyring-core", None);
        assert_eq!(check(&house), Vec::<String>::new());
    }

    #[test]
    fn a_keychain_that_the_window_reaches_through_another_package_is_found() {
        let mut house = house();
        arrow(&mut house, "tauri", "wry", None);
        arrow(&mut house, "wry", "keyring-core", Some("build"));
        assert_eq!(check(&house), ["the window links keyring-core, at whatever distance"]);
    }

    #[test]
    fn a_crate_that_the_table_does_not_know_is_found() {
        let mut house = house();
        add(&mut house, "hallpass-evidence", true);
        assert_eq!(check(&house), ["the crate evidence is in no row of the table of arrows"]);
    }
}
