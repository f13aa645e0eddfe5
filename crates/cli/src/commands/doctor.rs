//! `hallpass doctor`.

use std::process::ExitCode;

use ipc::{CheckState, CheckView, Error, Request, Response};

use super::unexpected;
use crate::args::Json;
use crate::link::Link;
use crate::output::Output;

pub(crate) async fn run(options: Json, quiet: bool) -> Result<ExitCode, Error> {
    let out = Output { json: options.json, quiet };
    let checks = match Link::open().await {
        Ok(mut link) => match link.ask(Request::Doctor).await? {
            Response::Checks { checks } => checks,
            other => return Err(unexpected(&other)),
        },
        // Without an agent there is one finding, and it is the one that matters.
        Err(error) => vec![CheckView {
            name: "agent".to_owned(),
            state: CheckState::Problem,
            found: error.message,
            fix: error.hint,
        }],
    };
    if out.json {
        out.object("doctor", &serde_json::json!({ "checks": checks }))?;
    } else {
        for check in &checks {
            let mark = match check.state {
                CheckState::Ok => "ok",
                CheckState::Warning => "note",
                CheckState::Problem => "PROBLEM",
            };
            out.line(format!("{mark:8} {}: {}", check.name, check.found));
            if !check.fix.is_empty() {
                out.line(format!("         next: {}", check.fix));
            }
        }
    }
    let bad = checks.iter().any(|c| c.state == CheckState::Problem);
    Ok(if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
