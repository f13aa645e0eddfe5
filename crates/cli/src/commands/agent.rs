//! `hallpass agent run|status|stop`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use ipc::{Error, ErrorCode, KeychainState, Request, Response};

use super::unexpected;
use crate::args;
use crate::link::{Link, root};
use crate::output::Output;

pub(crate) async fn status(options: args::Json, quiet: bool) -> Result<ExitCode, Error> {
    let out = Output { json: options.json, quiet };
    let mut link = match Link::open_running().await {
        Ok(link) => link,
        Err(error) => {
            if out.json {
                out.object("agent", &serde_json::json!({ "running": false }))?;
            } else {
                out.line("the agent is not running; it starts by itself when it is needed");
            }
            return Ok(ExitCode::from(error.code.exit_code()));
        }
    };
    let view = match link.ask(Request::Status).await? {
        Response::Status(view) => *view,
        other => return Err(unexpected(&other)),
    };
    if out.json {
        let value = serde_json::json!({ "running": true, "agent": view.agent, "sessions": view.sessions });
        out.object("agent", &value)?;
    } else {
        out.line(format!("running, pid {}, version {}", view.agent.pid, view.agent.version));
        out.line(format!("  folder    {}", view.agent.root.display()));
        let keychain = match &view.agent.keychain {
            KeychainState::Ready { store } => format!("{store}, ready"),
            KeychainState::Locked { store } => format!("{store}, LOCKED"),
            KeychainState::Absent { reason } => format!("absent: {reason}"),
        };
        out.line(format!("  keychain  {keychain}"));
        for (name, value) in &view.agent.proxies {
            out.line(format!("  {name} {value}"));
        }
        out.line(format!("  bridges   {}", view.sessions.len()));
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn stop(quiet: bool) -> Result<(), Error> {
    let out = Output { json: false, quiet };
    let mut link = match Link::open_running().await {
        Ok(link) => link,
        Err(error) if error.code == ErrorCode::AgentUnavailable => {
            out.talk("the agent is not running");
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let pid = link.agent_pid();
    let started = platform::process::start_time(pid);
    match link.ask(Request::Stop).await? {
        Response::Done => {}
        other => return Err(unexpected(&other)),
    }
    // The connection ends a moment before the process does, and "stopped" must be true when it is said.
    while link.receive().await.is_ok() {}
    let deadline = Instant::now() + PATIENCE;
    while platform::process::executable(pid).is_some() && platform::process::start_time(pid) == started {
        if Instant::now() > deadline {
            let what = format!("the agent (pid {pid}) has let go of everything but its process does not end");
            return Err(Error::new(ErrorCode::Failed, what).hint("end that process yourself"));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    out.talk("the agent has stopped");
    Ok(())
}

/// How long a process may take to end after its work is done.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs the agent in this process until it is told to stop or has been idle for a minute.
pub(crate) fn run() -> Result<(), Error> {
    agent::run(root()?)
}
