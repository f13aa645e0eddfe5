//! What can go wrong with a call, and how a host is told: one sentence, the server's name, the next step.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};
use token_lease::{Closed, ClosedCode, ServerFacts};

/// How long a request waits for a lost agent.
pub(crate) const AGENT_PATIENCE: Duration = Duration::from_secs(10);

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// No connection, or it broke. The text holds no values.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// Its certificate is not accepted. The text holds no values.
    #[error("its certificate is not accepted: {why}")]
    Certificate { why: String, private: bool },
    /// The address lies in a private network and the Server was not added as one of it.
    #[error("its address lies in a private network")]
    PrivateAddress,
    /// The proxy settings cannot be used.
    #[error("its proxy cannot be used: {0}")]
    Proxy(String),
    /// A status that says no; with what the server said.
    #[error("it answered with HTTP status {}{}", .status.as_u16(), said(.detail))]
    Status { status: StatusCode, detail: String },
    /// An answer that is none.
    #[error("it sent an answer that is not valid: {0}")]
    Garbage(String),
    /// An answer above the limit.
    #[error("its answer is larger than 16 MiB")]
    TooLarge,
    /// The stream ended before the answer came.
    #[error("the connection ended before the answer came")]
    StreamEnded,
    /// 404 with a session id: the session is gone, the request was not looked at.
    #[error("the session ended on the server's side")]
    SessionLost,
    /// 401 again with a token that was just renewed.
    #[error("it does not accept the sign-in{}", of_person(.0.as_deref()))]
    Rejected(Option<String>),
    /// 403 for want of scopes, and no agent says what to do.
    #[error("it wants rights that this sign-in does not have")]
    TooNarrow,
    /// It speaks revision 2026-07-28 or later only.
    #[error("it speaks only MCP 2026-07-28 or later, and this app speaks an older revision")]
    ModernOnly,
    /// Nobody may call, and why.
    #[error("{}", .0.message)]
    Closed(Closed),
    /// The agent is not there.
    #[error("{message}")]
    AgentLost { message: String, hint: String },
    /// The person was signed out, or removed, while the call was under way.
    #[error("the call was given up because the account was signed out, or the server closed, meanwhile")]
    Void,
    /// A `requestState` of one person, sent back as another.
    #[error("this request continues one that began as {began}, and the account is now {now}")]
    OtherPerson { began: String, now: String },
    /// The host sent what cannot be carried.
    #[error("{0}")]
    Unsendable(String),
    /// One of app and server says what the other's revision has no words for.
    #[error("{0}")]
    Untranslatable(String),
    /// A call that answers a question which nobody asks any more.
    #[error("the question that this request answers is not open any more")]
    Forgotten,
}

impl Failure {
    /// What it says of the server whoever calls there, in words of ours alone; `None` where it says nothing of that.
    pub(crate) fn of_server(&self) -> Option<String> {
        match self {
            Self::Unreachable(_) | Self::Certificate { .. } | Self::PrivateAddress | Self::Proxy(_) => {
                Some(self.to_string())
            }
            Self::Status { status, .. } if status.is_server_error() || status.is_redirection() => {
                Some(format!("it answered with HTTP status {}", status.as_u16()))
            }
            Self::Status { .. }
            | Self::Garbage(_)
            | Self::TooLarge
            | Self::StreamEnded
            | Self::SessionLost
            | Self::Rejected(_)
            | Self::TooNarrow
            | Self::ModernOnly
            | Self::Closed(_)
            | Self::AgentLost { .. }
            | Self::Void
            | Self::OtherPerson { .. }
            | Self::Unsendable(_)
            | Self::Untranslatable(_)
            | Self::Forgotten => None,
        }
    }

