//! MCP servers of both eras in this process, protected by the testbed's authorization server or open to all,
//! which answer with the person whose token came with each request and remember everything they saw.
//!
//! ```text
//! McpServer::protected(as.handle(), Eras::Handshake).await -- handle() --> Handle: set(knobs), requests(), push(...)
//! ```

mod call;
mod gate;
mod handshake;
mod knobs;
mod peer;
mod personal;
mod push;
mod record;
mod session;
mod stateless;
mod stream;
#[cfg(test)]
mod tests;
mod tools;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use http::{HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::authority::{Identification, origin};
use crate::authorization_server;
use crate::web::{self, Answer, Incoming, WebServer, bytes_reply};
use personal::PersonalTokens;
use push::Listener;
use session::Sessions;

pub use knobs::{AnswerForm, Eras, Knobs, MetadataPlace};
pub use push::Push;
pub use record::{Recorded, SessionView, Stats};

/// A running MCP server. Dropping it closes its port and all connections.
#[derive(Debug)]
pub struct McpServer {
    handle: Handle,
    server: WebServer,
}

impl McpServer {
    /// Starts one that lets in whom `authorization` gave a token for it.
    pub async fn protected(authorization: &authorization_server::Handle, eras: Eras) -> io::Result<Self> {
        Self::start(Some(authorization.clone()), None, eras).await
    }

    /// The same for one that calls itself `origin`, and where it really listens: somebody stands in front of it.
    pub async fn protected_behind(
        authorization: &authorization_server::Handle,
        origin: &str,
        eras: Eras,
    ) -> io::Result<(Self, SocketAddr)> {
        let listener = WebServer::bind(0).await?;
        let address = listener.local_addr()?;
        let handle = Handle::new(origin.to_owned(), Some(authorization.clone()), eras);
        Ok((Self::serve(listener, None, handle), address))
    }

    /// The same in TLS: its endpoint is an `https` address.
    pub async fn protected_tls(
        authorization: &authorization_server::Handle,
        identity: &Identification,
        eras: Eras,
    ) -> io::Result<Self> {
        Self::start(Some(authorization.clone()), Some(identity), eras).await
    }

    /// Starts one that lets in whom it has made a personal token for, and offers no sign-in.
    pub async fn personal(eras: Eras) -> io::Result<Self> {
        let listener = WebServer::bind(0).await?;
        let mut handle = Handle::new(origin(None, listener.local_addr()?), None, eras);
        if let Some(inner) = Arc::get_mut(&mut handle.0) {
            inner.tokens_only = true;
        }
        Ok(Self::serve(listener, None, handle))
    }

    /// Starts one that lets everybody in, and counts credentials that it never asked for.
    pub async fn open(eras: Eras) -> io::Result<Self> {
        Self::start(None, None, eras).await
    }

    /// Starts the same server again (same port, knobs and records; sessions lost), after a drop.
    pub async fn restart(handle: &Handle) -> io::Result<Self> {
        let url = url::Url::parse(&handle.0.origin).map_err(io::Error::other)?;
        let listener = WebServer::bind(url.port().unwrap_or(80)).await?;
        handle.lose_sessions();
        Ok(Self::serve(listener, None, handle.clone()))
    }

    async fn start(
        authorization: Option<authorization_server::Handle>,
        tls: Option<&Identification>,
        eras: Eras,
    ) -> io::Result<Self> {
        let listener = WebServer::bind(0).await?;
        let handle = Handle::new(origin(tls, listener.local_addr()?), authorization, eras);
        Ok(Self::serve(listener, tls, handle))
    }

    fn serve(listener: TcpListener, tls: Option<&Identification>, handle: Handle) -> Self {
        let inner = Arc::clone(&handle.0);
        let server = WebServer::start(listener, tls.map(Identification::acceptor), move |request| {
            route(Arc::clone(&inner), request)
        });
        Self { handle, server }
    }

    /// The way to its knobs and its memory.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The URL that is called.
    pub fn endpoint(&self) -> String {
        self.handle.endpoint()
    }

    /// Connections accepted so far.
    pub fn connects(&self) -> u64 {
        self.server.connects()
    }

    /// Cuts every open connection.
    pub fn cut_connections(&self) {
        self.server.cut_connections();
    }
}

/// Knobs and memory of an [`McpServer`]; valid after it is gone, too.
#[derive(Clone)]
pub struct Handle(Arc<Inner>);

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Handle").field(&self.0.origin).finish()
    }
}

impl Handle {
    fn new(origin: String, authorization: Option<authorization_server::Handle>, eras: Eras) -> Self {
        Self(Arc::new(Inner {
            origin,
            authorization,
            tokens_only: false,
            personal: Mutex::default(),
            eras,
            knobs: Mutex::default(),
            stats: Mutex::default(),
            records: Mutex::default(),
            sessions: Mutex::default(),
            listeners: Mutex::default(),
            request_states: Mutex::default(),
            processes: Mutex::default(),
            change: watch::Sender::new(()),
        }))
    }

