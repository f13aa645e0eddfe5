//! The command line: verbs, options and their help texts.

mod ends;
mod import;
mod presets;
mod profiles;
mod store;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use model::{ClientAppId, ServerId};

pub(crate) use ends::Ends;
pub(crate) use import::Import;
pub(crate) use presets::{
    Presets, PresetsAnswer, PresetsKeygen, PresetsLint, PresetsNew, PresetsSign, PresetsSubscribe,
    PresetsUpdate, PresetsVerify,
};
pub(crate) use profiles::{Config, Profiles, Setting};
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

#[derive(Debug, Subcommand)]
pub(crate) enum Servers {
    /// Add a server. It is asked how it wants people to sign in; nothing is signed in yet.
    Add(ServersAdd),
    /// List all servers.
    List(Json),
    /// Show one server: accounts, who is selected, how it was added.
    Show {
        /// The server's id.
        server: ServerId,
        #[command(flatten)]
        json: Json,
    },
    /// Ask a server and its issuer again, step by step, without changing anything.
    Test {
        /// The server's id.
        server: ServerId,
        #[command(flatten)]
        json: Json,
    },
    /// Change what a server is called. Its id stays.
    Rename {
        /// The server's id.
        server: ServerId,
        /// The new label.
        label: String,
        #[command(flatten)]
        json: Json,
    },
    /// Close a server for everybody for now. Sign-ins stay.
    Pause {
        /// The server's id.
        server: ServerId,
        #[command(flatten)]
        json: Json,
    },
    /// Open a paused server again.
    Resume {
        /// The server's id.
        server: ServerId,
        #[command(flatten)]
        json: Json,
    },
    /// Change which private authority is trusted for a server and its issuer.
    Trust {
        /// The server's id.
        server: ServerId,
        /// Trust this private authority too: a PEM file with its certificate.
        #[arg(long, value_name = "FILE", required_unless_present = "no_ca")]
        ca: Option<PathBuf>,
        /// Trust the authorities of the operating system alone.
        #[arg(long, conflicts_with = "ca")]
        no_ca: bool,
        #[command(flatten)]
        json: Json,
    },
    /// Sign everybody out of a server and forget it.
    Remove {
        /// The server's id.
        server: ServerId,
        #[command(flatten)]
        json: Json,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ServersAdd {
    /// The server's URL; or an install link, a `claude mcp add` command, or the JSON of its entry.
    #[arg(value_name = "URL")]
    pub(crate) text: String,
    /// Of several servers in that text, the one of this name.
    #[arg(long, conflicts_with = "all")]
    pub(crate) name: Option<String>,
    /// All servers in that text.
    #[arg(long, conflicts_with_all = ["id", "label", "headers", "client_id", "client_metadata_url"])]
    pub(crate) all: bool,
    /// The id to use; made from the host name otherwise.
    #[arg(long)]
    pub(crate) id: Option<ServerId>,
    /// What to call it; the host name otherwise.
    #[arg(long)]
    pub(crate) label: Option<String>,
    /// A header without a secret to send with every request, as NAME=VALUE.
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub(crate) headers: Vec<(String, String)>,
    /// A client id that your administrator registered at the issuer.
    #[arg(long)]
    pub(crate) client_id: Option<String>,
    /// That client has a secret: ask for it. It goes to the keychain.
    #[arg(long, requires = "client_id", conflicts_with = "client_secret_stdin")]
    pub(crate) client_secret: bool,
    /// That client has a secret: read it from standard input.
    #[arg(long, requires = "client_id")]
    pub(crate) client_secret_stdin: bool,
    /// How that client authenticates at the token endpoint; what the issuer prefers otherwise.
    #[arg(long, requires = "client_id")]
    pub(crate) token_endpoint_auth: Option<TokenEndpointAuth>,
    /// The URL is the issuer of your company's identity provider, and no MCP server: people sign in there once, and it
    /// vouches for them at servers that are added with --vouched-by.
    #[arg(long, requires = "client_id", conflicts_with_all = ["vouched_by", "all"])]
    pub(crate) identity_provider: bool,
    /// People are known there by the word of this identity provider: no browser opens for it.
    #[arg(long, value_name = "ID", requires = "client_id")]
    pub(crate) vouched_by: Option<ServerId>,
    /// People are known there by a personal token that each makes at the server and pastes: no sign-in is looked for.
    #[arg(long, conflicts_with_all = ["client_id", "client_metadata_url", "identity_provider", "vouched_by"])]
    pub(crate) personal_token: bool,
    /// The server's own read-only tool that says who is signed in, for servers where nothing better does; FIELD names the
    /// field of its answer that never changes: --whoami get_me:id. Some servers are known without it.
    #[arg(long, value_name = "TOOL[:FIELD]", conflicts_with_all = ["identity_provider", "all"])]
    pub(crate) whoami: Option<String>,
    /// Present this client id metadata document, where the issuer takes such.
    #[arg(long, value_name = "URL", conflicts_with = "client_id")]
    pub(crate) client_metadata_url: Option<String>,
    /// Allow addresses of private networks for this server and its issuer.
    #[arg(long)]
    pub(crate) private_network: bool,
    /// Trust this private authority for this server and its issuer too: a PEM file with its certificate.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) json: Json,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum TokenEndpointAuth {
    None,
    Basic,
    Post,
    /// Signed assertions; the secret that is asked for is then the private key, as PEM or JWK.
    PrivateKeyJwt,
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
