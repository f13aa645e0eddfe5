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

/// Why this Account may not use it: a list wants a verified address of certain domains.
pub(crate) fn unwanted(state: &State, server: &Server, account: &Account) -> Option<Error> {
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
