//! Where things are: the workspace, its target folder, the tools that are installed below it.

use std::env;
use std::path::{Path, PathBuf};

/// The folder of the root manifest.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies directly below the workspace")
        .to_owned()
}

/// Where cargo builds.
pub(crate) fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => workspace().join(folder),
        None => workspace().join("target"),
    }
}

/// Where tools are installed that are no Debian packages. Survives everything but the deletion of `target`.
pub(crate) fn tools() -> PathBuf {
    workspace().join("target/tools")
}

/// An executable that cargo has built in the development profile.
pub(crate) fn built(name: &str) -> PathBuf {
    target().join("debug").join(format!("{name}{}", env::consts::EXE_SUFFIX))
}
