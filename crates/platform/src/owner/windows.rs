//! Ownership by security identifier (SID).
#![expect(unsafe_code, reason = "security identifiers have no safe interface")]

use std::ffi::c_void;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::windows::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::os::windows::io::{AsRawHandle as _, FromRawHandle as _, OwnedHandle, RawHandle};
use std::path::Path;
use std::ptr::null_mut;
use std::slice;

use windows_sys::Win32::Foundation::{ERROR_SUCCESS, LocalFree};
use windows_sys::Win32::Security::Authorization::{
    ConvertSidToStringSidW, ConvertStringSecurityDescriptorToSecurityDescriptorW, GetNamedSecurityInfoW,
    GetSecurityInfo, SDDL_REVISION_1, SE_FILE_OBJECT,
};
use windows_sys::Win32::Security::{
    GetTokenInformation, OWNER_SECURITY_INFORMATION, PSECURITY_DESCRIPTOR, PSID, SECURITY_ATTRIBUTES,
    TOKEN_QUERY, TOKEN_USER, TokenUser,
};
use windows_sys::Win32::Storage::FileSystem::{
    CreateDirectoryW, FILE_ATTRIBUTE_REPARSE_POINT, FILE_FLAG_OPEN_REPARSE_POINT,
};
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, OpenProcess, OpenProcessToken, PROCESS_QUERY_LIMITED_INFORMATION,
};

use super::FolderFault;
use crate::wide::{until_end, wide};

/// The SID of the user that this process acts as, as text (`S-1-5-21-...`).
pub(crate) fn our_sid() -> io::Result<String> {
    // SAFETY: the pseudo handle of the own process is always valid and needs no closing.
    token_sid(unsafe { GetCurrentProcess() })
}

/// The SID of the user that another process acts as.
pub(crate) fn sid_of(pid: u32) -> io::Result<String> {
    let process = open_process(pid, PROCESS_QUERY_LIMITED_INFORMATION)?;
    token_sid(process.as_raw_handle())
}

/// Opens a process with the given rights.
pub(crate) fn open_process(pid: u32, rights: u32) -> io::Result<OwnedHandle> {
    // SAFETY: no pointers are involved; the result is checked below.
    let process = unsafe { OpenProcess(rights, 0, pid) };
    if process.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the handle is open and belongs to nobody else.
    Ok(unsafe { OwnedHandle::from_raw_handle(process) })
}

/// A security descriptor that lets this user alone in, for as long as it lives.
pub(crate) struct OursAlone {
    descriptor: PSECURITY_DESCRIPTOR,
}

impl OursAlone {
    /// From a description (SDDL) in which `{sid}` stands for this user.
    pub(crate) fn new(description: &str) -> io::Result<Self> {
        let text = wide(description.replace("{sid}", &our_sid()?))?;
        let mut descriptor = null_mut();
        // SAFETY: the text ends with a zero and the result is written to a live variable.
        let done = unsafe {
            ConvertStringSecurityDescriptorToSecurityDescriptorW(
                text.as_ptr(),
                SDDL_REVISION_1,
                &raw mut descriptor,
                null_mut(),
            )
        };
        if done == 0 { Err(io::Error::last_os_error()) } else { Ok(Self { descriptor }) }
    }

    /// What functions that create objects take. Valid as long as `self` is.
    pub(crate) fn attributes(&self) -> SECURITY_ATTRIBUTES {
        SECURITY_ATTRIBUTES {
            nLength: u32::try_from(size_of::<SECURITY_ATTRIBUTES>()).expect("a structure of 24 bytes"),
            lpSecurityDescriptor: self.descriptor,
            bInheritHandle: 0,
        }
    }
}

impl Drop for OursAlone {
    fn drop(&mut self) {
        // SAFETY: the descriptor was allocated by Windows for us and is freed once.
        unsafe {
            LocalFree(self.descriptor);
        }
    }
}

/// Creates one folder for this user and the system; fails where it exists.
pub(crate) fn create_private_folder(folder: &Path) -> io::Result<()> {
    let security = OursAlone::new("D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;{sid})")?;
    let path = wide(folder)?;
    // SAFETY: the path ends with a zero, and the attributes and what they point to outlive the call.
    let done = unsafe { CreateDirectoryW(path.as_ptr(), &security.attributes()) };
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Below a profile nobody else reads; a folder of ours has its own list besides.
#[expect(clippy::unnecessary_wraps, reason = "its unix counterpart can fail")]
pub(crate) fn close_to_readers(_folder: &Path) -> io::Result<()> {
    Ok(())
}

/// What is wrong with the folder, if anything.
pub(crate) fn folder_fault(folder: &Path) -> io::Result<Option<FolderFault>> {
    let metadata = fs::symlink_metadata(folder)?;
    Ok(if metadata.file_attributes() & FILE_ATTRIBUTE_REPARSE_POINT != 0 {
        Some(FolderFault::Link)
    } else if !metadata.is_dir() {
        Some(FolderFault::NotAFolder)
    } else if !is_trusted(&owner_of_path(folder)?)? {
        Some(FolderFault::NotOurs)
    } else {
        None
    })
}

/// True for a regular file that this user (or the system for this user) has made.
pub(crate) fn file_is_private(file: &File) -> io::Result<bool> {
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.file_attributes() & FILE_ATTRIBUTE_REPARSE_POINT != 0 {
        return Ok(false);
    }
    is_trusted(&owner_of_handle(file.as_raw_handle())?)
}

/// The same: files below a profile inherit its access list, which lets nobody else in.
pub(crate) fn file_is_secret(file: &File) -> io::Result<bool> {
    file_is_private(file)
}

/// Options that open a link itself instead of what it leads to.
pub(crate) fn no_follow() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.custom_flags(FILE_FLAG_OPEN_REPARSE_POINT);
    options
}

