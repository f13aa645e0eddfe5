//! What callers see of files and plans.

use client_config::{ClientApp, EntryKind as Kind, Located, entries};
use ipc::{EntryKind, EntryView, LocationView};

use super::parse;
use crate::servers::chain;

/// One place of an app, with what its file holds.
pub(super) fn location(app: &'static ClientApp, located: &Located) -> LocationView {
    let mut view = LocationView {
        path: located.path.clone(),
        reason: located.reason.clone(),
        exists: located.exists,
        problem: None,
        entries: Vec::new(),
    };
    let bytes = match client_config::read(&located.path) {
        Ok(bytes) => bytes,
        Err(error) => {
            view.problem = Some(chain(&error));
            return view;
        }
    };
    match parse(app, bytes.as_deref()) {
        Ok(document) => {
            view.entries = entries(&document).iter().map(entry).collect();
            view.problem = document.duplicates().first().map(|d| format!("{} stands there twice", d.place));
        }
        Err(error) => view.problem = Some(chain(&error)),
    }
    view
}

fn entry(entry: &client_config::Entry) -> EntryView {
    let (kind, server, host) = match &entry.kind {
        Kind::Ours(ours) => (EntryKind::Ours, Some(ours.server.clone()), None),
        Kind::Remote(remote) => (EntryKind::Remote, None, remote.host.clone()),
        Kind::McpRemote(remote) => (EntryKind::McpRemote, None, remote.host.clone()),
        Kind::Local { .. } => (EntryKind::Local, None, None),
        Kind::Other { .. } => (EntryKind::Other, None, None),
    };
    let secrets = entry.findings.iter().map(|f| format!("{} in {}", f.kind, f.place)).collect();
    EntryView { name: entry.name.clone(), kind, server, host, secrets }
}
