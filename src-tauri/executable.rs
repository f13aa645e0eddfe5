//! Where the executable of the agent is: beside this one, published to the path that lasts.

use std::path::{Path, PathBuf};

use platform::Root;
use platform::os::Os;

/// The executable that the agent is started from: the one that lasts, which an image that is mounted for this run
/// alone does not.
pub(crate) async fn of_agent(root: &Root) -> PathBuf {
    let (root, beside) = (root.clone(), beside());
    let published = {
        let beside = beside.clone();
        tokio::task::spawn_blocking(move || publish(&root, &beside)).await
    };
    published.ok().flatten().unwrap_or(beside)
}

/// Heals `bin/hallpass`, and notes how the window is started again. `None` if there is nothing to start from there.
pub(crate) fn publish(root: &Root, beside: &Path) -> Option<PathBuf> {
    let published = root.ensure().map_err(|error| error.to_string()).and_then(|()| {
        platform::publish::publish(root, beside, env!("CARGO_PKG_VERSION")).map_err(|error| error.to_string())
    });
    match published {
        Ok(published) => {
            if let Err(error) = platform::publish::record_window(root, &[this().display().to_string()]) {
                tracing::info!(%error, "how the window is started could not be noted");
            }
            Some(published.entry)
        }
        Err(error) => {
            tracing::warn!(%error, "the stable path could not be published");
            None
        }
    }
}

/// `hallpass` as it was installed with this executable.
pub(crate) fn beside() -> PathBuf {
    let name = if Os::current() == Os::Windows { "hallpass.exe" } else { "hallpass" };
    std::env::current_exe().unwrap_or_default().with_file_name(name)
}

/// How this program is started again. An AppImage is found at another path in each run, but says where it lies.
pub(crate) fn this() -> PathBuf {
    std::env::var_os("APPIMAGE")
        .map(PathBuf::from)
        .or_else(|| std::env::current_exe().ok())
        .unwrap_or_default()
}
