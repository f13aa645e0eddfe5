//! Where the browser comes back to, what else an issuer wants to be sent, and what it is let off: what people set for one
//! Server, and the listener that fits it.

use std::collections::BTreeMap;
use std::sync::Arc;

use ipc::{Error, ErrorCode, ServerView};
use model::{Exceptions, LoopbackHost, LoopbackSetting, RegistrationChoice, Server, ServerId, secret_rules};
use oauth::{ExtraParameters, LoopbackRedirect, PeerCheck, ServerPin};
use platform::loopback::{Loopback, LoopbackError, LoopbackPort, peer_is_this_user};

use crate::agent::Agent;
use crate::{documents, error};

/// What a person may set for one Server.
#[derive(Debug)]
pub(crate) struct SignInSettings {
    pub(crate) redirect: LoopbackSetting,
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) except: Exceptions,
    pub(crate) metadata_url: Option<String>,
}

impl Agent {
    /// Changes them all for one Server. Who is signed in stays so: they are of importance at the next sign-in alone.
    pub(crate) fn set_sign_in(
        &self,
        server: &ServerId,
        settings: SignInSettings,
    ) -> Result<ServerView, Error> {
        let SignInSettings { redirect, parameters, except, metadata_url } = settings;
        check(&parameters)?;
        documents::check(metadata_url.as_deref())?;
        self.change(|state| match state.servers.get_mut(server) {
            Some(server) if metadata_url.is_some() && server.registration.client_id.is_some() => {
                Err(Error::new(ErrorCode::Usage, format!("{} has a client id of its own", server.id))
                    .hint("a client id metadata document has no use beside it"))
            }
            Some(server) => {
                server.registration.redirect = redirect;
                server.registration.parameters = parameters;
                server.registration.except = except;
                server.registration.metadata_url = metadata_url;
                Ok(())
            }
            None => Err(error::no_server(server)),
        })
        .map_err(error::of_state)??;
        self.server_view(server)
    }
}

/// What discovery is told of a person's choices.
pub(crate) fn pin(registration: &RegistrationChoice) -> ServerPin {
    let Exceptions { missing_pkce, resource } = registration.except;
    ServerPin { tolerate_missing_pkce: missing_pkce, omit_resource: resource, ..ServerPin::default() }
}

/// Parameters that a person or a list set, checked: none of the protocol's own, and no secret, which would stand in the
/// browser's address.
pub(crate) fn check(parameters: &BTreeMap<String, String>) -> Result<ExtraParameters, Error> {
    let unusable = |what: String| {
        Error::new(ErrorCode::Usage, format!("a parameter of the sign-in cannot be used: {what}"))
            .hint("take name and value from the documentation of whoever runs the sign-in")
    };
    for (name, value) in parameters {
        if secret_rules::shape(value).is_some() || secret_rules::shape(name).is_some() {
            return Err(unusable(
                "it looks like a secret, and would stand in the browser's address".to_owned(),
            ));
        }
        // Checked one by one, so that the message names it.
        ExtraParameters::new([(name, value)]).map_err(|error| unusable(error.to_string()))?;
    }
    ExtraParameters::new(parameters).map_err(|error| unusable(error.to_string()))
}

/// Listens where the browser of a sign-in at this Server is to come back to. `preferred`: the port that its issuer knows
/// from an earlier sign-in. With the listener, its port.
pub(crate) fn listen(server: &Server, preferred: Option<u16>) -> Result<(LoopbackRedirect, u16), Error> {
    let LoopbackSetting { port, host } = server.registration.redirect;
    let wanted = port.map_or(LoopbackPort::Any { preferred }, LoopbackPort::Fixed);
    let peer: PeerCheck = Arc::new(|theirs, ours| peer_is_this_user(ours, theirs).unwrap_or(true));
    let no_listener = |error: &dyn std::error::Error| {
        Error::new(ErrorCode::Failed, format!("no port on this machine can wait for the browser: {error}"))
            .hint("see whether a firewall or sandbox forbids listening on 127.0.0.1")
    };
    let no_port = |error: LoopbackError| {
        match port {
        Some(port) if error.is_taken() => Error::new(
            ErrorCode::Failed,
            format!(
                "port {port} of this machine, to which the browser comes back from {}, is in use by another program",
                server.id
            ),
        )
        .hint(format!(
            "nothing was started; end that program, or set the port that is registered: \
             hallpass servers set {} --redirect-port <port>",
            server.id
        )),
        Some(_) | None => no_listener(&error),
    }
    };
    let (v4, v6) = match host {
        LoopbackHost::Literal => (Loopback::bind(wanted).map_err(no_port)?, None),
        LoopbackHost::Localhost => Loopback::bind_localhost(wanted).map_err(no_port)?,
    };
    let port = v4.local_addr().map_err(|e| no_listener(&e))?.port();
    let redirect = match host {
        LoopbackHost::Literal => LoopbackRedirect::new(v4, peer),
        LoopbackHost::Localhost => LoopbackRedirect::localhost(v4, v6, peer),
    };
    Ok((redirect.map_err(|e| no_listener(&e))?, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_the_protocols_own_parameters_nor_secrets_can_be_set() {
        let set = |name: &str, value: &str| check(&BTreeMap::from([(name.to_owned(), value.to_owned())]));
        assert_eq!(set("access_type", "offline").unwrap().get("access_type"), Some("offline"));
        for (name, value) in [
            ("redirect_uri", "https://evil.example"),
            ("State", "x"),
            ("a b", "x"),
            ("hint", "ghp_0123456789abcdefghijABCDEFGHIJ012345"),
        ] {
            let error = set(name, value).unwrap_err();
            assert_eq!(error.code, ErrorCode::Usage, "{name}");
            assert!(!error.message.contains("ghp_"), "{}", error.message);
        }
    }
}
