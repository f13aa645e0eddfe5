//! Compiles, lints and tests for Windows on a Debian machine: Debian's rustc with a Windows standard library
//! built from its own sources, mingw as linker, Wine to run what comes out.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::command::{self, Tally};
use crate::{paths, report, setup};

/// The packages whose code differs on Windows, by the folder below `crates/`.
const PACKAGES: [&str; 6] = ["platform", "token-store", "token-lease", "client-config", "ipc", "bridge"];

/// Runs it, and counts the checks.
pub(crate) fn run() -> Result<Tally, String> {
    setup::for_other_systems()?;
    let cross = Cross::at(paths::target().join("windows-cross"));
    fs::create_dir_all(&cross.folder).map_err(|error| named(&cross.folder, &error))?;
    cross.standard_library()?;
    cross.wine()?;
    let _server = cross.server()?;
    let mut total = Tally::default();
    for package in PACKAGES {
        let name = format!("hallpass-{package}");
        let found = report::step(&format!("{package}: lint"), || command::tally(&mut cross.clippy(&name)))?;
        add(&mut total, found);
        let found =
            report::step(&format!("{package}: tests under Wine"), || command::tally(&mut cross.test(&name)))?;
        add(&mut total, found);
    }
    Ok(total)
}

/// Debian's rustc: the one compiler at hand whose sources for a standard library are a package too.
pub(crate) const RUSTC: &str = "/usr/bin/rustc";

/// Its clippy, in the workspace. Through cargo it would be the toolchain's own, which does not know this compiler's
/// library.
pub(crate) fn clippy() -> Command {
    let cargo = command::cargo([]);
    let mut clippy = Command::new("/usr/bin/cargo-clippy");
    clippy
        .arg("clippy")
        .env("CARGO", cargo.get_program())
        .env("RUSTC", RUSTC)
        .current_dir(paths::workspace());
    for (name, _) in cargo.get_envs().filter(|(_, value)| value.is_none()) {
        clippy.env_remove(name);
    }
    clippy
}

/// What names the compiler, so that what was built by another one is built anew.
pub(crate) fn compiler() -> Result<String, String> {
    let said = command::output(Command::new(RUSTC).arg("-vV"))?;
    Ok(String::from_utf8_lossy(&said).into_owned())
}

/// An error about a path.
pub(crate) fn named(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}

const TARGET: &str = "x86_64-pc-windows-gnu";
const LINKER: &str = "x86_64-w64-mingw32-gcc";

/// The user that Wine runs as where we are root: as root it ignores read-only files and access lists.
const USER: &str = "hallpass-wine";

/// Wine 8 lacks a library from which Rust's standard library takes its random numbers.
const SHIM: &str = r"
#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE bytes, SIZE_T count) {
    while (count) {
        ULONG part = count > 0x10000000 ? 0x10000000 : (ULONG)count;
        if (!SystemFunction036(bytes, part)) return FALSE;
        bytes += part;
        count -= part;
    }
    return TRUE;
}
";

struct Cross {
    folder: PathBuf,
    /// Whether Wine has to be started as somebody else.
    root: bool,
}

