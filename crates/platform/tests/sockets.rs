//! socket: peers, addresses, what a killed agent leaves.

use std::fs;
use std::path::Path;

use hallpass_platform::socket::{BindError, ConnectError, Listener, connect};
use hallpass_platform::{Lock, Root};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::Probe;

fn root_in(home: &Path) -> (Root, Lock) {
    let root = Root::below(home);
    root.ensure().expect("a root");
    let lock = Lock::try_acquire(&root.run().join("agent.lock")).expect("a lock file").expect("a free lock");
    (root, lock)
}

async fn talk(root: &Root, word: &str) -> String {
    let mut connection = connect(root).await.expect("a connection");
    connection.write_all(word.as_bytes()).await.expect("a write");
    let mut answer = vec![0; word.len()];
    connection.read_exact(&mut answer).await.expect("an answer");
    String::from_utf8(answer).expect("text")
}

#[tokio::test]
async fn both_ends_talk_and_the_listener_learns_the_process() {
    let home = tempfile::tempdir().expect("a folder");
    let (root, lock) = root_in(home.path());
    let mut listener = Listener::bind(&root, &lock).expect("a socket");
    let other = async {
        let connection = connect(&root).await.expect("a connection");
        let (mut reader, mut writer) = connection.split();
        writer.write_all(b"ping").await.expect("a write");
        let mut answer = [0; 4];
        reader.read_exact(&mut answer).await.expect("an answer");
        answer
    };
    let own = async {
        let (mut connection, peer) = listener.accept().await.expect("a connection");
        let mut asked = [0; 4];
        connection.read_exact(&mut asked).await.expect("a question");
        connection.write_all(b"pong").await.expect("a write");
        connection.flush().await.expect("a flush");
        (connection, asked, peer)
    };
    let ((_connection, asked, peer), answer) = tokio::join!(own, other);
    assert_eq!((&asked, &answer), (b"ping", b"pong"));
    assert_eq!(peer.pid, Some(std::process::id()));
}

/// On Windows nobody can say so at once, and what is never said to be silent is always looked at.
#[tokio::test]
async fn silent_is_only_where_neither_a_word_nor_the_end_waits() {
    let home = tempfile::tempdir().expect("a folder");
    let (root, lock) = root_in(home.path());
    let mut listener = Listener::bind(&root, &lock).expect("a socket");
    let (ours, theirs) = tokio::join!(connect(&root), listener.accept());
    let (mut reader, _writer) = ours.expect("a connection").split();
    let (mut theirs, _) = theirs.expect("a connection");
    assert_eq!(reader.is_silent(), cfg!(unix));
    theirs.write_all(b"word").await.expect("a write");
    theirs.flush().await.expect("a flush");
    assert!(!reader.is_silent());
    reader.read_exact(&mut [0; 4]).await.expect("a word");
    assert_eq!(reader.is_silent(), cfg!(unix));
    drop(theirs);
    assert!(!reader.is_silent());
}

#[tokio::test]
async fn a_process_that_ends_ends_its_connection() {
    let home = tempfile::tempdir().expect("a folder");
    let probe = Probe::start(&[&"listen", &home.path()]);
    let root = Root::below(home.path());
    let mut connection = connect(&root).await.expect("a connection");
    probe.kill();
    let end = connection.read(&mut [0; 8]).await;
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
}

#[tokio::test]
async fn many_connections_are_served_at_once() {
    let home = tempfile::tempdir().expect("a folder");
    let _probe = Probe::start(&[&"listen", &home.path()]);
    let root = Root::below(home.path());
    let mut talks = tokio::task::JoinSet::new();
    for number in 0..20 {
        let root = root.clone();
        talks.spawn(async move { talk(&root, &format!("word {number}")).await == format!("word {number}") });
    }
    assert_eq!(talks.join_all().await, [true; 20]);
}

#[tokio::test]
async fn two_roots_never_meet() {
    let homes = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
    let _probe = Probe::start(&[&"listen", &homes[0].path()]);
    let [one, other] = homes.each_ref().map(|home| Root::below(home.path()));
    assert_eq!(talk(&one, "here").await, "here");
    assert!(matches!(connect(&other).await, Err(ConnectError::NotRunning)));
    other.ensure().expect("a root");
    assert!(matches!(connect(&other).await, Err(ConnectError::NotRunning)));
}

