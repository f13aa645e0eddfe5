//! `cargo xtask screenshots`: a picture of every view and state of the window, on the fake agent in Chromium.

use crate::{command, node, paths, setup};

/// Builds the user interface and writes `docs/screenshots/*.png` anew.
pub(crate) fn take() -> Result<(), String> {
    setup::for_tests()?;
    node::build_ui()?;
    let folder = paths::workspace().join("docs/screenshots");
    let folder = folder.to_str().ok_or("the path of docs/screenshots is not text")?;
    command::run(&mut node::npm(&["run", "--silent", "screenshots", "--", folder])?)
}
