//! The demo, as anybody would run it: to its end, with every proof on the screen.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::executable;

/// It waits for tokens to end, 32 s, and does everything else besides.
const LIMIT: Duration = Duration::from_mins(10);

#[tokio::test]
async fn the_demo_proves_what_it_says_and_ends_well() {
    let program = executable().with_file_name("demo");
    assert!(program.is_file(), "{} is missing; run: cargo build --workspace --bins", program.display());
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut command = tokio::process::Command::from(command);
    let output = tokio::time::timeout(LIMIT, command.kill_on_drop(true).output()).await;
    let output = output.expect("the demo ends in time").expect("it can be started");
    let said = String::from_utf8(output.stdout).expect("it prints UTF-8");
    let reason = said.lines().last().unwrap_or_default();
    assert!(output.status.success(), "{reason}\n\nwhat it said before:\n{said}");
    let proofs: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("    = ")).collect();
    for proof in [
        "two accounts, each proven",
        "claude-desktop's file names our bridge and holds no token",
        "cursor's file names our bridge and holds no token",
        "claude-desktop, with an almost empty environment: whoami = ana",
        "cursor, with an almost empty environment: whoami = ben",
        "the very next call is the new person's: whoami = ben",
        "the running call ended as it began: slow = ana",
        "claude-desktop: whoami = ben",
        "the agent renewed",
        "the issuer saw no refresh token twice and revoked nobody",
        "the scanner finds the canary",
        "no secret is readable anywhere",
        "claude-desktop's file is byte for byte what it was",
        "cursor's file is byte for byte what it was",
        "the issuer was told",
        "no process is left",
        "no file is left",
    ] {
        assert!(proofs.iter().any(|line| line.starts_with(proof)), "not proven: {proof}\n{said}");
    }
    let last = format!("{} things proven", proofs.len());
    assert!(said.contains(&last), "{last}\n{said}");
}
