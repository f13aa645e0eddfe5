//! What the server can do: tools that answer with the person whose token came with the call, and a few more
//! methods that a client may ask for.

use std::time::Duration;

use serde_json::{Value, json};

use super::call::Call;

/// A JSON-RPC error.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RpcError {
    pub(super) code: i64,
    pub(super) message: String,
}

impl RpcError {
    pub(super) fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// Answers one request of either era.
pub(super) async fn answer(call: &Call, method: &str, params: &Value) -> Result<Value, RpcError> {
    match method {
        "ping" | "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe" if call.handshake() => {
            Ok(json!({}))
        }
        "tools/list" => Ok(json!({"tools": tools(call)})),
        "tools/call" => tool(call, params).await,
        "resources/list" => Ok(json!({"resources": [{"uri": ME, "name": "me", "mimeType": "text/plain"}]})),
        "resources/templates/list" => Ok(json!({"resourceTemplates": []})),
        "resources/read" if params["uri"] == ME => {
            Ok(json!({"contents": [{"uri": ME, "mimeType": "text/plain", "text": call.person()}]}))
        }
        "resources/read" => {
            Err(RpcError::new(if call.handshake() { -32002 } else { -32602 }, "no such resource"))
        }
        "prompts/list" => Ok(json!({"prompts": [{"name": "greet", "description": "Greets the person"}]})),
        "prompts/get" => Ok(json!({"messages": [
            {"role": "user", "content": {"type": "text", "text": format!("Greet {}.", call.person())}}
        ]})),
        _ => Err(RpcError::new(METHOD_NOT_FOUND, "method not found")),
    }
}

fn tools(call: &Call) -> Vec<Value> {
    let mut tools = vec![
        declared("whoami", "Answers the verified subject of the caller", &json!({})),
        declared("get_me", "Answers the caller as an object", &json!({})),
        declared("echo", "Answers its argument", &json!({"message": {"type": "string"}})),
        declared("slow", "whoami after a while, with progress", &json!({"ms": {"type": "integer"}})),
        declared("big", "Answers so many letters", &json!({"bytes": {"type": "integer"}})),
        declared("ask", "Asks the caller, and answers the answer", &json!({"method": {"type": "string"}})),
        declared(
            "notify",
            "Sends a notification that names the person",
            &json!({"kind": {"type": "string"}}),
        ),
        declared("fail", "Answers an error of its own", &json!({})),
    ];
    if call.inner.knobs().personal_tool && call.visitor.person.is_some() {
        tools.push(declared(&format!("of-{}", call.person()), "Only this person has it", &json!({})));
    }
    tools
}

fn declared(name: &str, description: &str, properties: &Value) -> Value {
    json!({"name": name, "description": description,
           "inputSchema": {"type": "object", "properties": properties}})
}

async fn tool(call: &Call, params: &Value) -> Result<Value, RpcError> {
    let (name, arguments) = (params["name"].as_str().unwrap_or_default(), &params["arguments"]);
    *call.inner.stats().tool_calls.entry(call.person().to_owned()).or_default() += 1;
    match name {
        "whoami" | "get_me" => Ok(who(call, name)),
        "echo" => Ok(text(arguments["message"].as_str().unwrap_or_default())),
        "slow" => {
            slow(call, arguments["ms"].as_u64().unwrap_or(1000)).await;
            Ok(text(call.person()))
        }
        "big" => {
            let bytes =
                arguments["bytes"].as_u64().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0);
            if bytes > MAX_BIG {
                return Err(RpcError::new(INVALID_PARAMS, "too big"));
            }
            Ok(text(&"x".repeat(bytes)))
        }
        "ask" => ask(call, params).await,
        "notify" => {
            let (method, params) =
                super::push::message(arguments["kind"].as_str().unwrap_or("message"), call.person());
            call.notify(method, &params);
            Ok(text(call.person()))
        }
        "fail" => Ok(json!({"content": [{"type": "text", "text": "it failed"}], "isError": true})),
        _ if name == format!("of-{}", call.person()) => Ok(text(call.person())),
        _ => Err(RpcError::new(INVALID_PARAMS, "no such tool")),
    }
}

/// The caller by one tool or the other, unless a knob has it lie.
fn who(call: &Call, tool: &str) -> Value {
    let knobs = call.inner.knobs();
    if let Some(result) = knobs.whoami_result {
        return result;
    }
    let person = knobs.whoami_as.as_deref().unwrap_or(call.person());
    match tool {
        "get_me" => text(&json!({"id": format!("id-of-{person}"), "login": person}).to_string()),
        _ => text(person),
    }
}

async fn slow(call: &Call, ms: u64) {
    let mut left = ms;
    while left > 0 {
        let step = left.min(STEP_MS);
        tokio::time::sleep(Duration::from_millis(step)).await;
        left -= step;
        if let Some(token) = &call.progress_token {
            let progress =
                json!({"progressToken": token, "progress": ms - left, "total": ms, "message": call.person()});
            call.notify("notifications/progress", &progress);
        }
    }
}

/// Asks by a server request (handshake era) or by an input request (stateless era).
async fn ask(call: &Call, params: &Value) -> Result<Value, RpcError> {
    let (method, question) = match params["arguments"]["method"].as_str().unwrap_or("elicitation/create") {
        "roots/list" => ("roots/list", json!({})),
        _ => (
            "elicitation/create",
            json!({"message": format!("Is this {}?", call.person()),
                   "requestedSchema": {"type": "object", "properties": {"yes": {"type": "boolean"}}}}),
        ),
    };
    let answer = if call.handshake() {
        call.request(method, question).await.ok_or_else(|| RpcError::new(INTERNAL, "nobody to ask"))?
    } else {
        let state = params["requestState"].as_str().map(str::to_owned);
        let Some(state) = state else {
            let state = call.new_request_state();
            return Ok(json!({"resultType": "input_required", "requestState": state,
                             "inputRequests": {"question": {"method": method, "params": question}}}));
        };
        call.take_request_state(&state)?;
        params["inputResponses"]["question"].clone()
    };
    Ok(text(&json!({"person": call.person(), "answer": answer}).to_string()))
}

fn text(text: &str) -> Value {
    json!({"content": [{"type": "text", "text": text}]})
}

pub(super) const METHOD_NOT_FOUND: i64 = -32601;
pub(super) const INVALID_PARAMS: i64 = -32602;
const INTERNAL: i64 = -32603;
const ME: &str = "person://me";
const STEP_MS: u64 = 50;
const MAX_BIG: usize = 64 * 1024 * 1024;
