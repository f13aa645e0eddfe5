//! The answer to one request, out of a JSON document or an event stream (MCP 2025-11-25, Sending Messages to the Server).

use model::visible;
use oauth::HttpResponse;
use serde_json::{Map, Value};

/// What came back.
#[derive(Debug)]
pub(super) enum Answer {
    /// `result`, whole.
    Result(Map<String, Value>),
    /// `error`, or a result that is not the last word.
    Error {
        /// In the server's words, made safe to show.
        message: String,
    },
    /// Nothing that answers this request.
    None {
        /// HTTP status.
        status: u16,
    },
}

/// Finds the answer to the request `id`.
pub(super) fn find(response: &HttpResponse, id: u64) -> Answer {
    let body = response.body.expose();
    let messages = if response.media_type() == "text/event-stream" { events(body) } else { documents(body) };
    let Some(mut message) = messages.into_iter().find(|message| answers(message, id)) else {
        return Answer::None { status: response.status };
    };
    match message.remove("result") {
        Some(Value::Object(result)) => match result.get("resultType").map(Value::as_str) {
            None | Some(Some("complete")) => Answer::Result(result),
            Some(_) => Answer::Error { message: "it asks something back".to_owned() },
        },
        Some(_) => Answer::Error { message: "its result is no object".to_owned() },
        None => {
            let text = message.get("error").and_then(|error| error.get("message")).and_then(Value::as_str);
            Answer::Error { message: visible(text.unwrap_or("without words"), 200) }
        }
    }
}

/// Whether an event stream holds the answer already. It is looked at where an event ends.
pub(super) fn is_there(bytes: &[u8], id: u64) -> bool {
    let ends = bytes.ends_with(b"\n\n") || bytes.ends_with(b"\r\n\r\n") || bytes.ends_with(b"\r\r");
    ends && events(bytes).iter().any(|message| answers(message, id))
}

fn answers(message: &Map<String, Value>, id: u64) -> bool {
    message.get("id").and_then(Value::as_u64) == Some(id)
        && (message.contains_key("result") || message.contains_key("error"))
        && !message.contains_key("method")
}

fn documents(bytes: &[u8]) -> Vec<Map<String, Value>> {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(message)) => vec![message],
        Ok(Value::Array(messages)) => messages.into_iter().filter_map(object).collect(),
        Ok(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) | Err(_) => Vec::new(),
    }
}

/// The messages of whole events (WHATWG HTML, Server-sent events: lines end with LF, CR or both).
fn events(bytes: &[u8]) -> Vec<Map<String, Value>> {
    let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n").replace('\r', "\n");
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let (whole, _cut_off) = text.rsplit_once("\n\n").unwrap_or(("", text));
    let data = |event: &str| {
        let lines = event.lines().filter_map(|line| line.strip_prefix("data:"));
        lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n")
    };
    whole.split("\n\n").filter_map(|event| serde_json::from_str(&data(event)).ok().and_then(object)).collect()
}

fn object(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(message) => Some(message),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use model::Secret;
    use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

    use super::*;

    fn response(kind: &'static str, body: &str) -> HttpResponse {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        HttpResponse { status: 200, headers, body: Secret::new(body.as_bytes().to_vec()) }
    }

    fn result(kind: &'static str, body: &str) -> Option<Value> {
        match find(&response(kind, body), 7) {
            Answer::Result(result) => Some(Value::Object(result)),
            Answer::Error { .. } | Answer::None { .. } => None,
        }
    }

    #[test]
    fn the_answer_is_found_in_both_forms_between_what_is_none() {
        let answer = r#"{"jsonrpc":"2.0","id":7,"result":{"a":1}}"#;
        let want = Some(serde_json::json!({"a": 1}));
        assert_eq!(result("application/json", answer), want);
        assert_eq!(result("application/json", &format!("[{answer}]")), want);
        for ends in ["\n", "\r\n", "\r"] {
            let stream = [
                ": hello",
                "",
                "event: message",
                r#"data: {"method":"notifications/message"}"#,
                "",
                r#"data: {"id":7,"method":"roots/list"}"#,
                "",
                r#"data: {"id":6,"result":{}}"#,
                "",
                "id: 3",
                r#"data: {"jsonrpc":"2.0","id":7,"#,
                r#"data:"result":{"a":1}}"#,
                "",
                "",
            ];
            let stream = stream.join(ends);
            assert_eq!(result("text/event-stream", &stream), want, "{ends:?}");
            assert!(is_there(stream.as_bytes(), 7) && !is_there(stream.as_bytes(), 8));
            let short = &stream.as_bytes()[..stream.len() - ends.len()];
            assert!(!is_there(short, 7), "an event ends with an empty line");
        }
    }

    #[test]
    fn what_answers_something_else_or_asks_back_is_no_answer() {
        for body in [
            "",
            "<html>",
            r#"{"id":"7","result":{}}"#,
            r#"{"id":8,"result":{}}"#,
            r#"{"id":7}"#,
            r#"{"id":7,"result":[]}"#,
            r#"{"id":7,"error":{"message":"no"}}"#,
            r#"{"id":7,"result":{"resultType":"input_required"}}"#,
            r#"{"id":7,"result":{"resultType":1}}"#,
        ] {
            assert_eq!(result("application/json", body), None, "{body}");
        }
    }
}
