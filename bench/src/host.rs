//! The benchmark's host: a bridge as a child process, lines to it and from it, never blocked by either direction.

use std::io;
use std::os::fd::AsFd as _;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use bench::wire::member;

/// Nothing that is measured takes longer, unless it never comes.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

const INITIALIZE: &str =
    r#"{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}"#;

/// A bridge that runs.
pub(crate) struct Host {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    input: Vec<u8>,
    used: usize,
    next_id: u64,
}

impl Host {
    /// Starts a bridge; what it says on stderr is dropped.
    pub(crate) fn start(mut command: Command) -> io::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (Some(stdin), Some(stdout)) = (stdin, stdout) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        rustix::io::ioctl_fionbio(&stdin, true)?;
        rustix::io::ioctl_fionbio(&stdout, true)?;
        Ok(Self { child, stdin: Some(stdin), stdout, input: Vec::new(), used: 0, next_id: 0 })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks and waits for `initialize` to be answered.
    pub(crate) fn initialize(&mut self) -> io::Result<()> {
        let answer = self.ask("initialize", INITIALIZE)?;
        good(&answer)
    }

    /// `initialize` and what follows it.
    pub(crate) fn greet(&mut self) -> io::Result<()> {
        self.initialize()?;
        self.send(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n")
    }

    /// Writes `initialize` and does not wait for the answer.
    pub(crate) fn start_request(&mut self, id: u64) -> io::Result<()> {
        let line = format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"initialize\",\"params\":{INITIALIZE}}}\n"
        );
        let stdin = self.stdin.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        let written = rustix::io::write(stdin, line.as_bytes())?;
        if written == line.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    /// Waits for the answer.
    pub(crate) fn finish_request(&mut self, id: u64) -> io::Result<()> {
        let answer = self.exchange(b"", id)?;
        good(&answer)
    }

    /// A number that no request of this host had.
    pub(crate) fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// A request and its answer.
    pub(crate) fn ask(&mut self, method: &str, params: &str) -> io::Result<Vec<u8>> {
        let id = self.id();
        self.exchange(
            format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"{method}\",\"params\":{params}}}\n")
                .as_bytes(),
            id,
        )
    }

    /// A request line with this id, and its answer.
    pub(crate) fn exchange(&mut self, line: &[u8], id: u64) -> io::Result<Vec<u8>> {
        let mut answer = Vec::new();
        self.pump(line, LIMIT, |line| {
            if id_of(line) != Some(id) {
                return Next::More;
            }
            answer = line.to_vec();
            Next::Done
        })?;
        Ok(answer)
    }

    /// Writes a small line.
    pub(crate) fn send(&mut self, line: &[u8]) -> io::Result<()> {
        self.pump(line, LIMIT, |_| Next::More)
    }

    /// Writes `out` while it hands every line that comes to `each`, until all is written and `each` says so. Without
    /// an answer that says [`Next::Done`] it ends when all is written.
    pub(crate) fn pump(
        &mut self,
        out: &[u8],
        limit: Duration,
        mut each: impl FnMut(&[u8]) -> Next,
    ) -> io::Result<()> {
        let until = Instant::now() + limit;
        let mut out = std::borrow::Cow::Borrowed(out);
        let mut written = 0;
        let wants_answer = !out.is_empty() && id_of(&out[..out.len().min(4096)]).is_some() || out.is_empty();
        loop {
            let stdin = self.stdin.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
            while written < out.len() {
                match rustix::io::write(stdin, &out[written..]) {
                    Ok(more) => written += more,
                    Err(rustix::io::Errno::AGAIN) => break,
                    Err(error) => return Err(error.into()),
                }
            }
            if written == out.len() && !wants_answer {
                return Ok(());
            }
            let mut fds = [
                PollFd::new(&self.stdout, PollFlags::IN),
                PollFd::new(stdin, if written < out.len() { PollFlags::OUT } else { PollFlags::empty() }),
            ];
            let count = if written < out.len() { 2 } else { 1 };
            let left = until.saturating_duration_since(Instant::now());
            if poll(&mut fds[..count], Some(&timespec(left)))? == 0 {
                return Err(io::ErrorKind::TimedOut.into());
            }
            if fds[0].revents().is_empty() {
                continue;
            }
            if self.used == self.input.len() {
                self.input.clear();
                self.used = 0;
            }
            let room = if self.input.len() > 64 * 1024 { 1024 * 1024 } else { 64 * 1024 };
            self.input.reserve(room);
            let searched = self.input.len();
            let spare = rustix::buffer::spare_capacity(&mut self.input);
            if rustix::io::read(self.stdout.as_fd(), spare)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let mut from = searched;
            while let Some(found) = memchr::memchr(b'\n', &self.input[from..]) {
                let end = from + found;
                let line = &self.input[self.used..end];
                from = end + 1;
                let next = each(line);
                self.used = from;
                match next {
                    Next::More => {}
                    Next::Done => return Ok(()),
                    Next::Send(more) => {
                        if written == out.len() {
                            out = more.into();
                            written = 0;
                        } else {
                            out.to_mut().extend_from_slice(&more);
                        }
                    }
                }
            }
        }
    }

    /// Closes its stdin and says how long it lives on, in milliseconds; infinite after `limit`, when it is killed.
    pub(crate) fn end(mut self, limit: Duration) -> io::Result<f64> {
        let watched = watch(self.pid())?;
        let began = Instant::now();
        drop(self.stdin.take());
        gone(&watched, began, limit)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What to do after a line.
pub(crate) enum Next {
    More,
    Send(Vec<u8>),
    Done,
}

/// The id of a message, if it is one of ours; large messages are not searched.
pub(crate) fn id_of(line: &[u8]) -> Option<u64> {
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse().ok();
    member(&line[..line.len().min(300)], "id")
        .and_then(number)
        .or_else(|| member(&line[line.len().saturating_sub(300)..], "id").and_then(number))
}

/// An error unless the answer is a result.
pub(crate) fn good(answer: &[u8]) -> io::Result<()> {
    let end = &answer[..answer.len().min(300)];
    if member(end, "error").is_some() || memchr::memmem::find(end, b"\"isError\":true").is_some() {
        return Err(io::Error::other(String::from_utf8_lossy(end).into_owned()));
    }
    Ok(())
}

/// Watches a process, whoever started it.
pub(crate) fn watch(pid: u32) -> io::Result<rustix::fd::OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    let pid = pid.ok_or(io::ErrorKind::InvalidInput)?;
    Ok(rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?)
}

/// Milliseconds from `began` until the process is gone; infinite after `limit`.
pub(crate) fn gone(process: &rustix::fd::OwnedFd, began: Instant, limit: Duration) -> io::Result<f64> {
    let mut fds = [PollFd::new(process, PollFlags::IN)];
    let ended = poll(&mut fds, Some(&timespec(limit)))? > 0;
    Ok(if ended { began.elapsed().as_secs_f64() * 1000.0 } else { f64::INFINITY })
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}
