//! The steps, in order.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testbed::authorization_server::AuthorizationServer;
use testbed::host::{Host, HostEra};
use testbed::mcp_server::{Eras, McpServer, Recorded};
use testbed::sandbox::{Process, Sandbox};
use testbed::scanner::{Wanted, scan_sandbox};

use crate::configs::Config;
use crate::home::Home;
use crate::show::{Reason, Show};

/// The server's id.
const SERVER: &str = "tickets";
/// How long the next state may be waited for, whatever the machine is doing besides.
const LIMIT: Duration = Duration::from_mins(1);

/// Everything that stands on the stage.
struct Stage {
    home: Home,
    issuer: AuthorizationServer,
    server: McpServer,
    configs: [Config; 2],
}

/// Plays it.
pub(crate) async fn play(show: &mut Show) -> Result<(), Reason> {
    let mut stage = set_up(show).await?;
    sign_in(show, &mut stage).await?;
    rewrite(show, &mut stage).await?;
    let mut hosts = bind_and_call(show, &mut stage).await?;
    switch(show, &mut stage, &hosts[0]).await?;
    expire(show, &stage, &hosts).await?;
    for (host, name) in hosts.iter_mut().zip(["claude-desktop's bridge", "cursor's bridge"]) {
        stage.home.keep(name, host.stdout(), host.stderr());
    }
    scan(show, &stage)?;
    for host in &mut hosts {
        host.close().await.map_err(|e| format!("a bridge did not end with its host: {e}"))?;
    }
    undo(show, &mut stage).await?;
    leave(show, stage).await
}

async fn set_up(show: &mut Show) -> Result<Stage, Reason> {
    show.step("A scratch home, a sign-in server and a protected MCP server");
    let home = Home::new()?;
    let no_port = |e| format!("no port could be had: {e}");
    let issuer = AuthorizationServer::start().await.map_err(no_port)?;
    let server = McpServer::protected(issuer.handle(), Eras::Both).await.map_err(no_port)?;
    show.happens("own folder, own D-Bus session, own keychain service (gnome-keyring), own agent");
    show.happens(&format!(
        "sign-in at {} (ana, ben; tokens live for 30 s, refresh tokens rotate)",
        issuer.issuer()
    ));
    show.happens(&format!("MCP server at {}", server.endpoint()));
    let endpoint = server.endpoint();
    let configs = [Config::claude_desktop(&home, &endpoint)?, Config::cursor(&home, &endpoint)?];
    show.happens(
        "Claude Desktop and Cursor are configured as teams do it: a developer's token in plain text",
    );
    Ok(Stage { home, issuer, server, configs })
}

async fn sign_in(show: &mut Show, stage: &mut Stage) -> Result<(), Reason> {
    show.step("Add the server; ana signs in, then ben, each in a browser");
    let endpoint = stage.server.endpoint();
    let added = stage.home.hallpass(&["servers", "add", &endpoint, "--id", SERVER]).await?;
    show.happens(&added);
    for person in ["ana", "ben"] {
        let said = stage.home.hallpass_with_browser(&["login", SERVER, "--expect", person], person).await?;
        show.happens(&said);
    }
    let listed = stage.home.json(&["accounts", "list", "--json"]).await?;
    let proven = |a: &Value| a["proof"] == "id_token" && a["subject"].is_string();
    let accounts = listed["accounts"].as_array().cloned().unwrap_or_default();
    show.proves(
        "two accounts, each proven by a verified id_token of the issuer",
        accounts.len() == 2 && accounts.iter().all(proven),
    )?;
    let families = stage.issuer.handle().stats();
    show.proves(
        "two sign-ins, and nothing was refused",
        families.code_exchanges == 2 && families.families_revoked == 0,
    )
}

async fn rewrite(show: &mut Show, stage: &mut Stage) -> Result<(), Reason> {
    show.step("Rewrite both apps' files: the token goes to the keychain, the entry becomes our bridge");
    let found = stage.home.hallpass(&["apps", "list"]).await?;
    show.happens(&found);
    for app in ["claude-desktop", "cursor"] {
        let said = stage.home.hallpass(&["apps", "connect", app, "--yes"]).await?;
        show.happens(&said);
    }
    for config in &stage.configs {
        let text = String::from_utf8(config.bytes()?).map_err(|e| e.to_string())?;
        show.proves(
            &format!("{}'s file names our bridge and holds no token", config.app),
            !text.contains(&config.token) && text.contains("\"bridge\""),
        )?;
    }
    Ok(())
}

async fn bind_and_call(show: &mut Show, stage: &mut Stage) -> Result<[Host; 2], Reason> {
    show.step("Bind one app to each person, and call `whoami` through each app's own entry");
    for (app, person) in [("claude-desktop", "ana"), ("cursor", "ben")] {
        let said = stage.home.hallpass(&["switch", SERVER, person, "--app", app]).await?;
        show.happens(&said);
    }
    let mut hosts = Vec::new();
    for (config, person) in stage.configs.iter().zip(["ana", "ben"]) {
        let command = stage.home.entry(&config.entry()?)?;
        let host = Host::start(command, HostEra::Handshake("2025-11-25".to_owned()))
            .map_err(|e| format!("{}'s entry cannot be started: {e}", config.app))?;
        host.greet().await.map_err(|e| e.to_string())?;
        let answer = whoami(&host).await?;
        show.proves(
            &format!("{}, with an almost empty environment: whoami = {answer}", config.app),
            answer == person,
        )?;
        hosts.push(host);
    }
    <[Host; 2]>::try_from(hosts).map_err(|_| "two apps were expected".to_owned())
}

