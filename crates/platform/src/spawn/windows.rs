//! Out of the job, without a console, with three handles and no more.
#![expect(
    unsafe_code,
    reason = "the standard library hands every inheritable handle down, so it is done by hand"
)]

use std::ffi::{OsStr, OsString, c_void};
use std::fs::File;
use std::io;
use std::mem::zeroed;
use std::os::windows::ffi::OsStrExt as _;
use std::os::windows::io::{AsRawHandle as _, FromRawHandle as _, OwnedHandle};
use std::ptr::{null, null_mut};

use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, HANDLE, HANDLE_FLAG_INHERIT, SetHandleInformation,
};
use windows_sys::Win32::System::JobObjects::{
    IsProcessInJob, JOB_OBJECT_LIMIT_BREAKAWAY_OK, JOB_OBJECT_LIMIT_SILENT_BREAKAWAY_OK,
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectExtendedLimitInformation, QueryInformationJobObject,
};
use windows_sys::Win32::System::SystemInformation::GetSystemWindowsDirectoryW;
use windows_sys::Win32::System::Threading::{
    CREATE_BREAKAWAY_FROM_JOB, CREATE_NEW_PROCESS_GROUP, CREATE_UNICODE_ENVIRONMENT, CreateProcessW,
    DETACHED_PROCESS, DeleteProcThreadAttributeList, EXTENDED_STARTUPINFO_PRESENT, GetCurrentProcess,
    InitializeProcThreadAttributeList, LPPROC_THREAD_ATTRIBUTE_LIST, PROC_THREAD_ATTRIBUTE_HANDLE_LIST,
    PROCESS_INFORMATION, STARTF_USESTDHANDLES, STARTUPINFOEXW, UpdateProcThreadAttribute,
};

use super::{Log, SpawnError, Start};
use crate::owner;
use crate::wide::{filled, wide};

pub(super) fn detached(start: &Start<'_>) -> Result<(), SpawnError> {
    let log = open_log(start.log)?;
    match create(start, log.as_ref()) {
        Ok(()) => Ok(()),
        Err(error) if error.raw_os_error() == Some(ERROR_ACCESS_DENIED.cast_signed()) && is_held() => {
            Err(SpawnError::JobForbidsBreakaway)
        }
        Err(source) => Err(SpawnError::Io { executable: start.executable.to_owned(), source }),
    }
}

pub(super) fn sandboxed() -> Option<&'static str> {
    is_held().then_some("a Windows job that lets nothing out")
}

fn open_log(log: Log<'_>) -> Result<Option<File>, SpawnError> {
    match log {
        Log::Discard => Ok(None),
        Log::Append(path) => owner::no_follow()
            .append(true)
            .create(true)
            .open(path)
            .map(Some)
            .map_err(|source| SpawnError::Log { path: path.to_owned(), source }),
    }
}

fn create(start: &Start<'_>, log: Option<&File>) -> io::Result<()> {
    let nothing = File::options().read(true).write(true).open("NUL")?;
    inherit(&nothing)?;
    if let Some(log) = log {
        inherit(log)?;
    }
    let stderr = log.unwrap_or(&nothing).as_raw_handle();
    let mut handles = vec![nothing.as_raw_handle()];
    if log.is_some() {
        handles.push(stderr);
    }
    let attributes = HandleList::new(&handles)?;
    let folder = wide(windows_folder()?)?;
    let executable = wide(start.executable)?;
    let mut command_line = command_line(start)?;
    let environment = environment_block(start.environment)?;
    // SAFETY: all zeros are a valid value of both structures.
    let (mut info, mut process): (STARTUPINFOEXW, PROCESS_INFORMATION) = unsafe { (zeroed(), zeroed()) };
    info.StartupInfo.cb = u32::try_from(size_of::<STARTUPINFOEXW>()).map_err(io::Error::other)?;
    info.StartupInfo.dwFlags = STARTF_USESTDHANDLES;
    info.StartupInfo.hStdInput = nothing.as_raw_handle();
    info.StartupInfo.hStdOutput = nothing.as_raw_handle();
    info.StartupInfo.hStdError = stderr;
    info.lpAttributeList = attributes.list();
    // SAFETY: every text ends with a zero, the environment with two; the command line may be written to; the
    // structures, the list and the handles in it outlive the call.
    let done = unsafe {
        CreateProcessW(
            executable.as_ptr(),
            command_line.as_mut_ptr(),
            null(),
            null(),
            1,
            DETACHED_PROCESS
                | CREATE_NEW_PROCESS_GROUP
                | CREATE_BREAKAWAY_FROM_JOB
                | CREATE_UNICODE_ENVIRONMENT
                | EXTENDED_STARTUPINFO_PRESENT,
            environment.as_ptr().cast::<c_void>(),
            folder.as_ptr(),
            &raw const info.StartupInfo,
            &raw mut process,
        )
    };
    if done == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: both handles are open, and ours to close.
    unsafe {
        drop(OwnedHandle::from_raw_handle(process.hProcess));
        drop(OwnedHandle::from_raw_handle(process.hThread));
    }
    Ok(())
}

