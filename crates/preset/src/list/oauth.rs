//! How people sign in at a server of a list: `oauth` of ours. Form alone: what must not be set is a matter of
//! [`crate::lint`].

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use model::{Endpoint, LoopbackHost, LoopbackSetting, authorization_parameter};

use super::{ListedServer, set};
use crate::reader::{Misfit, Node};

pub(super) fn read(node: &Node<'_>, listed: &mut ListedServer) -> Result<(), Misfit> {
    let oauth = node.object()?;
    oauth.only(&["issuer", "clientId", "clientMetadataUrl", "scopes", "redirect", "parameters"])?;
    listed.issuer = oauth.get("issuer").map(|node| issuer(&node)).transpose()?;
    listed.client_id = oauth.get("clientId").map(|node| client_id(&node)).transpose()?;
    if let Some(url) = oauth.get("clientMetadataUrl") {
        if listed.client_id.is_some() {
            return Err(url.misfit("has no use beside \"clientId\"; keep one of them"));
        }
        listed.metadata_url = Some(metadata_url(&url)?);
    }
    listed.scopes = set(oauth.get("scopes"), scope)?;
    listed.redirect = oauth.get("redirect").map_or(Ok(LoopbackSetting::default()), |node| redirect(&node))?;
    listed.parameters = oauth.get("parameters").map_or(Ok(BTreeMap::new()), |node| parameters(&node))?;
    Ok(())
}

/// An issuer identifier (RFC 8414 section 2), kept to the letter.
fn issuer(node: &Node<'_>) -> Result<String, Misfit> {
    let wrong = || node.misfit("must be an issuer's https URL, in ASCII and without query and fragment");
    let endpoint = Endpoint::parse(node.line(500)?).map_err(|_| wrong())?;
    if endpoint.url().query().is_some() || !endpoint.as_str().is_ascii() {
        Err(wrong())
    } else {
        Ok(endpoint.as_str().to_owned())
    }
}

/// RFC 6749 appendix A.1.
fn client_id(node: &Node<'_>) -> Result<String, Misfit> {
    let text = node.line(300)?;
    let good = text.bytes().all(|b| matches!(b, 0x20..=0x7e));
    if good { Ok(text.to_owned()) } else { Err(node.misfit("must be printable ASCII")) }
}

/// RFC 6749 section 3.3.
fn scope(node: &Node<'_>) -> Result<String, Misfit> {
    let text = node.line(200)?;
    let good = text.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e));
    if good { Ok(text.to_owned()) } else { Err(node.misfit("must be one scope, without blanks and quotes")) }
}

/// Where a client id metadata document lies; empty for `none`.
fn metadata_url(node: &Node<'_>) -> Result<String, Misfit> {
    let text = node.line(500)?;
    if text == "none" {
        return Ok(String::new());
    }
    let good = |e: &Endpoint| {
        let url = e.url();
        url.scheme() == "https" && url.path().len() > 1 && url.query().is_none() && e.as_str().is_ascii()
    };
    let endpoint = Endpoint::parse(text).ok().filter(good);
    endpoint.map(|endpoint| endpoint.as_str().to_owned()).ok_or_else(|| {
        node.misfit("must be a document's https URL with a path and without query and fragment, or \"none\"")
    })
}

/// The one address that is registered. Left out is what RFC 8252 section 7.3 wants.
fn redirect(node: &Node<'_>) -> Result<LoopbackSetting, Misfit> {
    let fields = node.object()?;
    fields.only(&["port", "host"])?;
    let port = fields.get("port").map(|node| {
        let port = u16::try_from(node.number()?).ok().and_then(NonZeroU16::new);
        port.ok_or_else(|| node.misfit("must be a port from 1 to 65535"))
    });
    let host = fields.get("host").map(|node| match node.text()? {
        "127.0.0.1" => Ok(LoopbackHost::Literal),
        "localhost" => Ok(LoopbackHost::Localhost),
        _ => Err(node.misfit("must be \"127.0.0.1\" or \"localhost\"")),
    });
    Ok(LoopbackSetting { port: port.transpose()?, host: host.transpose()?.unwrap_or_default() })
}

fn parameters(node: &Node<'_>) -> Result<BTreeMap<String, String>, Misfit> {
    let mut parameters = BTreeMap::new();
    for (name, value) in node.object()?.all() {
        if !authorization_parameter::is_name(name) {
            return Err(node.misfit("must name parameters by letters, digits, \"_\", \"-\" and \".\""));
        }
        let text = value.text()?;
        if !authorization_parameter::is_value(text) {
            return Err(value.misfit("must be printable ASCII of at most 512 characters"));
        }
        parameters.insert(name.to_owned(), text.to_owned());
    }
    if parameters.len() > authorization_parameter::MOST {
        return Err(node.misfit(format!("must hold at most {} parameters", authorization_parameter::MOST)));
    }
    Ok(parameters)
}
