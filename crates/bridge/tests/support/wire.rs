//! What the test's servers say on the wire.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::sync::mpsc;

pub(super) type Body = BoxBody<Bytes, Infallible>;

pub(super) fn fault_with(id: &Value, code: i64, data: &Value) -> Response<Body> {
    let error = json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": "no", "data": data}});
    reply(200, "application/json", error.to_string())
}

/// One tool with an argument for a header, and one that breaks the rules.
pub(super) fn mirrored_tools(person: &str) -> Value {
    let region = json!({"region": {"type": "string", "x-mcp-header": "Region"}});
    json!([
        {"name": format!("tool-of-{person}"), "inputSchema": {"type": "object"}},
        {"name": "where", "inputSchema": {"type": "object", "properties": region}},
        {"name": "broken", "inputSchema": {"type": "object", "properties": {
            "n": {"type": "number", "x-mcp-header": "N"}}}},
    ])
}

pub(super) fn result(id: &Value, text: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": {"content": [{"type": "text", "text": text}]}})
}

pub(super) fn event(message: &Value) -> Bytes {
    format!("event: message\ndata: {message}\n\n").into()
}

pub(super) fn reply(status: u16, kind: &str, text: String) -> Response<Body> {
    Response::builder()
        .status(StatusCode::from_u16(status).unwrap())
        .header("content-type", kind)
        .body(Full::new(Bytes::from(text)).boxed())
        .unwrap()
}

pub(super) fn events(all: Vec<Bytes>) -> Response<Body> {
    let (send, receive) = mpsc::unbounded_channel();
    for one in all {
        let _ = send.send(one);
    }
    stream(receive)
}

pub(super) fn stream(receive: mpsc::UnboundedReceiver<Bytes>) -> Response<Body> {
    let body = Frames(receive).boxed();
    Response::builder().header("content-type", "text/event-stream").body(body).unwrap()
}

/// A channel as a body; it ends when the sender is gone.
struct Frames(mpsc::UnboundedReceiver<Bytes>);

impl hyper::body::Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|chunk| chunk.map(|bytes| Ok(Frame::data(bytes))))
    }
}
