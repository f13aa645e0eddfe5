//! What a handshake session does besides calls: open, confirm, listen, deliver, end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tokio::sync::oneshot;

use crate::answer::{Reader, refusal};
use crate::authorization::{Bearer, Credential};
use crate::error::Failure;
use crate::event_stream;
use crate::exchange::{Event, Opened, relay};
use crate::field::Field;
use crate::head::Content;
use crate::header::LAST_EVENT_ID;
use crate::http::Repeat;
use crate::message::{Kind, Message};
use crate::own_requests::discover;
use crate::upstream::Upstream;

/// Pauses before the host's answer is sent once more.
const ANSWER_AGAIN: [Duration; 3] =
    [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(4)];
/// How long a server may take to accept it: it has nothing to work out.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Revisions are dates, so they can be compared as text.
const FIRST_WITHOUT_HANDSHAKE: &str = "2026-07-28";

/// How a conversation with a server begins.
pub(crate) struct Greeting {
    pub(crate) initialize: Message,
    /// What is asked of a server without a handshake, if its answer would be of use.
    pub(crate) discover: Option<Message>,
    /// The server was last seen to have none.
    pub(crate) discovers_first: bool,
}

/// Finds out how a server can be talked to, and opens a session where it has such.
pub(crate) async fn open(upstream: Arc<Upstream>, greeting: Greeting, credential: Credential) {
    let outcome =
        tokio::time::timeout(Duration::from_mins(1), greeted(&upstream, &greeting, credential)).await;
    let outcome = outcome.unwrap_or_else(|_| Err(Failure::Unreachable("no answer within 60 s".to_owned())));
    upstream.report(Event::Opened { session: upstream.key, outcome }).await;
}

async fn greeted(
    upstream: &Arc<Upstream>,
    greeting: &Greeting,
    credential: Credential,
) -> Result<Opened, Failure> {
    let Greeting { initialize, discover: discovery, discovers_first } = greeting;
    match discovery {
        None => opened(upstream, initialize, credential).await,
        Some(discovery) if *discovers_first => match discover(upstream, discovery, credential).await? {
            Some(discovered) if speaks_as_asked(&discovered, initialize) => {
                let session = opened(upstream, initialize, upstream.credential().await?).await;
                if is_no_handshake(&session) { Ok(Opened::Stateless { discovered }) } else { session }
            }
            Some(discovered) => Ok(Opened::Stateless { discovered }),
            None => opened(upstream, initialize, upstream.credential().await?).await,
        },
        Some(discovery) => {
            let first = opened(upstream, initialize, credential).await;
            if !is_no_handshake(&first) {
                return first;
            }
            match discover(upstream, discovery, upstream.credential().await?).await? {
                Some(discovered) => Ok(Opened::Stateless { discovered }),
                None => first,
            }
        }
    }
}

/// Whether the server says that it speaks the app's own revision, too: then nothing has to be translated.
fn speaks_as_asked(discovered: &Message, initialize: &Message) -> bool {
    let supported = discovered.raw(Field::ResultSupported);
    let versions: Vec<String> =
        supported.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    initialize.text(Field::ProtocolVersion).is_some_and(|asked| versions.contains(&asked.into_owned()))
}

/// Whether what came in answer to `initialize` opened nothing, though nobody said why it could not.
fn is_no_handshake(outcome: &Result<Opened, Failure>) -> bool {
    match outcome {
        Ok(Opened::Session { message, .. }) => {
            message.has(Field::Result) && !message.has(Field::ResultVersion)
        }
        Ok(Opened::Stateless { .. }) => false,
        Err(failure) => *failure == Failure::ModernOnly,
    }
}

