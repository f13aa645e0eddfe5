//! The demo: the whole main job once, with real parts, on any machine without a display. It prints each step
//! and what the step proves, and leaves nothing behind.
//!
//! Everything happens in a scratch home with its own D-Bus session, its own keychain and its own agent; the
//! person who runs it is not touched.

mod configs;
mod home;
mod show;
mod steps;

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut show = show::Show::default();
    match steps::play(&mut show).await {
        Ok(()) => {
            show.end();
            ExitCode::SUCCESS
        }
        Err(reason) => {
            show.failed(&reason);
            ExitCode::FAILURE
        }
    }
}
