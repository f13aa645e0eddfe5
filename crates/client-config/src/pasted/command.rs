//! Command lines: `claude mcp add …` and its kin, `code --add-mcp …`, and what starts a server.

use serde_json::{Map, Value, json};

use super::{Found, INSTEAD, Unreadable, header_of, snippet};
use crate::argv;
use model::is_web_address;

/// Programs with `mcp add`.
const ADDERS: [(&str, &str); 7] = [
    ("claude", "a Claude Code command"),
    ("codex", "a Codex command"),
    ("gemini", "a Gemini command"),
    ("qwen", "a Qwen command"),
    ("copilot", "a Copilot command"),
    ("droid", "a Factory command"),
    ("amp", "an Amp command"),
];
/// Programs with `--add-mcp`.
const EDITORS: [&str; 4] = ["code", "code-insiders", "cursor", "windsurf"];
/// Programs that start servers.
const STARTERS: [&str; 26] = [
    "npx",
    "bunx",
    "pnpx",
    "pnpm",
    "yarn",
    "bun",
    "npm",
    "deno",
    "node",
    "mcp-remote",
    "uvx",
    "uv",
    "pipx",
    "python",
    "python3",
    "docker",
    "podman",
    "cmd",
    "sh",
    "bash",
    "zsh",
    "env",
    "java",
    "dotnet",
    "go",
    "cargo",
];
/// Options of `mcp add` that take a value which says nothing about the server.
const IGNORED: [&str; 9] = [
    "--scope",
    "-s",
    "--callback-port",
    "--timeout",
    "--description",
    "--client-id",
    "--bearer-token-env-var",
    "--include-tools",
    "--exclude-tools",
];

/// Reads command lines; `None` for what does not begin with a program that we know.
pub(super) fn read(text: &str) -> Option<Result<Found, Unreadable>> {
    let text = text.replace("\\\r\n", " ").replace("\\\n", " ").replace("`\r\n", " ").replace("`\n", " ");
    let lines: Vec<&str> =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let (mut read_as, mut entries) = (String::new(), Vec::new());
    for line in lines {
        match one(line)? {
            Ok((words, found)) => {
                read_as = words;
                entries.extend(found);
            }
            Err(unreadable) => return Some(Err(unreadable)),
        }
    }
    Some(Ok(Found::Entries(read_as, entries)))
}

type Line = Result<(String, Vec<(String, String)>), Unreadable>;

fn one(line: &str) -> Option<Line> {
    let mut words = argv::split_words(line.trim_start_matches(['$', '>', '%']).trim_start());
    let mut env = Map::new();
    while let Some((name, value)) = words.first().and_then(|word| assignment(word)) {
        env.insert(name, Value::String(value));
        words.remove(0);
    }
    let program = argv::program(words.first()?);
    let word = |at: usize| words.get(at).map(String::as_str);
    if let Some((_, read_as)) = ADDERS.iter().find(|(name, _)| *name == program) {
        return match (word(1), word(2)) {
            (Some("mcp"), Some("add")) => Some(added(read_as, &words[3..], env)),
            (Some("mcp"), Some("add-json")) => Some(added_as_json(read_as, &words[3..])),
            _ => Some(Err(Unreadable::new(
                *read_as,
                format!("only its `mcp add` can be read here; {INSTEAD}"),
            ))),
        };
    }
    if EDITORS.contains(&program.as_str()) {
        let json = words.iter().position(|w| w == "--add-mcp").and_then(|at| words.get(at + 1))?;
        let found = snippet::inline(json, "").map(|entries| ("an editor's command".to_owned(), entries));
        return Some(found);
    }
    if !STARTERS.contains(&program.as_str()) {
        return None;
    }
    let entry = json!({ "command": words[0], "args": words[1..], "env": env });
    Some(Ok(("a command line".to_owned(), vec![(String::new(), entry.to_string())])))
}

fn added_as_json(read_as: &str, words: &[String]) -> Line {
    let plain: Vec<&String> = positional(words);
    match plain[..] {
        [name, json, ..] => {
            let entries = snippet::inline(json, name).map_err(|e| Unreadable::new(read_as, e.problem))?;
            Ok((read_as.to_owned(), entries))
        }
        _ => Err(Unreadable::new(read_as, format!("a name and an entry are missing in it; {INSTEAD}"))),
    }
}

/// The words that are neither options nor their values.
fn positional(words: &[String]) -> Vec<&String> {
    let (mut plain, mut at) = (Vec::new(), 0);
    while let Some(word) = words.get(at) {
        if IGNORED.contains(&word.as_str()) {
            at += 1;
        } else if !word.starts_with('-') {
            plain.push(word);
        }
        at += 1;
    }
    plain
}

/// `[options] name url`, `[options] name -- command args`, in any order that the programs take.
fn added(read_as: &str, words: &[String], mut env: Map<String, Value>) -> Line {
    let (mut headers, mut plain, mut url, mut transport) = (Map::new(), Vec::new(), None, None);
    let mut secret = None;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let (flag, mut value) = match word.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => (flag, Some(value.to_owned())),
            _ => (word.as_str(), None),
        };
        if flag == "--" {
            plain.extend(words.by_ref().cloned());
            break;
        }
        let mut take = || value.take().or_else(|| words.next().cloned()).unwrap_or_default();
        match flag {
            "--transport" | "-t" => transport = Some(take()),
            "--url" => url = Some(take()),
            "--header" | "-H" => {
                if let Some((name, value)) = header_of(&take()) {
                    headers.insert(name, Value::String(value));
                }
            }
            "--env" | "-e" => {
                if let Some((name, value)) = assignment(&take()) {
                    env.insert(name, Value::String(value));
                }
            }
            "--client-secret" => secret = Some(take()),
            _ if IGNORED.contains(&flag) => drop(take()),
            // Behind a program's name they are that program's.
            _ if flag.starts_with('-') && plain.len() < 2 => {}
            _ => plain.push(word.clone()),
        }
    }
    let (name, rest) = match plain.split_first() {
        Some((only, [])) if url.is_none() => (String::new(), vec![only.clone()]),
        Some((name, rest)) => (name.clone(), rest.to_vec()),
        None => (String::new(), Vec::new()),
    };
    let target = url.or_else(|| rest.first().cloned());
    let Some(target) = target else {
        return Err(Unreadable::new(read_as, format!("it names no server; {INSTEAD}")));
    };
    let mut entry = if is_web_address(&target) {
        json!({ "url": target, "headers": headers, "env": env })
    } else {
        json!({ "command": target, "args": rest.get(1..).unwrap_or_default(), "env": env })
    };
    if let Some(transport) = transport {
        entry["type"] = Value::String(transport);
    }
    if let Some(secret) = secret.filter(|secret| !secret.is_empty() && !secret.starts_with('-')) {
        entry["oauth"] = json!({ "clientSecret": secret });
    }
    Ok((read_as.to_owned(), vec![(name, entry.to_string())]))
}

/// `NAME=value`.
fn assignment(word: &str) -> Option<(String, String)> {
    let (name, value) = word.split_once('=')?;
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let first = name.bytes().next()?;
    (!first.is_ascii_digit() && name.bytes().all(good)).then(|| (name.to_owned(), value.to_owned()))
}
