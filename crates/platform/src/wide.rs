//! Text as Windows takes it: UTF-16 with an end mark.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::windows::ffi::{OsStrExt as _, OsStringExt as _};

/// UTF-16 with an end mark; text with a zero in it is refused, since Windows would cut it there.
pub(crate) fn wide(text: impl AsRef<OsStr>) -> io::Result<Vec<u16>> {
    let mut units: Vec<u16> = text.as_ref().encode_wide().collect();
    if units.contains(&0) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "text with a zero in it"));
    }
    units.push(0);
    Ok(units)
}

/// Calls `fill` with a buffer, and with a larger one if that was too small. `fill` answers with the number
/// of units that it wrote or wants, 0 for an error.
pub(crate) fn filled(mut fill: impl FnMut(&mut [u16]) -> u32) -> io::Result<OsString> {
    let mut buffer = vec![0; 512];
    loop {
        let length = fill(&mut buffer) as usize;
        if length == 0 {
            return Err(io::Error::last_os_error());
        }
        if length < buffer.len() {
            return Ok(OsString::from_wide(&buffer[..length]));
        }
        buffer.resize(length + 1, 0);
    }
}

/// What comes before the end mark of a buffer that Windows filled.
pub(crate) fn until_end(buffer: &[u16]) -> OsString {
    let length = buffer.iter().position(|unit| *unit == 0).unwrap_or(buffer.len());
    OsString::from_wide(&buffer[..length])
}
