//! A scratch home with `hallpass` in it, as the demo's person has it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use testbed::sandbox::Sandbox;
use testbed::scanner::{Output, Surface};

use crate::show::Reason;

/// The home, and everything that was printed in it.
pub(crate) struct Home {
    pub(crate) sandbox: Sandbox,
    hallpass: PathBuf,
    testbed: PathBuf,
    printed: Vec<Printed>,
}

struct Printed {
    name: String,
    out: Vec<u8>,
    err: Vec<u8>,
}

impl Home {
    /// Makes it. The two programs are those beside this one.
    pub(crate) fn new() -> Result<Self, Reason> {
        let own =
            std::env::current_exe().map_err(|e| format!("this program's own path cannot be read: {e}"))?;
        let beside = |name: &str| {
            let path = own.with_file_name(format!("{name}{}", std::env::consts::EXE_SUFFIX));
            let missing = || format!("{} is missing; run it by: cargo xtask demo", path.display());
            path.is_file().then(|| path.clone()).ok_or_else(missing)
        };
        let (hallpass, testbed) = (beside("hallpass")?, beside("testbed")?);
        let sandbox = Sandbox::new().map_err(|e| match std::error::Error::source(&e) {
            Some(source) => format!("{e}: {source}"),
            None => e.to_string(),
        })?;
        Ok(Self { sandbox, hallpass, testbed, printed: Vec::new() })
    }

    /// Runs `hallpass` and returns what it said on stdout. A failure is the demo's failure.
    pub(crate) async fn hallpass(&mut self, args: &[&str]) -> Result<String, Reason> {
        self.run(args, None).await
    }

    /// Runs `hallpass` with a scripted browser that signs in as `person`.
    pub(crate) async fn hallpass_with_browser(
        &mut self,
        args: &[&str],
        person: &str,
    ) -> Result<String, Reason> {
        let browser = format!("{} browser --as {person}", self.testbed.display());
        self.run(args, Some(&browser)).await
    }

    /// The same as JSON.
    pub(crate) async fn json(&mut self, args: &[&str]) -> Result<Value, Reason> {
        let text = self.hallpass(args).await?;
        serde_json::from_str(&text)
            .map_err(|e| format!("hallpass {} did not print JSON: {e}", args.join(" ")))
    }

    /// Starts what a config entry says, with the little that hosts leave of the environment.
    pub(crate) fn entry(&self, entry: &Value) -> Result<Command, Reason> {
        let program = entry["command"].as_str().ok_or("the entry has no command")?;
        let args = entry["args"].as_array().ok_or("the entry has no args")?;
        let mut command = self.sandbox.bare_command(program);
        command.args(args.iter().filter_map(Value::as_str));
        Ok(command)
    }

    /// Keeps what a process printed, for the scan.
    pub(crate) fn keep(&mut self, name: &str, out: Vec<u8>, err: Vec<u8>) {
        self.printed.push(Printed { name: name.to_owned(), out, err });
    }

    /// Everything that was printed so far.
    pub(crate) fn outputs(&self) -> Vec<Output<'_>> {
        self.printed
            .iter()
            .flat_map(|p| {
                [
                    Output { surface: Surface::Stdout, name: &p.name, bytes: &p.out },
                    Output { surface: Surface::Stderr, name: &p.name, bytes: &p.err },
                ]
            })
            .collect()
    }

    /// A path of this home.
    pub(crate) fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.sandbox.home().join(below)
    }

    async fn run(&mut self, args: &[&str], browser: Option<&str>) -> Result<String, Reason> {
        let mut command = self.sandbox.command(&self.hallpass);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(browser) = browser {
            command.env("BROWSER", browser);
        }
        let words = format!("hallpass {}", args.join(" "));
        let output = tokio::process::Command::from(command).output().await;
        let output = output.map_err(|e| format!("{words} cannot be started: {e}"))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        self.keep(&words, output.stdout, output.stderr);
        if output.status.success() { Ok(text) } else { Err(format!("{words} failed: {said}")) }
    }
}
