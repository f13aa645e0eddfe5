//! What every journey needs: a home, an authorization server, an MCP server, and `hallpass` in it.

pub(crate) mod control;
pub(crate) mod people;
pub(crate) mod process;
pub(crate) mod room;

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use testbed::authorization_server::AuthorizationServer;
use testbed::host::{Host, HostEra};
use testbed::mcp_server::{Eras, McpServer};
use testbed::sandbox::Sandbox;

/// The id that [`World::add_server`] gives its server.
pub(crate) const SERVER: &str = "tickets";
/// No step of ours may take longer than this, whatever the machine is doing besides.
pub(crate) const LIMIT: Duration = Duration::from_mins(2);

/// One scratch home with everything around it. Dropping it ends every process in it.
pub(crate) struct World {
    pub(crate) sandbox: Sandbox,
    pub(crate) issuer: AuthorizationServer,
    pub(crate) server: McpServer,
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Fails the test unless the command succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }

    /// Fails the test unless the command ended with this code.
    #[track_caller]
    pub(crate) fn fails(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }

    /// Its output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

impl World {
    /// A home with an unlocked keychain; the server speaks both eras; access tokens live for 30 s.
    pub(crate) async fn new() -> Self {
        Self::inside(Sandbox::new().expect("dbus and gnome-keyring are installed by cargo xtask setup")).await
    }

    /// The same around another kind of home.
    pub(crate) async fn inside(sandbox: Sandbox) -> Self {
        let issuer = AuthorizationServer::start().await.expect("a free port");
        let server = McpServer::protected(issuer.handle(), Eras::Both).await.expect("a free port");
        let world = Self { sandbox, issuer, server };
        // What takes its time is none of what is shown, unless a test is about that.
        world.acknowledge_within(LIMIT / 2);
        world
    }

    /// A bridge that is silent for so long after a switch is cut off.
    pub(crate) fn acknowledge_within(&self, limit: Duration) {
        let run = self.root().join("run");
        DirBuilder::new().recursive(true).mode(0o700).create(&run).expect("the home is ours");
        std::fs::write(run.join("acknowledge"), limit.as_millis().to_string()).expect("our folder is ours");
    }

    /// With the server added as [`SERVER`] and ana signed in.
    pub(crate) async fn with_ana() -> Self {
        let world = Self::new().await;
        world.add_server().await;
        world.login("ana", &[]).await.ok();
        world
    }

    /// With ana and ben signed in; ana is selected.
    pub(crate) async fn with_ana_and_ben() -> Self {
        let world = Self::with_ana().await;
        world.login("ben", &[]).await.ok();
        world
    }

    /// `hallpass` in this home, as a person's terminal would start it.
    pub(crate) fn hallpass(&self, args: &[&str]) -> Command {
        let mut command = self.sandbox.command(executable());
        command.args(args).stdin(Stdio::null());
        command
    }

    /// Runs `hallpass` to its end.
    pub(crate) async fn run(&self, args: &[&str]) -> Ran {
        self.finish(self.hallpass(args)).await
    }

    /// Runs a command to its end.
    pub(crate) async fn finish(&self, mut command: Command) -> Ran {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let words = format!("{command:?}");
        let mut command = tokio::process::Command::from(command);
        let output = tokio::time::timeout(LIMIT, command.kill_on_drop(true).output()).await;
        let Output { status, stdout, stderr } =
            output.unwrap_or_else(|_| panic!("{words} takes too long")).expect("it can be started");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("our output is UTF-8");
        Ran { code: status.code().unwrap_or(-1), out: text(stdout), err: text(stderr) }
    }

    /// Adds the protected server as [`SERVER`].
    pub(crate) async fn add_server(&self) {
        self.run(&["servers", "add", &self.server.endpoint(), "--id", SERVER]).await.ok();
    }

