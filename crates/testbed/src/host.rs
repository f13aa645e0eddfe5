//! A fake MCP host: starts a stdio server as desktop hosts do, with an environment of its own making, speaks raw
//! JSON-RPC of either era to it, hears everything, and can kill it.

#[cfg(test)]
mod tests;
mod wire;

use std::collections::HashMap;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};
use thiserror::Error;
use tokio::process::{Child, ChildStdin};
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot, watch};

/// The protocol era that a host speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostEra {
    /// `initialize` with this revision, up to 2025-11-25.
    Handshake(String),
    /// Every request with `_meta`, of this revision: 2026-07-28.
    Stateless(String),
}

/// Why a request has no result.
#[derive(Debug, Error)]
pub enum HostError {
    /// The server answered an error.
    #[error("the server answered {0}")]
    Rpc(Value),
    /// The server ended, or closed its stdout.
    #[error("the server is gone; its last words: {0}")]
    Gone(String),
    /// No answer in time.
    #[error("no answer to {0} within the limit")]
    Late(String),
    /// The pipe is broken.
    #[error("the server cannot be written to")]
    Pipe(#[from] io::Error),
}

/// Answers a server request: its result, or nothing at all.
pub type Answerer = Box<dyn Fn(&Value) -> Option<Value> + Send + Sync>;

/// A running server with this host around it. Dropping it kills the server (SIGKILL).
pub struct Host {
    child: Child,
    pid: Option<u32>,
    stdin: Arc<AsyncMutex<Option<ChildStdin>>>,
    heard: Arc<Heard>,
    next_id: AtomicU64,
    era: HostEra,
    limit: Duration,
}

impl Host {
    /// Starts `command` (its environment is what the caller made it: see `Sandbox::bare_command`), on tasks
    /// of the calling runtime. Nothing is said to it yet.
    pub fn start(command: std::process::Command, era: HostEra) -> io::Result<Self> {
        let mut command = tokio::process::Command::from(command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let (answers, due) = mpsc::unbounded_channel();
        let heard = Arc::new(Heard::new(answers));
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let stdin = Arc::new(AsyncMutex::new(child.stdin.take()));
        // Beside the reader: a reader that waits to write would stop a server that waits to be read.
        tokio::spawn(wire::write_answers(due, Arc::clone(&stdin)));
        let host = Self {
            pid: child.id(),
            child,
            stdin,
            heard: Arc::clone(&heard),
            next_id: AtomicU64::new(0),
            era,
            limit: Duration::from_mins(1),
        };
        if let Some(stdout) = stdout {
            tokio::spawn(wire::read_stdout(stdout, Arc::clone(&heard)));
        }
        if let Some(stderr) = stderr {
            tokio::spawn(wire::read_stderr(stderr, heard));
        }
        Ok(host)
    }

    /// Makes the ids of requests count on from `id`, so that no two hosts use the same ones.
    pub fn count_from(&self, id: u64) {
        self.next_id.store(id, Ordering::SeqCst);
    }

    /// Sets how long answers are waited for (a minute by default).
    pub fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// Server requests are answered by `answerer` from now on. The default says yes to everything.
    pub fn answer_with(&self, answerer: Answerer) {
        *self.heard.answerer.lock().expect("no holder of this lock panics") = answerer;
    }

    /// The handshake of the era: `initialize` and `initialized`, or `server/discover`. Answers the result.
    pub async fn greet(&self) -> Result<Value, HostError> {
        let HostEra::Handshake(version) = &self.era else {
            return self.request("server/discover", json!({})).await;
        };
        let params = json!({"protocolVersion": version, "clientInfo": {"name": "testbed-host", "version": "1.0.0"},
                            "capabilities": {"roots": {"listChanged": true}, "elicitation": {}, "sampling": {}}});
        let result = self.request("initialize", params).await?;
        self.notify("notifications/initialized", json!({})).await?;
        Ok(result)
    }

    /// Sends a request and waits for its result.
    pub async fn request(&self, method: &str, params: Value) -> Result<Value, HostError> {
        self.send(method, params).await?.result().await
    }

    /// Sends a request and hands back the awaiting of its answer.
    pub async fn send(&self, method: &str, mut params: Value) -> Result<Awaited, HostError> {
        let id = self.next_id.fetch_add(1, Ordering::SeqCst) + 1;
        if let HostEra::Stateless(version) = &self.era {
            params["_meta"]["io.modelcontextprotocol/protocolVersion"] = version.as_str().into();
            params["_meta"]["io.modelcontextprotocol/clientCapabilities"] =
                json!({"elicitation": {}, "roots": {}});
            params["_meta"]["io.modelcontextprotocol/clientInfo"] =
                json!({"name": "testbed-host", "version": "1.0.0"});
        }
        let (tell, answer) = oneshot::channel();
        self.heard.state().awaited.insert(id.to_string(), tell);
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let awaited = Awaited {
            id,
            method: method.to_owned(),
            answer,
            limit: self.limit,
            heard: Arc::clone(&self.heard),
        };
        self.write(&message).await?;
        Ok(awaited)
    }

    /// Calls a tool; answers the text of its first content. An `isError` result is a [`HostError::Rpc`].
    pub async fn call_tool(&self, name: &str, arguments: Value) -> Result<String, HostError> {
        let result = self.request("tools/call", json!({"name": name, "arguments": arguments})).await?;
        match result["content"][0]["text"].as_str() {
            Some(text) if result["isError"] != true => Ok(text.to_owned()),
            Some(_) | None => Err(HostError::Rpc(result)),
        }
    }

    /// Sends a notification.
    pub async fn notify(&self, method: &str, params: Value) -> Result<(), HostError> {
        self.write(&json!({"jsonrpc": "2.0", "method": method, "params": params})).await
    }

    /// Answers a server request by hand.
    pub async fn respond(&self, id: &Value, result: Value) -> Result<(), HostError> {
        self.write(&json!({"jsonrpc": "2.0", "id": id, "result": result})).await
    }

    /// Writes bytes as they are, line end and all.
    pub async fn write_raw(&self, bytes: &[u8]) -> Result<(), HostError> {
        Ok(wire::write(&self.stdin, bytes).await?)
    }

    async fn write(&self, message: &Value) -> Result<(), HostError> {
        self.write_raw(format!("{message}\n").as_bytes()).await
    }

    /// The notifications so far, in order.
    pub fn notifications(&self) -> Vec<Value> {
        self.heard.state().notifications.clone()
    }

    /// The server requests so far, in order.
    pub fn server_requests(&self) -> Vec<Value> {
        self.heard.state().server_requests.clone()
    }

    /// Waits for a notification (an old one counts). `None`: none came within the limit.
    pub async fn wait_for_notification(&self, wanted: impl Fn(&Value) -> bool) -> Option<Value> {
        let mut change = self.heard.change.subscribe();
        let wait = async {
            loop {
                let found = self.heard.state().notifications.iter().find(|one| wanted(one)).cloned();
                if found.is_some() || self.heard.state().ended {
                    return found;
                }
                let _ = change.changed().await;
            }
        };
        tokio::time::timeout(self.limit, wait).await.ok().flatten()
    }

    /// Everything that came on stdout.
    pub fn stdout(&self) -> Vec<u8> {
        self.heard.state().stdout.clone()
    }

    /// Everything that came on stderr.
    pub fn stderr(&self) -> Vec<u8> {
        self.heard.state().stderr.clone()
    }

    /// Lines of stdout that were no JSON-RPC message, and answers to nothing. Empty in a good server.
    pub fn garbage(&self) -> Vec<String> {
        self.heard.state().garbage.clone()
    }

    /// The process id, until it has ended.
    pub fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// Kills the server (SIGKILL) and waits for its end.
    pub async fn kill(&mut self) -> io::Result<ExitStatus> {
        self.child.start_kill()?;
        self.child.wait().await
    }

    /// Closes the server's stdin without waiting for anything.
    pub async fn close_stdin(&self) {
        self.stdin.lock().await.take();
    }

    /// Closes the server's stdin and waits for its end.
    pub async fn close(&mut self) -> Result<ExitStatus, HostError> {
        self.stdin.lock().await.take();
        let wait = tokio::time::timeout(self.limit, self.child.wait());
        let status = wait.await.map_err(|_elapsed| HostError::Late("the end of stdin".to_owned()))??;
        // What it said last may still be in the pipe.
        let mut change = self.heard.change.subscribe();
        let rest = async {
            while !self.heard.is_silent() {
                let _ = change.changed().await;
            }
        };
        let whole = tokio::time::timeout(self.limit, rest).await;
        whole.map_err(|_elapsed| HostError::Late("the end of stdout and stderr".to_owned()))?;
        Ok(status)
    }
}

/// A request that is under way.
pub struct Awaited {
    id: u64,
    method: String,
    answer: oneshot::Receiver<Value>,
    limit: Duration,
    heard: Arc<Heard>,
}

impl Awaited {
    /// Its id, for `notifications/cancelled`.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Waits for the result.
    pub async fn result(self) -> Result<Value, HostError> {
        let answer = match tokio::time::timeout(self.limit, self.answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_closed)) => return Err(HostError::Gone(self.heard.last_words())),
            Err(_elapsed) => return Err(HostError::Late(self.method)),
        };
        match answer.get("result") {
            Some(result) => Ok(result.clone()),
            None => Err(HostError::Rpc(answer["error"].clone())),
        }
    }
}

