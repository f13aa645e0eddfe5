//! The pipes: what the server says, a line a message, and what is said to it.

use std::io;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::ChildStdin;
use tokio::sync::{Mutex, mpsc};

use super::Heard;

pub(super) async fn write(stdin: &Mutex<Option<ChildStdin>>, bytes: &[u8]) -> io::Result<()> {
    let mut stdin = stdin.lock().await;
    let pipe = stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
    pipe.write_all(bytes).await?;
    pipe.flush().await
}

pub(super) async fn write_answers(
    mut due: mpsc::UnboundedReceiver<Value>,
    stdin: Arc<Mutex<Option<ChildStdin>>>,
) {
    while let Some(answer) = due.recv().await {
        if write(&stdin, format!("{answer}\n").as_bytes()).await.is_err() {
            return;
        }
    }
}

pub(super) async fn read_stdout(stdout: impl AsyncRead + Unpin, heard: Arc<Heard>) {
    let mut reader = BufReader::new(stdout);
    loop {
        let mut line = Vec::new();
        // An error is the same end as no more bytes.
        if !matches!(reader.read_until(b'\n', &mut line).await, Ok(1..)) {
            break;
        }
        heard.state().stdout.extend(&line);
        heard.take(&line);
        heard.change.send_replace(());
    }
    let mut state = heard.state();
    state.ended = true;
    state.awaited.clear();
    drop(state);
    heard.change.send_replace(());
}

pub(super) async fn read_stderr(mut stderr: impl AsyncRead + Unpin, heard: Arc<Heard>) {
    let mut buffer = vec![0; 8192];
    while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
        heard.state().stderr.extend(&buffer[..count]);
        heard.change.send_replace(());
    }
    heard.state().stderr_ended = true;
    heard.change.send_replace(());
}

impl Heard {
    fn take(&self, line: &[u8]) {
        let message = serde_json::from_slice::<Value>(line).unwrap_or_default();
        let answer = message.get("method").is_none().then(|| message.get("id")).flatten();
        let mut state = self.state();
        if let Some(id) = answer {
            match state.awaited.remove(&id.to_string()) {
                // Who asked may have given up.
                Some(tell) => drop(tell.send(message)),
                None => state.garbage.push(format!("an answer to nothing: {id}")),
            }
        } else if let Some(id) = message.get("id").cloned() {
            let answerer = self.answerer.lock().expect("no holder of this lock panics");
            if let Some(result) = answerer(&message) {
                // The pump is gone only when the server is.
                let _ = self.answers.send(json!({"jsonrpc": "2.0", "id": id, "result": result}));
            }
            state.server_requests.push(message);
        } else if message.get("method").is_some() {
            state.notifications.push(message);
        } else {
            state.garbage.push(String::from_utf8_lossy(line).trim_end().to_owned());
        }
    }
}
