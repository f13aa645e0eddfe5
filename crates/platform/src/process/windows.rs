//! Processes by handle and snapshot.
#![expect(unsafe_code, reason = "the Windows API has no safe interface")]

use std::ffi::c_void;
use std::future::pending;
use std::io;
use std::mem::MaybeUninit;
use std::os::windows::io::{AsRawHandle as _, FromRawHandle as _, OwnedHandle};
use std::path::PathBuf;
use std::ptr::null_mut;
use std::thread;

use tokio::sync::oneshot;
use windows_sys::Wdk::System::SystemInformation::{NtQuerySystemInformation, SystemTimeOfDayInformation};
use windows_sys::Wdk::System::Threading::{NtQueryInformationProcess, ProcessBasicInformation};
use windows_sys::Win32::Foundation::{
    APPMODEL_ERROR_NO_PACKAGE, FILETIME, INVALID_HANDLE_VALUE, WAIT_TIMEOUT,
};
use windows_sys::Win32::Storage::Packaging::Appx::GetCurrentPackageFullName;
use windows_sys::Win32::System::Diagnostics::Debug::{
    SEM_FAILCRITICALERRORS, SEM_NOGPFAULTERRORBOX, SetErrorMode,
};
use windows_sys::Win32::System::Diagnostics::ToolHelp::{
    CreateToolhelp32Snapshot, PROCESSENTRY32W, Process32FirstW, Process32NextW, TH32CS_SNAPPROCESS,
};
use windows_sys::Win32::System::SystemInformation::{ComputerNameDnsHostname, GetComputerNameExW};
use windows_sys::Win32::System::Threading::{
    GetProcessTimes, INFINITE, PROCESS_BASIC_INFORMATION, PROCESS_QUERY_LIMITED_INFORMATION,
    PROCESS_SYNCHRONIZE, QueryFullProcessImageNameW, WaitForSingleObject,
};

use super::{Facts, Hardening, Running, StartTime};
use crate::owner::open_process;
use crate::wide::{filled, until_end};

const RIGHTS: u32 = PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_SYNCHRONIZE;

pub(super) fn facts(pid: u32) -> Option<Facts> {
    let process = open_process(pid, RIGHTS).ok()?;
    // Whoever holds a handle keeps a dead process listed.
    // SAFETY: the handle is open during the call.
    if unsafe { WaitForSingleObject(process.as_raw_handle(), 0) } != WAIT_TIMEOUT {
        return None;
    }
    Some(Facts { parent: parent(&process)?, start_time: start_time(&process)? })
}

pub(super) fn executable(pid: u32) -> Option<PathBuf> {
    let process = open_process(pid, PROCESS_QUERY_LIMITED_INFORMATION).ok()?;
    let mut buffer = vec![0; LONGEST_PATH];
    let mut length = u32::try_from(buffer.len()).ok()?;
    // SAFETY: the handle is open and the buffer is as long as we say.
    let done = unsafe {
        QueryFullProcessImageNameW(process.as_raw_handle(), 0, buffer.as_mut_ptr(), &raw mut length)
    };
    (done != 0).then(|| PathBuf::from(until_end(&buffer)))
}

/// Windows has no first process that all others hang on: a parent may be gone for years. Only the system's own
/// are tops.
pub(super) fn is_top(pid: u32, facts: Facts) -> bool {
    facts.parent == 0 || pid == SYSTEM_PROCESS
}

pub(super) fn boot_id() -> Option<String> {
    /// The documented part of the structure.
    #[repr(C)]
    #[derive(Default)]
    struct TimeOfDay {
        boot_time: i64,
        current_time: i64,
        time_zone_bias: i64,
        time_zone: u32,
        reserved: u32,
        boot_time_bias: i64,
        sleep_time_bias: i64,
    }
    let mut found = TimeOfDay::default();
    let mut length = 0;
    // SAFETY: the structure is as long as we say and takes any bits.
    let status = unsafe {
        NtQuerySystemInformation(
            SystemTimeOfDayInformation,
            (&raw mut found).cast::<c_void>(),
            u32::try_from(size_of::<TimeOfDay>()).ok()?,
            &raw mut length,
        )
    };
    // The clock may be set while the machine runs, which moves both by the same amount.
    (status >= 0).then(|| format!("{:x}", found.boot_time.wrapping_sub(found.boot_time_bias)))
}

