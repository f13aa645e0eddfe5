//! What a person sets once for the window and the tray.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The settings. A file of an older version lacks some: they are as [`Default`] has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Closing the window leaves Hallpass in the tray.
    pub keep_in_tray: bool,
    /// Hallpass opens hidden when the person logs in to the computer.
    pub start_at_login: bool,
    /// The system's notifications tell when somebody must sign in.
    pub notify: bool,
    /// Light or dark.
    pub theme: Theme,
    /// Fields of a newer version, kept as they are.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            keep_in_tray: true,
            start_at_login: false,
            notify: true,
            theme: Theme::System,
            extra: Map::new(),
        }
    }
}

/// Light or dark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export_to = "wire.ts"))]
#[serde(rename_all = "snake_case")]
pub enum Theme {
    /// As the system has it.
    #[default]
    System,
    /// Light.
    Light,
    /// Dark.
    Dark,
}
