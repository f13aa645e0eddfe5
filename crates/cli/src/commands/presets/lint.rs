//! `hallpass presets lint`: what is wrong with a list, where, and what to do about it.

use std::path::Path;
use std::process::ExitCode;

use ipc::{Error, ErrorCode};
use preset::{Checked, Finding, ListError, Misfit, Severity};
use serde_json::{Value, json};

use super::files;
use crate::args::PresetsLint;
use crate::output::Output;

pub(super) fn run(options: &PresetsLint, out: Output) -> Result<ExitCode, Error> {
    let checked = check(&files::list(&options.file)?, &options.file)?;
    let good = checked.is_good();
    if out.json {
        let findings = checked.findings.errors.iter().chain(&checked.findings.warnings).map(object);
        let misfit = checked.misfit.iter().map(misfit_object);
        let findings: Vec<Value> = findings.chain(misfit).collect();
        out.object("presets.lint", &json!({ "file": options.file, "good": good, "findings": findings }))?;
    } else {
        show(out, &checked);
        if good {
            let warnings = checked.findings.warnings.len();
            out.line(format!("{} may be published ({warnings} warnings)", options.file.display()));
        }
        out.talk(
            "  not checked: whether the issuers know the client ids (W05), since this needs the network",
        );
    }
    if good {
        return Ok(ExitCode::SUCCESS);
    }
    out.notice(format!("{} must not be published", options.file.display()));
    Ok(ExitCode::FAILURE)
}

/// Checks the bytes; an error for what is no list at all.
pub(super) fn check(bytes: &[u8], path: &Path) -> Result<Checked, Error> {
    preset::lint(bytes).map_err(|error| of_list(&error, path))
}

/// A file that is no list, or must not be used.
pub(super) fn of_list(error: &ListError, path: &Path) -> Error {
    let hint = match error {
        ListError::Json(_) | ListError::Misfit(_) => "hallpass presets new writes a list to start from",
        ListError::Lint(_) => "hallpass presets lint shows every place",
    };
    Error::new(ErrorCode::Failed, format!("{}: {error}", path.display())).hint(hint)
}

/// Every finding in two lines.
pub(super) fn show(out: Output, checked: &Checked) {
    for finding in checked.findings.errors.iter().chain(&checked.findings.warnings) {
        let word = match finding.rule.severity() {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        out.line(format!("{word} {}  {}", finding.rule, finding.at));
        out.line(format!("  {}; {}", finding.message, finding.fix));
    }
    if let Some(Misfit { at, problem }) = &checked.misfit {
        let at = if at.is_empty() { "/" } else { at };
        out.line(format!("error form  {at}"));
        out.line(format!("  this place {problem}"));
    }
}

fn object(finding: &Finding) -> Value {
    json!({
        "rule": finding.rule,
        "severity": finding.rule.severity(),
        "at": finding.at,
        "message": finding.message,
        "fix": finding.fix,
    })
}

fn misfit_object(misfit: &Misfit) -> Value {
    json!({ "rule": "form", "severity": "error", "at": misfit.at, "message": misfit.problem })
}
