//! The handshake era on the wire: `initialize`, sessions, answers as JSON or SSE, the GET stream, DELETE.

use std::sync::Arc;

use http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

use super::Inner;
use super::call::{Call, Way};
use super::gate::Visitor;
use super::knobs::AnswerForm;
use super::stream::Pen;
use super::tools::{RpcError, answer};
use crate::web::{self, Answer, Body, Incoming, bytes_reply};

pub(super) async fn post(inner: Arc<Inner>, request: &Incoming, visitor: Visitor, body: Value) -> Answer {
    let accept = request.header("accept").unwrap_or_default();
    if !(accept.contains("application/json") && accept.contains("text/event-stream")) {
        inner.stats().header_errors += 1;
        return error(
            StatusCode::NOT_ACCEPTABLE,
            &Value::Null,
            "accept both application/json and text/event-stream",
        );
    }
    if body["method"] == "initialize" {
        return initialize(&inner, visitor, &body);
    }
    let session = match session(&inner, request, &visitor) {
        Ok(session) => session,
        Err(refusal) => return refusal,
    };
    let Value::Array(batch) = body else { return one(inner, session.0, visitor, body).await };
    if session.1 != "2025-03-26" {
        return error(StatusCode::BAD_REQUEST, &Value::Null, "this revision knows no batches");
    }
    let mut answers = Vec::new();
    for message in batch {
        if message.get("method").is_some() && message.get("id").is_some() {
            let way = Way::Session { id: session.0.clone(), pen: None };
            let call =
                Call { inner: Arc::clone(&inner), visitor: visitor.clone(), progress_token: None, way };
            answers.push(run(&call, &message).await);
        } else {
            take(&inner, session.0.as_deref(), &message);
        }
    }
    if answers.is_empty() { accepted() } else { web::json(StatusCode::OK, &Value::Array(answers)).into() }
}

pub(super) fn get(inner: &Inner, request: &Incoming, visitor: &Visitor) -> Answer {
    if !inner.knobs().get_stream {
        return bytes_reply(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "no stream here").into();
    }
    let id = match session(inner, request, visitor) {
        Ok((Some(id), _)) => id,
        Ok((None, _)) => {
            return bytes_reply(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "no sessions here").into();
        }
        Err(refusal) => return refusal,
    };
    let (pen, reply) = Pen::new(inner.knobs().sse_piece, Box::new(()));
    pen.greet();
    if let Some(session) = inner.sessions().get(&id) {
        session.add_stream(pen);
    }
    inner.changed();
    reply.into()
}

pub(super) fn delete(inner: &Inner, request: &Incoming, visitor: &Visitor) -> Answer {
    if !inner.knobs().delete {
        return bytes_reply(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "sessions end by themselves")
            .into();
    }
    match session(inner, request, visitor) {
        Ok((Some(id), _)) if inner.sessions().close(&id) => {
            inner.stats().sessions_deleted += 1;
            bytes_reply(StatusCode::OK, "text/plain", "").into()
        }
        Ok(_) => bytes_reply(StatusCode::NOT_FOUND, "text/plain", "no such session").into(),
        Err(refusal) => refusal,
    }
}

fn initialize(inner: &Inner, visitor: Visitor, body: &Value) -> Answer {
    let knobs = inner.knobs();
    let asked = body["params"]["protocolVersion"].as_str().unwrap_or_default();
    let known = knobs.handshake_versions.iter().find(|version| *version == asked);
    let Some(version) = known.or(knobs.handshake_versions.last()) else {
        return error(
            StatusCode::BAD_REQUEST,
            &body["id"],
            "no revision of the handshake era is spoken here",
        );
    };
    let person = visitor.person.clone().unwrap_or_else(|| "nobody".to_owned());
    let result = json!({
        "protocolVersion": version,
        "capabilities": super::capabilities(),
        "serverInfo": {"name": "testbed", "version": "1.0.0"},
        "instructions": format!("This session is {person}'s."),
    });
    let message = json!({"jsonrpc": "2.0", "id": body["id"], "result": result});
    let mut reply = match knobs.answers {
        AnswerForm::Json => web::json(StatusCode::OK, &message),
        AnswerForm::Sse => {
            let (pen, reply) = Pen::new(knobs.sse_piece, Box::new(()));
            pen.write(&message);
            reply
        }
    };
    if knobs.session_ids {
        let id = inner.sessions().open(visitor.person, version.clone());
        inner.stats().sessions_opened += 1;
        if let Ok(id) = HeaderValue::from_str(&id) {
            reply.headers_mut().insert("mcp-session-id", id);
        }
    }
    reply.into()
}

