//! The plan of a merge, as a person sees it and as it is applied.

use std::collections::{BTreeMap, BTreeSet};

use model::{ClientAppId, Endpoint, Listing, ListingStanding, LoopbackSetting, PresetId, Server, ServerId};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::ListedServer;
use crate::ratchet::hexadecimal;

/// What a list would change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MergePlan {
    /// The subscription.
    pub preset: PresetId,
    /// What people call the list.
    pub title: String,
    /// In the order of the list; what is gone comes last.
    pub items: Vec<Item>,
}

/// What happens to one server of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Its name on the list.
    pub name: String,
    /// The Server that it is or becomes here.
    pub server: Option<ServerId>,
    /// What a person must see before a yes.
    pub shown: Shown,
    /// What happens.
    pub what: What,
    /// What the person should beware of.
    pub warnings: Vec<Warning>,
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum What {
    /// A Server is added. Nobody is signed in there.
    New {
        /// It.
        server: Box<Server>,
        /// The Server that stood under this name before; it stays, and nothing of it follows.
        replaces: Option<ServerId>,
    },
    /// A Server that is here already turns out to be on the list as well.
    Joins {
        /// What the list says of it.
        listing: Box<Listing>,
        /// The Server that stood under this name before.
        replaces: Option<ServerId>,
    },
    /// A Server is added beside another one with its URL, since headers, issuer, client id or the settings of the
    /// sign-in differ.
    Clash {
        /// The other one.
        with: ServerId,
        /// It.
        server: Box<Server>,
        /// The Server that stood under this name before.
        replaces: Option<ServerId>,
    },
    /// It stays itself and changes in a way that a person must agree to.
    Changed {
        /// How.
        changes: Vec<Change>,
        /// What the list says of it now.
        listing: Box<Listing>,
        /// Its headers now.
        headers: BTreeMap<String, String>,
    },
    /// Words, apps, a profile, narrower scopes: nothing to agree to.
    Wording {
        /// What the list says of it now.
        listing: Box<Listing>,
    },
    /// It left the list. It stays here with its Grants until the person says so.
    Gone {
        /// The Server that takes its name, if it moved.
        moved_to: Option<ServerId>,
    },
    /// The list took it back: it is closed at once.
    Revoked {
        /// Reason and date.
        standing: ListingStanding,
    },
    /// Nothing.
    Same,
    /// The person removed it, and it stays away.
    Removed,
    /// It is shown and cannot be used.
    Unsupported {
        /// The rest of a sentence: `is a local package, which a list never runs`.
        reason: String,
    },
}

/// A change that a person must agree to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "change")]
pub enum Change {
    /// More may be asked for at the next sign-in.
    WiderScopes {
        /// These; empty: whatever the server asks for.
        added: Vec<String>,
    },
    /// Accounts of other mail domains are allowed.
    WiderAccounts,
    /// Other headers are sent.
    Headers,
    /// The browser comes back elsewhere.
    Redirect,
    /// Other parameters are sent at a sign-in.
    Parameters,
    /// It cannot be removed any more.
    Mandatory,
    /// It had left the list.
    BackOnTheList,
    /// The list had taken it back.
    NoLongerRevoked,
}

/// What a person should beware of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "warning")]
pub enum Warning {
    /// A host that may be taken for another one.
    LookAlike {
        /// As it is called (punycode).
        host: String,
        /// The known one.
        like: String,
    },
    /// A host that mixes scripts.
    MixedScript {
        /// As it is called (punycode).
        host: String,
        /// As people see it.
        seen: String,
    },
    /// A host in other than Latin letters.
    International {
        /// As it is called (punycode).
        host: String,
        /// As people see it.
        seen: String,
    },
    /// Another Server has this label.
    LabelTaken {
        /// It.
        server: ServerId,
    },
    /// Another entry of this list has this URL and these headers.
    TwiceOnTheList,
    /// The registry calls it deprecated.
    Deprecated,
    /// An unverified list names an address of a private network: it will not be called.
    PrivateNetwork,
}

/// What a person must see.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// The list's title, and the origins that the Server has besides.
    pub origins: Vec<String>,
    /// What the list calls it.
    pub title: String,
    /// What it is, in the list's words.
    pub description: Option<String>,
    /// The URL.
    pub url: Option<String>,
    /// The host that is called (punycode).
    pub host: Option<String>,
    /// The host that signs people in (punycode); `None`: whichever the server names.
    pub issuer_host: Option<String>,
    /// The public client id.
    pub client_id: Option<String>,
    /// The client id metadata document; empty: none is presented.
    pub metadata_url: Option<String>,
    /// Where the browser comes back to.
    pub redirect: LoopbackSetting,
    /// Further parameters of a sign-in.
    pub parameters: BTreeMap<String, String>,
    /// The scopes that are asked for; empty: the server's own.
    pub scopes: BTreeSet<String>,
    /// Accounts must be of these mail domains; empty: any.
    pub email_domains: BTreeSet<String>,
    /// Names and values of the headers that are sent.
    pub headers: BTreeMap<String, String>,
    /// It cannot be removed while the list names it.
    pub mandatory: bool,
    /// The apps that it is meant for; empty: all.
    pub apps: BTreeSet<ClientAppId>,
    /// The Profile that it is meant for.
    pub profile: Option<String>,
}

