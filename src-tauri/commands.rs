//! What the web view may call: `call` for the agent, with the verbs of `ipc::control`, and `shell` for what is around it.

use ipc::{Error, ErrorCode, Request, Response, SignInId, locations};
use serde::{Deserialize, Serialize};
use tauri::{AppHandle, State};

use crate::agent_link::AgentState;
use crate::shell::{Shell, Show};
use crate::{browser, settings};

/// Passes one request to the agent and its answer back.
#[tauri::command]
pub(crate) async fn call(request: Request, shell: State<'_, Shell>) -> Result<Response, Error> {
    let answer = match request {
        Request::Unknown => {
            let what = "the window asked for something this build does not know";
            return Err(Error::new(ErrorCode::Usage, what)
                .hint("reinstall Hallpass: window and program are of different versions"));
        }
        // The link does both, with what the environment says and not what a page says.
        Request::Watch | Request::RecordEnvironment { .. } => {
            return Err(Error::new(ErrorCode::Usage, "the window leaves that to its shell"));
        }
        request => shell.link.ask(located(request)).await?,
    };
    if let Response::Settings(changed) = &answer {
        shell.set_settings(changed);
        settings::apply(&shell, changed)?;
    }
    Ok(answer)
}

/// What the page asks of the shell.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(crate) enum ShellRequest {
    /// How the shell is.
    View,
    /// Opens the browser once more at the address of a sign-in.
    OpenBrowser {
        /// Which.
        sign_in: SignInId,
    },
    /// Starts the agent.
    StartAgent,
    /// Ends tray and window. Sign-ins under way end with them.
    Quit,
}

/// How the shell is.
#[derive(Debug, Serialize)]
pub(crate) struct ShellView {
    /// Something on this desktop shows tray icons.
    tray: bool,
    /// Our release.
    version: &'static str,
    /// `running`, `starting` or `stopped`.
    agent: &'static str,
    /// What the window was opened for; told once.
    #[serde(skip_serializing_if = "Option::is_none")]
    open: Option<Show>,
}

/// Asks the shell.
#[tauri::command]
pub(crate) async fn shell(
    request: ShellRequest,
    app: AppHandle,
    shell: State<'_, Shell>,
) -> Result<Option<ShellView>, Error> {
    match request {
        ShellRequest::View => {
            let agent = match shell.link.state() {
                AgentState::Starting => "starting",
                AgentState::Running => "running",
                AgentState::Stopped(_) => "stopped",
            };
            let tray = platform::tray::has_host().await;
            return Ok(Some(ShellView {
                tray,
                version: env!("CARGO_PKG_VERSION"),
                agent,
                open: shell.take_wish(),
            }));
        }
        ShellRequest::OpenBrowser { sign_in } => {
            let gone = || {
                Error::new(ErrorCode::NotFound, "that sign-in waits for no browser").hint("begin it again")
            };
            let url = shell.browser(sign_in).ok_or_else(gone)?;
            browser::open(&url).map_err(|reason| {
                Error::new(ErrorCode::Failed, format!("no browser could be opened: {reason}"))
                    .hint("copy the link and open it yourself")
            })?;
        }
        ShellRequest::StartAgent => shell.link.start(),
        ShellRequest::Quit => app.exit(0),
    }
    Ok(None)
}

/// The page knows nothing of this machine: where apps keep their files is said by the shell's own environment.
fn located(mut request: Request) -> Request {
    if let Request::FindServers { location }
    | Request::ListApps { location }
    | Request::PlanConnect { location, .. }
    | Request::PlanRestore { location, .. } = &mut request
        && location.is_empty()
    {
        *location = locations();
    }
    request
}
