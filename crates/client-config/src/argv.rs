//! Reads a command line as the program that gets it does: launchers unwrapped, mcp-remote understood.

use std::collections::BTreeMap;

/// One word of a command line and which argument of the entry it stands in.
#[derive(Clone)]
pub(crate) struct Word {
    pub(crate) text: String,
    /// Index into `args`; `None` for `command`.
    pub(crate) at: Option<usize>,
}

/// What `mcp-remote` was asked to do.
pub(crate) struct McpRemoteArgs {
    /// The URL as it stands there.
    pub(crate) url: String,
    /// `--header` values, still in the form `Name: value`.
    pub(crate) headers: Vec<String>,
    /// `--transport`, where it is given.
    pub(crate) transport: Option<String>,
}

/// Lines `command` and `args` up, and splits what a shell would split.
pub(crate) fn words(command: &str, args: &[String]) -> Vec<Word> {
    let mut words = Vec::new();
    // A whole command line in `command`: only where its first word is a launcher, since paths have blanks too.
    let split = split_words(command);
    if args.is_empty() && split.len() > 1 && is_launcher(program(&split[0])) {
        words.extend(split.into_iter().map(|text| Word { text, at: None }));
    } else {
        words.push(Word { text: command.to_owned(), at: None });
    }
    words.extend(args.iter().enumerate().map(|(at, text)| Word { text: text.clone(), at: Some(at) }));
    unwrap_shell(words)
}

/// `sh -c 'npx x y'` and `cmd /c npx x y` become `npx x y`.
fn unwrap_shell(words: Vec<Word>) -> Vec<Word> {
    let Some(first) = words.first() else { return words };
    let shell = program(&first.text);
    let inner = match shell.as_str() {
        "cmd" => {
            words.iter().position(|w| w.text.eq_ignore_ascii_case("/c") || w.text.eq_ignore_ascii_case("/k"))
        }
        "sh" | "bash" | "zsh" | "dash" | "fish" => words
            .iter()
            .skip(1)
            .position(|w| w.text.starts_with('-') && w.text.ends_with('c'))
            .map(|at| at + 1),
        "env" => (words.len() > 1).then_some(0),
        _ => None,
    };
    let Some(inner) = inner else { return words };
    let mut rest: Vec<Word> = words[inner + 1..].to_vec();
    if shell == "env" {
        let skip = rest.iter().take_while(|w| w.text.starts_with('-') || w.text.contains('=')).count();
        rest.drain(..skip);
    }
    let line = rest.first().map(|w| (split_words(&w.text), w.at));
    match line {
        Some((line, at)) if line.len() > 1 && (rest.len() == 1 || shell != "cmd") && shell != "env" => {
            line.into_iter().map(|text| Word { text, at }).collect()
        }
        Some(_) => unwrap_shell(rest),
        None => words,
    }
}

/// The arguments of `mcp-remote`, if that is what the words start, however it is spelled.
pub(crate) fn mcp_remote(words: &[Word]) -> Option<McpRemoteArgs> {
    let first = program(&words.first()?.text);
    let at = if is_package(&first) {
        0
    } else if is_launcher(first) {
        words.iter().position(|w| is_package(&program(&w.text)) || is_package(&w.text))?
    } else {
        return None;
    };
    let mut rest = words[at + 1..].iter().map(|w| w.text.as_str()).peekable();
    // `npx -p mcp-remote mcp-remote URL`, `npx --package=mcp-remote -- mcp-remote URL`
    while rest.next_if(|word| *word == "--" || is_package(word) || *word == "-y").is_some() {}
    let (mut url, mut headers, mut transport) = (None, Vec::new(), None);
    while let Some(word) = rest.next() {
        match word {
            "--header" | "-H" => headers.extend(rest.next().map(str::to_owned)),
            "--transport" => transport = rest.next().map(str::to_owned),
            _ if FLAGS_WITH_VALUE.contains(&word) => drop(rest.next()),
            _ if word.starts_with("--header=") => headers.push(word["--header=".len()..].to_owned()),
            _ if word.starts_with('-') => {}
            _ => url = url.or_else(|| Some(word.to_owned())),
        }
    }
    Some(McpRemoteArgs { url: url?, headers, transport })
}

/// Splits `Name: value` and `Name:value`, and puts variables of the entry's own env in: mcp-remote expands
/// `${NAME}` itself, so people hide the blank behind one. Gives back which variables were used.
pub(crate) fn header(text: &str, env: &BTreeMap<String, String>) -> Option<(String, String, Vec<String>)> {
    let (name, value) = text.split_once(':')?;
    let mut used = Vec::new();
    let mut value = value.trim().to_owned();
    for (key, replacement) in env {
        let reference = format!("${{{key}}}");
        if value.contains(&reference) {
            value = value.replace(&reference, replacement);
            used.push(key.clone());
        }
    }
    Some((name.trim().to_owned(), value, used))
}

/// The program's bare name: no folder, no `.exe` or `.cmd`, lower case.
pub(crate) fn program(path: &str) -> String {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path).to_ascii_lowercase();
    let bare = [".exe", ".cmd", ".bat", ".ps1"].iter().find_map(|end| name.strip_suffix(end));
    bare.unwrap_or(&name).to_owned()
}

