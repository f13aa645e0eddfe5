//! The stateless era on the wire (2026-07-28): headers that must agree with the body, `server/discover`,
//! `subscriptions/listen`, and answers whose end of stream cancels.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::task::AbortHandle;

use super::Inner;
use super::call::{Call, Way};
use super::gate::Visitor;
use super::knobs::{AnswerForm, Eras, Knobs};
use super::push::{Listener, SUBSCRIPTION_ID};
use super::stream::Pen;
use super::tools::{INVALID_PARAMS, METHOD_NOT_FOUND, RpcError, answer};
use crate::web::{self, Answer, Incoming, bytes_reply};

pub(super) async fn post(inner: Arc<Inner>, request: &Incoming, visitor: Visitor, message: Value) -> Answer {
    let knobs = inner.knobs();
    if let Err(refusal) = check(request, &message, &knobs) {
        inner.stats().header_errors += 1;
        return refusal.reply(&message["id"]);
    }
    let method = message["method"].as_str().unwrap_or_default().to_owned();
    if message.get("id").is_none() {
        return bytes_reply(StatusCode::ACCEPTED, "text/plain", "").into();
    }
    if method == "subscriptions/listen" {
        return listen(&inner, visitor, &message, &knobs);
    }
    match knobs.answers {
        AnswerForm::Json => {
            let mut unanswered = Unanswered { inner: Arc::clone(&inner), armed: true };
            let answered = run(&call(inner, visitor, &message, None), &method, &message).await;
            unanswered.armed = false;
            let unknown = answered["error"]["code"] == METHOD_NOT_FOUND;
            web::json(if unknown { StatusCode::NOT_FOUND } else { StatusCode::OK }, &answered).into()
        }
        AnswerForm::Sse => {
            let done = Arc::new(AtomicBool::new(false));
            let mut end = EndOfStream { inner: Arc::clone(&inner), done: Arc::clone(&done), task: None };
            let (start, started) = tokio::sync::oneshot::channel::<Pen>();
            let task = tokio::spawn(async move {
                let Ok(pen) = started.await else { return };
                let answered =
                    run(&call(inner, visitor, &message, Some(pen.clone())), &method, &message).await;
                done.store(true, Ordering::SeqCst);
                pen.write(&answered);
            });
            end.task = Some(task.abort_handle());
            let (pen, reply) = Pen::new(knobs.sse_piece, Box::new(end));
            // The task holds the other end.
            let _ = start.send(pen);
            reply.into()
        }
    }
}

fn call(inner: Arc<Inner>, visitor: Visitor, message: &Value, pen: Option<Pen>) -> Call {
    let meta = &message["params"]["_meta"];
    let logs = meta.get("io.modelcontextprotocol/logLevel").is_some();
    Call {
        inner,
        visitor,
        progress_token: meta.get("progressToken").cloned(),
        way: Way::Request { pen, logs },
    }
}

async fn run(call: &Call, method: &str, message: &Value) -> Value {
    let outcome = match method {
        "server/discover" => {
            let versions = versions(&call.inner);
            Ok(json!({"supportedVersions": versions, "capabilities": super::capabilities()}))
        }
        _ => answer(call, method, &message["params"]).await,
    };
    match outcome {
        Ok(mut result) => {
            if result.get("resultType").is_none() {
                result["resultType"] = "complete".into();
            }
            if CACHEABLE.contains(&method) {
                result["ttlMs"] = json!(0);
                result["cacheScope"] = "private".into();
            }
            result["_meta"]["io.modelcontextprotocol/serverInfo"] =
                json!({"name": "testbed", "version": "1.0.0"});
            json!({"jsonrpc": "2.0", "id": message["id"], "result": result})
        }
        Err(RpcError { code, message: text }) => {
            json!({"jsonrpc": "2.0", "id": message["id"], "error": {"code": code, "message": text}})
        }
    }
}

/// Every revision that the server speaks.
fn versions(inner: &Inner) -> Vec<String> {
    let knobs = inner.knobs();
    let handshake = knobs.handshake_versions.iter().filter(|_| inner.eras == Eras::Both);
    knobs.stateless_versions.iter().chain(handshake).cloned().collect()
}

