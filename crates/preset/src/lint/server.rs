//! P06 to P08 and secrets among the parameters of a sign-in, W01 to W04: what a list says of its servers and of itself.

use std::collections::BTreeMap;

use model::{Endpoint, EndpointError, authorization_parameter, secret_rules};
use serde_json::Value;

use super::{Finding, ROTATE, Rule};
use crate::json::below;
use crate::list::{LIST_KEY, SERVER_KEY};
use crate::reader::shown;

/// Checks the places that mean something, wherever their form allows it.
pub(super) fn list(root: &Value, found: &mut Vec<Finding>) {
    if let Some(about) = root.get("_meta").and_then(|meta| meta.get(LIST_KEY))
        && about.get("expires").is_none()
    {
        push(found, Rule::W03, &below("/_meta", LIST_KEY), "the list never goes stale", "add \"expires\"");
    }
    let mut urls = BTreeMap::<String, String>::new();
    let none = Vec::new();
    let entries = root.get("servers").and_then(Value::as_array).unwrap_or(&none);
    for (index, entry) in entries.iter().enumerate() {
        let at = format!("/servers/{index}");
        let Some(server) = entry.get("server") else { continue };
        let remotes = server.get("remotes").and_then(Value::as_array).unwrap_or(&none);
        for (index, remote) in remotes.iter().enumerate() {
            let at = format!("{at}/server/remotes/{index}/url");
            let Some(url) = remote.get("url").and_then(Value::as_str) else { continue };
            plain_http(url, &at, "the server", found);
            let Ok(endpoint) = Endpoint::parse(url) else { continue };
            if let Some(_first) = urls.insert(endpoint.url().to_string(), at.clone()) {
                push(found, Rule::W04, &at, "another server of the list has this URL", "keep one of them");
            }
        }
        ours(entry, &at, !remotes.is_empty(), found);
    }
}

fn ours(entry: &Value, at: &str, is_remote: bool, found: &mut Vec<Finding>) {
    let ours = entry.get("_meta").and_then(|meta| meta.get(SERVER_KEY));
    let at = below(&format!("{at}/_meta"), SERVER_KEY);
    let oauth = ours.and_then(|ours| ours.get("oauth"));
    let issuer = oauth.and_then(|oauth| oauth.get("issuer"));
    match issuer.and_then(Value::as_str) {
        Some(issuer) => plain_http(issuer, &format!("{at}/oauth/issuer"), "the issuer", found),
        None if is_remote => {
            let fix = "add oauth.issuer, so that no other issuer can ever take the sign-in over";
            push(found, Rule::W01, &at, "no issuer is pinned", fix);
        }
        None => {}
    }
    if let Some(url) = oauth.and_then(|oauth| oauth.get("clientMetadataUrl")).and_then(Value::as_str) {
        plain_http(url, &format!("{at}/oauth/clientMetadataUrl"), "the document", found);
    }
    parameters(oauth, &format!("{at}/oauth/parameters"), found);
    if ours.and_then(|ours| ours.get("account")).is_some() && issuer.is_none() {
        let fix = "pin oauth.issuer, or leave the rule out";
        push(found, Rule::P07, &format!("{at}/account"), "nobody is named who vouches for the account", fix);
    }
    let scopes = oauth.and_then(|oauth| oauth.get("scopes")).and_then(Value::as_array);
    for (index, scope) in scopes.into_iter().flatten().enumerate() {
        if scope.as_str().is_some_and(|scope| scope.contains('*')) {
            let at = format!("{at}/oauth/scopes/{index}");
            push(found, Rule::W02, &at, "this scope is a wildcard", "name the scopes that are needed");
        }
    }
}

/// They stand in the address of each person's browser, and every person sends the same.
fn parameters(oauth: Option<&Value>, at: &str, found: &mut Vec<Finding>) {
    let parameters = oauth.and_then(|oauth| oauth.get("parameters")).and_then(Value::as_object);
    for (name, value) in parameters.into_iter().flatten() {
        let at = below(at, &shown(name));
        if authorization_parameter::is_reserved(name) {
            push(found, Rule::P08, &at, "the sign-in sets this parameter itself", "leave it out");
        } else if let Some(kind) = value.as_str().and_then(|value| secret_rules::named(name, value)) {
            let message = format!("this parameter looks like a secret ({kind})");
            push(found, Rule::P04, &at, &message, ROTATE);
        }
    }
}

fn plain_http(url: &str, at: &str, what: &str, found: &mut Vec<Finding>) {
    let start = url.trim_start().get(..5).unwrap_or_default();
    if Endpoint::parse(url) == Err(EndpointError::PlainHttp)
        || (start.eq_ignore_ascii_case("http:") && Endpoint::parse(url).is_err())
    {
        push(found, Rule::P06, at, &format!("{what} is called without encryption"), "use https");
    }
}

fn push(found: &mut Vec<Finding>, rule: Rule, at: &str, message: &str, fix: &'static str) {
    found.push(Finding { rule, at: at.to_owned(), message: message.to_owned(), fix });
}
