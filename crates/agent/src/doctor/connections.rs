//! The network that the person has: the proxies in force, and who vouches for each server and issuer. Whoever reads along
//! in between vouches in the server's stead: that authority is named.

use std::sync::Arc;

use ipc::{CheckState, CheckView};
use model::{Endpoint, PrivateAuthority, ServerId};
use oauth::HttpError;
use platform::trust::Refused;

use super::check;
use crate::agent::Agent;
use crate::network::{Access, Look, LookError};
use crate::servers::chain;

/// An address to look at, with what the person allowed for it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    server: ServerId,
    endpoint: Endpoint,
    private_network: bool,
    authority: Option<PrivateAuthority>,
}

impl Agent {
    pub(super) fn proxy_check(&self) -> Option<CheckView> {
        let (proxies, secret) =
            self.read(|state| (state.environment.proxies.clone(), state.environment.proxy_secret.is_some()));
        if proxies.values().all(|value| value.trim().is_empty()) {
            return None;
        }
        let mut found =
            proxies.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ");
        if secret {
            found.push_str("; its user and password are in the keychain");
        } else if self.network.proxies() != proxies {
            found.push_str("; its user and password are known to this agent alone, for want of a keychain");
        }
        Some(check("proxy", CheckState::Ok, found, ""))
    }

    /// One check for each server and each issuer, asked at the same time.
    pub(super) async fn connection_checks(self: &Arc<Self>) -> Vec<CheckView> {
        let looks: Vec<_> = self
            .targets()
            .into_iter()
            .map(|target| {
                let agent = Arc::clone(self);
                tokio::spawn(async move {
                    let access = Access {
                        private_network: target.private_network,
                        authority: target.authority.as_ref(),
                    };
                    let seen = agent.network.look(&target.endpoint, access).await;
                    judge(&target, seen)
                })
            })
            .collect();
        let mut checks = Vec::new();
        for look in looks {
            // A look that broke off says nothing; the others do.
            checks.extend(look.await);
        }
        checks
    }

    fn targets(&self) -> Vec<Target> {
        let mut targets: Vec<Target> = Vec::new();
        self.read(|state| {
            for server in state.servers.values().filter(|server| !state.paused.contains(&server.id)) {
                let issuer = server.issuer.as_deref().and_then(|issuer| Endpoint::parse(issuer).ok());
                for endpoint in std::iter::once(server.endpoint.clone()).chain(issuer) {
                    let target = Target {
                        server: server.id.clone(),
                        endpoint,
                        private_network: server.private_network,
                        authority: server.authority.clone(),
                    };
                    let same = |one: &Target| {
                        one.endpoint.origin() == target.endpoint.origin() && one.authority == target.authority
                    };
                    if !targets.iter().any(same) {
                        targets.push(target);
                    }
                }
            }
        });
        targets
    }
}

fn judge(target: &Target, seen: Result<Look, LookError>) -> CheckView {
    let origin = target.endpoint.origin();
    let name = format!("connection {origin}");
    match seen {
        Ok(Look { status, voucher }) => {
            let who = voucher.map_or_else(
                || "without TLS".to_owned(),
                |voucher| {
                    let authority = voucher
                        .authority
                        .map_or_else(|| "an unnamed authority".to_owned(), |a| format!("\"{a}\""));
                    let private =
                        if voucher.private { ", a private one that is trusted for this server" } else { "" };
                    format!("certified by {authority}{private}")
                },
            );
            check(&name, CheckState::Ok, format!("answers (HTTP {status}), {who}"), "")
        }
        Err(LookError::Setup(error)) => check(&name, CheckState::Problem, error.message, &error.hint),
        Err(LookError::Http(error)) => {
            let found = chain(&error);
            match &error {
                HttpError::Certificate { .. } if is_unknown_authority(&error) => check(
                    &name,
                    CheckState::Problem,
                    format!("{found}; whoever runs that authority could read along"),
                    &format!(
                        "ask your administrator whether it is theirs; if so: hallpass servers trust {} --ca <its certificate>",
                        target.server
                    ),
                ),
                HttpError::Certificate { .. } => check(
                    &name,
                    CheckState::Problem,
                    found,
                    "tell whoever runs it, or set this machine's clock",
                ),
                HttpError::PrivateAddress { .. } => check(
                    &name,
                    CheckState::Problem,
                    found,
                    "if that is right, add the server again with --private-network",
                ),
                HttpError::NotSent { .. }
                | HttpError::Unknown { .. }
                | HttpError::TooLarge { .. }
                | HttpError::BadUrl { .. } => check(
                    &name,
                    CheckState::Problem,
                    format!("{found}; sign-ins are kept, and it is tried again"),
                    "look at your network and its proxy",
                ),
            }
        }
    }
}

fn is_unknown_authority(error: &HttpError) -> bool {
    matches!(Refused::behind(error), Some(Refused::UnknownAuthority { .. }))
}