    /// The URL that is called.
    pub fn endpoint(&self) -> String {
        format!("{}{PATH}", self.0.origin)
    }

    /// Makes a personal token for a person. Servers that offer a sign-in take them, too.
    pub fn make_token(&self, person: &str) -> String {
        self.0.personal().make(person)
    }

    /// Lets nobody in by it any more.
    pub fn revoke_token(&self, token: &str) {
        self.0.personal().revoke(token);
    }

    /// Changes the behaviour from the next request on.
    pub fn set(&self, change: impl FnOnce(&mut Knobs)) {
        change(&mut self.0.knobs.lock().expect("no holder of this lock panics"));
    }

    /// Changes the behaviour by a JSON object that holds some of the knobs.
    pub fn set_json(&self, changes: &Value) -> Result<(), serde_json::Error> {
        let mut knobs = self.0.knobs.lock().expect("no holder of this lock panics");
        *knobs = crate::merge(&*knobs, changes)?;
        Ok(())
    }

    /// Counts so far.
    pub fn stats(&self) -> Stats {
        self.0.stats().clone()
    }

    /// Every request at the endpoint so far.
    pub fn requests(&self) -> Vec<Recorded> {
        self.0.records().clone()
    }

    /// Waits until the requests so far satisfy `enough`; says whether that happened within `limit`.
    pub async fn wait_until(&self, limit: Duration, enough: impl Fn(&[Recorded]) -> bool) -> bool {
        let mut change = self.0.change.subscribe();
        let wait = async {
            while !enough(&self.0.records()) {
                // The sender lives in `self`, so an error cannot be.
                let _ = change.changed().await;
            }
        };
        tokio::time::timeout(limit, wait).await.is_ok()
    }

    /// Connections by the process behind them (`identify_peers`), or else by `User-Agent`.
    pub fn connects_by_peer(&self) -> BTreeMap<String, usize> {
        let mut peers: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for recorded in self.requests() {
            let name = recorded.process.or(recorded.user_agent).unwrap_or_default();
            peers.entry(name).or_default().push(recorded.connection);
        }
        let distinct = |mut connections: Vec<u64>| {
            connections.sort_unstable();
            connections.dedup();
            connections.len()
        };
        peers.into_iter().map(|(name, connections)| (name, distinct(connections))).collect()
    }

    /// The sessions that are open.
    pub fn sessions(&self) -> Vec<SessionView> {
        self.0.sessions().views()
    }

    /// The `subscriptions/listen` streams that are open, by person.
    pub fn listeners(&self) -> Vec<Option<String>> {
        let listeners = self.0.listeners();
        listeners.iter().filter(|one| one.pen.is_open()).map(|one| one.person.clone()).collect()
    }

    /// Forgets all sessions and closes all streams, as a restart does.
    pub fn lose_sessions(&self) {
        self.0.sessions().close_all();
        self.0.listeners().clear();
    }

    /// Pushes to every open stream, or to those of `person`, naming each stream's person; says to how many.
    pub fn push(&self, push: Push, person: Option<&str>) -> usize {
        self.0.push(push, person)
    }
}

struct Inner {
    origin: String,
    authorization: Option<authorization_server::Handle>,
    /// Nobody comes in without a personal token.
    tokens_only: bool,
    personal: Mutex<PersonalTokens>,
    eras: Eras,
    knobs: Mutex<Knobs>,
    stats: Mutex<Stats>,
    records: Mutex<Vec<Recorded>>,
    sessions: Mutex<Sessions>,
    listeners: Mutex<Vec<Listener>>,
    request_states: Mutex<HashMap<String, String>>,
    processes: Mutex<HashMap<u64, Option<String>>>,
    change: watch::Sender<()>,
}

impl Inner {
    fn knobs(&self) -> Knobs {
        self.knobs.lock().expect("no holder of this lock panics").clone()
    }

