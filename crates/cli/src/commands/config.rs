//! `hallpass config get|set|path`.

use ipc::{Error, ErrorCode, Request, Response, SettingsView, Theme};

use super::unexpected;
use crate::args::{Config, Setting};
use crate::link::{Link, root};
use crate::output::Output;

pub(crate) async fn run(verb: Config, quiet: bool) -> Result<(), Error> {
    match verb {
        Config::Get { setting, json } => {
            let out = Output { json: json.json, quiet };
            let settings = settings(&mut Link::open().await?).await?;
            show(out, &settings, setting)
        }
        Config::Set { setting, value, json } => {
            let out = Output { json: json.json, quiet };
            let mut link = Link::open().await?;
            let mut wanted = settings(&mut link).await?;
            set(&mut wanted, setting, &value)?;
            match link.ask(Request::ChangeSettings { settings: wanted }).await? {
                Response::Settings(settings) => show(out, &settings, Some(setting)),
                other => Err(unexpected(&other)),
            }
        }
        Config::Path => {
            Output { json: false, quiet }.line(root()?.path().display().to_string());
            Ok(())
        }
    }
}

async fn settings(link: &mut Link) -> Result<SettingsView, Error> {
    match link.ask(Request::Status).await? {
        Response::Status(status) => Ok(status.settings),
        other => Err(unexpected(&other)),
    }
}

fn show(out: Output, settings: &SettingsView, only: Option<Setting>) -> Result<(), Error> {
    if out.json {
        return out.object("settings", settings);
    }
    for setting in [Setting::KeepInTray, Setting::StartAtLogin, Setting::Notify, Setting::Theme] {
        if only == Some(setting) {
            out.line(value(settings, setting));
        } else if only.is_none() {
            out.line(format!("{:15} {}", name(setting), value(settings, setting)));
        }
    }
    Ok(())
}

fn name(setting: Setting) -> &'static str {
    match setting {
        Setting::KeepInTray => "keep-in-tray",
        Setting::StartAtLogin => "start-at-login",
        Setting::Notify => "notify",
        Setting::Theme => "theme",
    }
}

fn value(settings: &SettingsView, setting: Setting) -> &'static str {
    let switch = |on| if on { "on" } else { "off" };
    match setting {
        Setting::KeepInTray => switch(settings.keep_in_tray),
        Setting::StartAtLogin => switch(settings.start_at_login),
        Setting::Notify => switch(settings.notify),
        Setting::Theme => match settings.theme {
            Theme::System => "system",
            Theme::Light => "light",
            Theme::Dark => "dark",
        },
    }
}

fn set(settings: &mut SettingsView, setting: Setting, value: &str) -> Result<(), Error> {
    let value = value.trim().to_lowercase();
    let wrong = |can_be: &str| {
        Err(Error::new(ErrorCode::Usage, format!("{} can be {can_be}", name(setting)))
            .hint("hallpass config get shows all settings"))
    };
    let switch = match value.as_str() {
        "on" | "true" | "yes" => Some(true),
        "off" | "false" | "no" => Some(false),
        _ => None,
    };
    match (setting, switch) {
        (Setting::KeepInTray, Some(on)) => settings.keep_in_tray = on,
        (Setting::StartAtLogin, Some(on)) => settings.start_at_login = on,
        (Setting::Notify, Some(on)) => settings.notify = on,
        (Setting::KeepInTray | Setting::StartAtLogin | Setting::Notify, None) => return wrong("on or off"),
        (Setting::Theme, _) => {
            settings.theme = match value.as_str() {
                "system" => Theme::System,
                "light" => Theme::Light,
                "dark" => Theme::Dark,
                _ => return wrong("system, light or dark"),
            };
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_take_their_words_and_no_others() {
        let mut settings = SettingsView::default();
        for (setting, word, after) in [
            (Setting::KeepInTray, "off", "off"),
            (Setting::StartAtLogin, "Yes", "on"),
            (Setting::Notify, " false ", "off"),
            (Setting::Theme, "dark", "dark"),
        ] {
            set(&mut settings, setting, word).unwrap();
            assert_eq!(value(&settings, setting), after);
        }
        for (setting, word) in [(Setting::Notify, "dark"), (Setting::Theme, "on"), (Setting::KeepInTray, "")]
        {
            let before = settings.clone();
            assert_eq!(set(&mut settings, setting, word).unwrap_err().code, ErrorCode::Usage);
            assert_eq!(settings, before);
        }
    }
}
