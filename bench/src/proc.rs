//! What the kernel tells about a process and everything below it: memory, time, threads, wake-ups.

use std::fs;

/// Proportional set size in MiB, of this process and its descendants.
pub(crate) fn pss(pid: u32) -> f64 {
    sum(pid, |pid| field(&read(pid, "smaps_rollup"), "Pss:")) / 1024.0
}

/// Resident set size in MiB, likewise.
pub(crate) fn rss(pid: u32) -> f64 {
    sum(pid, |pid| field(&read(pid, "status"), "VmRSS:")) / 1024.0
}

/// The largest resident set so far in MiB, likewise.
pub(crate) fn peak_rss(pid: u32) -> f64 {
    sum(pid, |pid| field(&read(pid, "status"), "VmHWM:")) / 1024.0
}

/// Time on a processor in microseconds, of all threads that live now, likewise.
pub(crate) fn cpu(pid: u32) -> f64 {
    sum(pid, |pid| {
        threads_of(pid).iter().map(|task| first_number(&read(pid, &format!("task/{task}/schedstat")))).sum()
    }) / 1000.0
}

/// Threads, likewise.
pub(crate) fn threads(pid: u32) -> f64 {
    sum(pid, |pid| number(threads_of(pid).len()))
}

/// How often its threads went to sleep by themselves so far, which is how often they were woken, likewise.
pub(crate) fn sleeps(pid: u32) -> f64 {
    sum(pid, |pid| {
        threads_of(pid)
            .iter()
            .map(|task| field(&read(pid, &format!("task/{task}/status")), "voluntary_ctxt_switches:"))
            .sum()
    })
}

/// The load of the last minute.
pub(crate) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("?").to_owned()
}

/// What the processor calls itself, and how many there are.
pub(crate) fn machine() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split(": ").nth(1)).unwrap_or("unknown processor");
    let count = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{count} cores of {model}, {:.0} GiB, Linux {}",
        field(&memory, "MemTotal:") / 1024.0 / 1024.0,
        kernel.trim()
    )
}

/// This process and its descendants.
pub(crate) fn tree(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let mut open = vec![pid];
    while let Some(pid) = open.pop() {
        found.push(pid);
        for task in threads_of(pid) {
            let children = read(pid, &format!("task/{task}/children"));
            open.extend(children.split_ascii_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    found
}

fn sum(pid: u32, of: impl Fn(u32) -> f64) -> f64 {
    tree(pid).into_iter().map(of).sum()
}

fn threads_of(pid: u32) -> Vec<String> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn read(pid: u32, name: &str) -> String {
    fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default()
}

/// The number behind a name at the start of a line.
fn field(text: &str, name: &str) -> f64 {
    text.lines().find_map(|line| line.strip_prefix(name)).map_or(0.0, first_number)
}

fn first_number(text: &str) -> f64 {
    text.split_ascii_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0.0)
}

fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_by_their_names() {
        let smaps =
            "55-7f rollup\nRss:                4192 kB\nPss:                1536 kB\nPss_Dirty:   900 kB\n";
        assert!((field(smaps, "Pss:") - 1536.0).abs() < f64::EPSILON);
        assert!((field(smaps, "Nothing:")).abs() < f64::EPSILON);
    }

    #[test]
    fn a_tree_has_its_root_and_its_branches() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let tree = tree(std::process::id());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(tree.contains(&std::process::id()) && tree.contains(&child.id()), "{tree:?}");
    }

    #[test]
    fn this_very_process_has_memory_time_and_threads() {
        let pid = std::process::id();
        assert!(pss(pid) > 0.1 && rss(pid) >= pss(pid) && peak_rss(pid) >= 0.1);
        assert!(cpu(pid) > 0.0 && threads(pid) >= 1.0 && sleeps(pid) >= 0.0);
    }
}
