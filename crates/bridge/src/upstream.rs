//! The way of one session to the server: its connections, its headers, its authorization.

use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use crate::authorization::{Bearer, Credential, Reply};
use crate::error::Failure;
use crate::exchange::{Event, SessionKey};
use crate::header::{PROTOCOL_VERSION, SESSION_ID};
use crate::http::{Answer, Http, Repeat};

/// Longest challenge that is passed on, in characters.
const CHALLENGE_CAP: usize = 4096;
/// How long the agent may take to say what can be done about missing rights.
const ADVICE_WITHIN: Duration = Duration::from_secs(10);

/// One session's way to the server, shared by its tasks.
pub(crate) struct Upstream {
    pub(crate) key: SessionKey,
    pub(crate) http: Arc<Http>,
    pub(crate) established: OnceLock<Established>,
    /// Where messages go, if not to the endpoint (2024-11-05): path and query on its origin.
    pub(crate) target: OnceLock<String>,
    pub(crate) events: mpsc::Sender<Event>,
}

/// What the handshake gave.
pub(crate) struct Established {
    /// `Mcp-Session-Id` and `MCP-Protocol-Version`, where the server named them.
    headers: HeaderMap,
}

impl Established {
    /// What every request of the session says from now on.
    pub(crate) fn new(session_id: Option<HeaderValue>, version: Option<HeaderValue>) -> Self {
        let named = [(SESSION_ID, session_id), (PROTOCOL_VERSION, version)];
        Self { headers: named.into_iter().filter_map(|(name, value)| Some((name, value?))).collect() }
    }
}

impl Upstream {
    /// `Mcp-Session-Id` and `MCP-Protocol-Version`, once negotiated.
    pub(crate) fn handshake_headers(&self) -> &HeaderMap {
        static NONE: LazyLock<HeaderMap> = LazyLock::new(HeaderMap::new);
        self.established.get().map_or(&*NONE, |established| &established.headers)
    }

    /// Whether the server gave a session id.
    pub(crate) fn has_session(&self) -> bool {
        self.handshake_headers().contains_key(SESSION_ID)
    }

    /// Whether answers come on the session's one stream (2024-11-05).
    pub(crate) fn has_one_stream(&self) -> bool {
        self.target.get().is_some()
    }

    fn path(&self, method: &Method) -> Option<&str> {
        self.target.get().filter(|_| method == Method::POST).map(String::as_str)
    }

    /// Tells the one place that decides.
    pub(crate) async fn report(&self, event: Event) {
        // The receiver is gone only when the bridge ends.
        if let Err(TrySendError::Full(event)) = self.events.try_send(event) {
            let _ = Box::pin(self.events.send(event)).await;
        }
    }

    async fn ask(&self, event: impl FnOnce(Reply) -> Event) -> Result<Option<Bearer>, Failure> {
        let (reply, wait) = oneshot::channel();
        self.report(event(reply)).await;
        wait.await.unwrap_or(Err(Failure::Void))
    }

    /// How a request that is sent again is authorized now.
    pub(crate) async fn credential(&self) -> Result<Credential, Failure> {
        let key = self.key;
        let bearer = self.ask(|reply| Event::Credential { session: key, reply }).await?;
        Ok(bearer.map_or(Credential::Nobody, Credential::Have))
    }

    /// Sends, and after a 401 once more with a newer token.
    pub(crate) async fn authorized(
        &self,
        method: Method,
        headers: &HeaderMap,
        credential: Credential,
        body: Bytes,
        repeat: Repeat,
    ) -> Result<(Answer, Option<Bearer>), Failure> {
        let bearer = match credential {
            Credential::Nobody => None,
            Credential::Have(bearer) => Some(bearer),
            Credential::Wait(wait) => wait.await.unwrap_or(Err(Failure::Void))?,
        };
        let value = bearer.as_ref().map(|b| &b.value);
        let path = self.path(&method);
        let answer = self.http.send_to(path, method.clone(), headers, value, body.clone(), repeat).await?;
        if answer.head.status == StatusCode::FORBIDDEN {
            return Ok((Box::pin(self.wide_enough(answer)).await?, bearer));
        }
        if answer.head.status != StatusCode::UNAUTHORIZED {
            return Ok((answer, bearer));
        }
        // Rare, and no call shall have to have room for it.
        Box::pin(self.once_more(answer, bearer, method, headers, body, repeat)).await
    }

    async fn once_more(
        &self,
        mut refused: Answer,
        bearer: Option<Bearer>,
        method: Method,
        headers: &HeaderMap,
        body: Bytes,
        repeat: Repeat,
    ) -> Result<(Answer, Option<Bearer>), Failure> {
        // Read to its end, so that the connection can be used again.
        let _ = refused.whole(64 * 1024).await;
        // What was not read to its end is closed.
        drop(refused);
        let (session, generation) = (self.key, bearer.map(|b| b.generation));
        let bearer = self.ask(|reply| Event::Unauthorized { session, generation, reply }).await?;
        let value = bearer.as_ref().map(|b| &b.value);
        let path = self.path(&method);
        let answer = self.http.send_to(path, method, headers, value, body, repeat).await?;
        if answer.head.status == StatusCode::UNAUTHORIZED {
            return Err(Failure::Rejected(None));
        }
        Ok((self.wide_enough(answer).await?, bearer))
    }

    /// A 403 that speaks of scopes is no answer: the agent says what the person can do about it.
    async fn wide_enough(&self, mut answer: Answer) -> Result<Answer, Failure> {
        if answer.head.status != StatusCode::FORBIDDEN {
            return Ok(answer);
        }
        let values = answer.head.challenges.iter();
        let challenges: Vec<String> = values
            .filter_map(|value| Some(value.to_str().ok()?.chars().take(CHALLENGE_CAP).collect()))
            .collect();
        if !challenges.iter().any(|challenge| challenge.contains("insufficient_scope")) {
            return Ok(answer);
        }
        // Read to its end, so that the connection can be used again.
        let _ = answer.whole(64 * 1024).await;
        let (reply, wait) = oneshot::channel();
        self.report(Event::TooNarrow { session: self.key, challenges, reply }).await;
        // An older agent does not know the question, and the lease may be over.
        Err(match tokio::time::timeout(ADVICE_WITHIN, wait).await {
            Ok(advice) => advice.unwrap_or(Failure::Void),
            Err(_) => Failure::TooNarrow,
        })
    }
}
