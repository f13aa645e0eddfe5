//! What one task does: send one message, with one person's token, and report what comes back.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use crate::answer::{Reader, refusal};
use crate::authorization::{Credential, Reply};
use crate::error::Failure;
use crate::field::Field;
use crate::head::Content;
use crate::header::LAST_EVENT_ID;
use crate::http::{Answer, Repeat};
use crate::message::{Id, Kind, Message};
use crate::upstream::Upstream;

/// A session's number, in the order of opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SessionKey(pub(crate) u64);

/// A call's number, in the order of acceptance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct CallKey(pub(crate) u64);

/// What tasks report to the one place that decides.
pub(crate) enum Event {
    /// A message from the server. After the last one the call has its answer.
    Message { session: SessionKey, call: Option<CallKey>, message: Message, last: bool },
    /// No answer will come for this call. With [`Failure::SessionLost`] comes the message, to be sent anew.
    Failed { call: CallKey, failure: Failure, unsent: Option<Message> },
    /// A stateless request was turned away without being looked at, perhaps by a server that has to be told otherwise.
    Refused(Box<Refused>),
    /// The tools were listed anew for a call that was refused for want of headers.
    Listed { call: CallKey, listing: Box<Listing> },
    /// The one stream of a session has ended (2024-11-05).
    StreamLost { session: SessionKey },
    /// It is time for the next round of a call.
    Again { call: CallKey },
    /// The server asked for (other) authorization; `generation` is what it was given.
    Unauthorized { session: SessionKey, generation: Option<u64>, reply: Reply },
    /// The server wants more rights than the token has; these are its challenges.
    TooNarrow { session: SessionKey, challenges: Vec<String>, reply: oneshot::Sender<Failure> },
    /// A task that sends something again wants to know how.
    Credential { session: SessionKey, reply: Reply },
    /// The handshake has an answer.
    Opened { session: SessionKey, outcome: Result<Opened, Failure> },
    /// `notifications/initialized` was delivered.
    Confirmed { session: SessionKey },
    /// The server's own stream has been answered, or takes too long.
    Listening { session: SessionKey },
}

/// How a server can be talked to.
pub(crate) enum Opened {
    /// Its answer to `initialize`.
    Session {
        message: Message,
        session_id: Option<HeaderValue>,
        /// The one stream that everything comes on (2024-11-05).
        stream: Option<AbortHandle>,
    },
    /// Its answer to `server/discover`: it knows no sessions.
    Stateless { discovered: Message },
}

/// A stateless request that was answered with a 4xx.
pub(crate) struct Refused {
    pub(crate) call: CallKey,
    pub(crate) request: Message,
    /// The JSON-RPC error that came with it, or what its status says.
    pub(crate) said: Result<Message, Failure>,
}

/// A refused call and the tools that there are now.
pub(crate) struct Listing {
    pub(crate) request: Message,
    /// What the call was refused with.
    pub(crate) said: Message,
    pub(crate) pages: Vec<Message>,
}

/// A request of the host on its way.
pub(crate) struct Exchange {
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) call: CallKey,
    pub(crate) message: Message,
    pub(crate) credential: Credential,
    /// `None`: it belongs to a handshake session. Streams are resumed, 404 means that the session is gone.
    pub(crate) stateless: Option<HeaderMap>,
}

impl Exchange {
    /// Carries it through.
    pub(crate) async fn run(self) {
        let (upstream, call) = (self.upstream.clone(), self.call);
        if let Err(Stopped { failure, unsent }) = self.carry().await {
            upstream.report(Event::Failed { call, failure, unsent }).await;
        }
    }

