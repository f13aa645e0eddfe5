//! `cargo xtask test`: the stages, in order, and what each one runs.

use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crate::command::{self, Tally};
use crate::report::{self, Result as StageResult};
use crate::{
    arrows, conformance, fresh_root, macos, node, paths, peers, setup, source_rules, types, windows,
};

/// Runs the stages that the arguments choose.
pub(crate) fn test(arguments: &[&str]) -> Result<(), String> {
    let choice = Choice::parse(arguments)?;
    if choice.list {
        report::line(&listing());
        return Ok(());
    }
    let stages: Vec<&Stage> = STAGES.iter().filter(|stage| choice.takes(stage)).collect();
    setup::toolchain()?;
    if stages.iter().any(|stage| stage.needs_packages) {
        setup::for_tests()?;
    }
    let mut run = Run { full: choice.full, installs: Vec::new() };
    // Downloads wait for the network and not for a core, so they go on beside the first stages.
    for stage in &stages {
        if let Some(install) = stage.install {
            run.installs.push((stage.name, thread::spawn(install)));
        }
    }
    let results: Vec<StageResult> = stages.iter().map(|stage| run.stage(stage)).collect();
    if choice.full && choice.only.is_empty() {
        write_table(&results)?;
    }
    report::close(&results)
}

/// The names of the stages, and what each does.
pub(crate) fn listing() -> String {
    let row = |stage: &Stage| {
        let when = match stage.when {
            When::Always => "",
            When::Full => "  (--full)",
            When::Asked => "  (--only)",
        };
        format!("  {:<12} {}{when}", stage.name, stage.what)
    };
    STAGES.iter().map(row).collect::<Vec<_>>().join("\n")
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Choice<'a> {
    full: bool,
    list: bool,
    only: Vec<&'a str>,
}

impl<'a> Choice<'a> {
    fn parse(arguments: &[&'a str]) -> Result<Self, String> {
        let mut choice = Self::default();
        let mut rest = arguments.iter().copied();
        while let Some(argument) = rest.next() {
            match argument {
                "--full" => choice.full = true,
                "--list" => choice.list = true,
                "--windows" => choice.only.push("windows"),
                "--only" => choice.only.push(rest.next().ok_or("--only wants the name of a stage")?),
                other => {
                    return Err(format!("test does not understand \"{other}\": see cargo xtask test --help"));
                }
            }
        }
        match choice.only.iter().find(|name| STAGES.iter().all(|stage| stage.name != **name)) {
            Some(name) => Err(format!("there is no stage \"{name}\"; there are:\n{}", listing())),
            None => Ok(choice),
        }
    }

    fn takes(&self, stage: &Stage) -> bool {
        if self.only.is_empty() {
            return match stage.when {
                When::Always => true,
                When::Full => self.full,
                When::Asked => false,
            };
        }
        let needed =
            |name: &&str| STAGES.iter().any(|other| other.name == *name && other.needs.contains(&stage.name));
        self.only.contains(&stage.name) || self.only.iter().any(needed)
    }
}

struct Stage {
    name: &'static str,
    what: &'static str,
    when: When,
    /// Stages that must have run before.
    needs: &'static [&'static str],
    /// Whether it needs more than a Rust toolchain.
    needs_packages: bool,
    /// What is installed beside the stages that come before.
    install: Option<fn() -> Result<(), String>>,
    run: fn(&Run) -> Result<Tally, String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    /// In every run.
    Always,
    /// With `--full`, or when asked for.
    Full,
    /// Only when asked for.
    Asked,
}

struct Run {
    full: bool,
    installs: Vec<(&'static str, JoinHandle<Result<(), String>>)>,
}

impl Run {
    fn stage(&mut self, stage: &Stage) -> StageResult {
        report::line(&format!("\n=== {}: {}", stage.name, stage.what));
        let began = Instant::now();
        let outcome = self.installed(stage.name).and_then(|()| (stage.run)(self));
        let result = StageResult { stage: stage.name, outcome, took: began.elapsed() };
        if let Err(reason) = &result.outcome {
            report::complain(reason);
        }
        let verdict = if result.good() { "ok" } else { "FAILED" };
        report::line(&format!("=== {}: {verdict} in {:.1} s", stage.name, result.took.as_secs_f64()));
        result
    }

