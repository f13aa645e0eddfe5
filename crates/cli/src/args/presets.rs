//! `hallpass presets`: the verbs of people, who follow lists, and of administrators, who make them.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Json;

#[derive(Debug, Subcommand)]
pub(crate) enum Presets {
    /// Follow a list. Shows the publisher's key as eight words and every change, and asks.
    Subscribe(PresetsSubscribe),
    /// Look for newer versions of the lists that you follow. Shows every change, and asks.
    Update(PresetsUpdate),
    /// Show the lists that you follow.
    List(Json),
    /// Stop following a list. Its servers stay, as if you had added them.
    Remove {
        /// The list's id, such as com.acme/dev-tools.
        id: String,
        #[command(flatten)]
        json: Json,
    },
    /// Write a complete list to start from. Never overwrites.
    New(PresetsNew),
    /// Check a list: rules, place and fix of every finding; with --online, whether its servers and issuers answer as
    /// declared. Exits 1 if it must not be published.
    Lint(PresetsLint),
    /// Print the JSON Schema of a list, for editors.
    Schema,
    /// Make a key to sign lists with: a secret file and a public one. Never overwrites.
    Keygen(PresetsKeygen),
    /// Check a list and sign it; the signature goes into FILE.minisig.
    Sign(PresetsSign),
    /// Check a list as the people who follow it will: signature, serial, expiry, rules.
    Verify(PresetsVerify),
}

#[derive(Debug, Args)]
pub(crate) struct PresetsSubscribe {
    /// The list's https URL, a registry's base URL, or a file.
    pub(crate) source: String,
    /// The publisher's public key; without it the list is unverified.
    #[arg(long, value_name = "RW...")]
    pub(crate) key: Option<String>,
    /// Trust this private authority for the list, and for the servers that a signed list adds: a PEM file with its
    /// certificate.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) answer: PresetsAnswer,
}

#[derive(Debug, Args)]
pub(crate) struct PresetsUpdate {
    /// The list's id; all lists otherwise.
    pub(crate) id: Option<String>,
    /// Bring back a server of the list that you removed, by its name there; `presets list` shows them.
    #[arg(long, value_name = "NAME", requires = "id")]
    pub(crate) bring_back: Vec<String>,
    #[command(flatten)]
    pub(crate) answer: PresetsAnswer,
}

/// What becomes of a plan that was shown.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct PresetsAnswer {
    /// Show the change and stop.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Make the change without asking.
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) json: Json,
}

#[derive(Debug, Args)]
pub(crate) struct PresetsNew {
    /// Where to write it; to standard output otherwise.
    pub(crate) file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct PresetsLint {
    /// The list.
    pub(crate) file: PathBuf,
    /// Ask every server of the list how people sign in there, and its issuer too (W05).
    #[arg(long)]
    pub(crate) online: bool,
    /// Trust this private authority while asking: a PEM file with its certificate.
    #[arg(long, value_name = "FILE", requires = "online")]
    pub(crate) ca: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) json: Json,
}

#[derive(Debug, Args)]
pub(crate) struct PresetsKeygen {
    /// The secret key's file, or a folder for `hallpass-list.key`. The public key goes beside it as .pub.
    #[arg(long, value_name = "FILE_OR_FOLDER", default_value = "hallpass-list.key")]
    pub(crate) out: PathBuf,
    /// Protect the key by nothing: who can read the file can sign.
    #[arg(long)]
    pub(crate) no_password: bool,
    /// Read the password from standard input.
    #[arg(long, conflicts_with = "no_password")]
    pub(crate) password_stdin: bool,
    #[command(flatten)]
    pub(crate) json: Json,
}

#[derive(Debug, Args)]
pub(crate) struct PresetsSign {
    /// The list.
    pub(crate) file: PathBuf,
    /// The secret key's file.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// The list as it is published now: the serial must have risen, and this key must be allowed to sign.
    #[arg(long, value_name = "FILE")]
    pub(crate) previous: Option<PathBuf>,
    /// Read the key's password from standard input.
    #[arg(long)]
    pub(crate) password_stdin: bool,
    #[command(flatten)]
    pub(crate) json: Json,
}

#[derive(Debug, Args)]
pub(crate) struct PresetsVerify {
    /// The list; its signature lies beside it as FILE.minisig.
    pub(crate) file: PathBuf,
    /// The publisher's public key, RW….
    #[arg(long, value_name = "RW...")]
    pub(crate) key: String,
    /// The signature, if it lies elsewhere.
    #[arg(long, value_name = "FILE")]
    pub(crate) signature: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) json: Json,
}
