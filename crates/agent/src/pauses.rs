//! What a person changes of a Server that is there: its label, which authority is trusted for it, whether it is open.

use std::sync::Arc;

use ipc::{Error, ErrorCode, ServerView};
use model::{ServerId, State, visible};
use token_lease::{Closed, ClosedCode, OlderLeases};

use crate::agent::Agent;
use crate::error;
use crate::network::of_trust;
use crate::servers::parse_authority;

impl Agent {
    /// Changes what a Server is called. Its id, which entries name, stays.
    pub(crate) fn rename_server(&self, server: &ServerId, label: &str) -> Result<ServerView, Error> {
        let label = visible(label, 200);
        if label.is_empty() {
            return Err(Error::new(ErrorCode::Usage, "a server's label cannot be empty")
                .hint("give it a short name, such as Tickets"));
        }
        self.change(|state| match state.servers.get_mut(server) {
            Some(server) => {
                server.label = label;
                Ok(())
            }
            None => Err(error::no_server(server)),
        })
        .map_err(error::of_state)??;
        self.server_view(server)
    }

    /// Changes which private authority is trusted for a Server and its issuer. Its bridges attach anew, and say then
    /// what they find.
    pub(crate) fn trust_server(&self, server: &ServerId, ca: Option<&str>) -> Result<ServerView, Error> {
        let authority = parse_authority(ca)?;
        if let Some(authority) = &authority {
            // What no connection could be made with is not kept.
            platform::trust::client_config(Some(authority.pem())).map_err(|error| of_trust(&error))?;
        }
        self.change(|state| match state.servers.get_mut(server) {
            Some(server) => {
                server.authority = authority;
                Ok(())
            }
            None => Err(error::no_server(server)),
        })
        .map_err(error::of_state)??;
        self.reattach(std::slice::from_ref(server));
        self.asked(server, &Ok(()));
        self.server_view(server)
    }

    /// Closes a Server for everybody, or opens it again. Returns when every bridge of it has taken that over.
    /// Tokens stay where they are; calls under way end when it is closed.
    pub(crate) async fn pause_server(
        self: &Arc<Self>,
        server: &ServerId,
        paused: bool,
    ) -> Result<ServerView, Error> {
        self.change(|state| {
            if !state.servers.contains_key(server) {
                return Err(error::no_server(server));
            }
            if paused {
                state.paused.insert(server.clone());
            } else {
                state.paused.remove(server);
            }
            Ok(())
        })
        .map_err(error::of_state)??;
        let older = if paused { OlderLeases::Void } else { OlderLeases::Drain };
        self.bring(|session| session.server == *server, older).await;
        self.server_view(server)
    }
}

/// Why nothing may go out to a Server, whoever acts there; `None` where it is open.
pub(crate) fn shut(state: &State, server: &ServerId) -> Option<Closed> {
    state.paused.contains(server).then(|| Closed {
        code: ClosedCode::ServerClosed,
        message: format!("{server} is paused by you, so nothing was sent"),
        hint: format!("open it again with: hallpass servers resume {server}"),
        person: None,
    })
}