/// The handles that a new process gets, however many others could be inherited.
struct HandleList {
    // Of words, so that the list is aligned. Never resized: Windows keeps pointers into it.
    buffer: Box<[usize]>,
    // Windows keeps a pointer to them too.
    handles: Box<[HANDLE]>,
}

impl HandleList {
    fn new(handles: &[HANDLE]) -> io::Result<Self> {
        let mut length = 0;
        // SAFETY: asked for the length alone, the call writes nothing else.
        unsafe {
            InitializeProcThreadAttributeList(null_mut(), 1, 0, &raw mut length);
        }
        let mut buffer = vec![0_usize; length.div_ceil(size_of::<usize>())].into_boxed_slice();
        let handles: Box<[HANDLE]> = handles.into();
        let list: LPPROC_THREAD_ATTRIBUTE_LIST = buffer.as_mut_ptr().cast();
        // SAFETY: the buffer is as long as Windows asked for.
        if unsafe { InitializeProcThreadAttributeList(list, 1, 0, &raw mut length) } == 0 {
            return Err(io::Error::last_os_error());
        }
        let this = Self { buffer, handles };
        // SAFETY: the list is initialised, and the handles live as long as the list.
        let done = unsafe {
            UpdateProcThreadAttribute(
                this.list(),
                0,
                PROC_THREAD_ATTRIBUTE_HANDLE_LIST as usize,
                this.handles.as_ptr().cast::<c_void>(),
                size_of_val(&*this.handles),
                null_mut(),
                null(),
            )
        };
        if done == 0 { Err(io::Error::last_os_error()) } else { Ok(this) }
    }

    fn list(&self) -> LPPROC_THREAD_ATTRIBUTE_LIST {
        self.buffer.as_ptr().cast_mut().cast()
    }
}

impl Drop for HandleList {
    fn drop(&mut self) {
        // SAFETY: the list was initialised when this value was made.
        unsafe { DeleteProcThreadAttributeList(self.list()) }
    }
}

