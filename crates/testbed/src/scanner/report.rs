//! What a scan saw, in a form that can be shown to anybody: kinds and places, never values.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use super::Encoding;

/// A kind of place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Surface {
    /// The content of a file.
    File,
    /// The name of a file, or the target of a link.
    FileName,
    /// A command line.
    Argv,
    /// An environment.
    Environ,
    /// Captured standard output.
    Stdout,
    /// Captured standard error.
    Stderr,
}

const ALL: [Surface; 6] =
    [Surface::File, Surface::FileName, Surface::Argv, Surface::Environ, Surface::Stdout, Surface::Stderr];

/// How much of one kind of place was scanned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SurfaceCount {
    /// The kind of place.
    pub surface: Surface,
    /// Places.
    pub items: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Places that could not be read (to the end).
    pub unreadable: u64,
    /// Encodings in which the canary was found here.
    pub canary: BTreeSet<Encoding>,
}

/// A secret where none may be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// The kind of place.
    pub surface: Surface,
    /// The place.
    pub place: String,
    /// What the secret is.
    pub kind: String,
    /// How it was written.
    pub encoding: Encoding,
}

/// The outcome of a scan. `Display` makes a table of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Secrets that were looked for.
    pub secrets: usize,
    /// What was scanned, by kind of place.
    pub surfaces: Vec<SurfaceCount>,
    /// What was found, each once.
    pub findings: Vec<Finding>,
}

impl Report {
    pub(super) fn new(secrets: usize) -> Self {
        let count =
            |surface| SurfaceCount { surface, items: 0, bytes: 0, unreadable: 0, canary: BTreeSet::new() };
        Self { secrets, surfaces: ALL.map(count).into(), findings: Vec::new() }
    }

    /// Whether nothing was found by a scanner that works.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty() && self.broken().is_empty()
    }

    /// Why this report proves nothing: kinds of places where the planted canary was not found, and encodings
    /// of it that were not found in files. Empty in a good report.
    pub fn broken(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        for count in &self.surfaces {
            let wanted: &[Encoding] = match count.surface {
                Surface::File => &super::canary::PLANTED_IN_FILES,
                Surface::FileName => &[Encoding::Percent],
                Surface::Argv | Surface::Environ | Surface::Stdout | Surface::Stderr => &[Encoding::Plain],
            };
            for encoding in wanted.iter().filter(|encoding| !count.canary.contains(*encoding)) {
                reasons
                    .push(format!("the scanner is broken: no canary as {encoding:?} in {:?}", count.surface));
            }
        }
        reasons
    }

    pub(super) fn scanned(&mut self, surface: Surface, bytes: u64) {
        let count = self.count(surface);
        count.items += 1;
        count.bytes += bytes;
    }

    pub(super) fn unreadable(&mut self, surface: Surface) {
        self.count(surface).unreadable += 1;
    }

    pub(super) fn canary_seen(&mut self, surface: Surface, encoding: Encoding) {
        self.count(surface).canary.insert(encoding);
    }

    pub(super) fn found(&mut self, finding: Finding) {
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    fn count(&mut self, surface: Surface) -> &mut SurfaceCount {
        let at = ALL.iter().position(|known| *known == surface);
        &mut self.surfaces[at.expect("every surface stands in the list of all")]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<10} {:>7} {:>12} {:>10}  canary", "surface", "items", "bytes", "unreadable")?;
        for count in &self.surfaces {
            let surface = format!("{:?}", count.surface);
            let SurfaceCount { items, bytes, unreadable, canary, .. } = count;
            let canary = if canary.is_empty() { "NOT FOUND" } else { "found" };
            writeln!(f, "{surface:<10} {items:>7} {bytes:>12} {unreadable:>10}  {canary}")?;
        }
        for reason in self.broken() {
            writeln!(f, "{reason}")?;
        }
        for finding in &self.findings {
            let Finding { surface, place, kind, encoding } = finding;
            writeln!(f, "FOUND {kind} as {encoding:?} in {surface:?}: {place}")?;
        }
        write!(f, "{} secrets looked for, {} findings", self.secrets, self.findings.len())
    }
}
