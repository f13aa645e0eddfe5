//! Carries out a plan on a state that it was made for. Pure; whoever owns the state writes it.

use model::{Listing, ListingStanding, Server, ServerId, State};

use super::item::{Change, Item, MergePlan, What};

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Servers that are new.
    pub added: Vec<ServerId>,
    /// Servers that are closed now: cut their sessions off.
    pub closed: Vec<ServerId>,
    /// Servers of which something else changed.
    pub changed: Vec<ServerId>,
}

/// Carries a plan out. Items whose Server is not there any more, or whose id was given away meanwhile, are left out:
/// make the plan anew and ask again. No Grant, Account, Selection or Binding is touched.
pub fn apply(state: &mut State, plan: &MergePlan) -> Applied {
    let mut applied = Applied::default();
    for item in &plan.items {
        let Some(id) = &item.server else { continue };
        match &item.what {
            What::New { server, .. } | What::Clash { server, .. } => {
                if !state.servers.contains_key(id) {
                    state.servers.insert(id.clone(), (**server).clone());
                    applied.added.push(id.clone());
                }
            }
            What::Joins { listing, .. } | What::Wording { listing } => {
                let Some(server) = state.servers.get_mut(id) else { continue };
                put(server, listing);
                applied.changed.push(id.clone());
            }
            What::Changed { changes, listing, headers } => {
                let Some(server) = state.servers.get_mut(id) else { continue };
                put(server, listing);
                if changes.contains(&Change::Redirect) {
                    server.registration.redirect = listing.redirect;
                }
                if changes.contains(&Change::Parameters) {
                    server.registration.parameters.clone_from(&listing.parameters);
                }
                server.headers.clone_from(headers);
                applied.changed.push(id.clone());
            }
            What::Gone { .. } => {
                if let Some(listing) = known(state, plan, item) {
                    listing.standing = ListingStanding::Gone;
                    applied.changed.push(id.clone());
                }
            }
            What::Revoked { standing } => {
                if let Some(listing) = known(state, plan, item) {
                    listing.standing = standing.clone();
                    applied.closed.push(id.clone());
                }
            }
            What::Same | What::Removed | What::Unsupported { .. } => {}
        }
    }
    applied
}

fn known<'s>(state: &'s mut State, plan: &MergePlan, item: &Item) -> Option<&'s mut Listing> {
    let server = state.servers.get_mut(item.server.as_ref()?)?;
    server.listings.iter_mut().find(|listing| listing.preset == plan.preset && listing.name == item.name)
}

/// The label follows the list's title until a person changes it; an issuer is learned once.
fn put(server: &mut Server, listing: &Listing) {
    if server.issuer.is_none() {
        server.issuer.clone_from(&listing.issuer);
    }
    let place =
        server.listings.iter_mut().find(|known| known.preset == listing.preset && known.name == listing.name);
    match place {
        Some(known) => {
            if server.label == known.title {
                server.label.clone_from(&listing.title);
            }
            known.clone_from(listing);
        }
        None => server.listings.push(listing.clone()),
    }
}
