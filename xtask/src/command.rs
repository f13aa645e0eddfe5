//! Runs other programs: shows what they say while they say it, and counts the tests that they report.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::paths;

/// How many checks a program said had passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Passed.
    pub(crate) passed: u64,
    /// Failed.
    pub(crate) failed: u64,
}

/// The cargo that started us, in the workspace.
pub(crate) fn cargo<const N: usize>(arguments: [&str; N]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(paths::workspace());
    // What `cargo run` says about xtask itself would otherwise be taken for the package that is built next.
    for (name, _) in std::env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
        {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a program to its end; an error names it and how it ended.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let name = shown(command);
    let status =
        command.stdin(Stdio::null()).status().map_err(|error| format!("cannot start {name}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{name} ended with {status}")) }
}

/// Runs a program to its end without a word; an error carries the end of what it said.
pub(crate) fn quietly(command: &mut Command) -> Result<(), String> {
    let name = shown(command);
    let answer =
        command.stdin(Stdio::null()).output().map_err(|error| format!("cannot start {name}: {error}"))?;
    if answer.status.success() {
        return Ok(());
    }
    let said = [answer.stdout, answer.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let last: Vec<&str> = said.lines().rev().take(20).collect();
    let last: Vec<&str> = last.into_iter().rev().collect();
    Err(format!("{name} ended with {}:\n{}", answer.status, last.join("\n")))
}

/// Runs a program to its end and adds up the results that it prints. It is an error only if it could not start:
/// one that fails without saying which check failed counts as one failed check.
pub(crate) fn tally(command: &mut Command) -> Result<Tally, String> {
    tally_with(command, &mut |_| Ok(()))
}

/// The same, and keeps what it says on stdout in a file.
pub(crate) fn tally_into(command: &mut Command, log: &Path) -> Result<Tally, String> {
    let cannot = |error: std::io::Error| format!("cannot write {}: {error}", log.display());
    let mut file = std::fs::File::create(log).map_err(cannot)?;
    tally_with(command, &mut |line| file.write_all(line).and_then(|()| file.write_all(b"\n")).map_err(cannot))
}

fn tally_with(
    command: &mut Command,
    keep: &mut dyn FnMut(&[u8]) -> Result<(), String>,
) -> Result<Tally, String> {
    let name = shown(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start {name}: {error}"))?;
    let mut total = Tally::default();
    let stdout = child.stdout.take().expect("stdout is piped just above");
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line.map_err(|error| format!("cannot read what {name} says: {error}"))?;
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(&line).and_then(|()| out.write_all(b"\n"));
        keep(&line)?;
        if let Some(found) = results(&String::from_utf8_lossy(&line)) {
            total.passed += found.passed;
            total.failed += found.failed;
        }
    }
    let status = child.wait().map_err(|error| format!("cannot wait for {name}: {error}"))?;
    match (status.success(), total) {
        (true, Tally { passed: 0, failed: 0 }) => total.passed = 1,
        (false, Tally { failed: 0, .. }) => total.failed = 1,
        (true | false, Tally { .. }) => {}
    }
    Ok(total)
}

/// What a program says on stdout; an error carries what it says on stderr.
pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>, String> {
    let name = shown(command);
    let answer =
        command.stdin(Stdio::null()).output().map_err(|error| format!("cannot start {name}: {error}"))?;
    if answer.status.success() {
        return Ok(answer.stdout);
    }
    Err(format!("{name} ended with {}: {}", answer.status, String::from_utf8_lossy(&answer.stderr).trim()))
}

/// Whether a program is found on the search path.
pub(crate) fn exists(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// The search path with one folder in front.
pub(crate) fn path_with(folder: &Path) -> std::ffi::OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_owned()).chain(std::env::split_paths(&path));
    std::env::join_paths(folders).unwrap_or(path)
}

/// The results in one line of `cargo test`, of vitest, or of a script of ours.
fn results(line: &str) -> Option<Tally> {
    let line = line.trim();
    let relevant =
        line.strip_prefix("test result:").or_else(|| line.strip_prefix("Tests ")).or_else(|| {
            let plain = line.chars().all(|c| c.is_ascii_alphanumeric() || c == ' ' || c == ',');
            (plain && line.ends_with(" failed") && line.starts_with(|c: char| c.is_ascii_digit()))
                .then_some(line)
        })?;
    let words: Vec<&str> =
        relevant.split([' ', ',', ';', '|', '.']).filter(|word| !word.is_empty()).collect();
    let before = |name: &str| {
        let at = words.iter().position(|word| *word == name)?;
        words.get(at.checked_sub(1)?)?.parse().ok()
    };
    match (before("passed"), before("failed")) {
        (None, None) => None,
        (passed, failed) => Some(Tally { passed: passed.unwrap_or(0), failed: failed.unwrap_or(0) }),
    }
}

fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(OsStr::new("?"));
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read_from_every_runner_that_we_use() {
        let found = |line| results(line).map(|t| (t.passed, t.failed));
        let cargo = "test result: FAILED. 7 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        assert_eq!(found(cargo), Some((7, 2)));
        assert_eq!(found("      Tests  5 passed (5)"), Some((5, 0)));
        assert_eq!(found("      Tests  1 failed | 4 passed (5)"), Some((4, 1)));
        assert_eq!(found("51 passed, 0 failed"), Some((51, 0)));
        assert_eq!(found("test refresh::it_failed_once ... ok"), None);
        assert_eq!(found(" Test Files  1 passed (1)"), None);
        assert_eq!(found("running 5 tests"), None);
    }

    #[test]
    fn a_program_that_fails_without_a_count_is_one_failed_check() {
        assert_eq!(tally(&mut cargo(["no-such-verb-at-all"])), Ok(Tally { passed: 0, failed: 1 }));
        assert_eq!(tally(&mut cargo(["--version"])), Ok(Tally { passed: 1, failed: 0 }));
    }
}
