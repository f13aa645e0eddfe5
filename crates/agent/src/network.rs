//! HTTP for each Server, made when it is first needed: trust of the operating system, no redirects, no
//! cookies, private addresses only where the person allowed them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ipc::{Error, ErrorCode};
use model::{Endpoint, PrivateAuthority, Revocation, Secret, Server};
use oauth::{
    Http as _, HttpError, HttpRequest, HttpSetupError, Network as Reachable, PrivateNetwork, ReqwestHttp,
};
use platform::trust::{self, TrustError};

use crate::agent::lock;
use crate::proxies::Proxies;
use crate::servers::chain;

/// The proxies in force and what was made with them.
pub(crate) struct Network {
    proxies: Mutex<Proxies>,
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
    pub(crate) fn new(proxies: Proxies) -> Self {
        Self { proxies: Mutex::new(proxies), made: Mutex::default() }
    }

    /// Other proxies from now on. `false`: they are the same.
    pub(crate) fn set_proxies(&self, proxies: Proxies) -> bool {
        let mut current = lock(&self.proxies);
        if *current == proxies {
            return false;
        }
        *current = proxies;
        lock(&self.made).clear();
        true
    }

    /// The proxies in force, users and passwords included: for whoever speaks to the proxy.
    pub(crate) fn proxies(&self) -> Proxies {
        lock(&self.proxies).clone()
    }

    /// Nobody has told it more than what the state remembers.
    pub(crate) fn lacks_secret(&self, remembered: &Proxies) -> bool {
        *lock(&self.proxies) == *remembered
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
        let http = ReqwestHttp::new(reachable, tls, &proxies).map_err(|error| of_setup(&error))?;
        let http = Arc::new(http);
        let authority = access.authority.cloned();
        made.push(Made { reachable, authority, http: Arc::clone(&http) });
        Ok(http)
    }
}

impl Network {
    /// HTTP for one look, and who vouches for the other side of it.
    fn watched(&self, endpoint: &Endpoint, access: Access<'_>) -> Result<(ReqwestHttp, trust::Watch), Error> {
        let allowed = if access.private_network { PrivateNetwork::Allowed } else { PrivateNetwork::Refused };
        let pem = access.authority.map(PrivateAuthority::pem);
        let (tls, watch) = trust::watched_config(pem).map_err(|e| of_trust(&e))?;
        let http = ReqwestHttp::new(Reachable::of(endpoint, allowed), tls, &self.proxies())
            .map_err(|e| of_setup(&e))?;
        Ok((http, watch))
    }

    /// Asks an address for nothing (`HEAD`), to see whether a connection comes about and who vouches for it.
    pub(crate) async fn look(&self, endpoint: &Endpoint, access: Access<'_>) -> Result<Look, LookError> {
        let (http, watch) = self.watched(endpoint, access).map_err(LookError::Setup)?;
        let request = HttpRequest {
            method: reqwest::Method::HEAD,
            url: endpoint.as_str().to_owned(),
            headers: reqwest::header::HeaderMap::new(),
            body: Secret::new(Vec::new()),
            time_limit: LOOK_TIME,
        };
        let answer = http.send(request).await.map_err(LookError::Http)?;
        Ok(Look { status: answer.status, voucher: watch.voucher() })
    }
}

/// What a look at an address showed.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) status: u16,
    /// Nobody where there is no TLS.
    pub(crate) voucher: Option<trust::Voucher>,
}

/// Why it showed nothing.
#[derive(Debug)]
pub(crate) enum LookError {
    Setup(Error),
    Http(HttpError),
}

/// A doctor waits no longer.
const LOOK_TIME: Duration = Duration::from_secs(8);

fn of_setup(error: &HttpSetupError) -> Error {
    Error::new(ErrorCode::Unreachable, error.to_string()).hint("mend the proxy settings of your session")
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
