//! What the bridge asks a stateless server on its own account: what it offers, which tools it has, what changes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use tokio::time::Instant;

use crate::answer::{Reader, refusal};
use crate::authorization::Credential;
use crate::era::{STATELESS, UNSUPPORTED_VERSION};
use crate::error::Failure;
use crate::exchange::{CallKey, Event, Listing, Relayed, relay};
use crate::field::Field;
use crate::head::Content;
use crate::header;
use crate::http::Repeat;
use crate::message::Message;
use crate::mirrored::list_request;
use crate::object::Object;
use crate::upstream::Upstream;

/// More pages than this no list of tools has.
const MAX_PAGES: usize = 100;
/// Pauses between attempts to listen.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// Sends a request and waits for its answer; a refusal that is a JSON-RPC error is one.
async fn ask(upstream: &Upstream, request: &Message, credential: Credential) -> Result<Message, Failure> {
    let headers = header::of_stateless(request).map_err(|error| Failure::Unsendable(error.to_string()))?;
    let body = request.bytes().clone();
    let (answer, bearer) =
        upstream.authorized(Method::POST, &headers, credential, body, Repeat::Safe).await?;
    if !answer.head.status.is_success() {
        return refusal(answer, &request.raw(Field::Id).unwrap_or_default(), bearer.as_ref()).await;
    }
    let mut reader = Reader::new(answer)?;
    while let Some(message) = reader.next().await? {
        if message.id() == request.id() {
            return Ok(message);
        }
    }
    Err(Failure::StreamEnded)
}

/// Asks what a server offers; `None` if it knows nothing of the stateless era.
pub(crate) async fn discover(
    upstream: &Upstream,
    request: &Message,
    mut credential: Credential,
) -> Result<Option<Message>, Failure> {
    for last in [false, true] {
        let answer = match ask(upstream, request, credential).await {
            Err(Failure::Status { status, .. })
                if status.is_client_error() && status != StatusCode::FORBIDDEN =>
            {
                return Ok(None);
            }
            Err(Failure::Garbage(_) | Failure::StreamEnded) => return Ok(None),
            other => other?,
        };
        if answer.has(Field::ResultSupported) {
            return Ok(Some(answer));
        }
        let code = answer.error_code();
        if !matches!(code, Some(-32022..=-32020)) {
            return Ok(None);
        }
        let error = answer.raw(Field::Error).as_ref().and_then(Object::parse).unwrap_or_default();
        let supported: Vec<String> = error
            .object("data")
            .and_then(|data| serde_json::from_slice(data.get("supported")?).ok())
            .unwrap_or_default();
        // Some servers refuse the first request whatever it says.
        if last || code != Some(UNSUPPORTED_VERSION) || !supported.iter().any(|version| version == STATELESS)
        {
            let said = answer.text(Field::ErrorMessage).unwrap_or_default();
            let said = crate::error::tamed(&said);
            return Err(Failure::Garbage(format!("it refused MCP {STATELESS}: {said}")));
        }
        credential = upstream.credential().await?;
    }
    Ok(None)
}

/// Reads the list of tools, for a call that was refused for want of headers; `meta` is the text of the call's `_meta`.
pub(crate) async fn list_tools(upstream: Arc<Upstream>, call: CallKey, refused: Box<Listing>, meta: Bytes) {
    let mut listing = refused;
    let mut cursor: Option<Bytes> = None;
    for page in 0..MAX_PAGES {
        let text = list_request(&format!("hallpass-tools-{}-{page}", call.0), &meta, cursor.as_ref());
        let (Some(request), Ok(credential)) = (crate::era::message(&text), upstream.credential().await)
        else {
            break;
        };
        let Ok(answer) = ask(&upstream, &request, credential).await else { break };
        let result = answer.raw(Field::Result).as_ref().and_then(Object::parse).unwrap_or_default();
        cursor = result.get("nextCursor").filter(|cursor| cursor.starts_with(b"\"")).cloned();
        listing.pages.push(answer);
        if cursor.is_none() {
            break;
        }
    }
    upstream.report(Event::Listed { call, listing }).await;
}

/// Keeps the stream of changes open; every message on it is reported as one that nobody asked for.
pub(crate) async fn listen(upstream: Arc<Upstream>, request: Message) {
    let Ok(headers) = header::of_stateless(&request) else { return };
    let mut pause = FIRST_PAUSE;
    loop {
        let began = Instant::now();
        match listened(&upstream, &request, &headers).await {
            Ok(()) | Err(Failure::Unreachable(_) | Failure::StreamEnded) => {}
            Err(Failure::Status { status, .. }) if status.is_server_error() => {}
            Err(failure) => {
                tracing::info!(%failure, "nothing is told of changes");
                return;
            }
        }
        if began.elapsed() > Duration::from_secs(30) {
            pause = FIRST_PAUSE;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn listened(upstream: &Upstream, request: &Message, headers: &HeaderMap) -> Result<(), Failure> {
    let credential = upstream.credential().await?;
    let body = request.bytes().clone();
    let (answer, bearer) = upstream.authorized(Method::POST, headers, credential, body, Repeat::Safe).await?;
    if !answer.head.status.is_success() {
        let refused = refusal(answer, &request.raw(Field::Id).unwrap_or_default(), bearer.as_ref()).await?;
        let said = crate::error::tamed(&refused.text(Field::ErrorMessage).unwrap_or_default());
        return Err(Failure::Garbage(format!("it refused: {said}")));
    }
    if answer.head.content != Content::Events {
        return Err(Failure::Garbage("no event stream".to_owned()));
    }
    let mut reader = Reader::new(answer)?;
    match relay(upstream, None, &mut reader, request.id()).await? {
        // Closed in good order, or broken off: either way it is opened again.
        Relayed::Answered | Relayed::Ended { .. } => Ok(()),
    }
}
