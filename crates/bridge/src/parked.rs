//! Calls of an app of 2026-07-28 in a session of the handshake era: the server asks in the middle of a call, the app is
//! asked by the call's answer, and comes back with a new call. Nothing here sends anything.

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::era::{APP_CAPABILITIES, LOG_LEVEL, VISIT_FIRST, can_be_asked, map, response, strip_meta};
use crate::field::Field;
use crate::message::{Message, json_string};
use crate::object::Object;

/// What begins every `requestState` of ours.
const STATE: &str = "hallpass-";
/// From the least to the most severe (RFC 5424, as MCP spells them).
const LEVELS: [&str; 8] = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

/// A call of the app in a session of the server's.
#[derive(Debug)]
pub(crate) struct InSession {
    pub(crate) method: String,
    declared: Map<String, Value>,
    level: Option<String>,
    /// The app was answered with questions and has not come back: what it will name then.
    pub(crate) parked: Option<String>,
    /// What the server asks, and has no answer to yet.
    pub(crate) questions: Vec<Question>,
    count: u32,
}

/// One question of the server.
#[derive(Debug)]
pub(crate) struct Question {
    /// The server's own id of it.
    pub(crate) id: Bytes,
    pub(crate) key: String,
    method: String,
    params: Option<Object>,
}

impl InSession {
    /// Nothing was asked yet.
    pub(crate) fn new(asked: &Message) -> Self {
        let meta = asked.raw(Field::Meta).as_ref().and_then(Object::parse).unwrap_or_default();
        Self {
            method: asked.method().into_owned(),
            declared: map(meta.get(APP_CAPABILITIES)),
            level: meta.text(LOG_LEVEL),
            parked: None,
            questions: Vec::new(),
            count: 0,
        }
    }

    /// The log level that it wants, as JSON text.
    pub(crate) fn level(&self) -> Option<Bytes> {
        self.level.as_deref().map(json_string)
    }

    /// Whether it wants to hear this log message.
    pub(crate) fn hears(&self, said: &Message) -> bool {
        let severity = |level: &str| LEVELS.iter().position(|known| *known == level);
        let params = said.raw(Field::Params).as_ref().and_then(Object::parse).unwrap_or_default();
        let said = params.text("level").as_deref().and_then(severity);
        self.level.as_deref().is_some_and(|wanted| said >= severity(wanted))
    }

    /// Takes a question in; `false` if the app has not said that it can be asked this.
    pub(crate) fn take(&mut self, asked: &Message) -> bool {
        let Some(id) = asked.raw(Field::Id) else { return false };
        let (method, mut params) =
            (asked.method().into_owned(), asked.raw(Field::Params).as_ref().and_then(Object::parse));
        if !can_be_asked(&self.declared, &method, params.as_ref()) {
            return false;
        }
        if let Some(params) = &mut params {
            params.remove("elicitationId");
            params.remove("task");
            strip_meta(params, &["progressToken"]);
        }
        self.count += 1;
        let key = format!("question-{}", self.count);
        self.questions.push(Question { id, key, method, params });
        true
    }

    /// The answer that asks the app everything, under its id; it will name `number` when it comes back.
    pub(crate) fn park(&mut self, number: u64, id: &Bytes) -> Bytes {
        let mut requests = Object::default();
        for question in &self.questions {
            requests.set(&question.key, input(&question.method, question.params.as_ref()));
        }
        self.count += 1;
        let state = format!("{STATE}{number}-{}", self.count);
        let line = input_required(id, &requests, &state);
        self.parked = Some(state);
        line
    }

    /// The app has come back: what it says to the questions, by the server's ids. What it does not answer stays open.
    pub(crate) fn returned(&mut self, again: &Message) -> Vec<(Bytes, Bytes)> {
        self.parked = None;
        let params = again.raw(Field::Params).as_ref().and_then(Object::parse).unwrap_or_default();
        let responses = params.object("inputResponses").unwrap_or_default();
        let mut answers = Vec::new();
        self.questions.retain(|question| match responses.get(&question.key) {
            Some(answer) => {
                answers.push((question.id.clone(), answer.clone()));
                false
            }
            None => true,
        });
        answers
    }
}

/// What a request with a state of ours continues.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Continues {
    /// A call that waits under this name.
    Parked(String),
    /// A page that had to be visited first: the request is sent as if for the first time.
    Visited,
    /// The same, but the person did not want to.
    Declined,
}

/// Whether a request continues something of ours.
pub(crate) fn continues(again: &Message) -> Option<Continues> {
    let state = again.text(Field::RequestState)?;
    if !state.starts_with(STATE) {
        return None;
    }
    if !state.starts_with(VISIT) {
        return Some(Continues::Parked(state.into_owned()));
    }
    let params = again.raw(Field::Params).as_ref().and_then(Object::parse).unwrap_or_default();
    let responses = params.object("inputResponses").unwrap_or_default();
    let all_accepted = responses.iter().all(|(_, answer)| {
        Object::parse(answer)
            .and_then(|answer| answer.text("action"))
            .is_some_and(|action| action == "accept")
    });
    Some(if all_accepted { Continues::Visited } else { Continues::Declined })
}

/// What begins the state of an answer that names pages to be visited first.
pub(crate) const VISIT: &str = "hallpass-visit-";

