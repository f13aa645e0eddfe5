//! `cargo xtask`: everything that is done with this repository besides building it. Light: it compiles in seconds.

mod arrows;
mod bench;
mod command;
mod conformance;
mod demo;
mod desktop;
mod fresh_root;
mod help;
mod macos;
mod node;
mod paths;
mod peers;
mod report;
mod rust_text;
mod screenshots;
mod setup;
mod source_rules;
mod stages;
mod types;
mod windows;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        [] | ["help" | "--help" | "-h"] => return help::show(None),
        [verb, "--help" | "-h"] => return help::show(Some(verb)),
        ["demo", rest @ ..] => demo::run(rest),
        ["run", rest @ ..] => desktop::run(rest),
        ["test", rest @ ..] => stages::test(rest),
        ["screenshots"] => screenshots::take(),
        ["check", "--macos"] => macos::check(),
        ["types"] => types::write(),
        ["setup"] => setup::everything(),
        ["bench", rest @ ..] => bench::run(rest),
        [verb, ..] => return help::misunderstood(verb),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            report::complain(&reason);
            ExitCode::FAILURE
        }
    }
}
