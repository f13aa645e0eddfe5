//! What the authorization server remembers: registrations, codes, families of tokens, and all that ever
//! happened, so that a test can ask afterwards.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant, SystemTime};

use model::Secret;
use serde::{Deserialize, Serialize};

use super::device::Device;
use super::identity_assertion::Trusted;
use super::knobs::{AuthMethod, Knobs};
use super::signing::JwtTime;
use crate::web::random_text;

/// Counts of what the authorization server did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Authorization requests that arrived.
    pub authorization_requests: u64,
    /// Authorizations that ended in a code.
    pub authorizations: u64,
    /// Requests at the token endpoint, of any kind.
    pub token_requests: u64,
    /// Codes exchanged for tokens.
    pub code_exchanges: u64,
    /// Refresh requests that arrived.
    pub refresh_requests: u64,
    /// Refreshes that gave tokens.
    pub refreshes: u64,
    /// Refreshes that replaced the refresh token.
    pub rotations: u64,
    /// Times that an old refresh token (or a used code) was presented.
    pub reuse_detections: u64,
    /// Families revoked because of that.
    pub families_revoked: u64,
    /// Revocation requests that did something (RFC 7009).
    pub revocations: u64,
    /// Registrations (RFC 7591).
    pub registrations: u64,
    /// Userinfo requests that were answered.
    pub userinfo_requests: u64,
    /// Device authorizations that were begun (RFC 8628).
    pub device_authorizations: u64,
    /// Requests with a device code that came too early.
    pub device_slow_downs: u64,
    /// Tokens given to an app alone (RFC 6749 section 4.4).
    pub client_credentials: u64,
    /// Introspection requests that were answered (RFC 7662).
    pub introspections: u64,
    /// ID-JAGs that were made (RFC 8693).
    pub token_exchanges: u64,
    /// ID-JAGs that were redeemed (RFC 7523).
    pub assertions_redeemed: u64,
    /// Token requests whose asker was gone, or was cut off, after the work was done: the answer is lost.
    pub answers_lost: u64,
    /// Token requests that wait at the barrier now.
    pub paused: u64,
}

/// A secret that was issued or received, for a scanner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedSecret {
    /// What it is.
    pub kind: SecretKind,
    /// Whose it is, where it belongs to a person.
    pub person: Option<String>,
    /// The value.
    pub value: Secret<String>,
}

/// What a secret is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretKind {
    /// An authorization code.
    Code,
    /// A PKCE verifier that was received.
    Verifier,
    /// An access token.
    AccessToken,
    /// A refresh token.
    RefreshToken,
    /// An id_token.
    IdToken,
    /// The secret of a registration.
    ClientSecret,
    /// A device code.
    DeviceCode,
    /// An assertion that a registration signed.
    ClientAssertion,
    /// An assertion of an identity provider about a person.
    IdJag,
}

/// Who a registration is. Its secret is in here in plain text: it is a test's.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Registration {
    /// The `client_id`.
    pub id: String,
    /// The `client_secret`, unless it is a public one.
    pub secret: Option<String>,
    /// How it proves itself at the token endpoint.
    pub auth: AuthMethod,
    /// The exact redirect URIs.
    pub redirect_uris: Vec<String>,
    /// The `application_type` that it registered with.
    pub application_type: Option<String>,
    /// The public key (JWK), or set of them, that checks its assertions.
    #[serde(default)]
    pub keys: Option<serde_json::Value>,
}

/// What a token is good for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Introspection {
    /// The `sub`.
    pub person: String,
    /// The `resource` that it was issued for (RFC 8707).
    pub resource: Option<String>,
    /// Its life is over.
    pub expired: bool,
    /// It, or its family, was revoked.
    pub revoked: bool,
    /// Whom it was issued to.
    pub registration: String,
    /// Its scopes, separated by blanks.
    pub scope: String,
}

impl Introspection {
    /// Whether a resource server should let it in.
    pub fn is_active(&self) -> bool {
        !self.expired && !self.revoked
    }
}

