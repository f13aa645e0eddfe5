//! process: ancestors, parents, hardening.

use std::path::Path;
use std::process::Command;

use hallpass_platform::process::{ancestors, boot_id, executable, parent_executable, running, start_time};

use super::{PROBE, Probe, start_fresh, wait_for, wait_for_file};

fn same_file(one: &Path, other: &Path) -> bool {
    one.canonicalize().expect("a path") == other.canonicalize().expect("a path")
}

#[test]
fn the_chain_names_the_process_its_parent_and_their_executables() {
    let probe = Probe::start(&[&"wait"]);
    let chain = ancestors(probe.child.id());
    let pids: Vec<u32> = chain.links.iter().take(2).map(|link| link.pid).collect();
    assert_eq!(pids, [probe.child.id(), std::process::id()]);
    assert!(same_file(chain.links[0].executable.as_deref().expect("a path"), Path::new(PROBE)));
    assert_eq!(Some(chain.links[0].start_time), start_time(probe.child.id()));
    assert_eq!(parent_executable(probe.child.id()), chain.links[1].executable);
    assert!(chain.links.is_sorted_by(|child, parent| child.start_time >= parent.start_time));
    if cfg!(target_os = "linux") {
        assert!(chain.complete, "{chain:?}");
    }
}

#[test]
fn a_process_that_is_gone_has_no_chain_and_no_start() {
    let probe = Probe::start(&[&"wait"]);
    let pid = probe.child.id();
    drop(probe);
    assert_eq!(start_time(pid), None);
    let chain = ancestors(pid);
    assert!(chain.links.is_empty() && !chain.complete);
}

#[test]
fn a_running_program_is_found_by_its_path() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = folder.path().join(if cfg!(windows) { "someapp.exe" } else { "someapp" });
    std::fs::copy(PROBE, &own).expect("a copy");
    let own = own.canonicalize().expect("a path");
    let is_it = |path: Option<&Path>| path.is_some_and(|path| path.canonicalize().is_ok_and(|it| it == own));
    let find = || running(|process| is_it(process.executable.as_deref()));
    assert_eq!(find(), []);
    let mut child = start_fresh(Command::new(&own).arg("wait").stdin(std::process::Stdio::piped()));
    // At its very start it still has the name of whoever started it.
    let found = wait_for("the program", || find().pop().filter(|found| found.name.starts_with("someapp")));
    assert_eq!(found.pid, child.id());
    assert!(is_it(executable(child.id()).as_deref()));
    child.kill().expect("a kill");
    child.wait().expect("an end");
    assert_eq!(find(), []);
}

#[test]
fn the_boot_has_a_name_that_stays() {
    let name = boot_id().expect("a name");
    assert!(!name.is_empty());
    assert_eq!(boot_id(), Some(name));
}

#[test]
fn the_end_of_the_parent_is_noticed() {
    let folder = tempfile::tempdir().expect("a folder");
    let gone = folder.path().join("mark");
    let parent = Probe::start(&[&"parent-of", &"watch-parent", &gone]);
    let watcher = wait_for_file(&gone.with_extension("watching"));
    assert_eq!(watcher, parent.said);
    assert!(!gone.exists());
    parent.kill();
    assert_eq!(wait_for_file(&gone), "gone");
}

#[test]
fn a_hardened_process_leaves_no_core_and_cannot_be_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let report = folder.path().join("report");
    assert!(Command::new(PROBE).arg("harden").arg(&report).status().expect("a start").success());
    let said = wait_for_file(&report);
    if cfg!(target_os = "linux") {
        assert_eq!(said, "Some(0) Some(0) NotDumpable");
    }
}
