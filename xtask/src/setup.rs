//! Installs what the other verbs need: Debian packages by apt, the rest below `target/tools`. Asks for nothing twice.

use std::process::Command;

use crate::{command, node, paths, peers, report};

/// A Debian package, the program or library by which other systems are asked for it, and what needs it.
type Package = (&'static str, Probe);

enum Probe {
    Program(&'static str),
    Library(&'static str),
    /// Chromium under any of its names, wherever it came from: Ubuntu has no package of it.
    Browser,
    /// Data and the like, which another system may have under any name.
    Unnamed,
}

/// The demo and the command line program: a compiler, and a D-Bus session with a keychain.
const DEMO: &[Package] = &[
    ("build-essential", Probe::Program("cc")),
    ("ca-certificates", Probe::Unnamed),
    ("dbus", Probe::Program("dbus-daemon")),
    ("gnome-keyring", Probe::Program("gnome-keyring-daemon")),
];

/// The window: what Tauri builds on, and Python, by which Node comes.
const DESKTOP: &[Package] = &[
    ("build-essential", Probe::Program("cc")),
    ("ca-certificates", Probe::Unnamed),
    ("file", Probe::Program("file")),
    ("libayatana-appindicator3-dev", Probe::Library("ayatana-appindicator3-0.1")),
    ("librsvg2-dev", Probe::Library("librsvg-2.0")),
    ("libwebkit2gtk-4.1-dev", Probe::Library("webkit2gtk-4.1")),
    ("libxdo-dev", Probe::Unnamed),
    ("pkg-config", Probe::Program("pkg-config")),
    ("python3-venv", Probe::Program("python3")),
];

/// The tests: displays, drivers, a browser.
const TESTS: &[Package] = &[
    ("at-spi2-core", Probe::Unnamed),
    ("chromium", Probe::Browser),
    ("dbus-x11", Probe::Program("dbus-launch")),
    ("fonts-dejavu-core", Probe::Unnamed),
    ("libsecret-tools", Probe::Program("secret-tool")),
    ("minisign", Probe::Program("minisign")),
    ("openbox", Probe::Program("openbox")),
    ("webkit2gtk-driver", Probe::Program("WebKitWebDriver")),
    ("xauth", Probe::Program("xauth")),
    ("xdotool", Probe::Program("xdotool")),
    ("xvfb", Probe::Program("Xvfb")),
];

/// Code for Windows and macOS: a compiler with the sources of its standard library, mingw, Wine, and Python for zig.
const OTHER_SYSTEMS: &[Package] = &[
    ("build-essential", Probe::Program("cc")),
    ("gcc-mingw-w64-x86-64-posix", Probe::Program("x86_64-w64-mingw32-gcc")),
    ("libstd-rust-web-dev", Probe::Unnamed),
    ("python3-venv", Probe::Program("python3")),
    ("rust-web-clippy", Probe::Unnamed),
    ("rust-web-src", Probe::Unnamed),
    ("rustc-web", Probe::Unnamed),
    ("wine64", Probe::Unnamed),
];

/// A root with nothing in it.
const FRESH_ROOT: &[Package] = &[
    ("debootstrap", Probe::Program("debootstrap")),
    ("git", Probe::Program("git")),
    ("util-linux", Probe::Program("unshare")),
];

/// All of it.
pub(crate) fn everything() -> Result<(), String> {
    for_tests()?;
    node::install()?;
    report::step("the packages of the user interface", node::install_ui_packages)?;
    cargo_deny()?;
    report::step("the peers of the tests", || peers::install().map(drop))?;
    report::line("everything is there");
    Ok(())
}

/// What the demo needs.
pub(crate) fn for_demo() -> Result<(), String> {
    packages(&[DEMO])
}

/// What building the window needs, without Node.
pub(crate) fn for_desktop() -> Result<(), String> {
    packages(&[DESKTOP])
}

/// What the tests need, without the tools below `target/`.
pub(crate) fn for_tests() -> Result<(), String> {
    packages(&[DEMO, DESKTOP, TESTS])
}

/// What compiling, testing and checking for Windows and macOS needs.
pub(crate) fn for_other_systems() -> Result<(), String> {
    packages(&[OTHER_SYSTEMS])
}

/// Installs cargo-deny, unless this version of it is there. Built without optimisation: it runs for seconds.
pub(crate) fn cargo_deny() -> Result<(), String> {
    let program = paths::tools().join("bin/cargo-deny");
    let wanted = format!("cargo-deny {CARGO_DENY}");
    let found = program.exists().then(|| command::output(Command::new(&program).arg("--version")));
    if found.is_some_and(|answer| answer.is_ok_and(|said| String::from_utf8_lossy(&said).trim() == wanted)) {
        return Ok(());
    }
    report::step(&format!("installing {wanted}"), || {
        let exact = format!("cargo-deny@{CARGO_DENY}");
        let mut install = command::cargo(["install", "--quiet", "--locked", "--debug", "--force", "--root"]);
        // Its own target folder: this may run beside the build of the workspace, which would lock the other one.
        let build = paths::tools().join("build");
        command::run(install.arg(paths::tools()).args([exact.as_str(), "--target-dir"]).arg(&build))?;
        // A gigabyte that nothing needs any more.
        let _ = std::fs::remove_dir_all(build);
        Ok(())
    })
}

/// Says what is missing of the Rust toolchain, which nobody but its owner should change.
pub(crate) fn toolchain() -> Result<(), String> {
    for (component, verb) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        if command::output(&mut command::cargo([verb, "--version"])).is_err() {
            return Err(format!("cargo {verb} is missing: run `rustup component add {component}`"));
        }
    }
    Ok(())
}

/// What making a fresh root needs.
pub(crate) fn for_fresh_root() -> Result<(), String> {
    packages(&[FRESH_ROOT])
}

fn packages(groups: &[&[Package]]) -> Result<(), String> {
    let wanted: Vec<&Package> = groups.iter().copied().flatten().collect();
    if !command::exists("apt-get") || !command::exists("dpkg-query") {
        return elsewhere(&wanted);
    }
    let mut missing: Vec<&str> =
        wanted.iter().filter(|package| !is_installed(package)).map(|(name, _)| *name).collect();
    missing.sort_unstable();
    missing.dedup();
    if missing.is_empty() {
        return Ok(());
    }
    report::step(&format!("apt installs {}", missing.join(" ")), || {
        let mut install = vec!["install", "-y", "-q", "--no-install-recommends"];
        install.extend(&missing);
        // A fresh machine has no package lists, and old lists name files that are gone.
        let done = apt(&install).or_else(|_| apt(&["update", "-q"]).and_then(|()| apt(&install)));
        let by_hand = format!("apt-get update && apt-get install {}", missing.join(" "));
        done.map_err(|error| format!("{error}\nrun this as root, then try again: {by_hand}"))
    })
}

fn is_installed((package, probe): &Package) -> bool {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat=${db:Status-Status}", package]);
    command::output(&mut query).is_ok_and(|status| status == b"installed")
        || matches!(probe, Probe::Browser) && has_browser()
}

fn has_browser() -> bool {
    std::env::var_os("CHROMIUM").is_some() || BROWSERS.into_iter().any(command::exists)
}

fn apt(arguments: &[&str]) -> Result<(), String> {
    let root = command::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim_ascii() == b"0");
    let mut apt = if root {
        Command::new("env")
    } else if command::exists("sudo") {
        let mut sudo = Command::new("sudo");
        // Nobody is there to type a password.
        if std::env::var_os("CI").is_some() {
            sudo.arg("--non-interactive");
        }
        sudo.arg("env");
        sudo
    } else {
        return Err("packages are missing, you are not root, and there is no sudo".to_owned());
    };
    command::run(
        apt.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=300"])
            .args(arguments),
    )
}

/// On a system without apt nothing is installed: what is missing is named.
fn elsewhere(wanted: &[&Package]) -> Result<(), String> {
    let missing: Vec<String> = wanted
        .iter()
        .filter_map(|(package, probe)| match probe {
            Probe::Program(name) if !command::exists(name) => Some(format!("{name} (Debian: {package})")),
            Probe::Library(name)
                if command::output(Command::new("pkg-config").args(["--exists", name])).is_err() =>
            {
                Some(format!("the library {name} with its headers (Debian: {package})"))
            }
            Probe::Browser if !has_browser() => {
                Some("Chromium (or name one in the variable CHROMIUM)".to_owned())
            }
            Probe::Program(_) | Probe::Library(_) | Probe::Browser | Probe::Unnamed => None,
        })
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!(
        "this system has no apt, so install these by its own package manager: {}",
        missing.join(", ")
    ))
}

/// The same names as in `ui/tests/browser.mjs`.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
const CARGO_DENY: &str = "0.20.2";
