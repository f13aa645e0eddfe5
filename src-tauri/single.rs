//! One window and tray for each root. A second start asks the first one to show itself, and ends.

use std::io;
use std::time::Duration;

use platform::socket::{self, Door, Listener};
use platform::{Lock, Root};
use tauri::AppHandle;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use crate::windows;

/// What a start has to do with those before it.
pub(crate) enum Start {
    /// Nobody was there: this is the one, for as long as it holds the lock.
    First(Lock),
    /// The first one has been told.
    Told,
}

/// How a second start wants the first one to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// With its window in front.
    Shown,
    /// As it is: a start at login finds it running already.
    AsItIs,
}

/// Finds out whether this is the first, and tells the first one if it is not. Blocks for at most some seconds.
pub(crate) fn start(root: &Root, wanted: Wanted) -> Result<Start, StartError> {
    root.ensure()?;
    let path = root.run().join("window.lock");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(lock) = Lock::try_acquire(&path)? {
                return Ok(Start::First(lock));
            }
            match tell(root, wanted).await {
                Ok(()) => return Ok(Start::Told),
                // It is just starting, or just ending.
                Err(socket::ConnectError::NotRunning | socket::ConnectError::Io(_))
                    if Instant::now() < deadline =>
                {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    })
}

/// Shows the window whenever a second start asks for it.
pub(crate) async fn listen(app: AppHandle, root: Root, lock: Lock) {
    let mut door = match Listener::bind_at(&root, Door::Window, &lock) {
        Ok(door) => door,
        Err(error) => {
            tracing::warn!(%error, "a second start will not find this one");
            // The lock is held all the same: two of us would draw two trays.
            return std::future::pending().await;
        }
    };
    loop {
        match door.accept().await {
            Ok((mut caller, _)) => {
                let mut said = [0];
                let heard = tokio::time::timeout(Duration::from_secs(2), caller.read_exact(&mut said)).await;
                if matches!(heard, Ok(Ok(_))) {
                    if said == [SHOW] {
                        windows::show_from_anywhere(&app, None);
                    }
                    let _gone = caller.write_all(&said).await;
                }
            }
            Err(error) => {
                tracing::info!(%error, "a caller of the window");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn tell(root: &Root, wanted: Wanted) -> Result<(), socket::ConnectError> {
    let mut first = socket::connect_at(root, Door::Window).await?;
    let word = match wanted {
        Wanted::Shown => SHOW,
        Wanted::AsItIs => STAY,
    };
    first.write_all(&[word]).await?;
    let mut echo = [0];
    first.read_exact(&mut echo).await?;
    Ok(())
}

/// Why this start can neither be the first nor tell the first.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// Our folder cannot be used.
    #[error(transparent)]
    Root(#[from] platform::DirsError),
    /// The lock cannot be used.
    #[error(transparent)]
    Lock(#[from] platform::lock::LockError),
    /// The first one holds the lock and does not listen.
    #[error("Hallpass is running already, but cannot be asked to show its window")]
    Deaf(#[from] socket::ConnectError),
    /// This process cannot wait for anything.
    #[error(transparent)]
    Io(#[from] io::Error),
}

const SHOW: u8 = b's';
const STAY: u8 = b'.';
const PATIENCE: Duration = Duration::from_secs(5);