    async fn carry(self) -> Result<(), Stopped> {
        let repeat = repeat_of(&self.message.method());
        let id =
            self.message.id().cloned().ok_or_else(|| Failure::Garbage("a request without id".to_owned()))?;
        let raw_id = self.message.raw(Field::Id).unwrap_or_default();
        let body = self.message.bytes().clone();
        let headers = self.stateless.as_ref().unwrap_or_else(|| self.upstream.handshake_headers());
        let (mut answer, bearer) =
            self.upstream.authorized(Method::POST, headers, self.credential, body, repeat).await?;
        let handshake = self.stateless.is_none();
        let one_stream = handshake && self.upstream.has_one_stream();
        let has_session = handshake && (one_stream || self.upstream.has_session());
        if answer.head.status == StatusCode::NOT_FOUND && has_session {
            let _ = answer.whole(64 * 1024).await;
            return Err(Stopped { failure: Failure::SessionLost, unsent: Some(self.message) });
        }
        if !handshake && may_be_of_another_era(answer.head.status) {
            let said = Box::pin(refusal(answer, &raw_id, bearer.as_ref())).await;
            let refused = Refused { call: self.call, request: self.message, said };
            self.upstream.report(Event::Refused(Box::new(refused))).await;
            return Ok(());
        }
        // A large request is not kept beside a large answer.
        drop(self.message);
        if !answer.head.status.is_success() {
            let message = Box::pin(refusal(answer, &raw_id, bearer.as_ref())).await?;
            let (session, call) = (self.upstream.key, Some(self.call));
            self.upstream.report(Event::Message { session, call, message, last: true }).await;
            return Ok(());
        }
        if one_stream {
            // What it has to say comes there.
            let _ = answer.whole(64 * 1024).await;
            return Ok(());
        }
        let mut reader = Reader::new(answer)?;
        let mut resumed = 0;
        loop {
            let end = relay(&self.upstream, Some(self.call), &mut reader, Some(&id)).await;
            match end {
                Ok(Relayed::Answered) => {
                    if !reader.is_over() {
                        Box::pin(linger(&self.upstream, self.call, &mut reader)).await;
                    }
                    return Ok(());
                }
                Ok(Relayed::Ended { any }) => resumed = if any { 0 } else { resumed + 1 },
                Err(Failure::StreamEnded) => resumed += 1,
                Err(failure) => return Err(failure.into()),
            }
            let last_id = reader.last_event_id().filter(|_| handshake && resumed <= 5);
            let Some(last_id) = last_id.and_then(|id| HeaderValue::from_str(id).ok()) else {
                return Err(Failure::StreamEnded.into());
            };
            tokio::time::sleep(reader.retry().unwrap_or(Duration::from_secs(1))).await;
            reader = match Box::pin(resume(&self.upstream, last_id.clone())).await? {
                Some(answer) => reader.after(answer)?,
                None => return Err(Failure::StreamEnded.into()),
            };
        }
    }
}

/// Why a request has no answer, and the message itself where the server did not look at it.
struct Stopped {
    failure: Failure,
    unsent: Option<Message>,
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self { failure, unsent: None }
    }
}

/// What became of a stream.
pub(crate) enum Relayed {
    /// The answer that was waited for came.
    Answered,
    /// The stream ended; whether it carried anything.
    Ended { any: bool },
}

/// Passes on what comes, up to the answer to `wanted`.
pub(crate) async fn relay(
    upstream: &Upstream,
    call: Option<CallKey>,
    reader: &mut Reader,
    wanted: Option<&Id>,
) -> Result<Relayed, Failure> {
    let mut any = false;
    while let Some(message) = reader.next().await? {
        any = true;
        let answered = message.kind() == Kind::Response && message.id() == wanted;
        upstream.report(Event::Message { session: upstream.key, call, message, last: answered }).await;
        if answered {
            return Ok(Relayed::Answered);
        }
    }
    Ok(Relayed::Ended { any })
}

/// Reads what follows the answer, so that the connection can be used again.
async fn linger(upstream: &Upstream, call: CallKey, reader: &mut Reader) {
    let rest = relay(upstream, Some(call), reader, None);
    let _ = tokio::time::timeout(Duration::from_secs(1), rest).await;
}

/// GET with `Last-Event-ID` (2025-11-25, Resumability and Redelivery). `None` if there is no such stream.
async fn resume(upstream: &Upstream, last_id: HeaderValue) -> Result<Option<Answer>, Failure> {
    let mut headers = upstream.handshake_headers().clone();
    headers.insert(LAST_EVENT_ID, last_id);
    let credential = upstream.credential().await?;
    let (answer, _) =
        upstream.authorized(Method::GET, &headers, credential, Bytes::new(), Repeat::Safe).await?;
    Ok((answer.head.status == StatusCode::OK && answer.head.content == Content::Events).then_some(answer))
}

/// How servers turn away what they do not understand; the rest of 4xx speaks of the person.
fn may_be_of_another_era(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 404 | 405 | 406 | 415)
}

/// What may be asked twice: it changes nothing.
fn repeat_of(method: &str) -> Repeat {
    match method {
        "initialize"
        | "ping"
        | "server/discover"
        | "tools/list"
        | "prompts/list"
        | "resources/list"
        | "resources/templates/list" => Repeat::Safe,
        _ => Repeat::Never,
    }
}
