//! A small MCP client, for one question with one token: does the server let it in, and whom does its whoami tool name?
//! Both eras are spoken, and answers are read as JSON or as an event stream. Nothing else is ever called.
//!
//! ```text
//! Visit::begin -> server/discover, else initialize + initialized -> tools() -> whoami(tool) -> end()
//! ```

mod answer;

use std::sync::Arc;
use std::time::Duration;

use model::{Era, Named, NamesNobody, Secret, Server, WhoamiTool, header};
use oauth::{HttpError, HttpRequest, HttpResponse, ReqwestHttp};
use reqwest::Method;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value, json};

use crate::servers::chain;
use answer::{Answer, find};

/// A server at which a token is shown. It is shown to nobody else, and no other one is shown here.
pub(crate) struct Visit<'a> {
    http: Arc<ReqwestHttp>,
    server: &'a Server,
    token: &'a Secret<String>,
    spoken: Spoken,
    next_id: u64,
}

/// How the server wants to be spoken to.
#[derive(Clone, Debug)]
enum Spoken {
    /// 2026-07-28: each request stands alone.
    Stateless,
    /// Up to 2025-11-25.
    Handshake { version: String, session: Option<String> },
}

/// Why the question has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VisitError {
    /// 401: it is no token of theirs, or none any more.
    #[error("it refuses the token")]
    Refused,
    /// 403: it knows the token, and lets it do nothing.
    #[error("it knows the token and does not let it in (status 403)")]
    NotLetIn,
    /// It cannot be asked now.
    #[error("it cannot be asked now: {0}")]
    NotNow(String),
    /// It answers, and not as an MCP server does.
    #[error("it does not answer as an MCP server does: {0}")]
    Odd(String),
}

/// A tool, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tool {
    name: String,
    wants_arguments: bool,
    changes_something: bool,
}

/// Why a whoami tool proves nobody.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProvesNobody {
    #[error("there is no such tool")]
    Absent,
    #[error("it wants arguments")]
    WantsArguments,
    #[error("it says that it changes something")]
    ChangesSomething,
    #[error("the server answers with an error: {0}")]
    Error(String),
    #[error(transparent)]
    Answer(#[from] NamesNobody),
}

impl<'a> Visit<'a> {
    /// Shows the token for the first time.
    pub(crate) async fn begin(
        http: Arc<ReqwestHttp>,
        server: &'a Server,
        token: &'a Secret<String>,
    ) -> Result<Self, VisitError> {
        let mut visit = Self { http, server, token, spoken: Spoken::Stateless, next_id: 1 };
        if server.era == Some(Era::Handshake) || !visit.discover().await? {
            visit.initialize().await?;
        }
        Ok(visit)
    }

