//! The README's two commands in a root that holds a minimal Debian, Rust with its linker, and nothing else.
//!
//! ```text
//! debootstrap minbase + gcc -> copy what the network here needs -> the committed tree -> chroot: demo, test
//! ```
//! What it printed stays in `target/fresh-root`; what it proved is written to `docs/fresh-root-result.md`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{self, Tally};
use crate::{paths, report, setup};

/// Builds the root anew, runs both commands in it, and writes the result.
pub(crate) fn run() -> Result<Tally, String> {
    if command::output(Command::new("id").arg("-u"))?.trim_ascii() != b"0" {
        return Err("a fresh root can be made by root only: run this stage as root".to_owned());
    }
    setup::for_fresh_root()?;
    let root = paths::workspace().join("target/fresh-root/root");
    report::step("debootstrap makes a root with a linker in it", || make(&root))?;
    let mut written = String::new();
    let mut total = Tally::default();
    for verb in ["demo", "test"] {
        report::line(&format!("--- in the fresh root: cargo xtask {verb}"));
        let log = root.with_file_name(format!("{verb}.log"));
        let found = command::tally_into(&mut inside(&root, verb)?, &log)?;
        let said =
            fs::read_to_string(&log).map_err(|error| format!("cannot read {}: {error}", log.display()))?;
        written.push_str(&section(verb, &said));
        total = Tally { passed: total.passed + found.passed, failed: total.failed + found.failed };
    }
    let path = paths::workspace().join("docs/fresh-root-result.md");
    fs::write(&path, format!("{HEAD}{written}"))
        .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    if total.failed == 0 {
        // Some gigabytes that nothing needs any more; the logs stay.
        fs::remove_dir_all(&root).map_err(|error| format!("cannot remove {}: {error}", root.display()))?;
    }
    Ok(total)
}

fn make(root: &Path) -> Result<(), String> {
    if root.exists() {
        fs::remove_dir_all(root).map_err(|error| format!("cannot remove {}: {error}", root.display()))?;
    }
    let in_root = |path: &str| root.join(path.trim_start_matches('/'));
    let folder = |path: &Path| {
        fs::create_dir_all(path).map_err(|error| format!("cannot make {}: {error}", path.display()))
    };
    folder(root)?;
    let (mirror, codename) = archive()?;
    // Rust's own installation asks for a linker; everything else is for the commands to bring.
    let mut bootstrap = Command::new("debootstrap");
    bootstrap.args(["--variant=minbase", "--include=gcc,libc6-dev", &codename]).arg(root).arg(mirror);
    command::quietly(&mut bootstrap)?;
    folder(&in_root(RUST))?;
    folder(&in_root(REPOSITORY))?;
    // What debootstrap wrote names the archive once more.
    fs::remove_file(in_root("/etc/apt/sources.list"))
        .map_err(|error| format!("cannot remove sources.list: {error}"))?;
    for path in OF_THE_NETWORK {
        let found = Path::new(path);
        if found.exists() {
            let target = in_root(path);
            target.parent().map_or(Ok(()), folder)?;
            // Onto the folder of that name, not into it.
            let mut copy = Command::new("cp");
            command::run(copy.args(["--archive", "--no-target-directory"]).arg(found).arg(target))?;
        }
    }
    let home = std::env::var_os("HOME").map(PathBuf::from).ok_or("HOME is not set")?;
    for name in [".npmrc", ".cargo/config.toml"] {
        if home.join(name).exists() {
            folder(&in_root(HOME).join(".cargo"))?;
            fs::copy(home.join(name), in_root(HOME).join(name))
                .map_err(|error| format!("cannot copy {name}: {error}"))?;
        }
    }
    // No service is started in a root that is none of a running system.
    fs::write(in_root("/usr/sbin/policy-rc.d"), "#!/bin/sh\nexit 101\n")
        .and_then(|()| set_executable(&in_root("/usr/sbin/policy-rc.d")))
        .map_err(|error| format!("cannot write policy-rc.d: {error}"))?;
    let tree = root.with_file_name("tree.tar");
    let mut archive = Command::new("git");
    archive.current_dir(paths::workspace()).args(["archive", "--format=tar", "--output"]);
    command::run(archive.arg(&tree).arg("HEAD"))?;
    let mut unpack = Command::new("tar");
    command::run(unpack.args(["--extract", "--file"]).arg(&tree).arg("--directory").arg(in_root(REPOSITORY)))
}

fn set_executable(path: &Path) -> std::io::Result<()> {
    let status = Command::new("chmod").arg("+x").arg(path).status()?;
    if status.success() { Ok(()) } else { Err(std::io::Error::other("chmod failed")) }
}

