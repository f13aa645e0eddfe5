//! The counterpart as a program: the scripted browser for `$BROWSER`, and servers for tests in other processes.
//!
//! ```text
//! testbed browser --as NAME [--deny] [--ca FILE] [--log FILE] URL
//! testbed serve [--eras handshake|stateless|both] [--open]
//! ```

mod browser;
mod serve;

use std::io::Write as _;
use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let outcome = match arguments.next().as_deref() {
        Some("browser") => browser::run(arguments).await,
        Some("serve") => serve::run(arguments).await,
        Some(_) | None => {
            Err("usage: testbed browser --as NAME [--deny] [--ca FILE] [--log FILE] URL | testbed serve [--eras ERAS] [--open]".into())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do when stderr is gone as well.
            let _ = writeln!(std::io::stderr(), "testbed: {error}");
            ExitCode::FAILURE
        }
    }
}
