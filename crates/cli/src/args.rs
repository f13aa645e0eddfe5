//! The command line: verbs, options and their help texts.

mod ends;
mod import;
mod presets;
mod profiles;
mod servers;
mod store;

use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use model::{ClientAppId, ServerId};

pub(crate) use ends::Ends;
pub(crate) use import::Import;
pub(crate) use presets::{
    Presets, PresetsAnswer, PresetsKeygen, PresetsLint, PresetsNew, PresetsSign, PresetsSubscribe,
    PresetsUpdate, PresetsVerify,
};
pub(crate) use profiles::{Config, Profiles, Setting};
pub(crate) use servers::{
    Exception, Redirect, RedirectHost, RedirectPort, Servers, ServersAdd, ServersSet, TokenEndpointAuth,
};
pub(crate) use store::{Passphrase, Sealing, Store, StoreKind, StoreUse};

/// Sign in once per server, as yourself; every MCP app on this machine then works as you.
#[derive(Debug, Parser)]
#[command(name = "hallpass", version, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Say only what was asked for; errors still go to stderr.
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
}

const EXIT_CODES: &str = "Exit codes: 0 ok, 1 failed, 2 usage or a question that needs an option, 4 sign-in needed, \
6 unreachable, 7 keychain locked or absent, 8 file changed by another program, 9 agent unavailable, 130 cancelled.

Start with:  hallpass servers add https://mcp.example.com/mcp";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Add, list, show, test and remove MCP servers.
    #[command(subcommand)]
    Servers(Servers),
    /// Sign in to a server in your browser.
    Login(Login),
    /// Sign out: revoke the tokens at the issuer and forget them.
    Logout(Logout),
    /// Who is signed in where, and which apps are connected. Exits 4 if somebody must sign in.
    Status(Status),
    /// List, rename and remove accounts.
    #[command(subcommand)]
    Accounts(Accounts),
    /// Change who acts at a server. Apps keep running; their next call is the other person's.
    Switch(Switch),
    /// Save who acts at each server under a name, and use that later in one step.
    #[command(subcommand)]
    Profiles(Profiles),
    /// Connect your apps (Claude Desktop, Cursor) to your servers, and undo it.
    #[command(subcommand)]
    Apps(Apps),
    /// Administrators' lists of servers: follow them; make, check and sign them.
    #[command(subcommand)]
    Presets(Presets),
    /// Add servers that stand in your apps' files. Nothing in the files changes.
    Import(Import),
    /// Run, ask and stop the background agent. It starts by itself when it is needed.
    #[command(subcommand)]
    Agent(Agent),
    /// Show and change settings of the window and the tray.
    #[command(subcommand)]
    Config(Config),
    /// Where your tokens lie: your keychain, or sealed files on a machine without one.
    #[command(subcommand)]
    Store(Store),
    /// Check this installation and say what to do about what is wrong.
    Doctor(Json),
    /// Print a completion script for your shell.
    Completions {
        /// Which shell.
        shell: Shell,
    },
    /// What the apps' configurations run: MCP on stdin and stdout, as the person who is signed in.
    Bridge(Bridge),
}

#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Json {
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_field_names, reason = "login_hint is OpenID Connect's own word")]
pub(crate) struct Login {
    /// The server's id.
    pub(crate) server: ServerId,
    /// Sign this account in again (id, label or e-mail).
    #[arg(long)]
    pub(crate) account: Option<String>,
    /// What to call a new account.
    #[arg(long = "as", value_name = "LABEL")]
    pub(crate) label: Option<String>,
    /// Use the account for this server from now on, even if another one is selected.
    #[arg(long = "use")]
    pub(crate) select: bool,
    /// Accept only this subject, or this e-mail if the issuer verified it.
    #[arg(long, value_name = "SUBJECT_OR_EMAIL")]
    pub(crate) expect: Option<String>,
    /// Accept a new account without asking.
    #[arg(long)]
    pub(crate) yes: bool,
    /// An account that nothing proves is still the same person as before.
    #[arg(long, requires = "account")]
    pub(crate) same_person: bool,
    /// Tell the issuer who wants to sign in.
    #[arg(long)]
    pub(crate) login_hint: Option<String>,
    /// Do not open a browser: print the address, and take the final address on standard input.
    #[arg(long)]
    pub(crate) no_browser: bool,
    /// First choose where tokens lie, as `hallpass store use` does; for machines without a keychain.
    #[arg(long, value_name = "STORE")]
    pub(crate) store: Option<StoreKind>,
    #[command(flatten)]
    pub(crate) sealing: Sealing,
    /// Sign in on another device: shows a code and a QR code, needs no browser here.
    #[arg(long, conflicts_with = "no_browser")]
    pub(crate) device: bool,
    /// Sign in the application that the server's client id stands for, with its own credentials. It is no person, and
    /// is used only where --use or hallpass switch chooses it.
    #[arg(long, conflicts_with_all = ["no_browser", "device", "expect", "login_hint", "same_person"])]
    pub(crate) application: bool,
    /// Read an id_token of the server's identity provider from standard input, in place of signing in there.
    #[arg(long, conflicts_with_all = ["no_browser", "device", "application", "login_hint"])]
    pub(crate) id_token_stdin: bool,
    /// Keep a personal token that you made at the server, in place of signing in. It is read from standard input, or asked
    /// for where that is a terminal, shown to the server, and kept in the keychain alone.
    #[arg(long, conflicts_with_all = ["no_browser", "device", "application", "id_token_stdin", "login_hint"])]
    pub(crate) token_stdin: bool,
    /// When that token ends: a day as 2027-01-31, or a time from now as 90d or 12h. You are warned before; it is not used
    /// after.
    #[arg(long, value_name = "DAY_OR_TIME", requires = "token_stdin", value_parser = Ends::parse)]
    pub(crate) expires: Option<Ends>,
    /// Do not go on with a sign-in that was left before its end: give that up and begin anew.
    #[arg(long)]
    pub(crate) anew: bool,
    /// How long to wait for the person: 90s, 10m.
    #[arg(long, default_value = "10m", value_parser = duration)]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    pub(crate) json: Json,
}

