//! What `cargo xtask` can do, in words.

use std::process::ExitCode;

use crate::report;
use crate::stages;

/// Shows the help of one verb, or of all.
pub(crate) fn show(verb: Option<&str>) -> ExitCode {
    match verb {
        None | Some("demo" | "run" | "screenshots" | "setup" | "check" | "types") => report::line(ALL),
        Some("bench") => report::line(BENCH),
        Some("test") => {
            report::line(TEST);
            report::line(&stages::listing());
        }
        Some(other) => return misunderstood(other),
    }
    ExitCode::SUCCESS
}

/// Says that there is no such verb, and what there is.
pub(crate) fn misunderstood(verb: &str) -> ExitCode {
    report::complain(&format!("cargo xtask does not understand \"{verb}\"\n\n{ALL}"));
    ExitCode::from(2)
}

const ALL: &str = "\
Usage: cargo xtask <verb>

  demo            shows the whole main job in a session of its own, and leaves nothing behind
  run             builds Hallpass and opens its window
  test            runs the gate: every check that a change must pass (`cargo xtask test --help`)
  screenshots     takes a picture of every view and state of the window into docs/screenshots/
  bench           measures the bridge beside other people's and the limit (`cargo xtask bench --help`)
  check --macos   type-checks the workspace for macOS
  types           writes the window's TypeScript types anew, from the control wire
  setup           installs everything that the verbs above need

Every verb installs what it needs itself: on Debian and Ubuntu with apt (through sudo if you are not root),
the rest below target/. Elsewhere it names what is missing and stops.";

const BENCH: &str = "\
Usage: cargo xtask bench [--only GROUP]... [--rounds N] [--no-peers] [--no-window]

  --only GROUP    only these rows, and docs/performance.md is left alone:
                  start, calls, big, many, gone, restart, cold, tls, window
  --rounds N      each figure is the median of N (3)
  --no-peers      ours, the floor and direct calls alone; else the peers are installed into target/bench
  --no-window     without the window and the tray, and without what building them needs

A whole run writes the tables of docs/performance.md. Leave the machine alone meanwhile.";

const TEST: &str = "\
Usage: cargo xtask test [--full | --windows | --only STAGE...] [--list]

  --full          also what takes long: every kill point, Windows, macOS; writes docs/full-test-result.md
  --windows       only the Windows stage: compiles, lints and runs the tests under Wine
  --only STAGE    only this stage, and what it needs; may be given more than once
  --list          names the stages and runs none

The stages, in order:";