/// The session that a request belongs to, and its revision.
fn session(inner: &Inner, request: &Incoming, visitor: &Visitor) -> Result<(Option<String>, String), Answer> {
    let knobs = inner.knobs();
    let version = request.header("mcp-protocol-version");
    if !knobs.session_ids {
        return Ok((None, version.unwrap_or("2025-03-26").to_owned()));
    }
    let Some(id) = request.header("mcp-session-id") else {
        inner.stats().header_errors += 1;
        return Err(error(StatusCode::BAD_REQUEST, &Value::Null, "Mcp-Session-Id is missing"));
    };
    let (owner, agreed) = match inner.sessions().get(id) {
        Some(session) => (session.person.clone(), session.version.clone()),
        None => return Err(error(StatusCode::NOT_FOUND, &Value::Null, "no such session")),
    };
    if owner != visitor.person {
        inner.stats().mixed_sessions += 1;
        return Err(error(StatusCode::FORBIDDEN, &Value::Null, "that session is another person's"));
    }
    // 2025-03-26 did not know the header yet.
    if version.map_or(agreed != "2025-03-26", |version| version != agreed) {
        inner.stats().header_errors += 1;
        return Err(error(
            StatusCode::BAD_REQUEST,
            &Value::Null,
            "MCP-Protocol-Version is not what was agreed on",
        ));
    }
    Ok((Some(id.to_owned()), agreed))
}

async fn one(inner: Arc<Inner>, session: Option<String>, visitor: Visitor, message: Value) -> Answer {
    let Some(id) = message.get("id").filter(|_| message.get("method").is_some()).cloned() else {
        return if take(&inner, session.as_deref(), &message) {
            accepted()
        } else {
            error(StatusCode::BAD_REQUEST, &Value::Null, "nothing was asked in this session under that id")
        };
    };
    let knobs = inner.knobs();
    let (pen, reply) = match knobs.answers {
        AnswerForm::Json => (None, None),
        AnswerForm::Sse => {
            let (pen, reply) = Pen::new(knobs.sse_piece, Box::new(()));
            (Some(pen), Some(reply))
        }
    };
    let progress_token = message["params"]["_meta"].get("progressToken").cloned();
    let way = Way::Session { id: session.clone(), pen: pen.clone() };
    let call = Call { inner: Arc::clone(&inner), visitor, progress_token, way };
    // On a task of its own: a caller that goes away has not cancelled.
    let task = tokio::spawn(async move {
        let answered = run(&call, &message).await;
        if let Some(pen) = pen {
            pen.write(&answered);
        }
        answered
    });
    let key = id.to_string();
    if let Some(session) = &session {
        remember(&inner, session, &key, task.abort_handle());
    }
    if let Some(reply) = reply {
        return reply.into();
    }
    let answered = task.await.unwrap_or_else(
        |_cancelled| json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32800, "message": "cancelled"}}),
    );
    web::json(StatusCode::OK, &answered).into()
}

fn remember(inner: &Inner, session: &str, key: &str, call: tokio::task::AbortHandle) {
    if let Some(session) = inner.sessions().get(session) {
        session.calls.retain(|_, call| !call.is_finished());
        session.calls.insert(key.to_owned(), call);
    }
}

/// Takes a notification, or the answer to a server request, in. Says whether it was expected.
fn take(inner: &Inner, session: Option<&str>, message: &Value) -> bool {
    if message["method"] == "notifications/cancelled" {
        let key = message["params"]["requestId"].to_string();
        let mut sessions = inner.sessions();
        let call = session.and_then(|id| sessions.get(id)?.calls.remove(&key));
        if let Some(call) = call.filter(|call| !call.is_finished()) {
            call.abort();
            inner.stats().cancelled += 1;
        }
        return true;
    }
    if message.get("method").is_some() {
        return true;
    }
    let answer = message.get("result").or(message.get("error")).cloned().unwrap_or_default();
    let asked = session.is_some_and(|id| {
        let mut sessions = inner.sessions();
        sessions.get(id).is_some_and(|session| session.answered(&message["id"], answer))
    });
    inner.stats().stray_answers += u64::from(!asked);
    asked
}

async fn run(call: &Call, message: &Value) -> Value {
    let method = message["method"].as_str().unwrap_or_default();
    match answer(call, method, &message["params"]).await {
        Ok(result) => json!({"jsonrpc": "2.0", "id": message["id"], "result": result}),
        Err(RpcError { code, message: text }) => {
            json!({"jsonrpc": "2.0", "id": message["id"], "error": {"code": code, "message": text}})
        }
    }
}

fn accepted() -> Answer {
    Response::builder().status(StatusCode::ACCEPTED).body(Body::default()).map_or(Answer::Drop, Answer::from)
}

fn error(status: StatusCode, id: &Value, text: &str) -> Answer {
    web::json(status, &json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32000, "message": text}})).into()
}
