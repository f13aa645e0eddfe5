//! The agent's life: how it starts, what it needs, how it ends, and what others notice of it.

mod keychain;
mod strangers;

use serde_json::json;
use tokio::task::JoinSet;

use crate::support::people::whoami;
use crate::support::process::{descriptors, is_alive, session, signal};
use crate::support::{SERVER, World, eventually, executable};

#[tokio::test]
async fn twenty_processes_at_once_start_exactly_one_agent() {
    let world = World::with_ana().await;
    for _ in 0..2 {
        world.run(&["agent", "stop"]).await.ok();
        let before = starts(&world);
        let side_by_side = async {
            let mut commands = JoinSet::new();
            for _ in 0..10 {
                let mut command = world.hallpass(&["status", "--json"]);
                command.stdout(std::process::Stdio::piped());
                commands.spawn(tokio::process::Command::from(command).output());
            }
            commands.join_all().await
        };
        let bridges = async {
            let hosts: Vec<_> =
                (0..10).map(|_| world.host_of(world.bridge("cursor", &[]), handshake())).collect();
            for host in &hosts {
                host.greet().await.expect("the bridge answers");
                assert_eq!(whoami(host).await.unwrap(), "ana");
            }
        };
        let (outputs, ()) = tokio::join!(side_by_side, bridges);
        let pid = world.agent_pid().await;
        for output in outputs {
            let output = output.expect("it runs");
            assert!(output.status.success(), "{output:?}");
            let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(status["agent"]["pid"], pid);
        }
        alone(&world, pid).await;
        // The log is written a moment later than what it tells of.
        eventually("the start in the log", async || (starts(&world) > before).then_some(())).await;
        assert_eq!(starts(&world), before + 1);
    }
    assert_eq!(world.issuer.handle().stats().families_revoked, 0);
}

#[tokio::test]
async fn an_agent_that_a_bridge_starts_in_an_empty_environment_finds_the_keychain() {
    let world = World::with_ana().await;
    for by_bridge in [true, false] {
        world.run(&["agent", "stop"]).await.ok();
        if by_bridge {
            let host = world.host("cursor").await;
            assert_eq!(whoami(&host).await.unwrap(), "ana");
            let environ = std::fs::read(format!("/proc/{}/environ", world.agent_pid().await)).unwrap();
            let environ = String::from_utf8(environ).unwrap();
            let names: Vec<_> =
                environ.split('\0').filter_map(|entry| Some(entry.split_once('=')?.0)).collect();
            assert!(names.iter().all(|name| ["HOME", "PATH", "LANG"].contains(name)), "{names:?}");
        } else {
            // A terminal without a session: nothing that was recorded is forgotten for it.
            let mut command = world.sandbox.bare_command(executable());
            command.args(["status", "--json"]);
            let status = world.finish(command).await.ok().json();
            assert_eq!(status["servers"][0]["state"], "connected");
        }
        let recorded = world.state()["environment"]["dbus_address"].clone();
        assert_eq!(recorded, json!(world.sandbox.dbus_address()));
    }
}

#[tokio::test]
async fn two_homes_on_one_machine_never_meet() {
    let (one, two) = (World::with_ana().await, World::new().await);
    two.add_server().await;
    two.login("ben", &[]).await.ok();
    // A third home in the very session of the first: same bus, same keychain, same runtime folder.
    let third = one.sandbox.root().join("third");
    std::fs::create_dir(&third).unwrap();
    let in_third = |args: &[&str]| {
        let mut command = one.hallpass(args);
        command.env("HOME", &third);
        command
    };
    let status = one.finish(in_third(&["status", "--json"])).await.ok().json();
    assert_eq!(status["servers"], json!([]));
    let pids = [one.agent_pid().await, two.agent_pid().await];
    let third_pid = status["agent"]["pid"].as_u64().unwrap();
    assert!(pids[0] != pids[1] && pids.iter().all(|pid| u64::from(*pid) != third_pid));
    let (of_ana, of_ben) = (one.host("cursor").await, two.host("cursor").await);
    let (first, second) = tokio::join!(whoami(&of_ana), whoami(&of_ben));
    assert_eq!((first.unwrap(), second.unwrap()), ("ana".to_owned(), "ben".to_owned()));
    two.run(&["agent", "stop"]).await.ok();
    one.finish(in_third(&["agent", "stop"])).await.ok();
    assert_eq!(one.agent_pid().await, pids[0]);
    assert_eq!(whoami(&of_ana).await.unwrap(), "ana");
    assert_eq!(whoami(&of_ben).await.unwrap(), "ben");
}

#[tokio::test]
async fn bridges_go_on_when_the_agent_is_killed() {
    let world = World::with_ana_and_ben().await;
    let host = world.host("cursor").await;
    let other = world.host("claude-desktop").await;
    for round in 0..3 {
        let victim = world.agent_pid().await;
        let slow = world.slow_call(&host, 1500).await;
        signal(victim, "KILL");
        eventually("the agent's end", async || (!is_alive(victim)).then_some(())).await;
        // Its socket is still there, and stale.
        assert_eq!(whoami(&other).await.unwrap(), "ana");
        assert_eq!(whoami(&host).await.unwrap(), "ana");
        assert_eq!(crate::support::people::text_of(slow).await, "ana", "calls need no agent to end");
        let next = world.agent_pid().await;
        assert_ne!(next, victim);
        alone(&world, next).await;
        let sessions = world.status().await["sessions"].clone();
        assert_eq!(sessions.as_array().map(Vec::len), Some(2), "round {round}: {sessions}");
    }
    // A switch in the new agent reaches the old bridges.
    world.switch(&world.account("ben").await).await;
    assert_eq!(whoami(&host).await.unwrap(), "ben");
    assert_eq!(whoami(&other).await.unwrap(), "ben");
    assert_eq!(world.issuer.handle().stats().families_revoked, 0);
}

