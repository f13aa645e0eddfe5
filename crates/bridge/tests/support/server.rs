//! A real MCP server over HTTP/1.1, of either era, that knows people by their tokens.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::soon;
use super::wire::{Body, event, events, fault_with, mirrored_tools, reply, result, stream};

/// One request, as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
    pub(crate) raw: Bytes,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|v| v.to_str().unwrap())
    }

    /// The host's answer to a question of the server.
    pub(crate) fn is_answer(&self) -> bool {
        self.method == Method::POST && self.body.get("result").is_some()
    }

    pub(crate) fn rpc(&self) -> &str {
        self.body["method"].as_str().unwrap_or_default()
    }
}

/// What the test may turn while the server runs.
pub(crate) struct State {
    pub(crate) seen: Mutex<Vec<Seen>>,
    /// Tokens that are answered with 401.
    pub(crate) dead: Mutex<Vec<String>>,
    /// Answers come as event streams.
    pub(crate) sse: Mutex<bool>,
    /// No token is wanted.
    pub(crate) open: Mutex<bool>,
    /// Only 2026-07-28.
    pub(crate) modern: Mutex<bool>,
    /// Held, `initialize` is not answered.
    pub(crate) starts: tokio::sync::Mutex<()>,
    /// `server/discover` is answered with an empty result, as some servers of the handshake era do.
    pub(crate) shrugs: Mutex<bool>,
    /// Resources can be subscribed to (up to 2025-11-25).
    pub(crate) watchable: Mutex<bool>,
    /// Answered instead of everything, if set.
    pub(crate) instead: Mutex<Option<(u16, &'static str, String)>>,
    /// What becomes of the host's next answers, the last one first, before they are looked at: this status, or the
    /// connection breaks.
    pub(crate) spoilt_answers: Mutex<Vec<Option<u16>>>,
    /// `slow` waits for a permit.
    pub(crate) gate: Semaphore,
    /// Live sessions and whose they are.
    pub(crate) sessions: Mutex<BTreeMap<String, String>>,
    /// What must never happen.
    pub(crate) wrong: Mutex<Vec<String>>,
    /// Requests that got 401 and were not repeated yet, and how many requests had come by then.
    rejected: Mutex<BTreeMap<String, usize>>,
    streams: Mutex<HashMap<String, mpsc::UnboundedSender<Bytes>>>,
    answers: Mutex<HashMap<String, oneshot::Sender<Value>>>,
    count: Mutex<u64>,
}

#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) state: Arc<State>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let state = Arc::new(State {
            seen: Mutex::default(),
            dead: Mutex::default(),
            sse: Mutex::new(false),
            open: Mutex::new(false),
            modern: Mutex::new(false),
            starts: tokio::sync::Mutex::new(()),
            shrugs: Mutex::new(false),
            watchable: Mutex::new(false),
            instead: Mutex::default(),
            spoilt_answers: Mutex::default(),
            gate: Semaphore::new(0),
            sessions: Mutex::default(),
            wrong: Mutex::default(),
            rejected: Mutex::default(),
            streams: Mutex::default(),
            answers: Mutex::default(),
            count: Mutex::new(0),
        });
        let shared = state.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let state = shared.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let state = state.clone();
                        async move { state.answer(request).await.ok_or("lost") }
                    });
                    let connection = hyper::server::conn::http1::Builder::new();
                    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { url, state }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    /// Waits until a request has come that `wanted` takes.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&Seen) -> bool) -> Seen {
        soon(what, async {
            loop {
                if let Some(found) = self.seen().into_iter().find(|seen| wanted(seen)) {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await
    }

    /// Waits until the bridge listens. On a busy machine it calls before, and asks for the stream whenever it comes to
    /// that: among requests that a test counts, or with a token that has become a bad one.
    pub(crate) async fn listened_to(&self) {
        self.until("the GET stream", |seen| seen.method == Method::GET).await;
    }

    /// Pushes a message on the GET stream of a person's session.
    pub(crate) async fn push(&self, person: &str, message: Value) {
        let stream = soon("the GET stream", async {
            loop {
                let streams = self.state.streams.lock().unwrap().clone();
                if let Some((_, stream)) = streams.into_iter().find(|(id, _)| id.ends_with(person)) {
                    return stream;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
        let _ = stream.send(event(&message));
    }

    pub(crate) fn assert_nothing_wrong(&self) {
        assert_eq!(*self.state.wrong.lock().unwrap(), Vec::<String>::new());
    }
}

impl State {
    /// `None`: the connection breaks.
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Option<Response<Body>> {
        let (head, body) = request.into_parts();
        let raw = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let body: Value = serde_json::from_slice(&raw).unwrap_or_default();
        let seen = Seen { method: head.method.clone(), headers: head.headers, body, raw };
        self.seen.lock().unwrap().push(seen.clone());
        if seen.is_answer() {
            let fate = self.spoilt_answers.lock().unwrap().pop();
            if let Some(fate) = fate {
                return fate.map(|status| reply(status, "text/plain", "no".to_owned()));
            }
        }
        Some(self.respond(seen).await)
    }

    async fn respond(self: Arc<Self>, seen: Seen) -> Response<Body> {
        if let Some((status, kind, text)) = self.instead.lock().unwrap().clone() {
            return reply(status, kind, text);
        }
        let Some(person) = self.person(&seen) else {
            return reply(401, "text/plain", "who are you".to_owned());
        };
        if *self.modern.lock().unwrap() {
            return self.stateless(&seen, &person).await;
        }
        if seen.rpc() == "initialize" {
            drop(self.starts.lock().await);
            return self.initialize(&seen, &person);
        }
        if seen.rpc() == "server/discover" && *self.shrugs.lock().unwrap() {
            return self.deliver(&json!({"jsonrpc": "2.0", "id": seen.body["id"], "result": {}}));
        }
        let Some(session) = seen.header("mcp-session-id").map(str::to_owned) else {
            return reply(400, "text/plain", "no session".to_owned());
        };
        match self.sessions.lock().unwrap().get(&session) {
            None => return reply(404, "text/plain", "no such session".to_owned()),
            Some(owner) if *owner != person => {
                self.wrong.lock().unwrap().push(format!("{person} used {session} of {owner}"));
            }
            Some(_) => {}
        }
        if seen.header("mcp-protocol-version") != Some("2025-11-25") {
            self.wrong.lock().unwrap().push(format!("no version on {:?}", seen.body));
        }
        match seen.method {
            Method::DELETE => {
                self.sessions.lock().unwrap().remove(&session);
                self.streams.lock().unwrap().remove(&session);
                reply(200, "text/plain", String::new())
            }
            Method::GET => self.get(&seen, &session),
            _ => self.post(&seen, &session, &person).await,
        }
    }

    /// Whether a request waits for its second try. Some never come: their session was given up meanwhile.
    pub(crate) fn has_rejected_lately(&self) -> bool {
        let count = self.seen.lock().unwrap().len();
        self.rejected.lock().unwrap().values().any(|at| at + 100 > count)
    }

    fn person(&self, seen: &Seen) -> Option<String> {
        let token = seen.header("authorization");
        if *self.open.lock().unwrap() {
            if token.is_some() {
                self.wrong.lock().unwrap().push("a token for a server without sign-in".to_owned());
            }
            return Some("anybody".to_owned());
        }
        let token = token?.strip_prefix("Bearer ")?;
        let key = format!("{} {:?} {:?}", seen.method, seen.header("mcp-session-id"), seen.raw);
        if self.dead.lock().unwrap().iter().any(|dead| dead == token) {
            if seen.method == Method::POST {
                let count = self.seen.lock().unwrap().len();
                self.rejected.lock().unwrap().insert(key, count);
            }
            return None;
        }
        self.rejected.lock().unwrap().remove(&key);
        Some(token.split('-').nth(1)?.to_owned())
    }

    fn initialize(&self, seen: &Seen, person: &str) -> Response<Body> {
        if seen.headers.contains_key("mcp-session-id") || seen.headers.contains_key("mcp-protocol-version") {
            self.wrong.lock().unwrap().push("initialize with a session".to_owned());
        }
        let session = {
            let mut count = self.count.lock().unwrap();
            *count += 1;
            format!("sess-{count}-{person}")
        };
        self.sessions.lock().unwrap().insert(session.clone(), person.to_owned());
        let mut capabilities = json!({"tools": {"listChanged": true}, "logging": {}});
        if *self.watchable.lock().unwrap() {
            capabilities["resources"] = json!({"subscribe": true});
        }
        let result = json!({"jsonrpc": "2.0", "id": seen.body["id"], "result": {
            "protocolVersion": "2025-11-25", "capabilities": capabilities,
            "serverInfo": {"name": "real", "version": "1"}}});
        let mut response = self.deliver(&result);
        response.headers_mut().insert("mcp-session-id", session.parse().unwrap());
        response
    }

    fn get(&self, seen: &Seen, session: &str) -> Response<Body> {
        if let Some(id) = seen.header("last-event-id").and_then(|id| id.strip_prefix("resume-")) {
            let id: Value = serde_json::from_str(id).unwrap();
            return events(vec![event(&result(&id, "resumed"))]);
        }
        let (send, receive) = mpsc::unbounded_channel();
        self.streams.lock().unwrap().insert(session.to_owned(), send);
        stream(receive)
    }

    async fn post(self: &Arc<Self>, seen: &Seen, session: &str, person: &str) -> Response<Body> {
        let id = seen.body["id"].clone();
        if seen.body.get("method").is_none() {
            let key = format!("{session} {id}");
            match self.answers.lock().unwrap().remove(&key) {
                Some(waits) => {
                    let _ = waits.send(seen.body.clone());
                }
                None => {
                    self.wrong
                        .lock()
                        .unwrap()
                        .push(format!("an answer that {session} did not ask for: {id}"));
                }
            }
            return reply(202, "text/plain", String::new());
        }
        if id.is_null() {
            return reply(202, "text/plain", String::new());
        }
        match (seen.rpc(), seen.body["params"]["name"].as_str().unwrap_or_default()) {
            ("tools/call", "slow") => {
                self.gate.acquire().await.unwrap().forget();
                self.deliver(&result(&id, person))
            }
            ("tools/call", "nap") => {
                let millis = seen.body["params"]["arguments"]["ms"].as_u64().unwrap_or(5);
                tokio::time::sleep(Duration::from_millis(millis)).await;
                self.deliver(&result(&id, person))
            }
            ("tools/call", "chatty") => self.chatty(&seen.body, person),
            ("tools/call", "ask") => self.ask(id, session, person),
            ("tools/call", "drop") => {
                let priming = format!("id: resume-{id}\nretry: 20\ndata:\n\n");
                events(vec![Bytes::from(priming)])
            }
            ("tools/call", _) => self.deliver(&result(&id, person)),
            ("ping" | "resources/subscribe" | "resources/unsubscribe" | "logging/setLevel", _) => {
                self.deliver(&json!({"jsonrpc": "2.0", "id": id, "result": {}}))
            }
            ("tools/list", _) => {
                let tools = json!([{"name": format!("tool-of-{person}"), "inputSchema": {"type": "object"}}]);
                self.deliver(&json!({"jsonrpc": "2.0", "id": id, "result": {"tools": tools}}))
            }
            _ => {
                self.deliver(&json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": "no"}}))
            }
        }
    }

    /// Asks by its answer, and answers with what came back; the state is the caller's own.
    fn rounds(&self, body: &Value, person: &str) -> Value {
        let (id, params, state) = (&body["id"], &body["params"], format!("state of {person}"));
        if params["requestState"].is_null() {
            let asked =
                json!({"method": "elicitation/create", "params": {"message": format!("who asks? {person}")}});
            return json!({"jsonrpc": "2.0", "id": id, "result": {"resultType": "input_required",
                "inputRequests": {"who": asked}, "requestState": state}});
        }
        if params["requestState"] != state.as_str() {
            self.wrong.lock().unwrap().push(format!("{person} brought {}", params["requestState"]));
        }
        let name = params["inputResponses"]["who"]["content"]["name"].as_str().unwrap_or("nothing");
        result(id, &format!("{person} heard {name}"))
    }

    /// Log, progress; at the gate the same again, and the result.
    fn chatty(self: &Arc<Self>, call: &Value, person: &str) -> Response<Body> {
        let (id, token) = (call["id"].clone(), call["params"]["_meta"]["progressToken"].clone());
        let (send, receive) = mpsc::unbounded_channel();
        let (state, person) = (self.clone(), person.to_owned());
        tokio::spawn(async move {
            for round in 0..2 {
                if round == 1 {
                    state.gate.acquire().await.unwrap().forget();
                }
                for message in [
                    json!({"jsonrpc": "2.0", "method": "notifications/message",
                        "params": {"level": "info", "data": format!("{person} {round}")}}),
                    json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {
                        "progressToken": token, "progress": round}}),
                ] {
                    let _ = send.send(event(&message));
                }
            }
            let _ = send.send(event(&result(&id, &person)));
        });
        stream(receive)
    }

    /// Asks the host something, and answers with what it said.
    fn ask(self: &Arc<Self>, id: Value, session: &str, person: &str) -> Response<Body> {
        let (send, receive) = mpsc::unbounded_channel();
        let (answer, answered) = oneshot::channel();
        self.answers.lock().unwrap().insert(format!("{session} 1"), answer);
        let person = person.to_owned();
        tokio::spawn(async move {
            let question = json!({"jsonrpc": "2.0", "id": 1, "method": "elicitation/create",
                "params": {"message": format!("who asks? {person}")}});
            let _ = send.send(event(&question));
            let said: Value = answered.await.unwrap_or_default();
            let text =
                format!("{person} heard {}", said["result"]["content"]["name"].as_str().unwrap_or("nothing"));
            let _ = send.send(event(&result(&id, &text)));
        });
        stream(receive)
    }

    async fn stateless(self: &Arc<Self>, seen: &Seen, person: &str) -> Response<Body> {
        let id = &seen.body["id"];
        let version = seen.body["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"].as_str();
        let fault = |code: i64, text: &str, status| {
            let error = json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": text,
                "data": {"supported": ["2026-07-28"]}}});
            reply(status, "application/json", error.to_string())
        };
        if seen.method != Method::POST {
            return reply(405, "text/plain", String::new());
        }
        if seen.header("mcp-session-id").is_some() {
            self.wrong.lock().unwrap().push("a session in the stateless era".to_owned());
        }
        if version != Some("2026-07-28") {
            return fault(-32022, "Unsupported protocol version", 400);
        }
        if seen.header("mcp-protocol-version") != version || seen.header("mcp-method") != Some(seen.rpc()) {
            return fault(-32020, "Header mismatch", 400);
        }
        match (seen.rpc(), seen.body["params"]["name"].as_str().unwrap_or_default()) {
            ("server/discover", _) => self.deliver(&json!({"jsonrpc": "2.0", "id": id, "result": {
                "resultType": "complete", "supportedVersions": ["2026-07-28"], "ttlMs": 0, "cacheScope": "private",
                "capabilities": {"tools": {"listChanged": true}, "logging": {}, "resources": {"subscribe": true}},
                "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "modern", "version": "1"}}}})),
            ("tools/list", _) => self.deliver(&json!({"jsonrpc": "2.0", "id": id, "result": {
                "resultType": "complete", "ttlMs": 0, "cacheScope": "private", "tools": mirrored_tools(person)}})),
            ("tools/call", "where") => {
                let region = seen.body["params"]["arguments"]["region"].as_str();
                if seen.header("mcp-param-region") != region {
                    return fault(-32020, "Header mismatch", 400);
                }
                self.deliver(&result(id, &format!("{person} in {}", region.unwrap_or("nowhere"))))
            }
            ("tools/call", "ask") => self.deliver(&self.rounds(&seen.body, person)),
            ("tools/call", "chatty") => self.chatty(&seen.body, person),
            ("resources/read", _) => fault_with(id, -32602, &json!({"uri": "u"})),
            ("tools/call", "slow") => {
                self.gate.acquire().await.unwrap().forget();
                self.deliver(&result(id, person))
            }
            ("tools/call", "rounds") if seen.body["params"]["requestState"].is_null() => {
                self.deliver(&json!({"jsonrpc": "2.0", "id": id, "result": {"resultType": "input_required",
                    "inputRequests": {}, "requestState": format!("state-{person}")}}))
            }
            ("tools/call", _) => self.deliver(&result(id, person)),
            ("subscriptions/listen", _) => {
                let (send, receive) = mpsc::unbounded_channel();
                let _ = send.send(event(&json!({"jsonrpc": "2.0",
                    "method": "notifications/subscriptions/acknowledged", "params": {
                    "_meta": {"io.modelcontextprotocol/subscriptionId": id},
                    "notifications": {"toolsListChanged": true}}})));
                self.streams.lock().unwrap().insert(format!("listen-{person}"), send);
                stream(receive)
            }
            _ => fault(-32601, "Method not found", 404),
        }
    }

    fn deliver(&self, message: &Value) -> Response<Body> {
        if *self.sse.lock().unwrap() {
            events(vec![event(message)])
        } else {
            // Line breaks between tokens are legal JSON.
            reply(200, "application/json", serde_json::to_string_pretty(message).unwrap())
        }
    }
}
