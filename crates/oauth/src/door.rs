//! Tells by an endpoint's answer to the probe whether it wants a sign-in, wants none, or is no MCP server.

use http::HeaderMap;
use model::Endpoint;

use crate::ServerText;
use crate::challenge::{Challenge, challenge};
use crate::discovery::{DiscoveryError, DiscoveryOptions};
use crate::http::{Http, HttpResponse};
use crate::probe::{REVISION, probe, probe_event_stream};

/// What the endpoint answered to a request without a token.
pub(crate) struct Reached {
    pub(crate) status: u16,
    /// It said in so many words that it speaks the stateless era alone.
    pub(crate) is_stateless: bool,
    pub(crate) door: Door,
}

/// Who may come in.
pub(crate) enum Door {
    /// It asks who is there.
    Asks(Option<Challenge>),
    /// It answers anybody.
    Answers,
    /// There is no MCP server behind it.
    Elsewhere(DiscoveryError),
}

/// Knocks without a token.
pub(crate) async fn knock(
    http: &dyn Http,
    endpoint: &Endpoint,
    options: &DiscoveryOptions,
) -> Result<Reached, DiscoveryError> {
    let mut response = probe(http, endpoint, &options.headers).await?;
    if matches!(response.status, 404 | 405) && !response.says_json() {
        // Perhaps a 2024-11-05 server, which takes a GET here.
        let second = probe_event_stream(http, endpoint, &options.headers).await?;
        if second.status == 401 || second.media_type() == "text/event-stream" {
            response = second;
        }
    }
    let status = response.status;
    let door = match status {
        401 => Door::Asks(challenge(&response.headers)),
        403 if challenge(&response.headers).is_some_and(|c| c.scheme == "bearer") => {
            Door::Asks(challenge(&response.headers))
        }
        200..=299 if response.says_json() || response.media_type() == "text/event-stream" => Door::Answers,
        300..=399 => Door::Elsewhere(redirected(endpoint, &response.headers)),
        408 | 425 | 429 | 500..=599 => {
            Door::Elsewhere(DiscoveryError::ServerTrouble { endpoint: endpoint.to_string(), status })
        }
        _ if speaks_mcp(&response) => Door::Answers,
        _ => Door::Elsewhere(DiscoveryError::NotMcp { endpoint: endpoint.to_string(), status }),
    };
    Ok(Reached { status, is_stateless: is_stateless(&response), door })
}

/// An answer that only servers of 2026-07-28 give, and no word of an older revision in it.
fn is_stateless(response: &HttpResponse) -> bool {
    let Some(body) = response.json_object() else { return false };
    let versions = match (body.get("result"), body.get("error")) {
        (Some(result), None) => &result["supportedVersions"],
        (None, Some(error)) if matches!(error["code"].as_i64(), Some(-32022..=-32020)) => {
            &error["data"]["supported"]
        }
        _ => return false,
    };
    let Some(versions) = versions.as_array() else { return false };
    // Revisions are dates, so they can be compared as text.
    !versions.is_empty() && versions.iter().all(|version| version.as_str().is_some_and(|v| v >= REVISION))
}

/// Whether the endpoint wants to know who is there. Nothing is looked for beyond that.
pub async fn asks_who_is_there(
    http: &dyn Http,
    endpoint: &Endpoint,
    options: &DiscoveryOptions,
) -> Result<bool, DiscoveryError> {
    match knock(http, endpoint, options).await?.door {
        Door::Asks(_) => Ok(true),
        Door::Answers => Ok(false),
        Door::Elsewhere(error) => Err(error),
    }
}

/// A 4xx that an MCP server gives to a method or revision that it does not know.
fn speaks_mcp(response: &HttpResponse) -> bool {
    response.media_type() == "text/event-stream"
        || response
            .json_object()
            .is_some_and(|body| body.contains_key("jsonrpc") || body.contains_key("error"))
        || matches!(response.status, 400 | 406 | 415 | 422)
}

fn redirected(endpoint: &Endpoint, headers: &HeaderMap) -> DiscoveryError {
    let target = headers
        .get(http::header::LOCATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|location| endpoint.url().join(location).ok());
    DiscoveryError::Redirected {
        endpoint: endpoint.to_string(),
        target: target.map_or_else(|| ServerText::new("nowhere"), |url| ServerText::new(url.as_str())),
    }
}
