//! What may be in the way of a change: the app runs, somebody else writes, nobody may write, no keychain.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::app_file::{AppFile, CLAUDE, CURSOR, HEADER_TOKEN, one_header};
use crate::support::{LIMIT, World, eventually};

/// A process that looks like Claude Desktop: by the path of its executable.
struct Running(Child);

impl Running {
    fn start(world: &World) -> Self {
        let folder = world.sandbox.home().join("apps/claude-desktop");
        std::fs::create_dir_all(&folder).expect("a folder of ours");
        let program = folder.join("claude-desktop");
        if !program.exists() {
            // By another process: a descriptor of ours that writes to it could be in a child that another test is
            // just starting, and what somebody writes to cannot be started.
            let copied = Command::new("cp").arg("/usr/bin/sleep").arg(&program).status();
            assert!(copied.expect("coreutils").success());
        }
        let mut command = world.sandbox.bare_command(&program);
        Self(command.arg("600").stdin(Stdio::null()).spawn().expect("a copy of sleep"))
    }

    fn quit(mut self) {
        self.0.kill().expect("it runs");
        self.0.wait().expect("it is our child");
    }
}

#[tokio::test]
async fn a_running_claude_desktop_is_waited_for_and_what_it_wrote_meanwhile_is_not_lost() {
    let world = World::with_ana().await;
    let original = one_header(&world);
    let file = AppFile::with(&world, CLAUDE, &original);
    let running = Running::start(&world);
    let list = world.run(&["apps", "list", "--json"]).await.ok().json();
    assert_eq!((&list["apps"][0]["app"], &list["apps"][0]["running"]), (&CLAUDE.into(), &true.into()));
    let refused = world.run(&["apps", "connect", CLAUDE, "--yes", "--no-wait"]).await.fails(1);
    assert!(refused.err.contains("Claude Desktop is running") && refused.err.contains("quit"), "{refused:?}");
    assert_eq!(file.text(), original);

    let waiting = Waiting::start(&world).await;
    assert_eq!(file.text(), original);
    running.quit();
    let (code, said) = waiting.end().await;
    assert_eq!(code, Some(0), "{said}");
    assert!(!file.text().contains(HEADER_TOKEN) && file.text().contains("\"bridge\""), "{}", file.text());
    world.run(&["apps", "restore", CLAUDE, "--yes"]).await.ok();
    assert_eq!(file.text(), original);

    // It writes its file while it ends, as it really does: that is not the file that was said yes to.
    let running = Running::start(&world);
    let waiting = Waiting::start(&world).await;
    let theirs = original.replacen('{', "{ \"scale\": 2,", 1);
    file.write(&theirs);
    running.quit();
    let (code, said) = waiting.end().await;
    assert_eq!(code, Some(8), "{said}");
    assert!(said.contains("changed") && said.contains("  next: "), "{said}");
    assert_eq!(file.text(), theirs);
}

/// A `connect` that waits for Claude Desktop to be quit, and has said so.
struct Waiting {
    child: tokio::process::Child,
    said: PathBuf,
}

impl Waiting {
    async fn start(world: &World) -> Self {
        let said = world.sandbox.home().join("said.txt");
        let mut command = world.hallpass(&["apps", "connect", CLAUDE, "--yes"]);
        command.stdout(Stdio::null()).stderr(File::create(&said).expect("a file of ours"));
        let child = tokio::process::Command::from(command)
            .kill_on_drop(true)
            .spawn()
            .expect("hallpass can be started");
        let waiting = Self { child, said };
        eventually("the notice that it waits", async || {
            waiting.said().contains("waiting for it").then_some(())
        })
        .await;
        waiting
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.said).expect("it was made")
    }

    async fn end(mut self) -> (Option<i32>, String) {
        let status = tokio::time::timeout(LIMIT, self.child.wait()).await;
        (status.expect("it goes on by itself").expect("it can be waited for").code(), self.said())
    }
}

#[tokio::test]
async fn what_nobody_may_write_is_refused_with_its_name() {
    let world = World::with_ana().await;
    let file = AppFile::with(&world, CURSOR, &one_header(&world));
    std::fs::set_permissions(&file.path, Permissions::from_mode(0o444)).unwrap();
    let refused = world.run(&["apps", "connect", CURSOR, "--yes"]).await.fails(1);
    assert!(refused.err.contains("mcp.json") && refused.err.contains("read-only"), "{refused:?}");
    assert!(refused.err.contains("not touched"), "{refused:?}");
    assert_eq!(file.text(), one_header(&world));
    std::fs::set_permissions(&file.path, Permissions::from_mode(0o644)).unwrap();
    world.run(&["apps", "connect", CURSOR, "--yes"]).await.ok();
    assert!(file.text().contains("\"bridge\""));

    for broken in ["{ \"mcpServers\": ", "[]", "{ \"mcpServers\": { \"a\": {}, \"a\": {} } }"] {
        file.write(broken);
        let refused = world.run(&["apps", "connect", CURSOR, "--yes"]).await.fails(1);
        assert!(refused.err.contains("mcp.json") && refused.err.contains("not touched"), "{refused:?}");
        assert_eq!(file.text(), broken);
    }
}

#[tokio::test]
async fn a_locked_keychain_leaves_the_file_as_it_is() {
    let world = World::with_ana().await;
    let file = AppFile::with(&world, CURSOR, &one_header(&world));
    world.run(&["agent", "stop"]).await.ok();
    world.sandbox.lock_keychain().unwrap();
    let refused = world.run(&["apps", "connect", CURSOR, "--yes"]).await.fails(7);
    assert!(refused.err.contains("unlock your keychain"), "{refused:?}");
    assert_eq!(file.text(), one_header(&world));
    world.sandbox.unlock_keychain().unwrap();
    world.run(&["apps", "connect", CURSOR, "--yes"]).await.ok();
    let ours = file.text();
    assert!(!ours.contains(HEADER_TOKEN));
    // Nor is a file half restored.
    world.run(&["agent", "stop"]).await.ok();
    world.sandbox.lock_keychain().unwrap();
    world.run(&["apps", "restore", CURSOR, "--yes"]).await.fails(7);
    assert_eq!(file.text(), ours);
    world.sandbox.unlock_keychain().unwrap();
    world.run(&["apps", "restore", CURSOR, "--yes"]).await.ok();
    assert_eq!(file.text(), one_header(&world));
}