fn inherit(file: &File) -> io::Result<()> {
    // SAFETY: the handle is open during the call.
    let done =
        unsafe { SetHandleInformation(file.as_raw_handle(), HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT) };
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The one folder that is always there and that nobody wants to remove.
fn windows_folder() -> io::Result<OsString> {
    // SAFETY: the buffer is as long as we say.
    filled(|buffer| unsafe {
        GetSystemWindowsDirectoryW(buffer.as_mut_ptr(), u32::try_from(buffer.len()).unwrap_or(0))
    })
}

/// The arguments in the one string that Windows passes on, quoted as programs take it apart again.
fn command_line(start: &Start<'_>) -> io::Result<Vec<u16>> {
    let mut line = Vec::new();
    quote(start.executable.as_os_str(), &mut line)?;
    for arg in start.args {
        line.push(u16::from(b' '));
        quote(arg, &mut line)?;
    }
    line.push(0);
    Ok(line)
}

fn quote(arg: &OsStr, line: &mut Vec<u16>) -> io::Result<()> {
    const BACKSLASH: u16 = b'\\' as u16;
    const QUOTE: u16 = b'"' as u16;
    let mut units = wide(arg)?;
    units.pop();
    line.push(QUOTE);
    let mut backslashes = 0;
    for unit in units {
        match unit {
            BACKSLASH => backslashes += 1,
            QUOTE => {
                // Those before a quote count double, and one more makes the quote a plain one.
                line.extend(std::iter::repeat_n(BACKSLASH, backslashes + 1));
                backslashes = 0;
            }
            _ => backslashes = 0,
        }
        line.push(unit);
    }
    line.extend(std::iter::repeat_n(BACKSLASH, backslashes));
    line.push(QUOTE);
    Ok(())
}

/// `NAME=value` texts, sorted, ended by an empty one. The folder of Windows is added where it is missing: no
/// socket can be opened without.
fn environment_block(environment: &[(OsString, OsString)]) -> io::Result<Vec<u16>> {
    let mut variables = environment.to_vec();
    if !variables.iter().any(|(name, _)| name.eq_ignore_ascii_case("SystemRoot")) {
        variables.push(("SystemRoot".into(), windows_folder()?));
    }
    variables.sort_by_key(|(name, _)| name.to_ascii_uppercase());
    let mut block = Vec::new();
    for (name, value) in variables {
        if name.is_empty() || name.encode_wide().any(|unit| unit == u16::from(b'=')) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a variable without a proper name"));
        }
        block.extend(wide(&name)?.split_last().map_or(&[][..], |(_, name)| name));
        block.push(u16::from(b'='));
        block.extend(wide(&value)?);
    }
    block.push(0);
    Ok(block)
}

/// Whether a job holds this process and lets nothing out.
fn is_held() -> bool {
    let mut inside = 0;
    // SAFETY: the pseudo handle is always valid, no job means any, and the result is a live variable.
    if unsafe { IsProcessInJob(GetCurrentProcess(), null_mut(), &raw mut inside) } == 0 || inside == 0 {
        return false;
    }
    // SAFETY: all zeros are a valid value of the structure.
    let mut limits: JOBOBJECT_EXTENDED_LIMIT_INFORMATION = unsafe { zeroed() };
    let length = u32::try_from(size_of::<JOBOBJECT_EXTENDED_LIMIT_INFORMATION>()).unwrap_or(0);
    // SAFETY: no job means the own one, and the structure is as long as we say.
    let done = unsafe {
        QueryInformationJobObject(
            null_mut(),
            JobObjectExtendedLimitInformation,
            (&raw mut limits).cast::<c_void>(),
            length,
            null_mut(),
        )
    };
    let out = JOB_OBJECT_LIMIT_BREAKAWAY_OK | JOB_OBJECT_LIMIT_SILENT_BREAKAWAY_OK;
    done != 0 && limits.BasicLimitInformation.LimitFlags & out == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(arg: &str) -> String {
        let mut line = Vec::new();
        quote(OsStr::new(arg), &mut line).expect("an argument");
        String::from_utf16(&line).expect("text")
    }

    #[test]
    fn arguments_are_quoted_as_programs_take_them_apart() {
        assert_eq!(quoted(""), r#""""#);
        assert_eq!(quoted("two words"), r#""two words""#);
        assert_eq!(quoted(r#"a"b"#), r#""a\"b""#);
        assert_eq!(quoted(r"C:\x\"), r#""C:\x\\""#);
        assert_eq!(quoted(r#"a\"b"#), r#""a\\\"b""#);
        assert!(quote(OsStr::new("a\0b"), &mut Vec::new()).is_err());
    }

    #[test]
    fn the_environment_is_sorted_ended_and_never_without_the_folder_of_windows() {
        let block =
            environment_block(&[("b".into(), "2".into()), ("A".into(), "1".into())]).expect("a block");
        let text = String::from_utf16(&block).expect("text");
        assert!(text.starts_with("A=1\0b=2\0SystemRoot=") && text.ends_with("\0\0"), "{text:?}");
        assert!(environment_block(&[("a=b".into(), "1".into())]).is_err());
    }
}
