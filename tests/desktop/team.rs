//! People, an authorization server and protected servers of this project, for journeys that need real accounts and no
//! other people's programs.

use testbed::authorization_server::AuthorizationServer;
use testbed::host::{Host, HostEra};
use testbed::mcp_server::{Eras, McpServer};

use crate::desk::{Desk, app, eventually, hallpass};

pub(crate) struct Team {
    pub(crate) issuer: AuthorizationServer,
    pub(crate) server: McpServer,
}

/// The id and label of the server.
pub(crate) const SERVER: &str = "tickets";

impl Team {
    /// With the server added, and nobody signed in.
    pub(crate) async fn at(desk: &Desk) -> Self {
        let issuer = AuthorizationServer::start().await.unwrap();
        let server = McpServer::protected(issuer.handle(), Eras::Both).await.unwrap();
        // No renewal comes in between.
        issuer.handle().set(|knobs| knobs.access_token_lifetime = 3600);
        let team = Self { issuer, server };
        ran(desk, &["servers", "add", &team.server.endpoint(), "--id", SERVER, "--label", SERVER]).await;
        team
    }

    /// From now on this person sits at the browser.
    #[expect(clippy::unused_self, reason = "people belong to a team")]
    pub(crate) fn browse_as(&self, desk: &Desk, person: &str) {
        let testbed = app().with_file_name("testbed");
        assert!(testbed.exists(), "{} is missing: run `cargo build --workspace --bins`", testbed.display());
        desk.browse_with(&format!("exec {} browser --as {person} \"$1\"", testbed.display()));
    }

    /// Signs somebody in by the command line, whoever is chosen.
    pub(crate) async fn login(&self, desk: &Desk, person: &str) {
        self.browse_as(desk, person);
        ran(desk, &["login", SERVER, "--yes", "--use"]).await;
        desk.browse_with("exit 0");
    }

    /// An app's bridge, as the app starts it.
    pub(crate) async fn app(&self, desk: &Desk) -> Host {
        let mut bridge = desk.sandbox.bare_command(hallpass());
        bridge.args(["bridge", "--app", "cursor", "--server", SERVER]);
        let host = Host::start(bridge, HostEra::Handshake("2025-11-25".to_owned())).unwrap();
        host.greet().await.unwrap();
        host
    }
}

/// Who the server says that this app is.
pub(crate) async fn whoami(host: &Host) -> String {
    host.call_tool("whoami", serde_json::json!({})).await.unwrap()
}

/// Runs `hallpass`, which must succeed; beside this test's own servers, which have to answer it.
pub(crate) async fn ran(desk: &Desk, args: &[&str]) -> String {
    let mut command = tokio::process::Command::from(desk.command(hallpass()));
    let ran = command.args(args).kill_on_drop(true).output().await.unwrap();
    assert!(ran.status.success(), "{args:?}: {ran:?}");
    String::from_utf8(ran.stdout).unwrap()
}

/// Who is selected now, by subject.
pub(crate) fn selected(desk: &Desk) -> Option<String> {
    let status = desk.hallpass_json(&["status", "--json"]);
    let grants = status["servers"][0]["grants"].as_array()?.clone();
    let one = grants.into_iter().find(|grant| grant["selected"] == true)?;
    one["account"]["subject"].as_str().map(str::to_owned)
}

/// Waits until this person is selected.
pub(crate) async fn is_selected(desk: &Desk, person: &str) {
    eventually(&format!("{person} in use"), async || {
        (selected(desk).as_deref() == Some(person)).then_some(())
    })
    .await;
}
