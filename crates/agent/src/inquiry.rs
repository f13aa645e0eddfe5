//! Asks a Server and its issuer how a sign-in there would go, before anybody signs in: for eyes, and without changing
//! anything.

use std::sync::Arc;

use ipc::{CheckState, CheckView, DiscoveryView, Error, QuirkView};
use model::{
    AuthKind, Endpoint, GrantState, ProofKind, RegistrationChoice, RegistrationKind, Server, ServerId,
    TokenEndpointAuth,
};
use oauth::{Discovered, Protected, Want, expected_proof, quirks_of, userinfo_silence};

use crate::agent::Agent;
use crate::issuer_calls::access;
use crate::network::Access;
use crate::servers::{chain, scopes, words};
use crate::sign_in::provider;
use crate::{documents, error, redirects};

impl Agent {
    /// Asks, and says what was answered.
    pub(crate) async fn test_server(self: &Arc<Self>, id: &ServerId) -> Result<DiscoveryView, Error> {
        let server = self.read(|state| state.servers.get(id).cloned()).ok_or_else(|| error::no_server(id))?;
        let (mut steps, mut takes_anybody) = (Vec::new(), false);
        let found = match server.auth {
            AuthKind::IdentityProvider => {
                Some(Discovered::Protected(Box::new(provider::find(self, &server).await?)))
            }
            AuthKind::Bearer => {
                let asks = self.asks_who_is_there(&server.endpoint, &server.headers, Access::of(&server));
                takes_anybody = !asks.await?;
                if !takes_anybody {
                    steps.push("it asks for a token".to_owned());
                }
                None
            }
            AuthKind::Oauth | AuthKind::None => {
                let pin = redirects::pin(&server.registration);
                Some(self.discover(&server, pin, &mut |step| steps.push(words(&step))).await?)
            }
        };
        let mut view = DiscoveryView {
            server: id.clone(),
            auth: if found.is_none() { server.auth } else { AuthKind::None },
            steps,
            issuer: None,
            resource: None,
            scopes: Vec::new(),
            registration: None,
            proof: ProofKind::Unknown,
            device: false,
            quirks: Vec::new(),
            warnings: Vec::new(),
        };
        match found {
            None => {
                view.proof = told_proof(&server);
                if takes_anybody {
                    let words = "it took a token when it was added, and answers anybody now";
                    view.warnings.push(words.to_owned());
                }
                view.warnings.push(told(&server));
            }
            Some(Discovered::Protected(protected)) => self.describe(&server, *protected, &mut view).await,
            Some(Discovered::Open) if server.auth == AuthKind::Oauth => {
                let words = "it asked for a sign-in when it was added, and does not now";
                view.warnings.push(words.to_owned());
            }
            Some(Discovered::Open) => {}
        }
        Ok(view)
    }

    async fn describe(&self, server: &Server, protected: Protected, view: &mut DiscoveryView) {
        let metadata = &protected.metadata;
        view.auth = if server.auth == AuthKind::IdentityProvider { server.auth } else { AuthKind::Oauth };
        view.scopes = scopes(&protected).as_slice().to_vec();
        let choice = self.read(|state| documents::choice(state, server, metadata));
        view.registration = match (&choice, &metadata.registration_endpoint) {
            (RegistrationChoice { client_id: Some(_), .. }, _) => Some(RegistrationKind::PreRegistered),
            (RegistrationChoice { metadata_url: Some(_), .. }, _)
                if metadata.client_id_metadata_document_supported =>
            {
                Some(RegistrationKind::MetadataDocument)
            }
            (_, Some(_)) => Some(RegistrationKind::Dynamic),
            (_, None) => None,
        };
        // What a secret would be sent by is of no importance here.
        let method =
            if choice.has_secret { TokenEndpointAuth::ClientSecretBasic } else { TokenEndpointAuth::None };
        view.proof = match &choice.vouched_by {
            Some(_) => ProofKind::Vouched,
            None => expected_proof(metadata, &scopes(&protected), method),
        };
        view.device = metadata.device_authorization_endpoint.is_some();
        view.quirks = quirks(&protected.issuer);
        let mut warnings = Vec::new();
        if server.issuer.as_ref().is_some_and(|known| *known != protected.issuer) {
            warnings.push("the server names another issuer than when it was added".to_owned());
        }
        if server.auth == AuthKind::None {
            warnings.push(format!("it asks for a sign-in now: run hallpass login {}", server.id));
        }
        if view.proof == ProofKind::Unknown {
            view.proof = told_proof(server);
            warnings.push(told(server));
        }
        warnings.extend(self.silent_userinfo(server).await);
        view.warnings = warnings;
        view.issuer = Some(protected.issuer);
        view.resource = Some(protected.resource);
    }