impl MergePlan {
    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        self.items.iter().all(|item| item.what.is_nothing())
    }

    /// Whether a person must agree to some of it.
    pub fn asks(&self) -> bool {
        self.items.iter().any(|item| item.what.asks())
    }

    /// The part that takes effect without a yes: what is revoked, gone, or only worded anew.
    #[must_use]
    pub fn without_asking(&self) -> Self {
        self.filtered(|what| !what.asks())
    }

    /// The part that adds nothing: for a stale list.
    #[must_use]
    pub fn without_new(&self) -> Self {
        self.filtered(|what| what.new_server().is_none())
    }

    /// SHA-256 of the plan: a person says yes to this, and another plan has another.
    pub fn digest(&self) -> String {
        let bytes = serde_json::to_vec(self).expect("string keys and plain values always serialise");
        hexadecimal(&Sha256::digest(bytes))
    }

    fn filtered(&self, keep: impl Fn(&What) -> bool) -> Self {
        let items = self.items.iter().filter(|item| keep(&item.what)).cloned().collect();
        Self { items, ..self.clone() }
    }
}

impl Item {
    /// The Server that takes the place of `old` on the list.
    pub(super) fn replacement_of(&self, old: &ServerId) -> Option<ServerId> {
        let replaces = match &self.what {
            What::New { replaces, .. } | What::Joins { replaces, .. } | What::Clash { replaces, .. } => {
                replaces.as_ref()
            }
            What::Changed { .. }
            | What::Wording { .. }
            | What::Gone { .. }
            | What::Revoked { .. }
            | What::Same
            | What::Removed
            | What::Unsupported { .. } => None,
        };
        if replaces == Some(old) { self.server.clone() } else { None }
    }
}

impl What {
    /// Whether nothing happens.
    pub fn is_nothing(&self) -> bool {
        matches!(self, Self::Same | Self::Removed | Self::Unsupported { .. })
    }

    /// Whether a person must agree to it.
    pub fn asks(&self) -> bool {
        match self {
            Self::New { .. } | Self::Joins { .. } | Self::Clash { .. } | Self::Changed { .. } => true,
            Self::Wording { .. }
            | Self::Gone { .. }
            | Self::Revoked { .. }
            | Self::Same
            | Self::Removed
            | Self::Unsupported { .. } => false,
        }
    }

    /// The Server that would be added.
    pub fn new_server(&self) -> Option<&Server> {
        match self {
            Self::New { server, .. } | Self::Clash { server, .. } => Some(server),
            Self::Joins { .. }
            | Self::Changed { .. }
            | Self::Wording { .. }
            | Self::Gone { .. }
            | Self::Revoked { .. }
            | Self::Same
            | Self::Removed
            | Self::Unsupported { .. } => None,
        }
    }
}

impl Shown {
    pub(super) fn of_entry(list: &str, entry: &ListedServer) -> Self {
        let remote = entry.offer.remote();
        Self {
            origins: vec![list.to_owned()],
            title: entry.title.clone(),
            description: entry.description.clone(),
            url: remote.map(|remote| remote.endpoint.as_str().to_owned()),
            host: remote.and_then(|remote| host(remote.endpoint.as_str())),
            issuer_host: entry.issuer.as_deref().and_then(host),
            client_id: entry.client_id.clone(),
            metadata_url: entry.metadata_url.clone(),
            redirect: entry.redirect,
            parameters: entry.parameters.clone(),
            scopes: entry.scopes.clone(),
            email_domains: entry.email_domains.clone(),
            headers: remote.map(|remote| remote.headers.clone()).unwrap_or_default(),
            mandatory: entry.mandatory,
            apps: entry.apps.clone(),
            profile: entry.profile.clone(),
        }
    }

    pub(super) fn of_server(list: &str, server: &Server, listing: &Listing) -> Self {
        let shown = Self {
            origins: vec![list.to_owned()],
            title: listing.title.clone(),
            description: listing.description.clone(),
            url: Some(server.endpoint.as_str().to_owned()),
            host: host(server.endpoint.as_str()),
            issuer_host: listing.issuer.as_deref().and_then(host),
            client_id: listing.client_id.clone(),
            metadata_url: listing.metadata_url.clone(),
            redirect: listing.redirect,
            parameters: listing.parameters.clone(),
            scopes: listing.scopes.clone(),
            email_domains: listing.email_domains.clone(),
            headers: server.headers.clone(),
            mandatory: listing.mandatory,
            apps: listing.apps.clone(),
            profile: listing.profile.clone(),
        };
        shown.at(server)
    }

    /// Names the other origins of a Server as well.
    pub(super) fn at(mut self, server: &Server) -> Self {
        match &server.origin {
            model::Origin::HandMade => self.origins.push("added by hand".to_owned()),
            model::Origin::Imported { app } => self.origins.push(format!("from {app}")),
            // Lists are named by their listings.
            model::Origin::Preset { .. } => {}
        }
        self
    }
}

fn host(url: &str) -> Option<String> {
    Endpoint::parse(url).ok()?.url().host_str().map(str::to_owned)
}