pub(super) fn all() -> Vec<Running> {
    // SAFETY: no pointers are involved; the result is checked below.
    let snapshot = unsafe { CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0) };
    if snapshot == INVALID_HANDLE_VALUE {
        return Vec::new();
    }
    // SAFETY: the handle is open and belongs to nobody else.
    let snapshot = unsafe { OwnedHandle::from_raw_handle(snapshot) };
    let mut entry = PROCESSENTRY32W {
        dwSize: u32::try_from(size_of::<PROCESSENTRY32W>()).unwrap_or(0),
        ..Default::default()
    };
    let mut found = Vec::new();
    // SAFETY: the handle is open, and the entry says how long it is.
    let mut more = unsafe { Process32FirstW(snapshot.as_raw_handle(), &raw mut entry) };
    while more != 0 {
        let pid = entry.th32ProcessID;
        let name = until_end(&entry.szExeFile).to_string_lossy().into_owned();
        found.push(Running { pid, name, executable: executable(pid) });
        // SAFETY: as above.
        more = unsafe { Process32NextW(snapshot.as_raw_handle(), &raw mut entry) };
    }
    found
}

pub(super) fn host_name() -> String {
    let name = filled(|buffer| {
        let mut length = u32::try_from(buffer.len()).unwrap_or(0);
        // SAFETY: the buffer is as long as we say.
        let done =
            unsafe { GetComputerNameExW(ComputerNameDnsHostname, buffer.as_mut_ptr(), &raw mut length) };
        if done == 0 { 0 } else { length }
    });
    name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

pub(super) fn inside_package() -> bool {
    let mut length = 0;
    // SAFETY: with a length of zero nothing is written but the length.
    unsafe { GetCurrentPackageFullName(&raw mut length, null_mut()) != APPMODEL_ERROR_NO_PACKAGE }
}

/// No error reports with memory in them. Reading by other programs of this user cannot be forbidden here.
#[expect(clippy::unnecessary_wraps, reason = "its unix counterparts can fail")]
pub(super) fn harden(hardening: Hardening) -> io::Result<()> {
    match hardening {
        Hardening::Closed => {
            // SAFETY: no pointers are involved.
            unsafe {
                SetErrorMode(SEM_NOGPFAULTERRORBOX | SEM_FAILCRITICALERRORS);
            }
        }
        Hardening::Debuggable => {}
    }
    Ok(())
}

/// The system takes such pages back by itself, and has no call for it that is safe to make.
pub(super) const fn let_go_of_start_up_code() {}

/// The system's allocator does so by itself.
pub(super) const fn keep_large_buffers_apart() {}

pub(super) const fn prefer_large_pages(_: &mut [MaybeUninit<u8>]) {}

pub(super) async fn watch_parent() {
    let Some(parent) = open_parent() else { return pending().await };
    let (gone, wait) = oneshot::channel();
    // A thread of its own: it ends with the process, which never waits for it.
    thread::spawn(move || {
        // SAFETY: the handle is open until this closure ends.
        unsafe {
            WaitForSingleObject(parent.as_raw_handle(), INFINITE);
        }
        let _ = gone.send(());
    });
    if wait.await.is_err() {
        pending::<()>().await;
    }
}

/// The parent, unless it is gone and its id another's: a parent begins before its child.
fn open_parent() -> Option<OwnedHandle> {
    let own = facts(std::process::id())?;
    let parent = open_process(own.parent, RIGHTS).ok()?;
    (start_time(&parent)? <= own.start_time).then_some(parent)
}

fn parent(process: &OwnedHandle) -> Option<u32> {
    let mut basic = PROCESS_BASIC_INFORMATION::default();
    let mut length = 0;
    // SAFETY: the handle is open, and the structure is as long as we say and takes any bits.
    let status = unsafe {
        NtQueryInformationProcess(
            process.as_raw_handle(),
            ProcessBasicInformation,
            (&raw mut basic).cast::<c_void>(),
            u32::try_from(size_of::<PROCESS_BASIC_INFORMATION>()).ok()?,
            &raw mut length,
        )
    };
    if status < 0 {
        return None;
    }
    u32::try_from(basic.InheritedFromUniqueProcessId).ok()
}

fn start_time(process: &OwnedHandle) -> Option<StartTime> {
    let mut times = [FILETIME::default(); 4];
    let [created, ended, kernel, user] = &mut times;
    // SAFETY: the handle is open and the results are written to live variables.
    let done = unsafe { GetProcessTimes(process.as_raw_handle(), created, ended, kernel, user) };
    let ticks = u64::from(created.dwHighDateTime) << 32 | u64::from(created.dwLowDateTime);
    (done != 0).then_some(StartTime(ticks))
}

const SYSTEM_PROCESS: u32 = 4;
const LONGEST_PATH: usize = 32_768;
