//! Rules of the source text that no compiler holds: where the operating system may be named, how long a file may be,
//! that each dependency says what it is for, and that nothing of one machine is written down.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::rust_text::tokens;

/// Everything in the tree that breaks a rule, a sentence each.
pub(crate) fn violations(workspace: &Path) -> Result<Vec<String>, String> {
    let mut files = Vec::new();
    collect(workspace, workspace, &mut files)
        .map_err(|error| format!("cannot read the source tree: {error}"))?;
    Ok(check(&files))
}

/// A text file: its path with `/`, and what it says.
type File = (String, String);

fn check(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    let mut system_files = BTreeSet::new();
    for (path, text) in files {
        let kind = path.rsplit('.').next().unwrap_or_default();
        if CODE.contains(&kind) && text.lines().count() > LONGEST_FILE {
            found.push(format!("{path} has {} lines: split it below {LONGEST_FILE}", text.lines().count()));
        }
        for (number, line) in text.lines().enumerate() {
            if let Some(word) = OF_ONE_MACHINE.iter().find(|word| line.contains(**word)) {
                found.push(format!("{path}:{} names {word}, which is of one machine or network", number + 1));
            }
        }
        if kind == "rs" && !path.starts_with("crates/platform/") {
            for word in system_words(text) {
                if path.starts_with("crates/token-store/src/") {
                    system_files.insert(path.as_str());
                } else {
                    found.push(format!("{path} says {word}: that belongs into crates/platform"));
                }
            }
        }
        if path.ends_with("Cargo.toml") {
            found.extend(unexplained(text).into_iter().map(|name| {
                format!("{path} does not say what the dependency {name} is for: add a comment to its line")
            }));
        }
    }
    if system_files.len() > 1 {
        let names: Vec<&str> = system_files.into_iter().collect();
        found.push(format!(
            "only one file of token-store may name the operating system: {}",
            names.join(", ")
        ));
    }
    found
}

/// `unsafe`, and the operating systems that a `cfg` asks for.
fn system_words(source: &str) -> BTreeSet<&str> {
    let words = tokens(source);
    let mut found: BTreeSet<&str> = words.iter().copied().filter(|word| *word == "unsafe").collect();
    for (at, word) in words.iter().enumerate() {
        if !matches!(*word, "cfg" | "cfg_attr") {
            continue;
        }
        let arguments = words[at + 1..].iter().skip_while(|word| **word == "!");
        let mut depth = 0_usize;
        for argument in arguments {
            match *argument {
                "(" => depth += 1,
                ")" => depth = depth.saturating_sub(1),
                system if OF_A_SYSTEM.contains(&system) => {
                    found.insert(system);
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    found
}

/// Dependencies with a version whose line carries no comment. Those of the workspace are explained at its root, and
/// ours explain themselves.
fn unexplained(manifest: &str) -> Vec<&str> {
    let mut in_dependencies = false;
    let mut found = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if let Some(table) = line.strip_prefix('[') {
            in_dependencies = table.trim_end_matches(']').ends_with("dependencies");
        } else if in_dependencies && !line.is_empty() && !line.starts_with('#') {
            let explained =
                line.contains(" # ") || line.contains("workspace = true") || line.contains("path = ");
            if let (false, Some((name, _))) = (explained, line.split_once('=')) {
                found.push(name.trim());
            }
        }
    }
    found
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<File>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path();
        let kind = entry.file_type()?;
        if kind.is_dir() && !NOT_OURS.contains(&name.as_str()) {
            collect(root, &path, files)?;
        } else if kind.is_file() && !WRITTEN_BY_TOOLS.contains(&name.as_str()) {
            // What is not text has no rules.
            if let Ok(text) = fs::read_to_string(&path) {
                let below = path.strip_prefix(root).unwrap_or(&path);
                files.push((below.to_string_lossy().replace('\\', "/"), text));
            }
        }
    }
    Ok(())
}

const LONGEST_FILE: usize = 500;
const CODE: &[&str] = &["rs", "ts", "svelte", "mjs", "js", "py", "css", "html", "sh"];
const NOT_OURS: &[&str] =
    &[".git", "target", "node_modules", "gen", "permissions", "dist", "__pycache__", "binaries"];
const WRITTEN_BY_TOOLS: &[&str] = &["Cargo.lock", "wire.ts"];
const OF_A_SYSTEM: &[&str] = &["target_os", "target_family", "unix", "windows"];
/// Written in two parts, so that this file does not break its own rule.
const OF_ONE_MACHINE: &[&str] = &[
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/main"),
    concat!("/wo", "rk/shared"),
    concat!("/wo", "rk/t/"),
    concat!("registry.npm", "js.org"),
    concat!("registry.yarn", "pkg.com"),
    concat!("index.cra", "tes.io"),
    concat!("static.cra", "tes.io"),
    concat!("pypi", ".org"),
    concat!("python", "hosted.org"),
    concat!("deb.deb", "ian.org"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        check(&[(path.to_owned(), text.to_owned())])
    }

    #[test]
    fn the_operating_system_is_named_only_where_it_may_be() {
        let code =
            "#[cfg(all(not(test), target_os = \"linux\"))]\nfn f() {}\nfn g() -> bool { cfg!(windows) }";
        assert_eq!(found("crates/agent/src/a.rs", code).len(), 2);
        assert_eq!(found("crates/platform/src/a.rs", code), Vec::<String>::new());
        assert_eq!(found("crates/agent/src/a.rs", "unsafe impl Send for X {}").len(), 1);
        let harmless = "// cfg(unix), unsafe\n#![cfg_attr(not(debug_assertions), windows_subsystem = \"windows\")]\n\
                        #[cfg(test)] mod unix { fn windows(unix: u8) {} }\n#![forbid(unsafe_code)]";
        assert_eq!(found("crates/agent/src/a.rs", harmless), Vec::<String>::new());
    }

    #[test]
    fn the_token_store_has_one_file_for_the_operating_system() {
        let file =
            |name: &str| (format!("crates/token-store/src/{name}.rs"), "#[cfg(unix)] fn f() {}".to_owned());
        assert_eq!(check(&[file("keychain")]), Vec::<String>::new());
        assert_eq!(check(&[file("keychain"), file("memory")]).len(), 1);
    }

    #[test]
    fn a_long_file_is_found() {
        assert_eq!(found("ui/src/App.svelte", &"x\n".repeat(LONGEST_FILE)), Vec::<String>::new());
        assert_eq!(found("ui/src/App.svelte", &"x\n".repeat(LONGEST_FILE + 1)).len(), 1);
    }

    #[test]
    fn a_dependency_without_a_word_is_found() {
        let manifest = "[package]\nname = \"x\"\n[dependencies]\nmodel.workspace = true\na = \"1\"\nb = \"2\" # why\n\
                        [target.'cfg(unix)'.dev-dependencies]\nc = { version = \"3\" }\n[lints]\nworkspace = true\n";
        assert_eq!(unexplained(manifest), ["a", "c"]);
    }

    #[test]
    fn what_is_of_one_machine_is_found() {
        for word in OF_ONE_MACHINE {
            assert_eq!(found("docs/a.md", &format!("see {word}x")).len(), 1, "{word}");
        }
        assert_eq!(found("docs/a.md", "in ~/.hallpass or /usr/bin"), Vec::<String>::new());
    }
}