    fn personal(&self) -> MutexGuard<'_, PersonalTokens> {
        self.personal.lock().expect("no holder of this lock panics")
    }

    fn stats(&self) -> MutexGuard<'_, Stats> {
        self.stats.lock().expect("no holder of this lock panics")
    }

    fn records(&self) -> MutexGuard<'_, Vec<Recorded>> {
        self.records.lock().expect("no holder of this lock panics")
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().expect("no holder of this lock panics")
    }

    fn listeners(&self) -> MutexGuard<'_, Vec<Listener>> {
        self.listeners.lock().expect("no holder of this lock panics")
    }

    fn request_states(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.request_states.lock().expect("no holder of this lock panics")
    }

    /// What tokens for this server are issued for.
    fn resource(&self) -> String {
        self.knobs().metadata_resource.unwrap_or_else(|| format!("{}{PATH}", self.origin))
    }

    fn changed(&self) {
        self.change.send_replace(());
    }

    /// Notes a request down; the index is for its status.
    fn record(&self, request: &Incoming, body: &Value) -> usize {
        let process = self.knobs().identify_peers.then(|| {
            let mut processes = self.processes.lock().expect("no holder of this lock panics");
            let behind = || peer::process_behind(request.peer, request.local?);
            processes.entry(request.connection).or_insert_with(behind).clone()
        });
        let mut header_names: Vec<_> = request.headers.keys().map(|name| name.as_str().to_owned()).collect();
        header_names.sort();
        header_names.dedup();
        let own = |name: &str| request.header(name).map(str::to_owned);
        let mut records = self.records();
        let number = records.len();
        records.push(Recorded {
            number: number as u64 + 1,
            at: Instant::now(),
            http_method: request.method.to_string(),
            path: request.path.clone(),
            method: body["method"].as_str().map(str::to_owned),
            id: body.get("id").cloned(),
            tool: body["params"]["name"]
                .as_str()
                .filter(|_| body["method"] == "tools/call")
                .map(str::to_owned),
            person: gate::bearer_of(self, request),
            session: own("mcp-session-id"),
            protocol_version: own("mcp-protocol-version"),
            header_names,
            user_agent: own("user-agent"),
            peer: request.peer,
            process: process.flatten(),
            connection: request.connection,
            status: 0,
        });
        number
    }
}

async fn route(inner: Arc<Inner>, request: Incoming) -> Answer {
    if request.path != PATH {
        let document = gate::metadata(&inner, &request.path).filter(|_| request.method == Method::GET);
        return match document {
            Some(document) => web::json(StatusCode::OK, &document).into(),
            None => bytes_reply(StatusCode::NOT_FOUND, "text/plain", "not found").into(),
        };
    }
    let body = serde_json::from_slice(&request.body);
    let index = inner.record(&request, body.as_ref().unwrap_or(&Value::Null));
    inner.stats().requests += 1;
    inner.changed();
    let answer = endpoint(Arc::clone(&inner), &request, body).await;
    if let Answer::Reply(reply) = &answer {
        inner.records()[index].status = reply.status().as_u16();
    }
    inner.changed();
    answer
}

async fn endpoint(inner: Arc<Inner>, request: &Incoming, body: Result<Value, serde_json::Error>) -> Answer {
    let knobs = inner.knobs();
    if request.method == Method::POST {
        tokio::time::sleep(Duration::from_millis(knobs.delay_ms)).await;
        if let Some(status) = knobs.status.and_then(|status| StatusCode::from_u16(status).ok()) {
            return bytes_reply(status, "text/plain", "as the knob says").into();
        }
        if let Some(Ok(location)) = knobs.redirect.as_deref().map(HeaderValue::from_str) {
            let mut reply = bytes_reply(StatusCode::TEMPORARY_REDIRECT, "text/plain", "");
            reply.headers_mut().insert(header::LOCATION, location);
            return reply.into();
        }
    }
    let visitor = match gate::admit(&inner, request) {
        Ok(visitor) => visitor,
        Err(refusal) => return Answer::Reply(refusal),
    };
    let handshake = inner.eras != Eras::Stateless;
    match request.method {
        Method::GET if handshake => return handshake::get(&inner, request, &visitor),
        Method::DELETE if handshake => return handshake::delete(&inner, request, &visitor),
        Method::POST => {}
        _ => return bytes_reply(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "POST alone").into(),
    }
    let Ok(body) = body else {
        let error = json!({"jsonrpc": "2.0", "id": null, "error": {"code": -32700, "message": "not JSON"}});
        return web::json(StatusCode::BAD_REQUEST, &error).into();
    };
    if let Some(refusal) = gate::insufficient_scope(&knobs, body["method"].as_str().unwrap_or_default()) {
        return refusal.into();
    }
    let version = request.header("mcp-protocol-version").unwrap_or_default();
    let stateless = match inner.eras {
        Eras::Handshake => false,
        Eras::Stateless => true,
        Eras::Both => version >= "2026" || body["method"] == "server/discover",
    };
    if stateless {
        stateless::post(inner, request, visitor, body).await
    } else {
        handshake::post(inner, request, visitor, body).await
    }
}

fn capabilities() -> Value {
    json!({"tools": {"listChanged": true}, "resources": {"subscribe": true, "listChanged": true},
           "prompts": {"listChanged": true}, "logging": {}})
}

const PATH: &str = "/mcp";
