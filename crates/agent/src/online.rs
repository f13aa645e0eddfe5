//! Whether servers answer as a list declares, asked by whoever is about to publish it. No agent runs for that, and
//! nothing is kept.

use std::collections::BTreeMap;

use ipc::Error;
use model::{Endpoint, PrivateAuthority};
use oauth::{Discovered, DiscoveryOptions, ServerPin};

use crate::network::{Access, Network};
use crate::servers::of_discovery;

/// What a list declares of one of its servers.
#[derive(Clone, Copy, Debug)]
pub struct Declared<'a> {
    /// Its URL.
    pub endpoint: &'a Endpoint,
    /// Headers that are sent with every request.
    pub headers: &'a BTreeMap<String, String>,
    /// The issuer that the list pins.
    pub issuer: Option<&'a str>,
    /// The client id that the list names.
    pub client_id: Option<&'a str>,
    /// The client id metadata document that the list names; empty: none is to be presented.
    pub metadata_url: Option<&'a str>,
}

/// Asks a server how people sign in there, and its issuer for its metadata, with the proxies of `proxies` (variable
/// names in lower case). Answers what is not as declared, one sentence without a stop; `None` if everything is. An
/// `Err` says why nothing at all can be asked.
pub async fn ask_online(
    declared: Declared<'_>,
    authority: Option<&PrivateAuthority>,
    proxies: BTreeMap<String, String>,
) -> Result<Option<String>, Error> {
    let access = Access { private_network: true, authority };
    let http = Network::new(proxies).http(declared.endpoint, access)?;
    let pin = ServerPin { issuer: declared.issuer.map(str::to_owned), ..ServerPin::default() };
    let options = DiscoveryOptions { headers: declared.headers.clone(), pin };
    let found = oauth::discover(&*http, declared.endpoint, &options, &mut |_| {}).await;
    Ok(match found {
        Err(error) => Some(of_discovery(&error).message),
        Ok(Discovered::Open) if declared.issuer.is_some() => {
            Some("it answers without a sign-in, and the list pins an issuer".to_owned())
        }
        Ok(Discovered::Open) => None,
        Ok(Discovered::Protected(found)) => {
            let metadata = &found.metadata;
            let takes_documents = metadata.client_id_metadata_document_supported;
            if declared.metadata_url.is_some_and(|url| !url.is_empty()) && !takes_documents {
                let issuer = &found.issuer;
                return Ok(Some(format!(
                    "{issuer} takes no client id metadata document, and the list names one"
                )));
            }
            let nobody_can_register = metadata.registration_endpoint.is_none()
                && !(takes_documents && declared.metadata_url != Some(""))
                && declared.client_id.is_none();
            nobody_can_register
                .then(|| format!("{} lets nobody register, and the list names no client id", found.issuer))
        }
    })
}