    /// Waits for what the stage needs to be installed.
    fn installed(&mut self, name: &str) -> Result<(), String> {
        match self.installs.iter().position(|(stage, _)| *stage == name) {
            Some(at) => {
                let (_, install) = self.installs.swap_remove(at);
                install.join().unwrap_or_else(|_| Err("the installation panicked".to_owned()))
            }
            None => Ok(()),
        }
    }
}

fn ui() -> Result<Tally, String> {
    report::line("--- the types of ui/src/ipc/generated are those of the wire");
    let mut total = types::fresh()?;
    node::build_ui()?;
    for script in ["check", "test", "browser"] {
        report::line(&format!("--- npm run {script}"));
        let found = command::tally(&mut node::npm(&["run", "--silent", script])?)?;
        total = Tally { passed: total.passed + found.passed, failed: total.failed + found.failed };
    }
    Ok(total)
}

fn cargo_test(run: &Run, which: &[&str]) -> Result<Tally, String> {
    let mut test = command::cargo(["test", "--workspace", "--locked", "--no-fail-fast"]);
    test.args(which);
    // Tests that need the peers fail without this variable, and say that this command sets it.
    test.env("HALLPASS_PEERS", peers::install()?);
    if run.full {
        test.env("HALLPASS_FULL", "1");
    }
    command::tally(&mut test)
}

fn deny() -> Result<Tally, String> {
    setup::cargo_deny()?;
    let mut deny = command::cargo([
        "deny",
        "--workspace",
        "--all-features",
        "--locked",
        "check",
        "bans",
        "licenses",
        "sources",
    ]);
    command::tally(deny.env("PATH", command::path_with(&paths::tools().join("bin"))))
}

fn write_table(results: &[StageResult]) -> Result<(), String> {
    let date = command::output(Command::new("date").args(["-u", "+%Y-%m-%d"]))?;
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let text = report::markdown(results, String::from_utf8_lossy(&date).trim(), cores);
    let path = paths::workspace().join("docs/full-test-result.md");
    std::fs::write(&path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

const STAGES: &[Stage] = &[
    Stage {
        name: "arrows",
        what: "who may use whom, and the rules of the source text",
        when: When::Always,
        needs: &[],
        needs_packages: false,
        install: None,
        run: |_| {
            let found = [arrows::violations()?, source_rules::violations(&paths::workspace())?].concat();
            for violation in &found {
                report::line(violation);
            }
            Ok(Tally { passed: u64::from(found.is_empty()), failed: found.len() as u64 })
        },
    },
    Stage {
        name: "fmt",
        what: "cargo fmt",
        when: When::Always,
        needs: &[],
        needs_packages: false,
        install: None,
        run: |_| command::tally(&mut command::cargo(["fmt", "--all", "--", "--check"])),
    },
    Stage {
        name: "ui",
        what: "types, also that they are the newest; unit tests; in Chromium every view with axe, every flow by mouse and by keyboard alone",
        when: When::Always,
        needs: &[],
        needs_packages: true,
        install: None,
        run: |_| ui(),
    },
    Stage {
        name: "clippy",
        what: "lints of the whole workspace, warnings are errors",
        when: When::Always,
        needs: &["ui"],
        needs_packages: true,
        install: None,
        run: |_| {
            let lint = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
            command::tally(&mut command::cargo(lint))
        },
    },
    Stage {
        name: "peers",
        what: "other people's servers and clients, installed below target/",
        when: When::Always,
        needs: &[],
        needs_packages: true,
        install: Some(|| peers::install().map(drop)),
        run: |_| Ok(Tally { passed: 1, failed: 0 }),
    },
    Stage {
        name: "test",
        what: "unit, crate and end to end tests, with the real peers and the real window",
        when: When::Always,
        needs: &["ui", "peers"],
        needs_packages: true,
        install: None,
        run: |run| cargo_test(run, &[]),
    },
    Stage {
        name: "desktop",
        what: "the real window alone, which is also a part of \"test\"",
        when: When::Asked,
        needs: &["ui", "peers"],
        needs_packages: true,
        install: None,
        run: |run| {
            // One of its tests starts the agent, which no target of the window builds.
            command::run(&mut command::cargo(["build", "--workspace", "--bins", "--locked"]))?;
            cargo_test(run, &["--test", "desktop"])
        },
    },
    Stage {
        name: "conformance",
        what: "the official MCP suite, driving the bridge",
        when: When::Always,
        needs: &["peers"],
        needs_packages: true,
        install: None,
        run: |run| conformance::run(run.full).map(|()| Tally { passed: 1, failed: 0 }),
    },
    Stage {
        name: "deny",
        what: "licences, sources and banned packages of everything that we build on",
        when: When::Always,
        needs: &[],
        needs_packages: false,
        install: Some(setup::cargo_deny),
        run: |_| deny(),
    },
    Stage {
        name: "windows",
        what: "compiles, lints and tests for Windows under Wine",
        when: When::Full,
        needs: &[],
        needs_packages: true,
        install: None,
        run: |_| windows::run(),
    },
    Stage {
        name: "macos",
        what: "type-checks for macOS",
        when: When::Full,
        needs: &[],
        needs_packages: true,
        install: None,
        run: |_| macos::check().map(|()| Tally { passed: 1, failed: 0 }),
    },
    Stage {
        name: "fresh-root",
        what: "the README's commands in a root with nothing but Rust in it",
        when: When::Full,
        needs: &[],
        needs_packages: false,
        install: None,
        run: |_| fresh_root::run(),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(arguments: &[&str]) -> Vec<&'static str> {
        let choice = Choice::parse(arguments).unwrap();
        STAGES.iter().filter(|stage| choice.takes(stage)).map(|stage| stage.name).collect()
    }

    #[test]
    fn the_gate_leaves_out_what_takes_long() {
        let gate = chosen(&[]);
        assert!(gate.contains(&"test") && gate.contains(&"deny"));
        assert!(!gate.contains(&"windows") && !gate.contains(&"desktop"));
        assert_eq!(chosen(&["--full"]).len(), gate.len() + 3);
    }

    #[test]
    fn one_stage_brings_what_it_needs() {
        assert_eq!(chosen(&["--only", "conformance"]), ["peers", "conformance"]);
        assert_eq!(chosen(&["--windows"]), ["windows"]);
    }

    #[test]
    fn a_stage_that_does_not_exist_is_named() {
        assert!(Choice::parse(&["--only", "window"]).unwrap_err().contains("no stage \"window\""));
        assert!(Choice::parse(&["--fulll"]).unwrap_err().contains("--fulll"));
        assert!(Choice::parse(&["--only"]).is_err());
    }
}
