//! Everything that takes part in a measurement on one processor, so that no processor has to wake up for a call.

use std::fs;

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Until it is dropped, this process, what it starts meanwhile, and some others have one processor in common.
pub(crate) struct OneProcessor {
    pids: Vec<u32>,
    /// Where they may run otherwise.
    before: CpuSet,
}

impl OneProcessor {
    /// Takes the first processor that this process may use.
    pub(crate) fn hold(others: &[u32]) -> Self {
        let pids: Vec<u32> = others.iter().copied().chain([std::process::id()]).collect();
        let before = sched_getaffinity(None).unwrap_or_else(|_| CpuSet::new());
        let mut one = CpuSet::new();
        if let Some(first) = (0..CpuSet::MAX_CPU).find(|at| before.is_set(*at)) {
            one.set(first);
        }
        for pid in &pids {
            let_run(*pid, &one);
        }
        Self { pids, before }
    }
}

impl Drop for OneProcessor {
    fn drop(&mut self) {
        for pid in &self.pids {
            let_run(*pid, &self.before);
        }
    }
}

fn let_run(pid: u32, on: &CpuSet) {
    for thread in threads(pid) {
        // A thread that has ended meanwhile needs no place.
        let _ = sched_setaffinity(Some(thread), on);
    }
}

fn threads(pid: u32) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok().and_then(Pid::from_raw);
    entries.flatten().filter_map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thread_and_every_child_has_one_processor_until_it_is_over() {
        let count = |pid| sched_getaffinity(pid).unwrap().count();
        let before = count(None);
        let held = OneProcessor::hold(&[]);
        assert_eq!(count(None), 1);
        assert!(threads(std::process::id()).into_iter().all(|thread| count(Some(thread)) == 1));
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = Pid::from_child(&child);
        assert_eq!(count(Some(pid)), 1);
        drop(held);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(count(None), before);
    }
}