#[tokio::test]
async fn what_a_killed_agent_left_means_not_running_and_is_cleared_by_the_next() {
    let home = tempfile::tempdir().expect("a folder");
    let root = Root::below(home.path());
    Probe::start(&[&"listen", &home.path()]).kill();
    assert!(root.run().join("socket").exists(), "the address was left behind");
    assert!(matches!(connect(&root).await, Err(ConnectError::NotRunning)));
    let _probe = Probe::start(&[&"listen", &home.path()]);
    assert_eq!(talk(&root, "again").await, "again");
    let sockets = fs::read_dir(root.run()).expect("a folder").flatten();
    let sockets = sockets.filter(|entry| entry.path().extension().is_some_and(|it| it == "sock"));
    assert!(sockets.count() <= 1, "the stale socket is gone");
}

#[tokio::test]
async fn dropping_the_listener_takes_the_address_back() {
    let home = tempfile::tempdir().expect("a folder");
    let (root, lock) = root_in(home.path());
    drop(Listener::bind(&root, &lock).expect("a socket"));
    let left: Vec<_> =
        fs::read_dir(root.run()).expect("a folder").flatten().map(|it| it.file_name()).collect();
    assert_eq!(left, ["agent.lock"]);
    assert!(matches!(connect(&root).await, Err(ConnectError::NotRunning)));
}

#[tokio::test]
async fn only_a_lock_of_the_same_root_opens_the_socket() {
    let homes = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
    let (root, _lock) = root_in(homes[0].path());
    let (_other, others_lock) = root_in(homes[1].path());
    assert!(matches!(Listener::bind(&root, &others_lock), Err(BindError::OtherLock { .. })));
}

