//! A false secret that is put where true ones must not be, to see whether the scanner sees.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use super::needles::{Encoding, variants};
use super::{Output, Surface};
use crate::sandbox::Sandbox;
use crate::web::random_text;

/// A random false secret. Its characters make all encodings differ.
#[derive(Clone, Debug)]
pub struct Canary(String);

/// The encodings that are planted in files.
pub(super) const PLANTED_IN_FILES: [Encoding; 6] = [
    Encoding::Plain,
    Encoding::Base64,
    Encoding::Base64Url,
    Encoding::Percent,
    Encoding::Json,
    Encoding::Utf16,
];

impl Canary {
    pub(super) fn new() -> Self {
        Self(format!("canary/???>>>~{}", random_text(16)))
    }

    /// The value, to be planted elsewhere too.
    pub fn value(&self) -> &str {
        &self.0
    }

    /// Puts it in files, a file name, a command line, an environment and two outputs of the sandbox.
    pub(super) fn plant(&self, sandbox: &Sandbox) -> io::Result<Planted> {
        let home = sandbox.home();
        let mut planted =
            Planted { files: Vec::new(), sleeper: None, stdout: Vec::new(), stderr: Vec::new() };
        let needles = variants(None, &self.0);
        for (at, needle) in needles.iter().enumerate() {
            // Across the borders of reads of any usual size, where a search in pieces would lose it.
            let mut content = vec![b'.'; 65_536 - needle.bytes.len() / 2];
            content.extend(&needle.bytes);
            let path = home.join(format!("canary-{at}"));
            fs::write(&path, content)?;
            planted.files.push(path);
        }
        let as_name = needles.iter().find(|needle| needle.encoding == Encoding::Percent);
        if let Some(name) = as_name.and_then(|needle| std::str::from_utf8(&needle.bytes).ok()) {
            fs::write(home.join(name), "named")?;
            planted.files.push(home.join(name));
        }
        let mut sleeper = sandbox.command("sh");
        // The shell stays, for its command line; `read` ends with the pipe, should we die.
        sleeper.args(["-c", "read -r line; :", &self.0]).env("CANARY", &self.0);
        planted.sleeper = Some(sleeper.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?);
        let script = "printf '%s' \"$0\"; printf '%s' \"$0\" >&2";
        let spoken = sandbox.command("sh").args(["-c", script, &self.0]).stdin(Stdio::null()).output()?;
        (planted.stdout, planted.stderr) = (spoken.stdout, spoken.stderr);
        Ok(planted)
    }
}

/// Takes the canary away again when dropped.
#[derive(Debug)]
pub(super) struct Planted {
    files: Vec<PathBuf>,
    sleeper: Option<Child>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Planted {
    pub(super) fn outputs(&self) -> [Output<'_>; 2] {
        [(Surface::Stdout, &self.stdout), (Surface::Stderr, &self.stderr)].map(|(surface, bytes)| Output {
            surface,
            name: "canary",
            bytes,
        })
    }
}

impl Drop for Planted {
    fn drop(&mut self) {
        for file in &self.files {
            // The folder itself is scratch and goes soon.
            let _ = fs::remove_file(file);
        }
        if let Some(sleeper) = &mut self.sleeper {
            let _ = sleeper.kill();
            let _ = sleeper.wait();
        }
    }
}
