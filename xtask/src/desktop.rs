//! `cargo xtask run`: builds everything that a person starts, and opens the window.

use std::env;
use std::process::Command;

use crate::{command, node, paths, report, setup};

/// Builds and opens; returns when the window is closed.
pub(crate) fn run(arguments: &[&str]) -> Result<(), String> {
    let displays = ["DISPLAY", "WAYLAND_DISPLAY"];
    if env::consts::OS == "linux"
        && displays.iter().all(|name| env::var_os(name).is_none_or(|v| v.is_empty()))
    {
        return Err("there is no display to open a window on: set DISPLAY or WAYLAND_DISPLAY, \
                    or see the main job without a window: cargo xtask demo"
            .to_owned());
    }
    setup::for_desktop()?;
    node::build_ui()?;
    report::step("building hallpass and its window", || {
        command::run(&mut command::cargo(["build", "--workspace", "--bins"]))
    })?;
    report::line("--- the window is open; this command ends when you close it");
    command::run(Command::new(paths::built("hallpass-desktop")).args(arguments))
}
