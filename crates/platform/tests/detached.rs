//! spawn: what a detached process has and survives.

use std::collections::BTreeMap;
use std::path::Path;

use hallpass_platform::process;
use hallpass_platform::spawn::{Log, SpawnError, detached};

use super::{PROBE, Probe, wait_for_file};

/// The report of a detached probe, by the first word of each line.
fn report(path: &Path) -> BTreeMap<String, Vec<String>> {
    let mut facts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in wait_for_file(path).lines() {
        let (kind, value) = line.split_once(' ').unwrap_or((line, ""));
        facts.entry(kind.to_owned()).or_default().push(value.to_owned());
    }
    facts
}

fn end(pid: u32) {
    #[cfg(unix)]
    {
        let pid = rustix::process::Pid::from_raw(pid.cast_signed()).expect("a process id");
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
    #[cfg(windows)]
    {
        let _ = std::process::Command::new("taskkill").args(["/F", "/PID", &pid.to_string()]).output();
    }
}

#[test]
fn a_detached_process_survives_and_shares_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, log) = (folder.path().join("report"), folder.path().join("log"));
    let starter = Probe::start(&[&"start-detached", &path, &log]);
    let starter_pid = starter.child.id();
    let facts = report(&path);
    let pid: u32 = facts["pid"][0].parse().expect("a process id");
    starter.kill();
    let still_there = process::start_time(pid);
    let above: Vec<u32> = process::ancestors(pid).links.iter().map(|link| link.pid).collect();
    end(pid);

    assert!(still_there.is_some(), "it outlives whoever started it");
    assert!(!above.contains(&starter_pid) && !above.contains(&std::process::id()), "{above:?}");
    assert!(facts["variable"].contains(&"GIVEN=only this".to_owned()), "{:?}", facts["variable"]);
    assert!(!facts["variable"].iter().any(|line| line.starts_with("CARGO_")), "{:?}", facts["variable"]);
    assert_eq!(facts["argument"], ["two words", "q\"uote\\", ""]);
    assert_eq!(std::fs::read_to_string(&log).expect("a log").trim_end(), "to the log");
    #[cfg(target_os = "linux")]
    {
        assert_eq!(facts["folder"], ["/"]);
        assert_eq!(facts["session-leader"], ["true"]);
        assert_eq!(facts["descriptor"], ["0 /dev/null", "1 /dev/null", &format!("2 {}", log.display())]);
    }
}

#[test]
fn an_executable_that_is_missing_is_reported_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let none = folder.path().join("none");
    let environment: [(&str, &str); 0] = [];
    let refused = detached(&none, &[], &environment, Log::Discard);
    assert!(matches!(&refused, Err(SpawnError::Io { executable, .. }) if *executable == none), "{refused:?}");
    let refused = detached(Path::new("probe"), &[], &environment, Log::Discard);
    assert!(matches!(refused, Err(SpawnError::NotAbsolute { .. })), "{refused:?}");
    let probe = std::path::absolute(PROBE).expect("a path");
    let refused = detached(&probe, &[], &environment, Log::Append(&none.join("log")));
    assert!(matches!(refused, Err(SpawnError::Log { .. })), "{refused:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn starting_leaves_no_zombie_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("report");
    let starter = Probe::start(&[&"start-detached", &path, &folder.path().join("log")]);
    let pid: u32 = report(&path)["pid"][0].parse().expect("a process id");
    end(pid);
    let own = starter.child.id();
    let children = std::fs::read_to_string(format!("/proc/{own}/task/{own}/children"));
    assert_eq!(children.expect("children").trim(), "");
}

/// A host that puts what it starts into a job which lets nothing out would end the agent with it.
#[cfg(windows)]
#[test]
fn a_job_that_lets_nothing_out_is_recognised() {
    let said = |job: &str| Probe::start(&[&"in-job", &job]).said.clone();
    assert_eq!(said("outside"), "None");
    assert_eq!(said("closed"), "Some(\"a Windows job that lets nothing out\")");
    // Wine answers every question about a job's limits with "none".
    if std::env::var_os("HALLPASS_WINE").is_none() {
        assert_eq!(said("open"), "None");
    }
}
