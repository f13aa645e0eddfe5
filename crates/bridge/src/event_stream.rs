//! The transport of 2024-11-05 (HTTP with SSE): one stream brings everything that the server says, and its first event
//! names the place where messages go.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use model::Endpoint;
use tokio::time::Instant;

use crate::answer::{Reader, refusal};
use crate::authorization::Credential;
use crate::error::Failure;
use crate::exchange::{Event, Opened, relay};
use crate::field::Field;
use crate::head::Content;
use crate::http::Repeat;
use crate::message::{Kind, Message};
use crate::upstream::Upstream;

/// How long a server may take to name the place.
const PLACE_WITHIN: Duration = Duration::from_secs(10);
/// A stream that ends sooner than this is not opened again at once.
const SHORT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_secs(1);

/// Opens a session where there is such a stream; `None` where there is none.
pub(crate) async fn open(
    upstream: &Arc<Upstream>,
    initialize: &Message,
    credential: Credential,
) -> Result<Option<Opened>, Failure> {
    let none = HeaderMap::new();
    let (answer, _) = upstream.authorized(Method::GET, &none, credential, Bytes::new(), Repeat::Safe).await?;
    if answer.head.status != StatusCode::OK || answer.head.content != Content::Events {
        return Ok(None);
    }
    let began = Instant::now();
    let mut reader = Reader::new(answer)?;
    let Ok(named) = tokio::time::timeout(PLACE_WITHIN, reader.endpoint()).await else { return Ok(None) };
    let Some(named) = named? else { return Ok(None) };
    // Set once: a session is opened once.
    let _ = upstream.target.set(place(upstream.http.endpoint(), &named)?);
    let credential = upstream.credential().await?;
    let body = initialize.bytes().clone();
    let (mut answer, bearer) =
        upstream.authorized(Method::POST, &none, credential, body, Repeat::Never).await?;
    if !answer.head.status.is_success() {
        let raw_id = initialize.raw(Field::Id).unwrap_or_default();
        let message = refusal(answer, &raw_id, bearer.as_ref()).await?;
        return Ok(Some(Opened::Session { message, session_id: None, stream: None }));
    }
    let _ = answer.whole(64 * 1024).await;
    while let Some(message) = reader.next().await? {
        if message.kind() == Kind::Response && message.id() == initialize.id() {
            let task = tokio::spawn(follow(upstream.clone(), reader, began));
            return Ok(Some(Opened::Session {
                message,
                session_id: None,
                stream: Some(task.abort_handle()),
            }));
        }
        let event = Event::Message { session: upstream.key, call: None, message, last: false };
        upstream.report(event).await;
    }
    Err(Failure::StreamEnded)
}

/// Reports everything that comes, to the end of the stream, which is the end of the session.
async fn follow(upstream: Arc<Upstream>, mut reader: Reader, began: Instant) {
    let ended = relay(&upstream, None, &mut reader, None).await;
    tracing::info!(ok = ended.is_ok(), "the server's stream has ended");
    if began.elapsed() < SHORT {
        tokio::time::sleep(PAUSE).await;
    }
    upstream.report(Event::StreamLost { session: upstream.key }).await;
}

/// The path and query of the place that was named. It may lie on the endpoint's own origin alone: whatever is sent there
/// carries the person's token.
fn place(endpoint: &Endpoint, named: &[u8]) -> Result<String, Failure> {
    let elsewhere =
        || Failure::Garbage("its event stream names a place for messages on another origin".to_owned());
    let url = endpoint.url();
    let named = std::str::from_utf8(named).ok().and_then(|named| url.join(named.trim()).ok());
    let named = named.filter(|named| named.origin() == url.origin()).ok_or_else(elsewhere)?;
    if !named.username().is_empty() || named.password().is_some() {
        return Err(elsewhere());
    }
    Ok(match named.query() {
        Some(query) => format!("{}?{query}", named.path()),
        None => named.path().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_go_to_the_endpoints_own_origin_or_nowhere() {
        let endpoint = Endpoint::parse("https://a.example/sse?x=1").unwrap();
        for (named, want) in [
            ("/messages?session=1", Some("/messages?session=1")),
            ("messages", Some("/messages")),
            ("?s=2", Some("/sse?s=2")),
            (" https://a.example:443/m ", Some("/m")),
            ("/a b\r\nx: y", Some("/a%20bx:%20y")),
            ("https://b.example/m", None),
            ("//b.example/m", None),
            ("http://a.example/m", None),
            ("https://a.example:8443/m", None),
            ("https://a.example@b.example/m", None),
            ("https://u:p@a.example/m", None),
            ("javascript:x", None),
        ] {
            assert_eq!(place(&endpoint, named.as_bytes()).ok().as_deref(), want, "{named}");
        }
    }
}