impl Cross {
    fn at(folder: PathBuf) -> Self {
        let root = command::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim_ascii() == b"0");
        Self { folder, root }
    }

    fn sysroot(&self) -> PathBuf {
        self.folder.join("sysroot")
    }

    fn home(&self) -> PathBuf {
        self.folder.join("home")
    }

    fn runner(&self) -> PathBuf {
        self.folder.join("run")
    }

    /// Builds the standard library once per compiler.
    fn standard_library(&self) -> Result<(), String> {
        let stamp = self.folder.join("compiler");
        let compiler = compiler()?;
        if fs::read_to_string(&stamp).is_ok_and(|built_by| built_by == compiler) {
            return Ok(());
        }
        report::step("the standard library for Windows", || {
            let source = self.folder.join("std");
            let libraries = self.sysroot().join("lib/rustlib");
            for folder in [&source, &self.sysroot()] {
                if folder.exists() {
                    fs::remove_dir_all(folder).map_err(|error| named(folder, &error))?;
                }
            }
            write(&source.join("Cargo.toml"), EMPTY_PACKAGE)?;
            write(&source.join("src/main.rs"), "fn main() {}\n")?;
            let mut build = command::cargo([
                "build",
                "--quiet",
                "--release",
                "--target",
                TARGET,
                "-Zbuild-std=std,panic_unwind,panic_abort,test",
            ]);
            build.current_dir(&source);
            build
                .env("RUSTC", RUSTC)
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_TARGET_DIR", source.join("target"));
            build.env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER", LINKER);
            command::run(&mut build)?;
            let deps = source.join("target").join(TARGET).join("release/deps");
            let into = libraries.join(TARGET).join("lib");
            fs::create_dir_all(&into).map_err(|error| named(&into, &error))?;
            for entry in fs::read_dir(&deps).map_err(|error| named(&deps, &error))?.flatten() {
                if entry.path().extension().is_some_and(|extension| extension == "rlib") {
                    fs::copy(entry.path(), into.join(entry.file_name()))
                        .map_err(|error| named(&entry.path(), &error))?;
                }
            }
            // Build scripts and procedural macros are compiled for this machine with the same sysroot.
            let host = libraries.join("x86_64-unknown-linux-gnu");
            std::os::unix::fs::symlink("/usr/lib/rustlib/x86_64-unknown-linux-gnu", &host)
                .map_err(|error| named(&host, &error))?;
            fs::remove_dir_all(&source).map_err(|error| named(&source, &error))?;
            write(&stamp, &compiler)
        })
    }

    /// Makes the Wine prefix, its user where we are root, and the script that starts what was built.
    fn wine(&self) -> Result<(), String> {
        let home = self.home();
        fs::create_dir_all(&home).map_err(|error| named(&home, &error))?;
        if self.root {
            if command::output(Command::new("id").args(["-u", USER])).is_err() {
                let mut add = Command::new("useradd");
                add.args(["--system", "--shell", "/usr/sbin/nologin", "--home-dir"]).arg(&home).arg(USER);
                command::run(&mut add)?;
            }
            command::run(Command::new("chown").arg(USER).arg(&home))?;
            let mut look = self.as_user("test");
            if command::output(look.arg("-x").arg(&self.folder)).is_err() {
                return Err(format!(
                    "the user {USER}, whom Wine runs as, cannot reach {}: move the workspace out of a closed folder or set CARGO_TARGET_DIR",
                    self.folder.display()
                ));
            }
        }
        write(&self.runner(), &self.script())?;
        command::run(Command::new("chmod").arg("755").arg(self.runner()))?;
        let system = home.join("prefix/drive_c/windows/system32");
        let shim = system.join("bcryptprimitives.dll");
        if shim.exists() {
            return Ok(());
        }
        report::step("the Wine prefix", || {
            let source = self.folder.join("bcryptprimitives.c");
            let built = self.folder.join("bcryptprimitives.dll");
            write(&source, SHIM)?;
            let mut compile = Command::new(LINKER);
            compile.args(["-shared", "-O2", "-s", "-o"]).arg(&built).arg(&source).arg("-ladvapi32");
            command::run(&mut compile)?;
            // What these two say on a machine without a display is noise; the shim's folder is the proof.
            for words in [&["wineboot", "-i"][..], &["winecfg", "-v", "win10"]] {
                let mut boot = Command::new("timeout");
                let _ = command::output(boot.arg("120").arg(self.runner()).args(words).current_dir(&home));
            }
            let _ = command::output(self.as_user("timeout").args(["60", WINESERVER, "-w"]));
            fs::copy(&built, &shim).map(drop).map_err(|error| named(&shim, &error))
        })
    }

    /// Starts Wine's server for the whole run. By itself it ends with the last program, and one that is started in
    /// that very moment fails.
    fn server(&self) -> Result<Server<'_>, String> {
        let mut start = self.as_user(WINESERVER);
        start.arg("-p").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        match start.status() {
            // 2: it runs already.
            Ok(status) if status.success() || status.code() == Some(2) => Ok(Server(self)),
            Ok(status) => Err(format!("Wine's server ended with {status}")),
            Err(error) => Err(format!("cannot start Wine's server: {error}")),
        }
    }

    /// A program as the user that Wine runs as, with the prefix.
    fn as_user(&self, program: &str) -> Command {
        let mut command = if self.root {
            let mut command = Command::new("setpriv");
            command.args([&format!("--reuid={USER}"), &format!("--regid={USER}"), "--clear-groups", program]);
            command
        } else {
            Command::new(program)
        };
        command
            .env("WINEPREFIX", self.home().join("prefix"))
            .env("HOME", self.home())
            .current_dir(self.home());
        command
    }

    /// Cargo's runner: as the ordinary user, without a display, in UTF-8 (else arguments are garbled), and not
    /// for ever.
    fn script(&self) -> String {
        let user = if self.root {
            format!("setpriv --reuid={USER} --regid={USER} --clear-groups ")
        } else {
            String::new()
        };
        let home = self.home();
        format!(
            "#!/bin/sh\nexec {user}env -u DISPLAY HOME='{home}' LC_ALL=C.UTF-8 WINEPREFIX='{home}/prefix' \
             WINEDEBUG=-all HALLPASS_WINE=1 timeout 900 /usr/lib/wine/wine64 \"$@\"\n",
            home = home.display()
        )
    }

    fn test(&self, package: &str) -> Command {
        let mut test = command::cargo(["test", "--target", TARGET, "--package", package]);
        self.equip(&mut test);
        test
    }

    fn clippy(&self, package: &str) -> Command {
        let mut clippy = clippy();
        clippy.args(["--target", TARGET, "--all-targets", "--package", package, "--", "-D", "warnings"]);
        self.equip(&mut clippy);
        clippy
    }

    fn equip(&self, cargo: &mut Command) {
        let sysroot = format!("--sysroot {}", self.sysroot().display());
        cargo.env("RUSTC", RUSTC).env("RUSTDOC", "/usr/bin/rustdoc");
        cargo.env("CARGO_TARGET_DIR", self.folder.join("target")).env("CARGO_PROFILE_DEV_DEBUG", "0");
        cargo.env("RUSTDOCFLAGS", &sysroot).env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUSTFLAGS", &sysroot);
        cargo.env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER", LINKER);
        cargo.env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER", self.runner());
    }
}

/// Wine's server, which ends with this value.
struct Server<'a>(&'a Cross);

impl Drop for Server<'_> {
    fn drop(&mut self) {
        let _ = command::output(self.0.as_user(WINESERVER).arg("-k"));
    }
}

const WINESERVER: &str = "/usr/lib/wine/wineserver64";

const EMPTY_PACKAGE: &str =
    "[package]\nname = \"empty\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n";

/// Writes a file and the folders above it.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), String> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(|error| named(folder, &error))?;
    fs::write(path, text).map_err(|error| named(path, &error))
}

fn add(total: &mut Tally, found: Tally) {
    total.passed += found.passed;
    total.failed += found.failed;
}
