//! `hallpass servers add|list|show|test|set|rename|pause|resume|trust|remove`.

use std::collections::BTreeMap;

use ipc::{
    DiscoveryView, Error, ErrorCode, NewServer, PastedServerView, Request, Response, ServerState, ServerView,
};
use model::{
    AuthKind, Exceptions, LoopbackHost, LoopbackSetting, Origin, ProofKind, RegistrationChoice,
    RegistrationKind,
};

use super::paste::{self, Which};
use super::unexpected;
use crate::args::{
    Exception, Redirect, RedirectHost, RedirectPort, Servers, ServersAdd, ServersSet, TokenEndpointAuth,
};
use crate::link::Link;
use crate::output::{Output, can_ask, relative};

pub(crate) async fn run(verb: Servers, quiet: bool) -> Result<(), Error> {
    match verb {
        Servers::Add(options) => add(*options, quiet).await,
        Servers::List(json) => list(Output { json: json.json, quiet }).await,
        Servers::Show { server, json } => {
            let out = Output { json: json.json, quiet };
            match Link::open().await?.ask(Request::ShowServer { server }).await? {
                Response::Server(view) if out.json => out.object("server", &view),
                Response::Server(view) => {
                    show(out, &view);
                    Ok(())
                }
                other => Err(unexpected(&other)),
            }
        }
        Servers::Test { server, json } => {
            let out = Output { json: json.json, quiet };
            match Link::open().await?.ask(Request::TestServer { server }).await? {
                Response::Discovery(view) if out.json => out.object("discovery", &view),
                Response::Discovery(view) => {
                    discovery(out, &view);
                    Ok(())
                }
                other => Err(unexpected(&other)),
            }
        }
        Servers::Set(options) => set(options, quiet).await,
        Servers::Rename { server, label, json } => {
            let request = Request::RenameServer { server, label };
            changed(Output { json: json.json, quiet }, request, |s| {
                format!("{} is called {} now", s.id, s.label)
            })
            .await
        }
        Servers::Pause { server, json } => {
            let request = Request::PauseServer { server, paused: true };
            let words = |s: &ServerView| {
                format!("{0} is paused for everybody; open it again with: hallpass servers resume {0}", s.id)
            };
            changed(Output { json: json.json, quiet }, request, words).await
        }
        Servers::Resume { server, json } => {
            let request = Request::PauseServer { server, paused: false };
            changed(Output { json: json.json, quiet }, request, |s| format!("{} is open again", s.id)).await
        }
        Servers::Trust { server, ca, no_ca: _, json } => {
            let ca = ca.as_deref().map(super::authority_file).transpose()?;
            let words = |s: &ServerView| {
                let what = if s.private_ca { "the private authority" } else { "no private authority" };
                format!("{what} is trusted for {0} now; look with: hallpass servers test {0}", s.id)
            };
            changed(Output { json: json.json, quiet }, Request::TrustServer { server, ca }, words).await
        }
        Servers::Remove { server, json } => {
            let out = Output { json: json.json, quiet };
            match Link::open().await?.ask(Request::RemoveServer { server: server.clone() }).await? {
                Response::SignedOut(view) if out.json => out.object("removed", &view),
                Response::SignedOut(view) => {
                    super::logout::report(out, &view);
                    out.line(format!("{server} is removed"));
                    Ok(())
                }
                other => Err(unexpected(&other)),
            }
        }
    }
}

async fn changed(out: Output, request: Request, words: impl Fn(&ServerView) -> String) -> Result<(), Error> {
    match Link::open().await?.ask(request).await? {
        Response::Server(view) if out.json => out.object("server", &view),
        Response::Server(view) => {
            out.line(words(&view));
            Ok(())
        }
        other => Err(unexpected(&other)),
    }
}