async fn opened(
    upstream: &Arc<Upstream>,
    message: &Message,
    credential: Credential,
) -> Result<Opened, Failure> {
    let raw_id = message.raw(Field::Id).unwrap_or_default();
    let id = message.id();
    let asked = message.text(Field::ProtocolVersion);
    let body = message.bytes().clone();
    let (answer, bearer) =
        upstream.authorized(Method::POST, &HeaderMap::new(), credential, body, Repeat::Safe).await?;
    let status = answer.head.status;
    if !status.is_success() {
        let refused = refusal(answer, &raw_id, bearer.as_ref()).await;
        if refused.is_err() && matches!(status.as_u16(), 400 | 404 | 405) {
            // Perhaps a server of 2024-11-05, which takes a GET here (2025-11-25, Transports: Backwards Compatibility).
            let credential = upstream.credential().await?;
            if let Some(opened) = event_stream::open(upstream, message, credential).await? {
                return Ok(opened);
            }
        }
        let message = refused?;
        return if is_modern_only(&message, status) {
            Err(Failure::ModernOnly)
        } else {
            Ok(Opened::Session { message, session_id: None, stream: None })
        };
    }
    let session_id = answer.head.session_id.clone();
    let mut reader = Reader::new(answer)?;
    while let Some(message) = reader.next().await? {
        if message.kind() != Kind::Response || message.id() != id {
            let event = Event::Message { session: upstream.key, call: None, message, last: false };
            upstream.report(event).await;
            continue;
        }
        if is_modern_only(&message, status) || is_of_a_later_revision(asked.as_deref(), &message) {
            return Err(Failure::ModernOnly);
        }
        let _ = tokio::time::timeout(Duration::from_secs(1), relay(upstream, None, &mut reader, None)).await;
        return Ok(Opened::Session { message, session_id, stream: None });
    }
    Err(Failure::StreamEnded)
}

/// How a server without a handshake answers `initialize` (2026-07-28, Versioning).
fn is_modern_only(message: &Message, status: StatusCode) -> bool {
    match message.error_code() {
        Some(-32022..=-32020) => true,
        Some(-32601) => {
            status == StatusCode::NOT_FOUND || status == StatusCode::BAD_REQUEST || status.is_success()
        }
        Some(_) | None => false,
    }
}

/// A handshake that ends in a revision without one; a host that asked for another cannot go on from there.
fn is_of_a_later_revision(asked: Option<&str>, answer: &Message) -> bool {
    let given = answer.text(Field::ResultVersion);
    given.is_some_and(|given| *given >= *FIRST_WITHOUT_HANDSHAKE && asked != Some(&*given))
}

/// Delivers the host's answer to a question of the server, and again where it got lost: a call waits for it. Each time it
/// goes out as the person whose session asked, or not at all.
pub(crate) async fn answer(upstream: Arc<Upstream>, body: Bytes, mut credential: Credential) {
    let headers = upstream.handshake_headers();
    for pause in ANSWER_AGAIN.map(Some).into_iter().chain([None]) {
        let sent = upstream.authorized(Method::POST, headers, credential, body.clone(), Repeat::Safe);
        match tokio::time::timeout(ANSWER_WITHIN, sent).await {
            // Whatever it says, it has heard it.
            Ok(Ok((mut answer, _))) if !answer.head.status.is_server_error() => {
                tracing::debug!(status = answer.head.status.as_u16(), "delivered");
                let _ = answer.whole(64 * 1024).await;
                return;
            }
            Ok(Err(failure)) if !matches!(failure, Failure::Unreachable(_)) => {
                tracing::info!(%failure, "the host's answer was not delivered");
                return;
            }
            Ok(Ok((answer, _))) => tracing::debug!(status = answer.head.status.as_u16(), "not delivered yet"),
            Ok(Err(failure)) => tracing::debug!(%failure, "not delivered yet"),
            Err(_) => tracing::debug!("not delivered yet: the server is silent"),
        }
        let Some(pause) = pause else { break };
        tokio::time::sleep(pause).await;
        // The session may be over by now, or its person signed out.
        match upstream.credential().await {
            Ok(now) => credential = now,
            Err(failure) => {
                tracing::info!(%failure, "the host's answer was not delivered");
                return;
            }
        }
    }
    tracing::warn!("the host's answer was not delivered: the server cannot be reached");
}