#[derive(Debug, Args)]
pub(crate) struct Logout {
    /// The server's id.
    pub(crate) server: ServerId,
    /// Whom (id, label or e-mail); may be left out where only one is signed in.
    #[arg(long)]
    pub(crate) account: Option<String>,
    /// Everybody.
    #[arg(long, conflicts_with = "account")]
    pub(crate) all: bool,
    /// Forget the tokens without telling the issuer.
    #[arg(long)]
    pub(crate) no_revoke: bool,
    #[command(flatten)]
    pub(crate) json: Json,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Only this server.
    pub(crate) server: Option<ServerId>,
    #[command(flatten)]
    pub(crate) json: Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Accounts {
    /// List everybody who is or was signed in.
    List(Json),
    /// Change what an account is called. Nothing is decided by the name.
    Rename {
        /// The account's id, label or e-mail.
        account: String,
        /// The new label.
        label: String,
    },
    /// Sign an account out everywhere and forget it.
    Remove {
        /// The account's id, label or e-mail.
        account: String,
        #[command(flatten)]
        json: Json,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Switch {
    /// The server's id.
    pub(crate) server: ServerId,
    /// Who acts from now on (id, label or e-mail); of two accounts the other one, if left out.
    pub(crate) account: Option<String>,
    /// For this app only: claude-desktop, cursor.
    #[arg(long)]
    pub(crate) app: Option<ClientAppId>,
    /// Let the app follow the general choice again.
    #[arg(long, requires = "app", conflicts_with = "account")]
    pub(crate) follow: bool,
    /// Change the account in this saved profile instead; who acts now stays.
    #[arg(long, requires = "account", conflicts_with_all = ["app", "follow"])]
    pub(crate) profile: Option<String>,
    #[command(flatten)]
    pub(crate) json: Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Apps {
    /// Find the apps, their files, and secrets in plain text in them. Changes nothing.
    List(Json),
    /// Put your servers into an app's file. Shows the change and asks.
    Connect(AppsConnect),
    /// Take our entries out of an app's file and put back what was there. Shows the change and asks.
    Disconnect(AppsChange),
    /// The same as disconnect: put back what was there before.
    Restore(AppsChange),
    /// Show how connect would change an app's file.
    Diff {
        /// The app: claude-desktop, cursor.
        app: ClientAppId,
        /// Only these servers.
        #[arg(long, value_delimiter = ',')]
        servers: Option<Vec<ServerId>>,
        #[command(flatten)]
        json: Json,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AppsConnect {
    /// The app: claude-desktop, cursor.
    pub(crate) app: ClientAppId,
    /// Only these servers.
    #[arg(long, value_delimiter = ',')]
    pub(crate) servers: Option<Vec<ServerId>>,
    /// Pin this account in the entries: they then never act as anybody else.
    #[arg(long)]
    pub(crate) account: Option<String>,
    #[command(flatten)]
    pub(crate) change: Change,
}

#[derive(Debug, Args)]
pub(crate) struct AppsChange {
    /// The app: claude-desktop, cursor.
    pub(crate) app: ClientAppId,
    #[command(flatten)]
    pub(crate) change: Change,
}

#[derive(Debug, Args)]
pub(crate) struct Change {
    /// Show the change and stop.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Make the change without asking.
    #[arg(long)]
    pub(crate) yes: bool,
    /// If the app is running, do not wait for it to be quit.
    #[arg(long)]
    pub(crate) no_wait: bool,
    #[command(flatten)]
    pub(crate) json: Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Agent {
    /// Run the agent in the foreground.
    Run,
    /// Whether it runs, and what it knows of the keychain.
    Status(Json),
    /// Ask it to finish and exit. Bridges start it again when they need it.
    Stop,
}

#[derive(Debug, Args)]
pub(crate) struct Bridge {
    /// The app whose configuration runs this.
    #[arg(long)]
    pub(crate) app: ClientAppId,
    /// The server's id.
    #[arg(long)]
    pub(crate) server: ServerId,
    /// Act as this account and as nobody else.
    #[arg(long)]
    pub(crate) account: Option<String>,
    /// The workspace that the entry belongs to.
    #[arg(long)]
    pub(crate) workspace: Option<String>,
}

fn name_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        Some(_) | None => Err("write it as NAME=VALUE".to_owned()),
    }
}

/// `90`, `90s`, `10m`, `1h`.
fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let number: u64 = number.parse().map_err(|_| "write it as 90s, 10m or 1h".to_owned())?;
    let seconds = match unit {
        "s" => Some(number),
        "m" => number.checked_mul(60),
        "h" => number.checked_mul(3600),
        _ => None,
    };
    match seconds {
        Some(seconds @ 1..=3600) => Ok(Duration::from_secs(seconds)),
        Some(_) | None => Err("between 1s and 1h, as 90s, 10m or 1h".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_are_read_and_bounded() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("10m"), Ok(Duration::from_mins(10)));
        for bad in ["", "0", "2h", "x", "10d", "99999999999999999999m", "307445734561825861m"] {
            assert!(duration(bad).is_err(), "{bad} was taken");
        }
    }
}