    /// All its tools: that it lists them is how it lets a token in.
    pub(crate) async fn tools(&mut self) -> Result<Vec<Tool>, VisitError> {
        let (mut tools, mut cursor) = (Vec::new(), None::<String>);
        for _page in 0..MOST_PAGES {
            let params = cursor.take().map_or_else(|| json!({}), |cursor| json!({ "cursor": cursor }));
            let result = match self.ask("tools/list", params).await? {
                Answer::Result(result) => result,
                // A server without tools may say so in this way.
                Answer::Error { .. } => break,
                Answer::None { status } => return Err(odd(status)),
            };
            let listed = result.get("tools").and_then(Value::as_array).into_iter().flatten();
            tools.extend(listed.filter_map(Tool::read));
            cursor = result.get("nextCursor").and_then(Value::as_str).map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        Ok(tools)
    }

    /// Calls the whoami tool, if it is among `tools` and harmless by its own words.
    pub(crate) async fn whoami(
        &mut self,
        tools: &[Tool],
        asked: &WhoamiTool,
        label: Option<&str>,
    ) -> Result<Result<Named, ProvesNobody>, VisitError> {
        let Some(tool) = tools.iter().find(|tool| tool.name == asked.tool()) else {
            return Ok(Err(ProvesNobody::Absent));
        };
        if tool.wants_arguments {
            return Ok(Err(ProvesNobody::WantsArguments));
        }
        if tool.changes_something {
            return Ok(Err(ProvesNobody::ChangesSomething));
        }
        let params = json!({ "name": asked.tool(), "arguments": {} });
        let outcome = self.ask("tools/call", params).await;
        Ok(match outcome {
            Ok(Answer::Result(result)) => asked.read(&result, label).map_err(ProvesNobody::from),
            Ok(Answer::Error { message }) => Err(ProvesNobody::Error(message)),
            Ok(Answer::None { status }) if matches!(status, 408 | 425 | 429 | 500..) => {
                return Err(VisitError::NotNow(format!("status {status}")));
            }
            Ok(Answer::None { status }) => Err(ProvesNobody::Error(format!("status {status}"))),
            Err(VisitError::Odd(what)) => Err(ProvesNobody::Error(what)),
            Err(VisitError::NotLetIn) => Err(ProvesNobody::Error("this token may not call it".to_owned())),
            Err(error) => return Err(error),
        })
    }

    /// Ends a session (MCP 2025-11-25, Session Management). That nobody answers hinders nothing.
    pub(crate) async fn end(self) {
        if let Spoken::Handshake { session: Some(_), .. } = &self.spoken {
            let mut request = self.request(Method::DELETE, None, "");
            request.time_limit = END_TIME;
            let _ended = self.http.fetch(request, MOST_BYTES).await;
        }
    }

    /// 2026-07-28: `server/discover`. `false`: it does not know that.
    async fn discover(&mut self) -> Result<bool, VisitError> {
        match self.ask("server/discover", json!({})).await {
            Ok(Answer::Result(result)) => {
                let versions = result.get("supportedVersions").and_then(Value::as_array);
                Ok(versions.is_some_and(|all| all.iter().any(|one| one == STATELESS)))
            }
            // What an older server makes of it is no verdict, but that it refuses the token is one.
            Ok(Answer::Error { .. } | Answer::None { .. })
            | Err(VisitError::Odd(_) | VisitError::NotLetIn) => Ok(false),
            Err(error @ (VisitError::Refused | VisitError::NotNow(_))) => Err(error),
        }
    }

    async fn initialize(&mut self) -> Result<(), VisitError> {
        self.spoken = Spoken::Handshake { version: String::new(), session: None };
        let params = json!({ "protocolVersion": HANDSHAKE, "capabilities": {}, "clientInfo": us() });
        let (response, answer) = self.exchange("initialize", params).await?;
        let result = match answer {
            Answer::Result(result) => result,
            Answer::Error { message } => return Err(VisitError::Odd(message)),
            Answer::None { status } => return Err(odd(status)),
        };
        let Some(version) = result.get("protocolVersion").and_then(Value::as_str) else {
            return Err(VisitError::Odd("it names no revision".to_owned()));
        };
        let session = response.headers.get("mcp-session-id").and_then(|id| id.to_str().ok());
        self.spoken = Spoken::Handshake { version: version.to_owned(), session: session.map(str::to_owned) };
        let body = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        let request = self.request(Method::POST, Some(&body), "notifications/initialized");
        // Nothing comes back but a status.
        let response =
            self.http.listen(request, MOST_BYTES, &|_| true).await.map_err(|error| of_http(&error))?;
        verdict(response.status)
    }

    async fn ask(&mut self, method: &str, params: Value) -> Result<Answer, VisitError> {
        self.exchange(method, params).await.map(|(_, answer)| answer)
    }

    async fn exchange(
        &mut self,
        method: &str,
        mut params: Value,
    ) -> Result<(HttpResponse, Answer), VisitError> {
        let id = self.next_id;
        self.next_id += 1;
        if matches!(self.spoken, Spoken::Stateless) {
            params["_meta"] = json!({
                "io.modelcontextprotocol/protocolVersion": STATELESS,
                "io.modelcontextprotocol/clientCapabilities": {},
                "io.modelcontextprotocol/clientInfo": us(),
            });
        }
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let mut request = self.request(Method::POST, Some(&body), method);
        if method == "tools/call"
            && matches!(self.spoken, Spoken::Stateless)
            && let Some(name) =
                body["params"]["name"].as_str().and_then(|name| HeaderValue::from_str(name).ok())
        {
            request.headers.insert("mcp-name", name);
        }
        let enough = move |bytes: &[u8]| answer::is_there(bytes, id);
        let response =
            self.http.listen(request, MOST_BYTES, &enough).await.map_err(|error| of_http(&error))?;
        verdict(response.status)?;
        let answer = find(&response, id);
        Ok((response, answer))
    }

    fn request(&self, method: Method, body: Option<&Value>, mcp_method: &str) -> HttpRequest {
        let mut headers = HeaderMap::new();
        for (name, value) in self.server.headers.iter().filter(|(name, _)| !header::is_reserved(name)) {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                headers.insert(name, value);
            }
        }
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        if body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let mut set = |name: &'static str, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        match &self.spoken {
            Spoken::Stateless => {
                set("mcp-protocol-version", STATELESS);
                set("mcp-method", mcp_method);
            }
            Spoken::Handshake { version, session } => {
                if !version.is_empty() {
                    set("mcp-protocol-version", version);
                }
                if let Some(session) = session {
                    set("mcp-session-id", session);
                }
            }
        }
        // Into a header that is marked sensitive.
        let bearer = Secret::new(format!("Bearer {}", self.token.expose()));
        if let Ok(mut value) = HeaderValue::from_str(bearer.expose()) {
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        HttpRequest {
            method,
            url: self.server.endpoint.as_str().to_owned(),
            headers,
            body: Secret::new(body.map(|body| body.to_string().into_bytes()).unwrap_or_default()),
            time_limit: ASK_TIME,
        }
    }
}