#[cfg(unix)]
mod unix {
    use std::fs::Permissions;
    use std::io::{BufRead as _, BufReader};
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    use std::os::unix::process::CommandExt as _;
    use std::path::PathBuf;
    use std::process::{Child, Command, Stdio};

    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};

    use super::*;

    fn address(root: &Root) -> PathBuf {
        PathBuf::from(fs::read_to_string(root.run().join("socket")).expect("an address").trim_end())
    }

    #[tokio::test]
    async fn a_home_too_deep_for_a_socket_gets_a_private_folder_elsewhere() {
        let home = tempfile::tempdir().expect("a folder");
        let deep = home.path().join("d".repeat(120));
        fs::create_dir(&deep).expect("a folder");
        let probe = Probe::start(&[&"listen", &deep]);
        let root = Root::below(&deep);
        assert_eq!(talk(&root, "deep").await, "deep");
        let first = address(&root);
        let folder = first.parent().expect("a folder").to_owned();
        assert!(!first.starts_with(home.path()));
        assert_eq!(fs::metadata(&folder).expect("metadata").mode() & 0o777, 0o700);
        probe.kill();
        let (_, lock) = root_in(&deep);
        let listener = Listener::bind(&root, &lock).expect("a socket");
        assert!(!folder.exists(), "the killed one's folder is cleared");
        let second = address(&root).parent().expect("a folder").to_owned();
        drop(listener);
        assert!(!second.exists(), "and so is our own");
    }

    #[tokio::test]
    async fn an_address_that_others_could_have_written_is_not_followed() {
        let home = tempfile::tempdir().expect("a folder");
        let _probe = Probe::start(&[&"listen", &home.path()]);
        let root = Root::below(home.path());
        let file = root.run().join("socket");
        fs::set_permissions(&file, Permissions::from_mode(0o666)).expect("a mode");
        assert!(matches!(connect(&root).await, Err(ConnectError::NotOurs { .. })));
        fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("a mode");
        assert_eq!(talk(&root, "ours").await, "ours");
        fs::set_permissions(root.run(), Permissions::from_mode(0o777)).expect("a mode");
        assert!(matches!(connect(&root).await, Err(ConnectError::NotOurs { .. })));
    }

    #[tokio::test]
    async fn an_address_into_a_folder_open_to_others_is_not_followed() {
        let (home, open) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let root = Root::below(home.path());
        root.ensure().expect("a root");
        let planted = open.path().join("agent.sock");
        let _listener = tokio::net::UnixListener::bind(&planted).expect("a socket");
        fs::write(root.run().join("socket"), planted.as_os_str().as_encoded_bytes()).expect("an address");
        fs::set_permissions(root.run().join("socket"), Permissions::from_mode(0o600)).expect("a mode");
        fs::set_permissions(open.path(), Permissions::from_mode(0o777)).expect("a mode");
        assert!(matches!(connect(&root).await, Err(ConnectError::NotOurs { .. })));
    }

    #[tokio::test]
    async fn an_address_of_another_user_is_not_followed() {
        let home = tempfile::tempdir().expect("a folder");
        let _probe = Probe::start(&[&"listen", &home.path()]);
        let root = Root::below(home.path());
        // Only root can give files away.
        if std::os::unix::fs::chown(root.run().join("socket"), Some(4711), None).is_ok() {
            assert!(matches!(connect(&root).await, Err(ConnectError::NotOurs { .. })));
        }
    }

    #[tokio::test]
    async fn a_server_of_another_user_is_not_talked_to() {
        let Some(stranger) = Stranger::new() else { return };
        let home = tempfile::tempdir().expect("a folder");
        let root = Root::below(home.path());
        root.ensure().expect("a root");
        let path = root.run().join("agent-planted.sock");
        let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None).expect("a socket");
        rustix::net::bind(&socket, &SocketAddrUnix::new(&path).expect("an address")).expect("a name");
        let mut listens = stranger.start(&["listen-on-stdin"], Stdio::from(socket));
        fs::write(root.run().join("socket"), path.as_os_str().as_encoded_bytes()).expect("an address");
        fs::set_permissions(root.run().join("socket"), Permissions::from_mode(0o600)).expect("a mode");
        let refused = connect(&root).await;
        listens.kill().expect("a kill");
        listens.wait().expect("an end");
        assert!(
            matches!(&refused, Err(ConnectError::NotOurs { what }) if what.contains("process")),
            "{refused:?}"
        );
    }

    #[tokio::test]
    async fn a_caller_of_another_user_is_dropped_unread() {
        let Some(stranger) = Stranger::new() else { return };
        let home = tempfile::tempdir().expect("a folder");
        let (root, lock) = root_in(home.path());
        let mut listener = Listener::bind(&root, &lock).expect("a socket");
        let path = address(&root);
        // Every other bar down, so that the peer check alone decides.
        for folder in [home.path(), root.path(), &root.run()] {
            fs::set_permissions(folder, Permissions::from_mode(0o711)).expect("a mode");
        }
        fs::set_permissions(&path, Permissions::from_mode(0o666)).expect("a mode");
        let mut calls = stranger.start(&["expect-end", &path.display().to_string()], Stdio::null());
        let dropped = tokio::task::spawn_blocking(move || calls.wait().expect("an end").success());
        tokio::select! {
            accepted = listener.accept() => panic!("a stranger got in: {accepted:?}"),
            dropped = dropped => assert!(dropped.expect("a thread"), "the stranger saw the end of the connection"),
        }
    }

    /// Another user, whom only root can become to try.
    struct Stranger {
        folder: tempfile::TempDir,
    }

    impl Stranger {
        const UID: u32 = 4711;

        fn new() -> Option<Self> {
            if !rustix::process::geteuid().is_root() {
                return None;
            }
            let folder = tempfile::tempdir().expect("a folder");
            fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("a mode");
            fs::copy(super::super::PROBE, folder.path().join("probe")).expect("a copy");
            Some(Self { folder })
        }

        fn start(&self, args: &[&str], stdin: Stdio) -> Child {
            let mut command = Command::new(self.folder.path().join("probe"));
            command.args(args).uid(Self::UID).gid(Self::UID).stdin(stdin).stdout(Stdio::piped());
            let mut child = crate::start_fresh(&mut command);
            let mut said = String::new();
            BufReader::new(child.stdout.take().expect("stdout")).read_line(&mut said).expect("a line");
            assert_eq!(said, "ready\n");
            child
        }
    }
}