/// What is not named stays as it is.
async fn set(options: ServersSet, quiet: bool) -> Result<(), Error> {
    let out = Output { json: options.json.json, quiet };
    let mut link = Link::open().await?;
    let server = options.server;
    let before = match link.ask(Request::ShowServer { server: server.clone() }).await? {
        Response::Server(view) => view.registration,
        other => return Err(unexpected(&other)),
    };
    let parameters = match (options.no_parameters, options.parameters) {
        (true, _) => BTreeMap::new(),
        (false, given) if given.is_empty() => before.parameters,
        (false, given) => given.into_iter().collect(),
    };
    let redirect = redirect(options.redirect, before.redirect);
    let except = match (options.no_exceptions, &options.exceptions[..]) {
        (true, _) => Exceptions::default(),
        (false, []) => before.except,
        (false, given) => except(given),
    };
    let metadata_url = match (options.no_client_metadata_url, options.client_metadata_url) {
        (true, _) => None,
        (false, Some(document)) => Some(document.0),
        (false, None) => before.metadata_url,
    };
    changed(out, Request::SetSignIn { server, redirect, parameters, except, metadata_url }, |s| {
        format!("set for the next sign-in: hallpass login {}", s.id)
    })
    .await
}

fn except(given: &[Exception]) -> Exceptions {
    Exceptions {
        missing_pkce: given.contains(&Exception::MissingPkce),
        resource: given.contains(&Exception::Resource),
    }
}

fn redirect(wanted: Redirect, before: LoopbackSetting) -> LoopbackSetting {
    LoopbackSetting {
        port: match wanted.redirect_port {
            Some(RedirectPort::Only(port)) => Some(port),
            Some(RedirectPort::Any) => None,
            None => before.port,
        },
        host: match wanted.redirect_host {
            Some(RedirectHost::Literal) => LoopbackHost::Literal,
            Some(RedirectHost::Localhost) => LoopbackHost::Localhost,
            None => before.host,
        },
    }
}

async fn add(options: ServersAdd, quiet: bool) -> Result<(), Error> {
    let out = Output { json: options.json.json, quiet };
    let ca = options.ca.as_deref().map(super::authority_file).transpose()?;
    let secret = client_secret(&options)?;
    let which = match (&options.name, options.all) {
        (Some(name), _) => Which::Named(name.clone()),
        (None, true) => Which::All,
        (None, false) => Which::Only,
    };
    let mut link = Link::open().await?;
    let chosen = paste::choose(&mut link, out, &options.text, &which).await?;
    let several = chosen.len() > 1;
    let mut added = Vec::new();
    for one in chosen {
        let view = add_one(&mut link, &options, one, ca.clone(), secret.clone()).await?;
        if !out.json {
            tell_added(out, &view);
        }
        added.push(view);
    }
    match &added[..] {
        [view] if out.json && !several => out.object("server", view),
        _ if out.json => out.object("servers", &serde_json::json!({ "servers": added })),
        _ => Ok(()),
    }
}

async fn add_one(
    link: &mut Link,
    options: &ServersAdd,
    one: PastedServerView,
    ca: Option<String>,
    secret: Option<String>,
) -> Result<ServerView, Error> {
    let registration = RegistrationChoice {
        client_id: options.client_id.clone(),
        token_endpoint_auth: options.token_endpoint_auth.map(|auth| match auth {
            TokenEndpointAuth::None => model::TokenEndpointAuth::None,
            TokenEndpointAuth::Basic => model::TokenEndpointAuth::ClientSecretBasic,
            TokenEndpointAuth::Post => model::TokenEndpointAuth::ClientSecretPost,
            TokenEndpointAuth::PrivateKeyJwt => model::TokenEndpointAuth::PrivateKeyJwt,
        }),
        has_secret: secret.is_some(),
        vouched_by: options.vouched_by.clone(),
        metadata_url: options.client_metadata_url.clone().map(|document| document.0),
        redirect: redirect(options.redirect, LoopbackSetting::default()),
        parameters: options.parameters.iter().cloned().collect(),
        except: except(&options.exceptions),
    };
    let mut headers = one.headers;
    headers.extend(options.headers.iter().cloned());
    let new = NewServer {
        url: one.url.unwrap_or_default(),
        id: options.id.clone(),
        label: options.label.clone().or(Some(one.label)),
        headers,
        registration,
        identity_provider: options.identity_provider,
        personal_token: options.personal_token,
        whoami: options.whoami.clone(),
        private_network: options.private_network,
        ca,
        imported_from: None,
    };
    let view = match link.ask(Request::AddServer(new)).await? {
        Response::Server(view) => *view,
        other => return Err(unexpected(&other)),
    };
    if let Some(secret) = secret {
        link.ask(Request::GiveClientSecret { server: view.id.clone(), secret }).await?;
    }
    Ok(view)
}