    /// Asks the userinfo endpoint of everybody who is signed in there, for a sentence about each whom it tells nothing.
    async fn silent_userinfo(&self, server: &Server) -> Vec<String> {
        let grants = self.read(|state| {
            let here = state.grants.iter().filter(|g| g.server == server.id && g.state == GrantState::Active);
            here.cloned().collect::<Vec<_>>()
        });
        let Ok(keychain) = self.keychain().await else { return Vec::new() };
        let mut found = Vec::new();
        for grant in grants {
            let Ok(Some(set)) = keychain.load_tokens(&grant.record).await else { continue };
            let endpoint = set.seal.userinfo_endpoint.as_deref().and_then(|url| Endpoint::parse(url).ok());
            // An old token would be refused for its age.
            let is_over = set.expires_at.is_some_and(|end| end <= self.world.now());
            let (Some(endpoint), false) = (endpoint, is_over) else { continue };
            let Ok((http, _)) = self.issuer(&set.seal, access(Some(server))).await else { continue };
            let label = self.person(&grant.account).label;
            match userinfo_silence(&*http, &endpoint, &set.access_token).await {
                Ok(None) => {}
                Ok(Some(why)) => {
                    found.push(format!("asked who {label} is, the issuer's userinfo endpoint {why}"));
                }
                Err(error) => found.push(format!("it cannot be asked who {label} is: {}", chain(&error))),
            }
        }
        found
    }

    /// Whether each issuer proves who signs in, and what stands in the way of that.
    pub(crate) async fn identity_checks(self: &Arc<Self>) -> Vec<CheckView> {
        let wanted: Vec<ServerId> = self.read(|state| {
            let signs_in =
                |server: &&Server| server.auth != AuthKind::None && !state.paused.contains(&server.id);
            state.servers.values().filter(signs_in).map(|server| server.id.clone()).collect()
        });
        let tests: Vec<_> = wanted
            .into_iter()
            .map(|id| {
                let agent = Arc::clone(self);
                tokio::spawn(async move { agent.test_server(&id).await })
            })
            .collect();
        let mut checks = Vec::new();
        for test in tests {
            // One that cannot be reached is named by its connection.
            if let Ok(Ok(view)) = test.await {
                checks.push(identity_check(&view));
            }
        }
        checks
    }
}

/// What proves a person where no issuer does.
fn told_proof(server: &Server) -> ProofKind {
    if server.whoami().is_some() { ProofKind::Whoami } else { ProofKind::Unknown }
}

/// The same in words.
fn told(server: &Server) -> String {
    server.whoami().map_or_else(
        || "nothing here can prove who signs in: accounts will be shown as unverified".to_owned(),
        |(asked, _)| format!("who signs in is proven by the server's own tool {} alone", asked.tool()),
    )
}

fn identity_check(view: &DiscoveryView) -> CheckView {
    let mut found = vec![proof_words(view.proof).to_owned()];
    found.extend(view.warnings.iter().cloned());
    let state = if view.warnings.is_empty() { CheckState::Ok } else { CheckState::Warning };
    let fix = match state {
        CheckState::Ok => String::new(),
        CheckState::Warning | CheckState::Problem => {
            format!(
                "hallpass servers test {} shows every step; its issuer's operator can mend it",
                view.server
            )
        }
    };
    CheckView { name: format!("identity at {}", view.server), state, found: found.join("; "), fix }
}

/// By what a person will be proven, in words.
fn proof_words(proof: ProofKind) -> &'static str {
    match proof {
        ProofKind::IdToken => "an id_token proves who signs in",
        ProofKind::Userinfo => "the userinfo endpoint proves who signs in",
        ProofKind::Introspection => "introspection proves who signs in",
        ProofKind::Whoami => "the server's own tool says who signs in",
        ProofKind::Vouched => "an identity provider vouches for who signs in",
        ProofKind::Application => "an application signs in, and no person",
        ProofKind::Unknown => "who signs in cannot be proven",
    }
}

/// What an issuer is known for.
fn quirks(issuer: &str) -> Vec<QuirkView> {
    let view = |quirk: &oauth::Quirk| {
        let what = match quirk.want {
            Want::Parameter { name, value } => format!("it wants {name}={value}, which is sent"),
            Want::ResourceAs { name } => format!("it wants the resource as {name} as well, which is sent"),
            Want::AssertionForTokenEndpoint => {
                "it wants signed assertions made out to its token endpoint, which is done".to_owned()
            }
            Want::PinForPkce => {
                "it does not say that it checks PKCE; a sign-in needs: --except missing-pkce".to_owned()
            }
            Want::PinForResource => {
                "it refuses the resource parameter; a sign-in needs: --except resource".to_owned()
            }
        };
        QuirkView { what, evidence: quirk.evidence.to_owned() }
    };
    quirks_of(issuer).into_iter().map(view).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_issuer_is_known_for_is_said_with_its_evidence_and_what_is_done() {
        let entra = quirks("https://login.microsoftonline.com/t/v2.0");
        assert_eq!(entra.len(), 3);
        assert!(entra.iter().all(|quirk| quirk.evidence.starts_with("https://")));
        assert!(entra.iter().any(|quirk| quirk.what.ends_with("--except missing-pkce")));
        assert_eq!(quirks("https://as.example"), []);
    }
}
