//! The one window: made when it is wanted, destroyed when it is closed, so that its web view takes no memory meanwhile.

use tauri::{AppHandle, Manager as _, WebviewWindowBuilder, WindowEvent};

use crate::events::{ShellEvent, tell_shell};
use crate::place;
use crate::shell::{Shell, Show};

/// The window's label, in `tauri.conf.json` and `capabilities/main.json` too.
pub(crate) const MAIN: &str = "main";

/// Brings the window to the front, makes it if there is none, and has it show something. On the main thread.
///
/// Who asks for the window wants Hallpass: an agent that was stopped is started again.
pub(crate) fn show(app: &AppHandle, what: Option<Show>) {
    let shell = app.state::<Shell>();
    shell.link.start();
    let Some(window) = app.get_webview_window(MAIN) else {
        shell.wish(what);
        if let Err(error) = open(app) {
            tracing::error!(%error, "the window cannot open");
        }
        return;
    };
    for done in [window.unminimize(), window.show(), window.set_focus()] {
        if let Err(error) = done {
            tracing::info!(%error, "the window could not be brought to the front");
        }
    }
    if let Some(what) = what {
        tell_shell(app, &ShellEvent::Show(what));
    }
}

/// The same from any thread.
pub(crate) fn show_from_anywhere(app: &AppHandle, what: Option<Show>) {
    let handle = app.clone();
    if let Err(error) = app.run_on_main_thread(move || show(&handle, what)) {
        tracing::info!(%error, "nothing is left that could show a window");
    }
}

/// True if this process goes on without a window: somebody can see its tray icon, and the person wants that.
pub(crate) fn stays_in_tray(app: &AppHandle) -> bool {
    let wanted = app.state::<Shell>().settings().keep_in_tray;
    wanted && tauri::async_runtime::block_on(platform::tray::has_host())
}

fn open(app: &AppHandle) -> tauri::Result<()> {
    let config = app.config().app.windows.iter().find(|window| window.label == MAIN);
    let config = config.ok_or(tauri::Error::WindowNotFound)?;
    let window = WebviewWindowBuilder::from_config(app, config)?.visible(false).build()?;
    let path = place::file(&app.state::<Shell>().root);
    place::restore(&window, &path);
    let closing = window.clone();
    window.on_window_event(move |event| {
        // Still there to be measured.
        if let WindowEvent::CloseRequested { .. } = event {
            place::remember(&closing, &path);
        }
    });
    window.show()
}
