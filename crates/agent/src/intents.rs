//! What a crash must not forget about a renewal: one small file a record, without secrets.

use std::path::PathBuf;

use model::ItemId;
use platform::{Root, file};

use crate::refresh::Intent;
use crate::servers::chain;

/// The file of a record's intent.
fn path(root: &Root, record: &ItemId) -> PathBuf {
    root.run().join(format!("intent-{record}.json"))
}

/// Reads it. One that cannot be read counts as one whose outcome is unknown and untried.
pub(crate) fn read(root: &Root, record: &ItemId, generation: u64) -> Option<Intent> {
    match file::read_private(&path(root, record), 4096) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).unwrap_or(Intent { generation, tried: false })),
        Err(error) if error.is_missing() => None,
        Err(error) => {
            tracing::warn!(%error, "an intent cannot be read");
            Some(Intent { generation, tried: false })
        }
    }
}

/// Writes it so that it survives a crash.
pub(crate) fn write(root: &Root, record: &ItemId, intent: Intent) -> Result<(), String> {
    let bytes = serde_json::to_vec(&intent).map_err(|e| e.to_string())?;
    file::write_private(&path(root, record), &bytes).map_err(|error| {
        format!("a renewal cannot be started, because its note cannot be written: {}", chain(&error))
    })
}

/// Removes it.
pub(crate) fn clear(root: &Root, record: &ItemId) {
    if let Err(error) = std::fs::remove_file(path(root, record))
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(%error, "an intent cannot be removed");
    }
}
