//! The desktop shell: tray, window and notifications around one connection to the agent. It can name no token.
//!
//! ```text
//! ui    --call(Request)-->  commands --\                        one question, one answer
//! tray  --click---------->  tray ------- agent_link ---> agent  one connection for all, as long as we live
//! ui, tray, notices, browser  <--events--/                      what the agent says by itself
//! ```

mod agent_link;
mod autostart;
mod browser;
mod commands;
mod events;
mod executable;
mod notices;
mod place;
mod settings;
mod shell;
mod single;
mod tray;
mod windows;

use std::process::ExitCode;

use platform::{Lock, Root};
use tauri::{Manager as _, RunEvent};

use agent_link::AgentLink;
use shell::Shell;
use single::{Start, Wanted};

/// Opens tray and window, and stays until the person quits. `--hidden` opens the tray alone.
pub fn run() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(tracing::Level::WARN).init();
    let wanted = match wanted(std::env::args().skip(1)) {
        Ok(wanted) => wanted,
        Err(error) => return give_up(error.as_ref()),
    };
    let begun = Root::locate().map_err(Into::into).and_then(|root| {
        let start = single::start(&root, wanted)?;
        Ok((root, start))
    });
    match begun {
        Ok((_, Start::Told)) => ExitCode::SUCCESS,
        Ok((root, Start::First(lock))) => stay(root, lock, wanted),
        Err::<_, Box<dyn std::error::Error>>(error) => give_up(error.as_ref()),
    }
}

fn stay(root: Root, lock: Lock, wanted: Wanted) -> ExitCode {
    let app = tauri::Builder::default()
        .invoke_handler(tauri::generate_handler![commands::call, commands::shell])
        .setup(move |app| {
            let app = app.handle().clone();
            let runtime = tauri::async_runtime::handle();
            let (link, heard) = {
                let _inside = runtime.inner().enter();
                AgentLink::open(root.clone())
            };
            app.manage(Shell::new(root.clone(), link));
            tray::start(&app);
            tauri::async_runtime::spawn(single::listen(app.clone(), root, lock));
            tauri::async_runtime::spawn(events::carry(app.clone(), heard));
            // Nobody would find a tray that is not there.
            if wanted == Wanted::Shown || !windows::stays_in_tray(&app) {
                windows::show(&app, None);
            }
            Ok(())
        })
        .build(tauri::generate_context!());
    let app = match app {
        Ok(app) => app,
        Err(error) => return give_up(&error),
    };
    app.run(|app, event| {
        // Without a code it is the last window that was closed, not the person who quits.
        if let RunEvent::ExitRequested { code: None, api, .. } = event
            && windows::stays_in_tray(app)
        {
            api.prevent_exit();
        }
    });
    ExitCode::SUCCESS
}

fn wanted(arguments: impl Iterator<Item = String>) -> Result<Wanted, Box<dyn std::error::Error>> {
    let mut wanted = Wanted::Shown;
    for argument in arguments {
        match argument.as_str() {
            HIDDEN => wanted = Wanted::AsItIs,
            // Names of files and links may come here one day; nothing is done unseen.
            other => {
                return Err(
                    format!("hallpass-desktop does not understand \"{other}\"; it knows {HIDDEN}").into()
                );
            }
        }
    }
    Ok(wanted)
}

fn give_up(error: &dyn std::error::Error) -> ExitCode {
    tracing::error!(%error, "the window cannot open");
    ExitCode::FAILURE
}

/// The tray alone.
const HIDDEN: &str = "--hidden";
