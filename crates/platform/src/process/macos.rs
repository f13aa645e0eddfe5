//! Processes as libproc shows them, and kqueue for their end.
#![expect(unsafe_code, reason = "libproc and sysctl have no safe interface")]

use std::ffi::{OsStr, c_int, c_void};
use std::future::pending;
use std::io;
use std::mem::{MaybeUninit, zeroed};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::ptr::null_mut;
use std::thread;

use rustix::event::kqueue::{Event, EventFilter, EventFlags, ProcessEvents, kevent, kqueue};
use rustix::fd::OwnedFd;
use rustix::process::{Pid, getppid};
use tokio::sync::oneshot;

use super::{Facts, Hardening, Running, StartTime, unix};

pub(super) use unix::host_name;

pub(super) fn facts(pid: u32) -> Option<Facts> {
    let info = info(pid)?;
    // What has ended and was not waited for yet is listed all the same.
    if info.pbi_status == libc::SZOMB {
        return None;
    }
    let microseconds = info.pbi_start_tvsec.wrapping_mul(1_000_000).wrapping_add(info.pbi_start_tvusec);
    Some(Facts { parent: info.pbi_ppid, start_time: StartTime(microseconds) })
}

pub(super) fn executable(pid: u32) -> Option<PathBuf> {
    let mut buffer = [0_u8; PATH_BYTES];
    let pid = c_int::try_from(pid).ok()?;
    let size = u32::try_from(buffer.len()).ok()?;
    // SAFETY: the buffer is as long as we say.
    let length = unsafe { libc::proc_pidpath(pid, buffer.as_mut_ptr().cast::<c_void>(), size) };
    let length = usize::try_from(length).ok().filter(|length| *length > 0)?;
    Some(PathBuf::from(OsStr::from_bytes(buffer.get(..length)?)))
}

/// launchd, which nothing stands above.
pub(super) fn is_top(pid: u32, _facts: Facts) -> bool {
    pid == 1
}

/// When the machine was started, which the kernel corrects with the clock, and so the session's own name.
pub(super) fn boot_id() -> Option<String> {
    let mut buffer = [0_u8; 64];
    let mut length = buffer.len();
    // SAFETY: the name ends with a zero, the buffer is as long as we say, and nothing is set.
    let code = unsafe {
        libc::sysctlbyname(
            c"kern.bootsessionuuid".as_ptr(),
            buffer.as_mut_ptr().cast::<c_void>(),
            &raw mut length,
            null_mut(),
            0,
        )
    };
    if code != 0 {
        return None;
    }
    let text = buffer.get(..length)?.split(|byte| *byte == 0).next()?;
    String::from_utf8(text.to_owned()).ok().filter(|text| !text.is_empty())
}

pub(super) fn all() -> Vec<Running> {
    let mut pids = vec![0 as c_int; MOST_PROCESSES];
    let Ok(size) = c_int::try_from(size_of_val(&*pids)) else { return Vec::new() };
    // SAFETY: the buffer is as long as we say, in bytes.
    let count = unsafe { libc::proc_listallpids(pids.as_mut_ptr().cast::<c_void>(), size) };
    pids.truncate(usize::try_from(count).unwrap_or(0));
    pids.into_iter()
        .filter_map(|pid| {
            let pid = u32::try_from(pid).ok()?;
            let info = info(pid)?;
            // The long name; the short one where that is empty.
            let name =
                [&info.pbi_name[..], &info.pbi_comm[..]].into_iter().map(text).find(|it| !it.is_empty())?;
            Some(Running { pid, name, executable: executable(pid) })
        })
        .collect()
}

pub(super) const fn inside_package() -> bool {
    false
}

/// Other programs of this user can read no memory of ours here: the system asks for a privilege.
pub(super) fn harden(_hardening: Hardening) -> io::Result<()> {
    unix::no_core_dumps()
}

/// The system takes such pages back by itself, and has no call for it that is safe to make.
pub(super) const fn let_go_of_start_up_code() {}

/// The system's allocator does so by itself.
pub(super) const fn keep_large_buffers_apart() {}

pub(super) const fn prefer_large_pages(_: &mut [MaybeUninit<u8>]) {}

pub(super) async fn watch_parent() {
    let Some(parent) = getppid().filter(|parent| !parent.is_init()) else { return pending().await };
    let Ok(queue) = watch(parent) else { return pending().await };
    // Watched from when the parent may have been gone already.
    if getppid() != Some(parent) {
        return;
    }
    let (gone, wait) = oneshot::channel();
    // A thread of its own: it ends with the process, which never waits for it.
    thread::spawn(move || {
        let mut events = Vec::with_capacity(1);
        // SAFETY: the one event that was registered names a process, not a descriptor that could be closed.
        while unsafe { kevent(&queue, &[], rustix::buffer::spare_capacity(&mut events), None) }
            .is_err_and(|error| error == rustix::io::Errno::INTR)
        {}
        let _ = gone.send(());
    });
    if wait.await.is_err() {
        pending::<()>().await;
    }
}

fn watch(parent: Pid) -> io::Result<OwnedFd> {
    let queue = kqueue()?;
    let filter = EventFilter::Proc { pid: parent, flags: ProcessEvents::EXIT };
    let event = Event::new(filter, EventFlags::ADD | EventFlags::ONESHOT, null_mut());
    let mut none: [Event; 0] = [];
    // SAFETY: the event names a process, not a descriptor that could be closed.
    unsafe {
        kevent(&queue, &[event], &mut none[..], None)?;
    }
    Ok(queue)
}

fn info(pid: u32) -> Option<libc::proc_bsdinfo> {
    // SAFETY: all zeros are a valid value of the structure.
    let mut info: libc::proc_bsdinfo = unsafe { zeroed() };
    let size = c_int::try_from(size_of::<libc::proc_bsdinfo>()).ok()?;
    let pid = c_int::try_from(pid).ok()?;
    // SAFETY: the structure is as long as we say.
    let length =
        unsafe { libc::proc_pidinfo(pid, libc::PROC_PIDTBSDINFO, 0, (&raw mut info).cast::<c_void>(), size) };
    (length == size).then_some(info)
}

fn text(name: &[libc::c_char]) -> String {
    let bytes: Vec<u8> = name.iter().map(|byte| byte.cast_unsigned()).take_while(|byte| *byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `PROC_PIDPATHINFO_MAXSIZE`
const PATH_BYTES: usize = 4096;
const MOST_PROCESSES: usize = 16_384;
