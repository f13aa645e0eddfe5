//! `hallpass store`: where tokens lie.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::Json;

#[derive(Debug, Subcommand)]
pub(crate) enum Store {
    /// Show where tokens lie and whether they can be read.
    Show(Json),
    /// Choose where tokens lie. What is stored moves there; nobody has to sign in again.
    Use(StoreUse),
    /// Change the passphrase of sealed files. Nobody signs in again; copies of the files that were made before still open by
    /// the old one.
    Passphrase {
        /// Read the old and the new passphrase from the first two lines of standard input instead of asking.
        #[arg(long)]
        passphrase_stdin: bool,
        #[command(flatten)]
        json: Json,
    },
    /// Open the store: with its passphrase, or by asking the system to unlock your keychain. It stays open until
    /// `hallpass agent stop` or the end of your session.
    Unlock {
        #[command(flatten)]
        passphrase: Passphrase,
        #[command(flatten)]
        json: Json,
    },
}

#[derive(Debug, Args)]
pub(crate) struct StoreUse {
    /// Your system's keychain; or files of Hallpass's own, sealed by a passphrase (at least 12 characters) or a key file.
    pub(crate) store: StoreKind,
    #[command(flatten)]
    pub(crate) sealing: Sealing,
    /// The store in use cannot be opened any more: leave it as it is, and let everybody sign in again.
    #[arg(long)]
    pub(crate) start_over: bool,
    #[command(flatten)]
    pub(crate) json: Json,
}

/// What seals files.
#[derive(Clone, Debug, Args)]
pub(crate) struct Sealing {
    /// Sealed files are opened by this file, outside of Hallpass's folder, without asking anybody; it is made if it is
    /// missing. A passphrase otherwise.
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_stdin")]
    pub(crate) key_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) passphrase: Passphrase,
}

#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Passphrase {
    /// Read the passphrase of sealed files from the first line of standard input instead of asking.
    #[arg(long)]
    pub(crate) passphrase_stdin: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StoreKind {
    /// The operating system's keychain.
    Keychain,
    /// Sealed files, for machines without a keychain.
    SealedFile,
}
