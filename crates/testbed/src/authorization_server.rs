//! An OAuth 2.1 and OpenID Connect authorization server in this process: strict by default, broken on demand,
//! and with a memory that tests can read.
//!
//! ```text
//! AuthorizationServer::start().await -- handle() --> Handle: set(knobs), stats(), secrets(), introspect(token)
//! ```

mod authorize;
mod barrier;
mod client_assertion;
mod device;
mod identity_assertion;
mod introspection;
mod knobs;
mod ledger;
mod metadata;
mod registration;
mod signing;
#[cfg(test)]
mod tests;
mod token;
mod userinfo;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use http::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::authority::{Identification, origin};
use crate::browser::Decision;
use crate::web::{self, Answer, Body, Incoming, WebServer};
use barrier::Barrier;
use ledger::Ledger;
use signing::SigningKey;

pub use knobs::{
    AuthMethod, Availability, CallbackIssuer, Consent, ExpiresIn, IdJagFault, IdTokenFault, Identity, Knobs,
    Metadata, TokenFault, TokenForm, TokenRequests, UnknownAt,
};
pub use ledger::{Introspection, IssuedSecret, Registration, SecretKind, Stats};
pub use signing::client_key;

/// A running authorization server. Dropping it closes its port and all connections.
#[derive(Debug)]
pub struct AuthorizationServer {
    handle: Handle,
    server: WebServer,
}

impl AuthorizationServer {
    /// Starts one on a free port of 127.0.0.1, on tasks of the calling runtime. The issuer has no path.
    pub async fn start() -> io::Result<Self> {
        Self::start_below("").await
    }

    /// The same with an issuer below `issuer_path` (`/tenant1`; empty = none).
    pub async fn start_below(issuer_path: &str) -> io::Result<Self> {
        Self::serve(WebServer::bind(0).await?, None, issuer_path, None)
    }

    /// Starts one that calls itself `issuer`, and where it really listens: somebody stands in front of it.
    pub async fn start_behind(issuer: &str) -> io::Result<(Self, SocketAddr)> {
        let listener = WebServer::bind(0).await?;
        let address = listener.local_addr()?;
        let handle = Handle::new(issuer.to_owned(), "")?;
        Ok((Self::serve(listener, None, "", Some(handle))?, address))
    }

    /// Starts one in TLS: its issuer is an `https` address.
    pub async fn start_tls(identity: &Identification) -> io::Result<Self> {
        Self::serve(WebServer::bind(0).await?, Some(identity), "", None)
    }

    /// Starts the same server again (same port, same memory), after a drop that stood for an outage.
    pub async fn restart(handle: &Handle) -> io::Result<Self> {
        let url = url::Url::parse(handle.issuer()).map_err(io::Error::other)?;
        let listener = WebServer::bind(url.port().unwrap_or(80)).await?;
        Self::serve(listener, None, "", Some(handle.clone()))
    }

    fn serve(
        listener: TcpListener,
        tls: Option<&Identification>,
        issuer_path: &str,
        old: Option<Handle>,
    ) -> io::Result<Self> {
        let handle = match old {
            Some(handle) => handle,
            None => {
                Handle::new(format!("{}{issuer_path}", origin(tls, listener.local_addr()?)), issuer_path)?
            }
        };
        let inner = Arc::clone(&handle.0);
        let server = WebServer::start(listener, tls.map(Identification::acceptor), move |request| {
            route(Arc::clone(&inner), request)
        });
        Ok(Self { handle, server })
    }

    /// The way to its knobs and its memory.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The issuer: exactly what the metadata says (RFC 8414 section 2).
    pub fn issuer(&self) -> &str {
        self.handle.issuer()
    }

    /// Connections accepted so far.
    pub fn connects(&self) -> u64 {
        self.server.connects()
    }

    /// Cuts every open connection; what waits in them is never answered.
    pub fn cut_connections(&self) {
        self.server.cut_connections();
    }
}

/// Knobs and memory of an [`AuthorizationServer`]; valid after it is gone, too.
#[derive(Clone)]
pub struct Handle(Arc<Inner>);

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Handle").field(&self.0.issuer).finish()
    }
}

impl Handle {
    fn new(issuer: String, issuer_path: &str) -> io::Result<Self> {
        let key = SigningKey::new().map_err(|_no_randomness| io::Error::other("no randomness for a key"))?;
        Ok(Self(Arc::new(Inner {
            issuer,
            issuer_path: issuer_path.to_owned(),
            key,
            knobs: Mutex::default(),
            ledger: Mutex::default(),
            barrier: Barrier::new(),
        })))
    }

    /// The issuer.
    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// Changes the behaviour from the next request on.
    pub fn set(&self, change: impl FnOnce(&mut Knobs)) {
        change(&mut self.0.knobs.lock().expect("no holder of this lock panics"));
    }

    /// Changes the behaviour by a JSON object that holds some of the knobs.
    pub fn set_json(&self, changes: &Value) -> Result<(), serde_json::Error> {
        let mut knobs = self.0.knobs.lock().expect("no holder of this lock panics");
        *knobs = crate::merge(&*knobs, changes)?;
        Ok(())
    }

    /// The behaviour of now.
    pub fn knobs(&self) -> Knobs {
        self.0.knobs()
    }

    /// Counts so far.
    pub fn stats(&self) -> Stats {
        Stats { paused: self.0.barrier.paused(), ..self.0.ledger().stats }
    }

    /// Every secret ever issued or received.
    pub fn secrets(&self) -> Vec<IssuedSecret> {
        self.0.ledger().secrets.clone()
    }

