//! `cargo xtask bench`: builds ours in release, installs the peers, measures, writes the table of `docs/performance.md`.

mod peers;

use std::process::Command;

use crate::{command, node, paths, report, setup};

/// Runs the benchmark with what stands behind the verb.
pub(crate) fn run(arguments: &[&str]) -> Result<(), String> {
    let options = Options::parse(arguments)?;
    if options.windows {
        setup::for_tests()?;
        node::build_ui()?;
    } else {
        setup::for_demo()?;
    }
    let peers = if options.peers { Some(peers::install()?) } else { None };
    report::step("building hallpass, the floor and the benchmark (release)", || {
        command::run(&mut command::cargo(["build", "--release", "--locked", "-p", "hallpass-cli"]))?;
        command::run(&mut command::cargo(["build", "--release", "--locked", "-p", "hallpass-bench"]))
    })?;
    if options.windows {
        report::step("building the window and a bare one beside it (release)", || {
            let mut build = command::cargo(["build", "--release", "--locked", "-p", "hallpass-desktop"]);
            build.args(["-p", "hallpass-bare-window", "--features", "hallpass-bare-window/window"]);
            command::run(&mut build)
        })?;
    }
    let built = paths::target().join("release");
    let mut bench = Command::new(built.join("bench"));
    bench.arg("--hallpass").arg(built.join("hallpass")).arg("--floor").arg(built.join("floor"));
    if let Some(peers) = peers {
        bench.arg("--peers").arg(peers);
    }
    if options.windows {
        bench.arg("--windows").arg(&built);
    }
    bench.args(options.rest).arg("--page").arg(paths::workspace().join("docs/performance.md"));
    command::run(&mut bench)
}

struct Options<'a> {
    peers: bool,
    windows: bool,
    rest: Vec<&'a str>,
}

impl<'a> Options<'a> {
    fn parse(arguments: &[&'a str]) -> Result<Self, String> {
        let mut options = Self { peers: true, windows: true, rest: Vec::new() };
        let (mut words, mut only) = (arguments.iter(), Vec::new());
        while let Some(word) = words.next() {
            match *word {
                "--no-peers" => options.peers = false,
                "--no-window" => options.windows = false,
                "--only" | "--rounds" => {
                    let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
                    if *word == "--only" {
                        only.push(*value);
                    }
                    options.rest.extend([*word, value]);
                }
                other => return Err(format!("cargo xtask bench does not understand \"{other}\"")),
            }
        }
        if !only.is_empty() {
            options.peers &= !only.iter().all(|group| OURS_ALONE.contains(group));
            options.windows &= only.contains(&"window");
        }
        Ok(options)
    }
}

/// Groups of rows in which nobody else's bridge stands.
const OURS_ALONE: [&str; 3] = ["cold", "tls", "window"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_passed_on_and_unknown_ones_refused() {
        let options = Options::parse(&["--only", "start", "--no-peers", "--rounds", "5"]).unwrap();
        assert!(!options.peers && !options.windows);
        assert_eq!(options.rest, ["--only", "start", "--rounds", "5"]);
        assert!(Options::parse(&["--only"]).is_err());
        assert!(Options::parse(&["--fast"]).is_err());
    }

    #[test]
    fn what_no_chosen_row_needs_is_neither_built_nor_installed() {
        for (arguments, peers, windows) in [
            (&[][..], true, true),
            (&["--no-window"], true, false),
            (&["--only", "calls"], true, false),
            (&["--only", "tls", "--only", "cold"], false, false),
            (&["--only", "window"], false, true),
            (&["--only", "window", "--only", "start"], true, true),
            (&["--only", "window", "--no-window"], false, false),
        ] {
            let options = Options::parse(arguments).unwrap();
            assert_eq!((options.peers, options.windows), (peers, windows), "{arguments:?}");
        }
    }
}
