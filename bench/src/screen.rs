//! What is painted on an X display: as much of the X11 protocol as it takes to look at the picture from outside, so
//! that "usable" means the same for every program and none has to help.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// The size of a display, pixels.
pub(crate) const WIDTH: u16 = 1280;
/// Likewise.
pub(crate) const HEIGHT: u16 = 900;

/// What is looked at: the inside of a window of 960 x 660 in the middle, so that a title bar, which is there before the
/// window shows anything, does not count. Pixels.
const INSIDE: Part = Part { left: 170, top: 145, width: 940, height: 645 };
/// Every so many lines one is looked at: less than a line of text is high.
const STEP: u16 = 5;
/// The picture is done when it has not changed for so long.
const QUIET: Duration = Duration::from_millis(1500);
const PAUSE: Duration = Duration::from_millis(8);
/// Text has at least so many shades; an empty window has fewer.
const SHADES: usize = 8;

/// A connection to an X server without authentication.
pub(crate) struct Screen {
    stream: UnixStream,
    root: u32,
}

/// A part of the display.
struct Part {
    left: u16,
    top: u16,
    width: u16,
    height: u16,
}

/// What the lines that are looked at show.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Picture {
    hash: u64,
    shades: usize,
}

impl Screen {
    /// Connects to display `:number`.
    pub(crate) fn open(number: &str) -> io::Result<Self> {
        let mut stream = UnixStream::connect(format!("/tmp/.X11-unix/X{number}"))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        // Little endian, protocol 11.0, no authorization.
        stream.write_all(&[b'l', 0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0])?;
        let mut head = [0; 8];
        stream.read_exact(&mut head)?;
        let mut setup = vec![0; 4 * usize::from(u16::from_le_bytes([head[6], head[7]]))];
        stream.read_exact(&mut setup)?;
        let root = root_of(&setup).filter(|_| head[0] == 1);
        Ok(Self { stream, root: root.ok_or_else(|| io::Error::other("the display refuses"))? })
    }

    /// Waits until a window shows something and then rests; milliseconds from `began` to the last change.
    pub(crate) fn painted(&mut self, began: Instant, limit: Duration) -> io::Result<f64> {
        let mut last = self.picture()?;
        let mut changed: Option<Instant> = None;
        loop {
            let picture = self.picture()?;
            if picture != last {
                changed = Some(Instant::now());
                last = picture;
            }
            // An empty window may rest as well.
            if let Some(at) = changed.filter(|at| at.elapsed() > QUIET && last.shades >= SHADES) {
                return Ok(at.duration_since(began).as_secs_f64() * 1e3);
            }
            pause(began, limit)?;
        }
    }

    /// Does something that has to be seen, and waits until it is.
    pub(crate) fn answers(
        &mut self,
        limit: Duration,
        act: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        let before = self.picture()?;
        act()?;
        let began = Instant::now();
        while self.picture()? == before {
            pause(began, limit)?;
        }
        Ok(())
    }

    /// Waits until next to nothing is shown.
    pub(crate) fn emptied(&mut self, limit: Duration) -> io::Result<()> {
        let began = Instant::now();
        while self.picture()?.shades >= SHADES {
            pause(began, limit)?;
        }
        Ok(())
    }

    fn picture(&mut self) -> io::Result<Picture> {
        let lines: Vec<u16> = (INSIDE.top..INSIDE.top + INSIDE.height).step_by(usize::from(STEP)).collect();
        let requests: Vec<u8> = lines.iter().flat_map(|line| get_line(self.root, *line)).collect();
        self.stream.write_all(&requests)?;
        let (mut hash, mut shades) = (0_u64, Vec::new());
        let mut pixels = Vec::new();
        for _ in lines {
            let head = self.reply()?;
            let words = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
            pixels.resize(4 * usize::try_from(words).map_err(io::Error::other)?, 0);
            self.stream.read_exact(&mut pixels)?;
            look(&pixels, &mut hash, &mut shades);
        }
        Ok(Picture { hash, shades: shades.len() })
    }

    /// The first 32 bytes of the next reply. Events are passed over: some come to everybody (`MappingNotify`).
    fn reply(&mut self) -> io::Result<[u8; 32]> {
        loop {
            let mut head = [0; 32];
            self.stream.read_exact(&mut head)?;
            match head[0] {
                0 => return Err(io::Error::other(format!("the display refuses: error {}", head[1]))),
                1 => return Ok(head),
                _ => {}
            }
        }
    }
}

fn pause(began: Instant, limit: Duration) -> io::Result<()> {
    if began.elapsed() > limit {
        return Err(io::ErrorKind::TimedOut.into());
    }
    std::thread::sleep(PAUSE);
    Ok(())
}

/// The root window of the first screen (X11, "Connection Setup").
fn root_of(setup: &[u8]) -> Option<u32> {
    let vendor = usize::from(u16::from_le_bytes(setup.get(16..18)?.try_into().ok()?));
    let formats = usize::from(*setup.get(21)?);
    let at = 32 + vendor.next_multiple_of(4) + 8 * formats;
    Some(u32::from_le_bytes(setup.get(at..at + 4)?.try_into().ok()?))
}

/// `GetImage` of the inner part of one line, all planes.
fn get_line(window: u32, line: u16) -> [u8; 20] {
    let mut request = [0; 20];
    request[..4].copy_from_slice(&[73, 2, 5, 0]);
    request[4..8].copy_from_slice(&window.to_le_bytes());
    request[8..10].copy_from_slice(&INSIDE.left.to_le_bytes());
    request[10..12].copy_from_slice(&line.to_le_bytes());
    request[12..14].copy_from_slice(&INSIDE.width.to_le_bytes());
    request[14..16].copy_from_slice(&1_u16.to_le_bytes());
    request[16..].copy_from_slice(&u32::MAX.to_le_bytes());
    request
}

/// Mixes pixels into the hash, and collects up to [`SHADES`] different ones.
fn look(pixels: &[u8], hash: &mut u64, shades: &mut Vec<u32>) {
    for pixel in pixels.as_chunks::<4>().0 {
        let pixel = u32::from_le_bytes(*pixel);
        *hash = (hash.rotate_left(5) ^ u64::from(pixel)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        if shades.len() < SHADES && !shades.contains(&pixel) {
            shades.push(pixel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_window_is_found_behind_vendor_and_formats() {
        let mut setup = vec![0; 32];
        setup[16] = 5;
        setup[21] = 2;
        setup.extend([0; 8 + 16]);
        setup.extend(0x1234_u32.to_le_bytes());
        assert_eq!(root_of(&setup), Some(0x1234));
        assert_eq!(root_of(&setup[..50]), None);
    }

    #[test]
    fn a_picture_is_told_from_another_and_text_from_an_empty_window() {
        let seen = |pixels: &[u32]| {
            let bytes: Vec<u8> = pixels.iter().flat_map(|pixel| pixel.to_le_bytes()).collect();
            let (mut hash, mut shades) = (0, Vec::new());
            look(&bytes, &mut hash, &mut shades);
            (hash, shades.len())
        };
        assert_eq!(seen(&[7; 100]).1, 1);
        assert_ne!(seen(&[7, 8, 7]).0, seen(&[8, 7, 7]).0);
        assert_eq!(seen(&(0..100).collect::<Vec<_>>()).1, SHADES);
    }
}
