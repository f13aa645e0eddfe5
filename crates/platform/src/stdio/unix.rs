//! Descriptors 0 and 1 by what they are: pipes and sockets are waited for, terminals and files are left to tokio.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::fs::{FileType, OFlags, fcntl_getfl, fcntl_setfl, fstat};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;

/// Standard input.
#[derive(Debug)]
pub(super) struct Stdin {
    source: Source,
    restore: Option<OFlags>,
    is_wide: bool,
}

#[derive(Debug)]
enum Source {
    Pipe(pipe::Receiver),
    Socket(UnixStream),
    Other(tokio::io::Stdin),
}

/// Standard output.
#[derive(Debug)]
pub(super) struct Stdout {
    sink: Sink,
    restore: Option<OFlags>,
}

#[derive(Debug)]
enum Sink {
    Pipe(pipe::Sender),
    Socket(UnixStream),
    Other(tokio::io::Stdout),
}

pub(super) fn stdin() -> Stdin {
    let flags = blocking_flags(rustix::stdio::stdin());
    let source = source().unwrap_or_else(|_| Source::Other(tokio::io::stdin()));
    Stdin { restore: flags.filter(|_| !matches!(source, Source::Other(_))), source, is_wide: false }
}

pub(super) fn stdout() -> Stdout {
    let flags = blocking_flags(rustix::stdio::stdout());
    let sink = sink().unwrap_or_else(|_| Sink::Other(tokio::io::stdout()));
    Stdout { restore: flags.filter(|_| !matches!(sink, Sink::Other(_))), sink }
}

fn source() -> io::Result<Source> {
    let descriptor = io::stdin().as_fd().try_clone_to_owned()?;
    match kind(&descriptor)? {
        FileType::Fifo => pipe::Receiver::from_owned_fd(descriptor).map(Source::Pipe),
        FileType::Socket => socket(descriptor).map(Source::Socket),
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

fn sink() -> io::Result<Sink> {
    let descriptor = io::stdout().as_fd().try_clone_to_owned()?;
    match kind(&descriptor)? {
        FileType::Fifo => pipe::Sender::from_owned_fd(descriptor).map(Sink::Pipe),
        FileType::Socket => socket(descriptor).map(Sink::Socket),
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

fn kind(descriptor: &OwnedFd) -> io::Result<FileType> {
    Ok(FileType::from_raw_mode(fstat(descriptor)?.st_mode))
}

fn socket(descriptor: OwnedFd) -> io::Result<UnixStream> {
    let stream = StdUnixStream::from(descriptor);
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

/// The flags to put back: whoever shares the descriptor (a shell's next program) expects it to block.
fn blocking_flags(descriptor: BorrowedFd<'_>) -> Option<OFlags> {
    fcntl_getfl(descriptor).ok().filter(|flags| !flags.contains(OFlags::NONBLOCK))
}

impl Drop for Stdin {
    fn drop(&mut self) {
        if let Some(flags) = self.restore {
            let _ = fcntl_setfl(rustix::stdio::stdin(), flags);
        }
    }
}

impl Drop for Stdout {
    fn drop(&mut self) {
        if let Some(flags) = self.restore {
            let _ = fcntl_setfl(rustix::stdio::stdout(), flags);
        }
    }
}

impl AsyncRead for Stdin {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = match &mut self.source {
            Source::Pipe(pipe) => Pin::new(pipe).poll_read(context, buffer),
            Source::Socket(socket) => Pin::new(socket).poll_read(context, buffer),
            Source::Other(other) => Pin::new(other).poll_read(context, buffer),
        };
        ready!(read)?;
        if buffer.filled().len() - before >= PIPE && !self.is_wide {
            self.is_wide = true;
            widen();
        }
        Poll::Ready(Ok(()))
    }
}

/// A message larger than a pipe is coming: larger pipes carry it, and its answer, in fewer steps.
fn widen() {
    #[cfg(target_os = "linux")]
    for descriptor in [rustix::stdio::stdin(), rustix::stdio::stdout()] {
        // Refused for sockets and beyond the user's limit; it works without.
        let _ = rustix::pipe::fcntl_setpipe_size(descriptor, 16 * PIPE);
    }
}

impl AsyncWrite for Stdout {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.sink {
            Sink::Pipe(pipe) => Pin::new(pipe).poll_write(context, bytes),
            Sink::Socket(socket) => Pin::new(socket).poll_write(context, bytes),
            Sink::Other(other) => Pin::new(other).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.sink {
            Sink::Pipe(pipe) => Pin::new(pipe).poll_write_vectored(context, slices),
            Sink::Socket(socket) => Pin::new(socket).poll_write_vectored(context, slices),
            Sink::Other(other) => Pin::new(other).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.sink {
            Sink::Pipe(pipe) => pipe.is_write_vectored(),
            Sink::Socket(socket) => socket.is_write_vectored(),
            Sink::Other(other) => other.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.sink {
            Sink::Pipe(_) | Sink::Socket(_) => Poll::Ready(Ok(())),
            Sink::Other(other) => Pin::new(other).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.sink {
            Sink::Pipe(_) => Poll::Ready(Ok(())),
            Sink::Socket(socket) => Pin::new(socket).poll_shutdown(context),
            Sink::Other(other) => Pin::new(other).poll_shutdown(context),
        }
    }
}

/// What a pipe holds unless told otherwise, on Linux and macOS.
const PIPE: usize = 64 * 1024;
