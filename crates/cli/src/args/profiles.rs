//! `hallpass profiles` and `hallpass config`: what is saved once and used later.

use clap::{Subcommand, ValueEnum};

use super::Json;

#[derive(Debug, Subcommand)]
pub(crate) enum Profiles {
    /// List all profiles: whom each chooses, and which one is in use.
    List(Json),
    /// Save who acts at each server now under a name.
    Create {
        /// What to call it, such as Work.
        name: String,
        /// Replace the profile of that name.
        #[arg(long)]
        replace: bool,
        #[command(flatten)]
        json: Json,
    },
    /// Make everybody act as a profile says, in one step. A server that it does not name is used by nobody;
    /// an app that is bound to an account stays so.
    Use {
        /// The profile's name.
        name: String,
        #[command(flatten)]
        json: Json,
    },
    /// Forget a profile. Who acts now stays.
    Delete {
        /// The profile's name.
        name: String,
        #[command(flatten)]
        json: Json,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Show all settings, or one.
    Get {
        /// Which one.
        setting: Option<Setting>,
        #[command(flatten)]
        json: Json,
    },
    /// Change a setting.
    Set {
        /// Which one.
        setting: Setting,
        /// `on` or `off`; for the theme `system`, `light` or `dark`.
        value: String,
        #[command(flatten)]
        json: Json,
    },
    /// Print the folder that holds everything of Hallpass.
    Path,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Setting {
    /// Closing the window leaves Hallpass in the tray.
    KeepInTray,
    /// Hallpass opens hidden when you log in to the computer.
    StartAtLogin,
    /// Notifications tell when somebody must sign in.
    Notify,
    /// Light or dark.
    Theme,
}
