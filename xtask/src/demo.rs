//! `cargo xtask demo`: builds the program and the testbed, and plays the main job with them.

use std::process::Command;

use crate::{command, paths, report, setup};

/// Runs the demo; what follows the verb is passed on to it.
pub(crate) fn run(arguments: &[&str]) -> Result<(), String> {
    setup::for_demo()?;
    // The default members: everything but the window, so that no web view library is needed.
    report::step("building hallpass and its testbed", || {
        command::run(&mut command::cargo(["build", "--bins"]))
    })?;
    command::run(Command::new(paths::built("demo")).args(arguments).current_dir(paths::workspace()))
}