/// An authorization request that a person is deciding.
#[derive(Clone, Debug, Default)]
pub(super) struct Pending {
    pub(super) registration: String,
    pub(super) redirect_uri: String,
    pub(super) state: Option<String>,
    pub(super) challenge: String,
    pub(super) resource: Option<String>,
    pub(super) scope: String,
    pub(super) nonce: Option<String>,
    pub(super) person: Option<String>,
}

pub(super) struct Code {
    pub(super) pending: Pending,
    pub(super) person: String,
    /// The family that it was exchanged for.
    pub(super) spent: Option<usize>,
}

#[derive(Clone, Debug)]
pub(super) struct Family {
    pub(super) registration: String,
    pub(super) person: String,
    pub(super) resource: Option<String>,
    pub(super) scope: String,
    pub(super) nonce: Option<String>,
    pub(super) auth_time: u64,
    pub(super) revoked: bool,
}

struct Access {
    family: usize,
    person: String,
    ends: Instant,
    revoked: bool,
}

struct Refresh {
    family: usize,
    spent: Option<Instant>,
}

#[derive(Default)]
pub(super) struct Ledger {
    pub(super) stats: Stats,
    pub(super) secrets: Vec<IssuedSecret>,
    pub(super) registrations: HashMap<String, Registration>,
    pub(super) pending: HashMap<String, Pending>,
    pub(super) codes: HashMap<String, Code>,
    /// Persons signed in, by the browser's session cookie.
    pub(super) browsers: HashMap<String, String>,
    pub(super) families: Vec<Family>,
    pub(super) devices: HashMap<String, Device>,
    /// Identity providers whose word is taken.
    pub(super) trusted: Vec<Trusted>,
    /// `jti` of assertions that were used.
    used: HashSet<String>,
    access: HashMap<String, Access>,
    refresh: HashMap<String, Refresh>,
}

/// What is wrong with a refresh token.
pub(super) enum RefreshVerdict {
    Good(usize),
    Unknown,
    Reused,
}

impl Ledger {
    pub(super) fn note(&mut self, kind: SecretKind, person: Option<&str>, value: &str) {
        let value = Secret::from(value);
        self.secrets.push(IssuedSecret { kind, person: person.map(str::to_owned), value });
    }

    pub(super) fn open_family(&mut self, pending: &Pending, person: &str) -> usize {
        self.families.push(Family {
            registration: pending.registration.clone(),
            person: person.to_owned(),
            resource: pending.resource.clone(),
            scope: pending.scope.clone(),
            nonce: pending.nonce.clone(),
            auth_time: SystemTime::now().seconds(),
            revoked: false,
        });
        self.families.len() - 1
    }

    /// Revokes a family because something of it was used twice.
    pub(super) fn punish(&mut self, family: usize) {
        self.stats.reuse_detections += 1;
        if !self.families[family].revoked {
            self.families[family].revoked = true;
            self.stats.families_revoked += 1;
        }
    }

    pub(super) fn keep_access(&mut self, token: &str, family: usize, person: &str, lifetime: u64) {
        let ends = Instant::now() + Duration::from_secs(lifetime);
        self.access
            .insert(token.to_owned(), Access { family, person: person.to_owned(), ends, revoked: false });
        self.note(SecretKind::AccessToken, Some(person), token);
    }

    pub(super) fn issue_refresh(&mut self, family: usize, person: &str, bytes: usize) -> String {
        let token = sized("rt", bytes);
        self.refresh.insert(token.clone(), Refresh { family, spent: None });
        self.note(SecretKind::RefreshToken, Some(person), &token);
        token
    }

    /// Judges a refresh token that `registration` presents, and punishes reuse.
    pub(super) fn judge_refresh(&mut self, token: &str, registration: &str, knobs: &Knobs) -> RefreshVerdict {
        let Some(Refresh { family, spent }) = self.refresh.get(token) else { return RefreshVerdict::Unknown };
        let family = *family;
        let late = spent.is_some_and(|at| at.elapsed() >= Duration::from_secs(knobs.reuse_grace));
        if self.families[family].registration != registration {
            return RefreshVerdict::Unknown;
        }
        if late {
            self.punish(family);
            return RefreshVerdict::Reused;
        }
        if self.families[family].revoked { RefreshVerdict::Unknown } else { RefreshVerdict::Good(family) }
    }

