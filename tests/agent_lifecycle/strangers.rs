//! What else may be at the two ends of the socket: another release, garbage, floods.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};

use crate::support::people::{refusal, whoami};
use crate::support::{LIMIT, World, eventually};

#[tokio::test]
async fn an_agent_that_speaks_no_common_version_is_a_clear_error_and_not_replaced() {
    let world = World::with_ana().await;
    world.run(&["agent", "stop"]).await.ok();
    // Newer than this build: it must not be asked to go.
    let peer = OtherRelease::listen(&world, 99);
    let status = world.run(&["status"]).await.fails(9);
    assert!(status.err.contains("speak no common protocol"), "{status:?}");
    assert!(status.err.contains("next:") || status.err.contains("hallpass agent stop"), "{status:?}");
    let host = world.host("cursor").await;
    let said = refusal(&host).await;
    assert!(said.contains("speak no common protocol"), "{said}");
    assert_eq!(peer.retired.load(Ordering::SeqCst), 0);
    drop(peer);
    world.run(&["status"]).await.ok();
    assert_eq!(eventually("ana", async || whoami(&host).await.ok()).await, "ana");
}

#[tokio::test]
async fn an_older_agent_is_asked_to_retire_and_replaced() {
    let world = World::with_ana().await;
    world.run(&["agent", "stop"]).await.ok();
    let peer = OtherRelease::listen(&world, 0);
    let status = world.run(&["status", "--json"]).await.ok().json();
    assert_eq!(status["servers"][0]["state"], "connected");
    assert_eq!(peer.retired.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn garbage_and_floods_on_the_socket_disturb_nobody() {
    let world = World::with_ana().await;
    let host = world.host("cursor").await;
    let pid = world.agent_pid().await;
    let address = address(&world);
    let flood = vec![b'x'; 9 * 1024 * 1024];
    let hello =
        |role: &str| format!("{{\"hallpass\":\"0\",\"role\":\"{role}\",\"versions\":[1]}}\n").into_bytes();
    let attach = br#"{"attach":{"app":"cursor","server":"no-such"}}"#;
    let cases: [Vec<u8>; 9] = [
        b"\n".to_vec(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        b"\xff\xfe\x00\n".to_vec(),
        flood.clone(),
        hello("admin"),
        [hello("control"), b"{\"id\":1,\"request\":\"no-such-verb\"}\nnot json\n".to_vec()].concat(),
        [hello("control"), flood.clone()].concat(),
        [hello("bridge"), attach.to_vec(), b"\n".to_vec()].concat(),
        [hello("bridge"), flood].concat(),
    ];
    for bytes in cases {
        let mut stream = UnixStream::connect(&address).await.unwrap();
        let start = String::from_utf8_lossy(&bytes[..bytes.len().min(90)]).into_owned();
        // The agent may close before all of it is written.
        let _closed = stream.write_all(&bytes).await;
        let _closed = stream.shutdown().await;
        let mut answer = Vec::new();
        let read = tokio::time::timeout(LIMIT, stream.read_to_end(&mut answer));
        let _reset = read.await.unwrap_or_else(|_| panic!("{start:?} is left waiting"));
        let answer = String::from_utf8_lossy(&answer);
        assert!(!answer.contains("token"), "{start:?}: {answer}");
        assert_eq!(whoami(&host).await.unwrap(), "ana", "after {start:?}");
    }
    // Fifty that say nothing at all do not keep others out.
    let mut mute = Vec::new();
    for _ in 0..50 {
        mute.push(UnixStream::connect(&address).await.unwrap());
    }
    world.run(&["status"]).await.ok();
    assert_eq!(world.agent_pid().await, pid);
}

/// A scripted agent of another release: refuses every caller, and goes when it is asked to retire.
struct OtherRelease {
    retired: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
    files: [PathBuf; 2],
}

impl OtherRelease {
    fn listen(world: &World, version: u32) -> Self {
        let run = world.root().join("run");
        let files = [run.join("socket"), world.sandbox.root().join("run/old.sock")];
        let listener = UnixListener::bind(&files[1]).expect("our folder is ours");
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::write(&files[0], format!("{}\n", files[1].display())).expect("our folder is ours");
        std::fs::set_permissions(&files[0], private.clone()).expect("our folder is ours");
        std::fs::set_permissions(&files[1], private).expect("our folder is ours");
        let retired = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn(refuse(listener, version, Arc::clone(&retired), files[1].clone()));
        Self { retired, task, files }
    }
}

impl Drop for OtherRelease {
    fn drop(&mut self) {
        self.task.abort();
        // The test may have replaced them already.
        for file in &self.files {
            let _gone = std::fs::remove_file(file);
        }
    }
}

async fn refuse(listener: UnixListener, version: u32, retired: Arc<AtomicUsize>, path: PathBuf) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        let _mute = stream.read_line(&mut line).await;
        let hello: Value = serde_json::from_str(&line).unwrap_or_default();
        let message = format!("this agent (release {version}) and yours speak no common protocol");
        let error =
            json!({"code": "agent_unavailable", "message": message, "hint": "run: hallpass agent stop"});
        let greeting = json!({"greeting": "refused", "error": error, "versions": [version]});
        let _gone = stream.write_all(format!("{greeting}\n").as_bytes()).await;
        if hello["role"] == "retire" {
            retired.fetch_add(1, Ordering::SeqCst);
            let _gone = std::fs::remove_file(&path);
            return;
        }
    }
}

/// Where the agent of this home listens.
fn address(world: &World) -> PathBuf {
    let text = std::fs::read_to_string(world.root().join("run/socket")).expect("an agent listens");
    Path::new(text.trim_end()).to_owned()
}
