//! What settings mean for this process: the entry that starts it when the person logs in.

use ipc::SettingsView;
use tauri::AppHandle;
use tauri_plugin_autostart::ManagerExt as _;

/// Brings the system in line with the settings. `keep_in_tray` and `notify` are read where they matter.
pub(crate) fn apply(app: &AppHandle, settings: &SettingsView) {
    let entry = app.autolaunch();
    let done = if settings.start_at_login {
        // Written anew each time: this program may have moved.
        entry.enable()
    } else {
        match entry.is_enabled() {
            Ok(true) => entry.disable(),
            Ok(false) => Ok(()),
            Err(error) => Err(error),
        }
    };
    if let Err(error) = done {
        tracing::warn!(%error, wanted = settings.start_at_login, "the entry for the start at login could not be changed");
    }
}

/// Other programs and people see this name. A build outside the release channel has its own.
pub(crate) const ENTRY_NAME: &str = if platform::CHANNEL_IS_RELEASE { "Hallpass" } else { "Hallpass-dev" };
