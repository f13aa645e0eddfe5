//! Processes as `/proc` shows them.
#![expect(unsafe_code, reason = "registering a descriptor and advising on memory are unsafe")]

use std::fs;
use std::future::pending;
use std::io;
use std::mem::MaybeUninit;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{DumpableBehavior, Pid, PidfdFlags, getppid, pidfd_open, set_dumpable_behavior};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::{Facts, Hardening, Running, StartTime, unix};

pub(super) use unix::host_name;

pub(super) fn facts(pid: u32) -> Option<Facts> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

pub(super) fn executable(pid: u32) -> Option<PathBuf> {
    let path = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    // The kernel's mark of a file that has been replaced since (an update): the path is what we want.
    match path.to_str().and_then(|text| text.strip_suffix(" (deleted)")) {
        Some(path) => Some(PathBuf::from(path)),
        None => Some(path),
    }
}

/// The first process of the system, or one whose parent lies outside this process namespace.
pub(super) fn is_top(_pid: u32, facts: Facts) -> bool {
    facts.parent == 0
}

pub(super) fn boot_id() -> Option<String> {
    Some(fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned())
}

pub(super) fn all() -> Vec<Running> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| {
            let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim_end().to_owned();
            Some(Running { pid, name, executable: executable(pid) })
        })
        .collect()
}

pub(super) const fn inside_package() -> bool {
    false
}

pub(super) fn harden(hardening: Hardening) -> io::Result<()> {
    unix::no_core_dumps()?;
    match hardening {
        Hardening::Closed => Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?),
        Hardening::Debuggable => Ok(()),
    }
}

pub(super) fn let_go_of_start_up_code() {
    let Ok(executable) = std::env::current_exe() else { return };
    let Ok(maps) = fs::read_to_string("/proc/self/maps") else { return };
    for (start, end) in maps.lines().filter_map(|line| code_of(line, executable.to_str()?)) {
        // SAFETY: the range is a private mapping of a file that cannot be written through it and that nobody has
        // relocated (its permissions say so), so what is dropped is read again, the same, when it is next needed.
        unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_DONTNEED) };
    }
}

pub(super) fn keep_large_buffers_apart() {
    // glibc starts like that, but the first large buffer that is freed moves the limit up to its size: from then on
    // such buffers lie in the heap, are copied when they grow, and stay when they are freed.
    #[cfg(target_env = "gnu")]
    for (parameter, bytes) in [(libc::M_MMAP_THRESHOLD, 2 * MEBIBYTE), (libc::M_TRIM_THRESHOLD, 4 * MEBIBYTE)]
    {
        // SAFETY: it sets a parameter of the allocator, under the allocator's own lock.
        unsafe { libc::mallopt(parameter, bytes) };
    }
}

pub(super) fn prefer_large_pages(buffer: &mut [MaybeUninit<u8>]) {
    let skipped = buffer.as_ptr().align_offset(LARGEST_BASE_PAGE);
    let Some(whole) = buffer.get_mut(skipped..) else { return };
    let length = whole.len() / LARGEST_BASE_PAGE * LARGEST_BASE_PAGE;
    // SAFETY: the pages are the buffer's own, and the advice changes nothing about what they hold.
    unsafe { libc::madvise(whole.as_mut_ptr().cast(), length, libc::MADV_HUGEPAGE) };
}

/// In bytes; advice is given in whole pages, which are 4 to 64 KiB by architecture.
const LARGEST_BASE_PAGE: usize = 64 * 1024;

#[cfg(target_env = "gnu")]
const MEBIBYTE: libc::c_int = 1024 * 1024;

/// The range of a line of `/proc/self/maps` that maps code of this executable.
fn code_of(line: &str, executable: &str) -> Option<(usize, usize)> {
    let mut fields = line.splitn(6, ' ');
    let (range, permissions) = (fields.next()?, fields.next()?);
    let path = fields.nth(3)?.trim_start();
    let (start, end) = range.split_once('-')?;
    let number = |text| usize::from_str_radix(text, 16).ok();
    (permissions == "r-xp" && path == executable).then_some((number(start)?, number(end)?))
}

pub(super) async fn watch_parent() {
    let Some(parent) = getppid() else { return pending().await };
    if parent.is_init() {
        // Either it was gone before we looked or it is init itself, which does not end before us.
        return pending().await;
    }
    if wait_on_descriptor(parent).await.is_err() {
        while getppid() == Some(parent) {
            tokio::time::sleep(INTERVAL).await;
        }
    }
}

async fn wait_on_descriptor(parent: Pid) -> io::Result<()> {
    let parents = pidfd_open(parent, PidfdFlags::empty())?;
    // SAFETY: the descriptor is owned by what is registered, so it stays open and the same until then.
    let descriptor = unsafe { AsyncFd::register_with_interest(parents, Interest::READABLE)? };
    // Opened after the parent had gone, the descriptor would be some other process's.
    if getppid() != Some(parent) {
        return Ok(());
    }
    descriptor.readable().await.map(drop)
}

/// Kernels before 5.3 and some containers have no process descriptors.
const INTERVAL: Duration = Duration::from_millis(500);

/// Reads parent (field 4) and start time (field 22); the name before them may hold spaces and brackets.
fn parse_stat(stat: &str) -> Option<Facts> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let start_time = StartTime(fields.nth(17)?.parse().ok()?);
    Some(Facts { parent, start_time })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let stat = "77 (a) 1 (b) S 5 77 77 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 9 9";
        assert_eq!(parse_stat(stat), Some(Facts { parent: 5, start_time: StartTime(4711) }));
    }

    #[test]
    fn only_the_code_of_this_executable_is_let_go() {
        let line = "55ca872a9000-55ca873a4000 r-xp 000fb000 fe:00 1234                       /opt/my app/x";
        assert_eq!(code_of(line, "/opt/my app/x"), Some((0x55ca_872a_9000, 0x55ca_873a_4000)));
        assert_eq!(code_of(line, "/opt/my"), None);
        assert_eq!(code_of(&line.replace("r-xp", "r--p"), "/opt/my app/x"), None);
        assert_eq!(code_of("7ffc-7ffd r-xp 00000000 00:00 0 [vdso]", "/opt/my app/x"), None);
    }

    #[test]
    fn what_was_let_go_runs_again() {
        let_go_of_start_up_code();
        assert_eq!(parse_stat("77 (a) S 5 77"), None);
    }

    #[cfg(target_env = "gnu")]
    #[test]
    fn a_large_buffer_is_given_back_though_a_larger_one_was_freed_before() {
        keep_large_buffers_apart();
        let is_ours = |address: usize| {
            let maps = fs::read_to_string("/proc/self/maps").unwrap();
            maps.lines().any(|line| {
                let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
                let number = |text| usize::from_str_radix(text, 16).unwrap();
                (number(start)..number(end)).contains(&address)
            })
        };
        drop(vec![1_u8; 24 << 20]);
        // Once is enough: another test's thread may just have been given the same place.
        let given_back = (0..100).any(|_| {
            let buffer = vec![1_u8; 16 << 20];
            let middle = buffer.as_ptr() as usize + (8 << 20);
            assert!(is_ours(middle));
            drop(buffer);
            !is_ours(middle)
        });
        assert!(given_back);
    }

    #[test]
    fn a_torn_line_is_nothing() {
        assert_eq!(parse_stat("77 (a) S 5 77"), None);
        assert_eq!(parse_stat(""), None);
    }
}
