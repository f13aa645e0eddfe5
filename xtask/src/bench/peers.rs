//! Other people's bridges, from the registries into `target/bench`, once. One that does not come is left out: the table says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{command, node, paths, report};

const MCP_REMOTE: &str = "mcp-remote@0.15.1";
const MCP_STDIO: &str = "mcp-stdio==0.45.2";
const CRATES: [(&str, &str); 2] = [("mcp-relay", "1.0.0"), ("hyper-mcp-remote", "0.5.0")];

/// Installs what is missing and returns the folder.
pub(crate) fn install() -> Result<PathBuf, String> {
    let root = paths::workspace().join("target/bench");
    fs::create_dir_all(&root).map_err(|error| format!("cannot create {}: {error}", root.display()))?;
    attempt(MCP_REMOTE, || mcp_remote(&root));
    attempt(MCP_STDIO, || mcp_stdio(&root));
    for (name, version) in CRATES {
        attempt(name, || from_crates(&root, name, version));
    }
    Ok(root)
}

fn attempt(what: &str, install: impl FnOnce() -> Result<(), String>) {
    if let Err(error) = install() {
        report::complain(&format!("{what} is left out: {error}"));
    }
}

fn mcp_remote(root: &Path) -> Result<(), String> {
    if root.join("bin/node").exists() && is_stamped(root, MCP_REMOTE) {
        return Ok(());
    }
    node::install()?;
    let node = node::program()?;
    let folder = root.join("node");
    for new in [&folder, &root.join("bin")] {
        fs::create_dir_all(new).map_err(|error| format!("cannot create {}: {error}", new.display()))?;
    }
    report::step(&format!("installing {MCP_REMOTE}"), || {
        fs::write(folder.join("package.json"), "{}").map_err(|error| error.to_string())?;
        let bin = node.parent().ok_or("Node lies in no folder")?;
        let npm = bin.with_file_name("lib").join("node_modules/npm/bin/npm-cli.js");
        let mut install = Command::new(&node);
        install.arg(npm).args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
        command::run(install.args(["--save-exact", MCP_REMOTE]).current_dir(&folder))?;
        command::run(Command::new("ln").arg("-sfn").arg(&node).arg(root.join("bin/node")))
    })?;
    stamp(root, MCP_REMOTE)
}

fn mcp_stdio(root: &Path) -> Result<(), String> {
    if is_stamped(root, MCP_STDIO) {
        return Ok(());
    }
    let folder = root.join("py");
    report::step(&format!("installing {MCP_STDIO}"), || {
        command::run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        let mut pip = Command::new(folder.join("bin/pip"));
        command::run(pip.args(["install", "--quiet", "--disable-pip-version-check", MCP_STDIO]))
    })?;
    stamp(root, MCP_STDIO)
}

fn from_crates(root: &Path, name: &str, version: &str) -> Result<(), String> {
    let exact = format!("{name}@{version}");
    if root.join("cargo/bin").join(name).exists() && is_stamped(root, &exact) {
        return Ok(());
    }
    report::step(&format!("installing {exact}"), || {
        let mut install = command::cargo(["install", "--quiet", "--locked", "--force", exact.as_str()]);
        install.arg("--root").arg(root.join("cargo")).arg("--target-dir").arg(root.join("build"));
        command::run(&mut install)
    })?;
    stamp(root, &exact)
}

fn stamp(root: &Path, what: &str) -> Result<(), String> {
    fs::write(stamp_path(root, what), what).map_err(|error| error.to_string())
}

fn is_stamped(root: &Path, what: &str) -> bool {
    fs::read_to_string(stamp_path(root, what)).is_ok_and(|found| found == what)
}

fn stamp_path(root: &Path, what: &str) -> PathBuf {
    root.join(format!("installed-{}", what.replace(['@', '='], "-")))
}