/// The error of 2025-11-25 that names pages to be visited first, as a question; `None` for all other answers.
pub(crate) fn visit_first(said: &Message, id: &Bytes, state: &str) -> Option<Bytes> {
    if said.error_code() != Some(VISIT_FIRST) {
        return None;
    }
    let error = Object::parse(&said.raw(Field::Error)?)?;
    let pages = error.object("data")?.get("elicitations")?.clone();
    let pages: Vec<&serde_json::value::RawValue> = serde_json::from_slice(&pages).ok()?;
    let mut requests = Object::default();
    for (at, page) in pages.iter().enumerate() {
        let mut page = Object::parse(&Bytes::copy_from_slice(page.get().as_bytes()))?;
        page.remove("elicitationId");
        requests.set(&format!("page-{}", at + 1), input("elicitation/create", Some(&page)));
    }
    (!requests.is_empty()).then(|| input_required(id, &requests, state))
}

fn input(method: &str, params: Option<&Object>) -> Bytes {
    let mut asked = Object::default();
    asked.set("method", json_string(method));
    if let Some(params) = params {
        asked.set("params", params.to_bytes());
    }
    asked.to_bytes()
}

fn input_required(id: &Bytes, requests: &Object, state: &str) -> Bytes {
    let mut result = Object::default();
    result.set("resultType", "\"input_required\"");
    result.set("inputRequests", requests.to_bytes());
    result.set("requestState", json_string(state));
    response(id, "result", &result.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::era::{STATELESS, VERSION, message};
    use serde_json::json;

    fn text(value: &Value) -> Message {
        message(&Bytes::from(value.to_string())).unwrap()
    }

    fn value(text: &Bytes) -> Value {
        serde_json::from_slice(text).unwrap()
    }

    fn asked(method: &str, capabilities: &Value, mut params: Value) -> Message {
        params["_meta"] = json!({VERSION: STATELESS, APP_CAPABILITIES: capabilities, LOG_LEVEL: "warning"});
        text(&json!({"jsonrpc": "2.0", "id": 3, "method": method, "params": params}))
    }

    #[test]
    fn questions_wait_for_the_app_to_come_back() {
        let mut call = InSession::new(&asked("tools/call", &json!({"elicitation": {"url": {}}}), json!({})));
        let question = |id: i64, params: Value| {
            text(&json!({"jsonrpc": "2.0", "id": id, "method": "elicitation/create", "params": params}))
        };
        assert!(call.take(&question(1, json!({"mode": "url", "url": "u", "elicitationId": "e"}))));
        assert!(call.take(&question(2, json!({"message": "m"}))));
        assert!(!call.take(&text(&json!({"id": 3, "method": "sampling/createMessage", "params": {}}))));
        let line = value(&call.park(5, &Bytes::from("9")));
        assert_eq!(
            line,
            json!({"jsonrpc": "2.0", "id": 9, "result": {"resultType": "input_required",
                "requestState": "hallpass-5-3", "inputRequests": {
                    "question-1": {"method": "elicitation/create", "params": {"mode": "url", "url": "u"}},
                    "question-2": {"method": "elicitation/create", "params": {"message": "m"}}}}})
        );
        let again =
            text(&json!({"id": 10, "method": "tools/call", "params": {"requestState": "hallpass-5-3",
            "inputResponses": {"question-2": {"action": "cancel"}, "other": 1}}}));
        assert_eq!(continues(&again), Some(Continues::Parked("hallpass-5-3".into())));
        assert_eq!(call.returned(&again), [(Bytes::from("2"), Bytes::from(r#"{"action":"cancel"}"#))]);
        assert_eq!(call.questions.len(), 1, "what was not answered stays open");
        let foreign = text(&json!({"id": 10, "method": "tools/call", "params": {"requestState": "s"}}));
        assert_eq!(continues(&foreign), None);
    }

    #[test]
    fn pages_to_be_visited_first_are_a_question_and_then_a_new_try() {
        let said =
            text(&json!({"id": "x", "error": {"code": -32042, "message": "m", "data": {"elicitations": [
            {"mode": "url", "url": "https://a.example", "message": "go", "elicitationId": "e"}]}}}));
        let line = value(&visit_first(&said, &Bytes::from("9"), "hallpass-visit-4").unwrap());
        assert_eq!(line["result"]["requestState"], "hallpass-visit-4");
        assert_eq!(
            line["result"]["inputRequests"]["page-1"]["params"],
            json!({"mode": "url", "url": "https://a.example", "message": "go"})
        );
        let again = |action: &str| {
            text(&json!({"id": 1, "method": "tools/call", "params": {"requestState": "hallpass-visit-4",
                "inputResponses": {"page-1": {"action": action}}}}))
        };
        assert_eq!(continues(&again("accept")), Some(Continues::Visited));
        assert_eq!(continues(&again("decline")), Some(Continues::Declined));
        let other = text(&json!({"id": 1, "error": {"code": -1, "message": ""}}));
        assert!(visit_first(&other, &Bytes::from("1"), "s").is_none());
    }

    #[test]
    fn logs_reach_the_call_that_wants_them() {
        let call = InSession::new(&asked("tools/call", &json!({}), json!({})));
        assert_eq!(call.level().unwrap(), "\"warning\"");
        for (level, want) in [("info", false), ("warning", true), ("error", true), ("nonsense", false)] {
            let said = text(&json!({"method": "notifications/message", "params": {"level": level}}));
            assert_eq!(call.hears(&said), want, "{level}");
        }
    }
}
