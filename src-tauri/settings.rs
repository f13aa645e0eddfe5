//! What settings mean for this process: the entry that starts it when the person logs in.

use ipc::{Error, ErrorCode, SettingsView};

use crate::autostart;
use crate::shell::Shell;

/// Brings the system in line with the settings. `keep_in_tray` and `notify` are read where they matter.
pub(crate) fn apply(shell: &Shell, settings: &SettingsView) -> Result<(), Error> {
    autostart::set(&shell.root, settings.start_at_login).map_err(|why| {
        let what = if settings.start_at_login { "made" } else { "removed" };
        tracing::warn!(why, "the entry for the start at login could not be {what}");
        Error::new(ErrorCode::Failed, format!("the entry for the start at login could not be {what}: {why}"))
            .hint("the setting is saved: put that right, then change it again")
    })
}
