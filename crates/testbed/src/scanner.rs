//! Looks for secrets where none may be: files below a folder, command lines and environments of its processes,
//! and captured output. It plants a canary in every kind of place, and a report that misses one says that the
//! scanner is broken, not that all is well.

mod canary;
mod needles;
mod report;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use model::Secret;
use thiserror::Error;

use crate::authorization_server::IssuedSecret;
use crate::sandbox::{Process, Sandbox, processes_below};
use needles::{Needle, variants};

pub use canary::Canary;
pub use needles::Encoding;
pub use report::{Finding, Report, Surface, SurfaceCount};

/// A secret to look for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What it is, for the report.
    pub kind: String,
    /// The value.
    pub value: Secret<String>,
}

impl Wanted {
    /// A secret of this kind.
    pub fn new(kind: impl Into<String>, value: Secret<String>) -> Self {
        Self { kind: kind.into(), value }
    }
}

impl From<IssuedSecret> for Wanted {
    fn from(issued: IssuedSecret) -> Self {
        let person = issued.person.map(|person| format!(" of {person}")).unwrap_or_default();
        Self { kind: format!("{:?}{person}", issued.kind), value: issued.value }
    }
}

/// Why there is no scan.
#[derive(Debug, Error)]
pub enum ScannerError {
    /// Short text is found everywhere.
    #[error("a secret of kind {0} is too short to look for")]
    TooShort(String),
    /// Too many or too large.
    #[error("the secrets cannot be made into one search")]
    Build(#[from] aho_corasick::BuildError),
    /// The canary cannot be planted.
    #[error("the canary cannot be planted")]
    Plant(#[source] io::Error),
}

/// Captured output of a process.
#[derive(Clone, Copy, Debug)]
pub struct Output<'a> {
    /// [`Surface::Stdout`] or [`Surface::Stderr`].
    pub surface: Surface,
    /// Whose it is, for the report.
    pub name: &'a str,
    /// What was captured.
    pub bytes: &'a [u8],
}

/// Scans everything of a sandbox, and `outputs`, for `secrets`, with a canary planted meanwhile.
pub fn scan_sandbox(
    sandbox: &Sandbox,
    secrets: impl IntoIterator<Item = Wanted>,
    outputs: &[Output<'_>],
) -> Result<Report, ScannerError> {
    let mut scanner = Scanner::new(secrets)?;
    let planted = scanner.canary().plant(sandbox).map_err(ScannerError::Plant)?;
    scanner.scan_folder(sandbox.root());
    scanner.scan_processes(sandbox.root());
    for output in outputs.iter().copied().chain(planted.outputs()) {
        scanner.scan_output(output);
    }
    Ok(scanner.report())
}

/// The search, and what it has seen so far.
#[derive(Debug)]
pub struct Scanner {
    needles: Vec<Needle>,
    search: AhoCorasick,
    canary: Canary,
    report: Report,
}

impl Scanner {
    /// A search for `secrets` and for a canary of its own.
    pub fn new(secrets: impl IntoIterator<Item = Wanted>) -> Result<Self, ScannerError> {
        let canary = Canary::new();
        let mut needles = variants(None, canary.value());
        let mut count = 0;
        for wanted in secrets {
            if wanted.value.expose().len() < SHORTEST {
                return Err(ScannerError::TooShort(wanted.kind));
            }
            needles.extend(variants(Some(&wanted.kind), wanted.value.expose()));
            count += 1;
        }
        let search = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(needles.iter().map(|needle| &needle.bytes))?;
        Ok(Self { needles, search, canary, report: Report::new(count) })
    }

    /// What must be found for a report to count.
    pub fn canary(&self) -> &Canary {
        &self.canary
    }

    /// Every file below `root`, its name and, for a link, its target. Links are not followed.
    pub fn scan_folder(&mut self, root: &Path) {
        let Ok(entries) = fs::read_dir(root) else {
            self.report.unreadable(Surface::File);
            return;
        };
        for entry in entries.flatten() {
            let path = entry.path();
            let name = path.strip_prefix(root).unwrap_or(&path).as_os_str().as_encoded_bytes();
            self.scan(Surface::FileName, &root.display().to_string(), name);
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                self.scan_folder(&path);
            } else if kind.is_symlink() {
                if let Ok(target) = fs::read_link(&path) {
                    self.scan(
                        Surface::FileName,
                        &path.display().to_string(),
                        target.as_os_str().as_encoded_bytes(),
                    );
                }
            } else if kind.is_file() {
                match File::open(&path) {
                    Ok(file) => self.scan(Surface::File, &path.display().to_string(), file),
                    // Gone since it was listed: there is nothing to find in it.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(_) => self.report.unreadable(Surface::File),
                }
            }
        }
    }

    /// Command line and environment of every process that lives below `root`.
    pub fn scan_processes(&mut self, root: &Path) {
        for Process { pid, argv, environ } in processes_below(root) {
            let program =
                argv.split(|byte| *byte == 0).next().map(String::from_utf8_lossy).unwrap_or_default();
            let place = format!("process {pid} ({program})");
            self.scan(Surface::Argv, &place, argv.as_slice());
            match environ {
                Some(environ) => self.scan(Surface::Environ, &place, environ.as_slice()),
                None => self.report.unreadable(Surface::Environ),
            }
        }
    }

    /// Captured output.
    pub fn scan_output(&mut self, output: Output<'_>) {
        self.scan(output.surface, output.name, output.bytes);
    }

    /// What was scanned and found.
    pub fn report(self) -> Report {
        self.report
    }

    fn scan(&mut self, surface: Surface, place: &str, source: impl Read) {
        let mut source = Counting { source, bytes: 0 };
        let mut failed = false;
        // A streaming search: what lies across two reads is found as well.
        for found in self.search.stream_find_iter(&mut source) {
            let Ok(found) = found else {
                failed = true;
                break;
            };
            let needle = &self.needles[found.pattern().as_usize()];
            match &needle.kind {
                None => self.report.canary_seen(surface, needle.encoding),
                Some(kind) => {
                    // A place is a name, and a name may hold what it should not.
                    let place =
                        if self.search.is_match(place) { "(a name that holds a secret)" } else { place };
                    self.report.found(Finding {
                        surface,
                        place: place.to_owned(),
                        kind: kind.clone(),
                        encoding: needle.encoding,
                    });
                }
            }
        }
        self.report.scanned(surface, source.bytes);
        if failed {
            self.report.unreadable(surface);
        }
    }
}

struct Counting<R> {
    source: R,
    bytes: u64,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.bytes += count as u64;
        Ok(count)
    }
}

