//! Runs the official MCP conformance suite's scored client scenarios against `hallpass bridge`, one by one, and writes
//! the table of results.
//!
//! What happens in one scenario is in `tests/conformance/scenario.mjs`; here is what is run, what is expected and
//! what the table says.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::{env, thread};

use crate::{command, paths, peers, report};

/// Runs the suite. The gate runs each revision with the stdio host of its own era and writes
/// `target/conformance/table.md`; `full` adds the host of the other era and writes `docs/conformance.md`.
/// The executable is what the workspace's tests are built with, or `$HALLPASS_EXECUTABLE`.
///
/// # Errors
/// One text that names every scenario that missed without being expected to, and every connection to a mock server
/// that neither bridge nor agent nor, at the authorization endpoint, the scripted browser made.
pub(crate) fn run(full: bool) -> Result<(), String> {
    let session = Session::prepare()?;
    session.prove_that_strangers_are_seen()?;
    let mut table = Table::default();
    let mut waiting = Vec::new();
    for column in COLUMNS.iter().filter(|column| full || column.in_gate) {
        let scenarios = session.scenarios(column)?;
        if scenarios.len() != column.count {
            return Err(format!(
                "the suite lists {} client scenarios of {}, not {}",
                scenarios.len(),
                column.revision,
                column.count
            ));
        }
        table.columns.push(column.name);
        waiting.extend(scenarios.into_iter().map(|scenario| (column, scenario)));
    }
    // A scenario waits more than it works, so two share the cores well.
    let order: Vec<String> = waiting.iter().map(|(_, scenario)| scenario.clone()).collect();
    let (waiting, done) = (Mutex::new(waiting.into_iter()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((column, scenario)) = next(&waiting) {
                    let outcome = session.run(&scenario, column);
                    if let Ok(outcome) = &outcome {
                        report::line(&format!(
                            "conformance: {:4}{} {scenario}  {}",
                            column.name, outcome.verdict, outcome.reason
                        ));
                    }
                    locked(&done).push((column.name, scenario, outcome));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("no worker panics");
    done.sort_by_key(|(_, scenario, _)| order.iter().position(|name| name == scenario));
    for (column, scenario, outcome) in done {
        table.add(column, scenario, outcome?);
    }
    let path = if full { paths::workspace().join("docs/conformance.md") } else { results().join("table.md") };
    fs::write(&path, table.text()).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    report::line(&format!("conformance: {}; the table is in {}", table.totals().join(", "), path.display()));
    table.judge()
}

/// The scenario that is run next.
fn next<T>(waiting: &Mutex<impl Iterator<Item = T>>) -> Option<T> {
    locked(waiting).next()
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().expect("no worker panics")
}

/// One revision's scenarios with one kind of host.
struct Column {
    name: &'static str,
    revision: &'static str,
    /// The era of the stdio host, as `driver.mjs` calls it.
    host: &'static str,
    count: usize,
    /// Scenarios that the suite has in no frozen list.
    named: Option<&'static [&'static str]>,
    in_gate: bool,
}

/// What one scenario ended with.
struct Outcome {
    /// `P` (clean pass), `W` (a warning) or `F`.
    verdict: String,
    /// The first failed check, or what the driver said.
    reason: String,
    /// Requests that the mock servers received.
    requests: u32,
    /// Who connected that should not have.
    strangers: String,
    /// Requests of which only the User-Agent says whose they are: the process had gone.
    unseen: u32,
    /// How the driver ended, where that was an error.
    said: String,
}

/// The programs that a run needs.
struct Session {
    hallpass: PathBuf,
    node: PathBuf,
    python: PathBuf,
    suite: PathBuf,
}

impl Session {
    fn prepare() -> Result<Self, String> {
        let root = peers::install()?;
        for program in ["dbus-run-session", "gnome-keyring-daemon"] {
            if !command::exists(program) {
                return Err(format!("{program} is missing; `cargo xtask setup` installs it"));
            }
        }
        Ok(Self {
            hallpass: executable()?,
            node: peers::node(&root),
            python: peers::python(&root),
            suite: root.join("node/node_modules/@modelcontextprotocol/conformance/dist/index.js"),
        })
    }

    /// The client scenarios that the suite froze for a revision; there is no such list of the oldest one.
    fn scenarios(&self, column: &Column) -> Result<Vec<String>, String> {
        if let Some(named) = column.named {
            return Ok(named.iter().map(|&name| name.to_owned()).collect());
        }
        let listing = command::output(Command::new(&self.node).arg(&self.suite).args([
            "list",
            "--client",
            "--requirements",
            column.revision,
        ]))?;
        Ok(client_scenarios(&String::from_utf8_lossy(&listing)))
    }

    fn run(&self, scenario: &str, column: &Column) -> Result<Outcome, String> {
        self.start(scenario, column.revision, column.host, column.name, &[])
    }

    /// Has the driver open one connection of its own, which the recorder must report: a check that cannot fail is none.
    fn prove_that_strangers_are_seen(&self) -> Result<(), String> {
        let planted =
            self.start("tools_call", "2025-11-25", "legacy", "planted", &[("CONFORMANCE_CANARY", "1")])?;
        if planted.strangers.contains("driver.mjs") {
            return Ok(());
        }
        Err(format!(
            "the recorder did not see the driver's planted connection; it saw: {}",
            planted.strangers
        ))
    }

    fn start(
        &self,
        scenario: &str,
        revision: &str,
        host: &str,
        column: &str,
        extra: &[(&str, &str)],
    ) -> Result<Outcome, String> {
        let folder = results().join(column).join(scenario.replace('/', "_"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)
            .map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
        // Short, since sockets lie below it.
        let name = format!("hallpass-conf-{}-{column}-{}", std::process::id(), scenario.replace('/', "_"));
        let scratch = env::temp_dir().join(name);
        fs::create_dir_all(&scratch)
            .map_err(|error| format!("cannot create {}: {error}", scratch.display()))?;
        // The suite has a limit of its own; this one is for a keychain service or bus that hangs.
        let answer = Command::new("timeout")
            .args(["-k", "5", "600", "dbus-run-session", "--"])
            .arg(&self.node)
            .arg(paths::workspace().join("tests/conformance/scenario.mjs"))
            .args([scenario, revision, host])
            .args([&scratch, &folder])
            .env("HALLPASS", &self.hallpass)
            .env("PYTHON", &self.python)
            .envs(extra.iter().copied())
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("cannot start timeout and dbus-run-session: {error}"));
        let _ = fs::remove_dir_all(&scratch);
        let answer = answer?;
        outcome(&String::from_utf8_lossy(&answer.stdout)).ok_or_else(|| {
            format!(
                "{scenario}: the runner said nothing to read: {}",
                String::from_utf8_lossy(&answer.stderr)
            )
        })
    }
}

/// What is tested. Not `cargo build`: what the tests were built with would be built once more, with fewer features.
fn executable() -> Result<PathBuf, String> {
    if let Some(path) = env::var_os("HALLPASS_EXECUTABLE") {
        return Ok(paths::workspace().join(path));
    }
    command::run(&mut command::cargo(["test", "--workspace", "--no-run", "--locked"]))?;
    let path = paths::built("hallpass");
    if path.is_file() { Ok(path) } else { Err(format!("{} is not built", path.display())) }
}

/// The lines below the heading of the client scenarios.
fn client_scenarios(listing: &str) -> Vec<String> {
    listing
        .lines()
        .skip_while(|line| !line.starts_with("Client scenarios"))
        .skip(1)
        .map_while(|line| line.trim().strip_prefix("- ").map(str::to_owned))
        .collect()
}

/// Reads the runner's line of six columns.
fn outcome(stdout: &str) -> Option<Outcome> {
    let mut columns = stdout.trim_end_matches('\n').lines().last()?.split('\t');
    Some(Outcome {
        verdict: columns.next()?.to_owned(),
        reason: columns.next()?.to_owned(),
        requests: columns.next()?.parse().ok()?,
        strangers: columns.next()?.to_owned(),
        unseen: columns.next()?.parse().ok()?,
        said: columns.next()?.to_owned(),
    })
}

/// Scenarios in the order in which they first ran, each with its outcome per column.
#[derive(Default)]
struct Table {
    columns: Vec<&'static str>,
    rows: Vec<(String, BTreeMap<&'static str, Outcome>)>,
}

impl Table {
    fn add(&mut self, column: &'static str, scenario: String, outcome: Outcome) {
        if !self.columns.contains(&column) {
            self.columns.push(column);
        }
        match self.rows.iter_mut().find(|(name, _)| *name == scenario) {
            Some((_, outcomes)) => drop(outcomes.insert(column, outcome)),
            None => self.rows.push((scenario, BTreeMap::from([(column, outcome)]))),
        }
    }

    fn outcomes(&self) -> impl Iterator<Item = (&str, &'static str, &Outcome)> {
        self.rows
            .iter()
            .flat_map(|(name, outcomes)| outcomes.iter().map(move |(column, o)| (name.as_str(), *column, o)))
    }

    /// `16/18 in 25`, for each column.
    fn totals(&self) -> Vec<String> {
        let of = |column: &str| {
            let all = self.outcomes().filter(|(_, c, _)| *c == column);
            let passed = self.outcomes().filter(|(_, c, o)| *c == column && o.verdict == "P");
            format!("{}/{} in {column}", passed.count(), all.count())
        };
        self.columns.iter().map(|column| of(column)).collect()
    }

    fn text(&self) -> String {
        let sum = |of: fn(&Outcome) -> u32| self.outcomes().map(|(_, _, o)| of(o)).sum::<u32>().to_string();
        let mut text =
            HEADING.replace("{requests}", &sum(|o| o.requests)).replace("{unseen}", &sum(|o| o.unseen));
        let _ = writeln!(text, "Clean passes: {}.\n", self.totals().join(", "));
        let _ = writeln!(
            text,
            "| scenario | {} | why it misses, or what a pass means |",
            self.columns.join(" | ")
        );
        let _ = writeln!(text, "|---|{}---|", "---|".repeat(self.columns.len()));
        for (scenario, outcomes) in &self.rows {
            let verdict =
                |column: &&&str| outcomes.get(**column).map_or("", |outcome| outcome.verdict.as_str());
            let verdicts: Vec<&str> = self.columns.iter().map(|column| verdict(&column)).collect();
            let _ = writeln!(text, "| {scenario} | {} | {} |", verdicts.join(" | "), why(scenario, outcomes));
        }
        text
    }

    fn judge(&self) -> Result<(), String> {
        let mut faults = Vec::new();
        for (scenario, column, outcome) in self.outcomes() {
            if outcome.verdict != "P" {
                faults.push(format!("{scenario} ({column}): {} {}", outcome.verdict, outcome.reason));
            }
            if outcome.verdict == "P" && !ended_as_it_should(scenario, &outcome.said) {
                faults.push(format!("{scenario} ({column}): not for the right reason: {:?}", outcome.said));
            }
            if !outcome.strangers.is_empty() {
                faults.push(format!("{scenario} ({column}): connected by others: {}", outcome.strangers));
            }
            if outcome.requests == 0 {
                faults.push(format!("{scenario} ({column}): nothing connected at all"));
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(format!("conformance:\n{}", faults.join("\n"))) }
    }
}

/// What a pass means where that wants a word; else what the suite said, once.
fn why(scenario: &str, outcomes: &BTreeMap<&'static str, Outcome>) -> String {
    let mut reasons: Vec<String> = Vec::new();
    for outcome in outcomes.values() {
        let reason = match PASSES.iter().find(|(name, _)| *name == scenario) {
            _ if outcome.verdict != "P" => outcome.reason.replace('|', "\\|"),
            Some((_, meaning)) => (*meaning).to_owned(),
            None => continue,
        };
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    reasons.join("; ")
}

/// The suite lets a driver fail in scenarios that have to be refused, whatever the reason; we do not.
fn ended_as_it_should(scenario: &str, said: &str) -> bool {
    match REFUSALS.iter().find(|(name, _)| *name == scenario) {
        Some((_, words)) => said.contains(words),
        None => said.is_empty() || scenario == "auth/scope-retry-limit",
    }
}

fn results() -> PathBuf {
    paths::workspace().join("target/conformance")
}

/// How many scenarios run beside each other.
const AT_ONCE: usize = 2;

/// A server of the first revision with authorization, without protected resource metadata. Never scored.
const FIRST_REVISION_SCENARIOS: &[&str] =
    &["auth/2025-03-26-oauth-metadata-backcompat", "auth/2025-03-26-oauth-endpoint-fallback"];

/// Ways in of the MCP extensions `oauth-client-credentials` and `enterprise-managed-authorization`.
const EXTENSION_SCENARIOS: &[&str] = &[
    "auth/client-credentials-basic",
    "auth/client-credentials-jwt",
    "auth/enterprise-managed-authorization",
];

const COLUMNS: [Column; 6] = [
    Column { name: "25", revision: "2025-11-25", host: "legacy", count: 18, named: None, in_gate: true },
    Column { name: "26M", revision: "2026-07-28", host: "modern", count: 32, named: None, in_gate: true },
    Column { name: "26L", revision: "2026-07-28", host: "legacy", count: 32, named: None, in_gate: false },
    Column { name: "25M", revision: "2025-11-25", host: "modern", count: 18, named: None, in_gate: false },
    Column {
        name: "03",
        revision: "2025-03-26",
        host: "legacy",
        count: 2,
        named: Some(FIRST_REVISION_SCENARIOS),
        in_gate: true,
    },
    Column {
        name: "ext",
        revision: "2025-11-25",
        host: "legacy",
        count: 3,
        named: Some(EXTENSION_SCENARIOS),
        in_gate: true,
    },
];

/// Scenarios that have to be refused, and what the person is told.
const REFUSALS: [(&str, &str); 6] = [
    ("auth/resource-mismatch", "speaks of another resource"),
    ("auth/metadata-issuer-mismatch", "says that it is another one"),
    ("auth/iss-supported-missing", "does not say that it comes from"),
    ("auth/iss-wrong-issuer", "came from another authorization server"),
    ("auth/iss-unexpected", "came from another authorization server"),
    ("auth/iss-normalized", "came from another authorization server"),
];

/// Passes that want a word.
const PASSES: [(&str, &str); 4] = [
    (
        "auth/scope-retry-limit",
        "the call is refused with the command to run; after one wider sign-in that brought nothing, it is refused without one",
    ),
    (
        "auth/scope-step-up",
        "the bridge opens no browser: the call is refused with the command to run, the person runs it, the same bridge goes on",
    ),
    (
        "auth/enterprise-managed-authorization",
        "signed in with the id_token of the scenario; no browser opens",
    ),
    (
        "auth/authorization-server-migration",
        "the bridge opens no browser: the call is refused with the command to run, the person runs it, the same bridge goes on at the new issuer",
    ),
];

const HEADING: &str = "# Conformance

The official MCP conformance suite (`@modelcontextprotocol/conformance` 0.2.0-alpha.12) against `hallpass bridge`: the
scored client scenarios of the revisions 2025-11-25 (18) and 2026-07-28 (32), and the two of 2025-03-26 that are not scored.
Written by `cargo xtask test --full`; the gate runs all columns but 26L and 25M. Logs: `target/conformance/<column>/<scenario>`.

The suite starts `tests/conformance/driver.mjs`, which runs `hallpass servers add` and `hallpass login --yes` as a person
would, with a scripted browser, and then has one MCP connection: the stdio of `hallpass bridge`. Where an error names a
`hallpass login` command, the driver runs it, once. One configuration for all
scenarios; a fresh home and keychain service for each. A recorder inside the suite looks up the process behind every
connection to the mock servers: bridge, agent and, at the authorization endpoint alone, the scripted browser, or the run
fails ({requests} requests in this run, {unseen} of a process that had gone and is known by its User-Agent alone; a
connection that the driver makes on purpose is found first). Where a sign-in has to be refused, a pass also means that the
person was told the reason which the scenario is about.

P: every check passed. W: a warning (SHOULD). F: a check failed or the driver ended in an error. Columns: 25 = 2025-11-25
with a stdio host of that era; 26M = 2026-07-28 with a host of that revision; 26L = 2026-07-28 with a host of the
handshake era, and 25M = 2025-11-25 with a host of 2026-07-28: the bridge translates; 03 = 2025-03-26; ext = extensions,
never scored.

";

#[cfg(test)]
mod tests;
