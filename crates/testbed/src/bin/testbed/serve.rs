//! `testbed serve [--eras handshake|stateless|both] [--open]`: an authorization server and an MCP server for
//! tests in other processes. The first line of stdout tells their addresses; after that each line of stdin is a
//! command and each line of stdout its answer, in order. The end of stdin is the end of the servers.

use std::error::Error;

use serde::Deserialize;
use serde_json::{Value, json};
use testbed::authorization_server::AuthorizationServer;
use testbed::mcp_server::{Eras, McpServer, Push};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, stdin, stdout};

/// A line of stdin.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
enum Command {
    /// Knobs of the authorization server.
    SetAuthorizationServer { knobs: Value },
    /// Knobs of the MCP server.
    SetMcpServer { knobs: Value },
    /// Counts of both.
    Stats,
    /// Every request at the MCP server.
    Requests,
    /// Every secret ever issued, in plain text.
    Secrets,
    /// A token without any flow.
    Issue { person: String },
    /// Whom a token belongs to.
    Introspect { token: String },
    /// Ends the life of every access token.
    ExpireAccessTokens,
    /// Revokes all grants of a person.
    RevokePerson { person: String },
    /// Waits for token requests at the barrier.
    WaitUntilPaused { count: u64 },
    /// Lets them go.
    Release,
    /// Forgets all MCP sessions.
    LoseSessions,
    /// Pushes a log notification to every stream, naming its person.
    Push,
}

pub(crate) async fn run(mut arguments: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let (mut eras, mut open) = (Eras::Both, false);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--open" => open = true,
            "--eras" => eras = serde_json::from_value(arguments.next().into())?,
            other => return Err(format!("serve: unknown option {other}").into()),
        }
    }
    let authorization = AuthorizationServer::start().await?;
    let server = if open {
        McpServer::open(eras).await?
    } else {
        McpServer::protected(authorization.handle(), eras).await?
    };
    say(&json!({"issuer": authorization.issuer(), "endpoint": server.endpoint(), "pid": std::process::id()}))
        .await?;
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let answer = match serde_json::from_str(&line) {
            Ok(command) => obey(command, &authorization, &server).await,
            Err(error) => Err(error),
        };
        say(&answer.unwrap_or_else(|error| json!({"error": error.to_string()}))).await?;
    }
    Ok(())
}

async fn obey(
    command: Command,
    authorization: &AuthorizationServer,
    server: &McpServer,
) -> Result<Value, serde_json::Error> {
    let (issuer, mcp) = (authorization.handle(), server.handle());
    match command {
        Command::SetAuthorizationServer { knobs } => issuer.set_json(&knobs)?,
        Command::SetMcpServer { knobs } => mcp.set_json(&knobs)?,
        Command::Stats => {
            return Ok(json!({"authorization_server": issuer.stats(), "mcp_server": mcp.stats(),
                             "sessions": mcp.sessions(), "connects": server.connects()}));
        }
        Command::Requests => return serde_json::to_value(mcp.requests()),
        Command::Secrets => {
            let plain = issuer.secrets().into_iter().map(|secret| {
                // The asker is a test, which is going to look for it.
                json!({"kind": secret.kind, "person": secret.person, "value": secret.value.expose()})
            });
            return Ok(plain.collect());
        }
        Command::Issue { person } => {
            return Ok(json!({"access_token": issuer.issue_access_token(&person, &server.endpoint())}));
        }
        Command::Introspect { token } => return serde_json::to_value(issuer.introspect(&token)),
        Command::ExpireAccessTokens => issuer.expire_access_tokens(),
        Command::RevokePerson { person } => issuer.revoke_person(&person),
        Command::WaitUntilPaused { count } => issuer.wait_until_paused(count).await,
        Command::Release => issuer.release(),
        Command::LoseSessions => mcp.lose_sessions(),
        Command::Push => return Ok(json!({"reached": mcp.push(Push::Message, None)})),
    }
    Ok(json!({"ok": true}))
}

async fn say(value: &Value) -> std::io::Result<()> {
    let mut stdout = stdout();
    stdout.write_all(format!("{value}\n").as_bytes()).await?;
    stdout.flush().await
}