/// What an elevated process of this user makes belongs to the administrators' group.
fn is_trusted(owner: &str) -> io::Result<bool> {
    Ok(owner == our_sid()? || matches!(owner, ADMINISTRATORS | SYSTEM))
}

const ADMINISTRATORS: &str = "S-1-5-32-544";
const SYSTEM: &str = "S-1-5-18";

fn owner_of_path(path: &Path) -> io::Result<String> {
    let path = wide(path)?;
    let (mut owner, mut descriptor) = (null_mut(), null_mut());
    // SAFETY: the path ends with a zero; the results are written to live variables.
    let code = unsafe {
        GetNamedSecurityInfoW(
            path.as_ptr(),
            SE_FILE_OBJECT,
            OWNER_SECURITY_INFORMATION,
            &raw mut owner,
            null_mut(),
            null_mut(),
            null_mut(),
            &raw mut descriptor,
        )
    };
    owner_in(code, owner, descriptor)
}

fn owner_of_handle(handle: RawHandle) -> io::Result<String> {
    let (mut owner, mut descriptor) = (null_mut(), null_mut());
    // SAFETY: the handle is open during the call; the results are written to live variables.
    let code = unsafe {
        GetSecurityInfo(
            handle,
            SE_FILE_OBJECT,
            OWNER_SECURITY_INFORMATION,
            &raw mut owner,
            null_mut(),
            null_mut(),
            null_mut(),
            &raw mut descriptor,
        )
    };
    owner_in(code, owner, descriptor)
}

fn owner_in(code: u32, owner: PSID, descriptor: PSECURITY_DESCRIPTOR) -> io::Result<String> {
    if code != ERROR_SUCCESS {
        return Err(io::Error::from_raw_os_error(code.cast_signed()));
    }
    let text = sid_text(owner);
    // SAFETY: the descriptor, into which `owner` points, was allocated for us and is freed once, after use.
    unsafe {
        LocalFree(descriptor);
    }
    text
}

fn token_sid(process: RawHandle) -> io::Result<String> {
    let mut token = null_mut();
    // SAFETY: the process handle is open and the result is written to a live variable.
    if unsafe { OpenProcessToken(process, TOKEN_QUERY, &raw mut token) } == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the token is open and belongs to nobody else.
    let token = unsafe { OwnedHandle::from_raw_handle(token) };
    // Of words, so that the structure at its start is aligned.
    let mut buffer = [0_usize; 64];
    let mut length = 0;
    // SAFETY: the buffer is as long as we say.
    let done = unsafe {
        GetTokenInformation(
            token.as_raw_handle(),
            TokenUser,
            buffer.as_mut_ptr().cast::<c_void>(),
            u32::try_from(size_of_val(&buffer)).map_err(io::Error::other)?,
            &raw mut length,
        )
    };
    if done == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call above has filled the buffer with this structure, whose SID lies in the buffer too.
    sid_text(unsafe { (*buffer.as_ptr().cast::<TOKEN_USER>()).User.Sid })
}

fn sid_text(sid: PSID) -> io::Result<String> {
    let mut text = null_mut();
    // SAFETY: every caller hands in a SID that Windows has just given out and that is still allocated.
    if unsafe { ConvertSidToStringSidW(sid, &raw mut text) } == 0 {
        return Err(io::Error::last_os_error());
    }
    let mut length = 0;
    // SAFETY: the text ends with a zero, up to which it is read; it is freed once, after that.
    let found = unsafe {
        while *text.add(length) != 0 {
            length += 1;
        }
        let found = until_end(slice::from_raw_parts(text, length));
        LocalFree(text.cast());
        found
    };
    found.into_string().map_err(|_| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use windows_sys::Win32::Security::Authorization::{
        ConvertSecurityDescriptorToStringSecurityDescriptorW, SDDL_REVISION_1,
    };
    use windows_sys::Win32::Security::DACL_SECURITY_INFORMATION;

    use super::*;

    #[test]
    fn the_own_process_has_the_own_sid() {
        let own = our_sid().expect("a SID");
        assert!(own.starts_with("S-1-5-"), "{own}");
        assert_eq!(sid_of(std::process::id()).expect("a SID"), own);
        assert!(is_trusted(&own).expect("an answer"));
        assert!(!is_trusted("S-1-1-0").expect("an answer"), "everyone is nobody to trust");
    }

    #[test]
    fn a_description_reads_back_with_this_user_alone() {
        let ours = OursAlone::new("D:P(A;;GA;;;{sid})").expect("a descriptor");
        let mut text = null_mut();
        // SAFETY: the descriptor is alive and the results are written to live variables.
        let done = unsafe {
            ConvertSecurityDescriptorToStringSecurityDescriptorW(
                ours.attributes().lpSecurityDescriptor,
                SDDL_REVISION_1,
                DACL_SECURITY_INFORMATION,
                &raw mut text,
                null_mut(),
            )
        };
        assert_ne!(done, 0);
        // SAFETY: Windows has ended the text with a zero within this length.
        let text = until_end(unsafe { slice::from_raw_parts(text, 200) });
        let text = text.into_string().expect("text");
        assert_eq!(text, format!("D:P(A;;GA;;;{})", our_sid().expect("a SID")));
    }
}
