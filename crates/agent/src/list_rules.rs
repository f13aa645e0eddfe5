//! What administrators' lists rule about a Server: that it is closed, who may use it, which issuer and scopes hold.

use ipc::{Error, ErrorCode};
use model::{Account, Listing, ListingStanding, PresetId, Server, State};
use oauth::{Protected, Scopes};
use token_lease::{Closed, ClosedCode};

/// What people call a list.
pub(crate) fn title(state: &State, preset: &PresetId) -> String {
    state.presets.get(preset).map_or_else(|| preset.to_string(), |record| record.title.clone())
}

/// The list that took a Server back, by its title, and its reason.
pub(crate) fn taken_back(state: &State, server: &Server) -> Option<(String, String)> {
    let listing = server.revoked_by()?;
    match &listing.standing {
        ListingStanding::Revoked { reason, .. } => Some((title(state, &listing.preset), reason.clone())),
        ListingStanding::Listed | ListingStanding::Gone => None,
    }
}

/// Why nobody at all may use it now, for a bridge.
pub(crate) fn closed(state: &State, server: &Server) -> Option<Closed> {
    let (by, reason) = taken_back(state, server)?;
    Some(Closed {
        code: ClosedCode::ServerClosed,
        message: format!("{} was closed by the list {by}: {reason}; nothing was sent", server.id),
        hint: format!("ask whoever publishes {by}; hallpass servers show {} says more", server.id),
        person: None,
    })
}

/// The same for a person who wants to sign in.
pub(crate) fn refuse_closed(state: &State, server: &Server) -> Result<(), Error> {
    match closed(state, server) {
        None => Ok(()),
        Some(closed) => Err(Error::new(ErrorCode::Failed, closed.message).hint(closed.hint)),
    }
}

/// Why this Account may not use it: a list pins another issuer, or wants a verified address of certain domains.
pub(crate) fn unwanted(state: &State, server: &Server, account: &Account) -> Option<Error> {
    let issuer = account.key.issuer();
    // The pinned issuer takes the word of the identity provider, and people are known by that one.
    let provider = server.registration.vouched_by.as_ref().and_then(|provider| state.servers.get(provider));
    let vouched = provider.and_then(|provider| provider.issuer.as_deref()) == Some(issuer);
    let breaks_pin =
        |listing: &&Listing| !vouched && listing.issuer.as_deref().is_some_and(|pin| pin != issuer);
    if let Some(listing) = server.in_force().find(breaks_pin) {
        let message = format!(
            "the list {} lets people sign in to {} at {} alone, and {} signed in at {issuer}",
            title(state, &listing.preset),
            server.id,
            listing.issuer.as_deref().unwrap_or_default(),
            account.label
        );
        return Some(
            Error::new(ErrorCode::WrongPerson, message)
                .hint(format!("sign in anew: hallpass login {}", server.id)),
        );
    }
    let email = account.email.as_deref().filter(|_| account.email_verified);
    let domain =
        email.and_then(|email| email.rsplit_once('@')).map(|(_, domain)| domain.to_ascii_lowercase());
    let breaks = |listing: &&Listing| {
        !listing.email_domains.is_empty()
            && domain.as_ref().is_none_or(|domain| !listing.email_domains.contains(domain))
    };
    let listing = server.in_force().find(breaks)?;
    let domains: Vec<&str> = listing.email_domains.iter().map(String::as_str).collect();
    let who =
        email.map_or_else(|| format!("{}, whose address nobody verified", account.label), str::to_owned);
    Some(
        Error::new(
            ErrorCode::WrongPerson,
            format!(
                "the list {} lets only accounts of {} use {}, and this is {who}",
                title(state, &listing.preset),
                domains.join(", "),
                server.id
            ),
        )
        .hint(format!(
            "sign in with an account of {}: hallpass login {}",
            domains.join(" or "),
            server.id
        )),
    )
}

/// The scopes to ask for: those that lists name, or else the server's own.
pub(crate) fn scopes(server: &Server, protected: &Protected) -> Scopes {
    let named: Vec<&str> =
        server.in_force().flat_map(|listing| listing.scopes.iter().map(String::as_str)).collect();
    if named.is_empty() {
        return crate::servers::scopes(protected);
    }
    Scopes::select(Some(&named.join(" ")), None, protected.metadata.scopes_supported.as_deref())
}

/// A Server that a list makes mandatory stays while the list is followed.
pub(crate) fn refuse_removal(state: &State, server: &Server) -> Result<(), Error> {
    match server.in_force().find(|listing| listing.mandatory) {
        None => Ok(()),
        Some(listing) => Err(Error::new(
            ErrorCode::Failed,
            format!("the list {} makes {} mandatory", title(state, &listing.preset), server.id),
        )
        .hint(format!("to stop following the list: hallpass presets remove {}", listing.preset))),
    }
}

#[cfg(test)]
mod tests {
    use model::{AccountKey, AuthKind, Endpoint, Origin, Proof, ProofKind, UnixTime};

    use super::*;

    fn account(issuer: &str, email: &str, verified: bool) -> Account {
        Account {
            id: model::AccountId::parse("ana").unwrap(),
            key: AccountKey::Subject { issuer: issuer.into(), subject: "1".into() },
            label: "ana".into(),
            name: None,
            email: Some(email.into()),
            email_verified: verified,
            tenant: None,
            proof: Proof { kind: ProofKind::IdToken, at: UnixTime(1) },
            extra: serde_json::Map::new(),
        }
    }

    #[test]
    fn only_accounts_of_the_pinned_issuer_with_a_verified_address_may_act() {
        let listing = Listing {
            preset: PresetId::parse("com.acme/tools").unwrap(),
            name: "com.acme/tickets".into(),
            title: "Tickets".into(),
            standing: ListingStanding::Listed,
            issuer: Some("https://login.acme.example".into()),
            client_id: None,
            metadata_url: None,
            redirect: model::LoopbackSetting::default(),
            parameters: std::collections::BTreeMap::new(),
            scopes: std::collections::BTreeSet::new(),
            email_domains: std::collections::BTreeSet::from(["acme.example".to_owned()]),
            mandatory: false,
            apps: std::collections::BTreeSet::new(),
            profile: None,
            description: None,
            extra: serde_json::Map::new(),
        };
        let server = Server {
            id: model::ServerId::parse("tickets").unwrap(),
            label: "Tickets".into(),
            endpoint: Endpoint::parse("https://mcp.acme.example/mcp").unwrap(),
            headers: std::collections::BTreeMap::new(),
            auth: AuthKind::Oauth,
            origin: Origin::HandMade,
            issuer: None,
            registration: model::RegistrationChoice::default(),
            whoami: None,
            private_network: false,
            authority: None,
            era: None,
            listings: vec![listing],
            extra: serde_json::Map::new(),
        };
        for (issuer, email, verified, wanted) in [
            ("https://login.acme.example", "ana@acme.example", true, true),
            ("https://login.acme.example", "ana@acme.example", false, false),
            ("https://login.acme.example", "ana@evil.example", true, false),
            // Another issuer can call anything verified.
            ("https://login.evil.example", "ana@acme.example", true, false),
        ] {
            let refused = unwanted(&State::default(), &server, &account(issuer, email, verified));
            assert_eq!(refused.is_none(), wanted, "{issuer} {email} {verified}");
        }
    }
}