    pub(super) fn spend(&mut self, token: &str) {
        if let Some(refresh) = self.refresh.get_mut(token) {
            refresh.spent.get_or_insert_with(Instant::now);
        }
    }

    pub(super) fn introspect(&self, token: &str) -> Option<Introspection> {
        let access = self.access.get(token)?;
        let family = &self.families[access.family];
        Some(Introspection {
            person: access.person.clone(),
            resource: family.resource.clone(),
            expired: access.ends <= Instant::now(),
            revoked: access.revoked || family.revoked,
            registration: family.registration.clone(),
            scope: family.scope.clone(),
        })
    }

    /// Takes note of an assertion's `jti`; `false` where it was used before.
    pub(super) fn use_once(&mut self, jti: &str) -> bool {
        !jti.is_empty() && self.used.insert(jti.to_owned())
    }

    /// Whose refresh token of `registration` this is, if it is good.
    pub(super) fn person_of_refresh(&self, token: &str, registration: &str) -> Option<String> {
        let refresh = self.refresh.get(token).filter(|refresh| refresh.spent.is_none())?;
        let family = &self.families[refresh.family];
        (family.registration == registration && !family.revoked).then(|| family.person.clone())
    }

    /// Whether a registration can prove who it is.
    pub(super) fn is_confidential(&self, registration: &str) -> bool {
        self.registrations.get(registration).is_some_and(|known| known.auth != AuthMethod::None)
    }

    pub(super) fn expire_all(&mut self) {
        let now = Instant::now();
        for access in self.access.values_mut() {
            access.ends = access.ends.min(now);
        }
    }

    /// Revokes all that `person` was given, as an administrator would.
    pub(super) fn revoke_person(&mut self, person: &str) {
        for family in self.families.iter_mut().filter(|family| family.person == person) {
            family.revoked = true;
        }
    }

    /// RFC 7009: a refresh token takes its family with it. Says whether there was something to revoke.
    pub(super) fn revoke(&mut self, token: &str, registration: &str) -> bool {
        let families = &mut self.families;
        if let Some(refresh) = self.refresh.get(token) {
            let family = &mut families[refresh.family];
            return family.registration == registration && !std::mem::replace(&mut family.revoked, true);
        }
        match self.access.get_mut(token) {
            Some(access) if families[access.family].registration == registration => {
                !std::mem::replace(&mut access.revoked, true)
            }
            Some(_) | None => false,
        }
    }
}

impl Ledger {
    /// Whose token it is, if this registration got it.
    pub(super) fn holder(&self, token: &str, registration: &str) -> Option<String> {
        let access = self.access.get(token).map(|access| access.family);
        let family = self.refresh.get(token).map(|refresh| refresh.family).or(access)?;
        let family = &self.families[family];
        (family.registration == registration).then(|| family.person.clone())
    }

    /// Whether a refresh token is the newest of a family that nobody revoked.
    pub(super) fn is_alive(&self, token: &str) -> bool {
        let newest = self.refresh.get(token).filter(|refresh| refresh.spent.is_none());
        newest.is_some_and(|refresh| !self.families[refresh.family].revoked)
    }

    /// Revokes all that `person` was given through a registration.
    pub(super) fn revoke_all(&mut self, person: &str, registration: &str) {
        let theirs = |family: &&mut Family| family.person == person && family.registration == registration;
        for family in self.families.iter_mut().filter(theirs) {
            family.revoked = true;
        }
    }
}

/// A random token of at least `bytes` characters.
pub(super) fn sized(prefix: &str, bytes: usize) -> String {
    let start = format!("{prefix}-{}", random_text(24));
    let missing = bytes.saturating_sub(start.len());
    if missing == 0 { start } else { format!("{start}{}", &random_text(missing)[..missing]) }
}
