//! `hallpass servers`.

use std::num::NonZeroU16;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use model::ServerId;

use super::{Json, name_and_value};

#[derive(Debug, Subcommand)]
pub(crate) enum Servers {
    /// Add a server. It is asked how it wants people to sign in; nothing is signed in yet.
    Add(Box<ServersAdd>),
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
    /// Change how people sign in there: where the browser comes back to, by which document Hallpass is known, what else
    /// the issuer is sent. Who is signed in stays so.
    Set(ServersSet),
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
    /// Present this client id metadata document, where the issuer takes such; none: present none there.
    #[arg(long, value_name = "URL", conflicts_with = "client_id")]
    pub(crate) client_metadata_url: Option<Document>,
    #[command(flatten)]
    pub(crate) redirect: Redirect,
    /// Send this to the issuer with every sign-in, beside what the standards name: NAME=VALUE, of no secret.
    #[arg(long = "authorize-param", value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub(crate) parameters: Vec<(String, String)>,
    /// Let its issuer off a rule that it is known not to keep. Only where its administrator says that this is right.
    #[arg(long = "except", value_name = "RULE")]
    pub(crate) exceptions: Vec<Exception>,
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

/// Where the browser comes back to.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Redirect {
    /// The browser comes back to this port of this machine alone, since the issuer knows no other; to any free one
    /// otherwise.
    #[arg(long, value_name = "PORT", value_parser = any_or_port)]
    pub(crate) redirect_port: Option<RedirectPort>,
    /// How the address to come back to names this machine, where the issuer is particular about it: the redirect URI is
    /// http://<host>:<port>/callback.
    #[arg(long, value_name = "HOST")]
    pub(crate) redirect_host: Option<RedirectHost>,
}

/// A port, or the word that takes one back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RedirectPort {
    Any,
    Only(NonZeroU16),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RedirectHost {
    /// The address itself: what the standard wants (RFC 8252), and the default.
    #[value(name = "127.0.0.1")]
    Literal,
    /// The name, for issuers that accept nothing else.
    Localhost,
}

#[derive(Debug, Args)]
#[command(group(
    clap::ArgGroup::new("what").required(true).multiple(true)
        .args(["redirect_port", "redirect_host", "parameters", "no_parameters", "exceptions", "no_exceptions",
            "client_metadata_url", "no_client_metadata_url"])
))]
pub(crate) struct ServersSet {
    /// The server's id.
    pub(crate) server: ServerId,
    #[command(flatten)]
    pub(crate) redirect: Redirect,
    /// Send this to the issuer with every sign-in, beside what the standards name: NAME=VALUE, of no secret. Takes the
    /// place of all that were set before.
    #[arg(long = "authorize-param", value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub(crate) parameters: Vec<(String, String)>,
    /// Send nothing beside what the standards name any more.
    #[arg(long = "no-authorize-params", conflicts_with = "parameters")]
    pub(crate) no_parameters: bool,
    /// Let its issuer off a rule that it is known not to keep. Only where its administrator says that this is right.
    #[arg(long = "except", value_name = "RULE")]
    pub(crate) exceptions: Vec<Exception>,
    /// Let its issuer off no rule any more.
    #[arg(long, conflicts_with = "exceptions")]
    pub(crate) no_exceptions: bool,
    /// Present this client id metadata document from the next sign-in on, where the issuer takes such; none: present none
    /// there.
    #[arg(long, value_name = "URL")]
    pub(crate) client_metadata_url: Option<Document>,
    /// Present no document of this server's own any more: Hallpass's, if this build has one.
    #[arg(long, conflicts_with = "client_metadata_url")]
    pub(crate) no_client_metadata_url: bool,
    #[command(flatten)]
    pub(crate) json: Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Exception {
    /// Its metadata do not say that it checks PKCE (RFC 7636). It is sent all the same.
    MissingPkce,
    /// It refuses the resource parameter (RFC 8707): that is left out, so a token may be good elsewhere too.
    Resource,
}

/// Where a client id metadata document lies; empty for `none`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Document(pub(crate) String);

impl From<&str> for Document {
    fn from(text: &str) -> Self {
        Self(if text == "none" { String::new() } else { text.to_owned() })
    }
}

fn any_or_port(text: &str) -> Result<RedirectPort, String> {
    if text == "any" {
        return Ok(RedirectPort::Any);
    }
    text.parse().map(RedirectPort::Only).map_err(|_| "a port from 1 to 65535, or: any".to_owned())
}