    /// Every registration, dynamic or made by [`Handle::preregister`].
    pub fn registrations(&self) -> Vec<Registration> {
        self.0.ledger().registrations.values().cloned().collect()
    }

    /// Whom and what an access token is for. `None`: never issued here.
    pub fn introspect(&self, access_token: &str) -> Option<Introspection> {
        self.0.ledger().introspect(access_token)
    }

    /// Whether this refresh token still gives tokens.
    pub fn is_alive(&self, refresh_token: &str) -> bool {
        self.0.ledger().is_alive(refresh_token)
    }

    /// Makes a registration by hand, as an administrator would.
    pub fn preregister(&self, redirect_uris: &[&str], auth: AuthMethod) -> Registration {
        let redirect_uris = redirect_uris.iter().map(|uri| (*uri).to_owned()).collect();
        self.0.register(redirect_uris, auth, None, None)
    }

    /// Knows an app by its client id metadata document at this URL, which names these exact redirect URIs.
    pub fn know_document(&self, url: &str, redirect_uris: &[&str]) {
        let known = Registration { id: url.to_owned(), ..self.preregister(redirect_uris, AuthMethod::None) };
        self.0.ledger().registrations.insert(url.to_owned(), known);
    }

    /// Makes a registration that authenticates with its key; `keys` is a public JWK or a set of them. The knob
    /// `token_endpoint_auth` has to list the method, too.
    pub fn preregister_with_key(&self, redirect_uris: &[&str], keys: &Value) -> Registration {
        let redirect_uris = redirect_uris.iter().map(|uri| (*uri).to_owned()).collect();
        self.0.register(redirect_uris, AuthMethod::PrivateKeyJwt, None, Some(keys.clone()))
    }

    /// Says yes or no to a user code, as a person at another device; `false` where no such code waits.
    pub fn decide_device(&self, user_code: &str, person: &str, decision: Decision) -> bool {
        self.0.ledger().decide_device(user_code, person, decision)
    }

    /// Issues an access token without any flow, for tests of what comes after one.
    pub fn issue_access_token(&self, person: &str, resource: &str) -> String {
        token::issue_access_token(&self.0, person, resource)
    }

    /// Forgets every registration, so that their ids are unknown.
    pub fn forget_registrations(&self) {
        self.0.ledger().registrations.clear();
    }

    /// Ends the life of every access token now.
    pub fn expire_access_tokens(&self) {
        self.0.ledger().expire_all();
    }

    /// Revokes all grants of a person, as an administrator would (not counted as `families_revoked`).
    pub fn revoke_person(&self, person: &str) {
        self.0.ledger().revoke_person(person);
    }

    /// Waits until so many token requests stand at the barrier ([`TokenFault::PauseAfter`] and its twin).
    pub async fn wait_until_paused(&self, count: u64) {
        self.0.barrier.wait_until_paused(count).await;
    }

    /// Lets all go that stand at the barrier now.
    pub fn release(&self) {
        self.0.barrier.release();
    }
}

struct Inner {
    issuer: String,
    issuer_path: String,
    key: SigningKey,
    knobs: Mutex<Knobs>,
    ledger: Mutex<Ledger>,
    barrier: Barrier,
}

impl Inner {
    fn knobs(&self) -> Knobs {
        self.knobs.lock().expect("no holder of this lock panics").clone()
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("no holder of this lock panics")
    }
}

async fn route(inner: Arc<Inner>, request: Incoming) -> Answer {
    if request.method == Method::GET
        && metadata::is_metadata_path(&request.path, &inner.issuer_path, &inner.knobs())
    {
        return web::json(StatusCode::OK, &metadata::document(&inner.issuer, &inner.knobs())).into();
    }
    let Some(place) = request.path.strip_prefix(&inner.issuer_path).map(str::to_owned) else {
        return not_found().into();
    };
    match (&request.method, place.as_str()) {
        (&Method::GET, "/authorize") => authorize::authorize(&inner, &request).into(),
        (&Method::GET, "/login") => authorize::login_form(&inner, &request).into(),
        (&Method::POST, "/login") => authorize::login(&inner, &request).into(),
        (&Method::GET, "/consent") => authorize::consent_form(&inner, &request).into(),
        (&Method::POST, "/consent") => authorize::consent(&inner, &request).into(),
        (&Method::POST, "/token") => token::token(inner, request).await,
        (&Method::POST, "/device_authorization") => device::device_authorization(&inner, &request).into(),
        (&Method::GET, "/device") => device::page(&inner, &request).into(),
        (&Method::POST, "/introspect") => introspection::introspect(&inner, &request).into(),
        (&Method::POST, "/register") => registration::register(&inner, &request).into(),
        (&Method::POST, "/revoke") => userinfo::revoke(&inner, &request).into(),
        (&Method::GET, "/jwks") => web::json(StatusCode::OK, &inner.key.key_set()).into(),
        (&Method::GET, "/userinfo") => userinfo::userinfo(&inner, &request).into(),
        (_, _) => not_found().into(),
    }
}

/// Name and e-mail of a person. The `sub` is the name that was typed at the login form.
fn person_claims(person: &str) -> Value {
    let mut letters = person.chars();
    let name: String = letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
    json!({"sub": person, "name": name, "preferred_username": person,
           "email": format!("{person}@corp.example"), "email_verified": true})
}

fn not_found() -> Response<Body> {
    web::bytes_reply(StatusCode::NOT_FOUND, "text/plain", "not found")
}

fn unavailable() -> Response<Body> {
    web::bytes_reply(StatusCode::SERVICE_UNAVAILABLE, "text/plain", "try later")
}
