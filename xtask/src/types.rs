//! `cargo xtask types`: the window's TypeScript types, made from the control wire by ts-rs.

use std::process::Command;

use crate::command::{self, Tally};
use crate::report;

/// What the test understands as an order to write.
const WRITE: &str = "HALLPASS_WRITE_TYPES";

/// Writes `ui/src/ipc/generated/wire.ts` anew.
pub(crate) fn write() -> Result<(), String> {
    command::run(generator().env(WRITE, "1"))?;
    report::line("ui/src/ipc/generated/wire.ts is up to date");
    Ok(())
}

/// Fails where the committed file is not what the wire makes of it now.
pub(crate) fn fresh() -> Result<Tally, String> {
    command::tally(generator().env_remove(WRITE))
}

fn generator() -> Command {
    command::cargo([
        "test",
        "--quiet",
        "--locked",
        "-p",
        "hallpass-ipc",
        "--features",
        "ts",
        "--test",
        "typescript",
    ])
}