    /// `data.code`: for programs.
    fn code(&self) -> &'static str {
        match self {
            Self::Unreachable(_)
            | Self::Certificate { .. }
            | Self::PrivateAddress
            | Self::Proxy(_)
            | Self::StreamEnded => "unreachable",
            Self::Status { status, .. } if *status == StatusCode::FORBIDDEN => "forbidden",
            Self::Status { .. } => "http_status",
            Self::Garbage(_) | Self::TooLarge => "bad_answer",
            Self::SessionLost => "session_lost",
            Self::Rejected(_) => "sign_in_needed",
            Self::TooNarrow => code_of(ClosedCode::RightsMissing),
            Self::ModernOnly => "modern_only",
            Self::Closed(closed) => code_of(closed.code),
            Self::AgentLost { .. } => "agent_lost",
            Self::Void => "signed_out",
            Self::OtherPerson { .. } => "other_person",
            Self::Unsendable(_) => "invalid_request",
            Self::Untranslatable(_) => "not_translated",
            Self::Forgotten => "not_open",
        }
    }

    fn hint(&self, server: &str) -> String {
        match self {
            Self::Unreachable(_) => {
                format!("check the network, then try again; `hallpass servers test {server}` shows more")
            }
            Self::Certificate { private: true, .. } => format!(
                "nothing was sent; if that is your organisation's own authority: hallpass servers trust {server} --ca FILE"
            ),
            Self::Certificate { private: false, .. } => {
                "nothing was sent; ask whoever runs the server to mend its certificate".to_owned()
            }
            Self::PrivateAddress => format!(
                "if that is meant, add it with `hallpass servers add --private-network`; `hallpass servers show {server}` shows the address"
            ),
            Self::Proxy(_) => "correct the proxy settings of this computer".to_owned(),
            Self::Status { status, .. } if *status == StatusCode::FORBIDDEN => {
                "ask whoever runs the server for access, or switch to another account".to_owned()
            }
            Self::Status { status, .. } if status.is_redirection() => {
                format!("its address seems to have changed; compare `hallpass servers show {server}`")
            }
            Self::Status { .. } | Self::Garbage(_) => {
                format!("`hallpass servers test {server}` shows whether the address is right")
            }
            Self::TooLarge => "ask for less at once".to_owned(),
            Self::StreamEnded | Self::SessionLost | Self::Void => "try again".to_owned(),
            Self::Rejected(_) => format!("run `hallpass login {server}`"),
            Self::TooNarrow => {
                "try again in a moment; then it is said which rights, and how to give them".to_owned()
            }
            Self::ModernOnly => {
                "use an app that speaks MCP 2026-07-28, or an older address of this server".to_owned()
            }
            Self::Closed(closed) => closed.hint.clone(),
            Self::AgentLost { hint, .. } => hint.clone(),
            Self::OtherPerson { began, .. } => format!("start it anew, or switch back to {began}"),
            Self::Unsendable(_) => "this is a fault of the app".to_owned(),
            Self::Untranslatable(_) => "use an app that speaks the server's revision of MCP".to_owned(),
            Self::Forgotten => "start it anew".to_owned(),
        }
    }
}

fn said(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(" and said: {detail}") }
}

fn of_person(person: Option<&str>) -> String {
    person.map(|label| format!(" of {label}")).unwrap_or_default()
}

/// The word of a [`ClosedCode`].
pub(crate) fn code_of(code: ClosedCode) -> &'static str {
    match code {
        ClosedCode::UnknownServer => "unknown_server",
        ClosedCode::NobodyChosen => "nobody_chosen",
        ClosedCode::SignInNeeded => "sign_in_needed",
        ClosedCode::UnknownAccount => "unknown_account",
        ClosedCode::ServerClosed => "server_closed",
        ClosedCode::RightsMissing => "insufficient_scope",
        ClosedCode::KeychainLocked => "keychain_locked",
        ClosedCode::KeychainAbsent => "keychain_absent",
        ClosedCode::Failed | ClosedCode::Unknown => "failed",
    }
}

/// Says `failure` in the words of one Server.
#[derive(Clone, Debug)]
pub(crate) struct Voice {
    pub(crate) server: String,
    pub(crate) label: String,
}

impl Voice {
    /// The words of a known Server.
    pub(crate) fn of(facts: &ServerFacts) -> Self {
        Self { server: facts.id.to_string(), label: facts.label.clone() }
    }