#[tokio::test]
async fn a_command_after_a_kill_or_a_stop_starts_another_agent() {
    let world = World::with_ana().await;
    let mut seen = vec![world.agent_pid().await];
    for stop in [true, false, true, false] {
        let last = *seen.last().unwrap();
        if stop {
            world.run(&["agent", "stop"]).await.ok();
        } else {
            signal(last, "KILL");
        }
        eventually("the agent's end", async || (!is_alive(last)).then_some(())).await;
        let absent = world.run(&["agent", "status", "--json"]).await.fails(9).json();
        assert_eq!(absent["running"], false);
        assert_eq!(world.run(&["status", "--json"]).await.ok().json()["servers"][0]["state"], "connected");
        seen.push(world.agent_pid().await);
        let sockets = std::fs::read_dir(world.root().join("run")).unwrap().flatten();
        let sockets = sockets.filter(|entry| entry.path().extension().is_some_and(|ext| ext == "sock"));
        assert!(sockets.count() <= 1, "what a killed agent left is cleared away");
    }
    let stopped = world.run(&["agent", "stop"]).await.ok();
    assert!(stopped.err.contains("stopped") || stopped.out.contains("stopped"), "{stopped:?}");
    world.run(&["agent", "stop"]).await.ok();
}

#[tokio::test]
async fn a_second_agent_says_who_holds_the_lock() {
    let world = World::with_ana().await;
    let pid = world.agent_pid().await;
    let second = world.run(&["agent", "run"]).await.fails(9);
    assert!(second.err.contains(&format!("pid {pid} on ")), "{second:?}");
    assert!(second.err.contains("hallpass agent stop"), "{second:?}");
    assert_eq!(world.agent_pid().await, pid);
}

#[tokio::test]
async fn the_agent_is_out_of_its_starter_s_reach() {
    let world = World::with_ana().await;
    world.run(&["agent", "stop"]).await.ok();
    // A starter with descriptors, a folder and variables that the agent must not inherit.
    let mut command = world.sandbox.command("sh");
    let script = "exec 7</dev/zero 8>leaked; export LEAKED=1; exec \"$0\" status --json";
    command.args(["-c", script]).arg(executable());
    world.finish(command).await.ok();
    let pid = world.agent_pid().await;
    assert_eq!(session(pid), Some(pid), "it leads a session of its own");
    assert_eq!(std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap().to_str(), Some("/"));
    let open = descriptors(pid);
    assert!(
        open.iter().all(|(_, what)| !what.contains("/dev/zero") && !what.ends_with("leaked")),
        "{open:?}"
    );
    let of = |number| open.iter().find(|(each, _)| *each == number).map(|(_, what)| what.as_str());
    assert_eq!((of(0), of(1)), (Some("/dev/null"), Some("/dev/null")));
    assert!(of(2).is_some_and(|what| what.ends_with("logs/agent.stderr")), "{open:?}");
    let environ = String::from_utf8(std::fs::read(format!("/proc/{pid}/environ")).unwrap()).unwrap();
    assert!(!environ.contains("LEAKED"), "{environ}");
    assert_eq!(std::fs::read(world.root().join("logs/agent.stderr")).unwrap(), b"");
}

#[tokio::test]
async fn an_idle_agent_exits_and_a_bridge_or_a_waiting_sign_out_keeps_it() {
    let world = World::with_ana().await;
    world.run(&["agent", "stop"]).await.ok();
    std::fs::write(world.root().join("run/idle"), IDLE.as_millis().to_string()).unwrap();
    let mut host = world.host("cursor").await;
    let pid = world.agent_pid().await;
    tokio::time::sleep(IDLE * 2).await;
    assert!(is_alive(pid), "a bridge keeps it");
    host.close().await.unwrap();
    eventually("the idle agent's end", async || (!is_alive(pid)).then_some(())).await;
    world.run(&["agent", "status"]).await.fails(9);
    world.issuer.handle().set(|knobs| {
        knobs.revocation = testbed::authorization_server::Availability::Unavailable;
    });
    let out = world.run(&["logout", SERVER, "--json"]).await.ok().json();
    assert_eq!(out["pending"], 1, "{out}");
    let pid = world.agent_pid().await;
    tokio::time::sleep(IDLE * 2).await;
    assert!(is_alive(pid), "an issuer has still to be told");
}

/// An agent without work ends after this time. Long enough for whoever started it to say hello.
const IDLE: std::time::Duration = std::time::Duration::from_secs(3);

fn handshake() -> testbed::host::HostEra {
    crate::support::people::handshake()
}

/// Waits until this is the only agent of this home: another one may still be on its way out.
async fn alone(world: &World, pid: u32) {
    let only = async || (agents(world) == [pid]).then_some(());
    eventually(&format!("agent {pid} alone"), only).await;
}

/// The agents of this home that live now.
fn agents(world: &World) -> Vec<u32> {
    let processes = world.sandbox.processes();
    let agents = processes.iter().filter(|one| one.argv.ends_with(b"\0agent\0run\0"));
    agents.map(|one| one.pid).filter(|pid| is_alive(*pid)).collect()
}

/// How many agents have ever started to serve this home.
fn starts(world: &World) -> usize {
    let logs = std::fs::read_dir(world.root().join("logs")).expect("an agent has logged").flatten();
    let logs = logs.filter(|entry| entry.file_name().to_string_lossy().starts_with("agent."));
    logs.filter_map(|entry| std::fs::read_to_string(entry.path()).ok())
        .map(|text| text.matches("\"agent started\"").count())
        .sum()
}
