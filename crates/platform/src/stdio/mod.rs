//! Standard input and output of a process that carries messages: where they are pipes or sockets, the runtime waits
//! for them itself. tokio's own go through another thread, two switches and a copy a message.

#[cfg(unix)]
mod unix;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

#[cfg(unix)]
use unix as system;
#[cfg(windows)]
mod system {
    //! Anonymous pipes of Windows know no overlapped reading: tokio's threads it is.
    pub(super) use tokio::io::{Stdin, Stdout, stdin, stdout};
}

/// Standard input. One value at a time; dropping it leaves the descriptor as it was found.
#[derive(Debug)]
pub struct Stdin(system::Stdin);

/// Standard output, without a buffer. One value at a time; dropping it leaves the descriptor as it was found.
#[derive(Debug)]
pub struct Stdout(system::Stdout);

/// Takes standard input. Needs a tokio runtime.
pub fn stdin() -> Stdin {
    Stdin(system::stdin())
}

/// Takes standard output. Needs a tokio runtime.
pub fn stdout() -> Stdout {
    Stdout(system::stdout())
}

impl AsyncRead for Stdin {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stdout {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
