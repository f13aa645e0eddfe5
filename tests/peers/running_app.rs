//! A real MCP client (another project's code) as a running process, with orders in and everything that it hears out.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{Mutex as AsyncMutex, oneshot};

/// A client that is mute for so long is broken, however loaded the machine is.
const LIMIT: Duration = Duration::from_mins(3);

/// A moment, in the clock that the other processes' records use as well.
pub(crate) type Moment = Duration;

/// Now.
pub(crate) fn now() -> Moment {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set")
}

/// An answer, and when its line came.
pub(crate) struct Answer {
    pub(crate) at: Moment,
    pub(crate) said: Value,
}

/// A running client on a bridge of its own. Dropping it kills the client; the bridge then ends by itself.
pub(crate) struct RunningApp {
    stdin: AsyncMutex<Option<ChildStdin>>,
    heard: Arc<Heard>,
    next_id: AtomicU64,
    child: Child,
    /// What it said when it was connected.
    pub(crate) ready: Value,
}

#[derive(Default)]
struct Heard {
    waiting: Mutex<HashMap<u64, oneshot::Sender<Answer>>>,
    events: Mutex<Vec<Answer>>,
}

impl RunningApp {
    /// Starts the client and waits until it has greeted its server.
    pub(crate) async fn start(command: std::process::Command) -> Self {
        let words = format!("{:?}", command.get_args().collect::<Vec<_>>());
        let mut command = Command::from(command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("the peers are installed");
        let stdin = AsyncMutex::new(child.stdin.take());
        let stdout = child.stdout.take().expect("its stdout is a pipe");
        let heard = Arc::new(Heard::default());
        let (sender, ready) = oneshot::channel();
        tokio::spawn(Arc::clone(&heard).listen(BufReader::new(stdout), sender));
        let ready = tokio::time::timeout(LIMIT, ready).await;
        let ready = ready.unwrap_or_else(|_| panic!("{words} is mute")).expect("it says something");
        assert_eq!(ready["event"], "ready", "{words}: {ready}");
        Self { stdin, heard, next_id: AtomicU64::new(0), child, ready }
    }

    /// Calls a tool and waits for the answer.
    pub(crate) async fn call(&self, tool: &str, args: Value) -> Answer {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed) + 1;
        let (sender, answer) = oneshot::channel();
        lock(&self.heard.waiting).insert(id, sender);
        let line = format!("{}\n", json!({"id": id, "call": tool, "args": args}));
        let mut stdin = self.stdin.lock().await;
        let pipe = stdin.as_mut().expect("it was not told to end");
        pipe.write_all(line.as_bytes()).await.expect("it listens");
        drop(stdin);
        let answer = tokio::time::timeout(LIMIT, answer).await;
        answer.unwrap_or_else(|_| panic!("no answer to {tool} {args}")).expect("it still runs")
    }

    /// Everything besides answers that it has heard so far, in order.
    pub(crate) fn take_events(&self) -> Vec<Answer> {
        std::mem::take(&mut lock(&self.heard.events))
    }

    /// Lets it finish, as a person who closes the app does.
    pub(crate) async fn close(mut self) {
        self.stdin.lock().await.take();
        let ended = tokio::time::timeout(LIMIT, self.child.wait()).await;
        assert!(ended.is_ok(), "a client does not end after its stdin ended");
    }
}

impl Heard {
    async fn listen(
        self: Arc<Self>,
        mut lines: BufReader<tokio::process::ChildStdout>,
        ready: oneshot::Sender<Value>,
    ) {
        let mut ready = Some(ready);
        let mut line = String::new();
        while matches!(lines.read_line(&mut line).await, Ok(1..)) {
            let at = now();
            // Whatever is not JSON is a client's own notice.
            let said: Value = serde_json::from_str(&line).unwrap_or_default();
            line.clear();
            let first = said["event"] == "ready" || said["event"] == "failed";
            if let Some(ready) = ready.take_if(|_| first) {
                // The receiver waits for nothing else.
                let _ = ready.send(said);
                continue;
            }
            let waiter = said["id"].as_u64().filter(|_| said["event"].is_null());
            match waiter.and_then(|id| lock(&self.waiting).remove(&id)) {
                Some(waiter) => drop(waiter.send(Answer { at, said })),
                None => lock(&self.events).push(Answer { at, said }),
            }
        }
        lock(&self.waiting).clear();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no holder of this lock panics")
}