fn tell_added(out: Output, view: &ServerView) {
    out.line(format!("added {} ({})", view.id, view.endpoint));
    if view.development {
        out.line("  plain http on this machine: for development only");
    }
    match view.auth {
        AuthKind::Oauth => out.line(format!("  next: hallpass login {}", view.id)),
        AuthKind::Bearer => {
            out.line("  each person makes a token there and pastes it");
            out.line(format!("  next: hallpass login {} --token-stdin", view.id));
        }
        AuthKind::IdentityProvider => {
            out.line("  an identity provider: whoever signs in there is signed in at the servers that it vouches for");
            out.line(format!(
                "  next: hallpass servers add <url> --vouched-by {0}; hallpass login {0}",
                view.id
            ));
        }
        AuthKind::None => {
            out.line("  it answers without a sign-in, so nothing will ever be sent to prove who calls");
            out.line("  next: hallpass apps connect cursor");
        }
    }
}

/// The secret is asked for or read, never given in argv, where every program of this machine can read it.
fn client_secret(options: &ServersAdd) -> Result<Option<String>, Error> {
    let secret = if options.client_secret_stdin {
        super::secret_from_stdin("the client secret")?
    } else if options.client_secret {
        if !can_ask() {
            return Err(Error::new(ErrorCode::Usage, "there is no terminal to ask for the client secret on")
                .hint("give it on standard input with --client-secret-stdin"));
        }
        dialoguer::Password::new().with_prompt("Client secret").interact().map_err(|e| {
            Error::new(ErrorCode::Cancelled, format!("the client secret was not entered: {e}"))
        })?
    } else {
        return Ok(None);
    };
    if secret.is_empty() {
        return Err(Error::new(ErrorCode::Usage, "the client secret is empty")
            .hint("leave --client-secret out if the client has none"));
    }
    Ok(Some(secret))
}

async fn list(out: Output) -> Result<(), Error> {
    match Link::open().await?.ask(Request::ListServers).await? {
        Response::Servers { servers } if out.json => {
            out.object("servers", &serde_json::json!({ "servers": servers }))
        }
        Response::Servers { servers } if servers.is_empty() => {
            out.line("no servers yet");
            out.talk("  next: hallpass servers add https://mcp.example.com/mcp");
            Ok(())
        }
        Response::Servers { servers } => {
            out.table(&table(&servers));
            Ok(())
        }
        other => Err(unexpected(&other)),
    }
}

/// Heading and one row a server.
pub(crate) fn table(servers: &[ServerView]) -> Vec<Vec<String>> {
    let heading = ["SERVER", "STATE", "ACTS AS", "ACCOUNTS", "URL"].map(str::to_owned).to_vec();
    let row = |server: &ServerView| {
        let selected = server.grants.iter().find(|g| g.selected);
        vec![
            server.id.to_string(),
            state(server.state).to_owned(),
            selected.map_or_else(|| "-".to_owned(), |g| g.account.label.clone()),
            server.grants.len().to_string(),
            server.endpoint.to_string(),
        ]
    };
    std::iter::once(heading).chain(servers.iter().map(row)).collect()
}

/// The word for a Server's state.
pub(crate) fn state(state: ServerState) -> &'static str {
    match state {
        ServerState::Connected => "connected",
        ServerState::NeedsSignIn => "needs sign-in",
        ServerState::RevokedByServer => "revoked by server",
        ServerState::SignedOut => "signed out",
        ServerState::NobodyChosen => "nobody chosen",
        ServerState::Open => "no sign-in",
        ServerState::Renewing => "renewing",
        ServerState::Switching => "switching",
        ServerState::Unreachable => "unreachable",
        ServerState::Paused => "paused",
        ServerState::Blocked => "blocked",
    }
}

