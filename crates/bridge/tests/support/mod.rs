//! A host on one side of the bridge, an agent behind it, a server in front of it.

mod agent;
mod event_stream;
mod server;
mod wire;

use std::time::Duration;

use hallpass_bridge::{Options, Surroundings};
use model::{ClientAppId, ServerId, UnixTime};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) use agent::{Agent, Carrier, Stream, closed, facts, ready, token};
pub(crate) use event_stream::EventStreamServer;
pub(crate) use server::{Seen, Server};

/// Long enough for a loaded machine, short enough for a hang to be seen.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Waits for something that must come.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} did not come"))
}

/// The host's end of the bridge.
pub(crate) struct Host {
    pub(crate) stdin: Option<Stream>,
    stdout: Lines<BufReader<Stream>>,
    pub(crate) bridge: JoinHandle<i32>,
    pub(crate) end: Option<oneshot::Sender<()>>,
    put_back: Vec<Value>,
}

/// Starts a bridge for the server `jira`.
pub(crate) async fn start() -> (Host, Agent) {
    start_on(Carrier::Kernel, || UnixTime(1_000)).await
}

/// The same with another clock.
pub(crate) async fn start_at(clock: fn() -> UnixTime) -> (Host, Agent) {
    start_on(Carrier::Kernel, clock).await
}

/// The same without sockets.
pub(crate) async fn start_on(carrier: Carrier, clock: fn() -> UnixTime) -> (Host, Agent) {
    let (agent, link) = agent::scripted(carrier);
    let (stdin, bridge_in) = agent::pair(carrier).await;
    let (bridge_out, stdout) = agent::pair(carrier).await;
    let (end, ended) = oneshot::channel::<()>();
    let options = Options {
        app: ClientAppId::parse("cursor").unwrap(),
        server: ServerId::parse("jira").unwrap(),
        account: None,
        workspace: None,
    };
    let end_signal = async move {
        if ended.await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let surroundings = Surroundings { stdin: bridge_in, stdout: bridge_out, clock, end: end_signal };
    let bridge = tokio::spawn(hallpass_bridge::run(options, surroundings, link));
    let stdout = BufReader::new(stdout).lines();
    (Host { stdin: Some(stdin), stdout, bridge, end: Some(end), put_back: Vec::new() }, agent)
}

impl Host {
    pub(crate) async fn send(&mut self, message: Value) {
        self.send_raw(message.to_string().as_bytes()).await;
    }

    pub(crate) async fn send_raw(&mut self, line: &[u8]) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(line).await.unwrap();
        stdin.write_all(b"\n").await.unwrap();
    }

    /// The next line, as text.
    pub(crate) async fn line(&mut self) -> String {
        soon("a message", self.stdout.next_line()).await.unwrap().expect("stdout ended")
    }

    /// The next message.
    pub(crate) async fn next(&mut self) -> Value {
        if self.put_back.is_empty() {
            serde_json::from_str(&self.line().await).expect("a message is JSON")
        } else {
            self.put_back.remove(0)
        }
    }

    /// The answer to one request; what else comes is kept for later.
    pub(crate) async fn answer(&mut self, id: impl Into<Value>) -> Value {
        let id = id.into();
        let mut others = Vec::new();
        loop {
            let message = self.next().await;
            if message["id"] == id && message.get("method").is_none() {
                self.put_back.splice(0..0, others);
                return message;
            }
            others.push(message);
        }
    }

    /// The next message of this method; what else comes is kept for later.
    pub(crate) async fn method(&mut self, method: &str) -> Value {
        let mut others = Vec::new();
        loop {
            let message = self.next().await;
            if message["method"] == method {
                self.put_back.splice(0..0, others);
                return message;
            }
            others.push(message);
        }
    }

    /// Everything that has come by the time a ping has an answer, whatever it is.
    pub(crate) async fn settled(&mut self, id: &str) -> Vec<Value> {
        self.send(json!({"jsonrpc": "2.0", "id": id, "method": "ping"})).await;
        self.answer(id).await;
        std::mem::take(&mut self.put_back)
    }

    pub(crate) async fn call(&mut self, id: i64, tool: &str) {
        self.send(call(id, tool)).await;
    }

    /// `initialize` and `initialized`; the answer.
    pub(crate) async fn initialize(&mut self) -> Value {
        self.send(initialize("2025-11-25")).await;
        let answer = self.answer("init").await;
        self.send(json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
        answer
    }

    /// Closes stdin; the exit code.
    pub(crate) async fn close(mut self) -> i32 {
        drop(self.stdin.take());
        soon("the exit", self.bridge).await.unwrap()
    }
}

pub(crate) fn call(id: i64, tool: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call",
        "params": {"name": tool, "arguments": {}, "_meta": {"progressToken": format!("p{id}")}}})
}

/// A request of 2026-07-28, of an app that can be asked by forms.
pub(crate) fn request(id: i64, method: &str, params: Value) -> Value {
    request_of(&json!({"elicitation": {}}), id, method, params)
}

/// The same of an app with these capabilities.
pub(crate) fn request_of(capabilities: &Value, id: i64, method: &str, mut params: Value) -> Value {
    params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
    params["_meta"]["io.modelcontextprotocol/clientInfo"] = json!({"name": "newer", "version": "1"});
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = capabilities.clone();
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

pub(crate) fn initialize(version: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": "init", "method": "initialize", "params": {
        "protocolVersion": version, "capabilities": {"elicitation": {}},
        "clientInfo": {"name": "host", "version": "1"}}})
}

/// The text of a tool's result.
pub(crate) fn text(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no text: {answer}"))
}
