//! What a person sets once for the window and the tray; kept here, acted on there.

use ipc::{Error, SettingsView};
use model::Settings;

use crate::agent::Agent;
use crate::error;

impl Agent {
    /// The settings as they are.
    pub(crate) fn settings(&self) -> SettingsView {
        self.read(|state| view(&state.settings))
    }

    /// Changes the settings; fields of a newer version stay.
    pub(crate) fn change_settings(&self, wanted: &SettingsView) -> Result<SettingsView, Error> {
        let SettingsView { keep_in_tray, start_at_login, notify, theme } = *wanted;
        self.change(|state| {
            let extra = std::mem::take(&mut state.settings.extra);
            state.settings = Settings { keep_in_tray, start_at_login, notify, theme, extra };
            view(&state.settings)
        })
        .map_err(error::of_state)
    }
}

fn view(settings: &Settings) -> SettingsView {
    let Settings { keep_in_tray, start_at_login, notify, theme, extra: _ } = settings;
    SettingsView {
        keep_in_tray: *keep_in_tray,
        start_at_login: *start_at_login,
        notify: *notify,
        theme: *theme,
    }
}
