//! `hallpass presets lint`: what is wrong with a list, where, and what to do about it.

use std::path::Path;
use std::process::ExitCode;

use ipc::{Error, ErrorCode};
use model::PrivateAuthority;
use preset::{Checked, Finding, List, ListError, Misfit, Rule, Severity};
use serde_json::{Value, json};

use super::files;
use crate::args::PresetsLint;
use crate::commands::authority_file;
use crate::output::Output;
use crate::run_alone;

pub(super) fn run(options: &PresetsLint, out: Output) -> Result<ExitCode, Error> {
    let bytes = files::list(&options.file)?;
    let mut checked = check(&bytes, &options.file)?;
    let is_asked = options.online && checked.is_good();
    if is_asked {
        let ca = options.ca.as_deref().map(authority).transpose()?;
        let list = List::parse(&bytes).map_err(|error| of_list(&error, &options.file))?;
        checked.findings.warnings.extend(run_alone(online(&list, ca.as_ref()))?);
    }
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
        if !is_asked {
            out.talk("  not asked: whether servers and issuers answer as declared (W05); see --online");
        }
    }
    if good {
        return Ok(ExitCode::SUCCESS);
    }
    out.notice(format!("{} must not be published", options.file.display()));
    Ok(ExitCode::FAILURE)
}

/// What servers and issuers say, one after the other.
async fn online(list: &List, authority: Option<&PrivateAuthority>) -> Result<Vec<Finding>, Error> {
    let mut found = Vec::new();
    for server in &list.servers {
        let Some(remote) = server.offer.remote() else { continue };
        let declared = agent::Declared {
            endpoint: &remote.endpoint,
            headers: &remote.headers,
            issuer: server.issuer.as_deref(),
            client_id: server.client_id.as_deref(),
            metadata_url: server.metadata_url.as_deref(),
        };
        if let Some(message) =
            agent::ask_online(declared, authority, ipc::proxies().unwrap_or_default()).await?
        {
            found.push(Finding { rule: Rule::W05, at: server.name.clone(), message, fix: AS_DECLARED });
        }
    }
    Ok(found)
}

fn authority(path: &Path) -> Result<PrivateAuthority, Error> {
    PrivateAuthority::parse(&authority_file(path)?)
        .map_err(|error| Error::new(ErrorCode::Usage, format!("{}: {error}", path.display())))
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

const AS_DECLARED: &str = "correct the list, or have the server mended, before people follow it";