    /// Message and hint, each one sentence without a final stop.
    pub(crate) fn words(&self, failure: &Failure) -> (String, String) {
        let message = match failure {
            Failure::Closed(closed) => closed.message.clone(),
            Failure::AgentLost { .. }
            | Failure::Void
            | Failure::OtherPerson { .. }
            | Failure::Unsendable(_)
            | Failure::Forgotten => {
                format!("{}: {failure}", self.label)
            }
            Failure::Unreachable(_)
            | Failure::Certificate { .. }
            | Failure::PrivateAddress
            | Failure::Proxy(_)
            | Failure::Status { .. }
            | Failure::Garbage(_)
            | Failure::TooLarge
            | Failure::StreamEnded
            | Failure::SessionLost
            | Failure::Rejected(_)
            | Failure::TooNarrow
            | Failure::ModernOnly
            | Failure::Untranslatable(_) => format!("the server {}: {failure}", self.label),
        };
        (message, failure.hint(&self.server))
    }

    /// The JSON-RPC error response.
    pub(crate) fn error(&self, id: &[u8], failure: &Failure, account: Option<&str>) -> Bytes {
        let (message, hint) = self.words(failure);
        let account = match failure {
            Failure::Closed(closed) => closed.person.as_ref().map(|p| p.account.as_str()).or(account),
            _ => account,
        };
        let code = if matches!(failure, Failure::Unsendable(_)) {
            -32600
        } else if matches!(failure, Failure::Untranslatable(_)) {
            -32601
        } else if matches!(failure, Failure::Forgotten) {
            -32602
        } else {
            -32000
        };
        let data = json!({
            "code": failure.code(), "server": self.server, "account": account, "hint": hint,
        });
        error_response(id, code, &format!("{message}. {hint}"), Some(data))
    }
}

/// A JSON-RPC error response; `id` is JSON text.
pub(crate) fn error_response(id: &[u8], code: i32, message: &str, data: Option<Value>) -> Bytes {
    let mut error = json!({"code": code, "message": message});
    if let Some(data) = data {
        error["data"] = data;
    }
    wrapped(id, "error", &error.to_string())
}

/// A JSON-RPC result response; `id` is JSON text.
pub(crate) fn result_response(id: &[u8], result: &Value) -> Bytes {
    wrapped(id, "result", &result.to_string())
}

/// A response with `member` as it is.
pub(crate) fn wrapped(id: &[u8], name: &str, member: &str) -> Bytes {
    let mut text = br#"{"jsonrpc":"2.0","id":"#.to_vec();
    text.extend_from_slice(id);
    text.extend_from_slice(format!(",\"{name}\":{member}}}").as_bytes());
    text.into()
}

/// Foreign text made fit for a sentence of ours: one line, no control or direction characters, 200 characters.
pub(crate) fn tamed(text: &str) -> String {
    let bidi = |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let clean: String =
        text.chars().map(|c| if c.is_control() || bidi(c) { ' ' } else { c }).take(200).collect();
    clean.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voice() -> Voice {
        Voice { server: "jira".into(), label: "Jira".into() }
    }

    #[test]
    fn an_error_names_the_server_and_the_next_step() {
        let failure = Failure::Unreachable("the name was not found".into());
        let text = voice().error(b"\"a\"", &failure, Some("acc-1"));
        let value: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(value["id"], "a");
        assert_eq!(value["error"]["code"], -32000);
        assert_eq!(value["error"]["data"]["server"], "jira");
        assert_eq!(value["error"]["data"]["account"], "acc-1");
        let message = value["error"]["message"].as_str().unwrap();
        assert!(message.contains("Jira") && message.contains("hallpass servers test jira"), "{message}");
    }

    #[test]
    fn foreign_text_is_tamed() {
        assert_eq!(tamed("a\u{1b}[31m\r\n\u{202e}b  c"), "a [31m b c");
        assert_eq!(tamed(&"x".repeat(1000)).len(), 200);
    }
}