/// The archive that this machine's own apt uses, and the name of its release.
fn archive() -> Result<(String, String), String> {
    let mut query = Command::new("apt-get");
    query.args(["indextargets", "--format", "$(REPO_URI) $(CODENAME) $(COMPONENT) $(IDENTIFIER)"]);
    let said = command::output(&mut query)?;
    let said = String::from_utf8_lossy(&said);
    let main = said.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [uri, codename, "main", "Packages"] if !codename.contains('-') => {
                Some((uri.to_owned(), codename.to_owned()))
            }
            _ => None,
        }
    });
    main.ok_or_else(|| "apt names no archive to make a root from: run apt-get update".to_owned())
}

/// `cargo xtask <verb>` in the root, in namespaces of its own, so that nothing that it starts outlives it.
fn inside(root: &Path, verb: &str) -> Result<Command, String> {
    let sysroot = command::output(Command::new("rustc").args(["--print", "sysroot"]))?;
    let sysroot = String::from_utf8_lossy(&sysroot).trim().to_owned();
    let mut run = Command::new("unshare");
    run.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", ENTER, "sh"]);
    run.arg(root).arg(sysroot).arg(RUST).arg(REPOSITORY);
    for (name, value) in std::env::vars() {
        let upper = name.to_uppercase();
        if ["CERT", "CA_BUNDLE", "PROXY"].iter().any(|word| upper.contains(word)) {
            run.arg(format!("{name}={value}"));
        }
    }
    run.args(["cargo", "xtask", verb]);
    Ok(run)
}

/// What a reader of the result wants of a log: each step of the demo, each line of the stages' table.
fn section(verb: &str, said: &str) -> String {
    let of_the_demo = |line: &str| {
        line.starts_with("    = ") || line.contains("things proven") || line.starts_with("The demo stops")
    };
    let of_the_stages = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let row = matches!(words.first(), Some(&("ok" | "FAILED"))) && line.ends_with(" failed");
        row || words.first().is_some_and(|n| n.parse::<u64>().is_ok()) && words.get(1) == Some(&"passed,")
    };
    let wanted = |line: &&str| if verb == "demo" { of_the_demo(line) } else { of_the_stages(line) };
    let lines: Vec<&str> = said.lines().filter(wanted).collect();
    format!("\n## `cargo xtask {verb}`\n\n```text\n{}\n```\n", lines.join("\n"))
}

/// Arguments: root, sysroot, where Rust goes, where the repository is, then variables and the command.
const ENTER: &str = r#"root=$1 sysroot=$2 rust=$3 repository=$4; shift 4
mount --make-rprivate /
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount --bind "$sysroot" "$root$rust"
mount -o remount,bind,ro "$root$rust"
cd /
exec chroot "$root" env -i HOME="${repository%/*}" LANG=C.UTF-8 PATH="$rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
  sh -euc 'cd "$0"; exec env "$@"' "$repository" "$@""#;

/// Files by which programs here reach the package registries; machines differ in them.
const OF_THE_NETWORK: [&str; 9] = [
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/pip.conf",
    "/etc/ssl/certs",
    "/usr/local/share/ca-certificates",
    "/etc/apt/sources.list",
    "/etc/apt/sources.list.d",
    "/etc/apt/apt.conf.d",
    "/etc/apt/trusted.gpg.d",
];
const RUST: &str = "/opt/rust";
const HOME: &str = "/person";
const REPOSITORY: &str = "/person/hallpass";

const HEAD: &str = "# The README's commands in a fresh root

A minimal Debian by debootstrap with `gcc`, `libc6-dev` (Rust's own installation asks for a linker) and a Rust
toolchain; everything else was installed by the commands themselves. Written by the stage `fresh-root` of
`cargo xtask test --full`; the whole logs stay in `target/fresh-root`.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_holds_what_was_proven_and_no_path() {
        let demo = "\n 1. A scratch home\n      sign-in at http://127.0.0.1:1\n    = no file is left\n\n9 steps, 22 things proven, 43 s.";
        let shown = section("demo", demo);
        assert!(shown.contains("    = no file is left\n9 steps"), "{shown}");
        assert!(!shown.contains("127.0.0.1"));
        let stages = "test a ... ok\nok     fmt              0.9 s  1 passed, 0 failed\n58 passed, 0 failed\n=== fmt: ok in 1 s";
        let shown = section("test", stages);
        assert!(
            shown.contains("ok     fmt") && shown.contains("58 passed") && !shown.contains("==="),
            "{shown}"
        );
    }
}