/// Delivers a notification; there is nobody to tell when it fails.
pub(crate) async fn deliver(upstream: Arc<Upstream>, body: Bytes, credential: Credential) {
    let headers = upstream.handshake_headers();
    match upstream.authorized(Method::POST, headers, credential, body, Repeat::Never).await {
        Ok((mut answer, _)) => {
            tracing::debug!(status = answer.head.status.as_u16(), "delivered");
            let _ = answer.whole(64 * 1024).await;
        }
        Err(failure) => tracing::debug!(%failure, "not delivered"),
    }
}

/// Delivers `notifications/initialized`; the session is ready when it was taken, or refused.
pub(crate) async fn confirm(upstream: Arc<Upstream>, body: Bytes, credential: Credential) {
    let delivery = deliver(upstream.clone(), body, credential);
    let _ = tokio::time::timeout(Duration::from_secs(10), delivery).await;
    upstream.report(Event::Confirmed { session: upstream.key }).await;
}

/// Waits until the server's own stream has been answered; not long, since some servers answer with its first event.
pub(crate) async fn await_stream(upstream: Arc<Upstream>, first_answer: oneshot::Receiver<()>) {
    let _either = tokio::time::timeout(Duration::from_millis(250), first_answer).await;
    upstream.report(Event::Listening { session: upstream.key }).await;
}

/// Ends a session on the server's side.
pub(crate) async fn delete(upstream: Arc<Upstream>, bearer: Option<Bearer>) {
    if !upstream.has_session() {
        return;
    }
    let headers = upstream.handshake_headers();
    let value = bearer.as_ref().map(|b| &b.value);
    let ended = upstream.http.send(Method::DELETE, headers, value, Bytes::new(), Repeat::Never).await;
    tracing::debug!(ok = ended.is_ok(), "session ended");
}

/// Keeps the GET stream of a session open, for what the server sends on its own.
///
/// `heard` is told when the first answer has begun; dropped, it says that there will be none.
pub(crate) async fn listen(upstream: Arc<Upstream>, heard: oneshot::Sender<()>) {
    let mut heard = Some(heard);
    let mut pause = Duration::from_secs(1);
    let mut last_id: Option<HeaderValue> = None;
    loop {
        let mut headers = upstream.handshake_headers().clone();
        if let Some(id) = &last_id {
            headers.insert(LAST_EVENT_ID, id.clone());
        }
        let Ok(credential) = upstream.credential().await else { return };
        let opened = upstream.authorized(Method::GET, &headers, credential, Bytes::new(), Repeat::Safe).await;
        let mut wait = pause;
        if let Some(heard) = heard.take() {
            // Nobody may be waiting any more.
            let _late = heard.send(());
        }
        match opened {
            Ok((answer, _))
                if answer.head.status == StatusCode::OK && answer.head.content == Content::Events =>
            {
                let Ok(mut reader) = Reader::new(answer) else { return };
                let began = tokio::time::Instant::now();
                let end = relay(&upstream, None, &mut reader, None).await;
                tracing::debug!(ok = end.is_ok(), "stream ended");
                last_id = reader.last_event_id().and_then(|id| HeaderValue::from_str(id).ok()).or(last_id);
                if began.elapsed() > Duration::from_secs(30) {
                    pause = Duration::from_secs(1);
                }
                wait = reader.retry().unwrap_or(pause).max(pause.min(Duration::from_secs(1)));
            }
            // 405: the server has none. Anything else that says no is as harmless.
            Ok((answer, _)) if !answer.head.status.is_server_error() => return,
            Ok(_) | Err(Failure::Unreachable(_)) => {}
            Err(_) => return,
        }
        tokio::time::sleep(wait).await;
        pause = (pause * 2).min(Duration::from_mins(1));
    }
}
