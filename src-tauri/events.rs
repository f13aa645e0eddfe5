//! What the agent says by itself, carried to everything that shows it: window, tray, notifications, browser.

use ipc::{Event, Request, Response, SignInStep};
use serde::Serialize;
use tauri::{AppHandle, Emitter as _, Manager as _};
use tokio::sync::mpsc;

use crate::agent_link::{AgentState, Heard};
use crate::notices::Notices;
use crate::shell::{Shell, Show};
use crate::{browser, settings, tray, windows};

/// What the web view hears of the agent, and of the shell.
const AGENT_EVENT: &str = "agent-event";
const SHELL_EVENT: &str = "shell-event";

/// What the shell says by itself.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ShellEvent {
    /// Go there.
    Show(Show),
    /// No browser could be opened for a sign-in: why.
    NoBrowser(String),
}

/// Carries events until the process ends.
pub(crate) async fn carry(app: AppHandle, mut heard: mpsc::UnboundedReceiver<Heard>) {
    tauri::async_runtime::spawn(keep_fresh(app.clone()));
    let shell = app.state::<Shell>();
    while let Some(what) = heard.recv().await {
        let event = match what {
            Heard::State => {
                if shell.link.state() != AgentState::Running {
                    shell.set_status(None);
                    shell.forget_browsers();
                }
                Event::Changed
            }
            Heard::Event(event) => event,
        };
        if let Event::SignIn { sign_in, step } = &event {
            match step {
                SignInStep::OpenBrowser { url, .. } => {
                    // Only sign-ins that began on our connection are told here, and each address opens by itself.
                    if shell.keep_browser(*sign_in, url)
                        && let Err(reason) = browser::open(url)
                    {
                        tracing::warn!(reason, "no browser could be opened");
                        tell_shell(&app, &ShellEvent::NoBrowser(reason));
                    }
                }
                SignInStep::Done { .. } | SignInStep::Failed { .. } => shell.forget_browser(*sign_in),
                SignInStep::Found { .. }
                | SignInStep::EnterCode { .. }
                | SignInStep::Exchanging
                | SignInStep::Confirm { .. }
                | SignInStep::SamePerson { .. } => {}
            }
        }
        shell.stale.notify_one();
        tell(&app, AGENT_EVENT, &event);
    }
}

/// Says something of the shell to the page, if there is one.
pub(crate) fn tell_shell(app: &AppHandle, event: &ShellEvent) {
    tell(app, SHELL_EVENT, event);
}

/// Asks the agent anew after each change, draws the tray, and tells who must sign in. Changes that come while it is
/// at it are one.
async fn keep_fresh(app: AppHandle) {
    let shell = app.state::<Shell>();
    let mut notices = Notices::default();
    loop {
        shell.stale.notified().await;
        if shell.link.state() == AgentState::Running {
            match shell.link.ask(Request::Status).await {
                Ok(Response::Status(status)) => {
                    if shell.set_status(Some(*status)) {
                        // Nobody asked for it just now: the log says what went wrong.
                        let _logged = settings::apply(&shell, &shell.settings());
                    }
                }
                Ok(_) => tracing::warn!("the agent answered a question for its status with something else"),
                // It is gone: the link says so in a moment.
                Err(error) => tracing::info!(%error, "no status"),
            }
        }
        tray::redraw(&app);
        if let Some(status) = shell.status().filter(|_| shell.settings().notify) {
            for notice in notices.due(&status, std::time::Instant::now()) {
                let app = app.clone();
                tauri::async_runtime::spawn(async move {
                    if notice.tell().await {
                        windows::show_from_anywhere(&app, Some(notice.leads_to()));
                    }
                });
            }
        }
    }
}

fn tell<T: Serialize + Clone>(app: &AppHandle, name: &str, event: &T) {
    if let Err(error) = app.emit_to(windows::MAIN, name, event) {
        tracing::warn!(%error, "the window did not take an event");
    }
}
