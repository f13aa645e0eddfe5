//! `hallpass import`: servers out of other apps' files.

use clap::Args;
use model::ClientAppId;

use super::Json;

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// Only from this app: claude-desktop, cursor.
    #[arg(long, value_name = "APP")]
    pub(crate) from: Option<ClientAppId>,
    /// Show what would be added and stop.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Add all that can be added without asking.
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) json: Json,
}
