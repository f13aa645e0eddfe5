//! Where everything is measured: a home with a real keychain, an authorization server that knows ana, the server of
//! the benchmark, and `hallpass` signed in as ana. Plus the peers, with the benchmark's fixed token.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use testbed::authority::{Authority, Certificate};
use testbed::authorization_server::AuthorizationServer;
use testbed::sandbox::Sandbox;

use crate::server::{STATIC_TOKEN, Server};
use crate::tls;

/// What is compared, in the order of the table.
pub(crate) const CONTENDERS: [&str; 6] =
    [FLOOR, HALLPASS, "mcp-relay", "hyper-mcp-remote", "mcp-stdio", "mcp-remote"];
pub(crate) const DIRECT: &str = "direct";
pub(crate) const FLOOR: &str = "floor";
pub(crate) const HALLPASS: &str = "hallpass";
/// Beside our window: the least that Tauri can do.
pub(crate) const BARE: &str = "bare Tauri";
/// Why a peer has no figure that nobody wanted to know.
pub(crate) const NOT_ASKED_FOR: &str = "not asked for";

/// The paths of what is measured.
pub(crate) struct Programs {
    /// `hallpass`, a release build.
    pub(crate) hallpass: PathBuf,
    /// `floor`, likewise.
    pub(crate) floor: PathBuf,
    /// The folder into which the peers were installed, if they are to be measured.
    pub(crate) peers: Option<PathBuf>,
    /// The programs with windows, if they are to be measured.
    pub(crate) desktop: Option<Windows>,
}

/// Programs with windows.
#[derive(Clone)]
pub(crate) struct Windows {
    /// `hallpass-desktop`, a release build beside `hallpass`.
    pub(crate) hallpass: PathBuf,
    /// `bare-window`, likewise.
    pub(crate) bare: PathBuf,
}

/// One machine's worth of parts.
pub(crate) struct World {
    pub(crate) sandbox: Sandbox,
    pub(crate) server: Server,
    pub(crate) programs: Programs,
    issuer: AuthorizationServer,
    /// Carries the authorization server.
    _runtime: tokio::runtime::Runtime,
}

impl World {
    /// Starts everything and signs ana in.
    pub(crate) fn new(programs: Programs) -> Result<Self, Box<dyn Error>> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let issuer = runtime.block_on(AuthorizationServer::start())?;
        // Nothing is renewed while a row is measured.
        issuer.handle().set(|knobs| knobs.access_token_lifetime = 24 * 3600);
        let server = start_server(&issuer, 10)?;
        let world = Self { sandbox: Sandbox::new()?, server, programs, issuer, _runtime: runtime };
        world.add("bench", &world.server, &[])?;
        Ok(world)
    }

    /// One more server that `hallpass` knows and ana is signed in to.
    pub(crate) fn another_server(&self, id: &str, tools: usize) -> Result<Server, Box<dyn Error>> {
        let server = start_server(&self.issuer, tools)?;
        self.add(id, &server, &[])?;
        Ok(server)
    }

    /// The same behind TLS and an authority that only `--ca` makes known.
    pub(crate) fn server_behind_tls(
        &self,
        id: &str,
        authority: &Authority,
    ) -> Result<Server, Box<dyn Error>> {
        let server = start_server(&self.issuer, 10)?;
        tls::before(&server, &authority.identify(Certificate::Good).server_config())?;
        let file = self.sandbox.home().join("authority.pem");
        std::fs::write(&file, authority.pem())?;
        self.add(id, &server, &["--ca", &file.display().to_string()])?;
        Ok(server)
    }

    fn add(&self, id: &str, server: &Server, more: &[&str]) -> Result<(), Box<dyn Error>> {
        self.hallpass(&[&["servers", "add", &server.endpoint(), "--id", id], more].concat())?;
        self.hallpass(&["login", id, "--yes"])
    }

    /// Runs a verb of `hallpass` as a person's terminal would.
    pub(crate) fn hallpass(&self, arguments: &[&str]) -> Result<(), Box<dyn Error>> {
        let browser = format!("{} browser --as ana", std::env::current_exe()?.display());
        let mut command = self.sandbox.command(&self.programs.hallpass);
        let ran = command.args(arguments).env("BROWSER", browser).stdin(Stdio::null()).output()?;
        if ran.status.success() {
            return Ok(());
        }
        Err(format!("hallpass {}: {}", arguments.join(" "), String::from_utf8_lossy(&ran.stderr)).into())
    }

    /// The agent's process id.
    pub(crate) fn agent_pid(&self) -> Option<u32> {
        let name = self.programs.hallpass.as_os_str().as_encoded_bytes();
        let processes = self.sandbox.processes();
        let is_agent = |argv: &[u8]| {
            let mut words = argv.split(|byte| *byte == 0);
            words.next() == Some(name) && words.next() == Some(b"agent")
        };
        processes.iter().find(|process| is_agent(&process.argv)).map(|process| process.pid)
    }

    /// The command that a host would have in its config, or why there is none.
    pub(crate) fn command(&self, contender: &str, server: (&str, &Server)) -> Result<Command, String> {
        self.command_of(&self.programs.hallpass, &self.programs.floor, contender, server)
    }

    /// The same with other copies of our two executables.
    pub(crate) fn command_of(
        &self,
        hallpass: &Path,
        floor: &Path,
        contender: &str,
        (id, server): (&str, &Server),
    ) -> Result<Command, String> {
        let bearer = format!("Bearer {STATIC_TOKEN}");
        let header = format!("Authorization: {bearer}");
        let url = server.endpoint();
        let bare = |program: &Path, arguments: &[&str]| {
            let mut command = self.sandbox.bare_command(program);
            command.args(arguments);
            command
        };
        match contender {
            FLOOR => return Ok(bare(floor, &[&server.address(), "/mcp", STATIC_TOKEN])),
            HALLPASS => return Ok(bare(hallpass, &["bridge", "--app", "bench", "--server", id])),
            _ => {}
        }
        let peers = self.programs.peers.as_ref().ok_or(NOT_ASKED_FOR)?;
        let (program, arguments): (PathBuf, Vec<&str>) = match contender {
            "mcp-relay" => (peers.join("cargo/bin/mcp-relay"), vec![&url, "-H", "Authorization", &bearer]),
            "hyper-mcp-remote" => (peers.join("cargo/bin/hyper-mcp-remote"), vec![&url, "--header", &header]),
            "mcp-stdio" => (peers.join("py/bin/mcp-stdio"), vec!["--bearer-token", STATIC_TOKEN, &url]),
            "mcp-remote" => (
                peers.join("bin/node"),
                vec![
                    "node/node_modules/mcp-remote/dist/proxy.js",
                    &url,
                    "--allow-http",
                    "--transport",
                    "http-only",
                    "--header",
                    &header,
                ],
            ),
            other => return Err(format!("unknown: {other}")),
        };
        if !program.exists() {
            return Err("could not be installed".to_owned());
        }
        let mut command = bare(&program, &arguments);
        if contender == "mcp-remote" {
            command.current_dir(peers);
        }
        Ok(command)
    }
}

fn start_server(issuer: &AuthorizationServer, tools: usize) -> std::io::Result<Server> {
    let handle = issuer.handle().clone();
    let judge = Box::new(move |token: &str| handle.introspect(token).is_some_and(|known| known.is_active()));
    let server = Server::start(tools, judge)?;
    server.set_issuer(issuer.issuer());
    Ok(server)
}
