//! The real counterparts around one home: oidc-provider, a FastMCP server, scripted sign-ins, MCP clients.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Child;

use super::running_app::RunningApp;
use crate::support::{LIMIT, SERVER, World, executable};

/// The world of one test. Dropping it ends everything.
pub(crate) struct Lab {
    pub(crate) world: World,
    install: PathBuf,
    issuer: Program,
    server: Program,
}

/// A counterpart that runs until the test ends.
pub(crate) struct Program {
    pub(crate) address: String,
    _child: Child,
}

/// Another project's MCP client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sdk {
    Python,
    FastMcp,
    TypeScript,
}

/// The protocol era that a client is told to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    Handshake,
    Stateless,
}

impl Lab {
    /// ana and ben are signed in at a server whose access tokens live for so many seconds.
    pub(crate) async fn with_ana_and_ben(access_token_seconds: u32) -> Self {
        let install = install();
        let world = World::new().await;
        let mut issuer = world.sandbox.command(install.join("bin/node"));
        issuer.arg(script("oidc_provider.mjs")).env("ACCESS_TOKEN_SECONDS", access_token_seconds.to_string());
        let issuer = Program::start(issuer, "issuer", &world).await;
        let mut server = world.sandbox.command(install.join("py/bin/python"));
        server.arg(script("fastmcp_server.py")).args(["--issuer", &issuer.address]);
        let server = Program::start(server, "url", &world).await;
        let lab = Self { world, install, issuer, server };
        lab.world.run(&["servers", "add", &lab.server.address, "--id", SERVER]).await.ok();
        for person in ["ana", "ben"] {
            lab.sign_in(person).await;
        }
        lab
    }

    async fn sign_in(&self, person: &str) {
        let mut command = self.world.hallpass(&["login", SERVER, "--yes", "--as", person]);
        let browser = format!("{} {} --as {person}", self.python().display(), script("browser.py").display());
        command.env("BROWSER", browser);
        self.world.finish(command).await.ok();
    }

    /// Who acts from now on, for one app or for all that have no choice of their own.
    pub(crate) async fn switch(&self, app: Option<&str>, person: &str) -> Value {
        let mut args = vec!["switch", SERVER, person, "--json"];
        args.extend(app.into_iter().flat_map(|app| ["--app", app]));
        self.world.run(&args).await.ok().json()
    }

    /// From now on the agent lends one person's token for the other.
    pub(crate) fn mix_people(&self) {
        std::fs::write(self.world.root().join("run/mutant"), "mix-people").expect("our folder is ours");
    }

    /// A client of another project, running, on the bridge of an app's entry.
    pub(crate) async fn start(&self, sdk: Sdk, speaks: Speaks, app: &str) -> RunningApp {
        let (program, name, stateless) = match sdk {
            Sdk::Python => (self.python(), "client_python_sdk.py", "2026-07-28"),
            Sdk::FastMcp => (self.python(), "client_fastmcp.py", "2026-07-28"),
            Sdk::TypeScript => (self.install.join("bin/node"), "client_ts_sdk.mjs", "modern"),
        };
        let era = match speaks {
            Speaks::Handshake => "legacy",
            Speaks::Stateless => stateless,
        };
        let mut command = self.world.sandbox.command(program);
        command.arg(script(name)).args(["--era", era]).args(entry(app));
        command.stderr(self.log_of(app));
        RunningApp::start(command).await
    }

    /// Calls a tool once with the official Inspector's command line; the answer's text.
    pub(crate) async fn inspect(&self, speaks: Speaks, app: &str, tool: &str) -> String {
        let era = match speaks {
            Speaks::Handshake => "legacy",
            Speaks::Stateless => "modern",
        };
        let mut command = self.world.sandbox.command(self.install.join("bin/node"));
        command.stdin(Stdio::null());
        command.arg(script("inspector.mjs")).args(["--era", era, "--call", tool]).args(entry(app));
        let ran = self.world.finish(command).await.ok();
        let said = ran.json();
        let text = said.pointer("/result/content/0/text").or_else(|| said.pointer("/content/0/text"));
        text.and_then(Value::as_str).unwrap_or_else(|| panic!("{ran:?}")).to_owned()
    }

    /// The authorization server's counters.
    pub(crate) async fn stats(&self) -> Value {
        get(&format!("{}/_stats", self.issuer.address)).await
    }

    /// What the protected server saw, in order.
    pub(crate) async fn log(&self) -> Vec<Value> {
        let address = self.server.address.trim_end_matches("/mcp");
        get(&format!("{address}/_log")).await.as_array().cloned().expect("it is a list")
    }

    fn python(&self) -> PathBuf {
        self.install.join("py/bin/python")
    }

    /// Beside the home, so that a failing test's scratch folder tells.
    fn log_of(&self, name: &str) -> Stdio {
        let path = self.world.sandbox.root().join(format!("{name}.log"));
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        file.expect("the scratch folder is ours").into()
    }
}

impl Program {
    /// Starts it and reads its ready line, whose member `address` says where it listens.
    pub(crate) async fn start(mut command: Command, address: &str, world: &World) -> Self {
        let log = std::fs::File::create(world.sandbox.root().join(format!("{address}.log")));
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command.stderr(log.expect("the scratch folder is ours"));
        let mut child =
            tokio::process::Command::from(command).kill_on_drop(true).spawn().expect("it is installed");
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("its stdout is a pipe"));
        let told = tokio::time::timeout(LIMIT, stdout.read_line(&mut line)).await;
        assert!(matches!(told, Ok(Ok(1..))), "the peer with an {address} does not start: {told:?}");
        let ready: Value = serde_json::from_str(&line).expect("the ready line is JSON");
        let address = ready[address].as_str().expect("it names its address").to_owned();
        Self { address, _child: child }
    }
}

/// What follows `--` for a client: the command of an app's config entry.
fn entry(app: &str) -> Vec<String> {
    let bridge = ["--", &executable().display().to_string(), "bridge", "--app", app, "--server", SERVER];
    bridge.map(str::to_owned).to_vec()
}

pub(crate) fn script(name: &str) -> PathBuf {
    workspace().join("tests/peers").join(name)
}

fn workspace() -> &'static Path {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    crates.and_then(Path::parent).expect("this crate is two folders below the workspace")
}

/// Where the peers are installed. Without them nothing here can be shown, so that is a failure.
pub(crate) fn install() -> PathBuf {
    let told = std::env::var_os("HALLPASS_PEERS").map(PathBuf::from);
    let path = told.unwrap_or_else(|| workspace().join("target/peers"));
    let missing = ["bin/node", "py/bin/python"].into_iter().find(|name| !path.join(name).exists());
    assert!(missing.is_none(), "the peers are not installed in {}; run: cargo xtask test", path.display());
    path
}

/// A GET in its simplest form: the answer ends with the connection.
pub(crate) async fn get(address: &str) -> Value {
    let (host, path) = address.trim_start_matches("http://").split_once('/').expect("an address has a path");
    let mut stream = TcpStream::connect(host).await.expect("it listens");
    let request = format!("GET /{path} HTTP/1.0\r\nhost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("it answers");
    let text = String::from_utf8(answer).expect("it answers text");
    let body = text.split_once("\r\n\r\n").expect("a head and a body").1;
    serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {text}"))
}