impl Tool {
    fn read(listed: &Value) -> Option<Self> {
        let hint = |name| listed["annotations"].get(name).and_then(Value::as_bool);
        let required = listed["inputSchema"].get("required").and_then(Value::as_array);
        Some(Self {
            name: listed.get("name")?.as_str()?.to_owned(),
            wants_arguments: required.is_some_and(|names| !names.is_empty()),
            changes_something: hint("readOnlyHint") == Some(false) || hint("destructiveHint") == Some(true),
        })
    }
}

/// What a status alone decides.
fn verdict(status: u16) -> Result<(), VisitError> {
    match status {
        401 => Err(VisitError::Refused),
        403 => Err(VisitError::NotLetIn),
        300..=399 => Err(VisitError::Odd(format!("it leads elsewhere (status {status})"))),
        _ => Ok(()),
    }
}

fn odd(status: u16) -> VisitError {
    match status {
        408 | 425 | 429 | 500.. => VisitError::NotNow(format!("status {status}")),
        _ => VisitError::Odd(format!("status {status}")),
    }
}

fn of_http(error: &HttpError) -> VisitError {
    match error {
        HttpError::TooLarge { .. } => VisitError::Odd(error.to_string()),
        HttpError::NotSent { .. }
        | HttpError::Certificate { .. }
        | HttpError::Unknown { .. }
        | HttpError::BadUrl { .. }
        | HttpError::PrivateAddress { .. } => VisitError::NotNow(chain(error)),
    }
}

fn us() -> Map<String, Value> {
    let us = [("name", "hallpass"), ("version", env!("CARGO_PKG_VERSION"))];
    us.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect()
}

/// The revisions that are spoken, the newest of each era.
const STATELESS: &str = "2026-07-28";
const HANDSHAKE: &str = "2025-11-25";
/// No answer of these may be longer, in bytes.
const MOST_BYTES: usize = 1024 * 1024;
/// A list of tools in more parts than this has no end.
const MOST_PAGES: usize = 20;
/// How long one answer may take.
const ASK_TIME: Duration = Duration::from_secs(20);
const END_TIME: Duration = Duration::from_secs(3);