struct Heard {
    state: Mutex<State>,
    answerer: Mutex<Answerer>,
    answers: mpsc::UnboundedSender<Value>,
    change: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    awaited: HashMap<String, oneshot::Sender<Value>>,
    notifications: Vec<Value>,
    server_requests: Vec<Value>,
    garbage: Vec<String>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// stdout has ended.
    ended: bool,
    stderr_ended: bool,
}

impl Heard {
    fn new(answers: mpsc::UnboundedSender<Value>) -> Self {
        let answerer: Answerer = Box::new(|request| {
            Some(match request["method"].as_str()? {
                "roots/list" => json!({"roots": []}),
                "elicitation/create" => json!({"action": "accept", "content": {"yes": true}}),
                _ => json!({}),
            })
        });
        Self {
            state: Mutex::default(),
            answerer: Mutex::new(answerer),
            answers,
            change: watch::Sender::new(()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    /// Whether everything that was ever said has been heard.
    fn is_silent(&self) -> bool {
        let state = self.state();
        state.ended && state.stderr_ended
    }

    fn last_words(&self) -> String {
        let stderr = self.state().stderr.clone();
        let text = String::from_utf8_lossy(&stderr);
        text.lines().last().unwrap_or("(nothing on stderr)").to_owned()
    }
}