/// A stream that lives as long as the caller keeps it open; the acknowledgement comes first.
fn listen(inner: &Inner, visitor: Visitor, message: &Value, knobs: &Knobs) -> Answer {
    let (pen, reply) = Pen::new(knobs.sse_piece, Box::new(()));
    let filter = message["params"]["notifications"].clone();
    pen.write(&json!({
        "jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged",
        "params": {"notifications": filter, "_meta": {SUBSCRIPTION_ID: message["id"]}},
    }));
    inner.listeners().push(Listener { person: visitor.person, id: message["id"].clone(), filter, pen });
    inner.changed();
    reply.into()
}

/// What is wrong with a request before anybody looks at what it wants.
struct Refusal {
    code: i64,
    text: String,
    data: Option<Value>,
}

impl Refusal {
    fn header(text: impl Into<String>) -> Self {
        Self { code: HEADER_MISMATCH, text: text.into(), data: None }
    }

    fn reply(self, id: &Value) -> Answer {
        let mut error = json!({"code": self.code, "message": self.text});
        if let Some(data) = self.data {
            error["data"] = data;
        }
        web::json(StatusCode::BAD_REQUEST, &json!({"jsonrpc": "2.0", "id": id, "error": error})).into()
    }
}

fn check(request: &Incoming, message: &Value, knobs: &Knobs) -> Result<(), Refusal> {
    let (meta, method) = (&message["params"]["_meta"], message["method"].as_str().unwrap_or_default());
    let header = request.header("mcp-protocol-version");
    let version = header.ok_or(Refusal::header("MCP-Protocol-Version is missing"))?;
    if message.get("id").is_some() {
        for member in [VERSION, "io.modelcontextprotocol/clientCapabilities"] {
            if meta.get(member).is_none() {
                return Err(Refusal {
                    code: INVALID_PARAMS,
                    text: format!("_meta lacks {member}"),
                    data: None,
                });
            }
        }
    }
    if meta.get(VERSION).is_some_and(|inner| inner != version) {
        return Err(Refusal::header("MCP-Protocol-Version is not the version in _meta"));
    }
    if !knobs.stateless_versions.iter().any(|known| known == version) {
        let data = json!({"supported": knobs.stateless_versions, "requested": version});
        return Err(Refusal {
            code: UNSUPPORTED_VERSION,
            text: "unsupported protocol version".into(),
            data: Some(data),
        });
    }
    if request.header("mcp-method") != Some(method) {
        return Err(Refusal::header("Mcp-Method is missing or not the method"));
    }
    let name = match method {
        "tools/call" | "prompts/get" => &message["params"]["name"],
        "resources/read" => &message["params"]["uri"],
        _ => return Ok(()),
    };
    let told = request.header("mcp-name").map(decoded);
    if told.as_deref() == name.as_str() {
        Ok(())
    } else {
        Err(Refusal::header("Mcp-Name is missing or not the name"))
    }
}

/// A header value, `=?base64?...?=` undone.
fn decoded(value: &str) -> String {
    let inner = value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?="));
    let bytes = inner.and_then(|inner| STANDARD.decode(inner).ok());
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_else(|| value.to_owned())
}

/// Dropped with the body of an SSE answer: if that is before the answer, the call is cancelled.
struct EndOfStream {
    inner: Arc<Inner>,
    done: Arc<AtomicBool>,
    task: Option<AbortHandle>,
}

impl Drop for EndOfStream {
    fn drop(&mut self) {
        if let Some(task) = self.task.take().filter(|_| !self.done.load(Ordering::SeqCst)) {
            task.abort();
            self.inner.stats().cancelled += 1;
        }
    }
}

/// The same for JSON answers: dropped with the connection.
struct Unanswered {
    inner: Arc<Inner>,
    armed: bool,
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if self.armed {
            self.inner.stats().cancelled += 1;
        }
    }
}

const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const HEADER_MISMATCH: i64 = -32020;
const UNSUPPORTED_VERSION: i64 = -32022;
const CACHEABLE: [&str; 6] = [
    "server/discover",
    "tools/list",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "resources/read",
];

#[cfg(test)]
mod tests {
    use super::decoded;

    #[test]
    fn names_that_no_header_holds_come_in_base64() {
        assert_eq!(decoded("whoami"), "whoami");
        assert_eq!(decoded("=?base64?w6Q=?="), "ä");
    }
}
