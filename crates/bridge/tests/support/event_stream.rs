//! A real MCP server of 2024-11-05: a GET opens the stream that everything comes on, messages go to the place that its first
//! event names.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};

use super::server::Seen;
use super::soon;
use super::wire::{Body, event, reply, result, stream};

/// What the test may turn while the server runs.
pub(crate) struct State {
    pub(crate) seen: Mutex<Vec<Seen>>,
    /// Said instead of the place for messages, if set.
    pub(crate) place: Mutex<Option<String>>,
    /// `slow` waits for a permit.
    pub(crate) gate: Semaphore,
    /// What must never happen.
    pub(crate) wrong: Mutex<Vec<String>>,
    /// The open streams, by session; a session's name ends with its person's.
    streams: Mutex<BTreeMap<String, mpsc::UnboundedSender<Bytes>>>,
}

#[derive(Clone)]
pub(crate) struct EventStreamServer {
    pub(crate) url: String,
    pub(crate) state: Arc<State>,
}

impl EventStreamServer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/sse", listener.local_addr().unwrap());
        let state = Arc::new(State {
            seen: Mutex::default(),
            place: Mutex::default(),
            gate: Semaphore::new(0),
            wrong: Mutex::default(),
            streams: Mutex::default(),
        });
        let shared = state.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let state = shared.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let state = state.clone();
                        async move { Ok::<_, std::convert::Infallible>(state.answer(request).await) }
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

    /// Says something on the stream of a person, if it is open.
    pub(crate) fn push(&self, person: &str, message: &Value) {
        let streams = self.state.streams.lock().unwrap();
        for (_, stream) in streams.iter().filter(|(session, _)| session.ends_with(person)) {
            let _ = stream.send(event(message));
        }
    }

    /// Ends all streams, and with them all sessions.
    pub(crate) fn cut(&self) {
        self.state.streams.lock().unwrap().clear();
    }
}

impl State {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let raw = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let body: Value = serde_json::from_slice(&raw).unwrap_or_default();
        let seen = Seen { method: head.method.clone(), headers: head.headers, body, raw };
        self.seen.lock().unwrap().push(seen.clone());
        let token = seen.header("authorization").and_then(|value| value.strip_prefix("Bearer tok-"));
        let Some(person) = token.and_then(|token| token.split('-').next()).map(str::to_owned) else {
            return reply(401, "text/plain", "who are you".to_owned());
        };
        match (head.method, head.uri.path()) {
            (Method::GET, "/sse") => self.open(&person),
            (Method::POST, "/messages") => self.take(&seen, head.uri.query().unwrap_or_default(), &person),
            (_, "/sse") => reply(405, "text/plain", String::new()),
            _ => reply(404, "text/plain", String::new()),
        }
    }

    fn open(&self, person: &str) -> Response<Body> {
        let (send, receive) = mpsc::unbounded_channel();
        let mut streams = self.streams.lock().unwrap();
        let session = format!("s{}-{person}", self.seen.lock().unwrap().len());
        let place =
            self.place.lock().unwrap().clone().unwrap_or_else(|| format!("/messages?session={session}"));
        let _ = send.send(format!("event: endpoint\ndata: {place}\n\n").into());
        streams.insert(session, send);
        stream(receive)
    }

    fn take(self: Arc<Self>, seen: &Seen, query: &str, person: &str) -> Response<Body> {
        let session = query.strip_prefix("session=").unwrap_or_default().to_owned();
        if !self.streams.lock().unwrap().contains_key(&session) {
            return reply(404, "text/plain", "no such session".to_owned());
        }
        if !session.ends_with(person) {
            self.wrong.lock().unwrap().push(format!("{person} used {session}"));
        }
        let (id, person) = (seen.body["id"].clone(), person.to_owned());
        let state = self.clone();
        let say = move |message: &Value| {
            if let Some(stream) = state.streams.lock().unwrap().get(&session) {
                let _ = stream.send(event(message));
            }
        };
        match (seen.rpc(), seen.body["params"]["name"].as_str().unwrap_or_default()) {
            ("initialize", _) => say(&json!({"jsonrpc": "2.0", "id": id, "result": {
                "protocolVersion": "2024-11-05", "capabilities": {"tools": {"listChanged": true}},
                "serverInfo": {"name": "old", "version": "1"}}})),
            ("tools/call", "slow") => {
                tokio::spawn(async move {
                    self.gate.acquire().await.unwrap().forget();
                    say(&result(&id, &person));
                });
            }
            ("tools/call", "ask") => say(&json!({"jsonrpc": "2.0", "id": 1, "method": "roots/list"})),
            ("tools/call", _) => say(&result(&id, &person)),
            ("", _) => say(&json!({"jsonrpc": "2.0", "method": "notifications/message",
                "params": {"level": "info", "data": format!("{person} was answered")}})),
            _ => {}
        }
        reply(202, "text/plain", "Accepted".to_owned())
    }
}