async fn switch(show: &mut Show, stage: &mut Stage, claude: &Host) -> Result<(), Reason> {
    show.step("Switch Claude Desktop from ana to ben while a slow call is running");
    let running = claude
        .send("tools/call", json!({ "name": "slow", "arguments": { "ms": 1500 } }))
        .await
        .map_err(|e| e.to_string())?;
    let there = |one: &Recorded| one.tool.as_deref() == Some("slow");
    let begun = stage.server.handle().wait_until(LIMIT, |seen| seen.iter().any(there)).await;
    show.proves("the slow call has reached the server", begun)?;
    let said = stage.home.hallpass(&["switch", SERVER, "ben", "--app", "claude-desktop"]).await?;
    show.happens(&said);
    let next = whoami(claude).await?;
    show.proves(&format!("the very next call is the new person's: whoami = {next}"), next == "ben")?;
    let ended = text_of(&running.result().await.map_err(|e| e.to_string())?);
    show.proves(&format!("the running call ended as it began: slow = {ended}"), ended == "ana")?;
    let changed = claude.wait_for_notification(|n| n["method"] == "notifications/tools/list_changed").await;
    show.proves("the app was told to look at its tools again, without a restart", changed.is_some())
}

async fn expire(show: &mut Show, stage: &Stage, hosts: &[Host; 2]) -> Result<(), Reason> {
    show.step("Wait until every access token has ended, and go on calling");
    let before = stage.issuer.handle().stats();
    for left in (0..4).rev() {
        show.happens(&format!("{} s", (left + 1) * 8));
        tokio::time::sleep(Duration::from_secs(8)).await;
    }
    for (host, app) in hosts.iter().zip(["claude-desktop", "cursor"]) {
        let answer = whoami(host).await?;
        show.proves(&format!("{app}: whoami = {answer}, nobody was asked to sign in"), answer == "ben")?;
    }
    let after = stage.issuer.handle().stats();
    let renewed = after.refreshes - before.refreshes;
    show.proves(&format!("the agent renewed {renewed} token set(s) by itself"), renewed > 0)?;
    show.proves(
        "the issuer saw no refresh token twice and revoked nobody",
        after.reuse_detections == 0 && after.families_revoked == 0,
    )
}

fn scan(show: &mut Show, stage: &Stage) -> Result<(), Reason> {
    show.step("Look for every secret that was ever issued: files, names, argv, environments, output");
    let mut secrets: Vec<Wanted> = stage.issuer.handle().secrets().into_iter().map(Wanted::from).collect();
    for config in &stage.configs {
        secrets.push(Wanted::new(format!("the old token of {}", config.app), config.token.clone().into()));
    }
    let report =
        scan_sandbox(&stage.home.sandbox, secrets, &stage.home.outputs()).map_err(|e| e.to_string())?;
    show.happens(&report.to_string());
    show.proves(
        "the scanner finds the canary that it planted, in every kind of place",
        report.broken().is_empty(),
    )?;
    show.proves("no secret is readable anywhere", report.is_clean())
}

async fn undo(show: &mut Show, stage: &mut Stage) -> Result<(), Reason> {
    show.step("Undo the rewriting; what it writes back is said first");
    for app in ["claude-desktop", "cursor"] {
        let said = stage.home.hallpass(&["apps", "restore", app, "--yes"]).await?;
        show.happens(&said);
        show.proves(
            &format!("{app}: it said that a secret goes back in plain text"),
            said.contains("in plain text"),
        )?;
    }
    for config in &stage.configs {
        show.proves(&format!("{}'s file is byte for byte what it was", config.app), config.is_original()?)?;
    }
    Ok(())
}

async fn leave(show: &mut Show, mut stage: Stage) -> Result<(), Reason> {
    show.step("Sign everybody out and leave");
    let said = stage.home.hallpass(&["logout", SERVER, "--all"]).await?;
    show.happens(&said);
    let revoked = stage.issuer.handle().stats().revocations;
    show.proves("the issuer was told (RFC 7009)", revoked >= 2)?;
    stage.home.hallpass(&["agent", "stop"]).await?;
    let left = still_there(&stage.home.sandbox).await;
    for process in &left {
        show.happens(&format!("still there: {process:?}"));
    }
    show.proves("no process is left", left.is_empty())?;
    let folder = stage.home.sandbox.root().to_owned();
    drop(stage);
    show.proves("no file is left", !folder.exists())
}

/// The processes of the home that do not end by themselves: a browser, for one, is told last of all.
async fn still_there(sandbox: &Sandbox) -> Vec<Process> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let left = sandbox.processes();
        if left.is_empty() || Instant::now() > deadline {
            return left;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn whoami(host: &Host) -> Result<String, Reason> {
    host.call_tool("whoami", json!({})).await.map_err(|e| e.to_string())
}

fn text_of(result: &Value) -> String {
    result["content"][0]["text"].as_str().unwrap_or_default().to_owned()
}