    /// Adds the protected server as [`SERVER`], with the secret of a client that was registered beforehand.
    pub(crate) async fn add_server_with_secret(&self, secret: &str, more: &[&str]) -> Ran {
        let endpoint = self.server.endpoint();
        let mut args = vec!["servers", "add", &endpoint, "--id", SERVER, "--client-secret-stdin"];
        args.extend(more);
        let mut command = self.hallpass(&args);
        let pipe = std::io::pipe().expect("a pipe");
        command.stdin(pipe.0);
        std::io::Write::write_all(&mut { pipe.1 }, secret.as_bytes()).expect("it takes a secret");
        self.finish(command).await
    }

    /// Signs somebody in through the scripted browser, saying yes beforehand.
    pub(crate) async fn login(&self, person: &str, more: &[&str]) -> Ran {
        let mut args = vec!["login", SERVER, "--yes"];
        args.extend(more);
        self.login_with(&format!("--as {person}"), &args).await
    }

    /// Runs a `login` command with a scripted browser that has these options.
    pub(crate) async fn login_with(&self, browser: &str, args: &[&str]) -> Ran {
        let mut command = self.hallpass(args);
        command.env("BROWSER", format!("{} browser {browser}", testbed_program().display()));
        self.finish(command).await
    }

    /// The id of the Account with this subject.
    pub(crate) async fn account(&self, subject: &str) -> String {
        let listed = self.run(&["accounts", "list", "--json"]).await.ok().json();
        let accounts = listed["accounts"].as_array().cloned().unwrap_or_default();
        let found = accounts.iter().find(|a| a["subject"] == subject);
        found
            .and_then(|a| a["id"].as_str())
            .unwrap_or_else(|| panic!("no {subject} in {accounts:?}"))
            .to_owned()
    }

    /// The command of a config entry, with the stripped environment that hosts give.
    pub(crate) fn bridge(&self, app: &str, more: &[&str]) -> Command {
        let mut command = self.sandbox.bare_command(executable());
        command.args(["bridge", "--app", app, "--server", SERVER]).args(more);
        command
    }

    /// A host of the handshake era on a bridge, greeted.
    pub(crate) async fn host(&self, app: &str) -> Host {
        let host = self.host_of(self.bridge(app, &[]), HostEra::Handshake("2025-11-25".to_owned()));
        host.greet().await.expect("the bridge answers initialize");
        host
    }

    /// A host of either era on a command, not greeted yet.
    #[expect(clippy::unused_self, reason = "a host lives in a world")]
    pub(crate) fn host_of(&self, command: Command, era: HostEra) -> Host {
        Host::start(command, era).expect("the bridge can be started")
    }

    /// The folder of everything of ours.
    pub(crate) fn root(&self) -> PathBuf {
        self.sandbox.home().join(".hallpass-dev")
    }

    /// `state.json` as it is on disk.
    pub(crate) fn state(&self) -> Value {
        let bytes = std::fs::read(self.root().join("state/state.json")).expect("the agent has written it");
        serde_json::from_slice(&bytes).expect("it is JSON")
    }

    /// The agent's process id.
    pub(crate) async fn agent_pid(&self) -> u32 {
        let status = self.run(&["agent", "status", "--json"]).await.json();
        u32::try_from(status["agent"]["pid"].as_u64().expect("it runs")).expect("a process id")
    }

    /// The agent dies at this named point when it next comes there (SIGABRT, nothing is cleaned up).
    pub(crate) fn plant_fault(&self, point: &str) {
        std::fs::write(self.root().join("run/fault"), point).expect("our folder is ours");
    }
}

/// The executable under test.
pub(crate) fn executable() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_hallpass"))
}

/// The testbed's program beside it: the scripted browser.
pub(crate) fn testbed_program() -> PathBuf {
    let path = executable().with_file_name("testbed");
    assert!(path.is_file(), "{} is missing; run: cargo build --workspace --bins", path.display());
    path
}

/// Asks again and again until the answer is there; the reason for failing is `what`.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + LIMIT;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "{what} did not come about within {LIMIT:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
