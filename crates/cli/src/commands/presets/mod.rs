//! `hallpass presets …`: one file a verb.

mod files;
mod follow;
mod keygen;
mod lint;
mod new;
mod sign;
mod verify;

use std::process::ExitCode;

use ipc::Error;

use crate::args::Presets;
use crate::output::Output;
use crate::wait;

/// Followers' verbs ask the agent; administrators' need neither it nor the network.
pub(crate) fn run(verb: Presets, quiet: bool) -> Result<ExitCode, Error> {
    let out = Output { json: false, quiet };
    let done = |()| ExitCode::SUCCESS;
    match verb {
        Presets::Subscribe(options) => {
            let out = Output { json: options.answer.json.json, quiet };
            wait(follow::subscribe(options, out)).map(done)
        }
        Presets::Update(options) => {
            let out = Output { json: options.answer.json.json, quiet };
            wait(follow::update(options, out)).map(done)
        }
        Presets::List(json) => wait(follow::list(Output { json: json.json, quiet })).map(done),
        Presets::Remove { id, json } => wait(follow::remove(id, Output { json: json.json, quiet })).map(done),
        Presets::New(options) => new::run(&options, out).map(done),
        Presets::Lint(options) => lint::run(&options, Output { json: options.json.json, quiet }),
        Presets::Schema => {
            out.line(preset::SCHEMA.trim_end());
            Ok(ExitCode::SUCCESS)
        }
        Presets::Keygen(options) => {
            keygen::run(&options, Output { json: options.json.json, quiet }).map(done)
        }
        Presets::Sign(options) => sign::run(&options, Output { json: options.json.json, quiet }).map(done),
        Presets::Verify(options) => {
            verify::run(&options, Output { json: options.json.json, quiet }).map(done)
        }
    }
}
