//! HTTP for each Server, made when it is first needed: trust of the operating system, no redirects, no
//! cookies, private addresses only where the person allowed them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use ipc::{Error, ErrorCode};
use model::{Endpoint, PrivateAuthority, Revocation, Server};
use oauth::{Network as Reachable, PrivateNetwork, ReqwestHttp};
use platform::trust::{self, TrustError};

use crate::agent::lock;
use crate::servers::chain;

/// The proxies in force and what was made with them.
#[derive(Debug)]
pub(crate) struct Network {
    proxies: Mutex<BTreeMap<String, String>>,
    made: Mutex<Vec<Made>>,
}

/// What was made, and for whom: trust in a private authority is never shared.
#[derive(Debug)]
struct Made {
    reachable: Reachable,
    authority: Option<PrivateAuthority>,
    http: Arc<ReqwestHttp>,
}

/// What a person allowed for one Server beyond what is allowed for all.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Access<'a> {
    /// Addresses of private networks.
    pub(crate) private_network: bool,
    /// A private authority besides those of the operating system.
    pub(crate) authority: Option<&'a PrivateAuthority>,
}

impl<'a> Access<'a> {
    /// What holds for a Server.
    pub(crate) fn of(server: &'a Server) -> Self {
        Self { private_network: server.private_network, authority: server.authority.as_ref() }
    }

    /// What held for the Server of a Grant that has ended.
    pub(crate) fn after(revocation: &'a Revocation) -> Self {
        Self { private_network: revocation.private_network, authority: revocation.authority.as_ref() }
    }
}

impl Network {
    /// Nothing is made yet.
    pub(crate) fn new(proxies: BTreeMap<String, String>) -> Self {
        Self { proxies: Mutex::new(proxies), made: Mutex::default() }
    }

    /// Other proxies from now on.
    pub(crate) fn set_proxies(&self, proxies: BTreeMap<String, String>) {
        let mut current = lock(&self.proxies);
        if *current != proxies {
            *current = proxies;
            lock(&self.made).clear();
        }
    }

    /// HTTP that reaches what this endpoint may lead to.
    pub(crate) fn http(&self, endpoint: &Endpoint, access: Access<'_>) -> Result<Arc<ReqwestHttp>, Error> {
        let allowed = if access.private_network { PrivateNetwork::Allowed } else { PrivateNetwork::Refused };
        let reachable = Reachable::of(endpoint, allowed);
        let mut made = lock(&self.made);
        let known =
            made.iter().find(|m| m.reachable == reachable && m.authority.as_ref() == access.authority);
        if let Some(known) = known {
            return Ok(Arc::clone(&known.http));
        }
        let proxies = lock(&self.proxies).clone();
        let tls =
            trust::client_config(access.authority.map(PrivateAuthority::pem)).map_err(|e| of_trust(&e))?;
        let http = ReqwestHttp::new(reachable, tls, &proxies).map_err(|error| {
            Error::new(ErrorCode::Unreachable, error.to_string())
                .hint("mend the proxy settings of your session")
        })?;
        let http = Arc::new(http);
        let authority = access.authority.cloned();
        made.push(Made { reachable, authority, http: Arc::clone(&http) });
        Ok(http)
    }
}

/// Trust at the edge.
pub(crate) fn of_trust(error: &TrustError) -> Error {
    match error {
        TrustError::Unusable { .. } => Error::new(ErrorCode::Failed, chain(error))
            .hint("install your system's certificates (on Debian: ca-certificates)"),
        TrustError::NotCertificates => Error::new(ErrorCode::Usage, error.to_string())
            .hint("ask your administrator for the authority's certificate as a PEM file"),
    }
}