fn is_launcher(name: impl AsRef<str>) -> bool {
    matches!(
        name.as_ref(),
        "npx"
            | "bunx"
            | "pnpx"
            | "pnpm"
            | "yarn"
            | "bun"
            | "npm"
            | "deno"
            | "node"
            | "volta"
            | "mise"
            | "corepack"
    )
}

/// `mcp-remote`, `mcp-remote@latest`, `npm:mcp-remote`, `--package=mcp-remote`.
fn is_package(word: &str) -> bool {
    let word = word.strip_prefix("--package=").unwrap_or(word);
    let word = word.strip_prefix("npm:").unwrap_or(word);
    word == "mcp-remote" || word.strip_prefix("mcp-remote@").is_some_and(|version| !version.contains('/'))
}

/// Splits at blanks as a shell does, quotes and backslashes honoured, nothing expanded.
pub(crate) fn split_words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut open) = (Vec::new(), String::new(), false);
    let mut quote = None;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some('"') | None, '\\') if chars.peek().is_some_and(|n| matches!(n, '"' | '\\' | ' ' | '$')) => {
                word.extend(chars.next());
                open = true;
            }
            (None, '"' | '\'') => {
                quote = Some(c);
                open = true;
            }
            (None, c) if c.is_whitespace() => {
                if open {
                    words.push(std::mem::take(&mut word));
                }
                open = false;
            }
            (_, c) => {
                word.push(c);
                open = true;
            }
        }
    }
    if open {
        words.push(word);
    }
    words
}

const FLAGS_WITH_VALUE: &[&str] = &[
    "--host",
    "--static-oauth-client-metadata",
    "--static-oauth-client-info",
    "--resource",
    "--auth-timeout",
    "--ignore-tool",
    "--callback-port",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(command: &str, args: &[&str]) -> Option<McpRemoteArgs> {
        let args: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
        mcp_remote(&words(command, &args))
    }

    #[test]
    fn mcp_remote_is_recognised_in_every_spelling() {
        let url = "https://a.example/mcp";
        let spellings: &[(&str, &[&str])] = &[
            ("npx", &["mcp-remote", url]),
            ("npx", &["-y", "mcp-remote", url]),
            ("npx", &["-y", "mcp-remote@latest", url]),
            ("npx", &["--yes", "mcp-remote@0.1.29", url, "3334"]),
            ("npx.cmd", &["-y", "mcp-remote", url]),
            ("/opt/homebrew/bin/npx", &["-y", "mcp-remote", url]),
            (r"C:\Program Files\nodejs\npx.cmd", &["-y", "mcp-remote", url]),
            ("cmd", &["/c", "npx", "-y", "mcp-remote", url]),
            (r"C:\Windows\System32\cmd.exe", &["/C", "npx", "mcp-remote", url]),
            ("cmd", &["/c", "npx -y mcp-remote https://a.example/mcp"]),
            ("sh", &["-c", "npx -y mcp-remote https://a.example/mcp"]),
            ("bash", &["-lc", "npx -y mcp-remote 'https://a.example/mcp'"]),
            ("env", &["FOO=1", "npx", "mcp-remote", url]),
            ("bunx", &["mcp-remote", url]),
            ("bun", &["x", "mcp-remote", url]),
            ("pnpm", &["dlx", "mcp-remote", url]),
            ("yarn", &["dlx", "mcp-remote", url]),
            ("deno", &["run", "-A", "npm:mcp-remote", url]),
            ("npx", &["-p", "mcp-remote@latest", "mcp-remote", url]),
            ("npx", &["--package=mcp-remote", "--", "mcp-remote", url]),
            ("mcp-remote", &[url]),
            ("node", &["/usr/lib/node_modules/.bin/mcp-remote", url]),
            ("npx -y mcp-remote https://a.example/mcp", &[]),
            ("npx", &["mcp-remote", "--transport", "http-only", "--host", "h", url]),
        ];
        for (command, args) in spellings {
            let found = read(command, args).unwrap_or_else(|| panic!("{command} {args:?}"));
            assert_eq!(found.url, url, "{command} {args:?}");
        }
        for (command, args) in [
            ("npx", vec!["-y", "mcp-remote"]),
            ("npx", vec!["-y", "@scope/server", "mcp-remote-like"]),
            ("docker", vec!["run", "mcp-remote", url]),
            ("uvx", vec!["mcp-server-git"]),
        ] {
            assert!(read(command, &args).is_none(), "{command} {args:?}");
        }
    }

    #[test]
    fn headers_are_read_with_and_without_a_blank_and_through_env() {
        let args =
            ["mcp-remote", "https://a.example/", "--header", "A: b", "--header", "C:d", "--header=E:${F}"];
        let found = read("npx", &args).unwrap();
        assert_eq!(found.headers, ["A: b", "C:d", "E:${F}"]);
        let env = BTreeMap::from([("F".to_owned(), "Bearer x".to_owned())]);
        assert_eq!(header("C:d", &env).unwrap(), ("C".into(), "d".into(), vec![]));
        assert_eq!(header("E:${F}", &env).unwrap(), ("E".into(), "Bearer x".into(), vec!["F".into()]));
        assert!(header("no colon", &env).is_none());
    }
}