const SHORTEST: usize = 12;

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    use super::*;

    const SECRET: &str = "rt-???the/secret+of=ana>>>~";

    fn wanted() -> Vec<Wanted> {
        vec![Wanted::new("refresh token", Secret::from(SECRET))]
    }

    fn encodings(bytes: &[u8]) -> Vec<Encoding> {
        let mut scanner = Scanner::new(wanted()).unwrap();
        scanner.scan_output(Output { surface: Surface::Stdout, name: "test", bytes });
        scanner.report().findings.iter().map(|finding| finding.encoding).collect()
    }

    #[test]
    fn a_secret_is_found_in_every_encoding_and_alignment() {
        assert_eq!(encodings(format!("token={SECRET};").as_bytes()), [Encoding::Plain]);
        for before in ["", "1", "22", "333", "user:"] {
            let text = format!("{before}{SECRET} and more");
            assert_eq!(encodings(STANDARD.encode(&text).as_bytes()), [Encoding::Base64], "{before}");
            assert_eq!(encodings(URL_SAFE.encode(&text).as_bytes()), [Encoding::Base64Url], "{before}");
        }
        let form: String = url::form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
        assert_eq!(encodings(form.as_bytes()), [Encoding::Percent]);
        assert_eq!(
            encodings(form.replace("%2F", "%2f").replace("%3F", "%3f").as_bytes()),
            [],
            "mixed case is none of ours"
        );
        let lower = url::form_urlencoded::byte_serialize(SECRET.as_bytes()).collect::<String>();
        let lower = ["3F", "2F", "2B", "3D", "3E", "7E"]
            .iter()
            .fold(lower, |text, code| text.replace(code, &code.to_lowercase()));
        assert_eq!(encodings(lower.as_bytes()), [Encoding::Percent]);
        let json = serde_json::to_string(SECRET).unwrap().replace('/', "\\/");
        assert_eq!(encodings(json.as_bytes()), [Encoding::Json]);
        let wide: Vec<u8> = SECRET.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(encodings(&wide), [Encoding::Utf16]);
        assert_eq!(encodings(b"nothing of the kind"), []);
    }

    #[test]
    fn a_secret_across_the_border_of_two_reads_is_found() {
        for at in (0..20).chain(65_500..65_540) {
            let text = [&vec![b'.'; at], SECRET.as_bytes(), &[b'.'; 100]].concat();
            let mut scanner = Scanner::new(wanted()).unwrap();
            scanner.scan(Surface::File, "whole", &text[..]);
            scanner.scan(Surface::File, "in sevens", Sevens(&text));
            assert_eq!(scanner.report().findings.len(), 2, "at {at}");
        }
    }

    /// Reads 7 bytes at a time.
    struct Sevens<'a>(&'a [u8]);

    impl Read for Sevens<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let most = buffer.len().min(7);
            self.0.read(&mut buffer[..most])
        }
    }

    #[test]
    fn half_of_a_large_token_is_found_and_its_common_head_is_not() {
        let token = format!("{}{}", "eyJhbGciOiJFUzI1NiJ9.".repeat(10), "c0ffee".repeat(1000));
        let scan = |bytes: &[u8]| {
            let mut scanner =
                Scanner::new([Wanted::new("access token", Secret::from(token.as_str()))]).unwrap();
            scanner.scan_output(Output { surface: Surface::Stderr, name: "test", bytes });
            scanner.report().findings.len()
        };
        assert_eq!(scan(&token.as_bytes()[token.len() / 2..]), 1);
        assert_eq!(scan(&token.as_bytes()[..200]), 0);
    }

    #[test]
    fn a_clean_sandbox_is_clean_with_every_canary_found_and_nothing_of_it_left() {
        let sandbox = Sandbox::new().unwrap();
        let report = scan_sandbox(&sandbox, wanted(), &[]).unwrap();
        assert!(report.is_clean(), "{report}");
        assert_eq!(report.broken(), Vec::<String>::new());
        assert!(report.surfaces.iter().all(|count| count.items > 0 && count.bytes > 0), "{report}");
        assert_eq!(sandbox.processes(), []);
        let mut again = Scanner::new(wanted()).unwrap();
        again.scan_folder(sandbox.root());
        assert!(!again.report().broken().is_empty(), "without a canary a report says so");
    }

    #[test]
    fn a_leak_is_found_in_every_kind_of_place_and_its_value_is_not_told() {
        let sandbox = Sandbox::without_dbus().unwrap();
        fs::create_dir(sandbox.home().join("logs")).unwrap();
        fs::write(sandbox.home().join("logs/app.log"), STANDARD.encode(format!("user:{SECRET}"))).unwrap();
        let named: String = url::form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
        fs::write(sandbox.home().join(&named), named.as_bytes()).unwrap();
        let mut child = sandbox.command("sleep").args(["1000"]).env("TOKEN", SECRET).spawn().unwrap();
        let mut other = sandbox.command("sh").args(["-c", "sleep 1000; :", SECRET]).spawn().unwrap();
        let outputs = [Surface::Stdout, Surface::Stderr].map(|surface| Output {
            surface,
            name: "bridge",
            bytes: SECRET.as_bytes(),
        });
        let report = scan_sandbox(&sandbox, wanted(), &outputs).unwrap();
        for child in [&mut child, &mut other] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert_eq!(report.broken(), Vec::<String>::new());
        for count in &report.surfaces {
            let here = report.findings.iter().any(|finding| finding.surface == count.surface);
            assert!(here, "{:?} in {report}", count.surface);
        }
        assert!(!report.is_clean());
        let told = report.to_string();
        assert!(!told.contains(SECRET) && !told.contains(&named), "{told}");
        assert!(told.contains("refresh token"));
    }
}
