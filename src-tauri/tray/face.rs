//! What the tray's icon looks like and what its tooltip says. Three shapes, so that colour is not needed to tell.

use ipc::{KeychainState, ServerState};

use super::menu::Look;

/// The icon's shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// All is well.
    Plain,
    /// Something needs the person.
    Dot,
    /// Nothing works: no agent, no keychain.
    Slash,
}

/// Whether somebody must come in again before anything goes out.
pub(crate) fn needs_somebody(state: ServerState) -> bool {
    matches!(state, ServerState::NeedsSignIn | ServerState::RevokedByServer)
}

/// The icon's shape, and its tooltip.
pub(crate) fn face(look: Look<'_>) -> (Shape, String) {
    let view = match look {
        Look::Starting => return (Shape::Plain, "Hallpass: starting".to_owned()),
        Look::Stopped => return (Shape::Slash, "Hallpass: the agent is not running".to_owned()),
        Look::Running(view) => view,
    };
    match view.agent.keychain {
        KeychainState::Locked { .. } => return (Shape::Slash, "Hallpass: the keychain is locked".to_owned()),
        KeychainState::Absent { .. } => return (Shape::Slash, "Hallpass: there is no keychain".to_owned()),
        KeychainState::Ready { .. } => {}
    }
    let waiting = view.servers.iter().filter(|server| needs_somebody(server.state)).count();
    match waiting {
        0 => (Shape::Plain, "Hallpass".to_owned()),
        1 => (Shape::Dot, "Hallpass: 1 server needs you to sign in".to_owned()),
        more => (Shape::Dot, format!("Hallpass: {more} servers need you to sign in")),
    }
}