fn show(out: Output, server: &ServerView) {
    out.line(format!("{}  {}", server.id, server.label));
    out.line(format!("  url        {}", server.endpoint));
    out.line(format!("  state      {}", state(server.state)));
    out.line(format!(
        "  added      {}",
        match &server.origin {
            Origin::HandMade => "by hand".to_owned(),
            Origin::Imported { app } => format!("from the configuration of {app}"),
            Origin::Preset { preset, name } => format!("by the list {preset}, as {name}"),
        }
    ));
    if let Some(trouble) = &server.trouble {
        out.line(format!("  trouble    {trouble}"));
    }
    closed(out, server);
    for listed in &server.lists {
        let gone = if listed.gone { "no longer in " } else { "" };
        out.line(format!("  list       {gone}{} ({})", listed.title, listed.preset));
    }
    if server.private_ca {
        out.line("  authority  a private one is trusted for it and its issuer (--ca)");
    }
    for (name, value) in &server.headers {
        out.line(format!("  header     {name}: {value}"));
    }
    if let Some(client_id) = &server.registration.client_id {
        out.line(format!("  client id  {client_id} (registered beforehand)"));
    }
    if let Some(whoami) = &server.whoami {
        out.line(format!("  whoami     its tool {whoami} says who is signed in, where nothing better does"));
    }
    match server.registration.metadata_url.as_deref() {
        Some("") => out.line("  document   no client id metadata document is presented"),
        Some(url) => out.line(format!("  document   {url} (client id metadata)")),
        None => {}
    }
    if !server.registration.redirect.is_default() {
        out.line(format!("  redirect   the browser comes back to {}", server.registration.redirect.shown()));
    }
    if server.registration.except.missing_pkce {
        out.line("  excepted   its issuer does not say that it checks PKCE");
    }
    if server.registration.except.resource {
        out.line("  excepted   its issuer is not told for which server a token is meant (resource)");
    }
    for (name, value) in &server.registration.parameters {
        out.line(format!("  sign-in    sends {name}={value} too"));
    }
    if server.development {
        out.line("  plain http on this machine: for development only");
    }
    for grant in &server.grants {
        out.line(format!("  {}", super::accounts::grant_line(grant)));
    }
    for (app, account) in &server.bound_apps {
        let label = server
            .grants
            .iter()
            .find(|g| g.account.id == *account)
            .map_or(account.as_str(), |g| g.account.label.as_str());
        out.line(format!("  {app} always acts as {label}"));
    }
    if let Some(grant) = server.grants.iter().find(|g| g.selected && g.renewed_at.is_some())
        && let Some(at) = grant.renewed_at
    {
        out.line(format!("  renewed    {}", relative(at)));
    }
}

/// Who closed a Server, and why.
pub(crate) fn closed(out: Output, server: &ServerView) {
    if let Some(closed) = &server.closed {
        out.line(format!("  closed by the list {}: {}", closed.by, closed.reason));
    }
}

fn discovery(out: Output, view: &DiscoveryView) {
    for step in &view.steps {
        out.line(format!("  {step}"));
    }
    match view.auth {
        AuthKind::None => out.line("answers without a sign-in"),
        AuthKind::Bearer => out.line("takes a personal token"),
        AuthKind::Oauth | AuthKind::IdentityProvider => {
            out.line(format!("issuer     {}", view.issuer.as_deref().unwrap_or("-")));
            out.line(format!("resource   {}", view.resource.as_deref().unwrap_or("-")));
            let scopes = if view.scopes.is_empty() { "none named".to_owned() } else { view.scopes.join(" ") };
            out.line(format!("scopes     {scopes}"));
            out.line(format!(
                "client     {}",
                match view.registration {
                    Some(RegistrationKind::PreRegistered) => "registered beforehand",
                    Some(RegistrationKind::MetadataDocument) => "client id metadata document",
                    Some(RegistrationKind::Dynamic) => "registers itself",
                    None => "your administrator must register one",
                }
            ));
            let identity = match view.proof {
                ProofKind::IdToken => "will be proven by an id_token",
                ProofKind::Userinfo => "will be proven by the issuer's userinfo endpoint",
                ProofKind::Introspection => "will be proven by the issuer's introspection endpoint",
                ProofKind::Whoami => "will be said by the server's own tool alone",
                ProofKind::Vouched => "will be vouched for by the identity provider",
                ProofKind::Application => "of an application, and no person",
                ProofKind::Unknown => "cannot be proven here",
            };
            out.line(format!("identity   {identity}"));
            out.line(format!(
                "device     {}",
                if view.device { "hallpass login --device works" } else { "not offered" }
            ));
        }
    }
    for quirk in &view.quirks {
        out.line(format!("known for  {} ({})", quirk.what, quirk.evidence));
    }
    for warning in &view.warnings {
        out.notice(format!("warning: {warning}"));
    }
}
